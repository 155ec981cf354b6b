"""Which images belong to a split: index files first, then box lists, then folders, then the published table."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

from utils.datasets.compact_lists import Texts
from utils.datasets.layouts import Files
from utils.datasets.lists import ImageList
from utils.datasets.problems import Report
from utils.datasets.split_names import SPLITS_BY_WORD
from utils.system.errors import UserError
from utils.system.notices import warn

SPLITS = ("train", "test")


class NoSplit(UserError):
    """Nothing tells which images belong to the split, or none do."""


def list_of(files: Files, lists: Sequence[ImageList], split: str) -> ImageList | None:
    """The list that decides a split: an index before box lists; of several, the first whose images are here.

    Args:
        files: images and masks in the dataset's folder.
        lists: the lists of images found there.
        split: "train", "test", or "" for lists whose names do not tell their split.

    Raises:
        UserError: two lists of equal rank name different images.
    """

    def rank(item: ImageList) -> tuple:
        return item.has_boxes, not item.path.lower().endswith(".json"), item.tier

    own = sorted((item for item in lists if item.split == split), key=rank)
    here = [item for item in own if any(files.find(entry.path, item.word) for entry in item.entries)]
    for item in here[1:]:
        if rank(item) == rank(here[0]) and _keys_of(files, item) != _keys_of(files, here[0]):
            raise UserError(
                f"{here[0].path}: found beside {item.path}, which names other images; expected one list "
                f"for '{split}'; remove or rename one of them"
            )
    chosen = here[0] if here else next((item for item in own if item.names_images()), None)
    for item in own:
        if item not in here and item is not chosen:
            instead = f"; {chosen.path} counts" if chosen else ""
            warn(f"{item.path}: none of its {len(item.entries)} images is there, so it is passed over{instead}")
    return chosen


def _keys_of(files: Files, item: ImageList) -> set[str | None]:
    return {files.find(entry.path, item.word) for entry in item.entries}


def images_of_split(
    files: Files, lists: Sequence[ImageList], split: str, table: Callable[[str], str | None] | None, report: Report
) -> Texts:
    """Keys of the images in a split, each once.

    Args:
        files: images and masks in the dataset's folder.
        lists: the lists of images found there.
        split: "train", "test", or "all": what the lists of both splits name, or else every image.
        table: the split of an image by the published dataset's table; None where there is none.
        report: told of images that are listed but missing (fatal), listed twice, or in both splits (not fatal).

    Raises:
        NoSplit: there is no way to tell the split, or it is empty.
    """
    if split != "all":
        chosen = list_of(files, lists, split)
        if chosen is None:
            return _split_without_lists(files, split, table)
        return _find_listed(files, chosen, report)
    both = [list_of(files, lists, part) for part in SPLITS]
    if not all(both):
        return Texts(files.images)
    keys = Texts(key for item in both for key in _find_listed(files, item, report))
    shared = keys.find_repeated()
    report.add_files(
        [files.path(files.images[key]) for key in shared],
        "image listed for training and for testing",
        f"remove it from {both[0].path} or {both[1].path}",
        fatal=False,
    )
    return keys.without_repeats() if shared else keys


def _find_listed(files: Files, item: ImageList, report: Report) -> Texts:
    missing: list[str] = []

    def found() -> Iterator[str]:
        for path in item.entries.paths:
            key = files.find(path, item.word)
            if key is None:
                missing.append(path)
            else:
                yield key

    keys = Texts(found())
    report.add_files(
        [f"{item.path}: {path}" for path in missing],
        f"listed, but no such image in {files.root}",
        "copy it there, or correct the list",
    )
    twice = keys.find_repeated()
    report.add_files(
        [f"{item.path}: {files.images[key]}" for key in twice], "image listed twice", "list it once", fatal=False
    )
    return keys.without_repeats() if twice else keys


def _split_without_lists(files: Files, split: str, table: Callable[[str], str | None] | None) -> Texts:
    index = os.path.join(files.root, f"{split}.txt")
    if files.split_folders:
        words = {name: word for name, word in files.split_folders.items() if SPLITS_BY_WORD[word] == split}
        own = [name for name, word in words.items() if word == split or split not in words.values()]
        chosen = [key for key in files.images if files.top_folder(key) in own]
    elif table:
        chosen = [key for key in files.images if table(key) == split]
    else:
        example = next(iter(files.images.values()))
        raise NoSplit(
            f"{files.root}: found {len(files.images)} images and nothing that tells training from test; "
            f"write the images of the split into {index}, one a line like {example}"
        )
    if not chosen:
        raise NoSplit(
            f"{files.root}: found {len(files.images)} images but none of them for '{split}'; copy its "
            f"frames there, or list them in {index}"
        )
    return Texts(chosen)
