"""Frames a second of Pd, Fa and IoU, against scikit-image's labels and region properties; and of boxes' AP.

    python -m benchmarks.metrics --json metrics.json

Masks are sparse: some targets of 2 to 80 pixels and as many predictions, part of them beside a target. "everything" is
what `test.py` counts of a frame by default: both rules at 65 thresholds each, and every target's size, SNR and fate.
Boxes are those of satellite video, many and small; pycocotools by itself compares each with each.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.measure import add_ratios, alternate, check_json, make_parser, report
from utils.datasets.frame_table import Frame
from utils.metrics.average_precision import average_precision, published_ap50
from utils.metrics.breakdown import TargetLog
from utils.metrics.detection import DetectionMetrics
from utils.metrics.rules import MASK_RULES
from utils.metrics.segmentation import SegmentationMetrics
from utils.metrics.target_facts import TargetFacts
from utils.predictor.prediction import Prediction
from utils.system.command_line import number
from utils.system.errors import UserError, user_errors
from utils.system.packages.late import cv2

TARGET_COUNTS = (1, 3, 30)  # in a frame
BOXES = 100  # in a frame


def main(argv: list[str] | None = None) -> None:
    """Measure both ways at each number of targets in a frame, and print a row for each."""
    options = make_parser("metrics", __doc__.splitlines()[0])
    options.add_argument("--size", type=number("benchmark.side"), default=512, help="side of the frames")
    options.add_argument("--frames", type=number("count"), default=50, help="frames of a run")
    with user_errors():
        chosen = options.parse_args(argv)
        check_json(chosen.json)
        try:
            import skimage.measure  # noqa: F401 - not everyone has it
        except ImportError:
            raise UserError(
                "scikit-image is not installed, and it is what this compares with: pip install -r requirements-dev.txt"
            ) from None
        if chosen.quick:
            chosen.size, chosen.frames, chosen.rounds = 64, 4, 2
        if chosen.size < 32 or chosen.frames < 1:
            raise UserError(f"--size: found {chosen.size} with {chosen.frames} frames, expected at least 32 and 1")
        rows: list[dict[str, Any]] = []
        for targets in TARGET_COUNTS:
            rows += compare(chosen.size, chosen.frames, targets, chosen.rounds)
        add_ratios(rows, "scikit-image")
        rows += compare_boxes(4 * chosen.size, chosen.frames, chosen.rounds)
        report(rows, chosen.json)


def compare(size: int, count: int, targets: int, rounds: int) -> list[dict[str, Any]]:
    """Rows of both ways at one number of targets a frame.

    Raises:
        SystemExit: the ways disagree.
    """
    rng = np.random.default_rng(0)
    frames = [draw_sparse_pair(rng, size, targets) for _ in range(count)]

    def ours() -> dict[str, float]:
        metrics = SegmentationMetrics()
        for prediction, mask in frames:
            metrics.update(prediction, mask)
        return metrics.compute()

    def everything() -> dict[str, float]:
        parts, log = [SegmentationMetrics(rule) for rule in MASK_RULES], TargetLog(TargetFacts(None))
        for place, (prediction, mask) in enumerate(frames):
            probability = cv2.GaussianBlur(prediction.astype(np.float32), (5, 5), 1)
            for part in parts:
                part.update(prediction, mask, probability)
            log(
                Frame("sequence", place, str(place), None, None),
                grey,
                mask,
                Prediction(place, probability, prediction, ()),
            )
        return parts[0].compute()

    grey = rng.integers(0, 255, (size, size)).astype(np.uint8)
    calls: dict[str, Callable[[], dict[str, float]]] = {
        "scikit-image": lambda: compare_regions(frames),
        "ours": ours,
        "everything": everything,
    }
    figures = {variant: call() for variant, call in calls.items()}
    for name in ("pd", "fa", "iou"):
        for variant in ("ours", "everything"):
            if not np.isclose(figures[variant][name], figures["scikit-image"][name], equal_nan=True):
                raise SystemExit(f"{name} is {figures[variant][name]}, by scikit-image {figures['scikit-image'][name]}")
    return _rows(f"Pd, Fa, IoU, {size}×{size}, {targets} targets a frame", alternate(calls, rounds), count)


def compare_boxes(size: int, count: int, rounds: int) -> list[dict[str, Any]]:
    """Rows of AP by pycocotools alone and as it is used here, and of all that is counted of boxes at one threshold.

    Raises:
        SystemExit: the ways disagree.
    """
    rng = np.random.default_rng(0)
    metrics = DetectionMetrics()
    for _ in range(count):
        corner = rng.uniform(0, size - 10, (BOXES, 2))
        true = np.concatenate([corner, corner + rng.uniform(4, 10, corner.shape), np.zeros((BOXES, 1))], 1)
        found = true[:, :4] + rng.normal(0, 0.7, (BOXES, 4)) + rng.choice([0, 12], (BOXES, 1), p=[0.8, 0.2])
        metrics.update(np.column_stack([found, rng.random(BOXES), np.zeros(BOXES)]), true)
    boxes = metrics.found, metrics.true
    calls: dict[str, Callable[[], dict[str, float]]] = {
        "pycocotools": lambda: average_precision(*boxes, areas=False, every_pair=True),
        "ours": lambda: average_precision(*boxes, areas=False),
        "everything": lambda: metrics.compute() | published_ap50(*boxes),
    }
    if calls["ours"]() != calls["pycocotools"]():
        raise SystemExit(f"AP is {calls['ours']()}, by pycocotools alone {calls['pycocotools']()}")
    rows = _rows(f"AP, {BOXES} boxes a frame", alternate(calls, rounds), count)
    add_ratios(rows, "pycocotools")
    return rows


def _rows(work: str, ms: dict[str, float], count: int) -> list[dict[str, Any]]:
    return [
        {
            "work": work,
            "variant": variant,
            "ms": round(time / count, 4),
            "ratio": None,
            "gflops": None,
            "frames_per_s": round(1e3 * count / time, 1),
        }
        for variant, time in ms.items()
    ]


def draw_sparse_pair(rng: np.random.Generator, size: int, targets: int) -> tuple[np.ndarray, np.ndarray]:
    """Prediction and mask (size, size) bool: rectangles of 2–80 pixels; predictions are shifted by 0 to 5 px."""
    prediction, mask = np.zeros((2, size, size), bool)
    for _ in range(targets):
        height, width = rng.integers(1, 9), rng.integers(2, 10)
        y, x = rng.integers(5, size - 20, 2)
        mask[y : y + height, x : x + width] = True
        y, x = (y, x) + rng.integers(0, 6, 2)
        prediction[y : y + height, x : x + width] = True
    return prediction, mask


def compare_regions(frames: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Pd, Fa and IoU with `skimage.measure`, the common way: a loop over regions of both masks."""
    from skimage.measure import label, regionprops

    matched = total = false = intersection = union = pixels = 0
    for prediction, mask in frames:
        targets = regionprops(label(mask, connectivity=2))
        found = regionprops(label(prediction, connectivity=2))
        total += len(targets)
        for target in targets:
            for index, region in enumerate(found):
                if np.linalg.norm(np.subtract(region.centroid, target.centroid)) < 3 - 1e-9:
                    matched += 1
                    del found[index]
                    break
        false += sum(region.area for region in found)
        intersection += np.logical_and(prediction, mask).sum()
        union += np.logical_or(prediction, mask).sum()
        pixels += mask.size
    return {
        "pd": matched / total if total else np.nan,
        "fa": false / pixels,
        "iou": intersection / union if union else np.nan,
    }


if __name__ == "__main__":
    main()
