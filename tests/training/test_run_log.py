"""The log of a run, read back."""

import json
import os

import pytest

from utils.system.errors import UserError
from utils.training.config import TrainConfig
from utils.training.run_log import EpochFigures, RunLog, read_log

ABOUT = {"git": "abc", "config": {"model": "acm"}}


def write_log(tmp_path, *lines):
    path = tmp_path / "log.jsonl"
    path.write_text("".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    return path


def test_an_epochs_line_has_its_keys_in_their_order_and_leaves_out_what_there_is_not():
    figures = EpochFigures(3, {"loss": 2.0, "bce": 1.5}, 12, 30.5, 0.25, 1e-3, elapsed_s=7.5)
    row = {
        "epoch": 3,
        "loss": 2.0,
        "bce": 1.5,
        "clips": 12,
        "clips_per_s": 30.5,
        "data_s": 0.25,
        "lr": 1e-3,
        "elapsed_s": 7.5,
    }
    assert json.dumps(figures.as_dict()) == json.dumps(row)
    figures.skipped, figures.val = 1, {"pd": 0.5}
    del row["lr"], row["elapsed_s"]
    row |= {"skipped": 1, "lr": 1e-3, "val": {"pd": 0.5}, "elapsed_s": 7.5}
    assert json.dumps(figures.as_dict()) == json.dumps(row)


def test_what_began_a_run_and_its_epochs_are_told_apart(tmp_path):
    path = write_log(tmp_path, ABOUT, {"epoch": 1, "loss": 3}, {"note": 1}, {"epoch": 2, "loss": 2})
    assert read_log(path) == (ABOUT, [{"epoch": 1, "loss": 3}, {"epoch": 2, "loss": 2}])
    assert read_log(write_log(tmp_path)) == ({}, [])


def test_of_an_epoch_that_was_logged_twice_the_later_row_counts(tmp_path):
    path = write_log(tmp_path, {"epoch": 1}, {"epoch": 3}, {"epoch": 2, "loss": 3}, {"epoch": 2, "loss": 2})
    assert read_log(path)[1] == [{"epoch": 1}, {"epoch": 2, "loss": 2}, {"epoch": 3}]


@pytest.mark.parametrize("tolerant", [False, True])
def test_a_last_line_that_was_cut_off_is_left_out(tmp_path, tolerant):
    path = write_log(tmp_path, ABOUT, {"epoch": 1}, '{"epoch": 2, "lo')
    assert read_log(path, tolerant) == (ABOUT, [{"epoch": 1}])


ODD_ROWS = ["[1]", "1e999", '{"config": 3}', '{"epoch": 2, "val": 7}', '{"epoch": 2, "val": [1]}', '{"warnings": 1}']


@pytest.mark.parametrize(
    "line, text",
    [
        ("not json", "line 3: not json; expected the log of a training run"),
        *((line, "line 3: expected an object, as a training run writes") for line in ODD_ROWS),
        ("[" * 100_000, "line 3: not json"),
    ],
)
def test_another_broken_line_is_an_error_and_ends_the_log_of_a_run_that_goes_on(tmp_path, line, text):
    path = write_log(tmp_path, ABOUT, {"epoch": 1}, line, {"epoch": 2})
    with pytest.raises(UserError, match=f"log.jsonl: {text}"):
        read_log(path)
    assert read_log(path, tolerant=True) == (ABOUT, [{"epoch": 1}])


def test_a_log_that_is_not_there_is_empty_for_a_run_that_goes_on(tmp_path):
    assert read_log(tmp_path / "log.jsonl", tolerant=True) == ({}, [])
    with pytest.raises(UserError, match="cannot be read"):
        read_log(tmp_path / "log.jsonl")


def test_a_folder_without_letters_has_no_events_and_a_warning(tmp_path, monkeypatch, curves):
    said = []
    monkeypatch.setattr("utils.training.run_log.warn", said.append)
    log = RunLog(TrainConfig(out=str(tmp_path), name=os.fsdecode(b"\xe4")))
    log.record(EpochFigures(1, {"loss": 0.5}, 2, 1.0, 0.0, 0.1))
    log.close()
    assert len(said) == 1 and "which TensorBoard does not take" in said[0]
    assert len(read_log(log.path)[1]) == 1 and (log.folder / "curves.png").exists()
