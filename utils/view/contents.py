"""What a page shows: sequences of frames, the objects found in them, and the true targets where they are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

BoxSides = tuple[float, float, float, float]  # x, y, w, h in pixels of the frame
TrueBox = tuple[float, float, float, float, int]  # and its class from 0
DIGITS = 2  # of coordinates behind the point; of scores twice as many


class PageObject(NamedTuple):
    """One found object.

    `box` is x, y, w, h in pixels of the frame from 0, `score` in [0, 1], `track` the number of its track, None without
    one, `category` its class from 0, `outline` the runs of its pixels as of `utils.render.page_parts.EncodedComponent`,
    `match` the index of the true target of its frame that it hits, -1 for none.
    """

    box: BoxSides
    score: float
    track: int | None = None
    category: int = 0
    outline: str = ""
    match: int = -1


@dataclass(frozen=True)
class PageSequence:
    """One sequence.

    Args:
        name: of the sequence.
        source: where its frames are from, for people.
        size: width and height of the frames, in pixels.
        fps: frames a second.
        classes: names of the classes.
        numbers: of the frames, ascending.
        names: of the frames, empty where the numbers say it.
        objects: for each frame.
        truth: for each frame the true targets' boxes; None where they are not known.
        expected_false: mean number of false components a frame that is expected of all objects; None where nobody
            has estimated it.
        problems: places in `numbers` with a line about each.
        least_score: what the page shows to begin with exceeds it.
    """

    name: str
    source: str
    size: tuple[int, int]
    fps: float
    classes: tuple[str, ...]
    numbers: Sequence[int]
    names: Sequence[str]
    objects: Sequence[Sequence[PageObject]]
    truth: Sequence[Sequence[TrueBox]] | None = None
    expected_false: float | None = None
    problems: Sequence[tuple[int, str]] = field(default=())
    least_score: float = 0.0

    @property
    def short_source(self) -> str:
        """The source without the folders above it, which are nobody's business to whom a page is handed."""
        return Path(self.source).name

    def as_dict(self, index: int, per_block: int) -> dict[str, Any]:
        """For the page's script; column by column, which takes half the room of a list of objects.

        Args:
            index: of the sequence in the page.
            per_block: frames whose pictures are in one block of it.
        """
        found = [item for frame in self.objects for item in frame]
        columns = {
            "counts": [len(frame) for frame in self.objects],
            **_sides([item.box for item in found]),
            "score": [self._score(item.score) for item in found],
            "track": [item.track for item in found],
            "category": [item.category for item in found],
            "outline": [item.outline for item in found],
            "match": [item.match for item in found],
        }
        truth = None
        if self.truth is not None:
            boxes = [box for frame in self.truth for box in frame]
            truth = {
                "counts": [len(frame) for frame in self.truth],
                **_sides(boxes),
                "category": [box[4] for box in boxes],
            }
        return {
            "index": index,
            "per_block": per_block,
            "name": self.name,
            "source": self.short_source,
            "size": self.size,
            "fps": self.fps,
            "classes": self.classes,
            "numbers": self.numbers,
            "names": list(self.names) or None,
            "objects": columns,
            "truth": truth,
            "expected_false": self.expected_false,
            "problems": self.problems,
            "least_score": self.least_score,
        }

    def _score(self, score: float) -> float:
        """For the script; where the truth is known, the shortest number that is the same in single precision.

        So a threshold lies between the same scores as in `utils.metrics.detection.exceeds`.
        """
        return round(score, 2 * DIGITS) if self.truth is None else float(str(np.float32(score)))


def _sides(boxes: Sequence[BoxSides | TrueBox]) -> dict[str, list[float]]:
    return {
        side: [
            int(value) if value.is_integer() else value for box in boxes for value in (round(float(box[n]), DIGITS),)
        ]
        for n, side in enumerate("xywh")
    }
