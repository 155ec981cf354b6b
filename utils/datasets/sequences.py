"""From the images that lists name to the table of a dataset's frames, sequence by sequence."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import numpy as np

from utils.datasets.compact_lists import Box, Rows, Texts
from utils.datasets.frame_table import FrameColumns, Sequences
from utils.datasets.layouts import SINGLE_FRAMES, Files
from utils.images.frame_names import frame_numbers, natural_key


class BoxTable:
    """Boxes by the images' keys, as `Mapping.get` gives them; those of several lists are joined."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        self.boxes = Rows(5)

    def add(self, key: str, boxes: tuple[Box, ...]) -> None:
        """Take up the boxes that one list has for an image."""
        known = self.get(key)
        joined = tuple(dict.fromkeys((known or ()) + boxes))
        if joined != known:
            self.rows[key] = len(self.boxes.ends) - 1
            self.boxes.add(joined)

    def get(self, key: str) -> tuple[Box, ...] | None:
        """The boxes of an image, None where no list names it."""
        return self.boxes.boxes(self.rows[key]) if key in self.rows else None

    def __contains__(self, key: str) -> bool:
        return key in self.rows

    def __len__(self) -> int:
        return len(self.rows)


def sequence_names(files: Files) -> Callable[[str], str]:
    """The name of an image's sequence; the split's folder is part of it only where two sequences share theirs.

    It depends on the image's folder alone, but for single frames, each of which is a sequence by itself.
    """
    folders = {
        folder: files.sequence_folder(f"{folder}/") for folder in {key.rpartition("/")[0] for key in files.images}
    }
    owners: dict[str, set[str]] = defaultdict(set)
    for within, whole in folders.values():
        owners[within].add(whole)
    bare = {folder for folder, (within, _) in folders.items() if not within}
    if len(folders) > 1 and bare:
        for key in files.images:
            folder, _, stem = key.rpartition("/")
            if folder in bare:
                owners[stem].add(folders[folder][1])

    def name_of(key: str) -> str:
        folder, _, stem = key.rpartition("/")
        within, whole = folders[folder]
        if len(owners[within or stem] if within or stem in owners else ()) <= 1:
            return within or stem
        return whole if within else f"{whole}/{stem}"

    return name_of


def table_of(files: Files, keys: Texts, name_of: Callable[[str], str], boxes: BoxTable) -> Sequences:
    """Frames by sequence.

    A frame's number is the last number in its file's name; where a sequence has names without one, or the same number
    twice, it is the position in natural order among all its images on disk.
    """
    rows: dict[str, Any] = defaultdict(lambda: array("q"))
    if files.layout == SINGLE_FRAMES:  # no lists of one frame each
        rows = {name_of(key): (row,) for row, key in enumerate(keys)}
    else:
        for row, key in enumerate(keys):
            rows[name_of(key)].append(row)
    names = sorted(rows, key=natural_key)
    columns, ends = FrameColumns(files.root), [0]

    def stems() -> Iterator[str]:
        position = _positions(files, name_of)
        for name in names:
            own = [keys[row] for row in rows.pop(name)]
            numbers = frame_numbers([key.rpartition("/")[2] for key in own]) or [position()[key] for key in own]
            for number, key in sorted(zip(numbers, own, strict=True)):
                yield columns.add(number, files.images[key], files.masks.get(key), boxes.get(key))
            ends.append(ends[-1] + len(own))

    columns.close(stems())
    return Sequences(Texts(names), [columns], np.zeros(len(names)), ends[:-1], ends[1:])


def _positions(files: Files, name_of: Callable[[str], str]) -> Callable[[], dict[str, int]]:
    """Makes, when first asked, the position of every image among those of its sequence."""

    @cache
    def positions() -> dict[str, int]:
        counts: Counter[str] = Counter()
        found = {}
        for key in files.images:  # these are in natural order
            name = name_of(key)
            found[key] = counts[name]
            counts[name] += 1
        return found

    return positions
