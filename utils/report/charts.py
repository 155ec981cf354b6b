"""Charts as SVG text, which browsers show without scripts; colours and dashes come from the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np

from utils.report.results import MethodResult

WIDTH, HEIGHT = 400, 310
LEFT_MARGIN, RIGHT_MARGIN, TOP_MARGIN, BOTTOM_MARGIN = 54, 16, 14, 58
LETTER_WIDTH = 8.0  # pixels, of a label
COLOUR_COUNT = 10  # colours; further methods begin again, with another dash
Pair = tuple[float, float]


@dataclass
class Axis:
    """From data to pixels: `low` … `high` onto `start` … `end`, by the logarithm where `log`.

    `named` are its ticks where they are not to be numbers, of one or two lines.
    Of a logarithmic axis everything below `low`, 0 as well, stands at its lower end.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    label: str = ""
    named: Sequence[tuple[float, str]] = ()

    def __call__(self, value: float) -> float:
        low, high, at = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, at = math.log10(low), math.log10(high), math.log10(at)
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    def ticks(self) -> Sequence[tuple[float, str]]:
        if self.named:
            return self.named
        if self.log:
            first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
            return [(10.0**power, power_text(power)) for power in range(first, last + 1)]
        return [(value, f"{value:g}") for value in np.linspace(self.low, self.high, 6).round(6).tolist()]


def power_text(power: int) -> str:
    """10⁻⁵, or the number where it is short."""
    if -2 <= power <= 4:
        return f"{10.0**power:g}"
    return "10" + str(power).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))


@dataclass
class Chart:
    """A frame with two axes, and marks collected into it."""

    x: Axis
    y: Axis
    title: str
    marks: list[str] = field(default_factory=list)
    labels: list[tuple[float, float, str]] = field(default_factory=list)

    def line(self, x: Sequence[float], y: Sequence[float], series: int, name: str, steps: bool = False) -> None:
        """A line through the points whose numbers are finite; with `steps` it goes right first, then up."""
        points: list[Pair] = []
        for a, b in zip(x, y, strict=True):
            if math.isfinite(a) and math.isfinite(b):
                point = (round(self.x(a), 1), round(self.y(b), 1))
                if steps and points and point[1] != points[-1][1]:
                    points.append((point[0], points[-1][1]))
                if not points or point != points[-1]:
                    points.append(point)
        if points:
            path = "M" + "L".join(f"{a:g} {b:g}" for a, b in points)
            self.marks.append(f'<path class="line {classes(series)}" d="{path}"><title>{escape(name)}</title></path>')

    def point(
        self,
        x: float,
        y: float,
        series: int,
        name: str,
        across: Pair | None = None,
        along: Pair | None = None,
        label: str = "",
    ) -> None:
        """A dot with whiskers: `across` is the interval of x, `along` that of y."""
        if not (math.isfinite(x) and math.isfinite(y)):
            return
        a, b, kind = self.x(x), self.y(y), classes(series)
        ways = []
        if across and all(map(math.isfinite, across)):
            ways.append(f"M{self.x(across[0]):.1f} {b:.1f}H{self.x(across[1]):.1f}")
        if along and all(map(math.isfinite, along)):
            ways.append(f"M{a:.1f} {self.y(along[0]):.1f}V{self.y(along[1]):.1f}")
        self.marks += [f'<path class="whisker {kind}" d="{way}"/>' for way in ways]
        self.marks.append(
            f'<circle class="dot {kind}" cx="{a:.1f}" cy="{b:.1f}" r="4.5"><title>{escape(name)}</title></circle>'
        )
        if label:
            self.labels.append((a, b, label))

    def _names(self) -> str:
        """The labels beside their dots, where they cover neither a dot nor another label, if there is such a place."""
        taken = [(a - 6, b - 6, a + 6, b + 6) for a, b, _ in self.labels]
        result = []
        for a, b, text in self.labels:
            width, height = LETTER_WIDTH * len(text), 15
            places = [
                (a + 9 if right else a - 9 - width, b - height / 2 + step)
                for step in (0, -10, 10, -20, 20, -30, 30)
                for right in (True, False)
            ]
            boxes = [(x, y, x + width, y + height) for x, y in places]
            free = [
                box
                for box in boxes
                if box[0] > self.x.start
                and box[2] < self.x.end + RIGHT_MARGIN
                and not any(
                    box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
                    for other in taken
                )
            ]
            box = (free or boxes)[0]
            taken.append(box)
            result.append(f'<text class="name" x="{box[0]:.1f}" y="{box[3] - 4:.1f}">{escape(text)}</text>')
        return "".join(result)

    def svg(self) -> str:
        """The chart as an SVG element that fills its container's width."""
        right, bottom = self.x.end, self.y.start
        grid = []
        for value, text in self.x.ticks():
            at = self.x(value)
            first, _, second = text.partition("\n")
            below = f'<tspan x="{at:.1f}" dy="14">{second}</tspan>' if second else ""
            grid.append(
                f'<path class="grid" d="M{at:.1f} {self.y.end}V{bottom}"/><text class="tick" x="{at:.1f}" '
                f'y="{bottom + 18}" text-anchor="middle">{first}{below}</text>'
            )
        for value, text in self.y.ticks():
            at = self.y(value)
            grid.append(
                f'<path class="grid" d="M{self.x.start} {at:.1f}H{right}"/><text class="tick" '
                f'x="{self.x.start - 7}" y="{at + 4:.1f}" text-anchor="end">{text}</text>'
            )
        middle = (self.y.start + self.y.end) / 2
        names = (
            f'<text class="axis" x="{(self.x.start + right) / 2}" y="{HEIGHT - 8}" text-anchor="middle">'
            f'{escape(self.x.label)}</text><text class="axis" transform="translate(13 {middle}) rotate(-90)" '
            f'text-anchor="middle">{escape(self.y.label)}</text>'
        )
        return (
            f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(self.title)}">'
            f"{''.join(grid)}{names}{''.join(self.marks)}{self._names()}</svg>"
        )


def classes(series: int) -> str:
    """Style sheet classes of a method's colour and dash."""
    return f"c{series % COLOUR_COUNT} d{series // COLOUR_COUNT % 3 if series >= COLOUR_COUNT else series % 3}"


def empty_chart(title: str, x: str, y: str, across: Pair = (0, 1), log: bool = False) -> Chart:
    """A chart without marks whose y goes from 0 to 1 and whose x goes `across`; `x` and `y` are the axes' labels."""
    horizontal = Axis(*across, LEFT_MARGIN, WIDTH - RIGHT_MARGIN, log, x)
    return Chart(horizontal, Axis(0, 1, HEIGHT - BOTTOM_MARGIN, TOP_MARGIN, False, y), title)


def roc(methods: Sequence[MethodResult]) -> str:
    """Pd over Fa, with each method's operating point and its intervals."""
    result = empty_chart("Pd over Fa", "Fa: false pixels / pixels", "Pd", (1e-7, 1e-2), log=True)
    for series, method in enumerate(methods):
        order = np.argsort(method.roc.x, kind="stable")
        pd = np.asarray(method.roc.y, float)[order]
        result.line(
            np.asarray(method.roc.x, float)[order].tolist(),
            np.maximum.accumulate(pd).tolist(),
            series,
            method.name,
            steps=True,
        )
    for series, method in enumerate(methods):
        figures = method.rules["centroid"]
        result.point(
            figures.figures["fa"],
            figures.figures["pd"],
            series,
            f"{method.name} at threshold {method.threshold:.4g}",
            figures.interval("fa"),
            figures.interval("pd"),
        )
    return result.svg()


def precision_recall(methods: Sequence[MethodResult], rule: str) -> str:
    """Precision over recall of all detections by the rule `centre` or `iou`, with the operating points."""
    text = {"centre": "centres less than 3 px apart", "iou": "IoU at least 0.5"}[rule]
    result = empty_chart(f"precision over recall, {text}", f"recall ({text})", "precision")
    names = {"centre": ("pd", "centre_precision"), "iou": ("recall", "precision")}[rule]
    for series, method in enumerate(methods):
        curve = method.precision_recall[rule]
        result.line(curve.x, curve.y, series, method.name)
    for series, method in enumerate(methods):
        x, y = names
        result.point(
            method.detection.figures[x],
            method.detection.figures[y],
            series,
            method.name,
            method.detection.interval(x),
            method.detection.interval(y),
        )
    return result.svg()


def speed(methods: Sequence[MethodResult]) -> str:
    """F1 over frames a second."""
    rates = [method.frames_per_second for method in methods]
    low, high = 10.0 ** math.floor(math.log10(min(rates))), 10.0 ** math.ceil(math.log10(max(rates)) + 1e-9)
    result = empty_chart("F1 over speed", "frames a second", "F1", (low, max(high, 10 * low)), log=True)
    for series, method in enumerate(methods):
        result.point(
            method.frames_per_second,
            method.figures["f1"],
            series,
            method.name,
            along=method.rules["centroid"].interval("f1"),
            label=method.name,
        )
    return result.svg()


def bands(methods: Sequence[MethodResult], key: str, title: str) -> str:
    """Pd with intervals by band: for each band a group of dots, one of each method."""
    names = [band.name for band in methods[0].bands[key]]
    counts = [band.targets for band in methods[0].bands[key]]
    result = empty_chart(f"Pd by {title}", f"{title} (targets)", "Pd", (0, len(names)))
    group = 0.7 / max(len(methods), 1)
    for series, method in enumerate(methods):
        for index, band in enumerate(method.bands[key]):
            at = index + 0.5 + (series - (len(methods) - 1) / 2) * group
            result.point(at, band.pd, series, f"{method.name}, {band.name}: {band.pd:.3f}", along=band.interval)
    result.x.named = [
        (index + 0.5, escape(f"{name}\n({count})"))
        for index, (name, count) in enumerate(zip(names, counts, strict=True))
    ]
    return result.svg()
