"""What a command prints: whatever becomes of its terminal, pipe or file, the work goes on and its results are kept."""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from typing import TextIO

OUTPUT, ERRORS = 1, 2  # descriptors
PLAIN_FORMS = {
    "–": "-",
    "−": "-",
    "…": "...",
    "→": "->",
    "×": "x",
    "·": "*",
    "≤": "<=",
    "≥": ">=",
    "±": "+-",
    "²": "^2",
    "µ": "u",
}  # what figures and messages hold, where a terminal's encoding lacks it


def _in_plain_form(error: UnicodeError) -> tuple[str | bytes, int]:
    """A codec's error handler: the bytes of a name that has no letters, a similar letter, or else its number."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letter, end = error.object[error.start], error.start + 1
    if "\udc80" <= letter <= "\udcff":  # how Python holds a byte of a file's name that is no letter
        return bytes([ord(letter) - 0xDC00]), end
    return PLAIN_FORMS.get(letter, letter.encode("ascii", "backslashreplace").decode()), end


PLAIN_FORM = "plain_form"
codecs.register_error(PLAIN_FORM, _in_plain_form)


class _Outlet(io.RawIOBase):
    """A descriptor that takes everything: once it is closed at its other end, or full, what comes goes nowhere.

    `failure` is why, None as long as all is well and of a pipe whose reader has gone, as `head` does.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor, self.failure = descriptor, None

    def write(self, data: bytes) -> int:
        while True:
            try:
                return os.write(self.descriptor, data)
            except BlockingIOError:  # of a pipe that does not wait
                select.select([], [self.descriptor], [])
            except OSError as error:
                self.failure = None if error.errno == errno.EPIPE else error
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, self.descriptor)  # of libraries that print as well
                os.close(nowhere)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self.descriptor

    def isatty(self) -> bool:
        return os.isatty(self.descriptor)


def _open_missing() -> None:
    """Give streams that the caller has closed a place: the next file opened would get what is printed."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= ERRORS:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def _wrap(stream: TextIO | None, descriptor: int) -> tuple[TextIO, _Outlet]:
    outlet = _Outlet(descriptor)
    if stream is None:
        return io.TextIOWrapper(io.BufferedWriter(outlet), "utf-8", PLAIN_FORM, line_buffering=True), outlet
    stream.flush()
    wrapped = io.TextIOWrapper(
        io.BufferedWriter(outlet),
        stream.encoding,
        PLAIN_FORM,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
    return wrapped, outlet


@contextlib.contextmanager
def lasting_streams() -> Iterator[None]:
    """Within this context, and after it, printing raises nothing.

    A pipe that its reader has closed, closed or full outputs, and letters that the terminal lacks stop no work. Where
    stdout is full the process says so in the end, and its status is 1 if it would have been 0. Streams that a caller
    has replaced stay as they are.
    """
    _open_missing()
    outlet = None
    if sys.stderr is sys.__stderr__:
        sys.stderr, _ = _wrap(sys.stderr, ERRORS)
    if sys.stdout is sys.__stdout__:
        sys.stdout, outlet = _wrap(sys.stdout, OUTPUT)
    status: SystemExit | None = None
    try:
        yield
    except SystemExit as ended:
        status = ended
    if outlet is not None:
        sys.stdout.flush()
        if outlet.failure is not None:
            print(f"error: stdout: cannot be written ({outlet.failure.strerror})", file=sys.stderr)
            if status is None or not status.code:
                raise SystemExit(1)
    if status is not None:
        raise status
