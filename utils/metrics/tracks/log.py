"""The tracks of what a method finds, frame by frame, beside the true ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from utils.datasets.frame_table import Frame
from utils.images.boxes import centre_distances
from utils.metrics.bootstrap import DRAWS, SEED, Intervals, draw_sequences, intervals
from utils.metrics.detection import exceeds, lie_inside
from utils.metrics.tracks.counts import TRACK_FIGURES, count_tracks, track_figures
from utils.metrics.tracks.rules import TrackedFrame, TrackRules
from utils.metrics.tracks.truth import TrueTracks, true_tracks
from utils.predictor.prediction import box_component, suppress_for_pictures
from utils.predictor.tracking.tracker import Tracker, TrackPoint


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
        threshold: of the score, which what is followed exceeds.
    """

    def __init__(self, rules: TrackRules, threshold: float) -> None:
        self.rules, self.threshold = rules, threshold
        self.sequences: dict[str, _Sequence] = {}

    def __call__(
        self, frame: Frame, image: np.ndarray, found: np.ndarray, true: np.ndarray, ignored: np.ndarray
    ) -> None:
        """Look at one frame, of each sequence one after the other.

        Args:
            frame: of the dataset.
            image: `(H, W)`.
            found: detections `(N, 6)`, the surest first, as of `DetectionMetrics.update`.
            true: the true boxes `(G, 5)`, likewise.
            ignored: regions to ignore `(R, 5)`, likewise; a track's box that hits no target and lies in one is left
                out.
        """
        sequence = self.sequences.setdefault(frame.sequence, _Sequence(Tracker()))
        shown = suppress_for_pictures(found[exceeds(found[:, 4], self.threshold)])
        points = sequence.tracker.update(frame.number, [box_component(box, box[4]) for box in shown])
        boxes = np.array([_corners(point) for point in points]).reshape(-1, 4)
        kept = (centre_distances(boxes, true) <= self.rules.distance).any(1) | ~lie_inside(boxes, ignored)
        sequence.frames.append(frame)
        sequence.true.append(true)
        sequence.boxes.append(boxes[kept])
        sequence.ids.append(np.array([point.id for point in points], np.int64)[kept])

    def true_tracks(self) -> dict[str, TrueTracks]:
        """The true tracks of every sequence seen so far.

        Raises:
            UserError: a label's id stands twice in a frame.
        """
        return {name: true_tracks(sequence.frames, sequence.true) for name, sequence in self.sequences.items()}

    def counts(self) -> dict[str, dict[str, Any]]:
        """What is counted of every sequence seen so far, as of `count_tracks`.

        Raises:
            UserError: as of `true_tracks`.
        """
        result = {}
        for name, truth in self.true_tracks().items():
            own = self.sequences[name]
            result[name] = count_tracks(
                [
                    TrackedFrame(*ids, self.rules.similarity(*boxes))
                    for *ids, boxes in zip(truth.ids, own.ids, zip(own.true, own.boxes, strict=True), strict=True)
                ],
                self.rules,
            )
        return result


def track_intervals(
    parts: Sequence[dict[str, Any]], rules: TrackRules, draws: int = DRAWS, seed: int = SEED
) -> Intervals:
    """95 % intervals of `TRACK_FIGURES` over sequences (`utils.metrics.bootstrap`), from the counts of each.

    NaN with fewer than two sequences.
    """
    if len(parts) < 2:
        return dict.fromkeys(TRACK_FIGURES, (float("nan"), float("nan")))
    drawn = draw_sequences(len(parts), draws, seed).astype(np.float64)
    sums = {name: np.tensordot(drawn, np.array([part[name] for part in parts], np.float64), 1) for name in parts[0]}
    return intervals(track_figures(sums, rules))


def _corners(point: TrackPoint) -> tuple[float, float, float, float]:
    """x1, y1, x2, y2."""
    return point.x, point.y, point.x + point.w, point.y + point.h
