"""Labels of videos as csv files, one a video: `frame,class,x,y,w,h`, frames and pixels counted from 1."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import numpy as np

from utils.datasets.formats.voc import as_flag
from utils.datasets.json_formats import MAX_NUMBER
from utils.images.alike_names import AlikeNames
from utils.images.boxes import shares_problem
from utils.images.folders import is_passed_over
from utils.images.frame_names import natural_key
from utils.system.errors import UserError
from utils.system.untrusted import read_text
from utils.video.capture import VIDEO_SUFFIXES
from utils_coco.label_tables import IGNORE_COLUMNS, plain_name

COLUMNS = ("frame", "class", "x", "y", "w", "h")
MAX_FRAME = 1 << 40  # a number beyond is a slip


@dataclass(frozen=True, slots=True)
class Label:
    """One box in a video's `frame`, from 0: `corners` x1, y1, x2, y2 in pixels from 0; `row` is its line in the csv.

    It may be a region to ignore.
    """

    row: int
    frame: int
    name: str
    corners: tuple[Decimal, ...]
    ignored: bool = False


@dataclass(frozen=True)
class LabelledVideo:
    """A video and its labels; `other_columns` of the csv are not read."""

    name: str
    film: Path
    table: Path
    labels: tuple[Label, ...]
    other_columns: tuple[str, ...]


def read_labels(path: str | os.PathLike) -> tuple[tuple[Label, ...], tuple[str, ...]]:
    """Read a csv whose first line names the columns, in any order.

    Returns:
        The boxes, and the names of columns that are not read.

    Raises:
        UserError: a column is missing, a row has no frame number from 1, no class or no four numbers, or boxes are
            shares of the image's sides.
    """
    expected = f"expected the columns {','.join(COLUMNS)}"
    reader = csv.DictReader(read_text(str(path)).splitlines(), skipinitialspace=True)
    try:
        columns = [str(name).strip() for name in reader.fieldnames or ()]
        reader.fieldnames = columns
        missing = [name for name in COLUMNS if name not in columns]
        if missing:
            raise UserError(
                f"{path}: found no column {missing[0]} (columns: {', '.join(columns)[:80] or 'none'}), "
                f"{expected}; write the labels again"
            )
        labels = tuple(_label(row, reader.line_num, path) for row in reader)
    except csv.Error as error:
        raise UserError(f"{path}: not a csv file ({error}), {expected}; write the labels again") from None
    boxes = [(x1 + 1, y1 + 1, x2 - x1, y2 - y1) for x1, y1, x2, y2 in (label.corners for label in labels)]
    problem = shares_problem(np.array(boxes, np.float64))
    if problem:
        raise UserError(f"{path}: {problem}")
    return labels, tuple(name for name in columns if name not in COLUMNS and plain_name(name) not in IGNORE_COLUMNS)


def _label(row: dict[Any, Any], line: int, path: str | os.PathLike) -> Label:
    words = {key: (row[key] or "").strip() for key in COLUMNS}
    try:
        frame = int(words["frame"])
        x, y, w, h = (Decimal(words[key]) for key in ("x", "y", "w", "h"))
        # DictReader puts what goes beyond the last column under None
        sound = None not in row and words["class"] and 1 <= frame <= MAX_FRAME
        sound = sound and all(value.is_finite() and -MAX_NUMBER <= value <= MAX_NUMBER for value in (x, y, w, h))
        ignored = any([as_flag(row[name] or "") for name in row if plain_name(name or "") in IGNORE_COLUMNS])
    except (ValueError, InvalidOperation):
        sound = False
    if not sound:
        raise UserError(
            f"{path}: line {line}: found {','.join(words.values())[:60]}, expected a frame number from 1, "
            "a class and the numbers x,y,w,h; correct that line"
        )
    return Label(line, frame - 1, words["class"], (x - 1, y - 1, x - 1 + w, y - 1 + h), ignored)


def _files(folder: str, option: str, suffixes: frozenset[str]) -> list[Path]:
    if not Path(folder).is_dir():
        raise UserError(f"{folder}: no such folder, expected the one of {option}; correct it")
    found = [
        path for path in Path(folder).iterdir() if path.suffix.lower() in suffixes and not is_passed_over(path.name)
    ]
    return sorted(found, key=lambda path: natural_key(path.name))


def labelled_videos(labels: str, videos: str) -> tuple[list[LabelledVideo], list[str]]:
    """Read every `NAME.csv` of the folder `labels` and find its video in the folder `videos`.

    Returns:
        These in natural order, and the file names of videos without a csv.

    Raises:
        UserError: a folder is missing, there is no csv, a csv is broken, or it has no video or several.
    """
    tables = _files(labels, "--labels", frozenset({".csv"}))
    films = _files(videos, "--videos", VIDEO_SUFFIXES)
    if not tables:
        raise UserError(f"{labels}: found no csv file, expected NAME.csv for every video; give another --labels")
    found, alike = [], AlikeNames(lambda: {film.stem for film in films})
    for table in tables:
        name = table.stem if any(film.stem == table.stem for film in films) else alike.find(table.stem)
        own = [film for film in films if film.stem == name]
        if len(own) != 1:
            raise UserError(
                f"{table}: found {len(own)} videos of that name in {videos}, expected one; correct "
                "--videos, or remove what is too much"
            )
        found.append(LabelledVideo(table.stem, own[0], table, *read_labels(table)))
    alike.tell(videos)
    used = {item.film for item in found}
    return found, [film.name for film in films if film not in used]
