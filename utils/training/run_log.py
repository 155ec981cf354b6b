"""What a run leaves behind: one JSON line an epoch, TensorBoard events, a picture of the curves, its settings."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils.render.curves import plot_history
from utils.system.command_line import make_folder
from utils.system.distributed import command_prefix, rank
from utils.system.errors import UserError
from utils.system.files import encode_text, to_json_value, whole_file, write_json, writing
from utils.system.machine import git_revision
from utils.system.notices import warn, warnings_given
from utils.system.packages.late import tqdm
from utils.system.tables import format_value
from utils.system.untrusted import read_bytes
from utils.training.config import TrainConfig

LOG_FILE = "log.jsonl"


def settings_table(config: TrainConfig) -> str:
    """The resolved recipe, two settings a line."""
    items = [f"{key:>20} {format_value(value):<24}" for key, value in config.as_dict().items()]
    half = (len(items) + 1) // 2
    right = items[half:] + [""] * (2 * half - len(items))
    return "\n".join(f"{a} {b}".rstrip() for a, b in zip(items[:half], right, strict=True))


@dataclass
class EpochFigures:
    """What one epoch came to, a line of the log.

    Args:
        epoch: its number, from 1.
        losses: means over the clips of each named loss and, first, of their sum `loss`; empty where every batch was
            left out.
        clips: trained on, by all processes.
        clips_per_s, data_s: clips a second, and of its seconds those spent waiting for the loader.
        lr: learning rate at its end.
        skipped: batches left out for a non-finite loss.
        val: figures of `utils.training.selection.validate`, None where it was not validated.
        elapsed_s: seconds of the whole run until its end.
    """

    epoch: int
    losses: dict[str, float]
    clips: int
    clips_per_s: float
    data_s: float
    lr: float
    skipped: int = 0
    val: dict[str, Any] | None = None
    elapsed_s: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """The line, for JSON and checkpoints; `skipped` and `val` stand in it only where there are some."""
        row: dict[str, Any] = {
            "epoch": self.epoch,
            **self.losses,
            "clips": self.clips,
            "clips_per_s": self.clips_per_s,
            "data_s": self.data_s,
        }
        if self.skipped:
            row["skipped"] = self.skipped
        row["lr"] = self.lr
        if self.val is not None:
            row["val"] = self.val
        return row | {"elapsed_s": self.elapsed_s}


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
        self.folder, self.history = config.folder, list(history or ())
        make_folder(self.folder)
        write_json(self.folder / "config.json", config.as_dict())
        self.path = self.folder / LOG_FILE
        about = {} if history is None else read_log(self.path, tolerant=True)[0]
        about = about or {"git": git_revision(), "config": config.as_dict()}
        about["warnings"] = list(dict.fromkeys([*about.get("warnings", ()), *warnings_given()]))
        lines = [about, *self.history]
        with whole_file(self.path) as file:
            file.writelines(_encode_line(line) for line in lines)
        commands = self.folder / "command.txt"
        before = b"" if history is None or not commands.is_file() else commands.read_bytes()
        with whole_file(commands) as file:
            file.write(before + encode_text(shlex.join([*command_prefix(), *sys.argv]) + "\n"))
        self.board = _open_board(self.folder / "tensorboard", len(self.history) + 1)

    def say(self, text: str) -> None:
        """Print a line that does not break a progress bar."""
        if self.active:
            tqdm.tqdm.write(text, file=sys.stdout)
            sys.stdout.flush()

    def record(self, figures: EpochFigures) -> None:
        """Write one epoch's figures to every place where people look."""
        if not self.active:
            return
        row = figures.as_dict()
        self.history.append(row)
        with writing(self.path), open(self.path, "ab") as file:
            file.write(_encode_line(row))
        if self.board is not None:
            for name, value in flatten(row):
                if isinstance(value, (int, float)) and name != "epoch":
                    self.board.add_scalar(name, value, row["epoch"])
            self.board.flush()
        plot_history(self.history, self.folder / "curves.png")

    def close(self) -> None:
        """Finish the TensorBoard file."""
        if self.active and self.board is not None:
            self.board.close()


def _open_board(folder: Path, epoch: int) -> Any:
    """A `SummaryWriter` from this epoch on; None, with a warning, where TensorBoard does not take the folder's name."""
    from torch.utils.tensorboard import SummaryWriter  # imports PyTorch, which reading a log does not need

    try:
        return SummaryWriter(str(folder), purge_step=epoch)
    except UnicodeEncodeError:
        warn(f"{folder}: found a name that is no UTF-8, which TensorBoard does not take; its events are left out")
        return None


def _encode_line(row: dict[str, Any]) -> bytes:
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
    content = list(_read_rows(path, tolerant))
    latest = {row["epoch"]: row for row in content if isinstance(row.get("epoch"), int)}
    return next((row for row in content if "config" in row), {}), [latest[epoch] for epoch in sorted(latest)]


def _read_rows(path: str | os.PathLike, tolerant: bool) -> Iterator[dict[str, Any]]:
    lines = read_bytes(path, "a log").tobytes().decode("utf-8", "replace").splitlines()
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            if tolerant or number == len(lines):
                return
            raise UserError(f"{path}: line {number}: not json; expected the log of a training run") from None
        if not _is_row(row):
            if tolerant:
                return
            raise UserError(f"{path}: line {number}: expected an object, as a training run writes")
        yield row


def _is_row(row: Any) -> bool:
    """Whether a line of a log has the objects that are read from it."""
    return (
        isinstance(row, dict)
        and isinstance(row.get("config", {}), dict)
        and isinstance(row.get("val") or {}, dict)
        and isinstance(row.get("warnings", []), list)
    )


def flatten(row: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested figures as `("val/iou", 0.5)` pairs."""
    pairs: list[tuple[str, Any]] = []
    for key, value in row.items():
        pairs += flatten(value, f"{prefix}{key}/") if isinstance(value, dict) else [(prefix + key, value)]
    return pairs
