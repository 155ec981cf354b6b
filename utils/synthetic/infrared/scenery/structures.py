"""Thin things that stand in a scene: branches, poles with what they carry, and wires.

Parts of them look like small targets; only that they do not move tells them apart. Levels and positions as in
`utils.synthetic.camera`; every random number comes from the generator passed in.
"""

from __future__ import annotations

import numpy as np

from utils.synthetic.infrared.scenery.scenes import BRIGHTEST, DARKEST

MIN_CONTRAST = 25.0  # levels between a structure and the scene's mean
PIECE_LENGTH = 6.0  # pixels, of a branch or of a wire
MAX_DIVISIONS = 3  # of a branch

Segment = tuple[float, float, float, float, float]  # y, x of both ends, thickness


def add_structures(rng: np.random.Generator, scene: np.ndarray, density: float, shape: tuple[int, int]) -> None:
    """Draw structures into `scene` (Hc, Wc) levels, `density` of them on average in a frame of `shape` (H, W)."""
    middle = float(scene.mean())
    for _ in range(int(rng.poisson(density * scene.shape[1] / shape[1]))):
        bright = rng.uniform() < 0.75
        if bright:
            level = rng.uniform(min(middle + MIN_CONTRAST, BRIGHTEST), BRIGHTEST)
        else:
            level = rng.uniform(DARKEST, max(middle - MIN_CONTRAST, DARKEST))
        make = (_branch, _branch, _pole, _wire)[int(rng.integers(4))]
        for segment in make(rng, scene.shape):
            _draw(scene, segment, level)


def _draw(scene: np.ndarray, segment: Segment, level: float) -> None:
    """Blend a straight piece into the scene, its edges soft over a pixel."""
    y1, x1, y2, x2, thickness = segment
    reach = thickness / 2 + 1.5
    top, left = (max(int(np.floor(min(pair) - reach)), 0) for pair in ((y1, y2), (x1, x2)))
    bottom, right = (
        min(int(np.ceil(max(pair) + reach)) + 1, size)
        for pair, size in zip(((y1, y2), (x1, x2)), scene.shape, strict=True)
    )
    if bottom <= top or right <= left:
        return
    y, x = np.mgrid[top:bottom, left:right].astype(float)
    length = max((y2 - y1) ** 2 + (x2 - x1) ** 2, 1e-9)
    along = np.clip(((y - y1) * (y2 - y1) + (x - x1) * (x2 - x1)) / length, 0, 1)
    distance = np.hypot(y - y1 - along * (y2 - y1), x - x1 - along * (x2 - x1))
    cover = np.clip(thickness / 2 + 0.5 - distance, 0, 1) * min(thickness, 1.0)
    part = scene[top:bottom, left:right]
    part += cover * (level - part)


def _branch(rng: np.random.Generator, shape: tuple[int, int]) -> list[Segment]:
    """A branch that grows from below or from a side, bends, tapers and divides."""
    size = min(shape)
    if rng.uniform() < 0.7:
        start, heading = (float(shape[0]), rng.uniform(0, shape[1])), rng.normal(-np.pi / 2, 0.5)
    else:
        left = rng.uniform() < 0.5
        start = (rng.uniform(0.2, 1) * shape[0], 0.0 if left else float(shape[1]))
        heading = rng.normal(-0.4 if left else np.pi + 0.4, 0.4)
    found: list[Segment] = []
    _grow(rng, found, start, heading, size * rng.uniform(0.15, 0.6), rng.uniform(1.0, 5.0), MAX_DIVISIONS)
    return found


def _grow(
    rng: np.random.Generator,
    found: list[Segment],
    start: tuple[float, float],
    heading: float,
    length: float,
    thickness: float,
    depth: int,
) -> None:
    y, x = start
    pieces = max(int(length / PIECE_LENGTH), 1)
    for piece in range(pieces):
        heading += rng.normal(0, 0.12)
        width = max(thickness * (1 - 0.7 * piece / pieces), 0.6)
        end = y + PIECE_LENGTH * np.sin(heading), x + PIECE_LENGTH * np.cos(heading)
        found.append((y, x, *end, width))
        y, x = end
        if depth > 1 and rng.uniform() < 0.2:
            _grow(
                rng,
                found,
                end,
                heading + rng.choice([-1, 1]) * rng.uniform(0.3, 0.9),
                (length - piece * PIECE_LENGTH) * rng.uniform(0.4, 0.8),
                0.7 * width,
                depth - 1,
            )


def _pole(rng: np.random.Generator, shape: tuple[int, int]) -> list[Segment]:
    """A mast, chimney or lamp from below, perhaps with bars and knobs."""
    foot = rng.uniform(0, shape[1])
    top = shape[0] * (1 - rng.uniform(0.15, 0.8))
    head = foot + (shape[0] - top) * rng.normal(0, 0.05)
    thickness = rng.uniform(1.0, 6.0)
    found: list[Segment] = [(float(shape[0]), foot, top, head, thickness)]
    for _ in range(int(rng.integers(0, 4))):
        down = rng.uniform(0, 0.4) * (shape[0] - top)
        y, x = top + down, head + (foot - head) * down / (shape[0] - top)
        half = rng.uniform(2, 10)
        found.append((y, x - half, y, x + half, rng.uniform(1, 3)))
        if rng.uniform() < 0.5:
            knob = x + half * rng.choice([-1, 1])
            found.append((y, knob, y + 1, knob, rng.uniform(2, 5)))
    return found


def _wire(rng: np.random.Generator, shape: tuple[int, int]) -> list[Segment]:
    """A wire right across the scene that sags between its ends."""
    ends, sag = rng.uniform(0, shape[0], 2), rng.uniform(0, 0.15) * shape[0]
    across = np.linspace(0, 1, max(int(shape[1] / PIECE_LENGTH), 2))
    y = ends[0] + (ends[1] - ends[0]) * across + 4 * sag * across * (1 - across)
    x, thickness = across * shape[1], rng.uniform(0.5, 2.0)
    return [(y[i], x[i], y[i + 1], x[i + 1], thickness) for i in range(len(across) - 1)]
