"""Facts about the known datasets, and opening a dataset from its folder alone."""
from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from utils.annotations import Box, ImageList, find_lists
from utils.errors import UserError
from utils.files import frame_numbers, natural_key
from utils.layouts import Files, check_root, list_files
from utils.problems import Report
from utils.splits import SPLITS, images_of_split, list_of


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


SPECS = (
    DatasetSpec("NUDT-MIRSDT", r"sequence[ _-]?(\d+)", train=_numbers("1-46 48-55 57-58 60-75 77-84"),
                test=_numbers("47 56 59 76 85-97 101 105 119"), frames_each=100, normalisation=(105.99, 25.60),
                clip_normalisation=(105.40, 26.65), low_snr=_numbers("47 56 59 76 92 101 105 119")),
    DatasetSpec("MWIRSTD", r"(\d+)", train=_numbers("1-2 4-14"), test=_numbers("15"), frames=1290),
    DatasetSpec("DAUB", r"data(\d+)", train=_numbers("5 8-10 13-14 16-17 19 22"), test=_numbers("6 11-12 15 18 20-21"),
                frames=13777),
    DatasetSpec("IRDST", r"(\d+)", parity=True, frames=20398 + 20258, normalisation=(104.83, 56.96)),
    DatasetSpec("ITSDT-15K", r"(?:data)?(\d+)"),
    DatasetSpec("NUAA-SIRST", r"Misc_(\d+)", frames=427, listed=(213, 214), normalisation=(101.06, 34.62), single=True),
    DatasetSpec("NUDT-SIRST", r"(\d+)", frames=1327, listed=(663, 664), normalisation=(107.81, 33.02), single=True),
    DatasetSpec("IRSTD-1K", r"XDU(\d+)", frames=1001, listed=(800, 201), normalisation=(87.47, 39.72), single=True),
)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame on disk.

    `image` and `mask` are paths that open (`mask` None: there is none); an `image` that ends with `.mat` stands for the
    last plane of the clip in it. `boxes` are (x1, y1, x2, y2, class) in pixels of the image, right and bottom
    exclusive, classes from 0; None where the dataset has no boxes for this frame, () where it has no target.
    """

    sequence: str
    number: int
    image: str
    mask: str | None
    boxes: tuple[Box, ...] | None


@dataclass(frozen=True)
class Dataset:
    """The frames of one split. Sequences come in natural order, their frames by number, which ascends.

    `normalisation` is (mean, standard deviation) where the dataset was `recognised` and its table says so, else None.
    `subsets` are sequence names under "snr_le_3" and "snr_gt_3" where the data says so, else {}.
    """

    name: str
    layout: str
    root: str
    split: str
    sequences: dict[str, tuple[Frame, ...]]
    recognised: bool
    normalisation: tuple[float, float] | None
    subsets: dict[str, frozenset[str]]

    @property
    def frames(self) -> tuple[Frame, ...]:
        """All frames, sequence by sequence."""
        return tuple(frame for frames in self.sequences.values() for frame in frames)


def joined(dataset: Dataset, extras: Sequence[Dataset]) -> Dataset:
    """`dataset` with the sequences of others, named FOLDER/SEQUENCE after the folders those are in; its published
    normalisation then no longer describes all frames. Raises UserError where two folders have one name."""
    sequences = dict(dataset.sequences)
    for extra in extras:
        folder = Path(extra.root).resolve().name
        added = {f"{folder}/{name}": frames for name, frames in extra.sequences.items()}
        if added.keys() & sequences.keys():
            raise UserError(f"{extra.root}: found a second dataset in a folder called '{folder}', expected each once "
                            "and under its own name; rename the folder")
        sequences |= added
    return replace(dataset, sequences=sequences, normalisation=None if extras else dataset.normalisation)


def open_dataset(root: str | os.PathLike, split: str = "train", need: str = "masks",
                 report: Report | None = None) -> Dataset:
    """Find out a dataset's layout and list the frames of a split; no image is opened.

    Which frames belong to a split is decided by, in this order: index files (`train.txt`, `train_NAME.txt`,
    `img_idx/train_NAME.txt`, …); box lists (COCO json before txt lines) whose name holds the split; `images/train` and
    `images/test`; the table of the published dataset. So where an index file and a json both list images, the index
    file decides. Boxes come from json files where there are any, else from txt lines; they are looked up for every
    frame, whichever list decided the split.

    Args:
        root: the dataset's folder.
        split: "train", "test", or "all": what the lists of both splits name, or else every image.
        need: the labels that every frame must have: "masks", "boxes", "labels" for those of the two that the dataset
            has, or "images" for none.
        report: told of problems with single files; by default the first fatal one stops.
    Raises:
        UserError: no dataset there, no way to tell the split, labels missing, or a list that is empty or broken.
    """
    if split not in (*SPLITS, "all") or need not in ("masks", "boxes", "labels", "images"):
        raise ValueError(f"split '{split}', need '{need}': expected train, test or all; masks, boxes, labels or images")
    report = report or Report()
    files = list_files(check_root(root))
    lists = find_lists(files.root, report)
    names = _sequence_names(files)
    counts = Counter(names.values())
    listed = {item.split: len(item.entries) for item in reversed(lists) if item.split}
    spec, recognised = _spec(files, counts, listed)
    table = {key: spec.split(name) for key, name in names.items()} if spec and (spec.train or spec.parity) else {}
    keys = images_of_split(files, lists, split, table, report)
    boxes, snr = _boxes(files, lists, names)
    _require_labels(files, keys, boxes, split, need, report)
    sequences = _sequences(files, keys, names, boxes)
    normalisation = None
    if recognised and spec:
        clips = all(path.lower().endswith(".mat") for path in files.images.values())
        normalisation = spec.clip_normalisation if clips else spec.normalisation
    name = spec.name if spec else Path(os.path.abspath(root)).name
    return Dataset(name, files.layout, str(root), split, sequences, recognised, normalisation,
                   _subsets(sequences, snr, spec))


def _sequence_names(files: Files) -> dict[str, str]:
    """The sequence of every image; the split's folder is part of the name only where two sequences share theirs."""
    folders = {key: files.sequence_folder(key) for key in files.images}
    owners = defaultdict(set)
    for key, (within, whole) in folders.items():
        owners[within or key.rpartition("/")[2]].add(whole)
    names = {}
    for key, (within, whole) in folders.items():
        stem = key.rpartition("/")[2]
        name = within or stem
        names[key] = name if len(owners[name]) == 1 else whole if within else f"{whole}/{stem}"
    return names


def _spec(files: Files, counts: Counter[str], listed: dict[str, int]) -> tuple[DatasetSpec | None, bool]:
    """The published dataset in this folder, and whether names and counts prove it.

    Without proof, the names of all its sequences or the folder's own name will do for choosing the table's split.
    """
    single = files.layout == "single frames"
    possible = [spec for spec in SPECS
                if spec.single == single and all(spec.number(name) is not None for name in counts)]
    for spec in possible:
        if spec.has_names(counts) and spec.has_counts(counts, listed):
            return spec, True
    folder = re.sub(r"[^a-z0-9]", "", Path(os.path.abspath(files.root)).name.lower())
    for spec in possible:
        if re.sub(r"[^a-z0-9]", "", spec.name.lower()) in folder.replace("mwirdst", "mwirstd"):
            return spec, False
    complete = [spec for spec in possible if spec.train and spec.has_names(counts)
                and all(spec.split(name) for name in counts)]
    return (complete[0], False) if len(complete) == 1 else (None, False)


def _boxes(files: Files, lists: list[ImageList], names: dict[str, str]
           ) -> tuple[dict[str, tuple[Box, ...]], dict[str, list[float]]]:
    """Boxes of every image that a box list names, and the SNR figures of every sequence."""
    boxed = [item for item in lists if item.has_boxes]
    boxed = [item for item in boxed if item.path.lower().endswith(".json")] or boxed
    boxes: dict[str, tuple[Box, ...]] = {}
    snr: dict[str, list[float]] = defaultdict(list)
    for item in (list_of(files, boxed, split) for split in (*SPLITS, "")):
        for entry in item.entries if item else ():
            key = files.find(entry.path, item.split or None)
            if key is not None:
                boxes[key] = tuple(dict.fromkeys(boxes.get(key, ()) + (entry.boxes or ())))
                snr[names[key]] += entry.snr
    return boxes, snr


def _require_labels(files: Files, keys: list[str], boxes: dict[str, tuple[Box, ...]], split: str, need: str,
                    report: Report) -> None:
    command = f"make them with `python -m utils_coco.{{}} --data-root {files.root}`"
    if need == "labels" and not files.masks and not boxes:
        raise UserError(f"{files.root}: found neither masks nor boxes, expected masks/ or annotations/; copy them "
                        "there")
    if need == "masks" and not files.masks:
        found = "boxes but no masks" if boxes else "no masks"
        advice = command.format("boxes_to_masks") if boxes else "copy the masks there"
        raise UserError(f"{files.root}: found {found}, expected masks/; {advice}")
    if need == "boxes" and not boxes:
        found = "masks but no boxes" if files.masks else "no boxes"
        advice = command.format("masks_to_coco") if files.masks else "copy the annotations there"
        raise UserError(f"{files.root}: found {found}, expected annotations/instances_{split}.json; {advice}")
    if need in ("masks", "labels") and files.masks:
        report.files([files.path(files.images[key]) for key in keys if key not in files.masks], "image without a mask",
                     "add its mask (all black for no target), or remove it")
        report.files([files.path(path) for key, path in files.masks.items() if key not in files.images],
                     "mask without an image", "add its image, or remove it")
    if need in ("boxes", "labels") and boxes:
        report.files([files.path(files.images[key]) for key in keys if key not in boxes],
                     "image that no box list names", "list it, with no boxes for no target")


def _sequences(files: Files, keys: Iterable[str], names: dict[str, str], boxes: dict[str, tuple[Box, ...]]
               ) -> dict[str, tuple[Frame, ...]]:
    """Frames by sequence. A frame's number is the last number in its file's name; where a sequence has names without
    one, or the same number twice, it is the position in natural order among all its images on disk."""
    grouped: dict[str, list[str]] = defaultdict(list)
    for key in keys:
        grouped[names[key]].append(key)
    positions: Counter[str] = Counter()
    position = {}
    for key in files.images:  # these are in natural order
        position[key] = positions[names[key]]
        positions[names[key]] += 1
    sequences = {}
    for name in sorted(grouped, key=natural_key):
        keys = grouped[name]
        numbers = frame_numbers([key.rpartition("/")[2] for key in keys]) or [position[key] for key in keys]
        frames = [Frame(name, number, files.path(files.images[key]),
                        files.path(files.masks[key]) if key in files.masks else None, boxes.get(key))
                  for key, number in zip(keys, numbers, strict=True)]
        sequences[name] = tuple(sorted(frames, key=lambda frame: frame.number))
    return sequences


def _subsets(sequences: dict[str, tuple[Frame, ...]], snr: dict[str, list[float]], spec: DatasetSpec | None
             ) -> dict[str, frozenset[str]]:
    if any(snr.values()):
        low = {name for name in sequences if snr.get(name) and max(snr[name]) <= 3}
        high = {name for name in sequences if snr.get(name) and min(snr[name]) > 3}
    elif spec and spec.low_snr:
        test = {name for name in sequences if spec.split(name) == "test"}
        low = {name for name in test if spec.number(name) in spec.low_snr}
        high = test - low
    else:
        return {}
    return {"snr_le_3": frozenset(low), "snr_gt_3": frozenset(high)} if low or high else {}
