"""Videos of more than 8 bits, lists of other files, files that end early, and frames at no constant rate."""

import functools
import http.server
import os
import re
import threading

import numpy as np
import pytest
from films import deep_film, film
from trees import picture, write

from utils.predictor.prediction import from_probability
from utils.render.result_files import as_record
from utils.system.errors import UserError
from utils.system.notices import warnings_given
from utils.system.untrusted import MAX_IMAGE_PIXELS
from utils.video import capture
from utils.video.capture import Capture
from utils.video.live import LiveSource, is_live
from utils.video.sources import open_sources

RAW = [7000 + picture(number, (48, 64), np.uint16) // 32 for number in range(5)]


def frames_of(path):
    (source,) = open_sources(path)
    return [frame.image for frame in source]


# --- more than 8 bits ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, codec, kind",
    [
        ("x.mkv", "ffv1", "gray16le"),
        ("x.mov", "png", "gray16be"),
        ("x.avi", "png", "gray16be"),
        ("x.mov", "tiff", "gray16le"),
        ("x.avi", "ffvhuff", "gray16le"),
        ("x.mkv", "ffv1", "gbrp16le"),
        ("x.mov", "png", "rgb48be"),
        ("x.mov", "png", "rgba64be"),
        ("x.mov", "png", "ya16be"),
        ("x.mov", "rawvideo", "rgb48be"),
        ("x.mkv", "ffv1", "rgba64le"),
    ],
)
def test_levels_of_sixteen_bits_are_those_of_the_file(tmp_path, name, codec, kind):
    found = frames_of(deep_film(tmp_path / name, RAW, codec, kind))
    assert {image.dtype for image in found} == {np.dtype(np.uint16)} and np.array_equal(found, RAW)


@pytest.mark.parametrize(
    "kind, bits",
    [("gray10le", 10), ("gray12le", 12), ("gray14le", 14), ("yuv420p10le", 10), ("yuv422p12le", 12), ("gbrp10le", 10)],
)
def test_fewer_bits_are_read_at_their_own_depth(tmp_path, kind, bits):
    images = [image * np.uint16(6) for image in RAW]  # which uses the range
    found = frames_of(deep_film(tmp_path / "x.mkv", images, kind=kind))
    assert found[0].dtype == np.uint16 and 255 < found[0].max() < 1 << bits
    for image, read in zip(images, found, strict=True):
        slope, _ = np.polyfit(image.ravel(), read.ravel().astype(float), 1)
        error = read - np.polyval(np.polyfit(image.ravel(), read.ravel().astype(float), 1), image)
        assert 0.8 < slope * 2 ** (16 - bits) < 1.1 and np.abs(error).max() < 2  # studio levels, and rounding


def test_lossy_codecs_of_ten_bits_keep_them(tmp_path):
    for name, codec in (("x.mp4", "libx265"), ("y.mp4", "libx264"), ("z.mov", "prores_ks")):
        kind = "yuv422p10le" if codec == "prores_ks" else "yuv420p10le"
        flat = [np.full((48, 64), 20000 + 1000 * number, np.uint16) for number in range(4)]
        found = frames_of(deep_film(tmp_path / name, flat, codec, kind))
        assert len(found) == 4 and found[0].dtype == np.uint16 and found[0].max() > 255
        assert np.all(np.diff([image.mean() for image in found]) > 5)


def test_fractions_are_mapped_as_those_of_images(tmp_path):
    path = deep_film(tmp_path / "x.mov", RAW, "exr", "grayf32le")
    (source,) = open_sources(path)
    found = [frame.image for frame in source]
    assert found[0].dtype == np.uint16 and np.corrcoef(found[2].ravel(), RAW[2].ravel())[0, 1] > 0.999
    assert any("no whole grey levels" in note for note in source.notes)


def test_eight_bits_stay_eight_bits(tmp_path):
    images = [picture(number, (48, 64)) for number in range(4)]
    for name, codec, kind in (("x.mkv", "ffv1", "gray"), ("x.mov", "png", "rgb24")):
        assert np.array_equal(frames_of(deep_film(tmp_path / name, images, codec, kind)), images)


def test_grey_levels_that_an_avi_calls_colours_are_doubted(tmp_path):
    frames_of(deep_film(tmp_path / "x.avi", RAW, "rawvideo", "gray16le"))
    assert any("colours of 5 bits" in text for text in warnings_given())


def test_the_pixel_limit_holds_for_every_frame(tmp_path, monkeypatch):
    paths = [deep_film(tmp_path / "x.mkv", RAW), film(tmp_path / "y.mp4", 3, shape=(48, 64))]
    calls = []

    def limit(name, width, height):
        calls.append(name)
        if len(calls) > 3:
            raise UserError(f"{name}: too many")

    for path in paths:
        calls.clear()
        monkeypatch.setattr(capture, "require_pixels", limit)
        with pytest.raises(UserError, match=f"{path.name}: frame [23]: too many"), Capture(path) as opened:
            list(opened)
    assert MAX_IMAGE_PIXELS == 8192 * 8192


# --- lists of other files --------------------------------------------------------------------------------------------

LISTS = {
    "a.mkv": "ffconcat version 1.0\nfile other.mkv\nfile other.mkv\n",
    "b.mp4": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:9\n#EXTINF:1.0,\nother.mkv\n#EXT-X-ENDLIST\n",
    "c.ts": "#EXTM3U\n#EXTINF:1.0,\nfile:other.mkv\n#EXT-X-ENDLIST\n",
    "d.avi": "[playlist]\nFile1=other.mkv\nNumberOfEntries=1\n",
    "e.mov": '<?xml version="1.0"?>\n<MPD><Period><BaseURL>other.mkv</BaseURL></Period></MPD>\n',
    "f.mpg": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
    "g.wmv": "\n\nffconcat version 1.0\nfile other.mkv\n",
}


@pytest.mark.parametrize("name", LISTS)
def test_lists_of_other_files_open_nothing(tmp_path, name):
    deep_film(tmp_path / "other.mkv", [picture(0, (48, 64))])
    (tmp_path / name).write_text(LISTS[name])
    for path in (tmp_path / name, (tmp_path / name).rename(tmp_path / "list.txt")):
        if not path.exists():
            continue
        with pytest.raises(UserError, match="not a readable video"):
            open_sources(path)


def test_a_picture_with_digits_in_its_name_is_no_sequence(tmp_path):
    for number in range(3):
        write(tmp_path / f"{number:03d}.png", picture(number))
        (tmp_path / f"{number:03d}.png").rename(tmp_path / f"{number:03d}.mp4")
    with pytest.raises(UserError, match="000.mp4: not a readable video"):
        open_sources(tmp_path / "000.mp4")


# --- ends, and times -------------------------------------------------------------------------------------------------


def test_frames_at_no_constant_rate_are_all_there(tmp_path):
    times = [*range(0, 320, 40), *range(320, 1920, 200)]
    images = [picture(number, (48, 64)) for number in range(16)]
    for name, codec, kind in (
        ("x.mkv", "ffv1", "gray"),
        ("y.mp4", "libx264", "yuv420p"),
        ("z.mkv", "ffv1", "gray16le"),
    ):
        (source,) = open_sources(deep_film(tmp_path / name, images, codec, kind, times))
        assert [round(1000 * frame.time) for frame in source] == times
        record = as_record(list(source)[9], from_probability(9, np.zeros((48, 64), np.float32), 0.5), None, 0)
        assert record["time"] == times[9] / 1000
    assert not warnings_given()


def test_a_video_that_is_cut_off_says_how_much_is_missing(tmp_path):
    images = [picture(number, (96, 128)) for number in range(20)]
    steady, odd = list(range(0, 800, 40)), [*range(0, 200, 40), *range(200, 3200, 200)]
    for times, text in (
        (steady, r"\d+ frames could be read, 20 were announced"),
        (odd, r"end after .* s of the .* s that were"),
    ):
        for kind in ("gray", "gray12le"):
            path = deep_film(tmp_path / "x.mkv", images, kind=kind, times=times)
            path.write_bytes(path.read_bytes()[: os.path.getsize(path) // 2])
            with Capture(path) as opened:
                count = len(list(opened))
                assert 3 < count < 17
                assert re.search(text, opened.shortfall())


def test_one_missing_frame_is_missed(tmp_path):
    with Capture(deep_film(tmp_path / "x.mkv", RAW)) as opened:
        frames = list(opened)
        assert len(frames) == 5 and opened.shortfall() == ""
        opened.count, opened.time = 4, 0.12
        assert opened.shortfall() == "4 frames could be read, 5 were announced"


# --- surroundings -----------------------------------------------------------------------------------------------------


def test_options_of_the_environment_are_left_as_they_were(tmp_path, monkeypatch):
    path, name = film(tmp_path / "x.mp4", 2), "OPENCV_FFMPEG_CAPTURE_OPTIONS"
    monkeypatch.setenv(name, "rtsp_transport;udp")
    frames_of(path)
    assert os.environ[name] == "rtsp_transport;udp"
    monkeypatch.delenv(name)
    frames_of(path)
    assert name not in os.environ


def test_a_stream_opens_no_files_and_a_file_url_is_a_file(tmp_path):
    path = deep_film(tmp_path / "a b.mkv", [picture(number, (48, 64)) for number in range(3)])
    for url in (f"file://{path}", f"async:file://{path}", f"cache:file://{path}", f"concat://{path}"):
        with pytest.raises(UserError, match="cannot be opened"):
            LiveSource(url, patience=1)
    address = path.as_uri()
    assert not is_live(address) and is_live("rtsp://camera/file") and len(frames_of(address)) == 3


def test_a_stream_of_more_than_eight_bits_says_so(tmp_path):
    deep_film(tmp_path / "x.mkv", RAW, kind="gray12le")
    deep_film(tmp_path / "y.mkv", [picture(number, (48, 64)) for number in range(3)], kind="gray")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name, told in (("x.mkv", 1), ("y.mkv", 1)):
            source = LiveSource(f"http://127.0.0.1:{server.server_port}/{name}", patience=5)
            assert next(iter(source)).image.shape == (48, 64)
            assert len(warnings_given()) == told
        server.shutdown()
    assert "has 12 bits a level, of which the upper 8 are read live" in warnings_given()[0]
