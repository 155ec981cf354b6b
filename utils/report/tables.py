"""The table of the methods: for the page, and as Markdown for papers."""
from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from utils.metrics.published_countings import shifts
from utils.system.tables import UNDEFINED, format_value, markdown_rows

Method = dict[str, Any]
# head, where the figure is, where its interval is, key, format, whether the largest is marked (Fa alone says little)
COLUMNS = (
    ("Pd", "figures", "intervals", "pd", "share", True),
    ("Fa ·10⁻⁶", "figures", "intervals", "fa", "millionths", False),
    ("F1", "figures", "intervals", "f1", "share", True),
    ("IoU", "figures", "intervals", "iou", "share", True),
    ("nIoU", "figures", "intervals", "niou", "share", True),
    ("AUC", "figures", "intervals", "pixel_auc", "fine", True),
    ("Pd at Fa ≤ 10⁻⁶", "figures", "intervals", "pd_at_fa_1e-06", "share", True),
    ("Pd at Fa ≤ 10⁻⁵", "figures", "intervals", "pd_at_fa_1e-05", "share", True),
    ("Pd at Fa ≤ 10⁻⁴", "figures", "intervals", "pd_at_fa_1e-04", "share", True),
    ("Pd, shooting", "shooting", "shooting_intervals", "pd", "share", True),
    ("Fa, shooting ·10⁻⁶", "shooting", "shooting_intervals", "fa", "millionths", False),
    ("AP50", "detection", "detection_intervals", "ap50", "share", True),
    ("centre AP", "detection", "detection_intervals", "centre_ap", "share", True),
    ("frames/s", "", "", "frames_per_second", "rate", True),
)


def value_of(method: Method, column: tuple) -> tuple[float, tuple[float, float]]:
    """A figure of a method, and its interval (NaN where there is none)."""
    _, part, spread, key, *_ = column
    nothing = (math.nan, math.nan)
    if part == "shooting":
        return method["rules"]["shooting"][key], method["rule_intervals"]["shooting"].get(key, nothing)
    if not part:
        return method[key], nothing
    return method[part][key], method[spread].get(key, nothing)


def figure_text(value: float, style: str) -> str:
    """A figure in one of the styles of `COLUMNS`, – where it is undefined."""
    if style == "millionths":
        return format_value(1e6 * value, ".1f" if 1e6 * value < 1000 else ".0f")
    if style == "rate":
        return format_value(value, ".1f" if value < 100 else ".0f")
    return format_value(value, ".4f" if style == "fine" else ".3f")


def best_of(methods: Sequence[Method], column: tuple) -> set[int]:
    """Which methods have the best figure as it is shown; none where all are alike."""
    values = [value_of(method, column)[0] for method in methods]
    known = [value for value in values if math.isfinite(value)]
    if not known or not column[5]:
        return set()
    top = figure_text(max(known), column[4])
    best = {index for index, value in enumerate(values) if figure_text(value, column[4]) == top}
    return best if len(best) < len(methods) else set()


def markdown(methods: Sequence[Method], about: dict[str, Any], intervals: bool = True) -> str:
    """The table for papers, the best figures bold, intervals in brackets, and what it was made of below."""
    lines = [["method", *(column[0] for column in COLUMNS)]]
    best = [best_of(methods, column) for column in COLUMNS]
    for index, method in enumerate(methods):
        cells = [method["name"]]
        for column, winners in zip(COLUMNS, best, strict=True):
            value, ends = value_of(method, column)
            text = figure_text(value, column[4])
            text = f"**{text}**" if index in winners else text
            if intervals and all(map(math.isfinite, ends)):
                text += f" [{figure_text(ends[0], column[4])}, {figure_text(ends[1], column[4])}]"
            cells.append(text)
        lines.append(cells)
    return "\n".join([*markdown_rows(lines), "", caption(about)])


def counted_differently(methods: Sequence[Method]) -> str:
    """Markdown of how far figures move by the faulty countings (`utils.metrics.published_countings`); without those
    that move none."""
    lines = [["counting", "figure", *(method["name"] for method in methods)]]
    moves = [shifts(method["rules"], method["compat"]) for method in methods]
    for entries in zip(*moves, strict=True):
        if any(right != counted and right == right for _, _, right, counted in entries):
            cells = [f"{right:.3g} → {counted:.3g} ({counted / right - 1:+.1%})"
                     if right and right == right else UNDEFINED for _, _, right, counted in entries]
            lines.append([f"`{entries[0][0]}`", entries[0][1], *cells])
    return "\n".join(markdown_rows(lines))


def caption(about: dict[str, Any]) -> str:
    """What the figures are of, and how they were counted."""
    draws = about["bootstrap"]
    kind = "image" if draws["sequences"] == about["frames"] else "sequence"
    sequences = f"{draws['sequences']} {kind}{'s' * (draws['sequences'] != 1)}"
    few = " (few: take the intervals with care)" if draws["few"] else ""
    return (f"{about['dataset']}, split {about['split']}: {about['frames']} frames, {about['targets']} targets, "
            f"{sequences}. Pd, Fa and F1 by components whose centroids are less than 3 px apart, each matched once; "
            f"nIoU over frames with targets; brackets: {draws['level']:.0%} intervals, {draws['draws']} resamples of "
            f"the {kind}s{few}. Speed on {about['machine']}, reading included.")


def comparisons(methods: Sequence[Method], better: Any) -> list[tuple[str, str, str, float]]:
    """(figure, method, method, share of resamples in which the first is the larger) for the figures that are drawn.

    Args:
        better: `utils.metrics.bootstrap.better`.
    """
    rows = []
    for key, text in (("pd", "Pd"), ("f1", "F1"), ("iou", "IoU")):
        order = sorted(range(len(methods)), key=lambda index: -(methods[index]["figures"][key] or 0))  # noqa: B023
        for first, second in zip(order, order[1:], strict=False):
            share = better(methods[first]["draws"][key], methods[second]["draws"][key])
            rows.append((text, methods[first]["name"], methods[second]["name"], share))
    return rows
