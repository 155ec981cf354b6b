"""Runs that are ended in every way, and continued, against one that was left alone: the same to the bit."""

import json
import random
import shutil
import signal

import pytest
import torch
from checkpoints import same
from children import message, run_child, train_child
from moving import small_recipe, write_dataset

from utils.predictor.checkpoint import LAST_NAMES, load_checkpoint

KILLS, EPOCHS = 20, 8


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data") / "made")


def recipe(data, out, **changes):
    often = {"epochs": EPOCHS, "batch_size": 2, "clips_per_epoch": 10, "val_every": 2, "resume": "auto"}
    return small_recipe(data, out, **(often | {"checkpoint_every": 1} | changes))


@pytest.fixture(scope="module")
def straight(data, tmp_path_factory):
    """The folder of a run that was left alone, saving at epochs' ends only."""
    out = tmp_path_factory.mktemp("straight")
    assert run_child(train_child, recipe(data, out, resume="", checkpoint_every=0)) == 0
    return out / "run"


def same_run(folder, expected):
    """Weights, averages, optimiser, schedule, random states, history and logs of two runs agree to the bit."""
    for name in ("last.pt", "best.pt"):
        ours, theirs = (load_checkpoint(path / name) for path in (folder, expected))
        for content in (ours, theirs):
            del content["config"]
        same(ours, theirs, name)
    rows, others = (
        [json.loads(line) for line in (path / "log.jsonl").read_text().splitlines()] for path in (folder, expected)
    )
    assert [row["epoch"] for row in rows[1:]] == list(range(1, EPOCHS + 1))
    same(rows[1:], others[1:], "log")
    assert not list(folder.glob(".*.tmp"))


def test_twenty_kills_in_a_row_lose_nothing(data, straight, tmp_path):
    draw = random.Random(0)
    places = ["step"] * 5 + ["writing"] * 3 + ["renaming"] * 2 + ["before saving"] * 2
    survived = []
    for number in range(KILLS):
        fault, count = draw.choice(places), draw.randint(1, 3)
        if number in (7, 12):
            fault = ("after logging", "validating")[number == 12]
        status = run_child(train_child, recipe(data, tmp_path, checkpoint_every=draw.choice((1, 1, 2))), fault, count)
        assert status == -signal.SIGKILL, f"kill {number} ({fault}, {count}) ended with {status}: {message(tmp_path)}"
        found = [
            load_checkpoint(tmp_path / "run" / name)["progress"]
            for name in LAST_NAMES
            if (tmp_path / "run" / name).exists()
        ]
        survived.append(max((progress["epoch"], progress["step"]) for progress in found) if found else (0, 0))
    assert survived == sorted(survived) and survived[-1] > (2, 0)  # never back behind what was saved
    assert run_child(train_child, recipe(data, tmp_path)) == 0
    same_run(tmp_path / "run", straight)
    commands = (tmp_path / "run/command.txt").read_text().splitlines()
    assert KILLS // 2 < len(commands) <= KILLS + 1  # some were killed before they wrote theirs


@pytest.mark.parametrize(
    ("fault", "number", "workers", "at"),
    [
        ("SIGTERM", signal.SIGTERM, 1, (1, 3)),
        ("Ctrl-C", signal.SIGINT, 1, (1, 3)),
        ("SIGTERM validating", signal.SIGTERM, 0, (1, 5)),
    ],
)
def test_signals_save_before_leaving(data, straight, tmp_path, fault, number, workers, at):
    config = recipe(data, tmp_path, checkpoint_every=0, workers=workers)
    assert run_child(train_child, config, fault, 8) == 128 + number
    assert fault.split()[0] in message(tmp_path) and "--resume auto" in message(tmp_path)
    progress = load_checkpoint(tmp_path / "run/last.pt")["progress"]
    assert (progress["epoch"], progress["step"]) == at  # the step in which it came
    assert run_child(train_child, config) == 0
    same_run(tmp_path / "run", straight)


def test_a_full_disk_keeps_what_was_saved(data, straight, tmp_path):
    assert run_child(train_child, recipe(data, tmp_path), "disk full", 7) == 2
    assert "last.pt: cannot be saved (File too large)" in message(tmp_path)
    assert load_checkpoint(tmp_path / "run/last.pt")["progress"]["step"] == 1
    assert run_child(train_child, recipe(data, tmp_path)) == 0
    same_run(tmp_path / "run", straight)


@pytest.mark.parametrize("fault", ["loader killed", "loader killed while saving"])
def test_a_killed_loader_process_ends_training_with_what_was_saved(data, straight, tmp_path, fault):
    config = recipe(data, tmp_path, workers=1)
    assert run_child(train_child, config, fault, 9) == 2
    assert "a loader process died" in message(tmp_path) and "--cache-mb" in message(tmp_path)
    progress = load_checkpoint(tmp_path / "run/last.pt")["progress"]
    assert (progress["epoch"], progress["step"]) == (1, 4)  # the step in which it died is done
    assert run_child(train_child, config) == 0
    same_run(tmp_path / "run", straight)


def before_version_3(path):
    """The content of a checkpoint with settings spread over it, as versions 1 and 2 had them."""
    content = load_checkpoint(path)
    settings = content.pop("settings")
    return content | {name: settings[name] for name in ("normalisation", "num_frames", "threshold")}


def test_checkpoints_of_version_2_are_continued(data, straight, tmp_path):
    (tmp_path / "run").mkdir()
    torch.save(before_version_3(straight / "last-1.pt") | {"version": 2}, tmp_path / "run/last.pt")
    for name in ("best.pt", "log.jsonl"):
        shutil.copy(straight / name, tmp_path / "run")
    assert run_child(train_child, recipe(data, tmp_path)) == 0, message(tmp_path)
    same_run(tmp_path / "run", straight)


def test_checkpoints_of_version_1_are_continued(data, straight, tmp_path):
    (tmp_path / "run").mkdir()
    content = before_version_3(straight / "last-1.pt")
    assert content["epoch"] == EPOCHS - 1
    config = {name: value for name, value in content["config"].items() if name not in ("amp", "accumulate", "resume")}
    old = {
        name: content[name]
        for name in (
            "model",
            "normalisation",
            "num_frames",
            "threshold",
            "network",
            "ema",
            "epoch",
            "best",
            "git",
            "optimizer",
            "schedule",
        )
    }
    torch.save({**old, "version": 1, "config": config}, tmp_path / "run/last.pt")
    (tmp_path / "run/log.jsonl").write_text((straight / "log.jsonl").read_text())
    shutil.copy(straight / "best.pt", tmp_path / "run")
    assert run_child(train_child, recipe(data, tmp_path)) == 0, message(tmp_path)
    ours, theirs = (load_checkpoint(path / "last.pt") for path in (tmp_path / "run", straight))
    for name in ("network", "ema", "optimizer", "schedule", "best"):
        same(ours[name], theirs[name], name)
    assert len(ours["progress"]["history"]) == EPOCHS
