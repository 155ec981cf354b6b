"""What the commands that measure on a dataset share: options, the choice of sequences, tables."""
from __future__ import annotations

import dataclasses
from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from utils.checks import quick_check
from utils.cli import Parser, number
from utils.datasets import Dataset, open_dataset
from utils.errors import UserError

NAMED = 12  # sequences listed in an error
MOST_ROWS = 40  # sequences listed on the screen; metrics.json has all of them


def add_options(parser: Parser) -> None:
    """Options about the data and how it is run through."""
    parser.add_argument("--data-root", required=True, metavar="FOLDER", help="dataset, its layout is found out")
    parser.add_argument("--split", choices=("test", "train", "all"), default="test", help="default: %(default)s")
    parser.add_argument("--sequences", nargs="+", default=[], metavar="NAME", help="only these sequences")
    parser.add_argument("--limit", type=number(int, 0), default=0, metavar="N",
                        help="only the first N frames of each sequence (0: all)")
    add_hardware(parser)
    parser.add_argument("--workers", type=number(int, 0), default=2, metavar="N",
                        help="threads that read frames ahead (default: %(default)s)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def add_hardware(parser: Parser) -> None:
    """Options about how the network is run: `running(options)` are keywords of `Predictor.from_checkpoint`."""
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:1 … (default: cuda where there is one)")
    parser.add_argument("--batch-size", type=number(int, 1), default=1, metavar="N",
                        help="clips that go through the network together (default: %(default)s)")
    parser.add_argument("--precision", choices=("float32", "bf16", "fp16"), default="float32",
                        help="half precision takes less time where the hardware has it (fp16: GPUs only), and costs "
                        "some accuracy (default: %(default)s)")
    parser.add_argument("--compile", action="store_true", help="torch.compile: takes up to minutes for each frame size "
                        "(it says how long), then less time a frame")


def running(options: Namespace) -> dict[str, Any]:
    """What `add_hardware` asked for, as keywords of `Predictor.from_checkpoint`."""
    return {"device": options.device, "precision": options.precision, "compile": options.compile}


def open_labelled(options: Namespace, prefer: str) -> Dataset:
    """The dataset of `options.data_root` and `options.split`.

    Args:
        options: from a parser with `add_options`.
        prefer: `masks` or `boxes`: the labels that every frame must have where the dataset has any of that kind; where
            it has only the other kind, every frame must have that.
    Raises:
        UserError: no dataset, or labels are missing.
    """
    frames = open_dataset(options.data_root, options.split, need="images").frames
    kinds = {"masks": any(frame.mask is not None for frame in frames),
             "boxes": any(frame.boxes is not None for frame in frames)}
    other = {"masks": "boxes", "boxes": "masks"}[prefer]
    if not any(kinds.values()):
        prefer = "labels"  # which says that there are neither
    return open_dataset(options.data_root, options.split, need=prefer if kinds.get(prefer, True) else other)


def only_sequences(dataset: Dataset, names: Sequence[str]) -> Dataset:
    """The dataset with these sequences, all where none is named; files, masks and boxes of them are looked over.

    Raises:
        UserError: there is no such sequence, or a file, mask or box cannot be used.
    """
    unknown = [name for name in names if name not in dataset.sequences]
    if unknown:
        known = [*list(dataset.sequences)[:NAMED], *(["…"] if len(dataset.sequences) > NAMED else [])]
        raise UserError(f"--sequences: found {', '.join(unknown)}, expected some of the {len(dataset.sequences)} of "
                        f"this split, {', '.join(known)}")
    if names:
        chosen = {name: frames for name, frames in dataset.sequences.items() if name in names}
        dataset = dataclasses.replace(dataset, sequences=chosen)
    quick_check(dataset)
    return dataset


def listed(sequences: dict[str, Any]) -> dict[str, Any]:
    """The sequences that are worth a line on the screen."""
    return sequences if 1 < len(sequences) <= MOST_ROWS else {}


def table(rows: dict[str, dict[str, Any]], columns: Sequence[tuple[str, str, str]]) -> str:
    """Figures by name as aligned text, – where one is undefined; columns are (head, key, format)."""
    lines = [["", *(head for head, _, _ in columns)]]
    for name, figures in rows.items():
        lines.append([name, *("–" if figures[key] != figures[key] else format(figures[key], style)
                              for _, key, style in columns)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join([line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in
                                                            zip(line[1:], widths[1:], strict=True))]) for line in lines)
