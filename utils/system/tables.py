"""Figures as people read them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any

UNDEFINED = "–"
MARKUP = re.compile(r"[\\`*|\[\]]|(?<![^\W_])_|_(?![^\W_])|^[-+#]")  # `_` inside a word says nothing
ITEM_NUMBER = re.compile(r"^(\d{1,9})([.)])")
ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "~": "&#126;", "$": "&#36;"})


def format_value(value: Any, style: str = "") -> str:
    """A setting or a figure as people read it: – for what is undefined (None, NaN).

    All else is in the format `style`, such as `.3f`, by default with few digits.
    """
    if value is None or value != value:
        return UNDEFINED
    if style:
        return format(value, style)
    if isinstance(value, float):
        return f"{value:.2e}" if value and abs(value) < 1e-3 else f"{value:.4g}"
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def on_one_line(text: str) -> str:
    """A name that breaks no line and steers no terminal: blanks for breaks and tabs, � for what is no letter or sign.

    OpenCV, which draws names into pictures, crashes on bytes that are no letters.
    """
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else " " if letter.isspace() else "\ufffd" for letter in text)


def escape_markdown(text: str) -> str:
    """A name as Markdown shows it letter by letter, in a cell of a table as well as at the beginning of a paragraph."""
    escaped = MARKUP.sub(r"\\\g<0>", on_one_line(text).strip().translate(ENTITIES))
    return ITEM_NUMBER.sub(r"\1\\\2", escaped)


def align_cells(lines: Iterable[Sequence[str]], names: int = 1, least: Sequence[int] = (), gap: str = "  ") -> str:
    """Cells below each other.

    Args:
        lines: equally many cells each.
        names: columns that begin below each other; the others, figures, end there.
        least: characters that the first columns have at least.
        gap: between two columns.
    """
    lines = [list(map(on_one_line, line)) for line in lines]
    longest = (max(map(len, column)) for column in zip(*lines, strict=True))
    widths = [max(pair) for pair in zip_longest(longest, least, fillvalue=0)]
    return "\n".join(
        gap.join(
            cell.ljust(width) if place < names else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def format_table(
    rows: dict[str, dict[str, Any]],
    columns: Sequence[tuple[str, str, str]],
    corner: str = "",
    least: Sequence[int] = (),
) -> str:
    """Figures by name as aligned text.

    Args:
        rows: figures by their keys, by the names that begin the lines.
        columns: (head, key, format), a format as `format_value` takes it.
        corner: the head of the names.
        least: as of `align_cells`.
    """
    lines = [
        [name, *(format_value(figures[key], style) for _, key, style in columns)] for name, figures in rows.items()
    ]
    return align_cells([[corner, *(head for head, _, _ in columns)], *lines], least=least)


def markdown_rows(lines: Iterable[Sequence[str]]) -> list[str]:
    """Cells as the lines of a Markdown table, whose heads are the first; names in them by `escape_markdown`."""
    head, *rest = lines
    return [_row(head), "|---" * len(head) + "|", *map(_row, rest)]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
