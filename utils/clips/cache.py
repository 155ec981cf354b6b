"""Decoded frames in memory, once for all loader processes."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from multiprocessing import Lock
from typing import Any

import numpy as np

_ALIGN = 64  # bytes


class SharedCache:
    """Arrays (rows, columns) that this process and those forked from it make once between them.

    What was made first stays; once `limit` bytes are full, the rest is made anew each time: of frames asked for in
    random order that loses no more than forgetting the oldest. Processes that are not forked start with an empty cache
    of their own.

    Args:
        slots: how many arrays may be asked for; what is asked for together should lie together, as the 32 bytes that
            each takes in the book are taken from the system by the page.
        limit: bytes, taken from the system as they are filled.
    """

    def __init__(self, slots: int, limit: int) -> None:
        self.slots, self.limit = slots, limit
        self._allocate()

    def _allocate(self) -> None:
        # Anonymous memory is not bound by the size of /dev/shm, which containers keep small.
        self.memory = mmap.mmap(-1, max(self.limit, 1))
        book = np.frombuffer(mmap.mmap(-1, 8 * (4 * self.slots + 1)), np.int64)
        self.entries, self.used = book[:-1].reshape(-1, 4), book[-1:]  # offset + 1 (0: none), dtype, rows, columns
        self.lock = Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"slots": self.slots, "limit": self.limit}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._allocate()

    def get(self, slot: int, make: Callable[[], np.ndarray]) -> np.ndarray:
        """The array in `slot`, counted from 0, made by `make()` where no process has it yet; not to be written to."""
        found = self._find(slot)
        if found is None:
            found = make()
            self._keep(slot, found)
        return found

    def _find(self, slot: int) -> np.ndarray | None:
        with self.lock:
            offset, kind, *shape = self.entries[slot].tolist()
        if not offset:
            return None
        array = np.frombuffer(self.memory, np.dtype(chr(kind)), shape[0] * shape[1], offset - 1).reshape(shape)
        array.flags.writeable = False
        return array

    def _keep(self, slot: int, array: np.ndarray) -> None:
        with self.lock:
            start = -(-int(self.used[0]) // _ALIGN) * _ALIGN
            if self.entries[slot, 0] or start + array.nbytes > self.limit:
                return
            target = np.frombuffer(self.memory, array.dtype, array.size, start).reshape(array.shape)
            target[...] = array
            self.entries[slot] = start + 1, ord(array.dtype.char), *array.shape
            self.used[0] = start + array.nbytes
