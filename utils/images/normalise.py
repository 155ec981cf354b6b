"""Normalisation of grey levels, of grey frames and of their copies in R, G and B."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# (mean, standard deviation) in grey levels: one of each, or three for networks that take R, G and B.
Normalisation = tuple[float | Sequence[float], float | Sequence[float]]


def normalise(planes: np.ndarray, normalisation: Normalisation, axis: int | None = None) -> np.ndarray:
    """Grey planes → (planes - mean) / std.

    The channels R, G and B of a grey plane differ in nothing but mean and standard deviation, so all that comes before
    is done to one plane.

    Args:
        planes: `(…, H, W)` of any numeric type, in grey levels.
        normalisation: mean and standard deviation; without `axis` one number each.
        axis: where the three channels go; mean and standard deviation may be three numbers then. None: no channels.

    Returns:
        float32 of the same shape, or with a new axis of length 3.
    """
    mean, std = (np.asarray(value, np.float32) for value in normalisation)
    if axis is not None:
        mean, std = (np.resize(value, 3).reshape(3, *(1,) * (planes.ndim - axis)) for value in (mean, std))
        planes = np.expand_dims(planes, axis)
    result = np.subtract(planes, mean, dtype=np.float32)
    result /= std
    return result
