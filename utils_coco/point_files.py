"""Points in MATLAB files, one an image, as crowds of people are labelled: the heads of DroneCrowd and ShanghaiTech.

`image_info` holds them as `location`, `(N, 2)` x, y in pixels, or `(N, 3)` with the number of a track behind them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.datasets.compact_lists import NO_TRACK
from utils.datasets.json_formats import MAX_NUMBER
from utils.images.formats.mat_files import read_mat
from utils.system.errors import UserError
from utils_coco.label_tables import POINT_ORIGINS

ARRAYS = (("image_info", "location"), ("location", ""), ("annPoints", ""), ("points", ""))  # names, and fields in them
HEAD_SIDE = 20.0  # pixels, of the boxes that DroneCrowd's programs put around heads
TRUTH_WORD = re.compile(r"gt[-_ ]", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Points:
    """Points `(N, 2)` x, y in pixels, and their tracks `(N,)`, `NO_TRACK` without."""

    places: np.ndarray
    tracks: np.ndarray

    def __len__(self) -> int:
        return len(self.places)

    def boxes(
        self, side: float | None, origin: str = "corner"
    ) -> Iterator[tuple[float, float, float, float, int | None]]:
        """x1, y1, x2, y2 of a box of that side, `HEAD_SIDE` for None, around each point, and the point's track.

        `origin` is of `utils_coco.label_tables.POINT_ORIGINS`, what points count from.
        """
        places = self.places + POINT_ORIGINS[origin]
        half = (side or HEAD_SIDE) / 2
        for (x, y), track in zip(places.tolist(), self.tracks.tolist(), strict=True):
            yield x - half, y - half, x + half, y + half, None if track == NO_TRACK else track


def read_points(path: Path) -> Points | None:
    """The points in a file, None where it holds none of the arrays that are known.

    Raises:
        UserError: it cannot be read, or the array is none of points.
    """
    for name, field in ARRAYS:
        array = read_mat(path, name, field)
        if array is not None:
            return _as_points(path, f"{name}.{field}".rstrip("."), array)
    return None


def hold_points(path: Path) -> bool:
    """Whether a file is one of points, and can be read."""
    try:
        return path.suffix.lower() == ".mat" and read_points(path) is not None
    except UserError:
        return False


def _as_points(path: Path, name: str, array: np.ndarray) -> Points:
    if not array.size:
        return Points(np.zeros((0, 2)), np.zeros(0, np.int64))
    if array.ndim != 2 or array.shape[1] not in (2, 3):
        raise UserError(
            f"{path}: found {name} of shape {array.shape}, expected (N, 2), x and y of each point; correct it"
        )
    values = array.astype(np.float64)
    places, tracks = values[:, :2], values[:, 2] if array.shape[1] == 3 else np.full(len(values), NO_TRACK)
    if not (np.isfinite(values).all() and (np.abs(values) <= MAX_NUMBER).all()):
        raise UserError(f"{path}: found {name} with numbers beyond all images, expected x and y in pixels; correct it")
    if array.shape[1] == 3 and ((tracks % 1).any() or tracks.min() < 0 or len(np.unique(tracks)) < len(tracks)):
        raise UserError(
            f"{path}: found {name} with a third column that is no number of a track, which would be whole and differ "
            "from point to point; write x and y alone"
        )
    return Points(places, tracks.astype(np.int64))


def image_of_points(key: str) -> str:
    """What the image is called whose points are in a file: `GT_img001001` is about `img001001`."""
    folder, slash, name = key.rpartition("/")
    word = TRUTH_WORD.match(name)
    return f"{folder}{slash}{name[word.end() :] if word else name}"
