"""From a mask file to targets: the values it holds, and the rule by which they count."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from utils.images.boxes import box_pixels
from utils.images.image_files import read_picture, same_aspect, to_grey
from utils.system.errors import UserError
from utils.system.packages.late import cv2

BACKGROUND, TARGET, IGNORED = 0, 1, 2  # labels of a frame's pixels; what is ignored is neither of the others
MAX_GREY_SPREAD = 48  # levels between the channels of what is still grey, as a JPEG of grey colours has them
PNG_PALETTE = 3  # the colour type in a PNG's header
PNG_HEAD_BYTES, PNG_COLOUR_TYPE_AT = 26, 25
BMP_HEAD_BYTES, BMP_BITS_AT, BMP_PALETTE_BITS = 30, 28, 8


@dataclass(frozen=True, slots=True, eq=False)
class MaskValues:
    """What a mask file holds, both `(H, W)` of any type: `colour`, and `alpha` where there is such a channel.

    `colour` are grey levels, the indices of a palette (`indexed`), or of other colours the largest channel.
    """

    colour: np.ndarray
    alpha: np.ndarray | None = None
    indexed: bool = False


@dataclass(frozen=True)
class MaskRule:
    """Which values of a dataset's masks are targets.

    Args:
        above: what exceeds it is a target.
        alpha: the alpha channel tells, where a file has one; else colours do.
        ignore: value of pixels that are neither targets nor false alarms; None: there is none.
    """

    above: float = 0.0
    alpha: bool = False
    ignore: int | None = None

    def plane_of(self, found: MaskValues) -> np.ndarray:
        """The values `(H, W)` that tell."""
        return found.alpha if self.alpha and found.alpha is not None else found.colour

    def labels_of(self, found: MaskValues) -> np.ndarray:
        """Labels `(H, W)`: bool where nothing is ever ignored, else uint8 `BACKGROUND`, `TARGET` or `IGNORED`."""
        plane = self.plane_of(found)
        targets = plane > self.above
        if self.ignore is None:
            return targets
        labels = targets.astype(np.uint8)
        labels[plane == self.ignore] = IGNORED
        return labels


def half_of_largest(plane: np.ndarray) -> MaskRule:
    """The rule of a file of which nothing else is known: above half of its largest value is target."""
    return MaskRule(above=max(float(plane.max(initial=0)) / 2, 0.0))


def targets_of(labels: np.ndarray) -> np.ndarray:
    """Where labels `(…)`, bool or uint8, are targets: bool."""
    return labels if labels.dtype == np.bool_ else labels == TARGET


def ignored_of(labels: np.ndarray) -> np.ndarray | None:
    """Where labels `(…)` are ignored: bool; None where nothing ever is."""
    return None if labels.dtype == np.bool_ else labels == IGNORED


def join_labels(targets: np.ndarray, ignored: np.ndarray | None) -> np.ndarray:
    """Labels of bool planes `(…)`; where both are set it is a target."""
    if ignored is None:
        return targets
    return np.where(targets, np.uint8(TARGET), np.where(ignored, np.uint8(IGNORED), np.uint8(BACKGROUND)))


def ignore_regions(labels: np.ndarray, regions: Sequence[Sequence[float]]) -> np.ndarray:
    """Labels `(H, W)` in which pixels of regions x1, y1, x2, y2, … that are no target are ignored too."""
    if not len(regions):
        return labels
    inside = ignored_of(labels)
    inside = np.zeros(labels.shape, bool) if inside is None else inside.copy()
    for region in regions:
        inside[box_pixels(region, labels.shape)] = True
    return join_labels(targets_of(labels), inside)


def read_mask_values(path: str | os.PathLike) -> MaskValues:
    """Read what a mask file holds.

    Args:
        path: of an image: grey, palette, colour, with alpha or not.

    Raises:
        UserError: unreadable, or it holds values that are no finite numbers.
    """
    image = read_picture(path)
    if image.dtype.kind == "f" and not np.isfinite(image).all():
        raise UserError(f"{path}: found values that are no finite numbers, expected a mask; write it again")
    if image.ndim == 2:
        return MaskValues(image)
    if image.shape[2] == 1:
        return MaskValues(image[:, :, 0])
    alpha = image[:, :, 3] if image.shape[2] == 4 else None
    indices = _read_indices(path)
    return MaskValues(_flatten(image) if indices is None else indices, alpha, indices is not None)


def _flatten(image: np.ndarray) -> np.ndarray:
    """Colours `(H, W, 3 or 4)` → `(H, W)`: grey ones keep their level, of others it is the largest channel."""
    blue, green, red = (np.ascontiguousarray(image[:, :, channel]) for channel in range(3))
    high, low = cv2.max(cv2.max(blue, green), red), cv2.min(cv2.min(blue, green), red)
    if float(cv2.subtract(high, low).max(initial=0)) <= MAX_GREY_SPREAD and image.dtype == np.uint8:
        return to_grey(image)
    return high


def _has_palette(path: str | os.PathLike) -> bool:
    """Whether the head of an image file speaks of a palette; of a TIFF, whether it may."""
    with open(path, "rb") as file:
        head = file.read(BMP_HEAD_BYTES)
    if head.startswith(b"\x89PNG"):
        return len(head) >= PNG_HEAD_BYTES and head[PNG_COLOUR_TYPE_AT] == PNG_PALETTE
    if head.startswith(b"BM"):
        return len(head) >= BMP_HEAD_BYTES and 0 < head[BMP_BITS_AT] <= BMP_PALETTE_BITS
    return head[:2] in (b"II", b"MM")


def _read_indices(path: str | os.PathLike) -> np.ndarray | None:
    """The palette's indices `(H, W)` of each pixel, None where there is no palette or its colours tell.

    Colours tell where all of the palette is grey and no two indices share a level, and where index 0 is not black.
    """
    if not _has_palette(path):
        return None
    try:
        with Image.open(path) as image:
            if image.mode != "P":
                return None
            colours = np.reshape(image.getpalette("RGB") or [], (-1, 3))
            indices = np.asarray(image)
    except (OSError, ValueError, SyntaxError) as error:
        raise UserError(f"{path}: not a readable image ({error}); fetch or write the file again") from None
    used = np.unique(indices)
    if not len(colours) or used[-1] >= len(colours):
        return indices
    grey = (colours == colours[:, :1]).all()
    if grey:
        return None if len(np.unique(colours[used, 0])) == len(used) else indices
    return None if colours[0].any() else indices


def read_labels(
    path: str | os.PathLike, shape: tuple[int, int] | None = None, rule: MaskRule | None = None
) -> np.ndarray:
    """Read which pixels of a frame are targets, and which are ignored.

    Args:
        path: of the mask.
        shape: `(H, W)` of the frame; a mask of another size but the same aspect is resized (nearest neighbour).
        rule: of the mask's dataset (`utils.images.masks.meaning`); None: `half_of_largest` of this file alone.

    Returns:
        `(H, W)` labels, as of `MaskRule.labels_of`.

    Raises:
        UserError: unreadable, or of another aspect than `shape`.
    """
    found = read_mask_values(path)
    labels = (rule or half_of_largest(found.colour)).labels_of(found)
    if shape is not None and labels.shape != tuple(shape):
        if not same_aspect(labels.shape, tuple(shape)):
            raise UserError(
                f"{path}: mask of {labels.shape[1]}x{labels.shape[0]} (w x h), expected {shape[1]}x{shape[0]} "
                "like its image, or the same aspect; replace the mask"
            )
        resized = cv2.resize(labels.astype(np.uint8), (shape[1], shape[0]), interpolation=cv2.INTER_NEAREST)
        labels = resized.astype(labels.dtype)
    return labels


def read_mask(
    path: str | os.PathLike, shape: tuple[int, int] | None = None, rule: MaskRule | None = None
) -> np.ndarray:
    """The targets of `read_labels` with the same arguments, `(H, W)` bool."""
    return targets_of(read_labels(path, shape, rule))
