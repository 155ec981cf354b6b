"""Milliseconds of what is done with a cluttered frame's components: counting, drawing, tracking.

    python -m benchmarks.counting --json counting.json

Blobs of some pixels in frames of 512×512, 0 to 1,000 of them, a few of them true targets. `curves` is what
`SegmentationMetrics` counts with all its thresholds by each rule, `label` and `match` are what it takes at one; `draw`
is the picture of `vid_predict.py`; `track` is the tracker, to which all blobs are targets. Milliseconds are of the
processor, of one thread with `--threads 1`.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.measure import check_json, make_parser, report
from utils.images.components import label, match
from utils.metrics.rules import MASK_RULES
from utils.metrics.segmentation import SegmentationMetrics
from utils.predictor.prediction import Prediction, components_of
from utils.predictor.tracking.tracker import Tracker
from utils.render.overlay import draw
from utils.system.command_line import number
from utils.system.errors import user_errors
from utils.system.packages.late import cv2

COUNTS = (0, 10, 100, 1000)
CELL_PX = 16  # a blob lies in the middle of a cell
TRUE_TARGETS = 3


def draw_blobs(rng: np.random.Generator, size: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """A probability (size, size) float32 with `count` blobs above 0.5, and where they are true, (size, size) bool.

    Blobs have one or two peaks and slopes that noise makes rough.
    """
    places = np.argwhere(np.ones((size // CELL_PX,) * 2, bool)) * CELL_PX + CELL_PX // 2
    places = places[rng.permutation(len(places))[:count]]
    points = np.zeros((size, size), np.float32)
    for y, x in places:
        points[y, x] = rng.uniform(6, 9)
        points[tuple((y, x) + rng.integers(-2, 3, 2))] += rng.uniform(0, 6)
    probability = cv2.GaussianBlur(points, (0, 0), 1.0) * rng.uniform(0.9, 1.1, points.shape).astype(np.float32)
    true = np.zeros((size, size), np.uint8)
    for y, x in places[:TRUE_TARGETS]:
        true[y - 1 : y + 2, x - 1 : x + 2] = 1
    return np.clip(probability, 0, 1), true > 0


def measure(size: int, count: int, rounds: int) -> list[dict[str, Any]]:
    """Rows of all work on frames with so many components."""
    rng = np.random.default_rng(0)
    probability, true = draw_blobs(rng, size, count)
    mask = probability > 0.5
    grey = rng.integers(90, 110, mask.shape).astype(np.uint8)
    targets, found = label(true), label(mask)
    prediction = Prediction(0, probability, mask, components_of(mask, probability))
    steps = iter(range(10**6))
    tracker = Tracker()
    calls: dict[str, Callable[[], Any]] = {
        "label": lambda: label(mask),
        "match": lambda: match(targets.centroid, found.centroid),
        **{
            f"curves, {rule}": lambda rule=rule: SegmentationMetrics(rule).update(mask, true, probability)
            for rule in MASK_RULES
        },
        "draw": lambda: draw(grey, prediction),
        "track": lambda: tracker.update(next(steps), prediction.components),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            began = time.process_time()
            call()
            if turn:  # tracks begin in the first
                times[name].append(1e3 * (time.process_time() - began))
    return [
        {"work": name, "components": len(found), "ms": round(statistics.median(spent), 2)}
        for name, spent in times.items()
    ]


def main(argv: list[str] | None = None) -> None:
    """Print a row for each kind of work and number of components."""
    options = make_parser("counting", __doc__.splitlines()[0])
    options.add_argument("--size", type=number("benchmark.side"), default=512, help="side of the frames")
    with user_errors():
        chosen = options.parse_args(argv)
        check_json(chosen.json)
        if chosen.threads:
            cv2.setNumThreads(chosen.threads)
        counts, rounds = (COUNTS[:2], 2) if chosen.quick else (COUNTS, chosen.rounds)
        report([row for count in counts for row in measure(chosen.size, count, rounds)], chosen.json)


if __name__ == "__main__":
    main()
