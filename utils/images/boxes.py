"""Boxes in numpy: overlaps, suppression, sizes, and what is wrong with one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

IGNORED_CLASS = -1  # in place of a class, where a network learns from boxes: a region to ignore
SHARE_TOLERANCE = 1e-3  # that shares of an image's sides may exceed 0 to 1, as rounding does
OUTSIDE_TOLERANCE = 1.0  # px that a box may reach beyond the image, as rounding does
BLOCK_OF_BOXES = 64  # boxes that are compared with all others at once


def box_problem(box: Sequence[float], shape: tuple[int, int]) -> str | None:
    """What is wrong with a box x1, y1, x2, y2 in an image of `shape` (H, W); None where nothing is."""
    (x1, y1, x2, y2), (h, w) = box[:4], shape
    text = f"box {x1:g},{y1:g},{x2:g},{y2:g} (x1,y1,x2,y2)"
    if not (x2 > x1 and y2 > y1):
        return f"{text} of no area"
    if x1 < -OUTSIDE_TOLERANCE or y1 < -OUTSIDE_TOLERANCE or x2 > w + OUTSIDE_TOLERANCE or y2 > h + OUTSIDE_TOLERANCE:
        return f"{text} outside the image of {w}x{h} (w x h)"
    return None


def size_problem(declared: tuple[int, int] | None, size: tuple[int, int]) -> str | None:
    """What is wrong with the (height, width) that labels declare for an image of `size`; None where nothing is.

    Boxes of a picture that was resized after it was labelled lie at wrong places, mostly still inside of it.
    """
    if declared is None or tuple(declared) == tuple(size):
        return None
    return f"its labels declare {declared[1]}x{declared[0]} (w x h), the file has {size[1]}x{size[0]}"


def within_first_pixel(boxes: np.ndarray) -> np.ndarray:
    """Which boxes `(N, 4)` may be shares of an image's sides, as their numbers lie between 0 and 1: `(N,)` bool.

    The numbers are four of any kind, such as x, y, w, h or the corners.
    """
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    return ((boxes >= -SHARE_TOLERANCE) & (boxes <= 1 + SHARE_TOLERANCE)).all(1)


def shares_problem(boxes: np.ndarray) -> str | None:
    """What is wrong with boxes `(N, 4)` that are all `within_first_pixel`: no labels in pixels are like that."""
    if not len(boxes) or not within_first_pixel(boxes).all():
        return None
    first = ",".join(f"{value:g}" for value in boxes[0])
    return (
        f"found shares of the image's sides, expected pixels: all of {len(boxes)} boxes lie within the first pixel, "
        f"the first {first}; multiply them by its width and height"
    )


def raster_order(boxes: np.ndarray) -> np.ndarray:
    """Boxes `(N, 4 or more)` x1, y1, x2, y2, … by their top left corners, row by row."""
    boxes = np.asarray(boxes, np.float64).reshape(len(boxes), -1 if len(boxes) else 5)
    return boxes[np.lexsort((boxes[:, 0], boxes[:, 1]))]


def box_pixels(box: Sequence[float], shape: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of the pixels, in a frame of `shape` (H, W), whose centres a box x1, y1, x2, y2, … covers.

    Where it covers none, those of the pixel that its own centre lies in.
    """
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


def grow(boxes: np.ndarray, side: float) -> np.ndarray:
    """Boxes `(N, 4 or more)` x1, y1, x2, y2, … with sides of at least `side` pixels, about their centres; float64."""
    boxes = np.array(boxes, np.float64)
    lacking = np.maximum(side - (boxes[:, 2:4] - boxes[:, :2]), 0) / 2
    boxes[:, :2] -= lacking
    boxes[:, 2:4] += lacking
    return boxes


def centres_of(boxes: np.ndarray) -> np.ndarray:
    """The centres of boxes `(N, 4 or more)` x1, y1, x2, y2, …: `(N, 2)` x, y."""
    return (boxes[:, :2] + boxes[:, 2:4]) / 2


def centre_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How far the centres of boxes `(N, 4 or more)` lie from those of others `(M, 4 or more)`: `(N, M)`."""
    return np.hypot(*np.moveaxis(centres_of(a)[:, None] - centres_of(b)[None], -1, 0))


def box_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`paired_iou` of every two boxes, `(N, 4 or more)` and `(M, 4 or more)`: `(N, M)`."""
    return paired_iou(a[:, None], b[None])


def paired_iou(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes with their partners, in their own precision.

    Args:
        a: `(…, 4 or more)` x1, y1, x2, y2, …
        b: of a shape that broadcasts with it, but for the last axis.

    Returns:
        `(…)`, 0 for two boxes of no area; float32 of float32 boxes, then with the very bits that
        `torchvision.ops.nms` compares, else float64.
    """
    kind = np.result_type(a, b, np.float32)
    left, top, right, bottom, x1, y1, x2, y2 = (
        side for boxes in (a, b) for side in np.ascontiguousarray(np.moveaxis(np.asarray(boxes, kind)[..., :4], -1, 0))
    )
    overlap = np.maximum(np.minimum(right, x2) - np.maximum(left, x1), 0)
    overlap *= np.maximum(np.minimum(bottom, y2) - np.maximum(top, y1), 0)
    union = (right - left) * (bottom - top) + (x2 - x1) * (y2 - y1) - overlap
    return np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)


def share_inside(boxes: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """The largest share of the area of each box that lies in one of some regions.

    Args:
        boxes: `(N, 4 or more)` x1, y1, x2, y2, …
        regions: `(R, 4 or more)`, likewise.

    Returns:
        `(N,)` float64, 0 for a box of no area.
    """
    if not (len(boxes) and len(regions)):
        return np.zeros(len(boxes))
    left, top, right, bottom = np.asarray(boxes, np.float64)[:, :4].T[..., None]
    x1, y1, x2, y2 = np.asarray(regions, np.float64)[:, :4].T
    overlap = np.maximum(np.minimum(right, x2) - np.maximum(left, x1), 0)
    overlap *= np.maximum(np.minimum(bottom, y2) - np.maximum(top, y1), 0)
    area = (right - left) * (bottom - top)
    return np.divide(overlap, area, out=np.zeros_like(overlap), where=area > 0).max(1)


def suppress(boxes: np.ndarray, limit: float) -> np.ndarray:
    """Non-maximum suppression within each class; `nets.yolox_head.suppress` does the same to tensors.

    Args:
        boxes: `(N, 6)` x1, y1, x2, y2, score, class, the surest first; overlaps are compared in their precision.
        limit: IoU above which the less sure one of two boxes goes.

    Returns:
        `(K, 6)`: the boxes that no kept one of the same class overlaps by more.
    """
    # as torchvision compares: an IoU of 0.3 in single precision is above 0.3; a scalar would be rounded before NumPy 2
    limit = np.array([limit], np.float64)
    chosen, waiting = [boxes[:0]], boxes
    while len(waiting):  # box by box, thousands of them would take seconds
        block = waiting[:BLOCK_OF_BOXES]
        clash = (box_iou(block, waiting) > limit) & (block[:, None, 5] == waiting[None, :, 5])
        stays = np.ones(len(block), bool)
        for index in np.flatnonzero(np.tril(clash[:, : len(block)], -1).any(1)):
            stays[index] = not clash[index, :index][stays[:index]].any()
        chosen.append(block[stays])
        waiting = waiting[BLOCK_OF_BOXES:][~clash[stays, BLOCK_OF_BOXES:].any(0)]
    return np.concatenate(chosen)


def suppress_softly(boxes: np.ndarray, sigma: float, least: float) -> np.ndarray:
    """Gaussian soft-NMS: what overlaps a surer box of its class loses score, s·exp(-IoU²/σ).

    Args:
        boxes: `(N, 6)` x1, y1, x2, y2, score, class; sides lie in the box, which is x2 - x1 + 1 wide.
        sigma: σ.
        least: what falls under this score by an overlap is left out.

    Returns:
        `(K, 6)` with the new scores, the surest first.
    """
    low, high = boxes[:, :2], boxes[:, 2:4]
    sides = np.clip(np.minimum(high[:, None], high) - np.maximum(low[:, None], low) + 1, 0, None)
    shared, area = sides.prod(-1), (high - low + 1).prod(-1)
    meets = (shared > 0) & (boxes[:, None, 5] == boxes[:, 5])
    decay = np.exp(-((shared / (area[:, None] + area - shared)) ** 2) / sigma)
    scores, waiting, order = boxes[:, 4].copy(), np.ones(len(boxes), bool), []
    while waiting.any():
        best = int(np.where(waiting, scores, -np.inf).argmax())
        order.append(best)
        waiting[best] = False
        touched = waiting & meets[best]
        scores[touched] *= decay[best, touched]
        waiting &= ~(touched & (scores < least))
    return np.column_stack((boxes[order, :4], scores[order], boxes[order, 5]))


def leave_out_ignored(boxes: np.ndarray, ignored: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Boxes `(N, 4 or more)` without those of which more than half of the pixels are ignored and none is a target's.

    Args:
        boxes: x1, y1, x2, y2, … in pixels.
        ignored: `(H, W)` bool.
        targets: likewise.
    """
    places = [box_pixels(box, ignored.shape) for box in boxes]
    kept = [targets[place].any() or np.count_nonzero(ignored[place]) * 2 <= ignored[place].size for place in places]
    return boxes[np.array(kept, bool)]
