"""Targets followed from frame to frame: linear assignment to Kalman filters of constant velocity.

The filter is that of A. Bewley et al., "Simple online and realtime tracking", ICIP 2016, on centres instead of boxes:
targets of a few pixels hardly ever overlap their last box.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low

import numpy as np

from utils.predictor.prediction import Component
from utils.system.packages.late import optimize

GATE = 9.21  # squared Mahalanobis distance that 99 % of a target's own detections keep to (chi², 2 degrees of freedom)
SMOOTHING = 0.3  # share of the newest width and height
REMEMBERED_STEPS = 15  # steps from frame to frame whose median is the usual one


@dataclass(frozen=True, slots=True)
class TrackPoint:
    """A detection that belongs to track `id`.

    `x, y` are the box's left upper corner, all in pixels of the frame; `speed` is in pixels a frame; `detection` is its
    index among what was found in that frame.
    """

    id: int
    frame: int
    x: float
    y: float
    w: float
    h: float
    score: float
    speed: float
    detection: int = -1


class _Track:
    """State (x, y, vx, vy) of one target, its covariance and its size."""

    def __init__(self, found: Component, frame: int, noise: float, fastest: float) -> None:
        self.state = np.array([*_centre(found), 0.0, 0.0])
        self.covariance = np.diag([noise**2, noise**2, (fastest / 2) ** 2, (fastest / 2) ** 2])
        self.size = _size(found)
        self.frame, self.id = frame, 0
        self.hits: list[tuple[int, Component]] = [(frame, found)]

    def predict(self, frame: int, agility: float) -> None:
        """Move on to `frame`; `agility` is the acceleration's standard deviation in pixels a frame²."""
        step = frame - self.frame
        move = np.eye(4)
        move[0, 2] = move[1, 3] = step
        push = np.array([[step**2 / 2, 0], [0, step**2 / 2], [step, 0], [0, step]]) * agility
        self.state = move @ self.state
        self.covariance = move @ self.covariance @ move.T + push @ push.T
        self.frame = frame

    def distances(self, centres: np.ndarray, noise: float) -> np.ndarray:
        """Squared Mahalanobis distances to centres (N, 2)."""
        inverse = np.linalg.inv(self.covariance[:2, :2] + noise**2 * np.eye(2))
        apart = centres - self.state[:2]
        return np.einsum("ni,ij,nj->n", apart, inverse, apart)

    def update(self, found: Component, noise: float) -> None:
        gain = self.covariance[:, :2] @ np.linalg.inv(self.covariance[:2, :2] + noise**2 * np.eye(2))
        self.state = self.state + gain @ (np.array(_centre(found)) - self.state[:2])
        self.covariance = self.covariance - gain @ self.covariance[:2]
        self.size = (1 - SMOOTHING) * self.size + SMOOTHING * _size(found)
        self.hits.append((self.frame, found))

    def row(self, detection: int) -> TrackPoint:
        (x, y, *velocity), (w, h) = self.state, self.size
        return TrackPoint(
            self.id,
            self.frame,
            x - w / 2,
            y - h / 2,
            w,
            h,
            self.hits[-1][1].score,
            float(np.hypot(*velocity)),
            detection,
        )


def _centre(found: Component) -> tuple[float, float]:
    return (found.box[0] + found.box[2]) / 2, (found.box[1] + found.box[3]) / 2


def _size(found: Component) -> np.ndarray:
    return np.array([found.box[2] - found.box[0], found.box[3] - found.box[1]], float)


class Tracker:
    """Gives the targets found in one frame after another the ids of their tracks.

    Args:
        confirm: frames with a detection before a track counts; those before that are not reported.
        patience: frames that were looked at without a detection after which a track ends. Where numbers ascend by more
            than 1, as of every 8th frame or of a live source, the usual step counts as one.
        noise: standard deviation of a detection's centre, in pixels.
        agility: of the acceleration, in pixels a frame².
        fastest: pixels a frame that a new target may move.
    """

    def __init__(
        self, confirm: int = 3, patience: int = 5, noise: float = 1.0, agility: float = 0.5, fastest: float = 6.0
    ) -> None:
        self.confirm, self.patience, self.noise = confirm, patience, noise
        self.agility, self.fastest = agility, fastest
        self.tracks: list[_Track] = []
        self.steps: deque[int] = deque(maxlen=REMEMBERED_STEPS)  # of the frames' numbers
        self.last: int | None = None
        self.count = 0

    def update(self, frame: int, found: Sequence[Component]) -> list[TrackPoint]:
        """Take in what was found in `frame`, a number that ascends from call to call.

        Returns:
            The confirmed tracks with a detection in this frame, by id.
        """
        if self.last is not None:
            self.steps.append(frame - self.last)
        self.last = frame
        longest = self.patience * median_low(self.steps) if self.steps else 0
        self.tracks = [track for track in self.tracks if frame - track.hits[-1][0] <= longest]
        for track in self.tracks:
            track.predict(frame, self.agility)
        seen: list[tuple[_Track, int]] = []
        for track, index in self._assign(found):
            track.update(found[index], self.noise)
            seen.append((track, index))
        taken = {index for _, index in seen}
        # a target that was seen too seldom to count, and is lost, was no target
        self.tracks = [track for track in self.tracks if track.id or any(track is one for one, _ in seen)]
        fresh = [
            (_Track(one, frame, self.noise, self.fastest), index)
            for index, one in enumerate(found)
            if index not in taken
        ]
        self.tracks += [track for track, _ in fresh]
        for track, _ in seen + fresh:
            if not track.id and len(track.hits) >= self.confirm:
                self.count += 1
                track.id = self.count
        return sorted((track.row(index) for track, index in seen + fresh if track.id), key=lambda row: row.id)

    def _assign(self, found: Sequence[Component]) -> list[tuple[_Track, int]]:
        """Tracks and indices of detections, one to one, whose distances add up to the least."""
        if not self.tracks or not found:
            return []
        centres = np.array([_centre(one) for one in found])
        cost = np.stack([track.distances(centres, self.noise) for track in self.tracks])
        far = cost > GATE
        rows, columns = optimize.linear_sum_assignment(np.where(far, 1e6, cost))
        return [
            (self.tracks[row], int(column)) for row, column in zip(rows, columns, strict=True) if not far[row, column]
        ]
