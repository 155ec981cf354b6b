"""A sea in the sun: facets of waves that flash where they happen to mirror it.

How steep waves are is a Gaussian (C. Cox and W. Munk, "Measurement of the roughness of the sea surface from photographs
of the sun's glitter", J. Optical Society of America 44, 1954), so facets are densest below the sun and rarer to both
sides, in a band that widens towards the viewer.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from utils.synthetic.camera import Camera, Scene
from utils.synthetic.infrared.optics import PointLights
from utils.synthetic.infrared.scenery.scenes import Sea, sea_scene

MAX_FLASH = 110.0  # levels
FACETS = 8.0, 90.0  # that shine at once in a frame of 256x256
LIFE_FRAMES = 1.0, 4.0  # mean of how long one shines, at 25 frames a second
PEAK_SLOPE = 1.6  # flashes brighter than L are L^-1.6 as many
LONGEST = 3  # points in a row, of a facet that is seen at a slant


def glittering_sea(
    rng: np.random.Generator, camera: Camera, shape: tuple[int, int], noise: float
) -> tuple[Scene, PointLights, Sea]:
    """A sea and its glint.

    Args:
        rng: decides on everything.
        camera: its path.
        shape: (H, W) of a frame.
        noise: standard deviation of the sensor's noise, from three of which on flashes are bright.

    Returns:
        The scene, the facets, none of them above the horizon, and where the sea is.
    """
    canvas, frames = camera.canvas(shape), len(camera.position)
    scene, sea = sea_scene(rng, canvas)
    top = float(np.clip(sea.horizon + 1, 0, canvas[0]))
    life = rng.uniform(*LIFE_FRAMES)
    at_once = float(np.exp(rng.uniform(*np.log(FACETS)))) * canvas[0] * canvas[1] / 256**2
    count = int(rng.poisson(at_once * (1 + (frames - 1) / life)))
    depth = rng.uniform(0, 1, count) ** 1.5  # denser towards the horizon, where a pixel holds more waves
    azimuth = np.clip(sea.azimuth, 0, canvas[1])
    x = azimuth + sea.width * (0.5 + 0.7 * depth) * rng.standard_normal(count)
    y = top + depth * (canvas[0] - top)
    start = rng.uniform(-life, frames, count)
    lasts = np.maximum(rng.exponential(life, count), 0.5)
    peak = noise * 3 * rng.uniform(0, 1, count) ** (-1 / PEAK_SLOPE)
    time = np.arange(frames)[:, None]
    shine = np.clip(np.minimum(time + 1, start + lasts) - np.maximum(time, start), 0, 1)  # share of the frame's time
    peaks = np.minimum(peak, MAX_FLASH) * shine
    width = rng.integers(1, LONGEST + 1, count)
    rows = [(np.stack([y, x + step], axis=1)[width > step], peaks[:, width > step]) for step in range(LONGEST)]
    lights = PointLights(np.concatenate([place for place, _ in rows]), np.concatenate([p for _, p in rows], axis=1))
    return replace(scene, kind="glint"), lights, sea
