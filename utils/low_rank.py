"""A matrix as the sum of one of low rank and a sparse one."""
from __future__ import annotations

import numpy as np


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
