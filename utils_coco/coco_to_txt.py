"""Turn a COCO json into txt lines `path x1,y1,x2,y2,class …`: `python -m utils_coco.coco_to_txt FILE.json`."""

from __future__ import annotations

import math
import os
import shlex
import sys
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

if not __package__:  # run as a file
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils.datasets.coco import coco_entries, load_coco
from utils.datasets.compact_lists import Box, Entry
from utils.datasets.json_formats import IGNORE_FLAGS, is_ignored
from utils.datasets.lists import parse_line
from utils.images.image_files import image_size
from utils.system.errors import UserError, user_errors
from utils_coco.borders import Borders
from utils_coco.coco_files import files_of, find_images, list_parser, summary, target_file, write_list

KEYS_IN_LINES = {
    "images": ("id", "file_name"),
    "annotations": ("id", "image_id", "category_id", "bbox"),
    "categories": ("id", "name"),
}


def text_line(name: str, boxes: Sequence[Box]) -> str:
    """One line, boxes with all of their decimals.

    Raises:
        ValueError: it would be read back as something else.
    """
    words = [",".join(f"{value.normalize():f}" for value in corners) + f",{category}" for *corners, category in boxes]
    line = " ".join([name, *words])
    line.encode()
    if len(line.splitlines()) != 1 or parse_line(line, Decimal) != (name, tuple(boxes) or None):
        raise ValueError("found a name that a txt line cannot hold")
    return line


def list_lost(content: dict[str, Any]) -> list[str]:
    """What a COCO dictionary says that txt lines cannot, each with its count; `[]` where nothing is lost."""
    lost = list_extras(content, KEYS_IN_LINES)
    order = {image["id"]: i for i, image in enumerate(content["images"])}
    boxes = [
        item["id"] for item in sorted(content["annotations"], key=lambda item: order[item["image_id"]]) if "id" in item
    ]
    ids = {
        "images": list(order),
        "annotations": boxes,
        "categories": sorted({item["id"] for item in content["categories"]}),
    }
    lost += [
        f"id ({len(found)} {part}, counted from 1 on the way back)"
        for part, found in ids.items()
        if found != list(range(1, len(found) + 1))
    ]
    names = [str(item.get("name", "")) for item in sorted(content["categories"], key=lambda item: item["id"])]
    if any(names):
        lost.append(f"name ({len(names)} categories; txt_to_coco puts them back with `--names {shlex.join(names)}`)")
    ignored = sum(map(is_ignored, content["annotations"]))
    lost += [f"regions to ignore, with their boxes ({ignored} annotations)"] if ignored else []
    return lost + [key for key in content if key not in KEYS_IN_LINES]


def list_extras(content: dict[str, Any], held: Mapping[str, Collection[str]]) -> list[str]:
    """What entries of a COCO dictionary say under other keys than those `held` for their part, each with its count."""
    extras = {
        part: Counter(
            key
            for item in content[part]
            for key, value in item.items()
            if key not in held[part] and not _says_nothing(key, value, item)
        )
        for part in held
    }
    return [f"{key} ({count} {part})" for part, counts in extras.items() for key, count in counts.items()]


def _says_nothing(key: str, value: Any, item: dict[str, Any]) -> bool:
    if key == "area" and "bbox" in item and isinstance(value, (int, float)):
        return math.isclose(value, item["bbox"][2] * item["bbox"][3], rel_tol=1e-6)
    if key == "segmentation" and isinstance(value, list):
        return not any(value)
    if key in IGNORE_FLAGS:
        return True  # such boxes are left out as a whole
    if key == "supercategory" and value == "none":
        return True
    return value in (None, "", [])


def _line_of(name: str, boxes: Sequence[Box], source: str) -> str:
    try:
        return text_line(name, boxes)
    except ValueError:
        raise UserError(
            f"{source}: found the image name {name!r}, which a txt line cannot hold; expected a path "
            "without line breaks that does not end like a box; rename the image"
        ) from None


def _fit(
    entries: Sequence[Entry], sizes: Sequence[tuple[int, int] | None], source: str, borders: Borders
) -> list[list[Box]]:
    """The boxes of each image, inside of its (height, width), where that is known.

    Raises:
        UserError: boxes do not fit, or the json declares another size.
    """
    fitted = []
    for entry, size in zip(entries, sizes, strict=True):
        place = f"{source}: {entry.path}"
        borders.look_at_size(place, entry.size, size or entry.size)
        boxes = [borders.fit(place, box, size or (math.inf, math.inf)) for box in entry.boxes]
        fitted.append([box for box in boxes if box is not None])
    borders.require("correct the json")
    return fitted


def convert(
    source: str,
    out: str | None = None,
    image_root: str | None = None,
    absolute: bool = False,
    overwrite: bool = False,
    cut: bool = False,
) -> list[str]:
    """Write the boxes of a COCO json as txt lines, one an image, also for images without boxes.

    Classes are category ids in ascending order, from 0. Decimals are kept: corners are decimal sums of the json's
    numbers.

    Args:
        source: the json.
        out: the txt; default: beside `source`.
        image_root: a dataset's folder; its images are looked up there and named by their paths below it, whatever root
            or slashes the json has.
        absolute: name them by absolute paths.
        overwrite: replace a file that is there.
        cut: boxes at their image's border, and leave out those wholly outside; else such boxes stop.

    Returns:
        Lines that say what was written and what was left out.

    Raises:
        UserError: not a COCO file, boxes of no area or outside their images, an image that is missing, listed twice or
            of another size than the json declares, or a file that is there or cannot be written.
    """
    if absolute and not image_root:
        raise UserError("--absolute: found without --image-root, expected the folder that holds images/ with it")
    path = target_file(source, out, ".txt", overwrite)
    content = load_coco(source)
    entries = coco_entries(content, source, Decimal)
    names, paths = [entry.path for entry in entries], None
    if image_root:
        names = find_images(names, files_of(image_root), source)
        paths = [os.path.join(image_root, name) for name in names]
        names = [Path(os.path.abspath(item)).as_posix() for item in paths] if absolute else names
    sizes = [entry.size for entry in entries] if paths is None else list(map(image_size, paths))
    borders = Borders(cut, exact=True)
    boxes, unknown, lost = _fit(entries, sizes, source, borders), sizes.count(None), list_lost(content)
    lines = [_line_of(name, own, source) for name, own in zip(names, boxes, strict=True)]
    write_list(path, "\n".join(lines) + "\n")
    owners = [entry.path for entry, own in zip(entries, boxes, strict=True) for _ in own]
    said = [f"{path}: {summary(len(entries), owners)}", *borders.said()]
    if lost:
        said.append(f"left out, as txt lines cannot hold it: {'; '.join(lost)}")
    if unknown:
        said.append(
            f"not checked for boxes outside of them: {unknown} images without width and height; give "
            "--image-root to read them from the files"
        )
    return said


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = list_parser("coco_to_txt", __doc__, "json", "COCO json with boxes", "txt", "names as they are")
    parser.add_argument("--absolute", action="store_true", help="with --image-root: name images by absolute paths")
    given = parser.parse_args(argv)
    options = (given.out, given.image_root, given.absolute, given.overwrite, given.cut)
    print("\n".join(convert(given.source, *options)))


if __name__ == "__main__":
    with user_errors():
        main()
