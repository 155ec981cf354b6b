"""YOLO labels: a text file an image, `class cx cy w h` a line, or the points of a polygon, in shares of its sides.

Behind a box may stand what Ultralytics' programs put there, a confidence, the id of a track, or both.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from utils.images.boxes import SHARE_TOLERANCE
from utils.system.errors import UserError
from utils.system.untrusted import read_text
from utils_coco.class_names import ClassNames, is_names_file
from utils_coco.image_labels import ReadLabels, SizeLookup
from utils_coco.label_kinds import NAMES_WITHOUT_LABELS, is_yolo, label_files
from utils_coco.label_tables import NamedBox

MAX_CLASS = 9999  # a number beyond is a slip
MAX_ID_DIGITS = 15
MIN_LINES = 3  # that all end with a whole number, by which ids behind boxes are told from points of polygons


class Line(NamedTuple):
    """A line: its number in the file, its text, the class, and the words behind that."""

    row: int
    text: str
    number: int
    words: Sequence[str]

    @property
    def id(self) -> int | None:
        """The last word, where it is a number that no share of a side is: a whole one above 1."""
        word = self.words[-1]
        return int(word) if _is_whole(word) and int(word) > 1 else None


@dataclass(frozen=True)
class Columns:
    """What stands behind the boxes of a set of files: in a sixth column ids instead of scores, a seventh of ids."""

    ids_alone: bool
    ids_behind: bool


def read_yolo(labels: Path, sizes: SizeLookup, found: ReadLabels) -> None:
    """Take up all files; names of the classes as in `utils_coco.class_names`.

    A score behind a box is passed over. Other text, such as a README, that no image is called like is passed over.

    Args:
        labels: folder or file.
        sizes: (h, w) of the image that a key names.
        found: takes the boxes.

    Raises:
        UserError: a line is none of these.
    """
    names, files = ClassNames(labels), {}
    for path, key in label_files(labels, ".txt"):
        size = sizes(key)
        if is_names_file(path):
            continue
        if size is None and (
            path.stem.lower() in NAMES_WITHOUT_LABELS or found.unread.takes(path) or not is_yolo(path)
        ):
            continue
        files[path] = key, size, _read_lines(path)
    columns, polygons, tracked, scores = _find_columns([lines for *_, lines in files.values()]), 0, 0, []
    for path, (key, size, lines) in files.items():
        boxes, (height, width) = [], size or (math.nan, math.nan)
        for line in lines:
            try:
                (cx, cy, w, h), score, track = _read_box(line.words, columns)
            except ValueError:
                raise _broken(path, line.row, line.text) from None
            corners = ((cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height)
            boxes.append(NamedBox(*corners, names.find(path, line.number), False, track))
            polygons, tracked = polygons + _is_polygon(line.words, columns), tracked + (track is not None)
            scores += [] if score is None else [score]
        found.add(key, boxes)
    found.said += names.said()
    found.scores += scores if any(score != 1 for score in scores) or not columns.ids_behind else []
    count = sum(len(image.boxes) for image in found.images.values())
    if polygons:
        found.notes.append(f"{labels}: {polygons} of {count} labels are polygons; the boxes around them are taken")
    if tracked:
        place = "last of seven columns" if columns.ids_behind else "sixth column, which holds whole numbers above 1"
        found.said.append(f"{tracked} of {count} boxes have the id of a track ({place})")


def _read_lines(path: Path) -> list[Line]:
    """The lines of a file that are not blank; raises `UserError` where one has no class and four words."""
    lines = []
    for row, text in enumerate(read_text(str(path)).splitlines(), 1):
        words = text.split()
        if not words:
            continue
        try:
            number = int(words[0])
        except ValueError:
            number = -1
        if len(words) < 5 or not 0 <= number <= MAX_CLASS:
            raise _broken(path, row, text)
        lines.append(Line(row, text, number, words[1:]))
    return lines


def _broken(path: Path, row: int, text: str) -> UserError:
    return UserError(
        f"{path}: line {row}: found '{text.strip()[:60]}', expected class cx cy w h, four shares of the image's sides, "
        "or class and the points of a polygon, also in shares; correct that line"
    )


def _find_columns(files: Sequence[Sequence[Line]]) -> Columns:
    """What columns mean, by all lines.

    A sixth one holds ids where all are whole numbers, some above 1, and none is twice in a file; a seventh one where
    some are above 1, or `MIN_LINES` and more are all whole.
    """
    sixth = [[line for line in lines if len(line.words) == 5] for lines in files]
    whole = all(_is_whole(line.words[4]) for lines in sixth for line in lines)
    once = all(max(Counter(line.words[4] for line in lines).values(), default=0) <= 1 for lines in sixth)
    above = any(line.id is not None for lines in sixth for line in lines)
    last = [line for lines in files for line in lines if len(line.words) == 6]
    behind = any(line.id is not None for line in last)
    behind = behind or (len(last) >= MIN_LINES and all(_is_whole(line.words[5]) for line in last))
    return Columns(whole and once and above and not behind, behind)


def _is_polygon(words: Sequence[str], columns: Columns) -> bool:
    return len(words) > 6 or (len(words) == 6 and not columns.ids_behind)


def _read_box(words: Sequence[str], columns: Columns) -> tuple[Sequence[float], float | None, int | None]:
    """cx, cy, w, h of a line or of the polygon that it is, the score and the track behind it.

    Raises:
        ValueError: they may be something else, such as key points.
    """
    values, score, track = [float(word) for word in words], None, None
    if _is_polygon(words, columns):
        # three points, the last one at 0 or 1, may be a box with a score and a track
        unclear = len(words) == 6 and words[5].isdecimal()
        if len(values) % 2 or unclear or not all(map(_is_share, values)):
            raise ValueError
        x, y = values[::2], values[1::2]
        return ((min(x) + max(x)) / 2, (min(y) + max(y)) / 2, max(x) - min(x), max(y) - min(y)), None, None
    if len(words) == 6:
        if not (0 <= values[4] <= 1 and _is_whole(words[5])):
            raise ValueError
        score, track = values[4], int(words[5])
    elif len(words) == 5:
        score, track = (None, int(words[4])) if columns.ids_alone else (values[4], None)
    if not all(map(_is_share, values[:4])) or not math.isfinite(score or 0):
        raise ValueError
    return values[:4], score, track


def _is_whole(word: str) -> bool:
    return word.isascii() and word.isdecimal() and len(word) <= MAX_ID_DIGITS


def _is_share(value: float) -> bool:
    return 0 <= value <= 1 + SHARE_TOLERANCE
