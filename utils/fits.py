"""How a frame is fitted into a network's input, and how results get back: the frame's own pixels, padded, or resized.

The third way is `utils.letterbox.Letterbox`. All have `frame`, `to_frame` and `map_to_frame`.
"""
from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from utils.letterbox import GREY, Letterbox, cut, margin_level, spread

FITS = ("crop", "resize", "letterbox")  # as recipes call them; a network trained on crops sees whole frames, padded


@dataclass(frozen=True)
class Padded:
    """Frames of `shape` (h, w) keep their pixels; sides are padded to multiples of `multiple` by the edge's value, on
    the right and at the bottom."""

    shape: tuple[int, int]
    multiple: int

    def frame(self, image: np.ndarray, full_scale: float = 255.0) -> np.ndarray:
        """`(h, w)` → `(H, W)` float32."""
        pad = [(0, -side % self.multiple) for side in self.shape]
        return np.pad(image.astype(np.float32), pad, mode="edge")

    def to_frame(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes `(N, 4 or more)` x1, y1, x2, y2, …, cut at the frame's edges."""
        return cut(boxes, self.shape)

    def map_to_frame(self, plane: np.ndarray) -> np.ndarray:
        """A map over the input `(H, W)` → over the frame `(h, w)`."""
        return np.ascontiguousarray(plane[: self.shape[0], : self.shape[1]])


@dataclass(frozen=True)
class Resized:
    """Frames of `shape` (h, w) are resized to a square of `size` pixels, as in training, and padded from there."""

    shape: tuple[int, int]
    size: int
    multiple: int

    def frame(self, image: np.ndarray, full_scale: float = 255.0) -> np.ndarray:
        """`(h, w)` → `(H, W)` float32."""
        from utils.transforms import resize_clip

        plane = resize_clip(image.astype(np.float32)[None], np.zeros((1, *self.shape), bool), self.size)[0][0]
        return Padded(plane.shape, self.multiple).frame(plane)

    def to_frame(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes in the input's pixels → in the frame's, cut at its edges."""
        moved = np.array(boxes, np.float64)
        moved[:, :4] *= np.array(self.shape[::-1] * 2) / self.size
        return cut(moved, self.shape)

    def map_to_frame(self, plane: np.ndarray) -> np.ndarray:
        """A map over the input → over the frame `(h, w)`, interpolated."""
        return spread(plane[: self.size, : self.size], self.shape)


Fit = Padded | Resized | Letterbox


def fit_of(shape: tuple[int, int], fit: str, input_size: int | None, multiple: int, mean: float = GREY,
           full_scale: float = 255.0, square: bool = True) -> Fit:
    """How frames of `shape` are fitted; `input_size` is the side of the square input, not used by `crop`, `mean` and
    `full_scale` those of the frames' grey levels, see `margin_level`; without `square` a letterbox has no more margins
    than make its sides multiples of `multiple`."""
    if fit == "letterbox":
        box = Letterbox(shape, (input_size, input_size), margin_level(mean, full_scale))
        if square:
            return box
        return replace(box, size=tuple(min(side + -side % multiple, input_size) for side in box.inner))
    return Resized(shape, input_size, multiple) if fit == "resize" else Padded(shape, multiple)
