"""Small moving targets: what they look like on the sensor, and how they move through a clip.

Positions are (y, x) in image pixels, pixel centres at whole numbers; velocities are pixels a frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from utils.synthetic.camera import Camera
from utils.synthetic.infrared.optics import pixel_profile

MIN_AREA, MAX_AREA = 2, 80  # pixels of a target's mask
MOTION_FRAMES = 4  # before the key frame in a clip of five: over these a target must be seen to move
HOVER_SPEED = 0.15  # pixels a frame against the scene, below which a target hovers
HOVER_WANDER = 0.2  # pixels (standard deviation) that one bobs about its way
MIN_MOTION = 1.2  # pixels over MOTION_FRAMES frames, both on the sensor and against the scene


@dataclass(frozen=True)
class Body:
    """A target's outline: an ellipse seen through a Gaussian point spread function of `psf` pixels.

    It has `semi` (long, short) half axes in pixels turned by `angle`; half axes of 0 are a point source.
    """

    semi: tuple[float, float]
    angle: float
    psf: float


@lru_cache(maxsize=64)
def _sources(body: Body) -> tuple[np.ndarray, np.ndarray]:
    """Points (P, 2) that fill the ellipse evenly (a sunflower spiral), and their weights: warmer in the middle."""
    count = 1 if body.semi[0] == 0 else int(np.clip(3 * body.semi[0] * body.semi[1], 7, 90))
    order = np.arange(count)
    radius, turn = np.sqrt((order + 0.5) / count), order * np.pi * (3 - np.sqrt(5))
    if count == 1:
        radius = np.zeros(1)
    along, across = body.semi[0] * radius * np.cos(turn), body.semi[1] * radius * np.sin(turn)
    sine, cosine = np.sin(body.angle), np.cos(body.angle)
    return np.stack([sine * along + cosine * across, cosine * along - sine * across], axis=1), 1 - 0.4 * radius**2


@dataclass(frozen=True)
class Spot:
    """Light of one target in one frame.

    `light` (h, w) inside `window`, 1 at its brightest pixel (which may lie outside the frame), and `mask` (h, w) bool:
    its pixels at or above half of that, at least two.
    """

    window: tuple[slice, slice]
    light: np.ndarray
    mask: np.ndarray

    @property
    def area(self) -> int:
        """Pixels of the mask."""
        return int(self.mask.sum())


def spot(body: Body, position: np.ndarray, motion: np.ndarray, shape: tuple[int, int]) -> Spot | None:
    """What a body looks like in one frame: Gaussian sources integrated over the pixels, averaged along the way.

    Args:
        body: the target.
        position: (y, x) in mid-exposure.
        motion: (y, x) that it goes during the exposure, in pixels.
        shape: (H, W) of the frame.

    Returns:
        None if fewer than two pixels of the mask lie inside the frame: such a target is not drawn at all, so that every
        light in a clip has its label.
    """
    points, weights = _sources(body)
    steps = 1 + 2 * int(np.ceil(np.abs(motion).max()))
    way = (np.arange(steps) - (steps - 1) / 2)[:, None] / steps * motion
    points = (position + way[:, None] + points[None]).reshape(-1, 2)
    weights = np.tile(weights, steps)
    start = np.floor(points.min(axis=0) - 4 * body.psf).astype(int)
    size = np.ceil(points.max(axis=0) + 4 * body.psf).astype(int) - start + 1
    rows, columns = (pixel_profile(points[:, axis], start[axis], size[axis], body.psf) for axis in (0, 1))
    light = np.einsum("pi,pj->ij", rows * weights[:, None], columns)  # no optimize: no BLAS, the same sums everywhere
    light /= light.max()
    mask = light >= 0.5
    if mask.sum() < MIN_AREA:
        mask.flat[np.argsort(-light, axis=None, kind="stable")[:MIN_AREA]] = True
    first, last = np.maximum(-start, 0), np.minimum(np.array(shape) - start, size)
    if (last <= first).any():
        return None
    inside = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
    window = tuple(slice(a + s, b + s) for a, b, s in zip(first, last, start, strict=True))
    if mask[inside].sum() < MIN_AREA:
        return None
    return Spot(window, light[inside], mask[inside])


def body_of_area(rng: np.random.Generator, area: float, psf: float, blur: float) -> Body:
    """A body whose mask has about `area` pixels when smeared over `blur` pixels; at least those of a point source."""
    aspect, angle = rng.uniform(1, 2.2), rng.uniform(0, np.pi)
    offsets = rng.uniform(-0.5, 0.5, (2, 2))

    def pixels(scale: float) -> float:
        body = Body((scale * aspect**0.5, scale / aspect**0.5), angle, psf)
        spots = [spot(body, 50 + at, np.array([0.0, blur]), (101, 101)) for at in offsets]
        return sum(s.area for s in spots if s) / len(spots)

    low, high = 0.0, 6.0
    if pixels(low) >= area:
        return Body((0.0, 0.0), angle, psf)
    for _ in range(7):
        middle = (low + high) / 2
        low, high = (middle, high) if pixels(middle) < area else (low, middle)
    return Body((low * aspect**0.5, low / aspect**0.5), angle, psf)


@dataclass
class Track:
    """One target through a clip.

    It has `spots` by frame number (only frames in which it is seen) and its image `path` (T, 2). `amplitudes` are
    levels at the brightest pixel, filled in when the brightness is settled.
    """

    style: str
    path: np.ndarray
    body: Body
    snr: float
    sign: int
    spots: dict[int, Spot] = field(default_factory=dict)
    amplitudes: dict[int, float] = field(default_factory=dict)


def _moves(path: np.ndarray, frames: np.ndarray) -> bool:
    """Whether the path's points at `frames` always get away from where they were MOTION_FRAMES frames before."""
    part = path[frames]
    if len(part) <= MOTION_FRAMES:
        return False
    return bool((np.hypot(*(part[MOTION_FRAMES:] - part[:-MOTION_FRAMES]).T) >= MIN_MOTION).all())


def _anchor(
    rng: np.random.Generator, style: str, shape: np.ndarray, frames: int, others: list[Track]
) -> tuple[int, np.ndarray, np.ndarray]:
    """A frame, the place where the target is then, and a unit heading.

    The place is at the border for "enter" and "leave", on another target for "cross", anywhere for "through".
    """
    heading = rng.uniform(0, 2 * np.pi)
    way = np.array([np.sin(heading), np.cos(heading)])
    if style == "cross":
        other = others[int(rng.integers(len(others)))]
        when = int(rng.choice(sorted(other.spots)))
        return when, other.path[when] + rng.normal(0, 1.0, 2), way
    if style == "through":
        return int(rng.integers(frames)), rng.uniform(0.1, 0.9, 2) * shape, way
    side = int(rng.integers(4))
    place = rng.uniform(0.1, 0.9, 2) * shape
    place[side // 2] = -0.5 if side % 2 == 0 else shape[side // 2] - 0.5
    inward = 1 if side % 2 == 0 else -1
    way[side // 2] = abs(way[side // 2]) * inward * (1 if style == "enter" else -1)
    when = rng.uniform(0.1, 0.6) if style == "enter" else rng.uniform(0.4, 0.9)
    return int(when * frames), place, way


def propose_path(
    rng: np.random.Generator,
    camera: Camera,
    shape: tuple[int, int],
    speed: tuple[float, float] | None,
    acceleration: float,
    others: list[Track],
) -> tuple[str, np.ndarray, np.ndarray, np.ndarray] | None:
    """One try at a path.

    Args:
        rng: decides on it.
        camera: the path of the camera.
        shape: (H, W) of a frame.
        speed: slowest and fastest against the scene, pixels a frame; None for a target that hovers.
        acceleration: pixels a frame², rms.
        others: tracks that it may cross.

    Returns:
        Style, image positions (T, 2), image velocities (T, 2) and frames inside. None if it would stand still on the
        sensor or against the scene, which would make it a distractor, or if it is hardly ever in the picture.
    """
    frames = len(camera.position)
    if speed is None:
        return _propose_hover(rng, camera, shape)
    style = str(rng.choice(["through", "enter", "leave", "cross"] if others else ["through", "enter", "leave"]))
    when, place, way = _anchor(rng, style, np.array(shape, dtype=float), frames, others)
    velocity = way * rng.uniform(*speed) + camera.velocity[when]
    if style in ("enter", "leave"):
        velocity = way * np.hypot(*velocity)  # across the border in the right direction on the sensor
    push = rng.normal(0, acceleration / np.sqrt(2), 2)
    time = (np.arange(frames) - when)[:, None]
    own = velocity - camera.velocity[when]
    pan = _panned(camera)
    in_scene = place + pan[when] + own * time + 0.5 * push * time**2
    shake = camera.position - pan
    shake = shake - shake.mean(axis=0)
    path = in_scene - pan - shake
    rate = own + push * time - camera.velocity
    inside = _inside(path, shape)
    enough = len(inside) >= min(8, frames)
    fast = enough and np.hypot(*(own + push * time)[inside].T).max() > 1.5 * speed[1]
    if not enough or fast or not _moves(in_scene, inside) or not _moves(in_scene - pan, inside):
        return None
    return style, path, rate, inside


def _panned(camera: Camera) -> np.ndarray:
    """How far the camera has panned at each frame, without its shake: (T, 2)."""
    return np.concatenate([np.zeros((1, 2)), np.cumsum((camera.velocity[1:] + camera.velocity[:-1]) / 2, axis=0)])


def _inside(path: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The frames in which a path is in the picture."""
    return np.flatnonzero(((path > -0.5) & (path < np.array(shape) - 0.5)).all(axis=1))


def _propose_hover(
    rng: np.random.Generator, camera: Camera, shape: tuple[int, int]
) -> tuple[str, np.ndarray, np.ndarray, np.ndarray] | None:
    """As `propose_path`, of a target that hangs in the scene, bobs a little and drifts slower than `HOVER_SPEED`."""
    frames = len(camera.position)
    when, place, way = _anchor(rng, "through", np.array(shape, dtype=float), frames, [])
    own = way * rng.uniform(0, HOVER_SPEED)
    phase, period = rng.uniform(0, 2 * np.pi, 2), rng.uniform(10, 60, 2)
    time = np.arange(frames)[:, None]
    bob = rng.uniform(0, HOVER_WANDER) * np.sin(2 * np.pi * time / period + phase)
    path = place + own * (time - when) + bob - bob[when] - (camera.position - camera.position[when])
    inside = _inside(path, shape)
    return ("hover", path, own - camera.velocity, inside) if len(inside) >= min(8, frames) else None
