"""8-connected components of sparse masks: labels, centroids, boxes, and which targets they hit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from utils.images.boxes import box_pixels
from utils.system.packages.late import cv2

STACK_PIXELS = 1 << 22  # pixels labelled in one call; bounds the memory for many levels of a large, dense frame
MATCH_DISTANCE = 3.0  # pixels between the centroids of a target and of the component that finds it, exclusive
FEW_TARGETS = 20  # for more, components are sorted by their rows first
_TIE = 1e-9  # rounding of centroids must not turn a distance of exactly 3 px into a hit


@dataclass(frozen=True, eq=False, slots=True)
class Components:
    """8-connected components of one mask, or of the nested masks of several levels.

    Ordered by level, then by their first pixel in raster order. `M` pixels in `N` components.
    """

    pixel: np.ndarray  # (M,) int64 flat indices into the frame, by level and raster order
    owner: np.ndarray  # (M,) int64 the component of each pixel, 0 … N-1
    level: np.ndarray  # (N,) int64 level of each component, from 1
    area: np.ndarray  # (N,) int64 pixels
    centroid: np.ndarray  # (N, 2) float64 (y, x); pixel centres are whole numbers

    def __len__(self) -> int:
        return len(self.area)


def label(mask: np.ndarray) -> Components:
    """The 8-connected components of a boolean mask `(H, W)`; every `level` is 1."""
    return label_pixels(np.flatnonzero(mask), mask.shape[1])


def label_pixels(pixel: np.ndarray, width: int) -> Components:
    """`label` of the mask whose pixels have the flat indices `pixel` in a frame of `width`; in any order."""
    return label_levels(np.sort(pixel), np.ones(len(pixel), np.int64), width, 1)


def components_of_boxes(boxes: np.ndarray, shape: tuple[int, int]) -> Components:
    """Boxes `(N, 4 or more)` x1, y1, x2, y2, … in a frame of `shape` (H, W), each as a component of its own.

    So too where it touches another; every `level` is 1. Centroids are the boxes' centres. In the order of the
    boxes, which should be that of `raster_order`.
    """
    corners, places = np.asarray(boxes, np.float64)[:, :4], np.arange(shape[0] * shape[1]).reshape(shape)
    pixels = [places[box_pixels(box, shape)].ravel() for box in corners]
    area = np.array([len(pixel) for pixel in pixels], np.int64)
    centroid = (corners[:, [1, 0]] + corners[:, [3, 2]] - 1) / 2
    none = [np.zeros(0, np.int64)]
    return Components(
        np.concatenate(none + pixels), np.repeat(np.arange(len(area)), area), np.ones_like(area), area, centroid
    )


def repeat_at_levels(found: Components, height: np.ndarray, levels: int) -> Components:
    """Components `found`, of which each reaches the levels 1 … `height` `(N,)`, at all these levels.

    As `label_levels` gives those of masks, but without their pixels.
    """
    level, index = np.nonzero(height[None, :] >= np.arange(1, levels + 1)[:, None])
    none = np.zeros(0, np.int64)
    return Components(none, none, level + 1, found.area[index], found.centroid[index])


def label_levels(pixel: np.ndarray, height: np.ndarray, width: int, levels: int) -> Components:
    """The components of the nested masks {height ≥ level}, level = 1 … `levels`, in one go.

    Rows and columns without any pixel are squeezed out (one is kept as a border), so that the work follows the number
    of pixels rather than the size of the frame; the squeezed masks of all levels are labelled in one stacked picture.

    Args:
        pixel: `(M,)` flat indices, ascending.
        height: `(M,)` the highest level each pixel reaches, at least 1.
        width: width of the frame.
        levels: number of levels.
    """
    rows, columns = np.divmod(pixel, width)
    y, x = squeeze(rows), squeeze(columns)
    size = (int(y[-1]) + 2, int(x.max()) + 1) if len(pixel) else (1, 1)
    step = max(1, STACK_PIXELS // (size[0] * size[1]))
    parts = []
    for first in range(1, levels + 1, step):
        level = np.arange(first, min(first + step, levels + 1))
        member = height[None, :] >= level[:, None]
        which, index = np.nonzero(member)
        if len(index):
            owner = _stacked_owners(which, y[index], x[index], len(level), size)
            parts.append((index, owner, level[which]))
    return _gather(parts, pixel, rows, columns)


def squeeze(position: np.ndarray) -> np.ndarray:
    """Coordinates after removal of unused rows (or columns): neighbours stay neighbours, others stay apart."""
    if not len(position):
        return position
    used = np.zeros(int(position.max()) + 2, bool)
    used[position] = True
    kept = used.copy()
    kept[1:] |= used[:-1]
    return (np.cumsum(kept) - 1)[position]


def _stacked_owners(which: np.ndarray, y: np.ndarray, x: np.ndarray, count: int, size: tuple[int, int]) -> np.ndarray:
    """Component of each pixel, numbered by first appearance; `size` has an empty last row between two levels."""
    stack = np.zeros((count * size[0], size[1]), np.uint8)
    y = y + which * size[0]
    stack[y, x] = 1
    labels = cv2.connectedComponents(stack, connectivity=8)[1][y, x]
    # OpenCV numbers components by blocks of pixels, not in raster order: renumber by the first pixel.
    first = np.full(labels.max() + 1, len(labels))
    np.minimum.at(first, labels, np.arange(len(labels)))
    rank = np.empty(len(first), np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first))
    return rank[labels]


def _gather(
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]], pixel: np.ndarray, rows: np.ndarray, columns: np.ndarray
) -> Components:
    if not parts:
        none = np.zeros(0, np.int64)
        return Components(none, none, none, none, np.zeros((0, 2)))
    offset, owners = 0, []
    for _, owner, _ in parts:
        owners.append(owner + offset)
        offset += int(owner.max()) + 1
    index, owner = np.concatenate([part[0] for part in parts]), np.concatenate(owners)
    area = np.bincount(owner)
    level = np.empty(len(area), np.int64)
    level[owner] = np.concatenate([part[2] for part in parts])
    centroid = np.stack([np.bincount(owner, rows[index]) / area, np.bincount(owner, columns[index]) / area], 1)
    return Components(pixel[index], owner, level, area, centroid)


def match(targets: np.ndarray, components: np.ndarray, level: np.ndarray | None = None) -> np.ndarray:
    """Greedy matching by centroids: each target, in order, takes the first free component nearer than 3 px.

    Args:
        targets: `(K, 2)` centroids in raster order of the targets.
        components: `(N, 2)` centroids in raster order of the components, within each level.
        level: `(N,)` ascending levels, matched independently of each other (default: all the same).

    Returns:
        `(N,)` int64: index of the target that took the component, or -1.
    """
    taken = np.full(len(components), -1, np.int64)
    if not len(components):
        return taken
    level = np.zeros(len(components), np.int64) if level is None else level
    rows = np.ascontiguousarray(components[:, 0])
    order = np.argsort(rows) if len(targets) > FEW_TARGETS else None
    for number, target in enumerate(targets):
        if order is None:
            close = np.flatnonzero(np.abs(rows - target[0]) < MATCH_DISTANCE)
        else:
            ends = np.searchsorted(rows, (target[0] - MATCH_DISTANCE, target[0] + MATCH_DISTANCE), sorter=order)
            close = np.sort(order[slice(*ends)])
        close = close[taken[close] < 0]
        candidates = close[((components[close] - target) ** 2).sum(1) < MATCH_DISTANCE**2 - _TIE]
        _, first = np.unique(level[candidates], return_index=True)
        taken[candidates[first]] = number
    return taken


def boxes_of(found: Components, width: int) -> np.ndarray:
    """Boxes `(N, 4)` int64 x1, y1, x2, y2, right and bottom exclusive, of components in a frame of `width`."""
    rows, columns = np.divmod(found.pixel, width)
    points = np.stack([columns, rows], 1)
    low, high = np.full((len(found), 2), np.iinfo(np.int64).max), np.zeros((len(found), 2), np.int64)
    np.minimum.at(low, found.owner, points)
    np.maximum.at(high, found.owner, points + 1)
    return np.concatenate([low, high], 1)


def peaks_of(found: Components, values: np.ndarray) -> np.ndarray:
    """The largest of the `values` `(M,)`, at least 0, of each component's pixels: `(N,)`, of the same type."""
    peaks = np.zeros(len(found), values.dtype)
    np.maximum.at(peaks, found.owner, values)
    return peaks


def label_targets(mask: np.ndarray) -> tuple[np.ndarray, list[tuple[int, int, int, int]]]:
    """The 8-connected components of a mask as a picture: for those who cut targets out of a frame.

    Args:
        mask: `(H, W)` bool.

    Returns:
        Labels `(H, W)` int32, 0 for background, and the boxes y0, x0, y1, x1 (ends exclusive) of the labels 1, 2, …,
        which are in OpenCV's order: nearly that of `label`.
    """
    labels = np.zeros(mask.shape, np.int32)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return labels, []
    # targets fill a small part of a frame, and labelling only that part takes a fraction of the time
    top, left = int(rows[0]), int(columns[0])
    part = slice(top, rows[-1] + 1), slice(left, columns[-1] + 1)
    _, labels[part], stats, _ = cv2.connectedComponentsWithStats(mask[part].astype(np.uint8), connectivity=8)
    return labels, [(top + y, left + x, top + y + h, left + x + w) for x, y, w, h, _ in stats[1:].tolist()]
