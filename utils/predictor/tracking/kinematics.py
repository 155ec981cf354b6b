"""What the places of a target's detections say: how steadily it moves in the scene, and whether the sensor holds it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

BAD_PIXEL_SCATTER = 0.4  # pixels (rms) on the sensor within which a bad pixel is found again and again
LEAST_TRAVEL = 2.0  # pixels that the scene moves meanwhile, at least
LEAST_HELD = 3  # detections below which nothing is said about that


def steady_motion(times: Sequence[float], places: Sequence[np.ndarray]) -> tuple[np.ndarray, float]:
    """The steady motion that fits best: x, y in pixels a frame, and the scatter (rms, pixels) about it.

    Args:
        times: N of them, at least two, not all equal, in frames.
        places: (2,) x, y in pixels each.
    """
    time = np.array(times, float)
    time -= time.mean()
    offsets = np.array(places)
    offsets -= offsets.mean(0)
    velocity = time @ offsets / (time @ time)
    return velocity, float(np.sqrt(((offsets - np.outer(time, velocity)) ** 2).sum(1).mean()))


def scatter_of(places: Sequence[np.ndarray]) -> float:
    """How far places (2,) lie from their middle, rms in pixels."""
    return float(np.sqrt(np.var(np.array(places), axis=0).sum()))


def is_held(sensor: Sequence[np.ndarray], offsets: Sequence[np.ndarray], before: bool) -> bool:
    """Whether what is found stays where it is on the sensor while the scene moves on: a bad pixel, or dirt.

    Args:
        sensor: places (2,) x, y in pixels of the frame, one for each of the last detections.
        offsets: (2,) x, y by which the scene has moved until then.
        before: what was known, which stays so while scene and detections rest.
    """
    if len(sensor) < LEAST_HELD:
        return False
    # the scene's way is the same for all that is found, and mostly short; asked first, it spares the rest
    way = zip(*(offset.tolist() for offset in offsets), strict=True)
    if not before and math.hypot(*(max(axis) - min(axis) for axis in way)) < LEAST_TRAVEL:
        return False
    return scatter_of(sensor) < BAD_PIXEL_SCATTER
