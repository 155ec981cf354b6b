"""Turn a COCO json into MOT tables, one a video: `python -m utils_coco.coco_to_mot FILE.json --out DIR`.

Labels become `VIDEO/gt/gt.txt`, `frame,id,x,y,w,h,flag,class,visibility`, boxes with a score `VIDEO/det/det.txt`,
`frame,id,x,y,w,h,score,-1,-1,-1`, as Milan et al., MOT16, 2016, have them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

if not __package__:  # run as a file
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils.datasets.compact_lists import NO_TRACK
from utils.datasets.formats.mot import TABLE_PLACES, frames_by_number
from utils.images.frame_names import natural_key
from utils.system.command_line import number
from utils.system.errors import UserError, user_errors
from utils.system.files import writing
from utils_coco.borders import Borders
from utils_coco.box_source import BoxSource, open_boxes, plain_number, source_parser, stem_of, videos_of
from utils_coco.coco_files import coco_summary, refuse_existing, write_list

LABELS, DETECTIONS = TABLE_PLACES[0], "det/det.txt"


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
    found: dict[int, FramePlace] = {}
    for video, own in videos_of(names, source).items():
        places, said = frames_by_number([stem_of(names[index]) for index in own])
        if not places:
            raise UserError(
                f"{names[own[0]]}: {said}, which tables cannot tell apart, expected a folder for each video; give each "
                "one, and name the images so in the json"
            )
        found |= {own[index]: FramePlace(video, number) for number, index in places.items()}
    return [found[index] for index in range(len(names))]


def make_tables(source: BoxSource, places: Sequence[FramePlace], first_pixel: int) -> Tables:
    """The lines of all tables, by frame and id; a video without boxes has an empty one.

    Args:
        source: the boxes.
        places: of its images.
        first_pixel: number of the first column and row of pixels.

    Raises:
        UserError: only some boxes have a score.
    """
    boxes = [box for own in source.boxes for box in own]
    scored = sum(box.score is not None for box in boxes)
    if scored not in (0, len(boxes)):
        raise UserError(
            f"{source.path}: found {scored} of {len(boxes)} boxes with a score, expected all or none; detections and "
            "labels are tables of their own"
        )
    rows: dict[str, list[tuple[int, int, str]]] = {place.video: [] for place in places}
    for place, own in zip(places, source.boxes, strict=True):
        for box in own:
            track = NO_TRACK if box.track is None else box.track
            corner = box.x1 + first_pixel, box.y1 + first_pixel, box.x2 - box.x1, box.y2 - box.y1
            rest = (box.score, -1, -1, -1) if scored else (int(not box.ignored), box.category + 1, -1)
            line = ",".join(map(plain_number, (place.number, track, *corner, *rest)))
            rows[place.video].append((place.number, track, line))
    return Tables(
        {video: [line for *_, line in sorted(own, key=lambda row: row[:2])] for video, own in rows.items()},
        bool(scored),
    )


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
        source: as of `utils_coco.box_source.open_boxes`.
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
    boxes = open_boxes(source, images, image_root, Borders(cut, exact=True))
    tables = make_tables(boxes, place_frames(boxes.names, boxes.path), first_pixel)
    paths = {video: Path(out) / video / (DETECTIONS if tables.detections else LABELS) for video in tables.lines}
    for path in paths.values():
        refuse_existing(path, overwrite)
    with writing(out, "give another --out"):
        for video, path in paths.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_list(path, "".join(f"{line}\n" for line in tables.lines[video]))
    return _say_written(boxes, list(paths.values()), tables.detections, first_pixel)


def _say_written(source: BoxSource, paths: list[Path], detections: bool, first_pixel: int) -> list[str]:
    first = min(paths, key=lambda path: natural_key(str(path)))
    said = [f"{first}: {len(paths)} tables, {coco_summary(source.content)}, x and y counted from {first_pixel}"]
    listed = [f"{number} {name}" for number, name in enumerate(source.categories, 1)]
    if not detections:
        said.append(f"classes: {', '.join(listed[:20])}{', …' if len(listed) > 20 else ''}")
    lost = source.list_lost(("track", "score", *(() if detections else ("ignored",))))
    if detections and len(listed) > 1:
        lost.append(f"classes ({', '.join(listed[:20])})")
    empty = sum(not own for own in source.boxes)
    lost += [f"that there are images without a box ({empty} images)"] if empty else []
    return said + source.said(lost, "MOT tables")


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = source_parser("coco_to_mot", __doc__, "folder for VIDEO/gt/gt.txt, or VIDEO/det/det.txt")
    parser.add_argument(
        "--first-pixel",
        type=number("first_pixel"),
        default=0,
        metavar="N",
        help="number of the first column and row, 0 or, as MOTChallenge counts, 1 (default: %(default)s)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace tables that are there")
    print("\n".join(convert(**vars(parser.parse_args(argv)))))


if __name__ == "__main__":
    with user_errors():
        main()
