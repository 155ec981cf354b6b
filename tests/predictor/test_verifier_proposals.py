"""Contrast maps, candidates and features of the verifier, against scipy and known answers."""

import numpy as np
import pytest
from scipy import ndimage
from verifying import levels, scenery, watch, with_spot

from utils.predictor.verifier.candidates import (
    APART_PX,
    CHANGE_LEVEL,
    KEY_LEVEL,
    LOGIT_RANGE,
    answers_of_boxes,
    answers_of_map,
    find_peaks,
    keep_apart,
    logits_at_centres,
    logits_of,
    propose,
)
from utils.predictor.verifier.features import NAMES, describe
from utils.predictor.verifier.maps import LAGS, FrameHistory, band_pass, local_rms

NOTHING = np.zeros((0, 2), np.int64)
INNER = np.s_[30:-30, 30:-30]  # OpenCV and scipy end their Gaussians at other places


def test_a_frames_contrast_is_that_of_scipys_gaussians_and_mean():
    frame = scenery(np.random.default_rng(0))
    expected = ndimage.gaussian_filter(frame, 0.8, truncate=6) - ndimage.gaussian_filter(frame, 4, truncate=6)
    band, _ = band_pass(frame)
    np.testing.assert_allclose(band[INNER], expected[INNER], atol=0.05)
    rms = np.sqrt(ndimage.uniform_filter(band.astype(np.float64) ** 2, 41, mode="mirror"))
    np.testing.assert_allclose(local_rms(band), rms, rtol=1e-3)


def test_the_difference_to_an_aligned_frame_is_that_of_the_shifted_scene():
    rng = np.random.default_rng(1)
    step = np.array([2, -1])
    frames = [levels(scenery(rng, shift=index * step)) for index in range(9)]
    maps = watch(frames)
    for lag, (found, rms) in zip(LAGS, maps.differences, strict=True):
        before = ndimage.shift(frames[8 - lag].astype(np.float32), lag * step, order=3)
        expected, _ = band_pass(frames[8] - before)
        np.testing.assert_allclose((found * rms)[INNER], expected[INNER], atol=1.5)
        assert rms[INNER].mean() < 2.5 < maps.rms[INNER].mean()  # the scenery has cancelled, only noise is left
        noise = np.sqrt(ndimage.uniform_filter((found * rms).astype(np.float64) ** 2, 41, mode="mirror"))
        np.testing.assert_allclose(rms, np.maximum(noise, 0.1), rtol=1e-3)


def test_contrast_does_not_depend_on_gain():
    rng = np.random.default_rng(2)
    frame = with_spot(scenery(rng), 80, 80)
    one, other = (FrameHistory().see(0, (1000 + gain * frame.clip(0, 255)).astype(np.uint16)).key for gain in (50, 200))
    np.testing.assert_allclose(one, other, atol=0.02)


def test_lags_are_there_once_so_many_frames_are():
    rng = np.random.default_rng(3)
    frames = [scenery(rng) for _ in range(10)]
    for count in range(1, 11):
        there = [part is not None for part in watch(frames[:count]).differences]
        assert there == [count > lag for lag in LAGS]


@pytest.mark.parametrize("numbers, there", [([0, 1, 2, 3, 4], [True, True, False]), ([0, 1, 2, 3, 5], [False] * 3)])
def test_a_gap_in_the_numbers_makes_earlier_frames_void(numbers, there):
    rng = np.random.default_rng(4)
    maps = watch([scenery(rng) for _ in numbers], numbers)
    assert [part is not None for part in maps.differences] == there


def count_differences(frames):
    return sum(part is not None for part in watch(frames).differences)


def test_another_size_or_another_scene_makes_earlier_frames_void():
    rng = np.random.default_rng(5)
    frames = [scenery(rng) for _ in range(5)]
    assert count_differences(frames) == 2
    assert count_differences([*frames, scenery(rng)]) == 2
    assert count_differences([*frames, scenery(rng)[:-8]]) == 0
    cut = np.ascontiguousarray(scenery(rng)[::-1, ::-1].T)
    assert count_differences([*frames, cut]) == 0
    assert count_differences([*frames, *(cut + rng.normal(size=cut.shape) for _ in range(3))]) == 1


def test_frames_of_noise_alone_are_no_cuts():
    rng = np.random.default_rng(6)
    assert count_differences([100 + 3 * rng.normal(size=(96, 96)) for _ in range(5)]) == 2


def test_a_repeated_frame_adds_nothing_and_has_the_same_maps():
    rng = np.random.default_rng(7)
    frames = [scenery(rng) for _ in range(5)]
    once, twice = watch(frames), watch([*frames[:3], frames[2], *frames[3:], frames[4]])
    assert once.differences[1] is not None and twice.differences[2] is None
    np.testing.assert_array_equal(once.change, twice.change)


def test_a_hot_pixel_is_no_candidate_once_the_scene_has_moved_past_it():
    rng = np.random.default_rng(13)
    frames = [scenery(rng, shift=(0, index)) for index in range(10)]
    for frame in frames:
        frame[70, 90] += 60
    near = np.s_[68:73, 88:93]
    assert watch(frames[:3]).change[near].max() > CHANGE_LEVEL
    maps = watch(frames)
    assert maps.change[near].max() < CHANGE_LEVEL and maps.key[near].max() < KEY_LEVEL


def test_features_of_frames_that_are_not_there_are_0():
    maps = watch([scenery(np.random.default_rng(index), 64) for index in range(3)])
    found = propose(maps, np.array([[20, 20]]), np.array([0]))
    row = dict(zip(NAMES, describe(found, maps, maps.key)[0].tolist(), strict=True))
    assert row["lag2_lowest"] < 0
    assert all(value == 0 for name, value in row.items() if "lag4" in name or "lag8" in name)


def test_no_more_frames_are_kept_than_the_longest_lag_needs():
    history = FrameHistory()
    rng = np.random.default_rng(8)
    for number in range(20):
        history.see(number, levels(scenery(rng, 96)))
    assert len(history.frames) == max(LAGS)


def test_peaks_are_those_of_scipys_maximum_filter():
    values = np.random.default_rng(9).normal(size=(64, 80)).astype(np.float32)
    high = (values == ndimage.maximum_filter(values, 5, mode="nearest")) & (values > 1)
    found = find_peaks(values, 1, 1000)
    assert set(map(tuple, found)) == set(zip(*np.nonzero(high), strict=True))
    strength = values[tuple(found.T)]
    assert (np.diff(strength) <= 0).all()
    np.testing.assert_array_equal(find_peaks(values, 1, 7), found[:7])
    level = float(strength[3])
    np.testing.assert_array_equal(find_peaks(values, level, 1000), found[:3])  # a level itself is none


def test_larger_frames_have_more_peaks():
    values = np.zeros((1024, 1024), np.float32)
    values[::10, ::10] = 5
    assert len(find_peaks(values, 1, 30)) == 120
    assert len(find_peaks(values[:512, :512], 1, 30)) == 30


def test_of_places_that_are_near_the_first_is_kept():
    places = np.array([[10, 10], [10, 10 + APART_PX - 1], [10, 10 + APART_PX], [30, 30], [29, 31]])
    assert keep_apart(places).tolist() == [0, 2, 3]
    assert keep_apart(NOTHING).tolist() == []


def test_logits_are_those_of_probabilities_and_bounded():
    expected = np.array([-5.0, 0, 3.5])
    np.testing.assert_allclose(logits_of((1 / (1 + np.exp(-expected))).astype(np.float32)), expected, atol=1e-4)
    np.testing.assert_allclose(logits_of(np.array([0, 1], np.float32)), [-LOGIT_RANGE, LOGIT_RANGE], atol=1e-3)


def test_a_saturated_blob_is_one_answer():
    probability = np.zeros((40, 40), np.float32)
    probability[10:15, 20:25] = 1
    assert answers_of_map(logits_of(probability)).tolist() == [[12, 22]]


def test_boxes_answer_at_their_centres():
    boxes = np.array([[4, 6, 12, 10, 0.9, 0], [-6, 30, 2, 60, 0.2, 0]], np.float32)
    answers = answers_of_boxes(boxes, (40, 50))
    assert answers.tolist() == [[8, 8], [39, 0]]
    logits = logits_at_centres(boxes, answers, (40, 50))
    assert logits[8, 8] == pytest.approx(np.log(9), abs=1e-4)
    assert (logits > -LOGIT_RANGE).sum() == 2


def test_differences_propose_what_moves_and_the_frame_what_stands_out():
    rng = np.random.default_rng(10)
    frames = [with_spot(with_spot(scenery(rng), 40, 40 + 3 * index, 12), 100, 100, 60) for index in range(9)]
    maps = watch(frames)
    assert maps.change[40, 64] > CHANGE_LEVEL > maps.change[99:102, 99:102].max()
    assert maps.key[100, 100] > KEY_LEVEL
    answers = np.array([[20, 120]])
    found = propose(maps, answers, np.array([0]))
    assert found.place[0].tolist() == [20, 120] and found.box[0] == 0
    for place in ([40, 64], [100, 100]):
        (index,) = np.flatnonzero(np.abs(found.place - place).max(1) <= 1)
        assert found.box[index] == -1


def test_features_are_what_their_names_say():
    rng = np.random.default_rng(11)
    frames = [with_spot(scenery(rng), 80, 60 + 2 * index, 30) for index in range(9)]
    maps = watch(frames)
    logits = np.full(maps.key.shape, -6, np.float32)
    logits[82, 78], logits[80, 90], logits[10, 10] = 3, 2, 4
    candidates = propose(maps, np.array([[80, 76]]), np.array([0]))
    row = dict(zip(NAMES, describe(candidates, maps, logits)[0].tolist(), strict=True))
    inner = np.s_[79:82, 75:78]
    assert row["key_value"] == pytest.approx(maps.key[inner].max())
    for lag, part in zip(LAGS, maps.differences, strict=True):
        assert row[f"lag{lag}_value"] == pytest.approx(part.values[inner].max())
        assert row[f"lag{lag}_near"] == pytest.approx(part.values[77:84, 73:80].max())
        assert row[f"lag{lag}_lowest"] == pytest.approx(part.values[65:96, 61:92].min())
        assert row[f"noise_left_lag{lag}"] == pytest.approx(np.log(part.rms[80, 76] / maps.rms[80, 76]), abs=1e-5)
    assert row["network_value"] == -6 and row["network_near"] == 3 and row["network_surroundings"] == 2
    assert row["local_noise"] == pytest.approx(np.log(maps.rms[80, 76] / np.median(maps.rms)), abs=1e-5)
    stronger = (maps.change[tuple(candidates.place.T)] > maps.change[80, 76]).sum()
    assert row["stronger_candidates"] == pytest.approx(np.log1p(stronger))
    assert row["candidates"] == pytest.approx(np.log1p(len(candidates)))


def test_a_frame_without_candidates_has_no_features():
    maps = watch([np.full((32, 32), 90)])
    found = propose(maps, NOTHING, np.zeros(0, np.int64))
    assert describe(found, maps, maps.key).shape == (0, len(NAMES))


def test_candidates_at_the_edge_have_features():
    maps = watch([scenery(np.random.default_rng(index), 64) for index in range(9)])
    corners = np.array([[0, 0], [0, 63], [63, 0], [63, 63]])
    found = propose(maps, corners, np.arange(4))
    assert np.isfinite(describe(found, maps, maps.key)).all()
