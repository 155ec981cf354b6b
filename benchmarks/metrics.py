"""Frames a second of Pd, Fa and IoU, against scikit-image's labels and region properties.

    python -m benchmarks.metrics --json metrics.json

Masks are sparse: some targets of 2 to 80 pixels and as many predictions, part of them beside a target. "everything" is
what `test.py` counts of a frame by default: both rules at 65 thresholds each, and every target's size, SNR and fate.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from benchmarks.measure import add_ratios, alternate, check_json, make_parser, report
from utils.datasets.frame_table import Frame
from utils.metrics.breakdown import TargetLog
from utils.metrics.rules import MASK_RULES
from utils.metrics.segmentation import SegmentationMetrics
from utils.metrics.target_facts import TargetFacts
from utils.predictor.prediction import Prediction
from utils.system.command_line import number
from utils.system.errors import UserError, user_errors

TARGET_COUNTS = (1, 3, 30)  # in a frame


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
    ms = alternate(calls, rounds)
    return [
        {
            "work": f"Pd, Fa, IoU, {size}×{size}, {targets} targets a frame",
            "variant": variant,
            "ms": round(ms[variant] / count, 4),
            "ratio": None,
            "gflops": None,
            "frames_per_s": round(1e3 * count / ms[variant], 1),
        }
        for variant in calls
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
