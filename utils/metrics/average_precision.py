"""COCO's average precision, by pycocotools, with ranges of area for small targets."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence

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


def average_precision(
    found: Sequence[np.ndarray],
    true: Sequence[np.ndarray],
    areas: bool = True,
    ignored: Sequence[np.ndarray] = (),
) -> dict[str, float]:
    """Average precision over the classes that have targets.

    Args:
        found: for each frame `(N, 6)` x1, y1, x2, y2, score, class.
        true: for each frame `(G, 5)` x1, y1, x2, y2, class.
        areas: for the sizes in `AREAS` too.
        ignored: for each frame `(R, 5)` regions to ignore; () for none.

    Returns:
        `ap50`, `ap` and, with `areas`, `ap50_NAME` and `ap_NAME`; NaN where there is no such target.
    """
    sizes = np.concatenate([np.zeros(0), *((box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]) for box in true)])
    ranges = _ALL_AREAS | (AREAS if areas else {})
    held = [name for name, (low, high) in ranges.items() if ((sizes >= low) & (sizes <= high)).any()]
    ignored = ignored or [np.zeros((0, 5))] * len(true)
    precision = _precision(found, true, ignored, [ranges[name] for name in held]) if held else None
    result = {}
    for name in ranges:
        for key, part in (("ap50", slice(0, 1)), ("ap", slice(None))):
            values = precision[part, :, :, held.index(name)] if name in held else np.zeros(0)
            values = values[values > -1]  # classes without a target of that size
            result[f"{key}_{name}".rstrip("_")] = float(values.mean()) if values.size else float("nan")
    return result


def _precision(
    found: Sequence[np.ndarray],
    true: Sequence[np.ndarray],
    ignored: Sequence[np.ndarray],
    ranges: list[tuple[float, float]],
) -> np.ndarray:
    """Interpolated precision, (10 IoU thresholds, 101 recalls, classes, areas)."""
    with contextlib.redirect_stdout(io.StringIO()):
        from pycocotools.coco import COCO  # here, as only average precision needs it
        from pycocotools.cocoeval import COCOeval

        classes = sorted({int(number) for boxes in true for number in boxes[:, 4]})
        images = [{"id": index + 1} for index in range(len(true))]
        content = []
        for parts, column in (((true, ignored), 4), ((found,), 5)):
            boxes = [
                (index + 1, box, crowd)
                for crowd, frames in enumerate(parts)
                for index, frame in enumerate(frames)
                for box in frame.tolist()
            ]
            annotations = []
            for number, (image, box, crowd) in enumerate(boxes):
                x1, y1, x2, y2 = box[:4]
                annotations.append(
                    {
                        "id": number + 1,
                        "image_id": image,
                        "category_id": int(box[column]),
                        "iscrowd": crowd,
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
