"""`--false-rate` of the commands that predict."""

import json
from dataclasses import replace

import numpy as np
import pytest
from moving import write_moving
from scripts import script

from utils.datasets.dataset import open_dataset
from utils.metrics.evaluate import evaluate_sequences
from utils.predictor.classical import classical_predictor
from utils.system.errors import UserError
from utils.video.sources import open_sources


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_moving(tmp_path_factory.mktemp("data") / "moving")


def predict(source, rate=0.2):
    """What the classical method finds at its own thresholds, by a stream of its own."""
    return list(replace(classical_predictor("top-hat"), false_rate=rate).stream(source))


def test_a_video_is_predicted_at_thresholds_of_its_own(data, tmp_path, capsys):
    source = data / "images" / "test" / "s1"
    options = ["--method", "top-hat", "--source", str(source), "--out", str(tmp_path), "--quiet"]
    script("vid_predict").main([*options, "--false-rate", "0.2"])
    content, expected = json.loads((tmp_path / "predictions.json").read_text()), predict(open_sources(source)[0])
    assert content["false_rate"] == 0.2
    assert [frame["threshold"] for frame in content["frames"]] == [one.threshold for one in expected]
    assert [frame["expected_false"] for frame in content["frames"]] == [
        round(one.expected_false, 6) for one in expected
    ]
    assert [len(frame["components"]) for frame in content["frames"]] == [len(one.components) for one in expected]
    assert "-> 0.2 false a frame expected" in capsys.readouterr().out


def test_a_video_at_a_fixed_threshold_says_nothing_of_rates(data, tmp_path, capsys):
    options = ["--method", "top-hat", "--source", str(data / "images" / "test" / "s1"), "--out", str(tmp_path)]
    script("vid_predict").main([*options, "--quiet", "--threshold", "0.6"])
    content = json.loads((tmp_path / "predictions.json").read_text())
    assert "false_rate" not in content and not any("threshold" in frame for frame in content["frames"])
    assert content["threshold"] == 0.6 and "expected" not in capsys.readouterr().out


def test_masks_are_measured_at_thresholds_of_each_sequence(data, tmp_path, capsys):
    options = ["--method", "top-hat", "--data-root", str(data), "--out", str(tmp_path), "--quiet", "--draws", "0"]
    script("test").main([*options, "--false-rate", "0.2"])
    content = json.loads((tmp_path / "metrics.json").read_text())
    calibrated = replace(classical_predictor("top-hat"), false_rate=0.2)
    result = evaluate_sequences(calibrated, open_dataset(str(data), "test", need="masks"), quiet=True)
    calibration = content["calibration"]
    assert calibration["false_rate"] == 0.2 and calibration["labels_used"] is False
    assert content["overall"]["matched"] == result.overall.compute()["matched"]
    for name, row in calibration["sequences"].items():
        thresholds = [one.threshold for one in predict(open_sources(data / "images" / "test" / name)[0])]
        assert row["threshold_median"] == pytest.approx(np.median(thresholds))
        assert row["false_per_frame"] == result.sequences[name]["false_per_frame"] and row["frames"] == 6
    assert "thresholds for 0.2 false components a frame" in capsys.readouterr().out


def test_boxes_are_measured_above_the_thresholds_of_their_frames(data, tmp_path):
    options = ["--method", "top-hat", "--data-root", str(data), "--quiet", "--draws", "0", "--false-rate", "0.2"]
    found = {}
    for command in ("vid_map_coco", "test"):
        script(command).main([*options, "--out", str(tmp_path / command)])
        found[command] = json.loads((tmp_path / command / "metrics.json").read_text())
    calibration, masks = found["vid_map_coco"]["calibration"], found["test"]
    assert calibration["overall"]["pd"] == masks["overall"]["pd"]
    script("vid_map_coco").main([*options[:-2], "--out", str(tmp_path / "fixed")])
    fixed = json.loads((tmp_path / "fixed" / "metrics.json").read_text())
    assert found["vid_map_coco"]["overall"] == fixed["overall"]
    for name, row in calibration["sequences"].items():
        assert row["false_per_frame"] == pytest.approx(masks["sequences"][name]["false_per_frame"])
        assert row["threshold_median"] == masks["calibration"]["sequences"][name]["threshold_median"]


@pytest.mark.parametrize(
    ("command", "given", "text"),
    [
        ("vid_predict", ["--source", "{data}", "--threshold", "0.5"], "found --threshold as well"),
        ("test", ["--data-root", "{data}", "--threshold", "0.5"], "found --threshold as well"),
        ("test", ["--data-root", "{data}", "--fa-budget", "1e-5"], "found --false-rate as well"),
        ("test", ["--data-root", "{data}", "--false-rate", "0"], "found '0', expected float more than 0"),
        ("test", ["--data-root", "{data}", "--false-rate", "nan"], "found 'nan'"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(data, command, given, text):
    given = [one.format(data=data) for one in given]
    with pytest.raises(UserError, match=text):
        script(command).main(["--method", "top-hat", "--false-rate", "0.1", *given])


def test_detections_made_elsewhere_have_no_frames_to_find_a_threshold_on(data):
    with pytest.raises(UserError, match="--false-rate: found with --detections"):
        script("vid_map_coco").main(["--data-root", str(data), "--detections", "x.json", "--false-rate", "0.1"])
