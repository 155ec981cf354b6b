"""Synthetic infrared sequences with small moving targets, as a dataset in the re-arranged NUDT layout.

python -m utils.synthetic --out data/synthetic
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

from utils.datasets.splits import SPLITS
from utils.synthetic.config import SyntheticConfig, bounds_name
from utils.synthetic.dataset import read_split, write_dataset
from utils.system.command_line import Parser, number, shown
from utils.system.errors import UserError, user_errors

METAVARS = {
    "snr": ("LOW", "HIGH"),
    "targets": ("FEWEST", "MOST"),
    "area": ("SMALLEST", "LARGEST"),
    "speed": ("SLOWEST", "FASTEST"),
    "pictures": ("FIRST", "LAST"),
}  # of the options that take two values
METAVARS_BY_TYPE = {int: "N", float: "X", str: "FOLDER"}


def _parser() -> Parser:
    parser = Parser(prog="python -m utils.synthetic", description=__doc__.split("\n\n")[0])
    output = parser.group("Output")
    output.add_argument("--out", required=True, metavar="FOLDER", help="folder of the dataset; made if it is not there")
    output.add_argument(
        "--split",
        "--only",
        choices=("train", "test", "both"),
        default="both",
        help="what to make (default: both); with `test`, --seed is the seed of the test set",
    )
    output.add_argument("--overwrite", action="store_true", help="make it again even if it is there")
    hints = get_type_hints(SyntheticConfig)
    for item in fields(SyntheticConfig):
        pair, kind = isinstance(item.default, tuple), hints[item.name]
        default = " ".join(map(str, item.default)) if pair else item.default
        given: dict[str, Any] = {"default": argparse.SUPPRESS, "help": item.metadata["help"]}
        if default != "":
            given["help"] += f" (default: {default})"
        if kind is bool:
            given["action"] = argparse.BooleanOptionalAction
        elif item.name == "size":
            given |= {"nargs": "+", "metavar": "N", "type": str}
        elif pair:
            given |= {"type": number(bounds_name(item.name)), "nargs": 2, "metavar": METAVARS[item.name]}
        else:
            given |= {
                "type": kind if kind is str else number(bounds_name(item.name)),
                "metavar": METAVARS_BY_TYPE[kind],
            }
        parser.group(item.metadata["group"]).add_argument("--" + item.name.replace("_", "-"), **given)
    machine = parser.group("Machine")
    machine.add_argument(
        "--workers",
        type=number("workers"),
        default=min(os.cpu_count() or 1, 8),
        metavar="N",
        help="processes that share the work; the result does not depend on it (default: %(default)s)",
    )
    machine.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser


def _parse_size(words: list[str]) -> tuple[int, int]:
    """`128`, `96x128` or `96 128`: height and width."""
    sides = [word for given in words for word in given.lower().split("x")]
    if len(sides) not in (1, 2) or not all(side.isdecimal() and len(side) < 10 for side in sides):
        raise UserError(
            f"--size: found {shown(' '.join(words))}, expected HEIGHTxWIDTH like 96x128, or one number; change --size"
        )
    return int(sides[0]), int(sides[-1])


def main(argv: Sequence[str] | None = None) -> None:
    """The command.

    Raises:
        UserError: options that make no sense, and as of `write_dataset`.
    """
    given = vars(_parser().parse_args(argv))
    out, split, workers = (given.pop(key) for key in ("out", "split", "workers"))
    overwrite, quiet = given.pop("overwrite"), given.pop("quiet")
    if "size" in given:
        given["size"] = _parse_size(given["size"])
    if split == "test" and "seed" in given:
        seed = given.pop("seed")
        if given.setdefault("test_seed", seed) != seed:
            raise UserError(
                f"--seed: found {seed} beside --test-seed {given['test_seed']}, expected one of them with "
                "--split test; leave one out"
            )
    config = SyntheticConfig(
        **{key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    )
    splits = SPLITS if split == "both" else (split,)
    made = write_dataset(config, out, splits, workers, overwrite, quiet)
    for name in splits:
        found = read_split(Path(out), name)
        if found is not None:
            state = "made" if name in made else "already there"
            print(
                f"{name}: {len(found['sequences'])} sequences, {len(found['images'])} frames, "
                f"{len(found['annotations'])} targets in {out} ({state})"
            )


if __name__ == "__main__":
    with user_errors():
        main()
