"""Normalisation of grey levels, of grey frames and of their copies in R, G and B: a dataset's, or by what is around."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from utils.system.packages.late import cv2

# (mean, standard deviation) in grey levels: one of each, or three for networks that take R, G and B.
Normalisation = tuple[float | Sequence[float], float | Sequence[float]]
SURROUNDINGS_PX = 41  # side of the square around a pixel that tells its level and its noise
BAND_PX = (0.8, 4.0)  # standard deviations of the two Gaussians between whose scales targets lie
NOISE_UNITS = 10.0  # times the noise become 1: of 5, 10 and 20 what weights of a dataset's levels rank best with
MIN_NOISE_SHARE = 0.25  # of the frame's median noise: where there is less, such as in saturated areas, noise counts so
MIN_NOISE = 1e-3  # grey levels


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


def normalise_locally(planes: np.ndarray, axis: int | None = None) -> np.ndarray:
    """Grey planes → (planes - mean) / (`NOISE_UNITS` · noise), both of the square around each pixel.

    Noise is the mean of |difference of two Gaussians|, which one bright target among 41 x 41 pixels changes little: all
    that targets have to stand out from, sensor noise and texture together. So factors of contrast and offsets change
    nothing, as long as the levels hold the noise. Each plane is normalised by itself.

    Args:
        planes: `(…, H, W)` of any numeric type, in grey levels.
        axis: where three equal channels go; None: no channels.

    Returns:
        float32 of the same shape, or with a new axis of length 3.
    """
    square = (SURROUNDINGS_PX, SURROUNDINGS_PX)
    result = np.empty(planes.shape, np.float32)
    for place in np.ndindex(planes.shape[:-2]):
        plane = planes[place].astype(np.float32)
        narrow, wide = (cv2.GaussianBlur(plane, (0, 0), sigma) for sigma in BAND_PX)
        noise = cv2.blur(np.abs(narrow - wide), square)
        noise = np.maximum(noise, max(MIN_NOISE_SHARE * float(np.median(noise)), MIN_NOISE))
        result[place] = (plane - cv2.blur(plane, square)) / (np.float32(NOISE_UNITS) * noise)
    return result if axis is None else np.repeat(np.expand_dims(result, axis), 3, axis)
