"""A town as the satellite sees it: its roads and blocks drawn, turned, bent, textured and seen through the optics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from utils.synthetic.satellite.blocks import Builder, ParkedPlace
from utils.synthetic.satellite.plan_drawing import SCALE, PlanDrawing
from utils.synthetic.satellite.projection import Projection
from utils.synthetic.satellite.roads import STYLES, Network, Road, lay_roads
from utils.synthetic.textures import fractal

LANE = 0.78  # width of a lane, in lengths of a car
DASH = 3.0  # pixels of a dashed line, and of its gaps
MIDDLE, STRETCH = 85.0, (1.0, 1.55)  # level about which the grey scale is stretched, and by how much
DARKEST, BRIGHTEST = 18.0, 255.0  # levels of the ground


@dataclass(eq=False)
class Town:
    """A town.

    `levels` (H, W) and `light` (H, W): grey levels, and the sun's light that is left in shadows; `road`: level of its
    roads; `parked`: places in the plan where cars stand; `shadow` (y, x): where a thing 1 pixel high throws its shadow.
    """

    style: str
    network: Network
    projection: Projection
    levels: np.ndarray
    light: np.ndarray
    road: float
    parked: list[ParkedPlace]
    shadow: np.ndarray


def build_town(
    rng: np.random.Generator,
    shape: tuple[int, int],
    car: float,
    bend: float,
    clutter: float,
    filled: float,
    psf: float,
) -> Town:
    """A town at random.

    Args:
        rng: decides on everything.
        shape: (H, W) of the picture.
        car: length of a usual car, pixels.
        bend: of the roads, rms displacement in pixels.
        clutter: factor on the contrast of the ground.
        filled: factor on the share of parking bays that are taken.
        psf: deviation of the optics' blur, pixels.
    """
    style = str(rng.choice(list(STYLES), p=(0.45, 0.22, 0.13, 0.2)))
    projection = Projection.draw(rng, shape, bend)
    network = lay_roads(rng, projection.size, LANE * car, style)
    azimuth, length = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.6)
    shadow = length * np.array([np.sin(azimuth), np.cos(azimuth)])  # in the picture
    plan = PlanDrawing(projection.size, _turned(projection.turn, shadow))
    builder = Builder(rng, plan, car, 1.0, [])
    for block in network.blocks:
        builder.filled = min(filled * rng.uniform(0.2, 0.9), 1.0)
        builder.draw(block)
    pavement = rng.uniform(95, 165)
    for road in network.roads:
        _pave(plan, road, pavement)
    for road in network.roads:
        _mark(builder, network, road, filled)
    level, light, texture = (
        projection.sample(ndimage.gaussian_filter(part, 0.45 * SCALE), SCALE).astype(np.float64)
        for part in (plan.level, plan.light, plan.texture)
    )
    grain = fractal(rng, shape, 24.0, 1.5, 0.35)
    gain = clutter * rng.uniform(*STRETCH)
    levels = MIDDLE + gain * ((level + texture * grain) * light - MIDDLE)
    levels = ndimage.gaussian_filter(np.clip(levels, DARKEST, BRIGHTEST), psf)
    road = MIDDLE + gain * (float(np.median([road.level for road in network.roads])) - MIDDLE)
    return Town(style, network, projection, levels, light, road, builder.parked, shadow)


def _turned(turn: np.ndarray, vector: np.ndarray) -> np.ndarray:
    return np.array([turn[0, 0] * vector[0] + turn[0, 1] * vector[1], turn[1, 0] * vector[0] + turn[1, 1] * vector[1]])


def _strip(plan: PlanDrawing, road: Road, low: float, high: float, level: float, texture: float) -> None:
    """Fill a strip along a road, from `low` to `high` pixels off its middle."""
    _piece(plan, road, road.start, road.end, low, high, level, texture)


def _piece(
    plan: PlanDrawing, road: Road, start: float, end: float, low: float, high: float, level: float, texture: float
) -> None:
    across = road.place + low, road.place + high
    edges = (start, end, *across) if road.axis == 0 else (*across, start, end)
    plan.fill(*edges, level, texture)


def _pave(plan: PlanDrawing, road: Road, pavement: float) -> None:
    """The pavements and the road between them; it keeps the shadows that fall on it."""
    half, walk = road.half, 0.35 * road.lane
    _strip(plan, road, -half - walk, -half, pavement, 6.0)
    _strip(plan, road, half, half + walk, pavement, 6.0)
    _strip(plan, road, -half, half, road.level, 3.5)


def _mark(builder: Builder, network: Network, road: Road, filled: float) -> None:
    """Lines, medians, stop lines, trees and parked cars along a road, but not on its crossings."""
    rng, plan, number = builder.rng, builder.plan, network.roads.index(road)
    crossings = [network.crossings[index] for index in network.along[number]]
    others = [network.roads[sum(crossing.ways) - number] for crossing in crossings]
    edges = [road.start, *(edge for o in others for edge in (o.place - o.half, o.place + o.half)), road.end]
    line, planted = road.level + rng.uniform(40, 90), rng.uniform() < 0.6
    taken = filled * rng.uniform(0.0, 0.75)
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        if end - start < 2 * road.lane:
            continue
        if road.median >= road.lane:
            _piece(plan, road, start, end, -road.median / 2, road.median / 2, rng.uniform(60, 110), 9.0)
            for along in np.arange(start + 2, end - 2, rng.uniform(4, 9)) if planted else ():
                middle = (along, road.place) if road.axis == 0 else (road.place, along)
                plan.plant(middle, 0.4 * road.median, rng.uniform(40, 65))
        elif road.lanes > 1 or road.lane > 5:
            _piece(plan, road, start, end, -0.25, 0.25, line, 3.5)
        for lane in range(1, road.lanes):
            off = road.median / 2 + lane * road.lane
            for along in np.arange(start, end - DASH, 2 * DASH):
                for side in (-off, off):
                    _piece(plan, road, along, along + DASH, side - 0.25, side + 0.25, line, 3.5)
        if road.lanes > 1:
            for along in (start + 0.4 * road.lane, end - 0.4 * road.lane - 0.5):
                _piece(plan, road, along, along + 0.5, -road.half, road.half, line, 3.5)
        if road.kerb:
            _park_along(builder, road, start + road.lane, end - road.lane, taken)


def _park_along(builder: Builder, road: Road, start: float, end: float, taken: float) -> None:
    builder.filled = min(taken, 1.0)
    for side in (-1, 1):
        off = road.place + side * (road.half - road.kerb / 2)
        for along in np.arange(start, end, 1.35 * builder.car):
            middle = (float(along), off) if road.axis == 0 else (off, float(along))
            builder.park(middle, (1.0, 0.0) if road.axis == 0 else (0.0, 1.0))
