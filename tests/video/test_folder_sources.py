"""Folders as sources: links, what is left out, and names of digits."""

from trees import picture, touch, write

from utils.system.notices import warnings_given
from utils.video.live import is_live
from utils.video.sources import open_sources


def test_what_lies_beside_frames_is_left_out_with_a_line(tmp_path):
    for name in ("0.png", "1.png", "masks/0.png", "masks/1.png"):
        write(tmp_path / name, picture())
    touch(tmp_path, ["clip.mp4", "raw.dat", "notes.txt", "._0.png", "Thumbs.db", "masks/.DS_Store"])
    (source,) = open_sources(tmp_path)
    assert source.length == 2
    (line,) = warnings_given()
    assert ": 2 .png, 1 .mp4, 1 .dat; the first" in line


def test_linked_sequences_are_sources_and_each_folder_is_one(tmp_path):
    write(tmp_path / "disk/b/0.png", picture())
    write(tmp_path / "set/a/0.png", picture())
    for name in "bc":
        (tmp_path / "set" / name).symlink_to(tmp_path / "disk/b")
    (tmp_path / "set/round").symlink_to(tmp_path)
    assert [source.name for source in open_sources(tmp_path / "set")] == ["a", "b"]
    assert "(the first of 2 such links)" in warnings_given()[0]


def test_a_folder_called_by_a_number_is_no_camera(tmp_path, monkeypatch):
    write(tmp_path / "7/0.png", picture())
    monkeypatch.chdir(tmp_path)
    assert not is_live("7") and is_live("8") and is_live("rtsp://camera")
    assert [source.name for source in open_sources("7")] == ["7"]
