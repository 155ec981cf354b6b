"""Files that are written whole or not at all, and such as grow while work goes on, on disks that may fill up."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from utils.system.errors import UserError, WriteError
from utils.system.streams import PLAIN_FORM

ADVICE = "check the space left and the permissions there"
# What folders answer that cannot be flushed: on some network drives, and where names may be made but not listed.
NO_FLUSHING = (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EPERM)


@contextlib.contextmanager
def writing(path: str | os.PathLike, advice: str = ADVICE) -> Iterator[None]:
    """Turn an `OSError` inside into a `WriteError` that names `path` and ends with `advice`.

    So it does with a `WriteError`: of a file in a temporary folder the user is told what is made of it.
    """
    try:
        yield
    except WriteError as error:
        raise WriteError.of(path, error.reason, advice) from None
    except OSError as error:
        raise WriteError.of(path, error.strerror or str(error), advice) from None


@contextlib.contextmanager
def atomic_write(
    path: str | os.PathLike, before: Callable[[], None] = lambda: None, lasting: bool = True
) -> Iterator[BinaryIO]:
    """Open a temporary file beside `path`; on success call `before` and move the file into place, else remove it.

    What writes results takes `whole_file`, which says what went wrong. Of a process that is killed the temporary file
    stays behind, see `remove_temporary`.

    Args:
        path: of the file; folders above it are made.
        before: what is to happen once the file is whole.
        lasting: flush it to disk, so that it outlives a power cut; that takes longer than writing a small file.

    Raises:
        OSError: it cannot be written; what was at `path` is still there.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            if lasting:
                file.flush()
                os.fsync(file.fileno())
        before()
        os.replace(temporary, path)
        if lasting:
            _flush_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_file(path: str | os.PathLike, advice: str = ADVICE, lasting: bool = True) -> Iterator[BinaryIO]:
    """Write a file, whole or not at all: `atomic_write` for people.

    Args:
        path: of the file; folders above it are made.
        advice: what to do where that is impossible.
        lasting: as of `atomic_write`.

    Raises:
        WriteError: it cannot be written; what was at `path` is still there.
    """
    with writing(path, advice), atomic_write(path, lasting=lasting) as file:
        yield file


def encode_text(text: str) -> bytes:
    """A text file's content in UTF-8; names of files that are not, as they are on the disk."""
    return text.encode("utf-8", PLAIN_FORM)


def as_utf8(path: str | os.PathLike) -> str:
    """A path for libraries that take UTF-8 only, and crash on other names, whatever Python takes file names for.

    Raises:
        UserError: it is none.
    """
    try:
        return os.fsencode(path).decode()
    except UnicodeEncodeError:  # not the name of a file
        return os.fspath(path)
    except UnicodeDecodeError:
        raise UserError(f"{path}: found a name that is no UTF-8, which not all can read; rename it") from None


def _flush_folder(folder: Path) -> None:
    """Bring names to disk too: without this a power cut may undo a rename."""
    if not hasattr(os, "O_DIRECTORY"):  # elsewhere folders cannot be opened
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:  # the file itself is there
        if error.errno not in NO_FLUSHING:
            raise


def remove_temporary(folder: str | os.PathLike) -> None:
    """Remove what processes that were killed inside `atomic_write` left in `folder`."""
    for path in Path(folder).glob(".*.tmp"):
        if re.fullmatch(r"\..+\.\d+\.tmp", path.name):
            path.unlink(missing_ok=True)


def to_json_value(value: Any) -> Any:
    """`value` as JSON can hold it: NaN and infinities become None, numpy scalars and arrays become Python's."""
    if isinstance(value, dict):
        return {str(key): to_json_value(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_json_value(item) for item in value]
    if hasattr(value, "tolist"):
        return to_json_value(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)


def write_json(path: str | os.PathLike, value: Any) -> None:
    """Write `value` as indented JSON, as of `whole_file`; NaN is written as null."""
    with whole_file(path) as file:
        file.write((json.dumps(to_json_value(value), indent=1, allow_nan=False) + "\n").encode())


def write_rows(path: str | os.PathLike, value: dict[str, Any]) -> None:
    """`write_json` for long lists: an entry of `value` a line, of lists an item a line.

    Indenting would take six times as long.
    """
    entries = []
    for key, item in value.items():
        text = "[\n" + ",\n".join(map(_line, item)) + "\n]" if isinstance(item, list) else _line(item)
        entries.append(f"{json.dumps(key)}: {text}")
    with whole_file(path) as file:
        file.write(("{\n" + ",\n".join(entries) + "\n}\n").encode())


def _line(value: Any) -> str:
    try:
        return json.dumps(value, allow_nan=False, default=to_json_value)
    except (TypeError, ValueError):  # keys that are no text, NaN
        return json.dumps(to_json_value(value), allow_nan=False)


def require_file(path: str | os.PathLike) -> None:
    """Raise `UserError` where there is no such file."""
    if not Path(path).is_file():
        found = "a folder" if Path(path).is_dir() else "no such file"
        raise UserError(f"{path}: found {found}, expected a checkpoint; give --weights FILE, such as runs/NAME/best.pt")


class GrowingFile:
    """A new file to which pieces are appended, each as a whole or not at all.

    Args:
        path: of the file; it takes the place of one that is there, whose other names keep what that held.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        self.path.unlink(missing_ok=True)  # a link would lead to a file elsewhere
        self.file = open(path, "xb", buffering=0)  # noqa: SIM115 - stays open until `close`

    def write(self, piece: bytes) -> None:
        """Append a piece.

        Raises:
            OSError: that is impossible; the file is left as it was.
        """
        end = self.file.tell()
        try:
            rest = memoryview(piece)
            while rest:
                rest = rest[self.file.write(rest) :]
        except BaseException:
            self.file.truncate(end)
            self.file.seek(end)
            raise

    def flush(self) -> None:
        """Bring what was written to the disk itself.

        Raises:
            OSError: that is impossible; some disks say only now that they are full.
        """
        os.fsync(self.file.fileno())

    def close(self) -> None:
        """Close it; may be called again."""
        self.file.close()


class Reserve:
    """Room on the disk for files that will be written at the end, taken while the work goes on.

    So a disk that fills up is noticed while they still fit. It has no name, and goes with the process.

    Args:
        folder: of those files; made where it is missing.
        size: of the room in the beginning, in bytes.

    Raises:
        UserError: there is no room.
    """

    def __init__(self, folder: Path, size: int = 16384) -> None:
        self.folder = folder
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self.file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - open until `release`
        self.grow(size)

    def grow(self, size: int) -> None:
        """Take `size` bytes more.

        Raises:
            UserError: they are not there.
        """
        with writing(self.folder):
            if self.file.write(bytes(size)) < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def release(self) -> None:
        """Give all of it back."""
        self.file.close()
