"""From the images that lists name to the table of a dataset's frames, sequence by sequence."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from utils.datasets.compact_lists import NO_TRACK, Box, Entry, Rows, Sizes, Texts, TrackIds
from utils.datasets.frame_table import FrameColumns, Sequences
from utils.datasets.layouts import SINGLE_FRAMES, Files
from utils.images.frame_names import natural_key
from utils.images.frame_order import order_frames
from utils.system.notices import warn


class BoxTable:
    """What lists say of images, by the images' keys; boxes and regions of several lists are joined."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        self.boxes = Rows(5)
        self.sizes = Sizes()
        self.tracks = TrackIds()
        self.ignored: dict[str, tuple[Box, ...]] = {}

    def add(self, key: str, entry: Entry) -> None:
        """Take up what one list has for an image."""
        known, size = self.boxes_of(key), self.size_of(key) or entry.size
        joined: dict[Box, int] = {}
        for boxes, tracks in ((known or (), self.tracks_of(key)), (entry.boxes or (), entry.tracks)):
            for box, track in zip(boxes, tracks or [NO_TRACK] * len(boxes), strict=True):
                joined[box] = track if joined.get(box, NO_TRACK) == NO_TRACK else joined[box]
        tracks = tuple(joined.values()) if any(track != NO_TRACK for track in joined.values()) else ()
        if (tuple(joined), tracks, size) != (known, self.tracks_of(key), self.size_of(key)):
            self.rows[key] = len(self.boxes.ends) - 1
            self.tracks.add(tracks, self.boxes.ends[-1], len(joined))
            self.boxes.add(joined)
            self.sizes.add(size)
        if entry.ignored:
            self.ignored[key] = tuple(dict.fromkeys(self.ignored.get(key, ()) + entry.ignored))

    def boxes_of(self, key: str) -> tuple[Box, ...] | None:
        """The boxes of an image, None where no list names it."""
        return self.boxes.boxes(self.rows[key]) if key in self.rows else None

    def tracks_of(self, key: str) -> tuple[int, ...]:
        """The tracks of an image's boxes, as `utils.datasets.frame_table.Frame` has them."""
        ends = self.boxes.ends[self.rows[key] :][:2] if key in self.rows else (0, 0)
        return self.tracks.at(*ends)

    def ignored_in(self, key: str) -> tuple[Box, ...]:
        """The regions of an image that are to be ignored."""
        return self.ignored.get(key, ())

    def size_of(self, key: str) -> tuple[int, int] | None:
        """The (height, width) that lists declare, None where none does."""
        return self.sizes.at(self.rows[key]) if key in self.rows else None

    def __contains__(self, key: str) -> bool:
        return key in self.rows

    def __len__(self) -> int:
        return len(self.rows)


class SequenceFinder:
    """Which sequence an image belongs to, and its number there, by the names of all images on disk.

    A folder is a sequence, or holds several that the names tell apart (`utils.images.frame_order`); single frames are
    each a sequence by itself. Whatever is to be said about that is a warning.
    """

    def __init__(self, files: Files) -> None:
        self._name_by_folder = _name_by_folder(files)
        self._split: dict[str, str] = {}  # of images in folders that hold several sequences
        self._numbers: dict[str, tuple[list[str], array]] = {}
        self._said: dict[str, list[str]] = defaultdict(list)
        folders: dict[str, list[str]] = defaultdict(list)
        for key in files.images if files.layout != SINGLE_FRAMES else ():
            folders[self._name_by_folder(key)].append(key)
        for name, keys in folders.items():
            if len(keys) > 1:
                self._take(name, keys, folders)
        for text, names in self._said.items():
            warn(f"{files.root}: {text} (in {names[0]}" + (f" and {len(names) - 1} more)" if names[1:] else ")"))

    def _take(self, folder: str, keys: list[str], folders: Mapping[str, Any]) -> None:
        order = order_frames([key.rpartition("/")[2] for key in keys])
        if order.said:
            self._said[order.said].append(folder)
        for sequence in order.sequences:
            own, name = [keys[index] for index in sequence.indices], folder
            if sequence.label:
                name = f"{folder}/{sequence.label}"
                while name in folders:  # a folder of that name, which holds another sequence
                    name += "_"
                self._split |= dict.fromkeys(own, name)
            if sequence.said:
                self._said[sequence.said.partition(";")[0]].append(name)
            self._numbers[name] = own, array("q", sequence.numbers)

    def name_of(self, key: str) -> str:
        """The name of an image's sequence."""
        return self._split.get(key) or self._name_by_folder(key)

    def numbers_of(self, name: str, keys: Sequence[str]) -> list[int]:
        """The frame numbers of some images of a sequence."""
        if name not in self._numbers:  # a single frame
            return [order_frames([key.rpartition("/")[2]]).sequences[0].numbers[0] for key in keys]
        known = dict(zip(*self._numbers[name], strict=True))
        return [known[key] for key in keys]


def _name_by_folder(files: Files) -> Callable[[str], str]:
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


def table_of(files: Files, keys: Texts, finder: SequenceFinder, boxes: BoxTable) -> Sequences:
    """Frames by sequence, in the order of their numbers."""
    rows: dict[str, Any] = defaultdict(lambda: array("q"))
    if files.layout == SINGLE_FRAMES:  # no lists of one frame each
        rows = {finder.name_of(key): (row,) for row, key in enumerate(keys)}
    else:
        for row, key in enumerate(keys):
            rows[finder.name_of(key)].append(row)
    names = sorted(rows, key=natural_key)
    columns, ends = FrameColumns(files.root), [0]

    def stems() -> Iterator[str]:
        for name in names:
            own = [keys[row] for row in rows.pop(name)]
            for number, key in sorted(zip(finder.numbers_of(name, own), own, strict=True)):
                yield columns.add(
                    number,
                    files.images[key],
                    files.masks.get(key),
                    boxes.boxes_of(key),
                    boxes.ignored_in(key),
                    boxes.size_of(key),
                    boxes.tracks_of(key),
                )
            ends.append(ends[-1] + len(own))

    columns.close(stems())
    return Sequences(Texts(names), [columns], np.zeros(len(names)), ends[:-1], ends[1:])
