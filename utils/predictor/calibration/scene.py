"""How a scene goes on from frame to frame: how far it moves, and where it is another one."""

from __future__ import annotations

from collections import deque

import numpy as np

from utils.clips.registration import move, scene_shift
from utils.system.packages.late import cv2

COARSE_PX = 8  # frames are compared at this fraction of their size: noise and small targets are no cut
REMEMBERED = 10  # earlier differences whose median is the usual one
LEAST_REMEMBERED = 2
CUT_TIMES = 5.0  # how often the usual difference a cut's is
CUT_SHARE = 0.5  # of the frame's own standard deviation, which a cut's difference has at least


class SceneWatch:
    """Looks at the frames of one sequence in order."""

    def __init__(self) -> None:
        self._before: tuple[int, np.ndarray] | None = None
        self._differences: deque[float] = deque(maxlen=REMEMBERED)

    def see(self, number: int, frame: np.ndarray) -> np.ndarray | None:
        """How far the scene has moved since the frame before.

        Args:
            number: of the frame.
            frame: `(H, W)` in any unit.

        Returns:
            `(2,)` float64 x, y in pixels; None where the scene is another one: in the first frame, after a gap in the
            numbers, where the size changes, and after a cut.
        """
        frame = np.asarray(frame, np.float32)
        before, self._before = self._before, (number, frame)
        if before is None or before[0] + 1 != number or before[1].shape != frame.shape:
            self._differences.clear()
            return None
        shift = np.zeros(2) if np.array_equal(before[1], frame) else scene_shift(before[1], frame)
        if self._is_cut(_coarse(move(before[1], shift)), _coarse(frame)):
            self._differences.clear()
            return None
        return shift[::-1]

    def _is_cut(self, before: np.ndarray, after: np.ndarray) -> bool:
        difference = float(np.sqrt(np.mean((after - before) ** 2)))
        usual = self._differences
        cut = (
            len(usual) >= LEAST_REMEMBERED
            and difference > CUT_TIMES * float(np.median(usual))
            and difference > CUT_SHARE * float(after.std())
        )
        usual.append(difference)
        return cut


def _coarse(frame: np.ndarray) -> np.ndarray:
    """Frame `(H, W)` at an eighth of its size."""
    height, width = (max(1, side // COARSE_PX) for side in frame.shape)
    return cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA)
