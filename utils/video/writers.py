"""Videos and animations, written picture by picture and never held in memory as a whole."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from PIL import GifImagePlugin, Image

from utils.images.image_files import write_picture
from utils.system.errors import UserError
from utils.system.files import GrowingFile, as_utf8, writing
from utils.system.packages.late import cv2
from utils.video.mp4 import Segments, join, packets_of


class VideoWriter:
    """Writes pictures as an mp4 in H.264 that is playable whatever ends the writing.

    While it grows it is `NAME.part.mp4`, of a segment for each frame; that is what a process leaves that is killed.
    `close` joins the segments into an ordinary mp4 and reads it back, also when the `with` block is left by an error.
    Where the disk is full, now or then, the whole segments become the file, and the error says how many frames it has.

    All pictures get the size of the first, rounded up to even numbers: larger ones are shrunk into it, smaller ones are
    surrounded by black.

    Args:
        path: of the file, ending with .mp4.
        fps: frames a second.

    Raises:
        UserError: the file cannot be written, or not read back. Also by `write` and `close`.
    """

    def __init__(self, path: str | os.PathLike, fps: float) -> None:
        as_utf8(path)  # it is read back at the end
        self.path, self.fps, self.count = Path(path), fps, 0
        self.part = self.path.with_suffix(f".part{self.path.suffix}")
        self.segments: Segments | None = None
        self.size = (0, 0)

    def write(self, picture: np.ndarray) -> None:
        """Append a picture `(H, W, 3)` uint8 BGR."""
        if self.segments is None:
            self.size = tuple(side + side % 2 for side in picture.shape[:2])
            with writing(self.part):
                self.part.parent.mkdir(parents=True, exist_ok=True)
                self.segments = Segments(self.part, self.size, self.fps)
        try:
            self.segments.write(fit_into(picture, self.size))
        except OSError as error:
            segments, self.segments = self.segments, None
            with contextlib.suppress(OSError):
                segments.close()
            self._give_up(f"cannot be written to its end ({error.strerror or error})")
        self.count += 1

    def close(self) -> None:
        """Join the segments and move the file into place."""
        if self.segments is None:
            return
        segments, self.segments = self.segments, None
        try:
            segments.close()
            join(self.part, self.path, self.count)
            self.part.unlink()
        except OSError as error:
            self._give_up(f"cannot be joined into one piece ({error.strerror or error})")

    def _give_up(self, reason: str) -> NoReturn:
        """Keep the segments that there are as the result, and say so."""
        count, place = len(packets_of(self.part)), self.path
        if not count:
            self.part.unlink(missing_ok=True)
            raise UserError(f"{place}: {reason}; make room there and run the command again") from None
        try:
            os.replace(self.part, place)
        except OSError:
            place = self.part
        raise UserError(
            f"{place}: {reason}; its first {count} frames are kept and can be played; make room there and "
            "run the command again"
        ) from None

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class GifWriter:
    """Writes pictures as an endless GIF; made smaller and with fewer frames a second, so that it stays handy.

    Args:
        path: of the file.
        fps: frames a second of the pictures given.
        longer_side: of the animation, at most, in pixels.
        max_fps: pictures are left out above this.
    """

    def __init__(self, path: str | os.PathLike, fps: float, longer_side: int = 640, max_fps: float = 12.5) -> None:
        self.path, self.longer_side = Path(path), longer_side
        self.temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        self.step = max(1, int(np.ceil(fps / max_fps)))
        self.duration = max(20, round(1000 * self.step / fps))
        self.count = 0
        self.file: GrowingFile | None = None
        self.size = (0, 0)

    def write(self, picture: np.ndarray) -> None:
        """Append a picture `(H, W, 3)` uint8 BGR."""
        self.count += 1
        if (self.count - 1) % self.step:
            return
        if not any(self.size):
            share = min(1.0, self.longer_side / max(picture.shape[:2]))
            self.size = tuple(max(1, round(side * share)) for side in picture.shape[:2])
        # Pillow's `save` keeps every frame in memory until the last; so header and frames are written one by one.
        image = Image.fromarray(fit_into(picture, self.size)[:, :, ::-1])
        image = image.quantize(palette=_palette(), dither=Image.Dither.NONE)
        piece = b"".join(GifImagePlugin.getdata(image, duration=self.duration))
        with writing(self.path):
            if self.file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.file = GrowingFile(self.temporary)
                header, _ = GifImagePlugin.getheader(image.copy(), info={"loop": 0})
                piece = b"".join(header) + piece
            self.file.write(piece)

    def close(self) -> None:
        """Finish the file and move it into place."""
        if self.file is None:
            return
        file, self.file = self.file, None
        begun = self.temporary.stat().st_size > 0
        with contextlib.suppress(OSError):  # viewers do without the end mark, on a full disk they have to
            file.write(b";")
        file.close()
        with writing(self.path):
            if begun:
                os.replace(self.temporary, self.path)
            else:
                self.temporary.unlink()

    def __enter__(self) -> GifWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class PreviewWriter:
    """Keeps one picture file up to date, at most ten times a second; a viewer never sees half a picture."""

    def __init__(self, path: str | os.PathLike) -> None:
        self.path, self.last = Path(path), 0.0

    def write(self, picture: np.ndarray) -> None:
        """Show a picture `(H, W, 3)` uint8 BGR."""
        now = time.monotonic()
        if now - self.last >= 0.1:
            self.last = now
            with writing(self.path):
                write_picture(self.path, picture)

    def __enter__(self) -> PreviewWriter:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def write_mask(path: Path, mask: np.ndarray) -> None:
    """Write a mask `(H, W)` bool as PNG, 255 where it is set.

    Raises:
        UserError: it cannot be written.
    """
    with writing(path):
        write_picture(path, mask.astype(np.uint8) * 255)


def fit_into(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture brought to a size: shrunk where it is larger, its aspect kept, and continued where it is smaller.

    It is continued at the bottom and on the right, by its edge for one pixel, else by black.

    Args:
        picture: `(H, W, 3)`.
        size: (height, width) of the result.
    """
    share = min(1.0, size[0] / picture.shape[0], size[1] / picture.shape[1])
    if share < 1:
        sides = [
            min(max(1, round(side * share)), whole)
            for side, whole in zip(picture.shape[1::-1], size[::-1], strict=True)
        ]
        picture = cv2.resize(picture, sides, interpolation=cv2.INTER_AREA)
    down, right = (whole - side for whole, side in zip(size, picture.shape[:2], strict=True))
    if not (down or right):
        return picture
    border = cv2.BORDER_REPLICATE if max(down, right) == 1 else cv2.BORDER_CONSTANT
    return cv2.copyMakeBorder(picture, 0, down, 0, right, border)


def _palette() -> Any:
    """131 greys for the frames and a 5×5×5 cube of colours for what is drawn on them: the same in every frame."""
    greys = [(level,) * 3 for level in np.linspace(0, 255, 131).round().astype(int).tolist()]
    steps = (0, 64, 128, 191, 255)
    colours = [(r, g, b) for r in steps for g in steps for b in steps]
    image = Image.new("P", (1, 1))
    image.putpalette([value for colour in greys + colours for value in colour])
    return image
