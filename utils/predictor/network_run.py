"""What a `Predictor` needs of a network, whatever library runs it. PyTorch's is in `utils.predictor.torch_run`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from utils.system.threads import IN_LINE, Lanes


class NetworkRun:
    """A network in any runtime: a derived class says what it can do by replacing what it does otherwise.

    Arrays are numpy float32, normalised, H and W multiples of `Predictor.multiple`.
    """

    channels: int = 3  # of a detector's clips: R, G and B, or 1 where the network knows G and B from R

    def __call__(self, clips: np.ndarray) -> Any:
        """What the network finds in the key frames, the last ones, of whole clips.

        Args:
            clips: (B, T, H, W); for detection (B, 3, T, H, W), or as before where `channels` is 1.

        Returns:
            Segmentation: probabilities (B, H, W). Detection: for each clip (N, 6) x1, y1, x2, y2 in pixels of the
            input, score, class.
        """
        raise NotImplementedError

    def lanes(self) -> AbstractContextManager[Lanes]:
        """How the batches of a stream run; here one after the other."""
        return nullcontext(IN_LINE)


class StreamingRun(NetworkRun):
    """A run that keeps what it computed for a frame, for every clip that the frame is in.

    It has no state of its own: the predictor holds what frames contributed, and knows which of them make a clip.
    """

    def observe(self, frames: np.ndarray) -> Sequence[Any]:
        """What each frame contributes to the clips that it is in.

        Args:
            frames: (N, H, W); for detection (N, 3, H, W), or as before where `channels` is 1.

        Returns:
            N objects of any kind.
        """
        raise NotImplementedError

    def decide(self, keys: np.ndarray, windows: Sequence[Sequence[Any]]) -> Any:
        """What the network finds in key frames, as of `NetworkRun`.

        Args:
            keys: B of the frames that `observe` takes.
            windows: for each clip what its T frames contributed, in order, the key frame's last.
        """
        raise NotImplementedError

    def size_of(self, contribution: Any) -> float:
        """Bytes of what a frame contributes; of runs that do not say, as if beyond any bound."""
        return math.inf


class EveryFrameRun(NetworkRun):
    """A run of a network that gives a map for every frame of a clip."""

    def frames(self, clips: np.ndarray, newest: int) -> np.ndarray:
        """What the network finds in the last frames of whole clips.

        Args:
            clips: (B, T, H, W).
            newest: how many of the last frames are asked for.

        Returns:
            Probabilities (B, newest, H, W).
        """
        raise NotImplementedError

    def open_stream(self) -> Callable[[np.ndarray], np.ndarray] | None:
        """A sequence fed frame by frame: (H, W) → probability (H, W), as of the clip that ends with it, zeros in front.

        None where whole clips are the only way.
        """
        return None


@dataclass(frozen=True)
class FunctionRun(NetworkRun):
    """A function over whole clips, as `NetworkRun.__call__`, with all else as it is there."""

    function: Callable[[np.ndarray], Any]

    def __call__(self, clips: np.ndarray) -> Any:
        return self.function(clips)
