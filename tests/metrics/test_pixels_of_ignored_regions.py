"""Regions to ignore where pixels count: masks of a detector's boxes, segmentation, its training, and footage."""

import json

import numpy as np
import pytest
from trees import SIZE, coco, target_mask, write, write_pairs, write_text

from utils.clips.training_clips import file_labels
from utils.datasets.dataset import open_dataset
from utils.datasets.frame_table import Frame, Sequences
from utils.images.masks.values import IGNORED, TARGET, ignore_regions
from utils.metrics.segmentation import SegmentationMetrics
from utils.metrics.truth import true_labels
from utils.predictor.prediction import from_boxes
from utils.render.source_truth import DatasetTruth
from utils.system.errors import UserError
from utils.video.sources import open_sources

REGION = (0, 0, 30, 8)  # x1, y1, x2, y2; the target is at 12 to 15, 10 to 13, frames are 32 x 24


@pytest.fixture
def root(tmp_path):
    write_pairs(tmp_path, ["test/a/0", "test/a/1"], masks=False)
    content = coco(["images/test/a/0.png", "images/test/a/1.png"])
    content["annotations"].append(content["annotations"][0] | {"id": 9, "bbox": [0, 0, 30, 8], "iscrowd": 1})
    write_text(tmp_path / "annotations/instances_test.json", json.dumps(content))
    return tmp_path


def test_pixels_of_regions_are_ignored_where_no_target_is():
    targets = np.zeros((4, 6), bool)
    targets[1, 1] = True
    assert ignore_regions(targets, ()) is targets
    labels = ignore_regions(targets, [(0, 0, 3, 2, 7), (5, 3, 9, 9, 7)])
    assert (labels == IGNORED).sum() == 6 and labels[1, 1] == TARGET and labels[3, 5] == IGNORED
    labels[0, 5] = IGNORED
    again = ignore_regions(labels, [(0, 3, 1, 4)])
    assert again[0, 5] == again[3, 0] == IGNORED and again[1, 1] == TARGET and labels[3, 0] == 0


def test_filled_boxes_and_masks_have_them(root):
    image = np.zeros(SIZE, np.uint8)
    first, second = open_dataset(root, "test", "boxes").frames
    labels = true_labels(first, image, filled=True)
    assert (labels == TARGET).sum() == 9 and (labels == IGNORED).sum() == 240
    assert true_labels(second, image, filled=True).dtype == bool  # nothing is ignored there
    mask = str(write(root / "m.png", target_mask()))
    masked = Frame("a", 0, first.image, mask, first.boxes, first.ignored)
    assert (true_labels(masked, image, filled=False) == labels).all()
    assert (file_labels(masked, image) == labels).all()
    assert Sequences.of({"a": [masked]}).has_ignored and not Sequences.of({"a": [second]}).has_ignored


def test_boxes_found_in_a_region_are_no_false_alarms_of_a_mask(root):
    frame = open_dataset(root, "test", "boxes").frames[0]
    labels = true_labels(frame, np.zeros(SIZE, np.uint8), filled=True)
    found = np.array([[12, 10, 15, 13, 0.9, 0], [2, 2, 6, 6, 0.8, 0], [20, 1, 26, 5, 0.7, 0], [20, 18, 24, 22, 0.6, 0]])
    prediction = from_boxes(0, found, SIZE, 0.5)
    metrics = SegmentationMetrics()
    metrics.update(
        prediction.mask,
        labels == TARGET,
        boxes=found,
        true_boxes=np.array(frame.boxes),
        ignored=labels == IGNORED,
    )
    figures = metrics.compute()
    assert (figures["targets"], figures["matched"], figures["false_components"]) == (1, 1, 1)
    assert figures["pixels"] == SIZE[0] * SIZE[1] - 240


def test_footage_is_judged_without_what_lies_in_a_region(root):
    truth = DatasetTruth(root)
    (source,) = open_sources(root / "images/test/a")
    frames = list(source)
    found = np.array([[12, 10, 15, 13, 0.9, 0], [2, 2, 6, 6, 0.8, 0], [20, 18, 24, 22, 0.6, 0]])
    for frame, kept in zip(frames, (2, 3), strict=True):
        judged, targets = truth.judge(source, frame, from_boxes(frame.number, found, SIZE, 0.5))
        assert len(targets) == 1 and len(judged.components) == kept


def test_footage_of_another_size_than_its_boxes_list_declares_stops(root):
    truth = DatasetTruth(root)
    (source,) = open_sources(root / "images/test/a")
    write(root / "images/test/a/0.png", np.zeros((48, 64), np.uint8))
    with pytest.raises(UserError, match="declare 32x24 .* has 64x48"):
        truth.judge(source, next(iter(source)), from_boxes(0, np.zeros((0, 6)), (48, 64), 0.5))
