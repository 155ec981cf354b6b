"""Warnings: a line each on stderr, said once, and kept for the files that a command leaves behind."""

from __future__ import annotations

import sys

from tqdm import tqdm

from utils.system.addresses import hide_in_text
from utils.system.distributed import rank

_given: dict[str, None] = {}  # in the order in which they were said


def warn(text: str) -> None:
    """Say `warning: …` on stderr, in a line that does not break a progress bar; what was said before is not repeated.

    Of several processes only the first one speaks.

    Args:
        text: what was found, what becomes of it, and what can be done; it shows no secrets of URLs.
    """
    line = hide_in_text(" ".join(text.split()))
    if line in _given:
        return
    _given[line] = None
    if rank() == 0:
        tqdm.write(f"warning: {line}", file=sys.stderr)


def warnings_given() -> list[str]:
    """All warnings of this process so far, for `metrics.json` and the log of a training."""
    return list(_given)


def forget_warnings() -> None:
    """Begin anew, as another process would."""
    _given.clear()
