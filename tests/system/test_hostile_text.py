"""Text that strangers wrote is read in a time that grows with its length, and broken text gets its message."""

import argparse
import contextlib
import json
import random
import re
import time
from decimal import Decimal
from pathlib import Path

import pytest
from trees import coco, touch, write_pairs, write_text

from utils.commands.options import parse_region, parse_window
from utils.datasets.coco import read_coco
from utils.datasets.dataset import open_dataset
from utils.datasets.layouts import list_files
from utils.datasets.lists import parse_line, read_lines
from utils.images.frame_names import natural_key
from utils.images.frame_order import order_frames
from utils.images.image_files import IMAGE_SUFFIXES
from utils.system.addresses import hide_in_text, hide_secrets
from utils.system.errors import UserError
from utils.system.tables import escape_markdown
from utils_coco.image_labels import Conventions
from utils_coco.label_formats import read_boxes
from utils_coco.label_tables import read_table
from utils_coco.video_labels import read_labels

LENGTH = 100_000
SECONDS = 0.5
LINES = {
    "digits": "1" * LENGTH,
    "digits behind the path": "a.png " + "1" * LENGTH,
    "digits and a letter": "a.png " + "1" * LENGTH + "x",
    "four long numbers": "images/s1/0.png " + ",".join(["1" * (LENGTH // 4)] * 4) + ",x",
    "four long fractions": "images/s1/0.png " + ",".join(["1." + "1" * (LENGTH // 4)] * 4) + ",x",
    "a long box that is one": "images/s1/0.png " + ",".join(["0" * (LENGTH // 4) + "1"] * 4) + ",0",
    "exponents": "a.png " + "1e5" * (LENGTH // 3) + ",",
    "blanks inside": "a" + " " * LENGTH + "b",
    "blanks behind the path": "a.png" + " " * LENGTH + "b,",
    "commas": "a " + "," * LENGTH + " b",
    "many words with commas": "a " + "b,c " * (LENGTH // 4) + "d",
    "suffixes": "a.png" * (LENGTH // 5) + "b c,",
    "good boxes": "images/s1/0.png " + "1,1,2,2,0 " * (LENGTH // 10),
    "good boxes before a broken one": "a.png " + "1,1,2,2,0 " * (LENGTH // 10) + "x",
    "good boxes before a comma": "a.png " + "1,1,2,2,0 " * (LENGTH // 10) + "1,",
    "folders": "a/" * (LENGTH // 2) + "0.png",
    "folders that lead up": "a/../" * (LENGTH // 5) + "0.png",
    "slashes": "/" * LENGTH + "0.png",
    "backslashes": "\\" * LENGTH + "0.png",
    "points": "." * LENGTH,
    "quotes": '"' * LENGTH,
    "quoted commas": '",' * (LENGTH // 2),
    "signs": "+-" * (LENGTH // 2),
    "an URL": "x://" * (LENGTH // 4),
    "letters": "a" * LENGTH,
}
NUMBER = r"-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
ANY_SUFFIX = "|".join(map(re.escape, sorted(IMAGE_SUFFIXES)))


@contextlib.contextmanager
def soon():
    began = time.process_time()
    yield
    assert time.process_time() - began < SECONDS


def parse_at_leisure(line):
    """What `parse_line` says by patterns that need the square of a line's length and more."""
    line = line.strip()
    if not re.search(r"\s", line):
        return line, None
    name, tail = re.fullmatch(rf"(.+?)((?:\s+{NUMBER}(?:,{NUMBER}){{3}},\d+)*)", line).groups()
    broken = re.fullmatch(
        rf"(?!.*(?:{ANY_SUFFIX})$)(?:.*?(?:{ANY_SUFFIX})\s+(\S.*)|.*\s(\S*,\S*))", name, re.IGNORECASE
    )
    if broken:
        raise ValueError(
            f"found '{(broken[1] or broken[2])[:60]}' behind the path, expected boxes "
            "x1,y1,x2,y2,class like 10,12.5,18,20,0"
        )
    boxes = []
    for word in tail.split():
        *corners, category = word.split(",")
        boxes.append((*map(float, corners), int(category)))
    return name, tuple(boxes) or None


def answer(function, line):
    try:
        return function(line)
    except ValueError as error:
        return str(error)


def test_lines_of_any_kind_mean_what_the_plain_patterns_say():
    words = random.Random(0)
    pieces = [
        *(
            "a.png",
            "b c.JPG",
            "d.tiff",
            ".png",
            "x",
            "images/s1/0",
            "é.tıf",
            "1,2,3,4,0",
            "1.5,.5,-2e3,4.,12",
            "1,2,3,4",
        ),
        *(
            "1,2,3,4,5,6",
            "1,2,3,4,0.5",
            ",",
            "1",
            "1e5,1E-5,1e+5,0,1",
            "-,1,1,1,1",
            ".,1,1,1,1",
            "1..2,1,1,1,1",
            "٣,1,1,1,٣",
        ),
        *(" ", "  ", "\t", "\u3000", "\x1c", "\r", "", " ", " ", " "),
    ]
    boxed = broken = 0
    for _ in range(100_000):
        line = "".join(words.choice(pieces) + words.choice(["", " ", " "]) for _ in range(words.randrange(1, 7)))
        if line.strip():
            said = answer(parse_at_leisure, line)
            assert answer(parse_line, line) == said, line
            broken += isinstance(said, str)
            boxed += not isinstance(said, str) and said[1] is not None
    assert boxed > 5000 and broken > 5000


@pytest.mark.parametrize("kind", LINES)
def test_a_list_answers_at_once(tmp_path, kind):
    write_text(tmp_path / "train.txt", LINES[kind] + "\n")
    for number in (float, Decimal):
        with soon(), contextlib.suppress(UserError):
            read_lines(str(tmp_path / "train.txt"), number)


@pytest.mark.parametrize("kind", LINES)
def test_a_dataset_whose_lists_name_such_images_answers_at_once(tmp_path, kind):
    write_pairs(tmp_path, ["s1/0", "s1/1"])
    open_dataset(tmp_path, "all")  # so that what is imported late is not timed
    write_text(tmp_path / "train.txt", LINES[kind] + "\n")
    with soon(), contextlib.suppress(UserError):
        open_dataset(tmp_path, "train")
    (tmp_path / "train.txt").unlink()
    write_text(tmp_path / "train.json", json.dumps(coco([LINES[kind]])))
    with soon(), contextlib.suppress(UserError):
        read_coco(str(tmp_path / "train.json"))
        open_dataset(tmp_path, "train")


@pytest.mark.parametrize("head", ["image,x,y,w,h,class", "frame;x1;y1;x2;y2"])
@pytest.mark.parametrize("kind", LINES)
def test_tables_of_labels_answer_at_once(tmp_path, kind, head):
    separator = head[len(re.match(r"\w+", head)[0])]
    text = LINES[kind]
    bodies = [
        text,
        f"{text}{separator}1{separator}1{separator}2{separator}2",
        separator.join(["0", text, "1", "2", "2"]),
    ]
    for body in bodies:
        write_text(tmp_path / "x.csv", f"{head}\n{body}\n")
        with soon(), contextlib.suppress(UserError):
            list(read_table(tmp_path / "x.csv", "x", "boxes", 8.0))
    write_text(tmp_path / "x.csv", f"{text}\n1,2,3\n")
    with soon(), contextlib.suppress(UserError):
        list(read_table(tmp_path / "x.csv", "x", "boxes", 8.0))
    for body in bodies:
        write_text(tmp_path / "v.csv", f"frame,class,x,y,w,h\n{body}\n")
        with soon(), contextlib.suppress(UserError):
            read_labels(tmp_path / "v.csv")


@pytest.mark.parametrize("kind", LINES)
def test_yolo_labels_answer_at_once(tmp_path, kind):
    for line in (LINES[kind], f"0 {LINES[kind]}", f"0 0.5 0.5 0.1 {LINES[kind]}"):
        write_text(tmp_path / "0.txt", f"{line}\n")
        for size in ((32, 32), None):
            with soon(), contextlib.suppress(UserError):
                read_boxes("yolo", tmp_path, lambda key, size=size: size, Conventions(8.0))


@pytest.mark.parametrize("kind", LINES)
def test_names_of_frames_are_ordered_at_once(kind):
    names = [f"{LINES[kind]}{number}" for number in (10, 9)]
    with soon():
        assert order_frames(names).sequences[0].indices == (1, 0)
        assert natural_key(names[1]) < natural_key(names[0])


@pytest.mark.parametrize("kind", LINES)
def test_options_answer_at_once_and_with_their_own_message(kind):
    for parse, expected in ((parse_window, "expected levels such as"), (parse_region, "expected x,y,w,h")):
        for text in (LINES[kind], f"p{LINES[kind]},1", f"1,1,1,{LINES[kind]}"):
            with soon(), pytest.raises(argparse.ArgumentTypeError, match=expected):
                parse(text)


@pytest.mark.parametrize("kind", LINES)
def test_what_is_shown_is_made_at_once(kind):
    for text in (LINES[kind], f"http://{LINES[kind]}", f"http://h/{LINES[kind]}@x"):
        with soon():
            hide_secrets(text)
            hide_in_text(text)
            escape_markdown(text)
            str(UserError(text))


def test_a_name_is_found_by_its_end_however_many_folders_are_before_it(tmp_path):
    write_pairs(tmp_path, ["s1/0", "s1/1"])
    write_text(tmp_path / "train.txt", "a/" * 5000 + "images/s1/0.png\n")
    assert [Path(frame.image).name for frame in open_dataset(tmp_path, "train").frames] == ["0.png"]


@pytest.mark.parametrize("top", ["images", "Sequence1/images"])
def test_the_deepest_image_that_is_listed_is_found_by_its_whole_path(tmp_path, top):
    names = ["/".join([top, *"abcdef", f"{number}.png"]) for number in range(2)]
    touch(tmp_path, names)
    files = list_files(str(tmp_path))
    for root in ("", f"{tmp_path}/", "x/" * 100, "C:\\x\\"):
        assert [files.images[files.find(root + name)] for name in names] == names
