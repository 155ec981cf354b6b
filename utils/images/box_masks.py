"""Boxes and masks of targets, each made from the other."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from utils.images.boxes import box_problem
from utils.images.components import boxes_of, label, label_targets

MASK_METHODS = ("half-max", "box")
BACKGROUND_RING = 6  # px around the grown box from which the local background is measured
BOX_GROWTH = 1  # px beyond the box that a target may reach
CENTRE_PULL = 0.5  # how much less a pixel at the box's corner counts than one at its centre, when the peak is sought
MIN_CONTRAST = 2.0  # peak contrast below this many standard deviations of the ring is hopeless
MIN_PIXELS = 2
CONTRAST_SHARES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)  # shares of the peak's contrast
EIGHT_NEIGHBOURS = np.ones((3, 3), np.uint8)
FOUR_NEIGHBOURS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]], np.uint8)


def boxes_of_mask(mask: np.ndarray) -> np.ndarray:
    """Boxes of the 8-connected components of a mask.

    Args:
        mask: `(H, W)` bool.

    Returns:
        `(N, 4)` float64 x1, y1, x2, y2 in pixels, right and bottom exclusive; components in raster order of their first
        pixel.
    """
    return boxes_of(label(mask), mask.shape[1]).astype(np.float64)


def _pixels(box: Sequence[float], shape: tuple[int, int], grow: int = 0) -> tuple[int, int, int, int]:
    """x1, y1, x2, y2 of the pixels of a box, at least one each way, cut at the image's edge."""
    h, w = shape
    x1, y1, x2, y2 = (int(np.floor(value + 0.5)) for value in box[:4])
    x2, y2 = max(x2, x1 + 1) + grow, max(y2, y1 + 1) + grow
    return max(x1 - grow, 0), max(y1 - grow, 0), min(x2, w), min(y2, h)


def _ring(image: np.ndarray, box: tuple[int, int, int, int], targets: np.ndarray) -> np.ndarray:
    """Values of the pixels around `box` that belong to no target."""
    x1, y1, x2, y2 = box
    top, left = max(y1 - BACKGROUND_RING, 0), max(x1 - BACKGROUND_RING, 0)
    window = (slice(top, y2 + BACKGROUND_RING), slice(left, x2 + BACKGROUND_RING))
    outside = ~targets[window]
    outside[y1 - top : y2 - top, x1 - left : x2 - left] = False
    return image[window][outside]


def _centrality(
    box: Sequence[float], inner: tuple[int, int, int, int], rows: np.ndarray, columns: np.ndarray
) -> np.ndarray:
    """Weight of every pixel when the peak is sought: 1 at the box's centre, less in its corners, 0 outside of it."""
    cx, cy = (box[0] + box[2] - 1) / 2, (box[1] + box[3] - 1) / 2
    corner = max(np.hypot(box[2] - box[0], box[3] - box[1]) / 2, 1)
    weight = np.clip(1 - CENTRE_PULL * np.hypot(rows - cy, columns - cx) / corner, 1e-3, 1)
    inside = (rows >= inner[1]) & (rows < inner[3]) & (columns >= inner[0]) & (columns < inner[2])
    return np.where(inside, weight, 0)


def _edge(box: tuple[int, int, int, int], shape: tuple[int, int]) -> np.ndarray:
    """The outermost pixels of a window, except where the image ends there."""
    x1, y1, x2, y2 = box
    edge = np.zeros((y2 - y1, x2 - x1), bool)
    edge[0], edge[-1] = y1 > 0, y2 < shape[0]
    edge[:, 0] |= x1 > 0
    edge[:, -1] |= x2 < shape[1]
    return edge


def _dilate(mask: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    return cv2.dilate(mask.astype(np.uint8), neighbours) > 0


def _component(signed: np.ndarray, peak: tuple[int, int], edge: np.ndarray) -> np.ndarray:
    """The component around `peak` at half of its value; at a higher level where that one leaks over the `edge`."""
    for level in CONTRAST_SHARES:
        labels, _ = label_targets(signed >= signed[peak] * level)
        part = labels == labels[peak]
        if not (part & edge).any():
            break
    if part.sum() < MIN_PIXELS:
        around = _dilate(part, EIGHT_NEIGHBOURS) & ~part
        if around.any():
            part[np.unravel_index(np.argmax(np.where(around, signed, -np.inf)), part.shape)] = True
    return part


def half_max_mask(image: np.ndarray, box: Sequence[float], targets: np.ndarray) -> tuple[np.ndarray, bool]:
    """The target inside one box: what reaches at least half of its peak's contrast.

    The background is the median of a ring of 6 px around the box grown by 1 px. The peak is the pixel of the box with
    the strongest deviation, bright or dark, pixels far from the centre counting less; the target is the 8-connected
    component that holds it among the pixels at or above half of its deviation. Where that component reaches the edge of
    the grown box it has run into the background, and the level is raised until it does not. A component of one pixel
    gets its strongest neighbour as well. Where the peak stays below 2 standard deviations of the ring nothing can be
    told from the picture, and the 2x2 pixels at the box's centre are taken.

    Args:
        image: `(H, W)` grey, any type.
        box: x1, y1, x2, y2 in pixels, overlapping the image.
        targets: `(H, W)` bool, pixels of all boxes, which do not count as background.

    Returns:
        `(H, W)` bool mask of at least 2 pixels, and whether the 2x2 fallback was taken.
    """
    mask = np.zeros(image.shape, bool)
    grown = _pixels(box, image.shape, BOX_GROWTH)
    area = (slice(grown[1], grown[3]), slice(grown[0], grown[2]))
    patch = image[area].astype(np.float64)
    ring = _ring(image, grown, targets)
    ring = ring if ring.size else patch
    contrast = patch - np.median(ring)
    weight = _centrality(box, _pixels(box, image.shape), *np.mgrid[area])
    peak = np.unravel_index(np.argmax(np.abs(contrast) * weight), contrast.shape)
    signed = contrast * (1 if contrast[peak] >= 0 else -1)
    if signed[peak] <= MIN_CONTRAST * ring.std():
        x = int(np.clip(np.ceil((box[0] + box[2]) / 2), 1, max(image.shape[1] - 1, 1)))
        y = int(np.clip(np.ceil((box[1] + box[3]) / 2), 1, max(image.shape[0] - 1, 1)))
        mask[y - 1 : y + 1, x - 1 : x + 1] = True
        return mask, True
    mask[area] = _component(signed, peak, _edge(grown, image.shape))
    return mask, False


def convert_boxes(
    image: np.ndarray, boxes: Sequence[Sequence[float]], method: str = "half-max", dilate: bool | None = None
) -> tuple[np.ndarray, int]:
    """Make a target mask from boxes and count the boxes whose target could not be told from the picture.

    Args:
        image: `(H, W)` grey frame; "box" uses its shape only.
        boxes: x1, y1, x2, y2 (what follows is ignored) in pixels, right and bottom exclusive; see `box_problem`.
        method: "half-max" (see `half_max_mask`), or "box", which fills the boxes.
        dilate: add one pixel on each of the four sides. By default done for "half-max", whose masks are the core of a
            target: its blurred edge belongs to it as well.

    Returns:
        `(H, W)` bool mask, and the number of boxes for which "half-max" took its fallback.

    Raises:
        ValueError: an unknown method, or a box of no area or outside the image.
    """
    if method not in MASK_METHODS:
        raise ValueError(f"method '{method}', expected one of {', '.join(MASK_METHODS)}")
    targets = np.zeros(image.shape, bool)
    for box in boxes:
        problem = box_problem(box, image.shape)
        if problem:
            raise ValueError(problem)
        x1, y1, x2, y2 = _pixels(box, image.shape)
        targets[y1:y2, x1:x2] = True
    mask, fallbacks = targets, 0
    if method == "half-max":
        mask = np.zeros(image.shape, bool)
        for box in boxes:
            part, fell_back = half_max_mask(image, box, targets)
            mask |= part
            fallbacks += fell_back
    if dilate or (dilate is None and method == "half-max"):
        mask = _dilate(mask, FOUR_NEIGHBOURS)
    return mask, fallbacks


def mask_of_boxes(
    image: np.ndarray, boxes: Sequence[Sequence[float]], method: str = "half-max", dilate: bool | None = None
) -> np.ndarray:
    """The `(H, W)` bool mask of `convert_boxes`."""
    return convert_boxes(image, boxes, method, dilate)[0]
