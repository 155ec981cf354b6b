"""What tells kinds of synthetic datasets apart: how a sequence is made, and what its files are called."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from utils.synthetic.settings import DatasetSettings


@dataclass(frozen=True)
class Label:
    """What is labelled in a `frame` of a sequence.

    It has its `track` there (from 0), what its `annotation` says of it, and the number of its `category`, from 1.
    """

    frame: int
    track: int
    annotation: dict[str, Any]
    category: int = 1


@dataclass(frozen=True, eq=False)
class MadeSequence:
    """A sequence to be written.

    `pictures`: a clip (T, H, W), uint8 or uint16, for each of the kind's folders; `labels` in the order they are to be
    written; `tracks`: how many there are; `facts`: what the annotations say about the sequence.
    """

    pictures: Sequence[np.ndarray]
    labels: list[Label]
    tracks: int
    facts: dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """A kind of synthetic dataset.

    Args:
        settings: its dataclass.
        about: first entries of the annotations' `info`, its `version` among them.
        categories: classes of what is labelled, from settings.
        annotations: name of a split's COCO json, with `{}` for the split.
        index: name of a split's list of images, with `{}` for the split; None where there is no such list.
        folders: that hold pictures of each sequence, `images` first.
        name: of the sequence of a number, counted from 1 over both splits.
        place: of a sequence below each of the folders, from its split and name.
        picture: name of a picture below that, from the number of its frame, from 0.
        make: a sequence from settings, split and its index in the split; it depends on nothing else.
        presets: settings to begin with, by name; the first of them are the defaults.
        sources: folders that are read, from settings and splits; raises `UserError` about what is wrong with them.
    """

    settings: type[DatasetSettings]
    about: dict[str, Any]
    categories: Callable[[Any], Sequence[str]]
    annotations: str
    index: str | None
    folders: tuple[str, ...]
    name: Callable[[int], str]
    place: Callable[[str, str], str]
    picture: Callable[[int], str]
    make: Callable[[Any, str, int], MadeSequence]
    sources: Callable[[Any, Sequence[str]], list[str]]
    presets: Mapping[str, dict[str, Any]] = field(default_factory=dict)

    def lists(self, split: str) -> list[str]:
        """Files that speak of a split, in the order in which they are to be installed."""
        return [name.format(split) for name in (self.annotations, self.index) if name]

    def sequence_folders(self, split: str, name: str) -> list[str]:
        """The folders of a sequence below the dataset's."""
        return [f"{folder}/{self.place(split, name)}" for folder in self.folders]
