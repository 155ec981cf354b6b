"""From integer counts to figures: of one set, or of many resampled ones at once.

Counts are those of `utils.metrics.segmentation.SegmentationMetrics`: numbers or arrays `(…)`, tallies `(…, levels)`,
histograms `(…, bins)`; the leading axes are the resamples of `utils.metrics.bootstrap`, or none. What is divided by
nothing is NaN.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

TALLIES = ("intersection", "predicted", "matched", "false_pixels", "false_components")
# What a frame without targets adds to the mean that is nIoU.
EMPTY_FRAMES = {
    "leave-out": "frames without targets are left out",
    "zero": "a frame without targets counts as 0, whatever is predicted",
    "one": "a frame without targets counts as 1 where nothing is predicted, else as 0",
}
FA_LIMITS = (1e-6, 3e-6, 1e-5, 3e-5, 1e-4)
NIOU_BITS = 52  # a frame's IoU is counted in units of 2⁻⁵², so that its sum does not depend on the order of frames
Counts = Mapping[str, Any]


def ratio(part: Any, whole: Any) -> Any:
    """`part / whole`, NaN where `whole` is 0; a number for numbers, an array where either is one."""
    if np.ndim(part) == 0 and np.ndim(whole) == 0:
        return part / whole if whole else float("nan")
    part, whole = np.broadcast_arrays(np.asarray(part, np.float64), np.asarray(whole, np.float64))
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole != 0)


def figures(counts: Counts, empty: str = "leave-out") -> dict[str, Any]:
    """The figures at the operating threshold, as `SegmentationMetrics.compute` describes them.

    Args:
        counts: see the module's text.
        empty: what frames without targets add to nIoU, one of `EMPTY_FRAMES`.

    Raises:
        ValueError: `empty` is none of these.
    """
    if empty not in EMPTY_FRAMES:
        raise ValueError(f"empty frames: got '{empty}', expected one of {', '.join(EMPTY_FRAMES)}")
    hit, predicted, matched, false_pixels, false = (_first(counts[name]) for name in TALLIES)
    true, targets, frames = counts["target_pixels"], counts["targets"], counts["frames"]
    shared, averaged = counts["niou"], counts["frames_with_target"] if empty == "leave-out" else frames
    if empty == "one":
        shared = shared + counts["empty_right"] * 2**NIOU_BITS
    return {
        "iou": ratio(hit, predicted + true - hit),
        "niou": ratio(shared, averaged * 2**NIOU_BITS),
        "pixel_accuracy": ratio(hit, true),
        "pixel_precision": ratio(hit, predicted),
        "pixel_f1": ratio(2 * hit, predicted + true),
        "pd": ratio(matched, targets),
        "precision": ratio(matched, matched + false),
        "f1": ratio(2 * matched, matched + false + targets),
        "fa": ratio(false_pixels, counts["pixels"]),
        "false_per_frame": ratio(false, frames),
    }


def _first(tally: np.ndarray) -> Any:
    return int(tally[0]) if np.ndim(tally) == 1 else tally[..., 0]


def curves(counts: Counts, fa_limit: float = 1e-4) -> dict[str, Any]:
    """The figures at every threshold, their areas, and Pd at fixed Fa, as `SegmentationMetrics.curve` describes them.

    Returns:
        Arrays `(…, K)` `pd, fa, false_per_frame, iou, precision, f1`; `(…)` `pd_fa_auc`, `pixel_auc`; and `pd_at_fa`,
        arrays `(…)` by limit.
    """
    tally = {name: counts[f"curve_{name}"].astype(np.float64) for name in TALLIES}
    targets, pixels, frames, true = (
        np.asarray(counts[name], np.float64)[..., None] for name in ("targets", "pixels", "frames", "target_pixels")
    )
    matched, false = tally["matched"], tally["false_components"]
    pd, fa = ratio(matched, targets), ratio(tally["false_pixels"], pixels)
    return {
        "pd": pd,
        "fa": fa,
        "false_per_frame": ratio(false, frames),
        "iou": ratio(tally["intersection"], tally["predicted"] + true - tally["intersection"]),
        "precision": ratio(matched, matched + false),
        "f1": ratio(2 * matched, matched + false + targets),
        "pd_fa_auc": step_area(pd, fa, fa_limit),
        "pixel_auc": rank_area(counts["all_bins"], counts["target_bins"]),
        "pd_at_fa": {limit: pd_within(pd, fa, limit) for limit in FA_LIMITS},
    }


def pd_within(pd: np.ndarray, fa: np.ndarray, limit: float) -> Any:
    """The best Pd `(…)` that any of the thresholds reaches at no more than `limit` false pixels / pixels.

    It is 0 where every threshold has more, NaN without targets.
    """
    best = np.where(fa <= limit, pd, 0.0).max(-1)
    return _as_number(np.where(np.isnan(pd).any(-1), np.nan, best))


def step_area(pd: np.ndarray, fa: np.ndarray, limit: float) -> Any:
    """The mean over Fa in [0, `limit`] of the best Pd at no more than that Fa; nothing is interpolated."""
    order = np.argsort(fa, axis=-1, kind="stable")
    fa = np.minimum(np.take_along_axis(fa, order, -1), limit)
    best = np.maximum.accumulate(np.take_along_axis(pd, order, -1), axis=-1)
    widths = np.diff(np.concatenate([fa, np.full((*fa.shape[:-1], 1), limit)], -1), axis=-1)
    return _as_number((widths * best).sum(-1) / limit)


def rank_area(everything: np.ndarray, positive: np.ndarray) -> Any:
    """The area under the pixels' ROC curve, from histograms `(…, bins)` in ascending order.

    It is P(score of a target pixel > score of another pixel) + ½ P(equal).
    """
    positive = np.asarray(positive, np.float64)
    negative = np.asarray(everything, np.float64) - positive
    below = np.cumsum(negative, axis=-1) - negative
    return _as_number(ratio((positive * (below + negative / 2)).sum(-1), positive.sum(-1) * negative.sum(-1)))


def _as_number(value: Any) -> Any:
    return float(value) if np.ndim(value) == 0 else value
