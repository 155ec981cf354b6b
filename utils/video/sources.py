"""Frame sources: folders of images, single images, TIFFs of many pages and videos, read one frame at a time."""

from __future__ import annotations

import contextlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np

from utils.images.colour import COLOUR_ADVICE, list_coloured
from utils.images.folders import FRAME_FOLDERS, TEXT_SUFFIXES, FolderTree, LeftOut, walk_folder
from utils.images.formats.arrays import ARRAY_SUFFIX, open_array, picture_of
from utils.images.formats.tiff import Pages, list_pages
from utils.images.formats.tiff_pages import read_pages
from utils.images.frame_names import natural_key
from utils.images.frame_order import FrameSequence, order_frames
from utils.images.grey_levels import GreyConverter, LevelMapper
from utils.images.image_files import IMAGE_SUFFIXES, image_size, images_among, read_values, to_grey
from utils.images.picture_roles import are_masks, find_frames
from utils.system.addresses import hide_secrets, is_url
from utils.system.errors import UserError
from utils.system.notices import warn
from utils.video.capture import VIDEO_SUFFIXES, Capture

TIFF_SUFFIXES = (".tif", ".tiff")


class SourceFrame(NamedTuple):
    """A frame of a source.

    `image` is `(H, W)` uint8 or uint16, grey; `name` is unique within the source and good for a file name; `path` is
    the image's file, None for a video's frame. `time` is a video's, in seconds, None where nobody knows.
    """

    number: int
    image: np.ndarray
    name: str
    path: str | None
    time: float | None = None


class FrameSource:
    """One sequence of frames, from files or from what does not wait.

    `fps` is None where the source does not say. `length` is the number of frames; for videos it is what the file
    claims, None where nobody knows. `files` are the images' `(number, path)` in order, empty where frames
    have no files of their own, or none yet. `problem` is why nothing can be read, empty where that is not known.
    `notes` are lines about the source that a user should see; reading it may add some.
    """

    name: str
    path: str
    fps: float | None
    length: int | None
    files: tuple[tuple[int, str], ...]
    problem: str
    notes: list[str]

    def __iter__(self) -> Iterator[SourceFrame]:
        """Frames in order, numbers ascending.

        Raises:
            UserError: an image cannot be read, or the source has a `problem`.
        """
        raise NotImplementedError

    def report(self) -> str:
        """What became of the frames that came, in a line; empty for a source that waits, and so loses none."""
        return ""


@dataclass(frozen=True)
class FileSource(FrameSource):
    """The image `files`, or without any the video `path`."""

    name: str
    path: str
    fps: float | None
    length: int | None
    files: tuple[tuple[int, str], ...] = ()
    problem: str = ""
    notes: list[str] = field(default_factory=list, compare=False)

    def __iter__(self) -> Iterator[SourceFrame]:
        """Frames in order: numbers of videos count from 0, those of files are those of datasets."""
        if self.problem:
            raise UserError(self.problem)
        levels = LevelMapper(self.path, self.notes)
        if list_coloured([path for _, path in self.files[:1]]):
            self.notes.append(f"{self.path}: the frames are in colour and are {COLOUR_ADVICE}")
        for number, path in self.files:
            yield SourceFrame(number, levels(read_values(path), path), Path(path).stem, path)
        if not self.files:
            grey = GreyConverter(self.path, self.notes)
            with Capture(self.path) as capture:
                for number, picture in enumerate(capture):
                    yield SourceFrame(number, levels(grey(picture)), video_frame(number)[1], None, time=capture.time)
                if said := capture.shortfall():
                    warn(f"{self.path}: {said}")


@dataclass(frozen=True)
class PageSource(FileSource):
    """Those `pages` of one TIFF file, or frames of one array, by their places in it; numbers count from 0."""

    pages: tuple[int, ...] = ()

    def __iter__(self) -> Iterator[SourceFrame]:
        levels = LevelMapper(self.path, self.notes)
        if self.path.lower().endswith(ARRAY_SUFFIX):
            pages = map(picture_of, open_array(self.path))
        else:
            pages = read_pages(self.path, self.pages, numbered=True)
        for number, page in enumerate(pages):
            image = levels(to_grey(page), f"{self.path}: page {number + 1}")
            yield SourceFrame(number, image, video_frame(number)[1], None)


def pages_of(path: str | os.PathLike) -> Pages:
    """`list_pages` of files that are called TIFF, and the frames of arrays.

    Others, and those that cannot be opened, count as one page.
    """
    if Path(path).suffix.lower() == ARRAY_SUFFIX:
        with contextlib.suppress(UserError):
            return Pages(tuple(range(len(open_array(path)))), 0, False)
    if Path(path).suffix.lower() in TIFF_SUFFIXES and Path(path).is_file():  # opening a pipe would wait for ever
        with contextlib.suppress(OSError):
            return list_pages(path)
    return Pages((0,), 0, False)


def video_frame(position: int) -> tuple[int, str]:
    """Number and name of a video's frame at `position`, from 0."""
    return position, f"{position:06d}"


def open_sources(path: str | os.PathLike) -> list[FrameSource]:
    """Find out what `path` is and list its sequences; only the first frame of a video is decoded.

    Args:
        path: an image, a TIFF or `.npy` of many frames, a video, a folder of images (one sequence), or a folder whose
            subfolders hold images or that holds videos (one sequence each, in natural order). Images whose names are of
            several videos are several sequences. Where a folder has a subfolder `images` instead of images, that one is
            meant, as in the folder of a dataset. TIFFs of many pages among images are sequences of their own.

    Returns:
        Sources, whose names are unique; where some of several cannot be opened, these say why in `problem`.

    Raises:
        UserError: missing, no frames there, or nothing that can be opened.
    """
    given, path = str(path), Path(path)
    if given.lower().startswith("file://"):
        path = Path(url2pathname(urlsplit(given).path))
    if not path.exists():
        shown = hide_secrets(given) if is_url(given) else path
        raise UserError(
            f"{shown}: no such file or folder; expected an image, a video or a folder of images; check --source"
        )
    if not path.is_dir():
        return [_file_source(path)]
    tree, left_out = walk_folder(path, IMAGE_SUFFIXES | VIDEO_SUFFIXES), LeftOut(TEXT_SUFFIXES)
    tree.tell()
    sources = _folder_sources(tree, "", "", left_out)
    left_out.tell(path, "beside the frames that are taken", "give what you mean as --source")
    if not sources:
        raise UserError(
            f"{path}: found a folder without images or videos, expected "
            f"{', '.join(sorted(IMAGE_SUFFIXES))} or .mp4 files; give the folder that holds the frames"
        )
    if all(source.problem for source in sources):
        raise UserError(sources[0].problem)
    names = Counter(source.name for source in sources)
    return [
        replace(source, name=source.name + Path(source.path).suffix) if names[source.name] > 1 else source
        for source in sources
    ]


def _file_source(path: Path) -> FrameSource:
    pages = pages_of(path)
    if len(pages.whole) + pages.missing > 1 or not pages.whole and pages.broken:
        return _page_source(path.stem, path, pages)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return _image_source(path.stem, path, [path], order_frames([path.stem]).sequences[0])
    return _video_source(path.stem, path)


def _folder_sources(tree: FolderTree, below: str, name: str, left_out: LeftOut) -> list[FrameSource]:
    """The sources in the folder `below` of a tree, called `name`; what is left out there is counted."""
    folder = Path(tree.path, below)
    files = sorted((folder / file for file in tree.names[below]), key=lambda path: natural_key(path.name))
    inner = sorted(tree.folders_in(below), key=natural_key)
    names = set(images_among(tree.names[below]))
    images = [path for path in files if path.name in names]
    if images and below and are_masks(folder, [path.name for path in images]):
        warn(f"{folder}: {len(images)} pictures in a folder called after masks are left out, as they look like such")
        return []
    if images:
        left_out.add_all(path for path in files if path.name not in names)
        left_out.add_all(path for other in inner for path in tree.files_in(other))
        try:
            frames = find_frames(folder, [path.name for path in images])
        except UserError as error:
            return [FileSource(name or folder.resolve().name, str(folder), None, None, problem=str(error))]
        return _sources_of_images(folder, name, [folder / frame for frame in frames])
    for frames in ("images", *(FRAME_FOLDERS if f"{below}/gt".lstrip("/") in tree.names else ())):
        if (dataset := f"{below}/{frames}".lstrip("/")) in tree.names:
            return _folder_sources(tree, dataset, name, left_out)
    found: list[tuple[str, list[FrameSource]]] = []
    for path in files:
        if path.suffix.lower() in VIDEO_SUFFIXES:
            found.append((path.name, [_try_source(_video_source, f"{name}/{path.stem}".lstrip("/"), path)]))
        else:
            left_out.add(path)
    for other in inner:
        own = other.rpartition("/")[2]
        found.append((own, _folder_sources(tree, other, f"{name}/{own}".lstrip("/"), left_out)))
    return [source for _, sources in sorted(found, key=lambda item: natural_key(item[0])) for source in sources]


def _sources_of_images(folder: Path, name: str, images: list[Path]) -> list[FrameSource]:
    """The images of a folder called `name`, one sequence unless their names are of several; TIFFs of many pages apart.

    `name` is empty for the folder that was given.
    """
    stacks, single = [], []
    for image in images:
        pages = pages_of(image)
        # Of an image that ends early in a sequence of images, reading says so.
        count = len(pages.whole) + (pages.missing if len(images) == 1 else 0)
        (stacks if count > 1 else single).append((image, pages))
    own = folder.resolve()
    sources = [_try_source(_page_source, f"{name}/{image.stem}".strip("/"), image, pages) for image, pages in stacks]
    if single:
        name = name or (own.parent.name if own.name in ("images", *FRAME_FOLDERS) else own.name)
        sources[:0] = _image_sources(name, folder, [image for image, _ in single])
    return sources


def _image_sources(name: str, folder: Path, images: list[Path]) -> list[FrameSource]:
    """The sequences that the names of a folder's images tell apart."""
    order, sources = order_frames([image.stem for image in images]), []
    for sequence in order.sequences:
        inner = f"{name}/{sequence.label}" if sequence.label else name
        own = [images[index] for index in sequence.indices]
        sources.append(_try_source(_image_source, inner, folder, own, sequence))
    if order.said:
        warn(f"{folder}: {order.said}")
    return sources


def _try_source(make: Callable[..., FrameSource], name: str, path: Path, *arguments: Any) -> FrameSource:
    """What `make` gives, or a source that says why that is impossible."""
    try:
        return make(name, path, *arguments)
    except UserError as error:
        return FileSource(name, str(path), None, None, problem=str(error))


def _image_source(name: str, path: Path, images: list[Path], sequence: FrameSequence) -> FrameSource:
    """Images in the order of a sequence."""
    image_size(images[0])  # raises for what is no image
    files = tuple(zip(sequence.numbers, map(str, images), strict=True))
    said = [f"{path}: {sequence.said}"] if sequence.said else []
    return FileSource(name, str(path), None, len(files), files, notes=said)


def _page_source(name: str, path: Path, pages: Pages) -> FrameSource:
    missing = pages.missing_text()
    if not pages.whole:
        raise UserError(
            f"{path}: found a TIFF that is cut off before the end of its first page; fetch or write the file again"
        )
    image_size(path)  # raises for images that are too large
    said = f"{path}: the file is cut off; whole pages, which are used: {len(pages.whole)}; missing: {missing}"
    return PageSource(name, str(path), None, len(pages.whole), notes=[said] if missing else [], pages=pages.whole)


def _video_source(name: str, path: Path) -> FrameSource:
    with Capture(path) as capture:
        if next(iter(capture), None) is None:
            raise UserError(
                f"{path}: found a video without a readable frame; it seems to be cut off; copy or record it again"
            )
        if capture.facts.doubt:
            warn(f"{path}: {capture.facts.doubt}")
        return FileSource(name, str(path), capture.fps, capture.length)
