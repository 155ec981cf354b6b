"""Confidence intervals: how far the figures would move, had other sequences of the same kind been recorded.

The frames of a sequence resemble each other, so sequences are what is drawn again, with replacement (the cluster
bootstrap; Davison & Hinkley, "Bootstrap Methods and their Application", 1997, ch. 3.8); of datasets of single frames,
whose every image is a sequence of its own, images. An interval holds the middle 95 % of the figures of all resamples
(percentile method). Everything is computed from each sequence's integer counts, and the same `seed` draws the same
sequences for every method that is measured on a dataset, so that their differences can be told from the same draws.

With few sequences the intervals are too narrow, and with one there is none (NaN).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from utils.metrics.detection import RECALLS, DetectionMetrics, exceeds
from utils.metrics.figures import curves, figures, ratio
from utils.metrics.hungarian import HUNGARIAN_RULES, match_rates
from utils.metrics.segmentation import SegmentationMetrics

DRAWS, LEVEL, SEED = 1000, 0.95, 0
MIN_SEQUENCES = 10  # sequences below which an interval is to be taken with care
_MAX_NUMBERS = 1 << 24  # numbers held at a time
Intervals = dict[str, tuple[float, float]]


def draw_sequences(sequences: int, draws: int = DRAWS, seed: int = SEED) -> np.ndarray:
    """How often each sequence is in each resample.

    Args:
        sequences: number of them.
        draws: number of resamples.
        seed: what they depend on.

    Returns:
        `(draws, sequences)` int64, every row sums to `sequences`.
    """
    drawn = np.random.default_rng(seed).integers(0, max(sequences, 1), (draws, sequences))
    row = np.arange(draws)[:, None] * sequences
    return np.bincount((row + drawn).ravel(), minlength=draws * sequences).reshape(draws, sequences)


def interval(values: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """The interval that holds the middle of a figure's values.

    Args:
        values: in every resample, `(draws,)`; NaN, where the figure is undefined, is left out.
        level: the share of the values that the interval holds.

    Returns:
        (low, high), NaN where more than half of the values are.
    """
    undefined = np.isnan(values)
    if undefined.all() or undefined.mean() > 0.5:
        return float("nan"), float("nan")
    values = values[~undefined]
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def stack_counts(parts: Sequence[SegmentationMetrics], curve: bool = True) -> dict[str, np.ndarray]:
    """The counts of each sequence in one array by name.

    Args:
        parts: the metrics of each sequence.
        curve: with the counts of the curve.

    Returns:
        `(sequences, …)` float64 each.
    """
    names = [name for name in parts[0].counts if curve or not (name.startswith("curve_") or name.endswith("_bins"))]
    return {name: np.array([part.counts[name] for part in parts], np.float64) for name in names}


def segmentation_draws(
    parts: Sequence[SegmentationMetrics],
    draws: int = DRAWS,
    seed: int = SEED,
    curve: bool = True,
    empty: str = "leave-out",
) -> dict[str, np.ndarray]:
    """The figures of every resample.

    Args:
        parts: the metrics of each sequence.
        draws: number of resamples.
        seed: what they depend on.
        curve: `pd_fa_auc`, `pixel_auc` and, as `pd_at_fa_LIMIT`, Pd at fixed Fa too; needs probabilities.
        empty: as of `SegmentationMetrics.compute`.

    Returns:
        Arrays `(draws,)` by the figures' names; all NaN with fewer than two sequences.
    """
    counts = stack_counts(parts, curve)
    widest = max(value[0].size for value in counts.values())
    result: dict[str, list[np.ndarray]] = {}
    drawn = draw_sequences(len(parts), draws, seed).astype(np.float64)
    for chunk in np.array_split(drawn, -(-draws * widest // _MAX_NUMBERS)):
        sums = {name: np.tensordot(chunk, value, 1) for name, value in counts.items()}
        found = figures(sums, empty)
        if curve:
            areas = curves(sums)
            found |= {name: areas[name] for name in ("pd_fa_auc", "pixel_auc")}
            found |= {f"pd_at_fa_{limit:.0e}": value for limit, value in areas["pd_at_fa"].items()}
        for name, value in found.items():
            result.setdefault(name, []).append(value if len(parts) > 1 else np.full(len(chunk), np.nan))
    return {name: np.concatenate(values) for name, values in result.items()}


def detection_draws(
    parts: Sequence[DetectionMetrics], threshold: float, draws: int = DRAWS, seed: int = SEED
) -> dict[str, np.ndarray]:
    """The figures of every resample.

    As AP has it, the detections of a resample are ranked anew: a detection counts as often as its sequence was drawn.

    Args:
        parts: the metrics of each sequence.
        threshold: of the score, for the figures that need one.
        draws: number of resamples.
        seed: what they depend on.

    Returns:
        Arrays `(draws,)` by the names of `DetectionMetrics.compute`: `ap50` and `centre_ap`, and at the threshold
        `precision, recall, f1, false_per_frame, centre_precision, pd, centre_f1, centre_false_per_frame` and those of
        `match_draws`; all NaN with fewer than two sequences.
    """
    drawn, result = draw_sequences(len(parts), draws, seed), {}
    frames, targets = drawn @ _sizes(parts, "frames"), drawn @ _sizes(parts, "targets")
    for rule, names in (
        ("iou", ("precision", "recall", "f1", "false_per_frame", "ap50")),
        ("centre", ("centre_precision", "pd", "centre_f1", "centre_false_per_frame", "centre_ap")),
    ):
        by_class = [part.by_class(rule) for part in parts]
        classes = sorted(set().union(*by_class))
        areas, matched, false = [], 0, 0
        for number in classes:
            own = [part.get(number, (np.zeros(0), np.zeros(0, bool), 0)) for part in by_class]
            above = [hit[exceeds(score, threshold)] for score, hit, _ in own]
            matched = matched + drawn @ np.array([int(hit.sum()) for hit in above])
            false = false + drawn @ np.array([int((~hit).sum()) for hit in above])
            areas.append(_average_precision(own, drawn))
        area = np.full(draws, np.nan)
        if areas:
            stack = np.stack(areas)
            known = ~np.isnan(stack)
            area = ratio(np.where(known, stack, 0).sum(0), known.sum(0))
        values = (
            ratio(matched, matched + false),
            ratio(matched, targets),
            ratio(2 * matched, matched + false + targets),
            ratio(false, frames),
            area,
        )
        result |= {
            name: np.broadcast_to(np.asarray(value, np.float64), draws) if len(parts) > 1 else np.full(draws, np.nan)
            for name, value in zip(names, values, strict=True)
        }
    return result | match_draws(parts, threshold, draws, seed)


def match_draws(
    parts: Sequence[DetectionMetrics], threshold: float, draws: int = DRAWS, seed: int = SEED
) -> dict[str, np.ndarray]:
    """The figures of boxes matched one to one (`utils.metrics.hungarian`), in every resample.

    Args:
        parts: the metrics of each sequence.
        threshold: of the score.
        draws: number of resamples.
        seed: what they depend on.

    Returns:
        Arrays `(draws,)` by the names of `match_rates`, pooled, and as `mean_…` the means over the sequences where the
        figure is defined; all NaN with fewer than two sequences.
    """
    counts = np.array([part.count_matches(threshold) for part in parts]).reshape(-1, len(HUNGARIAN_RULES), 3)
    drawn = draw_sequences(len(parts), draws, seed)
    result = match_rates(np.tensordot(drawn, counts, 1))
    for name, values in match_rates(counts).items():
        known = ~np.isnan(values)
        result[f"mean_{name}"] = ratio(drawn @ np.where(known, values, 0), drawn @ known)
    return result if len(parts) > 1 else {name: np.full(draws, np.nan) for name in result}


def _sizes(parts: Sequence[DetectionMetrics], what: str) -> np.ndarray:
    return np.array([len(part.true) if what == "frames" else sum(map(len, part.true)) for part in parts], np.int64)


def _average_precision(parts: Sequence[tuple[np.ndarray, np.ndarray, int]], drawn: np.ndarray) -> np.ndarray:
    """Mean of the 101 interpolated precisions `(draws,)` of one class, NaN where a resample has no such target."""
    score = np.concatenate([part[0] for part in parts])
    owner = np.repeat(np.arange(len(parts)), [len(part[0]) for part in parts])
    order = np.argsort(-score, kind="stable")
    hit, owner = np.concatenate([part[1] for part in parts])[order], owner[order]
    result = np.full(len(drawn), np.nan)
    # Precision falls from one hit to the next and matters at hits alone: count what each sequence adds up to there.
    hits, before = int(hit.sum()), np.cumsum(hit) - hit
    matched, false = (np.zeros((len(parts), hits + 1)) for _ in range(2))
    np.add.at(matched, (owner[hit], before[hit]), 1)
    np.add.at(false, (owner[~hit], before[~hit]), 1)
    matched, false = (drawn @ np.cumsum(table, 1)[:, :hits] for table in (matched, false))
    best = np.maximum.accumulate((matched / np.maximum(matched + false, 1))[:, ::-1], axis=1)[:, ::-1]
    best = np.concatenate([best, np.zeros((len(drawn), 1))], 1)
    targets = drawn @ np.array([part[2] for part in parts])
    for draw in np.flatnonzero(targets):
        reached = np.searchsorted(matched[draw] / targets[draw], RECALLS, side="left")
        result[draw] = best[draw, reached].mean()
    return result


def intervals(draws: Mapping[str, np.ndarray], level: float = LEVEL) -> Intervals:
    """The interval of every figure."""
    return {name: interval(values, level) for name, values in draws.items()}


def compare_draws(first: np.ndarray, second: np.ndarray) -> float:
    """How sure the order of two methods is.

    Args:
        first: a figure of the first method, `(draws,)`.
        second: that of the second in the same resamples.

    Returns:
        Share of the resamples in which the first is larger, equal ones counted half; NaN where there is none in which
        both are defined.
    """
    both = ~(np.isnan(first) | np.isnan(second))
    first, second = first[both], second[both]
    return float(((first > second) + 0.5 * (first == second)).mean()) if len(first) else float("nan")


@dataclass(frozen=True)
class Resampling:
    """How intervals are made: of so many `sequences`, by so many `draws`, which depend on `seed`."""

    sequences: int
    draws: int = DRAWS
    seed: int = SEED

    @property
    def few(self) -> bool:
        """Whether the sequences are so few that the intervals are to be taken with care."""
        return self.sequences < MIN_SEQUENCES

    def as_dict(self) -> dict[str, Any]:
        """For metrics.json."""
        return {"level": LEVEL, "draws": self.draws, "seed": self.seed, "sequences": self.sequences, "few": self.few}

    def describe(self) -> str:
        """For people, in a line."""
        noun = "sequence" if self.sequences == 1 else "sequences"
        care = ", which are few: take the intervals with care" if self.few else ""
        return f"{LEVEL:.0%} intervals, {self.draws} resamples of {self.sequences} {noun}{care}"
