"""`python -m utils.log`: a table of runs and their curves."""

import json
import subprocess
import sys

import cv2
import pytest
from scripts import ROOT

from utils.log import compare, main, read_run
from utils.system.errors import UserError


def write_run(folder, epochs, model="tsmsa", planned=3, **figures):
    folder.mkdir(parents=True)
    rows = [{"git": "abc", "config": {"model": model, "epochs": planned}}]
    for i, iou in enumerate(epochs, 1):
        val = {"iou": iou, "pd": iou / 2, "fa": None, "threshold": 0.25} if iou is not None else None
        rows.append({"epoch": i, "loss": 1 / i, "elapsed_s": 60 * i, **({"val": val} if val else {}), **figures})
    (folder / "log.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    return folder


def test_the_table_and_the_picture(tmp_path):
    write_run(tmp_path / "runs/a", [0.1, 0.4, 0.3])
    write_run(tmp_path / "runs/b", [None, 0.25], model="unet")
    (tmp_path / "runs/empty").mkdir()
    text = compare([str(path) for path in sorted((tmp_path / "runs").iterdir())])
    head, a, b, last = text.splitlines()
    assert head.split() == ["model", "epochs", "best", "loss", "Pd", "IoU", "threshold", "minutes", "commit"]
    assert a.split() == ["a", "tsmsa", "3/3", "2", "0.3333", "0.2000", "0.4000", "0.25", "3.0", "abc"]
    assert b.split() == ["b", "unet", "2/3", "2", "0.5", "0.1250", "0.2500", "0.25", "2.0", "abc"]
    assert last == f"curves in {tmp_path / 'runs/comparison.png'}"
    assert cv2.imread(str(tmp_path / "runs/comparison.png")) is not None


def test_curves_hold_what_was_logged(tmp_path):
    run = read_run(write_run(tmp_path / "a", [None, 0.4, None, 0.2]))
    assert run.curve("iou") == ([2, 4], [0.4, 0.2]) and run.curve("loss") == ([1, 2, 3, 4], [1, 1 / 2, 1 / 3, 1 / 4])
    assert run.curve("fa") == ([], [])


def test_a_log_cut_off_and_one_that_was_resumed(tmp_path):
    folder = write_run(tmp_path / "a", [0.1, 0.2])
    with open(folder / "log.jsonl", "a") as file:
        file.write('{"epoch": 2, "loss": 9.0}\n{"epoch": 3, "lo')
    run = read_run(folder)
    assert [row["epoch"] for row in run.rows] == [1, 2] and run.rows[-1]["loss"] == 9


def test_two_runs_of_one_name(tmp_path):
    paths = [str(write_run(tmp_path / top / "same", [0.1])) for top in ("x", "y")]
    rows = [line.split()[0] for line in compare(paths, str(tmp_path / "c.png")).splitlines()[1:3]]
    assert rows == ["same", paths[1]]


def test_mistakes(tmp_path):
    with pytest.raises(UserError, match="found no log.jsonl, expected the folder of a training run"):
        main([str(tmp_path)])
    (tmp_path / "log.jsonl").write_text("not json\n{}\n")
    with pytest.raises(UserError, match="line 1: not json"):
        main([str(tmp_path)])


def test_the_command(tmp_path):
    write_run(tmp_path / "a", [0.5])
    done = subprocess.run(
        [sys.executable, "-m", "utils.log", str(tmp_path / "a"), str(tmp_path / "none")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "0.5000" in done.stdout and (tmp_path / "comparison.png").exists(), done.stderr


def test_a_log_may_have_any_name_and_has_to_hold_something(tmp_path):
    log = (write_run(tmp_path / "a", [0.1]) / "log.jsonl").rename(tmp_path / "a" / "kept.jsonl")
    assert "tsmsa" in compare([str(log)], str(tmp_path / "c.png"))
    for text in ("", "{}", '{"epoch": "one"}'):
        log.write_text(text)
        with pytest.raises(UserError, match="kept.jsonl: found nothing in it that a training run writes"):
            compare([str(log)], str(tmp_path / "c.png"))


def test_figures_that_are_no_numbers_are_not_known(tmp_path):
    odd = {"config": {"epochs": [], "model": None}}, {"epoch": 1, "loss": 10**400, "val": {"iou": "x", "pd": {}}}
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in odd))
    assert read_run(tmp_path).figures()["epochs"] == "1/[]"
    assert compare([str(tmp_path)], str(tmp_path / "c.png"))
