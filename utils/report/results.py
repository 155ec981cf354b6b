"""What the page says of each method, and of the set that all were measured on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from utils.metrics.bootstrap import Intervals, Resampling
from utils.metrics.breakdown import Band
from utils.metrics.tracks import TrackResults
from utils.report.frames import FoundInFrame

NO_INTERVAL = (math.nan, math.nan)


@dataclass(frozen=True)
class FigureSet:
    """Figures by name, and the intervals of those that have one."""

    figures: Mapping[str, Any]
    intervals: Intervals

    def interval(self, name: str) -> tuple[float, float]:
        """(low, high), NaN where there is none."""
        return self.intervals.get(name, NO_INTERVAL)


@dataclass(frozen=True)
class Curve:
    """Points `x`, `y` of equal number."""

    x: list[float]
    y: list[float]


@dataclass(frozen=True)
class TilePicture:
    """A false alarm or a miss: its picture as a data URI, and lines of text about it."""

    uri: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class MethodResult:
    """Everything that the page says about one method.

    Args:
        name: for people.
        threshold: that it was measured at.
        frames_per_second: reading and predicting.
        rules: figures by each of `utils.metrics.rules.MASK_RULES`, those of `centroid` with the single numbers
            of its curve.
        detection: figures of its boxes (`DetectionMetrics.compute`).
        sequences: of every sequence the figures by the rule `centroid`.
        bands: Pd by SNR, size and speed, as of `TargetLog.bands`.
        roc: Pd (y) over Fa (x), in ascending order of the threshold.
        precision_recall: precision (y) over recall (x) by each of `utils.metrics.detection.BOX_RULES`.
        countings: figures by each of `utils.metrics.published_countings.COUNTINGS`.
        alarms, misses: the surest false alarms, and the missed targets of the highest SNR.
        draws: of `pd`, `f1` and `iou` the figure in every resample, `(draws,)`.
        found: by image path what it found in the frames that the page shows.
        tracks: what was measured of its tracks, where that was asked for.
    """

    name: str
    threshold: float
    frames_per_second: float
    rules: dict[str, FigureSet]
    detection: FigureSet
    sequences: dict[str, dict[str, Any]]
    bands: dict[str, list[Band]]
    roc: Curve
    precision_recall: dict[str, Curve]
    countings: dict[str, dict[str, Any]]
    alarms: list[TilePicture]
    misses: list[TilePicture]
    draws: dict[str, np.ndarray]
    found: dict[str, FoundInFrame]
    tracks: TrackResults | None = None

    @property
    def figures(self) -> Mapping[str, Any]:
        """Those of the page's first table, by the rule `centroid`."""
        return self.rules["centroid"].figures

    def figures_by_rule(self) -> dict[str, Mapping[str, Any]]:
        """For `utils.metrics.published_countings.shifts`."""
        return {rule: found.figures for rule, found in self.rules.items()}


@dataclass(frozen=True)
class Measurement:
    """What all methods were measured on, and how.

    Args:
        dataset, split: names.
        frames, targets: numbers of them that were measured.
        shown: number of frames in the viewer.
        machine: that predicted, for people.
        resampling: how intervals were made.
        command: that made the page.
        warnings: about the data, a line each.
    """

    dataset: str
    split: str
    frames: int
    targets: int
    shown: int
    machine: str
    resampling: Resampling
    command: str
    warnings: tuple[str, ...] = ()
