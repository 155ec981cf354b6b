"""Predictions of networks that give a map for every frame of a clip: windows over a sequence, where they overlap."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from utils.clips.settings import ClipSettings
from utils.predictor.window import SeenFrame
from utils.system.errors import UserError


@dataclass(eq=False)
class Waiting:
    """A frame whose prediction is not final yet: what came with it, and its probability so far."""

    seen: SeenFrame
    companion: Any
    probability: np.ndarray | None = None


class FrameWindows:
    """The windows over one run of consecutive frames of one size.

    Without a `max_delay`, as published: a window of T frames after every 0.9·T, the last one moved back so that it
    ends with the run; where windows overlap the maximum counts. A frame is final once T more have been seen. With one,
    a window after every `max_delay` + 1 frames, whose newest maps are those of these frames; 0 is causal.

    Args:
        settings: T and `max_delay`.
        look: `(frames, newest)` → probabilities (newest, H, W) of the last ones of up to T frames.
    """

    def __init__(self, settings: ClipSettings, look: Callable[[Sequence[SeenFrame], int], np.ndarray]) -> None:
        self.length, self.max_delay, self.look = settings.num_frames, settings.max_delay, look
        overlapping = self.max_delay is None
        self.step = window_step(self.length) if overlapping else self.max_delay + 1
        self.next_end = self.length if overlapping else self.step
        self.count = 0
        self.recent: deque[SeenFrame] = deque(maxlen=self.length)
        self.waiting: deque[Waiting] = deque()

    def add(self, seen: SeenFrame, companion: Any) -> Iterator[Waiting]:
        """The next frame comes; gives those that are final now."""
        self.recent.append(seen)
        self.waiting.append(Waiting(seen, companion))
        self.count += 1
        if self.count == self.next_end:
            self._look()
            self.next_end += self.step
        if self.max_delay is None:
            while len(self.waiting) > self.length:  # the last window of a run that ends here begins behind it
                yield self.waiting.popleft()
        elif self.waiting[-1].probability is not None:
            yield from self._finish()

    def end(self) -> Iterator[Waiting]:
        """The run ends; gives all that is left."""
        if self.waiting and self.waiting[-1].probability is None:
            self._look()
        yield from self._finish()

    def _finish(self) -> Iterator[Waiting]:
        while self.waiting:
            yield self.waiting.popleft()

    def _look(self) -> None:
        newest = min(len(self.waiting), self.length)
        maps = self.look(self.recent, newest)
        for waiting, found in zip(list(self.waiting)[-newest:], maps, strict=True):
            before = waiting.probability
            waiting.probability = found if before is None else np.maximum(before, found)


def window_step(length: int) -> int:
    """Frames from one window to the next, of overlapping ones: 36 of 40."""
    return max(1, length - length // 10)


def require_delay(settings: ClipSettings, max_delay: int) -> None:
    """Look at a delay that is asked for.

    Raises:
        UserError: the network gives no map for every frame, or its clips are shorter.
    """
    if not settings.every_frame:
        raise UserError(
            f"--max-delay: found with {settings.name or 'a network'}, which predicts each frame as it comes, expected "
            "one that marks every frame of a clip, such as deeppro; leave it out"
        )
    if max_delay >= settings.num_frames:
        raise UserError(
            f"--max-delay: found {max_delay}, expected at most {settings.num_frames - 1} with clips of "
            f"{settings.num_frames} frames"
        )


def describe_windows(settings: ClipSettings) -> str:
    """How predictions of every frame come about, and how late, in a line."""
    length, delay = settings.num_frames, settings.max_delay
    if delay is None:
        return (
            f"{settings.name}: the maximum over windows of {length} frames, {window_step(length)} apart; a frame's "
            f"prediction comes {length} frames later (--max-delay 0: without delay)"
        )
    late = f"up to {delay} frame{'s' * (delay > 1)} later" if delay else "without delay"
    maps = f"{delay + 1} maps" if delay else "map"
    return f"{settings.name}: the newest {maps} of windows of {length} frames; predictions come {late}"
