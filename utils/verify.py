"""Fit a verifier to a network: a second stage that scores what the network and differences of frames propose.

    python -m utils.verify --weights runs/NAME/best.pt --data-root A B C --out runs/NAME/verified.pt

It learns from the training splits of datasets with boxes or masks; one without any target gives false candidates
alone. Whole sequences are set aside, each of them once: on them scores are calibrated, the threshold is chosen, and
gains are measured, before the verifier that goes into the file learns from all. The file is the checkpoint with the
verifier beside its network, which stays as it is.
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

from utils.clips.settings import LEVELS
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
from utils.datasets.quick_check import understand_masks
from utils.predictor.predictor import Predictor
from utils.predictor.verifier.model import VerifierModel
from utils.system.command_line import Parser, make_folder, number
from utils.system.errors import UserError, user_errors
from utils.system.files import ADVICE, require_file
from utils.system.outputs import require_new_or_own
from utils.system.tables import format_table

COLUMNS = (
    ("frames", "frames", "d"),
    ("targets", "targets", "d"),
    *((f"Pd at {budget:g}", f"pd_{budget:g}", ".3f") for budget in BUDGETS),
    ("Pd", "pd", ".3f"),
    ("false/frame", "false", ".3f"),
)


@dataclass(frozen=True, eq=False)
class Part:
    """One dataset's candidates.

    Args:
        name: of the dataset.
        table: its candidates.
        budgeted: whether they say which threshold is chosen; else they are only learnt from.
    """

    name: str
    table: CandidateTable
    budgeted: bool

    def aside(self, fold: int, folds: int) -> set[int]:
        """The sequences that are set aside in this one of so many folds, evenly spread."""
        return set(range(int(self.table.sequence.max(initial=-1)) + 1)[fold::folds])

    def learnt(self, fold: int, folds: int) -> CandidateTable:
        """The candidates of the others."""
        return self.table.of_sequences(set(self.table.sequence.tolist()) - self.aside(fold, folds))


def parse(argv: Sequence[str] | None = None) -> Namespace:
    """The command line; raises `UserError` for mistakes."""
    parser = Parser(prog="python -m utils.verify", description=__doc__.splitlines()[0])
    data, network, choosing, output = map(parser.group, ("Data", "Network", "Choosing", "Output"))
    network.add_argument("--weights", required=True, metavar="FILE", help="checkpoint, such as runs/NAME/best.pt")
    network.add_argument(
        "--levels",
        choices=LEVELS,
        help="what the network is to see from now on, as of test.py; its own threshold is then chosen anew, as the "
        "verifier's is (default: as in training)",
    )
    data.add_argument(
        "--data-root",
        required=True,
        nargs="+",
        metavar="FOLDER",
        help="datasets whose training splits it learns from, of as many kinds of scenes as there are",
    )
    data.add_argument(
        "--extra-roots",
        nargs="+",
        default=[],
        metavar="FOLDER",
        help="further datasets that it learns from, but by which no threshold is chosen",
    )
    data.add_argument(
        "--max-frames",
        type=number("max_frames"),
        default=0,
        metavar="N",
        help="only the first N frames of each sequence (0: all)",
    )
    choosing.add_argument(
        "--folds",
        type=number("folds"),
        default=4,
        metavar="N",
        help="each dataset's sequences are set aside in so many parts, one after the other (default: %(default)s)",
    )
    choosing.add_argument(
        "--false-per-frame",
        type=number("false_budget"),
        default=0.1,
        metavar="X",
        help="the threshold lets pass so many false candidates a frame in sequences set aside of the worst dataset "
        "(default: %(default)s)",
    )
    choosing.add_argument("--seed", type=number("seed"), default=0, metavar="N", help="(default: %(default)s)")
    output.add_argument("--out", required=True, metavar="FILE", help="the checkpoint with the verifier")
    add_hardware_options(parser)
    return parser.parse_args(argv)


def fit_parts(
    parts: Sequence[Part], folds: int, budget: float, fit_to: Callable[[Sequence[CandidateTable]], VerifierModel]
) -> tuple[VerifierModel, list[np.ndarray]]:
    """The model of all that is to be learnt, calibrated, and its threshold chosen, on sequences that were set aside.

    For that it is also fitted once for each fold, without the sequences that are set aside there.

    Args:
        parts: the datasets.
        folds: so many.
        budget: as of `choose_threshold`.
        fit_to: makes a model of candidates.

    Returns:
        The model, and for each dataset the calibrated probabilities (N,) of its candidates, each by the fit that had
        not seen its sequence, and 0 where it does not stand alone.
    """
    logits = [np.zeros(len(part.table.features), np.float32) for part in parts]
    for fold in range(folds):
        model = fit_to([part.learnt(fold, folds) for part in parts])
        for part, values in zip(parts, logits, strict=True):
            rows = np.isin(part.table.sequence, list(part.aside(fold, folds)))[part.table.frame]
            values[rows] = model.logits(part.table.features[rows])
    alone = [part.table.stand_alone(values) for part, values in zip(parts, logits, strict=True)]
    labels = [part.table.labels[kept] for part, kept in zip(parts, alone, strict=True)]
    factor, offset = platt(
        np.concatenate([values[kept] for values, kept in zip(logits, alone, strict=True)]), np.concatenate(labels)
    )
    scores = [probability_of(values * factor + offset) * kept for values, kept in zip(logits, alone, strict=True)]
    model = calibrate(fit_to([part.table for part in parts]), factor, offset)
    return dataclasses.replace(model, threshold=choose_threshold(parts, scores, budget)), scores


def fit_tables(
    tables: Sequence[CandidateTable], settings: FitSettings, network_threshold: float, box_side: float
) -> VerifierModel:
    """The model of several datasets' candidates, not calibrated.

    A dataset counts as the root of its number of candidates, so that a large one does not drown the others.

    Args:
        tables: the candidates.
        settings: of the fit.
        network_threshold: as of `VerifierModel`.
        box_side: likewise.
    """
    counts = [len(table.features) for table in tables]
    weight = np.concatenate([np.full(count, max(count, 1) ** -0.5) for count in counts])
    return fit(join_tables(tables), weight, settings, network_threshold, box_side)


def probability_of(logits: np.ndarray) -> np.ndarray:
    """Probabilities of logits."""
    return 1 / (1 + np.exp(-np.clip(logits, -60, 60)))


def choose_threshold(parts: Sequence[Part], scores: Sequence[np.ndarray], budget: float) -> float:
    """The threshold above which no dataset has more than `budget` false candidates a frame.

    Args:
        parts: the datasets; those that are not `budgeted` do not count.
        scores: (N,) of each one's candidates.
        budget: false candidates a frame.
    """
    chosen = [
        operating_points(part.table, values, [budget])[budget].threshold
        for part, values in zip(parts, scores, strict=True)
        if part.budgeted
    ]
    return float(np.clip(max(chosen), 0.0, 1.0))


def rows_of(part: Part, scores: np.ndarray, model: VerifierModel) -> dict[str, dict[str, float]]:
    """What the network and a verifier that gives `scores` find of a dataset at several budgets, by titles."""
    rows, table = {}, part.table
    network = probability_of(table.network)
    for title, values, threshold in (
        ("network", network * table.stand_alone(network), model.network_threshold),
        ("verifier", scores, model.threshold),
    ):
        points, used = operating_points(table, values), operating_point_at(table, values, threshold)
        rows[f"{part.name}: {title}"] = {
            "frames": len(table.targets),
            "targets": int(table.targets.sum()),
            **{f"pd_{budget:g}": point.pd for budget, point in points.items()},
            "pd": used.pd,
            "false": used.false,
        }
    return rows


def compare_unseen(
    parts: Sequence[Part], fit_to_parts: Callable[[Sequence[Part]], tuple[VerifierModel, list[np.ndarray]]], folds: int
) -> str:
    """A table of what a verifier finds in each dataset that is fitted to the others alone; "" where there are none."""
    rows = {}
    for part in parts:
        others = [other for other in parts if other is not part]
        if has_enough(others, folds):
            model, _ = fit_to_parts(others)
            scores = model(part.table.features)
            rows |= rows_of(part, scores * part.table.stand_alone(scores), model)
    return format_table(rows, COLUMNS) if rows else ""


def read_parts(
    predictor: Predictor, roots: Sequence[str], extra_roots: Sequence[str], **reading: Any
) -> tuple[list[Part], float]:
    """The datasets' candidates, and the median of the targets' longer sides in pixels (0: there are none).

    Args:
        predictor: of the network alone.
        roots: folders of the datasets.
        extra_roots: folders of those that are not `budgeted`.
        reading: as of `collect`.
    """
    parts, sides = [], []
    for root in (*roots, *extra_roots):
        (dataset,) = understand_masks(open_labelled(root, "train", "boxes", advice=""))
        table, side = collect(predictor, dataset, **reading)
        name = root if dataset.name in {part.name for part in parts} else dataset.name
        parts.append(Part(name, table, len(parts) < len(roots)))
        sides.append(side)
        found = len({*zip(table.frame[table.target >= 0], table.target[table.target >= 0], strict=True)})
        print(
            f"{root}: {len(table.targets)} frames of {len(dataset.sequences)} sequences; "
            f"{len(table.features) / max(len(table.targets), 1):.1f} candidates a frame hold {found} of "
            f"{int(table.targets.sum())} targets"
        )
    sides = np.concatenate(sides)
    return parts, float(np.median(sides)) if len(sides) else 0.0


def has_enough(parts: Sequence[Part], folds: int) -> bool:
    """Whether there are targets and others to learn from, whichever sequences are set aside, and some that count."""
    labels = [[part.learnt(fold, folds).labels for part in parts] for fold in range(folds)]
    both = all(0 < sum(map(np.sum, ones)) < sum(map(len, ones)) for ones in labels)
    return both and any(part.budgeted for part in parts)


def describe_fit(parts: Sequence[Part], model: VerifierModel, scores: Sequence[np.ndarray]) -> str:
    """What sequences that were set aside say of a verifier; arguments as `fit_parts` has and gives them."""
    rows = {}
    for part, values in zip(parts, scores, strict=True):
        rows |= rows_of(part, values, model)
    network, labels = (np.concatenate([getattr(p.table, name) for p in parts]) for name in ("network", "labels"))
    scored = np.concatenate(scores)
    alone = scored > 0  # the others are echoes, which scores are not calibrated on
    return (
        "each sequence by a verifier that was fitted without it, at so many false candidates a frame, and at threshold "
        f"{model.threshold:.4g}:\n{format_table(rows, COLUMNS)}\n"
        "expected calibration error of the candidates that scores were calibrated on: network "
        f"{calibration_error(probability_of(network[alone]), labels[alone]):.3f}, verifier "
        f"{calibration_error(scored[alone], labels[alone]):.3f}"
    )


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    options = parse(argv)
    require_file(options.weights)
    require_new_or_own(options.out, b"verifier", [options.weights, *options.data_root, *options.extra_roots])
    from utils.predictor.checkpoint import load_checkpoint, save_checkpoint  # with PyTorch, which takes seconds

    content = load_checkpoint(options.weights)
    predictor = open_predictor(
        PredictorChoice(options.weights, verify=False, levels=options.levels), hardware_of(options)
    )
    if predictor.settings.num_classes > 1:
        raise UserError(
            f"--weights: found a network that tells {predictor.settings.num_classes} classes apart, expected one with "
            "a single class, as a verifier says target or not"
        )
    reading = {"batch_size": options.batch_size, "workers": options.workers, "quiet": options.quiet}
    reading["max_frames"] = options.max_frames
    parts, box_side = read_parts(predictor, options.data_root, options.extra_roots, **reading)
    if not has_enough(parts, options.folds):
        raise UserError(
            "--data-root: found no targets, or nothing but targets, to learn from where sequences are set aside, "
            "expected candidates of both kinds in two sequences; give more of them"
        )
    own, settings = predictor.settings.threshold, content["settings"]
    if predictor.settings.levels != settings.get("levels", LEVELS[0]):
        scores = [probability_of(part.table.network) * part.table.stand_alone(part.table.network) for part in parts]
        own = choose_threshold(parts, scores, options.false_per_frame)
        settings = predictor.with_settings(threshold=own).settings.as_dict()
    fit_to = partial(
        fit_tables,
        settings=FitSettings(seed=options.seed),
        network_threshold=own,
        box_side=box_side,
    )
    fit_to_parts = partial(fit_parts, folds=options.folds, budget=options.false_per_frame, fit_to=fit_to)
    model, scores = fit_to_parts(parts)
    print(describe_fit(parts, model, scores))
    unseen = compare_unseen(parts, fit_to_parts, options.folds)
    if unseen:
        print(f"each dataset as a camera that nobody has seen, fitted to the others alone:\n{unseen}")
    make_folder(Path(options.out).parent)
    save_checkpoint(options.out, {**content, "settings": settings, "verifier": model.as_dict()}, ADVICE)
    print(f"{options.out}: {options.weights} with its verifier; --no-verifier is the network alone")


if __name__ == "__main__":
    with user_errors():
        main()
