"""Figures as people read them."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def shown(value: Any) -> str:
    """A setting or a figure as people read it: few digits, – for what is undefined."""
    if value is None or value != value:
        return "–"
    if isinstance(value, float):
        return f"{value:.2e}" if value and abs(value) < 1e-3 else f"{value:.4g}"
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def table(rows: dict[str, dict[str, Any]], columns: Sequence[tuple[str, str, str]]) -> str:
    """Figures by name as aligned text, – where one is undefined; columns are (head, key, format)."""
    lines = [["", *(head for head, _, _ in columns)]]
    for name, figures in rows.items():
        lines.append([name, *("–" if figures[key] != figures[key] else format(figures[key], style)
                              for _, key, style in columns)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join([line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in
                                                            zip(line[1:], widths[1:], strict=True))]) for line in lines)
