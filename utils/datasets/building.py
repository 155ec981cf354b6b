"""Datasets come into being whole: they are built beside their place, or hidden in it, and take it at the end.

A process that is killed leaves its work in a folder called `NAME.partial-N` (`.partial-N` in the place itself), in
which a file tells who made it. The next command that builds there removes it, once its maker is known to be gone.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import re
import shutil
import socket
from collections.abc import Iterator
from itertools import count
from pathlib import Path

from utils.system.notices import warn

try:
    import fcntl
except ImportError:  # not a Unix
    fcntl = None

MARK = ".partial"  # the file that tells who builds a folder; it is locked meanwhile
UNFINISHED_MARK = f"{MARK}.tmp"
PARTIAL_NAME = re.compile(r".*\.partial-\d+(?:-\d+)?")
_MARK_TEXT = "an unfinished dataset, being built by process {} on {}\n"
_MARK_BYTES = 400  # more than it takes
PICTURE_FOLDERS = ("images", "masks")  # which come before what speaks of them


@contextlib.contextmanager
def build_folder(path: str | os.PathLike, merge: bool = False) -> Iterator[Path]:
    """A folder to work in, whose content becomes that of `path` on success, and which is removed otherwise.

    Args:
        path: of the dataset; a link to a folder stands for that folder.
        merge: into what is there, whose files of the same names are replaced; else `path` is new or an empty folder.

    Raises:
        OSError: it cannot be written; see `utils.system.files.writing`.
    """
    place = Path(os.path.realpath(path))
    inside = place.is_dir() and (merge or os.path.ismount(place) or not os.access(place.parent, os.W_OK))
    for leftover in _leftovers(place):
        _remove_leftover(leftover, place)
    work, mark = _make(place / MARK if inside else place.with_name(f"{place.name}{MARK}"))
    try:
        yield work
        if inside:
            _merge(work, place)
        else:
            if place.is_dir():
                place.rmdir()
            work.rename(place)
            (place / MARK).unlink()
    finally:
        if mark is not None:
            os.close(mark)
        shutil.rmtree(work, ignore_errors=True)


def is_partial(folder: Path) -> bool:
    """Whether a folder is what an interrupted command left, or builds just now."""
    return bool(PARTIAL_NAME.fullmatch(folder.name)) and _read_maker(folder) is not None


def _make(start: Path) -> tuple[Path, int | None]:
    """A new folder called `start-N` with its mark; gives its lock, where there are such."""
    start.parent.mkdir(parents=True, exist_ok=True)
    for number in count():
        work = start.with_name(f"{start.name}-{os.getpid()}" + (f"-{number}" if number else ""))
        with contextlib.suppress(FileExistsError):
            work.mkdir()
            break
    try:
        return work, _put_mark(work)
    except OSError:
        shutil.rmtree(work, ignore_errors=True)
        raise


def _put_mark(work: Path) -> int | None:
    """Put the mark into a new folder; gives its lock, where there are such."""
    near = work / UNFINISHED_MARK  # until it is locked and has its text: nobody finds a mark that tells nothing
    descriptor = os.open(near, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o666)
    if fcntl is not None:
        with contextlib.suppress(OSError):  # no locks on this disk; who is gone is then told by the process's number
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.write(descriptor, _MARK_TEXT.format(os.getpid(), socket.gethostname()).encode())
    os.replace(near, work / MARK)
    if fcntl is None:  # an open file would keep its folder from being moved
        os.close(descriptor)
    return None if fcntl is None else descriptor


def _leftovers(place: Path) -> list[Path]:
    """Folders that were being built for `place`, also those still being built."""
    beside = place.parent.glob(f"{glob.escape(place.name)}{MARK}-*") if place.parent.is_dir() else ()
    inside = place.glob(f"{MARK}-*") if place.is_dir() else ()
    return sorted(path for path in (*beside, *inside) if PARTIAL_NAME.fullmatch(path.name) and path.is_dir())


def _remove_leftover(folder: Path, place: Path) -> None:
    """Remove what a command that is gone has left; else only say that it is there."""
    if _is_abandoned(folder):
        shutil.rmtree(folder, ignore_errors=True)
        warn(f"{folder}: what an interrupted command left of {place} is removed")
    else:
        warn(
            f"{folder}: another command may be building {place} just now, or was interrupted; it is left alone, remove "
            "it if there is none"
        )


def _read_maker(folder: Path) -> tuple[int, str] | None:
    """Process and host that its mark names; None where there is no such mark."""
    mark = folder / MARK
    try:
        text = mark.read_bytes()[:_MARK_BYTES].decode("utf-8", "replace") if not mark.is_symlink() else ""
    except OSError:
        return None
    found = re.fullmatch(re.escape(_MARK_TEXT).replace(r"\{\}", r"(\S+)"), text)
    return (int(found[1]), found[2]) if found and found[1].isdecimal() else None


def _is_abandoned(folder: Path) -> bool:
    """Whether this project made a folder, and the process that did is known to be gone."""
    if folder.is_symlink():
        return False
    maker = _read_maker(folder)
    if maker is None:  # killed before it had a mark, it has nothing in it
        return set(os.listdir(folder)) <= {UNFINISHED_MARK}
    try:
        if _is_unlocked(folder / MARK):
            return True
    except OSError:  # no locks on this disk
        return maker[1] == socket.gethostname() and not _is_running(maker[0])
    return False


def _is_unlocked(path: Path) -> bool:
    """Whether no process holds a file's lock; raises `OSError` where there are no locks."""
    if fcntl is None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
    with open(path, "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True


def _merge(work: Path, place: Path) -> None:
    """Move what is in one folder into another, pictures first and single files last."""
    items = [item for item in work.iterdir() if item.name != MARK]
    for item in sorted(items, key=lambda path: (path.is_file(), path.name not in PICTURE_FOLDERS, path.name)):
        target = place / item.name
        if item.is_dir() and not item.is_symlink() and target.is_dir():
            _merge(item, target)
        else:
            _move(item, target)


def _move(source: Path, target: Path) -> None:
    try:
        os.replace(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        near = target.with_name(f".{target.name}.{os.getpid()}.tmp")  # the folder is a link to another disk
        try:
            shutil.copyfile(source, near)
            os.replace(near, target)
        finally:
            near.unlink(missing_ok=True)
