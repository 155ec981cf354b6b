"""From what footage holds, also degrees or shares, to whole grey levels."""
from __future__ import annotations

import math

import numpy as np

from utils.frames import TOP, beyond_levels, plain_levels

INNER = (0.5, 99.5)  # percentiles between which a frame's range is measured: broken pixels do not count
NARROW, QUIET = 64, 0.2  # range and noise below which whole levels are too coarse for a frame with fractions
MIDDLE = 32768  # the level of what lies in the middle of the first frame's range
ROOM = 8  # times the first frame's range that levels have room for: later frames may be hotter or colder


class Levels:
    """Brings the frames of one source to uint8 or uint16, all of them alike, as the first frame needs it.

    Whole numbers from 0 to 65535 stay as they are, and fractions are rounded where whole levels can hold them, as in
    datasets (`utils.frames.read_frame`). Other values, such as degrees, are mapped by factor · (value - middle) +
    `MIDDLE`, with a power of ten as factor. Frames without any contrast decide nothing.

    Args:
        path: of the source, for what is said.
        notes: lists what is to be said about it.
    """

    def __init__(self, path: str, notes: list[str]) -> None:
        self.path, self.notes = path, notes
        self.decided = self.told = False
        self.factor, self.middle = 0.0, 0.0

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """A frame `(H, W)` of any type as whole levels, `(H, W)` uint8 or uint16."""
        if image.dtype in (np.uint8, np.uint16, np.bool_):
            return plain_levels(image)
        finite = np.isfinite(image)
        if not finite.all():
            image = np.where(finite, image, image[finite].min() if finite.any() else 0)
        if not self.decided and image.min() < image.max():
            self._decide(image.astype(np.float64))
        if self.factor:
            image = (image.astype(np.float64) - self.middle) * self.factor + MIDDLE
        if not self.told and self.decided and (image.min() < -0.5 or image.max() > TOP + 0.5):
            self.told = True
            self.notes.append(f"{self.path}: some values lie outside of what 16 bits hold and are cut to the nearest "
                              "level")
        whole = plain_levels(image)
        return whole.astype(np.uint16) if self.factor else whole

    def _decide(self, image: np.ndarray) -> None:
        self.decided = True
        low, high = np.percentile(image, INNER)
        if not (beyond_levels(image) or (_has_fractions(image) and high - low < NARROW and _noise(image) < QUIET)):
            return
        span = max(high - low, np.ptp(image) / (ROOM / 2))  # of what is in this frame nothing is cut
        self.factor = 10.0 ** math.floor(math.log10(TOP / (ROOM * span)))
        self.middle = round((low + high) / 2 * self.factor) / self.factor
        self.notes.append(
            f"{self.path}: values such as {image.min():.6g} to {image.max():.6g} are no whole grey levels; in all "
            f"frames {self.middle:.6g} counts as level {MIDDLE}, and a difference of 1 as {self.factor:g} levels")


def _has_fractions(image: np.ndarray) -> bool:
    return bool((image != np.rint(image)).any())


def _noise(image: np.ndarray) -> float:
    """Standard deviation of the noise, from neighbours' differences by their median."""
    return float(np.median(np.abs(np.diff(image, axis=1)))) / (0.6745 * 2 ** 0.5) if image.shape[1] > 1 else 0.0
