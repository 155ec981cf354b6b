"""What happens with a problem found in a dataset: stop at the first, or collect them all."""

from __future__ import annotations

from collections.abc import Sequence

from utils.system.errors import UserError


class Report:
    """Stops at the first problem that makes a dataset unusable."""

    def add_files(self, paths: Sequence[str], found: str, advice: str, fatal: bool = True) -> None:
        """The same was `found` at each of `paths`.

        Raises:
            UserError: it is `fatal`; the text has the first path and the count.
        """
        if fatal and paths:
            raise UserError(f"{paths[0]}: {found} (the first of {len(paths)}); {advice}")

    def add_broken(self, error: UserError) -> None:
        """A list of images cannot be used.

        Raises:
            UserError: `error`.
        """
        raise error


class CollectingReport(Report):
    """Keeps every problem as a line of its own, in `lines`."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add_files(self, paths: Sequence[str], found: str, advice: str, fatal: bool = True) -> None:
        """Keep one line for each path."""
        self.lines += [f"{path}: {found}; {advice}" for path in paths]

    def add_broken(self, error: UserError) -> None:
        """Keep the error's text."""
        self.lines.append(str(error))
