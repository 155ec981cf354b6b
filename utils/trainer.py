"""`train(config, dataset)`: wires data, network, optimiser, validation and files. The training loop exists once."""
from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from nets import Model, build_model
from utils.augment import batch_augmentation
from utils.checkpoint import git_revision, save_checkpoint
from utils.clips import Normalisation, measure_normalisation
from utils.config import TrainConfig
from utils.datasets import Dataset
from utils.engine import NonFiniteLoss, measure_statistics, train_one_epoch
from utils.errors import UserError
from utils.frames import read_frame
from utils.holdout import hold_out
from utils.loader import training_loader
from utils.log import RunLog, settings_table, shown
from utils.memory import keep_memory
from utils.optim import build_ema, build_optimizer, build_schedule
from utils.predictor import Predictor, pick_device
from utils.pretrained import load_weights
from utils.seed import seed_epoch
from utils.validation import better, figures_line, validate
from utils.weights import IMAGENET


def train(config: TrainConfig, dataset: Dataset) -> dict[str, Any]:
    """Train one network and leave `best.pt`, `last.pt`, logs and curves in `config.folder`.

    Args:
        config: the resolved recipe.
        dataset: the training split.
    Returns:
        The best validation figures: `epoch, threshold` and `pd, fa, iou, …`, or of a detector `ap50, centre_ap, …`.
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
    run.log.say(f"best epoch {run.best.get('epoch', config.epochs)}: {figures_line(run.best)}\n"
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
        self.grey = dataset.normalisation or measure_normalisation(learnt_from)
        self.full_scale = float(np.iinfo(read_frame(learnt_from[0].image).dtype).max)
        self.normalisation = self._normalisation()
        self.weights_note = ""
        self.model = self._build()
        network = self.model.network.to(self.device)
        if config.channels_last:
            network.to(memory_format=torch.channels_last)
        self.sampler, self.loader = training_loader(config, self.training, self.normalisation, self.grey[1],
                                                    self.full_scale, pin_memory=self.device.type == "cuda")
        self.optimizer = build_optimizer(network, config)
        self.schedule = build_schedule(self.optimizer, config, len(self.loader))
        self.ema = build_ema(network, config.ema, config.ema_ramp)
        self.best: dict[str, Any] = {}
        self.log = RunLog(config)

    def _build(self) -> Model:
        options = self.config.network_options()
        model = build_model(self.config.model, loss=self.config.loss, loss_options=self.config.loss_options(),
                            **options)
        if self.config.weights:
            self.weights_note = load_weights(model.network, self.config.weights, self.config.model)
        return model

    def _normalisation(self) -> Normalisation:
        """Of the clips: the data's own; for detectors, whose weights may come from RGB images, ImageNet's as published,
        as long as the levels are those of 8 bits."""
        if not self.config.detector:
            return self.grey
        return IMAGENET if self.full_scale == 255 else tuple([value] * 3 for value in self.grey)

    def summary(self) -> str:
        """What is trained on what, in a few lines."""
        count = sum(p.numel() for p in self.model.network.parameters())
        frames = [sum(map(len, part.values())) for part in (self.training, self.validation)]
        mean, std = self.grey
        source = "from the dataset table" if self.dataset.normalisation else "measured on the training frames"
        if self.normalisation is IMAGENET:
            source += "; clips are normalised by ImageNet's"
        return (f"{self.dataset.name} ({self.dataset.layout}): {frames[0]} training frames of {len(self.training)} "
                f"sequences, {frames[1]} set aside for validation of {len(self.validation)}; grey mean {mean:g}, std "
                f"{std:g} ({source})\n{self.config.model}: {count:,} parameters on {self.device}; files in "
                f"{self.config.folder}" + (f"\n{self.weights_note}" if self.weights_note else ""))

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
        due = (epoch + 1) % config.val_every == 0 or last
        if due:
            measure_statistics(self._averaged(), self.loader, config.recalibrate, self.device)
        if self.validation and due:
            row["val"] = self.validate()
        chosen = better(row.get("val"), self.best) if self.validation else last
        if chosen:
            self.best = {"epoch": epoch + 1, **row.get("val", {})}
        self._save(epoch, chosen)
        self.log.epoch(row)
        self.log.say(f"epoch {epoch + 1}/{config.epochs}  loss {shown(row['loss'])}  lr {shown(row['lr'])}  "
                     f"{row['clips_per_s']} clips/s (data {row['data_s']} s)  {figures_line(row.get('val', {}))}"
                     + ("  *" if chosen else ""))

    def _stitch(self, generator: torch.Generator) -> Any:
        if not self.config.batch_augmentation:
            return None
        return lambda clip, mask: batch_augmentation(
            clip, mask, generator=generator, published=self.config.published_augmentation)

    def _averaged(self) -> torch.nn.Module:
        """The network that is validated and used: the averaged one, where there is one."""
        return self.ema.module if self.ema else self.model.network

    def validate(self) -> dict[str, Any]:
        """Figures on the frames set aside, at the threshold that serves them best."""
        config, network = self.config, self._averaged()
        own = {"task": "detection", "num_classes": config.num_classes} if config.detector else {}
        predictor = Predictor.from_network(network, self.model.postprocess, num_frames=config.num_frames,
                                           normalisation=self.normalisation, device=self.device, fit=config.fit,
                                           input_size=config.input_size, register=config.register,
                                           frame_step=config.frame_step, bad_pixels=config.bad_pixels, **own)
        return validate(predictor, dataclasses.replace(self.dataset, sequences=self.validation), config)

    def _save(self, epoch: int, chosen: bool) -> None:
        config, network = self.config, self.model.network
        content = {
            "model": {"name": config.model, "options": config.network_options()},
            "normalisation": np.array(self.normalisation).tolist(), "num_frames": config.num_frames,
            "threshold": float(self.best.get("threshold", config.threshold or 0.5)), "config": config.as_dict(),
            "network": network.state_dict(), "ema": self.ema.module.state_dict() if self.ema else None,
            "epoch": epoch + 1, "best": self.best, "git": git_revision(),
        }
        folder = Path(config.folder)
        if chosen:
            save_checkpoint(folder / "best.pt", content)
        save_checkpoint(folder / "last.pt", {**content, "optimizer": self.optimizer.state_dict(),
                                             "schedule": self.schedule.state_dict()})
