"""Videos and animations, written picture by picture and never held in memory as a whole."""
from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from utils.errors import UserError
from utils.video import Capture


class VideoWriter:
    """Writes pictures as an mp4 (MPEG-4), under a temporary name until it is closed and was read back.

    All pictures get the size of the first, rounded up to even numbers: larger ones are shrunk into it, smaller ones are
    surrounded by black. Leaving the `with` block by an error keeps what was written.

    Args:
        path: of the file, ending with .mp4.
        fps: frames a second.
    Raises:
        UserError: the file cannot be written, or not read back.
    """

    def __init__(self, path: str | os.PathLike, fps: float) -> None:
        self.path, self.fps, self.count = Path(path), fps, 0
        self.temporary = self.path.with_name(f".{self.path.stem}.{os.getpid()}{self.path.suffix}")
        self.writer: Any = None
        self.size = (0, 0)

    def write(self, picture: np.ndarray) -> None:
        """Append a picture `(H, W, 3)` uint8 BGR."""
        import cv2

        if self.writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.size = tuple(side + side % 2 for side in picture.shape[:2])
            height, width = self.size
            code = cv2.VideoWriter_fourcc(*"mp4v")
            self.writer = cv2.VideoWriter(str(self.temporary), code, self.fps, (width, height))
            if not self.writer.isOpened():
                raise UserError(f"{self.path}: cannot be written as an mp4 of {width}x{height} pixels; check the space "
                                "left, or give a smaller --scale")
        self.writer.write(fitted(picture, self.size))
        self.count += 1

    def close(self) -> None:
        """Finish the file, read it back and move it into place."""
        if self.writer is None:
            return
        self.writer.release()
        self.writer = None
        try:
            with Capture(self.temporary) as capture:
                if next(iter(capture), None) is None:
                    raise UserError(f"{self.path}: the video was written but cannot be read back; check the space left")
            os.replace(self.temporary, self.path)
        finally:
            self.temporary.unlink(missing_ok=True)

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
        self.file: BinaryIO | None = None
        self.size = (0, 0)

    def write(self, picture: np.ndarray) -> None:
        """Append a picture `(H, W, 3)` uint8 BGR."""
        self.count += 1
        if (self.count - 1) % self.step:
            return
        from PIL import GifImagePlugin, Image

        if not any(self.size):
            share = min(1.0, self.longer_side / max(picture.shape[:2]))
            self.size = tuple(max(1, round(side * share)) for side in picture.shape[:2])
        # Pillow's `save` keeps every frame in memory until the last; so header and frames are written one by one.
        image = Image.fromarray(fitted(picture, self.size)[:, :, ::-1])
        image = image.quantize(palette=_palette(), dither=Image.Dither.NONE)
        if self.file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.file = open(self.temporary, "wb")  # noqa: SIM115 - stays open until `close`
            header, _ = GifImagePlugin.getheader(image.copy(), info={"loop": 0})
            self.file.write(b"".join(header))
        self.file.write(b"".join(GifImagePlugin.getdata(image, duration=self.duration)))

    def close(self) -> None:
        """Finish the file and move it into place."""
        if self.file is None:
            return
        self.file.write(b";")
        self.file.close()
        self.file = None
        os.replace(self.temporary, self.path)

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
        import cv2

        now = time.monotonic()
        if now - self.last >= 0.1:
            self.last = now
            temporary = self.path.with_name(f".{self.path.name}.tmp")
            temporary.write_bytes(cv2.imencode(self.path.suffix, picture)[1].tobytes())
            os.replace(temporary, self.path)

    def __enter__(self) -> PreviewWriter:
        return self

    def __exit__(self, *_: object) -> None:
        pass


def write_mask(path: Path, mask: np.ndarray) -> None:
    """Write a mask `(H, W)` bool as PNG, 255 where it is set."""
    import cv2

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.write_bytes(cv2.imencode(".png", mask.astype(np.uint8) * 255)[1].tobytes())
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror}); check the space left") from None


def fitted(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A picture `(H, W, 3)` brought to `size` (height, width).

    It is shrunk where it is larger, its aspect kept, and continued at the bottom and on the right: by its edge for one
    pixel, else by black.
    """
    import cv2

    share = min(1.0, size[0] / picture.shape[0], size[1] / picture.shape[1])
    if share < 1:
        sides = [min(max(1, round(side * share)), whole)
                 for side, whole in zip(picture.shape[1::-1], size[::-1], strict=True)]
        picture = cv2.resize(picture, sides, interpolation=cv2.INTER_AREA)
    down, right = (whole - side for whole, side in zip(size, picture.shape[:2], strict=True))
    if not (down or right):
        return picture
    border = cv2.BORDER_REPLICATE if max(down, right) == 1 else cv2.BORDER_CONSTANT
    return cv2.copyMakeBorder(picture, 0, down, 0, right, border)


def _palette() -> Any:
    """131 greys for the frames and a 5×5×5 cube of colours for what is drawn on them: the same in every frame."""
    from PIL import Image

    greys = [(level,) * 3 for level in np.linspace(0, 255, 131).round().astype(int).tolist()]
    steps = (0, 64, 128, 191, 255)
    colours = [(r, g, b) for r in steps for g in steps for b in steps]
    image = Image.new("P", (1, 1))
    image.putpalette([value for colour in greys + colours for value in colour])
    return image
