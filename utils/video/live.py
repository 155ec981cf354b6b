"""Sources that do not wait: cameras and streams from the network."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator

import numpy as np

from utils.images.grey_levels import GreyConverter
from utils.system.addresses import hide_in_text, hide_secrets, is_url
from utils.system.errors import UserError
from utils.system.files import as_utf8
from utils.system.notices import warn
from utils.system.packages.late import cv2
from utils.video.capture import OPTIONS_VARIABLE, opencv_options, told_bits
from utils.video.sources import FrameSource, SourceFrame, video_frame

STOP_REASON = "no more frames were asked for"
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
