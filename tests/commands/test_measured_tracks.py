"""`vid_map_coco.py --tracks`: what it says and writes, and how it ends on mistakes."""

import csv
import json

import numpy as np
import pytest
from moving import FRAMES, write_moving
from scripts import run_without_torch, script

from utils.datasets.dataset import open_dataset
from utils.metrics.evaluate import evaluate_detection
from utils.metrics.tracks import TrackLog, TrackRules
from utils.metrics.tracks.counts import COUNTED
from utils.predictor.classical import classical_predictor


@pytest.fixture(scope="module", params=[True, False], ids=["ids", "masks"])
def data(request, tmp_path_factory):
    return write_moving(tmp_path_factory.mktemp("moving"), noted=request.param)


def run(*arguments):
    script("vid_map_coco").main([*map(str, arguments), "--quiet", "--no-details"])


def tracks_of(folder):
    return json.loads((folder / "metrics.json").read_text())["tracks"]


def test_tracks_are_measured_and_told(data, tmp_path, capsys):
    run("--method", "top-hat", "--data-root", data, "--tracks", "--fps", 50, "--out", tmp_path / "out")
    found, said = tracks_of(tmp_path / "out"), capsys.readouterr().out
    assert (found["distance"], found["found"], found["fps"]) == (5, "3/5", 50)
    spark, clean, faint = (found["sequences"][name] for name in ("s1", "s2", "s3"))
    # the bright pixel of s1 is a track, of its third to its last frame; so are two of the three targets
    assert [one["true_tracks"] for one in (spark, clean, faint)] == [1, 1, 1]
    assert [one["track_pd"] for one in (spark, clean, faint)] == [1, 1, 0]
    assert [one["false_tracks"] for one in (spark, clean, faint)] == [1, 0, 0]
    assert spark["frames_to_first_hit"] == clean["frames_to_first_hit"] == 2 and faint["frames_to_first_hit"] is None
    assert spark["false_tracks_per_minute"] == 60 * 50 / FRAMES
    for name in COUNTED:
        assert found["overall"][name] == sum(one[name] for one in (spark, clean, faint)), name
    assert found["overall"]["track_pd"] == 2 / 3 and found["intervals"]["track_pd"] == [0, 1]
    linked = not (data / "annotations").is_dir()
    assert found["linked"] == {"sequences": 3 * linked, "targets": 15 * linked, "ambiguous": 0}
    assert "tracks: centres at most 5 px apart, found where 3/5 frames are hit, 50 frames a second" in said
    assert ("labels name no track of 15 targets (3 sequences)" in said) == linked


def test_other_rules_give_other_figures(data, tmp_path):
    run("--method", "top-hat", "--data-root", data, "--tracks", "--track-found", "4/5", "--draws", 0, "--out", tmp_path)
    found = tracks_of(tmp_path)
    assert found["overall"]["track_pd"] == 0 and found["found"] == "4/5" and found["intervals"] == {}


def test_detections_made_elsewhere_give_the_same_tracks(data, tmp_path):
    run("--method", "top-hat", "--data-root", data, "--tracks", "--out", tmp_path / "own")
    own = tmp_path / "own"
    run("--detections", own / "detections.json", "--data-root", data, "--tracks", "--out", tmp_path / "again")
    assert tracks_of(own) == tracks_of(tmp_path / "again")


def test_test_measures_the_same_tracks(data, tmp_path, capsys):
    run("--method", "top-hat", "--data-root", data, "--tracks", "--out", tmp_path / "boxes")
    arguments = f"--method top-hat --data-root {data} --tracks --out {tmp_path}/masks --quiet --no-details --no-curve"
    script("test").main(arguments.split())
    assert tracks_of(tmp_path / "boxes") == tracks_of(tmp_path / "masks")
    assert capsys.readouterr().out.count("track Pd") == 4


def test_confirmation_is_measured_with_and_without_looking_back(data, tmp_path):
    found = {}
    for name, more in (("at once", ["--confirm", "4/5"]), ("back", ["--confirm", "4/5", "--confirm-back"])):
        run("--method", "top-hat", "--data-root", data, "--tracks", *more, "--out", tmp_path / name)
        found[name] = tracks_of(tmp_path / name)["sequences"]["s2"]
    assert (found["at once"]["frames_to_first_hit"], found["at once"]["hits"]) == (3, 2)
    assert (found["back"]["frames_to_first_hit"], found["back"]["hits"]) == (0, 5)


def test_what_is_measured_are_the_tracks_that_vid_predict_reports(data, tmp_path):
    log = TrackLog(TrackRules(), 0.5)
    evaluate_detection(
        classical_predictor("top-hat"), open_dataset(data, "test"), quiet=True, on_frame=log.add_prediction
    )
    for name, sequence in log.sequences.items():
        script("vid_predict").main(
            f"--method top-hat --source {data}/images/test/{name} --out {tmp_path}/{name} --quiet".split()
        )
        with open(tmp_path / name / "tracks.csv") as file:
            rows = [[float(row[key]) for key in ("frame", "id", "x", "y", "w", "h")] for row in csv.DictReader(file)]
        own = [
            [frame.number, number, x1, y1, x2 - x1, y2 - y1]
            for frame, ids, boxes in zip(sequence.frames, sequence.ids, sequence.boxes, strict=True)
            for number, (x1, y1, x2, y2) in zip(ids.tolist(), boxes.tolist(), strict=True)
        ]
        rows, own = (sorted(one, key=lambda row: (row[0], row[2])) for one in (rows, own))
        numbers = {(row[1], other[1]) for row, other in zip(rows, own, strict=True)}  # tracks are numbered differently
        assert len(numbers) == len({first for first, _ in numbers}) == len({second for _, second in numbers})
        assert np.allclose(np.delete(rows, 1, 1), np.delete(own, 1, 1), atol=0.01) if rows else name == "s3"


def test_nothing_of_tracks_without_the_option(data, tmp_path, capsys):
    run("--method", "top-hat", "--data-root", data, "--out", tmp_path)
    assert "tracks" not in json.loads((tmp_path / "metrics.json").read_text())
    assert "track Pd" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--track-distance", "4"],
            "--track-distance: found without --tracks, which it goes with; give both or neither",
        ),
        (["--fps", "30"], "--fps: found without --tracks"),
        (["--track-found", "2/3"], "--track-found: found without --tracks"),
        (["--tracks", "--track-found", "6/5"], "found '6/5', expected M/N such as 3/5"),
        (["--tracks", "--track-found", "0/5"], "found '0/5', expected M/N such as 3/5"),
        (["--tracks", "--track-found", "3"], "found '3', expected M/N such as 3/5"),
        (["--tracks", "--track-distance", "0"], "found '0', expected float more than 0"),
    ],
)
def test_mistakes_are_told_before_anything_heavy_is_imported(arguments, message):
    ended = run_without_torch("vid_map_coco", "--method", "top-hat", "--data-root", "nowhere", *arguments)
    assert ended.returncode == 2 and message in ended.stderr and "Traceback" not in ended.stderr
