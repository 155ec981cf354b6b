"""Classical methods: they find a moving target on clutter, and nothing where there is nothing."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from utils.clips.registration import align_clip, scene_shift, shifts_to_last
from utils.predictor import window
from utils.predictor.classical import CLASSICAL_METHODS, DEFAULT_THRESHOLD, classical_predictor, score
from utils.predictor.classical_responses import robust_pca
from utils.system.errors import UserError

SIZE = (110, 140)
TARGET = np.s_[39:42, 51:54]
PAN = np.array([1.5, -2.0])  # rows and columns a frame


def scene(frames: int = 5, target: bool = True) -> np.ndarray:
    """A smooth panned scene with noise (frames, *SIZE) float32; a target of 3×3 px crosses it and ends at TARGET."""
    rng = np.random.default_rng(3)
    wide = ndimage.gaussian_filter(rng.standard_normal((SIZE[0] + 40, SIZE[1] + 40)), 5) * 200 + 100
    clip = []
    for back in range(frames - 1, -1, -1):
        frame = ndimage.shift(wide, back * PAN, order=1)[20:-20, 20:-20] + rng.standard_normal(SIZE) * 0.7
        if target:
            frame[39:42, 51 - 4 * back : 54 - 4 * back] += 40
        clip.append(frame)
    return np.stack(clip).astype(np.float32)


@pytest.mark.parametrize("name", CLASSICAL_METHODS)
def test_a_method_finds_a_moving_target_and_little_else(name):
    found = score(name, scene())
    assert found.shape == SIZE and found.dtype == np.float32
    assert found.min() >= 0 and found.max() < 1
    above = found > DEFAULT_THRESHOLD
    assert above[TARGET].any()
    near = np.zeros(SIZE, bool)
    near[36:45, 48:57] = True
    assert (above & ~near).sum() <= 6
    assert near[np.unravel_index(found.argmax(), SIZE)]


@pytest.mark.parametrize("name", CLASSICAL_METHODS)
def test_a_method_is_silent_on_flat_and_noisy_clips_and_repeats_itself(name):
    assert not score(name, np.full((5, 40, 50), 12345.6)).any()
    noise = np.random.default_rng(0).normal(1000, 1, (5, 80, 90))
    assert (score(name, noise) > DEFAULT_THRESHOLD).mean() < 1e-3
    clip = scene()
    assert np.array_equal(score(name, clip), score(name, clip.copy()))


@pytest.mark.parametrize("name", CLASSICAL_METHODS)
def test_gain_and_offset_do_not_count_nor_do_16_bits(name):
    clip = scene()
    np.testing.assert_allclose(score(name, clip * 40 + 9000), score(name, clip), atol=0.03)
    counts = np.clip(clip * 200, 0, 65535).astype(np.uint16)
    (prediction,) = classical_predictor(name).predict(counts[None])
    assert any(abs(item.centroid[0] - 52) < 2 and abs(item.centroid[1] - 40) < 2 for item in prediction.components)


@pytest.mark.parametrize("name", CLASSICAL_METHODS)
@pytest.mark.parametrize("shape", [(1, 1), (3, 4), (17, 31), (61, 20)])
def test_any_size_and_a_single_frame(name, shape):
    rng = np.random.default_rng(0)
    for frames in (1, 5):
        found = score(name, rng.random((frames, *shape)))
        assert found.shape == shape and np.isfinite(found).all()
        if CLASSICAL_METHODS[name].num_frames > 1 and frames == 1:
            assert not found.any()


def test_a_stream_of_frames_gives_predictions_in_their_own_pixels():
    frames = np.clip(scene(8) + 50, 0, 255).astype(np.uint8)
    method = classical_predictor("frame-difference", threshold=0.6)
    predictions = list(method.stream(frames, batch_size=3))
    assert [prediction.number for prediction in predictions] == list(range(8))
    assert not predictions[0].mask.any()  # nothing came before it
    clip = frames[3:].astype(np.float32)
    assert np.array_equal(predictions[-1].probability, score("frame-difference", clip))
    assert np.array_equal(predictions[-1].mask, score("frame-difference", clip) > 0.6)
    assert method.settings.name == "frame-difference" and method.multiple == 1


def test_unknown_methods_and_shapes_are_refused():
    with pytest.raises(UserError, match="--method: found 'tophat', expected one of top-hat, .*temporal-variance"):
        classical_predictor("tophat")
    with pytest.raises(ValueError, match=r"shape \(40, 50\), expected \(T, H, W\)"):
        score("mpcm", np.zeros((40, 50)))


@pytest.mark.parametrize("target", [True, False])
def test_registration_follows_the_scene_and_not_the_target(target):
    clip = scene(target=target)
    for back, frame in enumerate(clip[::-1]):
        # what lies at p in the key frame lay at p + back · PAN `back` steps before
        np.testing.assert_allclose(-scene_shift(frame, clip[-1]), back * PAN, atol=0.1)
    earlier = align_clip(clip, shifts_to_last([scene_shift(*pair) for pair in pairwise(clip)]))
    rest = earlier[0] - clip[-1]
    assert np.std(rest[10:-10, 10:35]) < 2 < np.std((clip[0] - clip[-1])[10:-10, 10:35])
    for unseen in (np.s_[:, :8], np.s_[-6:]):  # 4 · PAN, of which the first frame shows nothing
        assert np.array_equal(earlier[0][unseen], earlier[1][unseen])
    assert (earlier[0] != earlier[1])[10:-10, 10:-10].mean() > 0.99


def test_unrelated_frames_are_not_shifted_far():
    rng = np.random.default_rng(1)
    y, x = scene_shift(*rng.standard_normal((2, 64, 64)).astype(np.float32))
    assert abs(x) <= 16 and abs(y) <= 16
    assert not scene_shift(np.zeros((64, 64), np.float32), np.ones((64, 64), np.float32)).any()


@pytest.mark.parametrize("name, fits", [("frame-difference", 7), ("temporal-variance", 7), ("top-hat", 0)])
def test_a_stream_fits_every_frame_once_and_only_where_clips_are_compared(monkeypatch, name, fits):
    pairs = []
    monkeypatch.setattr(window, "scene_shift", lambda *pair: pairs.append(pair) or scene_shift(*pair))
    list(classical_predictor(name).stream(np.clip(scene(8) + 50, 0, 255).astype(np.uint8)))
    assert len(pairs) == fits


def test_robust_pca_parts_low_rank_and_sparse():
    rng = np.random.default_rng(0)
    low = rng.standard_normal((80, 3)) @ rng.standard_normal((3, 50))
    sparse = np.where(rng.random((80, 50)) < 0.05, rng.choice([-8.0, 8.0], (80, 50)), 0)
    np.testing.assert_allclose(robust_pca(low + sparse), sparse, atol=0.02)
    np.testing.assert_allclose(robust_pca((low + sparse).T), sparse.T, atol=0.02)
    assert not robust_pca(np.zeros((5, 4))).any()
