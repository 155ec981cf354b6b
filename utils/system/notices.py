"""Warnings: a line each on stderr, said once, and kept for the files that a command leaves behind."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from utils.system.addresses import hide_in_text
from utils.system.distributed import rank
from utils.system.packages.late import tqdm

_given: dict[str, None] = {}  # in the order in which they were said
_held: list[list[str]] = []  # of the contexts of `hold_warnings`, the inner ones last


def warn(text: str) -> None:
    """Say `warning: …` on stderr, in a line that does not break a progress bar; what was said before is not repeated.

    Of several processes only the first one speaks.

    Args:
        text: what was found, what becomes of it, and what can be done; it shows no secrets of URLs.
    """
    line = hide_in_text(" ".join(text.split()))
    if _held:
        _held[-1].append(line)
        return
    if line in _given:
        return
    _given[line] = None
    if rank() == 0:
        tqdm.tqdm.write(f"warning: {line}", file=sys.stderr)


@contextlib.contextmanager
def hold_warnings() -> Iterator[list[str]]:
    """Within this context warnings are only collected in the list that it gives: it tries what may be of no use."""
    _held.append([])
    try:
        yield _held[-1]
    finally:
        _held.pop()


def warnings_given() -> list[str]:
    """All warnings of this process so far, for `metrics.json` and the log of a training."""
    return list(_given)


def forget_warnings() -> None:
    """Begin anew, as another process would."""
    _given.clear()
