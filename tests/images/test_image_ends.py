"""Files that end early are told from files with something behind the picture's end."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image
from trees import picture

from utils.images.formats.ends import PNG_END, PNG_START, bmp_is_whole, is_whole
from utils.images.image_files import check_end, read_frame
from utils.system.errors import UserError

RAW = np.random.default_rng(3).integers(0, 256, 30_000, np.uint8).tobytes()


def coded(ending, **options):
    """A small picture as a file's bytes; `options` are those of Pillow."""
    data = io.BytesIO()
    Image.fromarray(picture(5, (40, 60))).save(data, ending, **options)
    return data.getvalue()


def exif_with_thumbnail():
    """A description as cameras write it, which holds a JPEG with an end mark of its own."""
    thumbnail = cv2.imencode(".jpg", picture(1, (16, 16)))[1].tobytes()
    return b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0" + thumbnail


FILES = {
    "plain.png": coded("PNG"),
    "plain.jpg": coded("JPEG"),
    "progressive.jpg": coded("JPEG", progressive=True),
    "camera.jpg": coded("JPEG", exif=exif_with_thumbnail()),
    "plain.bmp": coded("BMP"),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("behind", [RAW, bytes(8192), b"\0", RAW[:5000] + b"\xff\xd9", b"IEND"])
def test_data_behind_the_end_is_no_truncation(tmp_path, name, behind):
    path = tmp_path / name
    path.write_bytes(FILES[name])
    expected = read_frame(path)
    path.write_bytes(FILES[name] + behind)
    check_end(path)
    assert np.array_equal(read_frame(path), expected)


@pytest.mark.parametrize("name", FILES)
def test_what_is_cut_off_is_named(tmp_path, name):
    data, path = FILES[name], tmp_path / name
    for cut in [*range(60, len(data) - 1, 53), len(data) - 1]:
        for behind in (b"", bytes(5000)):
            if behind and (name.endswith(".bmp") or cut > len(data) - 12):
                continue  # rows of black, or a picture that is whole, as far as anybody can tell
            path.write_bytes(data[:cut] + behind)
            for look in (check_end, read_frame):
                with pytest.raises(UserError, match="truncated image"):
                    look(path)


def test_a_bitmap_is_as_long_as_its_rows_whatever_it_says_of_itself(tmp_path):
    for claimed in (0, 12, 1 << 30):
        data = bytearray(FILES["plain.bmp"])
        data[2:6] = claimed.to_bytes(4, "little")
        (tmp_path / "x.bmp").write_bytes(data)
        check_end(tmp_path / "x.bmp")
        assert read_frame(tmp_path / "x.bmp").shape == (40, 60)
    head = FILES["plain.bmp"][:54]
    assert bmp_is_whole(head, len(FILES["plain.bmp"])) and not bmp_is_whole(head, len(FILES["plain.bmp"]) - 1)
    rle = head[:30] + (1).to_bytes(4, "little") + (200).to_bytes(4, "little") + head[38:]
    start = int.from_bytes(head[10:14], "little")
    assert bmp_is_whole(rle, start + 200) and not bmp_is_whole(rle, start + 199)


def test_a_length_that_the_file_cannot_hold_is_refused_before_room_is_made(tmp_path):
    for length in (1 << 20, 0x7FFFFFFF, 0xFFFFFFFF):
        data = FILES["plain.png"]
        at = data.index(b"IDAT")
        (tmp_path / "x.png").write_bytes(data[: at - 4] + length.to_bytes(4, "big") + data[at:])
        with pytest.raises(UserError, match="truncated image"):
            read_frame(tmp_path / "x.png")
    assert not is_whole(PNG_START + bytes(1000)) and is_whole(PNG_START + PNG_END)


def test_a_picture_whose_size_nobody_can_tell_is_not_decoded(tmp_path):
    (tmp_path / "x.png").write_bytes(b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 40000 +X 40000\n" + bytes(100))
    with pytest.raises(UserError, match="not a readable image"):
        read_frame(tmp_path / "x.png")
