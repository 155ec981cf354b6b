"""What counts as found and as false in one frame, by each of the rules that `utils.metrics.segmentation` describes."""

from __future__ import annotations

import numpy as np

from utils.images.components import Components, label, label_pixels, match, peaks_of
from utils.system.packages.late import cv2

MASK_RULES = ("centroid", "shooting")


def shoot(
    pixel: np.ndarray, height: np.ndarray, mask: np.ndarray, targets: Components
) -> tuple[np.ndarray, np.ndarray]:
    """The highest level at which each target is found by the shooting rule, and which pixels are false."""
    raised = np.zeros(mask.shape, np.uint16)
    raised.reshape(-1)[pixel] = height
    near = cv2.dilate(raised, np.ones((3, 3), np.uint8)).reshape(-1)[targets.pixel]
    found = peaks_of(targets, near)
    zone = cv2.dilate(mask.astype(np.uint8), np.ones((9, 9), np.uint8)).reshape(-1) > 0
    return found, ~zone[pixel]


def outcome(rule: str, prediction: np.ndarray, mask: np.ndarray, targets: Components) -> tuple[np.ndarray, Components]:
    """Which targets of one frame are found, and the false components: what `SegmentationMetrics` counts.

    Args:
        rule: one of `MASK_RULES`.
        prediction: `(H, W)` bool.
        mask: the true targets, likewise.
        targets: `label(mask)`.

    Returns:
        `(len(targets),)` bool, and the components that are false.
    """
    if rule == "shooting":
        pixel = np.flatnonzero(prediction)
        found, outside = shoot(pixel, np.ones(len(pixel), np.int64), mask, targets)
        return found > 0, label_pixels(pixel[outside], mask.shape[1])
    components = label(prediction)
    taken = match(targets.centroid, components.centroid)
    found = np.zeros(len(targets), bool)
    found[taken[taken >= 0]] = True
    return found, label_pixels(components.pixel[taken[components.owner] < 0], mask.shape[1])
