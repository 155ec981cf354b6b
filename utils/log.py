"""Several training runs side by side: a table of their figures, and their curves in one picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils.render.curves import RUNS_MARK, plot_runs
from utils.system.command_line import Parser
from utils.system.errors import UserError, user_errors
from utils.system.outputs import require_new_or_own
from utils.system.tables import format_table, format_value
from utils.training.run_log import LOG_FILE, read_log

COLUMNS = (
    ("model", "model", "s"),
    ("epochs", "epochs", "s"),
    ("best", "epoch", ".0f"),
    ("loss", "loss", ".4g"),
    ("Pd", "pd", ".4f"),
    ("Fa", "fa", ".2e"),
    ("IoU", "iou", ".4f"),
    ("AP50", "ap50", ".4f"),
    ("centre AP", "centre_ap", ".4f"),
    ("threshold", "threshold", ".4g"),
    ("minutes", "minutes", ".1f"),
    ("commit", "commit", "s"),
)
CURVE_TITLES = {
    "loss": "training loss",
    "iou": "IoU, validation",
    "pd": "Pd, validation",
    "fa": "Fa, validation",
    "ap50": "AP50, validation",
    "centre_ap": "centre AP, validation",
}


@dataclass(frozen=True)
class LoggedRun:
    """One run's log: its name, what began it, and a row for each epoch."""

    name: str
    about: dict[str, Any]
    rows: tuple[dict[str, Any], ...]

    def best(self) -> dict[str, Any]:
        """The figures of the epoch that was chosen: the one with the best validation, else the last."""
        judged = [row for row in self.rows if row.get("val")]
        if not judged:
            return {"epoch": self.rows[-1]["epoch"]} if self.rows else {}
        key = next((name for name in ("pd_in_budget", "ap50", "iou") if name in judged[0]["val"]), None)
        row = max(judged, key=lambda row: _to_number(row["val"].get(key), -math.inf)) if key else judged[-1]
        return {**row["val"], "epoch": row["epoch"]}

    def figures(self) -> dict[str, Any]:
        """What the table shows, NaN where something is not known."""
        config, last = self.about.get("config", {}), self.rows[-1] if self.rows else {}
        wanted = {key: math.nan for _, key, _ in COLUMNS}
        figures = {key: _to_number(value) for key, value in self.best().items() if key in wanted}
        return (
            wanted
            | figures
            | {
                "model": format_value(config.get("model")),
                "commit": format_value(self.about.get("git") or None),
                "epochs": f"{last.get('epoch', 0)}/{config.get('epochs', '?')}",
                "loss": _to_number(last.get("loss")),
                "minutes": _to_number(last.get("elapsed_s")) / 60,
            }
        )

    def curve(self, key: str) -> tuple[list[int], list[float]]:
        """Epochs and values of a loss or a validation figure, where it is known."""
        pairs = [(row["epoch"], _to_number(row.get(key, (row.get("val") or {}).get(key)))) for row in self.rows]
        pairs = [pair for pair in pairs if math.isfinite(pair[1])]
        return [epoch for epoch, _ in pairs], [value for _, value in pairs]


def _to_number(value: Any, instead: float = math.nan) -> float:
    try:
        return float(value) if isinstance(value, (int, float)) else instead
    except OverflowError:
        return instead


def read_run(path: str | Path) -> LoggedRun:
    """The log of a run's folder, or the log itself; a last line that was cut off while it was written is left out.

    Raises:
        UserError: there is none, or it is no log.
    """
    log = Path(path) / LOG_FILE if Path(path).is_dir() else Path(path)
    if not log.is_file():
        raise UserError(
            f"{path}: found no {LOG_FILE}, expected the folder of a training run; give folders such as runs/*"
        )
    about, rows = read_log(log)
    if not about and not rows:
        raise UserError(f"{log}: found nothing in it that a training run writes, expected its log")
    return LoggedRun(log.parent.name, about, tuple(rows))


def compare(paths: Sequence[str], out: str | None = None) -> str:
    """The table of some runs; their curves are drawn into `out`, by default `comparison.png` beside the first.

    Folders without a log are left out as long as one run is there: `runs/*` also matches pictures.

    Raises:
        UserError: no run is there, or a log cannot be read.
    """
    found = [Path(path) for path in paths if (Path(path) / LOG_FILE).is_file() or Path(path).name == LOG_FILE]
    found = found or [Path(paths[0])]  # which may be a log of another name
    runs = [read_run(path) for path in found]
    counts: dict[str, int] = {}
    named: dict[str, LoggedRun] = {}
    for run, path in zip(runs, found, strict=True):
        counts[run.name] = counts.get(run.name, 0) + 1
        named[run.name if counts[run.name] == 1 else str(path)] = run
    picture = Path(out) if out else Path(found[0]).absolute().parent / "comparison.png"
    require_new_or_own(picture, RUNS_MARK.encode(), [path / LOG_FILE if path.is_dir() else path for path in found])
    curves = {title: {name: run.curve(key) for name, run in named.items()} for key, title in CURVE_TITLES.items()}
    plot_runs({title: lines for title, lines in curves.items() if any(epochs for epochs, _ in lines.values())}, picture)
    figures = {name: run.figures() for name, run in named.items()}
    columns = [
        column
        for column in COLUMNS
        if any(isinstance(row[column[1]], str) or not math.isnan(row[column[1]]) for row in figures.values())
    ]
    return f"{format_table(figures, columns)}\ncurves in {picture}"


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = Parser(prog="python -m utils.log", description="Training runs as a table, their curves in a picture.")
    parser.add_argument("runs", nargs="+", metavar="FOLDER", help="of a run, such as runs/*")
    parser.add_argument("--out", metavar="FILE", help="the picture (default: comparison.png beside the runs)")
    given = parser.parse_args(argv)
    print(compare(given.runs, given.out))


if __name__ == "__main__":
    with user_errors():
        main()
