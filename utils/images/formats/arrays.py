"""Frames as NumPy writes them: `.npy` files of one picture, or of a stack of them, `(N, H, W)`."""

from __future__ import annotations

import os
from tokenize import TokenError  # of a header, which is Python's text

import numpy as np

from utils.system.errors import UserError
from utils.system.untrusted import require_pixels, require_regular

ARRAY_SUFFIX = ".npy"
COLOUR_CHANNELS = (1, 3, 4)  # lengths of a last axis that holds colours: grey, RGB, RGBA


def open_array(path: str | os.PathLike) -> np.ndarray:
    """The pictures of a `.npy` file, `(N, H, W)`, or `(N, H, W, 1|3|4)` RGB, mapped into memory and not read yet.

    Raises:
        UserError: no such file, it ends early, or it holds no pictures of real numbers.
    """
    expected = "expected an array (H, W), or a stack (N, H, W), of numbers"
    try:
        require_regular(path, "a .npy file")
        array = np.lib.format.open_memmap(path, "r")
    except (OSError, ValueError, EOFError, TypeError, SyntaxError, TokenError, ArithmeticError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or str(error).split("\n")[0]
        raise UserError(f"{path}: not a readable .npy file ({reason}), {expected}; write the file again") from None
    shape = array.shape
    if len(shape) == 2 or len(shape) == 3 and shape[2] in COLOUR_CHANNELS:
        array = array[None]
    colour = array.ndim == 4 and array.shape[3] in COLOUR_CHANNELS
    if array.dtype.kind not in "buif" or not array.size or array.ndim != 3 + colour:
        raise UserError(f"{path}: found an array {shape} of {array.dtype}, {expected}; write the file again")
    require_pixels(path, array.shape[2], array.shape[1])
    return array


def picture_of(frame: np.ndarray) -> np.ndarray:
    """One frame of `open_array` as a picture in memory: `(H, W)`, or in colour `(H, W, 3)` BGR."""
    frame = np.array(frame, frame.dtype.newbyteorder("="))
    if frame.dtype == np.float16:
        frame = frame.astype(np.float32)
    return frame if frame.ndim == 2 else frame[:, :, 0] if frame.shape[2] == 1 else frame[:, :, 2::-1]


def read_array(path: str | os.PathLike) -> np.ndarray:
    """The picture of a `.npy` file that holds one, as `picture_of` has it.

    Raises:
        UserError: as `open_array`, or there are several.
    """
    frames = open_array(path)
    if len(frames) > 1:
        raise UserError(
            f"{path}: found a stack of {len(frames)} frames, expected one picture a file; write the frames as files of "
            "their own, or give the stack itself as --source"
        )
    return picture_of(frames[0])
