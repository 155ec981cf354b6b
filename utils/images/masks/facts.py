"""What one mask file tells about the meaning of its dataset's values: which there are, and how they lie."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from utils.images.masks.values import read_mask_values
from utils.system.packages.late import cv2

FULL_SCALES = (255, 65535)  # the largest values of 8 and 16 bits: targets, or what is ignored
SPARSE_PIXELS = 4096  # above 0, up to which sorting them finds the values sooner than counting all levels
SQUARE = np.ones((3, 3), np.uint8)
NONE = np.zeros(0)


@dataclass(frozen=True, slots=True, eq=False)
class PlaneFacts:
    """One plane of a mask, in which pixels of an ignored value count as 0.

    Args:
        values: (K,) float64, those above 0, ascending; of planes with fractions the largest alone.
        pixels, shoulders: (K,) int64 pixels of each value, and those of them that touch a higher one.
        share, upper_share: of the pixels that are not ignored: above 0, and above half of the largest value.
        low, high: smallest and largest value, the ignored one included.
        rim_pixels, top_pixels: pixels of the largest value that touch both 0 and a smaller value above 0; all of them.
        outlined: a largest value of `FULL_SCALES` fills at least half of the picture's outermost pixels.
        ignored: pixels of the ignored value.
        fractions: whether there are values that are not whole.
    """

    values: np.ndarray
    pixels: np.ndarray
    shoulders: np.ndarray
    share: float
    upper_share: float
    low: float
    high: float
    rim_pixels: int = 0
    top_pixels: int = 0
    outlined: bool = False
    ignored: int = 0
    fractions: bool = False

    @property
    def largest(self) -> float:
        """The largest value that is not ignored, 0 where none is above 0."""
        return float(self.values[-1]) if len(self.values) else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class MaskFacts:
    """Both planes of a mask file, `alpha` where there is such a channel.

    `indexed`: its colours are indices of a palette; `lossy`: compression has changed its values.
    """

    colour: PlaneFacts
    alpha: PlaneFacts | None
    indexed: bool
    lossy: bool

    def plane(self, alpha: bool) -> PlaneFacts:
        """The plane that tells, see `utils.images.masks.values.MaskRule`."""
        return self.alpha if alpha and self.alpha is not None else self.colour


def look_at_mask(path: str | os.PathLike, ignore: int | None = None) -> MaskFacts:
    """Decode one mask.

    Args:
        path: of the file.
        ignore: value of pixels that are to be left out.

    Raises:
        UserError: it cannot be read.
    """
    found = read_mask_values(path)
    alpha = None if found.alpha is None else measure_plane(found.alpha, ignore)
    lossy = str(path).lower().endswith((".jpg", ".jpeg"))
    return MaskFacts(measure_plane(found.colour, ignore), alpha, found.indexed, lossy)


def measure_plane(plane: np.ndarray, ignore: int | None = None) -> PlaneFacts:
    """The facts of a plane `(H, W)` of any type."""
    low, high = float(plane.min()), float(plane.max())
    left_out = 0
    if ignore is not None:
        where = plane == ignore
        left_out = int(np.count_nonzero(where))
        if left_out:
            plane = np.where(where, plane.dtype.type(0), plane)
    above = plane[plane > 0]
    if not len(above):
        return PlaneFacts(NONE, NONE, NONE, 0.0, 0.0, low, high, ignored=left_out)
    counted = max(plane.size - left_out, 1)
    top = float(above.max())
    shares = len(above) / counted, int(np.count_nonzero(above > top / 2)) / counted
    if plane.dtype.kind == "f" and (above != np.rint(above)).any():
        values, pixels = np.array([top]), np.array([len(above)])
        return PlaneFacts(values, pixels, np.zeros(1), *shares, low, high, ignored=left_out, fractions=True)
    values, pixels = _count_values(above)
    shoulders, rim = np.zeros(len(values), np.int64), 0
    if len(values) > 1:
        shoulders, rim = _measure_neighbours(plane, values, top)
    outlined = top in FULL_SCALES and _outline_share(plane == top) >= 0.5
    return PlaneFacts(values, pixels, shoulders, *shares, low, high, rim, int(pixels[-1]), outlined, left_out)


def _count_values(above: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if len(above) <= SPARSE_PIXELS or above.dtype not in (np.uint8, np.uint16):
        values, pixels = np.unique(above, return_counts=True)
    else:
        counts = np.bincount(above)
        values = np.flatnonzero(counts)
        pixels = counts[values]
    return values.astype(np.float64), pixels


def _measure_neighbours(plane: np.ndarray, values: np.ndarray, top: float) -> tuple[np.ndarray, int]:
    """Pixels of each of the `values` that touch a higher one, and those of `top` between 0 and a smaller value."""
    if plane.dtype not in (np.uint8, np.uint16, np.float32):
        plane = plane.astype(np.float32)
    touching = plane[(plane > 0) & (cv2.dilate(plane, SQUARE) > plane)]
    shoulders = np.bincount(np.searchsorted(values, touching), minlength=len(values))
    smaller = ((plane > 0) & (plane < top)).astype(np.uint8)
    rim = (plane == top) & (cv2.dilate(smaller, SQUARE) > 0) & (cv2.erode(plane, SQUARE) <= 0)
    return shoulders, int(np.count_nonzero(rim))


def _outline_share(where: np.ndarray) -> float:
    """The share of the outermost pixels of a picture `(H, W)` that are set."""
    sides = (where[0], where[-1], where[1:-1, 0], where[1:-1, -1])
    return sum(int(np.count_nonzero(side)) for side in sides) / max(sum(side.size for side in sides), 1)
