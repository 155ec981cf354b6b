"""Frames and what was found in them, as the page shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from utils.datasets.dataset import Dataset
from utils.datasets.frame_table import Frame
from utils.images.grey_levels import Stretch
from utils.images.image_files import read_frame
from utils.render.page_parts import EncodedComponent, encode_webp, grey_picture


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
        grey = grey_picture(image, stretch.update(image))
        height, width = image.shape
        result[frame.image] = PagePicture(width, height, encode_webp(grey))
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
