"""Frames as the pictures of a page: WebP in base64, a line each.

Not the video: a page that is opened as a file may show one but not look at its pixels (the canvas counts as tainted),
so that there would be no levels to set; frames could not be met exactly; and in the annotated video boxes are burnt in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from utils.images.grey_levels import Stretch
from utils.render.page_parts import encode_webp, grey_picture
from utils.system.notices import warn
from utils.video.sources import FrameSource

QUALITY = 75  # of WebP; 3 to 4 kB for 320x256, in which targets of a few pixels stay as they are
MAX_PICTURE_BYTES = 400 << 20  # of a page; browsers take long for more
NO_PICTURE = ""


def encode_picture(image: np.ndarray, levels: tuple[float, float]) -> str:
    """A frame `(H, W)`, shown between the levels (black, white), as base64."""
    return encode_webp(grey_picture(image, levels), QUALITY).partition(",")[2]


def pictures_of_source(source: FrameSource, numbers: Sequence[int]) -> Iterator[str]:
    """The pictures of a source's frames, in the order of their `numbers`; "" for one that is not there any more.

    Raises:
        UserError: the source cannot be read.
    """
    return _pictures(((frame.number, frame.image) for frame in source), numbers)


def _pictures(frames: Iterable[tuple[int, np.ndarray]], numbers: Sequence[int]) -> Iterator[str]:
    waiting, stretch, missing = iter(numbers), Stretch(), 0
    wanted = next(waiting, None)
    for number, image in frames:
        while wanted is not None and wanted < number:
            missing += 1
            yield NO_PICTURE
            wanted = next(waiting, None)
        if wanted is None:
            break
        if wanted == number:
            yield encode_picture(image, stretch.update(image))
            wanted = next(waiting, None)
    while wanted is not None:
        missing += 1
        yield NO_PICTURE
        wanted = next(waiting, None)
    if missing:
        warn(f"{missing} frames of the results are not in the source any more, and the page shows none for them")


class PictureBudget:
    """Passes pictures on until they have taken so many bytes; those that come later are left out, which is said."""

    def __init__(self, most: int = MAX_PICTURE_BYTES) -> None:
        self.left, self.skipped = most, 0

    def limit(self, pictures: Iterable[str]) -> Iterator[str]:
        """The pictures, "" in place of those that are too much."""
        for picture in pictures:
            self.left -= len(picture)
            self.skipped += self.left < 0
            yield picture if self.left >= 0 else NO_PICTURE

    def tell(self) -> None:
        """Say how many were left out."""
        if self.skipped:
            warn(
                f"view.html: the pictures of {self.skipped} frames are left out, as those before take "
                f"{MAX_PICTURE_BYTES >> 20} MiB, about what browsers take; boxes and tracks of all frames are in it; "
                "for the rest run vid_predict.py on a part of the footage"
            )
