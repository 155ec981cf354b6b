"""Responses of the classical methods.

Single-frame detectors take a frame (H, W) float32 of any size and unit and return a response (H, W) float32 ≥ 0: how
much brighter than its surroundings is every pixel? Frames are continued at their borders by their edge values.

Multi-frame detectors take a clip (T, H, W) float32, the key frame last, in which the scene stands still
(`utils.clips.registration`), and return how much of the key frame does not fit the earlier ones, because it has moved.
Without an earlier frame nothing can have moved: the response is 0.
"""

from __future__ import annotations

import numpy as np

from utils.system.packages.late import cv2


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
    medians = [
        np.median([shifted(dy * step, dx * step) for step in steps], axis=0)
        for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1))
    ]
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
        products = [
            np.maximum(centre - at(y, x), 0) * np.maximum(centre - at(-y, -x), 0)
            for y, x in ((0, 1), (1, 0), (1, 1), (1, -1))
        ]
        best = np.maximum(best, np.min(products, axis=0))
    return np.sqrt(best)


def ipi(frame: np.ndarray, side: int = 50, step: int = 10, columns: int = 600) -> np.ndarray:
    """Infrared patch-image model: overlapping patches are a low-rank background and sparse targets.

    The patches are the columns of a matrix; the mean of the sparse parts that cover a pixel is its response.

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


def frame_difference(clip: np.ndarray) -> np.ndarray:
    """The key frame less the median of the earlier frames, where it is brighter."""
    if len(clip) < 2:
        return np.zeros(clip.shape[1:], np.float32)
    return np.maximum(clip[-1] - np.median(clip[:-1], axis=0), 0)


def temporal_variance(clip: np.ndarray) -> np.ndarray:
    """Standard deviation over the frames, but no more than the key frame is brighter than their mean."""
    brighter = np.maximum(clip[-1] - clip.mean(axis=0), 0)
    return np.minimum(clip.std(axis=0), brighter)


def robust_pca(matrix: np.ndarray, tolerance: float = 1e-5, iterations: int = 200) -> np.ndarray:
    """The sparse part S of matrix = L + S with the least ‖L‖_* + λ‖S‖_1, λ = 1/√max(m, n).

    Inexact augmented Lagrange multipliers: Lin et al., "The augmented Lagrange multiplier method for exact recovery of
    corrupted low-rank matrices", 2010.

    Args:
        matrix: `(m, n)` float64, finite.
        tolerance: largest ‖matrix − L − S‖ / ‖matrix‖ (Frobenius).
        iterations: most of them; 30 are usual.

    Returns:
        `(m, n)` float64; zeros for a matrix of zeros.
    """
    if matrix.shape[0] < matrix.shape[1]:
        return robust_pca(matrix.T, tolerance, iterations).T
    norm = np.linalg.norm(matrix)
    if norm == 0:
        return np.zeros_like(matrix)
    sparsity = 1 / np.sqrt(max(matrix.shape))
    largest = np.sqrt(np.linalg.eigvalsh(matrix.T @ matrix)[-1])
    multiplier = matrix / max(largest, np.abs(matrix).max() / sparsity)
    sparse, penalty = np.zeros_like(matrix), 1.25 / largest
    for _ in range(iterations):
        low = _shrink_singular(matrix - sparse + multiplier / penalty, 1 / penalty)
        rest = matrix - low + multiplier / penalty
        sparse = np.sign(rest) * np.maximum(np.abs(rest) - sparsity / penalty, 0)
        error = matrix - low - sparse
        multiplier += penalty * error
        penalty *= 1.5
        if np.linalg.norm(error) <= tolerance * norm:
            break
    return sparse


def _shrink_singular(matrix: np.ndarray, amount: float) -> np.ndarray:
    """`matrix` (m, n), m ≥ n, with its singular values lowered by `amount`, none below 0.

    By the eigenvectors of the n×n Gram matrix, which takes a fraction of an SVD's time; a value so small that its
    square is lost in rounding is cut off anyway.
    """
    squares, vectors = np.linalg.eigh(matrix.T @ matrix)
    values = np.sqrt(np.maximum(squares, 0))
    keep = values > amount
    vectors, values = vectors[:, keep], values[keep]
    return ((matrix @ vectors) * ((values - amount) / values)) @ vectors.T
