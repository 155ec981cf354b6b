"""Classical single-frame detectors: how much brighter than its surroundings is every pixel of a frame?

Each function takes a frame (H, W) float32 of any size and unit and returns a response (H, W) float32 ≥ 0, 0 where there
is nothing. Frames are continued at their borders by their edge values.
"""
from __future__ import annotations

import cv2
import numpy as np

from utils.low_rank import robust_pca


def top_hat(frame: np.ndarray, size: int = 9) -> np.ndarray:
    """White top-hat: the frame less its opening by a `size`×`size` square, i.e. what is bright and smaller than that.

    Rivest & Fortin, "Detection of dim targets in digital infrared imagery by morphological image processing", 1996.
    """
    padded = np.pad(frame, size, mode="edge")
    opened = cv2.morphologyEx(padded, cv2.MORPH_OPEN, np.ones((size, size), np.uint8))
    return np.maximum(frame - opened[size:-size, size:-size], 0)


def max_median(frame: np.ndarray, length: int = 15) -> np.ndarray:
    """Max-median filter: the frame less the largest of the medians along the row, the column and both diagonals.

    `length`: pixels of each line, an odd number. Edges longer than half of it belong to the background; a target is
    removed from it when it is shorter. Deshpande et al., "Max-mean and max-median filters for detection of small
    targets", 1999.
    """
    reach = length // 2
    padded = np.pad(frame, reach, mode="edge")
    height, width = frame.shape

    def shifted(y: int, x: int) -> np.ndarray:
        return padded[reach + y : reach + y + height, reach + x : reach + x + width]

    steps = range(-reach, reach + 1)
    medians = [np.median([shifted(dy * step, dx * step) for step in steps], axis=0)
               for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1))]
    return np.maximum(frame - np.max(medians, axis=0), 0)


def mpcm(frame: np.ndarray, scales: tuple[int, ...] = (3, 5, 7, 9)) -> np.ndarray:
    """Multiscale patch-based contrast measure, for bright targets.

    The mean of the l×l patch around a pixel is held against those of the eight patches around it; two opposite ones
    give the product of their contrasts (0 where a contrast is negative), the least of the four products counts, and of
    the scales l the largest. The response is its square root, in grey levels. Wei et al., "Multiscale patch-based
    contrast measure for small infrared target detection", Pattern Recognition 2016.
    """
    height, width = frame.shape
    best = np.zeros_like(frame)
    for size in scales:
        padded = np.pad(frame, 2 * size, mode="edge")
        mean = cv2.blur(padded, (size, size), borderType=cv2.BORDER_REPLICATE)

        def at(y: int, x: int, mean: np.ndarray = mean, size: int = size) -> np.ndarray:
            top, left = (2 + y) * size, (2 + x) * size
            return mean[top : top + height, left : left + width]

        centre = at(0, 0)
        products = [np.maximum(centre - at(y, x), 0) * np.maximum(centre - at(-y, -x), 0)
                    for y, x in ((0, 1), (1, 0), (1, 1), (1, -1))]
        best = np.maximum(best, np.min(products, axis=0))
    return np.sqrt(best)


def ipi(frame: np.ndarray, side: int = 50, step: int = 10, columns: int = 600) -> np.ndarray:
    """Infrared patch-image model: overlapping patches, as columns of a matrix, are a low-rank background and sparse
    targets; the mean of the sparse parts that cover a pixel is its response.

    `side`: of the patches; `step`: between them, enlarged until at most `columns` patches are left, which bounds the
    time of large frames. Gao et al., "Infrared patch-image model for small target detection in a single image", TIP
    2013 (which takes the median of the parts).
    """
    height, width = frame.shape
    tall, wide = min(side, height), min(side, width)
    while True:
        tops, lefts = _starts(height, tall, step), _starts(width, wide, step)
        if len(tops) * len(lefts) <= columns:
            break
        step += 1
    places = [(slice(top, top + tall), slice(left, left + wide)) for top in tops for left in lefts]
    level = np.median(frame)
    patches = np.stack([frame[place].ravel() - level for place in places], axis=1).astype(np.float64)
    sparse = robust_pca(patches)
    total, count = np.zeros(frame.shape), np.zeros(frame.shape)
    for place, part in zip(places, sparse.T, strict=True):
        total[place] += part.reshape(tall, wide)
        count[place] += 1
    return np.maximum(total / count, 0).astype(np.float32)


def _starts(length: int, side: int, step: int) -> list[int]:
    """Where patches begin along an axis: every `step`, and so that the last one ends with the axis."""
    starts = list(range(0, length - side, step))
    return [*starts, length - side]
