"""Skies: broken clouds that drift before a clear sky, and stars at night.

Clouds are thresholded and shaded by textures whose variance falls with scale as it was measured in nature:

- The density whose border is the cloud's has increments that grow with distance to the power 0.65: then its contours,
  of fractal dimension 2 - 0.65 = 1.35, are as ragged as clouds' (S. Lovejoy, "Area-perimeter relation for rain and
  cloud areas", Science 216, 1982).
- The light of the body has a power spectrum (along a line) that falls with wavenumber to the power -5/3 at large scales
  and -3 below a break at some 200 m, where light scattered to and fro smooths it (R. Cahalan and J. Snider, "Marine
  stratocumulus structure", Remote Sensing of Environment 28, 1989; A. Davis et al., "The Landsat scale break in
  stratocumulus as a three-dimensional radiative transfer effect", J. Atmospheric Sciences 54, 1997). A camera of 1 mrad
  a pixel sees 200 m at 5 km as 40 pixels.

Light from behind passes thin rims best, so that a cloud in the sun is brightest at its edges, on the sun's side above
all; one that only glows by its own warmth is not.
"""

from __future__ import annotations

import numpy as np

from utils.synthetic.camera import Camera, Layer, Scene
from utils.synthetic.infrared.optics import PointLights
from utils.synthetic.infrared.scenery.scenes import bend_levels, clear_sky, soft_step
from utils.synthetic.textures import fractal, smooth_noise
from utils.system.packages.late import ndimage

EDGE_ROUGHNESS = 0.65  # of the density: contours of fractal dimension 2 - 0.65
WIDE_SLOPE, NARROW_SLOPE = 5 / 3, 3.0  # of the body's spectrum above and below the break
BREAK_PX = 20.0, 60.0  # wavelength of the break
WAVELENGTH = 4.0  # of an octave, by the distance of the knots it is made of
FINEST_PX = 1.5
LIT_SHARE = 0.6  # of skies whose clouds are lit by the sun
FLUX_SLOPE = 1.5  # stars brighter than F are F^-1.5 as many: stars alike, evenly spread in space
MAX_STAR = 100.0  # levels


def broken_power_law(
    rng: np.random.Generator, shape: tuple[int, int], coarse: float, stretch: tuple[float, float]
) -> np.ndarray:
    """A texture (H, W) of about unit variance with the two slopes of a cloud's light, knots from `coarse` pixels on."""
    middle = float(np.exp(rng.uniform(*np.log(BREAK_PX))))
    total, power, scale = np.zeros(shape), 0.0, coarse
    while scale >= FINEST_PX:
        slope = WIDE_SLOPE if WAVELENGTH * scale > middle else NARROW_SLOPE
        amplitude = (WAVELENGTH * scale / middle) ** ((slope - 1) / 2)  # an octave's variance is wavenumber x spectrum
        total += amplitude * smooth_noise(rng, shape, (scale * stretch[0], scale * stretch[1]))
        power += amplitude**2
        scale /= 2
    return total / np.sqrt(power)


def opacity(density: np.ndarray, depth: float) -> np.ndarray:
    """What a cloud hides of the sky behind it, 0 to 1, by the law of Lambert and Beer.

    Args:
        density: of any shape; there is a cloud where it is above 0.
        depth: optical depth where it is 1.
    """
    return 1 - np.exp(-depth * np.maximum(density, 0))


def lit_rim(density: np.ndarray, cover: np.ndarray, sun: float) -> np.ndarray:
    """How much light comes through a cloud's rim: (H, W), 1 where it half covers the sky on the sun's side.

    Args:
        density: (H, W) of the cloud, which grows towards its inside.
        cover: (H, W), 0 to 1.
        sun: direction in the picture, radians from x to y.
    """
    y, x = np.gradient(ndimage.gaussian_filter(density, 2.0))
    towards = -(np.sin(sun) * y + np.cos(sun) * x) / np.maximum(np.hypot(y, x), 1e-9)
    return 4 * cover * (1 - cover) * (0.6 + 0.4 * towards)


def _clouds(rng: np.random.Generator, shape: tuple[int, int], size: int) -> tuple[np.ndarray, np.ndarray]:
    """Brightness over the sky, about 0 to 2, and cover of a layer of broken clouds with ragged edges."""
    stretch = (1.0, rng.uniform(1.0, 2.5))
    density = fractal(rng, shape, size * rng.uniform(0.2, 0.8), FINEST_PX, EDGE_ROUGHNESS, stretch)
    density = density + rng.uniform(-0.9, 0.6)
    cover = opacity(density, rng.uniform(1.0, 6.0))
    body = broken_power_law(rng, shape, size * rng.uniform(0.3, 1.0), stretch)
    light = rng.uniform(0.4, 0.9) + rng.uniform(0.0, 0.3) * density + rng.uniform(0.1, 0.5) * body
    if rng.uniform() < LIT_SHARE:
        rim = lit_rim(density, cover, rng.uniform(0, 2 * np.pi))
        light = light + rng.uniform(0.4, 1.6) * rim * (1 + 0.3 * fractal(rng, shape, 12, FINEST_PX, 0.3))
    return light, cover


def _veil(rng: np.random.Generator, shape: tuple[int, int], size: int) -> tuple[np.ndarray, np.ndarray]:
    """The same of high thin clouds in long fibres."""
    stretch = (1.0, rng.uniform(2.0, 4.0))
    cover = soft_step(fractal(rng, shape, size * rng.uniform(0.15, 0.4), 2, 0.8, stretch) - 0.2, 2.5)
    return np.full(shape, rng.uniform(0.3, 0.8)), rng.uniform(0.1, 0.5) * cover


def cloudy_sky(rng: np.random.Generator, camera: Camera, shape: tuple[int, int], psf: float) -> Scene:
    """Broken clouds, in half of the skies below a thin veil, each drifting at its own pace before a clear sky.

    Args:
        rng: decides on everything.
        camera: its path.
        shape: (H, W) of a frame.
        psf: the optics' blur, pixels: clouds' edges are blurred by it before they are sampled.
    """
    wind, size = rng.normal(0, 0.3, 2), min(shape)
    makers = [_veil, _clouds] if rng.uniform() < 0.5 else [_clouds]
    paths = [camera.over_drifting(wind * share) for share in (0.4, 1.0)[-len(makers) :]]
    layers = [(*make(rng, path.canvas(shape), size), path) for make, path in zip(makers, paths, strict=True)]
    sky = 0.5 * clear_sky(rng, camera.canvas(shape))
    picture = sky[: shape[0], : shape[1]]
    for light, cover, _ in layers:
        part = slice(0, shape[0]), slice(0, shape[1])
        picture = picture * (1 - cover[part]) + light[part] * cover[part]
    gain = float(np.exp(rng.uniform(np.log(6), np.log(45)))) / max(float(picture.std()), 0.15)
    gain *= rng.choice([1.0, 1.0, 1.0, -1.0], p=[0.3, 0.3, 0.3, 0.1])
    middle, offset = rng.uniform(40, 150), float(picture.mean())

    def to_levels(brightness: np.ndarray) -> np.ndarray:
        return bend_levels(middle + gain * (brightness - offset))

    return Scene(
        "clouds",
        to_levels(sky),
        layers=tuple(
            Layer(ndimage.gaussian_filter(to_levels(light), psf), ndimage.gaussian_filter(cover, psf), path)
            for light, cover, path in layers
        ),
    )


def night_sky(
    rng: np.random.Generator, camera: Camera, shape: tuple[int, int], noise: float
) -> tuple[Scene, PointLights]:
    """A dark, nearly even sky and the stars in it, which twinkle a little and move with it.

    Args:
        rng: decides on everything.
        camera: its path.
        shape: (H, W) of a frame.
        noise: standard deviation of the sensor's noise; the faintest stars are two to four of it bright.
    """
    canvas, frames = camera.canvas(shape), len(camera.position)
    sky = clear_sky(rng, canvas)
    fixed = bend_levels(rng.uniform(15, 70) + rng.uniform(1, 6) * (sky - sky.mean()) / max(sky.std(), 1e-9))
    density = float(np.exp(rng.uniform(np.log(4), np.log(60)))) / (shape[0] * shape[1])
    count = int(rng.poisson(density * canvas[0] * canvas[1]))
    places = rng.uniform(0, 1, (count, 2)) * canvas
    flux = noise * rng.uniform(2, 4) * rng.uniform(0.0, 1.0, count) ** (-1 / FLUX_SLOPE)
    twinkle = np.exp(rng.uniform(0, 0.2) * rng.standard_normal((frames, count)))
    heading, pace = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.05)
    drift = (pace * np.sin(heading), pace * np.cos(heading))
    return Scene("stars", fixed), PointLights(places, np.minimum(flux * twinkle, MAX_STAR), drift)
