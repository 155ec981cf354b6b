"""A dataset's frames in a table of numbers and bytes, so that a million of them fit beside the loader's processes.

`Frame` objects are made when they are asked for. Some 60 bytes a frame stay in memory, in arrays that forked processes
share.
"""

from __future__ import annotations

import os
from array import array
from collections.abc import ItemsView, Iterable, Iterator, Mapping, Sequence, ValuesView
from copy import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from utils.datasets.compact_lists import Box, Rows, Sizes, Texts, TrackIds, boxes_at
from utils.images.masks.values import MaskRule

NO_MASK = -1
WHOLE_PATH = "\0"  # in place of an ending: the beginning is the path already


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame on disk.

    `image` and `mask` are paths that open (`mask` None: there is none); an `image` that ends with `.mat` stands for the
    last plane of the clip in it. `boxes` are (x1, y1, x2, y2, class) in pixels of the image, right and bottom
    exclusive, classes from 0; None where the dataset has no boxes for this frame, () where it has no target.
    `ignored` are regions like them in which nobody says what is a target (a crowd, an object that is too difficult):
    what is found there is neither right nor wrong. `declared` is the (height, width) that the list of boxes says of
    the image, None where it does not. `tracks` are the ids of the tracks that `boxes` belong to, the same for a target
    in all frames of its sequence, `NO_TRACK` for a box without; () where no box has one.
    `mask_rule` says which values of the mask are targets; None where nobody has looked at the dataset's masks.
    """

    sequence: str
    number: int
    image: str
    mask: str | None
    boxes: tuple[Box, ...] | None
    ignored: tuple[Box, ...] = ()
    declared: tuple[int, int] | None = None
    mask_rule: MaskRule | None = field(default=None, compare=False)
    tracks: tuple[int, ...] = ()


class FrameColumns:
    """Frames column by column, filled by `add` in the order of their rows and closed by `close`.

    A path is root, the beginning of a place, the image's stem, and the place's ending: places are few.
    """

    def __init__(self, root: str = "") -> None:
        self.root = root
        self.mask_rule: MaskRule | None = None
        self.numbers: Any = array("q")
        self.places: dict[tuple[str, str], int] = {}
        self.image: Any = array("i")
        self.mask: Any = array("i")
        self.boxed: Any = array("b")
        self.boxes: Any = Rows(5)
        self.box_ends: Any = None
        self.tracks = TrackIds()
        self.ignored: dict[int, tuple[Box, ...]] = {}  # by row; few datasets have any
        self.declared = Sizes()
        self.stems: Any = None

    def add(
        self,
        number: int,
        image: str,
        mask: str | None,
        boxes: tuple[Box, ...] | None,
        ignored: tuple[Box, ...] = (),
        declared: tuple[int, int] | None = None,
        tracks: tuple[int, ...] = (),
    ) -> str:
        """Append a frame, paths below the root; returns the image's stem, of which `close` needs all."""
        if ignored:
            self.ignored[len(self.numbers)] = ignored
        self.declared.add(declared)
        stem = os.path.splitext(image.rpartition("/")[2])[0]
        self.numbers.append(number)
        self.image.append(self._place(image, stem))
        self.mask.append(NO_MASK if mask is None else self._place(mask, stem))
        self.boxed.append(boxes is not None)
        self.tracks.add(tracks, self.boxes.ends[-1], len(boxes or ()))
        self.boxes.add(boxes or ())
        return stem

    def _place(self, path: str, stem: str) -> int:
        folder, slash, name = path.rpartition("/")
        known = (folder + slash, name[len(stem) :]) if name.startswith(stem) else (path, WHOLE_PATH)
        return self.places.setdefault(known, len(self.places))

    def close(self, stems: Iterable[str]) -> FrameColumns:
        """Turn the columns into arrays; nothing is added from here on."""
        self.stems = Texts(stems)
        self.places = list(self.places)
        self.numbers = np.array(self.numbers, np.int64)
        self.image, self.mask = (np.array(column, np.int32) for column in (self.image, self.mask))
        self.boxed = np.array(self.boxed, bool)
        self.boxes, self.box_ends = self.boxes.arrays()
        self.tracks.values = np.array(self.tracks.values, np.int64)
        return self

    def _path(self, place: int, stem: str) -> str:
        beginning, ending = self.places[place]
        return os.path.join(self.root, beginning if ending == WHOLE_PATH else beginning + stem + ending)

    def frame(self, row: int, sequence: str) -> Frame:
        """The frame in `row`, of the sequence of that name."""
        stem, mask = self.stems[row], int(self.mask[row])
        boxes = boxes_at(self.boxes, self.box_ends, row) if self.boxed[row] else None
        return Frame(
            sequence,
            int(self.numbers[row]),
            self._path(self.image[row], stem),
            None if mask == NO_MASK else self._path(mask, stem),
            boxes,
            self.ignored.get(row, ()),
            self.declared.at(row),
            self.mask_rule,
            self.tracks.at(self.box_ends[row], self.box_ends[row + 1]),
        )


class FrameTable(Sequence[Frame]):
    """The frames of one sequence, or of a slice of it; compares equal to any sequence of the same frames."""

    __slots__ = ("columns", "name", "rows")

    def __init__(self, columns: FrameColumns, name: str, rows: range) -> None:
        self.columns, self.name, self.rows = columns, name, rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return FrameTable(self.columns, self.name, self.rows[index])
        return self.columns.frame(self.rows[index], self.name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(other) == len(self) and all(map(Frame.__eq__, self, other))

    __hash__ = None

    @property
    def numbers(self) -> np.ndarray:
        """`(N,)` int64 frame numbers."""
        return self.columns.numbers[np.arange(len(self.rows)) * self.rows.step + self.rows.start]


class Sequences(Mapping[str, FrameTable]):
    """Frames by the names of their sequences, in order.

    Args:
        names: of the sequences.
        tables: the columns that their frames are in.
        source, start, stop: `(N,)` integers, for each sequence which of `tables`, and its rows there.
    """

    def __init__(
        self, names: Texts, tables: Sequence[FrameColumns], source: np.ndarray, start: np.ndarray, stop: np.ndarray
    ) -> None:
        self.names, self.tables = names, tuple(tables)
        self.source, self.start, self.stop = (np.asarray(column, np.int64) for column in (source, start, stop))

    @classmethod
    def of(cls, sequences: Mapping[str, Iterable[Frame]]) -> Sequences:
        """Any frames by name, such as a dict of lists."""
        if isinstance(sequences, Sequences):
            return sequences
        columns, stems, ends = FrameColumns(), [], [0]
        for frames in sequences.values():
            for frame in frames:
                about = frame.boxes, frame.ignored, frame.declared, frame.tracks
                stems.append(columns.add(frame.number, frame.image, frame.mask, *about))
                columns.mask_rule = columns.mask_rule or frame.mask_rule
            ends.append(len(stems))
        return cls(Texts(sequences), [columns.close(stems)], np.zeros(len(ends) - 1), ends[:-1], ends[1:])

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __getitem__(self, name: str) -> FrameTable:
        index = self.names.find(name) if isinstance(name, str) else -1
        if index < 0:
            raise KeyError(name)
        return self.at(index, name)

    def at(self, index: int, name: str | None = None) -> FrameTable:
        """The sequence at a position."""
        rows = range(int(self.start[index]), int(self.stop[index]))
        return FrameTable(self.tables[self.source[index]], self.names[index] if name is None else name, rows)

    def items(self) -> ItemsView[str, FrameTable]:
        """Names and frames; each table is made when it is asked for."""
        return _Items(self)

    def values(self) -> ValuesView[FrameTable]:
        """The frames of each sequence."""
        return _Values(self)

    @property
    def has_ignored(self) -> bool:
        """Whether any frame of the tables that these are from has regions to ignore."""
        return any(table.ignored for table in self.tables)

    def lengths(self) -> np.ndarray:
        """`(N,)` frames in each sequence."""
        return self.stop - self.start

    def frames(self) -> AllFrames:
        """All frames, sequence by sequence."""
        return AllFrames(self)

    def cut(self, first: Any, last: Any) -> Sequences:
        """Of every sequence the frames from position `first` to before `last`, `(N,)` or one number for all.

        Sequences of which nothing is left are left out.
        """
        first = np.clip(first, 0, self.lengths())
        last = np.clip(last, first, self.lengths())
        kept = np.flatnonzero(last > first)
        names = self.names if len(kept) == len(self) else Texts(self.names[i] for i in kept.tolist())
        start = self.start + first
        return Sequences(names, self.tables, self.source[kept], start[kept], (self.start + last)[kept])

    def select(self, names: Iterable[str]) -> Sequences:
        """The sequences of these names, in the order here."""
        kept = np.zeros(len(self), bool)
        kept[[self.names.find(name) for name in names]] = True
        return self.cut(0, np.where(kept, self.lengths(), 0))

    def with_mask_rule(self, rule: MaskRule) -> Sequences:
        """The same frames, whose masks are read by `rule`."""
        tables = [copy(table) for table in self.tables]
        for table in tables:
            table.mask_rule = rule
        return Sequences(self.names, tables, self.source, self.start, self.stop)

    def join(self, others: Iterable[tuple[str, Sequences]]) -> Sequences:
        """These, then others under names with a prefix."""
        parts = [("", self), *others]
        offsets = np.cumsum([0, *(len(part.tables) for _, part in parts)]).tolist()
        names = Texts(prefix + name for prefix, part in parts for name in part)
        source = [part.source + offset for (_, part), offset in zip(parts, offsets[:-1], strict=True)]
        start, stop = ([getattr(part, column) for _, part in parts] for column in ("start", "stop"))
        return Sequences(
            names, [table for _, part in parts for table in part.tables], *map(np.concatenate, (source, start, stop))
        )


class _Items(ItemsView):
    def __iter__(self) -> Iterator[tuple[str, FrameTable]]:
        for index, name in enumerate(self._mapping.names):
            yield name, self._mapping.at(index, name)


class _Values(ValuesView):
    def __iter__(self) -> Iterator[FrameTable]:
        return (frames for _, frames in self._mapping.items())


class AllFrames(Sequence[Frame]):
    """All frames of some sequences, one after another."""

    def __init__(self, sequences: Sequences) -> None:
        self.sequences = sequences
        self.ends = np.cumsum(sequences.lengths())

    def __len__(self) -> int:
        return int(self.ends[-1]) if len(self.ends) else 0

    def __iter__(self) -> Iterator[Frame]:
        return (frame for frames in self.sequences.values() for frame in frames)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        table, position = self.place(index)
        return table[position]

    def place(self, index: int) -> tuple[FrameTable, int]:
        """The sequence of frame `index` and its position there.

        Raises:
            IndexError: it lies beyond the end.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        index %= len(self)
        which = int(np.searchsorted(self.ends, index, side="right"))
        table = self.sequences.at(which)
        return table, index - int(self.ends[which]) + len(table)

    def row_of(self, name: str) -> int:
        """The index of a sequence's first frame.

        Raises:
            KeyError: there is none of that name.
        """
        which = self.sequences.names.find(name)
        if which < 0:
            raise KeyError(name)
        return int(self.ends[which] - self.sequences.stop[which] + self.sequences.start[which])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(other) == len(self) and all(map(Frame.__eq__, self, other))

    __hash__ = None


class AllKeys(Sequence[tuple[str, int]]):
    """(name, position) of every frame of some sequences: the key frames of all clips."""

    def __init__(self, sequences: Mapping[str, Iterable[Frame]]) -> None:
        self.frames = Sequences.of(sequences).frames()

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        table, position = self.frames.place(index)
        return table.name, position
