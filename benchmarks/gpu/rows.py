"""Rows that a stage writes one by one, so that what it has measured stays when it is ended."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from utils.system.command_line import Parser, number

MAX_ERROR = 300  # letters of an error that is kept


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a file, none where it is not there; a line that a killed process has left unfinished is none."""
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    return rows


class RowFile:
    """Rows in a file, a line each; those that are there already, but for failed ones, are not measured again.

    A row holds the names that tell it from others, and what was measured, or `error`, or why it was `left_out`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = [row for row in read_rows(path) if "error" not in row]
        path.write_text("".join(map(_line, self.rows)), encoding="utf-8")

    def has(self, names: dict[str, Any]) -> bool:
        """Whether there is a row of these names."""
        return any(names.items() <= row.items() for row in self.rows)

    def add(self, row: dict[str, Any]) -> None:
        """Write a row at once."""
        self.rows.append(row)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_line(row))

    def measure(self, names: dict[str, Any], call: Callable[[], dict[str, Any]]) -> None:
        """Add the row of `names` and what `call` gives, or the error that it ends with; not where it is there."""
        if self.has(names):
            return
        try:
            self.add(names | call())
        except Exception as error:  # whatever it is: the other rows are to be measured
            self.add(names | {"error": describe(error)})

    def leave_out(self, names: dict[str, Any], reason: str) -> None:
        """Add a row that says why nothing is measured."""
        self.measure(names, lambda: {"left_out": reason})


def describe(error: BaseException) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:MAX_ERROR]


def stage_parser(module: str, description: str) -> Parser:
    """A command line with the options that all stages share."""
    options = Parser(prog=f"python -m benchmarks.gpu.{module}", description=description)
    options.add_argument("--rows", type=Path, required=True, metavar="FILE", help="written, or gone on with")
    options.add_argument("--device", default="cuda", help="cpu, cuda or cuda:N (default: %(default)s)")
    options.add_argument("--quick", action="store_true", help="tiny sizes: does it run at all?")
    options.add_argument("--threads", type=number("threads"), default=0, help="CPU threads (0: PyTorch's choice)")
    return options


def _line(row: dict[str, Any]) -> str:
    return json.dumps(row) + "\n"
