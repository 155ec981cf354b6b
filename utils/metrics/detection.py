"""Average precision, precision, recall, F1 and false detections a frame, over boxes found and true boxes.

A detection hits a true box of its class and frame by one of two rules: `iou` (IoU at least 0.5) or `centre` (the boxes'
centres less than 3 px apart, since the IoU of boxes of a few pixels turns on single pixels). Detections come in
descending order of score; each takes the best box by the rule (largest IoU, nearest centre) that is still free. What
hits nothing is false, in frames without targets too.

- `ap50`, `ap`: COCO's average precision at IoU 0.5 and averaged over 0.5, 0.55 … 0.95 (pycocotools, at most 100
  detections a frame and class); `ap50_AREA`, `ap_AREA` for targets of some sizes, see `utils.metrics.detection.AREAS`.
- `centre_ap`: the same mean of 101 interpolated precisions, by the centre rule.
- `precision`, `recall`, `f1`, `false_per_frame`: by the rule `iou`, of the detections whose score exceeds the stated
  threshold; `centre_precision`, `pd` (recall), `centre_f1`, `centre_false_per_frame`: by the rule `centre`.
- `published_recall` R: the largest recall reached by any score; `published_precision`: the mean of the first ⌊100·R⌋ of
  the 101 interpolated precisions, `published_f1` of these two; at IoU 0.5, as the papers on these datasets print them.

Average precisions and the published figures are means over the classes that have targets, the others pool all classes.
What is divided by nothing (recall of a set without targets) is NaN, never 0 or 1.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from utils.images.boxes import box_iou
from utils.images.components import MATCH_DISTANCE
from utils.predictor.prediction import MAX_DETECTIONS

BOX_RULES = ("iou", "centre")
MIN_IOU = 0.5
RECALLS = np.linspace(0, 1, 101)
_TIE = 1e-9  # rounding must not turn a distance of exactly 3 px into a hit
NAN = float("nan")


class DetectionMetrics:
    """Collects frames; parts measured apart (sequences) add up to the whole by `merge`."""

    def __init__(self) -> None:
        self.found: list[np.ndarray] = []
        self.true: list[np.ndarray] = []

    def update(self, detections: Any, boxes: Any) -> None:
        """Take in one frame, also where nothing is in it.

        Args:
            detections: `(N, 6)` x1, y1, x2, y2 in pixels of the frame, score, class (from 0), in any order.
            boxes: `(G, 5)` true x1, y1, x2, y2, class.

        Raises:
            ValueError: another shape, numbers that are not finite, or sides of negative length.
        """
        found, true = np.array(detections, np.float64), np.array(boxes, np.float64)
        for name, array, columns in (("detections", found, 6), ("boxes", true, 5)):
            if array.size and (array.ndim != 2 or array.shape[1] != columns):
                raise ValueError(f"{name} have shape {array.shape}, expected (N, {columns})")
            if not np.isfinite(array).all():
                raise ValueError(f"{name} hold numbers that are not finite")
        found, true = found.reshape(-1, 6), true.reshape(-1, 5)
        for name, array in (("detections", found), ("boxes", true)):
            if (array[:, 2:4] < array[:, :2]).any():
                raise ValueError(f"{name} hold sides of negative length")
        self.found.append(found[np.argsort(-found[:, 4], kind="stable")])
        self.true.append(true)

    def merge(self, other: DetectionMetrics) -> DetectionMetrics:
        """Add the frames of `other` behind these."""
        self.found += other.found
        self.true += other.true
        return self

    def compute(self, threshold: float = 0.5, areas: bool = True) -> dict[str, float | int]:
        """The figures of the module's docstring, and the counts they come from.

        Args:
            threshold: of the score, for the figures that need one.
            areas: also average precision by target size, which takes as long again for each.

        Returns:
            Floats, NaN where undefined; `threshold`; and as int `frames, frames_with_target, targets, detections`
            (all), `matched, false_detections, centre_matched, centre_false_detections` (above the threshold).
        """
        by_rule = {rule: self.by_class(rule) for rule in BOX_RULES}
        result = average_precision(self.found, self.true, areas)
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
            # In single precision, as the predictor compares.
            above = [hit[score.astype(np.float32) > np.float32(threshold)] for score, hit, _ in parts.values()]
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
        return result | {
            "threshold": threshold,
            "frames": len(self.true),
            "frames_with_target": sum(len(true) > 0 for true in self.true),
            "targets": targets,
            "detections": sum(map(len, self.found)),
        }

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
        """For each class: scores `(N,)` in descending order, which of them are hits `(N,)`, number of true boxes."""
        if rule not in BOX_RULES:
            raise ValueError(f"rule '{rule}' is unknown, expected one of {', '.join(BOX_RULES)}")
        classes = np.unique(
            np.concatenate([np.zeros(0), *(found[:, 5] for found in self.found), *(true[:, 4] for true in self.true)])
        )
        result = {}
        for number in classes.tolist():
            scores, hits, targets = [np.zeros(0)], [np.zeros(0, bool)], 0
            for found, true in zip(self.found, self.true, strict=True):
                found, true = found[found[:, 5] == number][:MAX_DETECTIONS], true[true[:, 4] == number]
                scores.append(found[:, 4])
                hits.append(hits_of(found, true, rule))
                targets += len(true)
            score, hit = np.concatenate(scores), np.concatenate(hits)
            order = np.argsort(-score, kind="stable")
            result[int(number)] = score[order], hit[order], targets
        return result


def hits_of(found: np.ndarray, true: np.ndarray, rule: str) -> np.ndarray:
    """Which detections `(N, 4 or more)`, the surest first, hit one of the true boxes `(G, 4 or more)`: `(N,)` bool."""
    hit = np.zeros(len(found), bool)
    if not (len(found) and len(true)):
        return hit
    if rule == "iou":
        quality, least = box_iou(found, true), MIN_IOU
    else:
        centres = [(boxes[:, :2] + boxes[:, 2:4]) / 2 for boxes in (found, true)]
        quality = -np.hypot(*np.moveaxis(centres[0][:, None] - centres[1][None], -1, 0))
        least = -MATCH_DISTANCE + _TIE
    quality = np.where(quality >= least, quality, -np.inf)
    for index in np.flatnonzero((quality > -np.inf).any(1)):
        best = int(quality[index].argmax())
        if quality[index, best] > -np.inf:
            hit[index] = True
            quality[:, best] = -np.inf
    return hit


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


_SLIVER = 1e-6  # both ends of COCO's ranges belong to them; a target of 8×8 pixels is to count once, as the larger kind
# Areas of the true box in pixels, from … to; the last three are COCO's own.
AREAS = {
    "tiny": (0, 8**2 - _SLIVER),
    "8_16": (8**2, 16**2 - _SLIVER),
    "16_32": (16**2, 32**2 - _SLIVER),
    "small": (0, 32**2),
    "medium": (32**2, 96**2),
    "large": (96**2, 1e10),
}
_ALL_AREAS = {"": (0, 1e10)}


def average_precision(found: Sequence[np.ndarray], true: Sequence[np.ndarray], areas: bool = True) -> dict[str, float]:
    """Average precision over the classes that have targets.

    Args:
        found: for each frame `(N, 6)` x1, y1, x2, y2, score, class.
        true: for each frame `(G, 5)` x1, y1, x2, y2, class.
        areas: for the sizes in `AREAS` too.

    Returns:
        `ap50`, `ap` and, with `areas`, `ap50_NAME` and `ap_NAME`; NaN where there is no such target.
    """
    sizes = np.concatenate([np.zeros(0), *((box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]) for box in true)])
    ranges = _ALL_AREAS | (AREAS if areas else {})
    held = [name for name, (low, high) in ranges.items() if ((sizes >= low) & (sizes <= high)).any()]
    precision = _precision(found, true, [ranges[name] for name in held]) if held else None
    result = {}
    for name in ranges:
        for key, part in (("ap50", slice(0, 1)), ("ap", slice(None))):
            values = precision[part, :, :, held.index(name)] if name in held else np.zeros(0)
            values = values[values > -1]  # classes without a target of that size
            result[f"{key}_{name}".rstrip("_")] = float(values.mean()) if values.size else float("nan")
    return result


def _precision(
    found: Sequence[np.ndarray], true: Sequence[np.ndarray], ranges: list[tuple[float, float]]
) -> np.ndarray:
    """Interpolated precision, (10 IoU thresholds, 101 recalls, classes, areas)."""
    with contextlib.redirect_stdout(io.StringIO()):
        from pycocotools.coco import COCO  # here, as only average precision needs it
        from pycocotools.cocoeval import COCOeval

        classes = sorted({int(number) for boxes in true for number in boxes[:, 4]})
        images = [{"id": index + 1} for index in range(len(true))]
        content = []
        for frames, column in ((true, 4), (found, 5)):
            boxes = [(index + 1, box) for index, frame in enumerate(frames) for box in frame.tolist()]
            annotations = []
            for number, (image, box) in enumerate(boxes):
                x1, y1, x2, y2 = box[:4]
                annotations.append(
                    {
                        "id": number + 1,
                        "image_id": image,
                        "category_id": int(box[column]),
                        "iscrowd": 0,
                        "bbox": [x1, y1, x2 - x1, y2 - y1],
                        "area": (x2 - x1) * (y2 - y1),
                        "score": box[4],
                    }
                )
            coco = COCO()
            coco.dataset = {
                "images": images,
                "annotations": annotations,
                "categories": [{"id": number} for number in classes],
            }
            coco.createIndex()
            content.append(coco)
        evaluation = COCOeval(*content, "bbox")
        evaluation.params.maxDets = [MAX_DETECTIONS]
        evaluation.params.catIds = classes
        evaluation.params.areaRng = [list(ends) for ends in ranges]
        evaluation.params.areaRngLbl = [str(index) for index in range(len(ranges))]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval["precision"][..., 0]
