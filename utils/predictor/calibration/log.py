"""Which thresholds a sequence was given, and what was expected at them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import fmean, median
from typing import Any

from utils.predictor.prediction import Prediction


@dataclass
class ThresholdLog:
    """The thresholds of the frames of one sequence, and the false components a frame that were expected at each."""

    thresholds: list[float] = field(default_factory=list)
    expected: list[float] = field(default_factory=list)

    def add(self, prediction: Prediction) -> None:
        """Take in a frame's; one at a fixed threshold says nothing."""
        if prediction.expected_false is not None:
            self.thresholds.append(prediction.threshold)
            self.expected.append(prediction.expected_false)

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the thresholds' least, median, largest and last, and the mean of what was expected."""
        if not self.thresholds:
            return {"frames": 0}
        return {
            "frames": len(self.thresholds),
            "threshold_least": min(self.thresholds),
            "threshold_median": median(self.thresholds),
            "threshold_largest": max(self.thresholds),
            "threshold_last": self.thresholds[-1],
            "expected_false_per_frame": fmean(self.expected),
        }

    def describe(self) -> str:
        """The same in a line."""
        if not self.thresholds:
            return "threshold: no frame to find one on"
        low, middle, high = (show_share(call(self.thresholds)) for call in (min, median, max))
        return f"threshold {middle} ({low} to {high}) -> {fmean(self.expected):.2g} false a frame expected"


def show_share(share: float) -> str:
    """A number in [0, 1] with three digits, or near 1 with as many as tell it from 1."""
    rest = 1 - share
    return f"{share:.3g}" if not 0 < rest < 0.01 else f"{share:.{math.ceil(-math.log10(rest)) + 1}f}".rstrip("0")
