"""Ignored pixels in training clips: they move with the picture, and no clone is put there or taken from there."""

import cv2
import numpy as np
import pytest
import torch
from mask_files import SIZE, discs, with_border, write_masked

from utils.clips.appearance import IntensityJitter
from utils.clips.augment import TrainTransform, augment_batch
from utils.clips.clones import TargetAugmentation
from utils.clips.settings import ClipSettings
from utils.clips.training_clips import ClipDataset, file_labels, file_mask
from utils.clips.transforms import (
    NO_BOXES,
    GeometricAugmentation,
    letterbox_clip,
    random_crop,
    random_crop_boxes,
    resize_clip,
)
from utils.datasets.dataset import open_dataset
from utils.datasets.frame_table import AllKeys
from utils.datasets.quick_check import understand_masks
from utils.images.masks.values import IGNORED, TARGET, ignored_of, join_labels, targets_of


def clip(seed=0, frames=3, size=(40, 40)):
    """Labels (T, H, W) of a target and an ignored block that touch, and a picture that shows them."""
    labels = np.zeros((frames, *size), np.uint8)
    for index in range(frames):
        labels[index, 10:13, 8 + index : 11 + index] = TARGET
        labels[index, 13:25, 5:30] = IGNORED
    return labels * np.float32(100), labels


def same(frames, labels):
    return np.array_equal(np.rint(frames / 100), labels)


@pytest.mark.parametrize("seed", range(8))
def test_flips_turns_and_crops_move_labels_with_the_picture(seed):
    rng = np.random.default_rng(seed)
    frames, labels = GeometricAugmentation()(*clip(), rng)
    assert same(frames, labels) and labels.dtype == np.uint8
    for size in (24, 48):
        for cut in (random_crop(*clip(), size, rng, 0.5), random_crop_boxes(*clip(), NO_BOXES, size, rng)[:2]):
            assert cut[1].dtype == np.uint8 and (size == 48 or same(*cut))
    jittered = IntensityJitter(0.3, 10.0)(*clip(), rng)[1]
    assert np.array_equal(jittered, clip()[1])


def test_crops_are_drawn_around_targets_not_around_what_is_ignored():
    frames, labels = clip(size=(80, 80))
    labels[:, 40:44, 60:64] = IGNORED
    for seed in range(20):
        cut = random_crop(frames, labels, 16, np.random.default_rng(seed), 1.0)[1]
        assert (cut[-1] == TARGET).sum() == 9


@pytest.mark.parametrize("size", [20, 80, (20, 80)])
def test_sizes_change_for_both(size):
    _, labels = clip()
    resized = resize_clip(labels.astype(np.float32), labels, size)[1]
    for value in (TARGET, IGNORED):
        alone = resize_clip(labels.astype(np.float32), labels == value, size)[1]
        wins = alone if value == TARGET else alone & (resized != TARGET)
        assert np.array_equal(resized == value, wins)
    boxed = letterbox_clip(labels.astype(np.float32), labels, NO_BOXES, 80)[1]
    assert np.array_equal(boxed[0], cv2.resize(labels[0], (80, 80), interpolation=cv2.INTER_NEAREST))


def test_stitched_clips_keep_what_is_ignored():
    _, labels = clip()
    masks = torch.from_numpy(labels[-1:]).float()[None].repeat(2, 1, 1, 1)
    frames = torch.zeros((2, 3, 40, 40))
    mixed = augment_batch(frames, masks, axis=2)[1][2:]
    pairs = torch.cat((masks, masks), 2).reshape(2, 1, 40, 2, 40).amax(3)
    assert torch.equal(mixed, pairs)


@pytest.mark.parametrize("mode", ["add", "replace"])
def test_no_clone_covers_what_is_ignored(mode):
    frames, labels = clip(size=(64, 64))
    labels[:, :, 30:] = IGNORED
    frames = np.random.default_rng(0).normal(50, 2, labels.shape).astype(np.float32)
    frames[labels == TARGET] = 150
    made = 0
    for seed in range(40):
        new, masks, _ = TargetAugmentation(mode=mode).with_boxes(frames, labels, NO_BOXES, np.random.default_rng(seed))
        assert np.array_equal(masks == IGNORED, labels == IGNORED)
        if mode == "replace":
            assert np.array_equal(new[labels == IGNORED], frames[labels == IGNORED])
        made += int(((masks == TARGET) & (labels != TARGET)).any())
    assert made > 10  # there is room beside it


def test_nothing_ignored_is_cloned_or_taken_for_background():
    frames, labels = clip(size=(64, 64))
    frames = np.full(labels.shape, 50, np.float32)
    frames[labels == IGNORED] = 250
    frames[labels == TARGET] = 100
    for seed in range(20):
        new, masks, _ = TargetAugmentation(copies=1).with_boxes(frames, labels, NO_BOXES, np.random.default_rng(seed))
        clones = (masks == TARGET) & (labels != TARGET)
        if clones.any():
            assert new[clones].min() > 60 and new[clones].max() < 120
            return
    pytest.fail("no clone was made")


@pytest.mark.parametrize("register", [False, True])
def test_samples_hold_labels(register, tmp_path):
    root = write_masked(tmp_path, lambda t, n: with_border(t.any(0).astype(np.uint8), 255, 3))
    (dataset,) = understand_masks(open_dataset(root, "train"), ignore=255)
    settings = ClipSettings(3, (100.0, 50.0), register=register)
    wanted = join_labels(discs(4).any(0), with_border(np.zeros(SIZE, np.uint8), 1, 3) > 0)
    for _ in range(2):  # read, and out of the cache
        clips = ClipDataset(dataset.sequences, AllKeys(dataset.sequences), settings, mask_of=file_labels)
        assert np.array_equal(clips[4]["mask"][0], wanted) and clips[4]["mask"].dtype == np.float32
        assert np.array_equal(clips[4]["mask"][0], wanted)
    plain = ClipDataset(dataset.sequences, AllKeys(dataset.sequences), settings, mask_of=file_mask)
    assert np.array_equal(plain[4]["mask"][0], wanted == TARGET)


def test_a_whole_transform_keeps_labels_apart():
    frames, labels = clip(size=(64, 64))
    transform = TrainTransform(32, "crop", 1.0, (TargetAugmentation(), GeometricAugmentation()))
    _, masks = transform(frames, labels, np.random.default_rng(3))
    assert masks.dtype == np.uint8 and set(np.unique(masks)) <= {0, TARGET, IGNORED}
    assert targets_of(masks[-1]).any() and ignored_of(masks).any()
