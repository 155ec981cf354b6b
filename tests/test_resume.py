"""Runs that are ended in every way, and continued, against one that was left alone: the same to the bit."""
import dataclasses
import json
import random
import signal

import pytest
import torch
from children import message, run_child, train_child
from test_training import write_dataset

from utils.checkpoint import KEPT, load_checkpoint
from utils.config import TrainConfig

TIMES = {"seconds", "waited", "elapsed", "elapsed_s", "clips_per_s", "data_s"}
KILLS, EPOCHS = 20, 10


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data") / "made")


def recipe(data, out, **changes):
    small = TrainConfig(data_root=str(data), out=str(out), name="run", epochs=EPOCHS, batch_size=4, input_size=32, workers=0,
                        clips_per_epoch=20, val_every=2, quiet=True, device="cpu", val_fraction=0.25, resume="auto",
                        checkpoint_every=1)
    return dataclasses.replace(small, **changes)


@pytest.fixture(scope="module")
def straight(data, tmp_path_factory):
    """The folder of a run that was left alone, saving at epochs' ends only."""
    out = tmp_path_factory.mktemp("straight")
    assert run_child(train_child, recipe(data, out, resume="", checkpoint_every=0)) == 0
    return out / "run"


def same(first, second, at=""):
    """Raise where two nested values differ, apart from times."""
    assert type(first) is type(second), at
    if isinstance(first, dict):
        assert first.keys() == second.keys(), at
        for name in first:
            if name not in TIMES:
                same(first[name], second[name], f"{at}/{name}")
    elif isinstance(first, (list, tuple)):
        assert len(first) == len(second), at
        for i, pair in enumerate(zip(first, second, strict=True)):
            same(*pair, f"{at}/{i}")
    elif isinstance(first, torch.Tensor):
        assert first.dtype == second.dtype and torch.equal(first, second), at
    else:
        assert first == second or first != first and second != second, f"{at}: {first} and {second}"


def same_run(folder, expected):
    """Weights, averages, optimiser, schedule, random states, history and logs of two runs agree to the bit."""
    for name in ("last.pt", "best.pt"):
        ours, theirs = (load_checkpoint(path / name) for path in (folder, expected))
        for content in (ours, theirs):
            del content["config"]
        same(ours, theirs, name)
    rows, others = ([json.loads(line) for line in (path / "log.jsonl").read_text().splitlines()]
                    for path in (folder, expected))
    assert [row["epoch"] for row in rows[1:]] == list(range(1, EPOCHS + 1))
    same(rows[1:], others[1:], "log")
    assert not list(folder.glob(".*.tmp"))


def test_twenty_kills_in_a_row_lose_nothing(data, straight, tmp_path):
    draw = random.Random(0)
    places = ["step"] * 5 + ["writing"] * 3 + ["renaming"] * 2 + ["before saving"] * 2
    survived = []
    for number in range(KILLS):
        fault, count = draw.choice(places), draw.randint(1, 4)
        if number in (7, 12):
            fault = ("after logging", "validating")[number == 12]
        status = run_child(train_child, recipe(data, tmp_path, checkpoint_every=draw.choice((1, 1, 2))), fault, count)
        assert status == -signal.SIGKILL, f"kill {number} ({fault}, {count}) ended with {status}: {message(tmp_path)}"
        found = [load_checkpoint(tmp_path / "run" / name)["progress"] for name in KEPT
                 if (tmp_path / "run" / name).exists()]
        survived.append(max((progress["epoch"], progress["step"]) for progress in found) if found else (0, 0))
    assert survived == sorted(survived) and survived[-1] > (2, 0)  # never back behind what was saved
    assert run_child(train_child, recipe(data, tmp_path)) == 0
    same_run(tmp_path / "run", straight)
    assert len((tmp_path / "run/command.txt").read_text().splitlines()) == KILLS + 1


@pytest.mark.parametrize(("fault", "number", "workers"), [
    ("SIGTERM", signal.SIGTERM, 2), ("Ctrl-C", signal.SIGINT, 2), ("SIGTERM", signal.SIGTERM, 0)])
def test_signals_save_before_leaving(data, straight, tmp_path, fault, number, workers):
    config = recipe(data, tmp_path, checkpoint_every=0, workers=workers)
    assert run_child(train_child, config, fault, 8) == 128 + number
    assert fault in message(tmp_path) and "--resume auto" in message(tmp_path)
    progress = load_checkpoint(tmp_path / "run/last.pt")["progress"]
    assert (progress["epoch"], progress["step"]) == (1, 3)  # the step in which it came
    assert run_child(train_child, config) == 0
    same_run(tmp_path / "run", straight)


def test_a_full_disk_keeps_what_was_saved(data, straight, tmp_path):
    assert run_child(train_child, recipe(data, tmp_path), "disk full", 7) == 2
    assert "last.pt: cannot be saved (File too large)" in message(tmp_path)
    assert load_checkpoint(tmp_path / "run/last.pt")["progress"]["step"] == 1
    assert run_child(train_child, recipe(data, tmp_path)) == 0
    same_run(tmp_path / "run", straight)
