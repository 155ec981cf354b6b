"""Streams that find their own thresholds: candidates of predictions, scenes that move and change, and predictors."""

import dataclasses

import cv2
import numpy as np
import pytest
from verifying import random_model

from utils.clips.settings import ClipSettings
from utils.predictor.calibration.calibrator import MAX_CANDIDATES
from utils.predictor.calibration.candidates import at_threshold, candidates_of, logit_of, probability_of
from utils.predictor.calibration.log import ThresholdLog, show_share
from utils.predictor.calibration.recording import find_threshold
from utils.predictor.classical import classical_predictor
from utils.predictor.prediction import from_boxes, from_probability
from utils.predictor.predictor import Predictor
from utils.predictor.stages.scene import SceneWatch, watch_scene

SHAPE = (48, 64)


def texture(seed, shape=(96, 128)):
    return cv2.GaussianBlur(np.random.default_rng(seed).normal(100, 400, shape), (0, 0), 4).astype(np.float32)


def frames_of(count, seed=0, target=True):
    """Noise in which a bright spot moves a pixel a frame."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(90, 110, (count, *SHAPE)).astype(np.uint8)
    for t, frame in enumerate(frames):
        if target:
            frame[20:22, 5 + t : 7 + t] = 250
    return list(frames)


def map_predictor(**options):
    """A network whose probability follows from each pixel's grey level."""
    settings = ClipSettings(1, (100.0, 20.0), threshold=0.9)
    return Predictor(lambda clips: 1 / (1 + np.exp(-clips[:, -1] * 4)), settings, 16, **options)


def box_predictor(**options):
    """A detector that finds a box around each pixel above 106."""

    def run(clips):
        found = []
        for plane in clips[:, 0, -1]:
            y, x = np.nonzero(plane > 106)
            score = (plane[y, x] - 100) / 155
            found.append(np.stack([x, y, x + 1, y + 1, score, np.zeros(len(x))], 1).astype(np.float32))
        return found

    settings = ClipSettings(1, ((0.0,) * 3, (1.0,) * 3), "detection", 0.5, input_size=64)
    return Predictor(run, settings, 16, **options)


def verified_predictor(**options):
    """The same with a verifier, which scores by random numbers."""
    return dataclasses.replace(map_predictor(**options), verifier=random_model())


def method_predictor(**options):
    return dataclasses.replace(classical_predictor("top-hat"), **options)


PREDICTORS = {
    "map": map_predictor,
    "boxes": box_predictor,
    "verified": verified_predictor,
    "method": method_predictor,
}


def test_candidates_are_peaks_however_low_and_a_plateau_is_one():
    probability = np.zeros(SHAPE, np.float32)
    probability[10, 12], probability[10, 14] = 0.4, 0.3  # within 5 pixels of the higher one
    probability[30, 40:42] = 1.0
    probability[5, 50] = 0.001
    points, scores = candidates_of(from_probability(0, probability, 0.9))
    assert points.tolist() == [[40.5, 30], [12, 10], [50, 5]]
    assert scores == pytest.approx(logit_of([1.0, 0.4, 0.001]), abs=1e-5)


def test_candidates_of_a_detector_are_the_boxes_that_pictures_show():
    boxes = np.array([[10, 10, 14, 14, 0.8, 0], [11, 10, 15, 14, 0.7, 0], [30, 20, 33, 23, 0.01, 0]], np.float32)
    points, scores = candidates_of(from_boxes(0, boxes, SHAPE, 0.9))
    assert points.tolist() == [[11.5, 11.5], [31, 21]]
    assert scores == pytest.approx(logit_of([0.8, 0.01]), abs=1e-5)


def test_only_the_surest_candidates_are_kept():
    probability = np.zeros((90, 90), np.float32)
    probability[::6, ::6] = np.linspace(0.1, 0.9, 225, dtype=np.float32).reshape(15, 15)
    _, scores = candidates_of(from_probability(0, probability, 0.5))
    assert len(scores) == MAX_CANDIDATES and scores.max() == pytest.approx(logit_of(0.9), abs=1e-5)
    assert (np.diff(scores) <= 0).all()


@pytest.mark.parametrize("probability", [1e-6, 0.3, 0.999999])
def test_logits_and_probabilities_are_each_others_inverse(probability):
    assert probability_of(float(logit_of(probability))) == pytest.approx(probability, rel=1e-6)


@pytest.mark.parametrize("kind", PREDICTORS)
@pytest.mark.parametrize("batch_size", [1, 4])
def test_each_prediction_is_that_of_its_threshold(kind, batch_size):
    frames = frames_of(12)
    found = list(PREDICTORS[kind](false_rate=0.1).stream(frames, batch_size))
    fixed = PREDICTORS[kind]()
    assert len({one.threshold for one in found}) > 3
    for number, one in enumerate(found):
        same = list(fixed.with_settings(threshold=one.threshold).stream(frames))[number]
        assert one.number == number and one.components == same.components
        assert np.array_equal(one.mask, same.mask) and np.array_equal(one.probability, same.probability)
        assert 0 <= one.expected_false <= 0.1 + 1e-9


@pytest.mark.parametrize("kind", PREDICTORS)
def test_a_stream_knows_nothing_of_later_frames(kind):
    frames = frames_of(10)
    whole, start = (
        [(one.threshold, one.expected_false) for one in PREDICTORS[kind](false_rate=0.3).stream(some)]
        for some in (frames, frames[:6])
    )
    assert whole[:6] == start


def test_a_fixed_threshold_is_as_before():
    found = list(map_predictor().stream(frames_of(3)))
    assert [one.threshold for one in found] == [0.9] * 3 and all(one.expected_false is None for one in found)


def test_fewer_false_components_are_left_where_fewer_are_asked_for():
    rng = np.random.default_rng(5)
    frames = [rng.normal(100, 12, SHAPE).clip(0, 255).astype(np.uint8) for _ in range(40)]
    counts = [
        sum(len(one.components) for one in list(map_predictor(false_rate=rate).stream(frames))[20:]) / 20
        for rate in (0.05, 2.0)
    ]
    assert counts[0] <= 0.2 and 0.5 < counts[1] < 4


@pytest.mark.parametrize("count", [0, 1])
def test_no_frame_and_one_frame(count):
    found = list(map_predictor(false_rate=0.1).stream(frames_of(count)))
    assert len(found) == count and all(np.isfinite(one.threshold) for one in found)


def test_a_recording_is_looked_at_whole():
    rng = np.random.default_rng(6)
    frames = [rng.normal(100, 12, SHAPE).clip(0, 255).astype(np.uint8) for _ in range(60)]
    found = find_threshold(map_predictor(), frames, rate=1.0, batch_size=4)
    counts = [len(one.components) for one in map_predictor().with_settings(threshold=found.threshold).stream(frames)]
    assert 0.5 < np.mean(counts) < 1.2 and 0.9 < found.expected <= 1.0
    turned = find_threshold(map_predictor(), frames[::-1], rate=1.0)
    assert logit_of(turned.threshold) == pytest.approx(logit_of(found.threshold), abs=0.2)  # all count alike


def test_a_recording_of_no_frame_is_left_at_the_threshold_it_came_with():
    assert find_threshold(map_predictor(), [], rate=0.1).threshold == pytest.approx(0.9, abs=1e-6)


def test_a_gap_in_the_numbers_and_another_size_begin_anew():
    frames = frames_of(8)
    numbered = [*enumerate(frames[:4]), *enumerate(frames[4:], start=10)]
    found = [one.threshold for one in map_predictor(false_rate=0.1).stream(numbered)]
    assert found[4:] == [one.threshold for one in map_predictor(false_rate=0.1).stream(frames[4:])]
    assert found[3:] != [one.threshold for one in map_predictor(false_rate=0.1).stream(frames[3:])]
    small = [frame[:32] for frame in frames[4:]]
    found = [one.threshold for one in map_predictor(false_rate=0.1).stream([*frames[:4], *small])]
    assert found[4:] == [one.threshold for one in map_predictor(false_rate=0.1).stream(small)]


def test_a_scene_that_moves_is_followed():
    scene, watch = texture(0, (120, 160)), SceneWatch()
    frames = [scene[10 - t : 106 - t, 2 * t : 128 + 2 * t] for t in range(6)]  # it moves down, and to the left
    assert watch.see(0, frames[0]).cut
    for number, frame in enumerate(frames[1:], start=1):
        step = watch.see(number, frame)
        assert not (step.cut or step.gap or step.repeat) and step.shift == pytest.approx([-2, 1], abs=0.1)


def test_a_cut_is_another_scene_and_noise_is_none():
    rng = np.random.default_rng(3)
    scenes = [texture(1), texture(2)]
    watch, cuts = SceneWatch(), []
    for number in range(20):
        frame = scenes[number >= 12] + rng.normal(0, 3, scenes[0].shape)
        cuts.append(watch.see(number, frame).cut)
    assert [number for number, cut in enumerate(cuts) if cut] == [0, 12]
    watch = SceneWatch()
    assert [watch.see(number, rng.normal(100, 3, (96, 128))).cut for number in range(20)] == [True] + [False] * 19


def test_gaps_and_repeated_frames_are_told_from_cuts():
    scene, watch = texture(0, (120, 160)), SceneWatch()
    frames = [scene[:96, 2 * t : 128 + 2 * t] for t in range(5)]
    steps = [watch.see(number, frames[index]) for number, index in ((0, 0), (1, 1), (2, 1), (3, 2), (6, 4))]
    assert [step.repeat for step in steps] == [False, False, True, False, False]
    assert [step.gap for step in steps] == [False] * 4 + [True] and [step.cut for step in steps] == [True] + [False] * 4
    assert [step.shift[0] for step in steps] == pytest.approx([0, -2, 0, -2, -4], abs=0.1)
    assert watch.see(7, frames[4][:48]).cut


def test_steps_of_several_numbers_are_no_gaps_where_they_are_usual():
    scene, watch = texture(0, (120, 160)), SceneWatch()
    frames = [scene[:96, 2 * t : 128 + 2 * t] for t in range(3)]
    seen = ((0, 0), (8, 0), (16, 0), (24, 1), (33, 1), (56, 1), (64, 2))
    steps = [watch.see(number, frames[index]) for number, index in seen]
    assert [step.repeat for step in steps] == [False, True, True, False, True, False, False]
    assert [step.gap for step in steps] == [False] * 5 + [True, False]


def test_every_eighth_frame_is_calibrated_as_if_it_were_every_frame():
    frames = frames_of(8)
    found = [
        [
            one.threshold
            for one in map_predictor(false_rate=0.1).stream(zip(range(0, 8 * step, step), frames, strict=False))
        ]
        for step in (1, 8)
    ]
    assert found[0] == found[1] and len(set(found[0])) > 1


def test_shifts_that_the_predictor_has_measured_are_taken():
    scene = np.clip(texture(0, (120, 160)), 0, 255).astype(np.uint8)
    frames = [(t, scene[:96, 2 * t : 128 + 2 * t], None) for t in range(4)]
    for register in (True, False):
        predictor = map_predictor().with_settings(num_frames=2, register=register)
        watched = list(watch_scene(frames, predictor.stream_with))
        assert [prediction.shift is not None for _, _, prediction in watched] == [False] + [register] * 3
        assert [step.shift[0] for _, step, _ in watched] == pytest.approx([0, -2, -2, -2], abs=0.1)


def test_the_log_says_which_thresholds_there_were():
    log = ThresholdLog()
    assert log.as_dict() == {"frames": 0} and "no frame" in log.describe()
    found = from_probability(0, np.zeros(SHAPE, np.float32), 0.5)
    log.add(found)  # at a fixed threshold
    for threshold, expected in ((0.5, 0.1), (0.97, 0.3), (0.99999, 0.2)):
        log.add(dataclasses.replace(found, threshold=threshold, expected_false=expected))
    assert log.as_dict()["threshold_median"] == 0.97 and log.as_dict()["frames"] == 3
    assert log.describe() == "threshold 0.97 (0.5 to 0.99999) -> 0.2 false a frame expected"


@pytest.mark.parametrize(
    ("share", "text"), [(0.5, "0.5"), (0.9876, "0.988"), (0.99, "0.99"), (0.999987, "0.999987"), (1.0, "1"), (0.0, "0")]
)
def test_thresholds_near_1_are_told_from_1(share, text):
    assert show_share(share) == text


def test_another_threshold_is_what_the_network_gives_there():
    (found,) = map_predictor().stream(frames_of(1))
    (expected,) = map_predictor().with_settings(threshold=0.3).stream(frames_of(1))
    assert at_threshold(found, 0.3).components == expected.components
