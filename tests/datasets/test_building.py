"""Datasets come into being whole, and what killed commands leave is removed by nobody but us."""

import os
import subprocess
import sys

import pytest
from scripts import ROOT

from utils.datasets.building import MARK, build_folder, is_partial
from utils.datasets.layouts import check_root
from utils.system.errors import UserError
from utils.system.notices import warnings_given


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.parametrize("there", [False, True])
def test_a_new_or_empty_folder_appears_as_a_whole(tmp_path, there):
    out = tmp_path / "set"
    if there:
        out.mkdir()
    with build_folder(out) as work:
        assert is_partial(work) and work.parent == tmp_path and not (there and any(out.iterdir()))
        (work / "images").mkdir()
        (work / "images/0.png").touch()
    assert names(tmp_path) == ["set", "set/images", "set/images/0.png"]
    assert not warnings_given()


def test_a_failure_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), build_folder(tmp_path / "set") as work:
        (work / "0.png").touch()
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_a_link_to_an_empty_folder_stays_one(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "set").symlink_to("disk")
    with build_folder(tmp_path / "set") as work:
        (work / "train.txt").touch()
    assert (tmp_path / "set").is_symlink() and names(tmp_path) == ["disk", "disk/train.txt", "set"]


def test_merging_adds_and_replaces_files_and_keeps_others(tmp_path):
    (tmp_path / "set/masks/a").mkdir(parents=True)
    for name in ("a/0.png", "a/1.png"):
        (tmp_path / "set/masks" / name).write_text("old")
    with build_folder(tmp_path / "set", merge=True) as work:
        assert work.parent == tmp_path / "set"
        for name in ("masks/a/1.png", "masks/b/0.png", "train.txt"):
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_text("new")
        assert (tmp_path / "set/masks/a/1.png").read_text() == "old"
    found = {name: (tmp_path / "set" / name).read_text() for name in names(tmp_path / "set") if "." in name}
    assert found == {"masks/a/0.png": "old", "masks/a/1.png": "new", "masks/b/0.png": "new", "train.txt": "new"}


BUILD = """
import sys, time
from utils.datasets.building import build_folder
with build_folder(sys.argv[1], merge=len(sys.argv) > 2) as work:
    (work / "half").write_text("")
    print(work, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("more", [[], ["merge"]])
def test_what_a_killed_process_left_is_refused_as_a_dataset_and_removed_by_the_next_one(tmp_path, more):
    out = tmp_path / "set"
    if more:
        out.mkdir()
    child = subprocess.Popen([sys.executable, "-c", BUILD, out, *more], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    work = child.stdout.readline().strip()
    with build_folder(out, merge=bool(more)):
        pass  # the other one is still running
    assert os.path.isdir(work) and "it is left alone" in warnings_given()[0]
    child.kill()
    child.wait()
    child.stdout.close()
    (tmp_path / "images").mkdir()
    with pytest.raises(UserError, match="unfinished dataset"):
        check_root(work)
    with build_folder(out, merge=True):
        pass
    assert not os.path.exists(work) and "is removed" in warnings_given()[1]
    assert names(out) == []


@pytest.mark.parametrize("text", [None, "mine\n", "an unfinished dataset, being built by process x on y\n"])
def test_folders_that_others_made_are_left_alone(tmp_path, text):
    other = tmp_path / "set.partial-12"
    other.mkdir()
    (other / "precious").touch()
    (tmp_path / "set.partial-13").mkdir()  # nothing is lost with this one
    if text:
        (other / MARK).write_text(text)
    with build_folder(tmp_path / "set"):
        pass
    assert (other / "precious").exists() and not is_partial(other)
    assert len(warnings_given()) == 2
    assert "it is left alone" in warnings_given()[0] and "set.partial-13: what" in warnings_given()[1]


def test_names_that_are_patterns_match_themselves_alone(tmp_path):
    (tmp_path / "setX.partial-1").mkdir()
    with build_folder(tmp_path / "set[X]*"):
        pass
    assert not warnings_given() and (tmp_path / "set[X]*").is_dir()
