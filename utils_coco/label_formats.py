"""Labels of single images in the formats that people have: YOLO, Pascal VOC, COCO, csv of boxes or centroids, masks.

Every reader gives boxes by image, `{stem or path: [(x1, y1, x2, y2, class name), …]}` in pixels from 0, right and
bottom exclusive. Images are looked up by their paths without the extension, else by their names where these are unique.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

from utils.datasets.coco import TARGET_CATEGORY, load_coco, read_coco
from utils.images.folders import walk_folder
from utils.images.frame_names import natural_key
from utils.images.image_files import IMAGE_SUFFIXES
from utils.system.errors import UserError
from utils.system.untrusted import read_text
from utils_coco.label_tables import read_table, table_kind

NamedBox = tuple[float, float, float, float, str]
SizeLookup = Callable[[str], "tuple[int, int] | None"]  # of an image by the key of its labels: (h, w), None without one
LABEL_KINDS = ("yolo", "voc", "coco", "boxes", "centroids", "masks")
VOC_CORNERS = ("xmin", "ymin", "xmax", "ymax")
NAMES_WITHOUT_LABELS = ("classes", "train", "test", "val")  # text files beside labels that hold none
MASK_ENDINGS = ("", "_pixels0", "_mask", "-mask", "_gt")


def guess_kind(labels: Path) -> str | None:
    """The kind of the labels in a folder or file, by the first file that tells.

    Raises:
        UserError: the columns of a csv do not tell, and no other file does; or one csv holds boxes, another centroids.
    """
    unclear = None
    for path in [labels] if labels.is_file() else _files_below(labels):
        suffix = path.suffix.lower()
        if suffix == ".xml":
            return "voc"
        if suffix == ".json":
            return "coco"
        if suffix == ".csv" and not unclear:
            try:
                return _kind_of_tables(labels)
            except UserError as error:
                unclear = error
        if suffix == ".txt" and path.stem.lower() not in NAMES_WITHOUT_LABELS and _is_yolo(path):
            return "yolo"
    if unclear:
        raise unclear
    images = labels.is_dir() and any(path.suffix.lower() in IMAGE_SUFFIXES for path in _files_below(labels))
    return "masks" if images else None


def _files_below(folder: Path) -> list[Path]:
    found = (folder / below / name for below, names in walk_folder(folder).names.items() for name in names)
    return sorted(found, key=lambda path: natural_key(str(path)))


def _kind_of_tables(labels: Path) -> str:
    tables = {table_kind(path): path for path, _ in _files(labels, ".csv")}
    if len(tables) > 1:
        raise UserError(
            f"{labels}: found boxes in {tables['boxes']} and centroids in {tables['centroids']}, expected "
            "one of the two; take them apart, or give --kind"
        )
    return next(iter(tables))


def _is_yolo(path: Path) -> bool:
    """Whether a text file begins like YOLO labels, or is empty like those of an image without targets."""
    try:
        return not path.stat().st_size or bool(re.match(r"\s*\d+(\s+[\d.eE+-]+){4}", read_text(str(path))))
    except UserError:  # no text
        return False


def read_boxes(kind: str, labels: Path, sizes: SizeLookup, side: float) -> dict[str, list[NamedBox]]:
    """The boxes of all images that have some, and `[]` for those that a label file without boxes names.

    Args:
        kind: one of `LABEL_KINDS`, but masks.
        labels: folder or file.
        sizes: (h, w) of the image that a key names, which YOLO's shares need; None where there is none.
        side: of the boxes around centroids, in pixels.

    Raises:
        UserError: there is no such label file, or one is broken.
    """
    if kind == "yolo":
        labelled = _yolo(labels, sizes)
    elif kind == "voc":
        labelled = _voc(labels)
    elif kind == "coco":
        labelled = _coco(labels)
    else:
        labelled = _tables(labels, kind, side)
    found: dict[str, list[NamedBox]] = {}
    for key, boxes in labelled:
        found.setdefault(key, []).extend(boxes)
    if not found:
        raise UserError(f"{labels}: found no labels of the kind '{kind}'; give another --labels or --kind")
    return found


def _files(labels: Path, suffix: str) -> Iterator[tuple[Path, str]]:
    """Label files and their keys: paths below the folder without the extension."""
    if labels.is_file():
        yield labels, labels.name[: -len(labels.suffix)]
        return
    for path in _files_below(labels):
        if path.suffix.lower() == suffix:
            yield path, path.relative_to(labels).as_posix()[: -len(path.suffix)]


def _yolo(labels: Path, sizes: SizeLookup) -> Iterator[tuple[str, list[NamedBox]]]:
    """`class cx cy w h` a line, in shares of the image's sides; names of the classes in `classes.txt`.

    Other text, such as a README, that no image is called like is passed over.
    """
    listed = next((path for path in (labels / "classes.txt", labels.parent / "classes.txt") if path.is_file()), None)
    names = read_text(str(listed)).split("\n") if listed else []
    for path, key in _files(labels, ".txt"):
        boxes, size = [], sizes(key)
        if path.name == "classes.txt":
            continue
        if size is None and (path.stem.lower() in NAMES_WITHOUT_LABELS or not _is_yolo(path)):
            continue
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
                raise UserError(
                    f"{path}: line {row}: found '{line.strip()[:60]}', expected class cx cy w h, four "
                    "shares of the image's sides; correct that line"
                )
            height, width = size or (math.nan, math.nan)
            name = names[number].strip() if number < len(names) and names[number].strip() else f"class{number}"
            boxes.append(
                ((cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height, name)
            )
        yield key, boxes


def _voc(labels: Path) -> Iterator[tuple[str, list[NamedBox]]]:
    """One xml an image; xmin … ymax count from 1, both ends inclusive."""
    for path, key in _files(labels, ".xml"):
        text = read_text(str(path))
        if "<!ENTITY" in text or "<!DOCTYPE" in text:
            raise UserError(f"{path}: found a document type or entities, expected a plain VOC file; remove them")
        try:
            boxes = []
            for item in ElementTree.fromstring(text).iter("object"):
                x1, y1, x2, y2 = (float(item.find("bndbox").find(name).text) for name in VOC_CORNERS)
                boxes.append((x1 - 1, y1 - 1, x2, y2, (item.findtext("name") or TARGET_CATEGORY).strip()))
        except (ElementTree.ParseError, AttributeError, TypeError, ValueError) as error:
            raise UserError(f"{path}: not a VOC file with object/bndbox/xmin … ymax ({error}); correct it") from None
        yield key, boxes


def _coco(labels: Path) -> Iterator[tuple[str, list[NamedBox]]]:
    """Names of images may begin in the json's folder."""
    for path, own in _files(labels, ".json"):
        folder = own.rpartition("/")[0]
        categories = sorted(load_coco(str(path))["categories"], key=lambda item: item["id"])
        for entry in read_coco(str(path)):
            key = entry.path.replace("\\", "/")
            if ".." in key.split("/"):
                raise UserError(f"{path}: found '{entry.path}', which may lead out of the images' folder; correct it")
            yield (
                f"{folder}/{key.rpartition('.')[0] or key}".lstrip("/"),
                [
                    (*corners, str(categories[number].get("name", f"class{number}")))
                    for *corners, number in entry.boxes or ()
                ],
            )


def _tables(labels: Path, kind: str, side: float) -> Iterator[tuple[str, list[NamedBox]]]:
    for path, key in _files(labels, ".csv"):
        yield from read_table(path, key, kind, side)


def mask_files(labels: Path) -> dict[str, Path]:
    """Mask images by the keys of the images they belong to."""
    found = {}
    for path in _files_below(labels):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            key = path.relative_to(labels).with_suffix("").as_posix()
            ending = next((e for e in MASK_ENDINGS[1:] if key.endswith(e)), "")
            found[key.removesuffix(ending)] = path
    return found
