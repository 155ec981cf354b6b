"""Choosing epoch and threshold on training frames set aside: never on test frames."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from utils.datasets.dataset import Dataset
from utils.datasets.frame_table import Sequences
from utils.metrics.detection import DetectionMetrics
from utils.metrics.evaluate import evaluate_detection, evaluate_sequences
from utils.predictor.predictor import Predictor
from utils.system.distributed import rank
from utils.system.errors import UserError
from utils.system.tables import format_value
from utils.training.config import TrainConfig


def hold_out(sequences: Sequences, names: tuple[str, ...], fraction: float) -> tuple[Sequences, Sequences]:
    """Split training sequences into those to learn from and those to choose on; no clip sees both.

    Args:
        sequences: the training sequences.
        names: sequences to set aside, whole, or as `NAME:N` from frame number N on; `fraction` is not used then.
        fraction: else, this share of the sequences, evenly spread; where that is less than one sequence, the last
            share of every sequence's frames. 0 sets nothing aside.

    Returns:
        `(training, validation)`.

    Raises:
        UserError: a name is unknown or has no frame from N on, or nothing would be left to train on.
    """
    sequences = Sequences.of(sequences)
    lengths = sequences.lengths()
    kept = lengths.copy()  # of each sequence so many frames, from the first on
    if names:
        for name, number in (_parse_held_out(name, sequences) for name in names):
            kept[sequences.names.find(name)] = (sequences[name].numbers < number).sum()
    elif fraction * len(sequences) >= 1:
        index = np.arange(len(sequences))
        kept[((index + 1) * fraction).astype(int) > (index * fraction).astype(int)] = 0
    else:
        kept -= (lengths * fraction).astype(int)
    training, validation = sequences.cut(0, kept), sequences.cut(kept, lengths)
    if not len(training):
        raise UserError(f"setting aside {', '.join(validation)} leaves no training frame; name fewer --val-sequences")
    return training, validation


def _parse_held_out(text: str, sequences: Sequences) -> tuple[str, float]:
    """A sequence's name and the first frame number set aside, from `NAME` or `NAME:N`."""
    if text in sequences:
        return text, float("-inf")
    name, _, number = text.rpartition(":")
    if name not in sequences or not number.isdecimal():
        raise UserError(
            f"--val-sequences: found {text}, expected NAME or NAME:N, with NAME one of {', '.join(sequences)}"
        )
    if int(number) > sequences[name][-1].number:
        raise UserError(
            f"--val-sequences: found {text}, expected a frame number of {name}, which ends with "
            f"{sequences[name][-1].number}"
        )
    return name, int(number)


def choose_threshold(
    curve: dict[str, Any], fa_budget: float, false_budget: float, fixed: float = 0.0
) -> dict[str, float]:
    """The threshold that finds most targets within a budget of false alarms; among equals the one of highest IoU.

    Args:
        curve: arrays `threshold, pd, fa, false_per_frame, iou` (from `SegmentationMetrics.curve`).
        fa_budget: the largest Fa.
        false_budget: the most false components a frame; where no threshold keeps to both budgets, the one with the
            lowest Fa is taken.
        fixed: a threshold given by the user: the listed one nearest to it is taken instead.

    Returns:
        `threshold, pd, fa, false_per_frame, iou` there, `pd_in_budget` (0 where a budget is exceeded, NaN
        without targets) and `pd_fa_auc`.
    """
    threshold, pd, fa, iou = (np.asarray(curve[name], float) for name in ("threshold", "pd", "fa", "iou"))
    affordable = (fa <= fa_budget) & (np.asarray(curve["false_per_frame"], float) <= false_budget)
    if fixed:
        best = int(np.abs(threshold - fixed).argmin())
    else:
        within = np.flatnonzero(affordable)
        if not within.size:
            within = np.flatnonzero(fa == fa.min())
        order = np.lexsort((np.nan_to_num(iou[within]), np.nan_to_num(pd[within])))
        best = int(within[order[-1]])
    names = ("threshold", "pd", "fa", "false_per_frame", "iou")
    figures = {name: float(np.asarray(curve[name])[best]) for name in names}
    if fixed:
        figures["threshold"] = fixed
    return figures | {
        "pd_in_budget": figures["pd"] if affordable[best] else 0.0,
        "pd_fa_auc": float(curve["pd_fa_auc"]),
    }


FIGURE_NAMES = {
    "pd": "Pd",
    "fa": "Fa",
    "ap50": "AP50",
    "centre_ap": "centre AP",
    "centre_f1": "centre F1",
    "false_per_frame": "false/frame",
    "iou": "IoU",
    "niou": "nIoU",
    "threshold": "at threshold",
}
# What of two epochs decides which is the better one; of equals the next.
RANKING_FIGURES = ("choice", "pd_in_budget", "iou", "centre_f1")


def validate(
    predictor: Predictor,
    dataset: Dataset,
    config: TrainConfig,
    on_frame: Callable[..., None] | None = None,
    on_bad_frame: Callable[[UserError], None] | None = None,
) -> dict[str, Any]:
    """Figures of a network, at the threshold that serves it best (or the recipe's fixed one).

    Of several processes all call this, and share the sequences.

    Args:
        predictor: of the network.
        dataset: the frames set aside.
        config: the recipe, with its budget of false alarms.
        on_frame: called after each prediction.
        on_bad_frame: told of each frame that cannot be read, which is left out; without it such a frame stops.

    Returns:
        Those of `choose_threshold`, or of a detector those of `DetectionMetrics.compute` with `choice`, the mean of
        AP50 and centre AP, which ranks the epochs: of boxes of a few pixels AP50 alone is brittle, and centre AP alone
        does not see their size.
    """
    measure = evaluate_detection if predictor.settings.task == "detection" else evaluate_sequences
    overall = measure(
        predictor,
        dataset,
        batch_size=4,
        quiet=config.quiet or rank() > 0,
        title="validation",
        on_frame=on_frame,
        on_bad_frame=on_bad_frame,
    ).overall
    if predictor.settings.task != "detection":
        return choose_threshold(overall.curve(), config.fa_budget, config.false_budget, config.threshold)
    figures = overall.compute(config.threshold or choose_score(overall), areas=False)
    names = (
        "threshold",
        "ap50",
        "ap",
        "centre_ap",
        "precision",
        "recall",
        "f1",
        "pd",
        "centre_precision",
        "centre_f1",
        "centre_false_per_frame",
        "false_per_frame",
    )
    return {name: figures[name] for name in names} | {"choice": (figures["ap50"] + figures["centre_ap"]) / 2}


def choose_score(metrics: DetectionMetrics) -> float:
    """The score above which detections have the best F1 by the centre rule, 0.5 where none hits."""
    curve = metrics.curve("centre")
    if not np.nan_to_num(curve["f1"]).any():
        return 0.5
    return float(curve["threshold"][np.nan_to_num(curve["f1"]).argmax()])


def is_better(new: dict[str, Any] | None, best: dict[str, Any]) -> bool:
    """Whether `new` figures are a better choice.

    For masks Pd within the false-alarm budget counts first, then IoU; for boxes the mean of AP50 and centre AP first,
    then F1 by centres.
    """
    if not new:
        return False
    return not best or _ranking_of(new) > _ranking_of(best)


def _ranking_of(figures: dict[str, Any]) -> tuple[float, ...]:
    values = [figures[name] for name in RANKING_FIGURES if name in figures]
    return tuple(-1.0 if value is None or math.isnan(value) else float(value) for value in values)


def format_figures(figures: dict[str, Any]) -> str:
    """The figures that people look at, in a line."""
    return "  ".join(f"{text} {format_value(figures[name])}" for name, text in FIGURE_NAMES.items() if name in figures)
