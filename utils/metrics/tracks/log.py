"""The tracks of what a method finds, frame by frame, beside the true ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from utils.datasets.frame_table import Frame
from utils.images.boxes import centre_distances
from utils.metrics.detection import exceeds, lie_inside
from utils.metrics.tracks.counts import count_tracks
from utils.metrics.tracks.rules import TrackedFrame, TrackRules
from utils.metrics.tracks.truth import TrueTracks, require_ids_once, true_tracks
from utils.metrics.truth import ignored_pixels, true_boxes
from utils.predictor.prediction import Prediction, TrackPoint, box_component, leave_out, suppress_for_pictures
from utils.predictor.tracking.tracker import Tracker


@dataclass(eq=False)
class _Sequence:
    """The frames of a sequence; in each the true boxes `(G, 5)`, and those of the tracks `(P, 4)` with their ids."""

    tracker: Tracker
    frames: list[Frame] = field(default_factory=list)
    true: list[np.ndarray] = field(default_factory=list)
    boxes: list[np.ndarray] = field(default_factory=list)
    ids: list[np.ndarray] = field(default_factory=list)


class TrackLog:
    """Follows what is found in each sequence as `vid_predict.py` does, and takes note of all tracks.

    Args:
        rules: by which they are compared with the true ones.
        threshold: of the score, which boxes that are followed exceed; predictions have one of their own.
    """

    def __init__(self, rules: TrackRules, threshold: float = 0.5) -> None:
        self.rules, self.threshold = rules, threshold
        self.sequences: dict[str, _Sequence] = {}

    def add_prediction(self, frame: Frame, prediction: Prediction) -> None:
        """Look at one frame, of each sequence one after the other.

        Args:
            frame: of the dataset; what is true are its boxes, or those of its mask.
            prediction: of this frame.

        Raises:
            UserError: an id stands twice among the labels.
        """
        shape = prediction.mask.shape
        ignored = ignored_pixels(frame, shape)
        seen = leave_out(prediction, *ignored) if ignored else prediction
        regions = np.array(frame.ignored, np.float64).reshape(-1, 5)
        points = self._tracker(frame).follow(frame.number, seen)
        self._add(frame, points, true_boxes(frame, shape), regions)

    def __call__(
        self, frame: Frame, image: np.ndarray, found: np.ndarray, true: np.ndarray, ignored: np.ndarray
    ) -> None:
        """Look at one frame where boxes are all there is, likewise.

        Args:
            frame: of the dataset.
            image: `(H, W)`.
            found: detections `(N, 6)`, the surest first, as of `DetectionMetrics.update`.
            true: the true boxes `(G, 5)`, likewise.
            ignored: regions to ignore `(R, 5)`, likewise.

        Raises:
            UserError: as there.
        """
        shown = suppress_for_pictures(found[exceeds(found[:, 4], self.threshold)])
        points = self._tracker(frame).update(frame.number, [box_component(box, box[4]) for box in shown])
        self._add(frame, points, true, ignored)

    def _tracker(self, frame: Frame) -> Tracker:
        """That of the frame's sequence."""
        return self.sequences.setdefault(frame.sequence, _Sequence(Tracker())).tracker

    def _add(self, frame: Frame, points: Sequence[TrackPoint], true: np.ndarray, ignored: np.ndarray) -> None:
        """Take note of the tracks; a box that hits no target and lies in a region to ignore is left out."""
        require_ids_once(frame)
        sequence = self.sequences[frame.sequence]
        boxes = np.array([_corners(point) for point in points]).reshape(-1, 4)
        kept = (centre_distances(boxes, true) <= self.rules.distance).any(1) | ~lie_inside(boxes, ignored)
        sequence.frames.append(frame)
        sequence.true.append(true)
        sequence.boxes.append(boxes[kept])
        sequence.ids.append(np.array([point.id for point in points], np.int64)[kept])

    def true_tracks(self) -> dict[str, TrueTracks]:
        """The true tracks of every sequence seen so far."""
        return {name: true_tracks(own.frames, own.true) for name, own in self.sequences.items()}

    def counts(self, truth: Mapping[str, TrueTracks]) -> dict[str, dict[str, Any]]:
        """What is counted of every sequence, as of `count_tracks`, where these are the true tracks."""
        result = {}
        for name, own in self.sequences.items():
            near = [self.rules.similarity(*boxes) for boxes in zip(own.true, own.boxes, strict=True)]
            frames = map(TrackedFrame, truth[name].ids, own.ids, near)
            result[name] = count_tracks(list(frames), self.rules)
        return result


def _corners(point: TrackPoint) -> tuple[float, float, float, float]:
    """x1, y1, x2, y2."""
    return point.x, point.y, point.x + point.w, point.y + point.h
