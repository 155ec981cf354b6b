"""CVAT's xml, version 1.1: tracks of "CVAT for video", images of "CVAT for images", and boxes between key frames.

Coordinates count from 0 at the left upper corner of the first pixel, frames from 0. As CVAT's own
`TrackManager.get_interpolated_shapes` has it, a track is where its key frames say, on the straight line between them,
not there from a key frame that is `outside` up to the next one, and after its last one where that is.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import PurePosixPath
from typing import NamedTuple
from xml.etree.ElementTree import Element

from utils.datasets.formats.voc import as_flag
from utils.datasets.json_formats import MAX_CHARACTERS, MAX_NUMBER
from utils.system.errors import UserError
from utils_coco.label_tables import IGNORE_COLUMNS, plain_name

CVAT_FILE = "an xml of CVAT"
MAX_CVAT_FRAME = 10**9
MAX_BOXES = 2_000_000  # of one file, those between key frames included; more would fill the memory
SHAPES = ("box", "polygon", "points", "ellipse", "mask")  # whose boxes are taken
OTHER_SHAPES = ("polyline", "cuboid", "skeleton", "tag")
WHOLE = re.compile(r"\d{1,10}", re.ASCII)
STEP = re.compile(r"step\s*=\s*(\d{1,10})", re.ASCII)  # of a task that takes every Nth frame
Corners = tuple[float, float, float, float]  # x1, y1, x2, y2


class Shape(NamedTuple):
    """What is drawn in a frame: the upright box of a shape, its rotation about its centre in degrees, and flags."""

    frame: int
    corners: Corners
    rotation: float = 0.0
    outside: bool = False
    key: bool = True
    ignored: bool = False

    def box(self) -> Corners:
        """The box around the shape as it is turned."""
        if not self.rotation % 360:
            return self.corners
        x1, y1, x2, y2 = self.corners
        cos, sin = abs(math.cos(math.radians(self.rotation))), abs(math.sin(math.radians(self.rotation)))
        across, along = ((x2 - x1) * cos + (y2 - y1) * sin) / 2, ((x2 - x1) * sin + (y2 - y1) * cos) / 2
        x, y = (x1 + x2) / 2, (y1 + y2) / 2
        return x - across, y - along, x + across, y + along


@dataclass(frozen=True)
class Track:
    """A track: its shapes by ascending frames, of which those that are no key frames follow from the others."""

    id: int
    label: str
    shapes: tuple[Shape, ...]

    def keys(self) -> list[Shape]:
        """The shapes that the others follow from; all where none is marked as a key frame."""
        return [shape for shape in self.shapes if shape.key] or list(self.shapes)


@dataclass(frozen=True)
class LabelledPicture:
    """An image of "CVAT for images": its name without the extension, (height, width), and its labels and shapes."""

    key: str
    size: tuple[int, int] | None
    shapes: tuple[tuple[str, Shape], ...]


@dataclass
class CvatFile:
    """What an xml holds.

    `length` is the number of frames of the task, `size` the (height, width) of a video's frames, `source` the file of a
    video, all where they are declared; `first` is the number of the task's first frame and `step` what lies between its
    frames, as frames are numbered in what the task was made from. `others` counts shapes that are not read,
    `attributes` those of shapes that are read, and `occluded` such shapes.
    """

    path: str
    tracks: list[Track] = field(default_factory=list)
    pictures: list[LabelledPicture] = field(default_factory=list)
    name: str = ""
    source: str = ""
    length: int | None = None
    first: int = 0
    step: int = 1
    size: tuple[int, int] | None = None
    others: Counter[str] = field(default_factory=Counter)
    attributes: Counter[str] = field(default_factory=Counter)
    occluded: int = 0


def read_cvat(root: Element, path: str, side: float) -> CvatFile:
    """What an xml holds; polygons, ellipses, masks and points become the boxes around them.

    Args:
        root: of the xml.
        path: of the file.
        side: of the box around a single point, in pixels.

    Raises:
        UserError: it is no xml of CVAT, or a shape lacks what a box is made of.
    """
    if root.tag != "annotations":
        raise UserError(f"{path}: found <{root.tag[:40]}>, expected {CVAT_FILE}, <annotations>; export it again")
    found = CvatFile(path)
    _read_meta(root, found)
    if len({item.get("task_id") for item in root.iter("track")}) > 1:
        raise UserError(f"{path}: found tracks of several tasks, expected those of one; export each task by itself")
    ids: set[int] = set()
    for item in root:
        if item.tag == "track":
            track = _read_track(item, found, side)
            if track.id in ids:
                raise UserError(f"{path}: found track {track.id} twice, expected every id once; correct it")
            ids.add(track.id)
            found.tracks.append(track)
        elif item.tag == "image":
            found.pictures.append(_read_picture(item, found, side))
    return found


def _read_meta(root: Element, found: CvatFile) -> None:
    """The head: what does not tell there is not needed."""
    for about in root.iterfind("meta/*"):
        if about.tag in ("task", "job"):
            length = (about.findtext("size") or "").strip()
            if about.tag == "task" and WHOLE.fullmatch(length):
                found.length = int(length)
            first, step = ((about.findtext(part) or "").strip() for part in ("start_frame", "frame_filter"))
            found.first = int(first) if about.tag == "task" and WHOLE.fullmatch(first) else found.first
            if step and not (told := STEP.fullmatch(step)):
                raise UserError(f"{found.path}: found the frame_filter '{step[:40]}', expected step=N; correct it")
            found.step = max(1, int(told[1])) if step else found.step
            found.name = (about.findtext("name") or "").strip()
            found.source = (about.findtext("source") or root.findtext("meta/source") or "").strip()
            size = [(about.findtext(f"original_size/{side}") or "").strip() for side in ("height", "width")]
            found.size = _size(size)


def _size(words: Sequence[str]) -> tuple[int, int] | None:
    if not all(map(WHOLE.fullmatch, words)) or not all(map(int, words)):
        return None
    height, width = map(int, words)
    return height, width


def _read_track(item: Element, found: CvatFile, side: float) -> Track:
    number, label = (item.get("id") or "").strip(), item.get("label") or ""
    if not WHOLE.fullmatch(number) or not label.strip() or len(label) > MAX_CHARACTERS:
        raise UserError(
            f"{found.path}: found track '{number[:20]}' with label '{label[:40]}', expected a whole number for its id, "
            "and a label; correct it"
        )
    shapes: dict[int, Shape] = {}
    for part in item:
        shape = _read_shape(part, found, side, f"track {number}", part.get("frame") or "")
        if shape and shapes.setdefault(shape.frame, shape) is not shape:
            raise UserError(f"{found.path}: track {number}: found frame {shape.frame} twice; remove one")
    return Track(int(number), label, tuple(shapes[frame] for frame in sorted(shapes)))


def _read_picture(item: Element, found: CvatFile, side: float) -> LabelledPicture:
    name = (item.get("name") or "").replace("\\", "/").lstrip("/")
    if not 0 < len(name) <= MAX_CHARACTERS or ".." in name.split("/"):
        raise UserError(f"{found.path}: image {item.get('id')}: found name '{name[:80]}', expected a path; correct it")
    shapes = []
    for part in item:
        if shape := _read_shape(part, found, side, f"image {name}"):
            label = part.get("label") or ""
            if not label.strip() or len(label) > MAX_CHARACTERS:
                raise UserError(f"{found.path}: image {name}: found a {part.tag} without a label; correct it")
            shapes.append((label, shape))
    key = PurePosixPath(name).with_suffix("").as_posix()
    return LabelledPicture(key, _size([item.get("height") or "", item.get("width") or ""]), tuple(shapes))


def _read_shape(part: Element, found: CvatFile, side: float, place: str, frame: str = "0") -> Shape | None:
    """A shape in a `frame`; None for what is none, or is not read, which is counted."""
    if part.tag not in SHAPES:
        found.others.update([part.tag] if part.tag in OTHER_SHAPES else [])
        return None
    place = f"{found.path}: {place}" + (f", frame {frame[:20]}" if "frame" in part.attrib else "")
    try:
        if not WHOLE.fullmatch(frame) or int(frame) > MAX_CVAT_FRAME:
            raise ValueError("no frame number")
        corners, rotation = _corners(part, side), float(part.get("rotation") or 0)
        if not all(abs(value) <= MAX_NUMBER for value in (*corners, rotation)):
            raise ValueError("numbers beyond all images")
        outside, key, occluded = (as_flag(part.get(name) or "") for name in ("outside", "keyframe", "occluded"))
        ignored = _read_attributes(part, found)
    except (KeyError, ValueError, OverflowError) as error:
        raise UserError(
            f"{place}: found a {part.tag} that cannot be read ({error}), expected finite numbers in pixels, and 0 or 1 "
            "for outside, keyframe and occluded; correct it"
        ) from None
    found.occluded += occluded and not outside
    # of other shapes than boxes CVAT moves the points, and writes every frame
    key = key or part.tag != "box" or "keyframe" not in part.attrib
    return Shape(int(frame), corners, rotation, outside, key, ignored)


def _read_attributes(part: Element, found: CvatFile) -> bool:
    """Whether an attribute says that a shape is a region to ignore; others are counted.

    Raises:
        ValueError: it is neither true nor false.
    """
    ignored = False
    for item in part.iterfind("attribute"):
        name = item.get("name") or ""
        if plain_name(name) in IGNORE_COLUMNS:
            ignored |= as_flag(item.text or "")
        else:
            found.attributes[name[:40]] += 1
    return ignored


def _corners(part: Element, side: float) -> Corners:
    """The upright box of a shape, before it is turned.

    Raises:
        KeyError: an attribute is missing.
        ValueError: it holds no number.
    """
    given = part.attrib
    if part.tag == "box":
        return float(given["xtl"]), float(given["ytl"]), float(given["xbr"]), float(given["ybr"])
    if part.tag == "ellipse":
        x, y, across, along = (float(given[name]) for name in ("cx", "cy", "rx", "ry"))
        return x - across, y - along, x + across, y + along
    if part.tag == "mask":
        x, y, width, height = (float(given[name]) for name in ("left", "top", "width", "height"))
        return x, y, x + width, y + height
    points = [tuple(map(float, point.split(","))) for point in given["points"].split(";")]
    if any(len(point) != 2 for point in points):
        raise ValueError("points that are not x,y;x,y")
    x, y = zip(*points, strict=True)
    grow = side / 2 if len(points) == 1 else 0
    return min(x) - grow, min(y) - grow, max(x) + grow, max(y) + grow


def boxes_between(track: Track, frames: Sequence[int]) -> Iterator[Shape]:
    """The shapes of a track in those of some frames, ascending, in which it is there.

    Args:
        track: of `read_cvat`.
        frames: ascending numbers.
    """
    keys = track.keys()
    for left, right in zip_longest(keys, keys[1:]):
        if left.outside:
            continue
        stop = bisect_left(frames, right.frame) if right else len(frames)
        for frame in frames[bisect_left(frames, left.frame) : stop]:
            yield _between(left, right or left, frame)


def _between(left: Shape, right: Shape, frame: int) -> Shape:
    """On the straight line from one key frame to the next; what is turned goes the shorter way round."""
    share = (frame - left.frame) / (right.frame - left.frame) if right.frame > left.frame else 0.0
    if not share:
        return left._replace(frame=frame, key=frame == left.frame)
    x1, y1, x2, y2 = (a + (b - a) * share for a, b in zip(left.corners, right.corners, strict=True))
    turn = (right.rotation - left.rotation + 180) % 360 - 180
    return Shape(frame, (x1, y1, x2, y2), left.rotation + turn * share, False, False, left.ignored)


def count_moved(track: Track, found: Mapping[int, Shape], most: float) -> int:
    """How many shapes that are no key frames lie elsewhere than between these, by more than `most` pixels."""
    if not any(shape.key for shape in track.shapes):
        return 0
    moved = 0
    for shape in track.shapes:
        made = None if shape.key or shape.outside else found.get(shape.frame)
        moved += made is not None and max(abs(a - b) for a, b in zip(shape.box(), made.box(), strict=True)) > most
    return moved
