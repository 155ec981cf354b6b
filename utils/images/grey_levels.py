"""Grey levels: from what a picture holds to levels that a network or a person can be shown.

A picture holds colours, degrees, shares or raw counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from utils.images.colour import COLOUR_ADVICE, is_coloured
from utils.images.image_files import MAX_GREY_LEVEL, to_grey, to_whole_levels, values_beyond_levels
from utils.system.notices import warn
from utils.system.packages.late import cv2

RANGE_PERCENTILES = (0.5, 99.5)  # percentiles between which a frame's range is measured: broken pixels do not count
# Range and noise below which whole levels are too coarse for a frame with fractions.
MAX_FINE_RANGE, MAX_FINE_NOISE = 64, 0.2
MIDDLE_LEVEL = 32768  # the level of what lies in the middle of the first frame's range
RANGE_HEADROOM = 8  # times the first frame's range that levels have room for: later frames may be hotter or colder


class DepthWatch:
    """Warns once of frames of 8 bits and of more in one sequence, such as previews among raw frames."""

    def __init__(self) -> None:
        self.first: dict[int, str] = {}

    def see(self, path: str, bits: int | None) -> None:
        """Take in a frame's file and the bits of its levels, 8 or 16; None are not known."""
        if bits and bits not in self.first:
            self.first[bits] = path
            if len(self.first) == 2:
                warn(
                    f"{self.first[8]}: a frame of 8 bits in one sequence with frames of more, such as {self.first[16]};"
                    " their levels mean different things; if these are previews, move them into a folder of their own"
                )


class LevelMapper:
    """Brings the frames of one source to uint8 or uint16, all of them alike, as the first frame needs it.

    Whole numbers from 0 to 65535 stay as they are, and fractions are rounded where whole levels can hold them, as in
    datasets (`utils.images.image_files.read_frame`). Other values, such as degrees, are mapped by factor · (value -
    middle) + `MIDDLE_LEVEL`, with a power of ten as factor. Frames without any contrast decide nothing.

    Args:
        path: of the source, for what is said.
        notes: lists what is to be said about it.
    """

    def __init__(self, path: str, notes: list[str]) -> None:
        self.path, self.notes = path, notes
        self.decided = self.told = False
        self.factor, self.middle = 0.0, 0.0
        self.depths = DepthWatch()

    def __call__(self, image: np.ndarray, path: str = "") -> np.ndarray:
        """A frame `(H, W)` of any type, of the file `path` if any, as whole levels, `(H, W)` uint8 or uint16."""
        if path and image.min() < image.max():
            self.depths.see(path, 8 if image.dtype.itemsize == 1 else 16)
        if image.dtype in (np.uint8, np.uint16, np.bool_):
            return to_whole_levels(image)
        finite = np.isfinite(image)
        if not finite.all():
            image = np.where(finite, image, image[finite].min() if finite.any() else 0)
        if not self.decided and image.min() < image.max():
            self._decide(image.astype(np.float64))
        if self.factor:
            image = (image.astype(np.float64) - self.middle) * self.factor + MIDDLE_LEVEL
        if not self.told and self.decided and (image.min() < -0.5 or image.max() > MAX_GREY_LEVEL + 0.5):
            self.told = True
            self.notes.append(
                f"{self.path}: some values lie outside of what 16 bits hold and are cut to the nearest level"
            )
        whole = to_whole_levels(image)
        return whole.astype(np.uint16) if self.factor else whole

    def _decide(self, image: np.ndarray) -> None:
        self.decided = True
        low, high = np.percentile(image, RANGE_PERCENTILES)
        fine = (
            _has_fractions(image)
            and high - low < MAX_FINE_RANGE
            and noise_in(np.diff(image, axis=1), 2**0.5) < MAX_FINE_NOISE
        )
        if not (values_beyond_levels(image) or fine):
            return
        span = max(high - low, np.ptp(image) / (RANGE_HEADROOM / 2))  # of what is in this frame nothing is cut
        self.factor = 10.0 ** math.floor(math.log10(MAX_GREY_LEVEL / (RANGE_HEADROOM * span)))
        self.middle = round((low + high) / 2 * self.factor) / self.factor
        self.notes.append(
            f"{self.path}: values such as {image.min():.6g} to {image.max():.6g} are no whole grey levels; in all "
            f"frames {self.middle:.6g} counts as level {MIDDLE_LEVEL}, and a difference of 1 as {self.factor:g} levels"
        )


def _has_fractions(image: np.ndarray) -> bool:
    return bool((image != np.rint(image)).any())


class GreyConverter:
    """Turns pictures of one source into grey; says once that they are in colour.

    Args:
        path: of the source, for what is said.
        notes: lists what is to be said about it; None says nothing.
    """

    def __init__(self, path: str, notes: list[str] | None = None) -> None:
        self.path, self.notes = path, notes

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """A picture `(H, W)` or BGR `(H, W, 3)`, uint8, uint16 or float32 → `(H, W)`."""
        if picture.ndim == 2:
            return picture
        if self.notes is not None:
            if is_coloured(picture):
                self.notes.append(f"{self.path}: the frames are in colour and are {COLOUR_ADVICE}")
            self.notes = None
        return cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) if picture.dtype == np.uint8 else to_grey(picture)


def full_scale_of(image: np.ndarray) -> float:
    """The largest grey level that files of the image's type hold; 255 for float."""
    return float(np.iinfo(image.dtype).max) if image.dtype.kind in "ui" else 255.0


RANGE_FOLLOWING_RATE = 0.05  # share by which a range of percentiles follows the frames
SAMPLE_PIXELS = 65536  # pixels that percentiles are taken of
USUAL_PERCENTILES = 0.5, 99.9  # the usual ones: few pixels are targets
MAX_8_BIT_LEVEL = 255  # level of frames of 8 bits


class SlowRange:
    """The range of grey levels that a source's frames are shown in: from one of their percentiles to another.

    The levels follow the frames slowly, so that videos do not flicker.

    Args:
        low: the lower percentile, 0 to 100.
        high: the upper one.
        above: room above the upper one, a share of half the range.
    """

    def __init__(self, low: float, high: float, above: float = 0.0) -> None:
        self.percentiles, self.above = (low, high), above
        self.levels: np.ndarray | None = None

    def update(self, frame: np.ndarray, least: float) -> tuple[float, float]:
        """Take in a frame.

        Args:
            frame: `(H, W)`.
            least: levels that its percentiles count as apart at least.

        Returns:
            The range (low, high) to show it in.
        """
        step = max(1, int((frame.size / SAMPLE_PIXELS) ** 0.5))
        low, high = np.percentile(frame[::step, ::step], self.percentiles)
        middle, half = (low + high) / 2, max(high - low, least) / 2
        levels = np.array([middle - half, middle + (1 + self.above) * half])
        self.levels = levels if self.levels is None else self.levels + RANGE_FOLLOWING_RATE * (levels - self.levels)
        return float(self.levels[0]), float(self.levels[1])


@dataclass(frozen=True)
class Window:
    """Grey levels `low` to `high`, which become 0 to 255.

    With `percent` they are percentiles (`SlowRange`), and are moved apart where the frames' noise would otherwise have
    a standard deviation of more than `noise` of these levels: about what networks know.
    """

    low: float
    high: float
    percent: bool = False
    noise: float = 2.0

    def __str__(self) -> str:
        mark = "p" if self.percent else ""
        return f"{mark}{self.low:g},{mark}{self.high:g}"


def require_grey(image: np.ndarray) -> None:
    """Make sure that this is a frame `(H, W)`, with pixels.

    Raises:
        ValueError: it is none.
    """
    if np.ndim(image) != 2 or not np.size(image):
        found = "is None" if image is None else f"has shape {np.shape(image)}"
        raise ValueError(f"frame {found}, expected grey (H, W)")


def noise_in(differences: np.ndarray, gain: float) -> float:
    """Standard deviation of a frame's noise, told from differences between its pixels; 0 without any.

    In these the noise is `gain` times as much. The median of their absolute values tells it, so that edges count
    little.
    """
    return float(np.median(np.abs(differences))) / (0.6745 * gain) if differences.size else 0.0


def noise_of(image: np.ndarray) -> float:
    """Standard deviation of the noise in a frame (H, W), in its own levels.

    From what differs from a plane over 3 x 3 pixels (J. Immerkaer, "Fast noise variance estimation", CVIU 1996).
    """
    rough = cv2.filter2D(image.astype(np.float32), -1, np.outer([1, -2, 1], [1, -2, 1]).astype(np.float32))
    return noise_in(rough, 6)


class Stretch:
    """Grey levels shown as black and white, which follow the frames slowly (`SlowRange`)."""

    def __init__(self) -> None:
        self._range = SlowRange(*USUAL_PERCENTILES, above=0.1)

    def update(self, frame: np.ndarray) -> tuple[float, float]:
        """Take in a frame `(H, W)`; returns the levels `(black, white)` to show it with."""
        # closer together, sensor noise would fill the picture
        return self._range.update(frame, least=40.0 if frame.dtype == np.uint8 else 64.0)
