"""Numbers that no image has, in lists of labels: a line that says where, never a traceback."""

from decimal import Decimal

import pytest
from trees import picture, write, write_text

from utils.datasets.formats.voc import as_flag
from utils.datasets.lists import parse_line, read_lines
from utils.system.errors import UserError
from utils_coco import csv_to_coco, txt_to_coco
from utils_coco.import_labels import convert
from utils_coco.video_labels import read_labels

NUMBERS = ["1e9999999", "-1e9999999", "9" * 5000, "9" * 400, "1e400", "1e9"]
ODD = ["nan", "inf", "-inf", "0x10", "", "one", "1,5"]


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("number", [*NUMBERS, *ODD])
def test_tables_of_videos(tmp_path, number, place):
    values = ["3", "4", "5", "6"]
    values[place] = number
    path = write_text(tmp_path / "labels/v.csv", f"frame,class,x,y,w,h\n1,bird,3,4,5,6\n2,plane,{','.join(values)}\n")
    write_text(tmp_path / "videos/v.mp4", "")
    with pytest.raises(UserError, match=r"v\.csv: line 3: found"):
        read_labels(path)
    with pytest.raises(UserError, match="line 3"):
        csv_to_coco.convert(str(path.parent), str(tmp_path / "videos"), str(tmp_path / "out"), quiet=True)


@pytest.mark.parametrize("frame", ["0", "-1", "1.5", "9" * 30, "9" * 5000, "x"])
def test_frames_of_videos(tmp_path, frame):
    with pytest.raises(UserError, match="line 2: found"):
        read_labels(write_text(tmp_path / "v.csv", f"frame,class,x,y,w,h\n{frame},bird,3,4,5,6\n"))


def test_tiny_numbers_are_numbers(tmp_path):
    (label,), _ = read_labels(write_text(tmp_path / "v.csv", "frame,class,x,y,w,h\n1,bird,3,1e-9999999,5,6\n"))
    assert [float(value) for value in label.corners] == [2, -1, 7, 5]


@pytest.mark.parametrize("number", NUMBERS)
def test_tables_and_lines(tmp_path, number):
    write(tmp_path / "images/a/0.png", picture())
    table = write_text(tmp_path / "labels/a.csv", f"image,x,y,w,h\na/0.png,3,4,5,{number}\n")
    with pytest.raises(UserError, match="line 2: found"):
        convert(str(tmp_path / "images"), str(table), str(tmp_path / "out"), cut=True)
    lines = write_text(tmp_path / "train.txt", f"images/a/0.png 1,2,3,{number},0\n")
    with pytest.raises(UserError, match="line 1: found"):
        read_lines(str(lines))
    with pytest.raises(UserError, match="line 1: found"):
        txt_to_coco.convert(str(lines), quiet=True, cut=True)


@pytest.mark.parametrize("kind", [float, Decimal])
@pytest.mark.parametrize(
    "word", ["1,2,3,4,9999999999", f"1,2,3,4,{'9' * 400}", f"1,2,3,4,{'9' * 5000}", "1,2,3,1e999,0"]
)
def test_boxes_of_lines(word, kind):
    with pytest.raises(ValueError):
        parse_line(f"a.png {word}", kind)
    assert parse_line("a.png 1,2,3,4,7", kind)[1] == ((1, 2, 3, 4, 7),)


@pytest.mark.parametrize(
    "text, says", [("", False), (" 0 ", False), ("False", False), ("1", True), ("1.0", True), ("yes", True)]
)
def test_flags_as_people_write_them(text, says):
    assert as_flag(text) is says
