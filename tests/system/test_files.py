"""Files that are there as a whole or not at all, and what is said where they cannot be written."""

import errno
import os
import pickle
import stat

import numpy as np
import pytest

from utils.datasets.coco import write_coco
from utils.predictor.checkpoint import save_checkpoint
from utils.predictor.prediction import from_boxes
from utils.render.contact_sheet import Tile, draw_sheet
from utils.render.curves import plot_runs
from utils.render.overlay import draw
from utils.system.errors import UserError, WriteError
from utils.system.files import GrowingFile, as_utf8, atomic_write, whole_file, write_json, write_rows, writing
from utils.video.sources import open_sources
from utils.video.writers import VideoWriter


@pytest.mark.parametrize("lasting", [True, False])
def test_a_file_is_replaced_as_a_whole_or_stays(tmp_path, lasting):
    path = tmp_path / "below" / "a.txt"
    for text, broken in ((b"first", False), (b"second", True), (b"third", False)):
        try:
            with atomic_write(path, lasting=lasting) as file:
                file.write(text)
                if broken:
                    raise OSError(errno.ENOSPC, "full")
        except OSError:
            assert broken and path.read_bytes() == b"first"
        assert [item.name for item in path.parent.iterdir()] == ["a.txt"]
    assert path.read_bytes() == b"third"


def recorded(monkeypatch, refused=None):
    """What reaches the disk itself in which order: contents of files, names of folders, and renames."""
    done, replace = [], os.replace

    def fsync(descriptor):
        folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        if folder and refused:
            raise OSError(refused, os.strerror(refused))
        done.append("folder" if folder else f"{os.fstat(descriptor).st_size} bytes")

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", lambda *paths: done.append("rename") or replace(*paths))
    return done


@pytest.mark.parametrize("write", [atomic_write, whole_file])
def test_a_file_is_on_the_disk_before_it_gets_its_name_and_the_name_thereafter(tmp_path, monkeypatch, write):
    done = recorded(monkeypatch)
    with write(tmp_path / "a") as file:
        file.write(b"12345")
    assert done == ["5 bytes", "rename", "folder"]
    done.clear()
    with write(tmp_path / "a", lasting=False) as file:
        file.write(b"12345")
    assert done == ["rename"]


def test_results_and_checkpoints_outlive_a_power_cut(tmp_path, monkeypatch):
    done = recorded(monkeypatch)
    write_json(tmp_path / "a", {})
    write_rows(tmp_path / "b", {})
    write_coco(tmp_path / "c", {})
    save_checkpoint(tmp_path / "d", {})
    assert [item for item in done if not item.endswith("bytes")] == ["rename", "folder"] * 4
    assert [item for item in done if item.endswith("bytes")] == [
        f"{(tmp_path / name).stat().st_size} bytes" for name in "abcd"
    ]


def test_folders_that_cannot_be_flushed_are_no_error(tmp_path, monkeypatch):
    recorded(monkeypatch, errno.EINVAL)
    write_json(tmp_path / "a", {})
    recorded(monkeypatch, errno.EIO)
    with pytest.raises(WriteError, match="Input/output error"):
        write_json(tmp_path / "a", {})


def test_the_outermost_says_what_could_not_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(WriteError) as error, writing("results", "do this"), whole_file(tmp_path / "file" / "a.txt"):
        pass
    assert str(error.value) == "results: cannot be written (File exists); do this"
    copy = pickle.loads(pickle.dumps(error.value))  # as it comes from a process that helps
    assert (str(copy), copy.path, copy.reason) == (str(error.value), "results", "File exists")


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_file_that_grows_takes_the_place_of_a_link_and_leaves_the_other_file(tmp_path, link):
    (tmp_path / "other").write_bytes(b"data")
    link(tmp_path / "other", tmp_path / "a")
    file = GrowingFile(tmp_path / "a")
    file.write(b"new")
    file.close()
    assert (tmp_path / "other").read_bytes() == b"data" and (tmp_path / "a").read_bytes() == b"new"


def test_what_cannot_be_written_is_named_with_the_reason_and_what_to_do(tmp_path):
    (tmp_path / "file").write_text("x")
    with (
        pytest.raises(UserError) as error,
        writing("results", "give another --out"),
        atomic_write(tmp_path / "file" / "a.txt"),
    ):
        pass
    assert str(error.value) == "results: cannot be written (File exists); give another --out"
    with (
        pytest.raises(UserError, match=r"^a: cannot be written \(why\); check the space left and the permissions"),
        writing("a"),
    ):
        raise OSError("why")


def test_libraries_get_names_in_utf8_and_no_others(tmp_path):
    assert as_utf8(tmp_path / "é") == str(tmp_path / "é")
    with pytest.raises(UserError, match="a name that is no UTF-8.*rename it"):
        as_utf8(os.fsdecode(bytes(tmp_path) + b"/\xff.mp4"))


def test_names_without_letters_crash_nothing(tmp_path):
    """OpenCV ends the process with such texts and paths."""
    odd = os.fsdecode(b"\xe4\xff")
    picture = draw(np.zeros((48, 64), np.uint8), from_boxes(0, np.zeros((0, 6), np.float32), (48, 64), 0.5), title=odd)
    assert picture.any()
    assert draw_sheet([Tile(np.zeros((165, 165, 3), np.uint8), (odd, "x"))], "title").any()
    plot_runs({"loss": {odd: ([1, 2], [0.5, 0.25])}}, tmp_path / "a.png")
    folder = tmp_path / odd
    folder.mkdir()
    (folder / "a.mp4").write_bytes(b"x")
    for action in (lambda: open_sources(folder / "a.mp4"), lambda: VideoWriter(folder / "b.mp4", 5)):
        with pytest.raises(UserError, match="UTF-8|not a readable video"):
            action()
