"""A network with everything that a training step changes, and the step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from utils.images.masks.values import IGNORED, TARGET
from utils.system.distributed import average_gradients, copy_first, gather, mean_over_processes, postpone_exchange


def epoch_seed(seed: int, epoch: int, rank: int = 0) -> int:
    """A seed for one epoch of one process."""
    entropy = (seed, epoch, rank) if rank else (seed, epoch)
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0]) >> 1


AMP_DTYPES = {"off": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class NonFiniteLoss(RuntimeError):
    """A loss or the gradient became NaN or infinite; the text names the losses and the clips."""


@dataclass
class Learner:
    """What a step changes, and how it is taken.

    Args:
        network, criterion: as `nets.build_model` gives them; the criterion returns named, weighted losses.
        optimizer, schedule: of the network's parameters; the schedule counts steps.
        device: where the network is.
        ema: averaged weights, updated after each step.
        amp: `off`, `bf16` or `fp16`: the network runs in mixed precision, fp16 with scaled losses; criteria compute in
            float32 in any case.
        clip_gradient: largest gradient norm, 0 for none.
        channels_last: of grey clips; of RGB clips the network makes images first.
        freeze_norm: batch norm keeps its stored statistics.
        every_frame: the network gives a map for every frame of a clip, as the masks do.
        augment: `(clip, mask, generator) → (clip, mask)` on the device, over the whole batch; for masks only.
        ignoring: masks may hold `IGNORED`, which then has no part in the losses.
    """

    network: nn.Module
    criterion: Callable
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    device: torch.device
    ema: torch.optim.swa_utils.AveragedModel | None = None
    amp: str = "off"
    clip_gradient: float = 0.0
    channels_last: bool = False
    freeze_norm: bool = False
    augment: Callable | None = None
    every_frame: bool = False
    ignoring: bool = False
    generator: torch.Generator = field(default_factory=torch.Generator)

    def __post_init__(self) -> None:
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.amp == "fp16")
        self.exchanging = average_gradients(self.network, self.device)

    @property
    def averaged(self) -> nn.Module:
        """The network that is validated: with averaged weights where there are some."""
        return self.ema.module if self.ema else self.network

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return self.optimizer.param_groups[0]["lr"]

    def train(self) -> None:
        """Put the network into training mode."""
        self.network.train()
        if self.freeze_norm:
            for module in self.network.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()

    def step(self, batches: Sequence[dict[str, Any]]) -> dict[str, float]:
        """One optimiser step on the mean gradient of `batches`, of all processes.

        Args:
            batches: `{"clip": (B, T, H, W) or (B, 3, T, H, W), "key": B paths}` with "mask" (B, 1, H, W), with
                `every_frame` (B, T, H, W), or with "boxes", B tensors (N, 5); these are the criterion's targets.

        Returns:
            Means over the batches of the named losses, and of their sum `loss`.

        Raises:
            NonFiniteLoss: with the losses' values and the key frames; no weight has changed.
        """
        self.optimizer.zero_grad(set_to_none=True)
        sums: dict[str, float] = {}
        for i, batch in enumerate(batches):
            if i + 1 < len(batches):
                with postpone_exchange(self.exchanging):
                    values = self._backward(batch, len(batches))
            else:
                values = self._backward(batch, len(batches))
            sums = {name: sums.get(name, 0.0) + value for name, value in values.items()}
        self._update(batches)
        return {name: value / len(batches) for name, value in sums.items()}

    def losses(self, batch: dict[str, Any], network: nn.Module) -> dict[str, torch.Tensor]:
        """The criterion's losses of `network` for a batch that has not been augmented yet."""
        clip, targets = batch["clip"].to(self.device, non_blocking=True), targets_of(batch, self.device)
        if self.augment is not None:
            clip, targets["mask"] = self.augment(clip, targets["mask"], self.generator)
        if self.ignoring:
            labels = targets["mask"]
            targets = {"mask": (labels == TARGET).to(labels), "ignored": labels == IGNORED}
        if self.channels_last and clip.dim() == 4:
            clip = clip.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, AMP_DTYPES[self.amp], enabled=self.amp != "off"):
            outputs = network(clip, every_frame=True) if self.every_frame else network(clip)
        return self.criterion(outputs, targets)

    def _backward(self, batch: dict[str, Any], count: int) -> dict[str, float]:
        losses = self.losses(batch, self.exchanging)
        total = sum(losses.values())
        named = {"loss": total, **losses}
        means = mean_over_processes(torch.stack([value.detach().float() for value in named.values()])).tolist()
        values = dict(zip(named, means, strict=True))
        if not all(map(math.isfinite, means)):
            raise NonFiniteLoss(f"losses {values} on the batch of {_name_clips([batch])}")
        self.scaler.scale(total / count).backward()
        return values

    def _update(self, batches: Sequence[dict[str, Any]]) -> None:
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.clip_gradient or math.inf)
        if not self.scaler.is_enabled() and not norm.isfinite():
            raise NonFiniteLoss(f"gradient norm {norm.item()} on the batch of {_name_clips(batches)}")
        scale = self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.scaler.get_scale() < scale:
            return  # the scaled gradient overflowed, no step was taken: the next ones have a smaller scale
        self.schedule.step()
        if self.ema:
            self.ema.update_parameters(self.network)

    def begin_epoch(self, seed: int, epoch: int, rank: int = 0) -> None:
        """Seed what is drawn at random on the device: dropout and batch augmentation."""
        if hasattr(self.criterion, "epoch"):
            self.criterion.epoch = epoch
        value = epoch_seed(seed, epoch, rank)
        torch.manual_seed(value)
        self.generator.manual_seed(value + 1)

    def random_states(self) -> dict[str, torch.Tensor]:
        """States of this process's generators, to go on inside an epoch."""
        states = {"dropout": torch.get_rng_state(), "augment": self.generator.get_state()}
        if self.device.type == "cuda":
            states["dropout_cuda"] = torch.cuda.get_rng_state(self.device)
        return states

    def load_random_states(self, states: dict[str, torch.Tensor]) -> None:
        """Set what `random_states` gave."""
        torch.set_rng_state(states["dropout"])
        self.generator.set_state(states["augment"])
        if self.device.type == "cuda" and "dropout_cuda" in states:
            torch.cuda.set_rng_state(states["dropout_cuda"], self.device)

    def state(self) -> dict[str, Any]:
        """Network, averaged weights, optimiser, schedule and scaler, for a checkpoint."""
        return {
            "network": self.network.state_dict(),
            "ema": self.ema.module.state_dict() if self.ema else None,
            "ema_updates": int(self.ema.n_averaged) if self.ema else 0,
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Set what `state` gave."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        if self.scaler.is_enabled() and state.get("scaler"):
            self.scaler.load_state_dict(state["scaler"])
        if self.ema:
            self.ema.module.load_state_dict(state["ema"])
            self.ema.n_averaged.fill_(state["ema_updates"])

    def agree(self) -> None:
        """Make the averaged weights the same in all processes, before they are validated together."""
        copy_first(self.averaged)


def targets_of(batch: dict[str, Any], device: torch.device) -> dict[str, Any]:
    """What a batch's clips are to give, on `device`: {"mask": tensor} or {"boxes": list of tensors}."""
    if "boxes" in batch:
        return {"boxes": [boxes.to(device, non_blocking=True) for boxes in batch["boxes"]]}
    return {"mask": batch["mask"].to(device, non_blocking=True)}


def _name_clips(batches: Sequence[dict[str, Any]]) -> str:
    return ", ".join(key for keys in gather([key for batch in batches for key in batch["key"]]) for key in keys)
