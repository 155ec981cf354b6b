"""Thresholds from candidates alone: rates of known distributions, planted tracks, another scene, and nothing at all."""

import numpy as np
import pytest

from utils.predictor.calibration.calibrator import MAX_KEPT_FRAMES, Calibrator
from utils.predictor.calibration.candidates import logit_of, probability_of
from utils.predictor.calibration.rates import COUNTED, PRIOR_FRAMES, FalseRates, Prior

OWN = -4.0  # the network's threshold, a logit
SIDE = 256


def noise(rng, count=8, scale=1.0, start=-3.0):
    """Candidates that are not seen again: `count` on average, exponential scores above `start`."""
    number = rng.poisson(count)
    return rng.uniform(0, SIDE, (number, 2)), start + rng.exponential(scale, number)


def exact_threshold(rate, count=8, scale=1.0, start=-3.0):
    """Above which `rate` of `count` candidates a frame lie."""
    return start + scale * np.log(count / rate)


def join(*parts):
    points, scores = zip(*parts, strict=True)
    return np.concatenate(points), np.concatenate(scores)


def planted(place, score=6.0):
    return np.array([place], float), np.array([score])


def watch(calibrator, frames, shift=(0.0, 0.0)):
    """The thresholds of all frames."""
    found = []
    for points, scores in frames:
        calibrator.see(points, scores, np.asarray(shift))
        found.append(calibrator.threshold())
    return found


@pytest.mark.parametrize("rate", [0.03, 0.1, 1.0])
@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_the_threshold_of_exponential_noise_is_where_its_distribution_says(rate, scale):
    errors = []
    for seed in range(8):
        rng, calibrator = np.random.default_rng(seed), Calibrator(rate, OWN)
        for _ in range(150):
            calibrator.see(*noise(rng, 8, scale))
        found = calibrator.threshold()
        errors.append((found.threshold - exact_threshold(rate, 8, scale)) / scale)
        assert 0.9 * rate < found.expected <= rate
    assert abs(np.median(errors)) < 0.35  # of what a tail falls to 1/e in: a factor of 1.4 in the rate


def test_scores_that_are_not_exponential_are_counted():
    rng, calibrator = np.random.default_rng(1), Calibrator(1.0, OWN)
    for _ in range(300):
        calibrator.see(rng.uniform(0, SIDE, (8, 2)), rng.uniform(0, 4, 8))
    assert calibrator.threshold().threshold == pytest.approx(3.5, abs=0.1)  # an eighth of them lies above


def test_counts_and_weights_give_the_rate_in_the_middle_of_the_scores():
    scores = np.repeat(np.arange(5.0), 40)
    rates = FalseRates(scores, np.full(200, 0.5), np.arange(200), 50.0, Prior(-30.0, 1e-9))
    assert rates.rate_above(2.0) == pytest.approx(0.5 * 80 / (50 + PRIOR_FRAMES))  # scores of 3 and 4 exceed 2
    assert rates.rate_above(1.999) == pytest.approx(0.5 * 120 / (50 + PRIOR_FRAMES))


def test_the_rate_never_rises_with_the_threshold():
    rng = np.random.default_rng(2)
    scores = np.concatenate([rng.normal(0, 1, 60), np.full(30, 3.0)])
    rates = FalseRates(scores, rng.uniform(0.1, 1, 90), np.arange(90), 20.0, Prior(1.0, 0.1))
    values = [rates.rate_above(threshold) for threshold in np.linspace(-4, 12, 400)]
    assert (np.diff(values) <= 1e-12).all() and values[0] > 3 and values[-1] < 0.1


def test_few_scores_have_a_heavier_tail_than_many_of_the_same_mean():
    few, many = (
        FalseRates(np.tile([1.0, 2.0, 3.0, 2.0], n), np.ones(4 * n), np.arange(4 * n), 4.0 * n, Prior(0.0, 1e-9))
        for n in (1, 50)
    )
    assert few.seen_above(9.0) / few.seen_above(1.0) > 10 * many.seen_above(9.0) / many.seen_above(1.0)


def test_one_thing_seen_again_says_little_more_than_one():
    scores = np.linspace(1.0, 3.0, int(2 * COUNTED))
    each, one = (
        FalseRates(scores, np.ones(len(scores)), objects, 20.0, Prior(0.0, 1e-9))
        for objects in (np.arange(len(scores)), np.zeros(len(scores), int))
    )
    assert one.rate_above(8.0) > 3 * each.rate_above(8.0)
    assert one.rate_above(1.5) == each.rate_above(1.5)


def test_a_target_that_moves_does_not_raise_the_threshold():
    rng = np.random.default_rng(3)
    frames = [noise(rng) for _ in range(60)]
    with_target = [join(frame, planted((20 + 2 * t, 40 + t))) for t, frame in enumerate(frames)]
    alone, found = (watch(Calibrator(0.1, OWN), some)[-1].threshold for some in (frames, with_target))
    assert found == pytest.approx(alone, abs=0.3) and found < 5


def test_a_target_that_moves_with_the_sensor_does_not_raise_the_threshold():
    rng = np.random.default_rng(4)
    frames = [join(noise(rng), planted((100 + rng.normal(0, 0.7), 90 + rng.normal(0, 0.7)))) for _ in range(60)]
    assert watch(Calibrator(0.1, OWN), frames, shift=(-2.0, 1.0))[-1].threshold < 5


def many_fixed(moves):
    """Frames with clutter of scores about 6 that stays where it is, or moves by (2, 1) pixels a frame as one."""
    rng = np.random.default_rng(5)
    places, scores = rng.uniform(60, 190, (6, 2)), rng.uniform(5, 7, 6)
    step = np.array([1.0, 0.5]) * moves
    return [join(noise(rng), (places + t * step, scores + rng.normal(0, 0.3, 6))) for t in range(60)]


def test_clutter_that_is_fixed_in_the_scene_is_false_also_where_the_camera_pans():
    still = watch(Calibrator(0.1, OWN), many_fixed(moves=False))[-1].threshold
    panned = watch(Calibrator(0.1, OWN), many_fixed(moves=True), shift=(1.0, 0.5))[-1].threshold
    assert still > 6.5 and panned > 6.5


def test_a_bad_pixel_is_false_though_it_moves_in_the_scene():
    rng = np.random.default_rng(6)
    pixels = [[50.0, 60.0], [150.0, 30.0], [80.0, 200.0]]
    frames = [join(noise(rng), *(planted(place) for place in pixels)) for _ in range(60)]
    assert watch(Calibrator(0.1, OWN), frames, shift=(1.5, 0.0))[-1].threshold > 6


def test_one_thing_that_hovers_is_a_target_as_long_as_nothing_sure_moves():
    rng = np.random.default_rng(13)
    hovering = [join(noise(rng), planted((120, 80), 9.0)) for _ in range(60)]
    alone = watch(Calibrator(0.1, OWN), hovering)[-1].threshold
    beside = [join(frame, planted((20 + 2 * t, 40), 11.0)) for t, frame in enumerate(hovering)]
    assert alone < 4 and watch(Calibrator(0.1, OWN), beside)[-1].threshold > 8
    several = [join(frame, planted((30, 200), 9.0)) for frame in hovering]
    assert watch(Calibrator(0.1, OWN), several)[-1].threshold > 8


def test_one_that_hovers_is_clutter_where_others_are_as_sure():
    rng = np.random.default_rng(14)
    frames = [join(noise(rng, 8, 3.0), planted((120, 80), 6.0)) for _ in range(60)]
    assert watch(Calibrator(0.1, OWN), frames)[-1].threshold > 6


def test_another_scene_is_learnt_within_frames_and_forgets_the_old_one():
    rng, calibrator = np.random.default_rng(7), Calibrator(0.1, OWN, half_life=10)
    watch(calibrator, [noise(rng, 8, 2.0) for _ in range(60)])
    before = calibrator.threshold().threshold
    watch(calibrator, [noise(rng, 8, 0.5) for _ in range(80)])
    after = calibrator.threshold().threshold
    assert before > 2.5 and abs(after - exact_threshold(0.1, 8, 0.5)) < 0.5  # -0.8


def test_a_cut_begins_anew():
    rng = np.random.default_rng(8)
    frames = [noise(rng) for _ in range(20)]
    used, new = Calibrator(0.1, OWN), Calibrator(0.1, OWN)
    watch(used, [noise(rng, 12, 3.0) for _ in range(30)])
    used.cut()
    assert watch(used, frames) == watch(new, frames)


def test_no_frame_knows_of_later_ones():
    rng = np.random.default_rng(9)
    frames = [join(noise(rng), planted((20 + 2 * t, 40))) for t in range(30)]
    assert watch(Calibrator(0.1, OWN), frames)[:12] == watch(Calibrator(0.1, OWN), frames[:12])


def test_without_candidates_the_threshold_falls_slowly_from_the_networks_own():
    nothing = np.zeros((0, 2)), np.zeros(0)
    found = watch(Calibrator(0.1, 2.0), [nothing] * 200)
    thresholds = [one.threshold for one in found]
    assert (np.diff(thresholds) <= 1e-9).all() and thresholds[0] < 2.0
    assert thresholds[0] > 1.5 and thresholds[-1] > -2.0


def test_before_any_frame_the_threshold_is_the_networks_own():
    found = Calibrator(0.1, 2.0).threshold()
    assert found.threshold == pytest.approx(2.0, abs=1e-6) and found.expected == pytest.approx(0.1)


def test_many_candidates_of_the_first_frame_raise_the_threshold_at_once():
    points = np.random.default_rng(10).uniform(0, SIDE, (25, 2))
    assert watch(Calibrator(0.1, 0.0), [(points, np.full(25, 4.0))])[0].threshold > 4


def test_scores_that_saturate_leave_nothing_above_the_threshold():
    rng = np.random.default_rng(11)
    saturated = float(logit_of(1.0))
    frames = [(rng.uniform(0, SIDE, (20, 2)), np.full(20, saturated)) for _ in range(20)]
    found = watch(Calibrator(0.1, 2.0), frames)[-1]
    assert found.threshold >= saturated and probability_of(found.threshold) == 1.0
    assert not np.float32(1) > np.float32(probability_of(found.threshold))


def test_a_recording_of_infinite_half_life_counts_all_frames_alike_and_keeps_a_bounded_number():
    rng, whole = np.random.default_rng(12), Calibrator(0.1, OWN, half_life=np.inf)
    for scale in (2.0, 0.5):
        for _ in range(60):
            whole.see(*noise(rng, 8, scale))
    rates = whole.rates()
    assert rates.frames == 120 and (rates.weights == 1).all()
    for _ in range(3):
        whole.see(np.zeros((0, 2)), np.zeros(0))
    assert whole.rates().frames == 123 <= MAX_KEPT_FRAMES
