"""The page: one HTML text with its style, charts, pictures and script in it; it fetches nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

from utils.metrics.breakdown import BANDS
from utils.metrics.figures import ratio
from utils.metrics.published_countings import COUNTINGS, shifts
from utils.render.page_parts import html_page
from utils.report import charts, viewer
from utils.report.frames import ShownFrame
from utils.report.results import Measurement, MethodResult
from utils.report.tables import (
    COLUMNS,
    TRACK_COLUMNS,
    Column,
    best_of,
    caption,
    comparisons,
    describe_tracks,
    figure_text,
    markdown,
    value_of,
)
from utils.system.tables import format_value

MAX_SEQUENCES = 48  # with bars; of more the ones with the lowest mean Pd


def page(methods: Sequence[MethodResult], about: Measurement, frames: dict[str, list[ShownFrame]]) -> str:
    """The whole page.

    Args:
        methods: at least one.
        about: what they were measured on.
        frames: by sequence, those that the viewer shows.
    """
    here = Path(__file__).parent
    names = ", ".join(method.name for method in methods)
    title = f"{len(methods)} {'method' if len(methods) == 1 else 'methods'} on {about.dataset}"
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="soft">{escape(caption(about))}</p>',
        main_table(methods),
        comparison(methods),
        curves(methods),
        band_charts(methods),
        sequences(methods),
        tracks(methods),
        viewer.section(methods, frames, about),
        sheets(methods),
        countings(methods),
        paper(methods, about),
    ]
    script = (here / "script.js").read_text(encoding="utf-8")
    return html_page(title, names, here / "style.css", "\n".join(body) + viewer.data(frames), script)


def legend(methods: Sequence[MethodResult]) -> str:
    """Colour and dash of every method."""
    items = [
        f'<li><svg viewBox="0 0 30 10" aria-hidden="true"><path class="line {charts.classes(index)}" d="M0 5H30"/>'
        f"</svg>{escape(method.name)}</li>"
        for index, method in enumerate(methods)
    ]
    return f'<ul class="legend">{"".join(items)}</ul>'


def main_table(methods: Sequence[MethodResult]) -> str:
    """All figures with their intervals."""
    return (
        f'{figure_table(methods, COLUMNS)}<p class="note">Small: 95 % intervals. Shaded: best as printed. Each method '
        "at its own threshold; Pd at fixed Fa is the best that any threshold reaches within it on this set.</p>"
    )


def figure_table(methods: Sequence[MethodResult], columns: Sequence[Column]) -> str:
    """Figures of all methods, with intervals, the best shaded."""
    best = [best_of(methods, column) for column in columns]
    rows = []
    for index, method in enumerate(methods):
        cells = []
        for column, winners in zip(columns, best, strict=True):
            value, ends = value_of(method, column)
            text = figure_text(value, column.style)
            if all(map(math.isfinite, ends)):
                low, high = (figure_text(end, column.style) for end in ends)
                text += f"<small>{low}–{high}</small>"
            cells.append(f"<td{' class=best' if index in winners else ''}>{text}</td>")
        rows.append(
            f'<tr><th scope="row" class="{charts.classes(index)}">{escape(method.name)}</th>{"".join(cells)}</tr>'
        )
    heads = "".join(f'<th scope="col">{escape(column.head)}</th>' for column in columns)
    return (
        f'<div class="wide"><table><thead><tr><th scope="col">method</th>{heads}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def tracks(methods: Sequence[MethodResult]) -> str:
    """Figures of tracks, where they were measured, of the whole and of every sequence."""
    rules = describe_tracks(methods)
    if not rules:
        return ""
    heads = "".join(f'<th scope="col">{escape(column.head)}</th>' for column in TRACK_COLUMNS)
    rows = "".join(
        f'<tr><th scope="row">{escape(name)}</th><td>{escape(method.name)}</td>'
        + "".join(f"<td>{figure_text(figures[column.key], column.style)}</td>" for column in TRACK_COLUMNS)
        + "</tr>"
        for name in methods[0].tracks.sequences
        for method in methods
        for figures in [method.tracks.sequences[name]]
    )
    return (
        f"<h2>Tracks</h2>{figure_table(methods, TRACK_COLUMNS)}<p class=note>{escape(rules)}</p>"
        "<details><summary>By sequence</summary><div class=wide><table><thead><tr><th>sequence</th><th>method</th>"
        f"{heads}</tr></thead><tbody>{rows}</tbody></table></div></details>"
    )


def comparison(methods: Sequence[MethodResult]) -> str:
    """How sure the order of the methods is."""
    if len(methods) < 2:
        return ""
    rows = "".join(
        f"<tr><th scope=row>{escape(first)} over {escape(second)}</th><td>{text}</td>"
        f"<td>{figure_text(100 * share, 'rate')} %</td></tr>"
        for text, first, second, share in comparisons(methods)
    )
    return (
        "<details><summary>How sure is the order?</summary><p class=soft>Share of the resamples, the same "
        "sequences drawn for both, in which the first method has the larger figure; 50 % says nothing, 97.5 % is "
        "what an interval of the difference that excludes 0 would show.</p>"
        "<div class=wide><table><thead><tr><th>neighbours in the order</th><th>figure</th><th>share</th></tr>"
        "</thead>"
        f"<tbody>{rows}</tbody></table></div></details>"
    )


def chart_box(title: str, content: str, note: str = "") -> str:
    """A chart with its title and a line about it."""
    below = f"<figcaption>{escape(note)}</figcaption>" if note else ""
    return f'<figure class="chartbox"><h3>{escape(title)}</h3>{content}{below}</figure>'


def curves(methods: Sequence[MethodResult]) -> str:
    """ROC, precision over recall, and speed beside accuracy."""
    parts = [
        chart_box(
            "ROC: Pd over Fa",
            charts.roc(methods),
            "Best Pd within each Fa over all thresholds; circle: the method's own threshold, with intervals. The "
            "left end holds everything below 10⁻⁷.",
        ),
        chart_box(
            "Precision over recall, by centres",
            charts.precision_recall(methods, "centre"),
            "All detections of every frame; a hit is less than 3 px from the target's centre.",
        ),
        chart_box(
            "Precision over recall, by IoU",
            charts.precision_recall(methods, "iou"),
            "The same boxes, a hit has IoU of at least 0.5.",
        ),
        chart_box(
            "Accuracy beside speed", charts.speed(methods), "F1 at the method's own threshold, with its interval."
        ),
    ]
    return f'<h2>Curves</h2>{legend(methods)}<div class="charts four">{"".join(parts)}</div>'


def band_charts(methods: Sequence[MethodResult]) -> str:
    """Pd by SNR, size and speed."""
    parts = [
        chart_box(f"Pd by {title}", charts.bands(methods, key, title))
        for key, (title, _) in BANDS.items()
        if key in methods[0].bands
    ]
    return (
        '<h2>By kind of target</h2><p class="soft">Intervals over sequences; the number of targets of a band in '
        f"brackets. Speed is in the picture, the camera's motion included.</p>{legend(methods)}"
        f'<div class="charts">{"".join(parts)}</div>'
    )


def sequences(methods: Sequence[MethodResult]) -> str:
    """For every sequence bars of Pd, and false components a frame."""

    def mean(name: str) -> float:
        known = [method.sequences[name]["pd"] for method in methods]
        known = [value for value in known if math.isfinite(value)]
        return sum(known) / len(known) if known else math.inf

    names = list(methods[0].sequences)
    note = ""
    if len(names) > MAX_SEQUENCES:
        worst = set(sorted(names, key=mean)[:MAX_SEQUENCES])
        note = f" Of {len(names)} sequences the {MAX_SEQUENCES} with the lowest mean Pd."
        names = [name for name in names if name in worst]
    cards = []
    for name in names:
        figures = methods[0].sequences[name]
        rows = []
        for index, method in enumerate(methods):
            own = method.sequences[name]
            width = 100 * own["pd"] if math.isfinite(own["pd"]) else 0
            rows.append(
                f'<div class="bar {charts.classes(index)}"><span style="text-align:left" '
                f'title="{escape(method.name)}">{escape(method.name)}</span>'
                f'<i><b style="width:{width:.1f}%"></b></i><span>{figure_text(own["pd"], "share")}</span>'
                f"<span>{figure_text(own['false_per_frame'], 'rate')}</span></div>"
            )
        cards.append(
            f'<section class="sequence"><h3>{escape(name)}<span>{figures["targets"]} targets · '
            f"{figures['frames']} frames</span></h3>{''.join(rows)}</section>"
        )
    return (
        f'<h2>By sequence</h2><p class="soft">Bar and first number: Pd; second number: false components a frame.'
        f'{note}</p><div class="sequences">{"".join(cards)}</div>'
    )


def sheets(methods: Sequence[MethodResult]) -> str:
    """The worst false alarms and misses of every method."""
    parts = []
    for index, method in enumerate(methods):
        for pictures, text in (
            (method.alarms, "surest false alarms"),
            (method.misses, "missed targets of the highest SNR"),
        ):
            tiles = "".join(
                f'<figure><img alt="{escape(", ".join(tile.lines))}" src="{tile.uri}">'
                f"<figcaption>{'<br>'.join(map(escape, tile.lines))}</figcaption></figure>"
                for tile in pictures
            )
            opened = " open" if index == 0 else ""
            parts.append(
                f"<details{opened}><summary>{escape(method.name)}: {len(pictures)} {text}</summary>"
                f'<div class="tiles">{tiles or "<p>none</p>"}</div></details>'
            )
    return (
        '<h2>Worst false alarms and misses</h2><p class="soft">What stays at its place is shown once, with the '
        f"number of frames it is in. Yellow: true targets nearby.</p>{''.join(parts)}"
    )


def countings(methods: Sequence[MethodResult]) -> str:
    """How far the figures move when they are counted as published code does."""
    rows = []
    for method in methods:
        for shift in shifts(method.figures_by_rule(), method.countings):
            if shift.moves:
                moved = format_value(ratio(shift.counted, shift.right) - 1, "+.1%")
                rows.append(
                    f"<tr><th scope=row>{escape(method.name)}</th><td>{shift.counting}</td>"
                    f"<td>{shift.figure}</td><td>{shift.right:.4g}</td><td>{shift.counted:.4g}</td>"
                    f"<td>{moved}</td></tr>"
                )
    texts = "".join(f"<li><code>{name}</code>: {escape(counting.text)}</li>" for name, counting in COUNTINGS.items())
    return (
        "<h2>As published code counts</h2><details><summary>How far the figures move</summary>"
        f"<ul class=soft>{texts}</ul><div class=wide><table><thead><tr><th>method</th><th>counting</th>"
        f"<th>figure</th><th>right</th><th>counted</th><th>moves by</th></tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div></details>"
    )


def paper(methods: Sequence[MethodResult], about: Measurement) -> str:
    """The Markdown table, and the command that made the page."""
    table = escape(markdown(methods, about))
    return (
        f"<h2>For papers</h2><details><summary>Markdown table</summary><pre>{table}</pre></details>"
        f"<p class=soft>Made by <code>{escape(about.command)}</code></p>"
    )
