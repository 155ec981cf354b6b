"""Films of noise, and processes that write them onto disks that are full."""

import resource
import subprocess
import sys
from fractions import Fraction

import av
import cv2
import numpy as np
from scripts import ROOT

from utils.system.errors import UserError
from utils.video.capture import Capture
from utils.video.writers import VideoWriter


def picture(number, shape=(48, 64)):
    """A noisy picture `(H, W, 3)`, whose frame can be told by its level."""
    noise = np.random.default_rng(number).integers(0, 30, shape)
    return np.repeat((noise + 10 * (number % 20)).astype(np.uint8)[:, :, None], 3, 2)


def film(path, count, fps=25.0, shape=(48, 64)):
    with VideoWriter(path, fps) as writer:
        for number in range(count):
            writer.write(picture(number, shape))
    return path


def deep_film(path, pictures, codec="ffv1", kind="gray16le", times=None, container=None):
    """A video of grey pictures `(H, W)` uint16, coded as `kind` of pixels, at `times` in milliseconds."""
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=25)
        stream.height, stream.width = pictures[0].shape
        stream.pix_fmt, stream.codec_context.time_base = kind, Fraction(1, 1000)
        for number, image in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(image, format="gray16le" if image.dtype == np.uint16 else "gray")
            frame = frame.reformat(format=kind)
            frame.pts, frame.time_base = times[number] if times else 40 * number, Fraction(1, 1000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def look(path):
    """(fps, announced frames, frames as they are decoded) by OpenCV."""
    with Capture(path) as capture:
        return capture.fps, capture.length, [cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) for picture in capture]


def run(arguments, limit=None):
    """A Python process that can write no file of more than `limit` bytes: what a full disk is, for root too."""

    def prepare():
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run(
        [sys.executable, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, preexec_fn=prepare
    )


def call(function, path, limit=None):
    """A function of a test file, in a process as of `run`; it prints the texts of errors of the user."""
    code = "import sys; sys.path[:] = {2}; import films, {0}; films.telling({0}.{1}, sys.argv[1])"
    return run(["-c", code.format(function.__module__, function.__name__, sys.path), path], limit)


def telling(function, *arguments):
    try:
        function(*arguments)
    except UserError as error:
        print(error)
