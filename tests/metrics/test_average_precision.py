"""COCO's average precision in less time: pycocotools' own matching, and files of results that it reads, as oracles."""

import contextlib
import io
import json
from itertools import pairwise

import numpy as np
import pytest

from utils.metrics.average_precision import AREAS, average_precision, published_ap50


def crowded_frames(seed, count=15, classes=2, most=12):
    """Detections, true boxes and crowds that overlap a lot, of whole numbers and few scores, so that many are alike."""
    rng = np.random.default_rng(seed)

    def boxes(number, most_side):
        corner = rng.integers(0, 30, (number, 2))
        return np.concatenate([corner, corner + rng.integers(2, most_side, corner.shape)], 1).astype(float)

    frames = []
    for _ in range(count):
        true, ignored = boxes(rng.integers(0, most), 40), boxes(rng.integers(0, 4), 50)
        near = true.repeat(2, 0) + rng.integers(-1, 2, (2 * len(true), 4))
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
        found = np.concatenate([near, boxes(rng.integers(0, most), 20)])
        found = np.column_stack([found, rng.integers(0, 9, len(found)) / 8, rng.integers(0, classes, len(found))])
        found = found[np.argsort(-found[:, 4], kind="stable")]
        frames.append((found, *(np.column_stack([own, rng.integers(0, classes, len(own))]) for own in (true, ignored))))
    return tuple(zip(*frames, strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_pairs_that_overlap_enough_give_what_every_pair_gives_to_pycocotools(seed):
    found, true, ignored = crowded_frames(seed)
    ours = average_precision(found, true, True, ignored)
    np.testing.assert_equal(ours, average_precision(found, true, True, ignored, every_pair=True))
    assert len(ours) == 2 * (1 + len(AREAS)) and 0.05 < ours["ap50_tiny"] < 0.95


def coco_reads(found, true, cap, decimals):
    """AP50 of files whose numbers are printed with so many decimals, by pycocotools."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def printed(value):
        return float(f"{value:.{decimals}f}")

    labels, results = [], []
    for image, (own, boxes) in enumerate(zip(true, found, strict=True), 1):
        for x1, y1, x2, y2, _ in own.tolist():
            sides = [x1, y1, x2 - x1, y2 - y1]
            labels.append({"id": len(labels) + 1, "image_id": image, "category_id": 1, "bbox": sides, "iscrowd": 0})
            labels[-1]["area"] = sides[2] * sides[3]
        for x1, y1, x2, y2, score, _ in boxes.tolist():
            sides = [printed(round(side, 3)) for side in (x1, y1, x2 - x1, y2 - y1)]
            results.append({"image_id": image, "category_id": 1, "bbox": sides, "score": printed(score)})
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        images = [{"id": image} for image in range(1, len(true) + 1)]
        truth.dataset = {"images": images, "annotations": labels, "categories": [{"id": 1}], "info": {}}
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(json.loads(json.dumps(results))), "bbox")
        evaluation.params.maxDets, evaluation.params.iouThrs = [cap], np.array([0.5])
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    return float(evaluation.eval["precision"].mean())


@pytest.mark.parametrize("seed", range(3))
def test_ap50_as_published_is_that_of_a_file_with_two_decimals(seed):
    rng, frames = np.random.default_rng(seed), []
    for boxes in (130, 40):  # more than a hundred in the first frame
        corner = rng.uniform(0, 400, (boxes, 2)).round(3)
        true = np.concatenate([corner, corner + rng.uniform(4, 10, corner.shape).round(3)], 1)
        near = (true + rng.normal(0, 0.7, true.shape)).round(3)
        scores = rng.uniform(0.29, 0.33, boxes)  # many are the same with two decimals
        found = np.column_stack([near, scores, np.zeros(boxes)])
        frames.append((found[np.argsort(-scores)], np.column_stack([true, np.zeros(boxes)])))
    found, true = zip(*frames, strict=True)
    result = published_ap50(found, true)
    assert result == {
        "ap50_uncapped": pytest.approx(coco_reads(found, true, 10_000, 12), abs=1e-12),
        "ap50_rounded": pytest.approx(coco_reads(found, true, 100, 2), abs=1e-12),
        "ap50_rounded_uncapped": pytest.approx(coco_reads(found, true, 10_000, 2), abs=1e-12),
    }
    figures = [average_precision(found, true, False)["ap50"], *result.values()]
    assert all(abs(a - b) > 1e-6 for a, b in pairwise(sorted(figures))), "a cap or decimals that change nothing"


def test_ap50_as_published_without_targets_and_with_crowds():
    nothing = published_ap50([np.array([[0, 0, 8, 8, 0.9, 0]])], [np.zeros((0, 5))])
    assert len(nothing) == 3 and all(np.isnan(value) for value in nothing.values())
    target, crowd, inside = [0, 0, 8, 8, 0], [20, 0, 40, 20, 0], [22, 2, 30, 10, 0.95, 0]
    found, true = [np.array([inside, [*target[:4], 0.9, 0]])], [np.array([target])]
    assert list(published_ap50(found, true, [np.array([crowd])]).values()) == pytest.approx([1] * 3)
    assert list(published_ap50(found, true).values()) == pytest.approx([0.5] * 3)
