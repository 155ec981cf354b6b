"""Frames and what was found in them, small enough for thousands of them in one page."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import cv2
import numpy as np

from utils.datasets.dataset import Dataset
from utils.datasets.frame_table import Frame
from utils.images.components import Components
from utils.images.grey_levels import Stretch
from utils.images.image_files import read_frame
from utils.system.errors import UserError

MAX_SIDE = 640  # pixels; larger frames are reduced, coordinates stay those of the frame
WEBP_QUALITY = 45
FALSE_ALARM, HIT, TRUE_TARGET = 0, 1, 2  # kinds of components


class EncodedComponent(NamedTuple):
    """A component in pixels of the frame, which JSON has as a list.

    `x, y, w, h` is its box; `kind` one of `FALSE_ALARM`, `HIT`, `TRUE_TARGET`; `score` in thousandths, 0 without one;
    `runs` are the lengths of the runs off, on, off … through the box in raster order, "" where the component fills it.
    """

    x: int
    y: int
    w: int
    h: int
    kind: int
    score: int
    runs: str


class FoundInFrame(NamedTuple):
    """What one method found in a frame: the numbers of the true targets that it missed, and its components."""

    missed: list[int]
    components: list[EncodedComponent]


@dataclass(frozen=True)
class PagePicture:
    """The picture of a frame of `width` x `height` pixels as a data URI; it may be smaller than the frame."""

    width: int
    height: int
    uri: str


@dataclass(frozen=True)
class ShownFrame:
    """A frame of the page: `name` is its number, or a single image's name; `found` has an entry for each method."""

    name: int | str
    picture: PagePicture
    targets: list[EncodedComponent]
    found: list[FoundInFrame]

    def as_dict(self) -> dict[str, Any]:
        """For script.js."""
        return {
            "w": self.picture.width,
            "h": self.picture.height,
            "p": self.picture.uri,
            "n": self.name,
            "t": self.targets,
            "m": self.found,
        }


def pick_frames(dataset: Dataset, most: int, limit: int = 0) -> list[Frame]:
    """The frames that the page shows: of every sequence a stretch from its middle, as long as its share.

    Consecutive frames show how targets move. Of more sequences than frames, every so many'th gives one frame.

    Args:
        dataset: whose sequences are cut to the first `limit` frames (0: all).
        most: the largest number of frames.
        limit: see `dataset`.
    """
    sequences = [frames[: limit or None] for frames in dataset.sequences.values()]
    total = sum(map(len, sequences))
    if total <= most:
        return [frame for frames in sequences for frame in frames]
    if len(sequences) > most:
        picked = np.linspace(0, len(sequences) - 1, most).astype(int)
        return [sequences[index][len(sequences[index]) // 2] for index in picked]
    result: list[Frame] = []
    left, frames_left = most, total
    for index, frames in enumerate(sequences):
        share = max(1, min(len(frames), left * len(frames) // frames_left, left - (len(sequences) - 1 - index)))
        start = (len(frames) - share) // 2
        result += frames[start : start + share]
        left, frames_left = left - share, frames_left - len(frames)
    return result


def encode_webp(picture: np.ndarray, quality: int = WEBP_QUALITY) -> str:
    """A picture `(H, W)` or `(H, W, 3)` BGR uint8 as a data URI.

    Raises:
        UserError: this OpenCV cannot write WebP.
    """
    done, data = cv2.imencode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, quality])
    if not done:
        raise UserError("OpenCV: cannot write WebP, expected a build with it; pip install opencv-python-headless")
    return "data:image/webp;base64," + base64.b64encode(data.tobytes()).decode()


def read_pictures(frames: Sequence[Frame]) -> dict[str, PagePicture]:
    """The frames' pictures by their image paths; contrast follows each sequence.

    Raises:
        UserError: a frame cannot be read.
    """
    result: dict[str, PagePicture] = {}
    stretch, sequence = Stretch(), None
    for frame in frames:
        image = read_frame(frame.image)
        if frame.sequence != sequence:
            stretch, sequence = Stretch(), frame.sequence
        black, white = stretch.update(image)
        grey = np.clip((image.astype(np.float32) - black) * (255 / (white - black)), 0, 255)
        height, width = image.shape
        shrink = MAX_SIDE / max(image.shape)
        if shrink < 1:
            grey = cv2.resize(grey, (round(width * shrink), round(height * shrink)), interpolation=cv2.INTER_AREA)
        result[frame.image] = PagePicture(width, height, encode_webp(np.rint(grey).astype(np.uint8)))
    return result


def encode_components(
    components: Components, width: int, kind: np.ndarray | int, scores: np.ndarray | None = None
) -> list[EncodedComponent]:
    """Components of a frame for the page.

    Args:
        components: K of them.
        width: of the frame.
        kind: of each, `(K,)`, or of all.
        scores: `(K,)` in [0, 1].
    """
    rows, columns = np.divmod(components.pixel, width)
    kinds = np.broadcast_to(kind, len(components))
    result = []
    for index in range(len(components)):
        own = components.owner == index
        y, x = rows[own], columns[own]
        top, left, h, w = (int(v) for v in (y.min(), x.min(), np.ptp(y) + 1, np.ptp(x) + 1))
        runs = ""
        if h * w != len(y):
            flat = np.zeros(h * w + 2, np.int8)
            flat[(y - top) * w + x - left + 1] = 1
            edges = np.flatnonzero(np.diff(flat))
            runs = ",".join(map(str, np.diff(edges, prepend=0).tolist()))
        score = 0 if scores is None else int(round(1000 * float(scores[index])))
        result.append(EncodedComponent(left, top, w, h, int(kinds[index]), score, runs))
    return result


def path_of(component: EncodedComponent) -> str:
    """An SVG path of a component's pixels."""
    x, y, w, h, _, _, runs = component
    if not runs:
        return f"M{x} {y}h{w}v{h}h{-w}z"
    at, result = 0, []
    for index, length in enumerate(map(int, runs.split(","))):
        while index % 2 and length:
            row, column = divmod(at, w)
            part = min(length, w - column)
            result.append(f"M{x + column} {y + row}h{part}v1h{-part}z")
            at, length = at + part, length - part
        at += length
    return "".join(result)
