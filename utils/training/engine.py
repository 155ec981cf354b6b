"""One epoch of training. Evaluation, the same for validation and for `test.py`, is in `utils.metrics.evaluate`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields
from itertools import islice
from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from utils.system.distributed import processes
from utils.system.packages.late import tqdm
from utils.training.faults import LoaderDied, explain_out_of_memory, loader_died
from utils.training.learner import Learner, NonFiniteLoss
from utils.training.run_log import EpochFigures


@dataclass
class Progress:
    """Where a run stands; plain values, all of which go into its checkpoints.

    Args:
        epoch: completed epochs.
        step: steps done in the epoch under way.
        clips: trained on in it, by all processes.
        sums: of each named loss over these clips.
        seconds, waited: time of the epoch so far, and of it for the loader.
        skipped, skipped_before: batches left out for a non-finite loss, in this epoch and before it.
        elapsed: seconds of the whole run.
        best: figures of the best epoch.
        history: the line of each completed epoch, see `EpochFigures.as_dict`.
        bad_frames: unreadable files, with how many clips each has cost.
    """

    epoch: int = 0
    step: int = 0
    clips: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    waited: float = 0.0
    skipped: int = 0
    skipped_before: int = 0
    elapsed: float = 0.0
    best: dict[str, Any] = field(default_factory=dict)
    history: list[dict[str, Any]] = field(default_factory=list)
    bad_frames: dict[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Progress:
        """What `as_dict` gave, also in an earlier version with fewer or in a later one with more fields."""
        known = {item.name for item in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})

    def figures(self, lr: float) -> EpochFigures:
        """Figures of the epoch under way, with the learning rate `lr`."""
        return EpochFigures(
            self.epoch + 1,
            {name: value / max(self.clips, 1) for name, value in self.sums.items()},
            self.clips,
            round(self.clips / max(self.seconds, 1e-9), 2),
            round(self.waited, 2),
            lr,
            self.skipped,
        )

    def next_epoch(self) -> None:
        """The epoch under way is done."""
        self.epoch, self.skipped_before = self.epoch + 1, self.skipped_before + self.skipped
        self.step, self.clips, self.sums, self.seconds, self.waited, self.skipped = 0, 0, {}, 0.0, 0.0, 0


def steps_of(loader: Any, accumulate: int) -> int:
    """Steps in an epoch; the last one may be of fewer batches."""
    return -(-len(loader) // accumulate)


def train_one_epoch(
    learner: Learner,
    loader: Any,
    progress: Progress | None = None,
    *,
    accumulate: int = 1,
    title: str = "",
    quiet: bool = False,
    after_step: Callable[[], None] = lambda: None,
    on_non_finite: Callable[[NonFiniteLoss], None] | None = None,
) -> EpochFigures:
    """Train on the batches of `loader`, from where `progress` stands to the epoch's end.

    Args:
        learner: takes the steps.
        loader: the epoch's batches, see `Learner.step`, of this process; those of the steps that are done already are
            left out of it, yet counted in its length. In a batch "replaced" lists why clips were replaced by others.
        progress: kept up to date, after each step.
        accumulate: batches to a step.
        title: stands in front of the progress bar.
        quiet: no progress bar.
        after_step: called after each step, with everything in a state that can be saved.
        on_non_finite: told of a step that was left out because of its loss; without it such a step stops training.

    Returns:
        The epoch's figures, not validated.

    Raises:
        NonFiniteLoss: with the losses' values and the key frames of the batch.
        LoaderDied: a loader process ended.
        UserError: the GPU's memory ran out; the text names a batch size that fits.
    """
    progress = progress or Progress()
    learner.train()
    steps = steps_of(loader, accumulate)
    states = learner.random_states()
    batches = iter(loader) if progress.step < steps else iter(())
    learner.load_random_states(states)  # a DataLoader draws a seed for new processes, in some epochs
    bar = tqdm.tqdm(
        desc=title,
        total=steps,
        initial=progress.step,
        unit=" steps",
        disable=quiet,
        leave=False,
        dynamic_ncols=True,
        mininterval=0.5,
    )
    began = time.perf_counter()
    while progress.step < steps:
        group = list(_take(batches, accumulate))
        progress.waited += time.perf_counter() - began
        _count_step(progress, group, _step(learner, group, on_non_finite))
        now = time.perf_counter()
        progress.seconds, began = progress.seconds + now - began, now
        bar.set_postfix(_describe(progress, learner), refresh=False)
        bar.update()
        after_step()
    bar.close()
    return progress.figures(learner.rate)


def _count_step(progress: Progress, group: list[dict[str, Any]], losses: dict[str, float]) -> None:
    """Note a step on the batches of `group` with its mean losses, none where it was left out."""
    for reason in (reason for batch in group for reason in batch.get("replaced", ())):
        progress.bad_frames[reason] = progress.bad_frames.get(reason, 0) + 1
    progress.step += 1
    if not losses:
        progress.skipped += 1
        return
    clips = processes() * sum(len(batch["key"]) for batch in group)
    progress.clips += clips
    for name, value in losses.items():
        progress.sums[name] = progress.sums.get(name, 0.0) + value * clips


def _take(batches: Iterator[Any], count: int) -> Iterable[dict[str, Any]]:
    try:
        yield from islice(batches, count)
    except RuntimeError as error:
        if loader_died(error):
            raise LoaderDied(str(error)) from None
        raise


def _step(
    learner: Learner, group: list[dict[str, Any]], on_non_finite: Callable[[NonFiniteLoss], None] | None
) -> dict[str, float]:
    """The step's losses; none where it was left out."""
    buffers = [value.clone() for value in learner.network.buffers()] if on_non_finite else []
    try:
        return learner.step(group)
    except NonFiniteLoss as error:
        if on_non_finite is None:
            raise
        on_non_finite(error)
        for value, before in zip(learner.network.buffers(), buffers, strict=True):
            value.copy_(before)  # batch norm has averaged what was not finite
        return {}
    except torch.OutOfMemoryError:
        pass  # what follows needs the memory that this exception still holds
    raise explain_out_of_memory(learner, group, processes() * sum(len(batch["key"]) for batch in group) // len(group))


def _describe(progress: Progress, learner: Learner) -> dict[str, str]:
    """What the progress bar shows of the epoch under way."""
    figures = progress.figures(learner.rate)
    losses = {name: f"{value:.3g}" for name, value in figures.losses.items()}
    return losses | {
        "lr": f"{figures.lr:.2g}",
        "clips/s": f"{figures.clips_per_s:.3g}",
        "data": f"{progress.waited / max(progress.seconds, 1e-9):.0%}",
    }


def measure_statistics(network: nn.Module, loader: Iterable, batches: int, device: torch.device) -> None:
    """Replace the running averages of the network's batch norms by averages over a loader's first batches.

    Averaged weights, and those of a short run, differ from the weights that the running averages were taken with.

    Args:
        network: on `device`.
        loader: of batches `{"clip": …}`.
        batches: how many of them; 0 changes nothing.
        device: where the network is.
    """
    if batches:
        update_bn((batch["clip"] for batch in islice(loader, batches)), network, device)
