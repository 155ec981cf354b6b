"""Detections as COCO results, and the images, ids and categories that these speak of."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from utils.datasets.coco import TARGET_CATEGORY, box_entry, category_entries, coco_content, image_entry, load_coco
from utils.datasets.dataset import Dataset
from utils.datasets.frame_table import Frame
from utils.datasets.json_formats import RESULT_SCHEMA, category_name, find_flaw, load_json, shorten
from utils.datasets.layouts import list_files
from utils.datasets.lists import find_lists
from utils.datasets.problems import Report
from utils.datasets.splits import SPLITS
from utils.images.image_files import IMAGE_SUFFIXES
from utils.system.errors import UserError
from utils.system.notices import warn

MAX_DIGITS = 19  # of a name that is a number
EXPECTED = "expected COCO results, a list of {image_id, category_id, bbox: [x, y, w, h], score}"


@dataclass(frozen=True)
class Naming:
    """What COCO files call a dataset's images and classes.

    `ids` are image ids by `Frame.image`; `categories` {id, name} in the order of the classes, which count from 0;
    `source` are the json files they are from, none where the dataset has none that name every image: then images count
    from 1 in the dataset's order, and so do categories.
    """

    ids: dict[str, int]
    categories: tuple[dict[str, Any], ...]
    source: tuple[str, ...] = ()

    def category(self, number: int) -> int:
        """The category id of a class; those beyond the known ones follow the largest id."""
        known = [item["id"] for item in self.categories]
        return known[number] if number < len(known) else max(known) + 1 + number - len(known)

    def name(self, number: int) -> str:
        """What people call a class: its category's name, or the id where it has none of its own."""
        names = [item["name"] for item in self.categories]
        own = names[number] if number < len(names) else None
        return own if names.count(own) == 1 else f"category {self.category(number)}"


def naming_of(dataset: Dataset) -> Naming:
    """The ids and categories of the dataset's own json files where they name every image, else counted ones."""
    files, frames = list_files(dataset.root), dataset.frames
    splits = (*SPLITS, "") if dataset.split == "all" else (dataset.split, "")
    ids: dict[str, int] = {}
    sources: dict[str, tuple[dict[str, Any], ...]] = {}
    for item in find_lists(dataset.root, Report()):
        if item.path.lower().endswith(".json") and item.split in splits:
            content = load_coco(item.path)
            keys = [(files.find(str(image["file_name"]), item.word), image["id"]) for image in content["images"]]
            own = {files.path(files.images[key]): number for key, number in keys if key is not None}
            if not own.keys() <= ids.keys():
                sources[item.path] = tuple(
                    sorted(
                        (
                            {"id": entry["id"], "name": category_name(entry, str(entry["id"]))}
                            for entry in content["categories"]
                        ),
                        key=lambda entry: entry["id"],
                    )
                )
                ids = own | ids
    chosen = {frame.image: ids.get(frame.image) for frame in frames}
    whole = None not in chosen.values() and len(set(chosen.values())) == len(chosen)
    categories = next(iter(sources.values()), ())
    if whole and categories and all(other == categories for other in sources.values()):
        return Naming(chosen, categories, tuple(sources))
    count = max((box[4] for frame in frames for box in frame.boxes or ()), default=0) + 1
    names = dataset.classes or ([TARGET_CATEGORY] if count == 1 else [f"class {number}" for number in range(count)])
    return Naming({frame.image: index for index, frame in enumerate(frames, start=1)}, tuple(category_entries(names)))


def as_results(detections: Iterable[tuple[Frame, np.ndarray]], naming: Naming) -> list[dict[str, Any]]:
    """Detections `(N, 6)` of frames as COCO results.

    Boxes are in thousandths of a pixel, as of `utils.metrics.evaluate.round_detections`.
    """
    return [
        {
            "image_id": naming.ids[frame.image],
            "category_id": naming.category(int(number)),
            "bbox": [round(value, 3) for value in (x1, y1, x2 - x1, y2 - y1)],
            "score": score,
        }
        for frame, rows in detections
        for x1, y1, x2, y2, score, number in rows.tolist()
    ]


def as_truth(
    frames: Iterable[tuple[Frame, np.ndarray, np.ndarray]], dataset: Dataset, naming: Naming
) -> dict[str, Any]:
    """Frames with their true boxes `(G, 5)` and the regions to ignore `(R, 5)` as a COCO file.

    It tells what the ids of the results stand for.
    """
    images, annotations = [], []
    for frame, boxes, ignored in frames:
        name = Path(os.path.relpath(frame.image, dataset.root)).as_posix()
        images.append(image_entry(naming.ids[frame.image], name))
        for x1, y1, x2, y2, number, crowd in (
            (*box, i) for i, part in enumerate((boxes, ignored)) for box in part.tolist()
        ):
            annotations.append(
                box_entry(
                    len(annotations) + 1,
                    images[-1]["id"],
                    naming.category(int(number)),
                    bbox=[x1, y1, x2 - x1, y2 - y1],
                    area=(x2 - x1) * (y2 - y1),
                    iscrowd=crowd,
                )
            )
    return coco_content(images, annotations, naming.categories)


def read_results(path: str | os.PathLike, naming: Naming, any_class: bool = False) -> dict[str, np.ndarray]:
    """Read COCO results, wherever they were made.

    Args:
        path: of the json file; it speaks of images by their ids or, where not all are such, by names of their files,
            with or without folders and endings, as far as these tell one.
        naming: of the dataset they are about.
        any_class: take all categories for class 0.

    Returns:
        For each image with detections, by `Frame.image`, `(N, 6)` float64 x1, y1, x2, y2, score, class.

    Raises:
        UserError: not json, no COCO results, or about images or categories that the dataset does not have.
    """
    content = load_json(str(path), EXPECTED)
    if not isinstance(content, list):
        keys = f" with {', '.join(map(str, list(content)[:4]))}" if isinstance(content, dict) else ""
        raise UserError(f"{path}: found a {type(content).__name__}{keys}, {EXPECTED}")
    entries = [_read_entry(path, index, item) for index, item in enumerate(content)]
    images = _find_images(path, naming, dict.fromkeys(image for image, *_ in entries))
    classes = {item["id"]: index for index, item in enumerate(naming.categories)}
    rows: dict[str, list[list[float]]] = defaultdict(list)
    for index, (image, category, box, score) in enumerate(entries):
        if image not in images:
            raise UserError(
                f"{path}: entry {index} is about image {shorten(image, 80)}, which is none of the {len(naming.ids)} of "
                f"this split; expected ids of {_describe_source(naming)}, or names of files; give the results of this "
                "--split"
            )
        if not any_class and category not in classes:
            raise UserError(
                f"{path}: entry {index} has category {category!r}, expected one of "
                f"{', '.join(map(str, classes))} ({_describe_source(naming)}); correct it or give "
                "--class-agnostic"
            )
        x, y, w, h = box
        rows[images[image]].append([x, y, x + w, y + h, score, 0 if any_class else classes[category]])
    return {image: np.array(found, np.float64) for image, found in rows.items()}


def _find_images(path: str | os.PathLike, naming: Naming, given: Iterable[Any]) -> dict[Any, str]:
    """What results call images → `Frame.image`; what is unknown is left out. That names are taken is said."""
    images: dict[Any, str] = {number: image for image, number in naming.ids.items()}
    given = list(given)
    if all(one in images for one in given):
        return images
    names = _images_by_name(naming.ids)
    stems = [(int(name), image) for name, image in names.items() if name.isdecimal() and len(name) < MAX_DIGITS]
    counts = Counter(number for number, _ in stems)
    numbers = {number: image for number, image in stems if counts[number] == 1}  # 000007.png is 7 for some programs
    found = {one: names.get(_bare_name(str(one))) or numbers.get(one) for one in given}
    if not all(found.values()):
        return images
    warn(f"{path}: not all of its image ids are ids of {_describe_source(naming)}; all are taken for names of files")
    return found


def _bare_name(name: str) -> str:
    """A path with `/` alone, from its first folder on, and without the ending of an image."""
    name = name.replace("\\", "/").lstrip("./")
    return os.path.splitext(name)[0] if os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES else name


def _images_by_name(images: Iterable[str]) -> dict[str, str]:
    """Images by every end of their paths, without the ending, that no other one has."""
    found: dict[str, str] = {}
    several: set[str] = set()
    for image in images:
        name = _bare_name(Path(image).as_posix())
        while name:
            if name in found:
                several.add(name)
            found[name] = image
            name = name.partition("/")[2]
    return {name: image for name, image in found.items() if name not in several}


def _describe_source(naming: Naming) -> str:
    return naming.source[0] if naming.source else "images and classes counted from 1 in the dataset's order"


def _read_entry(path: str | os.PathLike, index: int, item: Any) -> tuple[Any, Any, list[float], float]:
    """Image, category, box and score of an entry; raises `UserError` where it is none."""
    if flaw := find_flaw(item, RESULT_SCHEMA):
        raise UserError(f"{path}: entry {index} is {shorten(item, 120)}, without a usable {flaw}; {EXPECTED}")
    image, category, box, score = (item[key] for key in RESULT_SCHEMA)
    if min(box[2:]) < 0:
        raise UserError(
            f"{path}: entry {index} has a box of {box[2]:g}x{box[3]:g} pixels (w x h), expected sides of "
            "at least 0: bbox is [x, y, w, h]; correct it"
        )
    return image, category, list(map(float, box)), float(score)
