"""Contrast, blur and noise of training clips."""

import cv2
import numpy as np
import pytest
from targets import SHAPES, clip, line

from utils.clips.appearance import NO_GAIN, Blur, IntensityJitter, Noise
from utils.clips.clones import TargetAugmentation
from utils.clips.training_clips import ClipDataset
from utils.datasets.frame_table import Frame
from utils.training.config import TrainConfig
from utils.training.loader import build_transform


def disc(noise=3.0):
    return clip([(SHAPES["disc"], line((40, 40), (1, 1)))], noise=noise)


def jitter_of_before(frames, amount, std, rng):
    """`IntensityJitter` as it was before there was a range of gains."""
    gain, offset = rng.uniform(-amount, amount, 2)
    return frames * np.float32(1 + gain) + np.float32(offset * std - gain * frames.mean(dtype=np.float64))


def test_without_a_range_of_gains_clips_are_what_they_were_bit_by_bit():
    frames, masks = disc()
    for seed in range(20):
        before = jitter_of_before(frames, 0.3, 20.0, np.random.default_rng(seed))
        assert (IntensityJitter(0.3, 20.0)(frames, masks, np.random.default_rng(seed))[0] == before).all()
    recipe = build_transform(TrainConfig(input_size=64), std=20.0)
    names = [type(step).__name__ for step in recipe.steps]
    assert names == ["TargetAugmentation", "GeometricAugmentation", "IntensityJitter"]
    assert recipe.steps[-1].gain == NO_GAIN


def test_the_gain_is_log_uniform_about_the_clips_mean_and_one_for_all_frames():
    frames, masks = disc()
    gains = []
    for seed in range(400):
        image, _ = IntensityJitter(0.0, 20.0, (0.25, 4.0))(frames, masks, np.random.default_rng(seed))
        gains.append((image.std() / frames.std()).item())
        assert image.mean() == pytest.approx(frames.mean(), abs=1e-3)
        np.testing.assert_allclose(image, frames.mean() + gains[-1] * (frames - frames.mean()), atol=5e-3)
    logs = np.log2(gains)
    assert -2 < logs.min() < -1.9 and 1.9 < logs.max() < 2
    shares = np.histogram(logs, bins=4, range=(-2, 2))[0] / len(logs)
    assert np.abs(shares - 0.25).max() < 0.08


def test_cloned_targets_have_the_gain_of_their_clip():
    frames, masks = disc(noise=0)
    clones = TargetAugmentation(copies=2, scale=(1, 1), contrast=(1, 1))
    cloned, cloned_masks, _ = clones.with_boxes(frames, masks, np.zeros((0, 5)), np.random.default_rng(0))
    recipe = TrainConfig(input_size=96, clones=2, flips=False, intensity=0.0, gain=(2.0, 2.0), target_probability=0)
    steps = build_transform(recipe, std=20.0).steps
    assert [type(step).__name__ for step in steps] == ["TargetAugmentation", "IntensityJitter"]
    image = steps[-1](cloned, cloned_masks, np.random.default_rng(0))[0]
    background = np.median(image)
    assert cloned_masks[-1].sum() > 2 * masks[-1].sum()
    ratio = (image - background)[cloned_masks] / (cloned - np.median(cloned))[cloned_masks]
    np.testing.assert_allclose(ratio, 2.0, rtol=1e-4)


def test_the_blur_is_opencvs_and_the_same_in_all_frames():
    frames, masks = disc()
    image, mask = Blur((1.0, 1.0))(frames, masks, np.random.default_rng(0))
    assert image.dtype == np.float32 and (mask == masks).all()
    for frame, blurred in zip(frames, image, strict=True):
        np.testing.assert_array_equal(blurred, cv2.GaussianBlur(frame, (0, 0), 1.0))
    still = np.repeat(frames[:1], 3, axis=0)
    image, _ = Blur((0.5, 2.0))(still, masks[:3], np.random.default_rng(1))
    assert (image == image[0]).all() and (image[0] != still[0]).any()
    assert (Blur((0.0, 0.0))(frames, masks, np.random.default_rng(0))[0] == frames).all()


def test_noise_is_each_frames_own_and_of_one_strength_in_a_clip():
    frames, masks = np.full((4, 200, 200), 100, np.float32), np.zeros((4, 200, 200), bool)
    image, _ = Noise((1.0, 6.0))(frames, masks, np.random.default_rng(3))
    added = (image - frames).reshape(4, -1)
    assert image.dtype == np.float32 and np.abs(added.mean(1)).max() < 0.1
    np.testing.assert_allclose(added.std(1), added.std(), rtol=0.02)
    assert np.abs(np.corrcoef(added) - np.eye(4)).max() < 0.03
    strengths = [
        (Noise((1.0, 6.0))(frames, masks, np.random.default_rng(seed))[0] - frames).std() for seed in range(60)
    ]
    assert 0.95 < min(strengths) < 2 and 5 < max(strengths) < 6.05


def test_blur_comes_before_contrast_and_noise_last():
    steps = build_transform(TrainConfig(gain=(0.5, 2.0), blur=(0.0, 1.0), noise=(0.0, 2.0)), std=20.0).steps
    names = ["TargetAugmentation", "GeometricAugmentation", "Blur", "IntensityJitter", "Noise"]
    assert [type(step).__name__ for step in steps] == names


def test_detectors_get_the_same_changes_and_keep_their_boxes():
    frames, masks = disc()
    boxes = np.array([[36.0, 36.0, 52.0, 52.0, 0.0]])
    for step in (IntensityJitter(0.0, 20.0, (0.25, 4.0)), Blur((0.5, 1.0)), Noise((1.0, 2.0))):
        image, mask, kept = step.with_boxes(frames, masks, boxes, np.random.default_rng(5))
        assert (image != frames).any() and (mask == masks).all() and (kept == boxes).all()
        again = step.with_boxes(frames, masks, boxes, np.random.default_rng(5))[0]
        assert (again == image).all()
    for model in ("sstnet", "dsfnet"):
        fit = "letterbox" if model == "sstnet" else "crop"
        loss = "yolox" if model == "sstnet" else "centernet"
        config = TrainConfig(model=model, loss=loss, fit=fit, batch_augmentation=False, gain=(0.5, 2.0))
        assert build_transform(config, std=20.0).steps[-1].gain == (0.5, 2.0)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: IntensityJitter(0.1, 10.0, (0.0, 1.0)), "gain"),
        (lambda: IntensityJitter(0.1, 10.0, (2.0, 1.0)), "gain"),
        (lambda: Blur((-1.0, 1.0)), "sigma"),
        (lambda: Noise((2.0, 1.0)), "sigma"),
        (lambda: Noise((0.0, float("inf"))), "sigma"),
    ],
)
def test_ranges_that_are_none_are_refused(make, name):
    with pytest.raises(ValueError, match=f"got {name}"):
        make()


def test_a_sample_follows_from_seed_epoch_and_index_alone(tmp_path):
    """So an interrupted run sees what one that was left alone does, with any number of processes."""
    frames, masks = disc()
    table = []
    for number, (frame, mask) in enumerate(zip(frames, masks, strict=True)):
        for kind, plane in (("i", frame), ("m", mask * 255)):
            cv2.imwrite(str(tmp_path / f"{kind}{number}.png"), plane.astype(np.uint8))
        table.append(Frame("a", number, str(tmp_path / f"i{number}.png"), str(tmp_path / f"m{number}.png"), None))
    config = TrainConfig(input_size=64, gain=(0.25, 4.0), blur=(0.0, 1.0), noise=(0.0, 3.0))

    def clips(seed=7):
        settings = config.clip_settings((100.0, 20.0))
        return ClipDataset({"a": table}, [("a", 3), ("a", 4)], settings, build_transform(config, 20.0).with_boxes, seed)

    first = clips()[(2, 1)]["clip"]
    later = clips()
    assert later[(0, 0)]["clip"].shape == first.shape  # whatever was asked for before
    np.testing.assert_array_equal(later[(2, 1)]["clip"], first)
    assert (clips()[(3, 1)]["clip"] != first).any() and (clips(seed=8)[(2, 1)]["clip"] != first).any()
