"""A table of finished runs: what each finds, what it costs, and how many clips it has seen.

    python -m benchmarks.methods_table runs/*/test/metrics.json runs/*/clutter/metrics.json

takes the files that `test.py` writes, or `vid_map_coco.py`, whose figures make tables of their own: AP50, AP by the
centres' distance, Pd and false detections a frame by centres. By these a detector's box of 8×8 pixels costs no more
than a component of four. Files of the same weights or method make one line in the table of each dataset;
a dataset without targets is a column of false components a frame beside the others. Networks are neither trained nor
tested here: GFLOPs are those of one clip, of networks that mark every frame of a clip those of a window divided by the
frames from one to the next, and the time is that of a whole prediction in a stream (registration,
network, components), the mean of the second half of the first frames of the dataset, where that is still there.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils.commands.inputs import open_predictor
from utils.commands.options import Hardware
from utils.commands.predictor_options import PredictorChoice
from utils.datasets.dataset import open_dataset
from utils.images.image_files import read_frame
from utils.predictor.classical import CLASSICAL_METHODS
from utils.predictor.every_frame import window_step
from utils.predictor.predictor import Predictor
from utils.system.command_line import Parser, number
from utils.system.errors import UserError, user_errors
from utils.system.tables import escape_markdown, format_value, markdown_rows
from utils.training.run_log import LOG_FILE, read_log

COST_COLUMNS = ("clips seen", "parameters", "GFLOPs", "ms a frame")
# What the files of a script hold: in the table's order (column, key, format).
FIGURE_COLUMNS = {
    "test.py": (
        ("Pd", "pd", ".3f"),
        ("Fa", "fa", ".1e"),
        ("false a frame", "false_per_frame", ".2f"),
        ("IoU", "iou", ".3f"),
    ),
    "vid_map_coco.py": (
        ("AP50", "ap50", ".3f"),
        ("centre AP", "centre_ap", ".3f"),
        ("Pd", "pd", ".3f"),
        ("false a frame", "centre_false_per_frame", ".2f"),
    ),
}
FALSE_ALARM_KEYS = {"test.py": "false_per_frame", "vid_map_coco.py": "centre_false_per_frame"}


@dataclass(frozen=True)
class MeasuredMethod:
    """What a file says: the figures (`overall`, by their keys) of a method or of weights on a dataset.

    `script`: the one that wrote it. `model`: the network's or the method's name; `weights`: None for a method.
    """

    script: str
    model: str
    weights: str | None
    threshold: float
    data_root: str
    split: str
    overall: dict[str, Any]

    @property
    def key(self) -> str:
        """What stands in one line of a table."""
        return self.weights or self.model

    @property
    def dataset(self) -> str:
        """The dataset's name."""
        return Path(self.data_root).name

    @property
    def title(self) -> str:
        """The network's or method's name, with that of the run."""
        return f"{self.model} ({Path(self.weights).parent.name})" if self.weights else self.model


def read_figures(path: str) -> MeasuredMethod:
    """Read a metrics.json of `test.py` or `vid_map_coco.py`. Raises UserError for any other file."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        overall = content["overall"]
        script = "vid_map_coco.py" if "ap50" in overall else "test.py"
        for name in ("frames", "targets", *(key for _, key, _ in FIGURE_COLUMNS[script])):
            overall[name]
        return MeasuredMethod(
            script,
            content["model"],
            content["weights"],
            content["threshold"],
            str(Path(content["data_root"])),
            content["split"],
            overall,
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UserError(
            f"{path}: found no figures, expected a metrics.json that test.py or vid_map_coco.py has written"
        ) from None


Groups = dict[tuple[str, str], dict[str, MeasuredMethod]]  # by script and dataset, then by weights or method


def group_by_dataset(files: list[MeasuredMethod]) -> tuple[Groups, Groups]:
    """Figures of datasets with targets, and of those without.

    Raises:
        UserError: one predictor was measured twice on a dataset, or at several thresholds: its figures do not belong
            into one line.
    """
    with_targets: Groups = {}
    without: Groups = {}
    thresholds: dict[str, float] = {}
    for figures in files:
        key, groups = figures.key, with_targets if figures.overall["targets"] else without
        same = groups.setdefault((figures.script, figures.dataset), {})
        if key in same:
            raise UserError(f"{key}: found two files for {figures.dataset}, expected one; leave one out")
        if thresholds.setdefault(key, figures.threshold) != figures.threshold:
            raise UserError(
                f"{key}: measured at thresholds {thresholds[key]:g} and {figures.threshold:g}, expected "
                f"one; measure again with {figures.script} --threshold"
            )
        same[key] = figures
    return with_targets, without


def count_clips_seen(weights: str) -> int | None:
    """Training clips, before augmentation, up to the epoch of a run's weights; None without the run's log."""
    log = Path(weights).parent / LOG_FILE
    if not log.is_file():
        return None
    from utils.predictor.checkpoint import load_file  # which imports torch

    last = load_file(weights).get("epoch", float("inf"))
    _, rows = read_log(log)
    return sum(row["clips"] for row in rows if row["epoch"] <= last)


def choice_of(figures: MeasuredMethod) -> PredictorChoice:
    """What the figures were measured of. Raises UserError for a method that is not known."""
    if figures.weights:
        return PredictorChoice(figures.weights, threshold=figures.threshold)
    if figures.model not in CLASSICAL_METHODS:
        raise UserError(f"{figures.model}: found neither weights nor a method of this version")
    return PredictorChoice(method=figures.model, threshold=figures.threshold)


def measure_window(predictor: Predictor, images: list[Any]) -> float:
    """Milliseconds a frame of a network that marks every frame: a window's, over the frames from one to the next."""
    length = predictor.settings.num_frames
    frames = [images[i % len(images)] for i in range(length)]
    times = []
    for _ in range(2):  # the first one sets libraries up
        began = time.perf_counter()
        list(predictor.stream(frames))
        times.append(time.perf_counter() - began)
    return 1000 * times[-1] / window_step(length)


def measure_cost(figures: MeasuredMethod, device: str | None, count: int) -> list[str]:
    """Clips seen, parameters, GFLOPs and milliseconds a frame, as text; `count` frames are timed."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from utils.predictor.weights import read_weights

    predictor = open_predictor(choice_of(figures), Hardware(device), quiet=True)
    seen = parameters = gflops = milliseconds = None
    try:
        frames = open_dataset(figures.data_root, figures.split, need="images").frames[:count]
        images = [read_frame(frame.image) for frame in frames]
    except UserError:  # the dataset is no longer there: figures without cost
        images = []
    if figures.weights:
        network = read_weights(figures.weights).model.network
        seen = count_clips_seen(figures.weights)
        parameters = sum(p.numel() for p in network.parameters())
        if images:
            threads = torch.get_num_threads()
            torch.set_num_threads(1)  # else clips run side by side in threads that the counter does not see
            every = predictor.settings.num_frames if predictor.settings.every_frame else 1
            with FlopCounterMode(display=False) as counter:
                list(predictor.stream(images[:1] * every))
            torch.set_num_threads(threads)
            gflops = counter.get_total_flops() / 1e9 / (window_step(every) if every > 1 else 1)
    if predictor.settings.every_frame and images:  # predictions come a window at a time
        milliseconds, images = measure_window(predictor, images), []
    ends = []
    for _ in predictor.stream(images):
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        ends.append(time.perf_counter())
    half = ends[len(ends) // 2 :]  # the first ones set libraries up
    if len(half) > 1:
        milliseconds = 1000 * (half[-1] - half[0]) / (len(half) - 1)
    return [
        format_value(value, style)
        for value, style in ((seen, ","), (parameters, ","), (gflops, ".2f"), (milliseconds, ".1f"))
    ]


def table_lines(files: list[MeasuredMethod], device: str | None = None, count: int = 20) -> list[str]:
    """The tables as lines of Markdown; `count` frames are timed, 0 leaves out what each costs."""
    with_targets, without = group_by_dataset(files)
    lines: list[str] = []
    for (script, data), rows in with_targets.items():
        columns, others = FIGURE_COLUMNS[script], {name: part for (own, name), part in without.items() if own == script}
        frames = sorted({figures.overall["frames"] for figures in rows.values()})
        if len(frames) > 1:
            raise UserError(
                f"{data}: measured over {' and '.join(map(str, frames))} frames, expected the same; "
                "measure again without --limit and --sequences"
            )
        head = [
            f"{escape_markdown(data)}, {frames[0]} frames",
            *(name for name, _, _ in columns),
            *(COST_COLUMNS if count else ()),
        ]
        head += [f"false a frame, {escape_markdown(name)}" for name in others]
        cells = [head]
        for key, figures in rows.items():
            elsewhere = (
                part[key].overall[FALSE_ALARM_KEYS[script]] if key in part else None for part in others.values()
            )
            cells.append(
                [
                    escape_markdown(figures.title),
                    *(format_value(figures.overall[name], style) for _, name, style in columns),
                    *(measure_cost(figures, device, count) if count else ()),
                    *(format_value(false, ".3f") for false in elsewhere),
                ]
            )
        lines += [*markdown_rows(cells), ""]
    return lines


def main(argv: list[str] | None = None) -> None:
    """The command line."""
    parser = Parser(prog="python -m benchmarks.methods_table", description=__doc__.split("\n\n")[0])
    parser.add_argument("files", nargs="+", metavar="FILE", help="metrics.json of test.py")
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:1 … (default: cuda where there is one)")
    parser.add_argument(
        "--threads",
        type=number("threads"),
        default=1,
        metavar="N",
        help="CPU threads of the networks (default: %(default)s; 0: PyTorch's choice)",
    )
    parser.add_argument(
        "--frames",
        type=number("limit"),
        default=20,
        metavar="N",
        help="frames to time (default: %(default)s; 0: only what the files say)",
    )
    options = parser.parse_args(argv)
    files = [read_figures(path) for path in options.files]
    if options.threads and options.frames:
        import torch  # too slow for a command line that may be mistyped

        torch.set_num_threads(options.threads)
    print("\n".join(table_lines(files, options.device, options.frames)))


if __name__ == "__main__":
    with user_errors():
        main()
