"""What is compared with what: two tracks in one frame, and what makes a target found and a track false."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from utils.images.boxes import centre_distances

HIT = 0.5  # similarity that a hit takes, at which the centres are as far apart as the rules allow
_TIE = 1e-9  # rounding must not part what lies exactly at that distance


@dataclass(frozen=True)
class TrackRules:
    """How tracks are compared.

    Args:
        distance: pixels that the centres of a true target and of one that was followed may lie apart in a hit.
        found: (M, N): a true track is found where at least M of N consecutive of its frames are hit.
        fps: frames a second of the frames measured.
    """

    distance: float = 5.0
    found: tuple[int, int] = (3, 5)
    fps: float = 25.0

    @property
    def found_text(self) -> str:
        """When a true track is found, as the option has it: `3/5`."""
        return "{}/{}".format(*self.found)

    def similarity(self, true: np.ndarray, found: np.ndarray) -> np.ndarray:
        """How near boxes `(G, 4)` and `(P, 4)` x1, y1, x2, y2 are, `(G, P)` float64 from 0 to 1.

        It is 1 where the centres are the same, `HIT` where they are `distance` apart, 0 from twice that on.
        """
        return np.maximum(0.0, 1 - centre_distances(true, found) / (2 * self.distance))


@dataclass(frozen=True, eq=False)
class TrackedFrame:
    """The tracks in one frame.

    Args:
        true: `(G,)` int64, the ids of the true tracks that have a target here, each once.
        found: `(P,)` int64, those of the tracks that were followed, likewise.
        similarity: `(G, P)` float64, as of `TrackRules.similarity`.
    """

    true: np.ndarray
    found: np.ndarray
    similarity: np.ndarray

    def hits(self) -> np.ndarray:
        """Which pairs are near enough for a hit, `(G, P)` bool."""
        return self.similarity >= HIT - _TIE
