"""What is reported where only what is confirmed counts: hand-made streams with known answers, and plain oracles."""

import itertools

import numpy as np
import pytest
from scenes import scene, view

from utils.clips.settings import ClipSettings
from utils.predictor.prediction import TrackPoint, from_boxes, from_probability, leave_out
from utils.predictor.predictor import Predictor
from utils.predictor.stages.scene import SceneStep
from utils.predictor.tracking.confirmation import confirm_stream, keep_tracks
from utils.predictor.tracking.tracker import Confirmation, Tracker
from utils.system.errors import UserError

SHAPE = (64, 96)
PATIENCE = 5


def boxes_at(places, score=0.9):
    rows = [[x - 1.5, y - 1.5, x + 1.5, y + 1.5, score, 0] for x, y in places]
    return np.array(rows, np.float32).reshape(-1, 6)


def watched(frames, shifts=None, numbers=None, repeats=(), cuts=()):
    """Frames, each a list of places (x, y) with a box, as a stream; the scene moves by `shifts` between them."""
    for index, places in enumerate(frames):
        number = index if numbers is None else numbers[index]
        shift = np.zeros(2) if shifts is None or not index else np.array(shifts[index], float)
        step = SceneStep(shift, cut=not index or index in cuts, repeat=index in repeats)
        yield index, step, from_boxes(number, boxes_at(places), SHAPE, 0.5)


def confirmed(rule, frames, **options):
    """The middles of what is reported in every frame."""
    found = list(confirm_stream(rule, watched(frames, **options)))
    assert [companion for companion, _ in found] == list(range(len(frames)))
    for _, prediction in found:
        assert sorted(one.detection for one in prediction.tracks) == list(range(len(prediction.components)))
        assert prediction.mask.any() == bool(prediction.components) and len(prediction.boxes) == len(prediction.tracks)
    return [
        [((one.box[0] + one.box[2]) / 2, (one.box[1] + one.box[3]) / 2) for one in prediction.components]
        for _, prediction in found
    ]


def counts(rule, pattern, **options):
    """How much is reported in every frame of an object that stands still and is found where the pattern says 1."""
    return [len(found) for found in confirmed(rule, [[(40, 30)] * int(one) for one in pattern], **options)]


def expected(rule, pattern):
    """The same by the definition, frame by frame."""
    reported, hits, last, is_track = [0] * len(pattern), [], None, False
    for t, found in enumerate(int(one) for one in pattern):
        if last is not None and is_track and t - last > PATIENCE:
            is_track, hits = False, []
        if not found:
            continue
        hits, last = [*hits, t], t
        if not is_track and sum(one > t - rule.frames for one in hits) >= rule.hits:
            is_track = True
            if rule.back:
                for one in hits:
                    reported[one] |= one > t - rule.frames
        reported[t] |= is_track
    return [int(one) for one in reported]


@pytest.mark.parametrize(
    ("pattern", "causal", "back"),
    [
        ("10101000", "00001000", "10101000"),  # exactly 3 of 5
        ("10100100", "00000000", "00000000"),  # 3, but of 6
        ("11000000", "00000000", "00000000"),  # 2 of 5
        ("11100000", "00100000", "11100000"),
        ("10001110", "00000010", "00001110"),  # the first one is 6 frames before
    ],
)
def test_m_of_n_frames_confirm_and_fewer_do_not(pattern, causal, back):
    assert counts(Confirmation(3, 5), pattern) == [int(one) for one in causal]
    assert counts(Confirmation(3, 5, back=True), pattern) == [int(one) for one in back]


@pytest.mark.parametrize("rule", [(2, 3), (3, 5), (4, 6), (3, 3), (2, 9)], ids=str)
@pytest.mark.parametrize("back", [False, True])
def test_every_pattern_gives_what_the_definition_says(rule, back):
    rule = Confirmation(*rule, back=back)
    for number in range(0, 1 << 11, 37):
        pattern = f"{number:011b}"
        assert counts(rule, pattern) == expected(rule, pattern), pattern


def crowd(seed, length=40):
    """Two targets that move and are missed at times, one that hovers, and flashes; the camera pans."""
    rng = np.random.default_rng(seed)
    shifts = np.concatenate([[(0.0, 0.0)], rng.normal((0.7, -0.2), 0.2, (length - 1, 2))])
    frames = []
    for t, offset in enumerate(np.cumsum(shifts, 0)):
        places = np.array([(10 + 1.2 * t, 20), (80 - 1.5 * t, 50 - 0.4 * t), (30, 40)]) + offset
        found = [tuple(place + rng.normal(0, 0.2, 2)) for place in places if rng.random() < 0.7]
        found += [tuple(rng.uniform(5, 60, 2)) for _ in range(rng.poisson(0.7))]
        frames.append(found)
    return frames, shifts


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("rule", [(2, 3), (3, 5), (4, 6)], ids=str)
def test_looking_back_equals_what_all_frames_tell_and_differs_before_confirmation_alone(rule, seed):
    frames, shifts = crowd(seed)
    causal, back = (
        [prediction for _, prediction in confirm_stream(Confirmation(*rule, back=back), watched(frames, shifts))]
        for back in (False, True)
    )
    # offline: a tracker that forgets nothing, and each track's detections of the window in which it was confirmed
    tracker, offline = Tracker(Confirmation(*rule)), {}
    for _, step, prediction in watched(frames, shifts):
        for point in tracker.update(prediction.number, prediction.components, step.shift):
            offline[point.frame, point.detection] = point.id
        for point in tracker.earlier:
            assert prediction.number - rule[1] < point.frame < prediction.number
            offline[point.frame, point.detection] = point.id
    for t, (now, later) in enumerate(zip(causal, back, strict=True)):
        original = from_boxes(t, boxes_at(frames[t]), SHAPE, 0.5).components
        owners = {original[index]: track for (frame, index), track in offline.items() if frame == t}
        assert {later.components[one.detection]: one.id for one in later.tracks} == owners
        assert set(now.components) <= set(later.components)
        began = {one: min(frame for frame, _ in offline if offline[frame, _] == one) for one in owners.values()}
        for point in later.tracks:  # what was confirmed N-1 frames ago or before is the same
            if t - began[point.id] >= rule[1] - 1:
                assert later.components[point.detection] in now.components
    assert sum(len(one.tracks) for one in back) > sum(len(one.tracks) for one in causal) > 30


def test_results_that_look_back_wait_for_no_more_frames_than_they_say():
    taken = []
    frames = ((taken.append(index), (index, step, prediction))[1] for index, step, prediction in watched([[]] * 12))
    rule = Confirmation(3, 5, back=True)
    for index, _ in confirm_stream(rule, frames):
        assert len(taken) == min(index + 1 + rule.delay, 12)
    assert rule.delay == 4 and Confirmation(3, 5).delay == 0


@pytest.mark.parametrize("fault", [UserError, KeyboardInterrupt])
def test_what_waits_when_frames_end_by_a_fault_comes_before_it_is_raised(fault):
    def frames():
        yield from watched([[(30, 30)]] * 6)
        raise fault("gone")

    found = []
    with pytest.raises(fault, match="gone"):
        for index, prediction in confirm_stream(Confirmation(3, 5, back=True), frames()):
            found.append((index, len(prediction.components)))
    assert found == [(index, 1) for index in range(6)]


def test_clutter_of_the_scene_stands_still_while_the_camera_pans_and_a_target_moves():
    """In tracks.csv places are on the sensor, and speeds against the scene."""
    shifts = [(-3.0, 1.0)] * 12
    offsets = np.cumsum(shifts, 0)
    frames = [[(60 + x, 20 + y), (60 + x + 1.5 * t, 40 + y)] for t, (x, y) in enumerate(offsets)]
    last = list(confirm_stream(Confirmation(3, 5), watched(frames, shifts)))[-1][1]
    clutter, target = sorted(last.tracks, key=lambda one: one.y)
    assert clutter.speed == pytest.approx(0, abs=0.05) and target.speed == pytest.approx(1.5, abs=0.1)
    for one, place in zip((clutter, target), frames[-1], strict=True):
        assert (one.x + one.w / 2, one.y + one.h / 2) == pytest.approx(place, abs=0.2)


@pytest.mark.parametrize("way", [1.0, 2.5, 5.0])
def test_what_stays_on_the_sensor_while_the_scene_moves_is_refused(way):
    rng = np.random.default_rng(0)
    shifts = [(way, 0.0)] * 15
    frames = [[tuple(np.array([30.0, 30.0]) + rng.normal(0, 0.1, 2)), (70 + way * t - 15 * way, 40)] for t in range(15)]
    found = confirmed(Confirmation(3, 5), frames, shifts=shifts)
    assert [[place[1] for place in one] for one in found] == [[]] * 2 + [[40]] * 13


def test_a_bad_pixel_is_told_once_the_camera_pans_and_stays_so_when_it_rests():
    shifts = [(0.0, 0.0)] * 10 + [(1.0, 0.0)] * 4 + [(0.0, 0.0)] * 30
    found = [len(one) for one in confirmed(Confirmation(3, 5), [[(30, 30)]] * 44, shifts=shifts)]
    assert found == [0, 0, *[1] * 9, *[0] * 33]  # until the scene has moved by two pixels nothing can be known


def test_without_a_rule_a_target_that_the_camera_keeps_on_one_pixel_has_a_track():
    rows = {}
    for name, tracker in (("no rule", Tracker()), ("rule", Tracker(Confirmation(3, 3)))):
        found = from_boxes(0, boxes_at([(30, 30)]), SHAPE, 0.5).components
        rows[name] = [len(tracker.update(t, found, (1.5, 0.0))) for t in range(12)]
    assert rows == {"no rule": [0, 0] + [1] * 10, "rule": [0] * 12}


@pytest.mark.parametrize("shift", [(0.0, 0.0), (0.8, -0.5)])
def test_a_target_that_hovers_is_reported_whether_the_camera_moves_or_not(shift):
    offsets = np.cumsum([shift] * 30, 0)
    found = confirmed(Confirmation(3, 5), [[(30 + x, 50 + y)] for x, y in offsets], shifts=[shift] * 30)
    assert [len(one) for one in found] == [0, 0] + [1] * 28


def test_a_target_that_the_camera_follows_wanders_on_the_sensor_and_is_reported():
    rng = np.random.default_rng(1)
    frames = [[tuple(np.array([48.0, 32.0]) + rng.normal(0, 0.5, 2))] for _ in range(30)]
    found = confirmed(Confirmation(3, 5), frames, shifts=[(1.5, 0.0)] * 30)
    assert sum(map(len, found)) >= 26


def test_what_jumps_about_is_refused():
    rng = np.random.default_rng(2)
    for seed in range(20):
        far = [[tuple(rng.uniform(10, 60, 2) + 25 * (t % 2))] for t in range(12)]
        assert not any(confirmed(Confirmation(4, 6), far)), seed
    near = [[(40 + 4 * (-1) ** t, 30 + 4 * (-1) ** (t // 2))] for t in range(12)]
    assert not any(confirmed(Confirmation(4, 6), near))


def test_missing_numbers_count_as_frames_without_a_detection():
    numbers = [0, 1, 2, 3, 4, 5, 6, 9, 10]
    assert counts(Confirmation(3, 5), "000001111", numbers=numbers) == [0] * 7 + [1] * 2  # 5, 6 and 9: 3 of 5
    numbers[7:] = 10, 11
    assert counts(Confirmation(3, 5), "000001111", numbers=numbers) == [0] * 9  # 6, 10 and 11 are of 6
    assert counts(Confirmation(3, 5, back=True), "1110000111", numbers=[*range(7), 40, 41, 42]) == [
        1,
        1,
        1,
        *[0] * 4,
        *[1] * 3,
    ]


@pytest.mark.parametrize("step", [3, 8])
def test_numbers_of_every_nth_frame_are_consecutive(step):
    pattern = "1101011010"
    numbers = range(0, 10 * step, step)
    assert counts(Confirmation(3, 5), pattern, numbers=numbers) == expected(Confirmation(3, 5), pattern)


def test_repeated_frames_confirm_nothing_and_take_no_time():
    rule = Confirmation(3, 5)
    assert counts(rule, "111110000", repeats=(1, 2, 3, 4)) == [0] * 9
    assert counts(rule, "100000101", repeats=(1, 2, 3, 4)) == [0] * 8 + [1]  # frames 0, 6 and 8 are 3 of 5
    # a repeat of a frame with a confirmed target shows it too
    assert counts(rule, "111100000", repeats=(3,)) == [0, 0, 1, 1] + [0] * 5
    back = counts(Confirmation(3, 5, back=True), "111100000", repeats=(1,))
    assert back == [1, 1, 1, 1] + [0] * 5


def test_a_target_that_moves_is_followed_over_repeated_frames():
    places = [[(10 + 3 * (t // 2), 30)] for t in range(20)]
    found = list(confirm_stream(Confirmation(3, 5), watched(places, repeats=range(1, 20, 2))))
    assert [len(one.tracks) for _, one in found] == [0] * 4 + [1] * 16
    assert {track.id for _, one in found for track in one.tracks} == {1}


@pytest.mark.parametrize("back", [False, True])
def test_a_cut_begins_anew(back):
    rule = Confirmation(3, 5, back=back)
    assert counts(rule, "1110111111", cuts=(5,)) == counts(rule, "11101") + counts(rule, "11111")
    assert sum(counts(rule, "0001111000", cuts=(5,))) == 0 < sum(counts(rule, "0001111000"))


def test_what_is_left_of_a_map_are_the_confirmed_components_with_their_scores():
    probability = np.zeros(SHAPE, np.float32)
    probability[5:8, 5:8], probability[20, 20:24], probability[40, 50] = 0.8, [0.6, 0.9, 0.4, 0.7], 0.7
    whole = from_probability(3, probability, 0.5)
    points = [TrackPoint(7, 3, 0, 0, 2, 2, 0.9, 1.0, 3), TrackPoint(2, 3, 0, 0, 2, 2, 0.9, 1.0, 0)]
    left = keep_tracks(whole, points)
    expected = probability.copy()
    expected[20] = 0
    assert np.array_equal(left.probability, expected)
    assert left.components == (whole.components[0], whole.components[3])
    assert [(one.id, one.detection) for one in left.tracks] == [(2, 0), (7, 1)]
    assert len(left.detections) == 2  # nor is there anything below the threshold


def test_tracks_stay_with_their_components_where_a_region_is_ignored():
    boxes = boxes_at([(10, 10), (40, 20), (70, 30)])
    boxes[:, 4] = 0.9, 0.8, 0.7
    points = tuple(TrackPoint(index + 1, 0, 0, 0, 3, 3, 0.9, 0.0, index) for index in range(3))
    ignored = np.zeros(SHAPE, bool)
    ignored[:15, :20] = True
    for whole in (
        from_boxes(0, boxes, SHAPE, 0.5),
        from_probability(0, from_boxes(0, boxes, SHAPE, 0.5).probability, 0.5),
    ):
        left = leave_out(keep_tracks(whole, points), ignored, np.zeros(SHAPE, bool))
        assert [one.id for one in left.tracks] == [2, 3]
        assert [left.components[one.detection].centroid[0] for one in left.tracks] == pytest.approx([39.5, 69.5], abs=1)


def followed(whole, ignored):
    """Ids and the components that they are left with, where track 1 is at a prediction's first component and so on."""
    points = tuple(TrackPoint(index + 1, 0, 0, 0, 3, 3, 0.9, 0.0, index) for index in range(len(whole.components)))
    left = leave_out(keep_tracks(whole, points), ignored, np.zeros(SHAPE, bool))
    return [(one.id, one.detection) for one in left.tracks]


@pytest.mark.parametrize("lone", [(10, 10), (16, 16)])
def test_tracks_stay_with_components_of_a_mask_that_lie_in_the_box_of_another(lone):
    """A stroke like "/", and a pixel in the left upper or the right lower corner of its box."""
    probability, ignored = np.zeros((2, *SHAPE), np.float32)
    stroke = np.arange(10, 17)
    probability[stroke, 26 - stroke] = probability[lone] = 0.9
    whole, ignored = from_probability(0, probability, 0.5), ignored > 0
    first = lone == (10, 10)  # in raster order the pixel comes first, or the stroke does
    ignored[60, 90] = True  # somewhere else
    assert followed(whole, ignored) == [(1, 0), (2, 1)]
    ignored[13, 13] = True  # the stroke goes on at the first of its parts
    assert followed(whole, ignored) == ([(1, 0), (2, 1)] if first else [(1, 0), (2, 2)])
    ignored[stroke, 26 - stroke] = True
    assert followed(whole, ignored) == [(1 if first else 2, 0)]


def test_tracks_stay_with_boxes_that_lie_in_others():
    """A small box in a large one, and a large one once more as another class."""
    rows = [[20, 20, 24, 24, 0.9, 0], [12, 12, 32, 32, 0.8, 0], [12, 12, 32, 32, 0.8, 1]]
    whole, ignored = from_boxes(0, np.array(rows, np.float32), SHAPE, 0.5), np.zeros(SHAPE, bool)
    ignored[60, 90] = True
    assert followed(whole, ignored) == [(1, 0), (2, 1), (3, 2)]
    ignored[20:24, 20:24] = True
    assert followed(whole, ignored) == [(2, 0), (3, 1)]


def panning(count=14):
    """A camera that pans over a scene with two bright spots, of which one moves, and a bad pixel of the sensor."""
    frames = []
    for t in range(count):
        frame = np.clip(view(scene(), (0, 1.5 * t)), 0, 180)
        frame[40, min(20 + round(1.5 * t), 127)] = frame[90, 100 - 3 * t] = frame[70, 60] = 250
        frames.append(np.rint(frame).astype(np.uint8))
    return frames


def bright_predictor(**options):
    settings = ClipSettings(2, (0.0, 1.0), threshold=0.9)
    return Predictor(lambda clips: np.clip(clips[:, -1] - 200, 0, 1), settings, 16, **options)


@pytest.mark.parametrize("register", [False, True])
def test_a_predictor_measures_the_scene_by_itself(register):
    predictor = bright_predictor(confirmation=Confirmation(3, 5)).with_settings(register=register)
    found = list(predictor.stream(panning()))
    rows = [sorted(round(one.centroid[1]) for one in prediction.components) for prediction in found]
    assert rows == [[], []] + [[40, 90]] * 12
    speeds = {round(one.y + one.h / 2 - 0.5): one.speed for one in found[-1].tracks}
    assert speeds[40] == pytest.approx(0, abs=0.3) and speeds[90] == pytest.approx(4.5, abs=0.3)


def test_what_a_batch_or_a_rate_changes_is_confirmed_alike():
    frames = panning()
    predictor = bright_predictor(confirmation=Confirmation(2, 3, back=True))
    single, batched = (list(predictor.stream(frames, batch_size)) for batch_size in (1, 3))
    assert [one.components for one in single] == [one.components for one in batched]
    assert [one.tracks for one in single] == [one.tracks for one in batched]
    calibrated = bright_predictor(confirmation=Confirmation(2, 3), false_rate=0.1)
    for one in calibrated.stream(frames):
        assert one.expected_false is not None and one.tracks is not None


@pytest.mark.parametrize("rule", [(1, 5), (0, 3), (1, 1), (5, 3), (-2, -1)], ids=str)
def test_a_rule_that_confirms_everything_or_nothing_is_refused(rule):
    with pytest.raises(ValueError, match=f"found {rule[0]} of {rule[1]} frames, expected M of N"):
        Confirmation(*rule)


def test_a_line_says_how_late_results_are():
    assert "2 to 4 frames after it was first seen" in str(Confirmation(3, 5))
    assert "reported 2 frames after" in str(Confirmation(3, 3)) and "4 frames late" in str(Confirmation(3, 5, True))


def test_ids_are_counted_in_the_order_in_which_tracks_are_confirmed():
    frames = [[(20, 20)] * (t < 9) + [(60, 40)] * (t > 2) for t in range(12)]
    found = [prediction for _, prediction in confirm_stream(Confirmation(2, 3), watched(frames))]
    ids = [[one.id for one in prediction.tracks] for prediction in found]
    assert [key for key, _ in itertools.groupby(ids)] == [[], [1], [1, 2], [2]]
