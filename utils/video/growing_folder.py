"""A source that grows: the images of a folder, also those that arrive while it is watched."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

from utils.images.colour import COLOUR_ADVICE, list_coloured
from utils.images.frame_names import (
    MIN_NAMES_FOR_STEP,
    DigitGroup,
    TimeStamp,
    frames_between,
    natural_key,
    usual_step,
)
from utils.images.frame_order import order_frames
from utils.images.grey_levels import LevelMapper
from utils.images.image_files import IMAGE_SUFFIXES, check_end, read_values
from utils.images.picture_roles import frame_names
from utils.system.addresses import hide_secrets
from utils.system.errors import UserError
from utils.video.sources import FrameSource, SourceFrame, pages_of

SETTLING_SECONDS = 0.05  # seconds without change after which a file counts as written


class GrowingFolder(FrameSource):
    """The images of a folder, also those that arrive while it is watched, in natural order as they come.

    Numbers are those of `utils.images.frame_order`, as far as the names so far tell: which digits number the frames,
    and their usual step, is learnt from the first few, which are waited for, and from the first number that does not
    ascend on frames are counted.

    Args:
        path: of the folder; it may be empty yet.
        patience: seconds without a new image after which it counts as complete.
        poll: seconds between two looks.
        stop: ends the watch when it gives True.
    """

    length, fps = None, None
    files: tuple = ()
    problem = ""

    def __init__(
        self,
        path: str | os.PathLike,
        patience: float = 10.0,
        poll: float = 0.1,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self.folder, self.path, self.notes = Path(path), str(path), []
        if not self.folder.is_dir():
            raise UserError(
                f"{hide_secrets(str(path))}: no such folder, expected one whose images are to be watched; make it first"
            )
        self.name = self.folder.resolve().name
        self.patience, self.poll, self.stop = patience, poll, stop
        self.used, self.late = 0, 0
        self._stems: dict[str, str] = {}  # of the files so far, and their names
        self._reader: DigitGroup | TimeStamp | None = None  # of the numbers in names, where these count
        self._step = 1  # of these numbers
        self._last: tuple[str, int | None, int] | None = None  # name, number in it, and number of the last frame

    def __iter__(self) -> Iterator[SourceFrame]:
        """Frames until none came for `patience` seconds.

        Raises:
            UserError: an image cannot be read, or is a TIFF of many pages.
        """
        levels, waiting, learnt = LevelMapper(self.path, self.notes), [], False
        for fresh in self._watch():
            by_stem = sorted(fresh, key=lambda name: natural_key(Path(name).stem))
            waiting += [name for name in by_stem if not self._is_no_frame(name)]
            learnt = learnt or self._learn(waiting)
            if learnt:
                yield from self._frames(waiting, levels)
                waiting = []
        self._learn(waiting, last=True)
        yield from self._frames(waiting, levels)

    def _watch(self) -> Iterator[list[str]]:
        """Names of new images, again and again."""
        seen: set[str] = set()
        last_new = time.monotonic()
        while not self.stop() and time.monotonic() - last_new < self.patience:
            fresh = self._find_whole(seen)
            if fresh:
                seen.update(fresh)
                yield fresh
                last_new = time.monotonic()
            else:
                time.sleep(self.poll)

    def _learn(self, names: list[str], last: bool = False) -> bool:
        """Learn from the first names how frames are numbered.

        Gives False where more names are needed for it; if these are the `last` ones, learns from them all the same.
        """
        if self._last or not names:
            return self._last is not None
        order = order_frames([Path(name).stem for name in names])
        first = order.sequences[0]
        numbers = first.own_numbers if order.reader else ()
        told = not numbers or len(names) >= MIN_NAMES_FOR_STEP or any(b - a == 1 for a, b in pairwise(numbers))
        if told or last:
            self._reader, self._step = order.reader, usual_step(numbers) or 1
            so_far = f"{self.path}: as far as the first {len(names)} files tell, "
            self.notes += [so_far + said for said in (order.said, first.said) if said]
            if list_coloured([self.folder / names[0]]):
                self.notes.append(f"{self.path}: the frames are in colour and are {COLOUR_ADVICE}")
        return told

    def _frames(self, names: list[str], levels: LevelMapper) -> Iterator[SourceFrame]:
        for name in sorted(names, key=self._key):
            number = self._place(name)
            if number is None:
                self.late += 1  # it came after its successors
                continue
            path = self.folder / name
            if len(pages_of(path).whole) > 1:
                raise UserError(
                    f"{path}: found a stack of many frames in a folder that is watched, expected one image a "
                    "file; give the stack itself as --source, once it is complete"
                )
            image = levels(read_values(path), str(path))
            self.used += 1
            yield SourceFrame(number, image, path.stem, str(path))

    def _is_no_frame(self, name: str) -> bool:
        """Whether it is another version or the mask of a file that came before, which is noted."""
        stem = Path(name).stem
        known = next(filter(None, map(self._stems.get, frame_names(stem))), None)
        self._stems.setdefault(stem, name)
        if known:
            self.notes.append(f"{self.path}: {name} is left out, as another version or the mask of {known}")
        return bool(known)

    def _read(self, name: str) -> int | None:
        """The number in a name, None where numbers do not count."""
        return self._reader.read(Path(name).stem) if self._reader else None

    def _key(self, name: str) -> tuple:
        """Sorts by numbers where these count, else naturally."""
        number = self._read(name)
        return (0 if number is None else number, natural_key(name))

    def _place(self, name: str) -> int | None:
        """The number of the frame that comes next, None where it should have come before another."""
        own = self._read(name)
        if self._last is None:
            counted = own is None or self._step > 1 or isinstance(self._reader, TimeStamp)
            number = 0 if counted else own
        else:
            last_name, last_own, number = self._last
            if own is not None and last_own is not None and own > last_own:
                number += frames_between(last_own, own, self._step)
            elif natural_key(name) <= natural_key(last_name):
                return None
            else:
                self._reader, number = None, number + 1
        self._last = name, own, number
        return number

    def _find_whole(self, seen: set[str]) -> list[str]:
        """Names of new images that are whole: left alone for a moment, and with an end."""
        names = []
        with os.scandir(self.folder) as entries:
            for entry in entries:
                name = entry.name
                if name not in seen and Path(name).suffix.lower() in IMAGE_SUFFIXES and not name.startswith("."):
                    names.append(name)
        whole: list[str] = []
        for name in sorted(names, key=natural_key):
            if not self._is_whole(self.folder / name):
                break  # its successors wait for it
            whole.append(name)
        return whole

    def _is_whole(self, path: Path) -> bool:
        try:
            about = path.stat()
            if about.st_size == 0 or time.time() - about.st_mtime < SETTLING_SECONDS:
                return False
            check_end(path)
        except (UserError, FileNotFoundError):
            return time.time() - path.stat().st_mtime > self.patience if path.exists() else False
        return True

    def report(self) -> str:
        """What became of the images that came, in a line."""
        text = f"{self.name}: {self.used + self.late} images came"
        return f"{text}, {self.late} of them after their successors, which were left out" if self.late else text
