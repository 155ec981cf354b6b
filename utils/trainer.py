"""`train(config, dataset)`: wires data, network, optimiser, validation and files. The training loop exists once."""
from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch

from nets import Model, build_model
from utils.augment import batch_augmentation
from utils.clips import Normalisation, measure_normalisation
from utils.config import TrainConfig
from utils.datasets import Dataset
from utils.distributed import process_group, synchronised_norm
from utils.engine import steps_of
from utils.faults import explained
from utils.frames import read_frame
from utils.holdout import hold_out
from utils.learner import Learner
from utils.loader import training_loader
from utils.log import settings_table
from utils.memory import keep_memory
from utils.optim import build_ema, build_optimizer, build_schedule
from utils.pretrained import load_weights
from utils.seed import deterministic
from utils.speed import with_frame_step
from utils.training_run import TrainingRun
from utils.validation import figures_line
from utils.weights import IMAGENET


def train(config: TrainConfig, dataset: Dataset) -> dict[str, Any]:
    """Train one network and leave `best.pt`, `last.pt`, logs and curves in `config.folder`.

    Under `torchrun` every process calls this, and each gets the same result.

    Args:
        config: the resolved recipe.
        dataset: the training split.
    Returns:
        The best validation figures: `epoch, threshold` and `pd, fa, iou, …`, or of a detector `ap50, centre_ap, …`.
    Raises:
        UserError: something in the settings, the weights or the data does not fit, or a fault ended the training.
        Interrupted: SIGTERM or Ctrl-C ended it; everything is saved.
    """
    keep_memory()
    cv2.setNumThreads(0)  # a loader process forked from one with OpenCV threads hangs in its first OpenCV call
    config = with_frame_step(config, dataset)
    with deterministic(config.deterministic), process_group(config.device) as device:
        parts = Parts(config, dataset, device)
        try:
            run = TrainingRun(config, dataset, parts)
        except OSError as error:
            raise explained(error, "nothing is saved yet") or error from None
        run.log.say(f"{settings_table(config)}\n{parts.summary()}")
        best = run.train()
        run.log.say(f"best epoch {best.get('epoch', config.epochs)}: {figures_line(best)}\n"
                    f"weights {config.folder / 'best.pt'}")
    return best


class Parts:
    """What a run works with: the split, the network and its learner, the loader."""

    def __init__(self, config: TrainConfig, dataset: Dataset, device: torch.device) -> None:
        self.config, self.dataset, self.device = config, dataset, device
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
        self.sampler, self.loader = training_loader(config, self.training, self.normalisation, self.grey[1],
                                                    self.full_scale, pin_memory=device.type == "cuda")
        self.learner = self._learner()

    def _build(self) -> Model:
        options = self.config.network_options()
        model = build_model(self.config.model, loss=self.config.loss, loss_options=self.config.loss_options(),
                            **options)
        if self.config.weights:
            self.weights_note = load_weights(model.network, self.config.weights, self.config.model)
        return model

    def _learner(self) -> Learner:
        config = self.config
        network = synchronised_norm(self.model.network.to(self.device), self.device)
        if config.channels_last:
            network.to(memory_format=torch.channels_last)
        optimizer = build_optimizer(network, config)

        def stitch(clip: torch.Tensor, mask: torch.Tensor, generator: torch.Generator) -> tuple:
            return batch_augmentation(clip, mask, generator=generator, published=config.published_augmentation)

        return Learner(network, self.model.criterion, optimizer,
                       build_schedule(optimizer, config, steps_of(self.loader, config.accumulate)), self.device,
                       build_ema(network, config.ema, config.ema_ramp), config.amp, config.clip_gradient,
                       config.channels_last, config.freeze_norm, stitch if config.batch_augmentation else None)

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
        several = f" (one of {self.sampler.processes} processes)" if self.sampler.processes > 1 else ""
        return (f"{self.dataset.name} ({self.dataset.layout}): {frames[0]} training frames of {len(self.training)} "
                f"sequences, {frames[1]} set aside for validation of {len(self.validation)}; grey mean {mean:g}, std "
                f"{std:g} ({source})\n{self.config.model}: {count:,} parameters on {self.device}{several}; files in "
                f"{self.config.folder}" + (f"\n{self.weights_note}" if self.weights_note else ""))
