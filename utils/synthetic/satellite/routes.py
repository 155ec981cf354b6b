"""Ways that cars take: along a lane, straight on or round a corner at each crossing, until the plan ends."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from utils.synthetic.satellite.projection import Projection
from utils.synthetic.satellite.roads import Network
from utils.system.packages.late import ndimage

STEP = 0.5  # pixels of the picture between two points of a route
PLAN_STEP = 3.0  # pixels of the plan between two points of a straight way, which may be bent in the picture
CORNER_POINTS = 9
STRAIGHT = 0.6  # probability of going straight on where a car may turn as well
PUSH = 0.12  # pixels a frame², that a car bears sideways in a bend
LOOK_AHEAD = 6.0  # pixels before a bend in which it slows down


@dataclass(frozen=True, eq=False)
class Route:
    """A way in the picture: `points` (K, 2) (y, x), `STEP` pixels apart; `speed` (K,): as fast as bends allow.

    `stops`: of each crossing the way along to its stop line in pixels, its number, and the axis of the road towards it.
    """

    points: np.ndarray
    speed: np.ndarray
    stops: list[tuple[float, int, int]]


@dataclass
class Place:
    """On a road: `way` is 1 or -1 along its axis, `lane` counts from the inner one, `along` is in the plan's pixels."""

    road: int
    way: int
    lane: int
    along: float

    def across(self, network: Network) -> float:
        """The lane's position on the road's other axis."""
        road = network.roads[self.road]
        side = -network.hand if road.axis == 0 else network.hand
        return road.place + side * self.way * road.offset(self.lane)

    def point(self, network: Network, along: float) -> np.ndarray:
        """The plan position (v, u) on this lane at `along`."""
        pair = along, self.across(network)
        return np.array(pair if network.roads[self.road].axis == 0 else pair[::-1])


def _exits(network: Network, at: Place, crossing: int) -> list[Place]:
    """Where a car may leave a crossing to; straight on comes first where that is possible."""
    road, other, middle = network.roads[at.road], network.other(crossing, at.road), network.place_of(crossing, at.road)
    cross = network.roads[other]
    found = []
    if (road.end - middle if at.way > 0 else middle - road.start) > cross.half:
        found.append(Place(at.road, at.way, at.lane, middle))
    for way in (1, -1):
        if (cross.end - road.place if way > 0 else road.place - cross.start) > road.half:
            edge = road.place + way * (road.half + 0.3 * cross.lane)
            found.append(Place(other, way, min(at.lane, cross.lanes - 1), edge))
    return found


def _choose(rng: np.random.Generator, exits: list[Place], road: int, late: bool) -> Place:
    """One of the exits; a car that is on the crossing already comes `late` for a turn."""
    if exits[0].road == road and (len(exits) == 1 or late or rng.uniform() < STRAIGHT):
        return exits[0]
    turns = [place for place in exits if place.road != road]
    return turns[int(rng.integers(len(turns)))]


def _straight(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    count = int(np.hypot(*(end - start)) / PLAN_STEP) + 1
    return start + (end - start) * (np.arange(count) / count)[:, None]


def _corner(start: np.ndarray, corner: np.ndarray, end: np.ndarray) -> np.ndarray:
    t = (np.arange(CORNER_POINTS) / CORNER_POINTS)[:, None]
    return (1 - t) ** 2 * start + 2 * t * (1 - t) * corner + t**2 * end


def _walk(
    rng: np.random.Generator, network: Network, at: Place, longest: float
) -> tuple[np.ndarray, list[tuple[int, int, int]]]:
    """Plan positions (K, 2) along a way, and of each crossing the point at its stop line, its number and the axis."""
    pieces, marks, count, passed = [], [], 0, at.along
    while count * PLAN_STEP < longest:
        road = network.roads[at.road]
        ahead = [
            (at.way * (network.place_of(number, at.road) - passed), number)
            for number in network.along[at.road]
            if at.way * (network.place_of(number, at.road) - passed) > 1e-6
        ]
        if not ahead:
            end = road.end if at.way > 0 else road.start
            pieces.append(_straight(at.point(network, at.along), at.point(network, end)))
            at = replace(at, along=end)
            break
        number = min(ahead)[1]
        middle = network.place_of(number, at.road)
        cross = network.roads[network.other(number, at.road)]
        entry = middle - at.way * (cross.half + 0.3 * road.lane)
        late = at.way * (entry - at.along) < 0
        entry = at.along if late else entry
        start = at.point(network, entry)
        pieces.append(_straight(at.point(network, at.along), start))
        count += len(pieces[-1])
        marks.append((count, number, road.axis))
        chosen = _choose(rng, _exits(network, at, number), at.road, late)
        if chosen.road == at.road:
            at, passed = Place(at.road, at.way, at.lane, entry), middle
            continue
        corner = at.point(network, chosen.across(network))
        pieces.append(_corner(start, corner, chosen.point(network, chosen.along)))
        count += CORNER_POINTS
        at, passed = chosen, road.place
    pieces.append(at.point(network, at.along)[None])
    return np.concatenate(pieces), marks


def _bend_speed(points: np.ndarray) -> np.ndarray:
    """How fast a car may go at each point of a route, pixels a frame."""
    if len(points) < 12:
        return np.full(len(points), np.inf)
    smooth = ndimage.gaussian_filter1d(points, 1.0 / STEP, axis=0, mode="nearest")
    first = np.gradient(smooth, STEP, axis=0)
    second = np.gradient(first, STEP, axis=0)
    curvature = np.abs(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0])
    reach = int(LOOK_AHEAD / STEP)
    sharpest = ndimage.maximum_filter1d(curvature, 2 * reach + 1, mode="nearest")
    return np.sqrt(PUSH / np.maximum(sharpest, 1e-6))


def find_route(
    rng: np.random.Generator, network: Network, projection: Projection, start: Place, longest: float
) -> Route:
    """A random way from a place on a lane, which may end after `longest` pixels.

    Args:
        rng: decides at crossings.
        network: of roads.
        projection: of their plan.
        start: where it begins.
        longest: pixels.
    """
    plan, marks = _walk(rng, network, start, longest)
    drawn = projection.to_picture(plan)
    way = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(drawn, axis=0).T))])
    at = np.arange(0.0, max(way[-1], 2 * STEP), STEP)
    points = np.stack([np.interp(at, way, drawn[:, axis]) for axis in (0, 1)], axis=1)
    return Route(points, _bend_speed(points), [(float(way[mark]), number, axis) for mark, number, axis in marks])
