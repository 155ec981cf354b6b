"""Classical multi-frame detectors: earlier frames are laid over the key frame, and what does not fit has moved.

Each function takes a clip (T, H, W) float32 of any size and unit, the key frame last, and returns a response (H, W)
float32 ≥ 0. Without an earlier frame nothing can have moved: the response is 0.
"""
from __future__ import annotations

import cv2
import numpy as np

LARGEST_SHIFT = 0.25  # of a frame's side; a larger one found is taken for a mistake
SMALLEST_SIDE = 16    # pixels; less is not halved any further
_STOP = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 50, 1e-4)


def shift_between(key: np.ndarray, frame: np.ndarray) -> tuple[float, float]:
    """The scene's shift (x, y) in pixels from `key` to `frame`, both (H, W) float32: frame(p + shift) ≈ key(p).

    By the enhanced correlation coefficient, from coarse to fine, to fractions of a pixel: unlike phase correlation it
    follows the scene and not the noise or a bright target. Turning and zooming are not seen. (0, 0) where no plausible
    shift is found. Evangelidis & Psarakis, "Parametric image alignment using enhanced correlation coefficient
    maximization", PAMI 2008.
    """
    pyramid = [(key - key.mean(), frame - frame.mean())]  # float32 sums over large grey levels would be inexact
    while len(pyramid) < 4 and min(pyramid[-1][0].shape) >= 2 * SMALLEST_SIDE:
        pyramid.append(tuple(cv2.pyrDown(image) for image in pyramid[-1]))
    matrix = np.eye(2, 3, dtype=np.float32)
    for coarse_key, coarse_frame in reversed(pyramid):
        matrix[:, 2] *= 2
        try:
            _, found = cv2.findTransformECC(coarse_key, coarse_frame, matrix.copy(), cv2.MOTION_TRANSLATION, _STOP,
                                            None, 5)
        except cv2.error:  # no likeness to follow, as in flat or unrelated frames: the coarser estimate stays
            continue
        if np.isfinite(found).all() and (np.abs(found[:, 2]) <= LARGEST_SHIFT * np.array(coarse_key.shape[::-1])).all():
            matrix = found
    return float(matrix[0, 2]), float(matrix[1, 2])


def registered(clip: np.ndarray) -> np.ndarray:
    """The earlier frames (T−1, H, W) float32 as seen from the key frame's place; NaN where they show nothing of it."""
    key, result = clip[-1], []
    for frame in clip[:-1]:
        x, y = shift_between(key, frame)
        matrix = np.array([[1, 0, x], [0, 1, y]], np.float32)
        result.append(cv2.warpAffine(frame, matrix, key.shape[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                                     borderMode=cv2.BORDER_CONSTANT, borderValue=float("nan")))
    return np.stack(result)


def frame_difference(clip: np.ndarray) -> np.ndarray:
    """The key frame less the median of the registered earlier frames, where it is brighter."""
    if len(clip) < 2:
        return np.zeros(clip.shape[1:], np.float32)
    earlier = registered(clip)
    seen = ~np.isnan(earlier).all(axis=0)
    response = np.zeros(clip.shape[1:], np.float32)
    response[seen] = np.maximum(clip[-1][seen] - np.nanmedian(earlier[:, seen], axis=0), 0)
    return response


def temporal_variance(clip: np.ndarray) -> np.ndarray:
    """Standard deviation over the registered frames, but no more than the key frame is brighter than their mean."""
    if len(clip) < 2:
        return np.zeros(clip.shape[1:], np.float32)
    stack = np.concatenate((registered(clip), clip[-1:]))
    brighter = np.maximum(clip[-1] - np.nanmean(stack, axis=0), 0)
    return np.minimum(np.nanstd(stack, axis=0), brighter).astype(np.float32)
