"""Ignored pixels are as if they were not there: neither targets, nor false alarms, nor pixels."""

import json

import numpy as np
import pytest
from mask_files import COUNT, SIZE, discs, with_border, write_masked
from trees import write

from test import main as measure_masks
from utils.datasets.dataset import open_dataset
from utils.datasets.quick_check import understand_masks
from utils.images.boxes import leave_out_ignored
from utils.images.components import label
from utils.metrics.evaluate import compare_detections, evaluate_sequences
from utils.metrics.published_countings import COUNTINGS, CompatMetrics
from utils.metrics.rules import MASK_RULES
from utils.metrics.segmentation import SegmentationMetrics
from utils.predictor.classical import classical_predictor
from utils.predictor.prediction import from_boxes, from_probability, leave_out
from utils.render.source_truth import open_truth
from utils.video.sources import open_sources


def scenes(count=30, seed=0):
    """Probabilities, predictions, masks and what is ignored, the right half, of frames of 24x40 pixels."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        probability = (rng.random((24, 40)) ** 6).astype(np.float32)
        mask = rng.random((24, 40)) < 0.03
        ignored = np.zeros((24, 40), bool)
        ignored[:, 20:] = True
        yield probability, probability > 0.5, mask, ignored


@pytest.mark.parametrize("rule", MASK_RULES)
def test_what_is_ignored_counts_as_if_it_were_cut_off(rule):
    whole, cut = SegmentationMetrics(rule), SegmentationMetrics(rule)
    for probability, prediction, mask, ignored in scenes():
        whole.update(prediction, mask, probability, ignored=ignored)
        cut.update(prediction[:, :20], mask[:, :20], np.ascontiguousarray(probability[:, :20]))
    assert whole.compute() == cut.compute()
    np.testing.assert_equal(whole.curve(), cut.curve())


@pytest.mark.parametrize("counting", sorted(COUNTINGS))
def test_faulty_countings_leave_it_out_too(counting):
    whole, cut = CompatMetrics(counting), CompatMetrics(counting)
    for _, prediction, mask, ignored in scenes():
        whole.update(prediction, mask, ignored=ignored)
        cut.update(prediction[:, :20], mask[:, :20])
    assert whole.compute() == cut.compute()


def test_batches_are_their_frames():
    frames = list(scenes(5))
    single, batch = SegmentationMetrics(), SegmentationMetrics()
    for probability, prediction, mask, ignored in frames:
        single.update(prediction, mask, probability, ignored=ignored)
    probability, prediction, mask, ignored = (np.stack(part) for part in zip(*frames, strict=True))
    batch.update(prediction, mask, probability, ignored=ignored)
    assert batch.compute() == single.compute() and batch.curve()["pixel_auc"] == single.curve()["pixel_auc"]


def test_shapes_must_fit():
    with pytest.raises(ValueError, match="ignored has shape"):
        SegmentationMetrics().update(np.zeros((4, 5), bool), np.zeros((4, 5), bool), ignored=np.zeros((5, 4), bool))


def test_boxes_go_where_more_than_half_is_ignored_and_nothing_is_a_target():
    ignored, targets = np.zeros((20, 20), bool), np.zeros((20, 20), bool)
    ignored[:, 10:] = True
    targets[4, 9] = True
    boxes = np.array([[8, 10, 12, 14, 0.9], [7, 10, 13, 14, 0.9], [8, 10, 13, 14, 0.9], [9, 3, 19, 6, 0.9]])
    assert leave_out_ignored(boxes, ignored, targets).tolist() == boxes[[0, 1, 3]].tolist()
    assert leave_out_ignored(boxes[:0], ignored, targets).shape == (0, 5)
    metrics = SegmentationMetrics()
    prediction = np.zeros((20, 20), bool)
    metrics.update(prediction, targets, boxes=boxes[2:3], ignored=ignored)
    assert metrics.compute()["false_components"] == 0


def test_predictions_without_what_is_ignored():
    ignored, targets = np.zeros((20, 20), bool), np.zeros((20, 20), bool)
    ignored[:, 10:] = True
    probability = np.zeros((20, 20), np.float32)
    probability[3:5, 3:5], probability[8, 9:12], probability[15, 15] = 0.9, 0.8, 0.7
    left = leave_out(from_probability(7, probability, 0.5), ignored, targets)
    assert [component.box for component in left.components] == [(3, 3, 5, 5), (9, 8, 10, 9)]
    assert left.mask.sum() == 5 and not left.probability[:, 10:].any() and len(left.detections) == 2
    boxes = np.array([[3, 3, 5, 5, 0.9, 0], [14, 14, 17, 17, 0.8, 0]], np.float32)
    found = leave_out(from_boxes(7, boxes, (20, 20), 0.5), ignored, targets)
    assert len(found.components) == len(found.detections) == 1 and not found.mask[:, 10:].any()
    same = from_probability(7, probability, 0.5)
    assert leave_out(same, np.zeros((20, 20), bool), targets) is same


@pytest.fixture
def bordered(tmp_path):
    """Frames of two bright targets and a bright blot in the border that their masks ignore."""

    def mask_of(targets, number):
        mask = with_border(targets[0] * np.uint8(1) + targets[1] * np.uint8(2), 255, 4)
        picture = np.full(SIZE, 60, np.uint8)
        picture[targets.any(0)] = 200
        picture[1:3, 30:32] = 200
        for sequence in "ab":
            write(tmp_path / f"set/images/{sequence}/{number:03d}.png", picture)
        return mask

    root = tmp_path / "set"
    write_masked(root, mask_of)
    for number in range(COUNT):
        mask_of(discs(number), number)  # its pictures instead of noise
    return root


def test_every_figure_leaves_it_out(bordered):
    (dataset,) = understand_masks(open_dataset(bordered, "test"), ignore=255)
    seen = []
    result = evaluate_sequences(
        classical_predictor("top-hat", 0.5),
        dataset,
        quiet=True,
        extra_rules=MASK_RULES,
        observe=lambda frame, image, mask, prediction: seen.append((label(mask), len(prediction.components))),
    )
    figures = result.overall.compute()
    assert (figures["targets"], figures["matched"], figures["false_components"]) == (2 * COUNT, 2 * COUNT, 0)
    assert figures["pixels"] == COUNT * (SIZE[0] - 8) * (SIZE[1] - 8) and figures["iou"] == 1
    assert result.by_rule["shooting"]["b"].compute()["false_components"] == 0
    assert all(len(targets) == count == 2 for targets, count in seen)
    (plain,) = understand_masks(open_dataset(bordered, "test"), ignore="none")
    again = evaluate_sequences(classical_predictor("top-hat", 0.5), plain, quiet=True).overall.compute()
    assert again["targets"] == COUNT  # the border


def test_boxes_made_elsewhere_leave_it_out(bordered):
    (dataset,) = understand_masks(open_dataset(bordered, "test"), ignore=255)
    found = {frame.image: np.array([[30, 1, 32, 3, 0.9, 0.0]]) for frame in dataset.frames}
    result = compare_detections(dataset, found)
    assert all(len(boxes) == 0 for _, boxes in result.detections)
    assert result.overall.compute(0.5)["targets"] == 2 * COUNT


def test_the_command_takes_the_value_and_keeps_its_warnings(bordered, tmp_path):
    options = ["--method", "top-hat", "--data-root", str(bordered), "--out", str(tmp_path / "out"), "--quiet"]
    measure_masks([*options, "--no-details", "--no-curve", "--draws", "0", "--ignore-value", "255", "--compat", "all"])
    content = json.loads((tmp_path / "out/metrics.json").read_text())
    assert content["ignore_value"] == 255 and content["overall"]["pd"] == 1 and content["overall"]["fa"] == 0
    assert any("masks hold the values 0, 1 and 2: every value above 0" in line for line in content["warnings"])


def test_truth_of_a_source_leaves_it_out(bordered):
    for folder in (bordered, bordered / "masks", bordered / "masks/b"):
        source = open_sources(bordered / "images/b")[0]
        truth = open_truth(folder, 255)
        truth.require([source])
        frame = next(iter(source))
        probability = np.zeros(SIZE, np.float32)
        probability[1:3, 30:32] = 0.9
        prediction, targets = truth.judge(source, frame, from_probability(0, probability, 0.5))
        assert prediction.components == () and len(targets) == 2
