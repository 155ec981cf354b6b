"""Birds and insects: what moves and is no target, or is one, as the user has it.

Birds fly steadily, alone or in flocks, and beat their wings at a few hertz, between glides: their brightness goes with
it (wing-beat frequencies of 2.5 to 10 Hz from gulls to starlings: C. Pennycuick, "Wingbeat frequency of birds in steady
cruising flight", J. Experimental Biology 199, 1996). Insects are near the camera: out of focus, fast and erratic.
Positions are (y, x) in image pixels, as in `utils.synthetic.infrared.targets`.
"""

from __future__ import annotations

import numpy as np

from utils.images.snr import SNR_RING
from utils.synthetic.camera import Camera
from utils.synthetic.infrared.distractors import MAX_BRIGHTNESS, Sensor
from utils.synthetic.infrared.targets import Body, Track, body_of_area, spot

FRAME_RATE = 25.0  # frames a second
BEAT_HZ = 2.5, 10.0
BIRD_SPEED = 0.3, 3.0  # pixels a frame
BIRD_AREA = 2.0, 40.0  # pixels
MAX_FLOCK = 4
INSECT_SPEED = 3.0, 14.0
INSECT_BLUR_PX = 1.2, 3.5  # standard deviation, out of focus
INSECT_LIFE = 3.0, 14.0  # frames before the camera


def _seen(
    track: Track, frames: np.ndarray, velocity: np.ndarray, exposure: float, shape: tuple[int, int], peaks: np.ndarray
) -> Track | None:
    """The track with its spots and amplitudes in `frames`; None where it is never in the picture."""
    for t in frames:
        found = spot(track.body, track.path[t], velocity[t] * exposure, shape)
        if found is not None:
            track.spots[int(t)], track.amplitudes[int(t)] = found, float(peaks[t])
    return track if track.spots else None


def _deviation(clip: np.ndarray, frame: int, place: np.ndarray, sensor: Sensor) -> float:
    """Of the levels around a place in a frame, noise included."""
    y, x = (int(np.clip(value, 0, size - 1)) for value, size in zip(np.rint(place), clip.shape[1:], strict=True))
    around = clip[frame, max(y - SNR_RING, 0) : y + SNR_RING + 1, max(x - SNR_RING, 0) : x + SNR_RING + 1]
    return float((around.var() + sensor.noise_level(float(around.mean())) ** 2) ** 0.5)


def make_birds(
    rng: np.random.Generator,
    clip: np.ndarray,
    density: float,
    snr: tuple[float, float],
    camera: Camera,
    sensor: Sensor,
) -> list[Track]:
    """Flocks of birds.

    Args:
        rng: decides on everything.
        clip: (T, H, W) levels as the optics deliver them, which birds are to stand out from.
        density: birds in a frame, on average.
        snr: about as bright as targets of such an SNR, from lowest to highest, would be.
        camera: its path.
        sensor: what they are filmed with.
    """
    frames, *shape = clip.shape
    found: list[Track] = []
    for _ in range(int(rng.poisson(2 * density / (1 + MAX_FLOCK)))):
        middle, place = frames // 2, rng.uniform(0, 1, 2) * shape
        pace, heading = float(np.exp(rng.uniform(*np.log(BIRD_SPEED)))), rng.uniform(0, 2 * np.pi)
        angle = heading + np.cumsum(rng.normal(0, 0.05, frames))
        own = pace * np.stack([np.sin(angle), np.cos(angle)], axis=1)
        way = np.cumsum(own, axis=0)
        way = way - way[middle] - (camera.position - camera.position[middle])
        area = float(np.exp(rng.uniform(*np.log(BIRD_AREA))))
        beat, glides = rng.uniform(*BEAT_HZ) / FRAME_RATE, rng.uniform(0, 0.7)
        level = rng.uniform(*snr)
        sign = -1 if rng.uniform() < 0.3 else 1
        for _ in range(int(rng.integers(1, MAX_FLOCK + 1))):
            apart = rng.normal(0, 12, 2) + np.cumsum(rng.normal(0, 0.15, (frames, 2)), axis=0)
            path = place + way + apart
            body = body_of_area(rng, area * rng.uniform(0.7, 1.4), sensor.psf, pace * camera.exposure)
            beats = flap(rng, frames, beat * rng.uniform(0.9, 1.1), glides)
            peak = min(1.3 * level * _deviation(clip, middle, path[middle], sensor), MAX_BRIGHTNESS)
            bird = Track("bird", path, body, level, sign)
            bird = _seen(bird, np.arange(frames), own - camera.velocity, camera.exposure, tuple(shape), peak * beats)
            found += [] if bird is None else [bird]
    return found


def flap(rng: np.random.Generator, frames: int, beat: float, glides: float) -> np.ndarray:
    """How bright a bird is over time: (T,), 1 while it glides, up and down at `beat` cycles a frame while it flaps.

    Args:
        rng: decides on depth and phase, and when it glides.
        frames: T.
        beat: cycles a frame.
        glides: share of the time.
    """
    depth, phase = rng.uniform(0.2, 0.6), rng.uniform(0, 2 * np.pi)
    bout = rng.uniform(15, 50)  # frames of flapping and gliding together
    flaps = ((np.arange(frames) / bout + rng.uniform()) % 1) >= glides
    return 1 + depth * flaps * np.sin(2 * np.pi * beat * np.arange(frames) + phase)


def make_insects(
    rng: np.random.Generator,
    clip: np.ndarray,
    density: float,
    snr: tuple[float, float],
    camera: Camera,
    sensor: Sensor,
) -> list[Track]:
    """Insects that pass near the camera; as `make_birds`."""
    frames, *shape = clip.shape
    found: list[Track] = []
    life = sum(INSECT_LIFE) / 2
    for _ in range(int(rng.poisson(density * (frames + life) / life))):
        middle, place = int(rng.integers(frames)), rng.uniform(0, 1, 2) * shape
        pace, reach = rng.uniform(*INSECT_SPEED), int(rng.uniform(*INSECT_LIFE) / 2)
        velocity = np.empty((frames, 2))
        velocity[0] = rng.standard_normal(2)
        for t in range(1, frames):  # it forgets its heading within two frames
            velocity[t] = 0.6 * velocity[t - 1] + 0.8 * rng.standard_normal(2)
        velocity *= pace / 2**0.5
        path = np.cumsum(velocity, axis=0)
        path = place + path - path[middle] - (camera.position - camera.position[middle])
        body = Body((0.0, 0.0), 0.0, float(np.hypot(sensor.psf, rng.uniform(*INSECT_BLUR_PX))))
        level = rng.uniform(*snr)
        peak = min(1.3 * level * _deviation(clip, middle, place, sensor), MAX_BRIGHTNESS)
        peaks = peak * np.exp(0.3 * rng.standard_normal(frames))
        insect = Track("insect", path, body, level, -1 if rng.uniform() < 0.4 else 1)
        passing = np.arange(max(middle - reach, 0), min(middle + reach + 1, frames))
        insect = _seen(insect, passing, velocity - camera.velocity, camera.exposure, tuple(shape), peaks)
        found += [] if insect is None else [insect]
    return found
