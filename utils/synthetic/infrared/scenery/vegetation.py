"""Trees that sway: crowns with gaps, through which what is behind comes and goes.

Trees sway at a few tenths of a hertz (J. Moore and D. Maguire, "Natural sway frequencies and damping ratios of trees",
Trees 18, 2004), branches at 1 to 3, the more the higher above the ground.
"""

from __future__ import annotations

import numpy as np

from utils.synthetic.camera import Camera, Layer, Scene, Sway
from utils.synthetic.infrared.scenery.scenes import bend_levels, clear_sky, soft_step
from utils.synthetic.textures import fractal, smooth_noise
from utils.system.packages.late import ndimage

FRAME_RATE = 25.0  # frames a second
SWAY_HZ = 0.2, 3.0
MAX_REACH_PX = 0.3, 4.0  # of the highest twigs


def _crowns(rng: np.random.Generator, shape: tuple[int, int], size: int) -> tuple[np.ndarray, np.ndarray]:
    """Where trees are, as a cover (H, W), and the height above the lower border that a tree has there, 0 to 1."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    inside = np.full(shape, -np.inf)
    for _ in range(int(rng.integers(2, 8))):
        radius = size * rng.uniform(0.1, 0.35)
        middle = shape[0] - rng.uniform(0.1, 0.75) * size, rng.uniform(-0.1, 1.1) * shape[1]
        crown = 1 - np.hypot((y - middle[0]) / (radius * rng.uniform(0.9, 1.8)), (x - middle[1]) / radius)
        trunk = 0.3 - np.abs(x - middle[1]) / max(0.03 * size, 1) - np.maximum(middle[0] - y, 0) / size
        inside = np.maximum(inside, np.maximum(crown, trunk))
    twigs = fractal(rng, shape, size / 8, 1.5, 0.35, (1.3, 0.9))
    edge = fractal(rng, shape, size / 4, 4, 0.6)
    dense = rng.uniform(0.6, 2.0)  # how few gaps there are
    cover = soft_step(dense * inside + 0.25 * edge * dense + rng.uniform(0.3, 0.8) * twigs + 0.1, 0.5)
    return cover, np.clip((shape[0] - y) / size, 0, 1)


def swaying_trees(rng: np.random.Generator, camera: Camera, shape: tuple[int, int], psf: float) -> Scene:
    """One or two rows of trees before a sky with a hill.

    Args:
        rng: decides on everything.
        camera: its path.
        shape: (H, W) of a frame.
        psf: the optics' blur, pixels: trees are blurred by it before they are sampled.
    """
    canvas, size, frames = camera.canvas(shape), min(shape), len(camera.position)
    wind, contrast = rng.uniform(0.2, 1), float(np.exp(rng.uniform(np.log(12), np.log(50))))
    sky = clear_sky(rng, canvas)
    ridge = canvas[0] - size * (rng.uniform(-0.1, 0.5) + 0.08 * smooth_noise(rng, (1, canvas[1]), (1, size / 3)))
    hill = soft_step(np.arange(canvas[0])[:, None] - ridge, 1.5)
    ground = rng.normal(0.6, 0.5) + 0.35 * fractal(rng, canvas, size / 4, 1.5, 0.5, (0.7, 1.4))
    middle = rng.uniform(50, 140)
    fixed = sky * (1 - hill) + ground * hill
    polarity = rng.choice([1.0, -1.0], p=[0.7, 0.3])  # trees are warmer than the sky, by day colder than a warm haze
    layers = []
    for _ in range(int(rng.integers(1, 3))):
        cover, height = _crowns(rng, canvas, size)
        leaves = rng.normal(0.9, 0.4) + rng.uniform(0.1, 0.6) * fractal(rng, canvas, 14, 1.5, 0.3, billow=True)
        period = FRAME_RATE / np.exp(rng.uniform(*np.log(SWAY_HZ)))
        gust = 0.6 + 0.4 * np.sin(2 * np.pi * np.arange(frames) / rng.uniform(30, 120) + rng.uniform(0, 2 * np.pi))
        sway = Sway(
            wind * rng.uniform(*MAX_REACH_PX) * height**1.5,
            2.0 * smooth_noise(rng, canvas, (size / 5, size / 5)),
            float(2 * np.pi / period),
            gust,
        )
        levels = bend_levels(middle + polarity * contrast * leaves)
        layers.append(Layer(ndimage.gaussian_filter(levels, psf), ndimage.gaussian_filter(cover, psf), camera, sway))
    fixed = ndimage.gaussian_filter(bend_levels(middle + contrast * (fixed - 0.5)), psf)
    return Scene("trees", fixed, layers=tuple(layers))
