"""Detection training samples: boxes follow their targets through cloning, flips, turns and letterboxing."""

import dataclasses

import cv2
import numpy as np
import pytest
import torch
from targets import SHAPES, clip, line, new_boxes
from trees import real_data

from utils.clips.appearance import IntensityJitter, WideIntensityJitter
from utils.clips.augment import TrainTransform
from utils.clips.clones import TargetAugmentation
from utils.clips.settings import ClipSettings
from utils.clips.training_clips import ClipDataset, box_mask, no_mask
from utils.clips.transforms import (
    NO_BOXES,
    GeometricAugmentation,
    letterbox_clip,
    random_crop_boxes,
)
from utils.datasets.dataset import open_dataset
from utils.datasets.frame_table import Frame
from utils.images.normalise import normalise
from utils.predictor.predictor import Predictor
from utils.training.loader import build_loader, collate
from utils.training.recipes import SSTNET


def bounds(mask):
    """The box around all of a mask's pixels."""
    y, x = np.nonzero(mask)
    return [x.min(), y.min(), x.max() + 1, y.max() + 1]


def moving(noise=0.0):
    """A disc that moves, and the box right around it in the key frame, of class 2."""
    frames, masks = clip([(SHAPES["disc"], line((40, 50), (1, 2)))], noise=noise)
    return frames, masks, np.array([[*bounds(masks[-1]), 2.0]])


# --- cloned targets --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("mode", ["add", "replace"])
def test_a_clones_box_is_its_originals_moved(mode, seed):
    frames, masks, boxes = moving()
    augment = TargetAugmentation(copies=1, scale=(1.0, 1.0), mode=mode)
    _, cloned, after = augment.with_boxes(frames, masks, boxes, np.random.default_rng(seed))
    assert (after[0] == boxes[0]).all()
    x1, y1, x2, y2 = after[1, :4].astype(int)
    assert len(after) == 2 and after[1, 4] == 2 and (x2 - x1, y2 - y1) == SHAPES["disc"].shape[::-1]
    assert (cloned[-1, y1:y2, x1:x2] >= SHAPES["disc"]).all()
    cloned[-1, y1:y2, x1:x2] = False
    assert not (cloned[-1] & ~masks[-1]).any()


def test_a_wide_box_shrinks_about_its_target_and_stays_inside():
    frames, masks, _ = moving()
    x1, y1, x2, y2 = bounds(masks[-1])
    boxes = np.array([[x1 - 3, y1 - 5, x2 + 7, y2 + 1, 0.0]])
    for seed in range(30):
        _, cloned, after = TargetAugmentation(copies=1, scale=(0.8, 0.8)).with_boxes(
            frames, masks, boxes, np.random.default_rng(seed)
        )
        size, old = after[1, 2:4] - after[1, :2], boxes[0, 2:4] - boxes[0, :2]
        assert np.allclose(size, 0.8 * old)
        assert (after[1, :2] >= 0).all() and (after[1, 2:4] <= 96).all()
        ((my1, mx1, my2, mx2),) = new_boxes(masks[-1], cloned[-1])
        middle = np.array([mx1 + mx2, my1 + my2]) / 2
        expected = middle + 0.8 * ((boxes[0, :2] + boxes[0, 2:4]) / 2 - np.array([x1 + x2, y1 + y2]) / 2)
        assert np.allclose((after[1, :2] + after[1, 2:4]) / 2, expected, atol=0.51)


def test_every_target_keeps_its_own_box_and_class():
    tracks = [(SHAPES["disc"], line((20, 20), (1, 1))), (SHAPES["cross"], line((60, 30), (0, 2)))]
    frames, masks = clip(tracks)
    boxes = np.array([[37, 59, 43, 65, 1.0], [23, 23, 30, 30, 0.0]])  # the cross first
    _, cloned, after = TargetAugmentation(copies=2, scale=(1.0, 1.0)).with_boxes(
        frames, masks, boxes, np.random.default_rng(1)
    )
    assert len(after) == 6 and sorted(after[:, 4]) == [0, 0, 0, 1, 1, 1]
    for x1, y1, x2, y2, kind in after.astype(int):
        assert cloned[-1, y1:y2, x1:x2].sum() == (SHAPES["disc"] if kind == 0 else SHAPES["cross"]).sum()


def test_a_target_that_left_before_the_key_frame_gives_no_box():
    frames, masks = clip([(SHAPES["disc"], [(40, 40), (41, 42), (42, 44), None, None])])
    _, cloned, after = TargetAugmentation(copies=3).with_boxes(frames, masks, NO_BOXES, np.random.default_rng(0))
    assert cloned[0].sum() > masks[0].sum() and not cloned[-1].any() and after.shape == (0, 5)


def test_masks_alone_are_augmented_as_before():
    frames, masks, boxes = moving(noise=3)
    for step in (TargetAugmentation(), GeometricAugmentation(), IntensityJitter(0.3, 10.0)):
        alone = step(frames, masks, np.random.default_rng(5))
        together = step.with_boxes(frames, masks, NO_BOXES, np.random.default_rng(5))
        assert all((a == b).all() for a, b in zip(alone, together[:2], strict=True))


# --- flips, turns, letterbox -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(96, 96), (60, 96)])
def test_boxes_are_flipped_and_turned_with_their_targets(size):
    frames, masks = clip([(SHAPES["1x3"], line((20, 50), (1, 2)))], size=size)
    boxes = np.array([[*bounds(masks[-1]), 0.0]])
    seen = set()
    for seed in range(60):
        _, mask, box = GeometricAugmentation().with_boxes(frames, masks, boxes, np.random.default_rng(seed))
        assert box[0, :4].tolist() == bounds(mask[-1])
        seen.add(tuple(box[0]))
    assert len(seen) == (8 if size[0] == size[1] else 4)


@pytest.mark.parametrize("shape", [(48, 96), (96, 48), (64, 64), (200, 150)])
def test_letterboxing_keeps_box_and_target_together(shape):
    frames, masks = clip([(SHAPES["disc"], [(20, 30)] * 2)], size=shape)
    boxes = np.array([[*bounds(masks[-1]), 1.0]])
    image, mask, moved = letterbox_clip(frames, masks, boxes, 64)
    assert image.shape == mask.shape == (2, 64, 64) and image.dtype == np.float32
    assert np.abs(moved[0, :4] - bounds(mask[-1])).max() <= 1 and moved[0, 4] == 1
    assert image[0, 0, 0] == (50 if shape == (64, 64) else 128)
    empty = letterbox_clip(frames, np.zeros_like(masks), NO_BOXES, 64)
    assert not empty[1].any() and empty[2].shape == (0, 5)


@pytest.mark.parametrize(("fit", "moves"), [("crop", False), ("resize", False), ("resize", True)])
def test_boxes_that_nothing_would_move_are_refused(fit, moves):
    with pytest.raises(ValueError, match=f"1 boxes with fit '{fit}'"):
        TrainTransform(64, fit, 0.5, (), boxes=moves).with_boxes(*moving(), np.random.default_rng(0))


def test_a_crop_of_frames_in_their_own_pixels_keeps_boxes_on_their_targets():
    frames, masks, boxes = moving()
    transform = TrainTransform(48, "crop", 1.0, (GeometricAugmentation(),), boxes=True)
    places = set()
    for seed in range(20):
        image, mask, kept = transform.with_boxes(frames, masks, boxes, np.random.default_rng(seed))
        assert image.shape == mask.shape == (len(frames), 48, 48) and image.dtype == np.float32
        assert kept[0, :4].tolist() == bounds(mask[-1]) and mask[-1].sum() == masks[-1].sum()
        places.add(tuple(kept[0, :2]))
    assert len(places) > 10


def test_wide_jitter_is_one_offset_and_one_gain_on_normalised_values():
    frames, masks, boxes = moving(noise=3)
    values = (frames - 50) / 10
    gains, offsets = set(), set()
    for seed in range(60):
        image, mask, kept = WideIntensityJitter(50.0, 10.0).with_boxes(
            frames, masks, boxes, np.random.default_rng(seed)
        )
        changed = (image - 50) / 10
        gain = changed.std() / values.std()
        offset = changed.mean() / gain - values.mean()
        assert np.allclose(changed, gain * (values + offset), atol=1e-2) and image.dtype == np.float32
        assert gain + 1e-4 >= 0.5 and gain < 1.5 and abs(offset) < 32
        assert (mask == masks).all() and (kept == boxes).all()
        gains.add(round(float(gain), 2))
        offsets.add(round(float(offset), 1))
    assert len(gains) > 15 and len(offsets) > 15 and 1.0 in gains and 0.0 in offsets
    with pytest.raises(ValueError, match="std"):
        WideIntensityJitter(50.0, 0.0)


def test_crops_keep_the_boxes_whose_centre_they_hold():
    """At the scale of the whole letterboxed frame."""
    rng = np.random.default_rng(0)
    frames, masks, boxes = moving()
    whole = 2 * max(frames.shape[1:])
    other = np.concatenate([boxes, [[2, 3, 10, 11, 1]]])
    transform, never = (TrainTransform(whole, "letterbox", p, (), crop=64) for p in (1.0, 0.0))
    chosen = set()
    for _ in range(40):
        image, mask, kept = transform.with_boxes(frames, masks, other, rng)
        assert image.shape == mask.shape == (len(frames), 64, 64) and len(kept) >= 1
        chosen |= set(kept[:, 4].tolist())
        for x1, y1, x2, y2, kind in kept:
            assert 0 <= x1 < x2 <= 64 and 0 <= y1 < y2 <= 64
            if kind == 2 and mask[-1].sum() == 4 * masks[-1].sum():
                assert [x1, y1, x2, y2] == bounds(mask[-1])
    assert chosen == {1, 2}
    assert any(not len(never.with_boxes(frames, masks, other, rng)[2]) for _ in range(40))


def test_crops_of_small_clips_show_no_target_twice():
    frames, masks, boxes = moving()
    size = max(frames.shape[1:]) + 40
    image, mask, kept = random_crop_boxes(frames, masks, boxes, size, np.random.default_rng(0), 1.0)
    assert image.shape == (len(frames), size, size) and mask.sum() == masks.sum() and (kept == boxes).all()


def test_margins_keep_their_grey_whatever_the_jitter():
    frames, masks = clip([], size=(48, 96), noise=5)
    transform = TrainTransform(96, "letterbox", 0.0, (IntensityJitter(0.5, 10.0),))
    image, _, _ = transform.with_boxes(frames, masks, NO_BOXES, np.random.default_rng(0))
    assert (image[:, :24] == 128).all() and abs(image[:, 24:72].mean() - 50) < 6


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_margins_are_the_same_in_training_and_in_prediction(tmp_path, dtype):
    """For other files than those of 8 bits they are the dataset's mean: half of 65535 is far from a camera's levels."""
    sequences, normalisation = sequence(tmp_path, 3, dtype=dtype), ([80.0] * 3, [10.0] * 3)
    config = dataclasses.replace(
        SSTNET,
        input_size=64,
        batch_size=3,
        workers=0,
        target_augmentation=False,
        flips=False,
        intensity=0.0,
        num_frames=2,
    )
    _, loader = build_loader(config, sequences, config.clip_settings(normalisation), 10.0, float(np.iinfo(dtype).max))
    batch = next(iter(loader))
    learnt = dict(zip(batch["key"], batch["clip"].numpy(), strict=True))
    seen = []

    def run(clips):
        seen.extend(clips)
        return [np.zeros((0, 6), np.float32)] * len(clips)

    predictor = Predictor(run, ClipSettings(2, normalisation, "detection", fit="letterbox", input_size=64))
    list(
        predictor.stream_with(
            (number, cv2.imread(frame.image, cv2.IMREAD_UNCHANGED), None) for number, frame in enumerate(sequences["a"])
        )
    )  # levels as they are, as in measuring
    for frame, shown in zip(sequences["a"], seen, strict=True):
        assert np.allclose(learnt[frame.image], shown, atol=1e-5)
        assert np.allclose(shown[..., :9, :], 4.8 if dtype == np.uint8 else 0.0, atol=1e-5)


# --- samples and batches ---------------------------------------------------------------------------------------------


def sequence(folder, frames, size=(40, 56), dtype=np.uint8):
    """One sequence whose even frames have a bright spot and a box of 8×8 around it."""
    made = []
    rng = np.random.default_rng(1)
    for t in range(frames):
        image = rng.normal(80, 3, size)
        image[20:23, 10 + 2 * t : 13 + 2 * t] += 100
        path = str(folder / f"{t}.png")
        cv2.imwrite(path, image.astype(dtype))
        box = (7.5 + 2 * t, 17.5, 15.5 + 2 * t, 25.5, 0)
        made.append(Frame("a", t, path, None, (box,) if t % 2 == 0 else ()))
    return {"a": tuple(made)}


def test_a_sample_holds_an_rgb_clip_and_the_key_frames_boxes(tmp_path):
    sequences = sequence(tmp_path, 4)
    normalisation = ([1.0, 2.0, 3.0], [10.0, 20.0, 40.0])
    clips = ClipDataset(
        sequences,
        [("a", i) for i in range(4)],
        ClipSettings(5, normalisation, "detection"),
        labels="boxes",
        mask_of=no_mask,
    )
    sample = clips[2]
    grey = clips.read(2)[0]
    assert sample["clip"].shape == (3, 5, 40, 56) and sample["clip"].dtype == np.float32
    for channel, (mean, std) in enumerate(zip(*normalisation, strict=True)):
        assert np.allclose(sample["clip"][channel], (grey - mean) / std, atol=1e-4)
    assert sample["boxes"].tolist() == [[11.5, 17.5, 19.5, 25.5, 0]] and sample["boxes"].dtype == np.float32
    assert clips[3]["boxes"].shape == (0, 5) and sample["key"].endswith("2.png")


def test_one_number_for_all_channels_keeps_the_clip_grey():
    frames = np.full((2, 3, 4), 7, np.float32)
    assert normalise(frames, (3.0, 2.0)).shape == (2, 3, 4) and (normalise(frames, (3.0, 2.0)) == 2).all()


def test_targets_are_told_from_the_picture_inside_their_boxes(tmp_path):
    sequences = sequence(tmp_path, 3)
    masks = ClipDataset(sequences, [("a", 2)], ClipSettings(3, (0.0, 1.0)), labels="boxes", mask_of=box_mask).read(0)[1]
    assert masks[0, 20:23, 10:13].all() and 9 <= masks[0].sum() <= 21  # the core, and a pixel around it
    assert not masks[1].any() and masks[2, 20:23, 14:17].all()


def test_batches_stack_clips_and_list_boxes(tmp_path):
    sequences = sequence(tmp_path, 6)
    config = dataclasses.replace(SSTNET, input_size=64, batch_size=3, workers=0)
    sampler, loader = build_loader(config, sequences, config.clip_settings(([1.0] * 3, [2.0] * 3)), 10.0, 255.0)
    batches = list(loader)
    assert len(batches) == 2 and len(sampler) == 6
    for batch in batches:
        assert batch["clip"].shape == (3, 3, 5, 64, 64) and batch["clip"].dtype == torch.float32
        assert len(batch["boxes"]) == len(batch["key"]) == 3
        for boxes, key in zip(batch["boxes"], batch["key"], strict=True):
            assert boxes.dtype == torch.float32 and boxes.shape[1] == 5
            assert bool(len(boxes)) == (int(key[-5]) % 2 == 0)
            sides = boxes[:, 2:4] - boxes[:, :2]
            assert torch.allclose(sides, torch.full_like(sides, 8 * 64 / 56), atol=0.3)


def test_masks_are_collated_as_ever():
    sample = {"clip": np.zeros((5, 4, 4), np.float32), "mask": np.ones((1, 4, 4), np.float32), "key": "a"}
    batch = collate([sample, sample])
    assert batch["clip"].shape == (2, 5, 4, 4) and batch["mask"].shape == (2, 1, 4, 4) and batch["key"] == ["a", "a"]
    assert "boxes" not in batch


def test_real_boxes_stay_on_their_targets():
    """On real frames a cloned target stands out from its surroundings in the middle of its box."""
    dataset = open_dataset(real_data("DAUB-mini"), "train", "boxes")
    name, frames = next(iter(dataset.sequences.items()))
    transform = TrainTransform(512, "letterbox", 0.0, (TargetAugmentation(scale=(1.0, 1.0)), GeometricAugmentation()))
    clips = ClipDataset(
        {name: frames},
        [(name, i) for i in range(0, 100, 25)],
        ClipSettings(5, ([0.0] * 3, [1.0] * 3), "detection"),
        transform.with_boxes,
        labels="boxes",
        mask_of=box_mask,
    )
    contrasts = []
    for index in range(len(clips)):
        sample = clips[index]
        for x1, y1, x2, y2, _ in sample["boxes"].round().astype(int):
            assert (x2 - x1, y2 - y1) == (16, 16)
            patch = sample["clip"][0, -1, y1:y2, x1:x2]
            contrasts.append(patch[5:11, 5:11].max() - np.median(patch))
    assert len(contrasts) >= 12 and np.median(contrasts) > 15
