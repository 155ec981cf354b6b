"""One synthetic satellite sequence: the way from a seed, a split and an index to frames and boxes.

A sequence depends on these three and its configuration alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from utils.datasets.splits import SPLITS
from utils.images.boxes import cut
from utils.synthetic.camera import Camera, Scene, camera_path, film
from utils.synthetic.satellite.cars import Car, box_of, draw_car
from utils.synthetic.satellite.config import SatelliteConfig
from utils.synthetic.satellite.recording import record
from utils.synthetic.satellite.town import Town, build_town
from utils.synthetic.satellite.traffic import Traffic

MIN_WAY = 2.0  # pixels that a car goes while a sequence is recorded, in the frame or outside, where it counts as moving
MIN_SEEN = 2.0  # pixels of both sides of a car's box that lie in the frame, where it is labelled
USUAL_LENGTH = (1.05, 1.4)  # of a sequence's cars, in lengths of the shortest
LONG_SHARE, LONG_FACTOR = 0.07, (1.3, 1.9)  # vans and lorries, and their length beside a usual car's
EXPOSURE = 0.3  # of a frame's time, during which light is gathered
SHADOW = 0.2  # height of a car, in its length


@dataclass(frozen=True)
class LabelledCar:
    """A car in a `frame`.

    It has its `track` (from 0), its `box` x1, y1, x2, y2 cut at the frame, its `speed` in pixels a frame, and the
    `contrast` of its paint to the road in grey levels.
    """

    frame: int
    track: int
    box: np.ndarray
    speed: float
    contrast: float


@dataclass
class SatelliteSequence:
    """A made clip: `frames` (T, H, W) uint8, `cars` frame by frame, and `facts` for the dataset's annotations."""

    frames: np.ndarray
    cars: list[LabelledCar]
    facts: dict[str, Any]


@dataclass(frozen=True)
class _View:
    """What cars are drawn into: a town, through optics whose blur has a deviation of `psf` pixels."""

    town: Town
    psf: float

    def draw(
        self, picture: np.ndarray, car: Car, place: np.ndarray, heading: np.ndarray, corner: np.ndarray, speed: float
    ) -> np.ndarray:
        """Draw a car at a place of the town into a picture whose pixel (0, 0) lies at `corner`; gives its box there."""
        y, x = np.clip(np.rint(place).astype(int), 0, np.array(self.town.light.shape) - 1)
        shadow = SHADOW * car.length * self.town.shadow
        light = float(self.town.light[y, x])
        centre = place - corner
        draw_car(picture, car, centre, heading, self.psf, shadow, self.town.road, light, speed * EXPOSURE)
        return box_of(car, centre, heading)


def _lengths(config: SatelliteConfig, rng: np.random.Generator, usual: float) -> Callable[[], float]:
    def draw() -> float:
        factor = rng.uniform(*LONG_FACTOR) if rng.uniform() < LONG_SHARE else rng.uniform(0.88, 1.12)
        return float(np.clip(usual * factor, *config.length))

    return draw


def _park(
    config: SatelliteConfig, rng: np.random.Generator, view: _View, length: Callable[[], float]
) -> list[np.ndarray]:
    """Draw the cars that never move into the town itself; gives their boxes there, and their contrast behind."""
    found = []
    for place in view.town.parked:
        ends = view.town.projection.to_picture(np.array([place.middle, np.add(place.middle, place.heading)]))
        way = ends[1] - ends[0]
        car = Car.draw(rng, length(), config.contrast, config.dark_share)
        box = view.draw(view.town.levels, car, ends[0], way / np.hypot(*way), np.zeros(2), 0.0)
        found.append(np.append(box, car.contrast))
    return found


def _drive(
    config: SatelliteConfig, rng: np.random.Generator, view: _View, traffic: Traffic, camera: Camera, clip: np.ndarray
) -> list[LabelledCar]:
    """Draw the traffic into `clip` (T, H, W), frame by frame; gives the cars that move, their tracks counted anew."""
    cars: dict[int, Car] = {}
    ways: dict[int, list[float]] = {}
    seen = []
    for t, picture in enumerate(clip):
        for driver in traffic.drivers:
            if driver.track not in cars:
                cars[driver.track] = Car.draw(rng, driver.length, config.contrast, config.dark_share)
            car, (place, heading) = cars[driver.track], driver.pose()
            box = view.draw(picture, car, place, heading, camera.position[t], driver.speed)
            box = cut(box[None], config.size)[0]
            if (box[2:] - box[:2] >= MIN_SEEN).all():
                seen.append(LabelledCar(t, driver.track, box, driver.speed, car.contrast))
            ways.setdefault(driver.track, []).append(driver.way)
        traffic.step()
    moves = {track: config.label_parked or way[-1] - way[0] >= MIN_WAY for track, way in ways.items()}
    return _renumbered([car for car in seen if moves[car.track]])


def _renumbered(cars: list[LabelledCar], first: int = 0) -> list[LabelledCar]:
    """The same with tracks that count from `first`, in the order in which they are seen."""
    numbers: dict[int, int] = {}
    return [replace(car, track=numbers.setdefault(car.track, first + len(numbers))) for car in cars]


def _still(config: SatelliteConfig, parked: list[np.ndarray], camera: Camera, first: int) -> list[LabelledCar]:
    """Parked cars in every frame that shows them; their tracks count from `first`."""
    found = []
    for t, corner in enumerate(camera.position):
        for number, (*box, contrast) in enumerate(parked):
            seen = cut(np.array([box]) - np.tile(corner[::-1], 2), config.size)[0]
            if (seen[2:] - seen[:2] >= MIN_SEEN).all():
                found.append(LabelledCar(t, number, seen, 0.0, float(contrast)))
    return _renumbered(found, first)


def make_sequence(config: SatelliteConfig, split: str, index: int) -> SatelliteSequence:
    """Sequence `index` (from 0) of `split`. The same whatever else is made."""
    roots = np.random.SeedSequence([config.split_seed(split), SPLITS.index(split), index]).spawn(6)
    move, look, drive, paint, stand, shine = (np.random.Generator(np.random.PCG64(root)) for root in roots)
    camera = camera_path(move, config.frames, config.drift, config.jitter)
    usual = min(config.length[0] * drive.uniform(*USUAL_LENGTH), config.length[1])
    psf = look.uniform(0.6, 0.85)
    town = build_town(look, camera.canvas(config.size), usual, config.bend, config.clutter, config.parked, psf)
    view = _View(town, psf)
    parked = _park(config, stand, view, _lengths(config, stand, usual))
    clip = film(Scene(town.style, town.levels), camera, config.size)
    count = drive.uniform(*config.cars)
    traffic = Traffic(drive, town.network, town.projection, count, _lengths(config, drive, usual), config.speed)
    cars = _drive(config, paint, view, traffic, camera, clip)
    if config.label_parked:
        first = 1 + max((car.track for car in cars), default=-1)
        cars = sorted(cars + _still(config, parked, camera, first), key=lambda car: (car.frame, car.track))
    facts = {"background": town.style, "parked": len(parked), "camera": np.round(camera.position, 4).tolist()}
    return SatelliteSequence(record(shine, clip, config.noise, config.flicker), cars, facts)
