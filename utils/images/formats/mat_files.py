"""Arrays of numbers out of MATLAB files up to version 7.2.

Only the few structures that such an array needs are read, each against what the file holds: the compiled readers there
are trust a file's lengths, and end the whole process over a damaged one.
"""

from __future__ import annotations

import math
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from utils.system.errors import UserError
from utils.system.untrusted import MAX_FILE_BYTES, read_bytes

_HEADER_BYTES = 128  # before the first element
_ORDERS = {b"IM": "<", b"MI": ">"}  # the header's last two bytes
_VERSION_7_3 = b"\x89HDF\r\n\x1a\n"
_MATRIX, _COMPRESSED = 14, 15  # kinds of elements
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}  # likewise
_CLASSES = {  # of arrays: their names, and the types of those of numbers
    **{1: ("cell", ""), 2: ("struct", ""), 3: ("object", ""), 4: ("char", ""), 5: ("sparse", "")},
    **{6: ("double", "f8"), 7: ("single", "f4"), 8: ("int8", "i1"), 9: ("uint8", "u1"), 10: ("int16", "i2")},
    **{11: ("uint16", "u2"), 12: ("int32", "i4"), 13: ("uint32", "u4"), 14: ("int64", "i8"), 15: ("uint64", "u8")},
}
_COMPLEX_FLAG = 0x800
_MAX_HEAD_BYTES = 1 << 16  # of an array: its class, shape and name
_NESTED = ("cell", "struct")
_MAX_NESTED_BYTES, _MAX_DEPTH = 1 << 26, 8  # of structures and cells in each other
_V4_TYPES = ("f8", "f4", "i4", "i2", "u2", "u1")


class _Damaged(Exception):
    """The file is no whole MATLAB file; the text says what is wrong."""


@dataclass(frozen=True)
class _Array:
    """An array that a file holds: its class, shape, name, and where its numbers begin in its element."""

    kind: str
    type: str
    shape: tuple[int, ...]
    name: str
    begin: int

    @property
    def count(self) -> int:
        return math.prod(self.shape)


def read_mat(path: str | os.PathLike, name: str, inner: str = "") -> np.ndarray | None:
    """The array `name` `(…)` of a MATLAB file up to version 7.2, None where there is no such array.

    Other arrays are neither unpacked nor built.

    Args:
        path: of the file.
        name: of the array.
        inner: where `name` is a structure, or cells with structures, the field of these that is meant, the first one.

    Raises:
        UserError: it cannot be read, or would need more than `MAX_FILE_BYTES` of memory.
    """
    data = read_bytes(path, "a .mat file").tobytes()
    try:
        if _VERSION_7_3 in data[:1024]:
            raise _Damaged("of version 7.3; save it with -v7")
        if len(data) > _HEADER_BYTES and data[126:128] in _ORDERS:
            return _find_array(path, data, _ORDERS[data[126:128]], name, inner)
        return _read_version_4(path, data, name)
    except (_Damaged, struct.error, zlib.error, ValueError, MemoryError) as error:
        raise UserError(f"{path}: not a readable .mat file ({error}); fetch the file again") from None


def _find_array(path: str | os.PathLike, data: bytes, order: str, name: str, inner: str) -> np.ndarray | None:
    at = _HEADER_BYTES
    while at + 8 <= len(data):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        body = memoryview(data)[at + 8 : at + 8 + size]
        if len(body) < size:
            raise _Damaged(f"an element of {size:,} bytes where {len(body):,} are left")
        at += 8 + size
        element = _unpack(body, _MAX_HEAD_BYTES) if kind == _COMPRESSED else bytes(data[at - 8 - size : at])
        found = _read_head(element, order)
        if found is None or found.name != name:
            continue
        if inner and found.kind in _NESTED:
            element = _unpack(body, _MAX_NESTED_BYTES) if kind == _COMPRESSED else element
            return _find_field(path, element, order, inner)
        _require_small(path, found)
        if kind == _COMPRESSED:
            element = _unpack(body, found.begin + 8 + found.count * 8)
        return _read_numbers(element, order, found)
    return None


def _find_field(path: str | os.PathLike, element: bytes, order: str, field: str, depth: int = 0) -> np.ndarray | None:
    """The first array of numbers that is the field of a structure in an element, itself among them."""
    found, parts = _read_head(element, order), [*_parts(element, order, 8)][3:]
    names = [""]
    if found.kind == "struct" and len(parts) > 1:
        (_, at, _), (_, names_at, names_size), *parts = parts
        (length,) = struct.unpack_from(f"{order}i", element, at)
        names = element[names_at : names_at + names_size]
        names = [names[i : i + length].split(b"\0")[0].decode("ascii") for i in range(0, names_size, max(length, 1))]
    for index, (kind, at, size) in enumerate(parts):
        part = element[at - 8 : at + size]
        head = _read_head(part, order) if kind == _MATRIX and size else None
        if head is not None and head.kind in _NESTED:
            array = _find_field(path, part, order, field, depth + 1) if depth < _MAX_DEPTH else None
            if array is not None:
                return array
        elif head is not None and names[index % max(len(names), 1)] == field:
            _require_small(path, head)
            return _read_numbers(part, order, head)
    return None


def _unpack(body: memoryview, most: int) -> bytes:
    """The first `most` bytes of what is packed in an element."""
    return zlib.decompressobj().decompress(body, most)


def _parts(element: bytes, order: str, begin: int) -> Iterator[tuple[int, int, int]]:
    """Kind, beginning and size of each part of an array."""
    while begin + 8 <= len(element):
        kind, size = struct.unpack_from(f"{order}II", element, begin)
        if kind >> 16:  # at most four bytes, which stand in the size's place
            kind, size, at, step = kind & 0xFFFF, kind >> 16, begin + 4, 8
        else:
            at, step = begin + 8, 8 + -(-size // 8) * 8
        yield kind, at, size
        begin += step


def _read_head(element: bytes, order: str) -> _Array | None:
    """What an element says of its array; None for one of another kind."""
    if len(element) < 8 or struct.unpack_from(f"{order}I", element)[0] != _MATRIX:
        return None
    parts = list(islice(_parts(element, order, 8), 4))
    if len(parts) < 3:
        raise _Damaged("an array without class, shape or name")
    (_, flags_at, _), (_, shape_at, shape_size), (_, name_at, name_size) = parts[:3]
    (flags,) = struct.unpack_from(f"{order}I", element, flags_at)
    if shape_size > 256 or name_size > 256 or name_at + name_size > len(element):
        raise _Damaged("an array of too many sides, or with too long a name")
    shape = struct.unpack_from(f"{order}{shape_size // 4}i", element, shape_at)
    if min(shape, default=-1) < 0:
        raise _Damaged(f"an array of shape {shape[:8]}")
    kind, type_ = _CLASSES.get(flags & 0xFF, ("unknown", ""))
    if flags & _COMPLEX_FLAG and type_:
        kind, type_ = f"complex {kind}", ""
    begin = parts[3][1] if len(parts) > 3 else len(element)
    return _Array(kind, type_, shape, element[name_at : name_at + name_size].decode("ascii"), begin)


def _read_numbers(element: bytes, order: str, found: _Array) -> np.ndarray:
    kind, begin, size = next(islice(_parts(element, order, 8), 3, None), (0, 0, 0))
    type_ = np.dtype(f"{order}{_NUMBERS.get(kind, 'V1')}")
    if kind not in _NUMBERS or size != found.count * type_.itemsize or begin + size > len(element):
        raise _Damaged(f"{found.name} of shape {found.shape} and other numbers than so many")
    numbers = np.frombuffer(element, type_, found.count, begin)
    return numbers.astype(found.type).reshape(found.shape, order="F")


def _require_small(path: str | os.PathLike, found: _Array) -> None:
    if not found.type or found.count * 8 > MAX_FILE_BYTES:
        raise UserError(
            f"{path}: found {found.name} of kind {found.kind} and shape {found.shape[:8]}, expected numbers of at most "
            f"{MAX_FILE_BYTES >> 20} MiB"
        )


def _read_version_4(path: str | os.PathLike, data: bytes, name: str) -> np.ndarray | None:
    """An array of two sides; before each stand its type, rows, columns, whether it is complex, its name's length."""
    at = 0
    order = next((order for order in "<>" if 0 <= struct.unpack_from(f"{order}i", data)[0] < 5000), None)
    while at < len(data):
        if order is None:
            raise _Damaged("no MATLAB file of a version up to 7.2")
        code, rows, columns, is_complex, length = struct.unpack_from(f"{order}5i", data, at)
        machine, zero, number, text = (code // digit % 10 for digit in (1000, 100, 10, 1))
        if min(rows, columns) < 0 or not 0 < length < 256 or machine > 1 or zero or number >= len(_V4_TYPES):
            raise _Damaged("no MATLAB file of a version up to 7.2")
        type_ = np.dtype(f"{order}{_V4_TYPES[number]}")
        begin, count = at + 20 + length, rows * columns
        size = count * type_.itemsize * (2 if is_complex else 1)
        if begin + size > len(data):
            raise _Damaged(f"an array of {rows}x{columns} where {max(len(data) - begin, 0):,} bytes are left")
        if data[at + 20 : begin].rstrip(b"\0").decode("latin-1") == name:
            kind = "sparse" if text == 2 else "char" if text else "complex double" if is_complex else "double"
            plain = type_.str[1:] if kind == "double" else ""
            _require_small(path, _Array(kind, plain, (rows, columns), name, begin))
            return np.frombuffer(data, type_, count, begin).astype(plain).reshape((rows, columns), order="F")
        at = begin + size
    return None
