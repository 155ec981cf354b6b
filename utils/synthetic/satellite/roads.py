"""Roads of a town in its plan: where they lie, where they cross, and the blocks of ground between them.

Positions are (v, u) in the plan, pixels; axis 0 runs along v, axis 1 along u. A road's `place` is its position on the
other axis.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

DISTRICTS = ("dense", "suburb", "industry", "parking", "park", "bare", "field", "water")
STYLES = {  # shares of the districts
    "town": (0.5, 0.17, 0.1, 0.08, 0.07, 0.05, 0.0, 0.03),
    "suburb": (0.12, 0.5, 0.08, 0.08, 0.1, 0.06, 0.04, 0.02),
    "industry": (0.1, 0.1, 0.45, 0.15, 0.05, 0.1, 0.03, 0.02),
    "country": (0.04, 0.14, 0.06, 0.03, 0.12, 0.1, 0.45, 0.06),
}
STREET_SPACING = {"dense": (9, 17), "suburb": (10, 18), "industry": (18, 30)}  # lanes, in districts that have streets
MAIN_SPACING, COUNTRY_SPACING = (20, 38), (26, 46)  # lanes between main roads
LANES, COUNTRY_LANES = (0.5, 0.4, 0.1), (0.7, 0.25, 0.05)  # shares of main roads with 1, 2 and 3 lanes each way
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
    """Where road `roads[0]` (of axis 0) and road `roads[1]` (of axis 1) cross, and its lights.

    In each `cycle` of frames axis 0 has green for `share` of it, then axis 1, each less the time to clear.
    """

    roads: tuple[int, int]
    cycle: float
    offset: float
    share: float


@dataclass
class Network:
    """All roads, the blocks between them and the crossings; `along`: of each road its crossings in order of place."""

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
        return self.roads[self.other(crossing, road)].place

    def other(self, crossing: int, road: int) -> int:
        """The road that one crosses there."""
        return self.crossings[crossing].roads[1 - self.roads[road].axis]


def _meet(one: Road, other: Road) -> bool:
    inside = one.start - 1 <= other.place <= one.end + 1
    return inside and other.start - 1 <= one.place <= other.end + 1


def _places(rng: np.random.Generator, length: float, spacing: tuple[float, float]) -> list[float]:
    """Places of parallel roads across `length`, one at least, with gaps within `spacing`."""
    found, place = [], min(rng.uniform(0.2, 0.8) * spacing[0], length / 2)
    while place < length - 4 or not found:
        found.append(place)
        place += rng.uniform(*spacing)
    return found


Edge = tuple[float, float]  # place of a road and half of its width


@dataclass(frozen=True)
class _Builder:
    """Lays roads: `lane` is the width of a lane in pixels, `level` that of asphalt here."""

    rng: np.random.Generator
    style: str
    lane: float
    level: float

    def mains(self, axis: int, size: tuple[int, int]) -> list[Road]:
        """Main roads along one axis of a plan of `size`."""
        rng, country = self.rng, self.style == "country"
        spacing = tuple(self.lane * count for count in (COUNTRY_SPACING if country else MAIN_SPACING))
        found = []
        for place in _places(rng, size[1 - axis], spacing):
            lanes = int(rng.choice([1, 2, 3], p=COUNTRY_LANES if country else LANES))
            median = self.lane * float(rng.choice([0, 0.5, 1.5])) if lanes > 1 else 0.0
            level = self.level + rng.normal(0, 5)
            found.append(Road(axis, place, 0.0, float(size[axis]), lanes, self.lane, median, 0.0, level))
        return found

    def streets(self, axis: int, between: tuple[Edge, Edge], ends: tuple[Edge, Edge], district: str) -> list[Road]:
        """Streets of a district along one axis, between two main roads along it and from one across it to the next."""
        rng, (low, high) = self.rng, between
        room = high[0] - high[1] - low[0] - low[1]
        found = []
        for place in _places(rng, room, tuple(self.lane * count for count in STREET_SPACING[district])):
            if 5 * self.lane <= place <= room - 5 * self.lane:
                kerb, level = self.lane * float(rng.choice([0.0, 0.55])), self.level + rng.normal(0, 6)
                middle = low[0] + low[1] + place
                found.append(Road(axis, middle, ends[0][0], ends[1][0], 1, 0.8 * self.lane, 0.0, kerb, level))
        return found

    def cell(self, rows: tuple[Edge, Edge], columns: tuple[Edge, Edge]) -> tuple[list[Road], list[Block]]:
        """Streets between four main roads, where the ground is built up, and the blocks."""
        district = str(self.rng.choice(DISTRICTS, p=STYLES[self.style]))
        across, along = [], []
        if district in STREET_SPACING:
            across = self.streets(1, rows, columns, district)
            along = self.streets(0, columns, rows, district) if self.rng.uniform() < 0.5 else []
        blocks = []
        for top, bottom in _gaps(rows, across):
            for left, right in _gaps(columns, along):
                if min(bottom - top, right - left) > 2:
                    blocks += _parcels(self.rng, Block(top, bottom, left, right, district), self.style)
        return across + along, blocks


def _gaps(ends: tuple[Edge, Edge], roads: list[Road]) -> list[tuple[float, float]]:
    """From the edge of each road to that of the next, between the two at the `ends`."""
    edges = [ends[0], *((road.place, road.half) for road in roads), ends[1]]
    return [(low[0] + low[1], high[0] - high[1]) for low, high in pairwise(edges)]


def lay_roads(rng: np.random.Generator, size: tuple[int, int], lane: float, style: str) -> Network:
    """Main roads across the plan of `size`, streets from one to the next, and the blocks between them.

    Args:
        rng: decides on everything.
        size: (Hp, Wp) of the plan.
        lane: width of a lane, pixels.
        style: one of `STYLES`.
    """
    level = rng.uniform(48, 80) if rng.uniform() < 0.75 else rng.uniform(80, 125)
    builder = _Builder(rng, style, lane, float(level))
    mains = [builder.mains(axis, size) for axis in (0, 1)]
    network = Network([*mains[0], *mains[1]], [], 1 if rng.uniform() < 0.7 else -1)
    rows, columns = (
        [(0.0, 0.0), *((road.place, road.half) for road in mains[axis]), (float(size[1 - axis]), 0.0)]
        for axis in (1, 0)
    )
    for between in pairwise(rows):
        for beside in pairwise(columns):
            roads, blocks = builder.cell(between, beside)
            network.roads += roads
            network.blocks += blocks
    network.connect(rng)
    return network


def _parcels(rng: np.random.Generator, block: Block, style: str) -> Iterator[Block]:
    """A block as it is, if streets lead to it; else parts of it, some of which are of another district."""
    if block.district in STREET_SPACING:
        yield block
        return
    for part in divide(rng, block, rng.uniform(*PARCEL)):
        other = rng.uniform() < 0.35
        yield replace(part, district=str(rng.choice(DISTRICTS, p=STYLES[style]))) if other else part
