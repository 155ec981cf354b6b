"""What a training run works with: the split, the network and its learner, the loader."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch

from nets import Model, build_model
from nets.blocks import use_channels_last
from utils.clips.augment import augment_batch
from utils.clips.target_speed import measure_frame_step
from utils.clips.training_clips import box_mask, file_mask
from utils.datasets.dataset import Dataset, measure_levels
from utils.images.grey_levels import MAX_8_BIT_LEVEL
from utils.images.masks.meaning import choose_ignored
from utils.images.normalise import Normalisation
from utils.predictor.weights import IMAGENET, load_weights
from utils.system.distributed import synchronise_norm
from utils.training.config import CENTRE_DETECTORS, SINGLE_FRAME, TrainConfig
from utils.training.engine import steps_of
from utils.training.learner import Learner
from utils.training.loader import build_loader
from utils.training.optim import build_ema, build_optimizer, build_schedule
from utils.training.selection import hold_out


def resolve_frame_step(config: TrainConfig, dataset: Dataset) -> TrainConfig:
    """The recipe with a measured frame step where it asks for one, from the training frames of its own data root."""
    if config.frame_step:
        return config
    extra = tuple(f"{Path(root).resolve().name}/" for root in config.extra_roots)
    training, _ = hold_out(dataset.sequences, config.val_sequences, config.val_fraction)
    own = {name: frames for name, frames in training.items() if not name.startswith(extra)}
    step = measure_frame_step(own, box_mask if config.detector else file_mask) if config.num_frames > 1 else 1
    return dataclasses.replace(config, frame_step=step)


def network_options(config: TrainConfig) -> dict[str, Any]:
    """The options of `nets.build_model` that shape the network."""
    if config.model in SINGLE_FRAME:
        return {}
    if config.model == "resunet_dtum":
        return {"stop_gradient": config.stop_gradient}
    if config.every_frame:
        return {"num_frames": config.num_frames}
    if config.model in CENTRE_DETECTORS:
        options = {"num_frames": config.num_frames, "width": config.width, "num_classes": config.num_classes}
        return options | ({"motion_at_test": config.motion_at_test} if config.model == "micml" else {})
    options = {"num_frames": config.num_frames, "num_slices": config.num_slices, "num_layers": config.num_layers}
    if config.lags:
        options["lags"] = config.lags
    if config.model == "sstnet":
        options |= {
            "num_classes": config.num_classes,
            "depth": config.depth,
            "width": config.width,
            "fold_frames": config.fold_frames,
            "temporal": config.motion_weight > 0,
            "init_std": config.init_std or None,
        }
    return options


def loss_options(config: TrainConfig) -> dict[str, Any]:
    """The options of `nets.build_model` that shape the criterion."""
    if config.model == "sstnet":
        return {"motion_weight": config.motion_weight}
    return {"target_weight": config.target_weight} if config.loss == "bce_soft_iou" else {}


class TrainingSetup:
    """What a run works with: the split, the network and its learner, the loader.

    Args:
        config: the recipe, with its frame step resolved.
        dataset: the training split.
        device: that the network trains on.
    """

    def __init__(self, config: TrainConfig, dataset: Dataset, device: torch.device) -> None:
        self.config, self.dataset, self.device = config, dataset, device
        if config.threads:
            torch.set_num_threads(config.threads)
        torch.manual_seed(config.seed)
        self.training, self.validation = hold_out(dataset.sequences, config.val_sequences, config.val_fraction)
        learnt_from = self.training.frames()
        levels = None if dataset.normalisation else measure_levels(learnt_from)
        self.grey = dataset.normalisation or levels[:2]
        bits = 16 if (levels.highest if levels else self.grey[0]) > MAX_8_BIT_LEVEL else 8
        self.full_scale = float(2**bits - 1)
        self.settings = dataclasses.replace(config.clip_settings(self._normalisation()), bits=bits)
        self.weights_note = ""
        self.model = self._build()
        self.sampler, self.loader = build_loader(
            config, self.training, self.settings, self.grey[1], self.full_scale, pin_memory=device.type == "cuda"
        )
        self.learner = self._learner()

    def _build(self) -> Model:
        options = network_options(self.config)
        model = build_model(self.config.model, loss=self.config.loss, loss_options=loss_options(self.config), **options)
        if self.config.weights:
            self.weights_note = load_weights(model.network, self.config.weights, self.config.model)
        return model

    def _learner(self) -> Learner:
        config = self.config
        network = synchronise_norm(self.model.network.to(self.device), self.device)
        if config.channels_last:
            use_channels_last(network)
        optimizer = build_optimizer(network, config)

        def stitch(clip: torch.Tensor, mask: torch.Tensor, generator: torch.Generator) -> tuple:
            return augment_batch(clip, mask, generator=generator, published=config.published_augmentation)

        return Learner(
            network,
            self.model.criterion,
            optimizer,
            build_schedule(optimizer, config, steps_of(self.loader, config.accumulate)),
            self.device,
            build_ema(network, config.ema, config.ema_ramp),
            config.amp,
            config.clip_gradient,
            config.channels_last,
            config.freeze_norm,
            stitch if config.batch_augmentation else None,
            config.every_frame,
            not config.detector and self._ignores_pixels(),
        )

    def _ignores_pixels(self) -> bool:
        """Whether masks may hold pixels to ignore, by their values or by regions of the boxes' list."""
        return isinstance(choose_ignored(self.config.ignore_value), int) or self.training.has_ignored

    def _normalisation(self) -> Normalisation:
        """Of the clips: the data's own, for SSTNet ImageNet's as published.

        Its weights may come from RGB images; it is ImageNet's as long as the levels are those of 8 bits.
        """
        if self.config.model != "sstnet":
            return self.grey
        return IMAGENET if self.full_scale == 255 else tuple([value] * 3 for value in self.grey)

    def summary(self) -> str:
        """What is trained on what, in a few lines."""
        count = sum(p.numel() for p in self.model.network.parameters())
        frames = [sum(map(len, part.values())) for part in (self.training, self.validation)]
        mean, std = self.grey
        source = "from the dataset table" if self.dataset.normalisation else "measured on the training frames"
        if self.settings.normalisation == IMAGENET and self.settings.levels == "dataset":
            source += "; clips are normalised by ImageNet's"
        several = f" (one of {self.sampler.processes} processes)" if self.sampler.processes > 1 else ""
        return (
            f"{self.dataset.name} ({self.dataset.layout}): {frames[0]} training frames of {len(self.training)} "
            f"sequences, {frames[1]} set aside for validation of {len(self.validation)}; grey mean {mean:g}, std "
            f"{std:g} ({source})\n{self.config.model}: {count:,} parameters on {self.device}{several}; files in "
            f"{self.config.folder}" + (f"\n{self.weights_note}" if self.weights_note else "")
        )
