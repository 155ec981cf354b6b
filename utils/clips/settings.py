"""How a network sees clips: one frozen object in checkpoints, exports, `Predictor`, training and validation."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

import numpy as np

from utils.images.fit import FITS
from utils.images.normalise import Normalisation, normalise, normalise_locally
from utils.system.command_line import BOUNDS, shown
from utils.system.errors import UserError

TASKS = ("segmentation", "detection")
LEVELS = ("dataset", "local")


@dataclass(frozen=True)
class ClipSettings:
    """What a network was trained on, and so has to be shown again, and what its outputs mean.

    Args:
        num_frames: T, frames in a clip; the key frame is the last.
        normalisation: `(mean, std)` in the frames' own grey levels; each one number, or for detection also three, of
            the channels R, G and B, which grey frames become.
        task: `segmentation` or `detection`.
        threshold: a pixel, or a box, is predicted where its probability, or score, exceeds this.
        frame_step: from one frame of a clip to the next (`utils.clips.rule.clip_indices`).
        register: align the frames of a clip to its key frame (`utils.clips.registration`).
        bad_pixels: take bad pixels out of the frames (`utils.clips.bad_pixels`).
        fit: how frames get their size, see `utils.images.fit`: with `resize` and `letterbox` they are fitted into a
            square of `input_size` pixels; with `crop` training takes squares out of them, and predictions see all of
            them in their own pixels.
        input_size: side of that square, in pixels.
        num_classes: that are told apart.
        name: of the network, for people.
        every_frame: the network gives a map for every frame of a clip, and was trained on all of them. Clips that begin
            before their run of frames have zeros there, once normalised, instead of the first frame again.
        max_delay: then, how many frames later predictions may come, 0 to T - 1; None: as many as overlapping windows
            take, as published (`utils.predictor.every_frame`).
        levels: `dataset`: frames are normalised by `normalisation`; `local`: each by the level and noise around its
            pixels (`utils.images.normalise.normalise_locally`), so that contrast and offset of a camera do not matter.
        bits: 8 where no level of the training frames was above 255, else 16; None where nobody knows.

    Raises:
        ValueError: an unknown task or fit, a fit without its size, a number beyond its bounds, or a name that is no
            text.
    """

    num_frames: int
    normalisation: Normalisation
    task: str = "segmentation"
    threshold: float = 0.5
    frame_step: int = 1
    register: bool = False
    bad_pixels: bool = False
    fit: str = "crop"
    input_size: int | None = None
    num_classes: int = 1
    name: str = ""
    every_frame: bool = False
    max_delay: int | None = None
    bits: int | None = None
    levels: str = "dataset"

    def __post_init__(self) -> None:
        for name in ("num_frames", "threshold", "frame_step", "input_size", "num_classes", "max_delay"):
            value, bounds = getattr(self, name), BOUNDS[name]
            if not bounds.hold(value) and not (name in ("input_size", "max_delay") and value is None):
                raise ValueError(f"got {name} {shown(value)}, expected {bounds}")
        for name in ("register", "bad_pixels", "every_frame"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"got {name} {shown(getattr(self, name))}, expected true or false")
        if not isinstance(self.name, str) or self.bits not in (None, 8, 16):
            raise ValueError(
                f"got name {shown(self.name)} and bits {shown(self.bits)}, expected text and 8, 16 or none"
            )
        for name, known in (("task", TASKS), ("fit", FITS), ("levels", LEVELS)):
            if getattr(self, name) not in known:
                raise ValueError(f"got {name} {shown(getattr(self, name))}, expected one of {', '.join(known)}")
        if self.fit != "crop" and not self.input_size:
            raise ValueError(f"got fit '{self.fit}' without an input_size, expected the side of the square")
        object.__setattr__(self, "normalisation", _levels(self.normalisation))
        if self.task == "segmentation" and any(isinstance(value, tuple) for value in self.normalisation):
            raise ValueError(f"got normalisation {shown(self.normalisation)} for segmentation, expected two numbers")

    def normalise(self, planes: np.ndarray, axis: int | None = None) -> np.ndarray:
        """Grey planes `(…, H, W)` as the network takes them, float32: R, G and B along a new `axis`, or R alone."""
        if self.levels == "local":
            return normalise_locally(planes, axis)
        levels = self.normalisation if axis is not None else [np.ravel(value)[0] for value in self.normalisation]
        return normalise(planes, levels, axis)

    @property
    def channel_levels(self) -> tuple[list[float], list[float]]:
        """Mean and standard deviation of R, G and B, with which `normalise` makes them of one grey plane."""
        mean, std = self.normalisation if self.levels == "dataset" else (0.0, 1.0)  # all three are the same
        return np.resize(mean, 3).tolist(), np.resize(std, 3).tolist()

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON and checkpoints."""
        values = dataclasses.asdict(self)
        return values | {"normalisation": [np.asarray(value).tolist() for value in self.normalisation]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: object) -> ClipSettings:
        """What `as_dict` gave.

        Args:
            values: also of an earlier version, which lacks some.
            source: the file that holds them, for messages.

        Raises:
            UserError: a later version has written settings that this one does not know.
        """
        unknown = sorted(values.keys() - {item.name for item in dataclasses.fields(cls)})
        if unknown:
            found = shorten(", ".join(map(str, unknown)), 200)
            raise UserError(f"{source}: found settings {found}, which this version does not know; update it")
        return cls(**values)


def _levels(normalisation: Any) -> Normalisation:
    """A mean and a standard deviation as floats, each one number or three; raises `ValueError` for anything else."""
    normalisation = normalisation.tolist() if hasattr(normalisation, "tolist") else normalisation
    if not isinstance(normalisation, (list, tuple)) or len(normalisation) != 2:
        raise ValueError(f"got normalisation {shown(normalisation)}, expected a mean and a standard deviation")
    levels = []
    for name, value in zip(("channel_mean", "channel_std"), normalisation, strict=True):
        value = value.tolist() if hasattr(value, "tolist") else value  # of numpy
        parts = tuple(value) if isinstance(value, (list, tuple)) else (value,)
        if len(parts) not in (1, 3) or not all(map(BOUNDS[name].hold, parts)):
            raise ValueError(f"got normalisation {shown(normalisation)}, expected {BOUNDS[name]}, once or three times")
        levels.append(tuple(map(float, parts)) if isinstance(value, (list, tuple)) else float(value))
    return tuple(levels)
