"""Two trainings of one name: the second one ends, and leaves the first one's files alone."""

import contextlib
import errno
import os
import signal
import socket
import sys
import time

import pytest
from children import message, run_child, start_child, train_child
from moving import small_recipe, write_dataset

from utils.datasets.dataset import open_dataset
from utils.predictor.checkpoint import load_checkpoint
from utils.system import lock
from utils.system.lock import LOCK_FILE
from utils.training.launch import launch
from utils.training.recipes import SEGMENTATION_FIRST
from utils.training.resume import EARLIER_FOLDER
from utils.training.trainer import train


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data") / "made")


def recipe(data, out, **changes):
    often = {"epochs": 1, "batch_size": 2, "clips_per_epoch": 8, "checkpoint_every": 1}
    return small_recipe(data, out, **(often | changes))


@pytest.fixture
def first(data, tmp_path):
    """A training with a loader process, which has saved two steps and waits inside the third."""
    child = start_child(train_child, recipe(data, tmp_path, workers=1), "never going on", 3)
    until = time.monotonic() + 120
    while not all((tmp_path / "run" / name).exists() for name in ("last-1.pt", "last.pt")):
        assert child.is_alive() and time.monotonic() < until, message(tmp_path)
        time.sleep(0.05)
    yield child
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.join()


def _launch(data, out, resume, errors):
    """What `train_NUDT.py` does."""
    sys.argv = ["train_NUDT.py", "--data-root", str(data), "--out", str(out), "--name", "run", "--device", "cpu"]
    sys.argv += ["--resume", resume] if resume else []
    with open(errors, "w") as file, contextlib.redirect_stderr(file):
        launch(SEGMENTATION_FIRST, "A training script.")


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_second_training_of_one_name_ends_before_it_touches_a_file(data, tmp_path, first):
    before = contents(tmp_path / "run")
    for resume in ("", "auto", str(tmp_path / "run/last.pt")):
        assert run_child(_launch, data, tmp_path, resume, tmp_path / "errors") == 2
        assert (tmp_path / "errors").read_text() == (
            f"error: found another training that writes to {tmp_path / 'run'} (process {first.pid} on "
            f"{socket.gethostname()}), expected one at a time; give another --name or wait\n"
        )
        assert contents(tmp_path / "run") == before and not (tmp_path / "run" / EARLIER_FOLDER).exists()
    assert first.is_alive()


def test_after_kill_9_the_next_training_begins_at_once(data, tmp_path, first):
    os.kill(first.pid, signal.SIGKILL)  # its loader process lives on for seconds
    first.join()
    assert run_child(train_child, recipe(data, tmp_path, resume="auto")) == 0, message(tmp_path)
    assert load_checkpoint(tmp_path / "run/last.pt")["progress"]["epoch"] == 1
    assert len((tmp_path / "run/command.txt").read_text().splitlines()) == 2


def test_the_lock_file_stays_where_it_is_when_an_earlier_run_is_moved_aside(data, tmp_path):
    for seed in (1, 2):
        train(recipe(data, tmp_path, seed=seed, clips_per_epoch=2), open_dataset(data, "train"))
    assert (tmp_path / "run" / LOCK_FILE).exists() and (tmp_path / "run" / EARLIER_FOLDER / "last.pt").exists()
    assert not (tmp_path / "run" / EARLIER_FOLDER / LOCK_FILE).exists()


def test_on_a_drive_without_locks_training_goes_on_with_a_warning(data, tmp_path, monkeypatch, capsys):
    def fail(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(lock.fcntl, "flock", fail)
    train(recipe(data, tmp_path, clips_per_epoch=2), open_dataset(data, "train"))
    said = capsys.readouterr()
    assert "files there cannot be locked (No locks available)" in said.err and "best epoch 1" in said.out
