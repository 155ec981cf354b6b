"""How fast a dataset's targets move against the scene, and the frame step under which that shows in a clip."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import numpy as np

from utils.clips.registration import scene_shift, shifts_to_last
from utils.clips.rule import run_starts
from utils.clips.settings import ClipSettings
from utils.clips.training_clips import ClipDataset, file_mask
from utils.datasets.frame_table import Frame
from utils.images.components import label

FOLLOWED_FRAMES = 9  # over which a target is looked for
SEARCH_RADIUS_PX = 6.0  # farthest from its place in one frame that it is looked for in the next
MAX_PLACES = 64  # in the data where targets are followed
MAX_FRAME_STEP = 8  # frames


def measure_target_speeds(
    sequences: Mapping[str, Sequence[Frame]], mask_of: Callable[[Frame, np.ndarray], np.ndarray] = file_mask
) -> np.ndarray:
    """Speeds of targets against the scene, at up to `MAX_PLACES` evenly spaced places.

    Targets are followed over `FOLLOWED_FRAMES`, their places as in the last one (`utils.clips.registration`), from each
    to the nearest in the next frame; one that gets lost does not count.

    Args:
        sequences: frames of each sequence in order, with what `mask_of` needs.
        mask_of: the mask of a frame, from the frame and its image.

    Returns:
        (N,) float64, pixels a frame.
    """
    keys = []
    for name, frames in sequences.items():
        starts = run_starts([frame.number for frame in frames])
        keys += [(name, i) for i, start in enumerate(starts) if i - start >= FOLLOWED_FRAMES - 1]
    clips = ClipDataset(sequences, keys, ClipSettings(FOLLOWED_FRAMES, (0.0, 1.0)), mask_of=mask_of)
    speeds = []
    for index in np.linspace(0, len(keys) - 1, min(MAX_PLACES, len(keys))).astype(int):
        images, masks = clips.read(index)
        shifts = shifts_to_last([scene_shift(*pair) for pair in pairwise(images.astype(np.float32))])
        found = [label(mask).centroid + shift for mask, shift in zip(masks, shifts, strict=True)]
        for first in found[0]:
            place = first
            for places in found[1:]:
                distances = np.hypot(*(places - place).T)
                if not distances.size or distances.min() > SEARCH_RADIUS_PX:
                    break
                place = places[distances.argmin()]
            else:
                speeds.append(np.hypot(*(place - first)) / (FOLLOWED_FRAMES - 1))
    return np.array(speeds)


def measure_frame_step(
    sequences: Mapping[str, Sequence[Frame]], mask_of: Callable[[Frame, np.ndarray], np.ndarray] = file_mask
) -> int:
    """So many frames as a typical target takes to move by a pixel: 1 to `MAX_FRAME_STEP`; 1 where none can be followed.

    Args:
        sequences: as of `measure_target_speeds`.
        mask_of: likewise.
    """
    speeds = measure_target_speeds(sequences, mask_of)
    if not speeds.size:
        return 1
    return int(np.clip(np.rint(1 / max(float(np.median(speeds)), 1e-6)), 1, MAX_FRAME_STEP))
