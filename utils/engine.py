"""One epoch of training. Evaluation, the same for validation and for `test.py`, is in `utils.evaluate`."""
from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import update_bn
from tqdm import tqdm


class NonFiniteLoss(RuntimeError):
    """A loss became NaN or infinite; the text names the losses and the clips."""


def targets_of(batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """What a batch's clips are to give, on `device`: {"mask": tensor} or {"boxes": list of tensors}."""
    if "boxes" in batch:
        return {"boxes": [boxes.to(device, non_blocking=True) for boxes in batch["boxes"]]}
    return {"mask": batch["mask"].to(device, non_blocking=True)}


def train_one_epoch(network: nn.Module, criterion: Callable, loader: Iterable, optimizer: torch.optim.Optimizer,
                    schedule: torch.optim.lr_scheduler.LRScheduler, *, device: torch.device,
                    after_step: Callable[[], None] = lambda: None, augment: Callable | None = None,
                    clip_gradient: float = 0.0, channels_last: bool = False, title: str = "", quiet: bool = False
                    ) -> dict[str, float]:
    """Train on every batch of `loader` once.

    Args:
        network, criterion: as `nets.build_model` gives them; the criterion returns named, weighted losses.
        loader: batches `{"clip": (B, T, H, W) or (B, 3, T, H, W), "key": B paths}` with "mask" (B, 1, H, W), or with
            "boxes", B tensors (N, 5); these are the criterion's targets.
        after_step: called after each optimiser step (averaged weights).
        augment: `(clip, mask) → (clip, mask)` on the device, over the whole batch; for masks only.
        clip_gradient: largest gradient norm, 0 for none.
    Returns:
        Means over the clips of each named loss and of their sum `loss`; `lr`, `clips`, `clips_per_s`, and `data_s`, the
        seconds spent waiting for the loader.
    Raises:
        NonFiniteLoss: with the losses' values and the key frames of the batch.
    """
    network.train()
    sums: dict[str, float] = {}
    seen, waited, began = 0, 0.0, time.perf_counter()
    bar = tqdm(loader, desc=title, disable=quiet, leave=False, dynamic_ncols=True, mininterval=0.5)
    waiting = time.perf_counter()
    for batch in bar:
        clip = batch["clip"].to(device, non_blocking=True)
        targets = targets_of(batch, device)
        waited += time.perf_counter() - waiting
        if augment is not None:
            clip, targets["mask"] = augment(clip, targets["mask"])
        if channels_last and clip.dim() == 4:  # of RGB clips the network makes images first
            clip = clip.contiguous(memory_format=torch.channels_last)
        losses = criterion(network(clip), targets)
        total = sum(losses.values())
        values = {"loss": total.item(), **{name: loss.item() for name, loss in losses.items()}}
        if not all(math.isfinite(value) for value in values.values()):
            raise NonFiniteLoss(f"losses {values} on the batch of {', '.join(batch['key'])}")
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        if clip_gradient:
            nn.utils.clip_grad_norm_(network.parameters(), clip_gradient)
        optimizer.step()
        schedule.step()
        after_step()
        seen += len(batch["key"])
        for name, value in values.items():
            sums[name] = sums.get(name, 0.0) + value * len(batch["key"])
        bar.set_postfix({name: f"{value / seen:.3g}" for name, value in sums.items()}
                        | {"lr": f"{optimizer.param_groups[0]['lr']:.2g}", "data": f"{waited:.1f}s"}, refresh=False)
        waiting = time.perf_counter()
    bar.close()
    elapsed = time.perf_counter() - began
    return {name: value / max(seen, 1) for name, value in sums.items()} | {
        "lr": optimizer.param_groups[0]["lr"], "clips": seen, "clips_per_s": round(seen / elapsed, 2),
        "data_s": round(waited, 2)}


def measure_statistics(network: nn.Module, loader: Iterable, batches: int, device: torch.device) -> None:
    """Replace the running averages of the network's batch norms by averages over the first `batches` batches of
    `loader` (none for 0). Averaged weights, and those of a short run, differ from the weights that the running averages
    were taken with."""
    if batches:
        update_bn((batch["clip"] for batch in islice(loader, batches)), network, device)
