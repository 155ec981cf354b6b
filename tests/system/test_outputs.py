"""Where results may go: nowhere among what is read, and over nothing that the command has not made."""

import os

import pytest

from utils.system.errors import UserError
from utils.system.outputs import (
    RECORD_FILE,
    OutputFolder,
    adopt_earlier,
    plain_folder,
    require_apart,
    require_new_or_own,
)


def touch(path, content=b""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture
def world(tmp_path):
    """`data` with images of its own, in folders that are links, and as links; `raw`, `pool`, weights, and a link."""
    touch(tmp_path / "data/images/a/0.png")
    touch(tmp_path / "raw/frames/0.png")
    touch(tmp_path / "pool/kept/0.png")
    touch(tmp_path / "labels/train.json")
    touch(tmp_path / "runs/a/best.pt")
    (tmp_path / "data/images/b").symlink_to(tmp_path / "raw/frames")
    (tmp_path / "data/images/a/1.png").symlink_to("../../../pool/kept/0.png")
    (tmp_path / "data/annotations").symlink_to(tmp_path / "labels")
    (tmp_path / "data/images/circle").symlink_to(tmp_path / "data")
    (tmp_path / "link").symlink_to(tmp_path / "data")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked/best.pt").symlink_to(tmp_path / "runs/a/best.pt")
    (tmp_path / "empty").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("out", "how"),
    [
        ("data", "is"),
        ("data/images", "lies in"),
        ("data/new/deep", "lies in"),
        ("", "holds"),
        ("link", "is"),
        ("link/images/../new", "lies in"),
        ("empty/../data", "is"),
        ("raw/frames", "is"),
        ("raw/frames/new", "lies in"),
        ("raw", "holds"),
        ("data/images/b/new", "lies in"),
        ("pool/kept", "holds"),
        ("pool", "holds"),
        ("labels", "is"),
        ("runs/a", "holds"),
        ("runs", "holds"),
        ("linked", "holds"),
    ],
)
def test_a_folder_that_is_holds_or_lies_in_what_is_read_is_refused(world, out, how):
    with pytest.raises(UserError, match=f"^--out: found .*, which {how} what is read .*; give another --out$"):
        require_apart(world / out, [world / "data", world / "linked/best.pt"])


@pytest.mark.parametrize("out", ["empty", "new", "runs/a/test", "runs/b", "pool/kept/new", "data2", "dat", "raw/other"])
def test_a_folder_apart_is_taken(world, out):
    require_apart(world / out, [world / "data", world / "runs/a/best.pt", "rtsp://camera/live", "0", world / "none"])
    assert not (world / "new").exists()


def test_relative_paths_are_what_they_are_from_here(world, monkeypatch):
    monkeypatch.chdir(world / "data")
    for out, read in (("runs", "."), (".", "../data"), ("..", "images")):
        with pytest.raises(UserError):
            require_apart(out, [read])
    require_apart("../empty", ["."])


def test_letter_case_is_left_to_the_disk(world, monkeypatch):
    """Another spelling may be the same folder: what counts is which one the disk opens."""
    real = os.stat

    def stat(path, *more, **keywords):
        text = os.fspath(path) if not isinstance(path, int) else path
        return real(text.replace("/DATA", "/data") if isinstance(text, str) else text, *more, **keywords)

    monkeypatch.setattr(os, "stat", stat)
    for out in ("DATA", "DATA/images"):
        with pytest.raises(UserError):
            require_apart(world / out, [world / "data"])


# --- single files ----------------------------------------------------------------------------------------------------


def test_a_single_file_may_lie_beside_data_but_not_in_it(world):
    require_new_or_own(world / "report.html", b"mark", [world / "data"])
    for path in ("data/report.html", "raw/frames/report.html", "link/x.html"):
        with pytest.raises(UserError, match="lies in what is read"):
            require_new_or_own(world / path, b"mark", [world / "data"])


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_single_file_is_none_that_is_read_by_whatever_name(world, link):
    weights = touch(world / "runs/a/best.pt", b"mark")
    link(weights, world / "best.onnx")
    for path in (weights, world / "best.onnx"):
        with pytest.raises(UserError, match="is what is read"):
            require_new_or_own(path, b"mark", [weights])


def test_a_single_file_replaces_only_what_has_the_mark(world):
    path = touch(world / "x.html", b"<html>made with the mark")
    require_new_or_own(path, b"the mark", [])
    for content in (b"", b"the mar", b"photographs"):
        touch(path, content)
        with pytest.raises(UserError, match="this command has not made"):
            require_new_or_own(path, b"the mark", [])
    (world / "dangling").symlink_to(world / "none")
    for other in (world / "dangling", world / "empty"):
        with pytest.raises(UserError, match="this command has not made"):
            require_new_or_own(other, b"the mark", [])


# --- folders of results ----------------------------------------------------------------------------------------------


def test_a_command_writes_over_its_own_files_again_and_again(tmp_path):
    for _ in range(3):
        outputs = OutputFolder(tmp_path / "out", "test.py")
        outputs.claim("metrics.json", "masks/a/0.png")
        touch(outputs.path("masks/a/0.png"), b"mask")
    assert (tmp_path / "out" / RECORD_FILE).read_text().splitlines() == [
        '["test.py", "metrics.json"]',
        '["test.py", "masks/a/0.png"]',
    ]


def test_what_a_killed_command_has_left_is_its_own(tmp_path):
    touch(OutputFolder(tmp_path, "test.py").path("masks/a/0.png"))
    record = tmp_path / RECORD_FILE
    record.write_bytes(record.read_bytes() + b'["test.py", "mas')  # cut off
    outputs = OutputFolder(tmp_path, "test.py")
    outputs.claim("masks/a/0.png", "masks/a/1.png")
    touch(tmp_path / "masks/a/1.png")
    OutputFolder(tmp_path, "test.py").claim("masks/a/0.png", "masks/a/1.png")


@pytest.mark.parametrize("kind", ["file", "folder", "link", "dangling link"])
def test_what_others_have_made_stays(tmp_path, kind):
    path = tmp_path / "masks/a/1.png"
    touch(path.parent / "other", b"by hand")
    if kind == "file":
        touch(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("other" if kind == "link" else "none")
    outputs = OutputFolder(tmp_path, "test.py")
    with pytest.raises(UserError, match="1.png: found something there already, and test.py writes over nothing that"):
        outputs.claim("masks/a/0.png", "masks/a/1.png")
    assert not (tmp_path / RECORD_FILE).exists() and (path.parent / "other").read_bytes() == b"by hand"
    outputs.claim("masks/a/0.png")


def test_results_of_another_command_stay(tmp_path):
    touch(OutputFolder(tmp_path, "vid_map_coco.py").path("metrics.json"))
    with pytest.raises(UserError, match="found what vid_map_coco.py has written, and test.py writes over nothing"):
        OutputFolder(tmp_path, "test.py").claim("metrics.json")
    (tmp_path / "metrics.json").unlink()
    OutputFolder(tmp_path, "test.py").claim("metrics.json")
    with pytest.raises(UserError, match="found what test.py has written"):
        touch(tmp_path / "metrics.json")
        OutputFolder(tmp_path, "vid_map_coco.py").claim("metrics.json")


def test_no_link_leads_results_out_of_their_folder(tmp_path):
    touch(tmp_path / "data/masks/a/0.png", b"truth")
    out = tmp_path / "out"
    OutputFolder(out, "test.py").claim("masks/a/0.png")
    (out / "masks").symlink_to(tmp_path / "data/masks")
    with pytest.raises(UserError, match="masks: found a link, expected a folder for results"):
        OutputFolder(out, "test.py").claim("masks/a/0.png")
    (out / "x").mkdir()
    (out / "x/y").symlink_to(tmp_path / "data")
    with pytest.raises(UserError, match="y: found a link"):
        plain_folder(out, "x/y/z")
    assert plain_folder(out, "x/z") == out / "x/z" and plain_folder(out, "") == out


def test_the_record_itself_is_no_link(tmp_path):
    touch(tmp_path / "notes", b"mine\n")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / RECORD_FILE).symlink_to(tmp_path / "notes")
    with pytest.raises(UserError, match="cannot be written"):
        OutputFolder(tmp_path / "out", "test.py").claim("a")
    assert (tmp_path / "notes").read_bytes() == b"mine\n"


def test_results_of_earlier_versions_are_known_by_what_is_in_them(tmp_path):
    names = ("metrics.json", "pd_fa.png")
    for content in (b'{"accuracy": 1}', b'{"counting_seconds": 1}'):
        touch(tmp_path / "metrics.json", content)
        assert adopt_earlier(tmp_path, "metrics.json", b'"counting_seconds"', names) == (
            names if b"counting" in content else ()
        )
    OutputFolder(tmp_path, "test.py", names).claim(*names, "masks/0.png")
    assert adopt_earlier(tmp_path, "metrics.json", b'"counting_seconds"', names) == ()
    OutputFolder(tmp_path, "test.py").claim(*names)
