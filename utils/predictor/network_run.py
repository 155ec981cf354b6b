"""What a `Predictor` needs of a network, whatever library runs it. PyTorch's is in `utils.predictor.torch_run`."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np


class Run(Protocol):
    """A network in any runtime: a function will do. Arrays are numpy float32, normalised, H and W multiples of
    `Predictor.multiple`."""

    def __call__(self, clips: np.ndarray) -> Any:
        """Segmentation: clips (B, T, H, W) → probabilities (B, H, W). Detection: (B, 3, T, H, W) → for each clip (N, 6)
        x1, y1, x2, y2 in pixels of the input, score, class."""


@runtime_checkable
class StreamingRun(Run, Protocol):
    """A `Run` that keeps what it computed for a frame, for every clip that the frame is in. It has no state of its own:
    the predictor holds what frames contributed, and knows which of them make a clip."""

    def observe(self, frames: np.ndarray) -> Sequence[Any]:
        """Frames (N, H, W), for detection (N, 3, H, W) → what each of them contributes, N objects of any kind."""

    def decide(self, keys: np.ndarray, windows: Sequence[Sequence[Any]]) -> Any:
        """Key frames (B, H, W), for detection (B, 3, H, W), and for each clip what its T frames contributed, in order →
        results as of `Run`."""
