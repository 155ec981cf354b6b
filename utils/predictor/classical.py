"""Classical methods, which need no training, as predictors.

Every method gives each pixel of a clip's key frame a response r ≥ 0. The score is s = r / (r + L) with the level
L = mean(r) + k·std(r) of that frame: it lies in [0, 1), grows with r and is 0.5 where r = L, so the threshold 0.5 is
the usual adaptive one, mean + k·std, and other thresholds are other k. Gain and offset of the camera do not change it.
A frame without any response scores 0 everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from utils.clips.settings import ClipSettings
from utils.predictor.classical_responses import frame_difference, ipi, max_median, mpcm, temporal_variance, top_hat
from utils.predictor.predictor import Predictor
from utils.predictor.tiles.tiling import Tiling
from utils.system.errors import UserError

DEFAULT_THRESHOLD = 0.5
_ROUNDING = 1e-5  # responses below this share of a frame's largest grey level may be float32 rounding


@dataclass(frozen=True)
class ClassicalMethod:
    """`respond`: clip (T, H, W) float32 → response (H, W) ≥ 0; `num_frames` T; `k`: of the level mean + k·std."""

    respond: Callable[[np.ndarray], np.ndarray]
    num_frames: int
    k: float


def _of_key(respond: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda clip: respond(clip[-1])


# k leaves a few false components a frame on NUAA-SIRST (single-frame methods) and on synthetic clips (the others).
CLASSICAL_METHODS = {
    "top-hat": ClassicalMethod(_of_key(top_hat), 1, 8.0),
    "max-median": ClassicalMethod(_of_key(max_median), 1, 12.0),
    "mpcm": ClassicalMethod(_of_key(mpcm), 1, 12.0),
    "ipi": ClassicalMethod(_of_key(ipi), 1, 12.0),
    "frame-difference": ClassicalMethod(frame_difference, 5, 8.0),
    "temporal-variance": ClassicalMethod(temporal_variance, 5, 8.0),
}


def score(name: str, clip: np.ndarray) -> np.ndarray:
    """Score map of a clip's key frame by the method `name`.

    Args:
        name: one of `CLASSICAL_METHODS`.
        clip: `(T, H, W)` finite numbers in any unit and of any size, key frame last.

    Returns:
        `(H, W)` float32 in [0, 1]; see the module's text for its meaning.

    Raises:
        UserError: unknown method.
        ValueError: the clip is not `(T, H, W)` with at least one frame and pixel.
    """
    predictor, clip = classical_predictor(name), np.asarray(clip, np.float32)
    if clip.ndim != 3 or not clip.size:
        raise ValueError(f"got a clip of shape {clip.shape}, expected (T, H, W)")
    return predictor.predict(clip[None])[0].probability


def classical_predictor(name: str, threshold: float = DEFAULT_THRESHOLD) -> Predictor:
    """The method `name` as a predictor: frames in, predictions out, as for a trained network.

    Raises:
        UserError: unknown method.
    """
    method = _method(name)

    def run(clips: np.ndarray) -> np.ndarray:
        return np.stack([_score_of(method.respond(clip), clip[-1], method.k) for clip in clips])

    settings = ClipSettings(
        method.num_frames, (0.0, 1.0), threshold=threshold, name=name, register=method.num_frames > 1
    )
    return Predictor(run, settings, multiple=1, tiling=Tiling(0))  # its level is a whole frame's


def _score_of(response: np.ndarray, key: np.ndarray, k: float) -> np.ndarray:
    """Response and key frame (H, W) float32 → score (H, W) float32."""
    level = response.mean(dtype=np.float64) + k * response.std(dtype=np.float64)
    level = max(level, _ROUNDING * float(np.abs(key).max()), float(np.finfo(np.float32).tiny))
    return (response / (response + level)).astype(np.float32)


def _method(name: str) -> ClassicalMethod:
    if name not in CLASSICAL_METHODS:
        raise UserError(f"--method: found '{name}', expected one of {', '.join(CLASSICAL_METHODS)}")
    return CLASSICAL_METHODS[name]
