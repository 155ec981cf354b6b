"""Light of unresolved points as the sensor gathers it: through the optics first, over pixels then.

Positions are (y, x) in pixels, pixel centres at whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from utils.synthetic.camera import Camera
from utils.system.packages.late import special

REACH_PX = 4  # around a point, which holds all of its light that counts


def pixel_profile(centres: np.ndarray, start: int | np.ndarray, size: int, psf: float) -> np.ndarray:
    """A Gaussian around each of the P centres, integrated over each of `size` pixels from `start`: (P, size)."""
    edges = np.asarray(start)[..., None] - 0.5 + np.arange(size + 1)
    return np.diff(0.5 * special.erf((edges - centres[:, None]) / (np.sqrt(2) * psf)), axis=1)


def paint_points(image: np.ndarray, places: np.ndarray, peaks: np.ndarray, psf: float) -> None:
    """Add points to `image` (H, W).

    Args:
        image: changed in place.
        places: (P, 2), where they are; those outside leave in the image what the optics spread into it.
        peaks: (P,), what a point in the middle of a pixel adds to that pixel.
        psf: standard deviation of the optics' blur, pixels; at most 1, or light is cut off.
    """
    height, width = image.shape
    first = np.rint(places).astype(int) - REACH_PX
    near = ((first > -2 * REACH_PX - 1) & (first < (height, width))).all(axis=1)
    first, places, peaks = first[near], places[near], peaks[near]
    size = 2 * REACH_PX + 1
    rows, columns = (pixel_profile(places[:, axis], first[:, axis], size, psf) for axis in (0, 1))
    full = pixel_profile(np.zeros(1), 0, 1, psf)[0, 0] ** 2
    light = peaks[:, None, None] / full * rows[:, :, None] * columns[:, None, :]
    y, x = (first[:, axis, None] + np.arange(size) for axis in (0, 1))
    y, x = np.broadcast_arrays(y[:, :, None], x[:, None, :])
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    np.add.at(image, (y[inside], x[inside]), light[inside])


@dataclass(frozen=True)
class PointLights:
    """Points that shine in a scene: stars, facets of waves towards the sun.

    `places` (P, 2) in the scene; `drift` (y, x): pixels a frame by which all move through it; `peaks` (T, P): levels
    that each adds to its pixel, 0 while it does not shine.
    """

    places: np.ndarray
    peaks: np.ndarray
    drift: tuple[float, float] = (0.0, 0.0)

    def seen(self, camera: Camera, shape: tuple[int, int], psf: float) -> np.ndarray:
        """Their light (T, H, W), blurred by the pan during the exposure."""
        light = np.zeros((len(camera.position), *shape))
        for index, image in enumerate(light):
            shining = self.peaks[index] > 0
            places = self.places[shining] + index * np.asarray(self.drift) - camera.position[index]
            smear = (np.asarray(self.drift) - camera.velocity[index]) * camera.exposure
            steps = 1 + 2 * int(np.ceil(np.abs(smear).max()))
            for step in (np.arange(steps) - (steps - 1) / 2) / steps:
                paint_points(image, places + step * smear, self.peaks[index][shining] / steps, psf)
        return light
