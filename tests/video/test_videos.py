"""Videos: what they are in the end, and what is left of them by full disks and kills."""

import os
import resource
import signal

import pytest
from films import call, film, look, picture

from utils.system.errors import UserError
from utils.video import mp4
from utils.video.writers import VideoWriter

# --- videos that end well --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fps", [25, 30000 / 1001, 23.976, 0.5, 0.1, 999])
def test_an_ordinary_mp4_of_the_rate_given(tmp_path, fps):
    found, announced, frames = look(film(tmp_path / "v.mp4", 30, fps))
    assert found == pytest.approx(fps, rel=1e-6) and announced == len(frames) == 30
    for number, frame in enumerate(frames):
        assert frame.shape == (48, 64) and abs(frame.mean() - picture(number).mean()) < 2
    data = (tmp_path / "v.mp4").read_bytes()
    assert b"moof" not in data and 0 < data.index(b"moov") < data.index(b"mdat")  # one piece, its index in front
    assert [path.name for path in tmp_path.iterdir()] == ["v.mp4"]


def test_there_is_room_for_the_index_of_long_films(tmp_path):
    for fps in (0.5, 25):  # nothing but key frames, hardly any
        assert look(film(tmp_path / f"{fps}.mp4", 600, fps, (16, 16)))[1] == 600


def test_another_encoder_where_h264_is_missing(tmp_path, monkeypatch):
    monkeypatch.setattr(mp4, "ENCODERS", mp4.ENCODERS[1:])
    for fps in (25, 119.88, 30000 / 1001):
        found, _, frames = look(film(tmp_path / "v.mp4", 12, fps))
        assert found == pytest.approx(fps, rel=1e-4) and len(frames) == 12
        assert all(abs(frame.mean() - picture(number).mean()) < 2 for number, frame in enumerate(frames))


def test_pictures_that_change_their_size(tmp_path):
    with VideoWriter(tmp_path / "v.mp4", 25) as writer:
        for number, shape in enumerate([(33, 41), (33, 41), (80, 40), (20, 60), (10, 10)]):
            writer.write(picture(number, shape))
    _, _, frames = look(tmp_path / "v.mp4")
    assert len(frames) == 5 and {frame.shape for frame in frames} == {(34, 42)}


# --- videos that do not ----------------------------------------------------------------------------------------------


def killed(path):
    writer = VideoWriter(path, 25)
    for number in range(70):
        writer.write(picture(number))
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_process_leaves_what_it_wrote(tmp_path):
    done = call(killed, tmp_path / "v.mp4")
    assert done.returncode == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == ["v.part.mp4"]
    fps, _, frames = look(tmp_path / "v.part.mp4")
    assert fps == 25 and 68 <= len(frames) <= 70
    assert abs(frames[65].mean() - picture(65).mean()) < 2


def long_film(path):
    film(path, 30)


@pytest.mark.parametrize("share", [0.01, 0.4, 0.8])
def test_a_full_disk_leaves_the_frames_before(tmp_path, share):
    limit = int(share * film(tmp_path / "whole.mp4", 30).stat().st_size)
    (tmp_path / "v.mp4").write_bytes(b"an earlier one")
    done = call(long_film, tmp_path / "v.mp4", limit)
    assert done.stderr == "" and f"{tmp_path / 'v.mp4'}: cannot be written to its end (File too large)" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["v.mp4", "whole.mp4"]
    if share == 0.01:  # not even the head of the file
        assert "kept" not in done.stdout and (tmp_path / "v.mp4").read_bytes() == b"an earlier one"
        return
    _, _, frames = look(tmp_path / "v.mp4")
    assert 0 < len(frames) < 30 and f"its first {len(frames)} frames are kept" in done.stdout
    assert all(abs(frame.mean() - picture(number).mean()) < 2 for number, frame in enumerate(frames))
    assert limit - 6000 < (tmp_path / "v.mp4").stat().st_size <= limit  # all but a last one that did not fit


def full_at_the_end(path):
    writer = VideoWriter(path, 25)
    for _ in range(5):
        writer.write(picture(0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (writer.part.stat().st_size + 1000,) * 2)
    writer.close()


def test_a_disk_without_room_for_joining(tmp_path):
    done = call(full_at_the_end, tmp_path / "v.mp4")
    assert "v.mp4: cannot be joined into one piece (File too large); its first 5 frames are kept" in done.stdout
    assert done.stderr == "" and [path.name for path in tmp_path.iterdir()] == ["v.mp4"]
    assert len(look(tmp_path / "v.mp4")[2]) == 5


@pytest.mark.parametrize("owner, name", [(mp4, "packets_of"), (mp4, "_is_playable"), (mp4.GrowingFile, "flush")])
def test_what_cannot_be_joined_stays_in_segments(tmp_path, monkeypatch, owner, name):
    """No index is read back, no picture, or the disk says at the very end that it is full."""

    def fail(*_):
        if name == "flush":
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(owner, name, fail)
    with pytest.raises(UserError, match="v.mp4: cannot be joined into one piece .*its first 9 frames are kept"):
        film(tmp_path / "v.mp4", 9)
    assert [path.name for path in tmp_path.iterdir()] == ["v.mp4"] and len(look(tmp_path / "v.mp4")[2]) == 9


def test_pictures_that_no_encoder_takes(tmp_path):
    with pytest.raises(UserError, match="cannot be written as an mp4 of 20000x2 pixels; give a smaller --scale"):
        film(tmp_path / "v.mp4", 1, shape=(2, 20000))
    assert not list(tmp_path.iterdir())
