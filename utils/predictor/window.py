"""Frames in the window of a stream, and how the clips that hold them see them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import Any, NamedTuple

import numpy as np

from utils.clips.bad_pixels import mend
from utils.clips.registration import move


@dataclass(eq=False)
class View:
    """A prepared frame as clips see it, moved by `shift` before the next one's view.

    `contribution` is what it contributes, once a clip needs it.
    """

    shift: tuple[float, ...]
    behind: View | None
    pixels: np.ndarray
    contribution: Future[Any] | None = None


@dataclass(eq=False)
class SeenFrame:
    """A frame in the window: number, as it came, as the network needs it, and the scene's step from the one before."""

    number: int
    frame: np.ndarray
    ready: np.ndarray
    step: np.ndarray = field(default_factory=lambda: np.zeros(2))
    defects: Sequence[np.ndarray] | np.ndarray = ()  # bad pixels as known by then, where predictions look back at it
    latest: View | None = None
    mended: tuple[np.ndarray, SeenFrame] | None = None

    def repair(
        self, defects: np.ndarray, prepare: Callable[[SeenFrame, np.ndarray, np.ndarray], np.ndarray]
    ) -> SeenFrame:
        """The frame with `defects` (`utils.clips.bad_pixels`) taken out; one for all clips with the same defects."""
        if self.mended is None or self.mended[0] is not defects:
            ready = prepare(self, mend(self.frame, defects), defects)
            self.mended = defects, SeenFrame(self.number, self.frame, ready)
        return self.mended[1]

    def view(self, shift: np.ndarray, behind: View | None) -> View:
        """The frame moved by `shift`, with `behind` where it shows nothing; clips that see it alike share one view."""
        behind = behind if np.any(shift) else None  # an unmoved frame covers all
        alike = self.latest is not None and self.latest.shift == tuple(shift)
        if not alike or not (self.latest is behind or self.latest.behind is behind):
            pixels = move(self.ready, shift, behind.pixels if behind else None)
            self.latest = View(tuple(shift), behind, pixels)
        return self.latest


class Clip(NamedTuple):
    """A clip that waits for its batch: the key frame's number and original shape, and T views."""

    number: int
    shape: tuple[int, ...]
    views: list[View]
    companion: Any


def batches(clips: Iterable[Clip], size: int) -> Iterator[list[Clip]]:
    """Up to `size` consecutive clips with frames of one size."""
    for _, alike in groupby(clips, key=lambda clip: clip.shape):
        while batch := list(islice(alike, size)):
            yield batch


def make_views(frames: Sequence[SeenFrame], shifts: Sequence[np.ndarray]) -> list[View]:
    """The frames of a clip, oldest first, each moved by its shift (y, x).

    They are as `utils.clips.registration.align_clip` has them.
    """
    result: list[View] = []
    for frame, shift in zip(reversed(frames), reversed(shifts), strict=True):
        result.insert(0, frame.view(shift, result[0] if result else None))
    return result
