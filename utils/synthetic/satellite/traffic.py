"""Cars on roads: they keep their distance, stop at red lights, slow down for corners and turn.

Following is the intelligent driver model (Treiber, Hennecke and Helbing, Physical Review E 62, 2000). Lengths are
pixels of the picture, times frames.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from utils.synthetic.satellite.projection import MARGIN, Projection
from utils.synthetic.satellite.roads import Network
from utils.synthetic.satellite.routes import STEP, Place, Route, find_route
from utils.system.packages.late import spatial

ACCELERATION, BRAKING = 0.16, 0.2  # pixels a frame²
HARDEST_BRAKING = 0.4
HEADWAY = 5.0  # frames behind the car in front
STANDSTILL_GAP = 2.0  # pixels between cars that stand
SIGHT, SIGHT_STEP = 36.0, 1.5  # pixels ahead on its own way that a car looks at, and between the points there
CLEARING = 5.0  # frames in which all lights of a crossing are red
WARM_UP = 45  # frames before the first one
NEIGHBOURS = 4  # cars that are looked at around a point
STREET_TRAFFIC = 0.45  # density of cars in streets, of that on main roads
TRIES = 12  # places at which room for one more car is looked for
MIN_SHARE = 0.1  # of all cars, that are in the picture
PLACE_STEP = 3.0  # pixels between places on a lane where a car may begin


@dataclass(eq=False)
class Driver:
    """A car on its route: `way` is how far its middle has come, `wish` its speed on a free road."""

    track: int
    length: float
    wish: float
    route: Route
    way: float
    speed: float

    def point(self, ahead: float) -> np.ndarray:
        """Picture position (y, x) so many pixels ahead of its middle."""
        at = min(max((self.way + ahead) / STEP, 0.0), len(self.route.points) - 1.001)
        low = int(at)
        return self.route.points[low] + (at - low) * (self.route.points[low + 1] - self.route.points[low])

    def pose(self) -> tuple[np.ndarray, np.ndarray]:
        """Middle and heading (unit vector), both (y, x)."""
        front, back = self.point(self.length / 3), self.point(-self.length / 3)
        return self.point(0.0), (front - back) / max(np.hypot(*(front - back)), 1e-9)


@dataclass(frozen=True, eq=False)
class _Starts:
    """Places on lanes in and around the picture, and where those are in the picture, `points` (N, 2).

    `anywhere` and `entry` are sums of weights up to and with each place: of all places, and of those where lanes come
    in; `share` of the first are in the picture.
    """

    places: list[Place]
    points: np.ndarray
    anywhere: np.ndarray
    entry: np.ndarray
    share: float


def _find_starts(network: Network, projection: Projection) -> _Starts:
    places, points, inside, entry, weights = [], [], [], [], []
    shape = np.array(projection.shape)
    for number, road in enumerate(network.roads):
        main = road.end - road.start == projection.size[road.axis]
        for way in (1, -1):
            along = np.arange(road.start + 1, road.end - 1, PLACE_STEP)[::way]
            for lane in range(road.lanes if len(along) else 0):
                here = [Place(number, way, lane, float(at)) for at in along]
                drawn = projection.to_picture(np.stack([place.point(network, place.along) for place in here]))
                near = ((drawn > -MARGIN) & (drawn < shape + MARGIN)).all(axis=1)
                kept = np.flatnonzero(near)
                places += [here[index] for index in kept]
                points.append(drawn[kept])
                inside.append(((drawn >= 0) & (drawn < shape)).all(axis=1)[kept])
                entry.append((near & ~np.concatenate([[not main], near[:-1]]))[kept])
                weights.append(np.full(len(kept), 1.0 if main else STREET_TRAFFIC))
    weight = np.concatenate(weights)
    share = weight[np.concatenate(inside)].sum() / weight.sum()
    entries = np.cumsum(weight * np.concatenate(entry))
    return _Starts(places, np.concatenate(points), np.cumsum(weight), entries, float(share))


class Traffic:
    """Cars that drive through a town; `drivers` are those that are in or around the picture now."""

    def __init__(
        self,
        rng: np.random.Generator,
        network: Network,
        projection: Projection,
        count: float,
        length: Callable[[], float],
        speed: tuple[float, float],
    ) -> None:
        """Spread cars over the roads and let them drive until queues have formed.

        Args:
            rng: decides on routes and speeds.
            network: of roads.
            projection: of their plan.
            count: of cars in the picture, about.
            length: gives the length of a car, pixels.
            speed: slowest and fastest wish on a free road, pixels a frame.
        """
        self._rng, self._network, self._projection = rng, network, projection
        self._length, self._speed = length, speed
        self._starts = _find_starts(network, projection)
        self._time, self._tracks = 0, 0
        self.drivers: list[Driver] = []
        self._wanted = round(count / max(self._starts.share, MIN_SHARE))
        self._fill(self._starts.anywhere)
        for _ in range(WARM_UP):
            self.step()

    def _fill(self, weights: np.ndarray) -> None:
        """Let cars start, with sums of `weights`, until there are as many as wanted or no room is found."""
        while len(self.drivers) < self._wanted and self._start(weights):
            pass

    def _start(self, weights: np.ndarray) -> bool:
        """One more car at one of the starts; gives whether there was room at one of the places that were tried."""
        length = self._length()
        taken = np.array([driver.point(0.0) for driver in self.drivers]).reshape(-1, 2)
        for _ in range(TRIES):
            index = int(np.searchsorted(weights, self._rng.uniform(0, weights[-1]), side="right"))
            gaps = np.hypot(*(taken - self._starts.points[index]).T)
            if not len(taken) or gaps.min() > 1.5 * length + STANDSTILL_GAP:
                longest = float(np.hypot(*np.array(self._projection.shape) + 2.0 * MARGIN)) * 2
                route = find_route(self._rng, self._network, self._projection, self._starts.places[index], longest)
                wish = self._rng.uniform(*self._speed)
                self.drivers.append(Driver(self._tracks, length, wish, route, 0.0, 0.7 * wish))
                self._tracks += 1
                return True
        return False

    def _is_green(self, crossing: int, axis: int) -> bool:
        lights = self._network.crossings[crossing]
        time, change = (self._time + lights.offset) % lights.cycle, lights.share * lights.cycle
        return time < change - CLEARING if axis == 0 else change <= time < lights.cycle - CLEARING

    def _gap_to_light(self, driver: Driver) -> float:
        """Pixels from the car's front to the next light where it has to stop; infinite without one."""
        front = driver.way + driver.length / 2
        for stop, crossing, axis in driver.route.stops:
            gap = stop - front
            if gap > -0.5:
                brakes = driver.speed**2 <= 2 * HARDEST_BRAKING * max(gap, 0.01)
                return max(gap, 0.01) if brakes and not self._is_green(crossing, axis) else np.inf
        return np.inf

    def _gaps_to_cars(self) -> tuple[np.ndarray, np.ndarray]:
        """Pixels from each car's front to the back of the next one on its way (N,), and that one's speed along it."""
        drivers = self.drivers
        poses = [driver.pose() for driver in drivers]
        centre, heading = (np.stack([pose[part] for pose in poses]) for part in (0, 1))
        length, speed = np.array([d.length for d in drivers]), np.array([d.speed for d in drivers])
        offsets = np.arange(SIGHT_STEP, SIGHT, SIGHT_STEP)
        steps = np.rint(offsets / STEP).astype(int)
        ahead = np.stack(
            [d.route.points[np.minimum(int(d.way / STEP) + steps, len(d.route.points) - 1)] for d in drivers]
        )
        reach = 0.55 * min(road.lane for road in self._network.roads)
        near, other = spatial.cKDTree(centre).query(ahead, k=NEIGHBOURS, distance_upper_bound=reach)
        seen = np.isfinite(near)
        other = np.where(seen, other, 0)
        own = np.arange(len(drivers))[:, None, None]
        same = (heading[:, None, None] * heading[other]).sum(axis=-1)
        seen &= (other != own) & (same > -0.5)
        waits = np.zeros((len(drivers), len(drivers)), bool)
        waits[np.broadcast_to(own, seen.shape)[seen], other[seen]] = True
        first = waits & waits.T & np.tri(len(drivers), k=-1, dtype=bool).T
        seen &= ~first[own, other]  # of two that would wait for each other, the one that came first goes
        gap = np.where(seen, offsets[None, :, None] - (length[:, None, None] + length[other]) / 2, np.inf)
        flat = gap.reshape(len(drivers), -1)
        nearest = np.arange(len(drivers)), flat.argmin(axis=1)
        along = np.maximum(same, 0.0) * speed[other]
        return flat[nearest], along.reshape(len(drivers), -1)[nearest]

    def step(self) -> None:
        """Go on by a frame."""
        self._time += 1
        if self.drivers:
            for driver, gap, speed in zip(self.drivers, *self._gaps_to_cars(), strict=True):
                _move(driver, [(gap, speed), (self._gap_to_light(driver), 0.0)])
        shape = np.array(self._projection.shape)
        self.drivers = [
            driver
            for driver in self.drivers
            if driver.way < (len(driver.route.points) - 1) * STEP
            and (driver.point(0.0) > -MARGIN - 2).all()
            and (driver.point(0.0) < shape + MARGIN + 2).all()
        ]
        if self._starts.entry[-1] > 0:
            self._fill(self._starts.entry)


def _move(driver: Driver, obstacles: list[tuple[float, float]]) -> None:
    """Drive for a frame behind `obstacles`, of each the gap to it and its speed."""
    bend = driver.route.speed[min(int(driver.way / STEP), len(driver.route.speed) - 1)]
    wish = max(min(driver.wish, float(bend)), 0.1)
    push = ACCELERATION * (1 - (driver.speed / wish) ** 4)
    for gap, speed in obstacles:
        if np.isfinite(gap):
            closing = driver.speed * (driver.speed - speed) / (2 * (ACCELERATION * BRAKING) ** 0.5)
            keep = STANDSTILL_GAP + max(driver.speed * HEADWAY + closing, 0.0)
            push = min(push, ACCELERATION * (1 - (driver.speed / wish) ** 4 - (keep / max(gap, 0.1)) ** 2))
    before = driver.speed
    driver.speed = max(before + max(push, -HARDEST_BRAKING), 0.0)
    driver.way += (before + driver.speed) / 2
