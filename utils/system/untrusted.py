"""Files from strangers: what would fill the memory or run code is refused before it is opened.

Links are followed: people link datasets into place, and `utils_coco.boxes_to_masks --link` does so too. What a link
leads to is only ever read, as an image, a list or weights; devices and pipes are refused. Lists of images cannot lead
out of the dataset's folder: they choose among the files found there (`utils.datasets.layouts.Files.find`).
"""

from __future__ import annotations

import codecs
import io
import os
import stat
import zipfile
import zlib

import numpy as np
from PIL import Image, UnidentifiedImageError

from utils.system.errors import UserError

MAX_IMAGE_PIXELS = 1 << 26  # of an image; 8192 x 8192
SIZE_ADVICE = f"expected at most {MAX_IMAGE_PIXELS:,} pixels; cut or shrink it"
MAX_FILE_BYTES = 1 << 30  # of an image file, or of the arrays in a .mat file
MAX_WEIGHTS_GIB = 20  # more than any weights file of these networks
NUMBER_KINDS = frozenset(
    {"double", "single", "logical", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"}
)
_HEADER_BYTES = 128  # before the first element of a .mat file
_COMPRESSED_KIND = 15  # of an element of a .mat file


def read_bytes(path: str | os.PathLike, expected: str) -> np.ndarray:
    """A whole file, `(N,)` uint8.

    Raises:
        UserError: it cannot be read, is a device or a pipe, or is larger than `MAX_FILE_BYTES`.
    """
    try:
        size = require_regular(path, expected)
        if size > MAX_FILE_BYTES:
            raise UserError(
                f"{path}: found {size >> 20} MiB, expected {expected} of at most {MAX_FILE_BYTES >> 20} "
                "MiB; fetch the file again"
            )
        return np.fromfile(path, np.uint8)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); expected {expected}") from None


def read_text(path: str) -> str:
    """A text file's content, in UTF-8 or UTF-16, with or without a byte-order mark.

    Raises:
        UserError: it cannot be read, or is not text.
    """
    data = read_bytes(path, "a text file").tobytes()
    wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        return data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path}: not a text file in UTF-8; write the file again") from None


def require_regular(path: str | os.PathLike, expected: str) -> int:
    """A file's size in bytes.

    Args:
        path: of the file.
        expected: what it should be, for the error.

    Raises:
        UserError: it is a device or a pipe, which may never end.
        OSError: there is none.
    """
    about = os.stat(path)
    if not stat.S_ISREG(about.st_mode):
        raise UserError(f"{path}: found no regular file, expected {expected}; remove it")
    return about.st_size


def require_image_size(path: str | os.PathLike, data: bytes | np.ndarray) -> None:
    """Look at what an image file's header says of its size.

    Args:
        path: of the file, for the error.
        data: its bytes.

    Raises:
        UserError: it speaks of more than `MAX_IMAGE_PIXELS` pixels, or is of no kind that is known.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
    except Image.DecompressionBombError:
        raise UserError(f"{path}: found an image of far more than {MAX_IMAGE_PIXELS:,} pixels, {SIZE_ADVICE}") from None
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError):  # whose size nobody knows
        raise UserError(f"{path}: not a readable image ({len(data)} bytes); fetch or write the file again") from None
    require_pixels(path, width, height)


def require_pixels(name: str | os.PathLike, width: int, height: int) -> None:
    """Raise `UserError` where an image, called `name`, has more than `MAX_IMAGE_PIXELS` pixels."""
    if width * height > MAX_IMAGE_PIXELS:
        raise UserError(f"{name}: found an image of {width}x{height} (w x h), {SIZE_ADVICE}")


def require_weights_size(path: str | os.PathLike, kind: str) -> None:
    """Refuse a file that is larger than any weights file.

    Args:
        path: of the file.
        kind: what it should be, for the error.

    Raises:
        UserError: it is.
    """
    size = os.path.getsize(path)
    if size > MAX_WEIGHTS_GIB << 30:
        raise UserError(f"{path}: found {size >> 30} GiB, expected {kind} of at most {MAX_WEIGHTS_GIB} GiB")


def require_plain_archive(path: str | os.PathLike, kind: str) -> None:
    """Refuse a zip archive that unpacks to more than its own size.

    PyTorch stores tensors uncompressed, so that a weights file which unpacks to more was made by something else, such
    as a zip bomb (also one whose entries share their bytes). Files that are no archives pass.

    Args:
        path: of the file.
        kind: what it should be, for the error.

    Raises:
        UserError: it is such an archive, or damaged.
    """
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        raise UserError(f"{path}: found a damaged archive ({error}), expected {kind}; fetch it again") from None
    size = os.path.getsize(path)
    if unpacked > size:
        raise UserError(
            f"{path}: found an archive of {size >> 10:,} KiB that unpacks to {unpacked >> 10:,} KiB, "
            f"expected {kind}, whose tensors are stored uncompressed; fetch it again, from a source you "
            "trust"
        )


def read_mat(path: str | os.PathLike, name: str) -> np.ndarray | None:
    """The array `name` `(…)` of a MATLAB file up to version 7.2, None where there is no such array.

    Compressed parts are unpacked up to `MAX_FILE_BYTES` only, and no array of other kinds than numbers is built.

    Raises:
        UserError: it cannot be read, or would need more than `MAX_FILE_BYTES` of memory.
    """
    from scipy.io import loadmat, whosmat  # takes 0.2 s, and few datasets are made of such files

    data = read_bytes(path, "a .mat file").tobytes()
    try:
        plain = io.BytesIO(_unpack(path, data))
        found = {entry[0]: entry[1:] for entry in whosmat(plain)}
        if name not in found:
            return None
        shape, kind = found[name]
        if kind not in NUMBER_KINDS or np.prod(shape, dtype=np.float64) * 8 > MAX_FILE_BYTES:
            raise UserError(
                f"{path}: found {name} of kind {kind} and shape {tuple(shape)}, expected numbers of at "
                f"most {MAX_FILE_BYTES >> 20} MiB"
            )
        plain.seek(0)
        return loadmat(plain, variable_names=[name])[name]
    except (OSError, ValueError, TypeError, NotImplementedError, KeyError, IndexError, zlib.error) as error:
        raise UserError(f"{path}: not a readable .mat file ({error}); fetch the file again") from None


def _unpack(path: str | os.PathLike, data: bytes) -> bytes:
    """A .mat file whose compressed elements are replaced by what is in them; other versions as they are."""
    if len(data) < _HEADER_BYTES or data[:1] == b"\0" or data[126:128] not in (b"IM", b"MI"):
        return data
    order = "little" if data[126:128] == b"IM" else "big"
    parts, at, room = [data[:_HEADER_BYTES]], _HEADER_BYTES, MAX_FILE_BYTES
    while at + 8 <= len(data):
        kind, size = (int.from_bytes(data[at + i : at + i + 4], order) for i in (0, 4))
        element = data[at + 8 : at + 8 + size] if kind == _COMPRESSED_KIND else data[at : at + 8 + size]
        if kind == _COMPRESSED_KIND:
            unpacker = zlib.decompressobj()
            element = unpacker.decompress(element, room)
            if unpacker.unconsumed_tail:
                raise UserError(
                    f"{path}: found a .mat file of {len(data) >> 10:,} KiB that unpacks to more than "
                    f"{MAX_FILE_BYTES >> 20} MiB; fetch it again, from a source you trust"
                )
        parts.append(element)
        room = max(room - len(element), 1)
        at += 8 + size
    return b"".join(parts)
