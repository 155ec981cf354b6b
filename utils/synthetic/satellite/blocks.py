"""What stands on the ground between roads: roofs, gardens, trees, parking lots, parks, fields and water."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from utils.synthetic.satellite.plan_drawing import PlanDrawing
from utils.synthetic.satellite.roads import Block, divide

PARKED_GAP = 1.25  # a bay's length, in lengths of a car
BAY_WIDTH = 0.62  # in lengths of a car


@dataclass(frozen=True)
class ParkedPlace:
    """A place where a car stands: (v, u) in the plan and its heading there."""

    middle: tuple[float, float]
    heading: tuple[float, float]


@dataclass
class Builder:
    """Draws blocks into a plan and collects where cars are parked.

    `car`: length of a car, pixels; `filled`: how much of the bays is taken, from 0 to 1.
    """

    rng: np.random.Generator
    plan: PlanDrawing
    car: float
    filled: float
    parked: list[ParkedPlace]

    def draw(self, block: Block) -> None:
        """Draw a block by its district."""
        _DRAW[block.district](self, block)

    def ground(self, block: Block, level: float, texture: float) -> None:
        """The bare ground of a block."""
        self.plan.fill(block.top, block.bottom, block.left, block.right, level, texture)

    def trees(self, block: Block, density: float, radius: tuple[float, float] = (1.4, 3.6)) -> None:
        """Trees, `density` of them on 100 pixels of ground."""
        area = (block.bottom - block.top) * (block.right - block.left)
        for _ in range(int(self.rng.poisson(density * area / 100))):
            middle = self.rng.uniform(block.top, block.bottom), self.rng.uniform(block.left, block.right)
            self.plan.plant(middle, self.rng.uniform(*radius), self.rng.uniform(38, 75))

    def park(self, middle: tuple[float, float], heading: tuple[float, float]) -> None:
        """A car in a bay, or none."""
        if self.rng.uniform() < self.filled:
            self.parked.append(ParkedPlace(middle, heading))


def _inset(block: Block, margin: float) -> Block:
    return replace(
        block,
        top=block.top + margin,
        bottom=block.bottom - margin,
        left=block.left + margin,
        right=block.right - margin,
    )


def _roof_level(rng: np.random.Generator) -> float:
    """Of concrete, tiles or metal: bright, middling or dark."""
    kind = rng.uniform()
    return rng.uniform(150, 240) if kind < 0.42 else rng.uniform(95, 150) if kind < 0.78 else rng.uniform(50, 95)


def _flat_roof(build: Builder, lot: Block, height: float) -> None:
    """A roof with a parapet and what stands on it."""
    rng, level = build.rng, _roof_level(build.rng)
    build.plan.build(lot.top, lot.bottom, lot.left, lot.right, level, 7.0, height)
    if rng.uniform() < 0.6:
        inner = _inset(lot, 0.8)
        build.plan.fill(inner.top, inner.bottom, inner.left, inner.right, level * rng.uniform(0.7, 1.1), 7.0)
    for _ in range(int(rng.integers(0, 4))):
        size = rng.uniform(1.2, 4.5, 2)
        top = rng.uniform(lot.top, max(lot.bottom - size[0], lot.top + 0.1))
        left = rng.uniform(lot.left, max(lot.right - size[1], lot.left + 0.1))
        bottom, right = min(top + size[0], lot.bottom), min(left + size[1], lot.right)
        build.plan.build(top, bottom, left, right, _roof_level(rng), 4.0, rng.uniform(0.5, 2.0))


def _ridge_roof(build: Builder, lot: Block, height: float) -> None:
    """Two slopes, of which one faces the sun."""
    level, rise = _roof_level(build.rng) * 0.85, build.rng.uniform(0.12, 0.35)
    build.plan.build(lot.top, lot.bottom, lot.left, lot.right, level, 5.0, height)
    along_u = lot.right - lot.left > lot.bottom - lot.top
    sun = build.plan.shadow[0 if along_u else 1] < 0  # whether the sun stands towards the larger coordinate
    if along_u:
        middle = (lot.top + lot.bottom) / 2
        parts = (lot.top, middle, lot.left, lot.right), (middle, lot.bottom, lot.left, lot.right)
    else:
        middle = (lot.left + lot.right) / 2
        parts = (lot.top, lot.bottom, lot.left, middle), (lot.top, lot.bottom, middle, lot.right)
    for part, sunny in zip(parts, (not sun, sun), strict=True):
        build.plan.fill(*part, min(level * (1 + rise if sunny else 1 - rise), 250.0), 5.0)


def _dense(build: Builder, block: Block) -> None:
    rng = build.rng
    build.ground(block, rng.uniform(80, 140), 10.0)
    inner, tall = _inset(block, rng.uniform(0.5, 2.0)), rng.uniform(1.5, 4.0)
    for lot in divide(rng, inner, rng.uniform(9, 18)):
        if rng.uniform() < 0.12:
            build.plan.fill(lot.top, lot.bottom, lot.left, lot.right, rng.uniform(50, 180), 12.0)
            build.trees(lot, 1.0, (1.2, 2.4))
            continue
        house = _inset(lot, rng.choice([0.0, 0.4, 1.0]))
        (_flat_roof if rng.uniform() < 0.8 else _ridge_roof)(build, house, tall * rng.uniform(0.6, 1.5))


def _suburb(build: Builder, block: Block) -> None:
    rng = build.rng
    build.ground(block, rng.uniform(70, 115), 11.0)
    for lot in divide(rng, _inset(block, 1.0), rng.uniform(15, 22)):
        build.plan.fill(lot.top, lot.bottom, lot.left, lot.right, rng.uniform(65, 125), 11.0)
        sides = np.array([lot.bottom - lot.top, lot.right - lot.left])
        size = np.clip(sides * rng.uniform(0.4, 0.75, 2), 4.0, 14.0)
        top = lot.top + rng.uniform(0.1, 0.9) * max(sides[0] - size[0], 0)
        left = lot.left + rng.uniform(0.1, 0.9) * max(sides[1] - size[1], 0)
        house = Block(top, top + size[0], left, left + size[1], block.district)
        (_ridge_roof if rng.uniform() < 0.75 else _flat_roof)(build, house, rng.uniform(1.2, 2.5))
        if rng.uniform() < 0.3:
            along = rng.uniform(0, 1) < 0.5
            build.park(
                (house.bottom + 0.7 * build.car, (house.left + house.right) / 2), (1.0, 0.0) if along else (0.0, 1.0)
            )
    build.trees(block, rng.uniform(0.3, 1.2))


def _industry(build: Builder, block: Block) -> None:
    rng = build.rng
    build.ground(block, rng.uniform(85, 165), 8.0)
    for lot in divide(rng, _inset(block, 1.5), rng.uniform(35, 70)):
        if rng.uniform() < 0.22:
            _parking(build, lot)
            continue
        hall, height = _inset(lot, rng.uniform(1.5, 4.0)), rng.uniform(2.0, 4.0)
        if min(hall.bottom - hall.top, hall.right - hall.left) < 4:
            continue
        level = _roof_level(rng)
        build.plan.build(hall.top, hall.bottom, hall.left, hall.right, level, 5.0, height)
        pitch = rng.uniform(3, 9)
        for start in np.arange(hall.left, hall.right - 1, pitch):
            build.plan.fill(hall.top, hall.bottom, start, start + pitch / 2, level * rng.uniform(0.88, 0.97), 5.0)
        for _ in range(int(rng.integers(0, 7))):
            v, u = rng.uniform(hall.top, hall.bottom - 2), rng.uniform(hall.left, hall.right - 2)
            build.plan.build(v, v + rng.uniform(1, 3), u, u + rng.uniform(1, 3), _roof_level(rng), 4.0, 1.0)


def _parking(build: Builder, block: Block) -> None:
    """Rows of bays, back to back, and lanes between them."""
    rng, car = build.rng, build.car
    level = rng.uniform(60, 135)
    build.ground(block, level, 4.0)
    bay, width, aisle = PARKED_GAP * car, BAY_WIDTH * car, 1.4 * car
    row = block.top + 1.0
    while row + bay < block.bottom:
        for middle in np.arange(block.left + width, block.right - width, width):
            build.plan.fill(row, row + bay, middle - width / 2 - 0.25, middle - width / 2 + 0.25, level + 35, 4.0)
            build.park((row + bay / 2, float(middle)), (1.0, 0.0) if rng.uniform() < 0.5 else (-1.0, 0.0))
        row += bay if rng.uniform() < 0.5 else bay + aisle
    build.trees(block, 0.08)


def _park(build: Builder, block: Block) -> None:
    build.ground(block, build.rng.uniform(60, 100), 9.0)
    for _ in range(int(build.rng.integers(0, 3))):
        v = build.rng.uniform(block.top, block.bottom)
        build.plan.fill(v, min(v + 1.5, block.bottom), block.left, block.right, build.rng.uniform(120, 180), 5.0)
    build.trees(block, build.rng.uniform(0.6, 3.5), (1.5, 4.5))


def _bare(build: Builder, block: Block) -> None:
    build.ground(block, build.rng.uniform(120, 195), build.rng.uniform(10, 22))
    build.trees(block, 0.08)


def _field(build: Builder, block: Block) -> None:
    """Strips of crops with furrows."""
    rng = build.rng
    for lot in divide(rng, block, rng.uniform(50, 110)):
        level, furrow = rng.uniform(60, 165), rng.uniform(0.0, 14.0)
        build.plan.fill(lot.top, lot.bottom, lot.left, lot.right, level, rng.uniform(3, 12))
        for start in np.arange(lot.top, lot.bottom, 3.0):
            build.plan.fill(start, min(start + 1.5, lot.bottom), lot.left, lot.right, level + furrow, rng.uniform(3, 9))
        if rng.uniform() < 0.4:
            for u in np.arange(lot.left, lot.right, rng.uniform(3, 7)):
                build.plan.plant((lot.top, float(u)), rng.uniform(1.2, 2.6), rng.uniform(40, 70))


def _water(build: Builder, block: Block) -> None:
    build.ground(block, build.rng.uniform(25, 65), 4.0)


_DRAW: dict[str, Callable[[Builder, Block], None]] = {
    "dense": _dense,
    "suburb": _suburb,
    "industry": _industry,
    "parking": _parking,
    "park": _park,
    "bare": _bare,
    "field": _field,
    "water": _water,
}
