"""MOT tables: the boxes of one video, a line each, `frame,id,x,y,w,h,…`, as in `gt/gt.txt` and `det/det.txt`.

Milan et al., MOT16, 2016, section 3: behind the box stand a flag, 0 for what is not to be counted (of detections their
score), the class and the visibility; frames count from 1. The paper counts pixels from 1 too; VISO, whose tables have
the same columns, counts them from 0.
"""

from __future__ import annotations

import io
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from utils.datasets.compact_lists import NO_TRACK
from utils.datasets.json_formats import MAX_NUMBER
from utils.images.boxes import shares_problem
from utils.images.frame_names import TimeStamp
from utils.images.frame_order import order_frames
from utils.system.errors import UserError
from utils.system.untrusted import read_text

TABLE_PLACES = ("gt/gt.txt", "gt.txt")  # of a video's table, below the folder that holds its frames' folder
COLUMNS = (6, 10)  # the fewest and the most
EXPECTED = "frame,id,x,y,w,h and up to four more numbers; correct that line"
NUMBER = re.compile(r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?", re.ASCII)
MAX_FRAME, MAX_TRACK = 10**9, 2**53  # numbers beyond are slips
NO_CLASS = -1
HEAD_SIDE = 20.0  # pixels of DroneCrowd's boxes around heads, which are given by their corners
MIN_HEADS = 3  # by which corners are told from sides


@dataclass(frozen=True, eq=False)
class MotTable:
    """The lines of a table, N of them, in its order.

    Args:
        path: of the file.
        lines: `(N,)` int64, their numbers in it, from 1.
        frames: `(N,)` int64, as it numbers them.
        tracks: `(N,)` int64, `NO_TRACK` where there is none.
        boxes: `(N, 4)` float64 x1, y1, x2, y2 in pixels from 0, right and bottom exclusive.
        scores: `(N,)` float64, the seventh column: 0 what is not to be counted, 1 and -1 what is; 1 without one.
        classes: `(N,)` int64, numbers from 0, `NO_CLASS` where there is none.
        said: what a user should know about how it was understood, empty where there is nothing.
    """

    path: str
    lines: np.ndarray
    frames: np.ndarray
    tracks: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    said: str = ""

    def require_labels(self) -> None:
        """Raise `UserError` where the seventh column holds scores, as that of detections does."""
        wrong = ~np.isin(self.scores, (-1, 0, 1))
        if wrong.any():
            first = wrong.argmax()
            raise UserError(
                f"{self.path}: line {self.lines[first]}: found {self.scores[first]:g} in the seventh column, expected "
                "1, or 0 for what is not to be counted; if these are detections, give the labels instead"
            )


def read_mot(path: str, first_pixel: int = 0) -> MotTable:
    """Read a table; blank lines are skipped, and an empty file is a video without targets.

    The seventh column may be any number, see `MotTable.require_labels`. The eighth is taken for the class where it
    holds whole numbers from 0 in every line. Boxes of 20x20 pixels that are given by their corners, as DroneCrowd's
    heads, are recognised as such.

    Args:
        path: of the file; numbers are parted by commas, semicolons or blanks.
        first_pixel: number of the first column and row of pixels, 0 or 1.

    Raises:
        UserError: it cannot be read, or a line is none of a MOT table.
    """
    found = [(number, line) for number, line in enumerate(read_text(path).splitlines(), 1) if line.strip()]
    lines = np.array([number for number, _ in found], np.int64)
    rows = _parse(path, found)
    width = rows.shape[1]
    _require_sound(path, lines, rows)
    if problem := shares_problem(rows[:, 2:6]):
        raise UserError(f"{path}: {problem}")
    corners, notes = _are_corners(rows[:, 2:6]), []
    if corners:
        notes.append("boxes are given by their corners, 20 pixels apart, as those around DroneCrowd's heads")
    tracked = rows[rows[:, 1] >= 0, :2]
    if repeated := len(tracked) - len(np.unique(tracked, axis=0)):
        notes.append(f"{repeated} boxes have an id that another box of their frame has too")
    boxes = rows[:, 2:6].copy()
    boxes[:, :2] -= first_pixel
    boxes[:, 2:] = boxes[:, 2:] - first_pixel if corners else boxes[:, :2] + boxes[:, 2:]
    classes = rows[:, 7] if width > 7 else np.zeros(0)
    known = len(classes) and (classes >= 0).all() and (classes % 1 == 0).all() and classes.max() <= MAX_FRAME
    return MotTable(
        path,
        lines,
        rows[:, 0].astype(np.int64),
        np.where(rows[:, 1] < 0, NO_TRACK, rows[:, 1]).astype(np.int64),
        boxes,
        rows[:, 6] if width > 6 else np.ones(len(rows)),
        classes.astype(np.int64) if known else np.full(len(rows), NO_CLASS),
        "; ".join(notes),
    )


def _parse(path: str, found: Sequence[tuple[int, str]]) -> np.ndarray:
    """The numbers of all lines, `(N, COLUMNS)` float64."""
    if not found:
        return np.zeros((0, COLUMNS[0]))
    first = found[0][1]
    delimiter = next((mark for mark in ",;" if mark in first), None)
    text = io.StringIO("\n".join(line for _, line in found))
    try:
        rows = np.loadtxt(text, delimiter=delimiter, comments=None, ndmin=2)
    except ValueError:
        number, line = next((item for item in found if _is_broken(item[1], first, delimiter)), found[0])
        raise UserError(f"{path}: line {number}: found '{line.strip()[:60]}', expected {EXPECTED}") from None
    if not COLUMNS[0] <= rows.shape[1] <= COLUMNS[1]:
        raise UserError(f"{path}: line {found[0][0]}: found {rows.shape[1]} numbers, expected {EXPECTED}")
    return rows


def _is_broken(line: str, first: str, delimiter: str | None) -> bool:
    """Whether a line holds something else than numbers, or not as many as the first one."""
    words = line.split(delimiter)
    return len(words) != len(first.split(delimiter)) or not all(NUMBER.fullmatch(word.strip()) for word in words)


def _require_sound(path: str, lines: np.ndarray, rows: np.ndarray) -> None:
    """Raise `UserError` for the first line of numbers that no video has."""
    frames, tracks, rest = rows[:, 0], rows[:, 1], rows[:, 2:]
    sound = np.isfinite(rows).all(1) & (np.abs(rest) <= MAX_NUMBER).all(1)
    sound &= (frames >= 0) & (frames <= MAX_FRAME) & (frames % 1 == 0)
    sound &= (tracks >= -1) & (tracks <= MAX_TRACK) & (tracks % 1 == 0)
    if not sound.all():
        first = (~sound).argmax()
        values = ",".join(f"{value:g}" for value in rows[first])
        raise UserError(
            f"{path}: line {lines[first]}: found {values}, expected whole numbers for frame and id (-1 for none) and "
            "finite ones in pixels; correct that line"
        )


def _are_corners(values: np.ndarray) -> bool:
    """Whether four numbers of each box are corners `HEAD_SIDE` apart, and no sides."""
    apart = (values[:, 2:] - values[:, :2] == HEAD_SIDE).all()
    return bool(len(values) >= MIN_HEADS and apart and len(np.unique(values[:, :2], axis=0)) > 1)


def frames_by_number(stems: Sequence[str], given: Collection[int] = ()) -> tuple[dict[int, int], str]:
    """Which image a table means by which number.

    The numbers in the images' names count. Where the first one is 0, or names hold no numbers, and the table has no
    frame 0, the first image is frame 1, as MOT counts.

    Args:
        stems: names of the images without their endings.
        given: the numbers in the table.

    Returns:
        Places among `stems` by number, and what a user should know about that, empty where there is nothing. Where the
        names are of several videos there are no places.
    """
    order = order_frames(stems)
    if len(order.sequences) != 1:
        return {}, "the names of its images are of several videos"
    (sequence,) = order.sequences
    named = order.reader is not None and not isinstance(order.reader, TimeStamp)
    own = sequence.own_numbers if named else range(len(stems))
    shift = int(own[0] == 0 and 0 not in given)
    said = f"frame 1 is taken for {stems[sequence.indices[0]]}, as there is no frame 0" if shift and named else ""
    return {number + shift: index for number, index in zip(own, sequence.indices, strict=True)}, said
