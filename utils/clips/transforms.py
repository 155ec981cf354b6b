"""Size and place of training clips: the same change for all frames of a clip, images, masks and boxes together.

Clips are frames (T, H, W) float32 in the sensor's units and masks (T, H, W) bool, or uint8 labels where some pixels
are ignored (`utils.images.masks.values`), and stay so; boxes (N, 5) float64 are those of the key frame, the last one:
x1, y1, x2, y2 in its pixels, right and bottom exclusive, and class, or `IGNORED_CLASS` for a region in which nobody
says what is a target. Every transform returns new arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from utils.images.boxes import IGNORED_CLASS, centres_of, cut
from utils.images.components import label_targets
from utils.images.fit import MARGIN_GREY, Letterbox, resize_mask, resize_plane
from utils.images.masks.values import ignored_of, join_labels, targets_of
from utils.system.packages.late import cv2

NO_BOXES = np.zeros((0, 5))


class ClipTransform:
    """A change of a whole clip: `(frames, masks, rng)` → frames, masks; `with_boxes` moves the boxes along."""

    def __call__(
        self, frames: np.ndarray, masks: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        return self.with_boxes(frames, masks, NO_BOXES, rng)[:2]

    def with_boxes(
        self, frames: np.ndarray, masks: np.ndarray, boxes: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The changed clip.

        Args:
            frames: (T, H, W) float32.
            masks: (T, H, W) bool, or labels.
            boxes: (N, 5) of the key frame.
            rng: draws what is drawn.

        Returns:
            The same kinds.

        Raises:
            ValueError: shapes do not fit.
        """
        raise NotImplementedError


def check_clip(frames: np.ndarray, masks: np.ndarray) -> None:
    """Frames and masks belong together.

    Raises:
        ValueError: they are not both (T, H, W).
    """
    if frames.ndim != 3 or frames.shape != masks.shape:
        raise ValueError(f"got frames {frames.shape} and masks {masks.shape}, expected both (T, H, W)")


def resize_clip(frames: np.ndarray, masks: np.ndarray, size: int | tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Resizes a clip.

    Along an axis that shrinks, frames are averaged over areas, else interpolated linearly. A pixel of the new mask is
    set where targets cover at least half of it; a target that would vanish keeps the pixel it covers most, so every
    8-connected target is still there (close neighbours may grow together). What is ignored is resized likewise.

    Args:
        frames: (T, H, W) float32.
        masks: (T, H, W) bool.
        size: height and width in pixels, or the side of a square.

    Raises:
        ValueError: the shapes of frames and masks differ.
    """
    check_clip(frames, masks)
    height, width = (size, size) if isinstance(size, int) else size
    if frames.shape[1:] == (height, width):
        return frames.copy(), masks.copy()
    resized = np.stack([resize_plane(frame, height, width) for frame in frames])
    return resized, np.stack([_resize_labels(mask, height, width) for mask in masks])


def _resize_labels(labels: np.ndarray, height: int, width: int) -> np.ndarray:
    """`resize_mask` of targets, and of ignored pixels; where both would be it is a target."""
    ignored = ignored_of(labels)
    resized = None if ignored is None else resize_mask(ignored, height, width)
    return join_labels(resize_mask(targets_of(labels), height, width), resized)


def random_crop(
    frames: np.ndarray, masks: np.ndarray, size: int, rng: np.random.Generator, target_probability: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Cuts a square out of a clip, at the same place in all frames.

    The place is drawn among those that hold one whole target (drawn too) of the key frame, the last one, or the
    target's middle where it is larger than the square; or else, and on clips without a target in the key frame, among
    all places. A clip smaller than the square is first continued at the bottom and on the right by its mirror image,
    targets included.

    Args:
        frames: (T, H, W).
        masks: of the same shape.
        size: side of the square in pixels.
        rng: draws the place.
        target_probability: of a place that holds a target.

    Raises:
        ValueError: the shapes of frames and masks differ.
    """
    check_clip(frames, masks)
    pad = _padding_to(frames, size)
    if np.any(pad):
        frames, masks = np.pad(frames, pad, mode="symmetric"), np.pad(masks, pad, mode="symmetric")
    targets = label_targets(targets_of(masks[-1]))[1] if rng.random() < target_probability else []
    here = _draw_place(frames.shape[1:], targets, size, rng)
    return frames[here].copy(), masks[here].copy()


def random_crop_boxes(
    frames: np.ndarray,
    masks: np.ndarray,
    boxes: np.ndarray,
    size: int,
    rng: np.random.Generator,
    target_probability: float = 0.0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`random_crop` with the boxes of the key frame, which are its targets then.

    Those whose centre is inside stay, cut at the crop's edges, and of regions to ignore what is inside. A clip smaller
    than the square is continued by the values of its edge, as in prediction: a mirror image would show targets without
    boxes.

    Args:
        frames: (T, H, W).
        masks: of the same shape.
        boxes: (N, 5) x1, y1, x2, y2 in pixels, class.
        size: side of the square in pixels.
        rng: draws the place.
        target_probability: of a place that holds a target.

    Raises:
        ValueError: the shapes of frames and masks differ.
    """
    check_clip(frames, masks)
    pad = _padding_to(frames, size)
    if np.any(pad):
        frames, masks = np.pad(frames, pad, mode="edge"), np.pad(masks, pad)
    targets = boxes[boxes[:, 4] != IGNORED_CLASS]
    wanted = len(targets) and rng.random() < target_probability
    targets = np.stack([np.floor(targets[:, 1::-1]), np.ceil(targets[:, 3:1:-1])], 1).reshape(-1, 4).astype(int)
    here = _draw_place(frames.shape[1:], targets if wanted else [], size, rng)
    moved = np.array(boxes, np.float64)
    moved[:, :4] -= [here[2].start, here[1].start] * 2
    centre, part = centres_of(moved), cut(moved, (size, size))
    touched, within = (part[:, 2:4] > part[:, :2]).all(1), ((centre >= 0) & (centre < size)).all(1)
    seen = np.where(moved[:, 4] == IGNORED_CLASS, touched, within)
    return frames[here].copy(), masks[here].copy(), part[seen]


def _padding_to(frames: np.ndarray, size: int) -> list[tuple[int, int]]:
    """By how much frames (T, H, W) are smaller than `size`, as `np.pad` takes it."""
    return [(0, 0)] + [(0, max(size - length, 0)) for length in frames.shape[1:]]


def _draw_place(
    shape: tuple[int, int], targets: Sequence[Sequence[int]], size: int, rng: np.random.Generator
) -> tuple[slice, slice, slice]:
    """A square in frames of `shape` (H, W), anywhere, or so that one of `targets` (y0, x0, y1, x1) is inside."""
    low, high = np.zeros(2, int), np.array(shape) - size
    if len(targets):
        box = np.array(targets[rng.integers(len(targets))])
        low, high = np.clip(np.sort((box[2:] - size, box[:2]), axis=0), 0, high)
        large = box[2:] - box[:2] > size
        middle = np.clip((box[:2] + box[2:] - size) // 2, 0, np.array(shape) - size)
        low, high = np.where(large, middle, low), np.where(large, middle, high)
    y, x = rng.integers(low, high + 1)
    return slice(None), slice(y, y + size), slice(x, x + size)


def letterbox_clip(
    frames: np.ndarray,
    masks: np.ndarray,
    boxes: np.ndarray,
    size: int,
    full_scale: float = 255.0,
    margin: float = MARGIN_GREY,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Letterboxes a clip into a square (see `utils.images.fit`): frames bicubic, masks by nearest neighbour.

    Args:
        frames: (T, H, W).
        masks: of the same shape.
        boxes: (N, 5) x1, y1, x2, y2 in pixels, class.
        size: side of the square in pixels.
        full_scale: largest grey level of the frames.
        margin: grey level around them.

    Raises:
        ValueError: the shapes of frames and masks differ.
    """
    check_clip(frames, masks)
    place = Letterbox(frames.shape[1:], (size, size), margin)
    (top, left), (height, width) = place.corner, place.inner
    moved = np.zeros((len(masks), size, size), masks.dtype)
    for mask, canvas in zip(masks, moved, strict=True):
        if mask.any():
            inner = cv2.resize(mask.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST)
            canvas[top : top + height, left : left + width] = inner
    return np.stack([place.frame(frame, full_scale) for frame in frames]), moved, place.to_input(boxes)


@dataclass(frozen=True)
class GeometricAugmentation(ClipTransform):
    """Random flips and quarter turns of a whole clip, each with equal chances.

    Clips that are not square are not turned. Arrays come back contiguous.

    Args:
        horizontal: whether columns are flipped.
        vertical: whether rows are flipped.
        turns: whether there are turns.
    """

    horizontal: bool = True
    vertical: bool = True
    turns: bool = True

    def with_boxes(
        self, frames: np.ndarray, masks: np.ndarray, boxes: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        check_clip(frames, masks)
        height, width = frames.shape[1:]
        flips = [axis for axis, wanted in ((2, self.horizontal), (1, self.vertical)) if wanted and rng.random() < 0.5]
        quarters = int(rng.integers(4)) if self.turns and height == width else 0
        frames, masks = (np.rot90(np.flip(array, flips), quarters, (1, 2)).copy() for array in (frames, masks))
        return frames, masks, _turn_boxes(boxes, (height, width), flips, quarters)


def _turn_boxes(boxes: np.ndarray, size: tuple[int, int], flips: list[int], quarters: int) -> np.ndarray:
    """Boxes of a frame of `size` (H, W) that is flipped and then turned.

    It is flipped along the axes `flips` (1 rows, 2 columns) of a clip and turned counterclockwise by `quarters`, which
    only squares are.
    """
    x1, y1, x2, y2, kind = np.array(boxes, np.float64).T
    if 2 in flips:
        x1, x2 = size[1] - x2, size[1] - x1
    if 1 in flips:
        y1, y2 = size[0] - y2, size[0] - y1
    for _ in range(quarters):
        x1, y1, x2, y2 = y1, size[1] - x2, y2, size[1] - x1
    return np.stack((x1, y1, x2, y2, kind), 1)
