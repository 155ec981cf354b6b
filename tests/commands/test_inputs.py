"""Classical methods behind the scripts, thresholds chosen by a budget, false alarms on material without targets."""

import json

import cv2
import numpy as np
import pytest
from scipy import ndimage
from scripts import run_without_torch, script

from utils.predictor.classical import CLASSICAL_METHODS
from utils.synthetic.__main__ import main as synthetic
from utils.system.errors import UserError

MOVING = [
    "--train-sequences",
    "2",
    "--test-sequences",
    "1",
    "--size",
    "96",
    "--frames",
    "6",
    "--snr",
    "6",
    "12",
    "--low-share",
    "0",
    "--empty-share",
    "0",
    "--glints",
    "4",
    "--workers",
    "0",
    "--quiet",
]


def pictures(folder, count):
    folder.mkdir()
    for number in range(count):
        texture = ndimage.gaussian_filter(np.random.default_rng(number).standard_normal((160, 180)), 6)
        texture = (texture - texture.min()) / np.ptp(texture)
        cv2.imwrite(str(folder / f"{number:03d}.png"), (40 + 150 * texture).astype(np.uint8))
    return folder


@pytest.fixture(scope="module")
def moving(tmp_path_factory):
    """Two training sequences and one for testing, with bright targets over weak clutter."""
    out = tmp_path_factory.mktemp("moving") / "data"
    synthetic(["--out", str(out), *MOVING])
    return out


@pytest.mark.parametrize("method", ["top-hat", "frame-difference"])
def test_a_method_is_measured_like_a_network(moving, tmp_path, capsys, method):
    script("test").main(["--method", method, "--data-root", str(moving), "--out", str(tmp_path), "--quiet"])
    figures = json.loads((tmp_path / "metrics.json").read_text())
    assert figures["model"] == method and figures["weights"] is None and figures["threshold"] == 0.5
    assert figures["overall"]["frames"] == 6 and figures["overall"]["targets"] > 0
    assert figures["overall"]["pd"] > 0 and len(figures["curve"]["pd"]) > 10
    assert f"{method} at threshold 0.5" in capsys.readouterr().out


def test_a_budget_chooses_the_threshold_on_training_frames_alone(moving, tmp_path, capsys):
    def measured(*more):
        script("test").main(
            [
                "--method",
                "top-hat",
                "--data-root",
                str(moving),
                "--out",
                str(tmp_path),
                "--quiet",
                "--val-sequences",
                "sequence2",
                *more,
            ]
        )
        return json.loads((tmp_path / "metrics.json").read_text())

    tight, wide = measured("--fa-budget", "0.00002"), measured("--fa-budget", "0.0002")
    assert tight["threshold"] > wide["threshold"]
    assert tight["chosen_on"]["fa"] <= 2e-5 < wide["chosen_on"]["fa"] <= 2e-4
    assert tight["chosen_on"]["threshold"] == tight["threshold"]
    assert "chosen on 6 training frames set aside" in capsys.readouterr().out
    none = measured("--fa-budget", "0.01", "--false-budget", "0")
    assert none["chosen_on"]["false_per_frame"] == 0


def test_boxes_and_pictures_of_a_method(moving, tmp_path):
    script("vid_map_coco").main(
        ["--method", "top-hat", "--data-root", str(moving), "--out", str(tmp_path / "map"), "--quiet"]
    )
    figures = json.loads((tmp_path / "map" / "metrics.json").read_text())
    assert figures["model"] == "top-hat" and figures["overall"]["centre_ap"] > 0
    script("vid_predict").main(
        [
            "--method",
            "frame-difference",
            "--source",
            str(moving / "images" / "sequence3"),
            "--out",
            str(tmp_path / "pictures"),
            "--quiet",
        ]
    )
    found = json.loads((tmp_path / "pictures" / "predictions.json").read_text())
    assert found["model"] == "frame-difference" and len(found["frames"]) == 6
    assert any(frame["components"] for frame in found["frames"])
    assert (tmp_path / "pictures" / "sequence3.mp4").stat().st_size > 0


@pytest.mark.parametrize("name", ["test", "vid_map_coco", "vid_predict"])
def test_a_wrong_choice_is_one_line_before_torch_is_imported(name, tmp_path):
    data = ["--source" if name == "vid_predict" else "--data-root", tmp_path]
    wrong = [
        (["--method", "sobel"], f"found 'sobel', expected one of {', '.join(CLASSICAL_METHODS)}"),
        (["--weights", "a", "--method", "top-hat"], "expected one of"),
    ]
    if name != "vid_predict":  # which has weights of its own
        wrong.append(([], "and --method NAME"))
    if name == "test":
        wrong.append((["--method", "top-hat", "--fa-budget", "0.1", "--threshold", "0.5"], "found --threshold as well"))
    for given, text in wrong:
        done = run_without_torch(name, *data, *given)
        assert done.returncode == 2 and text in done.stderr and done.stderr.count("\n") == 1


def test_a_threshold_beside_a_budget_is_refused(moving, tmp_path):
    with pytest.raises(UserError, match="--fa-budget: found --threshold as well"):
        script("test").main(
            [
                "--method",
                "top-hat",
                "--data-root",
                str(moving),
                "--out",
                str(tmp_path),
                "--quiet",
                "--fa-budget",
                "0.01",
                "--threshold",
                "0.5",
            ]
        )


def test_false_alarms_on_given_pictures_without_targets(moving, tmp_path):
    folder, out = pictures(tmp_path / "pictures", 6), tmp_path / "clutter"
    command = [
        "--out",
        str(out),
        "--split",
        "test",
        "--backgrounds",
        str(folder),
        "--pictures",
        "4",
        "5",
        "--test-sequences",
        "3",
        "--train-sequences",
        "0",
        "--frames",
        "5",
        "--size",
        "64",
        "--empty-share",
        "1",
        "--no-distractors",
        "--workers",
        "0",
        "--quiet",
    ]
    synthetic(command)
    about = json.loads((out / "annotations" / "instances_test.json").read_text())
    assert [sequence["background"] for sequence in about["sequences"]] == ["004", "005", "004"]
    assert not about["annotations"]
    measure = ["--method", "top-hat", "--data-root", str(out), "--out", str(tmp_path / "test"), "--quiet"]
    script("test").main([*measure, "--threshold", "0.1"])
    figures = json.loads((tmp_path / "test/metrics.json").read_text())["overall"]
    assert figures["frames"] == 15 and figures["pd"] is None and figures["false_per_frame"] > 0
    script("test").main(
        [
            *measure,
            "--fa-budget",
            "0.0002",
            "--budget-root",
            str(moving),
            "--val-sequences",
            "sequence2",
        ]
    )
    figures = json.loads((tmp_path / "test/metrics.json").read_text())
    assert 0 < figures["chosen_on"]["fa"] <= 2e-4 and figures["threshold"] == figures["chosen_on"]["threshold"]
    with pytest.raises(UserError, match="--pictures: found 4 6, expected numbers below 6"):
        synthetic([*command[:5], str(folder), "--pictures", "4", "6", "--overwrite", "--out", str(out)])
    with pytest.raises(UserError, match="--pictures: found .5, 4., expected FIRST LAST"):
        synthetic([*command, "--pictures", "5", "4"])
    with pytest.raises(UserError, match="expected --backgrounds beside it"):
        synthetic(["--out", str(out), "--pictures", "0", "1"])


def test_datasets_made_before_a_setting_was_there_are_kept(moving, capsys):
    for split in ("train", "test"):
        file = moving / "annotations" / f"instances_{split}.json"
        about = json.loads(file.read_text())
        del about["info"]["config"]["pictures"]
        file.write_text(json.dumps(about))
    synthetic(["--out", str(moving), *MOVING])
    assert capsys.readouterr().out.count("(already there)") == 2
