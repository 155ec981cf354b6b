"""Smooth random textures, and the cubic splines that they and moving cameras are made of.

Everything is float64 arithmetic element by element (no FFT, no matrix products), and every random number comes from the
generator passed in, so that a texture is the same on every machine. Positions are (y, x) in pixels.
"""

from __future__ import annotations

import numpy as np


def _weights(position: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
    """First knot and the four cubic B-spline weights at each position."""
    knot = np.floor(position).astype(int)
    f = position - knot
    return knot - 1, [(1 - f) ** 3 / 6, (3 * f**3 - 6 * f**2 + 4) / 6, (-3 * f**3 + 3 * f**2 + 3 * f + 1) / 6, f**3 / 6]


def spline(coefficients: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The cubic B-spline with the given coefficients at every pair of `rows` (H,) and `columns` (W,): (H, W)."""
    knot, weights = _weights(rows)
    top = sum(w[:, None] * coefficients[knot + i] for i, w in enumerate(weights))
    knot, weights = _weights(columns)
    return sum(w * top[:, knot + i] for i, w in enumerate(weights))


def smooth_noise(rng: np.random.Generator, shape: tuple[int, int], scale: tuple[float, float]) -> np.ndarray:
    """Gaussian noise of unit variance that varies over about `scale` (y, x) pixels: (H, W)."""
    rows, columns = (1 + rng.uniform() + np.arange(size) / step for size, step in zip(shape, scale, strict=True))
    grid = rng.standard_normal((int(rows[-1]) + 3, int(columns[-1]) + 3))
    return spline(grid, rows, columns) / 0.4794  # mean squared weight of a cubic B-spline: 151/315 in each direction


def fractal(
    rng: np.random.Generator,
    shape: tuple[int, int],
    coarse: float,
    fine: float = 1.5,
    roughness: float = 0.7,
    stretch: tuple[float, float] = (1.0, 1.0),
    billow: bool = False,
) -> np.ndarray:
    """Octaves of smooth noise, of about unit variance together.

    Args:
        rng: makes the noise.
        shape: (H, W).
        coarse: scale of the first octave in pixels; each further one has half that of the one before.
        fine: scale of the last octave, in pixels.
        roughness: an octave's amplitude is proportional to its scale to this power.
        stretch: factors on the scale in y and x.
        billow: fold each octave, which gives the puffs of cumulus and the crests of waves.
    """
    total, power, scale = np.zeros(shape), 0.0, coarse
    while scale >= fine:
        octave = smooth_noise(rng, shape, (scale * stretch[0], scale * stretch[1]))
        if billow:
            octave = (np.abs(octave) - 0.798) / 0.603  # mean and deviation of |N(0, 1)|
        total += octave * scale**roughness
        power += scale ** (2 * roughness)
        scale /= 2
    return total / np.sqrt(power)
