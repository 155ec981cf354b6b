"""Sources that do not wait: cameras, streams from the network, and folders that grow."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

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
from utils.images.grey_levels import GreyConverter, LevelMapper
from utils.images.image_files import IMAGE_SUFFIXES, check_end, read_values
from utils.images.picture_roles import frame_names
from utils.system.addresses import hide_in_text, hide_secrets, is_url
from utils.system.errors import UserError
from utils.system.files import as_utf8
from utils.system.notices import warn
from utils.video.capture import OPTIONS_VARIABLE, opencv_options, told_bits
from utils.video.sources import FrameSource, SourceFrame, pages_of, video_frame

STOP_REASON = "no more frames were asked for"
SETTLING_SECONDS = 0.05  # seconds without change after which a file counts as written
OPENCV_LOG_ERRORS = 2  # the level of OpenCV's log at which it tells errors, no warnings


# A stream opens no files, whatever it names; TCP is what OpenCV itself asks RTSP for.
STREAM_OPTIONS = (
    "rtsp_transport;tcp|protocol_whitelist;http,https,httpproxy,tls,tcp,udp,udplite,rtp,srtp,rtsp,rtmp,rtmpe,rtmps,rtmpt,"
    "rtmpte,rtmpts,srt,rist,mmsh,mmst,ftp,sftp,crypto,data"
)


def is_live(path: str) -> bool:
    """Whether `path` is a camera's index or a URL but a file's; a file or folder that is called so comes first."""
    return (path.isdecimal() and not os.path.exists(path)) or (is_url(path) and not path.lower().startswith("file:"))


def _say_errors_only() -> None:
    """OpenCV itself warns no more; from 4.13 on its functions for that have a module of their own."""
    logging = getattr(cv2.utils, "logging", cv2)
    logging.setLogLevel(OPENCV_LOG_ERRORS)


class LiveSource(FrameSource):
    """A camera or a stream: a thread takes every frame as it comes, whoever iterates gets the newest.

    Frames that came while the last one was worked on are dropped by design; `dropped` counts them. What was dropped
    leaves no gap in the numbers, since a clip is then what was seen, one after the other; names count all that came.

    Args:
        path: camera index or URL.
        patience: seconds without a frame after which the source counts as gone.

    Raises:
        UserError: it cannot be opened, or gives no frame.
    """

    length = None
    files: tuple = ()
    problem = ""

    def __init__(self, path: str, patience: float = 10.0) -> None:
        if "OPENCV_LOG_LEVEL" not in os.environ:  # what it warns of is said by the error below and by `report`
            _say_errors_only()
        self.path, self.patience, self.notes = hide_secrets(path), patience, []
        self.name = f"camera{path}" if path.isdecimal() else _name_of(self.path)
        timeouts = [
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
            int(1000 * patience),
            cv2.CAP_PROP_READ_TIMEOUT_MSEC,
            int(1000 * patience),
        ]
        if path.isdecimal():
            self.capture = cv2.VideoCapture(int(path))
        else:
            with opencv_options(os.environ.get(OPTIONS_VARIABLE) or STREAM_OPTIONS):
                self.capture = cv2.VideoCapture(as_utf8(path), cv2.CAP_FFMPEG, timeouts)
        if not self.capture.isOpened():
            raise UserError(
                f"{self.path}: cannot be opened, expected a camera's index or the URL of a stream; check "
                "that it is there and not used by another program"
            )
        if bits := told_bits(self.capture):
            warn(
                f"{self.path}: has {bits} bits a level, of which the upper 8 are read live; record it into a file, or "
                "as images of 16 bits into a folder (--watch), to have them all"
            )
        fps = self.capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps < 1000 else None
        self.came, self.dropped, self.used = 0, 0, 0
        self.end = ""  # why it ended, once it has
        self._newest: tuple[int, np.ndarray] | None = None
        self._changed = threading.Condition()
        self._stop = threading.Event()

    def _take(self) -> None:
        end = ""
        while not end:
            began = time.monotonic()
            try:
                ok, image = self.capture.read()
            except Exception as error:  # whoever waits must hear of it, whatever it is
                ok, end = False, f"reading failed ({hide_in_text(str(error))})"
            with self._changed:
                if self._stop.is_set():
                    return
                if ok:
                    self.dropped += self._newest is not None
                    self._newest = self.came, image
                    self.came += 1
                else:
                    self.end = end = end or self._why(time.monotonic() - began)
                self._changed.notify()

    def _why(self, seconds: float) -> str:
        """Why no frame was read, after so many seconds."""
        if seconds > 0.9 * self.patience:
            return f"no frame came for {seconds:.3g} s"
        return (
            "the camera gave no more frames"
            if not is_url(self.path)
            else "the stream was over, or the connection was lost"
        )

    def __iter__(self) -> Iterator[SourceFrame]:
        """Frames until the source ends, or none came for `patience` seconds.

        Raises:
            UserError: not one frame came.
        """
        grey, thread = GreyConverter(self.path, self.notes), threading.Thread(target=self._take, daemon=True)
        thread.start()
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._newest is not None or self.end, self.patience)
                    newest, self._newest = self._newest, None
                    self.used += newest is not None
                    if newest is None:
                        self.end = self.end or self._why(self.patience)
                        break
                position, image = newest
                yield SourceFrame(self.used - 1, grey(image), video_frame(position)[1], None)
        finally:
            with self._changed:
                self._stop.set()
                self.end = self.end or STOP_REASON
            thread.join(2 * self.patience)
            self.capture.release()
        if not self.used:
            raise UserError(f"{self.path}: gave no frame, {self.end}; check the camera")

    def report(self) -> str:
        """What became of the frames that came, and why there are no more, in a line."""
        with self._changed:
            came, dropped, used, end = self.came, self.dropped, self.used, self.end or STOP_REASON
        late = f", {came - dropped - used} came too late" if came > dropped + used else ""
        return (
            f"{self.name}: {came} frames came, {dropped} of them were dropped to keep up, {used} used{late}; "
            f"the end: {end}"
        )


def _name_of(url: str) -> str:
    """A name for files, from a URL as it is shown."""
    name = "".join(letter if letter.isalnum() else "-" for letter in url.split("://", 1)[1].rstrip("?#…")).strip("-")
    return name[:60] or "stream"


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
