"""A town as the satellite sees it: its roads and blocks drawn, turned, bent, textured and seen through the optics."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from utils.synthetic.satellite.blocks import Builder, ParkedPlace
from utils.synthetic.satellite.plan_drawing import SCALE, PlanDrawing
from utils.synthetic.satellite.projection import Projection
from utils.synthetic.satellite.roads import STYLES, Network, Road, lay_roads
from utils.synthetic.textures import fractal
from utils.system.packages.late import ndimage

LANE = 0.78  # width of a lane, in lengths of a car
DASH, LINE = 3.0, 0.5  # pixels: length of a dash and of the gap behind it, width of a line
ASPHALT = 3.5  # levels, of the texture of roads
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
    plan = PlanDrawing(projection.size, (projection.turn * shadow).sum(axis=1))
    builder = Builder(rng, plan, car, 1.0, [])
    for block in network.blocks:
        builder.filled = min(filled * rng.uniform(0.2, 0.9), 1.0)
        builder.draw(block)
    pavement = rng.uniform(95, 165)
    for road in network.roads:
        _pave(plan, road, pavement)
    for number in range(len(network.roads)):
        _furnish(builder, network, number, filled)
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


def _fill(
    plan: PlanDrawing, road: Road, low: float, high: float, level: float, texture: float, span: tuple[float, float]
) -> None:
    """Fill a strip from `low` to `high` pixels off a road's middle, within a `span` along it."""
    across = road.place + low, road.place + high
    plan.fill(*(span + across if road.axis == 0 else across + span), level, texture)


def _pave(plan: PlanDrawing, road: Road, pavement: float) -> None:
    """The pavements and the road between them; it keeps the shadows that fall on it."""
    half, walk, span = road.half, 0.35 * road.lane, (road.start, road.end)
    _fill(plan, road, -half - walk, half + walk, pavement, 6.0, span)
    _fill(plan, road, -half, half, road.level, ASPHALT, span)


def _free_spans(network: Network, number: int) -> list[tuple[float, float]]:
    """Where a road is not on a crossing, along it."""
    road = network.roads[number]
    others = [network.roads[network.other(crossing, number)] for crossing in network.along[number]]
    edges = [road.start, *(edge for o in others for edge in (o.place - o.half, o.place + o.half)), road.end]
    return [span for span in zip(edges[::2], edges[1::2], strict=True) if span[1] - span[0] >= 2 * road.lane]


def _furnish(builder: Builder, network: Network, number: int, filled: float) -> None:
    """Lines, medians, stop lines, trees and parked cars along a road, but not on its crossings."""
    rng, plan, road = builder.rng, builder.plan, network.roads[number]
    line, planted = road.level + rng.uniform(40, 90), rng.uniform() < 0.6
    builder.filled = min(filled * rng.uniform(0.0, 0.75), 1.0)
    for start, end in _free_spans(network, number):
        if road.median >= road.lane:
            _fill(plan, road, -road.median / 2, road.median / 2, rng.uniform(60, 110), 9.0, (start, end))
            for along in np.arange(start + 2, end - 2, rng.uniform(4, 9)) if planted else ():
                plan.plant(_point(road, along, 0.0), 0.4 * road.median, rng.uniform(40, 65))
        elif road.lanes > 1:
            _fill(plan, road, -LINE / 2, LINE / 2, line, ASPHALT, (start, end))
        for lane in range(1, road.lanes):
            off = road.median / 2 + lane * road.lane
            for along in np.arange(start, end - DASH, 2 * DASH):
                for side in (-off, off):
                    _fill(plan, road, side - LINE / 2, side + LINE / 2, line, ASPHALT, (along, along + DASH))
        if road.lanes > 1:
            for along in (start + 0.4 * road.lane, end - 0.4 * road.lane - LINE):
                _fill(plan, road, -road.half, road.half, line, ASPHALT, (along, along + LINE))
        if road.kerb:
            for along in np.arange(start + road.lane, end - road.lane, 1.35 * builder.car):
                for side in (-1, 1):
                    place = _point(road, float(along), side * (road.half - road.kerb / 2))
                    builder.park(place, (1.0, 0.0) if road.axis == 0 else (0.0, 1.0))


def _point(road: Road, along: float, off: float) -> tuple[float, float]:
    return (along, road.place + off) if road.axis == 0 else (road.place + off, along)
