"""Bad pixels: bright or dark points that stay on one pixel of the sensor, taken out before a scene is aligned.

In a clip whose scene is aligned (`utils.clips.registration`) a hot pixel moves just as a target does. On the sensor it
gives itself away: it is the extreme of its neighbourhood, on the very same pixel, while the scene moves on by many
pixels. Even a target that the camera follows wanders by a pixel or two meanwhile. Where the scene stands still nothing
can be told, nor has to be: there bad pixels stand still as well.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from utils.system.packages.late import cv2

MIN_TRAVEL_PX = 0.75  # that the scene moves between the frames that are looked at: on what stands still they agree
MAX_TELLING_FRAMES = 10  # such frames at most
MIN_TELLING_FRAMES = 4  # such frames below which nothing is judged
MIN_SHARE_OF_FRAMES = 0.8  # of them in which a bad pixel stands out
MIN_NOISE_DEVIATIONS = 4.0  # by which it does
SURROUNDINGS_PX = 5  # side of the square whose median is a pixel's surroundings
_SQUARE = np.ones((3, 3), np.uint8)


class _Detail(NamedTuple):
    """A frame less its surroundings, float32, and where that stands out: 1 above, -1 below, int8; both (H, W)."""

    values: np.ndarray
    extremes: np.ndarray


def _measure_detail(frame: np.ndarray) -> _Detail:
    values = frame.astype(np.float32) - cv2.medianBlur(frame, SURROUNDINGS_PX)
    limit = MIN_NOISE_DEVIATIONS * max(1.4826 * float(np.median(np.abs(values[::2, ::2]))), 0.5)
    high = (values > limit) & (values == cv2.dilate(values, _SQUARE))
    low = (values < -limit) & (values == cv2.erode(values, _SQUARE))
    return _Detail(values, high.astype(np.int8) - low.astype(np.int8))


NO_DEFECTS = np.zeros((0, 3), np.float32)


def mend(frame: np.ndarray, defects: np.ndarray) -> np.ndarray:
    """A frame without the light of defects.

    Args:
        frame: (H, W) uint8, uint16 or float32; it is not changed, but returned where there are no defects.
        defects: (N, 3) float32: row, column, light in the frame's unit.
    """
    if not len(defects):
        return frame
    where = tuple(defects[:, :2].T.astype(int))
    without = frame[where] - defects[:, 2]
    if frame.dtype.kind == "u":
        without = np.clip(np.rint(without), 0, np.iinfo(frame.dtype).max)
    mended = frame.copy()
    mended[where] = without
    return mended


def pick_telling_frames(steps: Iterable[np.ndarray]) -> list[int]:
    """Which frames of a run tell about defects: those between which the scene has moved.

    They are the first, and each at which the scene has moved on by `MIN_TRAVEL_PX` since the one before; the last
    `MAX_TELLING_FRAMES` of them.

    Args:
        steps: how far the scene moves from each frame to the next, (y, x) in pixels.

    Returns:
        Positions in the run, ascending.
    """
    chosen, travel = [0], np.zeros(2)
    for index, step in enumerate(steps, start=1):
        travel = travel + step
        if np.hypot(*travel) >= MIN_TRAVEL_PX:
            chosen.append(index)
            travel = np.zeros(2)
    return chosen[-MAX_TELLING_FRAMES:]


def find_defects(frames: Sequence[np.ndarray]) -> np.ndarray:
    """The defects that frames of a run show, none where they are fewer than `MIN_TELLING_FRAMES`.

    A pixel is bad where it is, by `MIN_NOISE_DEVIATIONS`, the brightest (or the darkest) of its 3 x 3 neighbourhood in
    at least `MIN_SHARE_OF_FRAMES` of the frames. Its light is the median over them of how far it and its neighbours
    stand out: taken away, it leaves a target that passes over the pixel as it is. All frames of a clip are to be mended
    alike, as its last one tells: a point that is mended in some of them looks like a target.

    Args:
        frames: (H, W) each, uint8, uint16 or float32, as `pick_telling_frames` picks them.

    Returns:
        (N, 3) float32, as `mend` takes them.
    """
    return _judge([_measure_detail(frame) for frame in frames])


def _judge(details: Sequence[_Detail]) -> np.ndarray:
    if len(details) < MIN_TELLING_FRAMES:
        return NO_DEFECTS
    standing = np.abs(np.sum([detail.extremes for detail in details], axis=0, dtype=np.int8))
    bad = standing >= MIN_SHARE_OF_FRAMES * len(details)
    if not bad.any():
        return NO_DEFECTS
    where = np.nonzero(cv2.dilate(bad.astype(np.uint8), _SQUARE))
    light = np.median([detail.values[where] for detail in details], axis=0)
    return np.stack([*where, light], axis=1).astype(np.float32)


class DefectFinder:
    """Looks at the frames of one run in order, and tells after each which pixels are bad.

    It does so as `pick_telling_frames` and `find_defects` do.
    """

    def __init__(self) -> None:
        self._details: deque[_Detail] = deque(maxlen=MAX_TELLING_FRAMES)
        self._travel = np.zeros(2)
        self._defects = NO_DEFECTS

    def see(self, frame: np.ndarray, step: np.ndarray) -> np.ndarray:
        """The defects known after a frame, as `mend` takes them.

        Args:
            frame: (H, W) uint8, uint16 or float32.
            step: how far the scene has moved from the frame before, (y, x) in pixels.
        """
        self._travel = self._travel + step
        if not self._details or np.hypot(*self._travel) >= MIN_TRAVEL_PX:
            self._details.append(_measure_detail(frame))
            self._travel = np.zeros(2)
            self._defects = _judge(self._details)
        return self._defects
