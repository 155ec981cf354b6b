"""The samples of a TIFF file's pages, as the file holds them, of any type.

Pillow's libtiff unpacks what is compressed, as rows of bytes; what these mean is told here: OpenCV 5.0 mixes up planes
that lie one after the other and halves the depth of grey with alpha, and neither of the two reads all types of numbers.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from utils.images.formats.tiff import (
    BITS_TAG,
    COMPRESSION_TAG,
    FILL_ORDER_TAG,
    FORMAT_TAG,
    HEIGHT_TAG,
    OFFSET_TAGS,
    ORIENTATION_TAG,
    PHOTOMETRIC_TAG,
    PLANAR_TAG,
    PREDICTOR_TAG,
    SAMPLES_TAG,
    SIZE_TAGS,
    STRIP_ROWS_TAG,
    TILE_HEIGHT_TAG,
    TILE_WIDTH_TAG,
    WIDTH_TAG,
    TiffFile,
    pieces_of,
)
from utils.system.errors import UserError
from utils.system.packages.late import cv2
from utils.system.untrusted import require_pixels

NOT_COMPRESSED, LOSSLESS = 1, (1, 5, 8, 32773, 32946, 34925, 50000)  # codes; of the latter samples come as they are
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2  # what samples stand for
NUMBER_KINDS = {1: "u", 2: "i", 3: "f", 4: "u"}  # codes of `FORMAT_TAG` as NumPy's kinds
PLAIN, DIFFERENCES, FLOAT_DIFFERENCES = 1, 2, 3  # codes of `PREDICTOR_TAG`
MAX_PAGE_BYTES = 1 << 29  # of a page's samples; 8192 x 8192 of 8 bytes


@dataclass(frozen=True)
class _Page:
    """What a page's table, at the place `at`, says of its samples."""

    at: int
    order: str
    width: int
    height: int
    samples: int
    bits: tuple[int, ...]
    kinds: tuple[int, ...]
    compression: int
    photometric: int
    planes: bool  # the samples of a colour lie together, one colour after the other
    predictor: int
    upright: bool
    tile: tuple[int, int] | None  # rows and columns
    strip_rows: int
    offsets: tuple[int, ...]
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, at: int, order: str, table: dict[int, tuple[int, ...]]) -> _Page:
        def one(tag: int, default: int) -> int:
            return next(iter(table.get(tag, ())), default)

        tile = (one(TILE_HEIGHT_TAG, 0), one(TILE_WIDTH_TAG, 0))
        return cls(
            at,
            order,
            one(WIDTH_TAG, 0),
            one(HEIGHT_TAG, 0),
            one(SAMPLES_TAG, 1),
            table.get(BITS_TAG, ()) or (1,),
            table.get(FORMAT_TAG, ()) or (1,),
            one(COMPRESSION_TAG, NOT_COMPRESSED),
            one(PHOTOMETRIC_TAG, BLACK_IS_ZERO),
            one(PLANAR_TAG, 1) == 2,
            one(PREDICTOR_TAG, PLAIN),
            one(ORIENTATION_TAG, 1) == one(FILL_ORDER_TAG, 1) == 1,
            tile if table.get(OFFSET_TAGS[1]) else None,
            one(STRIP_ROWS_TAG, 1 << 31),
            *pieces_of(table),
        )

    @property
    def dtype(self) -> np.dtype | None:
        """Of the samples in the file's byte order, None where they have no whole bytes, or several types."""
        bits, kind = self.bits[0], NUMBER_KINDS.get(self.kinds[0])
        known = bits in (16, 32, 64) if kind == "f" else kind and bits in (8, 16, 32, 64)
        alike = len({*self.bits}) == len({*self.kinds}) == 1
        return np.dtype(f"{self.order}{kind}{bits // 8}") if known and alike else None

    @property
    def is_plain(self) -> bool:
        """Whether the samples are the picture, as they are."""
        return (
            self.dtype is not None
            and 1 <= self.samples <= 4
            and self.compression in LOSSLESS
            and self.photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB)
            and self.predictor in (PLAIN, DIFFERENCES, FLOAT_DIFFERENCES)
            and self.upright
        )


def read_pages(path: str | os.PathLike, places: Sequence[int], numbered: bool = False) -> Iterator[np.ndarray]:
    """The pages of a TIFF file at `places`, which ascend from 0: `(H, W)`, or in colour `(H, W, 3)` BGR, of any type.

    Args:
        path: of the file.
        places: as `Pages.whole` has them.
        numbered: whether messages count pages, from 1.

    Raises:
        UserError: a page is not there, cannot be read, or has too many pixels.
    """
    wanted, number = iter(places), 1

    def name() -> str:
        return f"{path}: page {number}" if numbered else str(path)

    place = next(wanted, None)
    with open(path, "rb") as opened:
        file = TiffFile(opened)
        try:
            for at, (start, table) in enumerate(file.tables() if file.known else ()):
                if at == place:
                    yield _read_page(file, path, _Page.of(start, file.order, table), name())
                    place, number = next(wanted, None), number + 1
                if place is None:
                    return
        except EOFError:
            pass
    raise UserError(f"{name()}: not a readable image (its table is cut off); fetch the file again")


def _read_page(file: TiffFile, path: str | os.PathLike, page: _Page, name: str) -> np.ndarray:
    require_pixels(name, page.width, page.height)
    try:
        if not page.is_plain:
            return _read_by_opencv(file, path, page)
        samples = _samples(file, page)
    except (OSError, EOFError, ValueError, SyntaxError, TypeError, KeyError, OverflowError, cv2.error) as error:
        reason = str(error) or "its end is missing"
        raise UserError(f"{name} cannot be read ({reason}); write the file again") from None
    if page.photometric == WHITE_IS_ZERO and samples.dtype.kind == "u":
        samples = np.iinfo(samples.dtype).max - samples
    if samples.dtype == np.float16:
        samples = samples.astype(np.float32)
    return samples[:, :, 0] if page.samples < 3 else np.ascontiguousarray(samples[:, :, 2::-1])


def _read_by_opencv(file: TiffFile, path: str | os.PathLike, page: _Page) -> np.ndarray:
    """A page whose samples are no picture yet, such as palettes, JPEG, or single bits."""
    data = np.memmap(path, np.uint8, "c")  # what is written is seen here only
    pointer = np.frombuffer(struct.pack(f"{file.order}{'Q' if file.big else 'I'}", page.at), np.uint8)
    start = 8 if file.big else 4
    data[start : start + len(pointer)] = pointer  # now this page is the first one
    picture = cv2.imdecode(np.asarray(data), cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise ValueError(f"compression {page.compression}, {page.bits[0]} bits, kind {page.photometric} of colours")
    return picture


def _samples(file: TiffFile, page: _Page) -> np.ndarray:
    """The samples of a plain page, `(H, W, samples)` in this machine's byte order."""
    dtype, planes = page.dtype, page.samples if page.planes else 1
    each = page.samples // planes  # samples that lie together
    if page.width * page.height * page.samples * dtype.itemsize > MAX_PAGE_BYTES or not page.width * page.height:
        raise ValueError(f"{page.width}x{page.height} pixels of {page.samples} times {page.bits[0]} bits")
    rows, columns = page.tile or (min(page.strip_rows, page.height), page.width)
    if min(rows, columns) < 1:
        raise ValueError("tiles or strips without pixels")
    down, across = -(-page.height // rows), -(-page.width // columns)
    count = down * across
    if not len(page.offsets) == len(page.sizes) >= count * planes or sum(page.sizes) > file.size:
        raise EOFError
    if page.tile and down * rows * across * columns * dtype.itemsize > 2 * MAX_PAGE_BYTES:
        raise ValueError(f"tiles of {columns}x{rows} pixels")
    result = np.empty((page.height, page.width, page.samples), dtype.newbyteorder("="))
    for plane in range(planes):
        pieces = slice(plane * count, (plane + 1) * count)
        data = [file.piece(*one) for one in zip(page.offsets[pieces], page.sizes[pieces], strict=True)]
        height = down * rows if page.tile else page.height
        raw = _unpack(page, data, (height, across * columns * each * dtype.itemsize), rows, columns * each)
        # one row of a strip or tile after the other, so that differences begin anew in each
        values = _undo_predictor(page, raw.reshape(height, across, columns * each * dtype.itemsize), each)
        values = values.reshape(height, across * columns, each)[: page.height, : page.width]
        result[:, :, plane : plane + each] = values
    return result


def _unpack(page: _Page, data: list[bytes], shape: tuple[int, int], rows: int, row_samples: int) -> np.ndarray:
    """Bytes of all strips or tiles as one picture of `shape` (rows, bytes)."""
    if page.compression == NOT_COMPRESSED and not page.tile:
        needed = [shape[1] * min(rows, shape[0] - top) for top in range(0, shape[0], rows)]
        if any(len(piece) < size for piece, size in zip(data, needed, strict=True)):
            raise EOFError
        data = [piece[:size] for piece, size in zip(data, needed, strict=True)]
        return np.frombuffer(b"".join(data), np.uint8).reshape(shape)
    tile = (row_samples * page.dtype.itemsize, rows) if page.tile else None
    packed = _grey_tiff(data, shape, page.compression, rows, tile)
    with Image.open(io.BytesIO(packed)) as image:
        return np.asarray(image)


def _grey_tiff(
    data: list[bytes], shape: tuple[int, int], compression: int, rows: int, tile: tuple[int, int] | None
) -> bytes:
    """A TIFF file of one page of grey bytes, `shape` (height, width), made of strips of `rows`, or tiles (w, h)."""
    offsets = np.cumsum([8, *map(len, data)])
    values = {WIDTH_TAG: [shape[1]], HEIGHT_TAG: [shape[0]], BITS_TAG: [8], COMPRESSION_TAG: [compression]}
    values |= {PHOTOMETRIC_TAG: [BLACK_IS_ZERO], SAMPLES_TAG: [1]}
    values |= {TILE_WIDTH_TAG: [tile[0]], TILE_HEIGHT_TAG: [tile[1]]} if tile else {STRIP_ROWS_TAG: [rows]}
    values |= {OFFSET_TAGS[bool(tile)]: offsets[:-1].tolist(), SIZE_TAGS[bool(tile)]: list(map(len, data))}
    entries, lists, end = b"", b"", int(offsets[-1])
    for tag, numbers in sorted(values.items()):
        packed = struct.pack(f"<{len(numbers)}I", *numbers)
        entries += struct.pack("<HHI", tag, 4, len(numbers))
        entries += packed if len(packed) == 4 else struct.pack("<I", end + len(lists))
        lists += packed if len(packed) > 4 else b""
    head = b"II*\0" + struct.pack("<I", end + len(lists))
    return b"".join([head, *data, lists, struct.pack("<H", len(values)), entries, bytes(4)])


def _undo_predictor(page: _Page, rows: np.ndarray, each: int) -> np.ndarray:
    """Rows of strips or tiles `(height, across, bytes)` → their samples, which may be stored as differences."""
    dtype = page.dtype
    if page.predictor == FLOAT_DIFFERENCES:
        height, across, size = rows.shape
        steps = rows.reshape(height, across, size // each, each)
        whole = np.add.accumulate(steps, axis=2, dtype=np.uint8).reshape(height, across, dtype.itemsize, -1)
        return np.ascontiguousarray(whole.swapaxes(2, 3)).view(dtype.newbyteorder(">"))
    values = np.ascontiguousarray(rows).view(dtype)
    if page.predictor == PLAIN:
        return values
    bits = values.astype(dtype.newbyteorder("=")).view(f"u{dtype.itemsize}")
    steps = bits.reshape(*bits.shape[:2], -1, each)
    return np.add.accumulate(steps, axis=2, dtype=bits.dtype).view(dtype.newbyteorder("="))
