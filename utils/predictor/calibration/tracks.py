"""Which candidates are one thing seen again, and which of these move as targets do.

Candidates are followed in the scene's own coordinates, where what stands still in the scene stands still, by the
nearest neighbour of where a track goes on to. What moves steadily in the scene, and not with the sensor's pixels, is a
target; what stands still in either is clutter or a bad pixel; what is not seen again is noise.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from utils.predictor.tracking.kinematics import BAD_PIXEL_SCATTER, scatter_of, steady_motion

NEW_GATE = 4.0  # pixels within which a track that is new is looked for in the next frame
GATE = 2.5  # pixels around where a track is expected within which it goes on
KNOWN_POINTS = 3  # candidates of a track from which on its velocity is known
VELOCITY_POINTS = 4  # the last ones, which it is taken from
MAX_GAP = 2  # frames without a candidate after which a track still goes on
FIT_POINTS = 12  # last candidates of a track whose motion is fitted
LEAST_POINTS = 5  # candidates of a track below which nothing is said about its motion
LEAST_SHARE = 0.6  # of the frames between the first and the last of these that have one
LEAST_WAY = 2.0  # pixels that a target moves from the first to the last
WAY_OVER_SCATTER = 3.0  # how often its scatter about a steady motion this is
MAX_SCATTER = 1.0  # pixels (rms)


def _points() -> deque:
    return deque(maxlen=FIT_POINTS)


@dataclass(eq=False)
class Track:
    """Candidates that are taken for one thing, the last `FIT_POINTS` of `count`.

    `frames` are their numbers, `scene` and `sensor` their positions there, x, y in pixels; once it `moves` as a target
    does, it is one for good.
    """

    id: int
    frames: deque[int] = field(default_factory=_points)
    scene: deque[np.ndarray] = field(default_factory=_points)
    sensor: deque[np.ndarray] = field(default_factory=_points)
    count: int = 0
    moves: bool = False

    def add(self, frame: int, scene: np.ndarray, sensor: np.ndarray) -> None:
        """Go on."""
        self.frames.append(frame)
        self.scene.append(scene)
        self.sensor.append(sensor)
        self.count += 1
        self.moves = self.moves or self._is_moving()

    def expected(self, frame: int) -> np.ndarray:
        """Where it is to be looked for in the scene."""
        last = self.scene[-1]
        if self.count < KNOWN_POINTS:
            return last
        first = max(-len(self.frames), -VELOCITY_POINTS)
        velocity = (last - self.scene[first]) / (self.frames[-1] - self.frames[first])
        return last + velocity * (frame - self.frames[-1])

    def _is_moving(self) -> bool:
        frames = np.array(self.frames, float)
        span = frames[-1] - frames[0]
        if len(frames) < LEAST_POINTS or len(frames) < LEAST_SHARE * (span + 1):
            return False
        if scatter_of(self.sensor) < BAD_PIXEL_SCATTER:
            return False
        velocity, scatter = steady_motion(self.frames, self.scene)
        way = float(np.hypot(*velocity)) * span
        return way >= max(LEAST_WAY, WAY_OVER_SCATTER * scatter) and scatter <= MAX_SCATTER


class CandidateTracks:
    """Follows the candidates of a source."""

    def __init__(self) -> None:
        self._alive: list[Track] = []
        self._offset = np.zeros(2)
        self._started = 0

    def end(self) -> None:
        """What comes now is another scene: nothing goes on."""
        self._alive = []

    def add(self, frame: int, points: np.ndarray, shift: np.ndarray) -> list[Track]:
        """Take in the candidates of the next frame.

        Args:
            frame: its number, above the last one's.
            points: `(N, 2)` x, y of its candidates.
            shift: `(2,)` x, y by which the scene has moved since the last frame.

        Returns:
            The track of each candidate, its own where it goes on from none.
        """
        self._offset = self._offset + shift
        self._alive = [track for track in self._alive if frame - track.frames[-1] <= MAX_GAP + 1]
        scene = points - self._offset
        found = []
        for track, place, point in zip(self._partners(frame, scene), scene, points, strict=True):
            if track is None:
                track = Track(self._started)
                self._started += 1
                self._alive.append(track)
            track.add(frame, place, point)
            found.append(track)
        return found

    def _partners(self, frame: int, scene: np.ndarray) -> list[Track | None]:
        """The track that goes on with each place `(N, 2)`: the nearest first, long tracks before all others."""
        partners: list[Track | None] = [None] * len(scene)
        if not self._alive or not len(scene):
            return partners
        expected = np.array([track.expected(frame) for track in self._alive])
        counts = np.array([track.count for track in self._alive])
        distance = np.hypot(*(scene[:, None] - expected[None]).transpose(2, 0, 1))
        near = distance <= np.where(counts < KNOWN_POINTS, NEW_GATE, GATE)
        point, index = np.nonzero(near)
        taken: set[int] = set()
        for k in np.lexsort((distance[near], -np.minimum(counts[index], LEAST_POINTS))):
            if partners[point[k]] is None and index[k] not in taken:
                partners[point[k]] = self._alive[index[k]]
                taken.add(index[k])
        return partners
