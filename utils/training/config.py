"""One frozen dataclass is the whole recipe of a training run.

`utils.training.config_cli` makes the command line from it.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from utils.clips.appearance import NO_GAIN
from utils.clips.settings import LEVELS, ClipSettings
from utils.images.fit import FITS
from utils.images.masks.meaning import IGNORE_HELP, choose_ignored
from utils.images.normalise import Normalisation
from utils.system.command_line import BOUNDS, declare_option, shown
from utils.system.errors import UserError
from utils.system.machine import is_device

SINGLE_FRAME = ("acm", "alcnet", "dnanet", "istdunet", "rdian", "uiunet", "unet")  # read the key frame alone
CENTRE_DETECTORS = ("dsfnet", "micml")  # as in nets, which this module does not import: that would take seconds
DETECTORS = ("sstnet", *CENTRE_DETECTORS)
EVERY_FRAME = ("deeppro", "deeppro_plus")  # give a map for every frame of a clip, and are trained on all of them
SEGMENTATION_LOSSES = ("focal_iou", "soft_iou", "sls_iou", "bce_soft_iou", "clip_iou")
CHOICES = {
    "model": ("tsmsa", "resunet_dtum", "deeppro", "deeppro_plus", "sstnet", "dsfnet", "micml", *SINGLE_FRAME),
    "loss": (*SEGMENTATION_LOSSES, "yolox", "centernet"),
    "fit": FITS,
    "levels": LEVELS,
    "optimizer": ("adam", "adamw", "sgd"),
    "schedule": ("cosine", "multistep", "constant", "yolox"),
    "amp": ("off", "bf16", "fp16"),
    "on_bad_frame": ("error", "skip"),
}
FRAME_COUNTS = {"resunet_dtum": (5, 5), "dsfnet": (3, 6), "micml": (3, math.inf)}  # in a clip, of those with limits
# Of these a network takes what it knows: the loss of its outputs, and sizes that its targets are moved along with.
SUITABLE = {
    "sstnet": {"loss": ("yolox",), "fit": ("letterbox",)},
    **dict.fromkeys(CENTRE_DETECTORS, {"loss": ("centernet",), "fit": ("crop",)}),
}
RANGES = {  # of what is drawn for each clip
    "clone_scale": "0 < low <= high <= 1",
    "gain": "0 < low <= high",
    "blur": "0 <= low <= high",
    "noise": "0 <= low <= high",
}
SUITABLE_FOR_SEGMENTATION = {"loss": SEGMENTATION_LOSSES, "fit": ("crop", "resize")}
GROUPS = ("Data", "Network", "Loss", "Schedule", "Augmentation", "Choosing", "Machine")  # of options, as --help shows


def _option(group: str, default: Any, text: str, family: str = "") -> Any:
    """A setting; one that only one task's networks, or one network, use says so, and is refused for the others.

    `family` is the task, or the network's name.
    """
    return declare_option(group, default, f"{family}: {text}" if family else text, family=family)


_data, _network, _loss, _schedule, _augmentation, _choosing, _machine = (partial(_option, group) for group in GROUPS)


@dataclass(frozen=True)
class TrainConfig:
    """Every choice of a training run. Facts about datasets are not here but in `utils.datasets.specs`."""

    data_root: str = _data("", "dataset folder; its layout is found out from the folder alone")
    extra_roots: tuple[str, ...] = _data(
        (), "further datasets whose training sequences join, under the names FOLDER/SEQUENCE"
    )
    ignore_value: str = _data("", IGNORE_HELP, "segmentation")
    name: str = _data("", "name of the run; its files go to OUT/NAME (default: DATASET_MODEL)")
    out: str = _data("runs", "folder that holds the runs")
    model: str = _network("tsmsa", "network; the other options' defaults depend on it")
    num_frames: int = _network(5, "frames in a clip; the last is the key frame")
    frame_step: int = _network(
        1,
        "from one frame of a clip to the next; with more than 1, slow motion shows (0: as "
        "many frames as a typical target takes to move a pixel against the scene, at most 8)",
    )
    num_slices: int = _network(1, "passes of the cross-slice ConvLSTM")
    num_layers: int = _network(1, "layers in each slice")
    lags: tuple[int, ...] = _network(
        (), "also look at the key frame's differences from frames so many before it in the clip, such as 1 2 4", "tsmsa"
    )
    stop_gradient: bool = _network(
        True,
        "no gradient below the second level of its decoder over time, as published",
        "resunet_dtum",
    )
    num_classes: int = _network(1, "classes of targets", "detection")
    depth: float = _network(0.33, "multiplier of the backbone's blocks", "sstnet")
    width: float = _network(0.5, "multiplier of all channels", "detection")
    fold_frames: bool = _network(
        True,
        "in training the frames of a clip share batch statistics, which is faster than "
        "statistics of each frame's own, as published",
        "sstnet",
    )
    init_std: float = _network(
        0.0, "standard deviation of the convolutions' initial weights (0: PyTorch's own initialisation)", "sstnet"
    )
    motion_at_test: bool = _network(
        False, "run the motion module in prediction too; as published it serves training only", "micml"
    )
    weights: str = _network(
        "",
        "start from these weights: a checkpoint, or a published state dict of the network; for "
        "sstnet a YOLOX-s state dict as well, whose backbone is taken",
    )
    loss: str = _loss("bce_soft_iou", "loss; sstnet has one, yolox, and so have dsfnet and micml, centernet")
    target_weight: float = _loss(
        3.0, "extra weight of target pixels in the cross-entropy of bce_soft_iou", "segmentation"
    )
    motion_weight: float = _loss(
        1.0, "weight of the motion-coordination loss (0: train without the temporal branch)", "sstnet"
    )
    epochs: int = _schedule(20, "passes over the training clips")
    clips_per_epoch: float = _schedule(
        0.0, "train on a random draw of so many clips an epoch, or below 1 of this share of them (0: all of them)"
    )
    batch_size: int = _schedule(
        8, "clips in a batch, before batch augmentation doubles them; under torchrun of all processes together"
    )
    accumulate: int = _schedule(1, "batches whose mean gradient makes one step")
    input_size: int = _network(128, "side of the square that training sees, in pixels (multiple of 32)")
    fit: str = _network(
        "crop",
        "how frames get that size: a random crop, resizing the whole frame, or, for sstnet "
        "alone, scaling it with grey margins",
    )
    levels: str = _network(
        "dataset",
        "normalisation of frames, by the dataset's grey levels, or by the level and noise around each pixel, which "
        "leaves nothing of a camera's contrast and offset",
    )
    train_crop: int = _augmentation(
        0,
        "train on squares of so many pixels, at random places of the scaled frame, a "
        "multiple of 32 (0, or no less than input-size: on all of it)",
        "sstnet",
    )
    target_probability: float = _augmentation(
        0.7, "share of crops moved so that they hold a target, where there is one"
    )
    optimizer: str = _schedule("adamw", "optimiser")
    lr: float = _schedule(4e-3, "peak learning rate")
    beta2: float = _schedule(0.999, "decay of the mean squared gradients of adam and adamw")
    momentum: float = _schedule(0.937, "Nesterov momentum of sgd")
    weight_decay: float = _schedule(1e-4, "weight decay, on convolution weights only")
    schedule: str = _schedule(
        "cosine",
        "learning rate over the run; yolox: quadratic warm-up over 5 % of the epochs "
        "(at least 1, at most 3), cosine, constant at the end over 5 % (at least 1, at most 15)",
    )
    milestones: tuple[int, ...] = _schedule((150, 225), "epochs at which `multistep` lowers the rate")
    milestone_factor: float = _schedule(0.1, "by which it multiplies it there")
    warmup: float = _schedule(0.05, "share of the run over which the rate rises from a tenth; yolox has its own")
    ema: float = _schedule(0.998, "decay of the averaged weights that are validated and saved (0: none)")
    ema_ramp: int = _schedule(
        0, "steps in which the decay rises as 1 - exp(-step/ema_ramp) (0: as (1 + step)/(10 + step))"
    )
    recalibrate: int = _schedule(
        0,
        "training batches on which batch norms' statistics are measured anew before each "
        "validation, as their running averages lag in short runs (0: those averages)",
    )
    clip_gradient: float = _schedule(5.0, "largest gradient norm (0: no limit)")
    freeze_norm: bool = _schedule(False, "batch norm keeps its stored statistics, as for fine-tuning on few clips")
    amp: str = _machine("off", "mixed precision of the network; losses stay in float32")
    register: bool = _network(True, "align the frames of a clip to its key frame, so that the scene stands still")
    bad_pixels: bool = _network(True, "take bright and dark points out that stay on one pixel of the sensor")
    target_augmentation: bool = _augmentation(True, "clone targets through time")
    clones: int = _augmentation(3, "clones of each target")
    clone_scale: tuple[float, float] = _augmentation(
        (0.6, 0.9), "range of a clone's size as a share of its original's; boxes shrink likewise"
    )
    batch_augmentation: bool = _augmentation(
        True, "stitch neighbouring clips of a batch and train on both", "segmentation"
    )
    published_augmentation: bool = _augmentation(
        False,
        "clones replace pixels and masks shrink by nearest neighbour, "
        "as published, instead of keeping the background and every target",
    )
    flips: bool = _augmentation(True, "random flips and quarter turns, the same for all frames of a clip")
    intensity: float = _augmentation(
        0.3, "random gain and offset, as a share of the dataset's standard deviation (0: none)"
    )
    gain: tuple[float, float] = _augmentation(
        NO_GAIN, "range of a factor of each clip's contrast, drawn log-uniformly, such as 0.25 4 (1 1: none)"
    )
    blur: tuple[float, float] = _augmentation(
        (0.0, 0.0), "range of the standard deviation of a Gaussian blur of each clip, in pixels (0 0: none)"
    )
    noise: tuple[float, float] = _augmentation(
        (0.0, 0.0), "range of the standard deviation of noise on each clip, in grey levels, after the blur (0 0: none)"
    )
    val_sequences: tuple[str, ...] = _choosing(
        (),
        "training sequences set aside, on which epoch and threshold are "
        "chosen; NAME:N sets aside NAME's frames from number N on",
    )
    val_fraction: float = _choosing(
        0.15, "without --val-sequences: the share of sequences, or of each one's end, that is set aside"
    )
    val_every: int = _choosing(1, "epochs between validations")
    fa_budget: float = _choosing(
        5e-5, "false-alarm rate that the chosen threshold may reach on the validation frames", "segmentation"
    )
    false_budget: float = _choosing(0.33, "false components a frame that it may reach there", "segmentation")
    threshold: float = _choosing(0.0, "fixed threshold of probability or score (0: chosen on the validation frames)")
    workers: int = _machine(2, "loader processes")
    cache_mb: int = _machine(512, "memory for decoded frames, all loader processes together, in MiB")
    device: str = _machine("", "cpu, cuda, cuda:1, … (default: cuda where there is one)")
    channels_last: bool = _machine(True, "channels-last memory layout")
    threads: int = _machine(0, "CPU threads for the network (0: its own choice)")
    seed: int = _machine(42, "seed of weights, sampling and augmentation")
    deterministic: bool = _machine(
        False, "only operations that give the same bits each time; those that cannot are named in a warning"
    )
    resume: str = _machine(
        "",
        "auto: continue the run in OUT/NAME from its last checkpoint, or begin it where there "
        "is none; or a checkpoint file, last.pt of a run",
    )
    checkpoint_every: int = _machine(0, "steps between checkpoints inside an epoch (0: after each epoch only)")
    skip_non_finite: int = _schedule(0, "batches with a non-finite loss that are left out before training stops")
    on_bad_frame: str = _data(
        "error", "an unreadable frame stops training, or its clips are replaced by the next ones and listed at the end"
    )
    quiet: bool = _machine(False, "no progress bars")

    def __post_init__(self) -> None:
        self._require_types()
        for name, known in CHOICES.items():
            self._require(getattr(self, name) in known, name, f"one of {', '.join(known)}")
        self._require(not self.device or is_device(self.device), "device", "cpu, cuda or cuda:N")
        self._require(self.input_size % 32 == 0, "input_size", "a multiple of 32")
        self._require(self.train_crop % 32 == 0, "train_crop", "a multiple of 32")
        self._require(
            self.clips_per_epoch < 1 or self.clips_per_epoch == int(self.clips_per_epoch),
            "clips_per_epoch",
            "a whole number, or a share below 1",
        )
        for name, bounds in RANGES.items():
            values = getattr(self, name)
            self._require(len(values) == 2 and values[0] <= values[1], name, f"two numbers, {bounds}")
        choose_ignored(self.ignore_value)
        self._require_for_model()

    def _require_types(self) -> None:
        """Hold every value, as of a recipe file, to its type and to `BOUNDS`."""
        for item in dataclasses.fields(self):
            value, bounds = getattr(self, item.name), BOUNDS.get(item.name)
            several = isinstance(item.default, tuple)
            if several:
                self._require(isinstance(value, tuple), item.name, "a list")
            parts = value if several else (value,)
            if bounds:
                self._require(all(map(bounds.hold, parts)), item.name, str(bounds))
            else:
                kind = bool if isinstance(item.default, bool) else str
                fits = all(isinstance(part, kind) for part in parts)
                self._require(fits, item.name, "true or false" if kind is bool else "text")

    def _require_for_model(self) -> None:
        """What one kind of network asks for and another does not."""
        low, high = FRAME_COUNTS.get(self.model, (1 if self.model in SINGLE_FRAME else 2, math.inf))
        frames = f"{low}" if low == high else f"at least {low}" if high == math.inf else f"{low} to {high}"
        self._require(low <= self.num_frames <= high, "num_frames", f"{frames} for {self.model}")
        rising = list(self.lags) == sorted({*self.lags}) and max(self.lags, default=0) < self.num_frames
        self._require(rising, "lags", f"ascending numbers below {self.num_frames}, the frames in a clip")
        self._require(not self.lags or self.model == "tsmsa", "lags", f"none for {self.model}")
        if self.detector:
            self._require(not self.batch_augmentation, "batch_augmentation", f"False for {self.model}")
        if self.every_frame:
            self._require(self.frame_step == 1, "frame_step", f"1 for {self.model}")
            self._require(not self.register, "register", f"False for {self.model}, which marks every frame where it is")
        for name, known in SUITABLE.get(self.model, SUITABLE_FOR_SEGMENTATION).items():
            self._require(getattr(self, name) in known, name, f"{' or '.join(known)} for {self.model}")

    def _require(self, holds: bool, name: str, expected: str) -> None:
        if not holds:
            raise UserError(f"--{flag(name)}: found {shown(getattr(self, name))}, expected {expected}")

    @property
    def folder(self) -> Path:
        """Where the run's files go."""
        return Path(self.out) / (self.name or f"{Path(self.data_root).name or 'run'}_{self.model}")

    @property
    def detector(self) -> bool:
        """Whether the network finds boxes; else it marks pixels."""
        return self.model in DETECTORS

    @property
    def task(self) -> str:
        """One of `utils.clips.settings.TASKS`."""
        return "detection" if self.detector else "segmentation"

    @property
    def every_frame(self) -> bool:
        """Whether the network gives a map for every frame of a clip, and is trained on all of them."""
        return self.model in EVERY_FRAME

    @property
    def clones_targets(self) -> bool:
        """Whether targets are cloned at all."""
        return self.target_augmentation and self.clones > 0

    def clip_settings(self, normalisation: Normalisation) -> ClipSettings:
        """How the network sees clips of this `normalisation`, with the threshold that is fixed, if one is."""
        return ClipSettings(
            self.num_frames,
            normalisation,
            task=self.task,
            threshold=self.threshold or 0.5,
            frame_step=self.frame_step,
            register=self.register,
            bad_pixels=self.bad_pixels,
            fit=self.fit,
            input_size=self.input_size,
            num_classes=self.num_classes if self.detector else 1,
            name=self.model,
            every_frame=self.every_frame,
            levels=self.levels,
        )

    def clips_drawn(self, clips: int) -> int:
        """How many of so many training clips an epoch sees; 0 for each once."""
        drawn = self.clips_per_epoch
        return max(1, round(drawn * clips)) if 0 < drawn < 1 else int(drawn)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and checkpoints."""
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in dataclasses.asdict(self).items()
        }


def flag(name: str) -> str:
    """A field's name as its option has it, without the leading dashes: `batch-size` of `batch_size`."""
    return name.replace("_", "-")
