"""Fitting a verifier: its figures on known answers, and the command from datasets to predictions."""

import contextlib
import dataclasses
import io
import json
import re

import numpy as np
import pytest
import torch
from exporting import write_weights
from scripts import script
from trees import write
from verifying import levels, random_model, scenery, with_spot

from utils import bundle, verify
from utils.commands.candidate_tables import CandidateTable, assign_targets, ignored_places, join_tables
from utils.commands.verifier_fitting import (
    FitSettings,
    calibrate,
    calibration_error,
    fit,
    operating_point_at,
    operating_points,
    platt,
)
from utils.datasets.frame_table import Frame
from utils.images.image_files import read_frame
from utils.predictor.checkpoint import load_checkpoint, save_checkpoint
from utils.predictor.predictor import Predictor
from utils.predictor.verifier.candidates import stand_alone
from utils.predictor.verifier.features import NAMES
from utils.system.errors import UserError


def table_of(scores, target, frame, targets, sequence=None):
    features = np.zeros((len(scores), len(NAMES)), np.float32)
    features[:, 0] = scores
    sequence = np.zeros(len(targets)) if sequence is None else sequence
    places = 20 * np.stack([np.arange(len(scores))] * 2, 1)
    return CandidateTable(features, *(np.array(part, np.int64) for part in (frame, target, targets, sequence, places)))


def test_candidates_are_targets_near_their_centres_or_in_their_boxes():
    boxes = np.array([[10, 20, 13, 23, 0], [30, 20, 50, 24, 0], [15, 20, 18, 23, 0]])
    places = np.array([[21, 11], [21, 14], [21, 8], [24, 11], [24, 12], [21, 30], [24, 30], [21, 13], [21, 12]])
    assert assign_targets(places, boxes, (64, 64)).tolist() == [0, 2, -1, -1, -1, 1, -1, 0, 0]
    assert assign_targets(places, np.zeros((0, 5)), (64, 64)).tolist() == [-1] * 9


def test_where_nobody_says_what_is_a_target_no_candidate_counts():
    frame = Frame("s", 0, "0.png", None, (), ignored=((10, 20, 15, 30, 0),))
    places = np.array([[20, 10], [29, 14], [30, 14], [29, 15], [5, 5]])
    found = ignored_places(frame, np.zeros((64, 64), np.uint8), places)
    assert found.tolist() == [True, True, False, False, False]


def test_operating_points_are_those_counted_by_hand():
    # two frames; of the first target two candidates, of which one is false, of the third none
    table = table_of(
        scores=[0.9, 0.8, 0.7, 0.6, 0.5, 0.4], target=[0, -1, 0, 1, -1, -1], frame=[0, 0, 0, 1, 1, 1], targets=[1, 2]
    )
    scores = table.features[:, 0]
    points = operating_points(table, scores, (0, 0.5, 1.0, 2.0))
    assert [round(point.pd, 4) for point in points.values()] == [0.3333, 0.3333, 0.6667, 0.6667]
    assert [point.false for point in points.values()] == [0, 0.5, 1.0, 2.0]
    assert [point.threshold for point in points.values()] == pytest.approx([0.8, 0.7, 0.5, -np.inf])
    for point in points.values():
        assert operating_point_at(table, scores, point.threshold) == point


def test_of_neighbours_in_a_frame_the_highest_stands_alone():
    table = table_of([0.5, 0.9, 0.7, 0.8, 0.6], [0, -1, -1, -1, 0], [0, 0, 0, 0, 1], [1, 1])
    places = np.array([[10, 10], [10, 16], [10, 22], [17, 10], [10, 10]])
    table = dataclasses.replace(table, place=places)
    # the second hides the first and the third; what the first would have hidden stands, and so do other frames
    assert table.stand_alone(table.features[:, 0]).tolist() == [False, True, False, True, True]
    equal = stand_alone(np.array([[0, 0], [0, 6], [0, 12], [0, 13]]), np.ones(4))
    assert equal.tolist() == [True, False, True, False]


def test_parts_and_joints_of_tables_keep_who_is_whose():
    one = table_of([1, 2, 3], [0, -1, 1], [0, 1, 2], [1, 0, 2], [0, 0, 1])
    joined = join_tables([one, one])
    assert joined.frame.tolist() == [0, 1, 2, 3, 4, 5] and joined.sequence.tolist() == [0, 0, 1, 2, 2, 3]
    part = joined.of_sequences({1, 2})
    assert part.features[:, 0].tolist() == [3, 1, 2] and part.frame.tolist() == [0, 1, 2]
    assert part.targets.tolist() == [2, 1, 0] and part.target.tolist() == [1, 0, -1]


def test_scores_of_a_known_distribution_are_calibrated():
    rng = np.random.default_rng(0)
    truth = rng.normal(-1, 2, 40000)
    labels = (rng.uniform(size=len(truth)) < 1 / (1 + np.exp(-truth))).astype(np.float32)
    too_sure = 3 * truth + 2  # what a network that exaggerates would say
    factor, offset = platt(too_sure, labels)
    assert (factor, offset) == pytest.approx((1 / 3, -2 / 3), abs=0.03)
    before, after = (
        calibration_error(1 / (1 + np.exp(-logits)), labels) for logits in (too_sure, factor * too_sure + offset)
    )
    assert before > 0.1 and after < 0.01


def test_the_calibration_error_is_the_mean_gap_of_the_bins():
    probability = np.array([0.1, 0.1, 0.1, 0.1, 1.0, 1.0])
    labels = np.array([0, 0, 0, 1, 1, 0])
    assert calibration_error(probability, labels) == pytest.approx((4 * abs(0.1 - 0.25) + 2 * abs(1 - 0.5)) / 6)
    assert np.isnan(calibration_error(np.zeros(0), np.zeros(0)))


def test_calibration_is_in_the_last_layer():
    model, features = random_model(), np.random.default_rng(1).normal(size=(20, len(NAMES))).astype(np.float32)
    np.testing.assert_allclose(
        calibrate(model, 0.5, -1).logits(features), 0.5 * model.logits(features) - 1, rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("hidden", [(), (8,)])
def test_a_fit_finds_the_log_odds_that_labels_were_drawn_by(hidden):
    rng = np.random.default_rng(2)
    features = rng.normal(3, 5, (6000, len(NAMES))).astype(np.float32)
    logits = 2 * (features[:, 4] - 3) / 5 - 1
    target = np.where(rng.uniform(size=len(logits)) < 1 / (1 + np.exp(-logits)), 0, -1)
    frame = np.arange(len(logits))
    ones, none = np.ones(len(frame), np.int64), np.zeros(len(frame), np.int64)
    table = CandidateTable(features, frame, target, ones, none, np.zeros((len(frame), 2), np.int64))
    settings = FitSettings(hidden, steps=500, seed=3)
    model = fit(table, np.ones(len(logits)), settings, 0.5, 8.0)
    assert np.corrcoef(model.logits(features), logits)[0, 1] > 0.95
    again = fit(table, np.ones(len(logits)), settings, 0.5, 8.0)
    np.testing.assert_array_equal(model.logits(features), again.logits(features))


def write_scenes(root, sequences=4, frames=12, targets=True):
    """Scenery with a spot that belongs to it and, with `targets`, one that moves by 2 px a frame, in boxes."""
    rng, names, boxes = np.random.default_rng(3), [], []
    for sequence in range(sequences):
        for index in range(frames):
            frame = with_spot(scenery(rng, 96), 70, 20 + 7 * sequence, 60)
            y, x = 30 + 4 * sequence, 20 + 3 * index
            names.append(f"images/train/data{sequence}/{index}.png")
            write(root / names[-1], levels(with_spot(frame, y, x, 14) if targets else frame))
            boxes.append((x - 3, y - 3, 7, 7))
    content = {
        "images": [{"id": index, "file_name": name, "width": 96, "height": 96} for index, name in enumerate(names)],
        "annotations": [
            {"id": index, "image_id": index, "category_id": 1, "bbox": box, "area": 49, "iscrowd": 0}
            for index, box in enumerate(boxes if targets else [])
        ],
        "categories": [{"id": 1, "name": "target"}],
    }
    (root / "annotations").mkdir()
    (root / "annotations/instances_train2017.json").write_text(json.dumps(content))
    return root


def silence(path):
    """Make a network of random weights say nothing anywhere."""
    content = load_checkpoint(path)
    last = (
        ["head.4.bias"] if "head.4.bias" in content["network"] else [k for k in content["network"] if "obj_pred" in k]
    )
    for name in last:
        content["network"][name] -= 20 if name.endswith("bias") else 0
    save_checkpoint(path, content)


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    """A folder with datasets `scenes` and `empty`, weights, those with a verifier, and what the command said."""
    root = tmp_path_factory.mktemp("verify")
    write_scenes(root / "scenes")
    write_scenes(root / "empty", sequences=2, targets=False)
    for name in ("tsmsa", "sstnet"):
        silence(write_weights(root, name))
        with contextlib.redirect_stdout(io.StringIO()) as said:
            run(root, name)
        (root / f"{name}.txt").write_text(said.getvalue())
    return root


def run(root, name):
    data = ["--data-root", str(root / "scenes"), str(root / "empty")]
    files = ["--weights", str(root / f"{name}.pt"), "--out", str(root / f"{name}-verified.pt")]
    verify.main([*files, *data, "--device", "cpu", "--quiet"])


@pytest.mark.parametrize("name", ["tsmsa", "sstnet"])
def test_the_command_makes_a_network_that_knows_nothing_find_what_moves(fitted, name):
    said = (fitted / f"{name}.txt").read_text()
    assert "48 frames of 4 sequences" in said and "24 frames of 2 sequences" in said
    rows = re.findall(r"^(\S+): (network|verifier) +\d+ +\d+ +\S+ +(\S+)", said, re.M)
    found = {(where, who): float(pd) for where, who, pd in rows if pd != "–"}  # at 0.1 false a frame
    assert found["scenes", "verifier"] > 0.7 > found["scenes", "network"]
    assert "nobody has seen" in said and said.count("empty: verifier") == 2 and said.count("scenes: verifier") == 1
    before, after = load_checkpoint(fitted / f"{name}.pt"), load_checkpoint(fitted / f"{name}-verified.pt")
    assert all(torch.equal(value, after["network"][key]) for key, value in before["network"].items())
    assert after["settings"] == before["settings"] and after["verifier"]["box_side"] == 7
    predictor = Predictor.from_checkpoint(fitted / f"{name}-verified.pt", "cpu")
    frames = [read_frame(fitted / f"scenes/images/train/data3/{index}.png") for index in range(12)]
    hits = false = 0
    for index, prediction in enumerate(predictor.stream(frames)):
        away = np.array([np.hypot(c.centroid[0] - 20 - 3 * index, c.centroid[1] - 42) for c in prediction.components])
        hits += (away < 3).any()
        false += (away >= 3).sum()
    assert hits >= 8 and false <= 2


def test_the_command_writes_over_its_own_file_and_says_the_same(fitted, capsys):
    run(fitted, "tsmsa")
    assert capsys.readouterr().out == (fitted / "tsmsa.txt").read_text()


def test_other_levels_stay_with_the_verifier_that_was_fitted_to_them(fitted, tmp_path):
    before, out = load_checkpoint(fitted / "tsmsa.pt"), tmp_path / "local.pt"
    roots = ["--data-root", str(fitted / "scenes"), "--extra-roots", str(fitted / "empty")]
    files = ["--weights", str(fitted / "tsmsa.pt"), "--out", str(out), "--levels", "local"]
    verify.main([*files, *roots, "--device", "cpu", "--quiet", "--folds", "2"])
    after = load_checkpoint(out)
    own = {"levels": "local", "threshold": after["verifier"]["network_threshold"]}
    assert after["settings"] == before["settings"] | own and before["settings"]["levels"] == "dataset"
    assert Predictor.from_checkpoint(out, "cpu").settings.levels == "local"


def test_an_extra_dataset_is_learnt_from_but_chooses_no_threshold():
    scores = [np.array([0.9, 0.2]), np.array([0.95, 0.8])]
    tables = [table_of(one, [-1, 0], [0, 0], [1]) for one in scores]
    for budgeted, expected in (((True, False), 0.9), ((True, True), 0.95)):
        parts = [verify.Part(str(counts), table, counts) for counts, table in zip(budgeted, tables, strict=True)]
        assert verify.choose_threshold(parts, scores, 0.5) == pytest.approx(expected)


def test_every_sequence_is_set_aside_once_and_learnt_from_in_all_other_folds():
    part = verify.Part("a", table_of(range(5), [0, -1, 0, -1, 0], range(5), [1] * 5, range(5)), True)
    aside = [part.aside(fold, 3) for fold in range(3)]
    assert sorted(sum(map(sorted, aside), [])) == [0, 1, 2, 3, 4]
    for fold, left in enumerate(aside):
        assert sorted(part.learnt(fold, 3).features[:, 0]) == sorted({0, 1, 2, 3, 4} - left)


def test_measuring_and_bundles_know_the_verifier(fitted, capsys, tmp_path):
    given = ["--data-root", fitted / "scenes", "--split", "train", "--draws", "0", "--quiet", "--device", "cpu"]
    figures = {}
    for more in ([], ["--no-verifier"]):
        out = tmp_path / f"map{len(more)}"
        weights = ["--weights", fitted / "tsmsa-verified.pt"]
        script("vid_map_coco").main([*map(str, [*weights, *given, "--out", out]), *more])
        said = capsys.readouterr().out
        assert ("its verifier scores" in said) == (not more)
        figures[not more] = json.loads((out / "metrics.json").read_text())
    assert figures[True]["verifier"] and not figures[False]["verifier"]
    assert figures[True]["overall"]["pd"] > figures[False]["overall"]["pd"]
    assert "verifier" in bundle.PASSED_ON_KEYS


def test_what_cannot_be_fitted_is_refused(fitted, tmp_path):
    weights, out = str(fitted / "tsmsa.pt"), str(tmp_path / "x.pt")
    common = ["--weights", weights, "--device", "cpu", "--quiet"]
    with pytest.raises(UserError, match="found no targets, or nothing but targets"):
        verify.main([*common, "--data-root", str(fitted / "empty"), "--out", out])
    one = write_scenes(tmp_path / "one", sequences=1)
    with pytest.raises(UserError, match="found no targets, or nothing but targets"):
        verify.main([*common, "--data-root", str(one), "--out", out])
    with pytest.raises(UserError, match="what is read"):
        verify.main([*common, "--data-root", str(one), "--out", weights])
    with pytest.raises(UserError, match="what is read"):
        verify.main([*common, "--data-root", str(one), "--out", str(one / "x.pt")])
    (tmp_path / "x.pt").write_text("somebody's")
    with pytest.raises(UserError, match="has not made"):
        verify.main([*common, "--data-root", str(one), "--out", out])
