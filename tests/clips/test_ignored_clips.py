"""Regions to ignore on their way into training samples: they move along, and are no targets."""

import json

import numpy as np
import pytest
from trees import coco, write_pairs, write_text

from nets import yolox_head
from utils.clips.clones import TargetAugmentation
from utils.clips.settings import ClipSettings
from utils.clips.training_clips import ClipDataset, box_mask, boxes_to_learn, no_mask
from utils.clips.transforms import GeometricAugmentation, letterbox_clip, random_crop_boxes
from utils.datasets.dataset import open_dataset
from utils.datasets.frame_table import AllKeys, Frame, Sequences
from utils.images.boxes import IGNORED_CLASS
from utils.training.resume import fingerprint

REGION = [4.0, 2, 40, 30, IGNORED_CLASS]
FRAME = Frame("a", 0, "0.png", None, ((5, 6, 9, 10, 1),), ((4, 2, 40, 30, 1),))


def test_networks_and_clips_mean_the_same_number():
    assert yolox_head.IGNORED_CLASS == IGNORED_CLASS


def test_a_frame_gives_its_boxes_and_its_regions():
    assert boxes_to_learn(FRAME).tolist() == [[5, 6, 9, 10, 1], REGION]
    assert boxes_to_learn(Frame("a", 0, "0.png", None, ())).shape == (0, 5)
    assert not box_mask(FRAME, np.zeros((32, 48), np.uint8))[12:].any()  # what is inside a region is no target


def test_tables_of_frames_keep_regions_and_declared_sizes(tmp_path):
    frame = Frame("a", 1, "1.png", None, (), (), (32, 48))
    sequences = Sequences.of({"a": [FRAME, frame], "b": [FRAME]})
    assert list(sequences["a"]) == [FRAME, frame] and sequences.cut(1, 2)["a"][0] == frame
    assert sequences.join([("x/", sequences)])["x/a"][0].ignored == FRAME.ignored


@pytest.mark.parametrize("seed", range(6))
def test_crops_cut_regions_and_are_not_drawn_for_them(seed):
    frames, masks = np.zeros((2, 32, 48), np.uint8), np.zeros((2, 32, 48), bool)
    target = [20.0, 20, 24, 24, 0]
    rng = np.random.default_rng(seed)
    _, _, boxes = random_crop_boxes(frames, masks, np.array([REGION, target]), 16, rng, target_probability=1.0)
    assert boxes[-1, 4] == 0 and (boxes[-1, 2:4] - boxes[-1, :2]).tolist() == [4, 4]  # the target, whole
    assert len(boxes) == 2 and boxes[0, 4] == IGNORED_CLASS and boxes[0, :4].min() >= 0 and boxes[0, :4].max() <= 16
    left = (boxes[-1, :2] - boxes[0, :2]).tolist()
    corner = 20 - boxes[-1, :2]
    assert left == (np.array([20, 20]) - np.maximum([4, 2], corner)).tolist()


def test_a_crop_beside_a_region_has_none():
    frames, masks = np.zeros((1, 64, 64), np.uint8), np.zeros((1, 64, 64), bool)
    boxes = np.array([[0.0, 0, 8, 8, IGNORED_CLASS], [50, 50, 54, 54, 0]])
    _, _, found = random_crop_boxes(frames, masks, boxes, 20, np.random.default_rng(0), target_probability=1.0)
    assert found[:, 4].tolist() == [0]


def test_regions_turn_and_are_letterboxed_as_boxes_are():
    frames, masks = np.zeros((1, 32, 32), np.float32), np.zeros((1, 32, 32), bool)
    for seed in range(4):
        twin = np.array([[1.0, 2, 9, 5, 0], [1, 2, 9, 5, IGNORED_CLASS]])
        found = GeometricAugmentation().with_boxes(frames, masks, twin, np.random.default_rng(seed))[2]
        assert (found[0, :4] == found[1, :4]).all() and found[1, 4] == IGNORED_CLASS
        assert (letterbox_clip(frames, masks, twin, 64)[2][:, 4] == twin[:, 4]).all()


@pytest.mark.parametrize("mode", ["add", "replace"])
def test_regions_stay_where_they_are_when_targets_are_cloned(mode):
    frames, masks = np.full((2, 64, 64), 50, np.float32), np.zeros((2, 64, 64), bool)
    frames[:, 20:24, 20:24], masks[:, 20:24, 20:24] = 200, True
    boxes = np.array([[10.0, 10, 40, 40, IGNORED_CLASS], [20, 20, 24, 24, 0]])
    after = TargetAugmentation(copies=2, mode=mode).with_boxes(frames, masks, boxes, np.random.default_rng(1))[2]
    assert (after[:2] == boxes).all() and (after[2:, 4] == 0).all() and len(after) > 2


def test_a_dataset_becomes_samples_with_regions(tmp_path):
    write_pairs(tmp_path, ["a/0", "a/1"], masks=False)
    content = coco(["images/a/0.png", "images/a/1.png"])
    content["annotations"].append(content["annotations"][0] | {"id": 9, "bbox": [0, 0, 30, 8], "iscrowd": 1})
    write_text(tmp_path / "annotations/instances_train.json", json.dumps(content))
    sequences = Sequences.of(open_dataset(tmp_path, "train", "boxes").sequences)
    settings = ClipSettings(num_frames=2, normalisation=(0.0, 1.0))
    clips = ClipDataset(sequences, AllKeys(sequences), settings, labels="boxes", mask_of=no_mask)
    assert clips[0]["boxes"].tolist() == [[12, 10, 15, 13, 0], [0, 0, 30, 8, IGNORED_CLASS]]
    assert clips[1]["boxes"].tolist() == [[12, 10, 15, 13, 0]]


def test_a_run_knows_its_data_by_their_regions_too(tmp_path):
    write_pairs(tmp_path, ["a/0"], masks=False)
    path = str(tmp_path / "images/a/0.png")
    plain, other = (Frame("a", 0, path, None, (), ignored) for ignored in ((), FRAME.ignored))
    assert fingerprint({"training": {"a": [plain]}}) != fingerprint({"training": {"a": [other]}})
