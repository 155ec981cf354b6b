"""From an image file to a grey frame."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from utils.images.formats.arrays import ARRAY_SUFFIX, open_array, read_array
from utils.images.formats.ends import BMP_HEADER_BYTES, ends_at_once, is_whole, told_bits
from utils.images.formats.mat_files import read_mat
from utils.images.formats.tiff import TIFF_STARTS, page_bits, page_size
from utils.images.formats.tiff_pages import read_pages
from utils.system.errors import UserError
from utils.system.files import atomic_write
from utils.system.packages.late import cv2
from utils.system.untrusted import read_bytes, require_image_size, require_pixels, require_regular

PORTABLE_MAPS = (".pgm", ".ppm", ".pnm", ".pbm")
IMAGE_SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".jp2", *PORTABLE_MAPS)
    + (".mat", ARRAY_SUFFIX)
)
END_BYTES = 16  # at a file's end that show most files whole
MAX_GREY_LEVEL = 65535  # the highest grey level
MAX_OVERSHOOT = 0.05  # of the range, that resampling puts below 0
MIN_RANGE_TO_ROUND = 8  # levels from the darkest to the brightest pixel; of less, rounding takes what fractions tell
ASPECT_TOLERANCE = 0.02  # two sizes have the same aspect when their ratios differ by less than this share


def images_among(names: Iterable[str]) -> list[str]:
    """Of the names of a folder's files those of images; arrays count as such where there are no others."""
    images = [name for name in names if os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES]
    return [name for name in images if not name.lower().endswith(ARRAY_SUFFIX)] or images


def read_picture(path: str | os.PathLike) -> np.ndarray:
    """Read a picture as its file holds it.

    Args:
        path: of the file; of what its name says it is, PNG, JPEG, BMP or TIFF, only the content counts, and of several
            pages the first.

    Returns:
        `(H, W)` grey, or `(H, W, 1|3|4)` BGR, of any type of real numbers.

    Raises:
        UserError: the file is missing, truncated or no image, or has too many pixels.
    """
    if Path(path).suffix.lower() == ARRAY_SUFFIX:
        return read_array(path)
    data = read_bytes(path, "an image file")
    if data[:4].tobytes() in TIFF_STARTS:
        return next(read_pages(path, (0,)))
    if not is_whole(data.tobytes()):
        raise _truncated(path, data.size)
    require_image_size(path, data)
    try:
        image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise UserError(f"{path}: not a readable image ({error.err}); fetch the file again") from None
    if image is None:
        raise UserError(f"{path}: not a readable image ({data.size} bytes); fetch or write the file again")
    return image


def _truncated(path: str | os.PathLike, size: int) -> UserError:
    return UserError(f"{path}: truncated image ({size} bytes, its end is missing); fetch the file again")


def check_end(path: str | os.PathLike) -> int | None:
    """Look at the first and last bytes of an image file, and only where these do not show it whole, at all of them.

    Returns:
        Bits of its levels as it says: 8, or 16 for all that is more; None where it does not say.

    Raises:
        UserError: it is missing, empty, or ends early (PNG, JPEG and BMP).
    """
    if Path(path).suffix.lower() == ARRAY_SUFFIX:
        return 8 if open_array(path).dtype.itemsize == 1 else 16
    try:
        require_regular(path, "an image file")
        with open(path, "rb") as file:
            head, size = file.read(BMP_HEADER_BYTES), file.seek(0, os.SEEK_END)
            file.seek(max(size - END_BYTES, 0))
            tail = file.read()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); expected an image file") from None
    if not size:
        raise UserError(f"{path}: an empty file; fetch the file again")
    if not ends_at_once(head, tail, size) and not is_whole(read_bytes(path, "an image file").tobytes()):
        raise _truncated(path, size)
    bits = page_bits(path) if head[:4] in TIFF_STARTS else told_bits(head)
    return bits and (16 if bits > 8 else 8)


def to_grey(image: np.ndarray) -> np.ndarray:
    """`(H, W)` or `(H, W, 1|3|4)` → `(H, W)`; colour-coded grey keeps its values exactly."""
    if image.ndim == 2:
        return image
    if image.shape[2] == 1:
        return image[:, :, 0]
    colour = image[:, :, :3]
    if (colour[:, :, 0] == colour[:, :, 1]).all() and (colour[:, :, 0] == colour[:, :, 2]).all():
        return np.ascontiguousarray(colour[:, :, 0])
    if colour.dtype not in (np.uint8, np.uint16, np.float32):
        colour = colour.astype(np.float32)
    return cv2.cvtColor(np.ascontiguousarray(colour), cv2.COLOR_BGR2GRAY)


def _mat_plane(path: str | os.PathLike) -> np.ndarray:
    """The key frame of an official NUDT-MIRSDT clip file: the last plane of its array `Mix` `(frames, H, W)`."""
    planes = read_mat(path, "Mix")
    if planes is None or planes.ndim != 3 or not len(planes):
        found = "no array `Mix`" if planes is None else f"`Mix` of shape {planes.shape}"
        raise UserError(f"{path}: found {found}, expected `Mix` of shape (frames, H, W)")
    return planes[-1]


def read_values(path: str | os.PathLike) -> np.ndarray:
    """Read one frame as grey, with the values that the file holds, such as degrees.

    Args:
        path: PNG, JPEG, BMP, TIFF or `.npy`, grey, palette, RGB or RGBA; or a `.mat` clip file.

    Returns:
        `(H, W)` of any type.

    Raises:
        UserError: the file is missing, truncated or no image.
    """
    return _mat_plane(path) if Path(path).suffix.lower() == ".mat" else to_grey(read_picture(path))


def read_frame(path: str | os.PathLike) -> np.ndarray:
    """Read one frame of a dataset as grey.

    Args:
        path: as of `read_values`, in 8 or 16 bits, or with values that whole levels from 0 to 65535 can hold.

    Returns:
        `(H, W)` uint8 or uint16 in the file's own units; fractions are rounded.

    Raises:
        UserError: the file is missing, truncated or no image, or holds other values.
    """
    image = read_values(path)
    if found := values_beyond_levels(image):
        raise UserError(
            f"{path}: found {found}, expected whole grey levels from 0 to {MAX_GREY_LEVEL}; multiply and "
            "shift the values of all frames of the dataset alike, and write the frames as images of 16 "
            "bits"
        )
    return to_whole_levels(image)


def values_beyond_levels(image: np.ndarray) -> str:
    """What of a frame's values whole levels from 0 to `MAX_GREY_LEVEL` cannot hold, empty where they can.

    What resampling puts below 0 does not count.
    """
    if not image.size or image.dtype in (np.uint8, np.uint16, np.bool_):
        return ""
    low, high = float(image.min()), float(image.max())
    if not np.isfinite((low, high)).all():
        return "values that are no finite numbers"
    if low < -max(0.5, MAX_OVERSHOOT * (high - low)) or high > MAX_GREY_LEVEL + 0.5:
        return f"values from {low:g} to {high:g}"
    if 0 < high - low < MIN_RANGE_TO_ROUND and (image != np.rint(image)).any():
        return f"values from {low:g} to {high:g} with fractions"
    return ""


def to_whole_levels(image: np.ndarray) -> np.ndarray:
    """Values of any type as uint8 or uint16, rounded and cut to 0 to `MAX_GREY_LEVEL`.

    Those of these types stay as they are.
    """
    if image.dtype in (np.uint8, np.uint16):
        return image
    if image.dtype == np.bool_:
        return image.astype(np.uint8) * 255
    return np.clip(np.rint(image), 0, MAX_GREY_LEVEL).astype(np.uint8 if image.max(initial=0) <= 255 else np.uint16)


def same_aspect(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two `(height, width)` have the same ratio, up to rounding."""
    (h, w), (oh, ow) = size, other
    return abs(w * oh - ow * h) <= ASPECT_TOLERANCE * min(w * oh, ow * h)


def image_size(path: str | os.PathLike) -> tuple[int, int]:
    """`(height, width)` from the file's header, without decoding the pixels.

    Raises:
        UserError: the file is missing or no image.
    """
    if Path(path).suffix.lower() == ".mat":
        plane = _mat_plane(path)
        return plane.shape[0], plane.shape[1]
    if Path(path).suffix.lower() == ARRAY_SUFFIX:
        return open_array(path).shape[1:3]
    try:
        require_regular(path, "an image file")
        size = page_size(path)
        if size:
            require_pixels(path, size[1], size[0])
            return size
        with Image.open(path) as image:
            return image.height, image.width
    except FileNotFoundError:
        raise UserError(f"{path}: missing; expected an image file") from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"{path}: not a readable image ({error}); fetch the file again") from None


def write_picture(path: str | os.PathLike, picture: np.ndarray) -> None:
    """Write a picture in the format of the path's suffix; the file is there as a whole or not at all.

    Args:
        path: of the file; folders above it are made.
        picture: `(H, W)` grey or `(H, W, 3)` BGR, uint8, or uint16 for PNG.

    Raises:
        OSError: it cannot be written, or is too large for the format; see `utils.system.files.writing`.
    """
    try:
        done, data = cv2.imencode(Path(path).suffix, picture)
    except cv2.error:  # before 4.13 some limits raise
        done = False
    if not done:
        raise OSError(f"{picture.shape[1]}x{picture.shape[0]} pixels are too many for this format")
    with atomic_write(path, lasting=False) as file:
        file.write(data)
