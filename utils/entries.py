"""Images as lists name them, with their boxes, in little memory."""
from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from utils.texts import Texts

Box = tuple[float, float, float, float, int]


@dataclass(frozen=True, slots=True)
class Entry:
    """One image as a list names it; `boxes` is None in lists without boxes, `snr` holds one figure a box if known."""

    path: str
    boxes: tuple[Box, ...] | None
    snr: tuple[float, ...] = ()


def boxes_at(boxes: np.ndarray, ends: np.ndarray, row: int) -> tuple[Box, ...]:
    """The boxes of one `row` out of those of all rows, `(M, 5)` float64, which end at `ends[row + 1]`."""
    found = boxes[ends[row]:ends[row + 1]].tolist()
    return tuple((*corners, int(category)) for *corners, category in found)


class Rows:
    """Ragged rows of items of `width` numbers, collected without an object for each."""

    def __init__(self, width: int) -> None:
        self.width, self.values, self.ends = width, array("d"), array("q", [0])

    def add(self, items: Iterable[Sequence[float]]) -> None:
        """Append a row."""
        for item in items:
            self.values.extend(item)
        self.ends.append(len(self.values) // self.width)

    def boxes(self, row: int) -> tuple[Box, ...]:
        """A row of boxes, whose last number is an integer."""
        step = self.width
        values = self.values[self.ends[row] * step:self.ends[row + 1] * step].tolist()
        return tuple((*values[i:i + step - 1], int(values[i + step - 1])) for i in range(0, len(values), step))

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """All items, `(M, width)` float64, and behind a 0 the item at which each row ends, `(N + 1,)` int64."""
        return np.array(self.values, np.float64).reshape(-1, self.width), np.array(self.ends, np.int64)


class Entries(Sequence[Entry]):
    """`Entry` objects made when they are asked for: a list of a million images takes some 60 MB.

    Args:
        paths: of the images.
        boxes: of each image, None in lists without boxes.
        snr: of each image's boxes, where known.
    """

    def __init__(self, paths: Texts, boxes: Rows | None = None, snr: Rows | None = None) -> None:
        self.paths, self.boxed = paths, boxes is not None
        self.boxes, self.ends = (boxes or Rows(5)).arrays()
        self.snr, self.snr_ends = (snr or Rows(1)).arrays()

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> Entries:
        """Entries with boxes."""
        boxes, snr = Rows(5), Rows(1)
        for entry in entries:
            boxes.add(entry.boxes)
            snr.add([value] for value in entry.snr)
        return cls(Texts(entry.path for entry in entries), boxes, snr)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        path, row = self.paths[index], index % max(len(self), 1)
        snr = self.snr[self.snr_ends[row]:self.snr_ends[row + 1], 0].tolist() if len(self.snr) else ()
        return Entry(path, boxes_at(self.boxes, self.ends, row) if self.boxed else None, tuple(snr))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(other) == len(self) and all(map(Entry.__eq__, self, other))

    __hash__ = None
