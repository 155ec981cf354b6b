"""Turn a COCO json into YOLO labels, one text file an image: `python -m utils_coco.coco_to_yolo FILE --out DIR`.

`labels/` mirrors `images/`, and `data.yaml` names the classes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

if not __package__:  # run as a file
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils.system.errors import UserError, user_errors
from utils_coco.borders import Borders
from utils_coco.box_source import (
    BoxSource,
    SourceBox,
    open_boxes,
    place_in,
    plain_number,
    source_parser,
    write_new_folder,
)
from utils_coco.coco_files import coco_summary

DECIMALS = Decimal("1e-10")  # of shares: less than a millionth of a pixel


def yolo_line(box: SourceBox, size: tuple[int, int], tracks: bool = False) -> str:
    """A box as a line.

    Args:
        box: inside its image.
        size: (height, width) of the image.
        tracks: put its score and the id of its track behind it; a score of 1 before an id alone.
    """
    height, width = size
    across, along = box.x2 - box.x1, box.y2 - box.y1
    shares = ((box.x1 + box.x2) / 2 / width, (box.y1 + box.y2) / 2 / height, across / width, along / height)
    words = [str(box.category), *(plain_number(value.quantize(DECIMALS)) for value in shares)]
    if tracks and (box.score, box.track) != (None, None):
        words.append(plain_number(Decimal(1) if box.score is None else box.score))
        words += [] if box.track is None else [str(box.track)]
    return " ".join(words)


def yaml_of_classes(categories: Sequence[str], path: str) -> str:
    """The text of `data.yaml`; raises `UserError` for a name that it cannot hold."""
    lines = ["path: .", "names:"]
    for number, name in enumerate(categories):
        quote = next((mark for mark in "'\"" if mark not in name), "")
        if not name or not quote or not name.isprintable() or (quote == '"' and "\\" in name):
            raise UserError(f"{path}: found category {name!r:.80}, which a YAML file cannot hold in quotes; rename it")
        lines.append(f"  {number}: {quote}{name}{quote}")
    return "\n".join(lines) + "\n"


def convert(
    source: str,
    out: str,
    images: str | None = None,
    image_root: str | None = None,
    tracks: bool = False,
    cut: bool = False,
) -> list[str]:
    """Write the boxes of each image as `OUT/labels/SEQUENCE/NAME.txt`, also of images without any.

    Args:
        source: as of `utils_coco.box_source.open_boxes`.
        out: folder of the files, new or empty.
        images: as of `open_boxes`.
        image_root: likewise.
        tracks: put confidence and id behind each box.
        cut: boxes at their image's border, and leave out those wholly outside; else such boxes stop.

    Returns:
        Lines that say what was written and what was left out.

    Raises:
        UserError: as of `open_boxes`, images whose size is not known, two images whose files would be one, or a file
            that is there or cannot be written.
    """
    boxes = open_boxes(source, images, image_root, Borders(cut))
    texts = {Path("data.yaml"): yaml_of_classes(boxes.categories, boxes.path)}
    for name, size, own in zip(boxes.names, boxes.sizes, boxes.boxes, strict=True):
        path = place_in("labels", name, ".txt")
        if size is None:
            raise UserError(
                f"{boxes.path}: found no width and height of {name}, which shares of its sides need; give --image-root "
                "to read them from the files"
            )
        if path in texts:
            raise UserError(f"{boxes.path}: found several images for {path}, the last {name}; rename one")
        texts[path] = "".join(f"{yolo_line(box, size, tracks)}\n" for box in own if not box.ignored)
    write_new_folder(out, texts, [source, images, image_root])
    said = [f"{out}: {len(texts) - 1} files, {coco_summary(boxes.content)}, in shares of the images' sides"]
    return said + boxes.said(_list_lost(boxes, tracks), "YOLO's lines")


def _list_lost(source: BoxSource, tracks: bool) -> list[str]:
    lost = source.list_lost(("track", "score") if tracks else ())
    if not tracks and any(box.track is not None for own in source.boxes for box in own):
        lost[-1] += ", which --tracks writes"
    return lost


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = source_parser("coco_to_yolo", __doc__, "new folder for labels/SEQUENCE/NAME.txt and data.yaml")
    parser.add_argument(
        "--tracks",
        action="store_true",
        help="write the confidence and the id of the track behind each box, as Ultralytics' trackers do; its training "
        "takes no such lines",
    )
    print("\n".join(convert(**vars(parser.parse_args(argv)))))


if __name__ == "__main__":
    with user_errors():
        main()
