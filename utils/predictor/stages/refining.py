"""What comes behind a network, frame by frame: a verifier's scores, thresholds of the footage's own, confirmation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from utils.predictor.calibration.stream import calibrate_stream
from utils.predictor.prediction import Prediction
from utils.predictor.stages.scene import Items, Predictions, watch_scene
from utils.predictor.tracking.confirmation import confirm_stream
from utils.predictor.tracking.tracker import Confirmation
from utils.predictor.verifier.model import VerifierModel
from utils.predictor.verifier.verification import verify_stream


def refine_stream(
    items: Items,
    predict: Callable[[Items], Predictions],
    threshold: float,
    verifier: VerifierModel | None,
    false_rate: float | None,
    confirmation: Confirmation | None,
    stride: int = 1,
) -> Iterator[tuple[Any, Prediction]]:
    """The predictions of one sequence behind the stages that are there.

    Calibration and confirmation see the scene once, together; a verifier aligns frames for itself.

    Args:
        items: frames, as of `Predictor.stream_with`.
        predict: the network's predictions of them.
        threshold: that the scores are used at, or from which calibration goes out.
        verifier: as of `Predictor`.
        false_rate: likewise.
        confirmation: likewise.
        stride: frames of the footage from one number to the next.
    """
    if verifier is not None:
        predict = partial(verify_stream, verifier, threshold, predict=predict)
    if false_rate is None and confirmation is None:
        return predict(items)
    watched = watch_scene(items, predict)
    if false_rate is not None:
        watched = calibrate_stream(false_rate, threshold, watched)
    if confirmation is not None:
        return confirm_stream(confirmation, watched, stride)
    return ((companion, prediction) for companion, _, prediction in watched)
