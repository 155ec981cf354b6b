"""Boxes that belong together: what a track's first boxes continue, before it counted as one.

`vid_predict.py` numbers a track from the frame on in which it counts; the boxes before that carry no number. On the
page they belong to the track, so that one decision is about all of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from utils.view.contents import PageObject

MOST_STEPS = 4  # frames before a track's first that are looked at
REACH = 4.0  # pixels from where a straight way leads, and once more for each frame


def extend_tracks(objects: Sequence[Sequence[PageObject]]) -> list[list[PageObject]]:
    """The objects of all frames, those without a track in the track that goes on where they are.

    From a track's first two boxes a straight line leads backwards; the nearest single object within `REACH` pixels of
    it in the frame before belongs to it, and so on until a frame holds none.

    Args:
        objects: for each frame.
    """
    result = [list(own) for own in objects]
    starts: dict[int, list[tuple[int, np.ndarray]]] = {}
    for frame, own in enumerate(objects):
        for item in own:
            if item.track is not None and len(starts.setdefault(item.track, [])) < 2:
                starts[item.track].append((frame, _centre(item)))
    for track, points in starts.items():
        if len(points) < 2:
            continue
        (frame, place), (later, other) = points
        step = (other - place) / (later - frame)
        for back in range(1, MOST_STEPS + 1):
            if frame - back < 0:
                break
            own = result[frame - back]
            single = [n for n, item in enumerate(own) if item.track is None]
            away = [float(np.hypot(*(_centre(own[n]) - (place - back * step)))) for n in single]
            if not away or min(away) > REACH * back:
                break
            nearest = single[int(np.argmin(away))]
            own[nearest] = own[nearest]._replace(track=track)
    return result


def _centre(item: PageObject) -> np.ndarray:
    x, y, w, h = item.box
    return np.array([x + w / 2, y + h / 2])
