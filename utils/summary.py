"""What a demonstration run reached and which files to open: `python -m utils.summary demo`, or `demo-satellite`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from utils.system.command_line import Parser
from utils.system.errors import UserError, user_errors
from utils.system.tables import format_table
from utils.system.untrusted import read_text

SUBSET_TITLES = {"overall": "all", "snr_gt_3": "SNR > 3", "snr_le_3": "SNR <= 3"}
NUMBER = (int, float, type(None))
# The figures of test.py, and those of vid_map_coco.py.
MASK_TITLES = {"pd": "Pd", "fa": "Fa", "false_per_frame": "false/frame", "iou": "IoU", "niou": "nIoU"}
BOX_TITLES = {
    "ap50": "AP50",
    "any_overlap_f1": "F1 overlap",
    "centre_5px_f1": "F1 5 px",
    "any_overlap_precision": "precision",
    "any_overlap_recall": "recall",
    "false_per_frame": "false/frame",
}


def read_metrics(path: Path) -> dict[str, Any]:
    """The content of a `metrics.json` of test.py or vid_map_coco.py; raises `UserError` where there is none."""
    if not path.is_file():
        raise UserError(f"{path}: no such file; expected the figures that test.py or vid_map_coco.py writes")
    try:
        found = json.loads(read_text(str(path)))
        parts = [found[name] for name in SUBSET_TITLES if name in found]
        known = bool(parts) and all(isinstance(part[key], NUMBER) for part in parts for key in titles_of(found))
    except (ValueError, TypeError, KeyError, RecursionError):
        known = False
    if not known:
        raise UserError(
            f"{path}: found no figures, expected those that test.py or vid_map_coco.py writes; measure again"
        )
    return found


def titles_of(metrics: dict[str, Any]) -> dict[str, str]:
    """The columns that a `metrics.json` has figures for."""
    return BOX_TITLES if "ap50" in metrics["overall"] else MASK_TITLES


def format_tests(tests: dict[str, dict[str, Any]]) -> str:
    """A line for each test set and subset."""
    rows = {
        f"{name}, {text}": metrics[part]
        for name, metrics in tests.items()
        for part, text in SUBSET_TITLES.items()
        if part in metrics
    }
    titles = titles_of(next(iter(tests.values())))
    columns = [(text, key, "") for key, text in titles.items()]
    return format_table(rows, columns, "test set", (22, *(11 for _ in titles)))


def summarise(folder: Path) -> None:
    """Print the figures of `folder/test*/metrics.json` and the pictures, videos and tables to look at."""
    tests = {path.parent.name: read_metrics(path) for path in sorted(folder.glob("test*/metrics.json"))}
    read_metrics(folder / "test" / "metrics.json")
    print(f"\nFigures on test sequences that training never saw\n{format_tests(tests)}\n\nOpen these files")
    wanted = {
        "annotated video": "video/**/*.mp4",
        "the same as GIF": "video/**/*.gif",
        "predictions": "video/**/predictions.json",
        "training curves": "runs/*/curves.png",
        "Pd over Fa": "test/pd_fa.png",
        "precision, recall": "test/pr_curve.png",
        "weights": "runs/*/best.pt",
    }
    for text, pattern in wanted.items():
        for path in sorted(folder.glob(pattern)):
            print(f"  {text:17} {path}")
    print(f"  {'all figures':17} {folder / 'test' / 'metrics.json'}")


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = Parser(prog="python -m utils.summary", description=__doc__.split(":")[0] + ".")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="that `make demo` or `make demo-satellite` wrote")
    summarise(parser.parse_args(argv).folder)


if __name__ == "__main__":
    with user_errors():
        main()
