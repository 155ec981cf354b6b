"""`vid_map_coco.py` chooses thresholds and shows its worst as `test.py` does."""

import json

import cv2
import pytest
from exporting import write_weights
from moving import SPARK, write_boxed, write_dataset, write_moving
from scripts import script

from utils.render.contact_sheet import SHEETS
from utils.system.errors import UserError

BUDGET = ("--fa-budget", "0.002", "--false-budget", "1", "--val-sequences", "sequence2")


def figures(name, root, out, *more):
    script(name).main(["--data-root", str(root), "--out", str(out), "--draws", "0", "--quiet", *more])
    return json.loads((out / "metrics.json").read_text())


def test_both_commands_choose_the_same_threshold(tmp_path, capsys):
    root = write_dataset(tmp_path / "data")
    own, other = (
        figures(name, root, tmp_path / name, "--method", "top-hat", *BUDGET) for name in ("vid_map_coco", "test")
    )
    assert own["threshold"] == other["threshold"] != 0.5 and own["chosen_on"] == other["chosen_on"]
    assert own["overall"]["threshold"] == own["threshold"] == own["chosen_on"]["threshold"]
    assert own["chosen_on"]["fa"] <= 0.002 and own["chosen_on"]["false_per_frame"] <= 1
    assert capsys.readouterr().out.count("chosen on 8 training frames set aside") == 2
    fixed = figures(
        "vid_map_coco", root, tmp_path / "fixed", "--method", "top-hat", "--threshold", str(own["threshold"])
    )
    assert fixed["overall"] == own["overall"] and fixed["chosen_on"] is None


@pytest.mark.parametrize("name", ["top-hat", "sstnet"])
def test_training_frames_with_boxes_alone_serve_too(tmp_path, name):
    root = write_boxed(tmp_path / "data", frames=4)
    choice = ["--method", name] if name == "top-hat" else ["--weights", str(write_weights(tmp_path, name))]
    more = [*choice, "--split", "train", "--fa-budget", "0.01", "--val-sequences", "data1"]
    own = figures("vid_map_coco", root, tmp_path / "map", *more)
    assert own["chosen_on"]["fa"] <= 0.01 and own["threshold"] == own["chosen_on"]["threshold"]
    if name == "sstnet":  # a detector's masks are boxes, whichever command measures it
        assert figures("test", root, tmp_path / "test", *more)["chosen_on"] == own["chosen_on"]


@pytest.mark.parametrize(
    "given, text",
    [
        (["--threshold", "0.5", "--method", "top-hat"], "--fa-budget: found --threshold as well"),
        (["--detections", "found.json"], "--fa-budget: found with --detections, which says nothing of other frames"),
    ],
)
def test_a_budget_beside_what_leaves_no_choice_is_refused(tmp_path, given, text):
    with pytest.raises(UserError, match=text):
        script("vid_map_coco").main(["--data-root", str(tmp_path), "--fa-budget", "0.1", *given])


@pytest.mark.parametrize("command", ["test", "vid_map_coco"])
@pytest.mark.parametrize("given", [["--false-budget", "1"], ["--budget-root", "x"], ["--val-sequences", "a", "b"]])
def test_what_goes_with_a_budget_is_refused_without_one(tmp_path, command, given):
    with pytest.raises(UserError, match=f"{given[0]}: found without --fa-budget"):
        script(command).main(["--data-root", str(tmp_path), "--method", "top-hat", *given])


@pytest.mark.parametrize("given", [["--levels", "local"], ["--compat-square"], ["--no-verifier"], ["--tile", "64"]])
def test_what_networks_see_is_refused_beside_detections(tmp_path, given):
    with pytest.raises(UserError, match=f"{given[0]}: found with --detections"):
        script("vid_map_coco").main(["--data-root", str(tmp_path), "--detections", "found.json", *given])


def test_a_dataset_without_training_frames_is_told_the_option_for_others(tmp_path):
    root = write_moving(tmp_path / "data")
    with pytest.raises(UserError, match="none of them for 'train'") as caught:
        figures("vid_map_coco", root, tmp_path / "map", "--method", "top-hat", "--fa-budget", "0.1")
    assert "--split all" not in str(caught.value)


def test_the_worst_are_shown(tmp_path, capsys):
    root = write_moving(tmp_path / "data")
    content = figures("vid_map_coco", root, tmp_path / "map", "--method", "top-hat", "--class-agnostic")
    assert content["contact_sheets"] == [str(tmp_path / "map" / name) for name in SHEETS]
    assert "worst false alarms and misses in" in capsys.readouterr().out
    assert all(cv2.imread(path).size for path in content["contact_sheets"])
    results = json.loads((tmp_path / "map/detections.json").read_text())
    assert any(one["bbox"] == [SPARK[1], SPARK[0], 1, 1] for one in results)
    bare = figures("vid_map_coco", root, tmp_path / "bare", "--method", "top-hat", "--no-details")
    assert bare["contact_sheets"] == [] and not any((tmp_path / "bare" / name).exists() for name in SHEETS)
    assert bare["overall"] == content["overall"]
    given = ["--detections", str(tmp_path / "map/detections.json"), "--threshold", str(content["threshold"])]
    again = figures("vid_map_coco", root, tmp_path / "again", *given)
    for name in SHEETS:  # of boxes made elsewhere the same pictures
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "map" / name).read_bytes()
    assert again["overall"]["centre_matched"] == content["overall"]["centre_matched"]
