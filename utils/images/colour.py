"""Pictures in colour, whose grey is not what a camera measured."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from utils.images.image_files import read_picture

# Mean difference between the channels, of 255, beyond which colours carry something; coding leaves 1 or 2.
MIN_COLOUR_DIFFERENCE = 12.0
COLOUR_ADVICE = (
    "turned grey, which does not bring back what a palette (pseudo-colour) stands for; record white-hot or black-hot"
)


def is_coloured(picture: np.ndarray) -> bool:
    """Whether the colours of a picture carry something; grey that is stored as colour does not.

    Args:
        picture: `(H, W)` or `(H, W, 1|3|4)` BGR and maybe alpha, of any type; 8 bits go to 255, others to their largest
            value.
    """
    if picture.ndim == 2 or picture.shape[2] < 3:
        return False
    part = picture[::4, ::4, :3].astype(np.float32)
    scale = 1 if picture.dtype == np.uint8 else max(float(part.max(initial=0)), 1e-6) / 255
    return bool(np.ptp(part, axis=2).mean() > MIN_COLOUR_DIFFERENCE * scale)


def list_coloured(paths: Sequence[str | os.PathLike]) -> list[str | os.PathLike]:
    """Those of these image files that are in colour; `.mat` files are not.

    Raises:
        UserError: one cannot be read.
    """
    return [path for path in paths if Path(path).suffix.lower() != ".mat" and is_coloured(read_picture(path))]
