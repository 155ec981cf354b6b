"""YOLO labels: a text file an image, `class cx cy w h` a line, or the points of a polygon, in shares of its sides."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from utils.system.errors import UserError
from utils.system.untrusted import read_text
from utils_coco.class_names import ClassNames, is_names_file
from utils_coco.image_labels import ReadLabels, SizeLookup
from utils_coco.label_kinds import NAMES_WITHOUT_LABELS, is_yolo, label_files
from utils_coco.label_tables import NamedBox

MAX_CLASS = 9999  # a number beyond is a slip


def read_yolo(labels: Path, sizes: SizeLookup, found: ReadLabels) -> None:
    """`class cx cy w h` a line, in shares of the image's sides; names of the classes as in `utils_coco.class_names`.

    A number behind them, such as a score, is passed over. Other text, such as a README, that no image is called like
    is passed over.
    """
    names, polygons = ClassNames(labels), 0
    for path, key in label_files(labels, ".txt"):
        boxes, size = [], sizes(key)
        if is_names_file(path):
            continue
        if size is None and (
            path.stem.lower() in NAMES_WITHOUT_LABELS or found.unread.takes(path) or not is_yolo(path)
        ):
            continue
        height, width = size or (math.nan, math.nan)
        for row, line in enumerate(read_text(str(path)).splitlines(), 1):
            words = line.split()
            if not words:
                continue
            try:
                number, (cx, cy, w, h, *more) = int(words[0]), _box_around(words[1:])
                polygons += len(words) > 6
                sound = len(more) < 2 and all(0 <= value <= 1.001 for value in (cx, cy, w, h))
                sound = sound and 0 <= number <= MAX_CLASS and all(map(math.isfinite, more))
            except ValueError:
                sound = False
            if not sound:
                raise UserError(
                    f"{path}: line {row}: found '{line.strip()[:60]}', expected class cx cy w h, four shares of the "
                    "image's sides, or class and the points of a polygon, also in shares; correct that line"
                )
            corners = ((cx - w / 2) * width, (cy - h / 2) * height, (cx + w / 2) * width, (cy + h / 2) * height)
            boxes.append(NamedBox(*corners, names.find(path, number)))
            found.scores += more
        found.add(key, boxes)
    found.said += names.said()
    if polygons:
        count = sum(len(image.boxes) for image in found.images.values())
        found.notes.append(f"{labels}: {polygons} of {count} labels are polygons; the boxes around them are taken")


def _box_around(words: Sequence[str]) -> list[float]:
    """cx cy w h of a label's numbers: these themselves and what follows them, or of the polygon that they are.

    Raises:
        ValueError: they may be something else, such as a box with a score and a track, or key points.
    """
    values = [float(word) for word in words]
    if len(values) < 6:
        return values
    tracked = len(values) == 6 and words[5].isdecimal()
    if len(values) % 2 or tracked or not all(0 <= value <= 1.001 for value in values):
        raise ValueError
    x, y = values[::2], values[1::2]
    return [(min(x) + max(x)) / 2, (min(y) + max(y)) / 2, max(x) - min(x), max(y) - min(y)]
