"""What a run leaves behind: one JSON line an epoch, TensorBoard events, a picture of the curves, its settings."""
from __future__ import annotations

import json
import shlex
import sys
import time
from typing import Any

from utils.checkpoint import git_revision
from utils.cli import make_folder
from utils.config import TrainConfig
from utils.errors import user_errors
from utils.files import plain, write_json


def settings_table(config: TrainConfig) -> str:
    """The resolved recipe, two settings a line."""
    items = [f"{key:>20} {shown(value):<24}" for key, value in config.as_dict().items()]
    half = (len(items) + 1) // 2
    right = items[half:] + [""] * (2 * half - len(items))
    return "\n".join(f"{a} {b}".rstrip() for a, b in zip(items[:half], right, strict=True))


def shown(value: Any) -> str:
    """A setting or a figure as people read it: few digits, – for what is undefined."""
    if value is None or value != value:
        return "–"
    if isinstance(value, float):
        return f"{value:.2e}" if value and abs(value) < 1e-3 else f"{value:.4g}"
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


class RunLog:
    """Files of one run in `config.folder`: `config.json`, `command.txt`, `log.jsonl`, `curves.png`, `tensorboard/`.

    Args:
        config: the run's recipe.
        resumed: continue the log that is there (else it is begun anew).
    Raises:
        UserError: the folder cannot be written.
    """

    def __init__(self, config: TrainConfig, resumed: bool = False) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.folder, self.quiet = config.folder, config.quiet
        make_folder(self.folder)
        write_json(self.folder / "config.json", config.as_dict())
        (self.folder / "command.txt").write_text(shlex.join(["python", *sys.argv]) + "\n", encoding="utf-8")
        self.path = self.folder / "log.jsonl"
        self.history = self._earlier() if resumed else []
        if not resumed:
            self.path.write_text(json.dumps({"git": git_revision(), "config": plain(config.as_dict())}) + "\n",
                                 encoding="utf-8")
        self.board = SummaryWriter(str(self.folder / "tensorboard"))
        self.began = time.perf_counter()

    def _earlier(self) -> list[dict[str, Any]]:
        if not self.path.exists():
            return []
        rows = [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines() if line]
        return [row for row in rows if "epoch" in row]

    def say(self, text: str) -> None:
        """Print a line that does not break a progress bar."""
        from tqdm import tqdm

        tqdm.write(text, file=sys.stdout)
        sys.stdout.flush()

    def epoch(self, row: dict[str, Any]) -> None:
        """Record one epoch: `{"epoch": n, "loss": …, "val": {…}, …}`; figures go to every place people look."""
        from utils.visualize import plot_history

        row = {**row, "elapsed_s": round(time.perf_counter() - self.began, 1)}
        self.history.append(row)
        with open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps(plain(row), allow_nan=False) + "\n")
        for name, value in flat(row):
            if isinstance(value, (int, float)) and name != "epoch":
                self.board.add_scalar(name, value, row["epoch"])
        self.board.flush()
        plot_history(self.history, self.folder / "curves.png")

    def close(self) -> None:
        """Finish the TensorBoard file."""
        self.board.close()


def flat(row: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested figures as `("val/iou", 0.5)` pairs."""
    pairs: list[tuple[str, Any]] = []
    for key, value in row.items():
        pairs += flat(value, f"{prefix}{key}/") if isinstance(value, dict) else [(prefix + key, value)]
    return pairs



if __name__ == "__main__":
    from utils.compare import main

    with user_errors():
        main()
