"""TIFFs: stacks of pages, whole or cut off, and values that are no grey levels."""

import io
import re
import struct
import time
import tracemalloc

import cv2
import numpy as np
import pytest
from PIL import Image
from trees import picture, write

from utils.images.formats import tiff
from utils.images.grey_levels import MIDDLE_LEVEL
from utils.images.image_files import read_frame
from utils.system.errors import UserError
from utils.video.growing_folder import GrowingFolder
from utils.video.sources import open_sources

# --- pages -----------------------------------------------------------------------------------------------------------


def stack(count=6, compression=None, dtype=np.uint16):
    images = [Image.fromarray(picture(number, dtype=dtype)) for number in range(count)]
    data = io.BytesIO()
    images[0].save(data, "TIFF", save_all=True, append_images=images[1:], compression=compression)
    return data.getvalue()


def test_stacks_in_a_folder_are_sequences(tmp_path):
    folder = tmp_path / "own"
    for number in range(3):
        write(folder / f"{number}.tif", picture(number))
    for name in ("a.tif", "b.TIFF", "own.tif"):
        (folder / name).write_bytes(stack(4))
    sources = {source.name: source for source in open_sources(folder)}
    assert {name: source.length for name, source in sources.items()} == {"own": 3, "a": 4, "b": 4, "own.tif": 4}
    assert [frame.number for frame in sources["own"]] == [0, 1, 2]
    for number, frame in enumerate(sources["b"]):
        assert frame.number == number and np.array_equal(frame.image, picture(number, dtype=np.uint16))
    for number in range(3):
        (folder / f"{number}.tif").unlink()
    assert [source.name for source in open_sources(tmp_path)] == ["own/a", "own/b", "own/own"]
    time.sleep(0.06)
    with pytest.raises(UserError, match="a.tif: found a stack of many frames in a folder that is watched"):
        list(GrowingFolder(folder, patience=0.1))


def test_a_thumbnail_is_no_page(tmp_path):
    data = bytearray(stack(2))
    second = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[second : second + 2], "little")
    second = int.from_bytes(data[second + 2 + 12 * count :][:4], "little")
    entry = second + 2 + 12 * (count - 1)  # the last tag, which nothing here needs
    data[entry : entry + 12] = (254).to_bytes(2, "little") + (4).to_bytes(2, "little") + (1).to_bytes(4, "little") * 2
    (tmp_path / "1.tif").write_bytes(data)
    assert tiff.list_pages(tmp_path / "1.tif") == ((0,), 0, False)
    assert [len(list(source)) for source in open_sources(tmp_path)] == [1]


@pytest.mark.parametrize("side", [8193, 14000])
def test_a_later_page_that_claims_to_be_huge(tmp_path, side):
    data = bytearray(stack(2))
    second = int.from_bytes(data[4:8], "little")
    count = int.from_bytes(data[second : second + 2], "little")
    second = int.from_bytes(data[second + 2 + 12 * count :][:4], "little")
    for entry in (second + 2, second + 14):  # width and height
        assert data[entry : entry + 2] in ((256).to_bytes(2, "little"), (257).to_bytes(2, "little"))
        data[entry + 2 : entry + 12] = struct.pack("<HII", 4, 1, side)
    (tmp_path / "1.tif").write_bytes(data)
    frames = iter(open_sources(tmp_path / "1.tif")[0])
    assert next(frames).image.shape == picture().shape
    with pytest.raises(UserError, match=f"1.tif: page 2: found an image of {side}x{side} .* expected at most"):
        next(frames)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_deflate"])
def test_whole_pages_of_a_stack_that_is_cut_off(tmp_path, compression, capfd):
    data, path = stack(6, compression), tmp_path / "x.tif"
    counts = set()
    for cut in range(0, len(data), 37):
        path.write_bytes(data[:cut])
        try:
            (source,) = open_sources(path)
        except UserError as error:
            assert str(error).startswith(f"{path}: ") and not counts
            continue
        frames = list(source)
        for number, frame in enumerate(frames):
            assert frame.number == number and np.array_equal(frame.image, picture(number, dtype=np.uint16))
        assert len(frames) == source.length >= max(counts, default=0)
        counts.add(len(frames))
        (said,) = source.notes
        assert re.fullmatch(f"{path}: .* whole pages, which are used: {len(frames)}; missing: (1|[12] or more)", said)
    assert counts == {1, 2, 3, 4, 5}
    assert compression or capfd.readouterr().err == ""  # libtiff, which unpacks, speaks for itself


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
def test_tables_of_pages(tmp_path, order, big):
    """Both byte orders, and BigTIFF, as other writers make them: all pixels, then all tables."""
    count, entry, pointer = ("Q", "HHQQ", "Q") if big else ("H", "HHII", "I")
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + "H", 43 if big else 42)
    head += struct.pack(order + "HHQ", 8, 0, 16 + 300) if big else struct.pack(order + "I", 8 + 300)
    data = head + bytes(300)
    for number in range(3):
        rows = struct.pack(order + count, 2)
        for tag, value in ((273, len(head) + 100 * number), (279, 100)):
            rows += struct.pack(order + entry, tag, 16 if big else 4, 1, value)
        after = len(data) + len(rows) + struct.calcsize(order + pointer)
        data += rows + struct.pack(order + pointer, after if number < 2 else 0)
    path = tmp_path / "x.tif"
    path.write_bytes(data)
    assert tiff.list_pages(path) == ((0, 1, 2), 0, False)
    path.write_bytes(data[:-1])
    assert tiff.list_pages(path) == ((0, 1), 1, True)
    path.write_bytes(data[: len(head)])
    assert tiff.list_pages(path) == ((), 1, True)
    path.write_bytes(b"no TIFF")
    assert tiff.list_pages(path) == ((0,), 0, False)


def write_table(path, tags, body=b""):
    """A TIFF of one page: `body` from place 8 on, then the table of its `(tag, type, count, value)`."""
    rows = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    head = b"II" + struct.pack("<HI", 42, 8 + len(body))
    path.write_bytes(head + body + struct.pack("<H", len(tags)) + rows + bytes(4))
    return path


@pytest.mark.parametrize(
    "tags, whole",
    [
        ([(270, 2, 1 << 20, 8)] * 200, (0,)),  # descriptions that share their bytes, 200 MiB as text
        ([(273, 4, 1 << 18, 8), (279, 4, 1 << 18, 8)], ()),  # strips, more than any image has
    ],
    ids=["texts", "strips"],
)
def test_large_values_of_a_table_cost_no_memory(tmp_path, tags, whole):
    path = write_table(tmp_path / "x.tif", tags, bytes(1 << 20))
    tracemalloc.start()
    try:
        assert tiff.list_pages(path).whole == whole
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_values_of_a_wrong_type_raise_nothing(tmp_path):
    tags = {254: 4, 256: 4, 257: 4, 258: 3, 259: 3, 273: 4, 277: 3, 278: 4, 279: 4}
    for wrong in tags:
        for kind in (0, 1, 2, 3, 5, 11, 16, 0xFFFF):
            for count in (0, 2, 1 << 31):
                rows = [(tag, kind, count, 8) if tag == wrong else (tag, own, 1, 8) for tag, own in tags.items()]
                pages = tiff.list_pages(write_table(tmp_path / "x.tif", rows, bytes(16)))
                assert len(pages.whole) + pages.missing <= 1 and not pages.broken


def test_tables_that_lead_in_a_circle_end(tmp_path):
    count = 300
    tables = b"".join(struct.pack("<HHHIII", 1, 256, 4, 1, 8, 8 + 18 * ((place + 1) % count)) for place in range(count))
    (tmp_path / "x.tif").write_bytes(b"II" + struct.pack("<HI", 42, 8) + tables)
    assert tiff.list_pages(tmp_path / "x.tif") == (tuple(range(count)), 0, False)


# --- values ----------------------------------------------------------------------------------------------------------


def celsius(number, low=-12.0):
    image = np.random.default_rng(number).normal(low, 0.05, (40, 60)).astype(np.float32)
    image[:, 30:] += 9
    image[20:23, 10 + number : 13 + number] += 1.5
    return image


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize(
    "values",
    [celsius, lambda number: celsius(number, 15), lambda number: (celsius(number) + 20) / 50],
    ids=["below 0", "degrees", "shares"],
)
def test_degrees_and_shares_keep_their_differences(tmp_path, values, many):
    if many:
        images = [Image.fromarray(values(number)) for number in range(4)]
        images[0].save(tmp_path / "x.tif", save_all=True, append_images=images[1:])
    for number in range(4 * (not many)):
        write(tmp_path / f"{number}.tif", values(number))
    (source,) = open_sources(tmp_path)
    frames = [frame.image.astype(float) for frame in source]
    (said,) = source.notes
    assert "are no whole grey levels; in all frames" in said and f"level {MIDDLE_LEVEL}" in said
    scale, offset = np.polyfit(values(0).ravel(), frames[0].ravel(), 1)
    assert f"a difference of 1 as {scale:.0f} levels" in said
    for number, frame in enumerate(frames):
        assert np.abs(frame - (scale * values(number) + offset)).max() <= 1
        assert frame[21, 11 + number] - np.median(frame[:, :30]) > 20 * frame[:18, :30].std()
    if not many:
        time.sleep(0.06)
        growing = GrowingFolder(tmp_path, patience=0.05)
        assert all(np.array_equal(frame.image, seen) for frame, seen in zip(growing, frames, strict=True))
        assert growing.notes == source.notes


def test_floats_that_are_grey_levels_stay(tmp_path):
    noise = np.random.default_rng(0).normal(60, 2, (40, 60)).astype(np.float32)
    for number, image in enumerate(
        (
            noise,
            noise.clip(0, 255).round(),
            np.zeros((40, 60), np.float32),
            np.linspace(0, 255, 2400, dtype=np.float32).reshape(40, 60),
        )
    ):
        write(tmp_path / f"{number}/1.tif", image)
        write(tmp_path / f"{number}/2.tif", image + 3)
    for source in open_sources(tmp_path):
        for (_, path), frame in zip(source.files, source, strict=True):
            assert frame.image.dtype == np.uint8 or frame.image.max() > 255
            assert np.array_equal(frame.image, read_frame(path))
            assert np.array_equal(frame.image, np.rint(cv2.imread(path, cv2.IMREAD_UNCHANGED)))
        assert not source.notes


def test_frames_without_contrast_do_not_decide_how_values_are_taken(tmp_path):
    for number, image in enumerate((np.full((40, 60), 23.4, np.float32), celsius(0), celsius(1))):
        write(tmp_path / f"{number}.tif", image)
    (source,) = open_sources(tmp_path)
    _, first, second = (frame.image for frame in source)
    assert first.dtype == second.dtype == np.uint16 and len(source.notes) == 1


def test_values_beyond_the_levels_are_cut_with_a_word(tmp_path):
    broken = celsius(1)
    broken[0, 0], broken[0, 1] = np.nan, 9000
    for number, image in enumerate((celsius(0), broken)):
        write(tmp_path / f"{number}.tif", image)
    (source,) = open_sources(tmp_path)
    _, second = source
    assert second.image[0, 0] == second.image.min() and second.image[0, 1] == 65535
    assert source.notes[1].endswith("are cut to the nearest level")


@pytest.mark.parametrize(
    "image, found",
    [
        (celsius(0), "values from -12.1"),
        ((celsius(0) + 20) / 50, "with fractions"),
        (np.full((9, 9), 70000, np.float32), "values from 70000 to 70000"),
        (np.array([[1, np.nan]], np.float32), "no finite numbers"),
    ],
)
def test_datasets_must_hold_grey_levels(tmp_path, image, found):
    path = write(tmp_path / "x.tif", image)
    with pytest.raises(UserError, match=f"x.tif: found .*{found}.*, expected whole grey levels from 0 to 65535; multi"):
        read_frame(path)


def test_masks_of_floats_are_whole_levels(tmp_path):
    mask = np.zeros((9, 9), np.float32)
    mask[2:4, 3:5] = 1
    assert read_frame(write(tmp_path / "x.tif", mask)).sum() == 4
