"""What a camera looks at, the way it goes, and what it sees.

Levels are grey levels from 0 to 255, whatever bit depth is written later; positions are (y, x) in pixels, pixel centres
at whole numbers. Everything is the same on every machine, as `utils.synthetic.textures`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from utils.synthetic.textures import spline

SPLINE_BORDER = 4  # pixels of scene outside the path that the spline needs


@dataclass(frozen=True)
class Scene:
    """What the camera looks at: `fixed` (Hc, Wc) levels, larger than a frame, and perhaps a layer drifting over it."""

    kind: str
    fixed: np.ndarray
    drifting: np.ndarray | None = None
    drift: tuple[float, float] = (0.0, 0.0)  # (y, x) pixels a frame


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
    for index, (corner, velocity) in enumerate(zip(camera.position, camera.velocity, strict=True)):
        smear = velocity * camera.exposure
        steps = (0.0,) if np.abs(smear).max() < 0.2 else (-1 / 3, 0.0, 1 / 3)
        frame = sum(view(fixed, corner + step * smear, shape) for step in steps) / len(steps)
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
        yield frame
