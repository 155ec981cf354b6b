"""What is true in a labelled frame: its targets' mask and their boxes, each from whatever label is there."""

from __future__ import annotations

import numpy as np

from utils.datasets.frame_table import Frame
from utils.datasets.quick_check import require_declared_size
from utils.images.box_masks import boxes_of_mask, mask_of_boxes
from utils.images.image_files import image_size
from utils.images.masks.values import IGNORED, TARGET, ignore_regions, read_labels, read_mask
from utils.metrics.detection import DetectionMetrics
from utils.system.errors import UserError


def true_labels(frame: Frame, image: np.ndarray, filled: bool) -> np.ndarray:
    """What is true of a frame's pixels, labels `(H, W)` as of `utils.images.masks.values.read_labels`.

    Pixels of its regions to ignore are ignored, where no target is.

    Args:
        frame: of a dataset.
        image: its picture, `(H, W)`.
        filled: its boxes, filled, stand in for a mask that is not there.

    Raises:
        UserError: there is no mask, or it cannot be read.
    """
    if frame.mask is not None:
        return ignore_regions(read_labels(frame.mask, image.shape, frame.mask_rule), frame.ignored)
    if filled and frame.boxes is not None:
        require_declared_size(frame, image.shape)
        return ignore_regions(mask_of_boxes(image, frame.boxes, "box", dilate=False), frame.ignored)
    raise UserError(f"{frame.image}: has no mask, expected one for every frame that is measured")


def true_boxes(frame: Frame, shape: tuple[int, int] | None = None) -> np.ndarray:
    """The true boxes of a frame: its own, or those of its mask's components, whose class is 0.

    Args:
        frame: of a dataset.
        shape: `(H, W)` of its image, where it is known already.

    Returns:
        `(G, 5)` float64 x1, y1, x2, y2 in pixels of the image, right and bottom exclusive, class from 0.

    Raises:
        UserError: the frame has neither boxes nor mask, its mask cannot be read, or it has another size than the list
            of its boxes declares.
    """
    if frame.boxes is not None:
        if frame.declared is not None:
            require_declared_size(frame, shape or image_size(frame.image))
        return np.array(frame.boxes, np.float64).reshape(-1, 5)
    if frame.mask is None:
        raise UserError(f"{frame.image}: has neither boxes nor mask, expected one of them for every frame measured")
    boxes = boxes_of_mask(read_mask(frame.mask, shape or image_size(frame.image), frame.mask_rule))
    return np.concatenate([boxes, np.zeros((len(boxes), 1))], 1)


def ignored_pixels(frame: Frame, shape: tuple[int, int] | None = None) -> tuple[np.ndarray, np.ndarray] | None:
    """Which pixels are ignored and which are targets, `(H, W)` bool each, where `true_boxes` are those of a mask.

    None where nothing is ignored.

    Args:
        frame: of a dataset.
        shape: `(H, W)` of its image, where it is known already.

    Raises:
        UserError: the mask cannot be read.
    """
    if frame.boxes is not None or frame.mask is None or frame.mask_rule is None or frame.mask_rule.ignore is None:
        return None
    labels = read_labels(frame.mask, shape or image_size(frame.image), frame.mask_rule)
    return labels == IGNORED, labels == TARGET


def merge_classes(boxes: np.ndarray) -> np.ndarray:
    """Boxes or detections whose last column, the class, is 0."""
    boxes = boxes.copy()
    boxes[:, -1] = 0
    return boxes


def count_boxes(
    metrics: DetectionMetrics, frame: Frame, found: np.ndarray, boxes: np.ndarray, classes: bool = True
) -> np.ndarray:
    """Count what was found in a frame.

    Args:
        metrics: that take the frame in.
        frame: whose regions to ignore count.
        found: detections `(N, 6)`, as of `DetectionMetrics.update`.
        boxes: the true ones `(G, 5)`, likewise.
        classes: whether classes are told apart; else all are 0.

    Returns:
        What was found, as it was counted.
    """
    regions = np.array(frame.ignored, np.float64).reshape(-1, 5)
    if not classes:
        found, boxes, regions = map(merge_classes, (found, boxes, regions))
    metrics.update(found, boxes, regions)
    return found
