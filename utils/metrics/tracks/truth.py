"""The true tracks of a sequence: those that labels name, else targets linked from frame to frame."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low

import numpy as np

from utils.datasets.compact_lists import NO_TRACK
from utils.datasets.frame_table import Frame
from utils.images.boxes import centres_of
from utils.metrics.target_facts import MAX_TARGET_SPEED, chains
from utils.system.errors import UserError


@dataclass(frozen=True, eq=False)
class TrueTracks:
    """Ids of a sequence's true targets.

    Args:
        ids: of every frame, `(G,)` int64, one a target.
        linked: targets whose labels name no track.
        ambiguous: links of such a target to the next one of its track that could have gone to another target as well:
            one that lies within reach too.
    """

    ids: list[np.ndarray]
    linked: int
    ambiguous: int


@dataclass(frozen=True, eq=False, slots=True)
class _Sighting:
    """Target `row` of the frame at `place`, seen in step `time`; `centroid` (y, x)."""

    place: int
    row: int
    time: float
    centroid: tuple[float, float]


def true_tracks(frames: Sequence[Frame], boxes: Sequence[np.ndarray]) -> TrueTracks:
    """The tracks of a sequence's true targets.

    A target without an id is linked to the nearest one of the next frame with one, at most `MAX_TARGET_SPEED` pixels a
    frame away, the nearest pairs first and each once (`utils.metrics.target_facts.chains`). Where numbers of frames
    ascend by more than 1, the usual step counts as one frame.

    Args:
        frames: of the sequence, whose ids stand once in a frame (`require_ids_once`).
        boxes: the true ones of each, `(G, 4 or more)`; the frame's own in their order, or those of its mask.
    """
    ids = [_named(frame, len(own)) for frame, own in zip(frames, boxes, strict=True)]
    steps = np.diff([frame.number for frame in frames]).tolist()
    usual = max(1, median_low(steps)) if steps else 1
    loose: dict[float, list[_Sighting]] = {}
    for place, (frame, own, known) in enumerate(zip(frames, boxes, ids, strict=True)):
        time, centres = frame.number / usual, centres_of(own)
        if rows := np.flatnonzero(known == NO_TRACK).tolist():
            loose[time] = [_Sighting(place, row, time, (centres[row, 1], centres[row, 0])) for row in rows]
    first = max((own.max() + 1 for own in ids if len(own)), default=0)
    linked = chains(loose, MAX_TARGET_SPEED)
    for number, chain in enumerate(linked, start=int(first)):
        for sighting in chain:
            ids[sighting.place][sighting.row] = number
    return TrueTracks(ids, sum(map(len, linked)), _count_ambiguous(loose, linked))


def _named(frame: Frame, count: int) -> np.ndarray:
    """The ids that a frame's labels name, `NO_TRACK` where they name none: `(count,)` int64."""
    return np.array(frame.tracks or [NO_TRACK] * count, np.int64)


def require_ids_once(frame: Frame) -> None:
    """Raise `UserError` where two targets of a frame have the same id."""
    repeated = [track for track, times in Counter(frame.tracks).items() if times > 1 and track != NO_TRACK]
    if repeated:
        raise UserError(
            f"{frame.image}: found track {repeated[0]} at several targets, expected each track once in a frame; "
            "correct the labels"
        )


def _count_ambiguous(loose: dict[float, list[_Sighting]], linked: Sequence[Sequence[_Sighting]]) -> int:
    """How many links of chains could have gone otherwise, see `TrueTracks`."""
    places = {time: np.array([one.centroid for one in own]) for time, own in loose.items()}

    def within_reach(one: _Sighting, time: float) -> int:
        away = np.hypot(*(places[time] - one.centroid).T)
        return int((away <= MAX_TARGET_SPEED * abs(time - one.time)).sum())

    return sum(
        max(within_reach(one, following.time), within_reach(following, one.time)) > 1
        for chain in linked
        for one, following in zip(chain, chain[1:], strict=False)
    )
