"""TIFF pages of every kind: types of numbers, byte orders, compression, colours, planes, strips and tiles."""

import io

import cv2
import numpy as np
import pytest

from utils.images.formats.tiff_pages import read_pages
from utils.images.image_files import image_size, read_frame, read_picture
from utils.system.errors import UserError

tifffile = pytest.importorskip("tifffile")

TYPES = ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8")
STORED = (
    {},
    {"byteorder": ">"},
    {"bigtiff": True},
    {"compression": "zlib"},
    {"rowsperstrip": 5},
    {"rowsperstrip": 5, "compression": "zlib", "byteorder": ">"},
    {"tile": (16, 16)},
    {"tile": (16, 32), "compression": "zlib", "byteorder": ">"},
)


def values(kind, shape=(23, 39)):
    levels = np.random.default_rng(1).integers(0, 3000, shape) + 7000
    if np.dtype(kind).kind == "f":
        return (20 + levels / 1000).astype(kind)
    return (levels // 64 if np.dtype(kind).itemsize == 1 else levels - 9000 * (kind[0] == "i")).astype(kind)


def reread(tmp_path, image, many, **stored):
    """What is read of a file of one page, or of the third of three."""
    with tifffile.TiffWriter(
        tmp_path / "x.tif", **{key: stored.pop(key) for key in ("bigtiff", "byteorder") if key in stored}
    ) as file:
        for number in range(3 if many else 1):
            file.write(image if number == 2 * many else image * 0, **stored)
    assert image_size(tmp_path / "x.tif") == (23, 39)
    return list(read_pages(tmp_path / "x.tif", (0, 1, 2)))[2] if many else read_picture(tmp_path / "x.tif")


@pytest.mark.parametrize("many", [False, True])
def test_every_type_of_numbers_however_stored(tmp_path, many):
    for kind in TYPES:
        for stored in STORED:
            found = reread(tmp_path, values(kind), many, **stored)
            assert found.dtype == np.dtype("f4" if kind == "f2" else kind), (kind, stored)
            assert np.array_equal(found, values(kind)), (kind, stored)


@pytest.mark.parametrize("many", [False, True])
@pytest.mark.parametrize("kind", ["u1", "u2", "f4"])
def test_colours_beside_each_other_and_in_planes_of_their_own(tmp_path, kind, many):
    colours = np.stack([values(kind), values(kind) // 2, values(kind) // 3], 2).astype(kind)
    planes = {"photometric": "rgb", "planarconfig": "separate"}
    for stored in STORED:
        found = reread(tmp_path, colours, many, photometric="rgb", **stored)
        assert np.array_equal(found, colours[:, :, ::-1]), stored
        found = reread(tmp_path, np.moveaxis(colours, 2, 0), many, **planes, **stored)
        assert np.array_equal(found, colours[:, :, ::-1]), stored
    alpha = np.concatenate([colours, colours[:, :, :1]], 2)
    assert np.array_equal(
        reread(tmp_path, alpha, many, photometric="rgb", extrasamples=["unassalpha"]), colours[:, :, ::-1]
    )
    grey = reread(tmp_path, colours[:, :, :2], many, photometric="minisblack", extrasamples=["unassalpha"])
    assert np.array_equal(grey, colours[:, :, 0])


def test_white_as_zero_is_turned_round(tmp_path):
    for kind in ("u1", "u2"):
        found = reread(tmp_path, values(kind), False, photometric="miniswhite")
        assert np.array_equal(found, np.iinfo(kind).max - values(kind))


@pytest.mark.skipif(not hasattr(cv2, "IMWRITE_TIFF_PREDICTOR"), reason="this OpenCV writes no predictor of choice")
def test_differences_are_added_up(tmp_path):
    for code, kinds in ((2, ("u1", "u2", "f4")), (3, ("f4",))):
        for kind in kinds:
            image = values(kind)
            colours = np.stack([image, image // 2, image // 3], 2).astype(kind)
            for picture in (image, colours):
                options = [cv2.IMWRITE_TIFF_COMPRESSION, 5, cv2.IMWRITE_TIFF_PREDICTOR, code]
                assert cv2.imwrite(str(tmp_path / "x.tif"), picture, options)
                assert tifffile.TiffFile(tmp_path / "x.tif").pages[0].predictor == code
                assert np.array_equal(read_picture(tmp_path / "x.tif"), picture)
    for order in "<>":
        tiles = {"tile": (16, 16), "compression": "zlib", "predictor": True, "byteorder": order}
        assert np.array_equal(reread(tmp_path, values("u2"), False, **tiles), values("u2"))


def test_a_page_that_is_turned_has_the_size_that_is_read(tmp_path):
    image = values("u2")
    for code, expected in ((1, image), (3, image[::-1, ::-1]), (6, np.rot90(image, -1))):
        tifffile.imwrite(tmp_path / "x.tif", image, extratags=[(274, "H", 1, code, True)])
        assert np.array_equal(read_frame(tmp_path / "x.tif"), expected)
        assert image_size(tmp_path / "x.tif") == expected.shape


def test_pages_that_cannot_be_read_say_so(tmp_path):
    stored = io.BytesIO()
    tifffile.imwrite(stored, values("u2"))
    data, path = stored.getvalue(), tmp_path / "x.tif"
    for cut in range(4, len(data), 97):
        path.write_bytes(data[:cut])
        with pytest.raises(UserError, match="x.tif"):
            read_frame(path)
    path.write_bytes(data)
    with pytest.raises(UserError, match="page 2: not a readable image"):
        list(read_pages(path, (0, 7), numbered=True))
    tifffile.imwrite(path, np.zeros((23, 39, 5), "u2"), photometric="minisblack", planarconfig="contig")
    with pytest.raises(UserError, match="x.tif cannot be read"):
        read_frame(path)
