"""Turn a COCO json into MOT tables, one a video: `python -m utils_coco.coco_to_mot FILE.json --out DIR`.

Labels become `VIDEO/gt/gt.txt`, `frame,id,x,y,w,h,flag,class,visibility`, boxes with a score `VIDEO/det/det.txt`,
`frame,id,x,y,w,h,score,-1,-1,-1`, as Milan et al., MOT16, 2016, have them.
"""

from __future__ import annotations

import math
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

if not __package__:  # run as a file
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils.datasets.coco import coco_entries, load_coco, number_tracks
from utils.datasets.compact_lists import NO_TRACK
from utils.datasets.formats.mot import TABLE_PLACES, frames_by_number
from utils.datasets.json_formats import (
    IGNORE_FLAGS,
    RESULT_SCHEMA,
    SCHEMA,
    category_name,
    declared_size,
    find_flaw,
    is_ignored,
    load_json,
    shorten,
)
from utils.images.folders import FRAME_FOLDERS
from utils.images.frame_names import natural_key
from utils.images.image_files import image_size
from utils.system.command_line import Parser, number
from utils.system.errors import UserError, user_errors
from utils.system.files import writing
from utils_coco.borders import Borders, add_cut_option
from utils_coco.coco_files import coco_summary, files_of, find_images, refuse_existing, write_list
from utils_coco.coco_to_txt import list_extras

LABELS, DETECTIONS = TABLE_PLACES[0], "det/det.txt"
KEYS_IN_TABLES = {
    "images": ("id", "file_name", "width", "height", "frame", "sequence"),  # sizes are those of the files
    "annotations": ("id", "image_id", "category_id", "bbox", "track_id", "score", *IGNORE_FLAGS),
    "categories": ("id", "name"),
}
RESULT_FIELDS = {**{key: SCHEMA["annotations"][key] for key in ("track_id", *IGNORE_FLAGS)}, **RESULT_SCHEMA}
RESULTS_ADVICE = "expected a COCO file, or COCO results, a list of {image_id, category_id, bbox, score}"


class FramePlace(NamedTuple):
    """The video of an image, by the path of its folder, and the number of its frame."""

    video: str
    number: int


@dataclass(frozen=True)
class Tables:
    """Lines of tables by the paths of their videos' folders; those of scored boxes are `detections`."""

    lines: dict[str, list[str]]
    detections: bool


def place_frames(names: Sequence[str], source: str) -> list[FramePlace]:
    """The video and the frame of each image.

    A folder is a video, without the folder `img` or the like in it. Frames have the numbers in their names; where these
    begin with 0, and where there are none, the first is frame 1, as MOT counts.

    Args:
        names: paths of the images.
        source: the list that names them; after its folder, or the one around `annotations/`, images are called that
            lie in no folder.

    Raises:
        UserError: the names in a folder are of several videos, or lead out of their folder.
    """
    folders: dict[str, list[int]] = defaultdict(list)
    above = Path(source).resolve().parent
    otherwise = (above.parent if above.name.lower() == "annotations" else above).name or "video"
    paths = [name.replace("\\", "/").lstrip("/") for name in names]
    for index, path in enumerate(paths):
        if ".." in path.split("/"):
            raise UserError(f"{source}: found '{path}', which leads out of its folder; correct that name")
        folders[path.rpartition("/")[0]].append(index)
    found: dict[int, FramePlace] = {}
    for folder, own in folders.items():
        outer, _, last = folder.rpartition("/")
        video = (outer if last in FRAME_FOLDERS else folder) or otherwise
        places, said = frames_by_number([os.path.splitext(paths[index].rpartition("/")[2])[0] for index in own])
        if not places:
            raise UserError(
                f"{paths[own[0]]}: {said}, which tables cannot tell apart, expected a folder for each video; give each "
                "one, and name the images so in the json"
            )
        found |= {own[index]: FramePlace(video, number) for number, index in places.items()}
    return [found[index] for index in range(len(paths))]


def read_boxes(source: str, images: str | None) -> dict[str, Any]:
    """The content of a COCO json; of COCO results with the images and categories of `images`.

    Raises:
        UserError: neither; results without `images`, or of others; or parts that do not refer to each other.
    """
    content = load_json(source, RESULTS_ADVICE)
    if not isinstance(content, list):
        if images:
            raise UserError(f"--images: found with {source}, which has its own images; leave it out")
        content, path = load_coco(source), source
    elif images is None:
        raise UserError(
            f"{source}: found a list of results, which says nothing of images, expected --images too; give the COCO "
            "file that its ids are from"
        )
    else:
        for index, item in enumerate(content):
            if flaw := find_flaw(item, RESULT_FIELDS):
                raise UserError(f"{source}: entry {index} is {shorten(item, 80)}, without a usable {flaw}")
        content, path = {**load_coco(images), "annotations": content}, f"{source} with {images}"
    coco_entries(content, path)
    return content


def make_tables(
    content: dict[str, Any],
    places: Sequence[FramePlace],
    sizes: Sequence[tuple[int, int] | None],
    borders: Borders,
    source: str,
    first_pixel: int,
) -> Tables:
    """The lines of all tables, by frame and id; a video without boxes has an empty one.

    Args:
        content: of `read_boxes`.
        places: of its images.
        sizes: (height, width) of its images, None where that is not known.
        borders: what is done with boxes that do not fit.
        source: named in errors.
        first_pixel: number of the first column and row of pixels.

    Raises:
        UserError: boxes do not fit, or only some have a score.
    """
    scored = [item for item in content["annotations"] if item.get("score") is not None]
    if scored and len(scored) < len(content["annotations"]):
        raise UserError(
            f"{source}: found {len(scored)} of {len(content['annotations'])} boxes with a score, expected all or none; "
            "detections and labels are tables of their own"
        )
    order = {image["id"]: index for index, image in enumerate(content["images"])}
    classes = {number: index for index, number in enumerate(sorted(item["id"] for item in content["categories"]), 1)}
    tracks = number_tracks(content["annotations"])
    rows: dict[str, list[tuple[int, int, str]]] = {place.video: [] for place in places}
    for item in content["annotations"]:
        index = order[item["image_id"]]
        x, y, w, h = (Decimal(repr(value)) for value in item["bbox"])
        where = f"{source}: {content['images'][index]['file_name']}"
        box = borders.fit(where, (x, y, x + w, y + h), sizes[index] or (math.inf, math.inf))
        if box is None:
            continue
        track = tracks.get(item.get("track_id"), NO_TRACK)
        corner = box[0] + first_pixel, box[1] + first_pixel, box[2] - box[0], box[3] - box[1]
        rest = (
            [Decimal(repr(item["score"])), -1, -1, -1]
            if scored
            else [int(not is_ignored(item)), classes[item["category_id"]], -1]
        )
        values = [*map(_plain, (places[index].number, track, *corner, *rest))]
        rows[places[index].video].append((places[index].number, track, ",".join(values)))
    borders.require("correct the json")
    return Tables(
        {video: [line for *_, line in sorted(own, key=lambda row: row[:2])] for video, own in rows.items()},
        bool(scored),
    )


def _plain(value: int | Decimal) -> str:
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)


def convert(
    source: str,
    out: str,
    images: str | None = None,
    image_root: str | None = None,
    first_pixel: int = 0,
    overwrite: bool = False,
    cut: bool = False,
) -> list[str]:
    """Write the boxes of a COCO json as MOT tables, `OUT/VIDEO/gt/gt.txt` or, of scored boxes, `OUT/VIDEO/det/det.txt`.

    Ids are `track_id`, -1 where there is none, and numbers in the order of their first boxes where one is text; classes
    are category ids in ascending order, from 1.

    Args:
        source: the json, or COCO results.
        out: folder of the tables.
        images: the COCO file whose images and categories results are about.
        image_root: a dataset's folder; its images are looked up there, and videos called by their paths below it.
        first_pixel: number of the first column and row of pixels, 0 or, as MOTChallenge's own programs take it, 1.
        overwrite: replace tables that are there.
        cut: boxes at their image's border, and leave out those wholly outside; else such boxes stop.

    Returns:
        Lines that say what was written and what was left out.

    Raises:
        UserError: not a COCO file, boxes of no area or outside their images, an image that is missing or of another
            size than the json declares, names of which no videos can be told, or a file that is there or cannot be
            written.
    """
    content = read_boxes(source, images)
    names = [image["file_name"] for image in content["images"]]
    sizes, borders = list(map(declared_size, content["images"])), Borders(cut, exact=True)
    if image_root:
        names = find_images(names, files_of(image_root), source)
        declared, sizes = sizes, [image_size(os.path.join(image_root, name)) for name in names]
        for name, own, size in zip(names, declared, sizes, strict=True):
            borders.look_at_size(f"{source}: {name}", own, size)
    tables = make_tables(content, place_frames(names, source), sizes, borders, source, first_pixel)
    paths = {video: Path(out) / video / (DETECTIONS if tables.detections else LABELS) for video in tables.lines}
    for path in paths.values():
        refuse_existing(path, overwrite)
    with writing(out, "give another --out"):
        for video, path in paths.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_list(path, "".join(f"{line}\n" for line in tables.lines[video]))
    said = [*_say_written(content, list(paths.values()), tables.detections, first_pixel), *borders.said()]
    if unknown := sizes.count(None):
        said.append(
            f"not checked for boxes outside of them: {unknown} images without width and height; give --image-root to "
            "read them from the files"
        )
    return said


def _say_written(content: dict[str, Any], paths: list[Path], detections: bool, first_pixel: int) -> list[str]:
    first = min(paths, key=lambda path: natural_key(str(path)))
    said = [f"{first}: {len(paths)} tables, {coco_summary(content)}, x and y counted from {first_pixel}"]
    categories = sorted(content["categories"], key=lambda item: item["id"])
    listed = [f"{number} {category_name(item, '')}".strip() for number, item in enumerate(categories, 1)]
    if not detections:
        said.append(f"classes: {', '.join(listed[:20])}{', …' if len(listed) > 20 else ''}")
    lost = list_extras(content, KEYS_IN_TABLES)
    if detections and len(categories) > 1:
        lost.append(f"classes ({', '.join(listed[:20])})")
    names = [name for name in number_tracks(content["annotations"]) if isinstance(name, str)]
    lost += [f"ids of tracks that are text, which are numbered ({len(names)} tracks)"] if names else []
    empty = len(content["images"]) - len(Counter(item["image_id"] for item in content["annotations"]))
    lost += [f"that there are images without a box ({empty} images)"] if empty else []
    return said + ([f"left out, as MOT tables cannot hold it: {'; '.join(lost)}"] if lost else [])


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = Parser(prog="python -m utils_coco.coco_to_mot", description=__doc__.split(":")[0] + ".")
    parser.add_argument("source", metavar="FILE.json", help="COCO json with boxes, or COCO results")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder for VIDEO/gt/gt.txt, or VIDEO/det/det.txt")
    parser.add_argument("--images", metavar="FILE.json", help="of COCO results: the COCO file whose ids they have")
    parser.add_argument(
        "--image-root",
        metavar="DIR",
        help="dataset folder: call the videos by their images' paths below it, and check sizes (default: names as they "
        "are)",
    )
    parser.add_argument(
        "--first-pixel",
        type=number("first_pixel"),
        default=0,
        metavar="N",
        help="number of the first column and row, 0 or, as MOTChallenge counts, 1 (default: %(default)s)",
    )
    add_cut_option(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace tables that are there")
    given = parser.parse_args(argv)
    options = (given.images, given.image_root, given.first_pixel, given.overwrite, given.cut)
    print("\n".join(convert(given.source, given.out, *options)))


if __name__ == "__main__":
    with user_errors():
        main()
