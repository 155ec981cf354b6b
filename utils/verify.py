"""Fit a verifier to a network: a second stage that scores what the network and differences of frames propose.

    python -m utils.verify --weights runs/NAME/best.pt --data-root A B C --out runs/NAME/verified.pt

It learns from the training splits of datasets with boxes or masks; one without any target gives false candidates alone.
Whole sequences are set aside of each: on them scores are calibrated, the threshold is chosen, and gains are measured.
The file is the checkpoint with the verifier beside its network, which stays as it is.
"""

from __future__ import annotations

import dataclasses
from argparse import Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from utils.commands.candidate_tables import CandidateTable, collect, join_tables
from utils.commands.inputs import open_labelled, open_predictor
from utils.commands.options import add_hardware_options, hardware_of
from utils.commands.predictor_options import PredictorChoice
from utils.commands.verifier_fitting import (
    BUDGETS,
    FitSettings,
    calibrate,
    calibration_error,
    fit,
    operating_point_at,
    operating_points,
    platt,
)
from utils.datasets.dataset import Dataset
from utils.datasets.quick_check import understand_masks
from utils.predictor.predictor import Predictor
from utils.predictor.verifier.model import VerifierModel
from utils.system.command_line import Parser, make_folder, number
from utils.system.errors import UserError, user_errors
from utils.system.files import ADVICE, require_file
from utils.system.outputs import require_new_or_own
from utils.system.tables import format_table
from utils.training.selection import hold_out

COLUMNS = (
    ("frames", "frames", "d"),
    ("targets", "targets", "d"),
    *((f"Pd at {budget:g}", f"pd_{budget:g}", ".3f") for budget in BUDGETS),
    ("Pd", "pd", ".3f"),
    ("false/frame", "false", ".3f"),
)


@dataclass(frozen=True, eq=False)
class Part:
    """One dataset's candidates: those to learn from, and those set aside."""

    name: str
    learnt: CandidateTable
    aside: CandidateTable


def parse(argv: Sequence[str] | None = None) -> Namespace:
    """The command line; raises `UserError` for mistakes."""
    parser = Parser(prog="python -m utils.verify", description=__doc__.splitlines()[0])
    data, network, choosing, output = map(parser.group, ("Data", "Network", "Choosing", "Output"))
    network.add_argument("--weights", required=True, metavar="FILE", help="checkpoint, such as runs/NAME/best.pt")
    data.add_argument(
        "--data-root",
        required=True,
        nargs="+",
        metavar="FOLDER",
        help="datasets whose training splits it learns from, of as many kinds of scenes as there are",
    )
    data.add_argument(
        "--max-frames",
        type=number("max_frames"),
        default=0,
        metavar="N",
        help="only the first N frames of each sequence (0: all)",
    )
    choosing.add_argument(
        "--val-fraction",
        type=number("val_fraction"),
        default=0.25,
        metavar="X",
        help="share of each dataset's sequences that is set aside, at least one of two or more (default: %(default)s)",
    )
    choosing.add_argument(
        "--false-per-frame",
        type=number("false_budget"),
        default=0.1,
        metavar="X",
        help="the threshold lets pass so many false candidates a frame in the worst dataset set aside (default: "
        "%(default)s)",
    )
    choosing.add_argument("--seed", type=number("seed"), default=0, metavar="N", help="(default: %(default)s)")
    output.add_argument("--out", required=True, metavar="FILE", help="the checkpoint with the verifier")
    add_hardware_options(parser)
    return parser.parse_args(argv)


def set_aside(dataset: Dataset, fraction: float) -> tuple[set[int], set[int]]:
    """Positions of a dataset's sequences to learn from, and of those set aside: whole ones, one of two at least.

    Args:
        dataset: its sequences.
        fraction: share that is set aside, evenly spread.
    """
    names = list(dataset.sequences)
    if len(names) < 2:
        return set(range(len(names))), set()
    least = 1 / len(names) + 1e-9  # of hold_out, which would else cut sequences
    _, aside = hold_out(dataset.sequences, (), max(fraction, least))
    chosen = {index for index, name in enumerate(names) if name in aside}
    return set(range(len(names))) - chosen, chosen


def fit_parts(
    parts: Sequence[Part], settings: FitSettings, budget: float, network_threshold: float, box_side: float
) -> VerifierModel:
    """The model of what is to be learnt from, calibrated on what is set aside, with the threshold chosen there.

    A dataset counts as the root of its number of candidates, so that a large one does not drown the others.

    Args:
        parts: the datasets.
        settings: of the fit.
        budget: as of `choose_threshold`.
        network_threshold: as of `VerifierModel`.
        box_side: likewise.
    """
    learnt = join_tables([part.learnt for part in parts])
    weight = np.concatenate(
        [np.full(count, max(count, 1) ** -0.5) for count in (len(p.learnt.features) for p in parts)]
    )
    model = fit(learnt, weight, settings, network_threshold, box_side)
    aside = join_tables([part.aside for part in parts])
    model = calibrate(model, *platt(model.logits(aside.features), aside.labels))
    return dataclasses.replace(model, threshold=choose_threshold(model, parts, budget))


def crossed_error(model: VerifierModel, aside: CandidateTable) -> float:
    """The expected calibration error where scores are calibrated on one half of the sequences set aside, for the other.

    NaN of a single sequence.
    """
    logits, labels = model.logits(aside.features), aside.labels
    half = (np.unique(aside.sequence, return_inverse=True)[1] % 2)[aside.frame]
    if not 0 < half.sum() < len(half):
        return float("nan")
    probability = np.zeros(len(half))
    for own in (0, 1):
        factor, offset = platt(logits[half != own], labels[half != own])
        probability[half == own] = 1 / (1 + np.exp(-(logits[half == own] * factor + offset)))
    return calibration_error(probability, labels)


def choose_threshold(model: VerifierModel, parts: Sequence[Part], budget: float) -> float:
    """The threshold above which no dataset set aside has more than `budget` false candidates a frame."""
    chosen = [
        operating_points(part.aside, model(part.aside.features), [budget])[budget].threshold
        for part in parts
        if len(part.aside.targets)
    ]
    return float(np.clip(max(chosen), 0.0, 1.0))


def rows_of(name: str, table: CandidateTable, model: VerifierModel) -> dict[str, dict[str, float]]:
    """What the network and the verifier find of a dataset, at several false candidates a frame, by titles."""
    rows = {}
    for title, scores, threshold in (
        ("network", 1 / (1 + np.exp(-table.network)), model.network_threshold),
        ("verifier", model(table.features), model.threshold),
    ):
        points, used = operating_points(table, scores), operating_point_at(table, scores, threshold)
        rows[f"{name}: {title}"] = {
            "frames": len(table.targets),
            "targets": int(table.targets.sum()),
            **{f"pd_{budget:g}": point.pd for budget, point in points.items()},
            "pd": used.pd,
            "false": used.false,
        }
    return rows


def compare(model: VerifierModel, parts: Sequence[Part]) -> str:
    """A table of what is found in what is set aside."""
    rows = {}
    for part in parts:
        if len(part.aside.targets):
            rows |= rows_of(part.name, part.aside, model)
    return format_table(rows, COLUMNS)


def compare_unseen(parts: Sequence[Part], fit_to: Callable[[Sequence[Part]], VerifierModel]) -> str:
    """A table of what a verifier finds in each dataset that is fitted to the others alone; "" where there are none."""
    rows = {}
    for part in parts:
        others = [other for other in parts if other is not part]
        if others and has_enough(others):
            rows |= rows_of(part.name, join_tables([part.learnt, part.aside]), fit_to(others))
    return format_table(rows, COLUMNS) if rows else ""


def read_parts(predictor: Predictor, roots: Sequence[str], fraction: float, **reading: Any) -> tuple[list[Part], float]:
    """The datasets' candidates, and the median of the targets' longer sides in pixels (0: there are none).

    Args:
        predictor: of the network alone.
        roots: folders of the datasets.
        fraction: as of `set_aside`.
        reading: as of `collect`.
    """
    parts, sides = [], []
    for root in roots:
        (dataset,) = understand_masks(open_labelled(root, "train", "boxes", advice=""))
        table, side = collect(predictor, dataset, **reading)
        learnt, aside = set_aside(dataset, fraction)
        name = root if dataset.name in {part.name for part in parts} else dataset.name
        parts.append(Part(name, table.of_sequences(learnt), table.of_sequences(aside)))
        sides.append(side)
        found = len({*zip(table.frame[table.target >= 0], table.target[table.target >= 0], strict=True)})
        print(
            f"{root}: {len(table.targets)} frames, {len(learnt)} sequences to learn from and {len(aside)} set aside; "
            f"{len(table.features) / max(len(table.targets), 1):.1f} candidates a frame hold {found} of "
            f"{int(table.targets.sum())} targets"
        )
    sides = np.concatenate(sides)
    return parts, float(np.median(sides)) if len(sides) else 0.0


def has_enough(parts: Sequence[Part]) -> bool:
    """Whether there are targets and others to learn from, and to calibrate on."""
    found = ([getattr(part, name).labels for part in parts] for name in ("learnt", "aside"))
    return all(0 < sum(map(np.sum, labels)) < sum(map(len, labels)) for labels in found)


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    options = parse(argv)
    require_file(options.weights)
    require_new_or_own(options.out, b"verifier", [options.weights, *options.data_root])
    from utils.predictor.checkpoint import load_checkpoint, save_checkpoint  # with PyTorch, which takes seconds

    content = load_checkpoint(options.weights)
    predictor = open_predictor(PredictorChoice(options.weights, verify=False), hardware_of(options))
    if predictor.settings.num_classes > 1:
        raise UserError(
            f"--weights: found a network that tells {predictor.settings.num_classes} classes apart, expected one with "
            "a single class, as a verifier says target or not"
        )
    reading = {"batch_size": options.batch_size, "workers": options.workers, "quiet": options.quiet}
    parts, box_side = read_parts(
        predictor, options.data_root, options.val_fraction, max_frames=options.max_frames, **reading
    )
    if not has_enough(parts):
        raise UserError(
            "--data-root: found no targets, or nothing but targets, to learn from or to set aside, expected candidates "
            "of both kinds in two sequences; give more of them"
        )
    fit_to = partial(
        fit_parts,
        settings=FitSettings(seed=options.seed),
        budget=options.false_per_frame,
        network_threshold=predictor.settings.threshold,
        box_side=box_side,
    )
    model = fit_to(parts)
    aside = join_tables([part.aside for part in parts])
    own = 1 / (1 + np.exp(-aside.network))
    print(f"sequences set aside, at so many false candidates a frame, and at threshold {model.threshold:.4g}:")
    print(compare(model, parts))
    print(
        f"expected calibration error of candidates set aside: network {calibration_error(own, aside.labels):.3f}, "
        f"verifier {crossed_error(model, aside):.3f} (calibrated on one half of these sequences, measured on the other)"
    )
    unseen = compare_unseen(parts, fit_to)
    if unseen:
        print(f"each dataset as a camera that nobody has seen, fitted to the others alone:\n{unseen}")
    make_folder(Path(options.out).parent)
    save_checkpoint(options.out, {**content, "verifier": model.as_dict()}, ADVICE)
    print(f"{options.out}: {options.weights} with its verifier; --no-verifier is the network alone")


if __name__ == "__main__":
    with user_errors():
        main()
