"""What a car looks like from above through the optics, and the box around it. Positions are (y, x), in pixels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from utils.system.packages.late import special

MIN_WIDTH = 2.0  # pixels of the narrowest car
BOX_MARGIN = 0.5  # pixels on each side of a car that the optics blur it over
GLASS = ((0.12, 0.27), (-0.38, -0.27))  # windscreen and rear window, shares of the length before the middle
SHADOW_LEVEL = 0.6  # what a car's shadow leaves of the light
DARKEST = 8.0  # level of the darkest paint


@dataclass(frozen=True)
class Car:
    """A car of `length` and `width` pixels, whose paint is `contrast` levels brighter than the road (< 0: darker)."""

    length: float
    width: float
    contrast: float

    @classmethod
    def draw(cls, rng: np.random.Generator, length: float, contrast: tuple[float, float], dark_share: float) -> Car:
        """One of a given length, faint or clear within `contrast`, mostly in between, bright or dark."""
        width = max(length * (rng.uniform(0.4, 0.48) if length < 8 else rng.uniform(0.33, 0.4)), MIN_WIDTH)
        sign = -1 if rng.uniform() < dark_share else 1
        return cls(length, width, sign * float(contrast[0] + (contrast[1] - contrast[0]) * rng.beta(1.5, 1.4)))


def _share(start: float, end: float, at: np.ndarray, blur: float) -> np.ndarray:
    """A strip from `start` to `end`, blurred, at the positions `at`."""
    return 0.5 * (special.erf((end - at) / (np.sqrt(2) * blur)) - special.erf((start - at) / (np.sqrt(2) * blur)))


def _window(centre: np.ndarray, reach: float, shape: tuple[int, int]) -> tuple[slice, slice] | None:
    low = np.maximum(np.floor(centre - reach).astype(int), 0)
    high = np.minimum(np.ceil(centre + reach).astype(int) + 1, shape)
    return None if (high <= low).any() else (slice(low[0], high[0]), slice(low[1], high[1]))


def draw_car(
    picture: np.ndarray,
    car: Car,
    centre: np.ndarray,
    heading: np.ndarray,
    psf: float,
    shadow: np.ndarray,
    road: float,
    light: float,
    smear: float = 0.0,
) -> None:
    """Draw a car and its shadow into `picture` (H, W) levels.

    Args:
        picture: changed in place.
        car: what it looks like.
        centre: its middle.
        heading: unit vector.
        psf: deviation of the optics' blur, pixels.
        shadow: where its shadow lies from it, pixels.
        road: level of the road in the light.
        light: share of the sun's light at its place.
        smear: pixels that it goes during the exposure.
    """
    window = _window(centre, car.length / 2 + car.width / 2 + 4 * psf + np.abs(shadow).max() + smear, picture.shape)
    if window is None:
        return
    y, x = (part - at for part, at in zip(np.mgrid[window].astype(float), centre, strict=True))
    blur = (psf**2 + 1 / 12) ** 0.5
    half, side = car.length / 2, car.width / 2
    steps = (0.0,) if smear < 0.5 else (-1 / 3, 0.0, 1 / 3)

    def strip(start: float, end: float, shift: np.ndarray) -> np.ndarray:
        along = (y - shift[0]) * heading[0] + (x - shift[1]) * heading[1]
        across = (y - shift[0]) * heading[1] - (x - shift[1]) * heading[0]
        way = sum(_share(start, end, along - step * smear, blur) for step in steps) / len(steps)
        return way * _share(-side, side, across, blur)

    still = np.zeros(2)
    part = picture[window]
    part *= 1 - (1 - SHADOW_LEVEL) * strip(-half, half, shadow) * light
    body = strip(-half, half, still)
    paint = max(road + car.contrast, DARKEST)  # what is too bright is cut off when it is recorded
    glass = sum(strip(start * car.length, end * car.length, still) for start, end in GLASS)
    level = light * (paint * body + 0.5 * (road - paint) * glass)
    part += level - body * part


def box_of(car: Car, centre: np.ndarray, heading: np.ndarray) -> np.ndarray:
    """The box x1, y1, x2, y2 around a car, its edges blurred by the optics; the pixel (0, 0) reaches from 0 to 1."""
    reach = np.abs(heading) * car.length / 2 + np.abs(heading[::-1]) * car.width / 2 + BOX_MARGIN
    middle = centre + 0.5
    return np.array([middle[1] - reach[1], middle[0] - reach[0], middle[1] + reach[1], middle[0] + reach[0]])
