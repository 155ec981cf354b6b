"""COCO json files: what is read of them, and how they are written."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from utils.datasets.compact_lists import NO_TRACK, Box, Entry
from utils.datasets.json_formats import complete_coco, declared_size, is_ignored, load_json, require_coco
from utils.images.boxes import shares_problem
from utils.system.errors import UserError
from utils.system.files import whole_file

COCO_ADVICE = "expected a COCO file with images, annotations and categories; write it again"
TARGET_CATEGORY = "target"  # the category of boxes that have none


def load_coco(path: str) -> dict[str, Any]:
    """The content of a COCO json, as `utils.datasets.json_formats.SCHEMA` has it.

    Raises:
        UserError: not json, or not a COCO file.
    """
    return require_coco(complete_coco(load_json(path, COCO_ADVICE), path), path, COCO_ADVICE)


def read_coco(path: str) -> tuple[Entry, ...]:
    """Read a COCO json with `load_coco` and `coco_entries`."""
    return coco_entries(load_coco(path), path)


def coco_entries(content: dict[str, Any], path: str, number: Callable[[str], Any] = float) -> tuple[Entry, ...]:
    """The images of a COCO file with their boxes.

    `bbox` [x, y, w, h] in pixels becomes xyxy; category ids in ascending order become 0, 1, …. The boxes of an image
    keep the order of its annotations. A `track_id` of -1 is none; where one is text, tracks are numbered from 0.

    Args:
        content: from `load_coco(path)`.
        path: named in errors.
        number: makes a coordinate from its text; `Decimal` keeps every digit.

    Raises:
        UserError: images, annotations and categories do not refer to each other, an image is listed twice, or boxes are
            shares of their image's sides.
    """
    problem = shares_problem(np.array([item["bbox"] for item in content["annotations"]], np.float64))
    if problem:
        raise UserError(f"{path}: {problem}")
    try:
        _require_once([(image["id"], image["file_name"]) for image in content["images"]])
        entries = _entries(content, number)
    except _Mismatch as error:
        raise UserError(f"{path}: {error}; {COCO_ADVICE}") from None
    if not entries:
        raise UserError(
            f"{path}: found an empty list of images, expected all frames, also without targets; {COCO_ADVICE}"
        )
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


def _entries(content: dict[str, Any], number: Callable[[str], Any]) -> tuple[Entry, ...]:
    """The images with the boxes of their annotations."""
    classes = {id_: index for index, id_ in enumerate(sorted(item["id"] for item in content["categories"]))}
    images = {image["id"]: image for image in content["images"]}
    boxes: dict[int, list[Box]] = {image: [] for image in images}
    ignored: dict[int, list[Box]] = defaultdict(list)
    snr: dict[int, list[float]] = defaultdict(list)
    tracks: dict[int, list[int]] = defaultdict(list)
    track_of = number_tracks(content["annotations"])
    convert = float if number is float else lambda value: number(repr(value))
    for item in content["annotations"]:
        image, category = item["image_id"], item["category_id"]
        if image not in images or category not in classes:
            lost = f"image {image}" if image not in images else f"category {category}"
            listed = "images" if image not in images else "categories"
            raise _Mismatch(f"annotation {item.get('id')} belongs to {lost}, which is not among the {listed}")
        x, y, w, h = map(convert, item["bbox"])
        box = (x, y, x + w, y + h, classes[category])
        if is_ignored(item):
            ignored[image].append(box)
            continue
        boxes[image].append(box)
        if track_of:
            tracks[image].append(track_of.get(item.get("track_id"), NO_TRACK))
        if item.get("snr") is not None:
            snr[image].append(float(item["snr"]))
    return tuple(
        Entry(
            image["file_name"],
            tuple(boxes[id_]),
            tuple(snr.get(id_, ())),
            tuple(ignored.get(id_, ())),
            declared_size(image),
            tuple(own) if set(own := tracks.get(id_, ())) - {NO_TRACK} else (),
        )
        for id_, image in images.items()
    )


def number_tracks(annotations: Iterable[dict[str, Any]]) -> dict[Any, int]:
    """The number of every `track_id`, which is that itself unless one is text, or below -1."""
    names = dict.fromkeys(item.get("track_id") for item in annotations)
    names = [name for name in names if name not in (None, NO_TRACK)]
    whole = all(type(name) is int and name >= 0 for name in names)
    return {name: name if whole else number for number, name in enumerate(names)}


def image_entry(number: int, file_name: str, size: tuple[int, int] | None = None, **more: Any) -> dict[str, Any]:
    """An entry of `images`.

    Args:
        number: its id.
        file_name: path below the dataset's folder.
        size: (height, width) in pixels, where it is to be said.
        more: further keys, in the order they are to be written.
    """
    sides = {} if size is None else {"width": size[1], "height": size[0]}
    return {"id": number, "file_name": file_name, **sides, **more}


def box_entry(number: int, image: int, category: int, **more: Any) -> dict[str, Any]:
    """An entry of `annotations`.

    Args:
        number: its id.
        image: id of the image that it lies in.
        category: id of its class.
        more: `bbox` [x, y, w, h] in pixels, `area`, `iscrowd` and whatever else, in the order they are to be written.
    """
    return {"id": number, "image_id": image, "category_id": category, **more}


def category_entries(names: Sequence[str]) -> list[dict[str, Any]]:
    """The entries of `categories` for the classes 0, 1, …, whose ids count from 1."""
    return [{"id": number, "name": name} for number, name in enumerate(names, 1)]


def coco_content(
    images: Sequence[dict[str, Any]], annotations: Sequence[dict[str, Any]], categories: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """The content of a COCO file from its entries."""
    return {"images": list(images), "annotations": list(annotations), "categories": list(categories)}


def coco_of_boxes(frames: Iterable[tuple[str, tuple[int, int], Sequence[Box]]], names: Sequence[str]) -> dict[str, Any]:
    """The content of a COCO file; ids of images, boxes and categories count from 1.

    Widths and heights are decimal differences, so that 0.3 - 0.1 is 0.2, as whoever wrote the corners meant it.

    Args:
        frames: file name, (height, width) and boxes x1, y1, x2, y2, class of every image; those without boxes count.
            A box with a true value behind its class is a region to ignore, `iscrowd` 1; what follows is its
            `track_id`, if it is not None.
        names: of the classes 0, 1, ….
    """
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for name, size, boxes in frames:
        images.append(image_entry(len(images) + 1, name, size))
        for box in boxes:
            x1, y1, x2, y2 = (Decimal(str(value)) for value in box[:4])
            bbox = [_json_number(value) for value in (x1, y1, x2 - x1, y2 - y1)]
            annotations.append(
                box_entry(
                    len(annotations) + 1,
                    len(images),
                    box[4] + 1,
                    bbox=bbox,
                    area=_json_number((x2 - x1) * (y2 - y1)),
                    iscrowd=int(any(box[5:6])),
                    segmentation=[],
                    **({} if len(box) < 7 or box[6] is None else {"track_id": box[6]}),
                )
            )
    return coco_content(images, annotations, category_entries(names))


def _json_number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


def write_coco(path: str | os.PathLike, content: Any) -> None:
    """Write a COCO file, or a list of results, without blanks: it may have a hundred thousand entries.

    Raises:
        UserError: the file cannot be written; what was there before still is.
        ValueError: a number is not finite.
    """
    with whole_file(path, "give another --out") as file:
        file.write(json.dumps(content, separators=(",", ":"), allow_nan=False).encode())
