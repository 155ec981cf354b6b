"""Sources that do not wait: cameras, streams from the network, and folders that grow."""
from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from utils.errors import UserError
from utils.files import frame_numbers, natural_key
from utils.frames import IMAGE_SUFFIXES, check_end, read_frame
from utils.video import SourceFrame, video_frame

SETTLED = 0.05  # seconds without change after which a file counts as written


def is_live(path: str) -> bool:
    """Whether `path` is a camera's index or a URL."""
    return path.isdecimal() or "://" in path


class LiveSource:
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

    def __init__(self, path: str, patience: float = 10.0) -> None:
        os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
        import cv2

        self.path, self.patience = path, patience
        self.name = f"camera{path}" if path.isdecimal() else _name_of(path)
        timeouts = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(1000 * patience), cv2.CAP_PROP_READ_TIMEOUT_MSEC,
                    int(1000 * patience)]
        self.capture = cv2.VideoCapture(int(path)) if path.isdecimal() else \
            cv2.VideoCapture(path, cv2.CAP_FFMPEG, timeouts)
        if not self.capture.isOpened():
            raise UserError(f"{path}: cannot be opened, expected a camera's index or the URL of a stream; check that "
                            "it is there and not used by another program")
        fps = self.capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0 < fps < 1000 else None
        self.dropped, self.came = 0, 0
        self._newest: tuple[int, np.ndarray] | None = None
        self._ended, self._changed = False, threading.Condition()
        self._stop = threading.Event()

    def _take(self) -> None:
        while not self._stop.is_set():
            ok, image = self.capture.read()
            with self._changed:
                if not ok:
                    break
                self.dropped += self._newest is not None
                self._newest = self.came, image
                self.came += 1
                self._changed.notify()
        with self._changed:
            self._ended = True
            self._changed.notify()

    def __iter__(self) -> Iterator[SourceFrame]:
        """Frames until the source ends, or none came for `patience` seconds.

        Raises:
            UserError: not one frame came.
        """
        import cv2

        thread = threading.Thread(target=self._take, daemon=True)
        thread.start()
        given = 0
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._newest is not None or self._ended, self.patience)
                    newest, self._newest = self._newest, None
                if newest is None:
                    break
                position, image = newest
                grey = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
                yield SourceFrame(given, grey, video_frame(position)[1], None)
                given += 1
        finally:
            self._stop.set()
            thread.join(2 * self.patience)
            self.capture.release()
        if not given:
            raise UserError(f"{self.path}: gave no frame within {self.patience:g} s; check the camera")

    def report(self) -> str:
        """How many frames were dropped, in a line."""
        return f"{self.name}: {self.came} frames came, {self.dropped} of them were dropped to keep up"


def _name_of(url: str) -> str:
    """A name for files, from a URL without user, password and query."""
    rest = url.split("://", 1)[1].split("?")[0].rpartition("@")[2]
    name = "".join(letter if letter.isalnum() else "-" for letter in rest).strip("-")
    return name[:60] or "stream"


class GrowingFolder:
    """The images of a folder, also those that arrive while it is watched, in natural order as they come.

    Args:
        path: of the folder; it may be empty yet.
        patience: seconds without a new image after which it counts as complete.
        poll: seconds between two looks.
        stop: ends the watch when it gives True.
    """

    length, fps = None, None
    files: tuple = ()

    def __init__(self, path: str | os.PathLike, patience: float = 10.0, poll: float = 0.1,
                 stop: Callable[[], bool] = lambda: False) -> None:
        self.folder, self.path = Path(path), str(path)
        if not self.folder.is_dir():
            raise UserError(f"{path}: no such folder, expected one whose images are to be watched; make it first")
        self.name = self.folder.resolve().name
        self.patience, self.poll, self.stop = patience, poll, stop
        self.late = 0

    def __iter__(self) -> Iterator[SourceFrame]:
        seen: set[str] = set()
        last_number, last_new = -1, time.monotonic()
        while not self.stop() and time.monotonic() - last_new < self.patience:
            fresh = self._ready(seen)
            for name in fresh:
                seen.add(name)
                numbers = frame_numbers([Path(name).stem])
                number = numbers[0] if numbers else last_number + 1
                if number <= last_number:
                    self.late += 1  # it came after its successors
                    continue
                last_number = number
                path = str(self.folder / name)
                yield SourceFrame(number, read_frame(path), Path(name).stem, path)
            if fresh:
                last_new = time.monotonic()
            else:
                time.sleep(self.poll)

    def _ready(self, seen: set[str]) -> list[str]:
        """Names of new images that are whole: left alone for a moment, and with an end."""
        names = []
        with os.scandir(self.folder) as entries:
            for entry in entries:
                name = entry.name
                if name not in seen and Path(name).suffix.lower() in IMAGE_SUFFIXES and not name.startswith("."):
                    names.append(name)
        whole: list[str] = []
        for name in sorted(names, key=natural_key):
            if not self._whole(self.folder / name):
                break  # its successors wait for it
            whole.append(name)
        return whole

    def _whole(self, path: Path) -> bool:
        try:
            about = path.stat()
            if about.st_size == 0 or time.time() - about.st_mtime < SETTLED:
                return False
            check_end(path)
        except (UserError, FileNotFoundError):
            return time.time() - path.stat().st_mtime > self.patience if path.exists() else False
        return True

    def report(self) -> str:
        """How many images came too late, in a line."""
        return f"{self.name}: {self.late} images came after their successors and were left out"
