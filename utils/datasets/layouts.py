"""Which files a dataset folder holds: images, masks, which mask belongs to which image, and paths that lists give."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from utils.images.frame_names import natural_key
from utils.images.image_files import IMAGE_SUFFIXES
from utils.system.errors import UserError

# Names of the layouts, for people and for the few places where one differs from another.
SEQUENCE_TREE = "sequence folders"  # SEQUENCE/images/FRAME.png
IMAGE_TREE = "image tree"  # images/SEQUENCE/FRAME.png
SPLIT_TREE = "split folders"  # images/SPLIT/SEQUENCE/FRAME.png
SINGLE_FRAMES = "single frames"  # images/NAME.png
SPLIT_FOLDERS = ("train", "test", "val")
SEQUENCE_FOLDER = re.compile(r"sequence[ _-]?\d+", re.IGNORECASE)
MAX_FOLDER_DEPTH = 6  # folders below the root; links that lead in circles end here
MAX_KEY_PARTS = MAX_FOLDER_DEPTH + 3  # of an image: SequenceN/images, or images, before those folders; its name behind


class Paths(Mapping[str, str]):
    """Keys and paths of many files.

    A path is kept as what stands before and behind its key's last part, of which there are few, so that an entry costs
    little more than its key.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._around: dict[str, tuple[str, str]] = {}
        self._known: dict[tuple[str, str], tuple[str, str]] = {}
        for key, path in pairs:
            self.add(key, path)

    def add(self, key: str, path: str) -> None:
        """Take up a file; its name begins with the key's last part."""
        cut = path.rfind("/") + 1
        self.put(key, path[:cut], path[cut + len(key.rpartition("/")[2]) :])

    def put(self, key: str, before: str, behind: str) -> None:
        """`add` with what stands before and behind the key's last part."""
        around = before, behind
        self._around[key] = self._known.setdefault(around, around)

    def __getitem__(self, key: str) -> str:
        before, behind = self._around[key]
        return before + key.rpartition("/")[2] + behind

    def __contains__(self, key: object) -> bool:
        return key in self._around

    def __iter__(self) -> Iterator[str]:
        return iter(self._around)

    def __len__(self) -> int:
        return len(self._around)

    def take(self, keys: Iterable[str]) -> Paths:
        """The same paths under the strings `keys`, in their order; keys that are not there are left out.

        Empties this.
        """
        result = Paths()
        result._known = self._known
        for key in keys:
            around = self._around.pop(key, None)
            if around is not None:
                result._around[key] = around
        return result


@dataclass(frozen=True)
class Files:
    """The images and masks of a dataset folder.

    `images` and `masks` map the same keys to paths below `root`. A key is the image's path without its extension, so
    that lists and disk may disagree about it; clip files `SequenceN/Mix/1.mat` have the key `SequenceN/images/1`.
    """

    root: str
    layout: str  # one of the names above
    images: Mapping[str, str]
    masks: Mapping[str, str]

    def path(self, below: str) -> str:
        """The path that opens the file `below` the root."""
        return os.path.join(self.root, below)

    def sequence_folder(self, key: str) -> tuple[str, str]:
        """Folder of an image within its split, and that with the split; the first is empty for single frames."""
        if self.layout == SEQUENCE_TREE:
            return (key.split("/")[0],) * 2
        parts = key.split("/")[1:-1]
        within = parts[1:] if parts and parts[0] in SPLIT_FOLDERS else parts
        return "/".join(within), "/".join(parts)

    def find(self, path: str, split: str | None = None) -> str | None:
        """The key of the image that a list calls `path`, whatever root, slashes or extension it was written with.

        The longest end of `path` that exists below the root counts; ends may begin below `images/` or `images/SPLIT/`.

        Raises:
            UserError: `..` leads out of the root.
        """
        name = posixpath.normpath(path.strip().replace("\\", "/"))
        if name.split("/")[0] == "..":
            raise UserError(
                f"{self.root}: found '{path}' in a list of images, which leads out of the dataset folder; "
                "expected a path inside it; correct that line"
            )
        if self.layout == SEQUENCE_TREE:
            name = name.replace("/Mix/", "/images/")
        name = "/".join(name.split("/")[-MAX_KEY_PARTS:])  # longer ends name no image, however many slashes there are
        stem, suffix = posixpath.splitext(name)
        ends = [stem, name] if suffix.lower() in IMAGE_SUFFIXES else [name]
        starts = ["", "images/", *(f"images/{folder}/" for folder in (split, *SPLIT_FOLDERS) if folder)]
        while ends[0]:
            for start in starts:
                for end in ends:
                    if start + end in self.images:
                        return start + end
            ends = [end.partition("/")[2] for end in ends]
        return None


def _walk(folder: str, below: str, depth: int = MAX_FOLDER_DEPTH) -> Iterator[tuple[str, list[str]]]:
    """Folders, written as `below/…`, and the names of the image files in each, in no particular order."""
    names, wanted = [], {}
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if name.startswith("."):
                continue
            ending = name[name.rfind(".") :]
            if ending not in wanted:
                wanted[ending] = os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES
            if wanted[ending]:
                names.append(name)
            elif depth and entry.is_dir():
                yield from _walk(entry.path, f"{below}/{name}", depth - 1)
    yield below, names


def _folder(root: str, *names: str) -> Paths:
    """The images of a folder by their keys, in natural order within each folder below it."""
    found, folder = Paths(), os.path.join(root, *names)
    folders = list(_walk(folder, "/".join(names))) if os.path.isdir(folder) else []
    for below, files in sorted(folders, key=lambda item: natural_key(item[0])):
        for name in sorted(sorted(files), key=natural_key):
            stem, _, ending = name.rpartition(".")
            key = f"{below}/{stem}"
            if key in found:
                raise UserError(
                    f"{below}/{name}: found beside {found[key]}, expected one image of that name; remove one of them"
                )
            found.put(key, f"{below}/", f".{ending}")
    return found


def _sequence_folders(root: str) -> list[str]:
    """`SequenceN` folders of the official NUDT-MIRSDT layout below `root`."""
    if not os.path.isdir(root):
        return []
    with os.scandir(root) as entries:
        names = [e.name for e in entries if SEQUENCE_FOLDER.fullmatch(e.name) and e.is_dir()]
    return sorted(
        (n for n in names if any(os.path.isdir(os.path.join(root, n, d)) for d in ("images", "Mix"))), key=natural_key
    )


def _masks(root: str, where: str, instead: str, images: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Masks in the folder `where` under the keys of their images, which lie in `instead`.

    `NAME_pixels0` is the mask of `NAME`.
    """
    masks = _folder(root, *where.split("/"))
    for key in masks:
        image = instead + key[len(where) :]
        if image not in images and image.endswith("_pixels0"):
            image = image[: -len("_pixels0")]
        yield image, masks[key]


def list_files(root: str) -> Files:
    """List the images and masks of the dataset in `root`; no file is opened.

    Raises:
        UserError: there are no images, or two images whose names differ in the extension only.
    """
    sequences = [] if os.path.isdir(os.path.join(root, "images")) else _sequence_folders(root)
    images = Paths() if sequences else _folder(root, "images")
    for name in sequences:
        for folder in ("Mix", "images"):
            for key, path in _folder(root, name, folder).items():
                images.add(key.replace("/Mix/", "/images/"), path)
    masks = Paths(
        pair
        for below in [f"{name}/" for name in sequences] or [""]
        for pair in _masks(root, f"{below}masks", f"{below}images", images)
    )
    layout = SEQUENCE_TREE
    if not sequences:
        depth = max((key.count("/") for key in images), default=0)
        split = any(key.split("/", 2)[1] in SPLIT_FOLDERS for key in images)
        layout = SPLIT_TREE if split else SINGLE_FRAMES if depth == 1 else IMAGE_TREE
    if not images:
        where = "SequenceN/images" if sequences else "images"
        raise UserError(
            f"{root}: found no image in {where}/, expected {', '.join(sorted(IMAGE_SUFFIXES))} files; "
            "copy the frames there"
        )
    if sequences:  # clips and images of one sequence were listed one after the other
        images = images.take(sorted(images, key=natural_key))
    masks = masks.take([*(key for key in images if key in masks), *(key for key in masks if key not in images)])
    return Files(root, layout, images, masks)


def _is_one_sequence(folder: Path) -> bool:
    return bool(SEQUENCE_FOLDER.fullmatch(folder.name)) and folder.name in _sequence_folders(str(folder.parent))


def _looks_right(folder: Path) -> bool:
    return ((folder / "images").is_dir() or bool(_sequence_folders(str(folder)))) and not _is_one_sequence(folder)


def _nearby(folder: Path) -> list[Path]:
    """Folders around `folder` that look like a dataset: above it, else up to two levels below it."""
    above = [parent for parent in list(folder.parents)[:3] if _looks_right(parent)]
    if above:
        return above
    level = [folder]
    for _ in range(2):
        level = [
            child
            for parent in level
            for child in sorted(parent.iterdir(), key=lambda p: natural_key(p.name))
            if child.is_dir() and not child.name.startswith(".")
        ][:200]
        found = [child for child in level if _looks_right(child)]
        if found:
            return found
    return []


def check_root(root: str | os.PathLike) -> str:
    """Make sure that `root` is a dataset's folder, not one above or below it.

    Raises:
        UserError: it is missing or holds no dataset; the message says where the data seems to be.
    """
    if not str(root):
        raise UserError("no dataset given; expected --data-root FOLDER, the folder that holds images/")
    path = Path(os.path.abspath(root))
    if path.is_dir() and _looks_right(path):
        return str(root)
    if _is_one_sequence(path):
        found, near = "one sequence of a dataset", [path.parent]
    elif path.is_dir():
        found, near = "neither images/ nor SequenceN/ folders", _nearby(path)
    else:
        found = "a file" if path.exists() else "no such folder"
        existing = next(parent for parent in path.parents if parent.is_dir())
        near = [existing] if _looks_right(existing) else _nearby(existing)
    advice = (
        f"the data seems to be in {', '.join(str(p) for p in near[:3])}"
        if near
        else "give the folder that holds images/ (docs/datasets.md shows the tree of every dataset)"
    )
    raise UserError(f"{root}: found {found}, expected the folder of a dataset; {advice}")
