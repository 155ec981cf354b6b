"""How a scene goes on from frame to frame: how far it moves, where it is another one, where a frame is repeated."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from utils.clips.registration import move, scene_shift
from utils.predictor.prediction import Prediction
from utils.predictor.tracking.tracker import FrameSteps
from utils.system.packages.late import cv2

COARSE_PX = 8  # frames are compared at this fraction of their size: noise and small targets are no cut
REMEMBERED = 10  # earlier differences whose median is the usual one
LEAST_REMEMBERED = 2
CUT_TIMES = 5.0  # how often the usual difference a cut's is
CUT_SHARE = 0.5  # of the frame's own standard deviation, which a cut's difference has at least

Items = Iterable[tuple[int, np.ndarray, Any]]  # frames, as of `Predictor.stream_with`
Predictions = Iterable[tuple[Any, Prediction]]


@dataclass(frozen=True, eq=False)
class SceneStep:
    """How the scene goes on from one frame to the next.

    Args:
        shift: (2,) float64 x, y in pixels by which it has moved; zero where nothing is known.
        cut: it is another scene: the first frame, another size, or a cut.
        gap: frame numbers are missing between the two, which are at least twice as far apart as usual.
        repeat: the frame equals the one before, as recorders write it where no other came in time.
    """

    shift: np.ndarray = field(default_factory=lambda: np.zeros(2))
    cut: bool = False
    gap: bool = False
    repeat: bool = False


class SceneWatch:
    """Looks at the frames of one sequence in order."""

    def __init__(self) -> None:
        self._before: tuple[int, np.ndarray] | None = None
        self._differences: deque[float] = deque(maxlen=REMEMBERED)
        self._steps = FrameSteps()

    def see(self, number: int, frame: np.ndarray, shift: tuple[float, float] | None = None) -> SceneStep:
        """How the scene has gone on since the frame before.

        Args:
            number: of the frame.
            frame: `(H, W)` in any unit; it must not change afterwards.
            shift: x, y in pixels by which the scene has moved, where that is known; else it is measured.
        """
        before, self._before = self._before, (number, frame)
        gap = before is not None and self._is_gap(number - before[0])
        if before is None or before[1].shape != frame.shape:
            self._differences.clear()
            return SceneStep(cut=True)
        if np.array_equal(before[1], frame):
            return SceneStep(gap=gap, repeat=not gap)
        old, new = (np.asarray(one, np.float32) for one in (before[1], frame))
        moved = scene_shift(old, new) if shift is None else np.array(shift[::-1], np.float64)
        if self._is_cut(_coarse(move(old, moved)), _coarse(new)):
            self._differences.clear()
            return SceneStep(cut=True, gap=gap)
        return SceneStep(moved[::-1], gap=gap)

    def _is_gap(self, step: int) -> bool:
        self._steps.add(step)
        return step >= 2 * self._steps.usual

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


def predict_beside(
    items: Items, predict: Callable[[Items], Predictions]
) -> Iterator[tuple[int, np.ndarray, Any, Prediction]]:
    """The predictions of one sequence beside their frames: (number, frame, companion, prediction).

    Args:
        items: the sequence.
        predict: what is made of them, in order; it may read ahead.
    """
    waiting: deque[tuple[int, np.ndarray]] = deque()

    def watch() -> Iterator[tuple[int, np.ndarray, Any]]:
        for number, frame, companion in items:
            waiting.append((number, frame.copy()))  # whoever gives frames may use their memory again
            yield number, frame, companion

    for companion, prediction in predict(watch()):
        yield *waiting.popleft(), companion, prediction


def watch_scene(items: Items, predict: Callable[[Items], Predictions]) -> Iterator[tuple[Any, SceneStep, Prediction]]:
    """The predictions of one sequence, each with how the scene has gone on to it; arguments as of `predict_beside`.

    Where the predictor has aligned the frames, its shifts are taken.
    """
    scene = SceneWatch()
    for number, frame, companion, prediction in predict_beside(items, predict):
        yield companion, scene.see(number, frame, prediction.shift), prediction
