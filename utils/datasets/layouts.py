"""Which files a dataset folder holds: images, masks, which mask belongs to which image, and paths that lists give."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from utils.datasets.building import is_partial
from utils.datasets.split_names import SPLITS_BY_WORD, split_folder_of, word_of_folder
from utils.images.alike_names import AlikeNames
from utils.images.folders import LeftOut, is_passed_over, walk_folder
from utils.images.frame_names import natural_key
from utils.images.image_files import IMAGE_SUFFIXES, images_among
from utils.images.picture_roles import mask_names, require_frames_alone
from utils.system.errors import UserError
from utils.system.notices import warn

# Names of the layouts, for people and for the few places where one differs from another.
SEQUENCE_TREE = "sequence folders"  # SEQUENCE/images/FRAME.png
IMAGE_TREE = "image tree"  # images/SEQUENCE/FRAME.png
SPLIT_TREE = "split folders"  # images/SPLIT/SEQUENCE/FRAME.png
SINGLE_FRAMES = "single frames"  # images/NAME.png
DATASET_FOLDERS = ("images", "masks", "annotations", "img_idx")
SEQUENCE_FOLDER = re.compile(r"sequence[ _-]?\d+", re.IGNORECASE)


class Paths(Mapping[str, str]):
    """Keys and paths of many files.

    A path is kept as what stands before and behind its key's last part, of which there are few, so that an entry costs
    little more than its key.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._around: dict[str, tuple[str, str | None]] = {}
        self._known: dict[tuple[str, str | None], tuple[str, str | None]] = {}
        for key, path in pairs:
            self.add(key, path)

    def add(self, key: str, path: str) -> None:
        """Take up a file."""
        cut, stem = path.rfind("/") + 1, key.rpartition("/")[2]
        if path.startswith(stem, cut):
            self.put(key, path[:cut], path[cut + len(stem) :])
        else:
            self.put(key, path, None)

    def put(self, key: str, before: str, behind: str | None) -> None:
        """`add` with what stands before and behind the key's last part; with None the first is the whole path."""
        around = before, behind
        self._around[key] = self._known.setdefault(around, around)

    def __getitem__(self, key: str) -> str:
        before, behind = self._around[key]
        return before if behind is None else before + key.rpartition("/")[2] + behind

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
        within = parts[1:] if parts and word_of_folder(parts[0]) else parts
        return "/".join(within), "/".join(parts)

    @cached_property
    def split_folders(self) -> dict[str, str]:
        """The folders in `images/` that are called after a split, and of them the word: "train", "test" or "val"."""
        if self.layout != SPLIT_TREE:
            return {}
        names = sorted({key.split("/", 2)[1] for key in self.images if key.count("/") > 1}, key=natural_key)
        return {name: word for name in names if (word := word_of_folder(name))}

    @cached_property
    def _key_parts(self) -> int:
        return max(key.count("/") for key in self.images) + 1

    @cached_property
    def _alike(self) -> AlikeNames:
        return AlikeNames(lambda: self.images)

    @cached_property
    def _starts(self) -> dict[str | None, list[str]]:
        """What may stand before a listed path, by the word of the list: its own split's folders before others."""
        found = {}
        for word in (None, "", *SPLITS_BY_WORD):
            apart = [
                (own != word, SPLITS_BY_WORD[own] != SPLITS_BY_WORD.get(word or ""), name)
                for name, own in self.split_folders.items()
            ]
            found[word] = ["", "images/", *(f"images/{name}/" for *_, name in sorted(apart, key=lambda item: item[:2]))]
        return found

    def find(self, path: str, word: str | None = None) -> str | None:
        """The key of the image that a list calls `path`, whatever root, slashes or extension it was written with.

        The longest end of `path` that exists below the root counts; ends may begin below `images/` or `images/SPLIT/`.
        Where there is none, letter case and the Unicode form do not count, see `tell_alike`.

        Args:
            path: as the list has it.
            word: "train", "test" or "val" where the list's name holds it: folders called so come before others.

        Raises:
            UserError: `..` leads out of the root, or several names are alike but for letter case.
        """
        name = posixpath.normpath(path.strip().replace("\\", "/"))
        if name.split("/")[0] == "..":
            raise UserError(
                f"{self.root}: found '{path}' in a list of images, which leads out of the dataset folder; "
                "expected a path inside it; correct that line"
            )
        if self.layout == SEQUENCE_TREE:
            name = name.replace("/Mix/", "/images/")
        name = "/".join(name.split("/")[-self._key_parts :])  # longer ends name no image, however many slashes
        stem, suffix = posixpath.splitext(name)
        ends = [stem, name] if suffix.lower() in IMAGE_SUFFIXES else [name]
        found = next((key for key in self._possible_keys(ends, word) if key in self.images), None)
        return found or next(filter(None, map(self._alike.find, self._possible_keys(ends, word))), None)

    def _possible_keys(self, ends: list[str], word: str | None) -> Iterator[str]:
        while ends[0]:
            for start in self._starts[word]:
                for end in ends:
                    yield start + end
            ends = [end.partition("/")[2] for end in ends]

    def tell_alike(self) -> None:
        """Warn of listed names that `find` has found in another letter case or Unicode form."""
        self._alike.tell(self.root)


def _folder(root: str, where: str, left_out: LeftOut) -> Paths:
    """The images of a folder by their keys, in natural order within each folder below it; other files are counted."""
    found, folder = Paths(), os.path.join(root, where)
    if not os.path.isdir(folder):
        return found
    tree = walk_folder(folder, IMAGE_SUFFIXES, split_folder_of)
    tree.tell()
    folders = {f"{where}/{below}".rstrip("/"): names for below, names in tree.names.items()}
    for below in sorted(folders, key=natural_key):
        images = set(images_among(folders[below]))
        for name in sorted(folders[below], key=natural_key):
            stem, ending = os.path.splitext(name)
            if name not in images:
                left_out.add(f"{below}/{name}")
                continue
            key = f"{below}/{stem}"
            if key in found:
                raise UserError(
                    f"{below}/{name}: found beside {found[key]}, expected one image of that name; remove one of them"
                )
            found.put(key, f"{below}/", ending)
    return found


def _sequence_folders(root: str) -> list[str]:
    """`SequenceN` folders of the official NUDT-MIRSDT layout below `root`."""
    if not os.path.isdir(root):
        return []
    with os.scandir(root) as entries:
        names = sorted(e.name for e in entries if SEQUENCE_FOLDER.fullmatch(e.name) and os.path.isdir(e.path))
    return sorted(
        (n for n in names if any(os.path.isdir(os.path.join(root, n, d)) for d in ("images", "Mix"))), key=natural_key
    )


def _masks(
    root: str, where: str, instead: str, images: Mapping[str, str], left_out: LeftOut
) -> Iterator[tuple[str, str]]:
    """Masks in the folder `where` under the keys of their images, which lie in `instead`.

    `NAME_pixels0`, `NAME_mask` or the like is the mask of `NAME`.

    Raises:
        UserError: two are of one image.
    """
    masks = _folder(root, where, left_out)
    alike, taken = AlikeNames(lambda: images), {}
    for key in masks:
        image = instead + key[len(where) :]
        if image not in images:
            folder, _, stem = image.rpartition("/")
            names = [f"{folder}/{name}" for name in mask_names(stem)]
            there = next((name for name in names if name in images), None)
            image = there or next(filter(None, map(alike.find, names)), image)
        if image in taken:
            raise UserError(f"{masks[key]}: found beside {masks[taken[image]]}, both masks of {image}; remove one")
        taken[image] = key
        yield image, masks[key]
    alike.tell(os.path.join(root, where))


def list_files(root: str) -> Files:
    """List the images and masks of the dataset in `root`; files are opened only where names may be of masks.

    Raises:
        UserError: there are no images, two images whose names differ in the extension only, or masks among the images.
    """
    sequences = [] if os.path.isdir(os.path.join(root, "images")) else _sequence_folders(root)
    left_out = LeftOut()
    for name, meant in _misspelt(root):
        warn(f"{os.path.join(root, name)}: is not read, expected {meant}/ in small letters; rename it if it is meant")
    images = Paths() if sequences else _folder(root, "images", left_out)
    for name in sequences:
        for folder in ("Mix", "images"):
            for key, path in _folder(root, f"{name}/{folder}", left_out).items():
                images.add(key.replace("/Mix/", "/images/"), path)
    masks = Paths(
        pair
        for below in [f"{name}/" for name in sequences] or [""]
        for pair in _masks(root, f"{below}masks", f"{below}images", images, left_out)
    )
    left_out.tell(root)
    require_frames_alone(root, images.values())
    layout = SEQUENCE_TREE
    if not sequences:
        depth = max((key.count("/") for key in images), default=0)
        split = any(map(word_of_folder, {key.split("/", 2)[1] for key in images if key.count("/") > 1}))
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


def _misspelt(root: str) -> list[tuple[str, str]]:
    """Folders of `root` that are called like those of a dataset but for letter case, and what these are called."""
    with os.scandir(root) as entries:
        names = sorted(entry.name for entry in entries if os.path.isdir(entry.path))
    return [(name, name.lower()) for name in names if name.lower() in DATASET_FOLDERS and name.lower() not in names]


def _is_one_sequence(folder: Path) -> bool:
    return bool(SEQUENCE_FOLDER.fullmatch(folder.name)) and folder.name in _sequence_folders(str(folder.parent))


def _looks_right(folder: Path) -> bool:
    known = (folder / "images").is_dir() or bool(_sequence_folders(str(folder)))
    return known and not _is_one_sequence(folder) and not is_partial(folder)


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
            if child.is_dir() and not is_passed_over(child.name)
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
    if is_partial(path):
        raise UserError(
            f"{root}: found an unfinished dataset, which a command is building or has left when it was interrupted; "
            "expected a whole one; wait, or run that command again"
        )
    if path.is_dir() and _looks_right(path):
        return str(root)
    if _is_one_sequence(path):
        found, near = "one sequence of a dataset", [path.parent]
    elif path.is_dir():
        found, near = "neither images/ nor SequenceN/ folders", _nearby(path)
        found = next((f"{name}/" for name, meant in _misspelt(str(path)) if meant == "images"), found)
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
