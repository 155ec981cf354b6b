"""Contrast of a frame, and of its differences to earlier frames of the same scene, in units of local noise.

A target of a few pixels stands out of what surrounds it; a moving one also stands out of the difference to an aligned
earlier frame, in which the scenery cancels. In units of the rms around a pixel neither depends on the camera's gain.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from utils.clips.bad_pixels import DefectFinder, mend
from utils.clips.registration import MIN_SHIFT_PX, move, scene_shift
from utils.clips.rule import run_starts
from utils.images.normalise import BAND_PX
from utils.system.packages.late import cv2

LAGS = (2, 4, 8)  # frames from the key frame back to those that are taken from it
RMS_PX = 41  # side of the square over which local noise is measured
LEAST_RMS = 0.1  # grey levels: below it is what rounding to whole levels leaves of nothing
CUT_SHARE = 0.5  # of the coarse scenery's standard deviation that is left once it is aligned: another scene
COARSE_STEP = 4  # pixels of the coarse scenery that are compared


@dataclass(frozen=True, eq=False)
class PastFrame:
    """A frame that was seen.

    Args:
        levels: (H, W) float32, the frame without bad pixels.
        coarse: its coarse scenery.
        step: of the scene from the frame before, y and x.
    """

    levels: np.ndarray
    coarse: np.ndarray
    step: np.ndarray


class Difference(NamedTuple):
    """What a frame has more than an earlier one, (H, W) float32 in units of its `rms` (H, W) around each pixel."""

    values: np.ndarray
    rms: np.ndarray


@dataclass(frozen=True, eq=False)
class ContrastMaps:
    """Maps of one key frame, between the two Gaussians, (H, W) float32 each.

    Args:
        rms: of the frame around each pixel, at least `LEAST_RMS`, in grey levels.
        key: the frame in units of `rms`.
        differences: for each of `LAGS` that to the frame so many before; None where there is none.
    """

    rms: np.ndarray
    key: np.ndarray
    differences: tuple[Difference | None, ...]

    @property
    def contrasts(self) -> tuple[np.ndarray | None, ...]:
        """The frame and its differences in units of noise."""
        return (self.key, *(part and part.values for part in self.differences))

    @property
    def change(self) -> np.ndarray | None:
        """(H, W), at each pixel the largest of the differences; None where there is none."""
        there = [part.values for part in self.differences if part is not None]
        return np.maximum.reduce(there) if there else None


def band_pass(levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A frame (H, W) float32: between the two Gaussians of `BAND_PX`, and behind the wider one."""
    fine, coarse = (cv2.GaussianBlur(levels, (0, 0), size) for size in BAND_PX)
    return fine - coarse, coarse


def local_rms(band: np.ndarray) -> np.ndarray:
    """The rms of (H, W) over the square of `RMS_PX` pixels around each pixel, at least `LEAST_RMS`."""
    return np.sqrt(np.maximum(cv2.boxFilter(band * band, -1, (RMS_PX, RMS_PX)), LEAST_RMS**2))


class FrameHistory:
    """The last frames of one sequence, as many as the longest of `LAGS` needs, and how the scene moved between them.

    What a new frame cannot be aligned with is forgotten: frames before a gap in the numbers, of another size, or of
    another scene. A frame that repeats the one before, as recorders write them, adds nothing. Bad pixels are taken out
    of each frame as far as they are known by then (`utils.clips.bad_pixels`).
    """

    def __init__(self) -> None:
        self.frames: deque[PastFrame] = deque(maxlen=max(LAGS))  # the newest first
        self.last: tuple[int, np.ndarray] | None = None
        self.maps: ContrastMaps | None = None
        self.finder = DefectFinder()

    def see(self, number: int, frame: np.ndarray) -> ContrastMaps:
        """The maps of the next frame (H, W), whose number exceeds the one before."""
        if self.last is not None:
            if run_starts([self.last[0], number])[1] or self.last[1].shape != frame.shape:
                self.frames.clear()
                self.last, self.finder = None, DefectFinder()
            elif np.array_equal(self.last[1], frame):
                self.last = number, frame
                return self.maps
        levels = frame.astype(np.float32)
        step = scene_shift(self.frames[0].levels, levels) if self.frames else np.zeros(2)
        levels = mend(levels, self.finder.see(frame, step))
        band, coarse = band_pass(levels)
        coarse = coarse[::COARSE_STEP, ::COARSE_STEP]
        rms = local_rms(band)
        if self.frames and not self._is_same_scene(coarse, step, float(np.median(rms))):
            self.frames.clear()
        differences = tuple(self._difference(levels, step, lag) for lag in LAGS)
        self.maps = ContrastMaps(rms, band / rms, differences)
        self.last = number, frame
        self.frames.appendleft(PastFrame(levels, coarse, step))
        return self.maps

    def _is_same_scene(self, coarse: np.ndarray, step: np.ndarray, noise: float) -> bool:
        """Whether the last frame's coarse scenery, moved by `step`, is that of the frame; `noise` is no difference."""
        before = self.frames[0].coarse
        left = float((coarse - move(before, step / COARSE_STEP, coarse)).std())
        return left <= max(CUT_SHARE * min(float(coarse.std()), float(before.std())), noise)

    def _difference(self, levels: np.ndarray, step: np.ndarray, lag: int) -> Difference | None:
        """The difference of a frame, to which the scene has moved by `step` from the last, to that `lag` before it.

        Frames are taken from one another first: what a Gaussian makes of a frame's edges does not move with the scene.
        """
        if len(self.frames) < lag:
            return None
        shift = step + sum((self.frames[age].step for age in range(lag - 1)), np.zeros(2))
        if np.abs(shift).max() < MIN_SHIFT_PX:
            shift = np.zeros(2)
        # nothing where the earlier frame does not reach
        band, _ = band_pass(levels - move(self.frames[lag - 1].levels, shift, levels))
        rms = local_rms(band)
        return Difference(band / rms, rms)
