"""What targets are, Pd by band, the worst false alarms and misses, and what test.py makes of them."""

import json

import cv2
import numpy as np
import pytest
from moving import FRAMES, SPARK, STEP, write_moving
from overlaps import random_frames
from scripts import script

from utils.datasets.dataset import open_dataset
from utils.images.components import label
from utils.metrics.breakdown import TargetLog
from utils.metrics.evaluate import evaluate_sequences
from utils.metrics.rules import MASK_RULES, outcome
from utils.metrics.segmentation import SegmentationMetrics
from utils.metrics.target_facts import TargetFacts, chains, notes_of
from utils.predictor.classical import classical_predictor
from utils.render.contact_sheet import ENLARGEMENT, SIDE, alarm_tiles, draw_sheet, miss_tiles
from utils.render.overlay import FALSE_COLOUR
from utils.system.errors import UserError
from utils.system.outputs import RECORD_FILE


@pytest.fixture(scope="module", params=[True, False], ids=["annotated", "masks"])
def data(request, tmp_path_factory):
    return open_dataset(write_moving(tmp_path_factory.mktemp("moving"), request.param), "test")


@pytest.fixture(scope="module")
def measured(data):
    log = TargetLog(TargetFacts(data))
    result = evaluate_sequences(classical_predictor("top-hat"), data, extra_rules=MASK_RULES, quiet=True, observe=log)
    return data, result, log


@pytest.mark.parametrize("rule", MASK_RULES)
@pytest.mark.parametrize("dense", [False, True])
def test_the_outcome_is_what_the_metrics_count(rule, dense):
    for prediction, mask in random_frames(np.random.default_rng(9), 200, dense):
        metrics = SegmentationMetrics(rule)
        metrics.update(prediction, mask)
        found, false = outcome(rule, prediction, mask, label(mask))
        expected = metrics.compute()
        assert [found.sum(), len(false), false.area.sum()] == [
            expected[key] for key in ("matched", "false_components", "false_pixels")
        ]


def test_facts_by_annotation_or_by_pixels(measured):
    data, _, log = measured
    annotated = bool(notes_of(data))
    log.facts.follow()
    targets = log.targets
    assert len(targets) == 3 * (FRAMES - 1) and {target.area for target in targets} == {9}
    for target in targets:
        assert target.speed == pytest.approx(STEP[target.sequence])
    tracks = {(target.sequence, target.track) for target in targets}
    assert len(tracks) == 3 and len({track for _, track in tracks}) == 3
    for name in STEP:
        snr = np.array([target.snr for target in targets if target.sequence == name])
        if annotated:
            assert set(snr) == {2.0 if name == "s3" else 8.0}
        else:
            assert (snr > 15).all() if name != "s3" else (snr < 3).all()


class Thing:
    def __init__(self, *centroid):
        self.centroid = centroid


def test_chains_take_the_nearest_and_end_after_a_gap():
    a, b, c, d, e = Thing(0, 0), Thing(0, 9), Thing(0, 5), Thing(0, 6), Thing(0, 5)
    assert [set(chain) for chain in chains({1: [a, b], 2: [c]}, 6)] == [{b, c}, {a}] or [
        set(chain) for chain in chains({1: [a, b], 2: [c]}, 6)
    ] == [{a}, {b, c}]
    assert sorted(map(len, chains({1: [c], 6: [d]}, 1))) == [2]
    assert sorted(map(len, chains({1: [c], 7: [e]}, 1))) == [1, 1]
    assert chains({}, 1) == []


def test_bands_add_up_and_have_intervals(measured):
    _, result, log = measured
    overall = result.overall.compute()
    bands = log.bands(draws=50)
    assert set(bands) == {"snr", "area", "speed"}
    for rows in bands.values():
        assert sum(row.targets for row in rows) == overall["targets"]
        assert sum(row.matched for row in rows) == overall["matched"] > 0
    low, *_, high = bands["snr"]
    assert (low.name, low.pd, low.targets) == ("≤ 3", 0, FRAMES - 1) and high.pd == 1
    assert [row.name for row in bands["speed"]] == ["0.5 – 1", "1 – 2", "2 – 4"]
    assert high.interval == (1, 1)


def test_a_spark_that_stands_still_is_one_false_alarm(measured):
    _, result, log = measured
    top, count = log.worst_alarms()[0]
    assert top.centroid == SPARK and count == FRAMES and top.sequence == "s1"
    assert sum(many for _, many in log.worst_alarms(10**6)) == result.overall.compute()["false_components"]
    (target, peak, times), *others = log.worst_misses()
    assert (target.sequence, times, others) == ("s3", FRAMES - 1, []) and 0 <= peak <= 0.5


def test_pictures_show_the_place(measured):
    _, _, log = measured
    tile = alarm_tiles(log)[0]
    assert tile.picture.shape == (SIDE * ENLARGEMENT, SIDE * ENLARGEMENT, 3)
    middle = tile.picture[SIDE // 2 * ENLARGEMENT + 2, SIDE // 2 * ENLARGEMENT + 2]
    assert middle.tolist() == [255, 255, 255] and (tile.picture == FALSE_COLOUR).all(-1).any()
    assert tile.lines[0] == "s1 frame 5" and tile.lines[1].endswith("6 frames")
    page = draw_sheet(alarm_tiles(log) + miss_tiles(log), "all")
    assert page.ndim == 3 and page.shape[1] > 5 * SIDE * ENLARGEMENT
    assert draw_sheet([], "none").shape[1] == page.shape[1]


@pytest.fixture
def run(tmp_path_factory):
    root = write_moving(tmp_path_factory.mktemp("script"))
    main = script("test").main
    return lambda *arguments: main(["--method", "top-hat", "--data-root", str(root), "--quiet", *arguments])


def test_the_script_writes_everything(run, tmp_path, capsys):
    run("--out", str(tmp_path), "--compat", "all", "--draws", "60", "--empty-frames", "one")
    content = json.loads((tmp_path / "metrics.json").read_text())
    assert content["overall"]["matched"] == 2 * (FRAMES - 1) and content["overall"]["targets"] == 3 * (FRAMES - 1)
    assert content["rules"]["shooting"]["pd"] == content["rules"]["centroid"]["pd"] == content["overall"]["pd"]
    low, high = content["intervals"]["overall"]["pd"]
    assert low <= content["overall"]["pd"] <= high and content["bootstrap"]["few"]
    counted = content["compat"]
    assert counted["empty-one"]["niou"] == content["overall"]["niou"] > counted["empty-zero"]["niou"]
    assert content["bands"]["snr"][0]["pd"] == 0
    for name in ("false_alarms.png", "misses.png", "pd_fa.png"):
        assert cv2.imread(str(tmp_path / name)).size
    printed = capsys.readouterr().out
    for text in (
        "95% intervals, 60 resamples of 3 sequences, which are few",
        "Pd by SNR",
        "as published code counts",
        "a frame without targets counts as 1 where nothing is predicted",
        "ms of each",
    ):
        assert text in printed, text


def test_the_script_leaves_out_what_is_not_wanted(run, tmp_path):
    run("--out", str(tmp_path), "--draws", "0", "--no-details", "--no-curve")
    content = json.loads((tmp_path / "metrics.json").read_text())
    assert not {"intervals", "bands", "compat", "curve"} & set(content) and content["overall"]["pd"] > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == [RECORD_FILE, "metrics.json"]
    with pytest.raises(UserError, match="area"):
        run("--compat", "nearest")


def test_a_target_missed_twice_is_shown_twice(measured):
    _, _, log = measured
    again = TargetLog(log.facts)
    again.targets, again.peaks, again.sequences = log.targets, log.peaks, log.sequences
    again.found = [target.number == 2 for target in log.targets]
    misses = again.worst_misses()
    assert sorted(count for _, _, count in misses) == [2] * 6
    assert all(first.snr >= second.snr for (first, *_), (second, *_) in zip(misses, misses[1:], strict=False))
