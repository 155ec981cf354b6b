"""labelme's json files, one an image: rectangles, polygons and the like become the boxes around them.

Coordinates count from 0 at the left upper corner of the first pixel; `group_id` is the id of a track.
"""

from __future__ import annotations

import math
import posixpath
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from utils.datasets.coco import TARGET_CATEGORY
from utils.datasets.json_formats import (
    LABEL,
    MAX_CHARACTERS,
    MAX_NUMBER,
    TEXT,
    declared_size,
    find_flaw,
    load_json,
    name_json,
    shorten,
)
from utils.system.errors import UserError
from utils_coco.image_labels import ReadLabels, SizeLookup
from utils_coco.label_kinds import label_files
from utils_coco.label_tables import IGNORE_COLUMNS, NamedBox, plain_name

LABELME_ADVICE = "expected a json of labelme with shapes and imagePath; save it again"
AROUND = ("rectangle", "polygon", "rotation", "quadrilateral", "points")  # whose boxes are around their points
SHAPE = {"label": TEXT, "group_id": LABEL, "shape_type": LABEL}
MAX_GROUP = 1 << 53  # a track's id beyond is a slip


def read_labelme(labels: Path, sizes: SizeLookup, side: float, found: ReadLabels) -> None:
    """Take up all files; each is about the image that is called like it, else about its `imagePath`.

    A shape with one of `IGNORE_COLUMNS` set, as a key or among its `flags`, is a region to ignore.

    Args:
        labels: folder or file.
        sizes: tells which keys are those of images.
        side: of the box around a single point, in pixels.
        found: takes the boxes.

    Raises:
        UserError: a file is broken.
    """
    others: Counter[str] = Counter()
    for path, key in label_files(labels, ".json"):
        content = load_json(str(path), LABELME_ADVICE)
        if name := name_json(content):
            if name != "labelme" and found.unread.takes(path, name):
                continue
        elif labels.is_dir():
            found.unread.takes(path, "a COCO file")
            continue
        boxes = _read_shapes(content, path, side, found, others)
        found.add(_key_of(key, content, sizes), boxes, _size_of(content, path))
    if others:
        listed = ", ".join(f"{name} {count}" for name, count in others.most_common(8))
        found.notes.append(f"{labels}: shapes that are passed over: {listed}")


def _key_of(key: str, content: dict[str, Any], sizes: SizeLookup) -> str:
    """The file's own key where an image is called like it, else that of its `imagePath`, if there is that image."""
    own = content.get("imagePath")
    if sizes(key) is not None or type(own) is not str or not 0 < len(own) <= MAX_CHARACTERS:
        return key
    path = posixpath.normpath(posixpath.join(posixpath.dirname(key), own.replace("\\", "/")))
    parts = [part for part in path.split("/") if part not in ("", "..")]
    other = "/".join([*parts[:-1], posixpath.splitext(parts[-1])[0]]) if parts else key
    return other if sizes(other) is not None else key


def _size_of(content: dict[str, Any], path: Path) -> tuple[int, int] | None:
    """The (height, width) that is declared for the image, if any."""
    sides = {key: content.get(f"image{key.title()}") for key in ("height", "width")}
    sound = all(value is None or (type(value) in (int, float) and 0 <= value <= MAX_NUMBER) for value in sides.values())
    if not sound:
        raise UserError(
            f"{path}: found imageHeight {shorten(sides['height'])} and imageWidth {shorten(sides['width'])}, expected "
            "pixels; correct them"
        )
    return declared_size(sides)


def _read_shapes(content: Any, path: Path, side: float, found: ReadLabels, others: Counter[str]) -> list[NamedBox]:
    """The boxes around the shapes of one image; scores go to `found`, kinds of shapes that are not read to `others`."""
    shapes = content.get("shapes") if isinstance(content, dict) else None
    if not isinstance(shapes, list):
        raise UserError(f"{path}: found no list 'shapes', {LABELME_ADVICE}")
    boxes = []
    for index, item in enumerate(shapes):
        if flaw := find_flaw(item, SHAPE):
            raise UserError(f"{path}: found a shape without a usable {flaw} (shape {index}); {LABELME_ADVICE}")
        kind, track = item.get("shape_type") or "polygon", item.get("group_id")
        points = _points(item.get("points"))
        if points is None or (type(track) is int and not -1 <= track <= MAX_GROUP):
            raise UserError(
                f"{path}: shape {index}: found points {shorten(item.get('points'))} and group_id {shorten(track)}, "
                "expected [[x, y], …] in pixels and a number from 0, or null; correct it"
            )
        corners = _box_around(kind, points, side)
        if corners is None:
            others[f"{kind} of {len(points)} points"] += 1
            continue
        score = item.get("score")
        found.scores += [score] if type(score) in (int, float) and math.isfinite(score) else []
        track = None if track in (-1, "") else track
        name = item["label"] if item["label"].strip() else TARGET_CATEGORY
        boxes.append(NamedBox(*corners, name, _is_ignored(item), track))
    return boxes


def _points(given: Any) -> list[tuple[float, float]] | None:
    """Points as pairs of numbers; None where they are something else."""
    if not isinstance(given, list) or not given:
        return None
    for point in given:
        if not isinstance(point, list) or len(point) != 2:
            return None
        if not all(type(value) in (int, float) and abs(value) <= MAX_NUMBER for value in point):
            return None
    return [(float(x), float(y)) for x, y in given]


def _box_around(kind: str, points: Sequence[tuple[float, float]], side: float) -> tuple[float, ...] | None:
    """x1, y1, x2, y2 around a shape; None for one that is not read, such as a line."""
    x, y = zip(*points, strict=True)
    if kind == "point" and len(points) == 1:
        return x[0] - side / 2, y[0] - side / 2, x[0] + side / 2, y[0] + side / 2
    if len(points) < 2:
        return None
    if kind == "circle" and len(points) == 2:
        radius = math.dist(*points)
        return x[0] - radius, y[0] - radius, x[0] + radius, y[0] + radius
    if kind == "mask":  # whose points are its first and its last pixel
        return min(x), min(y), max(x) + 1, max(y) + 1
    return (min(x), min(y), max(x), max(y)) if kind in AROUND else None


def _is_ignored(item: dict[str, Any]) -> bool:
    """Whether a shape is a region to ignore."""
    flags = item.get("flags")
    flags = {**item, **flags} if isinstance(flags, dict) else item
    return any(value in (True, 1) for key, value in flags.items() if plain_name(key) in IGNORE_COLUMNS)
