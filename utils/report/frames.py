"""Frames and what was found in them, small enough for thousands of them in one page."""
from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from utils.datasets.dataset import Dataset
from utils.datasets.frame_table import Frame
from utils.images.components import Components
from utils.images.grey_levels import Stretch
from utils.images.image_files import read_frame
from utils.system.errors import UserError

LONGEST_SIDE = 640  # pixels; larger frames are reduced, coordinates stay those of the frame
QUALITY = 45  # of WebP
FALSE, HIT, TRUE = 0, 1, 2  # kinds of components


def chosen(dataset: Dataset, most: int, limit: int = 0) -> list[Frame]:
    """At most `most` frames: of every sequence a stretch from its middle, as long as its share; consecutive frames show
    how targets move. Of more sequences than that, every so many'th gives one frame.

    Args:
        dataset: whose sequences are cut to the first `limit` frames (0: all).
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
        result += frames[start:start + share]
        left, frames_left = left - share, frames_left - len(frames)
    return result


def webp(picture: np.ndarray, quality: int = QUALITY) -> str:
    """A picture `(H, W)` or `(H, W, 3)` BGR uint8 as a data URI.

    Raises:
        UserError: this OpenCV cannot write WebP.
    """
    done, data = cv2.imencode(".webp", picture, [cv2.IMWRITE_WEBP_QUALITY, quality])
    if not done:
        raise UserError("OpenCV: cannot write WebP, expected a build with it; pip install opencv-python-headless")
    return "data:image/webp;base64," + base64.b64encode(data.tobytes()).decode()


def pictures(frames: Sequence[Frame]) -> dict[str, dict[str, Any]]:
    """For each image's path `w`, `h` of the frame and `p`, its picture; contrast follows each sequence."""
    result: dict[str, dict[str, Any]] = {}
    stretch, sequence = Stretch(), None
    for frame in frames:
        image = read_frame(frame.image)
        if frame.sequence != sequence:
            stretch, sequence = Stretch(), frame.sequence
        black, white = stretch.update(image)
        grey = np.clip((image.astype(np.float32) - black) * (255 / (white - black)), 0, 255)
        height, width = image.shape
        shrink = LONGEST_SIDE / max(image.shape)
        if shrink < 1:
            grey = cv2.resize(grey, (round(width * shrink), round(height * shrink)), interpolation=cv2.INTER_AREA)
        result[frame.image] = {"w": width, "h": height, "p": webp(np.rint(grey).astype(np.uint8))}
    return result


def encoded(components: Components, width: int, kind: np.ndarray | int, scores: np.ndarray | None = None
            ) -> list[list[Any]]:
    """Components as `[x, y, w, h, kind, score, runs]`: box, kind, score in thousandths (0 without scores), and lengths
    of the runs off, on, off … through the box in raster order, "" where the component fills it."""
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
        result.append([left, top, w, h, int(kinds[index]), score, runs])
    return result


def path_of(component: Sequence[Any]) -> str:
    """An SVG path of the pixels of an encoded component."""
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
