"""`train(config, dataset)`: a run, its epochs, what it saves when, and how it goes on where an earlier process stopped.

The training loop exists once.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import torch

from utils.datasets.dataset import Dataset
from utils.predictor.checkpoint import LAST_NAMES, save_checkpoint, save_last
from utils.predictor.predictor import Predictor
from utils.system.distributed import (
    gather,
    max_over_processes,
    processes,
    rank,
    run_in_group,
    take_first,
    was_restarted,
)
from utils.system.errors import Interrupted, UserError
from utils.system.files import remove_temporary, to_json_value
from utils.system.lock import hold_folder
from utils.system.machine import git_revision, keep_memory
from utils.system.packages.late import cv2
from utils.system.tables import format_value
from utils.training.config import TrainConfig
from utils.training.engine import Progress, measure_statistics, steps_of, train_one_epoch
from utils.training.faults import LoaderDied, StopSignals, explain
from utils.training.learner import NonFiniteLoss
from utils.training.resume import claim_folder, fingerprint, last_checkpoint, move_aside, require_same_data
from utils.training.run_log import RunLog, settings_table
from utils.training.selection import format_figures, is_better, validate
from utils.training.setup import TrainingSetup, network_options, resolve_frame_step


def train(config: TrainConfig, dataset: Dataset) -> dict[str, Any]:
    """Train one network and leave `best.pt`, `last.pt`, logs and curves in `config.folder`.

    Under `torchrun` every process calls this, and each gets the same result.

    Args:
        config: the resolved recipe.
        dataset: the training split.

    Returns:
        The best validation figures: `epoch, threshold` and `pd, fa, iou, …`, or of a detector `ap50, centre_ap, …`.

    Raises:
        UserError: something in the settings, the weights or the data does not fit, another training writes to
            `config.folder`, files that no run has made are in its way there, or a fault ended the training.
        Interrupted: SIGTERM or Ctrl-C ended it; everything is saved.
    """
    keep_memory()
    cv2.setNumThreads(0)  # a loader process forked from one with OpenCV threads hangs in its first OpenCV call
    config = resolve_frame_step(config, dataset)
    with use_deterministic(config.deterministic):
        return run_in_group(partial(_train_on, config=config, dataset=dataset), config.device)


def _train_on(device: torch.device, config: TrainConfig, dataset: Dataset) -> dict[str, Any]:
    setup = TrainingSetup(config, dataset, device)  # before the folder is made: weights that do not fit leave none
    with hold_folder(config.folder) if rank() == 0 else contextlib.nullcontext():
        try:
            if rank() == 0:
                claim_folder(config)
            run = TrainingRun(config, dataset, setup)
        except OSError as error:
            raise explain(error, "nothing is saved yet") or error from None
        run.log.say(f"{settings_table(config)}\n{setup.summary()}")
        best = run.train()
        run.log.say(
            f"best epoch {best.get('epoch', config.epochs)}: {format_figures(best)}\n"
            f"weights {config.folder / 'best.pt'}"
        )
    return best


class TrainingRun:
    """Epoch by epoch: train, validate, log, save. See `utils.training.trainer.train`.

    Args:
        config, dataset: as there.
        setup: network and learner, loader and sampler, the split.
    """

    def __init__(self, config: TrainConfig, dataset: Dataset, setup: TrainingSetup) -> None:
        self.config, self.dataset, self.setup, self.stop = config, dataset, setup, StopSignals()
        self.learner, self.sampler = setup.learner, setup.sampler
        self.steps = steps_of(setup.loader, config.accumulate)
        self.progress, self.data_digests = Progress(), {}
        if was_restarted() and any((config.folder / name).exists() for name in LAST_NAMES):
            self.config = config = dataclasses.replace(config, resume="auto")
        content, lines = self._find_checkpoint()
        if content:
            self._restore(content)
        self.log = RunLog(config, self.progress.history if content else None)
        for line in lines:
            self.log.say(line)
        self.marked = time.perf_counter()

    def _find_checkpoint(self) -> tuple[dict[str, Any] | None, list[str]]:
        """The checkpoint to continue from, where there is one, and what to say about it; the first process looks."""
        content, lines = None, []
        if rank() == 0:
            remove_temporary(self.config.folder)
            self.data_digests = fingerprint({"training": self.setup.training, "validation": self.setup.validation})
            if self.config.resume:
                content, lines = last_checkpoint(self.config)
            if content:
                require_same_data(content["data"], self.data_digests)
            elsewhere = Path(self.config.resume).parent.resolve() != self.config.folder.resolve()
            if self.config.resume != "auto" and elsewhere and (line := move_aside(self.config.folder)):
                lines.append(line)
        return take_first((content, lines))

    def _restore(self, content: dict[str, Any]) -> None:
        try:
            self.learner.load(content)
            self.progress = Progress.from_dict(content["progress"])
            self.learner.begin_epoch(self.config.seed, self.progress.epoch, rank())
            if len(content["random"]) == processes():
                self.learner.load_random_states(content["random"][rank()])
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError) as error:
            raise UserError(f"--resume: the checkpoint does not fit this network: {error}") from None

    def train(self) -> dict[str, Any]:
        """All epochs that are left; gives the best figures."""
        try:
            with self.stop:
                while self.progress.epoch < self.config.epochs:
                    self._run_epoch()
        except LoaderDied as error:
            if processes() == 1:  # others may be inside a step already, where they wait for this one
                self.save()
                if self.stop.number:
                    self._interrupt()
            raise explain(error, self._describe_saved()) from None
        except NonFiniteLoss as error:
            raise UserError(
                f"training stopped, no longer finite: {error}; {self._describe_saved()}; try a lower --lr "
                "or --clip-gradient, or tolerate some with --skip-non-finite"
            ) from None
        except Exception as error:
            known = explain(error, self._describe_saved())
            if known is None:
                raise
            raise known from None
        finally:
            self.log.close()
        self._report_bad_frames()
        return self.progress.best

    def _run_epoch(self) -> None:
        """Train, validate, log and save one epoch (`epoch` counts from 0, files and logs from 1)."""
        config, progress = self.config, self.progress
        epoch, last = progress.epoch, progress.epoch + 1 == config.epochs
        self.sampler.epoch, self.sampler.done = epoch, progress.step * config.accumulate
        if not progress.step:
            self.learner.begin_epoch(config.seed, epoch, rank())
        figures = train_one_epoch(
            self.learner,
            self.setup.loader,
            progress,
            accumulate=config.accumulate,
            after_step=self._after_step,
            title=f"epoch {epoch + 1}/{config.epochs}",
            quiet=config.quiet or rank() > 0,
            on_non_finite=self._on_non_finite if config.skip_non_finite else None,
        )
        validating = bool(self.setup.validation) and ((epoch + 1) % config.val_every == 0 or last)
        if validating:
            figures.val = self._validate()
        elif last:
            self._measure_statistics()
        chosen = is_better(figures.val, progress.best) if self.setup.validation else last
        if chosen:
            progress.best = {"epoch": epoch + 1, **(figures.val or {})}
        figures.elapsed_s = round(self._elapsed(), 1)
        progress.history.append(to_json_value(figures.as_dict()))
        progress.next_epoch()
        self.log.record(figures)  # before it is saved: what was logged and not saved is logged again
        self.save(chosen)
        self.log.say(
            f"epoch {epoch + 1}/{config.epochs}  loss {format_value(figures.losses.get('loss'))}  "
            f"lr {format_value(figures.lr)}  {figures.clips_per_s} clips/s (data {figures.data_s} s)  "
            f"{format_figures(figures.val or {})}" + ("  *" if chosen else "")
        )
        if max_over_processes(self.stop.number) and not last:
            self._interrupt()

    def _after_step(self) -> None:
        step, every = self.progress.step, self.config.checkpoint_every
        if max_over_processes(self.stop.number):
            self.save()
            self._interrupt()
        if every and step % every == 0 and step < self.steps:
            self.save()
        self.setup.loader.require_alive()

    def _on_non_finite(self, error: NonFiniteLoss) -> None:
        count, limit = self.progress.skipped_before + self.progress.skipped + 1, self.config.skip_non_finite
        if count > limit:
            raise error
        self.log.say(f"left out, no longer finite ({count} of at most {limit}): {error}")

    def _measure_statistics(self) -> None:
        """Batch norms' statistics of the weights that are used, on the epoch's first batches."""
        if not self.config.recalibrate or self.config.freeze_norm:
            return
        states, self.sampler.done = self.learner.random_states(), 0
        measure_statistics(self.learner.averaged, self.setup.loader, self.config.recalibrate, self.setup.device)
        self.learner.load_random_states(states)

    def _validate(self) -> dict[str, Any]:
        """Figures on the frames set aside, at the threshold that serves them best."""
        if self.config.checkpoint_every or processes() > 1:
            self.save()  # validation may take long, and of several processes it cannot be interrupted
        self._measure_statistics()
        self.learner.agree()
        config, setup = self.config, self.setup
        predictor = Predictor.from_network(
            self.learner.averaged, setup.model.postprocess, setup.settings, device=setup.device
        )
        return validate(
            predictor,
            dataclasses.replace(self.dataset, sequences=setup.validation),
            config,
            self._while_validating if processes() == 1 else None,
            self._on_bad_frame if config.on_bad_frame == "skip" else None,
        )

    def _on_bad_frame(self, error: UserError) -> None:
        self.progress.bad_frames[str(error)] = self.progress.bad_frames.get(str(error), 0) + 1

    def _while_validating(self, *_: Any) -> None:
        if self.stop.number:
            self.save()
            self._interrupt()

    def save(self, chosen: bool = False) -> None:
        """Write `last.pt`, and `best.pt` where the weights are `chosen`; every process takes part."""
        progress = self.progress
        progress.elapsed, self.marked = self._elapsed(), time.perf_counter()
        own = self.learner.random_states(), progress.bad_frames
        random, bad_frames = zip(*gather(own), strict=True)
        if rank():
            progress.bad_frames = {}
            return
        progress.bad_frames = _add_up(bad_frames)
        config, state = self.config, self.learner.state()
        settings = self.setup.settings
        settings = dataclasses.replace(settings, threshold=float(progress.best.get("threshold", settings.threshold)))
        content = {
            "model": {"name": config.model, "options": network_options(config)},
            "settings": settings.as_dict(),
            "config": config.as_dict(),
            "network": state["network"],
            "ema": state["ema"],
            "epoch": progress.epoch,
            "best": progress.best,
            "git": git_revision(),
        }
        if chosen:
            save_checkpoint(config.folder / "best.pt", content)
        save_last(
            config.folder,
            content | state | {"progress": progress.as_dict(), "random": list(random), "data": self.data_digests},
        )

    def _elapsed(self) -> float:
        return self.progress.elapsed + time.perf_counter() - self.marked

    def _interrupt(self) -> NoReturn:
        number = max_over_processes(self.stop.number)
        raise Interrupted(
            f"stopped by {StopSignals.name_of(number)}; {self._describe_saved()}; the same command with "
            "--resume auto continues",
            number,
        )

    def _describe_saved(self) -> str:
        path = self.config.folder / "last.pt"
        return f"the last good weights are in {path}" if path.exists() else "nothing is saved yet"

    def _report_bad_frames(self) -> None:
        found = self.progress.bad_frames
        if found:
            lines = "\n".join(f"  {reason} ({count} clips)" for reason, count in sorted(found.items()))
            self.log.say(f"{len(found)} unreadable files, {sum(found.values())} clips replaced or left out:\n{lines}")


def _add_up(counts: tuple[dict[str, int], ...]) -> dict[str, int]:
    total: dict[str, int] = {}
    for part in counts:
        for name, count in part.items():
            total[name] = total.get(name, 0) + count
    return total


@contextlib.contextmanager
def use_deterministic(wanted: bool) -> Iterator[None]:
    """Within this context PyTorch takes operations that give the same bits each time, where `wanted`.

    Where there is no such form of one, it warns and names it.
    """
    if not wanted:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when the GPU is first used
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
