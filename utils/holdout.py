"""Setting training frames aside, and choosing epoch and threshold on them: never on test frames."""
from __future__ import annotations

from typing import Any

import numpy as np

from utils.errors import UserError
from utils.frame_table import Sequences


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
        for name, number in (_first_aside(name, sequences) for name in names):
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


def _first_aside(text: str, sequences: Sequences) -> tuple[str, float]:
    """A sequence's name and the first frame number set aside, from `NAME` or `NAME:N`."""
    if text in sequences:
        return text, float("-inf")
    name, _, number = text.rpartition(":")
    if name not in sequences or not number.isdecimal():
        raise UserError(f"--val-sequences: found {text}, expected NAME or NAME:N, with NAME one of "
                        f"{', '.join(sequences)}")
    if int(number) > sequences[name][-1].number:
        raise UserError(f"--val-sequences: found {text}, expected a frame number of {name}, which ends with "
                        f"{sequences[name][-1].number}")
    return name, int(number)


def choose_threshold(curve: dict[str, Any], fa_budget: float, false_budget: float, fixed: float = 0.0
                     ) -> dict[str, float]:
    """The threshold that finds most targets within a budget of false alarms; among equals the one of highest IoU.

    Args:
        curve: arrays `threshold, pd, fa, false_per_frame, iou` (from `SegmentationMetrics.curve`).
        fa_budget, false_budget: the largest Fa and the most false components a frame; where no threshold keeps to
            both, the one with the lowest Fa is taken.
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
    return figures | {"pd_in_budget": figures["pd"] if affordable[best] else 0.0,
                      "pd_fa_auc": float(curve["pd_fa_auc"])}
