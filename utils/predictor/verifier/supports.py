"""Which pixels a candidate stands for, and which box: the network's own where it has one, else its spot's."""

from __future__ import annotations

import numpy as np

from utils.predictor.verifier.candidates import Candidates
from utils.predictor.verifier.maps import ContrastMaps
from utils.system.packages.late import cv2

SPOT_REACH = 10  # px from a candidate, to which a spot of its own reaches at most
ANSWER_REACH = 64  # px, to which the network's answer around it counts


def _region(values: np.ndarray, place: np.ndarray, level: float, reach: int) -> tuple[tuple[slice, slice], np.ndarray]:
    """What exceeds `level` and is 8-connected with `place` (y, x), within `reach` px: a part of the frame, its mask."""
    part = tuple(slice(max(at - reach, 0), at + reach + 1) for at in place.tolist())
    over = (values[part] > level).astype(np.uint8)
    start = tuple(at - span.start for at, span in zip(place.tolist(), part, strict=True))
    over[start] = 1
    _, labels = cv2.connectedComponents(over, connectivity=8)
    return part, labels == labels[start]


def spot_of(maps: ContrastMaps, place: np.ndarray) -> tuple[tuple[slice, slice], np.ndarray]:
    """The region around a candidate that is above half its contrast, in the map where that is largest."""
    there = [part for part in maps.contrasts if part is not None]
    values = max(there, key=lambda part: part[tuple(place)])
    return _region(values, place, max(float(values[tuple(place)]), 0.0) / 2, SPOT_REACH)


def paint(
    candidates: Candidates, scores: np.ndarray, maps: ContrastMaps, probability: np.ndarray, threshold: float
) -> np.ndarray:
    """A probability map (H, W) float32: the score of each candidate where it stands, the larger of two, 0 elsewhere.

    That is the region of the network's answer around it, above `threshold` or half of its peak, whichever is lower;
    where the network says nothing, `spot_of`.

    Args:
        candidates: N of them; those with `box` 0 are the network's answers.
        scores: (N,) in [0, 1].
        maps: of the frame.
        probability: (H, W) of the network.
        threshold: of the network.
    """
    result = np.zeros_like(probability)
    for place, own, score in zip(candidates.place, candidates.box >= 0, scores, strict=True):
        if own:
            level = min(threshold, float(probability[tuple(place)]) / 2)
            part, region = _region(probability, place, level, ANSWER_REACH)
        else:
            part, region = spot_of(maps, place)
        result[part] = np.maximum(result[part], np.where(region, np.float32(score), 0))
    return result


def rescore(
    candidates: Candidates, scores: np.ndarray, maps: ContrastMaps, boxes: np.ndarray, side: float
) -> np.ndarray:
    """Boxes (N, 6) float32 of candidates: a detector's own with other scores, and squares where it has none.

    Those are about the middle of the spot (`spot_of`), with sides of `side` pixels, or as long as the spot is.

    Args:
        candidates: N of them.
        scores: (N,) in [0, 1].
        maps: of the frame.
        boxes: (K, 6) of the detector.
        side: px.
    """
    result = np.zeros((len(candidates), 6), np.float32)
    for row, place, box in zip(result, candidates.place, candidates.box, strict=True):
        if box >= 0:
            row[:] = boxes[box]
            continue
        part, region = spot_of(maps, place)
        y, x = (at + span.start for at, span in zip(np.nonzero(region), part, strict=True))
        middle = np.array([x.min() + x.max() + 1, y.min() + y.max() + 1]) / 2
        half = max(side, np.ptp(x) + 1, np.ptp(y) + 1) / 2
        row[:4] = (*(middle - half), *(middle + half))
    result[:, 4] = scores
    return result
