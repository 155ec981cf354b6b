"""Lists of images and boxes: index files, txt lines with boxes, and COCO json files."""
from __future__ import annotations

import codecs
import json
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils.errors import UserError
from utils.files import natural_key
from utils.report import Report

Box = tuple[float, float, float, float, int]
NUMBER = r"-?(?:\d+\.?\d*|\.\d+)"
LINE = re.compile(rf"(.+?)((?:\s+{NUMBER}(?:,{NUMBER}){{3}},\d+)*)")
SPLIT_WORD = re.compile(r"(?<![a-z])(train|test|val)")


@dataclass(frozen=True, slots=True)
class Entry:
    """One image as a list names it; `boxes` is None in lists without boxes, `snr` holds one figure a box if known."""

    path: str
    boxes: tuple[Box, ...] | None
    snr: tuple[float, ...] = ()


@dataclass(frozen=True)
class ImageList:
    """One index, txt or json file.

    `split` is "train", "test" or "" (the name does not say); of several lists those of the lowest `tier` come first.
    """

    path: str
    split: str
    tier: tuple[int, ...]
    entries: tuple[Entry, ...]

    @property
    def has_boxes(self) -> bool:
        return any(entry.boxes is not None for entry in self.entries)


def _text(path: str) -> str:
    """A text file's content, in UTF-8 or UTF-16, with or without a byte-order mark."""
    with open(path, "rb") as file:
        data = file.read()
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text file in UTF-8; write the file again") from None


def _line_entry(line: str) -> tuple[str, tuple[Box, ...] | None]:
    """`path x1,y1,x2,y2,class …` → path (which may hold blanks) and boxes, None without any."""
    name, tail = LINE.fullmatch(line.strip()).groups()
    boxes = []
    for word in tail.split():
        *corners, category = word.split(",")
        boxes.append((*map(float, corners), int(category)))
    return name, tuple(boxes) or None


def read_lines(path: str) -> tuple[Entry, ...]:
    """Read a list of images, one a line, with or without boxes; blank lines are skipped.

    In a file where any line has boxes, lines without boxes are frames without targets.

    Raises:
        UserError: the file holds no line or is not text.
    """
    pairs = [_line_entry(line) for line in _text(path).splitlines() if line.strip()]
    if not pairs:
        raise UserError(f"{path}: found an empty list, expected one image a line; fill it, or remove it to use the "
                        "dataset's own split")
    boxed = any(boxes is not None for _, boxes in pairs)
    return tuple(Entry(name, boxes if boxes or not boxed else ()) for name, boxes in pairs)


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else math.nan


def _id(entry: Any, key: str) -> int:
    """The integer under `key`; raises ValueError for any other value there, KeyError where there is none."""
    value = entry[key]
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"'{key}', an integer: found {json.dumps(value)[:40]}")
    return value


def read_coco(path: str) -> tuple[Entry, ...]:
    """Read a COCO json: `bbox` [x, y, w, h] in pixels becomes xyxy; category ids in ascending order become 0, 1, ….

    Raises:
        UserError: not json, or not a COCO file with images, annotations and categories that refer to each other by
            integer ids, each image listed once.
    """
    advice = "expected a COCO file with images, annotations and categories; write it again"
    try:
        content = json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: not json ({error}); {advice}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: found a {type(content).__name__}, {advice}")
    for part in ("images", "annotations", "categories"):
        if not isinstance(content.get(part), list):
            keys = ", ".join(map(str, list(content)[:6]))
            raise UserError(f"{path}: found no list '{part}' (keys: {keys}), {advice}")
    try:
        images = [(_id(image, "id"), str(image["file_name"])) for image in content["images"]]
        _require_once(images)
        entries = _entries(dict(images), content["annotations"], [_id(item, "id") for item in content["categories"]])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path}: found an entry without a usable {error}, {advice}") from None
    except _Mismatch as error:
        raise UserError(f"{path}: {error}; {advice}") from None
    if not images:
        raise UserError(f"{path}: found an empty list of images, expected all frames, also without targets; {advice}")
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


def _entries(names: dict[int, str], annotations: list[Any], categories: list[int]) -> tuple[Entry, ...]:
    """The images `names` by id with the boxes of their annotations."""
    classes = {number: i for i, number in enumerate(sorted(set(categories)))}
    boxes: dict[int, list[Box]] = {number: [] for number in names}
    snr: dict[int, list[float]] = {number: [] for number in names}
    for item in annotations:
        image, category = _id(item, "image_id"), _id(item, "category_id")
        x, y, w, h = (_number(value) for value in item["bbox"])
        for number, known, part in ((image, names, "image"), (category, classes, "category")):
            if number not in known:
                listed = {"image": "images", "category": "categories"}[part]
                raise _Mismatch(f"annotation {item.get('id')} belongs to {part} {number}, which is not among the "
                                f"{listed}")
        boxes[image].append((x, y, x + w, y + h, classes[category]))
        if item.get("snr") is not None:
            snr[image].append(_number(item["snr"]))
    return tuple(Entry(name, tuple(boxes[number]), tuple(snr[number])) for number, name in names.items())


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
            entries = read_coco(path) if below.lower().endswith(".json") else read_lines(path)
        except UserError as error:
            report.broken(error)
        else:
            lists.append(ImageList(path, split_of(below), _tier(below), entries))
    return lists
