"""Turn a COCO json into labelme's json files, one an image: `python -m utils_coco.coco_to_labelme FILE --out DIR`.

Boxes become rectangles, ids of tracks `group_id`, and a region to ignore has the flag `ignore`.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if not __package__:  # run as a file
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils.system.errors import UserError, user_errors
from utils_coco.borders import Borders
from utils_coco.box_source import SourceBox, open_boxes, place_in, plain_path, source_parser, write_new_folder
from utils_coco.coco_files import coco_summary

LABELME_VERSION = "5.4.1"


def labelme_shape(box: SourceBox, categories: Sequence[str]) -> dict[str, Any]:
    """A box as a rectangle; the class is the name of its category."""
    return {
        "label": categories[box.category],
        "points": [[float(box.x1), float(box.y1)], [float(box.x2), float(box.y2)]],
        "group_id": box.track,
        "description": "",
        "shape_type": "rectangle",
        "flags": {"ignore": True} if box.ignored else {},
        **({} if box.score is None else {"score": float(box.score)}),
    }


def convert(
    source: str, out: str, images: str | None = None, image_root: str | None = None, cut: bool = False
) -> list[str]:
    """Write the boxes of each image as `OUT/SEQUENCE/NAME.json`, also of images without any.

    `imagePath` leads from there to the image where `image_root` is given, else it is the image's name.

    Args:
        source: as of `utils_coco.box_source.open_boxes`.
        out: folder of the files, new or empty.
        images: as of `open_boxes`.
        image_root: likewise.
        cut: boxes at their image's border, and leave out those wholly outside; else such boxes stop.

    Returns:
        Lines that say what was written and what was left out.

    Raises:
        UserError: as of `open_boxes`, two images whose files would be one, or a file that is there or cannot be
            written.
    """
    boxes, texts = open_boxes(source, images, image_root, Borders(cut, exact=True)), {}
    if unnamed := [name for name in boxes.categories if not name.strip()]:
        raise UserError(f"{boxes.path}: found category {unnamed[0]!r}, expected a name; rename it")
    for index, (name, size, own) in enumerate(zip(boxes.names, boxes.sizes, boxes.boxes, strict=True)):
        path = place_in("", name, ".json")
        if path in texts:
            raise UserError(f"{boxes.path}: found several images for {path}, the last {name}; rename one")
        image = plain_path(name).rpartition("/")[2]
        if boxes.files:
            image = Path(os.path.relpath(boxes.files[index], os.path.join(out, path.parent))).as_posix()
        content = {
            "version": LABELME_VERSION,
            "flags": {},
            "shapes": [labelme_shape(box, boxes.categories) for box in own],
            "imagePath": image,
            "imageData": None,
            "imageHeight": size and size[0],
            "imageWidth": size and size[1],
        }
        texts[path] = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_new_folder(out, texts, [source, images, image_root])
    said = [f"{out}: {len(texts)} files, {coco_summary(boxes.content)}, pixels counted from 0"]
    return said + boxes.said(boxes.list_lost(("track", "ignored", "score")), "labelme's files")


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = source_parser("coco_to_labelme", __doc__, "new folder for SEQUENCE/NAME.json")
    print("\n".join(convert(**vars(parser.parse_args(argv)))))


if __name__ == "__main__":
    with user_errors():
        main()
