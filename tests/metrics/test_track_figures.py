"""Tracks compared with true ones: known answers by hand, TrackEval's own figures of MOT files, and linked truth."""

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from trees import write

from utils.datasets.dataset import open_dataset
from utils.datasets.formats.mot import read_mot
from utils.datasets.frame_table import Frame
from utils.images.masks.values import MaskRule
from utils.metrics.tracks.counts import TRACK_FIGURES, add_counts, count_tracks, track_figures
from utils.metrics.tracks.log import TrackLog
from utils.metrics.tracks.results import track_intervals
from utils.metrics.tracks.rules import TrackedFrame, TrackRules
from utils.metrics.tracks.truth import require_ids_once, true_tracks
from utils.metrics.truth import true_boxes
from utils.predictor.prediction import from_probability
from utils.system.errors import UserError

RULES = TrackRules(distance=5, found=(3, 5), fps=25)
DAUB = Path(__file__).resolve().parents[3] / "shared" / "data" / "DAUB-mini"
SIDE = 8
KNOWN = {  # what TrackEval 1.3.0 gives of the four sequences of `test_known_answers_of_trackeval`
    "hota": 0.4387461318772468,
    "deta": 0.4194668853807459,
    "assa": 0.4612730343906815,
    "mota": 0.20512820512820512,
    "identity_switches": 11,
    "hits": 174,
    "idf1": 0.5631768953068592,
    "identity_hits": 156,
}


def box(x, y):
    return [x - SIDE / 2, y - SIDE / 2, x + SIDE / 2, y + SIDE / 2]


def tracked(true, found, length, rules=RULES):
    """Frames of tracks by id, each a dict of (x, y) by frame."""
    frames = []
    for number in range(length):
        sides = [{key: box(*track[number]) for key, track in one.items() if number in track} for one in (true, found)]
        ids = [np.array(list(side), np.int64) for side in sides]
        boxes = [np.array(list(side.values())).reshape(-1, 4) for side in sides]
        frames.append(TrackedFrame(*ids, rules.similarity(*boxes)))
    return frames


def measure(true, found, length, rules=RULES):
    counts = count_tracks(tracked(true, found, length, rules), rules)
    return counts | track_figures(counts, rules)


def way(frames, x=10, y=10, speed=2):
    return {number: (x + speed * number, y) for number in frames}


def test_a_track_that_is_followed_all_the_way():
    found = measure({1: way(range(10))}, {7: way(range(10))}, 10)
    assert [found[key] for key in ("hota", "deta", "assa", "mota", "idf1", "track_pd")] == [1] * 6
    assert found["false_tracks_per_minute"] == found["frames_to_first_hit"] == found["identity_switches"] == 0


def test_two_tracks_that_swap():
    left, right = way(range(10)), way(range(10), y=60)
    swapped = {1: {n: (left if n < 5 else right)[n] for n in range(10)}}
    swapped |= {2: {n: (right if n < 5 else left)[n] for n in range(10)}}
    found = measure({1: left, 2: right}, swapped, 10)
    assert found["identity_switches"] == 2 and found["mota"] == 1 - 2 / 20
    assert found["idf1"] == 0.5  # each true track keeps one partner for 5 of its 10 frames
    # every pair is seen together in 5 frames, of 10 + 10 - 5 of either
    assert found["deta"] == 1 and found["assa"] == pytest.approx(1 / 3) and found["hota"] == pytest.approx(3**-0.5)
    assert found["track_pd"] == 1 and found["false_tracks"] == 0


def test_a_gap_costs_misses_and_a_new_number_behind_it_a_switch():
    true = {1: way(range(12))}
    same = measure(true, {1: way([*range(4), *range(8, 12)])}, 12)
    other = measure(true, {1: way(range(4)), 2: way(range(8, 12))}, 12)
    assert same["mota"] == pytest.approx(8 / 12) and same["identity_switches"] == 0
    assert other["mota"] == pytest.approx(7 / 12) and other["identity_switches"] == 1
    assert same["idf1"] == pytest.approx(16 / 20) and other["idf1"] == pytest.approx(8 / 20)
    assert same["frames_to_first_hit"] == 0 and other["false_tracks"] == 0


def test_a_false_track_is_one_that_hits_in_less_than_half_of_its_frames():
    true = {1: way(range(10))}
    strays = {n: (10 + 2 * n, 10 if n < 5 else 90) for n in range(10)}
    assert measure(true, {1: strays}, 10)["false_tracks"] == 0
    strays[4] = (18, 90)
    found = measure(true, {1: strays}, 10)
    assert found["false_tracks"] == 1 and found["false_tracks_per_minute"] == 60 * 25 / 10
    assert measure(true, {1: strays}, 10, dataclasses.replace(RULES, fps=50))["false_tracks_per_minute"] == 300


def test_a_second_track_of_a_target_is_false():
    found = measure({1: way(range(10))}, {1: way(range(10)), 2: way(range(10), x=12)}, 10)
    assert (found["false_tracks"], found["identity_switches"], found["mota"]) == (1, 0, 0)


def test_an_unseen_target_is_missed_and_has_no_time_to_its_first_hit():
    true = {1: way(range(10)), 2: way(range(10), y=80)}
    found = measure(true, {1: way(range(4, 10))}, 10)
    assert found["track_pd"] == 0.5 and found["true_tracks_hit"] == 1 and found["frames_to_first_hit"] == 4
    assert found["mota"] == pytest.approx(6 / 20)


@pytest.mark.parametrize(("hits", "found"), [((0, 2, 4), 1), ((0, 2, 5), 0), ((0, 1, 9), 0), ((7, 8, 9), 1), ((3,), 0)])
def test_a_track_is_found_where_m_of_n_consecutive_frames_are_hit(hits, found):
    assert measure({1: way(range(10))}, {1: way(hits)}, 10)["track_pd"] == found


@pytest.mark.parametrize(("length", "found"), [(2, 0), (3, 1), (4, 1)])
def test_a_track_that_is_shorter_than_n_frames_takes_m_hits_as_well(length, found):
    assert measure({1: way(range(length))}, {1: way(range(3))}, 10)["track_pd"] == found


@pytest.mark.parametrize(("away", "hits"), [(4.9, 10), (5, 10), (5.001, 0)])
def test_centres_may_lie_as_far_apart_as_the_rules_say(away, hits):
    found = measure({1: way(range(10))}, {1: way(range(10), y=10 + away)}, 10)
    assert found["hits"] == found["identity_hits"] == hits
    # at 5 px the similarity is 0.5, which reaches 10 of HOTA's 19 thresholds
    assert found["hota"] == pytest.approx((10 if away <= 5 else 9) / 19)


def test_nothing_is_divided_by_nothing():
    nothing, no_truth = measure({}, {}, 6), measure({}, {1: way(range(6))}, 6)
    assert all(math.isnan(nothing[key]) for key in TRACK_FIGURES if key != "false_tracks_per_minute")
    assert nothing["false_tracks_per_minute"] == 0
    assert math.isnan(no_truth["mota"]) and math.isnan(no_truth["track_pd"]) and no_truth["false_tracks"] == 1
    assert no_truth["hota"] == no_truth["idf1"] == 0 and no_truth["false_tracks_per_minute"] == 250
    unseen = measure({1: way(range(6))}, {}, 6)
    assert unseen["mota"] == unseen["idf1"] == unseen["hota"] == unseen["track_pd"] == 0
    assert math.isnan(unseen["frames_to_first_hit"])
    assert math.isnan(measure({}, {}, 0)["false_tracks_per_minute"])


# --- against TrackEval ------------------------------------------------------------------------------------------------


def write_mot(path, seed, length=40, misses=0.2, jitter=3.0, stray=0.3):
    """True tracks and what a poor tracker made of them, in two MOT files; returns their paths."""
    rng = np.random.default_rng(seed)
    lines = {"gt": [], "found": []}
    for track in range(1, 6):
        first, last = sorted(rng.integers(1, length + 1, 2).tolist())
        place, speed, number = rng.uniform(20, 80, 2), rng.normal(0, 1, 2), track
        for frame in range(first, last + 1):
            x, y = place + speed * (frame - first)
            lines["gt"].append(f"{frame},{track},{x - 4:.3f},{y - 4:.3f},8,8,1,1,1")
            if rng.random() < 0.05:
                number = int(rng.integers(1, 100)) * 100 + track  # what is followed gets another number
            if rng.random() > misses:
                x, y = (x, y) + rng.normal(0, jitter, 2)
                lines["found"].append(f"{frame},{number},{x - 3:.3f},{y - 3:.3f},6,6,1,-1,-1,-1")
    for frame in range(1, length + 1):
        if rng.random() < stray:
            x, y = rng.uniform(0, 100, 2)
            lines["found"].append(f"{frame},{10_000 + frame // 8},{x:.3f},{y:.3f},6,6,1,-1,-1,-1")
    paths = path / "gt" / f"v{seed}" / "gt" / "gt.txt", path / "found" / "own" / "data" / f"v{seed}.txt"
    for own, text in zip(paths, lines.values(), strict=True):
        own.parent.mkdir(parents=True, exist_ok=True)
        own.write_text("\n".join(text) + "\n")
    return paths


def read_frames(truth, found, length, rules):
    tables, frames = [read_mot(str(path)) for path in (truth, found)], []
    for number in range(1, length + 1):
        own = [table.frames == number for table in tables]
        ids, boxes = (
            [getattr(table, key)[pick] for table, pick in zip(tables, own, strict=True)] for key in ("tracks", "boxes")
        )
        frames.append(TrackedFrame(*ids, rules.similarity(*boxes)))
    return frames


def figures_of_trackeval(root, names, length, distance):
    """The library's own figures of MOT files, read by its own loader, of each sequence and of all."""
    trackeval = pytest.importorskip("trackeval", reason="pip install --no-deps trackeval tabulate")

    class CentreDistance(trackeval.datasets.MotChallenge2DBox):
        def _calculate_similarities(self, true, found):
            centres = (boxes[:, :2] + boxes[:, 2:] / 2 for boxes in (true, found))
            return self._calculate_euclidean_similarity(*centres, zero_distance=2 * distance)

    dataset = CentreDistance(
        {
            "GT_FOLDER": str(root / "gt"),
            "TRACKERS_FOLDER": str(root / "found"),
            "SEQ_INFO": dict.fromkeys(names, length),
            "BENCHMARK": "MOT15",  # whose files have no classes
            "SKIP_SPLIT_FOL": True,
            "PRINT_CONFIG": False,
        }
    )
    quiet = {"PRINT_CONFIG": False}
    metrics = trackeval.metrics.HOTA(), trackeval.metrics.CLEAR(quiet), trackeval.metrics.Identity(quiet)
    data = {
        name: dataset.get_preprocessed_seq_data(dataset.get_raw_seq_data("own", name), "pedestrian") for name in names
    }
    each = [{name: metric.eval_sequence(own) for name, own in data.items()} for metric in metrics]
    whole = [metric.combine_sequences(results) for metric, results in zip(metrics, each, strict=True)]
    rows = {name: [results[name] for results in each] for name in names} | {"all": whole}
    return {
        name: {
            "hota": hota["HOTA"].mean(),
            "deta": hota["DetA"].mean(),
            "assa": hota["AssA"].mean(),
            "mota": clear["MOTA"],
            "identity_switches": clear["IDSW"],
            "hits": clear["CLR_TP"],
            "idf1": identity["IDF1"],
            "identity_hits": identity["IDTP"],
        }
        for name, (hota, clear, identity) in rows.items()
    }


def test_known_answers_of_trackeval(tmp_path):
    parts = [count_tracks(read_frames(*write_mot(tmp_path, seed), 40, RULES), RULES) for seed in range(4)]
    found = add_counts(parts) | track_figures(add_counts(parts), RULES)
    for key, value in KNOWN.items():
        assert found[key] == pytest.approx(value, abs=1e-9), key


@pytest.mark.parametrize("distance", [2.0, 5.0, 12.0])
def test_figures_equal_those_of_trackeval_on_mot_files(tmp_path, distance):
    rules, length, names, counts = TrackRules(distance), 40, [], {}
    for seed in range(12):
        name = f"v{seed}"
        paths = write_mot(tmp_path, seed, length, misses=seed / 12, jitter=1 + seed / 3)
        names.append(name)
        counts[name] = count_tracks(read_frames(*paths, length, rules), rules)
    expected = figures_of_trackeval(tmp_path, names, length, distance)
    assert sum(row["identity_switches"] for row in expected.values()) > 10
    for name, own in {**counts, "all": add_counts(counts.values())}.items():
        found = own | track_figures(own, rules)
        for key, value in expected[name].items():
            assert found[key] == pytest.approx(value, abs=1e-9), (name, key)


def test_the_order_of_targets_in_a_frame_changes_no_count(tmp_path):
    frames = read_frames(*write_mot(tmp_path, 3), 40, RULES)
    turned = [TrackedFrame(one.true[::-1], one.found[::-1], one.similarity[::-1, ::-1]) for one in frames]
    first, second = (count_tracks(own, RULES) for own in (frames, turned))
    assert all(np.allclose(first[name], second[name]) for name in first)


def test_a_resample_of_each_sequence_once_has_the_figures_of_the_whole(tmp_path):
    parts = [count_tracks(read_frames(*write_mot(tmp_path, seed), 40, RULES), RULES) for seed in range(4)]
    stacked = {name: np.array([add_counts(parts)[name]] * 3, np.float64) for name in parts[0]}
    whole, many = track_figures(add_counts(parts), RULES), track_figures(stacked, RULES)
    for name in TRACK_FIGURES:
        assert many[name].shape == (3,) and many[name] == pytest.approx(whole[name])
    for name, (low, high) in track_intervals(parts, RULES, draws=200).items():
        assert low <= whole[name] <= high, name
    assert np.isnan(list(track_intervals(parts[:1], RULES).values())).all()


# --- the true tracks --------------------------------------------------------------------------------------------------


def labelled(places, tracks=None, step=1):
    """Frames, each with boxes around (x, y), and these boxes."""
    boxes = [tuple((*box(*place), 0) for place in own) for own in places]
    frames = [
        Frame("s", step * number, f"{number}.png", None, own, tracks=tracks[number] if tracks else ())
        for number, own in enumerate(boxes)
    ]
    return frames, [np.array(own).reshape(-1, 5) for own in boxes]


def test_true_tracks_are_those_that_labels_name():
    frames, boxes = labelled([[(10, 10), (40, 40)], [(40, 40), (10, 10)]], [(4, 9), (4, 9)])
    found = true_tracks(frames, boxes)
    assert [own.tolist() for own in found.ids] == [[4, 9], [4, 9]] and found.linked == 0


@pytest.mark.parametrize("step", [1, 8])
def test_targets_without_ids_are_linked_to_the_nearest_of_the_next_frame(step):
    places = [[(10 + 3 * n, 10), (60, 60 - 2 * n)][:: 1 if n % 2 else -1] for n in range(6)]
    found = true_tracks(*labelled(places, step=step))
    first = [own[0 if n % 2 else 1] for n, own in enumerate(found.ids)]
    assert len(set(first)) == 1 and len(set(np.concatenate(found.ids).tolist())) == 2
    assert found.linked == 12 and found.ambiguous == 0


def test_links_that_could_have_gone_elsewhere_are_counted():
    found = true_tracks(*labelled([[(10, 10), (18, 10)], [(11, 10), (19, 10)], [(12, 10)]]))
    assert found.ambiguous == 3 and [own.tolist() for own in found.ids] == [[0, 1], [0, 1], [0]]


def test_some_targets_have_ids_and_others_none():
    found = true_tracks(*labelled([[(10, 10), (60, 60)], [(60, 60), (10, 10)]], [(3, -1), (-1, 3)]))
    assert [own.tolist() for own in found.ids] == [[3, 4], [4, 3]] and found.linked == 2


def test_an_id_that_stands_twice_in_a_frame_is_refused():
    with pytest.raises(UserError, match=r"0.png: found track 5 at several targets, expected each track once"):
        require_ids_once(labelled([[(10, 10), (60, 60)]], [(5, 5)])[0][0])
    require_ids_once(labelled([[(10, 10), (60, 60)]], [(-1, -1)])[0][0])


@pytest.mark.skipif(not DAUB.is_dir(), reason=f"{DAUB} is not there")
@pytest.mark.parametrize("split", ["test", "train"])
def test_every_video_of_daub_is_one_track(split):
    for frames in open_dataset(str(DAUB), split, need="boxes").sequences.values():
        found = true_tracks(list(frames), [true_boxes(frame, (256, 256)) for frame in frames])
        assert len(np.unique(np.concatenate(found.ids))) == 1 and found.linked == len(frames) and not found.ambiguous


# --- what is followed -------------------------------------------------------------------------------------------------


def test_what_lies_in_a_region_to_ignore_is_no_false_track():
    for ignored, false in (([[80, 80, 120, 120, 0]], 0), ([], 1)):
        log = TrackLog(RULES, 0.5)
        for number in range(8):
            found = [[*box(10 + number, 10), 0.9, 0], [*box(100, 100), 0.8, 0], [*box(50, 50), 0.5, 0]]
            true = np.array([[*box(10 + number, 10), 0]])
            frame = Frame("s", number, f"{number}.png", None, (tuple(true[0]),))
            log(frame, np.zeros((128, 128)), np.array(found), true, np.array(ignored).reshape(-1, 5))
        counts = log.counts(log.true_tracks())["s"]
        assert (counts["tracks"], counts["false_tracks"], counts["hits"]) == (1 + false, false, 6)
        assert counts["frames_waited"] == 2  # until the tracker has seen it three times


def test_what_lies_on_ignored_pixels_is_not_followed(tmp_path):
    labels = np.zeros((32, 32), np.uint8)
    labels[20:28, 20:28] = 128
    probability = np.zeros((32, 32), np.float32)
    probability[22:25, 22:25] = 0.9
    write(tmp_path / "m.png", labels)
    for rule, tracks in ((MaskRule(ignore=128), 0), (MaskRule(), 1)):
        log = TrackLog(RULES)
        for number in range(4):
            frame = Frame("s", number, f"{number}.png", str(tmp_path / "m.png"), None, mask_rule=rule)
            log.add_prediction(frame, from_probability(number, probability, 0.5))
        assert log.counts(log.true_tracks())["s"]["tracks"] == tracks
