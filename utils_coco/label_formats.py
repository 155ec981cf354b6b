"""Labels of single images in the formats that people have: YOLO, Pascal VOC, COCO, csv of boxes or centroids, masks.

Every reader gives boxes by image, `{stem or path: [(x1, y1, x2, y2, class name), …]}` in pixels from 0, right and
bottom exclusive. Images are looked up by their paths without the extension, else by their names where these are unique.
"""
from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

from utils.annotations import load_coco, read_coco, read_text
from utils.errors import UserError
from utils.files import natural_key
from utils.frames import IMAGE_SUFFIXES

Named = tuple[float, float, float, float, str]
Sizes = Callable[[str], "tuple[int, int] | None"]  # of an image by the key of its labels: (h, w), None without one
KINDS = ("yolo", "voc", "coco", "boxes", "centroids", "masks")
CORNERS = ("xmin", "ymin", "xmax", "ymax")
MASK_ENDINGS = ("", "_pixels0", "_mask", "-mask", "_gt")


def guess(labels: Path) -> str | None:
    """The kind of the labels in a folder or file, by the first file that tells."""
    files = [labels] if labels.is_file() else \
        sorted((path for path in labels.rglob("*") if path.is_file()), key=lambda path: natural_key(str(path)))
    for path in files:
        suffix = path.suffix.lower()
        if suffix == ".xml":
            return "voc"
        if suffix == ".json":
            return "coco"
        if suffix == ".csv":
            columns = set(_columns(path))
            return "boxes" if {"x", "y", "w", "h"} <= columns else "centroids" if {"x", "y"} <= columns else None
        if suffix == ".txt" and path.stem.lower() not in ("classes", "train", "test", "val") and (
                not path.stat().st_size or re.match(r"\s*\d+(\s+[\d.eE+-]+){4}", read_text(str(path)))):
            return "yolo"
    return "masks" if any(path.suffix.lower() in IMAGE_SUFFIXES for path in files) else None


def read(kind: str, labels: Path, sizes: Sizes, side: float) -> dict[str, list[Named]]:
    """The boxes of all images that have some, and `[]` for those that a label file without boxes names.

    Args:
        kind: one of `KINDS`, but masks.
        labels: folder or file.
        sizes: (h, w) of the image that a key names, which YOLO's shares need; None where there is none.
        side: of the boxes around centroids, in pixels.
    Raises:
        UserError: there is no such label file, or one is broken.
    """
    reader = {"yolo": _yolo, "voc": _voc, "coco": _coco, "boxes": _table, "centroids": _table}[kind]
    found: dict[str, list[Named]] = {}
    for key, boxes in reader(labels, sizes, side):
        found.setdefault(key, []).extend(boxes)
    if not found:
        raise UserError(f"{labels}: found no labels of the kind '{kind}'; give another --labels or --kind")
    return found


def _files(labels: Path, suffix: str) -> Iterator[tuple[Path, str]]:
    """Label files and their keys: paths below the folder without the extension."""
    paths = [labels] if labels.is_file() else \
        sorted(labels.rglob(f"*{suffix}"), key=lambda path: natural_key(str(path)))
    for path in paths:
        yield path, (path.name if labels.is_file() else path.relative_to(labels).as_posix())[: -len(path.suffix)]


def _yolo(labels: Path, sizes: Sizes, side: float) -> Iterator[tuple[str, list[Named]]]:
    """`class cx cy w h` a line, in shares of the image's sides; names of the classes in `classes.txt`."""
    listed = next((path for path in (labels / "classes.txt", labels.parent / "classes.txt") if path.is_file()), None)
    names = read_text(str(listed)).split("\n") if listed else []
    for path, key in _files(labels, ".txt"):
        if path.name == "classes.txt":
            continue
        boxes, size = [], sizes(key)
        for row, line in enumerate(read_text(str(path)).splitlines(), 1):
            words = line.split()
            if not words:
                continue
            try:
                number, (cx, cy, w, h) = int(words[0]), map(float, words[1:5])
                sound = len(words) in (5, 6) and all(0 <= v <= 1.001 for v in (cx, cy, w, h)) and number >= 0
            except ValueError:
                sound = False
            if not sound:
                raise UserError(f"{path}: line {row}: found '{line.strip()[:60]}', expected class cx cy w h, four "
                                "shares of the image's sides; correct that line")
            height, width = size or (math.nan, math.nan)
            name = names[number].strip() if number < len(names) and names[number].strip() else f"class{number}"
            boxes.append(((cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height,
                          name))
        yield key, boxes


def _voc(labels: Path, sizes: Sizes, side: float) -> Iterator[tuple[str, list[Named]]]:
    """One xml an image; xmin … ymax count from 1, both ends inclusive."""
    for path, key in _files(labels, ".xml"):
        text = read_text(str(path))
        if "<!ENTITY" in text or "<!DOCTYPE" in text:
            raise UserError(f"{path}: found a document type or entities, expected a plain VOC file; remove them")
        try:
            boxes = []
            for item in ElementTree.fromstring(text).iter("object"):
                x1, y1, x2, y2 = (float(item.find("bndbox").find(name).text) for name in CORNERS)
                boxes.append((x1 - 1, y1 - 1, x2, y2, (item.findtext("name") or "target").strip()))
        except (ElementTree.ParseError, AttributeError, TypeError, ValueError) as error:
            raise UserError(f"{path}: not a VOC file with object/bndbox/xmin … ymax ({error}); correct it") from None
        yield key, boxes


def _coco(labels: Path, sizes: Sizes, side: float) -> Iterator[tuple[str, list[Named]]]:
    for path, _ in _files(labels, ".json"):
        categories = sorted(load_coco(str(path))["categories"], key=lambda item: item["id"])
        for entry in read_coco(str(path)):
            key = entry.path.replace("\\", "/")
            if ".." in key.split("/"):
                raise UserError(f"{path}: found '{entry.path}', which may lead out of the images' folder; correct it")
            yield key.rpartition(".")[0] or key, [
                (*corners, str(categories[number].get("name", f"class{number}")))
                for *corners, number in entry.boxes or ()]


def _columns(path: Path) -> list[str]:
    head = read_text(str(path)).split("\n", 1)[0]
    return [name.strip().lower() for name in head.split(",")]


def _table(labels: Path, sizes: Sizes, side: float) -> Iterator[tuple[str, list[Named]]]:
    """csv `image,x,y,w,h[,class]`, or `image,x,y[,class]` with centres; without the column `image`, `frame` numbers the
    images of the folder that is called like the file."""
    for path, key in _files(labels, ".csv"):
        columns = _columns(path)
        rows = csv.reader(read_text(str(path)).splitlines()[1:], skipinitialspace=True)
        if "image" not in columns and "frame" not in columns:
            raise UserError(f"{path}: found the columns {', '.join(columns)[:80]}, expected image (or frame), x, y, "
                            "and w, h for boxes; write the labels again")
        for line, row in enumerate(rows, 2):
            cells = dict(zip(columns, (cell.strip() for cell in row), strict=False))
            if not any(cells.values()):
                continue
            try:
                image = cells["image"].replace("\\", "/") if "image" in columns else f"{key}/{int(cells['frame'])}"
                x, y = float(cells["x"]), float(cells["y"])
                w, h = (float(cells[name]) if "w" in columns else side for name in "wh")
                sound = all(map(math.isfinite, (x, y, w, h))) and ".." not in image.split("/")
            except (KeyError, ValueError):
                sound = False
            if not sound:
                raise UserError(f"{path}: line {line}: found '{','.join(row)[:60]}', expected values for "
                                f"{','.join(columns)[:60]}; correct that line")
            if "w" not in columns:  # pixel centres are whole numbers
                x, y = x + 0.5 - w / 2, y + 0.5 - h / 2
            if Path(image).suffix.lower() in IMAGE_SUFFIXES:
                image = image.rpartition(".")[0]
            yield image, [(x, y, x + w, y + h, cells.get("class") or "target")]


def mask_files(labels: Path) -> dict[str, Path]:
    """Mask images by the keys of the images they belong to."""
    found = {}
    for path in sorted(labels.rglob("*")):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            key = path.relative_to(labels).with_suffix("").as_posix()
            ending = next((e for e in MASK_ENDINGS[1:] if key.endswith(e)), "")
            found[key.removesuffix(ending)] = path
    return found
