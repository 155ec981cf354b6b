"""Every file below a folder: links are followed, no folder is entered twice, and what systems put there is passed over.

Left out without a word are hidden files and folders, such as the `._NAME` of macOS, and those in `SYSTEM_NAMES`.
"""

from __future__ import annotations

import math
import os
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from operator import attrgetter

from utils.system.errors import UserError
from utils.system.notices import warn

# What macOS, Windows and network drives write for themselves beside people's files, in lower case.
SYSTEM_NAMES = frozenset(
    {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "system volume information", "@eadir"}
)
TEXT_SUFFIXES = frozenset({".txt", ".xml", ".json", ".csv", ".yaml", ".yml", ".md", ".log", ".html", ".pdf", ".srt"})
FRAME_FOLDERS = ("img", "img1")  # in a video's folder, of its frames, as VISO and MOTChallenge call them
MAX_FOLDER_DEPTH = 32  # folders below the one that is walked


def is_passed_over(name: str) -> bool:
    """Whether a file or folder of this name is hidden, or what an operating system keeps for itself."""
    return name.startswith(".") or name.lower() in SYSTEM_NAMES


@dataclass
class FolderTree:
    """The files below a folder.

    `names` maps every folder that was entered, by its path below the one walked with `/` between names, empty for
    itself, to the sorted names of its files. `repeated` are links to folders that were entered already, with the place
    where; `lost` are links that lead nowhere.
    """

    path: str
    names: dict[str, list[str]] = field(default_factory=dict)
    repeated: list[tuple[str, str]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    _inner: dict[str, list[str]] | None = None

    def files_in(self, below: str) -> Iterator[str]:
        """Paths that open the files in one of the tree's folders and below it."""
        yield from (os.path.join(self.path, below, name) for name in self.names[below])
        for inner in self.folders_in(below):
            yield from self.files_in(inner)

    def folders_in(self, below: str) -> list[str]:
        """Paths of the folders right in one of the tree's folders."""
        if self._inner is None:
            self._inner = {}
            for path in self.names:
                if path:
                    self._inner.setdefault(path.rpartition("/")[0], []).append(path)
        return self._inner.get(below, [])

    def tell(self) -> None:
        """Warn of links that were not followed, a line for each of the two kinds."""
        if self.repeated:
            link, place = self.repeated[0]
            warn(
                f"{os.path.join(self.path, link)}: a link to {place}, whose files count once (the first of "
                f"{len(self.repeated)} such links); remove it, or put a copy there if they are to count again"
            )
        if self.lost:
            warn(
                f"{os.path.join(self.path, self.lost[0])}: a link that leads nowhere is left out (the first of "
                f"{len(self.lost)}); correct or remove it"
            )


class LeftOut:
    """Counts files that lie among images and are none, by their endings.

    Args:
        others: endings of files that have another use there, and are not counted.
    """

    def __init__(self, others: Collection[str] = ()) -> None:
        self.others = others
        self.counts: Counter[str] = Counter()
        self.first = ""

    def add_all(self, paths: Iterable[str | os.PathLike]) -> None:
        """`add` for each of them."""
        for path in paths:
            self.add(path)

    def add(self, path: str | os.PathLike) -> None:
        """Take up a file."""
        ending = os.path.splitext(path)[1].lower()
        if ending not in self.others:
            self.counts[ending or "without ending"] += 1
            self.first = self.first or os.fspath(path)

    def tell(
        self,
        folder: str | os.PathLike,
        why: str = "among the images, as no images that can be read",
        advice: str = "if these are frames, write them as PNG",
    ) -> None:
        """Warn of them on one line.

        Args:
            folder: where they lie.
            why: they are left out.
            advice: what can be done.
        """
        if self.counts:
            kinds = ", ".join(f"{count} {ending}" for ending, count in self.counts.most_common(6))
            warn(f"{folder}: left out {why}: {kinds}; the first {self.first}; {advice}")


def walk_folder(
    path: str | os.PathLike,
    files: Collection[str] = (),
    part_of: Callable[[str], str] = lambda below: "",
    most: float = math.inf,
) -> FolderTree:
    """List the files below a folder, its own first, then those that links lead to.

    So a folder that lies there is found at its own place, whatever links to it have which names. Links into themselves,
    or to a folder around `path`, end there.

    Args:
        path: of the folder.
        files: endings such as `.png`, in lower case, by which names are files without a look at what links lead to.
        part_of: of a folder's path below `path`; a folder is entered once in each of the parts so named.
        most: files after which no more folders are entered.

    Raises:
        UserError: a folder cannot be read, or is more than `MAX_FOLDER_DEPTH` folders below `path`.
    """
    tree = FolderTree(os.fspath(path))
    places: dict[tuple, str] = {}  # by identity those around `path`, by part and identity those that were entered
    above = os.path.realpath(path)
    while os.path.dirname(above) != above:
        above = os.path.dirname(above)
        places[_identity(above)] = above
    waiting, count = deque([""]), 0
    while waiting and count < most:
        below = waiting.popleft()
        if below.count("/") >= MAX_FOLDER_DEPTH:
            raise UserError(
                f"{tree.path}/{below}: found more than {MAX_FOLDER_DEPTH} folders in each other; move it up"
            )
        identity = _identity(os.path.join(tree.path, below))
        first = places.get(identity) or places.get((part_of(below), *identity))
        if first is not None:
            tree.repeated.append((below, first))
            continue
        places[(part_of(below), *identity)] = os.path.join(tree.path, below) if below else tree.path
        folders, links = _list(tree, below, files)
        count += len(tree.names[below])
        waiting.extendleft(reversed(folders))  # what lies there comes before all links
        waiting.extend(links)
    return tree


def _identity(path: str) -> tuple[int, int]:
    try:
        about = os.stat(path)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); correct its permissions, or remove it") from None
    return about.st_dev, about.st_ino


def _list(tree: FolderTree, below: str, files: Collection[str]) -> tuple[list[str], list[str]]:
    """Note the files of one folder of a tree; gives the paths of its folders, and of links to such."""
    path, names = os.path.join(tree.path, below), []
    folders: list[str] = []
    links: list[str] = []
    try:
        with os.scandir(path) as entries:
            for entry in sorted(entries, key=attrgetter("name")):
                name = entry.name
                if is_passed_over(name):
                    continue
                inner = f"{below}/{name}" if below else name
                if entry.is_symlink():
                    if name[name.rfind(".") :].lower() in files:
                        names.append(name)
                    elif not os.path.exists(entry.path):
                        tree.lost.append(inner)
                    elif entry.is_dir():
                        links.append(inner)
                    else:
                        names.append(name)
                elif entry.is_dir():
                    folders.append(inner)
                else:
                    names.append(name)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); correct its permissions, or remove it") from None
    tree.names[below] = names
    return folders, links
