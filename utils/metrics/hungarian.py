"""Boxes matched one to one by the Hungarian algorithm, as satellite video is measured: precision, recall and F1.

Of the detections of a frame and class and its true boxes, those pairs are taken whose sum of closeness is the largest
(H. W. Kuhn, "The Hungarian Method for the Assignment Problem", Naval Research Logistics Quarterly, 1955); the order of
scores does not matter. Closeness and what then is a hit, by rule:

- `any_overlap`: closeness is IoU, and any IoU above 0 is a hit;
- `iou_30`: the same pairs, hits where IoU is above 0.3;
- `centre_5px`: closeness is 5 px − the distance of the centres, 0 beyond; hits are less than 5 px apart.

DSFNet and MICPL print `any_overlap`, or `centre_5px`, of scores above 0.3, as plain means over videos.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from utils.images.boxes import box_iou, centre_distances
from utils.metrics.figures import ratio
from utils.predictor.prediction import SURE_SCORE
from utils.system.packages.late import optimize

HUNGARIAN_RULES = {
    "any_overlap": "any overlap",
    "iou_30": "IoU above 0.3",
    "centre_5px": "centres less than 5 px apart",
}
PUBLISHED_SCORE = SURE_SCORE  # that scores exceed
HIT_IOU, HIT_DISTANCE = 0.3, 5.0
RATES = ("precision", "recall", "f1")
_TIE = 1e-9  # rounding must not make an overlap of boxes that touch, nor a hit of a distance of exactly 5 px


def match_boxes(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Which detections are hits.

    Args:
        found: `(N, 4 or more)` x1, y1, x2, y2, … of one frame and class, all that count.
        true: `(G, 4 or more)`, likewise.

    Returns:
        `(N, 3)` bool, by each of `HUNGARIAN_RULES`.
    """
    hits = np.zeros((len(found), len(HUNGARIAN_RULES)), bool)
    overlap = box_iou(found, true)
    rows, columns = _assign(overlap)
    hits[rows, 0], hits[rows, 1] = True, overlap[rows, columns] > HIT_IOU + _TIE
    hits[_assign(HIT_DISTANCE - centre_distances(found, true))[0], 2] = True
    return hits


def _assign(closeness: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of the pairs, all of a closeness above 0, whose sum is the largest."""
    closeness = np.where(closeness > _TIE, closeness, 0)
    rows, columns = np.flatnonzero(closeness.any(1)), np.flatnonzero(closeness.any(0))
    first, second = optimize.linear_sum_assignment(closeness[np.ix_(rows, columns)], maximize=True)
    rows, columns = rows[first], columns[second]
    near = closeness[rows, columns] > 0
    return rows[near], columns[near]


def match_rates(counts: np.ndarray) -> dict[str, Any]:
    """Precision, recall and F1 of counts.

    Args:
        counts: `(…, 3 rules, 3)` matched, false and missed.

    Returns:
        `RULE_precision`, `RULE_recall`, `RULE_f1`: numbers, or arrays `(…)`; NaN where divided by nothing.
    """
    result = {}
    for place, rule in enumerate(HUNGARIAN_RULES):
        matched, false, missed = np.moveaxis(counts[..., place, :], -1, 0)
        values = (
            ratio(matched, matched + false),
            ratio(matched, matched + missed),
            ratio(2 * matched, 2 * matched + false + missed),
        )
        result |= {f"{rule}_{rate}": value for rate, value in zip(RATES, values, strict=True)}
    return result


def match_figures(counts: np.ndarray) -> dict[str, float | int]:
    """The figures of one part, from counts `(3 rules, 3)` matched, false and missed.

    Returns:
        As of `match_rates`, and as int `RULE_matched, RULE_false_detections, RULE_missed`.
    """
    return match_rates(counts) | {
        f"{rule}_{name}": int(count)
        for rule, own in zip(HUNGARIAN_RULES, counts, strict=True)
        for name, count in zip(("matched", "false_detections", "missed"), own, strict=True)
    }


def summarise_videos(videos: Sequence[np.ndarray]) -> dict[str, float | int]:
    """The figures of several videos, pooled and as plain means over the videos.

    Args:
        videos: counts `(3 rules, 3)` of each.

    Returns:
        `match_figures` of their sum; as `mean_RULE_RATE` the means over the videos where the figure is defined, NaN
        where it is in none; as `published_mean_RULE_RATE` those over all videos, in which an undefined figure counts 0,
        as published code has it (it adds 1e-7 to what it divides by).
    """
    counts = np.array(videos, np.int64).reshape(-1, len(HUNGARIAN_RULES), 3)
    result = match_figures(counts.sum(0))
    for name, values in match_rates(counts).items():
        known = ~np.isnan(values)
        total = float(values[known].sum())
        result[f"mean_{name}"] = ratio(total, int(known.sum()))
        result[f"published_mean_{name}"] = ratio(total, len(values))
    return result
