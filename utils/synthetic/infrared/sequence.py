"""One synthetic infrared sequence: the way from a seed, a split and an index to frames and labels.

A sequence depends on these three and its configuration alone: neither on the number of sequences nor on the order in
which they are made. It is what a recorder makes of one or more pieces, each with a scene and a camera of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from utils.images.boxes import cut, grow
from utils.images.snr import local_snr
from utils.synthetic.infrared.brightness import CLASS_BORDER, SnrLimits, masks_of
from utils.synthetic.infrared.camera_looks import Look
from utils.synthetic.infrared.config import InfraredConfig
from utils.synthetic.infrared.piece import Piece, make_piece, streams_of, to_counts
from utils.synthetic.infrared.recording import Timeline
from utils.synthetic.infrared.targets import Track

MIN_UPPER_SNR = CLASS_BORDER + 1e-3  # in a sequence of the upper class


@dataclass(frozen=True, eq=False)
class SyntheticTarget:
    """One target in one `frame`.

    It has its `track` (from 0), `mask` (H, W) bool, `area` in pixels, `snr`, `bbox` (x, y, width, height), `contrast`
    (1 brighter, -1 darker than its surroundings), `peak` (level it adds to its brightest pixel) and `centre` (y, x).
    `snr` is None where all of its surroundings are saturated; `category` is the number of its class, from 1.
    """

    frame: int
    track: int
    mask: np.ndarray
    area: int
    snr: float | None
    bbox: list[int]
    contrast: int
    peak: float
    centre: np.ndarray
    category: int = 1


@dataclass
class SyntheticSequence:
    """A made clip with its labels.

    `frames` (T, H, W) uint8 or uint16; `masks` (T, H, W) bool; `targets` frame by frame, track after track; `facts`
    about scene, camera, tracks and distractors, as the dataset's annotations hold them.
    """

    frames: np.ndarray
    masks: np.ndarray
    targets: list[SyntheticTarget]
    facts: dict[str, Any]


def is_empty(config: InfraredConfig, index: int) -> bool:
    """Whether sequence `index` has no target: evenly spread over the dataset, the first ones filled."""
    return int((index + 1) * config.empty_share) > int(index * config.empty_share)


def limits_of(config: InfraredConfig, index: int) -> SnrLimits:
    """The SNR class of sequence `index`: low or high; one alone where the range leaves hardly any room for the other.

    They are mixed evenly by the golden ratio (from 0.4: then every kind of background has both within the first
    twelve).
    """
    low, high = config.snr
    some_low, some_high = 1.2 * low <= CLASS_BORDER, high >= 1.2 * CLASS_BORDER
    if not some_high or (some_low and (0.4 + 0.618034 * (index + 1)) % 1 < config.low_share):
        return SnrLimits(low, min(high, CLASS_BORDER))
    return SnrLimits(max(low, MIN_UPPER_SNR), high)


def make_sequence(config: InfraredConfig, split: str, index: int) -> SyntheticSequence:
    """Sequence `index` (from 0) of `split`. The same on every machine, and whatever else is made."""
    limits, empty = limits_of(config, index), is_empty(config, index)
    streams = streams_of(config, split, index)
    timeline = Timeline.draw(streams["time"], config.frames, config.repeats, config.cuts)
    pieces = [make_piece(config, split, index, timeline.pieces[0], streams, limits, empty)]
    for number, length in enumerate(timeline.pieces[1:], 1):
        own = streams_of(config, split, index, number)
        pieces.append(make_piece(config, split, index + number, length, own, limits, empty))
    clip = np.concatenate([piece.clip for piece in pieces])
    if streams["develop"].uniform() < config.look_share:
        clip = Look.draw(streams["develop"]).apply(clip, config.look_gain or np.inf)
    frames = to_counts(clip, config.bits)
    masks, targets, tracks = [], [], []
    for piece in pieces:
        first = len(masks)
        labelled = [track for track in piece.tracks if config.category_of(track.style)]
        counted = [track for track in labelled if config.category_of(track.style) == 1]
        masks += [masks_of(counted, t, config.size) for t in range(len(piece.clip))]
        targets += [
            replace(target, frame=first + target.frame, track=len(tracks) + target.track)
            for target in list_targets(config, labelled, frames[first : len(masks)])
        ]
        tracks += labelled
    shown = timeline.shown
    targets = [replace(target, frame=int(t)) for target in targets for t in np.flatnonzero(shown == target.frame)]
    facts = _facts(limits, pieces, timeline, tracks, targets)
    return SyntheticSequence(frames[shown], np.stack(masks)[shown], targets, facts)


def _facts(
    limits: SnrLimits, pieces: list[Piece], timeline: Timeline, tracks: list[Track], targets: list[SyntheticTarget]
) -> dict[str, Any]:
    """What the annotations say about a sequence; of cuts and repeated frames only where there are some."""
    frames: dict[int, list[int]] = {number: [] for number in range(len(tracks))}
    for target in targets:
        frames[target.track].append(target.frame)
    snr_class = "low" if limits.high <= CLASS_BORDER else "high"
    camera = np.concatenate([piece.camera.position for piece in pieces])[timeline.shown]
    facts = {
        "background": pieces[0].scene.kind,
        "snr_class": snr_class if any(target.category == 1 for target in targets) else None,
        "camera": np.round(camera, 4).tolist(),
        "distractors": pieces[0].distractors.places(),
        "tracks": [
            {
                "style": track.style,
                "snr": round(track.snr, 4),
                "frames": [min(frames[number]), max(frames[number])],
            }
            for number, track in enumerate(tracks)
        ],
    }
    if timeline.repeated:
        facts["repeated"] = timeline.repeated
    if len(pieces) > 1:
        facts["cuts"] = [
            {"frame": frame, "background": piece.scene.kind, "distractors": piece.distractors.places()}
            for frame, piece in zip(timeline.cuts, pieces[1:], strict=True)
        ]
    return facts


def list_targets(config: InfraredConfig, tracks: list[Track], frames: np.ndarray) -> Iterator[SyntheticTarget]:
    """What is labelled in the frames (T, H, W) of a piece as they are written."""
    shape = frames.shape[1:]
    masks = [masks_of(tracks, t, shape) for t in range(len(frames))]
    for number, track in enumerate(tracks):
        for t in sorted(track.spots):
            mask = np.zeros(shape, bool)
            mask[track.spots[t].window] = track.spots[t].mask
            rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
            snr = local_snr(frames[t], mask, masks[t])
            box = [int(columns[0]), int(rows[0]), int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1]
            yield SyntheticTarget(
                frame=t,
                track=number,
                mask=mask,
                area=int(mask.sum()),
                snr=round(abs(snr), 4) if np.isfinite(snr) else None,
                bbox=box,
                contrast=1 if snr > 0 else -1,
                peak=track.sign * track.amplitudes[t],
                centre=track.path[t],
                category=config.category_of(track.style),
            )


def labelled_box(box: Sequence[float], least: float, size: tuple[int, int]) -> list[float]:
    """A box x, y, width, height with sides of at least `least` pixels, about its centre.

    It is cut at the edges of a frame of `size` (H, W).
    """
    if min(box[2:]) >= least:
        return list(box)
    x, y, w, h = box
    x1, y1, x2, y2 = cut(grow(np.array([[x, y, x + w, y + h]]), least), size)[0].tolist()
    return [x1, y1, x2 - x1, y2 - y1]
