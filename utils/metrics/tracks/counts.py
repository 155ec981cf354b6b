"""Tracks of one sequence compared with the true ones, in counts that are added up over sequences, and figures of these.

- MOTA: K. Bernardin and R. Stiefelhagen, "Evaluating multiple object tracking performance: the CLEAR MOT metrics",
  2008. Pairs are matched frame by frame: first those that were matched in the frame before, then the nearest.
- IDF1: E. Ristani et al., "Performance measures and a data set for multi-target, multi-camera tracking", 2016. Each
  true track has at most one partner over the whole sequence, so that most frames are hit.
- HOTA: J. Luiten et al., "HOTA: a higher order metric for evaluating multi-object tracking", 2021: the mean over 19
  similarities, from 0.05 to 0.95, that a hit takes.

All three are counted as TrackEval counts them (its `CLEAR`, `Identity` and `HOTA` with similarities of points), but
that what is divided by nothing is NaN.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from utils.metrics.figures import ratio
from utils.metrics.tracks.rules import TrackedFrame, TrackRules

SIMILARITIES = np.arange(0.05, 0.99, 0.05)  # that a hit takes, over which HOTA is a mean
_STAY = 1000.0  # what a pair of the frame before is worth more than any other
_EPS = np.finfo(float).eps
TRACK_FIGURES = ("hota", "deta", "assa", "mota", "idf1", "track_pd", "false_tracks_per_minute", "frames_to_first_hit")
COUNTED = (
    "frames",
    "true_boxes",
    "followed_boxes",
    "hits",
    "identity_switches",
    "true_tracks",
    "true_tracks_found",
    "true_tracks_hit",
    "tracks",
    "false_tracks",
)
Counts = Mapping[str, Any]


def count_tracks(frames: Sequence[TrackedFrame], rules: TrackRules) -> dict[str, Any]:
    """Compare the tracks of one sequence.

    Args:
        frames: of the sequence, in order, also those with nothing in them.
        rules: what counts as found.

    Returns:
        By name int `COUNTED`, `identity_hits` and `frames_waited` (until the first hit, of all tracks that have one),
        and `(19,)` float64 `hota_hits` and `hota_association`.
    """
    frames = _number_from_zero(frames)
    matches, switches = _match(frames)
    true, found = _Presence.of(frames, matches, 0), _Presence.of(frames, matches, 1)
    hit = [hits for hits in true.hits if hits.any()]
    counts = {
        "frames": len(frames),
        "true_boxes": sum(len(frame.true) for frame in frames),
        "followed_boxes": sum(len(frame.found) for frame in frames),
        "hits": sum(len(rows) for rows, _ in matches),
        "identity_switches": switches,
        "identity_hits": _identity_hits(frames, len(true.hits), len(found.hits)),
        "true_tracks": len(true.hits),
        "true_tracks_found": sum(_is_found(hits, *rules.found) for hits in true.hits),
        "true_tracks_hit": len(hit),
        "frames_waited": sum(true.waits()),
        "tracks": len(found.hits),
        "false_tracks": sum(2 * hits.sum() < len(hits) for hits in found.hits),
    }
    return {name: int(value) for name, value in counts.items()} | _hota_counts(frames, len(true.hits), len(found.hits))


def add_counts(parts: Iterable[Counts]) -> dict[str, Any]:
    """The counts of several sequences together."""
    total = count_tracks([], TrackRules())
    for part in parts:
        total = {name: value + part[name] for name, value in total.items()}
    return total


def track_figures(counts: Counts, rules: TrackRules) -> dict[str, Any]:
    """The figures of counts, or of many resampled ones at once, whose leading axes are the resamples.

    Returns:
        `TRACK_FIGURES`, floats or arrays `(…)`, NaN where undefined: HOTA and its shares of detection and association,
        which are 0 at a similarity that nothing reaches; MOTA; IDF1; the share of the true tracks that are found; false
        tracks a minute; and the mean number of frames from a true track's first to the first that is hit, of those
        tracks that are hit.
    """
    true, followed, hits = counts["true_boxes"], counts["followed_boxes"], counts["hits"]
    wanted = np.asarray(true + followed, np.float64)[..., None]
    near, joined = counts["hota_hits"], counts["hota_association"]
    detection = ratio(near, wanted - near)
    association = np.where(near > 0, ratio(joined, near), np.where(wanted > 0, 0.0, np.nan))
    return {
        "hota": _mean(np.sqrt(detection * association)),
        "deta": _mean(detection),
        "assa": _mean(association),
        "mota": ratio(2 * hits - followed - counts["identity_switches"], true),
        "idf1": ratio(2 * counts["identity_hits"], true + followed),
        "track_pd": ratio(counts["true_tracks_found"], counts["true_tracks"]),
        "false_tracks_per_minute": ratio(counts["false_tracks"] * 60 * rules.fps, counts["frames"]),
        "frames_to_first_hit": ratio(counts["frames_waited"], counts["true_tracks_hit"]),
    }


@dataclass(frozen=True, eq=False)
class _Presence:
    """Of each track the positions of its frames `(L,)` int64, ascending, and which of them are hits `(L,)` bool."""

    frames: list[np.ndarray]
    hits: list[np.ndarray]

    @classmethod
    def of(cls, frames: Sequence[TrackedFrame], matches: Sequence[Sequence[np.ndarray]], side: int) -> _Presence:
        """Of the true tracks (`side` 0) or of those that were followed (1)."""
        ids = [(frame.true, frame.found)[side] for frame in frames]
        hits = [np.isin(np.arange(len(own)), match[side]) for own, match in zip(ids, matches, strict=True)]
        places = np.repeat(np.arange(len(ids)), [len(own) for own in ids])
        owner, hit = (np.concatenate([np.zeros(0, int), *parts]) for parts in (ids, hits))
        own = [owner == number for number in np.unique(owner)]
        return cls([places[pick] for pick in own], [hit[pick].astype(bool) for pick in own])

    def waits(self) -> list[int]:
        """How many frames of the sequence pass from a track's first to its first hit, of those that have one."""
        return [
            int(places[hits.argmax()] - places[0])
            for places, hits in zip(self.frames, self.hits, strict=True)
            if hits.any()
        ]


def _is_found(hits: np.ndarray, least: int, span: int) -> bool:
    """Whether at least `least` of `span` consecutive frames of a track, `(L,)` bool, are hits."""
    sums = np.cumsum(np.append(0, hits))
    return bool((sums[span:] - sums[:-span] >= least).any() if len(hits) > span else sums[-1] >= least)


def _number_from_zero(frames: Sequence[TrackedFrame]) -> list[TrackedFrame]:
    """The frames with tracks numbered 0, 1, 2 …, true ones and others apart."""
    true, found = (
        np.unique(np.concatenate([np.zeros(0, np.int64), *ids]))
        for ids in ([frame.true for frame in frames], [frame.found for frame in frames])
    )
    return [
        TrackedFrame(np.searchsorted(true, frame.true), np.searchsorted(found, frame.found), frame.similarity)
        for frame in frames
    ]


def _match(frames: Sequence[TrackedFrame]) -> tuple[list[tuple[np.ndarray, np.ndarray]], int]:
    """Of each frame which true targets are hit by which tracks, as indices in it, and the number of identity switches.

    A target switches where the track that hits it is another than the last one that did, however long ago.
    """
    from scipy.optimize import linear_sum_assignment  # here, as it takes 0.3 s, which a mistyped option need not

    count = max((frame.true.max() + 1 for frame in frames if len(frame.true)), default=0)
    last, previous = np.full(count, -1), np.full(count, -1)
    matches, switches = [], 0
    for frame in frames:
        rows = columns = np.zeros(0, np.int64)
        if len(frame.true) and len(frame.found):
            worth = _STAY * (frame.found[None] == previous[frame.true][:, None]) + frame.similarity
            worth = np.where(frame.hits(), worth, 0.0)
            rows, columns = linear_sum_assignment(worth, maximize=True)
            kept = worth[rows, columns] > 0
            rows, columns = rows[kept], columns[kept]
            true, found = frame.true[rows], frame.found[columns]
            switches += int(((last[true] >= 0) & (last[true] != found)).sum())
            previous[:] = -1
            last[true] = previous[true] = found
        matches.append((rows, columns))
    return matches, switches


def _identity_hits(frames: Sequence[TrackedFrame], true_tracks: int, tracks: int) -> int:
    """Frames that are hit where every true track has at most one partner for all of them, the most there can be."""
    from scipy.optimize import linear_sum_assignment  # here, as above

    shared = np.zeros((true_tracks, tracks))
    for frame in frames:
        shared[np.ix_(frame.true, frame.found)] += frame.hits()
    return int(shared[linear_sum_assignment(shared, maximize=True)].sum())


def _hota_counts(frames: Sequence[TrackedFrame], true_tracks: int, tracks: int) -> dict[str, np.ndarray]:
    """At each of `SIMILARITIES` the hits, and the sum over these of how well their two tracks go together."""
    from scipy.optimize import linear_sum_assignment  # here, as above

    shared = np.zeros((true_tracks, tracks))
    true_length, length = np.zeros((true_tracks, 1)), np.zeros((1, tracks))
    for frame in frames:
        near = frame.similarity
        whole = near.sum(0, keepdims=True) + near.sum(1, keepdims=True) - near
        shared[np.ix_(frame.true, frame.found)] += np.divide(near, whole, out=np.zeros_like(near), where=whole > _EPS)
        true_length[frame.true] += 1
        length[0, frame.found] += 1
    aligned = shared / np.maximum(true_length + length - shared, 1)
    pairs: list[np.ndarray] = []  # numbers of two tracks as one, and their similarity, of all that are matched
    for frame in frames:
        worth = aligned[np.ix_(frame.true, frame.found)] * frame.similarity
        rows, columns = linear_sum_assignment(worth, maximize=True)
        pairs.append(np.stack([frame.true[rows] * tracks + frame.found[columns], frame.similarity[rows, columns]]))
    pair, near = np.concatenate([np.zeros((2, 0)), *pairs], 1)
    keys, owner = np.unique(pair.astype(np.int64), return_inverse=True)
    reached = near >= SIMILARITIES[:, None] - _EPS
    hits = np.stack([np.bincount(owner[own], minlength=len(keys)) for own in reached]).astype(np.float64)
    together = true_length[keys // max(tracks, 1), 0] + length[0, keys % max(tracks, 1)]
    return {"hota_hits": hits.sum(1), "hota_association": (hits * hits / np.maximum(together - hits, 1)).sum(1)}


def _mean(values: np.ndarray) -> Any:
    """The mean over the similarities, a float for a single one."""
    mean = values.mean(-1)
    return float(mean) if mean.ndim == 0 else mean
