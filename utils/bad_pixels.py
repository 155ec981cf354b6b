"""Bad pixels: bright or dark points that stay on one pixel of the sensor, taken out before a scene is aligned.

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

HISTORY = 16    # frames that are looked at
FEWEST = 8      # frames below which nothing is judged
SHARE = 0.75    # of these frames in which a bad pixel stands out
STANDING = 4.0  # noise deviations by which it does
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


NONE = np.zeros((0, 3), np.float32)


def mend(frame: np.ndarray, defects: np.ndarray) -> np.ndarray:
    """`frame` (H, W), uint8, uint16 or float32, without the light of `defects` (N, 3): row, column, light in the
    frame's unit. The argument is not changed, but returned where there are none."""
    if not len(defects):
        return frame
    where = tuple(defects[:, :2].T.astype(int))
    without = frame[where] - defects[:, 2]
    if frame.dtype.kind == "u":
        without = np.clip(np.rint(without), 0, np.iinfo(frame.dtype).max)
    mended = frame.copy()
    mended[where] = without
    return mended


class DefectFinder:
    """Looks at the frames of one run in order, and tells after each which pixels are bad.

    A pixel is bad where it is, by `STANDING` noise deviations, the brightest (or the darkest) of its 3 x 3
    neighbourhood in at least `SHARE` of the last `HISTORY` frames. Its light is the median over those frames of how far
    it and its neighbours stand out: taken away, it leaves a target that passes over the pixel as it is. All frames of
    a clip are to be mended alike, as its last one tells: a point that is mended in some of them looks like a target.
    """

    def __init__(self) -> None:
        self._past: deque[_Detail] = deque(maxlen=HISTORY)

    def see(self, frame: np.ndarray) -> np.ndarray:
        """The defects (see `mend`) known after `frame` (H, W) uint8, uint16 or float32; none in the first `FEWEST` - 1
        frames."""
        self._past.append(_detail(frame))
        count = len(self._past)
        if count < FEWEST:
            return NONE
        standing = np.abs(np.sum([detail.extremes for detail in self._past], axis=0, dtype=np.int8))
        bad = standing >= SHARE * count
        if not bad.any():
            return NONE
        where = np.nonzero(cv2.dilate(bad.astype(np.uint8), _SQUARE))
        light = np.median([detail.values[where] for detail in self._past], axis=0)
        return np.stack([*where, light], axis=1).astype(np.float32)


def find_defects(frames: Iterable[np.ndarray]) -> np.ndarray:
    """What a `DefectFinder` knows after the last of these frames, of which `HISTORY` tell all."""
    finder, defects = DefectFinder(), NONE
    for frame in frames:
        defects = finder.see(frame)
    return defects
