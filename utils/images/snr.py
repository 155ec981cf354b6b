"""Signal-to-noise ratio of a target against the ring around it."""

from __future__ import annotations

import numpy as np

from utils.system.packages.late import ndimage

SNR_RING = 10


def surroundings(mask: np.ndarray) -> tuple[slice, slice]:
    """The window that holds the target `mask` (H, W) and its whole ring."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return (
        slice(max(rows[0] - SNR_RING, 0), rows[-1] + SNR_RING + 1),
        slice(max(columns[0] - SNR_RING, 0), columns[-1] + SNR_RING + 1),
    )


def ring_of(mask: np.ndarray, targets: np.ndarray | None = None) -> np.ndarray:
    """The ring (H, W) bool around `mask` (H, W) bool, without the pixels of any target in `targets` (H, W) bool."""
    ring = (ndimage.distance_transform_edt(~mask) <= SNR_RING) & ~mask
    return ring if targets is None else ring & ~targets


def local_snr(image: np.ndarray, mask: np.ndarray, targets: np.ndarray | None = None) -> float:
    """The target's SNR with the sign of its contrast (negative: darker than its surroundings).

    Args:
        image: (H, W) in any unit.
        mask: (H, W) bool, this target; not empty.
        targets: (H, W) bool, all targets, whose pixels belong to no ring.

    Returns:
        Infinite where the ring is perfectly flat, NaN where there is no ring or nothing but one flat level.
    """
    window = surroundings(mask)
    ring = ring_of(mask[window], None if targets is None else targets[window])
    pixels = image[window].astype(np.float64)
    around = pixels[ring]
    if not around.size:
        return float("nan")
    with np.errstate(divide="ignore", invalid="ignore"):
        return float((pixels[mask[window]].mean() - around.mean()) / around.std())
