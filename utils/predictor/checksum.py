"""A checksum over every byte of a checkpoint, in the comment at the end of its zip archive.

A zip's own checksums cover what its entries store, and no more: one flipped bit in the directory, in a header or in the
padding makes PyTorch read other bytes, or zeros. The comment is the format's last field, and readers ignore it. So it
is renamed into place together with what it covers, and stays with the file wherever that is copied.

The last 74 bytes of a sealed file are the length of the comment, in the two bytes where PyTorch writes that there is
none, and the comment, `SHA-256 ` and 64 hexadecimal digits: the digest of the archive without a comment.
"""

from __future__ import annotations

import hashlib
import os
import struct
import zipfile
from typing import BinaryIO

_BEGIN = b"PK\x03\x04"  # of a zip archive; by these bytes PyTorch knows it
_END = b"PK\x05\x06"  # of the record at the archive's end
_END_BYTES = 22  # of that record without a comment
_NO_COMMENT = b"\0\0"  # its last two bytes then, the length of the comment
_TITLE, _DIGITS = b"SHA-256 ", 64
_SEAL = struct.pack("<H", len(_TITLE) + _DIGITS) + _TITLE
_BLOCK = 1 << 20


class SealedFile:
    """An open file into which `torch.save` writes an archive, and `seal` then its checksum.

    Args:
        file: open for writing, empty.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._digest, self._last = file, hashlib.sha256(), b""

    def write(self, piece: bytes | memoryview) -> int:
        """Append a piece."""
        self._digest.update(piece)
        self._last = (self._last + bytes(piece[-_END_BYTES:]))[-_END_BYTES:]
        return self._file.write(piece)

    def flush(self) -> None:
        """Hand what was written to the system."""
        self._file.flush()

    def seal(self) -> None:
        """Put the checksum behind the archive, which is complete.

        Raises:
            ValueError: what was written does not end as an archive without a comment does.
            OSError: it cannot be written.
        """
        if not _ends_plainly(self._last):
            raise ValueError(f"found {self._last!r} at the archive's end, expected its end record without a comment")
        self._file.seek(-len(_NO_COMMENT), os.SEEK_END)
        self._file.write(_SEAL + self._digest.hexdigest().encode())


def check_seal(path: str | os.PathLike) -> bool:
    """Compare a file with the checksum that it carries.

    Files without one pass: earlier checkpoints, weights of others, PyTorch's older format.

    Args:
        path: of any file.

    Returns:
        Whether it carries one.

    Raises:
        zipfile.BadZipFile: the checksum is another one, or the file is a zip archive with anything else behind its end,
            where a checksum may have been.
        OSError: it cannot be read.
    """
    with open(path, "rb") as file:
        begin = file.read(len(_BEGIN))
        covered = max(file.seek(0, os.SEEK_END) - len(_SEAL) - _DIGITS, 0)
        file.seek(covered)
        last = file.read()
        if last.startswith(_SEAL):
            if _digest_before(file, covered) != last[len(_SEAL) :]:
                raise zipfile.BadZipFile("the checksum of the whole file")
            return True
    if begin == _BEGIN and not _ends_plainly(last[-_END_BYTES:]):
        raise zipfile.BadZipFile("what stands behind the end")
    return False


def _ends_plainly(last: bytes) -> bool:
    """Whether the last 22 bytes of an archive are its end record without a comment."""
    return len(last) == _END_BYTES and last.startswith(_END) and last.endswith(_NO_COMMENT)


def _digest_before(file: BinaryIO, covered: int) -> bytes:
    """Hexadecimal digits of an archive whose comment's length stands `covered` bytes from the file's beginning."""
    digest, left = hashlib.sha256(), covered
    file.seek(0)
    while left and (block := file.read(min(_BLOCK, left))):
        digest.update(block)
        left -= len(block)
    digest.update(_NO_COMMENT)
    return digest.hexdigest().encode()
