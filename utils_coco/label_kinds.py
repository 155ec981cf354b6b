"""Kinds of labels, and which one a folder or file holds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from utils.datasets.formats.page_labels import is_page_labels
from utils.images.folders import walk_folder
from utils.images.frame_names import natural_key
from utils.images.image_files import IMAGE_SUFFIXES
from utils.system.errors import UserError
from utils.system.untrusted import read_text
from utils_coco.label_tables import table_kind
from utils_coco.point_files import hold_points, read_points
from utils_coco.unread_formats import READ_LAST, UnreadFiles, name_format

LABEL_KINDS = ("view", "yolo", "voc", "coco", "cvat", "labelme", "mot", "boxes", "centroids", "masks")
SUFFIXES = {  # of their files
    "view": ".json",
    "yolo": ".txt",
    "voc": ".xml",
    "coco": ".json",
    "cvat": ".xml",
    "labelme": ".json",
    "mot": ".txt",
}
MAX_TRIED = 3  # .mat files
NAMES_WITHOUT_LABELS = ("classes", "predefined_classes", "train", "test", "val", "valid")  # of text beside labels


def guess_kind(labels: Path) -> str | None:
    """The kind of the labels in a folder or file, by the first file that tells; `READ_LAST` and .mat files come last.

    Raises:
        UserError: the columns of a csv do not tell, and no other file does; or one csv holds boxes, another centroids;
            or there are only labels of formats that are not read.
    """
    if any(is_page_labels(path) for path, _ in label_files(labels, ".json")):
        return "view"  # whatever lies beside it: in a folder of results, predictions
    unclear, last, unread = None, set(), UnreadFiles()
    for path in [labels] if labels.is_file() else files_below(labels):
        suffix = path.suffix.lower()
        name = name_format(path)
        if name in READ_LAST:
            last.add(name)
        if name in READ_LAST or unread.takes(path, name):
            continue
        if suffix == ".xml":
            return "voc"
        if suffix == ".json":
            return "coco"
        if suffix == ".csv" and not unclear:
            try:
                return _kind_of_tables(labels)
            except UserError as error:
                unclear = error
        if suffix == ".txt" and path.stem.lower() not in NAMES_WITHOUT_LABELS and is_yolo(path):
            return "yolo"
    if last:
        return next(kind for name, kind in READ_LAST.items() if name in last)
    if find_points(labels, guess=True):
        return "centroids"
    if unclear:
        raise unclear
    unread.refuse()
    images = labels.is_dir() and any(path.suffix.lower() in IMAGE_SUFFIXES for path in files_below(labels))
    unread.refuse(all_kinds=not images)
    return "masks" if images else None


def files_below(folder: Path) -> list[Path]:
    """All files in a folder and below it, in natural order."""
    found = (folder / below / name for below, names in walk_folder(folder).names.items() for name in names)
    return sorted(found, key=lambda path: natural_key(str(path)))


def _kind_of_tables(labels: Path) -> str:
    tables = {table_kind(path): path for path, _ in label_files(labels, ".csv")}
    if len(tables) > 1:
        raise UserError(
            f"{labels}: found boxes in {tables['boxes']} and centroids in {tables['centroids']}, expected "
            "one of the two; take them apart, or give --kind"
        )
    return next(iter(tables))


def is_yolo(path: Path) -> bool:
    """Whether a text file begins like YOLO labels, or is empty like those of an image without targets."""
    try:
        return not path.stat().st_size or bool(re.match(r"\s*\d+(\s+[\d.eE+-]+){4}", read_text(str(path))))
    except UserError:  # no text
        return False


def find_points(labels: Path, guess: bool = False) -> list[tuple[Path, str]]:
    """The .mat files and their keys where one of the first few holds points; clips of frames lie in such files too.

    Raises:
        UserError: one of these cannot be read, and this is no `guess`.
    """
    found = [*label_files(labels, ".mat")]
    holds = hold_points if guess else lambda path: read_points(path) is not None
    return found if any(holds(path) for path, _ in found[:MAX_TRIED]) else []


def label_files(labels: Path, suffix: str) -> Iterator[tuple[Path, str]]:
    """Label files and their keys: paths below the folder without the extension."""
    if labels.is_file():
        if (labels.suffix.lower() == ".mat") == (suffix == ".mat"):
            yield labels, labels.name[: -len(labels.suffix)]
        return
    for path in files_below(labels):
        if path.suffix.lower() == suffix:
            yield path, path.relative_to(labels).as_posix()[: -len(path.suffix)]
