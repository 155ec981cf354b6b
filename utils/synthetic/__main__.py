"""Synthetic sequences with small moving targets, infrared or from a satellite, as a dataset that loads as it lies.

python -m utils.synthetic --out data/synthetic
python -m utils.synthetic --kind satellite --out data/satellite
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

from utils.datasets.splits import SPLITS
from utils.synthetic.dataset import KINDS, read_split, write_dataset
from utils.synthetic.settings import DatasetSettings
from utils.system.command_line import Parser, number, shown
from utils.system.errors import UserError, user_errors

METAVARS_BY_TYPE = {int: "N", float: "X", str: "FOLDER"}


def _parser(kind: str = "infrared") -> Parser:
    parser = Parser(prog="python -m utils.synthetic", description=__doc__.split("\n\n")[0])
    output = parser.group("Output")
    output.add_argument("--out", required=True, metavar="FOLDER", help="folder of the dataset; made if it is not there")
    output.add_argument(
        "--kind",
        choices=tuple(KINDS),
        default="infrared",
        help="of sequences (default: %(default)s); beside it, --help shows the options of this kind",
    )
    if KINDS[kind].presets:
        output.add_argument(
            "--scenes",
            choices=tuple(KINDS[kind].presets),
            default=next(iter(KINDS[kind].presets)),
            help="settings to begin with, which other options change (default: %(default)s)",
        )
    output.add_argument(
        "--split",
        "--only",
        choices=("train", "test", "both"),
        default="both",
        help="what to make (default: both); with `test`, --seed is the seed of the test set",
    )
    output.add_argument("--overwrite", action="store_true", help="make it again even if it is there")
    _add_settings(parser, KINDS[kind].settings)
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


def _add_settings(parser: Parser, settings: type[DatasetSettings]) -> None:
    """An option for each of the settings; one that is not given is not in what is parsed."""
    hints = get_type_hints(settings)
    for item in fields(settings):
        pair, kind, bounds = isinstance(item.default, tuple), hints[item.name], settings.bounds_name(item.name)
        default = " ".join(map(str, item.default)) if pair else item.default
        given: dict[str, Any] = {"default": argparse.SUPPRESS, "help": item.metadata["help"]}
        if default != "":
            given["help"] += f" (default: {default})"
        if kind is bool:
            given["action"] = argparse.BooleanOptionalAction
        elif item.name == "size":
            given |= {"nargs": "+", "metavar": "N", "type": str}
        elif "choices" in item.metadata:
            given["choices"] = item.metadata["choices"]
        elif pair:
            given |= {"type": number(bounds), "nargs": 2, "metavar": item.metadata["metavar"]}
        else:
            given |= {"type": kind if kind is str else number(bounds), "metavar": METAVARS_BY_TYPE[kind]}
        parser.group(item.metadata["group"]).add_argument("--" + item.name.replace("_", "-"), **given)


def _kind_in(argv: Sequence[str] | None) -> str:
    """The kind that a command line asks for, which decides what other options there are."""
    parser = Parser(prog="python -m utils.synthetic", add_help=False)
    parser.add_argument("--kind", choices=tuple(KINDS), default="infrared")
    return parser.parse_known_args(argv)[0].kind


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
    given = vars(_parser(_kind_in(argv)).parse_args(argv))
    out, split, workers, name = (given.pop(key) for key in ("out", "split", "workers", "kind"))
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
    kind = KINDS[name]
    given = kind.presets.get(given.pop("scenes", ""), {}) | given
    config = kind.settings(**{key: tuple(value) if isinstance(value, list) else value for key, value in given.items()})
    splits = SPLITS if split == "both" else (split,)
    made = write_dataset(config, out, splits, workers, overwrite, quiet)
    for name in splits:
        found = read_split(Path(out), kind, name)
        if found is not None:
            state = "made" if name in made else "already there"
            targets = sum(item["category_id"] == 1 for item in found["annotations"])  # others are birds and insects
            print(
                f"{name}: {len(found['sequences'])} sequences, {len(found['images'])} frames, "
                f"{targets} targets in {out} ({state})"
            )


if __name__ == "__main__":
    with user_errors():
        main()
