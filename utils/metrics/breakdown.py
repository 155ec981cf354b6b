"""Pd by SNR, size and speed of the targets, and the false alarms and misses themselves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from utils.datasets.frame_table import Frame
from utils.images.boxes import centre_distances
from utils.images.components import MATCH_DISTANCE, Components, components_of_boxes, peaks_of
from utils.metrics.bootstrap import DRAWS, SEED, draw_sequences, interval
from utils.metrics.detection import FALSE, exceeds, judge
from utils.metrics.figures import ratio
from utils.metrics.rules import outcome
from utils.metrics.target_facts import Target, TargetFacts, chains
from utils.predictor.prediction import Prediction

# Upper ends of the bands, which belong to them; the last has none.
BANDS = {
    "snr": ("SNR", (3.0, 5.0, 10.0)),
    "area": ("size, pixels", (4.0, 9.0, 25.0, 80.0)),
    "speed": ("speed, pixels a frame", (0.5, 1.0, 2.0, 4.0)),
}
MAX_ALARMS = 20  # kept of a frame, the surest
MAX_ALARM_SPEED = 4.0  # pixels a frame that one and the same false alarm may go


@dataclass(frozen=True)
class Band:
    """Pd of the targets of one band, which is `name` for people; `interval` is (low, high), NaN where there is none."""

    name: str
    targets: int
    matched: int
    pd: float
    interval: tuple[float, float]

    def as_dict(self) -> dict[str, Any]:
        """For metrics.json."""
        return {
            "band": self.name,
            "targets": self.targets,
            "matched": self.matched,
            "pd": self.pd,
            "interval": self.interval,
        }


@dataclass(frozen=True, slots=True)
class Alarm:
    """A false component: `centroid` (y, x), `area` in pixels, `score` its largest probability."""

    sequence: str
    number: int
    image: str
    centroid: tuple[float, float]
    area: int
    score: float


class TargetLog:
    """Takes note of every target and every false alarm of one method, by the rule that Pd and Fa are counted with.

    Args:
        facts: of the dataset, shared by all methods that are measured on it.
        rule: see `utils.metrics.segmentation`.
    """

    def __init__(self, facts: TargetFacts, rule: str = "centroid") -> None:
        self.facts, self.rule = facts, rule
        self.targets: list[Target] = []
        self.found: list[bool] = []
        self.peaks: list[float] = []  # the largest probability among each target's pixels
        self.alarms: dict[str, dict[int, list[Alarm]]] = defaultdict(dict)
        self.sequences: list[str] = []

    def __call__(
        self, frame: Frame, image: np.ndarray, mask: np.ndarray, prediction: Prediction
    ) -> tuple[np.ndarray, Components]:
        """Look at one frame.

        Args:
            frame: of the dataset.
            image: `(H, W)`.
            mask: its true targets, `(H, W)` bool.
            prediction: of this frame.

        Returns:
            Which of its targets are found, `(K,)` bool, and the false components.
        """
        components, targets = self.facts.of(frame, image, mask)
        found, false = outcome(self.rule, prediction.mask, mask, components)
        probability = prediction.probability.reshape(-1)
        self.note(frame, targets, found, peaks_of(components, probability[components.pixel]))
        self.note_alarms(frame, false, peaks_of(false, probability[false.pixel]))
        return found, false

    def note(self, frame: Frame, targets: Sequence[Target], found: np.ndarray, peaks: np.ndarray) -> None:
        """Take note of a frame's targets: which of them are found `(K,)` bool, and by the largest scores `(K,)`."""
        if frame.sequence not in self.sequences:
            self.sequences.append(frame.sequence)
        self.targets += targets
        self.found += found.tolist()
        self.peaks += peaks.tolist()

    def note_alarms(self, frame: Frame, false: Components, scores: np.ndarray) -> None:
        """Take note of the surest of a frame's false components, with scores `(N,)`."""
        if len(false):
            self.alarms[frame.sequence][frame.number] = [
                Alarm(
                    frame.sequence,
                    frame.number,
                    frame.image,
                    tuple(map(float, false.centroid[index])),
                    int(false.area[index]),
                    float(scores[index]),
                )
                for index in np.argsort(-scores, kind="stable")[:MAX_ALARMS]
            ]

    def bands(self, draws: int = DRAWS, seed: int = SEED) -> dict[str, list[Band]]:
        """Pd of every band of `BANDS` in which there is a target.

        Returns:
            By `snr`, `area`, `speed`; the last band holds the targets of which nothing is known, where there are any.
        """
        self.facts.follow()
        owner = np.array([self.sequences.index(target.sequence) for target in self.targets], np.int64)
        found = np.array(self.found, bool)
        drawn = draw_sequences(len(self.sequences), draws, seed)
        result = {}
        for key, (_, ends) in BANDS.items():
            values = np.array([getattr(target, key) for target in self.targets], np.float64)
            if np.isnan(values).all():
                continue
            band = np.where(np.isnan(values), len(ends) + 1, np.searchsorted(ends, values, side="left"))
            rows = []
            for number, name in enumerate([*_names(ends), "unknown"]):
                own = band == number
                totals, hits = (np.bincount(owner[pick], minlength=len(self.sequences)) for pick in (own, own & found))
                if own.any():
                    ends_of_pd = (np.nan, np.nan)
                    if len(self.sequences) > 1:
                        ends_of_pd = interval(ratio(drawn @ hits, drawn @ totals))
                    rows.append(
                        Band(name, int(own.sum()), int((own & found).sum()), float(found[own].mean()), ends_of_pd)
                    )
            result[key] = rows
        return result

    def worst_alarms(self, most: int = 20) -> list[tuple[Alarm, int]]:
        """The surest false alarms, each with the number of frames it is in.

        One that stays at its place (or goes at most 4 px a frame) is shown once, where it is surest; of equally sure
        ones those that stay longest come first.
        """
        groups = [chain for name in self.sequences for chain in chains(self.alarms[name], MAX_ALARM_SPEED)]
        tops = [(max(chain, key=lambda alarm: (alarm.score, alarm.area)), len(chain)) for chain in groups]
        return sorted(tops, key=lambda top: (-top[0].score, -top[1], -top[0].area))[:most]

    def worst_misses(self, most: int = 20) -> list[tuple[Target, float, int]]:
        """The missed targets of the highest SNR, each with its largest probability and how many frames miss it.

        A target that is missed in several frames in a row is shown once, where its SNR is highest.
        """
        self.facts.follow()
        tracks: dict[tuple[str, int], list[int]] = defaultdict(list)
        for index, target in enumerate(self.targets):
            tracks[target.sequence, target.track].append(index)
        runs: list[list[int]] = []
        for track in tracks.values():
            track.sort(key=lambda index: self.targets[index].number)
            for found, run in groupby(track, key=lambda index: self.found[index]):
                runs += [] if found else [list(run)]
        tops = [(max(run, key=lambda index: (_snr(self.targets[index]), -index)), len(run)) for run in runs]
        tops.sort(key=lambda top: (-_snr(self.targets[top[0]]), -top[1], top[0]))
        return [(self.targets[index], self.peaks[index], count) for index, count in tops[:most]]


class BoxLog(TargetLog):
    """Likewise of boxes: which of them exceed a score and hit, by the centres' distance, nothing or a target.

    Args:
        facts: as there, but of no other log than such ones.
        threshold: of the score.
    """

    def __init__(self, facts: TargetFacts, threshold: float) -> None:
        super().__init__(facts, "centre")
        self.threshold = threshold

    def __call__(
        self, frame: Frame, image: np.ndarray, found: np.ndarray, true: np.ndarray, ignored: np.ndarray
    ) -> None:
        """Look at one frame.

        Args:
            frame: of the dataset.
            image: `(H, W)`.
            found: detections `(N, 6)`, the surest first, as of `DetectionMetrics.update`.
            true: the true boxes `(G, 5)`, likewise.
            ignored: regions to ignore `(R, 5)`, likewise.
        """
        components = components_of_boxes(true, image.shape)
        mask = np.zeros(image.shape, bool)
        mask.reshape(-1)[components.pixel] = True
        _, targets = self.facts.of(frame, image, mask, components)
        hits = judge(found, true, ignored, "centre")
        above = exceeds(found[:, 4], self.threshold)
        near = centre_distances(found, true) < MATCH_DISTANCE
        peaks = np.where(near, found[:, 4:5], 0).max(0, initial=0)
        self.note(frame, targets, np.isin(np.arange(len(true)), hits[above]), peaks)
        false = found[above & (hits == FALSE)]
        self.note_alarms(frame, components_of_boxes(false, image.shape), false[:, 4])


def each_of(*observers: Callable[..., Any] | None) -> Callable[..., None] | None:
    """Those of the observers that are given, as one; None where none is."""
    given = [observer for observer in observers if observer is not None]

    def call(*seen: Any) -> None:
        for observer in given:
            observer(*seen)

    return call if given else None


def _snr(target: Target) -> float:
    return -1.0 if np.isnan(target.snr) else target.snr


def _names(ends: Sequence[float]) -> list[str]:
    texts = [f"≤ {ends[0]:g}", *(f"{low:g} – {high:g}" for low, high in zip(ends, ends[1:], strict=False))]
    return [*texts, f"> {ends[-1]:g}"]
