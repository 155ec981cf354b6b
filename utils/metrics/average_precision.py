"""COCO's average precision, by pycocotools, with ranges of area for small targets."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from utils.predictor.prediction import MAX_DETECTIONS

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
IOU_LEVELS = np.linspace(0.5, 0.95, 10)


def average_precision(
    found: Sequence[np.ndarray],
    true: Sequence[np.ndarray],
    areas: bool = True,
    ignored: Sequence[np.ndarray] = (),
    every_pair: bool = False,
) -> dict[str, float]:
    """Average precision over the classes that have targets.

    Args:
        found: for each frame `(N, 6)` x1, y1, x2, y2, score, class.
        true: for each frame `(G, 5)` x1, y1, x2, y2, class.
        areas: for the sizes in `AREAS` too.
        ignored: for each frame `(R, 5)` regions to ignore; () for none.
        every_pair: match by pycocotools' own code, which tries every pair of boxes: the same figures, ten times slower
            where there are many.

    Returns:
        `ap50`, `ap` and, with `areas`, `ap50_NAME` and `ap_NAME`; NaN where there is no such target.
    """
    sizes = np.concatenate([np.zeros(0), *((box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]) for box in true)])
    ranges = _ALL_AREAS | (AREAS if areas else {})
    held = [name for name, (low, high) in ranges.items() if ((sizes >= low) & (sizes <= high)).any()]
    ignored = ignored or [np.zeros((0, 5))] * len(true)
    precision = (
        _precision(found, true, ignored, [ranges[name] for name in held], every_pair=every_pair) if held else None
    )
    result = {}
    for name in ranges:
        for key, part in (("ap50", slice(0, 1)), ("ap", slice(None))):
            values = precision[part, :, :, held.index(name), 0] if name in held else np.zeros(0)
            values = values[values > -1]  # classes without a target of that size
            result[f"{key}_{name}".rstrip("_")] = float(values.mean()) if values.size else float("nan")
    return result


def published_ap50(
    found: Sequence[np.ndarray], true: Sequence[np.ndarray], ignored: Sequence[np.ndarray] = ()
) -> dict[str, float]:
    """AP50 of everything that is found, and of scores and boxes with two decimals, as satellite video has it.

    Published code (DSFNet, MICPL) writes scores and x, y, w, h with two decimals before it measures. What then has the
    same score is ranked in the order of frames.

    Args:
        found: as of `average_precision`, of each frame the surest first.
        true: likewise.
        ignored: likewise.

    Returns:
        `ap50_uncapped`: of all detections; `ap50_rounded`: with two decimals, at most 100 of a frame and class;
        `ap50_rounded_uncapped`. NaN where there is no target.
    """
    ignored = ignored or [np.zeros((0, 5))] * len(true)
    caps = [MAX_DETECTIONS, max([MAX_DETECTIONS, *map(len, found)]) + 1]
    names = {None: ("ap50", "ap50_uncapped"), 2: ("ap50_rounded", "ap50_rounded_uncapped")}
    result = {}
    for decimals, own in names.items():
        values = np.full(len(caps), np.nan)
        if any(map(len, true)):
            precision = _precision(found, true, ignored, [_ALL_AREAS[""]], [0.5], caps, decimals)
            values = precision.mean((0, 1, 2, 3))
        result |= dict(zip(own, values.tolist(), strict=True))
    del result["ap50"]  # `average_precision` gives it
    return result


def _precision(
    found: Sequence[np.ndarray],
    true: Sequence[np.ndarray],
    ignored: Sequence[np.ndarray],
    ranges: list[tuple[float, float]],
    levels: Sequence[float] = IOU_LEVELS,
    caps: Sequence[int] = (MAX_DETECTIONS,),
    decimals: int | None = None,
    every_pair: bool = False,
) -> np.ndarray:
    """Interpolated precision of the classes that have targets, (levels, 101 recalls, classes, areas, caps).

    Args:
        found: as of `average_precision`.
        true: likewise.
        ignored: likewise, one for each frame.
        ranges: of the areas of targets.
        levels: of IoU.
        caps: detections of a frame and class, the surest, ascending.
        decimals: that scores and boxes found are written with; None for all.
        every_pair: as of `average_precision`.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        from pycocotools.coco import COCO  # here, as only average precision needs it
        from pycocotools.cocoeval import COCOeval

        classes = sorted({int(number) for boxes in true for number in boxes[:, 4]})
        labels, results = [], []
        for index, (own, regions, boxes) in enumerate(zip(true, ignored, found, strict=True), start=1):
            labels += [_annotation(index, box, int(box[4]), iscrowd=0) for box in own.tolist()]
            labels += [_annotation(index, box, int(box[4]), iscrowd=1) for box in regions.tolist()]
            results += [_annotation(index, box, int(box[5]), decimals, score=box[4]) for box in boxes.tolist()]
        content = []
        for annotations in (labels, results):
            for number, annotation in enumerate(annotations, start=1):
                annotation["id"] = number
            coco = COCO()
            coco.dataset = {
                "images": [{"id": index + 1} for index in range(len(true))],
                "annotations": annotations,
                "categories": [{"id": number} for number in classes],
            }
            coco.createIndex()
            content.append(coco)
        evaluation = COCOeval(*content, "bbox")
        evaluation.params.iouThrs = np.asarray(levels)
        evaluation.params.maxDets = list(caps)
        evaluation.params.catIds = classes
        evaluation.params.areaRng = [list(ends) for ends in ranges]
        evaluation.params.areaRngLbl = [str(index) for index in range(len(ranges))]
        if not every_pair:
            evaluation.evaluateImg = partial(_match_image, evaluation)
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval["precision"]


def _annotation(
    image: int, box: Sequence[float], category: int, decimals: int | None = None, **more: float
) -> dict[str, Any]:
    """A box x1, y1, x2, y2, … as COCO has it; numbers with `decimals` are rounded as Python prints them."""
    x1, y1, x2, y2 = box[:4]
    sides = [x1, y1, x2 - x1, y2 - y1]
    if decimals is not None:
        # a difference such as 10.13 - 2.005 is a hair off the 8.125 that a file of results has
        sides = [float(f"{round(side, 9):.{decimals}f}") for side in sides]
        more = {name: float(f"{value:.{decimals}f}") for name, value in more.items()}
    return {"image_id": image, "category_id": category, "bbox": sides, "area": sides[2] * sides[3], **more}


def _match_image(evaluation: Any, image: int, category: int, ends: Sequence[float], cap: int) -> dict[str, Any] | None:
    """What `COCOeval.evaluateImg` returns, from pairs that overlap enough alone: it tries every pair at every level.

    Args:
        evaluation: a `COCOeval` with the IoUs of the image.
        image: its id.
        category: likewise.
        ends: of the areas of targets that count.
        cap: detections that count, the surest.
    """

    def is_outside(box: dict[str, Any]) -> bool:
        return not ends[0] <= box["area"] <= ends[1]

    true, found = evaluation._gts[image, category], evaluation._dts[image, category]
    if not true and not found:
        return None
    passed = np.array([bool(box["ignore"]) or is_outside(box) for box in true], bool)
    order = np.argsort(passed, kind="stable")  # targets that count first
    true, passed = [true[index] for index in order], passed[order]
    rank = np.argsort([-box["score"] for box in found], kind="stable")[:cap]
    found = [found[index] for index in rank]
    levels = evaluation.params.iouThrs
    hit, left_out = np.zeros((len(levels), len(found))), np.zeros((len(levels), len(found)), bool)
    if true and found:
        overlaps = evaluation.ious[image, category][:, order]
        near: dict[int, list[tuple[int, float]]] = {}
        for row, place in zip(*map(np.ndarray.tolist, np.nonzero(overlaps >= levels[0])), strict=True):
            near.setdefault(row, []).append((place, float(overlaps[row, place])))
        for level, least in enumerate(levels):
            taken: set[int] = set()
            for row, pairs in near.items():
                best, match = min(least, 1 - 1e-10), -1
                for place, overlap in pairs:
                    if place in taken and not true[place]["iscrowd"]:
                        continue
                    if match >= 0 and not passed[match] and passed[place]:
                        break
                    if overlap >= best:
                        best, match = overlap, place
                if match >= 0:
                    taken.add(match)
                    hit[level, row], left_out[level, row] = true[match]["id"], passed[match]
    left_out |= (hit == 0) & np.array([is_outside(box) for box in found], bool)
    return {
        "dtMatches": hit,
        "dtIgnore": left_out,
        "dtScores": [box["score"] for box in found],
        "gtIgnore": passed,
    }
