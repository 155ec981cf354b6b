"""Boxes and masks of targets, each made from the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from utils.images.boxes import box_problem
from utils.images.components import boxes_of, label, label_targets
from utils.system.packages.late import cv2

MASK_METHODS = ("half-max", "box")
BACKGROUND_RING = 6  # px around the grown box from which the local background is measured
BOX_GROWTH = 1  # px beyond the box that a target may reach
CENTRE_PULL = 0.5  # how much less a pixel at the box's corner counts than one at its centre, when the peak is sought
MIN_CONTRAST = 2.0  # peak contrast below this many standard deviations of the ring is hopeless
MIN_PIXELS = 2
MAX_OFFSET = 1.0  # px between the centre of a mask and that of its box
SHRINKING = 0.8  # of the circle around the box's centre that a target is sought in, from one try to the next
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


def _component(signed: np.ndarray, inside: np.ndarray, peak: tuple[int, int], edge: np.ndarray) -> np.ndarray:
    """The component around `peak` at half of its value, of pixels `inside`.

    At a higher level where that one leaks over the `edge`.
    """
    for level in CONTRAST_SHARES:
        labels, _ = label_targets((signed >= signed[peak] * level) & inside)
        part = labels == labels[peak]
        if not (part & edge).any():
            break
    if part.sum() < MIN_PIXELS:
        around = _dilate(part, EIGHT_NEIGHBOURS) & ~part
        if around.any():
            part[np.unravel_index(np.argmax(np.where(around, signed, -np.inf)), part.shape)] = True
    return part


class _Target:
    """What a picture holds around one box: contrast, how much each pixel counts as the peak, how far it is from it.

    All in a window of 1 px around the grown box, which holds the target's blurred edge too.
    """

    def __init__(self, image: np.ndarray, box: Sequence[float], targets: np.ndarray) -> None:
        grown, (x1, y1, x2, y2) = (_pixels(box, image.shape, BOX_GROWTH + more) for more in (0, 1))
        self.window = (slice(y1, y2), slice(x1, x2))
        ring = _ring(image, grown, targets)
        patch = image[self.window].astype(np.float64)
        ring = ring if ring.size else patch
        self.contrast, self.deviation = patch - np.median(ring), float(ring.std())
        rows, columns = np.mgrid[self.window]
        self.weight = _centrality(box, _pixels(box, image.shape), rows, columns)
        inner = (slice(grown[1] - y1, grown[3] - y1), slice(grown[0] - x1, grown[2] - x1))
        self.reach, self.edge = np.zeros((2, *patch.shape), bool)
        self.reach[inner], self.edge[inner] = True, _edge(grown, image.shape)
        cut = np.array([box[0] <= 0 or box[2] >= image.shape[1], box[1] <= 0 or box[3] >= image.shape[0]])
        away = np.stack([columns + 0.5 - (box[0] + box[2]) / 2, rows + 0.5 - (box[1] + box[3]) / 2], -1)
        self.distance, self.away = np.hypot(*np.moveaxis(away, -1, 0)), np.where(cut, 0, away)

    def peaks(self) -> tuple[float, float]:
        """The strongest deviations, bright and dark, as the peak is sought, 0 or more."""
        weighted = self.contrast * self.weight
        return max(float(weighted.max()), 0.0), max(float(-weighted.min()), 0.0)

    def offset(self, mask: np.ndarray) -> float:
        """How far the centre of a mask is from the box's, along axes on which the image's border does not cut it."""
        return float(np.hypot(*self.away[mask].mean(0)))

    def pull(self, mask: np.ndarray, signed: np.ndarray) -> np.ndarray:
        """A mask that is grown towards the box's centre, the strongest pixels first, until its own is near enough.

        To twice its size at most.
        """
        count = int(mask.sum())
        for size in range(count, 2 * count):
            offset = self.offset(mask)
            if offset <= MAX_OFFSET:
                break
            rows, columns = np.nonzero(_dilate(mask, FOUR_NEIGHBOURS) & ~mask)
            centres = (self.away[mask].sum(0) + self.away[rows, columns]) / (size + 1)
            gain = offset - np.hypot(*centres.T)
            if not len(gain) or gain.max() <= 0:
                break
            best = np.argmax(np.where(gain >= gain.max() / 2, signed[rows, columns], -np.inf))
            mask[rows[best], columns[best]] = True
        return mask


def half_max_mask(
    image: np.ndarray, box: Sequence[float], targets: np.ndarray, sign: int = 0, dilate: bool = False
) -> tuple[np.ndarray, bool]:
    """The target inside one box: what reaches at least half of its peak's contrast.

    The background is the median of a ring of 6 px around the box grown by 1 px. The peak is the pixel of the box with
    the strongest deviation, pixels far from the centre counting less; the target is the 8-connected component that
    holds it among the pixels at or above half of its deviation. Where that component reaches the edge of the grown box
    it has run into the background, and the level is raised until it does not. A component of one pixel gets its
    strongest neighbour as well.

    A mask's centre is within 1 px of its box's: where it is not, the mask grows towards it by the strongest pixels
    there, to twice its size at most; where that is not enough, the peak is sought in smaller and smaller circles around
    the box's centre. Along an axis on which the image's border cuts the box its centre says nothing. Where the peak
    stays below 2 standard deviations of the ring, or no circle holds such a mask, nothing can be told from the picture,
    and the 2x2 pixels at the box's centre are taken.

    Args:
        image: `(H, W)` grey, any type.
        box: x1, y1, x2, y2 in pixels, overlapping the image.
        targets: `(H, W)` bool, pixels of all boxes, which do not count as background.
        sign: 1 for a target brighter than its surroundings, -1 for a darker one; 0 takes what deviates more.
        dilate: add one pixel on each of the four sides.

    Returns:
        `(H, W)` bool mask of at least 2 pixels, and whether the 2x2 fallback was taken.
    """
    target, mask = _Target(image, box, targets), np.zeros(image.shape, bool)
    bright, dark = target.peaks()
    signed = target.contrast * (sign or (1 if bright >= dark else -1))
    radius = float(target.distance.max())
    while radius > MAX_OFFSET * SHRINKING:
        inside = target.reach & (target.distance <= max(radius, MAX_OFFSET))
        sought = np.where(inside & (target.weight > 0), signed * target.weight, -np.inf)
        peak = np.unravel_index(np.argmax(sought), signed.shape)
        if signed[peak] <= MIN_CONTRAST * target.deviation:
            break
        part = _component(signed, inside, peak, target.edge)
        part = target.pull(_dilate(part, FOUR_NEIGHBOURS) if dilate else part, signed)
        if target.offset(part) <= MAX_OFFSET:
            mask[target.window] = part
            return mask, False
        radius *= SHRINKING
    x = int(np.clip(np.floor((box[0] + box[2] + 1) / 2), 1, max(image.shape[1] - 1, 1)))
    y = int(np.clip(np.floor((box[1] + box[3] + 1) / 2), 1, max(image.shape[0] - 1, 1)))
    mask[y - 1 : y + 1, x - 1 : x + 1] = True
    return _dilate(mask, FOUR_NEIGHBOURS) if dilate else mask, True


def contrasts_of_boxes(image: np.ndarray, boxes: Sequence[Sequence[float]]) -> np.ndarray:
    """How far the targets of boxes stand out from their surroundings, as `half_max_mask` sees them.

    Args:
        image: `(H, W)` grey frame.
        boxes: `(N, 4 or more)` x1, y1, x2, y2, … in pixels.

    Returns:
        `(N, 2)` float64, of the brightest and of the darkest pixel, 0 or more, in standard deviations of the
        surroundings, 1 grey level at least.
    """
    targets = _fill(image.shape, boxes)
    found = (_Target(image, box, targets) for box in boxes)
    return np.array([np.divide(one.peaks(), max(one.deviation, 1.0)) for one in found]).reshape(-1, 2)


def polarity(contrasts: np.ndarray) -> float:
    """What one target, or those of one sequence, are: from 1, brighter than their surroundings, to -1, darker.

    Every sighting votes with the difference of its two contrasts, so that a frame in which bright and dark are alike
    says little.

    Args:
        contrasts: `(N, 2)` as of `contrasts_of_boxes`.

    Returns:
        The sum of the votes over the sum of their sizes, 0 where there is none.
    """
    votes = contrasts[:, 0] - contrasts[:, 1]
    total = float(np.abs(votes).sum())
    return float(votes.sum()) / total if total else 0.0


def _fill(shape: tuple[int, int], boxes: Sequence[Sequence[float]]) -> np.ndarray:
    """The pixels of all boxes, `shape` bool.

    Raises:
        ValueError: a box has no area or is outside the image.
    """
    targets = np.zeros(shape, bool)
    for box in boxes:
        problem = box_problem(box, shape)
        if problem:
            raise ValueError(problem)
        x1, y1, x2, y2 = _pixels(box, shape)
        targets[y1:y2, x1:x2] = True
    return targets


def convert_boxes(
    image: np.ndarray,
    boxes: Sequence[Sequence[float]],
    method: str = "half-max",
    dilate: bool | None = None,
    signs: Sequence[int] | None = None,
) -> tuple[np.ndarray, int]:
    """Make a target mask from boxes and count the boxes whose target could not be told from the picture.

    Args:
        image: `(H, W)` grey frame; "box" uses its shape only.
        boxes: x1, y1, x2, y2 (what follows is ignored) in pixels, right and bottom exclusive; see `box_problem`.
        method: "half-max" (see `half_max_mask`), or "box", which fills the boxes.
        dilate: add one pixel on each of the four sides. By default done for "half-max", whose masks are the core of a
            target: its blurred edge belongs to it as well.
        signs: for "half-max" that of each box's target, as of `half_max_mask`; None: 0 for all.

    Returns:
        `(H, W)` bool mask, and the number of boxes for which "half-max" took its fallback.

    Raises:
        ValueError: an unknown method, or a box of no area or outside the image.
    """
    if method not in MASK_METHODS:
        raise ValueError(f"method '{method}', expected one of {', '.join(MASK_METHODS)}")
    targets = _fill(image.shape, boxes)
    if method == "box":
        return _dilate(targets, FOUR_NEIGHBOURS) if dilate else targets, 0
    mask, fallbacks = np.zeros(image.shape, bool), 0
    for box, sign in zip(boxes, [0] * len(boxes) if signs is None else signs, strict=True):
        part, fell_back = half_max_mask(image, box, targets, sign, dilate is None or dilate)
        mask |= part
        fallbacks += fell_back
    return mask, fallbacks


def mask_of_boxes(
    image: np.ndarray, boxes: Sequence[Sequence[float]], method: str = "half-max", dilate: bool | None = None
) -> np.ndarray:
    """The `(H, W)` bool mask of `convert_boxes`."""
    return convert_boxes(image, boxes, method, dilate)[0]
