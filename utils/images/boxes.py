"""Boxes in numpy: overlaps, suppression, sizes, and what is wrong with one."""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np

OUTSIDE = 1.0  # px that a box may reach beyond the image, as rounding does


def box_problem(box: Sequence[float], shape: tuple[int, int]) -> str | None:
    """What is wrong with a box x1, y1, x2, y2 in an image of `shape` (H, W); None where nothing is."""
    (x1, y1, x2, y2), (h, w) = box[:4], shape
    text = f"box {x1:g},{y1:g},{x2:g},{y2:g} (x1,y1,x2,y2)"
    if not (x2 > x1 and y2 > y1):
        return f"{text} of no area"
    if x1 < -OUTSIDE or y1 < -OUTSIDE or x2 > w + OUTSIDE or y2 > h + OUTSIDE:
        return f"{text} outside the image of {w}x{h} (w x h)"
    return None


def raster_order(boxes: np.ndarray) -> np.ndarray:
    """Boxes `(N, 4 or more)` x1, y1, x2, y2, … by their top left corners, row by row."""
    boxes = np.asarray(boxes, np.float64).reshape(len(boxes), -1 if len(boxes) else 5)
    return boxes[np.lexsort((boxes[:, 0], boxes[:, 1]))]


def box_pixels(box: Sequence[float], shape: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the pixels, in a frame of `shape` (H, W), whose centres a box x1, y1, x2, y2, … covers; where
    it covers none, the pixel that its own centre lies in."""
    spans = []
    for low, high, side in ((box[1], box[3], shape[0]), (box[0], box[2], shape[1])):
        start, stop = int(np.ceil(low - 0.5)), int(np.ceil(high - 0.5))
        if stop <= start:
            start = int(np.floor((low + high) / 2))
            stop = start + 1
        start = min(max(start, 0), side - 1)
        spans.append(slice(start, max(min(stop, side), start + 1)))
    return spans[0], spans[1]


def cut(boxes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Boxes `(N, 4 or more)` x1, y1, x2, y2, … cut at the edges of a frame of `shape` (h, w); float64."""
    boxes = np.array(boxes, np.float64)
    boxes[:, :4] = np.clip(boxes[:, :4], 0, (*shape[::-1], *shape[::-1]))
    return boxes


PICTURE_NMS = 0.3  # IoU above which the less sure one of two boxes is neither drawn nor counted as a component


def box_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Boxes `(N, 4 or more)` and `(M, 4 or more)` x1, y1, x2, y2, … → IoU `(N, M)` float64; 0 for boxes of no area."""
    a, b = np.asarray(a, np.float64)[:, None], np.asarray(b, np.float64)[None]
    sides = np.minimum(a[..., 2:4], b[..., 2:4]) - np.maximum(a[..., :2], b[..., :2])
    overlap = np.clip(sides, 0, None).prod(-1)
    union = (a[..., 2:4] - a[..., :2]).prod(-1) + (b[..., 2:4] - b[..., :2]).prod(-1) - overlap
    return np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)


def grown(boxes: np.ndarray, side: float) -> np.ndarray:
    """Boxes `(N, 4 or more)` x1, y1, x2, y2, … with sides of at least `side` pixels, about their centres; float64."""
    boxes = np.array(boxes, np.float64)
    lacking = np.maximum(side - (boxes[:, 2:4] - boxes[:, :2]), 0) / 2
    boxes[:, :2] -= lacking
    boxes[:, 2:4] += lacking
    return boxes


def suppress(boxes: np.ndarray, limit: float = PICTURE_NMS) -> np.ndarray:
    """Non-maximum suppression within each class: boxes `(N, 6)`, the surest first → those that no kept box of the same
    class overlaps with an IoU above `limit`."""
    clash = (box_iou(boxes, boxes) > limit) & (boxes[:, None, 5] == boxes[None, :, 5])
    kept = np.ones(len(boxes), bool)
    for index in np.flatnonzero(np.tril(clash, -1).any(1)):
        kept[index] = not clash[index, :index][kept[:index]].any()
    return boxes[kept]


BLOCK = 64  # boxes that are compared with all others at once


def iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Boxes `(N, 4 or more)` and `(M, 4 or more)` x1, y1, x2, y2, … float32 → IoU `(N, M)` float32; NaN where both have
    no area. Faster than `utils.images.boxes.box_iou`, and the same as in `torchvision.ops.nms` to the last bit."""
    left, top, right, bottom = a[:, :4].T[..., None]
    x1, y1, x2, y2 = np.ascontiguousarray(b[:, :4].T)
    overlap = np.maximum(np.minimum(right, x2) - np.maximum(left, x1), 0)
    overlap *= np.maximum(np.minimum(bottom, y2) - np.maximum(top, y1), 0)
    union = (right - left) * (bottom - top) + (x2 - x1) * (y2 - y1) - overlap
    with np.errstate(invalid="ignore"):
        return overlap / union
