"""Work in threads: reading and preparing frames while the network is busy with earlier ones, and clips side by side."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from typing import Any, NamedTuple, TypeVar

Item, Result = TypeVar("Item"), TypeVar("Result")


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
