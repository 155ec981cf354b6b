"""One synthetic satellite sequence: the way from a seed, a split and an index to frames and boxes.

A sequence depends on these three and its configuration alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from utils.datasets.splits import SPLITS
from utils.images.boxes import cut
from utils.synthetic.camera import Scene, film
from utils.synthetic.satellite.cars import Car, box_of, draw_car
from utils.synthetic.satellite.config import SatelliteConfig
from utils.synthetic.satellite.recording import Recorder, platform_path
from utils.synthetic.satellite.town import Town, build_town
from utils.synthetic.satellite.traffic import Traffic

MIN_WAY = 2.0  # pixels that a car goes while a sequence is recorded, inside or outside the frame, where it moves
MIN_SEEN = 2.0  # pixels of both sides of a car's box that lie in the frame, where it is labelled
USUAL_LENGTH = (1.05, 1.4)  # of a sequence's cars, in lengths of the shortest
LONG_SHARE, LONG_FACTOR = 0.07, (1.3, 1.9)  # vans and lorries, and their length beside a usual car's
EXPOSURE = 0.3  # of a frame's time, during which light is gathered
HEIGHT = 0.2  # of a car, in its length
PSF = (0.6, 0.85)  # deviation of the optics' blur, pixels


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
    """What cars are drawn with: a town, and optics whose blur has a deviation of `psf` pixels."""

    town: Town
    psf: float

    def draw(
        self, picture: np.ndarray, car: Car, place: np.ndarray, heading: np.ndarray, corner: np.ndarray, speed: float
    ) -> np.ndarray:
        """Draw a car at a place of the town into a picture whose pixel (0, 0) lies at `corner`; gives its box there."""
        y, x = np.clip(np.rint(place).astype(int), 0, np.array(self.town.light.shape) - 1)
        shadow = HEIGHT * car.length * self.town.shadow
        light = float(self.town.light[y, x])
        draw_car(picture, car, place - corner, heading, self.psf, shadow, self.town.road, light, speed * EXPOSURE)
        return box_of(car, place - corner, heading)


def _lengths(config: SatelliteConfig, rng: np.random.Generator, usual: float) -> Callable[[], float]:
    def draw() -> float:
        factor = rng.uniform(*LONG_FACTOR) if rng.uniform() < LONG_SHARE else rng.uniform(0.88, 1.12)
        return float(np.clip(usual * factor, *config.length))

    return draw


def _seen(size: tuple[int, int], cars: Iterable[LabelledCar]) -> list[LabelledCar]:
    """Cars of which enough lies in a frame of `size`, their boxes cut at its edges."""
    found = [replace(car, box=cut(car.box[None], size)[0]) for car in cars]
    return [car for car in found if (car.box[2:] - car.box[:2] >= MIN_SEEN).all()]


def _park(
    config: SatelliteConfig, rng: np.random.Generator, view: _View, length: Callable[[], float]
) -> list[LabelledCar]:
    """Draw the cars that never move into the town itself; gives them with their boxes there."""
    found: list[LabelledCar] = []
    if not view.town.parked:
        return found
    middles, headings = (
        np.array([getattr(place, part) for place in view.town.parked]) for part in ("middle", "heading")
    )
    places = view.town.projection.to_picture(middles)
    ways = view.town.projection.to_picture(middles + headings) - places
    for place, way in zip(places, ways, strict=True):
        car = Car.draw(rng, length(), config.contrast, config.dark_share)
        box = view.draw(view.town.levels, car, place, way / np.hypot(*way), np.zeros(2), 0.0)
        found.append(LabelledCar(0, len(found), box, 0.0, car.contrast))
    return _seen(view.town.levels.shape, found)


def _renumbered(cars: Iterable[LabelledCar]) -> list[LabelledCar]:
    """The same with tracks that count from 0, in the order in which they are seen."""
    numbers: dict[int, int] = {}
    return [replace(car, track=numbers.setdefault(car.track, len(numbers))) for car in cars]


def make_sequence(config: SatelliteConfig, split: str, index: int) -> SatelliteSequence:
    """Sequence `index` (from 0) of `split`. The same whatever else is made."""
    roots = np.random.SeedSequence([config.split_seed(split), SPLITS.index(split), index]).spawn(6)
    move, look, drive, paint, stand, shine = (np.random.Generator(np.random.PCG64(root)) for root in roots)
    camera = platform_path(move, config.frames, config.drift, config.jitter, config.slips)
    usual = min(config.length[0] * look.uniform(*USUAL_LENGTH), config.length[1])
    psf = look.uniform(*PSF)
    town = build_town(look, camera.canvas(config.size), usual, config.bend, config.clutter, config.parked, psf)
    view = _View(town, psf)
    parked = _park(config, stand, view, _lengths(config, stand, usual))
    count = drive.uniform(*config.cars)
    traffic = Traffic(drive, town.network, town.projection, count, _lengths(config, drive, usual), config.speed)
    recorder = Recorder.draw(shine, config.frames, config.noise, config.flicker)
    frames = np.zeros((config.frames, *config.size), np.uint8)
    cars: dict[int, Car] = {}
    ways: dict[int, list[float]] = {}
    seen: list[LabelledCar] = []
    for t, picture in enumerate(film(Scene(town.style, town.levels), camera, config.size)):
        corner, here = camera.position[t], []
        for driver in traffic.drivers:
            if driver.track not in cars:
                cars[driver.track] = Car.draw(paint, driver.length, config.contrast, config.dark_share)
            car, (place, heading) = cars[driver.track], driver.pose()
            box = view.draw(picture, car, place, heading, corner, driver.speed)
            here.append(LabelledCar(t, driver.track, box, driver.speed, car.contrast))
            ways.setdefault(driver.track, []).append(driver.way)
        if config.label_parked:
            shift = np.tile(corner[::-1], 2)
            here += [replace(car, frame=t, track=-1 - car.track, box=car.box - shift) for car in parked]
        seen += _seen(config.size, here)
        frames[t] = recorder.record(shine, picture, t)
        traffic.step()
    still = {track for track, way in ways.items() if way[-1] - way[0] < MIN_WAY}
    labelled = _renumbered(car for car in seen if config.label_parked or car.track not in still)
    facts = {"background": town.style, "parked": len(parked), "camera": np.round(camera.position, 4).tolist()}
    return SatelliteSequence(frames, labelled, facts)
