"""Lists of images and boxes: index files, txt lines with boxes, and COCO json files (see `utils.datasets.coco`)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from utils.datasets.coco import read_coco
from utils.datasets.compact_lists import Box, Entries, Entry, Rows, Texts
from utils.datasets.json_formats import MAX_NUMBER, name_json_file
from utils.datasets.layouts.trees import annotations_folder
from utils.datasets.problems import Report
from utils.datasets.split_names import SPLIT_WORD, SPLITS_BY_WORD, split_of, word_of_file
from utils.images.boxes import shares_problem
from utils.images.frame_names import natural_key
from utils.images.image_files import IMAGE_SUFFIXES
from utils.system.errors import UserError
from utils.system.notices import warn
from utils.system.untrusted import read_text

# Each pattern has one way to match, so that lines of strangers take time in proportion to their length.
NUMBER_PATTERN = r"-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
BOX = re.compile(rf"{NUMBER_PATTERN}(?:,{NUMBER_PATTERN}){{3}},\d+")
SUFFIX_PATTERN = "|".join(map(re.escape, sorted(IMAGE_SUFFIXES)))
SUFFIX_ANYWHERE = re.compile(rf"(?:{SUFFIX_PATTERN})\b", re.IGNORECASE)
SUFFIX_AT_END = re.compile(rf"(?:{SUFFIX_PATTERN})\Z", re.IGNORECASE)
SUFFIX_BEFORE_BLANK = re.compile(rf"(?:{SUFFIX_PATTERN})\s", re.IGNORECASE)
FILLED_LINE = re.compile("[^\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")  # as str.splitlines, without an object for each
WHITE_SPACE = re.compile(r"\s")
MAX_CLASS = 10**9  # a number beyond is a slip


@dataclass(frozen=True)
class ImageList:
    """One index, txt or json file.

    `split` is "train", "test" or "" (the name does not say); of several lists those of the lowest `tier` come first.
    """

    path: str
    split: str
    tier: tuple[int, ...]
    entries: Entries

    @property
    def word(self) -> str:
        """The word that tells the split: "train", "test", "val" or ""."""
        return word_of_file(self.path)

    def names_images(self) -> bool:
        """Whether it can be a list at all: it is called like one, has boxes, or the names of image files."""
        stem = os.path.splitext(os.path.basename(self.path))[0].lower()
        return stem in SPLITS_BY_WORD or self.has_boxes or any(map(SUFFIX_AT_END.search, self.entries.paths))

    @property
    def has_boxes(self) -> bool:
        """Whether its lines have boxes; then those without are frames without targets."""
        return self.entries.boxed


def parse_line(line: str, number: Callable[[str], Any] = float) -> tuple[str, tuple[Box, ...] | None]:
    """`path x1,y1,x2,y2,class …` → path (which may hold blanks) and boxes, None without any.

    Raises:
        ValueError: something that is no box stands behind the path.
    """
    line = line.strip()
    if not WHITE_SPACE.search(line):  # most lines are a path alone
        return line, None
    words = line.split()
    first = len(words)  # of the boxes; the first word is always the path's
    while first > 1 and BOX.fullmatch(words[first - 1]):
        first -= 1
    name = line.rsplit(None, len(words) - first)[0] if first < len(words) else line
    if broken := _find_broken_box(name):
        raise ValueError(
            f"found '{broken[:60]}' behind the path, expected boxes x1,y1,x2,y2,class like 10,12.5,18,20,0"
        )
    boxes = []
    for word in words[first:]:
        *texts, text = word.split(",")
        corners, category = tuple(map(number, texts)), int(text)
        if not all(-MAX_NUMBER <= value <= MAX_NUMBER for value in corners) or category > MAX_CLASS:
            raise ValueError(f"found '{word[:60]}', which is beyond all images and classes")
        boxes.append((*corners, category))
    return name, tuple(boxes) or None


def _find_broken_box(name: str) -> str:
    """What stands behind the path in `name` and may have been meant as a box; empty where all of it is a path."""
    if SUFFIX_AT_END.search(name):
        return ""
    if found := SUFFIX_BEFORE_BLANK.search(name):
        return name[found.end() :].lstrip()
    path_and_word = name.rsplit(None, 1)
    return path_and_word[1] if len(path_and_word) == 2 and "," in path_and_word[1] else ""


def read_lines(path: str, number: Callable[[str], Any] = float) -> Sequence[Entry]:
    """Read a list of images, one a line, with or without boxes; blank lines are skipped.

    In a file where any line has boxes, lines without boxes are frames without targets.

    Args:
        path: of the list.
        number: makes a coordinate from its text; `Decimal` keeps every digit.

    Raises:
        UserError: the file holds no line or is not text, a line has a broken box, an image with boxes comes twice, or
            boxes are shares of their image's sides.
    """
    rows, exact = Rows(5), []
    text = read_text(path)

    def names() -> Iterator[str]:
        for line in filter(lambda found: not found[0].isspace(), FILLED_LINE.finditer(text)):
            try:
                name, found = parse_line(line[0], number)
            except ValueError as error:
                row = len(f"{text[: line.start()]}.".splitlines())
                raise UserError(f"{path}: line {row}: {error}; correct that line") from None
            rows.add(found or ()) if number is float else exact.append(found)
            yield name

    paths = Texts(names())
    if not len(paths):
        raise UserError(
            f"{path}: found an empty list, expected one image a line; fill it, or remove it to use the "
            "dataset's own split"
        )
    boxed = bool(rows.values) or any(exact)
    corners = rows.arrays()[0] if number is float else [box for found in exact for box in found or ()]
    corners = np.array(corners, np.float64).reshape(-1, 5)[:, :4]
    problem = shares_problem(np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1))
    if problem:
        raise UserError(f"{path}: {problem}")
    twice = paths.find_repeated() if boxed else []
    if twice:
        raise UserError(
            f"{path}: found {twice[0]} on several lines (the first of {len(twice)} such images), expected "
            "one line an image with all of its boxes; join them"
        )
    if number is float:
        return Entries(paths, rows if boxed else None)
    return tuple(Entry(name, (found or ()) if boxed else None) for name, found in zip(paths, exact, strict=True))


def _tier(below: str) -> tuple[int, ...]:
    """Which of several lists comes first: `train.txt`, `train_NAME.txt`, others; in the root, `img_idx/`, others."""
    folder, _, name = below.rpartition("/")
    stem = os.path.splitext(name)[0].lower()
    word = SPLIT_WORD.match(stem)
    tier = 0 if stem in ("train", "test", "val") else 1 if word or stem.startswith("instances_") else 2
    val = "val" in stem and "train" not in stem
    return int(val), tier, ("", "img_idx").index(folder) if folder in ("", "img_idx") else 2


def _is_meant_as_list(path: str) -> bool:
    """Whether a file that cannot be read as a list may be meant as one; what is passed over is said."""
    name = os.path.basename(path)
    stem, suffix = os.path.splitext(name.lower())
    if stem in SPLITS_BY_WORD or stem.startswith("instances_"):
        return True
    if suffix == ".json":
        found = name_json_file(path)
    else:
        found = "" if _has_name_of_image(path) else "text without the name of an image"
    if found:
        warn(f"{path}: found {found}, which is passed over: it is no list of images with boxes")
    return not found


def _has_name_of_image(path: str) -> bool:
    try:
        return bool(SUFFIX_ANYWHERE.search(read_text(path)))
    except UserError:  # no text
        return True


def find_lists(root: str, report: Report) -> list[ImageList]:
    """Read every list of images in `root`, `img_idx/` and `annotations/`, the most telling first.

    Text files count when their name holds the split; json files too, and any json of `annotations/`.

    One that is empty or broken goes to `report`. Other json files and texts are passed over with a warning, unless
    they are called like a list.
    """
    names, annotations = [], annotations_folder(root)
    for folder in ("", "img_idx", annotations):
        path = os.path.join(root, folder)
        for name in os.listdir(path) if os.path.isdir(path) else ():
            suffix = os.path.splitext(name)[1].lower()
            told = split_of(name) or (suffix == ".json" and folder == annotations)
            if suffix in (".txt", ".json") and told and not name.startswith("."):
                names.append(f"{folder}/{name}" if folder else name)
    lists = []
    for below in sorted(names, key=lambda name: (_tier(name), natural_key(name))):
        path = os.path.join(root, *below.split("/"))
        try:
            entries = Entries.of(read_coco(path)) if below.lower().endswith(".json") else read_lines(path)
        except UserError as error:
            if _is_meant_as_list(path):
                report.add_broken(error)
        else:
            lists.append(ImageList(path, split_of(below), _tier(below), entries))
    return lists
