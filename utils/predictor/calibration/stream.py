"""Predictions of a stream, each at the threshold that the frames up to its own tell."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from utils.predictor.calibration.calibrator import Calibrator
from utils.predictor.calibration.candidates import at_threshold, candidates_of, logit_of, probability_of
from utils.predictor.calibration.scene import SceneWatch
from utils.predictor.prediction import Prediction

Items = Iterable[tuple[int, np.ndarray, Any]]


def calibrate_stream(
    rate: float, threshold: float, items: Items, predict: Callable[[Items], Iterable[tuple[Any, Prediction]]]
) -> Iterator[tuple[Any, Prediction]]:
    """The predictions of one sequence at thresholds of their own.

    Args:
        rate: false components a frame that are asked for.
        threshold: probability in [0, 1] from which it goes out.
        items: frames, as of `Predictor.stream_with`.
        predict: `Predictor.stream_with` at any threshold.

    Yields:
        What `predict` does, each prediction at its threshold and with its `expected_false`.
    """
    scene, calibrator = SceneWatch(), Calibrator(rate, float(logit_of(threshold)))

    def watched() -> Iterator[tuple[int, np.ndarray, Any]]:
        for number, frame, companion in items:
            yield number, frame, (companion, scene.see(number, frame))

    for (companion, shift), prediction in predict(watched()):
        if shift is None:
            calibrator.cut()
        calibrator.see(*candidates_of(prediction), np.zeros(2) if shift is None else shift)
        operating = calibrator.threshold()
        prediction = at_threshold(prediction, probability_of(operating.threshold))
        yield companion, replace(prediction, expected_false=operating.expected)
