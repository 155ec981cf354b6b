"""Turn txt lines `path x1,y1,x2,y2,class …` into a COCO json: `python -m utils_coco.txt_to_coco FILE.txt`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

if not __package__:  # run as a file
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils.datasets.coco import TARGET_CATEGORY, coco_of_boxes, write_coco
from utils.datasets.compact_lists import Entry
from utils.datasets.lists import read_lines
from utils.images.image_files import image_size
from utils.system.errors import UserError, user_errors
from utils.system.packages.late import tqdm
from utils_coco.borders import Borders
from utils_coco.coco_files import (
    coco_summary,
    dataset_around,
    files_of,
    find_images,
    list_parser,
    target_file,
)
from utils_coco.unread_formats import MOT_FORMATS, name_format

MAX_CLASSES = 1000  # a class beyond is a slip, and would get the json that many categories


def categories_of(entries: Sequence[Entry], names: Sequence[str], source: str) -> list[str]:
    """Names of the classes 0, 1, … up to the last in use, or up to the last of `names`.

    Raises:
        UserError: a class beyond the names, or beyond `MAX_CLASSES`; a name twice.
    """
    used = sorted({box[4] for entry in entries for box in entry.boxes or ()})
    most = len(names) or MAX_CLASSES
    if used and used[-1] >= most:
        raise UserError(
            f"{source}: found class {used[-1]}, expected 0 to {most - 1}; "
            + ("give --names for every class" if names else "correct the list")
        )
    if len(set(names)) < len(names):
        raise UserError(f"--names: found {' '.join(names)}, expected every name once; correct them")
    count = used[-1] + 1 if used else 1
    return list(names) or ([TARGET_CATEGORY] if count == 1 else [f"class{i}" for i in range(count)])


def convert(
    source: str,
    out: str | None = None,
    image_root: str | None = None,
    names: Sequence[str] = (),
    overwrite: bool = False,
    quiet: bool = False,
    cut: bool = False,
) -> list[str]:
    """Write the boxes of txt lines as a COCO json; lines without boxes are images without targets.

    Class 0 becomes category 1, and so on. Sizes of the images are read from their files. Decimals are kept: widths and
    heights are decimal differences of the corners.

    Args:
        source: the txt.
        out: the json; default: beside `source`.
        image_root: the dataset's folder; its images are named by their paths below it, whatever root or slashes the
            lines have. By default that is the folder around `source`, and names stay as they are.
        names: of the classes 0, 1, …; default: "target", or "class0", "class1", ….
        overwrite: replace a file that is there.
        quiet: no progress bar.
        cut: boxes at their image's border, and leave out those wholly outside; else such boxes stop.

    Returns:
        Lines that say what was written.

    Raises:
        UserError: no such list, a broken line, boxes of no area or outside their images, an image that is missing or
            listed twice, a class without a name, or a file that is there or cannot be written.
    """
    if Path(source).suffix.lower() == ".json":
        raise UserError(
            f"{source}: found a json, expected a txt list; for the other way there is "
            "`python -m utils_coco.coco_to_txt`"
        )
    if name_format(Path(source)) in MOT_FORMATS:
        raise UserError(
            f"{source}: found a MOT table, expected a txt list of images; `python -m utils_coco.import_labels … --kind "
            "mot` makes a dataset of such"
        )
    path = target_file(source, out, ".json", overwrite)
    entries = read_lines(source, Decimal)
    categories = categories_of(entries, names, source)
    files = files_of(image_root or dataset_around(source))
    found = find_images([entry.path for entry in entries], files, source)
    frames, borders = [], Borders(cut, exact=True)
    for entry, name in zip(
        entries, tqdm.tqdm(found, desc="sizes", unit="image", disable=quiet, dynamic_ncols=True), strict=True
    ):
        size = image_size(os.path.join(files.root, name))
        boxes = [borders.fit(f"{source}: {entry.path}", box, size) for box in entry.boxes or ()]
        frames.append((name if image_root else entry.path, size, [box for box in boxes if box is not None]))
    borders.require("correct the list")
    content = coco_of_boxes(frames, categories)
    write_coco(path, content)
    given = "" if names else " (txt lines hold no names; give them with --names)"
    said = [f"{path}: {coco_summary(content)}, categories {', '.join(categories)}{given}", *borders.said()]
    return said if content["annotations"] else [*said, "no line has a box: every image counts as one without targets"]


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = list_parser(
        "txt_to_coco",
        __doc__,
        "txt",
        "list of images with boxes",
        "json",
        "the folder around the list, names as they are",
    )
    parser.add_argument(
        "--names",
        nargs="+",
        default=(),
        metavar="NAME",
        help=f"names of the classes 0, 1, … (default: {TARGET_CATEGORY}, or class0, class1, …)",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    given = parser.parse_args(argv)
    options = (given.out, given.image_root, given.names, given.overwrite, given.quiet, given.cut)
    print("\n".join(convert(given.source, *options)))


if __name__ == "__main__":
    with user_errors():
        main()
