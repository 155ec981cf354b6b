"""A threshold for every frame of a source, from the candidates of the frames up to it; no label, no network.

Most candidates are false, and targets are few. So the candidates of the last frames are the false ones, once those are
left out that belong to targets: what moves as they do (`utils.predictor.calibration.tracks`), the surest candidate that
is new, and where nothing sure moves one that hovers, if it is far above what all others have. The scores that are left
tell how many false ones a frame exceed a threshold (`utils.predictor.calibration.rates`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from utils.predictor.calibration.rates import FalseRates, Prior
from utils.predictor.calibration.tracks import LEAST_POINTS, CandidateTracks

HALF_LIFE = 50.0  # frames in which what was seen loses half its weight
KEPT_HALF_LIVES = 4  # after which it is dropped
MAX_KEPT_FRAMES = 10_000  # at most, so that memory is bounded
MAX_CANDIDATES = 32  # of a frame that are kept, the surest
HOVERING_CHANCE = 0.05  # things as sure as one that hovers, of those to be expected in the frames kept, at most


class Operating(NamedTuple):
    """A threshold, and the false components a frame that are expected above it."""

    threshold: float
    expected: float


class _Frame(NamedTuple):
    """Scores of its candidates, descending, and the numbers of their tracks, `(N,)` each."""

    scores: np.ndarray
    tracks: np.ndarray


class Calibrator:
    """Looks at the candidates of a source frame by frame, and says after each where to put the threshold.

    Args:
        rate: false components a frame that are asked for.
        threshold: the network's own, a logit, from which it goes out.
        half_life: frames in which what was seen loses half its weight; infinite: a whole recording counts alike.
    """

    def __init__(self, rate: float, threshold: float, half_life: float = HALF_LIFE) -> None:
        self.rate, self.half_life = rate, half_life
        self._prior = Prior(threshold, rate)
        self._kept = int(min(max(KEPT_HALF_LIVES * half_life, 1), MAX_KEPT_FRAMES))
        self.cut()

    def cut(self) -> None:
        """Begin anew: what comes now is another scene."""
        self._frames: deque[_Frame] = deque(maxlen=self._kept)
        self._tracks = CandidateTracks()
        self._moving: set[int] = set()
        self._new: list[int] = []
        self._count = 0

    def end_tracks(self) -> None:
        """What comes now is another scene, and counts together with what was."""
        self._tracks.end()

    def see(self, points: np.ndarray, scores: np.ndarray, shift: Sequence[float] = (0.0, 0.0)) -> None:
        """Take in the candidates of the next frame.

        Args:
            points: `(N, 2)` x, y in pixels of the frame.
            scores: `(N,)` logits, those far below any threshold included.
            shift: x, y in pixels by which the scene has moved since the frame before, where that is known.
        """
        surest = np.argsort(-scores, kind="stable")[:MAX_CANDIDATES]
        tracks = self._tracks.add(self._count, points[surest], np.asarray(shift, float))
        self._frames.append(_Frame(scores[surest], np.array([track.id for track in tracks], np.int64)))
        self._moving |= {track.id for track in tracks if track.moves}
        self._new = [track.id for track in tracks if track.count < LEAST_POINTS][:1]
        self._count += 1

    def threshold(self) -> Operating:
        """The lowest threshold, a logit, above which no more false components are expected than asked for."""
        rates, moving = self._split()
        threshold = rates.threshold_for(self.rate)
        if not (moving > threshold).any():
            rates = _without_hovering(rates)
            threshold = rates.threshold_for(self.rate)
        return Operating(threshold, rates.rate_above(threshold))

    def rates(self) -> FalseRates:
        """The false components a frame at any threshold, as seen so far; what hovers is among them."""
        return self._split()[0]

    def _split(self) -> tuple[FalseRates, np.ndarray]:
        """What is taken for false, and the scores of what moves."""
        weight = 0.5 ** (np.arange(len(self._frames))[::-1] / self.half_life)
        none = np.zeros(0)
        scores = np.concatenate([none, *(frame.scores for frame in self._frames)])
        tracks = np.concatenate([none.astype(np.int64), *(frame.tracks for frame in self._frames)])
        weights = np.repeat(weight, [len(frame.scores) for frame in self._frames])
        moving = np.isin(tracks, [*self._moving])
        false = ~moving & ~np.isin(tracks, self._new)
        rates = FalseRates(scores[false], weights[false], tracks[false], float(weight.sum()), self._prior)
        return rates, scores[moving]


def _without_hovering(rates: FalseRates) -> FalseRates:
    """The rates without the surest of the things that were seen again, where all others make none so sure likely."""
    objects, index, counts = np.unique(rates.objects, return_inverse=True, return_counts=True)
    if not (counts >= LEAST_POINTS).any():
        return rates
    means = np.bincount(index, rates.scores) / counts
    surest = int(np.argmax(np.where(counts >= LEAST_POINTS, means, -np.inf)))
    rest = rates.without(objects[surest])
    alike = rest.rate_above(means[surest]) * rates.frames / counts[surest]
    return rest if alike <= HOVERING_CHANCE else rates
