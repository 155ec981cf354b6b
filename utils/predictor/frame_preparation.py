"""What happens to a source's frames before a network sees them: every Nth one, a part of them, other grey levels."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np

from utils.clips.settings import ClipSettings
from utils.images.grey_levels import MAX_8_BIT_LEVEL, USUAL_PERCENTILES, SlowRange, Window, noise_of, require_grey
from utils.predictor.prediction import Component, Prediction
from utils.system.errors import UserError
from utils.system.notices import warn
from utils.video.sources import SourceFrame

RAW_WINDOW = Window(*USUAL_PERCENTILES, percent=True)  # of raw frames, for a network that has learnt from 8 bits


def raw_window_for(settings: ClipSettings) -> Window | None:
    """How raw frames are to be shown to a network with these settings.

    To one that has learnt from 8 bits, which its mean tells where nothing else does, by `RAW_WINDOW`; None, as they
    are, to one that has learnt from raw frames, and to a classical method, whose mean is 0.
    """
    mean = np.max(settings.normalisation[0])
    bits = settings.bits or (8 if 0 < mean <= MAX_8_BIT_LEVEL else 16)
    return RAW_WINDOW if bits == 8 else None


def raw_notice(place: str) -> str:
    """What is said of raw frames, of a source or a dataset called `place`, once it is known that there are some."""
    return (
        f"{place}: raw frames; the network, which has learnt from 8 bits, sees their percentiles {RAW_WINDOW} as 0 to "
        "255, or more where that would be noise"
    )


class Intake:
    """Prepares one source's frames.

    Args:
        stride: every so many frames only, counted from the first.
        roi: (x, y, w, h), the part of the frames that is looked at, in pixels; None: all.
        window: grey levels that become 0 and 255; None: as they are.
        invert: dark becomes bright.
        raw: without `window`, the one for raw frames (`raw_window_for`), from the first frame on whose levels 8 bits do
            not hold; frames before, such as of a closed shutter, count as frames of 8 bits, and share no clip with it.
        on_raw: called once, when that frame comes.
    """

    def __init__(
        self,
        stride: int = 1,
        roi: tuple[int, int, int, int] | None = None,
        window: Window | None = None,
        invert: bool = False,
        raw: Window | None = None,
        on_raw: Callable[[], object] = lambda: None,
    ) -> None:
        self.stride, self.roi, self.window, self.invert = stride, roi, window, invert
        self.raw, self.on_raw, self.gap = raw, on_raw, 0
        self.range: SlowRange | None = None

    def frames(self, source: Iterable[SourceFrame]) -> Iterator[tuple[int, np.ndarray, SourceFrame]]:
        """(number for clips, what the network sees, the frame) of the frames that the stride keeps.

        Numbers start with the first frame's own, those of frames a stride apart are consecutive, and where raw frames
        begin is a gap.

        Raises: as `prepare`.
        """
        first: int | None = None
        for frame in source:
            first = frame.number if first is None else first
            if (frame.number - first) % self.stride == 0:
                yield *self.take(first + (frame.number - first) // self.stride, frame.image), frame

    def take(self, number: int, image: np.ndarray) -> tuple[int, np.ndarray]:
        """The number for clips of the next frame, whose own is `number`, and what the network sees; else `prepare`."""
        shown = self.prepare(image)
        return number + self.gap, shown

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """A frame `(H, W)` uint8 or uint16, the next one of its sequence, as the network is to see it.

        Returns:
            `(h, w)` uint8 with `window` or `raw`, else of the same type.

        Raises:
            UserError: the region lies outside the frame.
            ValueError: not a frame `(H, W)`.
        """
        require_grey(image)
        if self.roi:
            x, y, w, h = self.roi
            if x + w > image.shape[1] or y + h > image.shape[0]:
                raise UserError(
                    f"--roi {x},{y},{w},{h}: found a frame of {image.shape[1]}x{image.shape[0]} (w x h), "
                    "expected a region inside it"
                )
            image = image[y : y + h, x : x + w]
        if self.raw and not self.window and image.dtype != np.uint8 and image.max() > MAX_8_BIT_LEVEL:
            self.window, self.gap = self.raw, 1  # in one clip, all would seem to move
            self.on_raw()
        if self.window:
            low, high = self._levels(image)
            image = np.clip((image.astype(np.float32) - low) * (255 / max(high - low, 1e-6)), 0, 255)
            image = np.rint(image).astype(np.uint8)
        elif self.raw and image.dtype == np.uint16:  # levels of 8 bits in a file of 16
            image = image.astype(np.uint8)
        return np.iinfo(image.dtype).max - image if self.invert else np.ascontiguousarray(image)

    def _levels(self, image: np.ndarray) -> tuple[float, float]:
        if not self.window.percent:
            return self.window.low, self.window.high
        if self.range is None:
            self.range = SlowRange(self.window.low, self.window.high)
        least = 255 * noise_of(image) / self.window.noise if self.window.noise else 0.0
        return self.range.update(image, least)

    def restore(self, prediction: Prediction, frame: SourceFrame) -> Prediction:
        """The prediction in the whole frame's pixels, with the frame's own number."""
        x, y, w, h = self.roi or (0, 0, 0, 0)
        tracks = prediction.tracks and tuple(
            dataclasses.replace(one, frame=frame.number, x=one.x + x, y=one.y + y, speed=one.speed / self.stride)
            for one in prediction.tracks
        )
        prediction = dataclasses.replace(prediction, number=frame.number, tracks=tracks)
        if not self.roi:
            return prediction
        planes = [np.zeros(frame.image.shape, plane.dtype) for plane in (prediction.probability, prediction.mask)]
        for whole, plane in zip(planes, (prediction.probability, prediction.mask), strict=True):
            whole[y : y + h, x : x + w] = plane
        boxes = prediction.boxes
        if boxes is not None:
            boxes = boxes + np.array([x, y, x, y, 0, 0], boxes.dtype)
        return dataclasses.replace(
            prediction,
            probability=planes[0],
            mask=planes[1],
            boxes=boxes,
            components=tuple(_move_component(one, x, y) for one in prediction.components),
        )


def intake_for(settings: ClipSettings, place: str = "", **options: Any) -> Intake:
    """What prepares one sequence's frames for a network with these settings, raw ones as it needs them.

    Args:
        settings: of the network, or of a classical method.
        place: of the frames, for people; a warning says that there are raw ones. By default nothing is said.
        options: of `Intake`.
    """
    if place:
        options["on_raw"] = partial(warn, raw_notice(place))
    return Intake(raw=raw_window_for(settings), **options)


def _move_component(found: Component, x: int, y: int) -> Component:
    x1, y1, x2, y2 = found.box
    return dataclasses.replace(
        found, box=(x1 + x, y1 + y, x2 + x, y2 + y), centroid=(found.centroid[0] + x, found.centroid[1] + y)
    )
