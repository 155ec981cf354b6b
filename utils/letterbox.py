"""Letterboxing: a frame scaled to fit into a rectangle and centred there, the rest grey; its boxes there and back."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

GREY = 128.0  # of 255, as published
BICUBIC_REACH = 2  # px of the frame on either side, or of the input where that is coarser
TILE = 32  # px of the input, side of what is scaled anew at once


def margin_level(mean: float, full_scale: float) -> float:
    """Grey level of the margins: 128 of 255 as published, and the dataset's mean for files of another type, whose
    levels may be far from half of the full scale (cameras of 14 bits in files of 16)."""
    return GREY if full_scale == 255 else mean


@dataclass(frozen=True)
class Letterbox:
    """Where a frame of `shape` (h, w) lies in the network's input of `size` (H, W), all in pixels.

    Both sides are scaled by min(H/h, W/w) and rounded down; the frame lies in the middle, half a pixel up and to the
    left where the rest is odd. `margin` is the grey level of the rest. Raises ValueError for sides below 1.
    """

    shape: tuple[int, int]
    size: tuple[int, int]
    margin: float = GREY

    def __post_init__(self) -> None:
        if min(*self.shape, *self.size) < 1:
            raise ValueError(f"got a frame of {self.shape} for an input of {self.size}, expected sides of at least 1")

    @property
    def inner(self) -> tuple[int, int]:
        """Height and width of the scaled frame."""
        (h, w), (height, width) = self.shape, self.size
        if height * w <= width * h:  # whole numbers, so that the fitting side fits exactly
            return height, max(1, w * height // h)
        return max(1, h * width // w), width

    @property
    def corner(self) -> tuple[int, int]:
        """Top and left of the scaled frame in the input."""
        return (self.size[0] - self.inner[0]) // 2, (self.size[1] - self.inner[1]) // 2

    def frame(self, image: np.ndarray, full_scale: float = 255.0) -> np.ndarray:
        """`(h, w)` of any dtype, grey levels from 0 to `full_scale` → `(H, W)` float32 in the same levels, bicubic.

        Raises ValueError for an image of another shape than this letterbox's.
        """
        if image.shape != self.shape:
            raise ValueError(f"got a frame of {image.shape}, expected {self.shape}")
        canvas = np.full(self.size, self.margin, np.float32)
        self._scale_into(canvas, image, (0, 0), self.inner, full_scale)
        return canvas

    def again(self, ready: np.ndarray, image: np.ndarray, places: np.ndarray, full_scale: float = 255.0) -> np.ndarray:
        """`frame(image)`, where `ready` is that of an image that differs from it at `places` `(N, 2)` row, column
        alone: only what these reach is scaled anew."""
        scale = np.divide(self.inner, self.shape)
        reach = BICUBIC_REACH * np.maximum(1, 1 / scale)
        first = np.floor((places - reach) * scale).astype(int).clip(0) // TILE
        last = np.ceil((places + 1 + reach) * scale).astype(int).clip(max=np.subtract(self.inner, 1)) // TILE
        tiles = {(y, x) for low, high in zip(first.tolist(), last.tolist(), strict=True)
                 for y in range(low[0], high[0] + 1) for x in range(low[1], high[1] + 1)}
        canvas = ready.copy()
        for y, x in tiles:
            end = min(TILE * (y + 1), self.inner[0]), min(TILE * (x + 1), self.inner[1])
            self._scale_into(canvas, image, (TILE * y, TILE * x), end, full_scale)
        return canvas

    def _scale_into(self, canvas: np.ndarray, image: np.ndarray, start: tuple[int, int], end: tuple[int, int],
                    full_scale: float) -> None:
        """The part of the scaled frame from `start` to `end` (y, x), into its place on the canvas."""
        place = tuple(slice(corner + low, corner + high)
                      for corner, low, high in zip(self.corner, start, end, strict=True))
        if self.inner == self.shape:
            canvas[place] = image[start[0]:end[0], start[1]:end[1]]
            return
        step = np.divide(self.shape, self.inner)  # from one pixel of the scaled frame to the next
        reach = BICUBIC_REACH * np.maximum(1, step) + 1
        low, high = start * step, end * step
        top, left = np.floor(low - reach).astype(int).clip(0)
        bottom, right = np.ceil(high + reach).astype(int)
        part = Image.fromarray(image[top:bottom, left:right].astype(np.float32))
        box = low[1] - left, low[0] - top, high[1] - left, high[0] - top
        scaled = part.resize((end[1] - start[1], end[0] - start[0]), Image.Resampling.BICUBIC, box)
        canvas[place] = np.clip(np.rint(scaled), 0, full_scale)  # sensors and files hold whole levels

    def to_input(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes `(N, 4 or more)` x1, y1, x2, y2, … in the frame's pixels → in the input's, other columns kept."""
        return self._moved(boxes, forward=True)

    def to_frame(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes `(N, 4 or more)` in the input's pixels → in the frame's pixels, cut at the frame's edges."""
        return cut(self._moved(boxes, forward=False), self.shape)

    def map_to_frame(self, plane: np.ndarray) -> np.ndarray:
        """A map over the input `(H, W)` float32 in [0, 1] → over the frame `(h, w)`, interpolated."""
        (top, left), (height, width) = self.corner, self.inner
        return spread(plane[top:top + height, left:left + width], self.shape)

    def _moved(self, boxes: np.ndarray, forward: bool) -> np.ndarray:
        moved = np.array(boxes, np.float64)
        scale = np.array([self.inner[1] / self.shape[1], self.inner[0] / self.shape[0]] * 2)
        offset = np.array(self.corner[::-1] * 2, np.float64)
        moved[:, :4] = moved[:, :4] * scale + offset if forward else (moved[:, :4] - offset) / scale
        return moved


def full_scale_of(image: np.ndarray) -> float:
    """The largest grey level that files of the image's type hold; 255 for float."""
    return float(np.iinfo(image.dtype).max) if image.dtype.kind in "ui" else 255.0


def cut(boxes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Boxes `(N, 4 or more)` x1, y1, x2, y2, … cut at the edges of a frame of `shape` (h, w); float64."""
    boxes = np.array(boxes, np.float64)
    boxes[:, :4] = np.clip(boxes[:, :4], 0, (*shape[::-1], *shape[::-1]))
    return boxes


def spread(plane: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A map `(H, W)` float32 in [0, 1] → `shape` (h, w), interpolated linearly and kept in range."""
    import cv2

    plane = cv2.resize(np.ascontiguousarray(plane), shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.clip(plane, 0, 1)
