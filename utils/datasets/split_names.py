"""Which split the name of a file or folder speaks of."""

from __future__ import annotations

import re
from pathlib import Path

SPLITS_BY_WORD = {"train": "train", "test": "test", "val": "test"}  # "val" counts as test
SPLIT_WORD = re.compile(r"(?<![a-z])(train|test|val)")
# `train`, `training`, `train_set`, `train_data`, `train2017`, `test1024` (pixels); but `test12` may be a sequence
SPLIT_FOLDER = re.compile(r"(train|test|val)(?:ing|id|idation)?(?:[ _-]?(?:set|data)|(?:19|20)\d\d|512|1024)?")


def word_of_file(name: str) -> str:
    """The first of "train", "test" and "val" that a file's name holds as a word's beginning, or ""."""
    word = SPLIT_WORD.search(Path(name).stem.lower())
    return word.group(1) if word else ""


def split_of(name: str) -> str:
    """The split that a file's name speaks of: "train", "test" or ""."""
    return SPLITS_BY_WORD.get(word_of_file(name), "")


def word_of_folder(name: str) -> str:
    """The word of a folder that is called after a split, as `train2017` and `valid`: "train", "test", "val" or ""."""
    word = SPLIT_FOLDER.fullmatch(name.lower())
    return word.group(1) if word else ""


def split_of_folder(name: str) -> str:
    """The split that a folder is called after: "train", "test" or ""."""
    return SPLITS_BY_WORD.get(word_of_folder(name), "")


def split_folder_of(below: str) -> str:
    """The folder called after a split with which the path of another folder begins, or ""."""
    top = below.partition("/")[0]
    return top if word_of_folder(top) else ""
