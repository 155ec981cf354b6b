"""The sensor's imperfections, and what looks like a target in one frame but does not move like one.

Hot and blinking pixels stay where they are on the sensor while the scene pans; glints stay where they are in the scene.
Levels and positions as in `utils.synthetic.camera`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from utils.images.snr import SNR_RING
from utils.synthetic.camera import SPLINE_BORDER, Camera, Scene
from utils.synthetic.infrared.targets import body_of_area, spot
from utils.synthetic.textures import fractal

PSF = 0.55, 0.85  # blur of common optics, pixels (standard deviation)
MAX_BRIGHTNESS = 120.0  # levels that a distractor adds at most, so that few saturate


@dataclass(frozen=True)
class Sensor:
    """The optics' blur and what the sensor adds: noise, a pattern, a drift.

    `psf`: deviation of the optics' blur, pixels; noise variance at level v is `read`² + `shot`·v; `pattern` (H, W):
    what every frame has added to it: columns, rows, pixels and shading; `drift` (T,): slow change of the level.
    """

    psf: float
    read: float
    shot: float
    pattern: np.ndarray
    drift: np.ndarray

    @classmethod
    def draw(
        cls, rng: np.random.Generator, frames: int, shape: tuple[int, int], noise: float, psf: tuple[float, float] = PSF
    ) -> Sensor:
        """A camera at random.

        Args:
            rng: decides on everything.
            frames: T, of its drift.
            shape: (H, W), of its pattern.
            noise: factor on its noise (1: about 1.5 to 3.5 levels, the range of uncooled cameras).
            psf: sharpest and widest blur of its optics, pixels.
        """
        total = noise * rng.uniform(1.4, 3.0)
        shot = rng.uniform(0.1, 0.5)  # share of the noise variance that grows with the signal, at level 100
        columns, rows, pixels = (total * rng.uniform(0, top) for top in (0.5, 0.25, 0.5))
        pattern = (
            columns * rng.standard_normal((1, shape[1]))
            + rows * rng.standard_normal((shape[0], 1))
            + pixels * rng.standard_normal(shape)
            + total * rng.uniform(0, 1.5) * fractal(rng, shape, min(shape) / 2, min(shape) / 4)
        )
        time = np.arange(frames)
        drift = (
            rng.normal(0, 0.04) * time
            + rng.uniform(0, 3) * np.sin(time / rng.uniform(8, 30) + rng.uniform(0, 6))
            + rng.normal(0, 0.15, frames)
        )
        return cls(rng.uniform(*psf), total * (1 - shot) ** 0.5, total**2 * shot / 100, pattern, drift)

    def noise_level(self, level: float) -> float:
        """Standard deviation of the temporal noise at `level`."""
        return float((self.read**2 + self.shot * max(level, 0.0)) ** 0.5)

    def expose(self, rng: np.random.Generator, clip: np.ndarray) -> np.ndarray:
        """Add pattern, drift and temporal noise to what the optics deliver: (T, H, W) → (T, H, W)."""
        deviation = np.sqrt(self.read**2 + self.shot * np.maximum(clip, 0))
        return clip + self.pattern + self.drift[:, None, None] + deviation * rng.standard_normal(clip.shape)


@dataclass
class Distractors:
    """Light (T, H, W) of all distractors, and where they are: pixels on the sensor, glints in the scene (y, x)."""

    light: np.ndarray
    hot: list[list[int]] = field(default_factory=list)
    blinking: list[list[int]] = field(default_factory=list)
    glints: list[list[float]] = field(default_factory=list)

    def places(self) -> dict[str, list[Any]]:
        """The places by kind, as the dataset's annotations hold them."""
        return {"hot": self.hot, "blinking": self.blinking, "glints": self.glints}


def _pixel(rng: np.random.Generator) -> np.ndarray:
    """A defective pixel (3, 3) that leaks into its neighbours, little or as much as the optics spread a real point."""
    leak = rng.choice([0.3, 0.8])
    return np.outer([rng.uniform(0, leak), 1, rng.uniform(0, leak)], [rng.uniform(0, leak), 1, rng.uniform(0, leak)])


def add_pixels(
    rng: np.random.Generator, found: Distractors, count: int, blinking: bool, snr: tuple[float, float], deviation: float
) -> None:
    """Add hot pixels, or pixels that switch on and off at random.

    Args:
        rng: decides where they are and what they look like.
        found: takes up their light and their places.
        count: of them.
        blinking: which of the two kinds.
        snr: they are as bright as targets of such an SNR, from lowest to highest, would be.
        deviation: of the levels around them, which an SNR is a multiple of.
    """
    frames, height, width = found.light.shape
    for _ in range(count):
        y, x = int(rng.integers(1, height - 1)), int(rng.integers(1, width - 1))
        amplitude = min(1.3 * rng.uniform(*snr) * deviation, MAX_BRIGHTNESS)
        on = np.ones(frames)
        if blinking:
            switch = rng.uniform(size=frames) < rng.uniform(0.1, 0.5)
            on = (np.cumsum(switch) + rng.integers(2)) % 2
        found.light[:, y - 1 : y + 2, x - 1 : x + 2] += amplitude * on[:, None, None] * _pixel(rng)
        (found.blinking if blinking else found.hot).append([y, x])


def add_glints(
    rng: np.random.Generator,
    found: Distractors,
    density: float,
    snr: tuple[float, float],
    scene: Scene,
    camera: Camera,
    sensor: Sensor,
    clear: float = 0.0,
) -> None:
    """Add spots that are fixed in the scene, of targets' sizes and sharpness; their brightness comes and goes slowly.

    Args:
        rng: decides where they are and what they look like.
        found: takes up their light and their places.
        density: of them in a frame, on average.
        snr: they are as bright as targets of such an SNR, from lowest to highest, would be.
        scene: what is filmed.
        camera: its path.
        sensor: what it is filmed with.
        clear: standard deviation of the scene around a place, levels, below which there is no spot.
    """
    frames, *shape = found.light.shape
    canvas = scene.fixed.shape
    count = int(rng.poisson(density * canvas[0] * canvas[1] / (shape[0] * shape[1])))
    for _ in range(count):
        place = rng.uniform(SPLINE_BORDER, np.array(canvas) - SPLINE_BORDER)
        blur = float(np.hypot(*camera.velocity.T).mean()) * camera.exposure
        body = body_of_area(rng, float(np.exp(rng.uniform(np.log(2), np.log(40)))), sensor.psf, blur)
        y, x = np.round(place).astype(int)
        around = scene.fixed[max(y - SNR_RING, 0) : y + SNR_RING + 1, max(x - SNR_RING, 0) : x + SNR_RING + 1]
        if around.std() < clear:
            continue
        deviation = (around.var() + sensor.noise_level(around.mean()) ** 2) ** 0.5
        amplitude = min(1.3 * rng.uniform(*snr) * deviation, MAX_BRIGHTNESS)
        pulse = 0.75 + 0.25 * np.sin(2 * np.pi * np.arange(frames) / rng.uniform(20, 80) + rng.uniform(0, 6))
        paths = place - camera.position
        near = ((paths > -2 * SNR_RING) & (paths < np.array(shape) + 2 * SNR_RING)).all(axis=1)
        for index in np.flatnonzero(near):
            seen = spot(body, paths[index], -camera.velocity[index] * camera.exposure, tuple(shape))
            if seen is not None:
                found.light[(index, *seen.window)] += amplitude * pulse[index] * seen.light
        found.glints.append([float(place[0]), float(place[1])])
