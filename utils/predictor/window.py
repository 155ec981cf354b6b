"""Frames in the window of a stream, how the clips that hold them see them, and clips on their way through a network."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import groupby, islice
from typing import Any, NamedTuple

import numpy as np

from utils.clips.bad_pixels import mend
from utils.clips.registration import Scenery, move, scene_shift
from utils.clips.settings import ClipSettings
from utils.predictor.network_run import NetworkRun, StreamingRun
from utils.system.threads import Lanes


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
    """A frame in the window: number, as it came, as the network needs it, and the scene's step from the one before.

    The step is y, x in pixels of the frame as it came, zero until `follow` has measured it.
    """

    number: int
    frame: np.ndarray
    ready: np.ndarray
    step: np.ndarray = field(default_factory=lambda: np.zeros(2))
    measured: bool = False
    defects: Sequence[np.ndarray] | np.ndarray = ()  # bad pixels as known by then, where predictions look back at it
    latest: View | None = None
    mended: tuple[np.ndarray, SeenFrame] | None = None

    def follow(self, before: SeenFrame, settings: ClipSettings) -> None:
        """Measure the step from the frame before, where clips are aligned or bad pixels are looked for.

        Of the frames as they came: margins of prepared ones stay where they are, and would hold the scene there.
        """
        self.measured = settings.register or settings.bad_pixels
        if self.measured and not np.array_equal(before.frame, self.frame):
            self.step = scene_shift(before.scenery, self.scenery)

    @cached_property
    def scenery(self) -> Scenery:
        """What registration takes of it, once for both pairs that it belongs to."""
        return Scenery.of(self.frame)

    @property
    def shift(self) -> tuple[float, float] | None:
        """The step as x, y; None where it is not known."""
        return (float(self.step[1]), float(self.step[0])) if self.measured else None

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
    """A clip that waits for its batch: the key frame, and T views."""

    key: SeenFrame
    views: list[View]
    companion: Any


def batches(clips: Iterable[Clip], size: int) -> Iterator[list[Clip]]:
    """Up to `size` consecutive clips with frames of one size."""
    for _, alike in groupby(clips, key=lambda clip: clip.key.frame.shape):
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


def start_clips(
    run: NetworkRun, clips: Sequence[Clip], to_input: Callable[[np.ndarray], np.ndarray], lanes: Lanes
) -> Callable[[], Any]:
    """The clips' outputs, once they are asked for.

    Clips start in order: what one has begun to compute of a view, later ones wait for.

    Args:
        run: the network.
        clips: of frames of one size.
        to_input: what the network takes of their views' pixels, stacked.
        lanes: where it runs.
    """
    new: dict[int, View] = {}
    if isinstance(run, StreamingRun):
        new = {id(view): view for clip in clips for view in clip.views if view.contribution is None}
    for view in new.values():
        view.contribution = Future()
    return lanes.start(partial(_run_clips, run, clips, to_input, new.values()))


def _run_clips(
    run: NetworkRun, clips: Sequence[Clip], to_input: Callable[[np.ndarray], np.ndarray], new: Collection[View]
) -> Any:
    """The network's outputs for clips; it has to compute what `new` views contribute."""
    if not isinstance(run, StreamingRun):
        return run(to_input(np.stack([[view.pixels for view in clip.views] for clip in clips])))
    try:
        contributions = run.observe(to_input(np.stack([view.pixels for view in new])))
        for view, contribution in zip(new, contributions, strict=True):
            view.contribution.set_result(contribution)
    except BaseException as error:  # raised again; whoever waits for these must not wait for ever
        for view in new:
            if not view.contribution.done():
                view.contribution.set_exception(error)
        raise
    return run.decide(
        to_input(np.stack([clip.views[-1].pixels for clip in clips])),
        [[view.contribution.result() for view in clip.views] for clip in clips],
    )
