"""Turn a COCO json into CVAT's xml, one a video: `python -m utils_coco.coco_to_cvat FILE --out DIR`.

Every `VIDEO.xml` is of the format "CVAT for video 1.1", with a track for each `track_id`; each of its boxes is a key
frame, and it is outside where it is not.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
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
from utils_coco.predicted_boxes import film_of

IGNORE_ATTRIBUTE = "ignore"
NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Frames:
    """The frames of a video: places of its images in the list, CVAT's numbers of them, and the video's file, if any."""

    images: tuple[int, ...]
    numbers: tuple[int, ...]
    film: str = ""


@dataclass(frozen=True)
class Piece:
    """A track of CVAT: its id, its class from 0, and its boxes by the place of their frame in the video."""

    id: int
    category: int
    boxes: dict[int, SourceBox]


def order_videos(source: BoxSource, frame_numbers: str | None) -> tuple[dict[str, Frames], str]:
    """The frames of every video in their order, and what is to be said about their numbers, "" where there is nothing.

    Args:
        source: names the images.
        frame_numbers: one of `FRAME_NUMBERS`, what frames are numbered by; None takes names where predictions are of a
            video file, else the order.

    Raises:
        UserError: the names in a folder are of several videos.
    """
    found, unlike = {}, []
    for video, images in videos_of(source.names, source.path).items():
        order = order_frames([stem_of(source.names[index]) for index in images])
        if len(order.sequences) != 1:
            raise UserError(
                f"{source.names[images[0]]}: the names of its images are of several videos, expected a folder for "
                "each; give each one, and name the images so in the json"
            )
        (sequence,) = order.sequences
        found[video] = Frames(tuple(images[index] for index in sequence.indices), sequence.own_numbers)
        unlike += [video] if sequence.own_numbers != tuple(range(len(images))) else []
    film = film_of(source.path) if unlike else ""
    chosen = frame_numbers or FRAME_NUMBERS[bool(film)]
    for video, frames in found.items():
        numbers = frames.numbers if chosen == "names" else tuple(range(len(frames.numbers)))
        found[video] = replace(frames, numbers=numbers, film=film if chosen == "names" else "")
    other = next(name for name in FRAME_NUMBERS if name != chosen)
    said = (
        f"frames are numbered by the images' {chosen} (in {len(unlike)} videos, the first {unlike[0]}, order and names "
        f"are not the same); if that is wrong, give --frame-numbers {other}"
        if unlike
        else ""
    )
    return found, said


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
    yield f"  </task>{f'<source>{_escape(frames.film)}</source>' if frames.film else ''}</meta>"
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
    frame_numbers: str | None = None,
    cut: bool = False,
) -> list[str]:
    """Write the boxes of each video as `OUT/VIDEO.xml`.

    Args:
        source: as of `utils_coco.box_source.open_boxes`.
        out: folder of the files, new or empty.
        images: as of `open_boxes`.
        image_root: likewise.
        frame_numbers: as of `order_videos`: the images' order, from 0, is what CVAT has in a task of images, and the
            numbers in their names in a task of the video file that they are frames of.
        cut: boxes at their image's border, and leave out those wholly outside; else such boxes stop.

    Returns:
        Lines that say what was written and what was left out.

    Raises:
        UserError: as of `open_boxes`, names of which no videos can be told or that xml cannot hold, or a file that is
            there or cannot be written.
    """
    boxes = open_boxes(source, images, image_root, Borders(cut, exact=True))
    texts, why = {}, Counter()
    for name in boxes.categories:
        if NOT_IN_XML.search(name) or not name.strip():
            raise UserError(f"{boxes.path}: found category {name!r:.80}, which xml cannot hold; rename it")
    videos, about = order_videos(boxes, frame_numbers)
    for video, frames in videos.items():
        pieces, reasons = make_pieces(boxes, frames)
        why += reasons
        if NOT_IN_XML.search(video + frames.film):
            raise UserError(f"{boxes.path}: found video {video!r:.80}, which xml cannot hold; rename it")
        texts[Path(f"{video}.xml")] = "\n".join(video_lines(boxes, video, frames, pieces)) + "\n"
    write_new_folder(out, texts, [source, images, image_root])
    said = [f"{out}: {len(texts)} files, {coco_summary(boxes.content)}, pixels and frames counted from 0"]
    said += [about] if about else []
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
        help="what frames are numbered by: the images' order, from 0, for a task of images, or the numbers in their "
        "names, for a task of the video file itself (default: names of what vid_predict.py found in one, else order)",
    )
    print("\n".join(convert(**vars(parser.parse_args(argv)))))


if __name__ == "__main__":
    with user_errors():
        main()
