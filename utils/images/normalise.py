"""Normalisation of grey levels, of grey frames and of their copies in R, G and B."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def channels(planes: np.ndarray, normalisation: Sequence[float | Sequence[float]], count: int = 3) -> np.ndarray:
    """Normalised channels R, G and B of grey planes. They differ in nothing but mean and standard deviation, so all
    that comes before is done to one plane.

    Args:
        planes: `(B, …, H, W)` float32 in grey levels.
        normalisation: `(mean, std)` in grey levels, each one number or three.
        count: 3, or 1 for a network that knows the others from R.
    Returns:
        float32 `(B, 3, …, H, W)`, or `(B, …, H, W)` of R alone.
    """
    mean, std = (np.resize(np.asarray(value, np.float32), 3) for value in normalisation)
    if count == 1:
        mean, std = mean[0], std[0]
    else:
        planes = planes[:, None]
        mean, std = (value.reshape(3, *(1,) * (planes.ndim - 2)) for value in (mean, std))
    result = planes - mean
    result /= std
    return result


# (mean, standard deviation) in grey levels: one of each, or lists of three for networks that take RGB.
Normalisation = tuple[float | Sequence[float], float | Sequence[float]]


def normalise(frames: np.ndarray, normalisation: Normalisation) -> np.ndarray:
    """Grey frames `(T, H, W)` float32 → (frames - mean) / std of the same shape, or `(3, T, H, W)` where mean and
    standard deviation are lists of three."""
    mean, std = (np.asarray(value, np.float32) for value in normalisation)
    if mean.ndim:
        mean, std = (value[:, None, None, None] for value in (mean, std))
    return np.ascontiguousarray((frames - mean) / std, np.float32)
