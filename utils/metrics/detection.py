"""Average precision, precision, recall, F1 and false detections a frame, over boxes found and true boxes.

A detection hits a true box of its class and frame by one of two rules: `iou` (IoU at least 0.5) or `centre` (the boxes'
centres less than 3 px apart, since the IoU of boxes of a few pixels turns on single pixels). Detections come in
descending order of score; each takes the best box by the rule (largest IoU, nearest centre) that is still free. What
hits nothing is false, in frames without targets too.

- `ap50`, `ap`: COCO's average precision at IoU 0.5 and averaged over 0.5, 0.55 … 0.95 (pycocotools, at most 100
  detections a frame and class); `ap50_AREA`, `ap_AREA` for targets of some sizes, see
  `utils.metrics.average_precision.AREAS`.
- `centre_ap`: the same mean of 101 interpolated precisions, by the centre rule.
- `precision`, `recall`, `f1`, `false_per_frame`: by the rule `iou`, of the detections whose score exceeds the stated
  threshold; `centre_precision`, `pd` (recall), `centre_f1`, `centre_false_per_frame`: by the rule `centre`.
- `any_overlap_precision`, `any_overlap_recall`, `any_overlap_f1`, likewise `iou_30_…` and `centre_5px_…`: of those
  detections too, matched one to one whatever their order, see `utils.metrics.hungarian`.
- `published_recall` R: the largest recall reached by any score; `published_precision`: the mean of the first ⌊100·R⌋ of
  the 101 interpolated precisions, `published_f1` of these two; at IoU 0.5, as the papers on these datasets print them.

Average precisions and the published figures are means over the classes that have targets, the others pool all classes.
What is divided by nothing (recall of a set without targets) is NaN, never 0 or 1.

Regions to ignore (crowds, objects that are too difficult) are no targets, and a detection that hits no target and lies
in such a region of its class is left out: by pycocotools' rule, the share of the detection's area inside the region is
at least the IoU that a hit takes, and any number of detections may lie in it. That share is at least 0.5 by the rule
`centre` too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from utils.images.boxes import box_iou, centre_distances, share_inside
from utils.images.components import MATCH_DISTANCE
from utils.metrics.average_precision import average_precision
from utils.metrics.hungarian import HUNGARIAN_RULES, match_boxes, match_figures
from utils.predictor.prediction import MAX_DETECTIONS

BOX_RULES = ("iou", "centre")
MIN_IOU = 0.5
RECALLS = np.linspace(0, 1, 101)
_TIE = 1e-9  # rounding must not turn a distance of exactly 3 px into a hit
NAN = float("nan")
FALSE, LEFT_OUT = -1, -2  # instead of the number of a true box


class DetectionMetrics:
    """Collects frames; parts measured apart (sequences) add up to the whole by `merge`."""

    def __init__(self) -> None:
        self.found: list[np.ndarray] = []
        self.true: list[np.ndarray] = []
        self.ignored: list[np.ndarray] = []

    def update(self, detections: Any, boxes: Any, ignored: Any = ()) -> None:
        """Take in one frame, also where nothing is in it.

        Args:
            detections: `(N, 6)` x1, y1, x2, y2 in pixels of the frame, score, class (from 0), in any order.
            boxes: `(G, 5)` true x1, y1, x2, y2, class.
            ignored: `(R, 5)` regions to ignore, likewise.

        Raises:
            ValueError: another shape, numbers that are not finite, or sides of negative length.
        """
        found = _as_boxes("detections", detections, 6)
        self.found.append(found[np.argsort(-found[:, 4], kind="stable")])
        self.true.append(_as_boxes("boxes", boxes, 5))
        self.ignored.append(_as_boxes("regions to ignore", ignored, 5))

    def merge(self, other: DetectionMetrics) -> DetectionMetrics:
        """Add the frames of `other` behind these."""
        self.found += other.found
        self.true += other.true
        self.ignored += other.ignored
        return self

    def classes(self) -> list[int]:
        """The numbers of the classes that are true or found anywhere, ascending."""
        numbers = [np.zeros(0), *(found[:, 5] for found in self.found), *(true[:, 4] for true in self.true)]
        return np.unique(np.concatenate(numbers)).astype(int).tolist()

    def of_class(self, number: int) -> DetectionMetrics:
        """The same frames with what is of class `number` alone."""
        result = DetectionMetrics()
        result.found = [frame[frame[:, 5] == number] for frame in self.found]
        result.true = [frame[frame[:, 4] == number] for frame in self.true]
        result.ignored = [frame[frame[:, 4] == number] for frame in self.ignored]
        return result

    def compute(self, threshold: float = 0.5, areas: bool = True) -> dict[str, float | int]:
        """The figures of the module's docstring, and the counts they come from.

        Args:
            threshold: of the score, for the figures that need one.
            areas: also average precision by target size, which takes as long again for each.

        Returns:
            Floats, NaN where undefined; `threshold`; and as int `frames, frames_with_target, targets, detections`
            (all), `ignored_regions`, `matched, false_detections, centre_matched, centre_false_detections` (above the
            threshold), and the counts of `utils.metrics.hungarian.match_figures`.
        """
        by_rule = {rule: self.by_class(rule) for rule in BOX_RULES}
        result = average_precision(self.found, self.true, areas, self.ignored)
        with_targets = {rule: [part for part in parts.values() if part[2]] for rule, parts in by_rule.items()}
        result["centre_ap"] = _mean(interpolate_precision(*part).mean() for part in with_targets["centre"])
        result |= _published_figures(with_targets["iou"])
        targets = sum(map(len, self.true))
        names = {
            "iou": ("precision", "recall", "f1", "false_per_frame", "matched", "false_detections"),
            "centre": (
                "centre_precision",
                "pd",
                "centre_f1",
                "centre_false_per_frame",
                "centre_matched",
                "centre_false_detections",
            ),
        }
        for rule, parts in by_rule.items():
            above = [hit[exceeds(score, threshold)] for score, hit, _ in parts.values()]
            matched, false = (int(sum((hit == wanted).sum() for hit in above)) for wanted in (True, False))
            figures = (
                _ratio(matched, matched + false),
                _ratio(matched, targets),
                _ratio(2 * matched, matched + false + targets),
                _ratio(false, len(self.true)),
                matched,
                false,
            )
            result |= dict(zip(names[rule], figures, strict=True))
        result |= match_figures(self.count_matches(threshold))
        return result | {
            "threshold": threshold,
            "frames": len(self.true),
            "frames_with_target": sum(len(true) > 0 for true in self.true),
            "targets": targets,
            "detections": sum(map(len, self.found)),
            "ignored_regions": sum(map(len, self.ignored)),
        }

    def count_matches(self, threshold: float) -> np.ndarray:
        """Matched, false and missed by each of `HUNGARIAN_RULES`, `(3 rules, 3)` int64.

        Boxes are matched within their class; however many detections of a frame exceed the threshold, all count.
        """
        counts = np.zeros((len(HUNGARIAN_RULES), 3), np.int64)
        for frame, true, regions in zip(self.found, self.true, self.ignored, strict=True):
            found = frame[exceeds(frame[:, 4], threshold)]
            for number in np.unique(np.concatenate([found[:, 5], true[:, 4]])):
                own, wanted = found[found[:, 5] == number], true[true[:, 4] == number]
                hits = match_boxes(own, wanted)
                counted = hits | ~lie_inside(own, regions[regions[:, 4] == number])[:, None]
                matched = hits.sum(0)
                counts += np.stack([matched, counted.sum(0) - matched, len(wanted) - matched], 1)
        return counts

    def curve(self, rule: str = "iou") -> dict[str, np.ndarray]:
        """The figures over the threshold, all classes pooled.

        Returns:
            Arrays `(K,)` float64, one entry for each different score, ascending: `threshold` (half-way between two
            scores, so that `score > threshold` gives the figures of the entry), `precision, recall, f1,
            false_per_frame`; K is 0 where nothing was found.
        """
        parts = list(self.by_class(rule).values())
        score, hit = (np.concatenate([part[i] for part in parts] or [np.zeros(0)]) for i in (0, 1))
        order = np.argsort(-score, kind="stable")
        score, hit = score[order], hit[order].astype(np.int64)
        last = np.append(score[1:] != score[:-1], True)[: len(score)]  # of equal scores all are taken or none
        matched, taken = np.cumsum(hit)[last], (np.arange(len(score)) + 1)[last]
        score, targets = score[last], sum(map(len, self.true))
        below = np.append(score[1:], 0)[: len(score)]
        figures = {
            "threshold": (score + below) / 2,
            "precision": matched / taken,
            "recall": _divide(matched, targets),
            "f1": 2 * matched / (taken + targets),
            "false_per_frame": _divide(taken - matched, len(self.true)),
        }
        return {name: values[::-1].astype(np.float64) for name, values in figures.items()}

    def interpolate(self, rule: str = "iou") -> dict[str, np.ndarray]:
        """The curve that average precision is the mean of: `(101,)` arrays `recall` and `precision`.

        Precision is the mean over the classes that have targets; NaN where none has.
        """
        curves = [interpolate_precision(*part) for part in self.by_class(rule).values() if part[2]]
        return {"recall": RECALLS.copy(), "precision": np.mean(curves, 0) if curves else np.full(101, NAN)}

    def by_class(self, rule: str) -> dict[int, tuple[np.ndarray, np.ndarray, int]]:
        """For each class: scores `(N,)` in descending order, which of them are hits `(N,)`, number of true boxes.

        Detections that are left out, as they lie in a region to ignore, are not among them.
        """
        if rule not in BOX_RULES:
            raise ValueError(f"rule '{rule}' is unknown, expected one of {', '.join(BOX_RULES)}")
        judged = [judge(*frame, rule) for frame in zip(self.found, self.true, self.ignored, strict=True)]
        found, hits = np.concatenate([np.zeros((0, 6)), *self.found]), np.concatenate([np.zeros(0, int), *judged])
        true = np.concatenate([np.zeros((0, 5)), *self.true])
        result = {}
        for number in self.classes():
            own = (found[:, 5] == number) & (hits != LEFT_OUT)
            order = np.argsort(-found[own, 4], kind="stable")
            result[number] = found[own, 4][order], hits[own][order] >= 0, int((true[:, 4] == number).sum())
        return result


def _as_boxes(name: str, boxes: Any, columns: int) -> np.ndarray:
    """Boxes `(N, columns)` x1, y1, x2, y2, … as float64."""
    array = np.array(boxes, np.float64)
    if array.size and (array.ndim != 2 or array.shape[1] != columns):
        raise ValueError(f"{name} have shape {array.shape}, expected (N, {columns})")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} hold numbers that are not finite")
    array = array.reshape(-1, columns)
    if (array[:, 2:4] < array[:, :2]).any():
        raise ValueError(f"{name} hold sides of negative length")
    return array


def exceeds(score: np.ndarray, threshold: float) -> np.ndarray:
    """Which scores `(N,)` are above the threshold, in single precision, as the predictor compares: `(N,)` bool."""
    return score.astype(np.float32) > np.float32(threshold)


def judge(found: np.ndarray, true: np.ndarray, ignored: np.ndarray, rule: str) -> np.ndarray:
    """What each detection of a frame is, within its class.

    Args:
        found: `(N, 6)`, the surest first.
        true: `(G, 5)`.
        ignored: `(R, 5)` regions to ignore.
        rule: of `BOX_RULES`.

    Returns:
        `(N,)` int64: the number of the true box that it hits, `FALSE`, or `LEFT_OUT`, where it hits none and lies in a
        region to ignore, or is none of the `MAX_DETECTIONS` surest.
    """
    result = np.full(len(found), LEFT_OUT)
    for number in np.unique(found[:, 5]):
        (own,), (wanted,) = np.nonzero(found[:, 5] == number), np.nonzero(true[:, 4] == number)
        own = own[:MAX_DETECTIONS]
        hit = match_in_order(found[own], true[wanted], rule)
        inside = lie_inside(found[own], ignored[ignored[:, 4] == number])
        result[own] = np.where(hit >= 0, np.append(wanted, FALSE)[hit], np.where(inside, LEFT_OUT, FALSE))
    return result


def match_in_order(found: np.ndarray, true: np.ndarray, rule: str) -> np.ndarray:
    """Which of the true boxes `(G, 4 or more)` each detection `(N, 4 or more)`, the surest first, hits.

    Returns:
        `(N,)` int64, their numbers, `FALSE` for a detection that hits none.
    """
    hit = np.full(len(found), FALSE)
    if not (len(found) and len(true)):
        return hit
    if rule == "iou":
        quality, least = box_iou(found, true), MIN_IOU
    else:
        quality, least = -centre_distances(found, true), -MATCH_DISTANCE + _TIE
    quality = np.where(quality >= least, quality, -np.inf)
    for index in np.flatnonzero((quality > -np.inf).any(1)):
        best = int(quality[index].argmax())
        if quality[index, best] > -np.inf:
            hit[index] = best
            quality[:, best] = -np.inf
    return hit


def lie_inside(found: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """Which detections `(N, 4 or more)` lie in one of the regions to ignore `(R, 4 or more)`: `(N,)` bool."""
    return share_inside(found, regions) >= MIN_IOU


def interpolate_precision(score: np.ndarray, hit: np.ndarray, targets: int) -> np.ndarray:
    """Precision at the recalls 0, 0.01 … 1, each the largest at that recall or beyond, 0 beyond the last.

    Args:
        score: `(N,)` in descending order.
        hit: `(N,)` bool.
        targets: number of true boxes, at least 1.

    Returns:
        `(101,)` float64.
    """
    matched = np.cumsum(hit)
    precision = matched / (np.arange(len(score)) + 1)
    best = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0.0)
    return best[np.searchsorted(matched / targets, RECALLS, side="left")]


def _published_figures(parts: Sequence[tuple[np.ndarray, np.ndarray, int]]) -> dict[str, float]:
    precisions, recalls = [], []
    for score, hit, targets in parts:
        matched = int(hit.sum())
        recalls.append(matched / targets)
        precisions.append(_mean(interpolate_precision(score, hit, targets)[: 100 * matched // targets]))
    precision, recall = _mean(precisions), _mean(recalls)
    f1 = _ratio(2 * precision * recall, precision + recall)
    return {"published_precision": precision, "published_recall": recall, "published_f1": f1}


def _mean(values: Any) -> float:
    values = list(values)
    return float(np.mean(values)) if values else NAN


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else NAN


def _divide(part: np.ndarray, whole: int) -> np.ndarray:
    return part / whole if whole else np.full(part.shape, NAN)
