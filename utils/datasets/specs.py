"""Facts about the known datasets: how one is recognised, its published split and normalisation."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from utils.datasets.splits import SPLITS


@dataclass(frozen=True)
class DatasetSpec:
    """What is known about a published dataset.

    A folder *is* this dataset when its sequences (images, for single frames) have the names and the counts given here;
    only then its normalisation applies. Counts that the publishers leave open are None.
    """

    name: str
    sequence: str  # regular expression of sequence (or single-frame) names; group 1 is the number
    train: frozenset[int] = frozenset()  # sequence numbers; empty where lists decide
    test: frozenset[int] = frozenset()
    frames_each: int | None = None  # frames in every sequence
    frames: int | None = None  # images on disk
    listed: tuple[int, int] | None = None  # images in the train and test lists
    parity: bool = False  # odd sequences train, even ones test
    normalisation: tuple[float, float] | None = None  # mean and standard deviation of 8-bit grey levels
    clip_normalisation: tuple[float, float] | None = None  # the same for .mat clips
    low_snr: frozenset[int] = frozenset()  # test sequences whose SNR is at most 3
    single: bool = False

    def number(self, name: str) -> int | None:
        """The number in a sequence's name, None where it is not named like this dataset's."""
        match = re.fullmatch(self.sequence, name, re.IGNORECASE)
        return int(match.group(1)) if match else None

    def split(self, name: str) -> str | None:
        """The split of a sequence by the table: "train", "test" or None."""
        number = self.number(name)
        if number is None:
            return None
        if self.parity:
            return SPLITS[1 - number % 2]
        return "train" if number in self.train else "test" if number in self.test else None

    def has_names(self, counts: Counter[str]) -> bool:
        """Whether all of the dataset's sequences are there, and nothing that is named otherwise."""
        numbers = {self.number(name) for name in counts}
        return None not in numbers and numbers >= self.train | self.test

    def has_counts(self, counts: Counter[str], listed: dict[str, int]) -> bool:
        """Whether the numbers of frames are those of the published dataset."""
        if not (self.frames or self.frames_each):
            return False
        each = self.frames_each is None or set(counts.values()) == {self.frames_each}
        total = self.frames is None or sum(counts.values()) == self.frames
        return each and total and (self.listed is None or tuple(listed.get(s, 0) for s in SPLITS) == self.listed)


def _numbers(text: str) -> frozenset[int]:
    """`"1-3 7"` → {1, 2, 3, 7}."""
    ranges = (part.split("-") for part in text.split())
    return frozenset(number for ends in ranges for number in range(int(ends[0]), int(ends[-1]) + 1))


PUBLISHED_DATASETS = (
    DatasetSpec(
        "NUDT-MIRSDT",
        r"sequence[ _-]?(\d+)",
        train=_numbers("1-46 48-55 57-58 60-75 77-84"),
        test=_numbers("47 56 59 76 85-97 101 105 119"),
        frames_each=100,
        normalisation=(105.99, 25.60),
        clip_normalisation=(105.40, 26.65),
        low_snr=_numbers("47 56 59 76 92 101 105 119"),
    ),
    DatasetSpec("MWIRSTD", r"(\d+)", train=_numbers("1-2 4-14"), test=_numbers("15"), frames=1290),
    DatasetSpec(
        "DAUB",
        r"data(\d+)",
        train=_numbers("5 8-10 13-14 16-17 19 22"),
        test=_numbers("6 11-12 15 18 20-21"),
        frames=13777,
    ),
    DatasetSpec("IRDST", r"(\d+)", parity=True, frames=20398 + 20258, normalisation=(104.83, 56.96)),
    DatasetSpec("ITSDT-15K", r"(?:data)?(\d+)"),
    DatasetSpec("RsCarData", r"(\d{3})", test=_numbers("2-3 5-6 8-10")),  # lists decide what is for training
    DatasetSpec("NUAA-SIRST", r"Misc_(\d+)", frames=427, listed=(213, 214), normalisation=(101.06, 34.62), single=True),
    DatasetSpec("NUDT-SIRST", r"(\d+)", frames=1327, listed=(663, 664), normalisation=(107.81, 33.02), single=True),
    DatasetSpec("IRSTD-1K", r"XDU(\d+)", frames=1001, listed=(800, 201), normalisation=(87.47, 39.72), single=True),
)
