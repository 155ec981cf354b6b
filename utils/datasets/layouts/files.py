"""The images and masks of a dataset's folder, and the paths by which lists name them."""

from __future__ import annotations

import os
import posixpath
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from utils.datasets.split_names import SPLITS_BY_WORD, word_of_folder
from utils.images.alike_names import AlikeNames
from utils.images.folders import FRAME_FOLDERS
from utils.images.frame_names import natural_key
from utils.images.image_files import IMAGE_SUFFIXES
from utils.system.errors import UserError

# Names of the layouts, for people and for the few places where one differs from another.
SEQUENCE_TREE = "sequence folders"  # SEQUENCE/images/FRAME.png
IMAGE_TREE = "image tree"  # images/SEQUENCE/FRAME.png
SPLIT_TREE = "split folders"  # images/SPLIT/SEQUENCE/FRAME.png
SINGLE_FRAMES = "single frames"  # images/NAME.png
SPLIT_ROOT = "split folders in the root"  # SPLIT/NAME.png, lists in annotations/
VIDEO_TREE = "video folders"  # [FOLDER/]VIDEO/img/FRAME.png, labels in VIDEO/gt/gt.txt
ONE_VIDEO = "one video"  # img/FRAME.png, labels in gt/gt.txt
MASKS = "masks"
VIDEOS = (VIDEO_TREE, ONE_VIDEO)
VISO_CLASSES = ("car", "plane", "ship", "train")  # which its folders are called after; and "train" may be a split


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
        """Folder of an image within its split, and that with the split; the first is empty for single frames.

        The folder that holds a video's frames, such as `img`, is not part of it, but where others lie beside it.
        """
        if self.layout == SEQUENCE_TREE:
            return (key.split("/")[0],) * 2
        if self.layout == ONE_VIDEO:
            return (os.path.basename(os.path.abspath(self.root)),) * 2
        parts = key.removeprefix(self._top).split("/")[:-1]
        apart = int(bool(parts) and parts[0] in self.split_folders)
        if parts[apart + 1 :] and parts[-1] in FRAME_FOLDERS and self._folders[self._top + "/".join(parts[:-1])] == 1:
            parts.pop()
        return "/".join(parts[apart:]), "/".join(parts)

    def top_folder(self, key: str) -> str:
        """The first of the folders of splits and sequences that an image lies in, empty where it lies in none."""
        return key.removeprefix(self._top).rpartition("/")[0].partition("/")[0]

    @property
    def _top(self) -> str:
        """What stands in keys before the folders of splits and sequences."""
        return "" if self.layout in (SPLIT_ROOT, *VIDEOS) else "images/"

    @cached_property
    def _folders(self) -> Counter[str]:
        """How many folders with images lie in a folder, itself among them."""
        held = {key.rpartition("/")[0] for key in self.images}
        return Counter(held) + Counter(folder.rpartition("/")[0] for folder in held)

    @cached_property
    def split_folders(self) -> dict[str, str]:
        """The folders that are called after a split, and of them the word: "train", "test" or "val"."""
        if self.layout not in (SPLIT_TREE, SPLIT_ROOT, VIDEO_TREE):
            return {}
        names = sorted({name for key in self.images if (name := self.top_folder(key))}, key=natural_key)
        if self.layout == VIDEO_TREE and not {*VISO_CLASSES[:-1]}.isdisjoint(map(str.lower, names)):
            names = [name for name in names if name.lower() != VISO_CLASSES[-1]]
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
            inner = [f"{self._top}{name}/" for *_, name in sorted(apart, key=lambda item: item[:2])]
            found[word] = [*dict.fromkeys(("", self._top)), *inner]
        return found

    def find(self, path: str, word: str | None = None) -> str | None:
        """The key of the image that a list calls `path`, whatever root, slashes or extension it was written with.

        The longest end of `path` that exists below the root counts; ends may begin below `images/` and a split.
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


def place_of_mask(image: str, layout: str) -> str:
    """Where the mask of an image lies, both by their paths below the root of a dataset of that layout."""
    *folders, name = image.split("/")
    if layout in VIDEOS:
        folders[next(place for place, folder in enumerate(folders) if folder in FRAME_FOLDERS)] = MASKS
    elif layout == SPLIT_ROOT:
        folders.insert(0, MASKS)
    else:
        folders[layout == SEQUENCE_TREE] = MASKS
    return "/".join([*folders, name])
