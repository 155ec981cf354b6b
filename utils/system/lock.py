"""One process at a time writes to a folder: a lock that goes with the process that holds it, however that ends."""

from __future__ import annotations

import contextlib
import os
import re
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

from utils.system.command_line import make_folder
from utils.system.errors import UserError
from utils.system.files import writing

try:
    import fcntl
except ImportError:  # not a Unix
    fcntl = None

# It stays when its holder is gone: whoever removed it might remove the file that another process has just locked.
LOCK_FILE = ".training.lock"
_HOLDER_BYTES = 300  # more than a process and a host name take
_held: set[int] = set()  # descriptors of the lock files that this process holds


def _leave_to_parent() -> None:
    """Close a forked process's copies: a loader process that outlives its training for seconds would hold its lock."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)


@contextlib.contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Be the only training that writes to `folder`, which is made where it is missing, within this context.

    The system releases the lock when the process ends, after `kill -9` too. Where there are no locks, on some network
    drives and outside Unix, a warning on stderr says so, and two trainings can meet.

    Args:
        folder: of the run; links and other spellings of its path are the same folder.

    Raises:
        UserError: another training holds it, or it cannot be written.
    """
    make_folder(folder)
    path = folder / LOCK_FILE
    with writing(path, "give another folder with --out"):
        # NFS locks only what is open for writing; a link is not followed, or its target would be written over
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
    _held.add(descriptor)
    try:
        if _lock(descriptor, folder):
            with writing(path, "give another folder with --out"):
                os.ftruncate(descriptor, 0)
                os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
        yield
    finally:
        if descriptor in _held:  # not in a forked process, which has closed its copy
            _held.discard(descriptor)
            os.close(descriptor)


def _lock(descriptor: int, folder: Path) -> bool:
    """Lock an open file of `folder` until it is closed; gives whether that is possible there.

    Raises:
        UserError: another process has locked it.
    """
    reason = "this system has none"
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except (BlockingIOError, PermissionError):  # the second one on SMB shares
            raise UserError(
                f"found another training that writes to {folder} ({_read_holder(descriptor)}), expected one at a "
                "time; give another --name or wait"
            ) from None
        except OSError as error:
            reason = error.strerror or str(error)
    print(
        f"warning: {folder}: files there cannot be locked ({reason}); a second training of this --name would destroy "
        "this one's checkpoints, see to it that there is none",
        file=sys.stderr,
    )
    return False


def _read_holder(descriptor: int) -> str:
    """`process N on HOST`, as the holder wrote it into the lock file, where that can be read."""
    try:
        text = os.read(descriptor, _HOLDER_BYTES).decode("utf-8", "replace").strip()
    except PermissionError:  # on SMB shares nobody else reads what is locked
        text = ""
    return text if re.fullmatch(r"process \d+ on \S+", text) else "of an unknown process"
