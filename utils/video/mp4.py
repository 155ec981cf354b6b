"""An mp4 that plays whatever ends its writing: a segment for each frame first, an ordinary file of all of them last.

PyAV is imported where it is needed: most commands write no video.
"""

from __future__ import annotations

import contextlib
import os
import time
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np

from utils.system.errors import UserError
from utils.system.files import GrowingFile, atomic_write
from utils.system.packages.late import cv2
from utils.video.capture import Capture

# Encoders with their options; the first one that FFmpeg has is taken. H.264 plays in browsers, and with these options
# takes about the time of OpenCV's MPEG-4 and keeps small points better: without a deblocking filter.
ENCODERS = (
    ("libx264", {"preset": "ultrafast", "tune": "zerolatency", "crf": "20"}),
    ("mpeg4", {"qmin": "3", "qmax": "3"}),
)
KEY_SECONDS = 2  # of the video between two key frames
FLUSH_SECONDS = 2  # between two moments at which what was written is brought to the disk itself
INDEX_BYTES, INDEX_BYTES_A_FRAME = 4096, 48  # together more than an index ever takes


class Segments:
    """Encodes pictures and appends each to a fragmented mp4, which plays up to its last whole segment.

    Args:
        path: of the file.
        size: (height, width) of the pictures, even.
        fps: frames a second.

    Raises:
        OSError: the file cannot be written; it stays whole. Also by `write` and `close`.
        UserError: there is no such video.
    """

    def __init__(self, path: Path, size: tuple[int, int], fps: float) -> None:
        import av

        name, options = next(one for one in ENCODERS if one[0] in av.codecs_available)
        # 1001: of 29.97 and the like; MPEG-4 counts a second in no more than 65535 parts.
        rate = Fraction(fps).limit_denominator(max(1, min(1001, int(65535 / fps))))
        # Bytes come here first: whether they could be written is then never a matter of what FFmpeg makes of it.
        self.buffer = bytearray()
        self.container = av.open(
            SimpleNamespace(write=self.buffer.extend),
            "w",
            format="mp4",
            options={"movflags": "empty_moov+default_base_moof+frag_every_frame", "flush_packets": "1"},
        )
        self.stream = self.container.add_stream(name, rate=rate, options=options)
        self.stream.height, self.stream.width = size
        self.stream.pix_fmt = "yuv420p"
        codec = self.stream.codec_context
        codec.gop_size, codec.max_b_frames, codec.thread_count = max(1, round(KEY_SECONDS * rate)), 0, 1
        codec.time_base, codec.colorspace, codec.color_range = 1 / rate, 5, 1  # as OpenCV converts: BT.601, 16 to 235
        try:
            codec.open()
        except av.FFmpegError:
            raise UserError(
                f"{path}: cannot be written as an mp4 of {size[1]}x{size[0]} pixels; give a smaller --scale"
            ) from None
        self.file, self.count, self.flushed = GrowingFile(path), 0, time.monotonic()

    def write(self, picture: np.ndarray) -> None:
        """Append a picture `(H, W, 3)` uint8 BGR of the size given."""
        import av

        frame = av.VideoFrame.from_ndarray(cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420), format="yuv420p")
        frame.pts, frame.time_base = self.count, self.stream.codec_context.time_base
        self.count += 1
        self.container.mux(self.stream.encode(frame))
        self._append()
        if time.monotonic() - self.flushed > FLUSH_SECONDS:
            self.file.flush()
            self.flushed = time.monotonic()

    def _append(self) -> None:
        self.file.write(bytes(self.buffer))
        self.buffer.clear()

    def close(self) -> None:
        """Write what is left; once only, and needed after an error too."""
        with contextlib.closing(self.file):
            with self.container:
                self.container.mux(self.stream.encode(None))
            self._append()
            self.file.flush()


def join(segments: Path, path: Path, count: int) -> None:
    """Copy segments, without encoding them anew, into an ordinary mp4 with its index in front, and read it back.

    Args:
        segments: the fragmented mp4.
        path: of the new file, which appears as a whole or not at all.
        count: frames that it must have at least.

    Raises:
        OSError: the file cannot be written, or not read back, or frames are missing.
    """
    import av

    sizes: list[int] = []

    def check() -> None:
        if packets_of(file.name) != sizes or len(sizes) < count or not _is_playable(file.name):
            raise OSError("read back, it is not what was written")

    room = {"moov_size": str(INDEX_BYTES + INDEX_BYTES_A_FRAME * (count + 1))}
    try:
        with (
            atomic_write(path, check) as file,
            av.open(os.fspath(segments)) as source,
            av.open(file.name, "w", format="mp4", options=room) as target,
        ):
            stream = source.streams.video[0]
            copy = target.add_stream_from_template(stream)
            copy.time_base = stream.time_base
            for packet in source.demux(stream):
                if packet.size:
                    sizes.append(packet.size)
                    packet.stream = copy
                    target.mux(packet)
    except av.FFmpegError as error:
        raise OSError(error.errno, error.strerror) from None


def _is_playable(path: str) -> bool:
    """Whether a picture of the video can be decoded."""
    with contextlib.suppress(UserError), Capture(path) as capture:
        return next(iter(capture), None) is not None
    return False


def packets_of(path: str | os.PathLike) -> list[int]:
    """Bytes of every frame of a video as they are encoded; none of what is no video."""
    import av

    try:
        with av.open(os.fspath(path)) as container:
            return [packet.size for packet in container.demux(video=0) if packet.size]
    except (av.FFmpegError, IndexError):
        return []
