"""How many false components a frame are to be expected above a threshold, from the scores of what is taken for false.

Scores are logits here, in which tails of scores are nearly exponential and do not end at 1. Where enough of them lie
above a threshold they are counted. Where counts run out, the tail is a Lomax distribution: what an exponential tail
predicts whose mean is known from few scores only (S. Coles, "An Introduction to Statistical Modeling of Extreme
Values", 2001, chapter 4, has the exponential as the generalised Pareto tail of shape 0; that averaged over the Gamma
posterior of its mean is the generalised Pareto of shape 1 / number of scores). Before anything was seen, and always
with the weight of some frames, a prior says that the threshold which the network came with gives the rate that is asked
for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

COUNTED = 10.0  # scores above a threshold from which on they are counted rather than extrapolated
TAIL_SCALE = 1.0  # logits in which a tail falls to 1/e, as long as nothing else is known
TAIL_WEIGHT = 3.0  # scores that this knowledge counts for
PRIOR_FRAMES = 5.0  # frames that the prior counts for
MAX_LOGIT = 40.0  # beyond which no threshold is looked for
_STEPS = 60  # halvings of an interval of thresholds: down to rounding


@dataclass(frozen=True)
class Prior:
    """What is assumed before a source is seen: `rate` false components a frame above `threshold`, a logit."""

    threshold: float
    rate: float

    def rate_above(self, threshold: float) -> float:
        """False components a frame above another threshold."""
        return self.rate * float(np.exp(min((self.threshold - threshold) / TAIL_SCALE, 700.0)))


@dataclass(frozen=True, eq=False)
class FalseRates:
    """False components a frame, as a function of the threshold.

    Args:
        scores: `(N,)` float64 logits of false candidates.
        weights: `(N,)` of each, in (0, 1]: that of the frame it was seen in.
        objects: `(N,)` int64, equal for candidates that are one thing seen again: they say little more than one.
        frames: sum of the weights of all frames, also of those without candidates.
        prior: see there.
    """

    scores: np.ndarray
    weights: np.ndarray
    objects: np.ndarray
    frames: float
    prior: Prior

    @cached_property
    def _sorted(self) -> tuple[np.ndarray, np.ndarray]:
        """Scores, descending, and the summed weights down to each."""
        order = np.argsort(-self.scores, kind="stable")
        return self.scores[order], np.cumsum(self.weights[order])

    @cached_property
    def _tail(self) -> tuple[float, float, float, float]:
        """Where the tail begins, the weight above that, and its shape and scale there."""
        scores, above = self._sorted
        last = min(int(np.searchsorted(above, COUNTED)), len(scores) - 1)
        start = float(scores[last])
        inside = self.scores >= start
        weight = float(self.weights[inside].sum())
        mean = float(self.weights[inside] @ (self.scores[inside] - start)) / weight
        _, index = np.unique(self.objects, return_inverse=True)
        shares = self.weights / np.bincount(index, self.weights)[index]  # of what is seen of each object
        count = min(float(shares[inside].sum()), weight)
        shape = count + TAIL_WEIGHT
        return start, weight, shape, count * mean + (TAIL_WEIGHT - 1) * TAIL_SCALE

    def without(self, thing: int) -> FalseRates:
        """The same without one of the objects."""
        kept = self.objects != thing
        return replace(self, scores=self.scores[kept], weights=self.weights[kept], objects=self.objects[kept])

    def seen_above(self, threshold: float) -> float:
        """Weight of false candidates above a logit: counted, or where counts run out extrapolated."""
        if not len(self.scores):
            return 0.0
        start, weight, shape, scale = self._tail
        if threshold >= start:
            return weight * (1 + (threshold - start) / scale) ** -shape
        scores, above = self._sorted
        count = int(np.searchsorted(-scores, -threshold, side="left"))
        return float(above[count - 1])

    def rate_above(self, threshold: float) -> float:
        """Expected false components a frame above a logit."""
        known = PRIOR_FRAMES * self.prior.rate_above(threshold) + self.seen_above(threshold)
        return known / (PRIOR_FRAMES + self.frames)

    def threshold_for(self, rate: float) -> float:
        """The lowest logit above which no more than `rate` false components a frame are expected."""
        low, high = -MAX_LOGIT, MAX_LOGIT
        for _ in range(_STEPS):
            middle = (low + high) / 2
            low, high = (low, middle) if self.rate_above(middle) <= rate else (middle, high)
        return high
