"""From what the optics deliver to what is recorded: changing illumination, noise, whole grey levels."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

GRAIN = 0.65  # deviation of the blur that recorders leave in the noise, pixels


def record(rng: np.random.Generator, clip: np.ndarray, noise: float, flicker: float) -> np.ndarray:
    """Levels (T, H, W) → recorded frames (T, H, W) uint8.

    Args:
        rng: makes the noise.
        clip: what the optics deliver.
        noise: factor on the noise, which has 3 to 6 levels at middle grey and grows with the light.
        flicker: factor on how much the illumination changes, about 1 % in a second and 0.3 % from frame to frame.
    """
    time = np.arange(len(clip))
    slow = 0.01 * np.sin(time / rng.uniform(5, 20) + rng.uniform(0, 2 * np.pi))
    gain = 1 + flicker * (slow + rng.normal(0, 0.003, len(clip)))
    read, shot = noise * rng.uniform(2.0, 4.5), noise * rng.uniform(0.15, 0.5)
    grain = ndimage.gaussian_filter(rng.standard_normal(clip.shape), (0, GRAIN, GRAIN))
    grain *= 2 * np.sqrt(np.pi) * GRAIN  # of unit variance again
    levels = clip * gain[:, None, None] + np.sqrt(read**2 + shot**2 * np.maximum(clip, 0)) * grain
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)
