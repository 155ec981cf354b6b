"""Command lines whose mistakes are one clear line."""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from utils.system.errors import UserError
from utils.system.files import writing


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` that raises `UserError`, takes no shortened options, and knows its groups by their titles."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(
            allow_abbrev=False,
            **keywords,
            formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=34, width=120),
        )
        self._groups: dict[str, argparse._ArgumentGroup] = {}

    def group(self, title: str) -> argparse._ArgumentGroup:
        """The options that `--help` shows below `title`; groups come in the order in which they are first asked for."""
        if title not in self._groups:
            self._groups[title] = self.add_argument_group(title)
        return self._groups[title]

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong with the command line.

        Raises:
            UserError: always.
        """
        raise UserError(f"{message}; `{self.prog} --help` lists every option")


def declare_option(group: str, default: Any, text: str, **more: Any) -> Any:
    """A field of a dataclass whose fields are options of a command.

    Args:
        group: title of those that `--help` shows together.
        default: of the field.
        text: what the option means.
        more: metadata of the field, beside `group` and `help`.
    """
    return dataclasses.field(default=default, metadata={"group": group, "help": text, **more})


def make_folder(path: Path) -> None:
    """Make an output folder before work starts.

    Raises:
        UserError: that, or writing to it, is impossible.
    """
    with writing(path, "give another folder with --out"):
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass


def number(kind: Callable[[str], Any], least: float, most: float = float("inf")) -> Callable[[str], Any]:
    """A `type=` for options: an int or float from `least` to `most`."""

    def convert(text: str) -> Any:
        expected = f"at least {least}" if most == float("inf") else f"{least} to {most}"
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not least <= value <= most:
            raise argparse.ArgumentTypeError(f"found '{text}', expected {kind.__name__} {expected}")
        return value

    return convert
