"""What a run leaves behind: one JSON line an epoch, TensorBoard events, a picture of the curves, its settings."""
from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from utils.system.command_line import make_folder
from utils.system.distributed import command_prefix, rank
from utils.system.errors import UserError
from utils.system.files import atomic_write, to_json_value, write_json
from utils.system.machine import git_revision
from utils.system.tables import format_value
from utils.system.untrusted import read_bytes
from utils.training.config import TrainConfig

LOG = "log.jsonl"


def settings_table(config: TrainConfig) -> str:
    """The resolved recipe, two settings a line."""
    items = [f"{key:>20} {format_value(value):<24}" for key, value in config.as_dict().items()]
    half = (len(items) + 1) // 2
    right = items[half:] + [""] * (2 * half - len(items))
    return "\n".join(f"{a} {b}".rstrip() for a, b in zip(items[:half], right, strict=True))


class RunLog:
    """Files of one run in `config.folder`: `config.json`, `command.txt`, `log.jsonl`, `curves.png`, `tensorboard/`.

    Of several processes only the first one writes and speaks.

    Args:
        config: the run's recipe.
        history: rows of the epochs done, to continue a log, which then holds these and no others; None begins anew.
    Raises:
        UserError: the folder cannot be written.
    """

    def __init__(self, config: TrainConfig, history: Sequence[dict[str, Any]] | None = None) -> None:
        self.active = rank() == 0
        if not self.active:
            return
        from torch.utils.tensorboard import SummaryWriter

        self.folder, self.history = config.folder, list(history or ())
        make_folder(self.folder)
        write_json(self.folder / "config.json", config.as_dict())
        self.path = self.folder / LOG
        about = {} if history is None else read_log(self.path, tolerant=True)[0]
        lines = [about or {"git": git_revision(), "config": config.as_dict()}, *self.history]
        with atomic_write(self.path) as file:
            file.writelines(_line(line) for line in lines)
        with open(self.folder / "command.txt", "w" if history is None else "a", encoding="utf-8") as file:
            file.write(shlex.join([*command_prefix(), *sys.argv]) + "\n")
        self.board = SummaryWriter(str(self.folder / "tensorboard"), purge_step=len(self.history) + 1)

    def say(self, text: str) -> None:
        """Print a line that does not break a progress bar."""
        from tqdm import tqdm

        if self.active:
            tqdm.write(text, file=sys.stdout)
            sys.stdout.flush()

    def epoch(self, row: dict[str, Any]) -> None:
        """Record one epoch: `{"epoch": n, "loss": …, "val": {…}, …}`; figures go to every place people look."""
        from utils.render.curves import plot_history

        if not self.active:
            return
        self.history.append(row)
        with open(self.path, "ab") as file:
            file.write(_line(row))
        for name, value in flat(row):
            if isinstance(value, (int, float)) and name != "epoch":
                self.board.add_scalar(name, value, row["epoch"])
        self.board.flush()
        plot_history(self.history, self.folder / "curves.png")

    def close(self) -> None:
        """Finish the TensorBoard file."""
        if self.active:
            self.board.close()


def _line(row: dict[str, Any]) -> bytes:
    return (json.dumps(to_json_value(row), allow_nan=False) + "\n").encode()


def read_log(path: str | os.PathLike, tolerant: bool = False) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What began a run, its git revision and settings, and a row for each of its epochs, in their order.

    A last line that was cut off while it was written is left out; of two rows of an epoch the later one counts.

    Args:
        path: a `log.jsonl`.
        tolerant: as a run needs it that goes on: a file that is not there is empty, and a broken line ends it.
    Returns:
        The first is empty where the log does not hold it.
    Raises:
        UserError: it cannot be read, or, unless `tolerant`, holds what no training run writes.
    """
    if tolerant and not Path(path).exists():
        return {}, []
    content = list(_rows(path, tolerant))
    latest = {row["epoch"]: row for row in content if isinstance(row.get("epoch"), int)}
    return next((row for row in content if "config" in row), {}), [latest[epoch] for epoch in sorted(latest)]


def _rows(path: str | os.PathLike, tolerant: bool) -> Iterator[dict[str, Any]]:
    lines = read_bytes(path, "a log").tobytes().decode("utf-8", "replace").splitlines()
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            if tolerant or number == len(lines):
                return
            raise UserError(f"{path}: line {number}: not json; expected the log of a training run") from None
        if not isinstance(row, dict):
            if tolerant:
                return
            raise UserError(f"{path}: line {number}: expected an object, as a training run writes")
        yield row


def flat(row: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested figures as `("val/iou", 0.5)` pairs."""
    pairs: list[tuple[str, Any]] = []
    for key, value in row.items():
        pairs += flat(value, f"{prefix}{key}/") if isinstance(value, dict) else [(prefix + key, value)]
    return pairs
