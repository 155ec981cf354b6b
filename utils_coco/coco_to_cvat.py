"""Turn a COCO json into CVAT's xml, one a video: `python -m utils_coco.coco_to_cvat FILE --out DIR`.

Every `VIDEO.xml` is of the format "CVAT for video 1.1", with a track for each `track_id`; each of its boxes is a key
frame, and it is outside where it is not.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path, PurePosixPath
from xml.sax.saxutils import quoteattr

if not __package__:  # run as a file
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils.images.frame_order import order_frames
from utils.system.errors import UserError, user_errors
from utils_coco.borders import Borders
from utils_coco.box_source import (
    BoxSource,
    SourceBox,
    open_boxes,
    plain_number,
    source_parser,
    stem_of,
    videos_of,
    write_new_folder,
)
from utils_coco.coco_files import coco_summary
from utils_coco.cvat_labels import FRAME_NUMBERS

IGNORE_ATTRIBUTE = "ignore"
NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Frames:
    """The frames of a video: places of its images in the list, ascending numbers in their names, and CVAT's numbers."""

    images: tuple[int, ...]
    names: tuple[int, ...]
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class Piece:
    """A track of CVAT: its id, its class from 0, and its boxes by the place of their frame in the video."""

    id: int
    category: int
    boxes: dict[int, SourceBox]


def order_video(source: BoxSource, images: Sequence[int], frame_numbers: str) -> Frames:
    """The frames of a video in their order.

    Args:
        source: names the images.
        images: their places in it.
        frame_numbers: one of `FRAME_NUMBERS`, what CVAT's frames are numbered by.

    Raises:
        UserError: the names are of several videos.
    """
    order = order_frames([stem_of(source.names[index]) for index in images])
    if len(order.sequences) != 1:
        raise UserError(
            f"{source.names[images[0]]}: the names of its images are of several videos, expected a folder for each; "
            "give each one, and name the images so in the json"
        )
    (sequence,) = order.sequences
    numbers = sequence.own_numbers if frame_numbers == "names" else range(len(images))
    return Frames(tuple(images[index] for index in sequence.indices), sequence.own_numbers, tuple(numbers))


def make_pieces(source: BoxSource, frames: Frames) -> tuple[list[Piece], Counter[str]]:
    """The tracks of a video, and how many boxes had to become tracks of their own, by why.

    A track of CVAT has one class and one box a frame; what goes beyond, and boxes without a track, get new ids.
    """
    pieces: dict[tuple, Piece] = {}
    own = [(place, box) for place, image in enumerate(frames.images) for box in source.boxes[image]]
    fresh = count(1 + max((box.track for _, box in own if box.track is not None), default=-1))
    why: Counter[str] = Counter()
    seen: set[int] = set()
    for place, box in own:
        key = (box.track, box.category)
        if box.track is None or (key in pieces and place in pieces[key].boxes):
            why["alone" if box.track is None else "twice"] += 1
            key = ("new", len(pieces))
        if key not in pieces:
            kept = key[0] == box.track and box.track is not None and box.track not in seen
            why["classes"] += key[0] == box.track and not kept
            pieces[key] = Piece(box.track if kept else next(fresh), box.category, {})
            seen |= {box.track} if kept else set()
        pieces[key].boxes[place] = box
    return sorted(pieces.values(), key=lambda piece: piece.id), why


def video_lines(source: BoxSource, video: str, frames: Frames, pieces: Sequence[Piece]) -> Iterator[str]:
    """The lines of a video's xml."""
    ignored = any(box.ignored for own in source.boxes for box in own)
    sizes = {source.sizes[index] for index in frames.images}
    yield '<?xml version="1.0" encoding="utf-8"?>'
    yield "<annotations>"
    yield "  <version>1.1</version>"
    yield f"  <meta><task><name>{_escape(PurePosixPath(video).name)}</name><size>{frames.numbers[-1] + 1}</size>"
    yield f"    <mode>interpolation</mode><start_frame>0</start_frame><stop_frame>{frames.numbers[-1]}</stop_frame>"
    attribute = (
        f"<attribute><name>{IGNORE_ATTRIBUTE}</name><mutable>True</mutable><input_type>checkbox</input_type>"
        "<default_value>false</default_value><values>false</values></attribute>"
    )
    inner = f"<attributes>{attribute if ignored else ''}</attributes>"
    yield "    <labels>"
    yield from (f"      <label><name>{_escape(name)}</name>{inner}</label>" for name in source.categories)
    yield "    </labels>"
    if len(sizes) == 1 and None not in sizes:
        height, width = next(iter(sizes))
        yield f"    <original_size><width>{width}</width><height>{height}</height></original_size>"
    yield "  </task></meta>"
    for piece in pieces:
        yield f'  <track id="{piece.id}" label={quoteattr(source.categories[piece.category])} source="file">'
        for place, box in piece.boxes.items():
            yield _box_line(frames.numbers[place], box, ignored, False)
            if place + 1 < len(frames.numbers) and place + 1 not in piece.boxes:
                yield _box_line(frames.numbers[place + 1], box, ignored, True)
        yield "  </track>"
    yield "</annotations>"


def _box_line(frame: int, box: SourceBox, ignored: bool, outside: bool) -> str:
    corners = zip(("xtl", "ytl", "xbr", "ybr"), box[:4], strict=True)
    sides = " ".join(f'{name}="{plain_number(value)}"' for name, value in corners)
    says = str(box.ignored).lower()
    inner = f'<attribute name="{IGNORE_ATTRIBUTE}">{says}</attribute>' if ignored else ""
    return (
        f'    <box frame="{frame}" keyframe="1" outside="{int(outside)}" occluded="0" {sides} z_order="0">{inner}</box>'
    )


def _escape(text: str) -> str:
    return quoteattr(text, {'"': "&quot;"})[1:-1]


def convert(
    source: str,
    out: str,
    images: str | None = None,
    image_root: str | None = None,
    frame_numbers: str = FRAME_NUMBERS[0],
    cut: bool = False,
) -> list[str]:
    """Write the boxes of each video as `OUT/VIDEO.xml`.

    Args:
        source: as of `utils_coco.box_source.open_boxes`.
        out: folder of the files, new or empty.
        images: as of `open_boxes`.
        image_root: likewise.
        frame_numbers: one of `FRAME_NUMBERS`: what CVAT numbers frames by, the images' order, from 0, as in a task of
            images, or the numbers in their names, as in a task of the video file that they are frames of.
        cut: boxes at their image's border, and leave out those wholly outside; else such boxes stop.

    Returns:
        Lines that say what was written and what was left out.

    Raises:
        UserError: as of `open_boxes`, names of which no videos can be told or that xml cannot hold, or a file that is
            there or cannot be written.
    """
    boxes = open_boxes(source, images, image_root, Borders(cut, exact=True))
    texts, why, unlike = {}, Counter(), []
    for name in boxes.categories:
        if NOT_IN_XML.search(name) or not name.strip():
            raise UserError(f"{boxes.path}: found category {name!r:.80}, which xml cannot hold; rename it")
    for video, own in videos_of(boxes.names, boxes.path).items():
        frames = order_video(boxes, own, frame_numbers)
        pieces, reasons = make_pieces(boxes, frames)
        why += reasons
        unlike += [video] if frames.names != tuple(range(len(own))) else []
        if NOT_IN_XML.search(video):
            raise UserError(f"{boxes.path}: found video {video!r:.80}, which xml cannot hold; rename it")
        texts[Path(f"{video}.xml")] = "\n".join(video_lines(boxes, video, frames, pieces)) + "\n"
    write_new_folder(out, texts, [source, images, image_root])
    said = [f"{out}: {len(texts)} files, {coco_summary(boxes.content)}, pixels and frames counted from 0"]
    if unlike:
        other = next(name for name in FRAME_NUMBERS if name != frame_numbers)
        said.append(
            f"frames are numbered by the images' {frame_numbers} (in {len(unlike)} videos, the first {unlike[0]}, "
            f"order and names are not the same); if that is wrong, give --frame-numbers {other}"
        )
    return said + _say_lost(boxes, why)


def _say_lost(source: BoxSource, why: Counter[str]) -> list[str]:
    texts = {
        "alone": "{} boxes without a track, which are tracks of one frame",
        "twice": "{} boxes of a track that has another box in their frame, which are tracks of one frame",
        "classes": "{} tracks with boxes of several classes, which are a track for each",
    }
    lost = [texts[name].format(number) for name, number in why.items() if number]
    return source.said([*source.list_lost(("track", "ignored")), *lost], "CVAT's tracks")


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = source_parser("coco_to_cvat", __doc__, "new folder for VIDEO.xml")
    parser.add_argument(
        "--frame-numbers",
        choices=FRAME_NUMBERS,
        default=FRAME_NUMBERS[0],
        help="what frames are numbered by: the images' order, from 0, for a task of images, or the numbers in their "
        "names, for a task of the video file itself (default: %(default)s)",
    )
    print("\n".join(convert(**vars(parser.parse_args(argv)))))


if __name__ == "__main__":
    with user_errors():
        main()
