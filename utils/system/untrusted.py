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
from xml.etree import ElementTree

import numpy as np
from PIL import Image, UnidentifiedImageError

from utils.system.errors import UserError

MAX_IMAGE_PIXELS = 1 << 26  # of an image; 8192 x 8192
SIZE_ADVICE = f"expected at most {MAX_IMAGE_PIXELS:,} pixels; cut or shrink it"
MAX_FILE_BYTES = 1 << 30  # of an image file, or of the array in a .mat file
MAX_WEIGHTS_GIB = 20  # more than any weights file of these networks
MAX_XML_CHARACTERS = 1 << 27  # some million boxes; its tree takes ten times as many bytes
MAX_XML_DEPTH = 32  # elements in elements; label files have up to eight


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


class _ShallowTree(ElementTree.TreeBuilder):
    """Builds the tree of an xml, and refuses one that is deeper than `MAX_XML_DEPTH`."""

    def __init__(self) -> None:
        super().__init__()
        self.depth = 0

    def start(self, tag: str, attributes: dict[str, str]) -> ElementTree.Element:
        self.depth += 1
        if self.depth > MAX_XML_DEPTH:
            raise _TooDeep
        return super().start(tag, attributes)

    def end(self, tag: str) -> ElementTree.Element:
        self.depth -= 1
        return super().end(tag)


class _TooDeep(Exception):
    """Elements lie in too many others."""


def parse_xml(path: str, expected: str) -> ElementTree.Element:
    """The root of an xml file.

    Args:
        path: of the file.
        expected: what it should be, for the error.

    Raises:
        UserError: it cannot be read, is no xml, is larger or deeper than label files are, or has a document type or
            entities, which may take any memory and name other files.
    """
    text = read_text(path)
    if "<!ENTITY" in text or "<!DOCTYPE" in text:
        raise UserError(f"{path}: found a document type or entities, expected {expected} without; remove them")
    if len(text) > MAX_XML_CHARACTERS:
        raise UserError(
            f"{path}: found {len(text):,} letters, expected {expected} of at most {MAX_XML_CHARACTERS:,}; export it in "
            "parts"
        )
    try:
        return ElementTree.fromstring(text, ElementTree.XMLParser(target=_ShallowTree()))
    except _TooDeep:
        found = f"found more than {MAX_XML_DEPTH} elements in one another"
    except ElementTree.ParseError as error:
        found = f"not xml ({error})"
    raise UserError(f"{path}: {found}, expected {expected}; write it again")


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
