"""Bad pixels: bright or dark points that stay on one pixel of the sensor, taken out before anything else.

In a clip whose scene is aligned (`utils.registration`) a hot pixel moves just as a target does. On the sensor it gives
itself away: it is the extreme of its neighbourhood, on the very same pixel, in nearly every frame. Even a target that
the camera follows wanders by a pixel within a few frames.
"""
from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

import cv2
import numpy as np

HISTORY = 16    # frames that are looked at, the one to be mended the last of them
FEWEST = 8      # frames below which nothing is judged
SHARE = 0.75    # of these frames in which a bad pixel stands out
STANDING = 3.0  # noise deviations by which it does
AROUND = 5      # px, side of the square whose median is a pixel's surroundings
_SQUARE = np.ones((3, 3), np.uint8)


class _Detail(NamedTuple):
    """A frame less its surroundings, float32, and where that stands out: 1 above, -1 below, int8; both (H, W)."""

    values: np.ndarray
    extremes: np.ndarray


def _detail(frame: np.ndarray) -> _Detail:
    values = frame.astype(np.float32) - cv2.medianBlur(frame, AROUND)
    limit = STANDING * max(1.4826 * float(np.median(np.abs(values[::2, ::2]))), 0.5)
    high = (values > limit) & (values == cv2.dilate(values, _SQUARE))
    low = (values < -limit) & (values == cv2.erode(values, _SQUARE))
    return _Detail(values, high.astype(np.int8) - low.astype(np.int8))


class BadPixels:
    """Frames of one run in order → the same frames without their bad pixels.

    A pixel is bad where it is, by `STANDING` noise deviations, the brightest (or the darkest) of its 3 x 3
    neighbourhood in at least `SHARE` of the last `HISTORY` frames. What it adds to that neighbourhood, the median over
    those frames, is taken away, so that a target that passes over it remains. The first `FEWEST` - 1 frames of a run
    stay as they are.
    """

    def __init__(self) -> None:
        self._past: deque[_Detail] = deque(maxlen=HISTORY)

    def __call__(self, frame: np.ndarray) -> np.ndarray:
        """`frame` (H, W) uint8, uint16 or float32 → of the same kind; the argument is not changed, but may be returned."""
        self._past.append(_detail(frame))
        count = len(self._past)
        if count < FEWEST:
            return frame
        standing = np.abs(np.sum([detail.extremes for detail in self._past], axis=0, dtype=np.int8))
        bad = standing >= SHARE * count
        if not bad.any():
            return frame
        where = np.nonzero(cv2.dilate(bad.astype(np.uint8), _SQUARE))
        added = np.median([detail.values[where] for detail in self._past], axis=0)
        mended = frame.copy()
        without = frame[where] - added
        if frame.dtype.kind == "u":
            without = np.clip(np.rint(without), 0, np.iinfo(frame.dtype).max)
        mended[where] = without
        return mended


def mended(frames: Iterable[np.ndarray]) -> np.ndarray:
    """The last of consecutive frames, `HISTORY` of them where there are so many, without its bad pixels."""
    mend = BadPixels()
    for frame in frames:
        last = mend(frame)
    return last
