"""Which files a command may write: none among those it reads, and over those only that it has made itself."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from utils.system.command_line import make_folder
from utils.system.errors import UserError
from utils.system.files import ADVICE, writing

RECORD_FILE = ".written.jsonl"  # in a folder of results: a line [command, name] for each file in it
MAX_LINK_DEPTH = 8  # folders below one that is read, in which links are followed
Identity = tuple[int, int]  # of a file or folder, whatever names lead to it: device and inode


def _identity(path: str | os.PathLike) -> Identity | None:
    try:
        about = os.stat(path)
    except (OSError, ValueError):  # a path that holds a zero byte is none
        return None  # not there, or out of reach
    return about.st_dev, about.st_ino


def _identities(path: str | os.PathLike) -> list[Identity]:
    """Of what there is at `path` and of the folders above it, links resolved, innermost first."""
    real = os.path.realpath(path)
    return [found for place in (real, *Path(real).parents) if (found := _identity(place))]


def _linked_folders(folder: str, depth: int = MAX_LINK_DEPTH) -> Iterator[tuple[str, bool]]:
    """Where links in `folder` lead: (path, whether it is read as a whole, as a folder is), each once."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    files: set[str] = set()  # folders in which there are files that links lead to
    for entry in entries:
        if entry.is_symlink():
            target = os.path.join(folder, os.readlink(entry.path))
            if os.path.isdir(target):
                yield target, True
            else:
                files.add(os.path.dirname(os.path.realpath(target) if os.path.islink(target) else target))
        elif depth and entry.is_dir():
            yield from _linked_folders(entry.path, depth - 1)
    yield from ((path, False) for path in files)


def _places(read: Iterable[str | os.PathLike]) -> Iterator[tuple[str, str, bool]]:
    """All that is read, links followed: (as the user knows it, where, whether as a whole folder)."""
    seen: set[Identity] = set()
    for name in map(os.fspath, read):
        waiting = [(name, os.path.isdir(name))]
        while waiting:
            path, whole = waiting.pop()
            own = _identity(path)
            if own is None or (path != name and own in seen):
                continue
            yield name, path, whole
            if whole and own not in seen:
                seen.add(own)
                waiting += _linked_folders(path)


def require_apart(out: str | os.PathLike, read: Iterable[str | os.PathLike], option: str = "--out") -> None:
    """Hold a folder of results to be apart from all that is read, whatever names and links lead to either.

    Args:
        out: the folder, which need not be there yet.
        read: files and folders; of folders, all that is in them and that links in them lead to. What is not there, and
            what is no path, is passed over.
        option: that names the folder.

    Raises:
        UserError: it is a folder that is read, lies in one, or holds what is read.
    """
    above, own = _identities(out), _identity(out)
    for name, path, whole in _places(read):
        folder = os.path.dirname(os.path.abspath(path))  # of a link the one that it lies in itself
        there = [*_identities(path), *_identities(folder)]
        if own in there:
            how = "is" if own == there[0] and whole else "holds"
        elif whole and there[0] in above:
            how = "lies in"
        else:
            continue
        raise UserError(
            f"{option}: found {out}, which {how} what is read ({name}), expected a folder apart from it, as results "
            f"could take the place of data; give another {option}"
        )


def require_new_or_own(path: str | os.PathLike, mark: bytes, read: Iterable[str | os.PathLike]) -> None:
    """Hold a single file to be written to be none that is read, and none that somebody else has made.

    Args:
        path: of the file.
        mark: bytes that are in every file that the command writes there.
        read: files and folders that are read.

    Raises:
        UserError: it is one of these files, lies in one of these folders, or has been made by somebody else.
    """
    above = _identities(path)
    own = _identity(path)
    for name, place, whole in _places(read):
        found = _identity(place)
        if found and found in (above if whole else [own]):
            how = "lies in" if whole else "is"
            raise UserError(
                f"{path}: {how} what is read ({name}), expected a file apart from it; give another one with --out"
            )
    if own is None and not os.path.lexists(path):
        return
    if os.path.isdir(path) or mark not in _content(path):
        raise UserError(
            f"{path}: found something there that this command has not made, expected nothing or a result of its own; "
            "give another one with --out, or move that away"
        )


def _content(path: str | os.PathLike) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""


def plain_folder(root: Path, name: str) -> Path:
    """The folder `name` in a folder of results.

    Raises:
        UserError: a link leads out of there.
    """
    folder = root
    for part in Path(name).parts:
        folder /= part
        if folder.is_symlink():
            raise UserError(
                f"{folder}: found a link, expected a folder for results; give another --out, or move it away"
            )
    return folder


class OutputFolder:
    """A folder of results that knows which files in it a command has made, and lets it write over these alone.

    The name of a file goes into the record before the file is written. So what a killed command has left is known too.

    Args:
        folder: path of it, made where it is missing.
        command: that writes, such as `test.py`.
        adopted: names of files in it that the command has made before there were records.

    Raises:
        UserError: it cannot be written.
    """

    def __init__(self, folder: str | os.PathLike, command: str, adopted: Iterable[str] = ()) -> None:
        self.folder, self.command = Path(folder), command
        make_folder(self.folder)
        self.record = self.folder / RECORD_FILE
        self.makers, self.adopted = _read_record(self.record), frozenset(adopted)
        self.checked: set[str] = set()  # names of folders in it that are no links

    def claim(self, *names: str) -> None:
        """Have these files to write, now or later; names are paths below the folder.

        Raises:
            UserError: one is there that this command has not made, or a link leads out of the folder; none is claimed
                then, and nothing has been written.
        """
        self.require_free(*names)
        new = [name for name in dict.fromkeys(names) if self.makers.get(name) != self.command]
        if new:
            self._append("".join(json.dumps([self.command, name]) + "\n" for name in new))
            self.makers |= dict.fromkeys(new, self.command)

    def _append(self, lines: str) -> None:
        with writing(self.record, ADVICE):
            descriptor = os.open(
                self.record, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0), 0o666
            )
            with open(descriptor, "r+b", buffering=0) as file:
                end = file.seek(0, os.SEEK_END)
                file.seek(max(end - 1, 0))
                whole = file.read(1) in (b"", b"\n")  # else a line was cut off
                file.write(("" if whole else "\n").encode() + lines.encode())

    def path(self, name: str) -> Path:
        """Where to write a file; `claim` for one."""
        self.claim(name)
        return self.folder / name

    def require_free(self, *names: str) -> None:
        """`claim` without claiming them."""
        for name in names:
            path, maker = self.folder / name, self.makers.get(name)
            inner = os.path.dirname(name)
            if inner not in self.checked:
                plain_folder(self.folder, inner)
                self.checked.add(inner)
            own = maker == self.command or (maker is None and name in self.adopted)
            if not own and os.path.lexists(path):
                raise UserError(
                    f"{path}: found {f'what {maker} has written' if maker else 'something there already'}, and "
                    f"{self.command} writes over nothing that it has not made; give another --out, or move that away"
                )


def adopt_earlier(folder: str | os.PathLike, main_file: str, sign: bytes, names: Iterable[str]) -> Iterable[str]:
    """`adopted` of `OutputFolder`: `names`, where an earlier version has left its results and no record of them.

    Args:
        folder: of results.
        main_file: name of the file that tells.
        sign: bytes that are in it, if the command has written it.
        names: of all files that the command writes.
    """
    folder = Path(folder)
    return names if sign in _content(folder / main_file) and not (folder / RECORD_FILE).exists() else ()


def _read_record(path: Path) -> dict[str, str]:
    """Who made which file, as far as the record can be read."""
    makers = {}
    for line in _content(path).splitlines():
        try:
            command, name = json.loads(line)
        except (ValueError, TypeError):  # a line that was cut off: its file was not written yet
            continue
        makers[str(name)] = str(command)
    return makers
