"""Many names, and images with their boxes, in little memory.

They are blocks of bytes instead of an object each, which loader processes share.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


class Texts(Sequence[str]):
    """An unchanging list of strings.

    Python's own would take some 90 bytes a string, and a forked process gets a copy of each one that it looks at, as
    looking counts references. Here a string takes its UTF-8 bytes and eight more.
    """

    def __init__(self, items: Iterable[str]) -> None:
        data, ends = bytearray(), [0]
        chunks = [np.zeros(1, np.int64)]
        for item in items:
            data += item.encode("utf-8", "surrogateescape")
            ends.append(len(data))
            if len(ends) > 1 << 16:
                chunks.append(np.array(ends[1:], np.int64))
                ends = [0]
        self._ends = np.concatenate([*chunks, np.array(ends[1:], np.int64)])
        self._data = bytes(data)
        self._index: tuple[np.ndarray, np.ndarray] | None = None

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        size = len(self)
        if not -size <= index < size:
            raise IndexError(index)
        index %= size
        return self._data[self._ends[index] : self._ends[index + 1]].decode("utf-8", "surrogateescape")

    def __iter__(self) -> Iterator[str]:
        for first in range(0, len(self), 1 << 12):
            ends = self._ends[first : first + (1 << 12) + 1].tolist()
            for start, stop in zip(ends[:-1], ends[1:], strict=True):
                yield self._data[start:stop].decode("utf-8", "surrogateescape")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Texts) and self._data == other._data and np.array_equal(self._ends, other._ends)

    __hash__ = None  # as of a list

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_index": None}  # another process hashes strings in another way

    def _hashes(self) -> np.ndarray:
        return np.fromiter(map(hash, self), np.int64, len(self))

    def build_index(self) -> None:
        """Make what `find` needs, before processes are forked that are to share it."""
        if self._index is None:
            hashes = self._hashes()
            order = np.argsort(hashes, kind="stable")
            self._index = hashes[order], order

    def find(self, text: str) -> int:
        """The position of `text`, the first of several, -1 where it is not there."""
        self.build_index()
        hashes, order = self._index
        value = hash(text)
        place = int(np.searchsorted(hashes, value))
        while place < len(hashes) and hashes[place] == value:
            if self[int(order[place])] == text:
                return int(order[place])
            place += 1
        return -1

    def first_places(self) -> np.ndarray:
        """`(N,)` int64: for every string the position of the first one that equals it."""
        hashes = self._hashes()
        order = np.argsort(hashes, kind="stable")
        starts = np.flatnonzero(np.append(True, hashes[order[1:]] != hashes[order[:-1]])) if len(self) else order
        lengths = np.diff(starts, append=len(self))
        first = np.arange(len(self))
        for start, length in zip(starts[lengths > 1].tolist(), lengths[lengths > 1].tolist(), strict=True):
            seen: dict[str, int] = {}
            for index in order[start : start + length].tolist():
                first[index] = seen.setdefault(self[index], index)
        return first

    def find_repeated(self) -> list[str]:
        """Each string that is there more than once, in the order of their first places."""
        first = self.first_places()
        return [self[i] for i in np.unique(first[first != np.arange(len(first))]).tolist()]

    def without_repeats(self) -> Texts:
        """Each string once, in the order of their first places."""
        return Texts(self[i] for i in np.unique(self.first_places()).tolist())


Box = tuple[float, float, float, float, int]
NO_TRACK = -1  # in place of a track's id


@dataclass(frozen=True, slots=True)
class Entry:
    """One image as a list names it.

    `boxes` is None in lists without boxes, `snr` holds one figure a box if known, `ignored` are regions to ignore,
    `size` is the (height, width) that the list declares, `tracks` one id a box, `NO_TRACK` for a box without, () where
    no box has one.
    """

    path: str
    boxes: tuple[Box, ...] | None
    snr: tuple[float, ...] = ()
    ignored: tuple[Box, ...] = ()
    size: tuple[int, int] | None = None
    tracks: tuple[int, ...] = ()


def boxes_at(boxes: np.ndarray, ends: np.ndarray, row: int) -> tuple[Box, ...]:
    """The boxes of one `row` out of those of all rows, `(M, 5)` float64, which end at `ends[row + 1]`."""
    found = boxes[ends[row] : ends[row + 1]].tolist()
    return tuple((*corners, int(category)) for *corners, category in found)


class Sizes:
    """The (height, width) of images, None where it is not known, collected without an object for each."""

    def __init__(self) -> None:
        self.values = array("i")

    def add(self, size: tuple[int, int] | None) -> None:
        """Append an image's."""
        self.values.extend(size or (0, 0))

    def at(self, row: int) -> tuple[int, int] | None:
        """An image's."""
        size = self.values[2 * row], self.values[2 * row + 1]
        return size if size[0] else None


class TrackIds:
    """The track of every box of some rows, box by box; takes no room until a box has one."""

    def __init__(self) -> None:
        self.values: Any = array("q")

    def add(self, tracks: Sequence[int], first: int, count: int) -> None:
        """Take up those of a row of `count` boxes, of which the first is box `first` of all; () where none has one."""
        if tracks or self.values:
            self.values.extend([NO_TRACK] * (first - len(self.values)))
            self.values.extend(tracks or [NO_TRACK] * count)

    def at(self, first: int, stop: int) -> tuple[int, ...]:
        """The tracks of some boxes, () where none of these has one."""
        found = self.values[first:stop].tolist()
        return tuple(found) if any(track != NO_TRACK for track in found) else ()


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
        values = self.values[self.ends[row] * step : self.ends[row + 1] * step].tolist()
        return tuple((*values[i : i + step - 1], int(values[i + step - 1])) for i in range(0, len(values), step))

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """All items, `(M, width)` float64, and behind a 0 the item at which each row ends, `(N + 1,)` int64."""
        return np.array(self.values, np.float64).reshape(-1, self.width), np.array(self.ends, np.int64)


class Entries(Sequence[Entry]):
    """`Entry` objects made when they are asked for: a list of a million images takes some 60 MB.

    Args:
        paths: of the images.
        boxes: of each image, None in lists without boxes.
        snr: of each image's boxes, where known.
        ignored: regions to ignore by the row of their image; few lists have any.
        sizes: that the list declares.
        tracks: of the boxes.
    """

    def __init__(
        self,
        paths: Texts,
        boxes: Rows | None = None,
        snr: Rows | None = None,
        ignored: dict[int, tuple[Box, ...]] | None = None,
        sizes: Sizes | None = None,
        tracks: TrackIds | None = None,
    ) -> None:
        self.paths, self.boxed = paths, boxes is not None
        self.ignored, self.sizes, self.tracks = ignored or {}, sizes, tracks or TrackIds()
        self.boxes, self.ends = (boxes or Rows(5)).arrays()
        self.snr, self.snr_ends = (snr or Rows(1)).arrays()

    @classmethod
    def of(cls, entries: Sequence[Entry]) -> Entries:
        """Entries with boxes."""
        boxes, snr, sizes, tracks = Rows(5), Rows(1), Sizes(), TrackIds()
        for entry in entries:
            tracks.add(entry.tracks, boxes.ends[-1], len(entry.boxes))
            boxes.add(entry.boxes)
            snr.add([value] for value in entry.snr)
            sizes.add(entry.size)
        ignored = {row: entry.ignored for row, entry in enumerate(entries) if entry.ignored}
        return cls(Texts(entry.path for entry in entries), boxes, snr, ignored, sizes, tracks)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        path, row = self.paths[index], index % max(len(self), 1)
        snr = self.snr[self.snr_ends[row] : self.snr_ends[row + 1], 0].tolist() if len(self.snr) else ()
        return Entry(
            path,
            boxes_at(self.boxes, self.ends, row) if self.boxed else None,
            tuple(snr),
            self.ignored.get(row, ()),
            self.sizes.at(row) if self.sizes else None,
            self.tracks.at(self.ends[row], self.ends[row + 1]) if self.boxed else (),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(other) == len(self) and all(map(Entry.__eq__, self, other))

    __hash__ = None
