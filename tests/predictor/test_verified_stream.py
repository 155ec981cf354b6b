"""Predictions with a verifier: what it finds alone, streams and clips, regions and boxes, files that hold one."""

import dataclasses

import numpy as np
import pytest
import torch
from networks import model_of
from verifying import levels, random_model, scenery, watch, with_spot

from utils.clips.settings import ClipSettings
from utils.predictor.checkpoint import load_checkpoint, save_checkpoint
from utils.predictor.predictor import Predictor
from utils.predictor.tiles.tiling import Tiling
from utils.predictor.verifier.candidates import Candidates
from utils.predictor.verifier.features import NAMES
from utils.predictor.verifier.model import VerifierModel
from utils.predictor.verifier.supports import paint, rescore, spot_of
from utils.predictor.verifier.verification import CandidateStream
from utils.system.errors import UserError

SETTINGS = ClipSettings(3, (120.0, 30.0), threshold=0.5)
BOX_SETTINGS = dataclasses.replace(SETTINGS, task="detection", normalisation=((120.0,) * 3, (30.0,) * 3))


def model_over(weights, bias, threshold=0.5):
    """A verifier whose logit is a sum of some features, by name, and a bias."""
    row = np.array([[weights.get(name, 0.0) for name in NAMES]], np.float32)
    none, one = np.zeros(len(NAMES), np.float32), np.ones(len(NAMES), np.float32)
    return VerifierModel(none, one, ((row, np.array([bias], np.float32)),), threshold, 0.5, 9.0)


MOTION = model_over({"lag4_value": 2.0}, -10.0)  # above 5 units of noise


def blind(clips):
    """A segmentation network that finds nothing anywhere."""
    return np.full((len(clips), *clips.shape[-2:]), 1e-6, np.float32)


def nothing(clips):
    """A detector that finds no box."""
    return [np.zeros((0, 6), np.float32) for _ in clips]


def moving_target(count=12, size=128):
    """Frames with a target that moves by 2 px a frame over scenery that pans by 1, and a spot that belongs to it."""
    rng = np.random.default_rng(0)
    frames = [scenery(rng, size, (0, index)) for index in range(count)]
    return [
        levels(with_spot(with_spot(frame, 40, 30 + 2 * index, 14), 90, 70 + index, 60))
        for index, frame in enumerate(frames)
    ]


def same(one, other):
    np.testing.assert_array_equal(one.probability, other.probability)
    assert one.components == other.components and one.threshold == other.threshold
    assert (one.boxes is None) == (other.boxes is None)
    if one.boxes is not None:
        np.testing.assert_array_equal(one.boxes, other.boxes)


@pytest.mark.parametrize("run, settings", [(blind, SETTINGS), (nothing, BOX_SETTINGS)])
def test_what_the_network_does_not_know_differences_find(run, settings):
    predictor = Predictor(run, settings, verifier=MOTION)
    frames = moving_target()
    for index, prediction in enumerate(predictor.stream(frames)):
        if index < 4:
            assert not prediction.components  # no frame to take it from yet
            continue
        (found,) = prediction.components
        assert np.hypot(found.centroid[0] - 30 - 2 * index, found.centroid[1] - 40) < 1
        assert found.score > 0.5
        if settings.task == "detection":
            x1, y1, x2, y2 = found.box
            assert x2 - x1 == y2 - y1 >= 9
    assert all(not prediction.components for prediction in Predictor(run, settings).stream(frames))


@pytest.mark.parametrize("name", ["tsmsa", "sstnet"])
def test_streams_windows_batches_and_tiles_agree(name):
    task = "detection" if name == "sstnet" else "segmentation"
    network, _, postprocess = model_of(name)
    settings = dataclasses.replace(SETTINGS, task=task, register=True)
    predictor = Predictor.from_network(network, postprocess, settings, device="cpu")
    verified = dataclasses.replace(predictor, verifier=random_model(), tiling=Tiling(0))
    frames = moving_target(8)
    whole = list(verified.stream(frames))
    for prediction, expected in zip(verified.stream(frames, batch_size=3), whole, strict=True):
        np.testing.assert_allclose(prediction.probability, expected.probability, atol=1e-3)
    alone = Predictor.from_network(network, postprocess, settings, device="cpu")
    stream = CandidateStream()
    for index, (frame, prediction) in enumerate(zip(frames, alone.stream(frames), strict=True)):
        scores = verified.verifier(stream.see(index, frame, prediction).features)
        np.testing.assert_allclose(sorted(scores)[-1:], [whole[index].probability.max()], atol=1e-6)


def test_a_network_in_tiles_is_verified_as_a_whole_one():
    def bright(clips):
        return 1 / (1 + np.exp(-(clips[:, -1] - 2)))

    frames = moving_target(10)
    one, other = (
        list(Predictor(bright, SETTINGS, verifier=random_model(1), tiling=Tiling(side)).stream(frames))
        for side in (0, 64)
    )
    for found, expected in zip(other, one, strict=True):
        same(found, expected)


def test_a_stream_forgets_at_a_gap_what_a_new_stream_does_not_know():
    frames = moving_target()
    predictor = Predictor(blind, SETTINGS, verifier=MOTION)
    numbered = [(index + 5 * (index >= 6), frame) for index, frame in enumerate(frames)]
    gap = list(predictor.stream(numbered))[6:]
    for found, expected in zip(gap, predictor.stream(frames[6:]), strict=True):
        same(found, expected)


def test_clips_are_verified_with_the_frames_that_they_hold():
    frames = np.stack(moving_target(5))
    predictor = Predictor(blind, dataclasses.replace(SETTINGS, num_frames=5), verifier=MOTION)
    (prediction,) = predictor.predict(frames[None])
    same(prediction, dataclasses.replace(list(predictor.stream(frames))[-1], number=0))
    assert len(prediction.components) == 1


def test_without_a_verifier_nothing_changes_to_the_bit():
    frames = moving_target(5)
    network, _, postprocess = model_of("tsmsa")
    predictor = Predictor.from_network(network, postprocess, SETTINGS, device="cpu")
    for found, expected in zip(predictor.stream(frames), predictor._stream(_numbered(frames), 1), strict=True):
        same(found, expected[1])


def _numbered(frames):
    return ((index, frame, None) for index, frame in enumerate(frames))


def test_a_candidates_region_is_the_networks_answer_around_it():
    maps = watch([scenery(np.random.default_rng(1), 64)])
    probability = np.zeros((64, 64), np.float32)
    probability[10:13, 10:14] = 0.9
    probability[30, 30:33] = 0.3, 0.4, 0.15
    candidates = Candidates(np.array([[11, 11], [30, 31], [50, 50]]), np.array([0, 1, 2]))
    result = paint(candidates, np.array([0.7, 0.2, 0.6]), maps, probability, 0.5)
    expected = np.zeros((64, 64))
    expected[10:13, 10:14] = 0.7
    expected[30, 30:32] = 0.2  # above half of its peak of 0.4
    expected[50, 50] = 0.6  # nothing there: the pixel itself
    np.testing.assert_allclose(result, expected)


def test_where_two_candidates_share_a_region_the_larger_score_counts():
    maps = watch([scenery(np.random.default_rng(2), 64)])
    probability = np.zeros((64, 64), np.float32)
    probability[10, 10:30] = 0.9
    candidates = Candidates(np.array([[10, 12], [10, 25]]), np.array([0, 1]))
    for scores in ([0.8, 0.3], [0.3, 0.8]):
        assert np.unique(paint(candidates, np.array(scores), maps, probability, 0.5)).tolist() == pytest.approx(
            [0, 0.8]
        )


def test_a_spot_is_what_is_above_half_its_contrast():
    maps = watch([with_spot(np.full((64, 64), 100.0), 30, 40, 50)])
    part, region = spot_of(maps, np.array([30, 40]))
    whole = np.zeros((64, 64), bool)
    whole[part] = region
    np.testing.assert_array_equal(whole, maps.key > maps.key[30, 40] / 2)
    assert 5 <= whole.sum() <= 13


def test_boxes_keep_their_geometry_and_get_scores():
    maps = watch([with_spot(np.full((64, 64), 100.0), 30, 40, 50)])
    boxes = np.array([[3, 4, 20, 22, 0.3, 0], [50, 50, 58, 58, 0.9, 0]], np.float32)
    candidates = Candidates(np.array([[13, 11], [54, 54], [30, 40]]), np.array([0, 1, -1]))
    result = rescore(candidates, np.array([0.8, 0.1, 0.6]), maps, boxes, 9.0)
    np.testing.assert_allclose(result[:2, :4], boxes[:, :4])
    np.testing.assert_allclose(result[:, 4], [0.8, 0.1, 0.6])
    np.testing.assert_allclose(result[2], [36, 26, 45, 35, 0.6, 0], atol=1e-5)  # 9 px about the spot's middle


def test_boxes_of_spots_end_at_the_frame():
    frames = [np.full((64, 64), 100.0), with_spot(np.full((64, 64), 100.0), 30, 1, 50)]
    predictor = Predictor(nothing, BOX_SETTINGS, verifier=model_over({"key_value": 1.0}, -5.0))
    *_, last = predictor.stream([levels(frame) for frame in frames])
    assert len(last.boxes) and last.boxes[0, 0] == 0 and (last.boxes[:, :4] >= 0).all()


def test_frames_may_share_their_memory():
    predictor = Predictor(blind, SETTINGS, verifier=MOTION)
    frames, memory = moving_target(), np.zeros((128, 128), np.uint8)

    def reused():
        for frame in frames:
            memory[:] = frame
            yield memory

    for one, other in zip(predictor.stream(reused()), predictor.stream(frames), strict=True):
        same(one, other)


def test_the_threshold_of_a_verifier_moves_no_score():
    def crowded(clips):
        corner = np.random.default_rng(0).uniform(0, 110, (400, 2))
        boxes = np.column_stack((corner, corner + 8, np.linspace(0.25, 0.05, 400), np.zeros(400)))
        return [boxes.astype(np.float32) for _ in clips]

    verifier = model_over({"candidates": 1.0, "network_value": 1.0}, -3.0)
    predictor, frames = Predictor(crowded, BOX_SETTINGS, verifier=verifier), moving_target(3)
    high, low = (list(predictor.with_settings(threshold=level).stream(frames)) for level in (0.9, 0.01))
    for one, other in zip(high, low, strict=True):
        assert {*map(tuple, one.boxes.tolist())} <= {*map(tuple, other.boxes.tolist())}


def checkpoint(path, verifier=None):
    """A file with a network of known weights."""
    network = model_of("tsmsa").network
    content = {
        "model": {"name": "tsmsa", "options": {"num_frames": 3, "blocks": [1, 1, 1]}},
        "settings": dataclasses.replace(SETTINGS, name="tsmsa").as_dict(),
        "config": {},
        "network": network.state_dict(),
        "ema": None,
    }
    save_checkpoint(path, content | ({} if verifier is None else {"verifier": verifier}))
    return path


def test_a_checkpoints_verifier_is_used_unless_it_is_not_asked_for(tmp_path):
    frames = moving_target(6)
    plain, verified = checkpoint(tmp_path / "a.pt"), checkpoint(tmp_path / "b.pt", random_model().as_dict())
    alone = Predictor.from_checkpoint(plain, "cpu")
    used, unused = (Predictor.from_checkpoint(verified, "cpu", verify=verify) for verify in (True, False))
    assert alone.verifier is None is unused.verifier and used.verifier is not None
    assert (alone.settings.threshold, unused.settings.threshold, used.settings.threshold) == (0.5, 0.5, 0.4)
    assert Predictor.from_checkpoint(verified, "cpu", threshold=0.7).settings.threshold == 0.7
    for found, expected in zip(unused.stream(frames), alone.stream(frames), strict=True):
        same(found, expected)
    again = dataclasses.replace(alone, verifier=random_model()).with_settings(threshold=0.4)
    for found, expected in zip(used.stream(frames), again.stream(frames), strict=True):
        same(found, expected)


def test_a_verifier_in_a_checkpoint_is_plain_values(tmp_path):
    path = checkpoint(tmp_path / "a.pt", random_model().as_dict())
    assert torch.load(path, weights_only=True)["verifier"] == load_checkpoint(path)["verifier"]


@pytest.mark.parametrize(
    "verifier, message",
    [
        ([1, 2], "verifier"),
        (random_model().as_dict() | {"mean": [float("inf")] * len(NAMES)}, "finite"),
        (random_model().as_dict() | {"mean": torch.zeros(len(NAMES))}, "plain values"),
    ],
)
def test_a_checkpoint_with_another_verifier_is_refused(tmp_path, verifier, message):
    path = checkpoint(tmp_path / "a.pt", verifier)
    for read in (load_checkpoint, Predictor.from_checkpoint):
        with pytest.raises(UserError, match=message):
            read(path)


@pytest.mark.parametrize("change", [{"version": 99}, {"features": ["key_value"]}])
def test_a_verifier_of_another_version_is_left_out_in_one_line_and_its_network_counts(tmp_path, capsys, change):
    alone = Predictor.from_checkpoint(checkpoint(tmp_path / "plain.pt"), "cpu")
    path = checkpoint(tmp_path / "a.pt", random_model().as_dict() | change)
    predictor = Predictor.from_checkpoint(path, "cpu")
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and str(path) in said[0] and "fit it again" in said[0] and "left out" in said[0]
    assert predictor.verifier is None and predictor.settings == alone.settings
    assert load_checkpoint(path)["verifier"] is None


def test_a_damaged_checkpoint_with_a_verifier_is_refused(tmp_path):
    path = checkpoint(tmp_path / "a.pt", random_model().as_dict())
    content = bytearray(path.read_bytes())
    content[content.index(b"network_threshold") + 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged"):
        load_checkpoint(path)


def test_predictions_carry_the_predictors_threshold():
    predictor = Predictor(blind, SETTINGS, verifier=MOTION).with_settings(threshold=0.99)
    last = list(predictor.stream(moving_target()))[-1]
    assert last.threshold == 0.99
    np.testing.assert_array_equal(last.mask, last.probability > 0.99)
