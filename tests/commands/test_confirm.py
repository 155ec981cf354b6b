"""`--confirm` and `--confirm-back` of the commands that predict."""

import csv
import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from moving import write_moving
from scripts import script

from utils.datasets.dataset import open_dataset
from utils.metrics.evaluate import evaluate_sequences
from utils.predictor.classical import classical_predictor
from utils.predictor.tracking.tracker import Confirmation
from utils.system.errors import UserError
from utils.video.sources import open_sources


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_moving(tmp_path_factory.mktemp("data") / "moving")


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    """A spot that moves, flashes, and every number once."""
    folder, rng = tmp_path_factory.mktemp("footage") / "night", np.random.default_rng(0)
    folder.mkdir()
    for t in range(16):
        frame = rng.normal(60, 2, (64, 96))
        frame[30:33, 10 + 3 * t : 13 + 3 * t] = 200
        if t % 3 == 0:
            frame[50, 20 + 4 * t] = 220
        cv2.imwrite(str(folder / f"{t}.png"), np.rint(frame).astype(np.uint8))
    return folder


@pytest.mark.parametrize("extra", [[], ["--roi", "8,16,80,40"], ["--stride", "2"]], ids=["whole", "roi", "stride"])
@pytest.mark.parametrize("back", [False, True])
def test_all_files_of_a_video_tell_of_the_same_targets(footage, tmp_path, extra, back, capsys):
    options = ["--method", "top-hat", "--source", str(footage), "--out", str(tmp_path), "--quiet", *extra]
    script("vid_predict").main([*options, "--confirm", "2/3", *(["--confirm-back"] if back else [])])
    content = json.loads((tmp_path / "predictions.json").read_text())
    assert content["confirm"] == {"hits": 2, "frames": 3, "back": back}
    found = {frame["number"]: frame["components"] for frame in content["frames"]}
    step = 2 if "--stride" in extra else 1
    first = 0 if back else step
    assert [len(found[number]) for number in range(0, 16, step)] == [int(t >= first) for t in range(0, 16, step)]
    tables = {name: list(csv.DictReader((tmp_path / name).open())) for name in ("tracks.csv", "detections.csv")}
    for name, rows in tables.items():
        assert [int(row["frame"]) for row in rows] == list(range(first, 16, step)), name
    assert {row["id"] for row in tables["tracks.csv"]} == {"1"} == {row["track"] for row in tables["detections.csv"]}
    for row, box in zip(tables["tracks.csv"], tables["detections.csv"], strict=True):  # filtered, and as found
        for key in "xy":
            assert float(row[key]) == pytest.approx(float(box[key]), abs=2)
        assert 10 + 3 * int(row["frame"]) == pytest.approx(float(box["x"]), abs=2)
    assert float(tables["tracks.csv"][-1]["speed"]) == pytest.approx(3, abs=0.3)
    coco = json.loads((tmp_path / "coco.json").read_text())
    assert [one["track_id"] for one in coco["annotations"]] == [1] * len(tables["tracks.csv"])
    for number, components in found.items():
        assert (cv2.imread(str(tmp_path / "masks" / f"{number}.png"), 0) > 0).any() == bool(components)
    video = cv2.VideoCapture(str(tmp_path / "night.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == len(found)
    said = capsys.readouterr().out
    assert ("2 frames late" if back else "1 to 2 frames after it was first seen") in said


def test_a_fast_target_is_confirmed_at_a_stride_as_without_the_option(footage, tmp_path):
    """3 pixels a frame are 12 from one frame that is kept to the next."""
    options = ["--method", "top-hat", "--source", str(footage), "--quiet", "--stride", "4"]
    rows = {}
    for name, extra in (("plain", []), ("confirmed", ["--confirm", "3/5", "--confirm-back"])):
        script("vid_predict").main([*options, "--out", str(tmp_path / name), *extra])
        rows[name] = list(csv.DictReader((tmp_path / name / "tracks.csv").open()))
    assert [int(row["frame"]) for row in rows["plain"]] == [8, 12]
    assert [int(row["frame"]) for row in rows["confirmed"]] == [0, 4, 8, 12]
    speeds = {name: [float(row["speed"]) for row in found[-2:]] for name, found in rows.items()}
    assert speeds["confirmed"] == pytest.approx(speeds["plain"], abs=0.1) and speeds["plain"][-1] > 2.7


def test_without_the_option_all_that_is_found_is_reported(footage, tmp_path):
    options = ["--method", "top-hat", "--source", str(footage), "--out", str(tmp_path), "--quiet"]
    script("vid_predict").main(options)
    content = json.loads((tmp_path / "predictions.json").read_text())
    assert "confirm" not in content
    assert [len(frame["components"]) for frame in content["frames"]] == [1 + (t % 3 == 0) for t in range(16)]


def test_both_measuring_commands_count_what_a_stream_confirms(data, tmp_path):
    options = ["--method", "top-hat", "--data-root", str(data), "--quiet", "--draws", "0", "--confirm", "2/3"]
    found = {}
    for command in ("vid_map_coco", "test"):
        script(command).main([*options, "--out", str(tmp_path / command)])
        found[command] = json.loads((tmp_path / command / "metrics.json").read_text())
        assert found[command]["confirm"] == {"hits": 2, "frames": 3, "back": False}
    predictor = replace(classical_predictor("top-hat"), confirmation=Confirmation(2, 3))
    expected = evaluate_sequences(
        predictor, open_dataset(str(data), "test", need="masks"), quiet=True
    ).overall.compute()
    assert found["test"]["overall"]["matched"] == expected["matched"]
    assert found["test"]["overall"]["false_per_frame"] == expected["false_per_frame"]
    assert found["vid_map_coco"]["overall"]["pd"] == found["test"]["overall"]["pd"]
    streams = [
        list(predictor.stream(open_sources(data / "images" / "test" / name)[0])) for name in found["test"]["sequences"]
    ]
    count = sum(len(one.components) for stream in streams for one in stream)
    boxes = json.loads((tmp_path / "vid_map_coco" / "detections.json").read_text())
    assert len(boxes) == count  # what is not confirmed is in no list, whatever its score


@pytest.mark.parametrize("command", ["vid_map_coco", "test"])
def test_tracks_are_measured_as_they_are_confirmed(data, tmp_path, command):
    options = ["--method", "top-hat", "--data-root", str(data), "--quiet", "--draws", "0", "--tracks", "--no-details"]
    first = {}
    for rule in ("2/3", "4/5"):
        script(command).main([*options, "--confirm", rule, "--out", str(tmp_path / rule[0])])
        first[rule] = json.loads((tmp_path / rule[0] / "metrics.json").read_text())["tracks"]["sequences"]["s1"]
    assert [first[rule]["frames_to_first_hit"] for rule in ("2/3", "4/5")] == [1, 3]
    script(command).main([*options, "--confirm", "4/5", "--confirm-back", "--out", str(tmp_path / "back")])
    back = json.loads((tmp_path / "back" / "metrics.json").read_text())["tracks"]["sequences"]["s1"]
    assert back["frames_to_first_hit"] == 0 and back["false_tracks"] == first["4/5"]["false_tracks"] == 1


def test_without_a_value_the_option_means_3_of_5(footage, tmp_path):
    options = ["--method", "top-hat", "--source", str(footage), "--out", str(tmp_path), "--quiet", "--confirm"]
    script("vid_predict").main([*options, "--no-tracks"])
    content = json.loads((tmp_path / "predictions.json").read_text())
    assert content["confirm"] == {"hits": 3, "frames": 5, "back": False}
    assert [len(frame["components"]) for frame in content["frames"]] == [0] * 2 + [1] * 14


@pytest.mark.parametrize(
    ("command", "given", "text"),
    [
        ("vid_predict", ["--source", "x", "--confirm", "5/3"], "found '5/3', expected M/N"),
        ("vid_predict", ["--source", "x", "--confirm", "1/3"], "M at least 2"),
        ("test", ["--data-root", "x", "--confirm", "3"], "such as 3/5"),
        ("test", ["--data-root", "x", "--confirm", "3/101"], "at most 100"),
        ("vid_map_coco", ["--data-root", "x", "--confirm-back"], "found without --confirm"),
        (
            "vid_map_coco",
            ["--data-root", "x", "--detections", "y", "--confirm", "3/5"],
            "--confirm: found with --detec",
        ),
    ],
)
def test_mistakes_are_refused(command, given, text):
    with pytest.raises(UserError, match=text):
        script(command).main(given)
