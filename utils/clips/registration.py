"""Registration: how far the scene moves from frame to frame, and clips in which it stands still.

Where the camera pans or shakes, everything moves in the picture. Aligned to the key frame, the scenery of a clip stands
still and what moves against it is left: the difference between a moving target and a bright spot of the scene.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from utils.system.packages.late import cv2

MAX_SHORT_SIDE_PX = 320  # beyond which frames are halved first: enough detail is left
SMOOTHING_PX = 5  # the Gaussian that takes noise and fixed pattern out (the pattern stays where it is)
COARSE_FACTOR = 4  # a first fit at a quarter of the size finds wide shifts
CLIPPED_PERCENT = 2  # of the pixels at either end, which count no more than their bound: a bright target is no scene
ECC_STOP = (1 | 2, 20, 1e-3)  # TERM_CRITERIA_COUNT | TERM_CRITERIA_EPS: iterations, least gain of correlation
MAX_DEVIATION_PX = 0.15  # standard deviation beyond which a fit says too little about motion of a pixel
MIN_SHIFT_PX = 0.1  # noise alone makes a fit differ from zero by some hundredths
MAX_SHIFT_SHARE = 0.125  # of the shorter side: wider shifts are taken for failures


def scene_shift(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """How far the scene moves from one frame (H, W) float32, in any unit, to the next: (2,) float64, y and x in pixels.

    A translation is fitted by the enhanced correlation coefficient (G. Evangelidis and E. Psarakis, "Parametric image
    alignment using enhanced correlation coefficient maximization", IEEE TPAMI 2008). Zero where that fails, or where
    the frames hold too little detail over their noise to be sure of it within `MAX_DEVIATION_PX`.
    """
    bounds = np.percentile(before[::2, ::2], (CLIPPED_PERCENT, 100 - CLIPPED_PERCENT))
    before, after = (np.clip(frame, *bounds) for frame in (before, after))
    # what a warp shifts in from outside counts as 0: far from a frame's levels it would be its strongest edge
    before, after = before - before.mean(), after - after.mean()
    scale = 1
    while min(before.shape) > MAX_SHORT_SIDE_PX * scale:
        scale *= 2
    if scale > 1:
        before, after = (
            cv2.resize(frame, None, fx=1 / scale, fy=1 / scale, interpolation=cv2.INTER_AREA)
            for frame in (before, after)
        )
    shift = _fit(before, after)
    if shift is None or np.abs(shift).max() > MAX_SHIFT_SHARE * min(before.shape):
        return np.zeros(2)
    return shift * scale if _doubt(before, after, shift) * scale <= MAX_DEVIATION_PX else np.zeros(2)


def _fit(before: np.ndarray, after: np.ndarray) -> np.ndarray | None:
    warp = np.eye(2, 3, dtype=np.float32)
    try:
        if min(before.shape) >= 16 * COARSE_FACTOR:
            small = [
                cv2.resize(frame, None, fx=1 / COARSE_FACTOR, fy=1 / COARSE_FACTOR, interpolation=cv2.INTER_AREA)
                for frame in (before, after)
            ]
            _, warp = cv2.findTransformECC(*small, warp, cv2.MOTION_TRANSLATION, ECC_STOP, None, 1)
            warp[:, 2] *= COARSE_FACTOR
        _, warp = cv2.findTransformECC(before, after, warp, cv2.MOTION_TRANSLATION, ECC_STOP, None, SMOOTHING_PX)
    except cv2.error:  # it did not converge, as on frames without any detail
        return None
    shift = warp[::-1, 2].astype(np.float64)
    return shift if np.isfinite(shift).all() else None


def _doubt(before: np.ndarray, after: np.ndarray, shift: np.ndarray) -> float:
    """Standard deviation of a fitted shift in pixels: noise over detail (the Cramér-Rao bound)."""
    before, after = (cv2.GaussianBlur(frame, (SMOOTHING_PX, SMOOTHING_PX), 0) for frame in (before, after))
    border = int(np.ceil(np.abs(shift).max())) + 2
    if min(before.shape) <= 2 * border:  # frames of a few pixels, of which nothing is left to compare
        return float("inf")
    inner = np.s_[border:-border, border:-border]
    noise = (move(after, -shift) - before)[inner].std()
    detail = min(float((np.diff(before, axis=axis) ** 2).sum()) for axis in (0, 1))
    # after smoothing neighbours share their noise: about SMOOTHING²/2 pixels count as one
    return float(noise * SMOOTHING_PX / np.sqrt(2 * max(detail, 1e-12)))


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
