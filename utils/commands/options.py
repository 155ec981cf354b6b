"""Options that several commands share, and what is made of them once they are parsed.

They say what predicts, on what hardware, and how a threshold is chosen.
"""

from __future__ import annotations

import argparse
import re
from argparse import Namespace
from dataclasses import dataclass

from utils.images.grey_levels import Window
from utils.images.masks.meaning import IGNORE_HELP, parse_ignore_value
from utils.metrics import bootstrap
from utils.metrics.figures import EMPTY_FRAMES
from utils.metrics.published_countings import COUNTINGS
from utils.predictor.frame_preparation import RAW_WINDOW
from utils.system.command_line import BOUNDS, Parser, number, shown
from utils.system.errors import UserError
from utils.system.machine import is_device
from utils.training.config import TrainConfig


@dataclass(frozen=True)
class Hardware:
    """What a network runs on, and how.

    Args:
        device: `cpu`, `cuda` or `cuda:N`; None: `cuda` where there is one, else `cpu`.
        precision, compile: as of `Predictor.from_network`.
        batch_size: clips that go through the network together.
        threads: as of `utils.system.threads.limit_threads`.
    """

    device: str | None = None
    precision: str = "float32"
    compile: bool = False
    batch_size: int = 1
    threads: int = 0


@dataclass(frozen=True)
class Budget:
    """How a threshold is chosen on training frames: the most targets found within so many false alarms.

    Args:
        root: the dataset of those frames.
        fa, false_per_frame: the largest false-alarm rate and the most false components a frame.
        val_sequences, val_fraction: which of its training frames, as of `utils.training.selection.hold_out`.
    """

    root: str
    fa: float
    false_per_frame: float
    val_sequences: tuple[str, ...]
    val_fraction: float


def parse_window(text: str) -> Window:
    """`type=` of an option: `7000,9000` are grey levels, `p0.5,p99.9` percentiles of the frames."""
    found = re.fullmatch(r"(p?)(\d+(?:\.\d+)?),(p?)(\d+(?:\.\d+)?)", text.strip())
    low, high = (float(found[2]), float(found[4])) if found else (0.0, 0.0)
    most = 100 if found and found[1] else BOUNDS["window"].most
    if not found or found[1] != found[3] or not low < high <= most:
        raise argparse.ArgumentTypeError(
            f"found {shown(text)}, expected levels such as 7000,9000, or percentiles such as p0.5,p99.9, the lower one "
            "first"
        )
    return Window(low, high, bool(found[1]))


def parse_device(text: str) -> str:
    """`type=` of an option: the name of a device, which may not be there."""
    if not is_device(text):
        raise argparse.ArgumentTypeError(f"found {shown(text)}, expected cpu, cuda or cuda:N")
    return text


def parse_region(text: str) -> tuple[int, int, int, int]:
    """`type=` of an option: x,y,w,h in pixels."""
    found = re.fullmatch(r"(\d+),(\d+),(\d+),(\d+)", text.strip())
    try:
        values = tuple(map(int, found.groups())) if found else ()
    except ValueError:  # Python makes no integer of thousands of digits
        values = ()
    if not values or min(values[2:]) < 8 or not all(map(BOUNDS["roi"].hold, values)):
        raise argparse.ArgumentTypeError(f"found {shown(text)}, expected x,y,w,h in whole pixels, w and h at least 8")
    return values


def add_preparation_options(parser: Parser) -> None:
    """Options about a source's frames."""
    group = parser.group("Data")
    group.add_argument(
        "--stride",
        type=number("stride"),
        default=1,
        metavar="N",
        help="every Nth frame only: slow targets move further in a clip (default: %(default)s)",
    )
    group.add_argument(
        "--roi",
        type=parse_region,
        metavar="X,Y,W,H",
        help="look at this part of the frames only, in pixels; results are in the whole frame's pixels",
    )
    group.add_argument(
        "--window",
        type=parse_window,
        metavar="A,B",
        help="grey levels to be shown to the network as "
        "0 to 255: 7000,9000, or percentiles p0.5,p99.9, moved apart where noise would be more than "
        f"{RAW_WINDOW.noise:g} levels (default: as they are; raw 16-bit frames by {RAW_WINDOW} where "
        "the weights have learnt from 8 bits)",
    )
    group.add_argument("--invert", action="store_true", help="black-hot frames: turn dark into bright")


def add_budget_options(parser: Parser) -> None:
    """Options of a threshold that is chosen on training frames, as a training run chooses it."""
    group = parser.group("Choosing")
    group.add_argument(
        "--fa-budget",
        type=number("fa_budget"),
        metavar="X",
        help="choose the threshold on training "
        "frames set aside, never on those measured: the most targets found at a false-alarm rate of at "
        "most X there",
    )
    group.add_argument(
        "--false-budget",
        type=number("false_budget"),
        default=float("inf"),
        metavar="X",
        help="with --fa-budget: and at most X false components a frame",
    )
    group.add_argument(
        "--budget-root",
        metavar="FOLDER",
        help="with --fa-budget: the dataset of those frames (default: that of --data-root)",
    )
    group.add_argument(
        "--val-sequences",
        nargs="+",
        default=(),
        metavar="NAME",
        help="with --fa-budget: the training "
        "sequences, or NAME:N from frame N on, to choose on (default: as in training)",
    )
    group.add_argument(
        "--val-fraction",
        type=number("val_fraction"),
        default=TrainConfig().val_fraction,
        metavar="X",
        help="with --fa-budget and without --val-sequences: the share set aside (default: %(default)s)",
    )


def budget_of(options: Namespace) -> Budget | None:
    """What `add_budget_options` asked for, beside the options of predictor and data; None without a budget.

    Raises:
        UserError: a threshold is given as well, or a budget's options without the budget.
    """
    if options.fa_budget is None:
        for name, default in (("false_budget", float("inf")), ("budget_root", None), ("val_sequences", ())):
            if getattr(options, name) != default:
                option = f"--{name.replace('_', '-')}"
                raise UserError(f"{option}: found without --fa-budget X, which it goes with; give both or neither")
        return None
    for name in ("threshold", "false_rate"):
        if getattr(options, name) is not None:
            other = f"--{name.replace('_', '-')}"
            raise UserError(f"--fa-budget: found {other} as well, expected one of the two; leave one out")
    return Budget(
        options.budget_root or options.data_root,
        options.fa_budget,
        options.false_budget,
        tuple(options.val_sequences),
        options.val_fraction,
    )


def add_data_options(parser: Parser) -> None:
    """Options about a dataset."""
    group = parser.group("Data")
    group.add_argument("--data-root", required=True, metavar="FOLDER", help="dataset, its layout is found out")
    group.add_argument("--split", choices=("test", "train", "all"), default="test", help="default: %(default)s")
    group.add_argument("--sequences", nargs="+", default=[], metavar="NAME", help="only these sequences")
    group.add_argument(
        "--limit",
        type=number("limit"),
        default=0,
        metavar="N",
        help="only the first N frames of each sequence (0: all)",
    )
    add_ignore_option(parser)


def add_ignore_option(parser: Parser) -> None:
    """--ignore-value, for masks."""
    parser.group("Data").add_argument("--ignore-value", type=parse_ignore_value, metavar="N", help=IGNORE_HELP)


def add_hardware_options(parser: Parser, reading_ahead: bool = True) -> None:
    """Options about how the network is run; --workers where frames can be read ahead."""
    group = parser.group("Machine")
    group.add_argument(
        "--device", type=parse_device, metavar="NAME", help="cpu, cuda, cuda:1 … (default: cuda where there is one)"
    )
    group.add_argument(
        "--batch-size",
        type=number("batch_size"),
        default=1,
        metavar="N",
        help="clips that go through the network together (default: %(default)s)",
    )
    group.add_argument(
        "--precision",
        choices=("float32", "bf16", "fp16"),
        default="float32",
        help="half precision takes less time where the hardware has it (fp16: GPUs only), and costs "
        "some accuracy (default: %(default)s)",
    )
    group.add_argument(
        "--compile",
        action="store_true",
        help="torch.compile: takes up to minutes for each frame size (it says how long), then less time a frame",
    )
    add_threads_option(parser)
    if reading_ahead:
        group.add_argument(
            "--workers",
            type=number("workers"),
            default=2,
            metavar="N",
            help="threads that read frames ahead (default: %(default)s)",
        )
    group.add_argument("--quiet", action="store_true", help="no progress bar")


def add_threads_option(parser: Parser) -> None:
    """--threads, for what runs networks or classical methods."""
    parser.group("Machine").add_argument(
        "--threads",
        type=number("threads"),
        default=0,
        metavar="N",
        help="CPU threads for the network or method (0: their own choice; default: %(default)s)",
    )


def hardware_of(options: Namespace) -> Hardware:
    """What `add_hardware_options` asked for."""
    return Hardware(options.device, options.precision, options.compile, options.batch_size, options.threads)


def add_detail_options(parser: Parser) -> None:
    """What the figures are to be, and what is to be left out."""
    group = parser.group("Figures")
    group.add_argument(
        "--empty-frames",
        choices=tuple(EMPTY_FRAMES),
        default="leave-out",
        help="what frames without targets add to nIoU (default: %(default)s)",
    )
    group.add_argument(
        "--compat",
        nargs="+",
        default=[],
        metavar="NAME",
        choices=(*COUNTINGS, "all"),
        help=f"count also as published code does: {', '.join(COUNTINGS)}, all (see docs/metrics.md)",
    )
    group.add_argument(
        "--draws",
        type=number("draws"),
        default=bootstrap.DRAWS,
        metavar="N",
        help="resamples of the sequences for 95%% intervals (0: none, default: %(default)s)",
    )
    group.add_argument(
        "--no-details",
        action="store_true",
        help="leave out Pd by SNR, size and speed, and the contact sheets of the worst false alarms and misses",
    )
