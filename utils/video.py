"""Frame sources: folders of images, single images and video files, read one frame at a time."""
from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from utils.errors import UserError
from utils.files import frame_numbers, natural_key
from utils.frames import IMAGE_SUFFIXES, image_size, plain_levels, read_frame

VIDEO_SUFFIXES = frozenset({".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".ts"})
MAX_DEPTH = 6  # folders below the source; links that lead in circles end here


class SourceFrame(NamedTuple):
    """`image` is `(H, W)` uint8 or uint16, grey; `name` is unique within the source and good for a file name; `path` is
    the image's file, None for a video's frame."""

    number: int
    image: np.ndarray
    name: str
    path: str | None


@dataclass(frozen=True)
class FrameSource:
    """One sequence of frames: the image `files`, as `(frame number, path)` by number, or without any the video `path`.

    `fps` is None where the source does not say. `length` is the number of frames; for videos it is what the file
    claims, None where it claims nothing.
    """

    name: str
    path: str
    fps: float | None
    length: int | None
    files: tuple[tuple[int, str], ...] = ()

    def __iter__(self) -> Iterator[SourceFrame]:
        """Frames in order, numbers ascending; those of videos count from 0.

        Raises:
            UserError: an image cannot be read.
        """
        for number, path in self.files:
            yield SourceFrame(number, read_frame(path), Path(path).stem, path)
        if not self.files:
            with Capture(self.path) as capture:
                for number, image in enumerate(capture):
                    yield SourceFrame(number, image, video_frame(number)[1], None)


@dataclass(frozen=True)
class PageSource(FrameSource):
    """The pages of one TIFF file, in order; numbers count from 0."""

    def __iter__(self) -> Iterator[SourceFrame]:
        from PIL import Image

        with Image.open(self.path) as image:
            for number in range(self.length or 0):
                try:
                    image.seek(number)
                    page = np.asarray(image if image.mode in ("L", "I;16", "I;16B", "I;16L", "I", "F") else
                                      image.convert("L"))
                except (OSError, EOFError, ValueError, SyntaxError) as error:
                    raise UserError(f"{self.path}: page {number + 1} cannot be read ({error}); write the file "
                                    "again") from None
                yield SourceFrame(number, plain_levels(page), video_frame(number)[1], None)


def _pages(path: Path) -> int:
    """Pages of a TIFF file; 1 for any other file."""
    if path.suffix.lower() not in (".tif", ".tiff"):
        return 1
    from PIL import Image

    image_size(path)  # raises for what is no image, or too large
    with Image.open(path) as image:
        return getattr(image, "n_frames", 1)


def video_frame(position: int) -> tuple[int, str]:
    """Number and name of a video's frame at `position`, from 0."""
    return position, f"{position:06d}"


class Capture:
    """An open video file; iterating gives grey frames `(H, W)` uint8.

    Raises:
        UserError: not a readable video.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        # FFmpeg reports broken files on stderr by itself; the error below says it in one line.
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
        import cv2

        self.capture = cv2.VideoCapture(str(path))
        if not self.capture.isOpened():
            raise UserError(f"{path}: not a readable video ({os.path.getsize(path)} bytes); expected an image, a "
                            f"folder of images or a video ({', '.join(sorted(VIDEO_SUFFIXES))})")
        fps, count = (self.capture.get(key) for key in (cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_COUNT))
        self.fps = fps if 0 < fps < 1000 else None
        self.length = int(count) if count >= 1 else None

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, *_: object) -> None:
        self.capture.release()

    def __iter__(self) -> Iterator[np.ndarray]:
        import cv2

        while True:
            ok, image = self.capture.read()
            if not ok:
                return
            yield image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)


def open_sources(path: str | os.PathLike) -> list[FrameSource]:
    """Find out what `path` is and list its sequences; only the first frame of a video is decoded.

    Args:
        path: an image, a TIFF of many pages, a video, a folder of images (one sequence), or a folder whose subfolders
            hold images or that holds videos (one sequence each, in natural order). Where a folder has a subfolder
            `images` instead of images, that one is meant, as in the folder of a dataset.
    Raises:
        UserError: missing, unreadable, or no frames there.
    """
    path = Path(path)
    if path.is_dir():
        sources = _folder_sources(path, "", MAX_DEPTH)
        if not sources:
            raise UserError(f"{path}: found a folder without images or videos, expected "
                            f"{', '.join(sorted(IMAGE_SUFFIXES))} or .mp4 files; give the folder that holds the frames")
        return sources
    if not path.exists():
        raise UserError(f"{path}: no such file or folder; expected an image, a video or a folder of images; "
                        "check --source")
    if (pages := _pages(path)) > 1:
        return [PageSource(path.stem, str(path), None, pages)]
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return [_image_source(path.stem, path, [path])]
    return [_video_source(path.stem, path)]


def _folder_sources(folder: Path, name: str, depth: int) -> list[FrameSource]:
    entries = sorted((e for e in folder.iterdir() if not e.name.startswith(".")), key=lambda e: natural_key(e.name))
    images = [entry for entry in entries if entry.suffix.lower() in IMAGE_SUFFIXES and entry.is_file()]
    if images:
        own = folder.resolve()
        return [_image_source(name or (own.parent.name if own.name == "images" else own.name), folder, images)]
    if (folder / "images").is_dir() and depth:
        return _folder_sources(folder / "images", name, depth - 1)
    sources = []
    for entry in entries:
        below = f"{name}/{entry.stem if entry.is_file() else entry.name}".strip("/")
        if entry.is_dir() and depth:
            sources += _folder_sources(entry, below, depth - 1)
        elif entry.suffix.lower() in VIDEO_SUFFIXES and entry.is_file():
            sources.append(_video_source(below, entry))
    return sources


def _image_source(name: str, path: Path, images: list[Path]) -> FrameSource:
    """Frames by their numbers (`frame_numbers`), else by their position in natural order, as in `utils.datasets`."""
    image_size(images[0])  # raises for what is no image
    numbers = frame_numbers([image.stem for image in images]) or range(len(images))
    files = sorted(zip(numbers, map(str, images), strict=True))
    return FrameSource(name, str(path), None, len(images), tuple(files))


def _video_source(name: str, path: Path) -> FrameSource:
    with Capture(path) as capture:
        if next(iter(capture), None) is None:
            raise UserError(f"{path}: found a video without a readable frame; record or copy it again")
        return FrameSource(name, str(path), capture.fps, capture.length)
