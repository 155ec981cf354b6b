"""What a candidate looks like, in numbers that do not depend on the camera: contrasts, changes, what a network says."""

from __future__ import annotations

import numpy as np

from utils.predictor.verifier.candidates import Candidates
from utils.predictor.verifier.maps import LAGS, ContrastMaps
from utils.system.packages.late import cv2

REACH = 15  # px around a candidate that is looked at
NEAR, BESIDE = 3, 5  # px: what is near by, and what does not belong to the surroundings

_OFFSETS = np.abs(np.mgrid[-REACH : REACH + 1, -REACH : REACH + 1]).max(0)
_PARTS = (_OFFSETS <= 1, _OFFSETS <= NEAR, _OFFSETS > BESIDE)

MAP_NAMES = ("value", "near", "surroundings", "lowest")
NAMES = (
    *(f"{source}_{name}" for source in ("key", *(f"lag{lag}" for lag in LAGS), "network") for name in MAP_NAMES),
    "local_noise",
    *(f"noise_left_lag{lag}" for lag in LAGS),
    "candidates",
    "stronger_candidates",
)


def describe(candidates: Candidates, maps: ContrastMaps, logits: np.ndarray) -> np.ndarray:
    """The features of candidates: (N, len(NAMES)) float32.

    Of each map the largest value within a pixel, near by and in the surroundings, and the lowest of all; how noisy
    the place is beside the whole frame, and the differences beside the frame (logarithms); how many candidates there
    are, and how many have a stronger change. What differences to frames that are not there would say is 0.

    Args:
        candidates: N of them.
        maps: of the frame.
        logits: (H, W) float32 of the network.
    """
    places, count = candidates.place, len(candidates)
    if not count:
        return np.zeros((0, len(NAMES)), np.float32)
    here = tuple(places.T)
    none = np.zeros((count, len(MAP_NAMES)))
    summaries = [none if part is None else _summarise(part, places) for part in (*maps.contrasts, logits)]
    noise = maps.rms[here]
    left = [np.zeros(count) if part is None else np.log(part.rms[here] / noise) for part in maps.differences]
    change = (maps.key if maps.change is None else maps.change)[here]
    stronger = (change[None] > change[:, None]).sum(1)
    return np.column_stack(
        [*summaries, np.log(noise / np.median(maps.rms)), *left, np.full(count, np.log1p(count)), np.log1p(stronger)]
    ).astype(np.float32)


def _summarise(values: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(N, 4): `MAP_NAMES` of a map around places (N, 2), beyond its edge the edge's values."""
    padded = cv2.copyMakeBorder(values, REACH, REACH, REACH, REACH, cv2.BORDER_REPLICATE)
    patches = np.lib.stride_tricks.sliding_window_view(padded, _OFFSETS.shape)[tuple(places.T)]
    return np.stack([*(patches[:, part].max(1) for part in _PARTS), patches.min((1, 2))], 1)
