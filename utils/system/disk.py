"""Files that grow while work goes on, on disks that may fill up meanwhile."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from utils.system.files import writing


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
