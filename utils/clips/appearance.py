"""Appearance of training clips: contrast, offset, blur and noise; what a camera that nobody has seen may do.

Clips and boxes are those of `utils.clips.transforms`. A clip has one contrast, one offset, one blur and one strength of
noise, so that nothing of it looks like motion; the noise itself is each frame's own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from utils.clips.transforms import ClipTransform, check_clip
from utils.system.packages.late import cv2

NO_GAIN = (1.0, 1.0)  # a range of factors that leaves the contrast as it is


@dataclass(frozen=True)
class IntensityJitter(ClipTransform):
    """Random gain and offset, one of each for the whole clip.

    frames <- mean + f (1 + g) (frames - mean) + o std, with the clip's own mean, g and o out of U(-amount, amount), f
    log-uniform over the range `gain`, and the dataset's standard deviation `std`. Masks and boxes are returned as they
    are (copies).

    Args:
        amount: at least 0, below 1.
        std: in the sensor's units, above 0.
        gain: lowest and highest factor of contrast, above 0; with `NO_GAIN` none is drawn.

    Raises:
        ValueError: one of them lies outside its range.
    """

    amount: float
    std: float
    gain: tuple[float, float] = NO_GAIN

    def __post_init__(self) -> None:
        if not (0 <= self.amount < 1 and self.std > 0):
            raise ValueError(f"got amount {self.amount} and std {self.std}, expected 0 <= amount < 1 and std > 0")
        _require_range("gain", self.gain, above=True)

    def with_boxes(
        self, frames: np.ndarray, masks: np.ndarray, boxes: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        check_clip(frames, masks)
        gain, offset = rng.uniform(-self.amount, self.amount, 2)
        if self.gain != NO_GAIN:
            gain = (1 + gain) * math.exp(rng.uniform(*map(math.log, self.gain))) - 1
        shift = offset * self.std - gain * frames.mean(dtype=np.float64)
        return frames * np.float32(1 + gain) + np.float32(shift), masks.copy(), boxes.copy()


@dataclass(frozen=True)
class WideIntensityJitter(ClipTransform):
    """Offset and gain as MICML's and DSFNet's code has them, on normalised values, each in every second clip.

    x <- c (x + b), with x = (frames - mean) / std, b out of U(-32, 32) and c out of U(0.5, 1.5). That code's changes of
    hue and saturation and its shuffling of colours leave grey frames as they are. Masks and boxes are returned as they
    are (copies).

    Args:
        mean: of the dataset, in the sensor's units.
        std: likewise, above 0.

    Raises:
        ValueError: `std` is not above 0.
    """

    mean: float
    std: float

    def __post_init__(self) -> None:
        if not self.std > 0:
            raise ValueError(f"got std {self.std}, expected std > 0")

    def with_boxes(
        self, frames: np.ndarray, masks: np.ndarray, boxes: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        check_clip(frames, masks)
        offset = rng.uniform(-32, 32) if rng.random() < 0.5 else 0.0
        gain = rng.uniform(0.5, 1.5) if rng.random() < 0.5 else 1.0
        shift = self.mean + gain * (offset * self.std - self.mean)
        return frames * np.float32(gain) + np.float32(shift), masks.copy(), boxes.copy()


@dataclass(frozen=True)
class Blur(ClipTransform):
    """A Gaussian blur, the same for all frames: optics out of focus, compression, enlarged video.

    Masks and boxes are returned as they are (copies).

    Args:
        sigma: lowest and highest standard deviation in pixels, of which one is drawn for each clip, at least 0.

    Raises:
        ValueError: no such range.
    """

    sigma: tuple[float, float]

    def __post_init__(self) -> None:
        _require_range("sigma", self.sigma)

    def with_boxes(
        self, frames: np.ndarray, masks: np.ndarray, boxes: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        check_clip(frames, masks)
        sigma = rng.uniform(*self.sigma)
        blurred = [cv2.GaussianBlur(frame, (0, 0), sigma) if sigma > 0 else frame for frame in frames]
        return np.stack(blurred), masks.copy(), boxes.copy()


@dataclass(frozen=True)
class Noise(ClipTransform):
    """White Gaussian noise of the sensor, of one strength in a clip, each frame's values its own.

    Masks and boxes are returned as they are (copies).

    Args:
        sigma: lowest and highest standard deviation in the frames' grey levels, of which one is drawn for each clip, at
            least 0.

    Raises:
        ValueError: no such range.
    """

    sigma: tuple[float, float]

    def __post_init__(self) -> None:
        _require_range("sigma", self.sigma)

    def with_boxes(
        self, frames: np.ndarray, masks: np.ndarray, boxes: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        check_clip(frames, masks)
        sigma = np.float32(rng.uniform(*self.sigma))
        return frames + sigma * rng.standard_normal(frames.shape, np.float32), masks.copy(), boxes.copy()


def _require_range(name: str, values: tuple[float, float], above: bool = False) -> None:
    """Hold `values` to a range of finite numbers from 0 on, with `above` without 0; raises `ValueError`."""
    low, high = values
    if not (0 <= low <= high < math.inf) or (above and low == 0):
        raise ValueError(f"got {name} ({low}, {high}), expected 0 {'<' if above else '<='} low <= high")
