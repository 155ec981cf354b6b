"""From pixels to boxes there is one way: all commands show a network the same, and find the same boxes."""

import importlib
import json

import numpy as np
import pytest
from exporting import write_weights
from moving import write_boxed
from scripts import script

from utils.predictor.predictor import Predictor
from utils.system.errors import UserError

SIZE = (64, 140)  # far from a square


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_boxed(tmp_path_factory.mktemp("data") / "DAUB", frames=5, size=SIZE)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return write_weights(tmp_path_factory.mktemp("weights"), "sstnet")


@pytest.fixture
def seen(monkeypatch):
    """The sizes that networks see."""
    sizes, fit = set(), Predictor._fit
    monkeypatch.setattr(Predictor, "_fit", lambda self, *given: sizes.add((made := fit(self, *given)).size) or made)
    return sizes


def predicted(weights, data, out, *more):
    """`vid_predict.py`'s (score, x1, y1, x2, y2) in the first training sequence, frame by frame."""
    source = data / "images" / "train" / "data1"
    options = ["--source", str(source), "--weights", str(weights), "--out", str(out), "--no-tracks", "--quiet"]
    script("vid_predict").main([*options, *more])
    found = json.loads((out / "predictions.json").read_text())
    return found, [[(one["score"], *one["box"]) for one in frame["detections"]] for frame in found["frames"]]


def measured(weights, data, out, *more):
    """The same of `vid_map_coco.py`."""
    options = ["--data-root", str(data), "--weights", str(weights), "--out", str(out), "--draws", "0", "--quiet"]
    script("vid_map_coco").main([*options, "--split", "train", "--sequences", "data1", *more])
    frames = {}
    for one in json.loads((out / "detections.json").read_text()):
        x, y, w, h = one["bbox"]
        frames.setdefault(one["image_id"], []).append((one["score"], x, y, x + w, y + h))
    return json.loads((out / "metrics.json").read_text()), [frames[number] for number in sorted(frames)]


@pytest.mark.parametrize("more", [(), ("--compat-square",)])
def test_what_is_measured_are_the_boxes_that_people_get(weights, data, tmp_path, more):
    (about, own), (figures, others) = (
        make(weights, data, tmp_path / str(index), *more) for index, make in enumerate((predicted, measured))
    )
    assert about["square"] == figures["square"] == bool(more)
    assert len(own) == len(others) == 5 and all(map(len, own))
    for mine, theirs in zip(own, others, strict=True):
        apart = np.abs(np.array(mine)[:, None] - np.array(theirs)).max(-1)
        assert len(mine) == len(theirs) and (apart.min(0) < 2e-3).all() and (apart.min(1) < 2e-3).all()


def test_the_square_of_published_code_gives_other_boxes(weights, data, tmp_path):
    tight = predicted(weights, data, tmp_path / "tight")[1]
    square = predicted(weights, data, tmp_path / "square", "--compat-square")[1]
    assert tight != square


@pytest.mark.parametrize("more, size", [((), (64, 96)), (("--compat-square",), (96, 96))])
@pytest.mark.parametrize("name", ["test", "vid_map_coco", "vid_predict"])
def test_commands_show_networks_frames_of_the_same_size(weights, data, tmp_path, seen, name, more, size):
    source = "--source" if name == "vid_predict" else "--data-root"
    options = [source, str(data / "images" / "train" / "data1" if name == "vid_predict" else data)]
    split = [] if name == "vid_predict" else ["--split", "train", "--draws", "0"]
    script(name).main([*options, *split, "--weights", str(weights), "--out", str(tmp_path), "--quiet", *more])
    assert seen == {size}


def test_so_do_reports_and_exports(weights, data, tmp_path, seen):
    report = importlib.import_module("utils.report.__main__")
    out = str(tmp_path / "report.html")
    report.main([str(weights), "--data-root", str(data), "--split", "train", "--out", out, "--draws", "1", "--quiet"])
    assert seen == {(64, 96)}
    seen.clear()
    quantise = importlib.import_module("utils.commands.quantise")
    clips = quantise.clips_of(Predictor.from_checkpoint(weights, "cpu"), str(data / "images/train/data1"), 1)
    assert seen == {(64, 96)} and clips[0].shape[-2:] == (64, 96)


@pytest.mark.parametrize(
    "given, text",
    [
        (["--method", "top-hat"], "--compat-square: found with --method, which sees frames as they are; leave one out"),
        (
            ["--weights", "best.pt", "--tile", "64"],
            "--compat-square: found with --tile, which says what is seen",
        ),
    ],
)
@pytest.mark.parametrize("command", ["test", "vid_map_coco", "vid_predict"])
def test_a_square_that_cannot_be_had_is_refused(command, given, text):
    source = ["--source", "none"] if command == "vid_predict" else ["--data-root", "none"]
    with pytest.raises(UserError, match=text):
        script(command).main([*source, *given, "--compat-square"])


def test_a_network_that_is_shown_no_letterboxed_frames_has_none(tmp_path, data):
    weights = write_weights(tmp_path, "tsmsa")
    with pytest.raises(UserError, match="which sees no letterboxed frames; leave it out"):
        predicted(weights, data, tmp_path / "out", "--compat-square")
