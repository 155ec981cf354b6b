"""The table of the methods: for the page, and as Markdown for papers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from utils.metrics.bootstrap import LEVEL, compare_draws
from utils.metrics.published_countings import shifts
from utils.report.results import NO_INTERVAL, Measurement, MethodResult
from utils.system.tables import UNDEFINED, escape_markdown, format_value, markdown_rows


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Args:
        head: for people.
        part: where the figure is: a rule of `MethodResult.rules`, `detection`, `tracks`, or `speed`.
        key: of the figure in there.
        style: `share`, `fine`, `millionths`, `rate` or `count`, see `figure_text`.
        marked: whether the largest is marked (Fa alone says little).
    """

    head: str
    part: str
    key: str
    style: str
    marked: bool = True


COLUMNS = (
    Column("Pd", "centroid", "pd", "share"),
    Column("Fa ·10⁻⁶", "centroid", "fa", "millionths", marked=False),
    Column("F1", "centroid", "f1", "share"),
    Column("IoU", "centroid", "iou", "share"),
    Column("nIoU", "centroid", "niou", "share"),
    Column("AUC", "centroid", "pixel_auc", "fine"),
    Column("Pd at Fa ≤ 10⁻⁶", "centroid", "pd_at_fa_1e-06", "share"),
    Column("Pd at Fa ≤ 10⁻⁵", "centroid", "pd_at_fa_1e-05", "share"),
    Column("Pd at Fa ≤ 10⁻⁴", "centroid", "pd_at_fa_1e-04", "share"),
    Column("Pd, shooting", "shooting", "pd", "share"),
    Column("Fa, shooting ·10⁻⁶", "shooting", "fa", "millionths", marked=False),
    Column("AP50", "detection", "ap50", "share"),
    Column("centre AP", "detection", "centre_ap", "share"),
    Column("F1, any overlap", "detection", "any_overlap_f1", "share"),
    Column("F1, 5 px", "detection", "centre_5px_f1", "share"),
    Column("frames/s", "speed", "frames_per_second", "rate"),
)
TRACK_COLUMNS = (
    Column("true tracks", "tracks", "true_tracks", "count", marked=False),
    Column("HOTA", "tracks", "hota", "share"),
    Column("IDF1", "tracks", "idf1", "share"),
    Column("MOTA", "tracks", "mota", "share"),
    Column("switches", "tracks", "identity_switches", "count", marked=False),
    Column("track Pd", "tracks", "track_pd", "share"),
    Column("first hit after", "tracks", "frames_to_first_hit", "rate", marked=False),
    Column("tracks", "tracks", "tracks", "count", marked=False),
    Column("false tracks/minute", "tracks", "false_tracks_per_minute", "rate", marked=False),
)


def value_of(method: MethodResult, column: Column) -> tuple[float, tuple[float, float]]:
    """A figure of a method, and its interval (NaN where there is none)."""
    if column.part == "speed":
        return method.frames_per_second, NO_INTERVAL
    if column.part == "tracks":
        return method.tracks.overall[column.key], method.tracks.intervals.get(column.key, NO_INTERVAL)
    part = method.detection if column.part == "detection" else method.rules[column.part]
    return part.figures[column.key], part.interval(column.key)


def figure_text(value: float, style: str) -> str:
    """A figure in one of the styles of `Column`, – where it is undefined."""
    if style == "millionths":
        return format_value(1e6 * value, ".1f" if 1e6 * value < 1000 else ".0f")
    if style == "count":
        return format_value(value, ".0f")
    if style == "rate":
        return format_value(value, ".1f" if value < 100 else ".0f")
    return format_value(value, ".4f" if style == "fine" else ".3f")


def best_of(methods: Sequence[MethodResult], column: Column) -> set[int]:
    """Which methods have the best figure as it is shown; none where all are alike."""
    values = [value_of(method, column)[0] for method in methods]
    known = [value for value in values if math.isfinite(value)]
    if not known or not column.marked:
        return set()
    top = figure_text(max(known), column.style)
    best = {index for index, value in enumerate(values) if figure_text(value, column.style) == top}
    return best if len(best) < len(methods) else set()


def markdown(methods: Sequence[MethodResult], about: Measurement, intervals: bool = True) -> str:
    """The table for papers, the best figures bold, intervals in brackets, and what it was made of below.

    Where tracks were measured, a table of these follows.
    """
    names = {part: escape_markdown(getattr(about, part)) for part in ("dataset", "split", "machine")}
    escaped = replace(about, **names, warnings=tuple(map(escape_markdown, about.warnings)))
    lines = [*_rows(methods, COLUMNS, intervals), "", caption(escaped)]
    if rules := describe_tracks(methods):
        lines += ["", *_rows(methods, TRACK_COLUMNS, intervals), "", rules]
    return "\n".join(lines)


def describe_tracks(methods: Sequence[MethodResult]) -> str:
    """How tracks were measured, and how true ones were found; empty where none were."""
    measured = methods[0].tracks if methods else None
    if measured is None:
        return ""
    lines = (measured.describe(), measured.describe_links())
    return " ".join(f"{line[0].upper()}{line[1:]}." for line in lines if line)


def _rows(methods: Sequence[MethodResult], columns: Sequence[Column], intervals: bool) -> list[str]:
    """The lines of a table in Markdown."""
    lines = [["method", *(column.head for column in columns)]]
    best = [best_of(methods, column) for column in columns]
    for index, method in enumerate(methods):
        cells = [escape_markdown(method.name)]
        for column, winners in zip(columns, best, strict=True):
            value, ends = value_of(method, column)
            text = figure_text(value, column.style)
            text = f"**{text}**" if index in winners else text
            if intervals and all(map(math.isfinite, ends)):
                text += f" [{figure_text(ends[0], column.style)}, {figure_text(ends[1], column.style)}]"
            cells.append(text)
        lines.append(cells)
    return markdown_rows(lines)


def compare_countings(methods: Sequence[MethodResult]) -> str:
    """Markdown of how far figures move by the faulty countings (`utils.metrics.published_countings`).

    Those that move none are left out.
    """
    lines = [["counting", "figure", *(escape_markdown(method.name) for method in methods)]]
    moves = [shifts(method.figures_by_rule(), method.countings) for method in methods]
    for entries in zip(*moves, strict=True):
        if any(shift.moves for shift in entries):
            cells = [
                f"{shift.right:.3g} → {shift.counted:.3g} ({shift.counted / shift.right - 1:+.1%})"
                if shift.right and not math.isnan(shift.right)
                else UNDEFINED
                for shift in entries
            ]
            lines.append([f"`{entries[0].counting}`", entries[0].figure, *cells])
    return "\n".join(markdown_rows(lines))


def caption(about: Measurement) -> str:
    """What the figures are of, and how they were counted."""
    resampling = about.resampling
    kind = "image" if resampling.sequences == about.frames else "sequence"
    kinds = kind if resampling.sequences == 1 else f"{kind}s"
    few = " (few: take the intervals with care)" if resampling.few else ""
    return (
        f"{about.dataset}, split {about.split}: {about.frames} frames, {about.targets} targets, "
        f"{resampling.sequences} {kinds}. Pd, Fa and F1 by components whose centroids are less than 3 px apart, "
        "each matched once; F1, any overlap and 5 px, by boxes matched one to one; nIoU over frames with targets; "
        f"brackets: {LEVEL:.0%} intervals, {resampling.draws} resamples of the {kind}s{few}. Speed on {about.machine}, "
        "reading included." + "".join(f" Warning: {line}." for line in about.warnings)
    )


def comparisons(methods: Sequence[MethodResult]) -> list[tuple[str, str, str, float]]:
    """(figure, method, method, share of resamples in which the first is the larger) for the figures that are drawn."""
    rows = []
    for key, text in (("pd", "Pd"), ("f1", "F1"), ("iou", "IoU")):
        order = sorted(range(len(methods)), key=lambda index: -(methods[index].figures[key] or 0))  # noqa: B023
        for first, second in zip(order, order[1:], strict=False):
            share = compare_draws(methods[first].draws[key], methods[second].draws[key])
            rows.append((text, methods[first].name, methods[second].name, share))
    return rows
