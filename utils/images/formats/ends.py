"""Whether an image file is whole, told from its own structure: OpenCV fills what is missing with grey and says nothing.

What lies behind a picture's end, such as a camera's raw data, belongs to nobody and is no fault. A length that the file
cannot hold is one, before anything is made room for.
"""

from __future__ import annotations

import re

PNG_START, PNG_END = b"\x89PNG\r\n\x1a\n", b"\0\0\0\0IEND\xaeB`\x82"
JPEG_START, JPEG_END = b"\xff\xd8", b"\xff\xd9"
PNG_DEPTH_AT = 24
JPEG_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])")  # in coded data zeros and restart marks are no markers
BMP_START, BMP_HEADER_BYTES = b"BM", 54
BMP_PLAIN_KINDS = (0, 3, 6)  # of compression: none
MAX_CHUNKS = 1 << 20  # of a PNG; more is no picture


def is_whole(data: bytes) -> bool:
    """Whether an image file's bytes reach to the picture's end; True for kinds that are not known here."""
    if data.startswith(PNG_START):
        return _png_is_whole(data)
    if data.startswith(JPEG_START):
        return _jpeg_is_whole(data)
    if data.startswith(BMP_START):
        return bmp_is_whole(data[:BMP_HEADER_BYTES], len(data))
    return True


def ends_at_once(head: bytes, tail: bytes, size: int) -> bool:
    """Whether a file's first and last bytes show already that it is whole."""
    if head.startswith(PNG_START):
        return tail.endswith(PNG_END)
    if head.startswith(JPEG_START):
        return tail.endswith(JPEG_END)
    return not head.startswith(BMP_START) or bmp_is_whole(head, size)


def told_bits(head: bytes) -> int | None:
    """Bits of a file's levels by its first `BMP_HEADER_BYTES` bytes: 8, or 16 for all that is more; None: not told."""
    if head.startswith(PNG_START) and len(head) > PNG_DEPTH_AT:
        return 16 if head[PNG_DEPTH_AT] > 8 else 8
    return 8 if head.startswith((JPEG_START, BMP_START)) else None


def _png_is_whole(data: bytes) -> bool:
    at = len(PNG_START)
    for _ in range(MAX_CHUNKS):
        if at + 12 > len(data):
            return False
        kind = data[at + 4 : at + 8]
        at += 12 + int.from_bytes(data[at : at + 4], "big")
        if kind == b"IEND":
            return at <= len(data)
    return False


def _jpeg_is_whole(data: bytes) -> bool:
    at = len(JPEG_START)
    while found := JPEG_MARKER.search(data, at):
        kind, at = found[1][0], found.end()
        if kind == JPEG_END[1]:
            return True
        if kind != 1:  # all others that may stand here have a length
            at += max(int.from_bytes(data[at : at + 2], "big"), 2)
    return False


def bmp_is_whole(head: bytes, size: int) -> bool:
    """Whether a BMP file of `size` bytes holds all rows that its first `BMP_HEADER_BYTES` bytes speak of."""
    if len(head) < 26:
        return False
    start, header = (int.from_bytes(head[at : at + 4], "little") for at in (10, 14))
    if header < 40:  # OS/2
        width, height, bits = (int.from_bytes(head[at : at + 2], "little") for at in (18, 20, 24))
        kind = packed = 0
    else:
        width, height = (abs(int.from_bytes(head[at : at + 4], "little", signed=True)) for at in (18, 22))
        bits = int.from_bytes(head[28:30], "little")
        kind, packed = (int.from_bytes(head[at : at + 4], "little") for at in (30, 34))
    rows = (width * bits + 31) // 32 * 4 * height
    return start + (rows if kind in BMP_PLAIN_KINDS else packed) <= size
