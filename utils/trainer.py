"""`train(config, dataset)`: wires data, network, optimiser, validation and files. The training loop exists once."""
from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader

from nets import Model, build_model
from nets.published import load_published
from utils.augment import TrainTransform, batch_augmentation
from utils.checkpoint import check_content, git_revision, load_file, save_checkpoint
from utils.clips import ClipDataset, measure_normalisation
from utils.config import TrainConfig
from utils.datasets import Dataset
from utils.engine import NonFiniteLoss, train_one_epoch
from utils.errors import UserError
from utils.evaluate import evaluate_sequences
from utils.holdout import choose_threshold, hold_out
from utils.log import RunLog, settings_table, shown
from utils.memory import keep_memory
from utils.optim import build_ema, build_optimizer, build_schedule
from utils.predictor import Predictor, pick_device
from utils.seed import EpochSampler, seed_epoch


def train(config: TrainConfig, dataset: Dataset) -> dict[str, Any]:
    """Train one network and leave `best.pt`, `last.pt`, logs and curves in `config.folder`.

    Args:
        config: the resolved recipe.
        dataset: the training split.
    Returns:
        The best validation figures: `epoch, threshold, pd, fa, iou, …`.
    Raises:
        UserError: something in the settings, the weights or the data does not fit.
    """
    keep_memory()
    cv2.setNumThreads(0)  # a loader process forked from one with OpenCV threads hangs in its first OpenCV call
    run = _Run(config, dataset)
    run.log.say(f"{settings_table(config)}\n{run.summary()}")
    try:
        for epoch in range(config.epochs):
            run.train_epoch(epoch)
    except UserError as error:  # from a loader process it arrives inside that process's traceback
        raise UserError(str(error).rsplit("UserError: ", 1)[-1]) from None
    except NonFiniteLoss as error:
        raise UserError(f"training stopped, no longer finite: {error}; the last good weights are in "
                        f"{config.folder / 'last.pt'}; try a lower --lr or --clip-gradient") from None
    finally:
        run.log.close()
    run.log.say(f"best epoch {run.best.get('epoch', config.epochs)}: {_figures(run.best)}\n"
                f"weights {config.folder / 'best.pt'}")
    return run.best


class _Run:
    """The objects of one run, and its epochs."""

    def __init__(self, config: TrainConfig, dataset: Dataset) -> None:
        self.config, self.dataset = config, dataset
        self.device = pick_device(config.device)
        if config.threads:
            torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)
        self.training, self.validation = hold_out(dataset.sequences, config.val_sequences, config.val_fraction)
        learnt_from = [frame for frames in self.training.values() for frame in frames]
        self.normalisation = dataset.normalisation or measure_normalisation(learnt_from)
        self.model = self._build()
        network = self.model.network.to(self.device)
        if config.channels_last:
            network.to(memory_format=torch.channels_last)
        self.sampler, self.loader = self._loader()
        self.optimizer = build_optimizer(network, config)
        self.schedule = build_schedule(self.optimizer, config, len(self.loader))
        self.ema = build_ema(network, config.ema)
        self.best: dict[str, Any] = {}
        self.log = RunLog(config)

    def _build(self) -> Model:
        options = self.config.network_options()
        model = build_model(self.config.model, loss=self.config.loss, loss_options=self.config.loss_options(),
                            **options)
        if self.config.weights:
            load_weights(model.network, self.config.weights)
        return model

    def _loader(self) -> tuple[EpochSampler, DataLoader]:
        config = self.config
        keys = [(name, i) for name, frames in self.training.items() for i in range(len(frames))]
        clips = ClipDataset(self.training, keys, config.num_frames, self.normalisation,
                            TrainTransform.from_config(config, self.normalisation[1]), config.seed,
                            (config.cache_mb << 20) // max(1, config.workers))
        sampler = EpochSampler(len(clips), config.seed, config.clips_per_epoch)
        batch = min(config.batch_size, len(sampler))
        return sampler, DataLoader(clips, batch, sampler=sampler, drop_last=True, num_workers=config.workers,
                                   persistent_workers=config.workers > 0, pin_memory=self.device.type == "cuda")

    def summary(self) -> str:
        """What is trained on what, in a few lines."""
        count = sum(p.numel() for p in self.model.network.parameters())
        frames = [sum(map(len, part.values())) for part in (self.training, self.validation)]
        mean, std = self.normalisation
        source = "from the dataset table" if self.dataset.normalisation else "measured on the training frames"
        return (f"{self.dataset.name} ({self.dataset.layout}): {frames[0]} training frames of {len(self.training)} "
                f"sequences, {frames[1]} set aside for validation of {len(self.validation)}; grey mean {mean:g}, std "
                f"{std:g} ({source})\n{self.config.model}: {count:,} parameters on {self.device}; files in "
                f"{self.config.folder}")

    def train_epoch(self, epoch: int) -> None:
        """Train, validate, save and log one epoch (`epoch` counts from 0, files and logs from 1)."""
        config = self.config
        self.sampler.epoch = epoch
        generator = seed_epoch(config.seed, epoch)
        if hasattr(self.model.criterion, "epoch"):
            self.model.criterion.epoch = epoch
        row: dict[str, Any] = {"epoch": epoch + 1, **train_one_epoch(
            self.model.network, self.model.criterion, self.loader, self.optimizer, self.schedule, device=self.device,
            after_step=lambda: self.ema and self.ema.update_parameters(self.model.network),
            augment=self._stitch(generator), clip_gradient=config.clip_gradient,
            channels_last=config.channels_last, title=f"epoch {epoch + 1}/{config.epochs}", quiet=config.quiet)}
        last = epoch + 1 == config.epochs
        if self.validation and ((epoch + 1) % config.val_every == 0 or last):
            row["val"] = self.validate()
        better = _better(row.get("val"), self.best) if self.validation else last
        if better:
            self.best = {"epoch": epoch + 1, **row.get("val", {})}
        self._save(epoch, better)
        self.log.epoch(row)
        self.log.say(f"epoch {epoch + 1}/{config.epochs}  loss {shown(row['loss'])}  lr {shown(row['lr'])}  "
                     f"{row['clips_per_s']} clips/s (data {row['data_s']} s)  {_figures(row.get('val', {}))}"
                     + ("  *" if better else ""))

    def _stitch(self, generator: torch.Generator) -> Any:
        if not self.config.batch_augmentation:
            return None
        return lambda clip, mask: batch_augmentation(
            clip, mask, generator=generator, published=self.config.published_augmentation)

    def validate(self) -> dict[str, Any]:
        """Figures on the frames set aside, at the threshold that serves them best."""
        network = self.ema.module if self.ema else self.model.network
        predictor = Predictor.from_network(network, self.model.postprocess, num_frames=self.config.num_frames,
                                           normalisation=self.normalisation, device=self.device,
                                           fit=self.config.fit, input_size=self.config.input_size)
        result = evaluate_sequences(predictor, dataclasses.replace(self.dataset, sequences=self.validation),
                                    batch_size=4, quiet=self.config.quiet, title="validation")
        return choose_threshold(result.overall.curve(), self.config.fa_budget,
                                self.config.false_budget, self.config.threshold)

    def _save(self, epoch: int, better: bool) -> None:
        config, network = self.config, self.model.network
        content = {
            "model": {"name": config.model, "options": config.network_options()},
            "normalisation": [float(value) for value in self.normalisation], "num_frames": config.num_frames,
            "threshold": float(self.best.get("threshold", config.threshold or 0.5)), "config": config.as_dict(),
            "network": network.state_dict(), "ema": self.ema.module.state_dict() if self.ema else None,
            "epoch": epoch + 1, "best": self.best, "git": git_revision(),
        }
        folder = Path(config.folder)
        if better:
            save_checkpoint(folder / "best.pt", content)
        save_checkpoint(folder / "last.pt", {**content, "optimizer": self.optimizer.state_dict(),
                                             "schedule": self.schedule.state_dict()})


def load_weights(network: torch.nn.Module, path: str) -> None:
    """Start from a checkpoint of this project (averaged weights where it has them) or a published state dict.

    Raises:
        UserError: the file is unreadable, or entries do not match; the text names them.
    """
    content = load_file(path)
    try:
        if isinstance(content, dict) and "network" in content:
            content = check_content(path, content)
            network.load_state_dict(content["ema"] or content["network"])
        else:
            load_published(network, content)
    except (RuntimeError, ValueError) as error:
        raise UserError(f"{path}: weights do not fit this network: {error}") from None


def _better(new: dict[str, Any] | None, best: dict[str, Any]) -> bool:
    """Whether `new` is a better choice: Pd within the false-alarm budget first, then IoU."""
    if not new:
        return False
    return not best or _rank(new) > _rank(best)


def _rank(figures: dict[str, Any]) -> tuple[float, float]:
    values = [figures.get(name, math.nan) for name in ("pd_in_budget", "iou")]
    return tuple(-1.0 if value is None or math.isnan(value) else float(value) for value in values)


def _figures(figures: dict[str, Any]) -> str:
    names = {"pd": "Pd", "fa": "Fa", "false_per_frame": "false/frame", "iou": "IoU", "niou": "nIoU",
             "threshold": "at threshold"}
    return "  ".join(f"{text} {shown(figures[name])}" for name, text in names.items() if name in figures)
