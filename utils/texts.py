"""Many strings in little memory: one block of bytes instead of an object each, which loader processes share."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
        return self._data[self._ends[index]:self._ends[index + 1]].decode("utf-8", "surrogateescape")

    def __iter__(self) -> Iterator[str]:
        for first in range(0, len(self), 1 << 12):
            ends = self._ends[first:first + (1 << 12) + 1].tolist()
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
            for index in order[start:start + length].tolist():
                first[index] = seen.setdefault(self[index], index)
        return first

    def repeated(self) -> list[str]:
        """Each string that is there more than once, in the order of their first places."""
        first = self.first_places()
        return [self[i] for i in np.unique(first[first != np.arange(len(first))]).tolist()]

    def once(self) -> Texts:
        """Each string once, in the order of their first places."""
        return Texts(self[i] for i in np.unique(self.first_places()).tolist())
