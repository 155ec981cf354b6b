"""Predictions of a stream that hold only what was confirmed: what was found again and again as one target is."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from utils.images.components import label
from utils.predictor.prediction import Prediction, TrackPoint, from_boxes, from_probability, suppress_for_pictures
from utils.predictor.stages.scene import SceneStep
from utils.predictor.tracking.tracker import Confirmation, Tracker
from utils.system.errors import UserError


@dataclass(eq=False)
class _Waiting:
    """A frame that may still be found to hold a target: what came with it, its prediction, and its tracks so far."""

    companion: Any
    prediction: Prediction
    tracks: list[TrackPoint]

    def confirmed(self) -> tuple[Any, Prediction]:
        return self.companion, keep_tracks(self.prediction, self.tracks)


def confirm_stream(
    rule: Confirmation, watched: Iterable[tuple[Any, SceneStep, Prediction]], stride: int = 1
) -> Iterator[tuple[Any, Prediction]]:
    """The predictions of one sequence with what the rule confirms, and its tracks.

    A frame's prediction comes with the frame, or where the rule looks back N-1 frames later; no more frames wait. Those
    that do when a frame cannot be read, or somebody interrupts while one is read or predicted, still come first; those
    that wait while results are drawn or written when somebody interrupts are lost.

    Args:
        rule: see there.
        watched: as of `utils.predictor.stages.scene.watch_scene`.
        stride: frames of the footage from one number to the next: targets move the farther.
    """
    tracker = Tracker(rule, stride=stride)
    waiting: deque[_Waiting] = deque()
    ended: BaseException | None = None
    try:
        for companion, step, prediction in watched:
            if step.cut:
                while waiting:
                    yield waiting.popleft().confirmed()
                tracker.cut()
            tracks = tracker.update(prediction.number, prediction.components, step.shift, step.repeat)
            if rule.back:
                for one in waiting:
                    one.tracks += [point for point in tracker.earlier if point.frame == one.prediction.number]
            waiting.append(_Waiting(companion, prediction, tracks))
            if len(waiting) > rule.delay:
                yield waiting.popleft().confirmed()
    except (UserError, KeyboardInterrupt) as error:
        ended = error
    while waiting:
        yield waiting.popleft().confirmed()
    if ended is not None:
        raise ended


def keep_tracks(prediction: Prediction, tracks: Iterable[TrackPoint]) -> Prediction:
    """A prediction with those of its components alone that belong to tracks, with their scores, and these tracks.

    Pixels and boxes beside these components have score 0, also those below the threshold.

    Args:
        prediction: of the frame.
        tracks: whose detections are indices of its components.
    """
    tracks = sorted(tracks, key=lambda one: one.id)
    kept = sorted(one.detection for one in tracks)
    if prediction.boxes is None:
        parts = label(prediction.mask)
        pixels = parts.pixel[np.isin(parts.owner, kept)]
        probability = np.zeros_like(prediction.probability)
        probability.flat[pixels] = prediction.probability.flat[pixels]
        found = from_probability(prediction.number, probability, prediction.threshold)
    else:
        shown = suppress_for_pictures(prediction.boxes)[: len(prediction.components)]  # these are the surest of them
        found = from_boxes(prediction.number, shown[kept], prediction.mask.shape, prediction.threshold)
    points = tuple(replace(one, detection=kept.index(one.detection)) for one in tracks)
    return replace(found, expected_false=prediction.expected_false, shift=prediction.shift, tracks=points)
