"""How a frame is fitted into a network's input, and how results get back.

Three ways: letterboxed (scaled to fit into a rectangle and centred there, the rest grey), resized, or the frame's own
pixels, padded. All have `frame`, `to_frame`, `map_to_frame` and `scale`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from utils.images.boxes import cut
from utils.images.components import label_targets
from utils.system.packages.late import cv2

MARGIN_GREY = 128.0  # of 255, as published
BICUBIC_REACH = 2  # px of the frame on either side, or of the input where that is coarser
TILE_SIDE = 32  # px of the input, side of what is scaled anew at once


def margin_level(mean: float, full_scale: float) -> float:
    """Grey level of the margins: 128 of 255 as published, and the dataset's mean for files of another type.

    Levels in such files may be far from half of the full scale (cameras of 14 bits in files of 16).
    """
    return MARGIN_GREY if full_scale == 255 else mean


@dataclass(frozen=True)
class Letterbox:
    """Where a frame of `shape` (h, w) lies in the network's input of `size` (H, W), all in pixels.

    Both sides are scaled by min(H/h, W/w) and rounded down, or to `scaled` (h', w'); the frame lies in the middle, half
    a pixel up and to the left where the rest is odd. `margin` is the grey level of the rest.

    Raises:
        ValueError: a side is below 1.
    """

    shape: tuple[int, int]
    size: tuple[int, int]
    margin: float = MARGIN_GREY
    scaled: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if min(*self.shape, *self.size) < 1:
            raise ValueError(f"got a frame of {self.shape} for an input of {self.size}, expected sides of at least 1")

    @property
    def inner(self) -> tuple[int, int]:
        """Height and width of the scaled frame."""
        if self.scaled:
            return self.scaled
        (h, w), (height, width) = self.shape, self.size
        if height * w <= width * h:  # whole numbers, so that the fitting side fits exactly
            return height, max(1, w * height // h)
        return max(1, h * width // w), width

    @property
    def scale(self) -> np.ndarray:
        """(2,) pixels of the input to one of the frame, y and x."""
        return np.divide(self.inner, self.shape)

    @property
    def corner(self) -> tuple[int, int]:
        """Top and left of the scaled frame in the input."""
        return (self.size[0] - self.inner[0]) // 2, (self.size[1] - self.inner[1]) // 2

    def frame(self, image: np.ndarray, full_scale: float = 255.0) -> np.ndarray:
        """A frame, scaled (bicubic) and surrounded by the margin.

        Args:
            image: `(h, w)` of any dtype.
            full_scale: its grey levels go from 0 to here.

        Returns:
            `(H, W)` float32 in the same levels.

        Raises:
            ValueError: the image has another shape than this letterbox's.
        """
        if image.shape != self.shape:
            raise ValueError(f"got a frame of {image.shape}, expected {self.shape}")
        canvas = np.full(self.size, self.margin, np.float32)
        self._scale_into(canvas, image, (0, 0), self.inner, full_scale)
        return canvas

    def refit(self, ready: np.ndarray, image: np.ndarray, places: np.ndarray, full_scale: float = 255.0) -> np.ndarray:
        """`frame(image)` from the result for an image that differs in few pixels: only what these reach is scaled anew.

        Args:
            ready: `(H, W)` float32, that result.
            image: `(h, w)`.
            places: `(N, 2)` row and column of the pixels that differ.
            full_scale: as of `frame`.
        """
        reach = BICUBIC_REACH * np.maximum(1, 1 / self.scale)
        first = np.floor((places - reach) * self.scale).astype(int).clip(0) // TILE_SIDE
        last = np.ceil((places + 1 + reach) * self.scale).astype(int).clip(max=np.subtract(self.inner, 1)) // TILE_SIDE
        tiles = {
            (y, x)
            for low, high in zip(first.tolist(), last.tolist(), strict=True)
            for y in range(low[0], high[0] + 1)
            for x in range(low[1], high[1] + 1)
        }
        canvas = ready.copy()
        for y, x in tiles:
            end = min(TILE_SIDE * (y + 1), self.inner[0]), min(TILE_SIDE * (x + 1), self.inner[1])
            self._scale_into(canvas, image, (TILE_SIDE * y, TILE_SIDE * x), end, full_scale)
        return canvas

    def _scale_into(
        self, canvas: np.ndarray, image: np.ndarray, start: tuple[int, int], end: tuple[int, int], full_scale: float
    ) -> None:
        """The part of the scaled frame from `start` to `end` (y, x), into its place on the canvas."""
        place = tuple(
            slice(corner + low, corner + high) for corner, low, high in zip(self.corner, start, end, strict=True)
        )
        if self.inner == self.shape:
            canvas[place] = image[start[0] : end[0], start[1] : end[1]]
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
        return self._move(boxes, forward=True)

    def to_frame(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes `(N, 4 or more)` in the input's pixels → in the frame's pixels, cut at the frame's edges."""
        return cut(self._move(boxes, forward=False), self.shape)

    def map_to_frame(self, plane: np.ndarray) -> np.ndarray:
        """A map over the input `(H, W)` float32 in [0, 1] → over the frame `(h, w)`, interpolated."""
        (top, left), (height, width) = self.corner, self.inner
        return resize_map(plane[top : top + height, left : left + width], self.shape)

    def _move(self, boxes: np.ndarray, forward: bool) -> np.ndarray:
        moved = np.array(boxes, np.float64)
        scale = np.array([self.inner[1] / self.shape[1], self.inner[0] / self.shape[0]] * 2)
        offset = np.array(self.corner[::-1] * 2, np.float64)
        moved[:, :4] = moved[:, :4] * scale + offset if forward else (moved[:, :4] - offset) / scale
        return moved


def resize_map(plane: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A map `(H, W)` float32 in [0, 1] → `shape` (h, w), interpolated linearly and kept in range."""
    plane = cv2.resize(np.ascontiguousarray(plane), shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.clip(plane, 0, 1)


FITS = ("crop", "resize", "letterbox")  # as recipes call them; a network trained on crops sees whole frames, padded


@dataclass(frozen=True)
class Padded:
    """Frames of `shape` (h, w) keep their pixels; sides are padded to multiples of `multiple`.

    The padding repeats the edge's value, on the right and at the bottom.
    """

    shape: tuple[int, int]
    multiple: int

    @property
    def scale(self) -> np.ndarray:
        """(2,) pixels of the input to one of the frame, y and x."""
        return np.ones(2)

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
    """Frames of `shape` (h, w) are resized to `size` (h', w'), a square as in training, and padded from there."""

    shape: tuple[int, int]
    size: tuple[int, int]
    multiple: int

    @property
    def scale(self) -> np.ndarray:
        """(2,) pixels of the input to one of the frame, y and x."""
        return np.divide(self.size, self.shape)

    def frame(self, image: np.ndarray, full_scale: float = 255.0) -> np.ndarray:
        """`(h, w)` → `(H, W)` float32."""
        plane = resize_plane(image.astype(np.float32), *self.size)
        return Padded(plane.shape, self.multiple).frame(plane)

    def to_frame(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes in the input's pixels → in the frame's, cut at its edges."""
        moved = np.array(boxes, np.float64)
        moved[:, :4] *= np.divide(self.shape[::-1] * 2, self.size[::-1] * 2)
        return cut(moved, self.shape)

    def map_to_frame(self, plane: np.ndarray) -> np.ndarray:
        """A map over the input → over the frame `(h, w)`, interpolated."""
        return resize_map(plane[: self.size[0], : self.size[1]], self.shape)


Fit = Padded | Resized | Letterbox


def fit_of(
    shape: tuple[int, int],
    fit: str,
    input_size: int | None,
    multiple: int,
    mean: float = MARGIN_GREY,
    full_scale: float = 255.0,
    square: bool = False,
    tile: int = 0,
) -> Fit:
    """How frames are fitted into a network's input.

    Args:
        shape: (h, w) of the frames.
        fit: one of `FITS`.
        input_size: side of the square input in pixels; not used by `crop`.
        multiple: the input's sides are multiples of it.
        mean: of the frames' grey levels, see `margin_level`.
        full_scale: largest grey level of the files' type, see there.
        square: for `letterbox`: margins fill up the square; else they make the sides multiples of `multiple`.
        tile: side, in pixels of the frame, of the parts that are fitted into the square instead of the whole frame.
    """
    if fit == "crop":
        return Padded(shape, multiple)
    size = tuple(max(1, side * input_size // tile) for side in shape) if tile else (input_size, input_size)
    if fit == "resize":
        return Resized(shape, size, multiple)
    box = Letterbox(shape, size, margin_level(mean, full_scale))
    if tile:
        return replace(box, size=tuple(side + -side % multiple for side in box.inner), scaled=box.inner)
    if square:
        return box
    return replace(box, size=tuple(min(side + -side % multiple, input_size) for side in box.inner))


def resize_plane(plane: np.ndarray, height: int, width: int) -> np.ndarray:
    """A plane `(h, w)` → `(height, width)`: averaged over areas along an axis that shrinks, else interpolated."""
    # axis by axis, since OpenCV's area mode turns into nearest neighbour where one axis grows and the other shrinks
    for h, w in ((height, plane.shape[1]), (height, width)):
        shrinks = h < plane.shape[0] or w < plane.shape[1]
        plane = cv2.resize(plane, (w, h), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return plane


def resize_mask(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """A mask `(h, w)` bool → `(height, width)`: set where targets cover at least half of a pixel.

    A target that would vanish keeps the pixel it covers most.
    """
    if not mask.any():
        return np.zeros((height, width), bool)
    resized = resize_plane(mask.astype(np.float32), height, width) >= 0.5
    labels, boxes = label_targets(mask)
    for label, (y0, x0, y1, x1) in enumerate(boxes, start=1):
        y, x = np.nonzero(labels[y0:y1, x0:x1] == label)
        y, x = (2 * (y + y0) + 1) * height // (2 * mask.shape[0]), (2 * (x + x0) + 1) * width // (2 * mask.shape[1])
        if not resized[y, x].any():
            pixels, counts = np.unique(y * width + x, return_counts=True)
            resized.flat[pixels[counts.argmax()]] = True
    return resized
