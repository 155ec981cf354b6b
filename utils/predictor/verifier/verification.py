"""The second stage over a sequence: every frame's candidates, their scores, and the prediction that they make."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from utils.images.boxes import cut
from utils.predictor.prediction import Prediction, from_boxes, from_probability
from utils.predictor.stages.scene import Items, Predictions, predict_beside
from utils.predictor.verifier.candidates import (
    Candidates,
    answers_of_boxes,
    answers_of_map,
    logits_at_centres,
    logits_of,
    propose,
    stand_alone,
)
from utils.predictor.verifier.features import describe
from utils.predictor.verifier.maps import ContrastMaps, FrameHistory
from utils.predictor.verifier.model import VerifierModel
from utils.predictor.verifier.supports import paint, rescore


@dataclass(frozen=True, eq=False)
class Described:
    """A frame's candidates with their features (N, F), and the maps that they are of."""

    candidates: Candidates
    features: np.ndarray
    maps: ContrastMaps


class CandidateStream:
    """The candidates of one sequence, frame by frame; it keeps as many frames as the longest lag needs."""

    def __init__(self) -> None:
        self.history = FrameHistory()

    def see(self, number: int, frame: np.ndarray, prediction: Prediction) -> Described:
        """The next frame (H, W), its number, which exceeds the one before, and what the network finds in it."""
        maps = self.history.see(number, frame)
        if prediction.boxes is None:
            logits = logits_of(prediction.probability)
            answers = answers_of_map(logits)
        else:
            answers = answers_of_boxes(prediction.boxes, frame.shape)
            logits = logits_at_centres(prediction.boxes, answers, frame.shape)
        candidates = propose(maps, answers, np.arange(len(answers)))
        return Described(candidates, describe(candidates, maps, logits), maps)


class VerifiedStream:
    """One sequence's predictions with the scores of a verifier.

    Args:
        model: of the verifier.
        threshold: at which its scores count.
    """

    def __init__(self, model: VerifierModel, threshold: float) -> None:
        self.model, self.threshold = model, threshold
        self.stream = CandidateStream()

    def verify(self, number: int, frame: np.ndarray, prediction: Prediction) -> Prediction:
        """The prediction of a frame with the candidates' scores; arguments as of `CandidateStream.see`."""
        seen = self.stream.see(number, frame, prediction)
        scores = self.model(seen.features)
        scores = np.where(stand_alone(seen.candidates.place, scores), scores, np.float32(0))
        if prediction.boxes is None:
            own = self.model.network_threshold
            probability = paint(seen.candidates, scores, seen.maps, prediction.probability, own)
            return replace(from_probability(prediction.number, probability, self.threshold), shift=prediction.shift)
        boxes = rescore(seen.candidates, scores, seen.maps, prediction.boxes, self.model.box_side)
        boxes = cut(boxes, frame.shape).astype(np.float32)
        return replace(from_boxes(prediction.number, boxes, frame.shape, self.threshold), shift=prediction.shift)


def verify_stream(
    model: VerifierModel,
    threshold: float,
    items: Items,
    predict: Callable[[Items], Predictions],
) -> Iterator[tuple[Any, Prediction]]:
    """One sequence's predictions by the network, each with the scores of a verifier.

    Args:
        model: of the verifier.
        threshold: of its scores.
        items: `(number, frame, companion)`, as of `Predictor.stream_with`.
        predict: what the network makes of them, in order; it may read ahead.
    """
    stream = VerifiedStream(model, threshold)
    for number, frame, companion, prediction in predict_beside(items, predict):
        yield companion, stream.verify(number, frame, prediction)


def verify_clips(
    model: VerifierModel, threshold: float, clips: np.ndarray, predictions: Sequence[Prediction]
) -> list[Prediction]:
    """The predictions for key frames of clips (B, T, H, W), each with scores that look back as far as its clip does."""
    result = []
    for clip, prediction in zip(clips, predictions, strict=True):
        stream = VerifiedStream(model, threshold)
        for number, frame in enumerate(clip[:-1]):
            stream.stream.history.see(number, frame)
        result.append(stream.verify(len(clip) - 1, clip[-1], prediction))
    return result
