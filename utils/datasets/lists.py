"""Lists of images and boxes: index files, txt lines with boxes, and COCO json files."""
from __future__ import annotations

import codecs
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils.datasets.compact_lists import Box, Entries, Entry, Rows, Texts
from utils.datasets.problems import Report
from utils.images.frame_names import natural_key
from utils.images.image_files import IMAGE_SUFFIXES
from utils.system.errors import UserError
from utils.system.untrusted import read_bytes

NUMBER = r"-?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
LINE = re.compile(rf"(.+?)((?:\s+{NUMBER}(?:,{NUMBER}){{3}},\d+)*)")
SUFFIX = "|".join(map(re.escape, sorted(IMAGE_SUFFIXES)))
BROKEN_BOX = re.compile(rf"(?!.*(?:{SUFFIX})$)(?:.*?(?:{SUFFIX})\s+(\S.*)|.*\s(\S*,\S*))", re.IGNORECASE)
LINES = re.compile("[^\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")  # what str.splitlines splits, without an object for each
BLANK = re.compile(r"\s")
SPLIT_WORD = re.compile(r"(?<![a-z])(train|test|val)")


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
    def has_boxes(self) -> bool:
        return self.entries.boxed


def read_text(path: str) -> str:
    """A text file's content, in UTF-8 or UTF-16, with or without a byte-order mark.

    Raises:
        UserError: it cannot be read, or is not text.
    """
    data = read_bytes(path, "a text file").tobytes()
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text file in UTF-8; write the file again") from None


def parse_line(line: str, number: Callable[[str], Any] = float) -> tuple[str, tuple[Box, ...] | None]:
    """`path x1,y1,x2,y2,class …` → path (which may hold blanks) and boxes, None without any.

    Raises:
        ValueError: something that is no box stands behind the path.
    """
    line = line.strip()
    if not BLANK.search(line):  # most lines are a path alone
        return line, None
    name, tail = LINE.fullmatch(line).groups()
    broken = BROKEN_BOX.fullmatch(name)
    if broken:
        raise ValueError(f"found '{(broken[1] or broken[2])[:60]}' behind the path, expected boxes "
                         "x1,y1,x2,y2,class like 10,12.5,18,20,0")
    boxes = []
    for word in tail.split():
        *corners, category = word.split(",")
        boxes.append((*map(number, corners), int(category)))
    return name, tuple(boxes) or None


def read_lines(path: str, number: Callable[[str], Any] = float) -> Sequence[Entry]:
    """Read a list of images, one a line, with or without boxes; blank lines are skipped.

    In a file where any line has boxes, lines without boxes are frames without targets.

    Args:
        number: makes a coordinate from its text; `Decimal` keeps every digit.
    Raises:
        UserError: the file holds no line or is not text, a line has a broken box, or an image with boxes comes twice.
    """
    rows, exact = Rows(5), []
    text = read_text(path)

    def names() -> Iterator[str]:
        for line in filter(lambda found: not found[0].isspace(), LINES.finditer(text)):
            try:
                name, found = parse_line(line[0], number)
            except ValueError as error:
                row = len(f"{text[:line.start()]}.".splitlines())
                raise UserError(f"{path}: line {row}: {error}; correct that line") from None
            rows.add(found or ()) if number is float else exact.append(found)
            yield name

    paths = Texts(names())
    if not len(paths):
        raise UserError(f"{path}: found an empty list, expected one image a line; fill it, or remove it to use the "
                        "dataset's own split")
    boxed = bool(rows.values) or any(exact)
    twice = paths.repeated() if boxed else []
    if twice:
        raise UserError(f"{path}: found {twice[0]} on several lines (the first of {len(twice)} such images), expected "
                        "one line an image with all of its boxes; join them")
    if number is float:
        return Entries(paths, rows if boxed else None)
    return tuple(Entry(name, (found or ()) if boxed else None) for name, found in zip(paths, exact, strict=True))


def _number(value: Any, number: Callable[[str], Any] = float) -> Any:
    return number(repr(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else "nan")


def _id(entry: Any, key: str) -> int:
    """The integer under `key`; raises ValueError for any other value there, KeyError where there is none."""
    value = entry[key]
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"'{key}', an integer: found {json.dumps(value)[:40]}")
    return value


COCO_ADVICE = "expected a COCO file with images, annotations and categories; write it again"


def load_coco(path: str) -> dict[str, Any]:
    """The content of a COCO json; that it has lists of images, annotations and categories is all that is checked.

    Raises:
        UserError: not json, or not a COCO file.
    """
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:  # also numbers of thousands of digits, and lists in lists in lists
        raise UserError(f"{path}: not json ({error}); {COCO_ADVICE}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: found a {type(content).__name__}, {COCO_ADVICE}")
    for part in ("images", "annotations", "categories"):
        if not isinstance(content.get(part), list):
            keys = ", ".join(map(str, list(content)[:6]))
            raise UserError(f"{path}: found no list '{part}' (keys: {keys}), {COCO_ADVICE}")
    return content


def read_coco(path: str) -> tuple[Entry, ...]:
    """Read a COCO json with `load_coco` and `coco_entries`."""
    return coco_entries(load_coco(path), path)


def coco_entries(content: dict[str, Any], path: str, number: Callable[[str], Any] = float) -> tuple[Entry, ...]:
    """The images of a COCO file: `bbox` [x, y, w, h] in pixels becomes xyxy; category ids in ascending order become
    0, 1, …. The boxes of an image keep the order of its annotations.

    Args:
        content: from `load_coco(path)`.
        number: makes a coordinate from its text; `Decimal` keeps every digit.
    Raises:
        UserError: not json, or not a COCO file with images, annotations and categories that refer to each other by
            integer ids, each image listed once.
    """
    try:
        images = [(_id(image, "id"), str(image["file_name"])) for image in content["images"]]
        _require_once(images)
        categories = [_id(item, "id") for item in content["categories"]]
        entries = _entries(dict(images), content["annotations"], categories, number)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: found an entry without a usable {error}, {COCO_ADVICE}") from None
    except _Mismatch as error:
        raise UserError(f"{path}: {error}; {COCO_ADVICE}") from None
    if not images:
        raise UserError(f"{path}: found an empty list of images, expected all frames, also without targets; "
                        f"{COCO_ADVICE}")
    return entries


class _Mismatch(Exception):
    """Parts of a COCO file contradict each other."""


def _require_once(images: list[tuple[int, str]]) -> None:
    ids: dict[int, str] = {}
    names: dict[str, int] = {}
    for number, name in images:
        if number in ids:
            raise _Mismatch(f"found image id {number} twice, for {ids[number]} and {name}")
        if name in names:
            raise _Mismatch(f"found image {name} twice, with the ids {names[name]} and {number}")
        ids[number], names[name] = name, number


def _entries(names: dict[int, str], annotations: list[Any], categories: list[int],
             number: Callable[[str], Any]) -> tuple[Entry, ...]:
    """The images `names` by id with the boxes of their annotations."""
    classes = {category: i for i, category in enumerate(sorted(set(categories)))}
    boxes: dict[int, list[Box]] = {image: [] for image in names}
    snr: dict[int, list[float]] = {image: [] for image in names}
    for item in annotations:
        image, category = _id(item, "image_id"), _id(item, "category_id")
        x, y, w, h = (_number(value, number) for value in item["bbox"])
        for found, known, part in ((image, names, "image"), (category, classes, "category")):
            if found not in known:
                listed = {"image": "images", "category": "categories"}[part]
                raise _Mismatch(f"annotation {item.get('id')} belongs to {part} {found}, which is not among the "
                                f"{listed}")
        boxes[image].append((x, y, x + w, y + h, classes[category]))
        if item.get("snr") is not None:
            snr[image].append(_number(item["snr"]))
    return tuple(Entry(name, tuple(boxes[image]), tuple(snr[image])) for image, name in names.items())


def split_of(name: str) -> str:
    """The split that a file's name speaks of: "train", "test" ("val" counts as test) or ""."""
    word = SPLIT_WORD.search(Path(name).stem.lower())
    return {"train": "train", "test": "test", "val": "test"}[word.group(1)] if word else ""


def _tier(below: str) -> tuple[int, ...]:
    """Which of several lists comes first: `train.txt`, `train_NAME.txt`, others; in the root, `img_idx/`, others."""
    folder, _, name = below.rpartition("/")
    stem = os.path.splitext(name)[0].lower()
    word = SPLIT_WORD.match(stem)
    tier = 0 if stem in ("train", "test", "val") else 1 if word or stem.startswith("instances_") else 2
    val = "val" in stem and "train" not in stem
    return int(val), tier, ("", "img_idx", "annotations").index(folder)


def find_lists(root: str, report: Report) -> list[ImageList]:
    """Read every list of images in `root`, `img_idx/` and `annotations/`, the most telling first.

    Text files count when their name holds the split; json files too, and any json of `annotations/`.

    One that is empty or broken goes to `report`.
    """
    names = []
    for folder in ("", "img_idx", "annotations"):
        path = os.path.join(root, folder)
        for name in os.listdir(path) if os.path.isdir(path) else ():
            suffix = os.path.splitext(name)[1].lower()
            told = split_of(name) or (suffix == ".json" and folder == "annotations")
            if suffix in (".txt", ".json") and told and not name.startswith("."):
                names.append(f"{folder}/{name}" if folder else name)
    lists = []
    for below in sorted(names, key=lambda name: (_tier(name), natural_key(name))):
        path = os.path.join(root, *below.split("/"))
        try:
            entries = Entries.of(read_coco(path)) if below.lower().endswith(".json") else read_lines(path)
        except UserError as error:
            report.broken(error)
        else:
            lists.append(ImageList(path, split_of(below), _tier(below), entries))
    return lists
