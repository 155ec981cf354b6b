"""How the platform drifts and what its sensor makes of the light: illumination, noise, whole grey levels."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from utils.synthetic.camera import SPLINE_BORDER, Camera, camera_path
from utils.system.packages.late import ndimage

GRAIN = 0.65  # deviation of the blur that recorders leave in the noise, pixels
SLIP = (0.6, 2.0)  # pixels


def platform_path(rng: np.random.Generator, frames: int, drift: float, jitter: float, slips: float) -> Camera:
    """A stabilised view that drifts by up to `drift` pixels a frame and trembles by up to `jitter` pixels rms.

    At a share `slips` of the frames it jumps and stays where it is then.
    """
    camera = camera_path(rng, frames, drift, jitter)
    angle, jump = rng.uniform(0, 2 * np.pi, frames), rng.uniform(*SLIP, frames) * (rng.uniform(size=frames) < slips)
    position = camera.position + np.cumsum(np.stack([jump * np.sin(angle), jump * np.cos(angle)], axis=1), axis=0)
    return replace(camera, position=position + SPLINE_BORDER - position.min(axis=0))


@dataclass(frozen=True)
class Recorder:
    """A sensor.

    Noise variance at level v is `read`² + `shot`²·v; `gain` (T,): of the illumination in each frame.
    """

    read: float
    shot: float
    gain: np.ndarray

    @classmethod
    def draw(cls, rng: np.random.Generator, frames: int, noise: float, flicker: float) -> Recorder:
        """One at random.

        Args:
            rng: decides on it.
            frames: that it records.
            noise: factor on the noise, which is 3 to 6 levels at middle grey.
            flicker: factor on changes of the illumination, about 1 % in a second and 0.3 % from frame to frame.
        """
        slow = 0.01 * np.sin(np.arange(frames) / rng.uniform(5, 20) + rng.uniform(0, 2 * np.pi))
        gain = 1 + flicker * (slow + rng.normal(0, 0.003, frames))
        return cls(noise * rng.uniform(2.0, 4.5), noise * rng.uniform(0.15, 0.5), gain)

    def record(self, rng: np.random.Generator, levels: np.ndarray, frame: int) -> np.ndarray:
        """What is recorded (H, W) uint8 of the `levels` (H, W) that the optics deliver."""
        grain = ndimage.gaussian_filter(rng.standard_normal(levels.shape), GRAIN)
        grain *= 2 * np.sqrt(np.pi) * GRAIN  # about unit variance again
        levels = levels * self.gain[frame]
        levels += np.sqrt(self.read**2 + self.shot**2 * np.maximum(levels, 0)) * grain
        return np.clip(np.rint(levels), 0, 255).astype(np.uint8)
