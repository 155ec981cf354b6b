"""What a person decided in the page of `python -m utils.view`: its `labels.json`, described in docs/view.md."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils.datasets.json_formats import MAX_CHARACTERS, MAX_NUMBER
from utils.system.errors import UserError
from utils.system.untrusted import read_text

MADE_BY = "python -m utils.view"
FORMAT = 1
ADDED = "added"
TARGET_STATES = ("accepted", "moved", ADDED)  # of boxes that are targets
OPEN, REJECTED = "unreviewed", "rejected"
STATES = (*TARGET_STATES, OPEN, REJECTED)
HEAD_CHARACTERS = 200  # in which the mark stands


@dataclass(frozen=True, slots=True)
class PageBox:
    """A box x, y, w, h in pixels of the frame, from 0; `state` is one of `STATES`, `track` None without one.

    `place` is where it was found, in hundredths of a pixel: of a box that was moved another one.
    """

    box: tuple[float, float, float, float]
    state: str
    name: str
    track: int | None = None
    place: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class PageFrame:
    """A frame by its number in the source, and what was found or drawn in it; `name` is its file's, if it has one."""

    number: int
    name: str | None
    boxes: tuple[PageBox, ...]


@dataclass(frozen=True)
class PageLabels:
    """The labels of one sequence.

    `sequence` is its name, `size` the frames' width and height, `complete` whether a person says to have looked at
    every frame, so that one without boxes holds no target.
    """

    sequence: str
    size: tuple[int, int]
    complete: bool
    frames: tuple[PageFrame, ...]


def is_page_labels(path: Path) -> bool:
    """Whether a file begins like a `labels.json` of the page."""
    try:
        with open(path, "rb") as file:
            head = file.read(HEAD_CHARACTERS)
    except OSError:
        return False
    return b'"made_by"' in head and MADE_BY.encode() in head


def read_page_labels(path: Path) -> PageLabels:
    """The labels in a file; raises `UserError` as of `parse_page_labels`."""
    return parse_page_labels(read_text(str(path)), str(path))


def parse_page_labels(text: str, name: str) -> PageLabels:
    """The labels that a text holds.

    Args:
        text: JSON.
        name: of its file, for the error.

    Raises:
        UserError: it is no JSON, or not what the page writes.
    """
    try:
        content = json.loads(text)
        if content["made_by"] != MADE_BY or content["format"] != FORMAT:
            raise ValueError("another format or maker")
        width, height = map(_count, content["size"])
        return PageLabels(
            _text(content["sequence"]),
            (width, height),
            content["complete"] is True,
            tuple(_frame(item) for item in content["frames"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{name}: found something else ({type(error).__name__}: {error}), expected a labels.json of the page that "
            f"{MADE_BY} shows; save it there again"
        ) from None


def _frame(item: dict[str, Any]) -> PageFrame:
    name = item.get("name")
    return PageFrame(_count(item["number"]), None if name is None else _text(name), tuple(map(_box, item["boxes"])))


def _box(item: dict[str, Any]) -> PageBox:
    x, y, w, h = map(_number, item["box"])
    if item["state"] not in STATES:
        raise ValueError(f"state '{_text(item['state'])}'")
    if min(w, h) <= 0:
        raise ValueError(f"a box of {w:g}x{h:g} pixels")
    track, place = item.get("track"), tuple(round(_number(side), 2) for side in item.get("from", item["box"]))
    number = None if track is None else _count(track)
    return PageBox((x, y, w, h), item["state"], _text(item["class"]), number, place)


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or abs(value) > MAX_NUMBER:
        raise ValueError("a coordinate that is no number of pixels")
    return float(value)


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 53:
        raise ValueError("no whole number where one belongs")
    return value


def _text(value: Any) -> str:
    if type(value) is not str or len(value) > MAX_CHARACTERS or "\0" in value:
        raise ValueError("no text where a name belongs")
    return value
