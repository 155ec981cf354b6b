"""Work in threads: how many, frames prepared while the network is busy with earlier ones, and clips side by side."""

from __future__ import annotations

import ctypes
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import Any, NamedTuple, TypeVar

import numpy as np

from utils.system.notices import warn
from utils.system.packages.late import cv2

# Functions of the libraries that NumPy may take its linear algebra from.
_SET_ALGEBRA_THREADS = (
    "scipy_openblas_set_num_threads64_",
    "openblas_set_num_threads64_",
    "openblas_set_num_threads",
    "MKL_Set_Num_Threads",
)
Item, Result = TypeVar("Item"), TypeVar("Result")


def limit_threads(count: int) -> None:
    """Let networks and classical methods work in `count` CPU threads, from now on; 0 leaves all as it is.

    To be called before a network is opened. Holds for PyTorch, ONNX Runtime, OpenCV and NumPy's linear algebra.
    """
    if not count:
        return
    os.environ["OMP_NUM_THREADS"] = str(count)  # read by ONNX Runtime's sessions, and by PyTorch when it is imported
    if sys.modules.get("torch"):
        sys.modules["torch"].set_num_threads(count)
    cv2.setNumThreads(count)
    library = ctypes.CDLL(np.linalg._umath_linalg.__file__)  # in which names of libraries that it needs are found too
    found = [name for name in _SET_ALGEBRA_THREADS if hasattr(library, name)]
    if not found:
        warn(
            f"--threads: found no way to tell NumPy's linear algebra, expected {' or '.join(_SET_ALGEBRA_THREADS)} in "
            "it; where the method ipi is to keep to them, set OPENBLAS_NUM_THREADS before the command"
        )
    for name in found:
        getattr(library, name)(count)


def read_ahead(read: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """`map(read, items)` in order, with up to `workers` calls running ahead in threads (0: none)."""
    if not workers:
        yield from map(read, items)
        return
    pool = ThreadPoolExecutor(workers)
    try:
        pending: deque[Any] = deque()
        for item in items:
            pending.append(pool.submit(read, item))
            if len(pending) > 2 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def make_ahead(items: Iterable[Item], count: int = 2) -> Iterator[Item]:
    """`items` in order, iterated over in one thread, up to `count` of them before they are asked for."""
    iterator, end = iter(items), object()
    pool = ThreadPoolExecutor(1)
    try:
        pending = deque(pool.submit(next, iterator, end) for _ in range(count))
        while (item := pending.popleft().result()) is not end:
            pending.append(pool.submit(next, iterator, end))
            yield item
    finally:
        pool.shutdown(cancel_futures=True)


class Lanes(NamedTuple):
    """start: a call → what gives its result, in whichever thread it runs; count: calls that run at the same time."""

    start: Callable[[Callable[[], Any]], Callable[[], Any]]
    count: int


IN_LINE = Lanes(lambda call: call, 1)  # a call runs when, and where, its result is asked for


@contextmanager
def open_lanes(count: int, prepare: Callable[[], Any]) -> Iterator[Lanes]:
    """Lanes of `count` threads, each of which has run `prepare` before this returns."""
    ready = Barrier(count)
    pool = ThreadPoolExecutor(count)
    try:
        for done in [pool.submit(lambda: (prepare(), ready.wait())) for _ in range(count)]:
            done.result()
        yield Lanes(lambda call: pool.submit(call).result, count)
    finally:
        pool.shutdown(cancel_futures=True)
