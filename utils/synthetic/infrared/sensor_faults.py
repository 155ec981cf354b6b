"""What is wrong with a sensor: stripes that stand or flicker, pixels that flash, streaks until it has settled.

All are levels that are added to what a sensor gives, (T, H, W) or what broadcasts to it.
"""

from __future__ import annotations

import numpy as np

from utils.synthetic.infrared.distractors import MAX_BRIGHTNESS

STREAK_FRAMES = 1, 12  # that streaks last from the start of a piece on
STREAK_PX = 4.0, 80.0  # their length
STREAK_LEVELS = 25.0, 150.0  # by which they are too bright or too dark
MOST_STREAKS = 5
DUTY = 0.3  # share of frames in which a pixel that flashes again and again is bright


def stripes(rng: np.random.Generator, frames: int, shape: tuple[int, int], level: float) -> np.ndarray:
    """Columns and rows that differ: some for good, some anew in each frame, as amplifiers' slow noise makes them.

    Args:
        rng: decides on everything.
        frames: T.
        shape: (H, W).
        level: largest standard deviation of each kind, levels.

    Returns:
        (T, H, W).
    """
    height, width = shape
    fixed = rng.uniform(0, level) * rng.standard_normal((1, 1, width))
    fixed = fixed + rng.uniform(0, level / 2) * rng.standard_normal((1, height, 1))
    if rng.uniform() < 0.3:  # amplifiers take turns: every second or fourth column is alike
        period = int(rng.choice([2, 4]))
        fixed = fixed + rng.uniform(0, level) * rng.standard_normal(period)[np.arange(width) % period]
    rows = rng.uniform() < 0.5
    along = height if rows else width
    memory, share = rng.uniform(0, 0.95), rng.uniform(0.1, 1)
    flicker = rng.standard_normal((frames, along))
    for t in range(1, frames):
        flicker[t] = memory * flicker[t - 1] + (1 - memory**2) ** 0.5 * flicker[t]
    flicker *= rng.uniform(0, level) * (rng.uniform(0, 1, along) < share)
    return fixed + (flicker[:, :, None] if rows else flicker[:, None, :])


def flashes(
    rng: np.random.Generator, frames: int, shape: tuple[int, int], density: float, peak: tuple[float, float]
) -> np.ndarray:
    """Bright spots of one or two pixels that flicker: half of them once anywhere, half again and again in their place.

    Args:
        rng: decides on everything.
        frames: T.
        shape: (H, W).
        density: spots in a frame, on average.
        peak: least and largest brightness, levels.

    Returns:
        (T, H, W).
    """
    found = np.zeros((frames, *shape))
    for t in range(frames):
        for _ in range(int(rng.poisson(density / 2))):
            _flash(rng, found[t : t + 1], peak, np.ones(1))
    for _ in range(int(rng.poisson(density / 2 / DUTY))):
        _flash(rng, found, peak, (rng.uniform(size=frames) < DUTY).astype(float))
    return found


def _flash(rng: np.random.Generator, clip: np.ndarray, peak: tuple[float, float], on: np.ndarray) -> None:
    """Add a spot of one or two neighbouring pixels to `clip` (T, H, W), as bright as `on` (T,) says."""
    y, x = int(rng.integers(clip.shape[1] - 1)), int(rng.integers(clip.shape[2] - 1))
    light = min(rng.uniform(*peak), MAX_BRIGHTNESS) * on
    clip[:, y, x] += light
    if rng.uniform() < 0.5:
        beside = (y + 1, x) if rng.uniform() < 0.5 else (y, x + 1)
        clip[(slice(None), *beside)] += rng.uniform(0.4, 1) * light


def streaks(rng: np.random.Generator, frames: int, shape: tuple[int, int]) -> np.ndarray:
    """Lines of dead or hot pixels along columns or rows, in the first frames of a piece alone.

    Args:
        rng: decides on everything.
        frames: T.
        shape: (H, W).

    Returns:
        (T, H, W).
    """
    found = np.zeros((frames, *shape))
    last = int(rng.integers(STREAK_FRAMES[0], STREAK_FRAMES[1] + 1))
    for _ in range(int(rng.integers(1, MOST_STREAKS + 1))):
        plane = found[:last] if rng.uniform() < 0.7 else found[:last].transpose(0, 2, 1)
        length = int(min(np.exp(rng.uniform(*np.log(STREAK_PX))), plane.shape[1]))
        start, line = int(rng.integers(plane.shape[1] - length + 1)), int(rng.integers(plane.shape[2] - 1))
        thick = 1 + (rng.uniform() < 0.2)
        level = rng.choice([-1.0, 1.0]) * rng.uniform(*STREAK_LEVELS)
        plane[:, start : start + length, line : line + thick] += level
    return found
