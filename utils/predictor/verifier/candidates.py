"""Where a target may be: peaks of the differences, of the frame itself, and of the network's answer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from utils.predictor.verifier.maps import ContrastMaps
from utils.system.packages.late import cv2

PEAK_PX = 5  # side of the square in which a peak is the largest
CHANGE_LEVEL, CHANGE_PEAKS = 3.3, 30  # units of noise, and at most so many in a frame
KEY_LEVEL, KEY_PEAKS = 4.5, 12
NETWORK_LEVEL, NETWORK_PEAKS = -4.0, 100  # logit
FRAME_PIXELS = 512 * 512  # larger frames have as many more
APART_PX = 3  # nearer ones are one
ALONE_PX = 6  # a target's echoes, such as where it was a moment ago, are as near to it as this
LOGIT_RANGE = 14.0  # within which probabilities in float32 tell logits apart


@dataclass(frozen=True, eq=False)
class Candidates:
    """`place` (N, 2) int64 y, x; `box` (N,) int64 which of a detector's boxes each is, -1: none."""

    place: np.ndarray
    box: np.ndarray

    def __len__(self) -> int:
        return len(self.place)


def logits_of(probability: np.ndarray) -> np.ndarray:
    """Log-odds of probabilities, float32 within ±`LOGIT_RANGE`."""
    least = 1 / (1 + math.exp(LOGIT_RANGE))
    bounded = np.clip(probability.astype(np.float64), least, 1 - least)
    return np.log(bounded / (1 - bounded)).astype(np.float32)


def find_peaks(values: np.ndarray, level: float, most: int) -> np.ndarray:
    """The largest pixels in the squares around them.

    Args:
        values: (H, W) float32.
        level: that they exceed.
        most: of them in a frame of up to `FRAME_PIXELS` pixels, and as many more in larger ones.

    Returns:
        (N, 2) int64 y, x, the highest first, equal ones in raster order.
    """
    high = (values > level) & (values >= cv2.dilate(values, np.ones((PEAK_PX, PEAK_PX), np.uint8)))
    place = np.argwhere(high)
    order = np.argsort(-values[high], kind="stable")
    return place[order[: math.ceil(most * max(1.0, values.size / FRAME_PIXELS))]]


def keep_apart(places: np.ndarray) -> np.ndarray:
    """Of places (N, 2), the most important first, those at least `APART_PX` from all that are kept: (M,) indices."""
    if not len(places):
        return np.zeros(0, np.int64)
    near = np.abs(places[:, None] - places[None]).max(2) < APART_PX
    free = np.ones(len(places), bool)
    kept = []
    for index in range(len(places)):
        if free[index]:
            kept.append(index)
            free &= ~near[index]
    return np.array(kept, np.int64)


def stand_alone(places: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Which candidates of a frame (N,) bool have no higher score within `ALONE_PX` that stands alone itself.

    Args:
        places: (N, 2) y, x.
        scores: (N,); of equal ones the first counts as higher.
    """
    free = np.ones(len(places), bool)
    order = np.argsort(-scores, kind="stable")
    for rank, index in enumerate(order):
        if free[index]:
            lower = order[rank + 1 :]
            free[lower] &= np.abs(places[lower] - places[index]).max(1) > ALONE_PX
    return free


def answers_of_map(logits: np.ndarray) -> np.ndarray:
    """Where a network's map (H, W) of logits has peaks: (K, 2) int64 y, x, the highest first.

    Saturated maps have plateaus: peaks are those of the map behind a Gaussian of one pixel.
    """
    return find_peaks(cv2.GaussianBlur(logits, (0, 0), 1), NETWORK_LEVEL, NETWORK_PEAKS)


def answers_of_boxes(boxes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The pixels (K, 2) int64 y, x in which centres of boxes (K, 6) lie, in a frame of `shape` (H, W)."""
    centres = np.floor((boxes[:, [1, 0]] + boxes[:, [3, 2]]) / 2).astype(np.int64)
    return np.clip(centres, 0, np.array(shape) - 1)


def logits_at_centres(boxes: np.ndarray, answers: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A map (H, W) of logits: those of boxes (K, 6) at their `answers`, the least elsewhere."""
    logits = np.full(shape, -LOGIT_RANGE, np.float32)
    np.maximum.at(logits, tuple(answers.T), logits_of(boxes[:, 4]))
    return logits


def propose(maps: ContrastMaps, answers: np.ndarray, owner: np.ndarray) -> Candidates:
    """Candidates of a frame: the network's answers, then peaks of the differences, then those of the frame.

    Args:
        maps: of the frame.
        answers: (K, 2) int64 y, x, where the network has found something, the surest first.
        owner: (K,) int64 which of its boxes each is.
    """
    change = maps.change
    found = [answers]
    if change is not None:
        found.append(find_peaks(change, CHANGE_LEVEL, CHANGE_PEAKS))
    found.append(find_peaks(maps.key, KEY_LEVEL, KEY_PEAKS))
    places = np.concatenate(found)
    boxes = np.concatenate([owner, np.full(len(places) - len(answers), -1)])
    kept = keep_apart(places)
    return Candidates(places[kept], boxes[kept])
