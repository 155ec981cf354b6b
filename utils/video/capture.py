"""Video files, picture by picture: of 8 bits by OpenCV, of more by PyAV, in the levels that the file holds.

PyAV is imported where it is needed: most commands read no video.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from utils.system.errors import UserError
from utils.system.files import as_utf8
from utils.system.packages.late import cv2
from utils.system.untrusted import require_pixels

VIDEO_SUFFIXES = frozenset(
    (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".ts", ".mts", ".m2ts")
    + (".flv", ".3gp", ".asf", ".ogv", ".mxf", ".y4m", ".mjpeg")
)
# Containers as FFmpeg calls them, told by a file's content: none of these opens other files, as lists of files do.
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,mpegtsraw,mpegvideo,asf,flv,live_flv,ogg,nut,mxf,gxf,ivf,dv,"
    "rm,wtv,swf,gif,apng,yuv4mpegpipe,m4v,h261,h263,h264,hevc,av1,obu,vc1,vc1test,mjpeg,mjpeg_2000,dirac,dnxhd,cavsvideo,"
    "ffm,smjpeg,r3d,cine,roq,bink,film_cpk,4xm,fli,lxf,nsv,vivo,filmstrip"
)
DOUBTFUL = (
    "says that its 16 bits a pixel are colours of 5 bits each, which writers of raw grey levels say by mistake; if it "
    "holds grey levels, write them with a codec that knows so, such as FFV1"
)
OPTIONS_VARIABLE = "OPENCV_FFMPEG_CAPTURE_OPTIONS"  # of the environment
DEEP_CAMERA_FORMATS = {b"Y10 ": 10, b"Y12 ": 12, b"Y14 ": 14, b"Y16 ": 16}
QUIET = -8  # FFmpeg's level at which it says nothing
MAX_SPREAD_OF_TIMES = 0.2  # of a step, by which frames of a constant rate lie beside their places
SLACK_SECONDS = 1.0  # by which the sound may end after the picture


@dataclass(frozen=True)
class VideoFacts:
    """What a video file says of itself, None where it does not.

    Args:
        size: (width, height) in pixels.
        fps: frames a second.
        frames: their number, where the container counts them.
        seconds: how long it lasts.
        start: of its first frame, in seconds.
        alone: whether `seconds` is about the pictures alone, and not about a sound too.
        is_deep: whether its pictures have more than 8 bits.
        doubt: what may be wrong with what it says, empty where nothing is known.
    """

    size: tuple[int, int]
    fps: float | None
    frames: int | None
    seconds: float | None
    start: float
    alone: bool
    is_deep: bool
    doubt: str = ""


@contextlib.contextmanager
def _open(path: str | os.PathLike) -> Iterator[tuple[Any, Any]]:
    """Container and video stream of a file; no other file is opened, whatever this one names.

    Raises:
        UserError: not a readable video.
    """
    import av

    # FFmpeg reports broken files by itself; the error below says it in one line. PyAV's own level is left alone: with
    # it, a decoder's thread that reports waits for the interpreter's lock, whose holder may wait for that thread.
    av.logging.set_libav_level(QUIET)
    options = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
    if not os.path.isfile(path) and os.path.exists(path):
        raise UserError(
            f"{path}: found no regular file, expected a video; copy it into one"
        )  # a pipe may wait for ever
    # titles that are no text stop nothing; PyAV 19 has no option for that any more
    lenient = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
    with contextlib.ExitStack() as stack:
        try:
            container = stack.enter_context(av.open(os.path.abspath(path), options=options, **lenient))
            stream = container.streams.best("video") or container.streams.video[0]
        except (av.FFmpegError, IndexError, ValueError, OSError):
            raise unreadable(path) from None
        if stream.codec_context is None:  # there is no decoder
            raise unreadable(path)
        yield container, stream


def look_at(path: str | os.PathLike) -> VideoFacts:
    """What a video file says of itself; no frame is decoded that it does not take to know.

    Raises:
        UserError: not a readable video, or its frames have too many pixels.
    """
    with _open(path) as (container, stream):
        codec = stream.codec_context
        require_pixels(path, codec.width, codec.height)
        rate = stream.guessed_rate or stream.average_rate
        own = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else None
        whole = container.duration / 1e6 if container.duration and container.duration > 0 else None
        alone = own is not None or len(container.streams) == 1
        components = codec.format.components if codec.format else ()
        return VideoFacts(
            (codec.width, codec.height),
            float(rate) if rate and 0 < rate < 1000 else None,
            stream.frames or None,
            own or whole,
            max((container.start_time or 0) / 1e6, 0.0),
            alone,
            any(part.bits > 8 for part in components),
            DOUBTFUL if codec.name == "rawvideo" and codec.format and codec.format.name.startswith("rgb555") else "",
        )


def unreadable(path: str | os.PathLike) -> UserError:
    """The error for a file that cannot be opened as a video."""
    return UserError(f"{path}: not a readable video ({os.path.getsize(path)} bytes); {_advice(Path(path))}")


def _advice(path: Path) -> str:
    """What a file may be that cannot be opened as a video, and what to do about it."""
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        return f"expected an image, a folder of images or a video ({', '.join(sorted(VIDEO_SUFFIXES))})"
    with open(path, "rb") as file:
        begins = file.read(512)
    if begins[4:8] in (b"ftyp", b"mdat", b"free", b"wide", b"skip"):  # an mp4 that has its index at the end
        return "it seems to be cut off, or was never finished: its index is missing; copy or record it again"
    if begins.isascii() and b"\n" in begins and b"\0" not in begins:
        return "it is text; lists of other files are not followed; give the video itself"
    return "it seems to be damaged, or to be no video; copy or record it again"


class Capture:
    """An open video file; iterating gives pictures `(H, W)` or, BGR, `(H, W, 3)`.

    `fps` is None where the file does not say; `length` is the number of frames, which is a guess where the file does
    not count them. Pictures are uint8 or, of more than 8 bits, uint16 or float32 in the file's own levels. After each
    of them `time` is its own, in seconds, None where the file does not say; and `count` is how many there were.

    Raises:
        UserError: not a readable video, or a frame has too many pixels.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path, self.facts = path, look_at(path)
        self.capture = None if self.facts.is_deep else _open_by_opencv(path)
        if self.capture:
            fps, length = (self.capture.get(key) for key in (cv2.CAP_PROP_FPS, cv2.CAP_PROP_FRAME_COUNT))
        else:
            fps = self.facts.fps or 0
            length = self.facts.frames or round((self.facts.seconds or 0) * fps)
        self.fps = fps if 0 < fps < 1000 else None
        self.length = int(length) if length >= 1 else None
        self.count, self.lost = 0, 0
        self.time: float | None = None
        self.steps: list[float] = []  # shortest and longest time from one frame to the next
        self.first = 0.0

    def __enter__(self) -> Capture:
        return self

    def __exit__(self, *_: object) -> None:
        if self.capture:
            self.capture.release()

    def __iter__(self) -> Iterator[np.ndarray]:
        for picture, time in self._pictures() if self.capture else self._deep_pictures():
            self._note_time(time)
            self.count += 1
            require_pixels(f"{self.path}: frame {self.count}", picture.shape[1], picture.shape[0])
            yield picture

    def _pictures(self) -> Iterator[tuple[np.ndarray, float]]:
        while True:
            ok, picture = self.capture.read()
            if not ok:
                return
            yield picture, self.capture.get(cv2.CAP_PROP_POS_MSEC) / 1000

    def _deep_pictures(self) -> Iterator[tuple[np.ndarray, float | None]]:
        import av

        with _open(self.path) as (container, stream):
            stream.thread_type = "AUTO"
            for packet in container.demux(stream):
                try:
                    frames = packet.decode()
                except av.FFmpegError:
                    self.lost += 1  # the ones after it may be sound
                    continue
                for frame in frames:
                    require_pixels(f"{self.path}: frame {self.count + 1}", frame.width, frame.height)
                    yield picture_of(frame), frame.time

    def _note_time(self, time: float | None) -> None:
        before, self.time = self.time, time if time is not None and math.isfinite(time) else None
        if not self.count:
            self.first = self.time or 0.0
        elif before is not None and self.time is not None:
            step = self.time - before
            self.steps = [min([step, *self.steps]), max([step, *self.steps])]

    def shortfall(self) -> str:
        """What is missing of what the file announced, once all frames were read; empty where nothing is.

        A file that says how long it lasts is whole where the last frame ends then: how many frames that is may be a
        guess, and is one where they come at no constant rate.
        """
        facts, lost = self.facts, f"; {self.lost} pieces could not be decoded" if self.lost else ""
        announced = facts.frames or 0
        if self.count >= announced > 0 and not lost:
            return ""
        shortest, longest = self.steps or [1 / (self.fps or 25)] * 2
        end = None if self.time is None else self.time - self.first + longest
        if facts.seconds and end is not None:
            slack = longest / 2 if facts.alone else max(longest / 2, SLACK_SECONDS)
            if max(end, end + facts.start) + slack >= facts.seconds:
                announced = 0
            elif not announced and longest - shortest <= MAX_SPREAD_OF_TIMES * longest:
                announced = self.length or 0
            elif not announced:
                return (
                    f"{self.count} frames could be read, which end after {end:.3g} s of the {facts.seconds:.3g} s that "
                    f"were announced{lost}"
                )
        if announced > self.count:
            return f"{self.count} frames could be read, {announced} were announced{lost}"
        return f"{self.count} frames could be read{lost}" if lost else ""


@contextlib.contextmanager
def opencv_options(text: str) -> Iterator[None]:
    """What OpenCV opens within this context FFmpeg opens with these options, `KEY;VALUE|KEY;VALUE`."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    before = os.environ.get(OPTIONS_VARIABLE)
    os.environ[OPTIONS_VARIABLE] = text
    try:
        yield
    finally:
        if before is None:
            del os.environ[OPTIONS_VARIABLE]
        else:
            os.environ[OPTIONS_VARIABLE] = before


def _open_by_opencv(path: str | os.PathLike) -> cv2.VideoCapture:
    with opencv_options(f"protocol_whitelist;file|format_whitelist;{CONTAINERS}"):
        # By FFmpeg only: another reader would take digits in the name for those of a sequence of images.
        capture = cv2.VideoCapture(as_utf8(path), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise unreadable(path)
    return capture


def told_bits(capture: cv2.VideoCapture) -> int:
    """Bits of a live source's levels where they are more than the 8 that OpenCV gives, else 0."""
    codec, pixels = (
        (int(capture.get(key)) & 0xFFFFFFFF).to_bytes(4, "little")
        for key in (cv2.CAP_PROP_FOURCC, cv2.CAP_PROP_CODEC_PIXEL_FORMAT)
    )
    for tag in (pixels, pixels[::-1]):  # FFmpeg's own: a letter for the kind, planes, their sizes, bits
        if tag[:1] in (b"Y", b"G") and tag[1:2] in b"1234" and 8 < tag[3] <= 16:
            return tag[3]
    return DEEP_CAMERA_FORMATS.get(codec, 0)


def picture_of(frame: Any) -> np.ndarray:
    """A decoded frame of more than 8 bits: `(H, W)`, or BGR `(H, W, 3)`, uint16 or float32 in the file's levels.

    Args:
        frame: an `av.VideoFrame`; of its brightness and colours only the former is taken.
    """
    parts = [part for part in frame.format.components if not part.is_alpha]
    luma = [part for part in parts if part.is_luma]
    wanted = luma[:1] or parts[::-1]  # R, G and B in BGR's order
    planes = Counter(part.plane for part in frame.format.components)
    apart = all(planes[part.plane] == 1 for part in wanted)
    # P010 and its like keep their levels in the upper bits.
    if apart and not frame.format.name.startswith(("p0", "p2", "p4", "xyz")):
        picture = np.stack([_plane(frame, part) for part in wanted], 2)
        picture = picture[:, :, 0] if len(wanted) == 1 else picture
    else:
        frame = frame.reformat(format="gray16le" if luma else "bgr48le")
        rows = np.frombuffer(frame.planes[0], "<u2").reshape(frame.height, -1)
        picture = rows[:, : frame.width] if luma else rows[:, : 3 * frame.width].reshape(frame.height, frame.width, 3)
    turns = round(getattr(frame, "rotation", 0) / 90)  # counter-clockwise, as OpenCV does by itself
    return np.ascontiguousarray(np.rot90(picture, turns) if turns % 4 else picture)


def _plane(frame: Any, part: Any) -> np.ndarray:
    """One plane of a frame, `(H, W)`, in this machine's byte order."""
    plane, kind = frame.planes[part.plane], "f" if "f32" in frame.format.name or "f16" in frame.format.name else "u"
    dtype = np.dtype(f"{'>' if frame.format.is_big_endian else '<'}{kind}{2 if part.bits <= 16 else 4}")
    rows = np.frombuffer(plane, dtype).reshape(plane.height, -1)[:, : plane.width]
    return rows.astype(np.float32 if kind == "f" else dtype.newbyteorder("="))
