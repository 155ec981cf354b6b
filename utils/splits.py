"""Which images belong to a split: index files first, then box lists, then folders, then the published table."""
from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Protocol

from utils.annotations import ImageList
from utils.errors import UserError
from utils.layouts import Files

SPLITS = ("train", "test")


class Report(Protocol):
    """What is called with like problems of single files."""

    def __call__(self, title: str, items: Sequence[str], advice: str, fatal: bool = True) -> None: ...


def stop(title: str, items: Sequence[str], advice: str, fatal: bool = True) -> None:
    """Raise `UserError` for problems that are fatal: how many there are, which is the first, what to do."""
    if fatal:
        raise UserError(f"{title}: {len(items)}, the first {items[0]}; {advice}")


def list_of(files: Files, lists: Sequence[ImageList], split: str) -> ImageList | None:
    """The list that decides a split: an index before box lists; of several, the first whose images are here."""
    own = [item for item in lists if item.split == split]
    own.sort(key=lambda item: (item.has_boxes, not item.path.lower().endswith(".json")))
    here = [item for item in own if any(files.find(entry.path, split) for entry in item.entries)]
    return (here or own or [None])[0]


def images_of_split(files: Files, lists: Sequence[ImageList], split: str, table: Mapping[str, str | None],
                    report: Report) -> list[str]:
    """Keys of the images in a split, each once.

    Args:
        files, lists: what the dataset's folder holds.
        split: "train", "test", or "all": what the lists of both splits name, or else every image.
        table: the split of every image by the published dataset's table; empty where there is none.
        report: called for images that are listed but missing (fatal), listed twice, or in both splits (not fatal).
    Raises:
        UserError: there is no way to tell the split, or it is empty.
    """
    if split != "all":
        chosen = list_of(files, lists, split)
        return _without_lists(files, split, table) if chosen is None else _listed(files, chosen, split, report)
    both = [list_of(files, lists, part) for part in SPLITS]
    if not all(both):
        return list(files.images)
    keys = [key for part, item in zip(SPLITS, both, strict=True) for key in _listed(files, item, part, report)]
    shared = [files.images[key] for key, count in Counter(keys).items() if count > 1]
    if shared:
        report("images listed for training and for testing", shared, f"remove them from {both[0].path} or {both[1].path}",
               fatal=False)
    return list(dict.fromkeys(keys))


def _listed(files: Files, item: ImageList, split: str, report: Report) -> list[str]:
    found = [(entry.path, files.find(entry.path, split)) for entry in item.entries]
    missing = [path for path, key in found if key is None]
    if missing:
        report(f"{item.path}: images listed but not found in {files.root}", missing,
               "copy them there, or correct the list")
    twice = [files.images[key] for key, count in Counter(key for _, key in found if key).items() if count > 1]
    if twice:
        report(f"{item.path}: images listed twice", twice, "list every image once", fatal=False)
    return list(dict.fromkeys(key for _, key in found if key))


def _without_lists(files: Files, split: str, table: Mapping[str, str | None]) -> list[str]:
    if files.layout == "split folders":
        wanted = [(name, [key for key in files.images if key.startswith(f"images/{name}/")])
                  for name in ((split, "val") if split == "test" else (split,))]
        chosen = next((keys for _, keys in wanted if keys), [])
    elif table:
        chosen = [key for key in files.images if table[key] == split]
    else:
        example = next(iter(files.images.values()))
        raise UserError(f"{files.root}: found {len(files.images)} images and nothing that tells training from test; write "
                        f"the images of the split into {os.path.join(files.root, split + '.txt')}, one a line like {example}")
    if not chosen:
        raise UserError(f"{files.root}: found {len(files.images)} images but none of them for '{split}'; copy its frames "
                        f"there, or list them in {os.path.join(files.root, split + '.txt')}")
    return chosen
