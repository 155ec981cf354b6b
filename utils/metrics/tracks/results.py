"""What was measured of tracks: figures of the whole and of its parts, and how true tracks were found."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from utils.metrics.bootstrap import DRAWS, SEED, Intervals, draw_sequences, intervals
from utils.metrics.target_facts import MAX_TARGET_SPEED
from utils.metrics.tracks.counts import COUNTED, TRACK_FIGURES, Counts, add_counts, track_figures
from utils.metrics.tracks.log import TrackLog
from utils.metrics.tracks.rules import TrackRules
from utils.system.notices import warn


@dataclass(frozen=True)
class TrackResults:
    """Figures (`track_figures`) and counts (`COUNTED`) by name.

    Args:
        rules: by which they were counted.
        overall: of all sequences together.
        subsets, sequences: of parts.
        intervals: of the figures of all, {} where none were asked for.
        linked: in how many `sequences` labels name no track of how many `targets`, and how many links of these to the
            next one were `ambiguous`.
    """

    rules: TrackRules
    overall: dict[str, Any]
    subsets: dict[str, dict[str, Any]]
    sequences: dict[str, dict[str, Any]]
    intervals: Intervals
    linked: dict[str, int]

    def as_dict(self) -> dict[str, Any]:
        """For metrics.json."""
        return {
            "distance": self.rules.distance,
            "found": self.rules.found_text,
            "fps": self.rules.fps,
            "overall": self.overall,
            **self.subsets,
            "sequences": self.sequences,
            "intervals": self.intervals,
            "linked": self.linked,
        }

    def describe(self) -> str:
        """The rules, in a line."""
        return (
            f"tracks: centres at most {self.rules.distance:g} px apart, found where {self.rules.found_text} frames are "
            f"hit, {self.rules.fps:g} frames a second"
        )

    def describe_links(self) -> str:
        """How targets without ids were linked, in a line; empty where all have one."""
        count, sequences = self.linked["targets"], self.linked["sequences"]
        if not count:
            return ""
        return (
            f"labels name no track of {count} targets ({sequences} sequences): each is linked to the nearest of the "
            f"next frame, at most {MAX_TARGET_SPEED:g} pixels a frame away"
        )


def measure_tracks(log: TrackLog, subsets: Mapping[str, Collection[str]], draws: int = DRAWS) -> TrackResults:
    """Count everything; warns where true targets could have been linked otherwise.

    Args:
        log: that saw all frames.
        subsets: names of sequences, by name.
        draws: resamples of the sequences for intervals (0: none).
    """
    truth, rules = log.true_tracks(), log.rules
    counts = log.counts(truth)
    linked = {
        "sequences": sum(one.linked > 0 for one in truth.values()),
        "targets": sum(one.linked for one in truth.values()),
        "ambiguous": sum(one.ambiguous for one in truth.values()),
    }
    if linked["ambiguous"]:
        warn(
            f"labels name no track of {linked['targets']} targets, and {linked['ambiguous']} of them could have been "
            f"linked to another target within {MAX_TARGET_SPEED:g} pixels a frame as well as to the nearest: switches, "
            "IDF1 and HOTA depend on that choice; labels with ids of tracks settle it"
        )
    return TrackResults(
        rules,
        _figures(counts.values(), rules),
        {
            name: _figures((part for own, part in counts.items() if own in group), rules)
            for name, group in subsets.items()
        },
        {name: _figures([part], rules) for name, part in counts.items()},
        track_intervals(list(counts.values()), rules, draws) if draws else {},
        linked,
    )


def _figures(parts: Iterable[Counts], rules: TrackRules) -> dict[str, Any]:
    total = add_counts(parts)
    return {name: total[name] for name in COUNTED} | track_figures(total, rules)


def track_intervals(parts: Sequence[Counts], rules: TrackRules, draws: int = DRAWS, seed: int = SEED) -> Intervals:
    """95 % intervals of `TRACK_FIGURES` over sequences (`utils.metrics.bootstrap`), from the counts of each.

    NaN with fewer than two sequences.
    """
    if len(parts) < 2:
        return dict.fromkeys(TRACK_FIGURES, (float("nan"), float("nan")))
    drawn = draw_sequences(len(parts), draws, seed).astype(np.float64)
    sums = {name: np.tensordot(drawn, np.array([part[name] for part in parts], np.float64), 1) for name in parts[0]}
    return intervals(track_figures(sums, rules))
