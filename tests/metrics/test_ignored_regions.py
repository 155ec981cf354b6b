"""Regions to ignore are neither targets nor false alarms: against pycocotools, and by known answers."""

import contextlib
import io
import json

import numpy as np
import pytest
from trees import coco, write, write_pairs, write_text

from utils.clips.settings import ClipSettings
from utils.clips.training_clips import ClipDataset, no_mask
from utils.commands.describe import describe
from utils.commands.detection_details import assess
from utils.datasets.dataset import open_dataset
from utils.datasets.frame_table import AllKeys, Sequences
from utils.images.boxes import share_inside
from utils.metrics.bootstrap import detection_draws
from utils.metrics.coco_results import as_truth, naming_of
from utils.metrics.detection import DetectionMetrics
from utils.metrics.evaluate import compare_detections
from utils.metrics.truth import true_boxes
from utils.system.errors import UserError

TARGET, CROWD = [10, 10, 18, 18, 0], [30, 0, 60, 20, 0]


def random_frames(seed, count=30, classes=2):
    """Detections, true boxes and regions to ignore, which overlap each other."""
    rng = np.random.default_rng(seed)

    def boxes(most, least_side, most_side):
        corner = rng.uniform(0, 50, (rng.integers(0, most), 2))
        return np.concatenate([corner, corner + rng.uniform(least_side, most_side, corner.shape)], 1)

    frames = []
    for _ in range(count):
        true, ignored = boxes(4, 4, 20), boxes(3, 10, 50)
        near = true + rng.normal(0, 2, true.shape)
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
        found = np.concatenate([near, boxes(8, 3, 20)])
        found = np.column_stack([found, rng.random(len(found)), rng.integers(0, classes, len(found))])
        frames.append((found, *(np.column_stack([own, rng.integers(0, classes, len(own))]) for own in (true, ignored))))
    return frames


def coco_precision(frames):
    """AP at IoU 0.5 and over all, straight from pycocotools, at most 100 detections."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth, results = [], []
    for image, (found, true, ignored) in enumerate(frames, 1):
        for crowd, own in enumerate((true, ignored)):
            for x1, y1, x2, y2, number in own.tolist():
                size = [x2 - x1, y2 - y1]
                truth.append({"image_id": image, "category_id": int(number), "iscrowd": crowd, "bbox": [x1, y1, *size]})
                truth[-1] |= {"id": len(truth), "area": size[0] * size[1]}
        for x1, y1, x2, y2, score, number in found.tolist():
            box = [x1, y1, x2 - x1, y2 - y1]
            results.append({"image_id": image, "category_id": int(number), "bbox": box, "score": score})
    with contextlib.redirect_stdout(io.StringIO()):
        known = COCO()
        categories = [
            {"id": number} for number in sorted({item["category_id"] for item in truth if not item["iscrowd"]})
        ]
        known.dataset = {
            "images": [{"id": image} for image in range(1, len(frames) + 1)],
            "annotations": truth,
            "categories": categories,
            "info": {},
        }
        known.createIndex()
        evaluation = COCOeval(known, known.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    precision = evaluation.eval["precision"][..., 0, -1]
    return [float(part[part > -1].mean()) for part in (precision[:1], precision)], evaluation


@pytest.mark.parametrize("seed", range(4))
def test_average_precision_is_that_of_pycocotools(seed):
    frames = random_frames(seed)
    metrics = DetectionMetrics()
    for frame in frames:
        metrics.update(*frame)
    result = metrics.compute(areas=False)
    expected, _ = coco_precision(frames)
    assert [result["ap50"], result["ap"]] == pytest.approx(expected, abs=1e-12)
    parts = [part for part in metrics.by_class("iou").values() if part[2]]
    own = np.mean([np.mean(_interpolated(*part)) for part in parts])
    assert own == pytest.approx(expected[0], abs=1e-12)


def _interpolated(score, hit, targets):
    """Precision at 101 recalls, by loops."""
    right, points = 0, []
    for rank, good in enumerate(hit.tolist(), 1):
        right += good
        points.append((right / targets, right / rank))
    return [max([p for r, p in points if r >= k * 0.01], default=0.0) for k in range(101)]


def measured(found, true=(TARGET,), ignored=(CROWD,)):
    metrics = DetectionMetrics()
    metrics.update(
        np.array(found, float).reshape(-1, 6), np.array(true).reshape(-1, 5), np.array(ignored).reshape(-1, 5)
    )
    return metrics.compute(0.5)


def test_a_crowd_is_no_target_and_what_lies_in_it_no_false_alarm():
    inside = [[30 + 5 * i, 2, 34 + 5 * i, 6, 0.9, 0] for i in range(5)]  # any number of them
    result = measured([[*TARGET[:4], 0.8, 0], *inside])
    assert (result["targets"], result["ignored_regions"], result["detections"]) == (1, 1, 6)
    for key in ("ap50", "ap", "centre_ap", "precision", "recall", "f1", "pd", "centre_precision", "published_recall"):
        assert result[key] == pytest.approx(1), key
    for key in ("false_detections", "centre_false_detections", "false_per_frame", "centre_false_per_frame"):
        assert result[key] == 0, key


@pytest.mark.parametrize("x, false", [(26, 0), (25.9, 1), (58, 1), (56, 0)])
def test_half_of_a_detection_in_a_region_is_enough(x, false):
    result = measured([[x, 4, x + 8, 12, 0.9, 0]])
    assert result["false_detections"] == result["centre_false_detections"] == false


def test_a_region_of_another_class_hides_nothing():
    assert measured([[32, 4, 40, 12, 0.9, 1]])["false_detections"] == 1


def test_a_target_in_a_region_is_still_to_be_found():
    true = [32, 4, 40, 12, 0]
    assert measured([], [true])["recall"] == 0
    assert measured([[*true[:4], 0.9, 0]], [true])["matched"] == 1
    twice = measured([[*true[:4], 0.9, 0], [*true[:4], 0.7, 0]], [true])
    assert (twice["matched"], twice["false_detections"]) == (1, 0)  # the second one lies in the region


def test_the_curve_and_intervals_leave_them_out_too():
    metrics = DetectionMetrics()
    metrics.update([[*TARGET[:4], 0.6, 0], [32, 4, 40, 12, 0.9, 0]], [TARGET], [CROWD])
    curve = metrics.curve("centre")
    assert curve["precision"].tolist() == [1] and curve["recall"].tolist() == [1]
    draws = detection_draws([metrics, metrics], 0.5, 20)
    assert (draws["false_per_frame"] == 0).all() and draws["ap50"] == pytest.approx(1)


def test_parts_add_up_with_their_regions():
    frames = random_frames(9)
    whole, halves = DetectionMetrics(), [DetectionMetrics(), DetectionMetrics()]
    for index, frame in enumerate(frames):
        whole.update(*frame)
        halves[index % 2].update(*frame)
    joined = DetectionMetrics().merge(halves[0]).merge(halves[1])
    assert joined.compute() == pytest.approx(whole.compute(), nan_ok=True)


@pytest.mark.parametrize("wrong", [[[1, 2, 3, 4]], [[1, 2, 3, 4, float("nan")]], [[5, 2, 3, 4, 0]]])
def test_regions_of_another_shape_are_refused(wrong):
    with pytest.raises(ValueError, match="regions to ignore"):
        DetectionMetrics().update(np.zeros((0, 6)), np.zeros((0, 5)), wrong)


def test_shares_of_boxes_in_regions():
    boxes = np.array([[0, 0, 4, 4], [2, 0, 6, 4], [4, 0, 8, 4], [3, 1, 3, 2]], float)
    regions = np.array([[0, 0, 4, 2, 7], [0, 0, 3, 4, 7]], float)
    assert share_inside(boxes, regions).tolist() == [0.75, 0.25, 0, 0]
    assert share_inside(boxes, regions[:0]).tolist() == [0, 0, 0, 0] and share_inside(boxes[:0], regions).shape == (0,)


@pytest.mark.parametrize("flag", ["iscrowd", "ignore", "difficult"])
def test_a_dataset_has_them_from_its_json_into_its_truth(tmp_path, flag):
    write_pairs(tmp_path, ["a/0"], masks=False)
    content = coco(["images/a/0.png"])
    content["annotations"].append(content["annotations"][0] | {"id": 9, "bbox": [0, 0, 30, 8], flag: 1})
    write_text(tmp_path / "annotations/instances_test.json", json.dumps(content))
    dataset = open_dataset(tmp_path, "test", "boxes")
    (frame,) = dataset.frames
    assert frame.boxes == ((12, 10, 15, 13, 0),) and frame.ignored == ((0, 0, 30, 8, 0),)
    found = {frame.image: np.array([[12, 10, 15, 13, 0.9, 0], [1, 1, 5, 5, 0.95, 0]])}
    for classes in (True, False):
        result = compare_detections(dataset, found, classes=classes)
        figures = result.overall.compute()
        assert figures["ap50"] == pytest.approx(1) and figures["targets"] == figures["ignored_regions"] == 1
    frames = (frame for frame, _ in result.detections)
    truth = zip(frames, result.overall.true, result.overall.ignored, strict=True)
    annotations = as_truth(truth, dataset, naming_of(dataset))["annotations"]
    assert [(item["bbox"], item["iscrowd"]) for item in annotations] == [([12, 10, 3, 3], 0), ([0, 0, 30, 8], 1)]


def test_measuring_says_how_many_there_are(tmp_path):
    write_pairs(tmp_path, ["a/0"], masks=False)
    content = coco(["images/a/0.png"])
    content["annotations"].append(content["annotations"][0] | {"id": 9, "bbox": [0, 0, 30, 8], "iscrowd": 1})
    write_text(tmp_path / "annotations/instances_test.json", json.dumps(content))
    dataset = open_dataset(tmp_path, "test", "boxes")
    figures, lines = assess(compare_detections(dataset, {}), dataset, "x", 0.5, timed=False)
    assert figures["overall"]["ignored_regions"] == 1 and any(line.startswith("1 regions to ignore") for line in lines)
    assert any("1 regions to ignore (crowd, ignore, difficult)" in line for line in describe(str(tmp_path)))


def test_a_frame_of_another_size_than_its_boxes_list_declares_is_told_when_it_is_read(tmp_path):
    write_pairs(tmp_path, ["a/0", "a/1"], masks=False)
    write(tmp_path / "images/a/1.png", np.zeros((12, 16), np.uint8))
    write_text(tmp_path / "annotations/instances_test.json", json.dumps(coco(["images/a/0.png", "images/a/1.png"])))
    dataset = open_dataset(tmp_path, "test", "boxes")
    frames = dataset.frames
    assert len(true_boxes(frames[0])) == len(true_boxes(frames[0], (24, 32))) == 1
    with pytest.raises(UserError, match="a/1.png: its labels declare 32x24 .* has 16x12"):
        true_boxes(frames[1])
    with pytest.raises(UserError, match="a/1.png"):
        compare_detections(dataset, {})
    sequences = Sequences.of({"a": frames[1:]})
    clips = ClipDataset(sequences, AllKeys(sequences), ClipSettings(1, (0.0, 1.0)), labels="boxes", mask_of=no_mask)
    with pytest.raises(UserError, match="a/1.png: its labels declare 32x24"):
        clips[0]
