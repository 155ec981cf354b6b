"""Command lines whose mistakes are one clear line."""
from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from utils.system.errors import UserError
from utils.system.files import writing


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` that raises `UserError`, and takes no shortened options."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(allow_abbrev=False, **keywords, formatter_class=lambda prog: argparse.HelpFormatter(
            prog, max_help_position=34, width=120))

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; `{self.prog} --help` lists every option")


def make_folder(path: Path) -> None:
    """Make an output folder before work starts; raises `UserError` where that, or writing to it, is impossible."""
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
