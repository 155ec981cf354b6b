"""One frozen dataclass is the whole recipe of a training run; the command line is made from it."""
from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

from utils.cli import Parser
from utils.errors import UserError

CHOICES = {
    "model": ("tsmsa",),
    "loss": ("focal_iou", "soft_iou", "sls_iou", "bce_soft_iou"),
    "fit": ("crop", "resize"),
    "optimizer": ("adam", "adamw", "sgd"),
    "schedule": ("cosine", "multistep", "constant"),
}


def _option(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class TrainConfig:
    """Every choice of a training run. Facts about datasets are not here but in `utils.datasets`."""

    data_root: str = _option("", "dataset folder; its layout is found out from the folder alone")
    name: str = _option("", "name of the run; its files go to OUT/NAME (default: DATASET_MODEL)")
    out: str = _option("runs", "folder that holds the runs")
    model: str = _option("tsmsa", "network")
    num_frames: int = _option(5, "frames in a clip; the last is the key frame")
    num_slices: int = _option(1, "passes of the cross-slice ConvLSTM")
    num_layers: int = _option(1, "layers in each slice")
    weights: str = _option("", "start from this checkpoint's weights, or from a published state dict")
    loss: str = _option("bce_soft_iou", "segmentation loss")
    target_weight: float = _option(3.0, "extra weight of target pixels in the cross-entropy of bce_soft_iou")
    epochs: int = _option(20, "passes over the training clips")
    clips_per_epoch: int = _option(0, "train on a random draw of so many clips an epoch (0: all of them)")
    batch_size: int = _option(8, "clips in a batch, before batch augmentation doubles them")
    input_size: int = _option(128, "side of the square that training sees, in pixels (multiple of 32)")
    fit: str = _option("crop", "how frames get that size: a random crop, or resizing the whole frame")
    target_probability: float = _option(0.7, "share of crops moved so that they hold a target, where there is one")
    optimizer: str = _option("adamw", "optimiser")
    lr: float = _option(4e-3, "peak learning rate")
    weight_decay: float = _option(1e-4, "weight decay, on convolution weights only")
    schedule: str = _option("cosine", "learning rate over the run")
    milestones: tuple[int, ...] = _option((150, 225), "epochs at which `multistep` divides the rate by ten")
    warmup: float = _option(0.05, "share of the run over which the rate rises from a tenth")
    ema: float = _option(0.998, "decay of the averaged weights that are validated and saved (0: none)")
    clip_gradient: float = _option(5.0, "largest gradient norm (0: no limit)")
    target_augmentation: bool = _option(True, "clone targets through time")
    clones: int = _option(3, "clones of each target")
    batch_augmentation: bool = _option(True, "stitch neighbouring clips of a batch and train on both")
    published_augmentation: bool = _option(False, "clones replace pixels and masks shrink by nearest neighbour, as "
                                           "published, instead of keeping the background and every target")
    flips: bool = _option(True, "random flips and quarter turns, the same for all frames of a clip")
    intensity: float = _option(0.3, "random gain and offset, as a share of the dataset's standard deviation (0: none)")
    val_sequences: tuple[str, ...] = _option((), "training sequences set aside, on which epoch and threshold are "
                                              "chosen")
    val_fraction: float = _option(0.15, "without --val-sequences: the share of sequences, or of each "
                                 "one's end, that is set aside")
    val_every: int = _option(1, "epochs between validations")
    fa_budget: float = _option(5e-5, "false-alarm rate that the chosen threshold may reach on the validation frames")
    false_budget: float = _option(0.33, "false components a frame that it may reach there")
    threshold: float = _option(0.0, "fixed probability threshold (0: chosen on the validation frames)")
    workers: int = _option(2, "loader processes")
    cache_mb: int = _option(512, "memory for decoded frames, all loader processes together, in MiB")
    device: str = _option("", "cpu, cuda, cuda:1, … (default: cuda where there is one)")
    channels_last: bool = _option(True, "channels-last memory layout")
    threads: int = _option(0, "CPU threads for the network (0: PyTorch's choice)")
    seed: int = _option(42, "seed of weights, sampling and augmentation")
    quiet: bool = _option(False, "no progress bars")

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise UserError(f"--{_flag(name)}: found '{getattr(self, name)}', expected one of {', '.join(known)}")
        for name in ("epochs", "batch_size", "num_frames", "num_slices", "num_layers", "val_every"):
            self._require(getattr(self, name) >= 1, name, "at least 1")
        for name in ("lr",):
            self._require(getattr(self, name) > 0, name, "more than 0")
        for name in ("workers", "cache_mb", "clips_per_epoch", "clones", "seed", "weight_decay", "intensity",
                     "clip_gradient", "threads", "fa_budget",
                     "false_budget", "target_weight"):
            self._require(getattr(self, name) >= 0, name, "0 or more")
        for name in ("target_probability", "warmup", "threshold"):
            self._require(0 <= getattr(self, name) <= 1, name, "between 0 and 1")
        for name in ("ema", "val_fraction"):
            self._require(0 <= getattr(self, name) < 1, name, "at least 0 and below 1")
        self._require(self.input_size >= 32 and self.input_size % 32 == 0, "input_size", "a multiple of 32")

    def _require(self, holds: bool, name: str, expected: str) -> None:
        if not holds:
            raise UserError(f"--{_flag(name)}: found {getattr(self, name)}, expected {expected}")

    @property
    def folder(self) -> Path:
        """Where the run's files go."""
        return Path(self.out) / (self.name or f"{Path(self.data_root).name or 'run'}_{self.model}")

    def network_options(self) -> dict[str, Any]:
        """The options of `nets.build_model` that shape the network."""
        return {"num_frames": self.num_frames, "num_slices": self.num_slices, "num_layers": self.num_layers}

    def loss_options(self) -> dict[str, Any]:
        """The options of `nets.build_model` that shape the criterion."""
        return {"target_weight": self.target_weight} if self.loss == "bce_soft_iou" else {}

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and checkpoints."""
        return {key: list(value) if isinstance(value, tuple) else value
                for key, value in dataclasses.asdict(self).items()}


def _flag(name: str) -> str:
    return name.replace("_", "-")


def _add_option(parser: argparse.ArgumentParser, item: dataclasses.Field, kind: Any, default: Any) -> None:
    shown = ",".join(str(part) for part in default) if isinstance(default, tuple) else default
    text = f"{item.metadata['help']} (default: {shown})".replace("%", "%%") if shown not in ("", False) \
        else item.metadata["help"].replace("%", "%%")
    keywords: dict[str, Any] = {"dest": item.name, "default": argparse.SUPPRESS, "help": text}
    if kind is bool:
        keywords["action"] = argparse.BooleanOptionalAction
    elif "tuple" in str(kind):
        keywords |= {"type": int if "int" in str(kind) else str, "nargs": "*"}
    else:
        keywords |= {"type": kind, "metavar": kind.__name__.upper()}
        if item.name in CHOICES:
            keywords["metavar"] = "{" + ",".join(CHOICES[item.name]) + "}"
    parser.add_argument(f"--{_flag(item.name)}", **keywords)


def parse_cli(recipes: Mapping[str, TrainConfig], argv: Sequence[str] | None = None, description: str = ""
              ) -> TrainConfig:
    """Read the command line over a named recipe.

    Args:
        recipes: the script's recipes by name; the first is the default of `--recipe`.
        argv: arguments without the program's name (default: `sys.argv[1:]`).
        description: shown by `--help`.
    Returns:
        The recipe with every given option replaced.
    Raises:
        UserError: an unknown option, a value of the wrong kind or out of its range.
    """
    first = next(iter(recipes))
    parser = Parser(description=description)
    parser.add_argument("--recipe", choices=list(recipes), default=first, help=f"set of defaults (default: {first})")
    hints = get_type_hints(TrainConfig)
    for item in dataclasses.fields(TrainConfig):
        _add_option(parser, item, hints[item.name], getattr(recipes[first], item.name))
    given = vars(parser.parse_args(argv))
    recipe = recipes[given.pop("recipe")]
    given = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    return dataclasses.replace(recipe, **given)
