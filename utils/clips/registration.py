"""Registration: how far the scene moves from frame to frame, and clips in which it stands still.

Where the camera pans or shakes, everything moves in the picture. Aligned to the key frame, the scenery of a clip stands
still and what moves against it is left: the difference between a moving target and a bright spot of the scene.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np

from utils.system.packages.late import cv2

MAX_SHORT_SIDE_PX = 320  # beyond which frames are halved first: enough detail is left
SMOOTHING_PX = 5  # the Gaussian that takes noise and fixed pattern out (the pattern stays where it is)
COARSE_FACTOR = 4  # at a quarter of the size all shifts are tried
CLIPPED_PERCENT = 2  # of the pixels at either end, which count no more than their bound: a bright target is no scene
MAX_STEPS = 8  # of a fit
NEAR_PX = 0.25  # once steps are so small, what still deviates is left out: before, it may be all the detail there is
MIN_DETAIL_SHARE = 0.2  # of what looks like detail: steps are made longer for noise, but not more than by that
STOP_PX = 0.01  # a step so small ends the fit
MAX_REFINEMENT_PX = 3  # how far a fit may go from where it starts: further it has lost the scene
OUTLIER = 3.0  # deviations from the scene, in standard deviations, that are something else
MAX_DEVIATION_PX = 0.15  # standard deviation beyond which a fit says too little about motion of a pixel
MAX_DEVIATION_SHARE = 0.2  # of the shift, where the frames resemble each other: nothing would be a worse answer
MIN_LIKENESS = 0.5  # share of their variance that such frames have in common
MIN_SHIFT_PX = 0.1  # noise alone makes a fit differ from zero by some hundredths
MAX_SHIFT_SHARE = 0.125  # of the shorter side: wider shifts are taken for failures


@dataclass(frozen=True, eq=False, slots=True)
class Scenery:
    """What registration takes of a frame, once for the pairs that it belongs to.

    `fine` (h, w) float32: smoothed levels at 1/`scale` of the size, extremes bounded, about 0; `coarse`: the same at
    1/`COARSE_FACTOR` of that, where that is large enough, else `fine`.
    """

    fine: np.ndarray
    coarse: np.ndarray
    scale: int

    @classmethod
    def of(cls, frame: np.ndarray) -> Scenery:
        """That of a frame (H, W) in any unit, of integers or float32."""
        scale = 1
        while min(frame.shape) > MAX_SHORT_SIDE_PX * scale:
            scale *= 2
        fine = _shrink(frame.astype(np.float32, copy=False), scale)
        low, high = np.percentile(fine[::4, ::4], (CLIPPED_PERCENT, 100 - CLIPPED_PERCENT)).tolist()
        fine = cv2.GaussianBlur(np.clip(fine, low, high), (SMOOTHING_PX, SMOOTHING_PX), 0)
        fine -= np.float32((low + high) / 2)
        return cls(fine, _shrink(fine, COARSE_FACTOR if min(fine.shape) >= 16 * COARSE_FACTOR else 1), scale)


def _shrink(frame: np.ndarray, factor: int) -> np.ndarray:
    return cv2.resize(frame, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA) if factor > 1 else frame


def scene_shift(before: np.ndarray | Scenery, after: np.ndarray | Scenery) -> np.ndarray:
    """How far the scene moves from one frame (H, W), in any unit, to the next: (2,) float64, y and x in pixels.

    The whole shift of the highest correlation at a low resolution is refined by Gauss-Newton steps, which also fit gain
    and offset (S. Baker and I. Matthews, "Lucas-Kanade 20 years on: a unifying framework", IJCV 2004: the gradients are
    those of `before` throughout); pixels that deviate as no noise does, such as moving targets, are left out. Zero
    where that fails, or where the frames hold too little detail over their noise to be sure of it within
    `MAX_DEVIATION_PX` or `MAX_DEVIATION_SHARE` of it.
    """
    before, after = (frame if isinstance(frame, Scenery) else Scenery.of(frame) for frame in (before, after))
    start, rough = _search(before.coarse, after.coarse), None
    if start is not None and before.coarse is not before.fine:
        rough = _refine(before.coarse, after.coarse, start, SHRUNK)
        rough = rough and rough.enlarged(COARSE_FACTOR)
        start = rough.shift if rough else start * COARSE_FACTOR
    fine = None if start is None else _refine(before.fine, after.fine, start, SMOOTHED)
    longest = MAX_SHIFT_SHARE * min(before.fine.shape) * before.scale
    for fit in (fine, rough):  # where there is nothing fine in the scene, the rough one is surer
        if fit and fit.enlarged(before.scale).is_sure(longest):
            return fit.shift * before.scale
    return np.zeros(2)


def _search(before: np.ndarray, after: np.ndarray) -> np.ndarray | None:
    """The whole shift, up to `MAX_SHIFT_SHARE`, at which the inner part of `after` resembles `before` most."""
    reach = int(np.ceil(MAX_SHIFT_SHARE * min(before.shape)))
    inner = np.ascontiguousarray(after[reach:-reach, reach:-reach])
    if not inner.size:
        return None
    likeness = cv2.matchTemplate(before, inner, cv2.TM_CCOEFF_NORMED)
    return reach - np.array(np.unravel_index(np.argmax(likeness), likeness.shape), np.float64)


class _Noise(NamedTuple):
    """How alike white noise has become in neighbouring pixels.

    `area`: pixels that count as one; `slope`: variance of its slope, of differences over two pixels, / its own.
    """

    area: float
    slope: float


SMOOTHED, SHRUNK = _Noise(13.4, 0.3), _Noise(1.9, 0.5)  # by the Gaussian, and then to `COARSE_FACTOR`


class _Fit(NamedTuple):
    """A fitted shift (y, x), its standard deviation in its least certain direction, and how alike the frames are.

    All in pixels; `likeness`: the share of their variance that they have in common.
    """

    shift: np.ndarray
    deviation: float
    likeness: float

    def enlarged(self, scale: int) -> _Fit:
        return self._replace(shift=self.shift * scale, deviation=self.deviation * scale)

    def is_sure(self, longest: float) -> bool:
        """Whether it can be relied on, in the frames' own pixels; shifts beyond `longest` cannot."""
        length = float(np.abs(self.shift).max())
        relative = self.likeness >= MIN_LIKENESS and self.deviation <= MAX_DEVIATION_SHARE * length
        return length <= longest and (relative or self.deviation <= MAX_DEVIATION_PX)


def _refine(before: np.ndarray, after: np.ndarray, start: np.ndarray, kind: _Noise) -> _Fit | None:
    """The shift near `start` at which `after` is `before` but for gain, offset and noise; None where there is none."""
    border = int(np.ceil(np.abs(start).max())) + MAX_REFINEMENT_PX + 2  # a cubic needs two pixels more
    if min(before.shape) < 2 * border + 4:
        return None
    inner = np.s_[border:-border, border:-border]
    slopes = [cv2.Sobel(before, cv2.CV_32F, *order, ksize=1, scale=0.5)[inner] for order in ((0, 1), (1, 0))]
    normal = np.array([[_sum(*pair) for pair in product((slope,), slopes)] for slope in slopes])
    detail, (level, spread) = float(np.linalg.eigvalsh(normal)[0]), _moments(before[inner])
    if not (detail > 0 and spread > 0):
        return None
    shift, near = start, False
    for _ in range(MAX_STEPS):
        rest = _moved_inside(after, -shift, border)
        own = _moments(rest)
        if not own[1] > 0:
            return None
        # errors of both frames are alike: a fitted gain would be too small
        gain = spread / own[1]
        rest = cv2.addWeighted(rest, gain, before[inner], -1, level - gain * own[0])
        if near:
            deviations = np.abs(rest)
            rest[deviations > OUTLIER * 1.4826 * float(np.median(deviations[::4, ::4]))] = 0
        left = _sum(rest, rest) / rest.size
        # half of the noise is in the frame whose slopes these are, where it looks like detail
        share = 1 - kind.slope * rest.size * left / 2 / detail
        step = np.linalg.solve(normal, [_sum(slope, rest) for slope in slopes])
        if near:
            step /= max(share, MIN_DETAIL_SHARE)
        shift = shift - step
        if not np.abs(shift - start).max() <= MAX_REFINEMENT_PX:
            return None
        length = np.abs(step).max()
        if near and length < STOP_PX:
            break
        near |= length < NEAR_PX
    # the Cramér-Rao bound; one frame's noise over the slopes of the other's adds little, as they are not alike
    share = max(share, 1e-6)
    deviation = float(np.sqrt(kind.area * left / detail * (share + (1 - share) / 8))) / share
    return _Fit(shift, deviation, 1 - left / 2 / spread**2)


def _moments(values: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation."""
    mean = _sum(values) / values.size
    return mean, float(np.sqrt(max(_sum(values, values) / values.size - mean**2, 0.0)))


def _sum(*arrays: np.ndarray) -> float:
    """Sum of the products of one or two arrays (H, W), without a third in between."""
    return float(np.einsum("ij->" if len(arrays) == 1 else "ij,ij->", *arrays))


def _moved_inside(frame: np.ndarray, shift: np.ndarray, border: int) -> np.ndarray:
    """The inner part of `frame` (H, W) moved by `shift`, which is less than `border` - 1.

    The cubic is one that keeps slopes as they are: that of `move` shifts them by up to 0.03 px.
    """
    whole = np.floor(-shift).astype(int)
    y, x = (slice(border + part - 1, part - border + size + 2) for part, size in zip(whole, frame.shape, strict=True))
    rows, columns = (_cubic(part, -0.5) for part in -shift - whole)
    return cv2.sepFilter2D(frame[y, x], -1, columns, rows, anchor=(1, 1))[1:-2, 1:-2]


def move(frame: np.ndarray, shift: np.ndarray, behind: np.ndarray | None = None) -> np.ndarray:
    """`frame` (H, W) or (C, H, W), float32 or uint8, moved by `shift` (y, x) pixels.

    At the border, where it shows nothing, the pixels of `behind` come in, or else the edge's values. Between pixels
    bicubic, as OpenCV's warps, which take four times as long; whole shifts copy pixels.
    """
    if not np.any(shift):
        return frame
    if behind is not None:
        moved, result = move(frame, shift), behind.copy()
        # a cubic between the edge and what lies beyond it has no value of its own either
        edges = [int(np.ceil(abs(part))) + (part != int(part)) for part in shift]
        y, x = (
            slice(edge, None) if part > 0 else slice(0, max(size - edge, 0))
            for edge, part, size in zip(edges, shift, frame.shape[-2:], strict=True)
        )
        result[..., y, x] = moved[..., y, x]
        return result
    if frame.ndim == 3:
        return np.stack([move(plane, shift) for plane in frame])
    start = -np.asarray(shift, np.float64)  # where the first pixel comes from
    whole = np.floor(start).astype(int)
    between = bool((start != whole).any())
    first, end = whole - between, whole + frame.shape + 2 * between  # a cubic needs a pixel before and two behind
    low, high = np.maximum(-first, 0), np.maximum(end - frame.shape, 0)
    frame = cv2.copyMakeBorder(frame, low[0], high[0], low[1], high[1], cv2.BORDER_REPLICATE)
    y, x = (slice(*ends) for ends in zip(first + low, end + low, strict=True))
    if not between:
        return np.ascontiguousarray(frame[y, x])
    rows, columns = (_cubic(part) for part in start - whole)
    return np.ascontiguousarray(cv2.sepFilter2D(frame[y, x], -1, columns, rows, anchor=(1, 1))[1:-2, 1:-2])


def _cubic(part: float, a: float = -0.75) -> np.ndarray:
    """Weights of the pixels at -1, 0, 1 and 2 for a position of `part` in [0, 1).

    R. Keys, "Cubic convolution interpolation for digital image processing", IEEE TASSP 1981; `a` as OpenCV has it.
    """
    far, near = np.array([1 + part, 2 - part]), np.array([part, 1 - part])
    far, near = ((a * far - 5 * a) * far + 8 * a) * far - 4 * a, ((a + 2) * near - (a + 3)) * near**2 + 1
    return np.array([far[0], *near, far[1]])


def shifts_to_last(steps: Sequence[np.ndarray]) -> list[np.ndarray]:
    """From T-1 shifts, each from one frame of a clip to the next, T shifts (y, x) from each frame to the last one.

    They are zero below `MIN_SHIFT_PX`: frames of a camera that stands still stay as they are, and are the same for
    every clip.
    """
    shifts = [np.sum(steps[index:], axis=0) if index < len(steps) else np.zeros(2) for index in range(len(steps) + 1)]
    return [shift if np.abs(shift).max() >= MIN_SHIFT_PX else np.zeros(2) for shift in shifts]


def align_clip(frames: Sequence[np.ndarray], shifts: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The frames of a clip, oldest first, each moved by its shift to the last one.

    What a frame does not show is as in the next one: were it the edge's values, scenery that has just come into view
    would look like something new.
    """
    result: list[np.ndarray] = []
    for frame, shift in zip(reversed(frames), reversed(shifts), strict=True):
        result.insert(0, move(frame, shift, result[0] if result else None))
    return result
