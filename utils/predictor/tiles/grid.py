"""Where the tiles of a frame lie, and one map, or one list of boxes, put together from theirs.

Tiles overlap, and each has a part of its own: own parts cover the frame once, and touch in the middle of the overlap.
What a network finds in a tile's own part counts, so it has seen at least half the overlap around that, but at the
frame's edges. Where it reaches no further, the result is the one that it gives for the whole frame.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from utils.images.boxes import centres_of, paired_iou

SEAM_PX = 8  # one target's centres, as two tiles see it, lie no further apart
SAME_IOU = 0.3  # above which two boxes that close are one target's


class Span(NamedTuple):
    """A tile along one axis: pixels from `start` to `stop`, of which those from `first` to `last` are its own."""

    start: int
    stop: int
    first: int
    last: int


class Tile(NamedTuple):
    """A tile of a frame, as its spans along both axes."""

    y: Span
    x: Span

    def of(self, planes: np.ndarray) -> np.ndarray:
        """Its pixels of planes `(…, H, W)`."""
        return np.ascontiguousarray(planes[..., self.y.start : self.y.stop, self.x.start : self.x.stop])


class Grid:
    """The tiles of a plane of `shape` (H, W) pixels, row by row.

    All have one size. As few as cover it with at least that overlap are spread evenly over it; they begin at multiples
    of `multiple`, so that a network which halves its maps halves them as it does those of the whole.

    Args:
        shape: sides that are multiples of `multiple`.
        side: of the tiles in pixels, rounded up to such a multiple, and at most the plane's.
        overlap: of neighbours in pixels, likewise, below the side.
        multiple: see above.
    """

    def __init__(self, shape: tuple[int, int], side: int, overlap: int, multiple: int) -> None:
        self.shape = shape
        side, overlap = (size + -size % multiple for size in (side, overlap))
        rows, columns = (_spans(length, side, min(overlap, side - multiple), multiple) for length in shape)
        self.tiles = tuple(Tile(y, x) for y in rows for x in columns)
        self.tile_shape = tuple(span.stop - span.start for span in self.tiles[0])

    def join_maps(self, maps: Iterable[np.ndarray]) -> np.ndarray:
        """Maps over the tiles, `(…, h, w)` each → the map over the plane `(…, H, W)`."""
        whole = None
        for (y, x), part in zip(self.tiles, maps, strict=True):
            if whole is None:
                whole = np.empty((*part.shape[:-2], *self.shape), part.dtype)
            rows, columns = (slice(span.first - span.start, span.last - span.start) for span in (y, x))
            whole[..., y.first : y.last, x.first : x.last] = part[..., rows, columns]
        return whole

    def join_boxes(self, found: Iterable[np.ndarray]) -> np.ndarray:
        """Boxes that were found in the tiles → those of the plane.

        Those count whose centre lies in their tile's own part. Of a target on a seam two tiles may each see the centre
        on its own side, or on the other's: there boxes of several tiles that are alike are one, which is the surest of
        them and counts.

        Args:
            found: of each tile `(N, 6)` x1, y1, x2, y2 in its pixels, score, class.

        Returns:
            `(M, 6)` float64 in pixels of the plane, the surest first.
        """
        boxes, origin, own, beyond = [], [], [], []
        for index, (tile, part) in enumerate(zip(self.tiles, found, strict=True)):
            moved = part + np.array([tile.x.start, tile.y.start] * 2 + [0, 0], np.float64)
            centres, (low, high) = centres_of(moved), self._own_part(tile)
            boxes.append(moved)
            origin.append(np.full(len(moved), index))
            own.append(((low <= centres) & (centres < high)).all(1))
            beyond.append(np.maximum(low - centres, centres - high).max(1))
        boxes, origin, own, beyond = map(np.concatenate, (boxes, origin, own, beyond))
        at_seam = np.flatnonzero(np.abs(beyond) < SEAM_PX)
        own[at_seam] = _choose(boxes[at_seam], origin[at_seam], own[at_seam])
        chosen = boxes[own]
        return chosen[np.argsort(-chosen[:, 4], kind="stable")]

    def _own_part(self, tile: Tile) -> np.ndarray:
        """Where the tile's own part begins and ends, (2, 2) x, y; at the frame's edges it has no end."""
        ends = [
            (span.first or -np.inf, span.last if span.last < length else np.inf)
            for span, length in zip(tile, self.shape, strict=True)
        ]
        return np.array(ends[::-1]).T


def _spans(length: int, side: int, overlap: int, multiple: int) -> list[Span]:
    """The tiles along one axis."""
    if length <= side:
        return [Span(0, length, 0, length)]
    count = 1 + -(-(length - side) // (side - overlap))
    starts = [multiple * round(index * (length - side) / (count - 1) / multiple) for index in range(count)]
    seams = [0, *((before + side + after) // 2 for before, after in pairwise(starts)), length]
    return [Span(start, start + side, *ends) for start, ends in zip(starts, pairwise(seams), strict=True)]


def _choose(boxes: np.ndarray, origin: np.ndarray, own: np.ndarray) -> np.ndarray:
    """Which boxes at seams (N, 6) count, (N,) bool; `origin` (N,) are their tiles, whether in `own` parts (N,) bool."""
    groups = [{tile: index} for index, tile in enumerate(origin.tolist())]  # of one target: tile → box
    for one, other in _alike(boxes, origin):
        first, second = groups[one], groups[other]
        if not first.keys() & second.keys():  # what a tile sees as two is two
            first.update(second)
            for index in second.values():
                groups[index] = first
    counts = np.zeros(len(boxes), bool)
    for group in groups:
        members = list(group.values())
        if len(members) > 1 or own[members].any():
            counts[max(members, key=lambda index: boxes[index, 4])] = True
    return counts


def _alike(boxes: np.ndarray, origin: np.ndarray) -> list[list[int]]:
    """Pairs of boxes (N, 6) of different tiles (N,) that may be one target's, the most alike first."""
    centres = centres_of(boxes)
    order = np.argsort(centres[:, 0], kind="stable")
    found = [np.zeros((0, 2), int)]
    for step in range(1, len(boxes)):  # neighbours from left to right: of all pairs of thousands there are too many
        pairs = np.stack([order[:-step], order[step:]], 1)
        pairs = pairs[centres[pairs[:, 1], 0] - centres[pairs[:, 0], 0] < SEAM_PX]
        if not len(pairs):
            break
        one, other = pairs.T
        close = (np.abs(centres[one, 1] - centres[other, 1]) < SEAM_PX) & (origin[one] != origin[other])
        found.append(pairs[close & (boxes[one, 5] == boxes[other, 5])])
    pairs = np.concatenate(found)
    iou = paired_iou(*boxes[pairs.T])
    order = np.argsort(-iou, kind="stable")
    return pairs[order[: np.count_nonzero(iou > SAME_IOU)]].tolist()
