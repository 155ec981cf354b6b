"""Roads of a town in its plan: where they lie, where they cross, and the ways that cars take along them.

Positions are (v, u) in the plan, pixels; axis 0 runs along v, axis 1 along u. A road's `place` is its position on the
other axis.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

DISTRICTS = ("dense", "suburb", "industry", "parking", "park", "bare", "field", "water")
STYLES = {  # shares of the districts
    "town": (0.5, 0.17, 0.1, 0.08, 0.07, 0.05, 0.0, 0.03),
    "suburb": (0.12, 0.5, 0.08, 0.08, 0.1, 0.06, 0.04, 0.02),
    "industry": (0.1, 0.1, 0.45, 0.15, 0.05, 0.1, 0.03, 0.02),
    "country": (0.04, 0.14, 0.06, 0.03, 0.12, 0.1, 0.45, 0.06),
}
BUILT = ("dense", "suburb", "industry")  # districts with streets of their own
PARCEL = 40.0, 110.0  # pixels, of the sides of open ground


@dataclass(frozen=True)
class Road:
    """A straight road of `lanes` lanes each way, each `lane` pixels wide.

    `median`: width between the two ways; `kerb`: width of the strip on each side in which cars park.
    """

    axis: int
    place: float
    start: float
    end: float
    lanes: int
    lane: float
    median: float
    kerb: float
    level: float

    @property
    def half(self) -> float:
        """Half of its width, pixels."""
        return self.lanes * self.lane + self.median / 2 + self.kerb

    def offset(self, lane: int) -> float:
        """From the road's middle to that of a lane, counted from the inner one."""
        return self.median / 2 + (lane + 0.5) * self.lane


@dataclass(frozen=True)
class Block:
    """Ground between roads: its edges in the plan and what is on it."""

    top: float
    bottom: float
    left: float
    right: float
    district: str


def divide(rng: np.random.Generator, block: Block, side: float) -> Iterator[Block]:
    """A block divided into lots, none of which has a side longer than 1.4·`side`."""
    height, width = block.bottom - block.top, block.right - block.left
    if max(height, width) <= side or (max(height, width) < 1.4 * side and rng.uniform() < 0.3):
        if min(height, width) > 2.5:
            yield block
        return
    cut = rng.uniform(0.35, 0.65)
    if height > width:
        middle = block.top + cut * height
        parts = replace(block, bottom=middle), replace(block, top=middle)
    else:
        middle = block.left + cut * width
        parts = replace(block, right=middle), replace(block, left=middle)
    for part in parts:
        yield from divide(rng, part, side)


@dataclass(frozen=True)
class Crossing:
    """Where road `ways[0]` (of axis 0) and road `ways[1]` (of axis 1) cross, and its lights.

    In each `cycle` of frames axis 0 has green for `share` of it, then axis 1, each less the time to clear.
    """

    ways: tuple[int, int]
    cycle: float
    offset: float
    share: float


@dataclass
class Network:
    """All roads; `crossings` by the pair of roads; `along`: of each road its crossings in order of place."""

    roads: list[Road]
    blocks: list[Block]
    hand: int  # 1: cars drive on the right, -1: on the left
    crossings: list[Crossing] = field(default_factory=list)
    along: list[list[int]] = field(default_factory=list)

    def connect(self, rng: np.random.Generator) -> None:
        """Find the crossings and draw their lights."""
        self.along = [[] for _ in self.roads]
        for i, one in enumerate(self.roads):
            for j, other in enumerate(self.roads):
                if one.axis == 0 and other.axis == 1 and _meet(one, other):
                    share = np.clip(0.5 + 0.15 * (one.lanes - other.lanes) + rng.uniform(-0.1, 0.1), 0.25, 0.75)
                    number = len(self.crossings)
                    self.crossings.append(Crossing((i, j), rng.uniform(36, 70), rng.uniform(0, 70), float(share)))
                    self.along[i].append(number)
                    self.along[j].append(number)
        for i, numbers in enumerate(self.along):
            numbers.sort(key=lambda number: self.place_of(number, i))

    def place_of(self, crossing: int, road: int) -> float:
        """Where a crossing lies along one of its roads."""
        return self.roads[self.crossings[crossing].ways[1 - self.roads[road].axis]].place


def _meet(one: Road, other: Road) -> bool:
    inside = one.start - 1 <= other.place <= one.end + 1
    return inside and other.start - 1 <= one.place <= other.end + 1


def _places(rng: np.random.Generator, length: float, spacing: tuple[float, float]) -> list[float]:
    """Places of parallel roads across `length`, with gaps within `spacing`."""
    found, place = [], rng.uniform(0.2, 0.8) * spacing[0]
    while place < length - 4:
        found.append(place)
        place += rng.uniform(*spacing)
    return found


def lay_roads(rng: np.random.Generator, size: tuple[int, int], lane: float, style: str) -> Network:
    """Main roads across the plan of `size`, streets from one to the next, and the blocks between them.

    Args:
        rng: decides on everything.
        size: (Hp, Wp) of the plan.
        lane: width of a lane, pixels.
        style: one of `STYLES`.
    """
    wide = (26 * lane, 46 * lane) if style == "country" else (20 * lane, 38 * lane)
    level = rng.uniform(48, 80) if rng.uniform() < 0.75 else rng.uniform(80, 125)
    mains: list[list[Road]] = []
    for axis in (0, 1):
        lanes = rng.choice([1, 2, 3], p=[0.5, 0.4, 0.1] if style != "country" else [0.7, 0.25, 0.05], size=64)
        mains.append(
            [
                Road(
                    axis,
                    place,
                    0.0,
                    float(size[axis]),
                    int(count),
                    lane,
                    float(lane * rng.choice([0, 0.5, 1.5])) if count > 1 else 0.0,
                    0.0,
                    level + rng.normal(0, 5),
                )
                for place, count in zip(_places(rng, size[1 - axis], wide), lanes, strict=False)
            ]
        )
    network = Network([*mains[0], *mains[1]], [], 1 if rng.uniform() < 0.7 else -1)
    bounds = []  # edges of the cells between main roads along v and along u
    for axis, length in ((1, size[0]), (0, size[1])):
        bounds.append([(0.0, 0.0), *((road.place, road.half) for road in mains[axis]), (float(length), 0.0)])
    for top, bottom in zip(bounds[0], bounds[0][1:], strict=False):
        for left, right in zip(bounds[1], bounds[1][1:], strict=False):
            _fill_cell(rng, network, (top, bottom, left, right), lane, style, level)
    network.connect(rng)
    return network


Edge = tuple[float, float]  # place of a road and half of its width


def _fill_cell(
    rng: np.random.Generator,
    network: Network,
    cell: tuple[Edge, Edge, Edge, Edge],
    lane: float,
    style: str,
    level: float,
) -> None:
    """Streets through the cell between four main roads, if it is built up, and its blocks."""
    district = str(rng.choice(DISTRICTS, p=STYLES[style]))
    top, bottom, left, right = cell
    rows, columns = [top], [left]
    if district in BUILT:
        spacing = {"dense": (9 * lane, 17 * lane), "suburb": (10 * lane, 18 * lane), "industry": (18 * lane, 30 * lane)}
        for axis, (low, high), edges, across in (
            (1, (top, bottom), rows, (left, right)),
            (0, (left, right), columns, (top, bottom)),
        ):
            if axis == 0 and rng.uniform() < 0.5:
                continue  # streets in one direction only
            room = high[0] - high[1] - low[0] - low[1]
            for place in _places(rng, room, spacing[district]):
                if place < 5 * lane or place > room - 5 * lane:
                    continue
                kerb = float(lane * rng.choice([0.0, 0.55]))
                road = Road(
                    axis,
                    low[0] + low[1] + place,
                    across[0][0],
                    across[1][0],
                    1,
                    0.8 * lane,
                    0.0,
                    kerb,
                    level + rng.normal(0, 6),
                )
                network.roads.append(road)
                edges.append((road.place, road.half))
    rows.append(bottom)
    columns.append(right)
    for above, below in zip(rows, rows[1:], strict=False):
        for before, behind in zip(columns, columns[1:], strict=False):
            edges = above[0] + above[1], below[0] - below[1], before[0] + before[1], behind[0] - behind[1]
            if min(edges[1] - edges[0], edges[3] - edges[2]) > 2:
                network.blocks += _parcels(rng, Block(*edges, district), style)


def _parcels(rng: np.random.Generator, block: Block, style: str) -> Iterator[Block]:
    """A block as it is, if streets lead to it; else parts of it, some of which are of another district."""
    if block.district in BUILT:
        yield block
        return
    for part in divide(rng, block, rng.uniform(*PARCEL)):
        other = rng.uniform() < 0.35
        yield replace(part, district=str(rng.choice(DISTRICTS, p=STYLES[style]))) if other else part
