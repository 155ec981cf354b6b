"""Targets followed from frame to frame: linear assignment to Kalman filters of constant velocity.

The filter is that of A. Bewley et al., "Simple online and realtime tracking", ICIP 2016, on centres instead of boxes:
targets of a few pixels hardly ever overlap their last box. It works in the scene's own coordinates, so that a camera
that pans moves nothing.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median_low

import numpy as np

from utils.predictor.prediction import Component, Prediction, TrackPoint
from utils.predictor.tracking.kinematics import is_held, steady_motion
from utils.system.packages.late import optimize, spatial

GATE = 9.21  # squared Mahalanobis distance that 99 % of a target's own detections keep to (chi², 2 degrees of freedom)
FAR = 1e6  # what stands for the distance of those that cannot belong together
SMOOTHING = 0.3  # share of the newest width and height
REMEMBERED_STEPS = 15  # steps from frame to frame whose median is the usual one
REMEMBERED_HITS = 12  # last detections, at least, by which a bad pixel is told
MAX_SCATTER = 1.0  # pixels (rms) about a steady motion, of what is confirmed, and so much more
SCATTER_SHARE = 0.25  # of its longer side: the middle of large targets is less certain


class FrameSteps:
    """The last steps from frame to frame, in frames, and the usual one: their median."""

    def __init__(self) -> None:
        self._last: deque[int] = deque(maxlen=REMEMBERED_STEPS)

    def add(self, step: int) -> None:
        """Take up the newest one."""
        self._last.append(step)

    @property
    def usual(self) -> int:
        """1 as long as there is none."""
        return median_low(self._last) if self._last else 1


@dataclass(frozen=True)
class Confirmation:
    """What is reported: what was found in at least `hits` of `frames` consecutive frames, M of N, as one target is.

    That is: in the scene's coordinates each detection lies where the ones before let it be expected, all of the M
    scatter little about a steady motion, or about one place, and the sensor does not hold it while the scene moves on.

    Args:
        hits: M, at least 2: one detection confirms nothing.
        frames: N, at least M.
        back: its detections in the last N frames are reported too, which come N-1 frames late; else a track is
            reported from the detection on that confirms it.

    Raises:
        ValueError: M or N is less than that.
    """

    hits: int = 3
    frames: int = 3
    back: bool = False

    def __post_init__(self) -> None:
        if not 2 <= self.hits <= self.frames:
            raise ValueError(
                f"found {self.hits} of {self.frames} frames, expected M of N such as 3 of 5, M at least 2, N at least M"
            )

    @property
    def delay(self) -> int:
        """Frames by which every frame's results come late."""
        return self.frames - 1 if self.back else 0

    def __str__(self) -> str:
        rule = f"confirmed by {self.hits} of {self.frames} frames"
        if self.back:
            return f"{rule}, looking back: every frame's results come {self.delay} frames late"
        late = f"{self.hits - 1} to {self.frames - 1}" if self.hits < self.frames else f"{self.frames - 1}"
        return f"{rule}: a track is reported {late} frames after it was first seen, what came before is not"


CONSECUTIVE = Confirmation()


@dataclass(frozen=True)
class _Hit:
    """A detection of a track: when, where in the scene and on the sensor, and how far the scene had moved."""

    time: int
    scene: np.ndarray
    sensor: np.ndarray
    offset: np.ndarray


class _Track:
    """Place and velocity of one target in the scene, their covariance, its size, and its last detections.

    x and y are alike and know nothing of each other, so that three numbers are the covariance of both: the variance of
    the place, that of the velocity, and what they have in common.
    """

    def __init__(self, found: Component, hit: _Hit, noise: float, fastest: float, kept: int) -> None:
        (self.x, self.y), self.vx, self.vy = hit.scene.tolist(), 0.0, 0.0
        self.variance, self.common, self.velocity_variance = noise**2, 0.0, (fastest / 2) ** 2
        self.size, self.score = _size(found), found.score
        self.time, self.id = hit.time, 0
        self.hits: deque[_Hit] = deque([hit], maxlen=max(kept, REMEMBERED_HITS))
        self.points: deque[tuple[int, TrackPoint]] = deque(maxlen=kept)  # with their times
        self.held = False  # by the sensor

    def predict(self, time: int, agility: float) -> None:
        """Move on to `time`; `agility` is the acceleration's standard deviation in pixels a frame²."""
        step = time - self.time
        self.x, self.y = self.x + step * self.vx, self.y + step * self.vy
        self.variance += step * (2 * self.common + step * self.velocity_variance) + (agility * step**2 / 2) ** 2
        self.common += step * self.velocity_variance + agility**2 * step**3 / 2
        self.velocity_variance += (agility * step) ** 2
        self.time = time

    def update(self, found: Component, hit: _Hit, noise: float) -> None:
        whole = self.variance + noise**2
        place_gain, velocity_gain = self.variance / whole, self.common / whole
        x, y = hit.scene.tolist()
        apart_x, apart_y = x - self.x, y - self.y
        self.x, self.y = self.x + place_gain * apart_x, self.y + place_gain * apart_y
        self.vx, self.vy = self.vx + velocity_gain * apart_x, self.vy + velocity_gain * apart_y
        self.velocity_variance -= velocity_gain * self.common
        self.common -= place_gain * self.common
        self.variance -= place_gain * self.variance
        self.size = (1 - SMOOTHING) * self.size + SMOOTHING * _size(found)
        self.score = found.score
        self.hits.append(hit)

    def look_at_sensor(self) -> None:
        """Tell whether the sensor holds it, once a detection came."""
        self.held = is_held([one.sensor for one in self.hits], [one.offset for one in self.hits], self.held)

    def meets(self, hits: int, since: float) -> bool:
        """Whether at least so many detections came after `since`, and scatter little about a steady motion."""
        late = [one for one in self.hits if one.time > since]
        if len(late) < hits or self.held:
            return False
        if len(late) < 3:
            return True  # two places always make a steady motion
        _, scatter = steady_motion([one.time for one in late], [one.scene for one in late])
        return scatter <= MAX_SCATTER + SCATTER_SHARE * float(self.size.max())

    def point(self, frame: int, detection: int, offset: np.ndarray, stride: int) -> TrackPoint:
        """Its row for a frame to which the scene has moved by `offset`, with the index of its detection there."""
        (w, h), (right, down) = self.size.tolist(), offset.tolist()
        x, y = self.x + right - w / 2, self.y + down - h / 2
        return TrackPoint(self.id, frame, x, y, w, h, self.score, stride * math.hypot(self.vx, self.vy), detection)


def _centre(found: Component) -> np.ndarray:
    return np.array([(found.box[0] + found.box[2]) / 2, (found.box[1] + found.box[3]) / 2])


def _size(found: Component) -> np.ndarray:
    return np.array([found.box[2] - found.box[0], found.box[3] - found.box[1]], float)


class Tracker:
    """Gives the targets found in one frame after another the ids of their tracks.

    Args:
        rule: what a track takes before it counts; missing numbers count as frames without a detection. None: three
            detections in a row, and what the sensor holds counts too.
        patience: frames that were looked at without a detection after which a track ends. Where numbers ascend by more
            than 1, as of every 8th frame or of a live source, the usual step counts as one.
        noise: standard deviation of a detection's centre, in pixels.
        agility: of the acceleration, in pixels a frame².
        fastest: pixels a frame that a new target may move.
        stride: frames from one number to the next; speeds are in pixels a number.

    `earlier` are, after an update, the points in earlier frames of the tracks that have begun to count in it, of the
    last N frames.
    """

    def __init__(
        self,
        rule: Confirmation | None = None,
        patience: int = 5,
        noise: float = 1.0,
        agility: float = 0.5,
        fastest: float = 6.0,
        stride: int = 1,
    ) -> None:
        self.rule, self.refuses_held = rule or CONSECUTIVE, rule is not None
        self.patience, self.noise = patience, noise
        self.agility, self.fastest, self.stride = agility, fastest, stride
        self.tracks: list[_Track] = []
        self.steps = FrameSteps()  # from call to call
        self.last: int | None = None
        self.time = 0  # in frames; those that repeat another take none
        self.offset = np.zeros(2)
        self.count = 0
        self.earlier: list[TrackPoint] = []

    def cut(self) -> None:
        """What comes now is another scene: no track goes on."""
        self.tracks = []

    def follow(self, frame: int, prediction: Prediction) -> list[TrackPoint]:
        """The tracks in `frame`: those that its prediction was confirmed by, else what `update` gives for it."""
        if prediction.tracks is not None:
            return list(prediction.tracks)
        return self.update(frame, prediction.components, prediction.shift or (0.0, 0.0))

    def update(
        self, frame: int, found: Sequence[Component], shift: Sequence[float] = (0.0, 0.0), repeat: bool = False
    ) -> list[TrackPoint]:
        """Take in what was found in `frame`, a number that ascends from call to call.

        Args:
            frame: see above.
            found: its components.
            shift: x, y in pixels by which the scene has moved since the last call.
            repeat: the frame repeats the one before: it confirms nothing, and takes no time.

        Returns:
            The confirmed tracks with a detection in this frame, by id.
        """
        if self.last is not None and not repeat:
            step = (frame - self.last) * self.stride
            self.steps.add(step)
            self.time += step
        self.last, self.earlier, self.offset = frame, [], self.offset + shift
        usual = self.steps.usual
        self.tracks = [one for one in self.tracks if self._goes_on(one, usual)]
        for track in self.tracks:
            track.predict(self.time, self.agility)
        seen = self._assign(found)
        if not repeat:
            seen = self._take_in(found, seen)
        return self._report(frame, seen, self.time - self.rule.frames * usual)

    def _goes_on(self, track: _Track, usual: int) -> bool:
        """Whether a track may be seen again now; a target that was missed too often to be confirmed was none."""
        lost = self.time - track.hits[-1].time
        if track.id:
            return lost <= self.patience * usual
        return lost < (self.rule.frames - self.rule.hits + 2) * usual

    def _take_in(self, found: Sequence[Component], seen: list[tuple[_Track, int]]) -> list[tuple[_Track, int]]:
        """Update the tracks that were seen, and begin one of everything else; all of them with their detections."""
        places = [_centre(one) for one in found]
        hits = [_Hit(self.time, place - self.offset, place, self.offset) for place in places]
        for track, index in seen:
            track.update(found[index], hits[index], self.noise)
            if self.refuses_held:
                track.look_at_sensor()
        taken = {index for _, index in seen}
        fresh = [
            (_Track(one, hits[index], self.noise, self.fastest, self.rule.frames), index)
            for index, one in enumerate(found)
            if index not in taken
        ]
        self.tracks += [track for track, _ in fresh]
        return seen + fresh

    def _report(self, frame: int, seen: list[tuple[_Track, int]], since: float) -> list[TrackPoint]:
        """The points of what is confirmed, by id; of a new track only what came after the time `since` counts."""
        rows = []
        for track, index in seen:
            if not track.id and track.hits[-1].time == self.time and track.meets(self.rule.hits, since):
                self.count += 1
                track.id = self.count
                self.earlier += [replace(point, id=track.id) for time, point in track.points if time > since]
            point = track.point(frame, index, self.offset, self.stride)
            track.points.append((self.time, point))
            if track.id and not track.held:
                rows.append(point)
        return sorted(rows, key=lambda row: row.id)

    def _assign(self, found: Sequence[Component]) -> list[tuple[_Track, int]]:
        """Tracks and indices of detections, one to one, whose distances add up to the least."""
        if not self.tracks or not found:
            return []
        centres = np.array([_centre(one) for one in found]) - self.offset
        places = np.array([(track.x, track.y) for track in self.tracks])
        variance = np.array([track.variance for track in self.tracks]) + self.noise**2
        reach = np.sqrt(GATE * variance) * (1 + 1e-9)
        near = spatial.cKDTree(centres).query_ball_point(places, reach, return_sorted=True)
        row = np.repeat(np.arange(len(places)), [len(one) for one in near])
        column = np.concatenate([np.array(one, int) for one in near])
        cost = ((centres[column] - places[row]) ** 2).sum(1) / variance[row]
        row, column, cost = (part[cost <= GATE] for part in (row, column, cost))
        # most tracks and detections have but each other; only the others have to be weighed
        alone = (np.bincount(row)[row] == 1) & (np.bincount(column)[column] == 1)
        pairs = [*zip(row[alone].tolist(), column[alone].tolist(), strict=True)]
        rows, row = np.unique(row[~alone], return_inverse=True)
        columns, column = np.unique(column[~alone], return_inverse=True)
        weights = np.full((len(rows), len(columns)), FAR)
        weights[row, column] = cost[~alone]
        for i, j in zip(*optimize.linear_sum_assignment(weights), strict=True):
            if weights[i, j] < FAR:
                pairs.append((int(rows[i]), int(columns[j])))
        return [(self.tracks[i], j) for i, j in sorted(pairs)]
