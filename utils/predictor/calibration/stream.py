"""Predictions of a stream, each at the threshold that the frames up to its own tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from utils.predictor.calibration.calibrator import Calibrator
from utils.predictor.calibration.candidates import at_threshold, candidates_of, logit_of, probability_of
from utils.predictor.prediction import Prediction
from utils.predictor.stages.scene import SceneStep


def calibrate_stream(
    rate: float, threshold: float, watched: Iterable[tuple[Any, SceneStep, Prediction]]
) -> Iterator[tuple[Any, SceneStep, Prediction]]:
    """The predictions of one sequence at thresholds of their own.

    Args:
        rate: false components a frame that are asked for.
        threshold: probability in [0, 1] from which it goes out.
        watched: as of `utils.predictor.stages.scene.watch_scene`, predictions at any threshold.

    Yields:
        The same, each prediction at its threshold and with its `expected_false`.
    """
    calibrator = Calibrator(rate, float(logit_of(threshold)))
    for companion, step, prediction in watched:
        if step.cut or step.gap:
            calibrator.cut()
        calibrator.see(*candidates_of(prediction), step.shift)
        operating = calibrator.threshold()
        prediction = at_threshold(prediction, probability_of(operating.threshold))
        yield companion, step, replace(prediction, expected_false=operating.expected)
