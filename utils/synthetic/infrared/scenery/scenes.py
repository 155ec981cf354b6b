"""Infrared backgrounds for synthetic clips: procedural scenes, and one's own pictures.

Levels, positions and how numbers come about are as in `utils.synthetic.camera` and `utils.synthetic.textures`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.images.folders import is_passed_over
from utils.images.image_files import read_picture
from utils.images.picture_roles import find_frames
from utils.synthetic.camera import SPLINE_BORDER, Scene
from utils.synthetic.textures import fractal, spline
from utils.system.errors import UserError
from utils.system.packages.late import ndimage

SCENE_KINDS = ("cloud", "ground", "sea", "building")
PICTURE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}
DARKEST, BRIGHTEST = 8.0, 205.0  # scenes stay inside, so that a target still has room above them


def soft_step(values: np.ndarray, width: float) -> np.ndarray:
    """A soft 0-to-1 step around 0."""
    t = np.clip(values / width + 0.5, 0, 1)
    return t * t * (3 - 2 * t)


def _levels(picture: np.ndarray, middle: float, contrast: float) -> np.ndarray:
    """Scale to the wanted mean and deviation, and bend."""
    return bend_levels(middle + (picture - picture.mean()) * (contrast / max(picture.std(), 1e-9)))


def bend_levels(picture: np.ndarray) -> np.ndarray:
    """Levels inside the range of scenes: what would leave it is bent instead of clipped."""
    half = (BRIGHTEST - DARKEST) / 2
    return DARKEST + half + half * np.tanh((picture - DARKEST - half) / half)


def clear_sky(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Clear sky: warmer towards the horizon, with a breath of haze. About 0 to 1."""
    height = np.linspace(0, 1, shape[0])[:, None]
    return rng.uniform(0.2, 1) * height ** rng.uniform(1, 2) + 0.06 * fractal(rng, shape, shape[1] / 2, 8)


def _cloud(rng: np.random.Generator, shape: tuple[int, int]) -> Scene:
    size = min(shape)
    stretch = (1.0, rng.uniform(1.0, 2.2))
    body = fractal(rng, shape, size * rng.uniform(0.25, 0.6), 2, 0.85, stretch)
    puffs = fractal(rng, shape, size / 8, 1.5, 0.6, stretch, billow=True)
    density = body + rng.uniform(0.1, 0.45) * puffs + rng.uniform(-0.6, 0.6)
    cover = soft_step(density, rng.uniform(0.5, 2.2))
    lit = 0.7 + 0.18 * body - 0.2 * puffs + 0.25 * fractal(rng, shape, size / 4, 1.5, 0.7, stretch)
    picture = 0.5 * clear_sky(rng, shape) * (1 - cover) + rng.choice([1.0, 1.0, 1.0, -0.6]) * cover * lit
    veil = fractal(rng, shape, size / 3, 4, 1.0, (1.0, 2.5))
    contrast = rng.uniform(10, 34)
    drift = tuple(rng.normal(0, 0.25, 2))
    picture = _levels(picture, rng.uniform(45, 150), contrast)
    return Scene("cloud", picture, 0.1 * contrast * rng.uniform() * veil, drift)


def _regions(rng: np.random.Generator, shape: tuple[int, int], count: int) -> np.ndarray:
    """Labels (H, W) of `count` fields with uneven borders: the nearest of random seeds, in bent coordinates."""
    size = min(shape)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    y += fractal(rng, shape, size / 4, 3) * size * 0.05
    x += fractal(rng, shape, size / 4, 3) * size * 0.08
    seeds = rng.uniform(0, 1, (count, 2)) * shape
    distance = [(1.8 * (y - sy)) ** 2 + (x - sx) ** 2 for sy, sx in seeds]  # fields seen at a slant lie flat
    return np.argmin(distance, axis=0)


def _ground(rng: np.random.Generator, shape: tuple[int, int]) -> Scene:
    size = min(shape)
    count = int(rng.integers(5, 12))
    field = _regions(rng, shape, count)
    heat, rough = rng.normal(0, 0.8, count), rng.uniform(0.1, 0.7, count)
    trees = fractal(rng, shape, 10, 1.5, 0.2, (1.6, 0.8), billow=True)
    picture = heat[field] + rough[field] * trees + 0.6 * fractal(rng, shape, size / 3, 1.5, 0.6)
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    for _ in range(rng.integers(0, 4)):
        bend = rng.uniform(5, 20) * np.sin(x / rng.uniform(30, 90) + rng.uniform(0, 6))
        across = y - rng.uniform(0, shape[0]) - rng.uniform(-0.8, 0.8) * (x - shape[1] / 2) - bend
        track = soft_step(rng.uniform(1.0, 3.5) - np.abs(across), 1.5)
        picture = picture * (1 - track) + track * (rng.choice([-1.4, 1.4, 2.2]) + 0.15 * trees)
    # Outcrops are larger than targets: spots of a target's size are glints, whose density is the caller's choice.
    rocks = soft_step(fractal(rng, shape, 24, 6, 0.6) + fractal(rng, shape, size / 3, 12) - rng.uniform(1.9, 3.0), 0.4)
    picture = picture + rocks * rng.uniform(1.0, 3.0)
    for _ in range(rng.integers(0, 5)):
        _house(rng, picture)
    return Scene("ground", _levels(ndimage.gaussian_filter(picture, 0.5), rng.uniform(50, 150), rng.uniform(9, 28)))


def _house(rng: np.random.Generator, picture: np.ndarray) -> None:
    """Draw one low building with a warm roof into `picture`."""
    height, width = rng.integers(4, 9), rng.integers(6, 20)
    top, left = rng.integers(0, picture.shape[0] - height), rng.integers(0, max(1, picture.shape[1] - width))
    picture[top : top + height, left : left + width] = rng.uniform(-1.5, 2.0)
    picture[top : top + height // 2, left : left + width] += rng.uniform(0.3, 1.5)


@dataclass(frozen=True)
class Sea:
    """Where the sea is in a scene and the sun above it: the row of the horizon, the column of the sun's azimuth.

    `width`: of the glitter below the sun, pixels (standard deviation).
    """

    horizon: int
    azimuth: float
    width: float


def sea_scene(rng: np.random.Generator, shape: tuple[int, int]) -> tuple[Scene, Sea]:
    """A sea with waves and perhaps a horizon, of `shape` (Hc, Wc)."""
    size = min(shape)
    horizon = int(shape[0] * rng.uniform(-0.3, 0.55))
    below = np.maximum(np.arange(shape[0]) - horizon, 0.0)[:, None]
    depth = below / shape[0]
    # Waves look longer and taller the nearer they are: mix a fine and a coarse field by distance from the horizon.
    near, far = (
        fractal(rng, shape, coarse, 1.2, 0.45, (1.0, rng.uniform(2.5, 5.0)), billow=True) for coarse in (10, 3.5)
    )
    mix = np.clip(depth * 1.6, 0, 1)
    waves = (near * mix + far * (1 - mix)) * (0.35 + 0.65 * np.sqrt(depth))
    swell = fractal(rng, shape, size / 3, 8, 1.0, (0.5, 2.5))
    azimuth, width = shape[1] * rng.uniform(-0.2, 1.2), size * rng.uniform(0.12, 0.4)
    column = (np.arange(shape[1]) - azimuth) / width
    glitter = np.exp(-0.5 * column**2)[None] * rng.choice([0.0, 1.0, 2.0])
    sea = 0.8 * waves + 0.35 * swell + glitter * (0.6 + np.maximum(waves, 0) ** 2) - 1.2 * depth
    sky = (
        2.2 * (clear_sky(rng, shape) - 0.9)
        + rng.uniform(-0.5, 2.0)
        + 0.2 * fractal(rng, shape, size / 3, 3, 0.9, (1, 3))
    )
    picture = np.where(below > 0, sea, sky)
    ripples = fractal(rng, shape, 6, 1.5, 0.4, (1.0, 3.0)) * (below > 0)
    contrast = rng.uniform(8, 22)
    drift = (rng.normal(0, 0.1), rng.normal(0, 0.6))
    scene = Scene(
        "sea",
        _levels(ndimage.gaussian_filter(picture, 0.5), rng.uniform(45, 140), contrast),
        ripples * contrast * rng.uniform(0.05, 0.2),
        drift,
    )
    return scene, Sea(horizon, azimuth, width)


def _sea(rng: np.random.Generator, shape: tuple[int, int]) -> Scene:
    return sea_scene(rng, shape)[0]


def _building(rng: np.random.Generator, shape: tuple[int, int]) -> Scene:
    size = min(shape)
    picture = 0.8 * clear_sky(rng, shape) + rng.uniform(0.0, 0.5) * fractal(rng, shape, size / 2, 2, 0.9, (1, 2))
    for distance in np.linspace(0, 1, rng.integers(4, 10)):
        width = int(size * rng.uniform(0.12, 0.45) * (0.6 + 0.6 * distance))
        left = int(rng.integers(-width // 2, shape[1] - width // 2))
        top = int(shape[0] * rng.uniform(0.15, 0.75))
        _facade(rng, picture[top:, max(left, 0) : max(left + width, 1)], rng.normal(0.9, 0.8))
    street = int(shape[0] * rng.uniform(0.8, 1.1))
    ground = rng.normal(0.6, 0.6) + 0.3 * fractal(rng, shape, size / 4, 1.5, 0.5, (0.6, 2.0))
    picture[street:] = ground[street:]
    picture = picture + 0.05 * fractal(rng, shape, 16, 1.5, 0.4)
    picture = ndimage.gaussian_filter(picture, rng.uniform(0.5, 0.8))
    return Scene("building", _levels(picture, rng.uniform(45, 135), rng.uniform(14, 38)))


def _facade(rng: np.random.Generator, wall: np.ndarray, heat: float) -> None:
    """Fill `wall` (a slice of the picture) with a front: floors, windows of different warmth, a bright or dark edge."""
    if 0 in wall.shape:
        return
    height, width = wall.shape
    wall[:] = heat + rng.uniform(-0.3, 0.3) * np.linspace(0, 1, height)[:, None]
    floor, bay = int(rng.integers(5, 12)), int(rng.integers(4, 11))
    high, wide = max(1, int(floor * rng.uniform(0.3, 0.7))), max(1, int(bay * rng.uniform(0.3, 0.8)))
    glass, spread = rng.normal(0, 0.7), rng.uniform(0.05, 0.4)
    if rng.uniform() < 0.8:
        for y in range(int(rng.integers(2, 6)), height - high, floor):
            for x in range(int(rng.integers(1, 3)), width - wide, bay):
                wall[y : y + high, x : x + wide] = heat + glass + rng.normal(0, spread)
    wall[: int(rng.integers(1, 3))] += rng.normal(0, 0.8)
    side = int(width * rng.uniform(0, 0.3))
    wall[:, width - side :] -= rng.uniform(0, 0.7)


_MAKERS = {"cloud": _cloud, "ground": _ground, "sea": _sea, "building": _building}


def procedural_scene(rng: np.random.Generator, kind: str, shape: tuple[int, int]) -> Scene:
    """A scene of one of `SCENE_KINDS` with `shape` (Hc, Wc)."""
    return _MAKERS[kind](rng, shape)


def list_pictures(folder: str | Path) -> list[Path]:
    """The pictures directly inside `folder`, in natural order.

    Raises:
        UserError: there is no such folder, or no picture in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"backgrounds: no folder {folder}; expected one with infrared pictures; check --backgrounds")
    names = [p.name for p in folder.iterdir() if p.suffix.lower() in PICTURE_SUFFIXES and not is_passed_over(p.name)]
    if not names:
        raise UserError(
            f"backgrounds: {folder} holds no picture; expected {', '.join(sorted(PICTURE_SUFFIXES))} files "
            "directly inside; check --backgrounds"
        )
    return [folder / name for name in find_frames(folder, names)]


def picture_scene(rng: np.random.Generator, path: Path, shape: tuple[int, int]) -> Scene:
    """A random part of a picture as a scene.

    Shrunk by up to 2 where it is large enough, enlarged by up to 2 and then mirrored where it is too small.

    Args:
        rng: decides which part.
        path: of the picture.
        shape: (Hc, Wc) of the scene.

    Raises:
        UserError: the file cannot be read.
    """
    try:
        picture = read_picture(path).astype(np.float64)
    except UserError as error:
        raise UserError(f"backgrounds: {path} cannot be read ({error}); repair or remove it") from None
    if picture.ndim == 3:
        picture = picture[..., :3].mean(axis=2)
    low, high = (0.0, 255.0) if picture.max() <= 255 else np.percentile(picture, (0.1, 99.9))
    picture = DARKEST + (BRIGHTEST - DARKEST) * np.clip((picture - low) / max(high - low, 1e-9), 0, 1)
    room = min(size / need for size, need in zip(picture.shape, shape, strict=True))  # picture pixels a scene pixel
    step = rng.uniform(1.0, min(room, 2.0)) if room > 1 else max(room, 0.5)
    picture = ndimage.gaussian_filter(picture, 0.4 * np.sqrt(max(step**2 - 1, 0)))
    reach = [max(0, int(np.ceil(need * step)) + 1 - size) for size, need in zip(picture.shape, shape, strict=True)]
    picture = np.pad(picture, [(0, reach[0]), (0, reach[1])], mode="symmetric")
    corner = [rng.uniform(0, size - 1 - (need - 1) * step) for size, need in zip(picture.shape, shape, strict=True)]
    padded = ndimage.spline_filter(np.pad(picture, SPLINE_BORDER, mode="reflect"), 3, mode="mirror")
    rows, columns = (SPLINE_BORDER + start + step * np.arange(need) for start, need in zip(corner, shape, strict=True))
    return Scene(path.stem, np.clip(spline(padded, rows, columns), 0, 255))
