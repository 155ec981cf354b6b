"""What a camera looks at, the way it goes, and what it sees.

Levels are grey levels from 0 to 255, whatever bit depth is written later; positions are (y, x) in pixels, pixel centres
at whole numbers. Everything is the same on every machine, as `utils.synthetic.textures`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from utils.synthetic.textures import spline
from utils.system.packages.late import ndimage

SPLINE_BORDER = 4  # pixels of scene outside the path that the spline needs


@dataclass(frozen=True)
class Camera:
    """The path of a camera over a scene.

    `position` (T, 2): scene coordinates of the frame's pixel (0, 0) at mid-exposure; `velocity` (T, 2): the smooth pan
    in pixels a frame, without the jitter; `exposure`: share of a frame's time during which light is gathered.
    """

    position: np.ndarray
    velocity: np.ndarray
    exposure: float

    def canvas(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Size (Hc, Wc) a scene needs so that a frame of `shape` fits everywhere along the path."""
        return tuple(
            int(np.ceil(top)) + size + 2 * SPLINE_BORDER + 1
            for top, size in zip(self.position.max(axis=0), shape, strict=True)
        )

    def over_drifting(self, drift: Sequence[float]) -> Camera:
        """The path over what drifts by (y, x) pixels a frame through the scene, in coordinates of its own."""
        move = np.asarray(drift, float)
        position = self.position - np.arange(len(self.position))[:, None] * move
        return replace(self, position=position + SPLINE_BORDER - position.min(axis=0), velocity=self.velocity - move)


@dataclass(frozen=True)
class Sway:
    """How what grows bends to and fro in the wind, sideways.

    `reach` (Hl, Wl): pixels that a place moves at most; `phase` (Hl, Wl) and `pace`: radians, and radians a frame;
    `gust` (T,): factor on the reach.
    """

    reach: np.ndarray
    phase: np.ndarray
    pace: float
    gust: np.ndarray

    def shift(self, index: int, corner: Sequence[float], shape: tuple[int, int]) -> np.ndarray:
        """Pixels (H, W) by which what is seen in frame `index` is shifted, for a view of `shape` from `corner` on."""
        window = tuple(slice(round(start), round(start) + size) for start, size in zip(corner, shape, strict=True))
        return self.reach[window] * self.gust[index] * np.sin(self.pace * index + self.phase[window])


@dataclass(frozen=True)
class Layer:
    """What is before a scene and moves against it: clouds, crowns of trees.

    `levels` (Hl, Wl), of which `cover` (Hl, Wl) from 0 to 1 hides what is behind; `camera`: the camera's path over this
    layer; `sway`: where it bends.
    """

    levels: np.ndarray
    cover: np.ndarray
    camera: Camera
    sway: Sway | None = None


@dataclass(frozen=True)
class Scene:
    """What the camera looks at.

    `fixed` (Hc, Wc) levels, larger than a frame, and perhaps a texture `drifting` over it, which is added, and `layers`
    before it, from the farthest to the nearest.
    """

    kind: str
    fixed: np.ndarray
    drifting: np.ndarray | None = None
    drift: tuple[float, float] = (0.0, 0.0)  # (y, x) pixels a frame
    layers: tuple[Layer, ...] = ()


def camera_path(rng: np.random.Generator, frames: int, pan: float, jitter: float) -> Camera:
    """A pan of up to `pan` pixels a frame that slowly turns and changes pace, and shake up to `jitter` pixels rms."""
    speed, heading = pan * rng.uniform() ** 0.7, rng.uniform(0, 2 * np.pi)
    turn, sway = rng.normal(0, 0.01), rng.uniform(0, 2 * np.pi)
    time = np.arange(frames)
    angle = heading + turn * time
    pace = speed * (1 + 0.25 * np.sin(2 * np.pi * time / 45 + sway))
    velocity = np.stack([np.sin(angle), np.cos(angle)], axis=1) * pace[:, None]
    position = np.concatenate([np.zeros((1, 2)), np.cumsum((velocity[1:] + velocity[:-1]) / 2, axis=0)])
    position = position + rng.normal(0, 1, (frames, 2)) * (jitter * rng.uniform(0.3, 1))
    position += SPLINE_BORDER - position.min(axis=0)
    return Camera(position, velocity, exposure=rng.uniform(0.2, 0.7))


def view(coefficients: np.ndarray, corner: Sequence[float], shape: tuple[int, int]) -> np.ndarray:
    """The frame of `shape` whose pixel (0, 0) lies at `corner`, from spline coefficients, with sub-pixel precision."""
    return spline(coefficients, corner[0] + np.arange(shape[0]), corner[1] + np.arange(shape[1]))


def film(scene: Scene, camera: Camera, shape: tuple[int, int]) -> Iterator[np.ndarray]:
    """Frame by frame (H, W) levels: what an ideal sensor sees, blurred by the pan during the exposure."""
    fixed = ndimage.spline_filter(scene.fixed, 3, mode="mirror")
    drifting = None if scene.drifting is None else ndimage.spline_filter(scene.drifting, 3, mode="mirror")
    films = [_film_layer(layer, shape) for layer in scene.layers]
    for index, corner in enumerate(camera.position):
        corners = _corners(camera, index)
        frame = sum(view(fixed, corner, shape) for corner in corners) / len(corners)
        if drifting is not None:
            # The layer wraps around so that it never runs out, whatever the clip's length.
            rows, columns = (
                np.mod(
                    corner[axis] - scene.drift[axis] * index + np.arange(shape[axis]) - SPLINE_BORDER,
                    drifting.shape[axis] - 2 * SPLINE_BORDER,
                )
                + SPLINE_BORDER
                for axis in (0, 1)
            )
            frame = frame + spline(drifting, rows, columns)
        for light, cover in (next(layer) for layer in films):
            frame = frame * (1 - cover) + light
        yield frame


def _corners(camera: Camera, index: int) -> list[np.ndarray]:
    """Where the frame's pixel (0, 0) lies during an exposure: one place, or three along a way that blurs."""
    smear = camera.velocity[index] * camera.exposure
    steps = (0.0,) if np.abs(smear).max() < 0.2 else (-1 / 3, 0.0, 1 / 3)
    return [camera.position[index] + step * smear for step in steps]


def _film_layer(layer: Layer, shape: tuple[int, int]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Frame by frame the layer's own light and its cover, (H, W) each."""
    parts = [ndimage.spline_filter(part, 3, mode="mirror") for part in (layer.levels * layer.cover, layer.cover)]
    for index, middle in enumerate(layer.camera.position):
        corners = _corners(layer.camera, index)
        if layer.sway is None:
            light, cover = (sum(view(part, corner, shape) for corner in corners) / len(corners) for part in parts)
        else:
            shift = layer.sway.shift(index, middle, shape)
            light, cover = (sum(_bent_view(part, corner, shift) for corner in corners) / len(corners) for part in parts)
        yield light, np.clip(cover, 0, 1)


def _bent_view(coefficients: np.ndarray, corner: Sequence[float], shift: np.ndarray) -> np.ndarray:
    """As `view`, with each pixel taken from `shift` (H, W) pixels farther to the left."""
    rows, columns = (start + np.arange(size) for start, size in zip(corner, shift.shape, strict=True))
    places = np.broadcast_to(rows[:, None], shift.shape), columns[None] - shift
    return ndimage.map_coordinates(coefficients, places, order=3, prefilter=False, mode="mirror")
