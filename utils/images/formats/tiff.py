"""The pages of a TIFF file, told from its tables alone: no pixel is decoded.

Own code and not a library's, as it reads of a stranger's file the few numbers that it needs, each at most `MAX_ENTRIES`
times: tifffile 2026.3 reads every description and every list of strips whole (100 that share 8 MiB take 800 MiB),
raises whatever the values of a wrong type lead to, and does not end where long chains of tables lead in a circle.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # first bytes, the last two of BigTIFF
SUBFILE_TAG, OFFSET_TAGS, SIZE_TAGS = 254, (273, 324), (279, 325)  # tags; data lies in strips or in tiles
WIDTH_TAG, HEIGHT_TAG, BITS_TAG, COMPRESSION_TAG, PHOTOMETRIC_TAG, FILL_ORDER_TAG = 256, 257, 258, 259, 262, 266
ORIENTATION_TAG, SAMPLES_TAG, STRIP_ROWS_TAG, PLANAR_TAG, PREDICTOR_TAG = 274, 277, 278, 284, 317
TILE_WIDTH_TAG, TILE_HEIGHT_TAG, FORMAT_TAG = 322, 323, 339
MIN_TURNED = 5  # code of `ORIENTATION_TAG` from which on rows are columns
TAGS_READ = frozenset(
    (SUBFILE_TAG, *OFFSET_TAGS, *SIZE_TAGS, WIDTH_TAG, HEIGHT_TAG, BITS_TAG, COMPRESSION_TAG, PHOTOMETRIC_TAG)
    + (FILL_ORDER_TAG, ORIENTATION_TAG, SAMPLES_TAG, STRIP_ROWS_TAG, PLANAR_TAG, PREDICTOR_TAG)
    + (TILE_WIDTH_TAG, TILE_HEIGHT_TAG, FORMAT_TAG)
)
REDUCED_KINDS = 1 | 4  # bits of `SUBFILE_TAG`: a thumbnail, a mask
MAX_ENTRIES = 1 << 16  # tags of a page, and pieces of its data; more is no image
NUMBER_FORMATS = {3: "H", 4: "I", 16: "Q"}  # types of the numbers asked for here


class Pages(NamedTuple):
    """The pages of a TIFF file.

    `whole`: places, from 0, of the pages that are there from end to end; thumbnails do not count. `missing`: pages of
    which the file speaks and that are not whole. `broken`: it ends before its table of pages does, so that nobody knows
    how many more there were.
    """

    whole: tuple[int, ...]
    missing: int
    broken: bool

    def missing_text(self) -> str:
        """How many are missing, empty where none is."""
        return f"{self.missing}{' or more' if self.broken else ''}" if self.missing else ""


class TiffFile:
    """A TIFF or BigTIFF file that is read at given places; what lies beyond its end raises `EOFError`."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.size = file, os.fstat(file.fileno()).st_size
        head = file.read(4)
        self.order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
        version = struct.unpack(f"{self.order}H", head[2:])[0] if self.order and len(head) == 4 else 0
        self.known = version in (42, 43)
        self.big = version == 43

    def read(self, at: int, layout: str) -> tuple[int, ...]:
        length = struct.calcsize(f"{self.order}{layout}")
        if at + length > self.size:
            raise EOFError
        self.file.seek(at)
        return struct.unpack(f"{self.order}{layout}", self.file.read(length))

    def piece(self, offset: int, size: int) -> bytes:
        """So many bytes from a place on; those of it that the file has."""
        self.file.seek(offset)
        return self.file.read(size)

    def tables(self) -> Iterator[tuple[int, dict[int, tuple[int, ...]]]]:
        """Place in the file, and tags and values, of the table of one page after the other."""
        count, entry, pointer = ("Q", "HHQ", "Q") if self.big else ("H", "HHI", "I")
        head, inline = struct.calcsize(f"{self.order}{entry}"), struct.calcsize(f"{self.order}{pointer}")
        (at,), seen = self.read(8 if self.big else 4, pointer), set()
        while at and at not in seen:
            seen.add(at)
            (entries,), start = self.read(at, count), at + struct.calcsize(f"{self.order}{count}")
            after = start + entries * (head + inline)
            if entries > MAX_ENTRIES:
                raise EOFError
            self.read(after, pointer)  # the table is whole
            places = range(start, after, head + inline)
            yield at, dict(self._values(place, head, entry, inline, pointer) for place in places)
            (at,) = self.read(after, pointer)

    def _values(self, at: int, head: int, entry: str, inline: int, pointer: str) -> tuple[int, tuple[int, ...]]:
        tag, kind, count = self.read(at, entry)
        if tag not in TAGS_READ or kind not in NUMBER_FORMATS:
            return tag, ()
        if count > MAX_ENTRIES:
            return tag, (self.size + 1,)
        layout = f"{count}{NUMBER_FORMATS[kind]}"
        place = at + head if struct.calcsize(f"{self.order}{layout}") <= inline else self.read(at + head, pointer)[0]
        try:
            return tag, self.read(place, layout)
        except EOFError:
            return tag, (self.size + 1,)  # what lies there is cut off


def pieces_of(table: dict[int, tuple[int, ...]]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Offsets and sizes in bytes of a page's strips or tiles."""
    offsets, sizes = (next((table[tag] for tag in tags if table.get(tag)), ()) for tags in (OFFSET_TAGS, SIZE_TAGS))
    return offsets, sizes


def list_pages(path: str | os.PathLike) -> Pages:
    """The pages of a TIFF file; of other files one page, whole.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as opened:
        file = TiffFile(opened)
        if not file.known:
            return Pages((0,), 0, False)
        whole, missing = [], 0
        try:
            for place, (_, table) in enumerate(file.tables()):
                if any(kind & REDUCED_KINDS for kind in table.get(SUBFILE_TAG, ())):
                    continue
                offsets, sizes = pieces_of(table)
                ends = map(sum, zip(offsets, sizes, strict=True)) if len(offsets) == len(sizes) else offsets
                if max(ends, default=0) <= file.size:
                    whole.append(place)
                else:
                    missing += 1
        except EOFError:
            return Pages(tuple(whole), missing + 1, True)
        return Pages(tuple(whole), missing, False)


def page_bits(path: str | os.PathLike) -> int | None:
    """Bits of the levels of a TIFF file's first page, None where its table does not say, and of other files.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as opened:
        file = TiffFile(opened)
        try:
            _, table = next(file.tables(), (0, {})) if file.known else (0, {})
        except EOFError:
            return None
        return max(table.get(BITS_TAG, ()), default=None)


def page_size(path: str | os.PathLike) -> tuple[int, int] | None:
    """(height, width) of a TIFF file's first page; None where its table does not say, and of other files.

    Raises:
        OSError: it cannot be read.
    """
    with open(path, "rb") as opened:
        file = TiffFile(opened)
        if not file.known:
            return None
        try:
            _, table = next(file.tables(), (0, {}))
        except EOFError:
            return None
        height, width = (next(iter(table.get(tag, ())), 0) for tag in (HEIGHT_TAG, WIDTH_TAG))
        upright = next(iter(table.get(ORIENTATION_TAG, ())), 1) < MIN_TURNED
        return ((height, width) if upright else (width, height)) if height and width else None
