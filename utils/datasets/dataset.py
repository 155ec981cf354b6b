"""Opening a dataset from its folder alone."""

from __future__ import annotations

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from utils.datasets.compact_lists import Texts
from utils.datasets.frame_table import Frame, Sequences
from utils.datasets.layouts import SINGLE_FRAMES, Files, check_root, list_files
from utils.datasets.lists import ImageList, find_lists
from utils.datasets.problems import Report
from utils.datasets.sequences import BoxTable, SequenceFinder, table_of
from utils.datasets.side_labels import SideLabels, read_side_labels
from utils.datasets.specs import PUBLISHED_DATASETS, DatasetSpec
from utils.datasets.splits import SPLITS, images_of_split, list_of
from utils.images.image_files import read_frame
from utils.system.errors import UserError
from utils.system.machine import give_back

MANY_FRAMES = 50_000  # frames, beyond which what listing them took is worth giving back


@dataclass(frozen=True)
class Dataset:
    """The frames of one split. Sequences come in natural order, their frames by number, which ascends.

    `normalisation` is (mean, standard deviation) where the dataset was `recognised` and its table says so, else None.
    `subsets` are sequence names under "snr_le_3" and "snr_gt_3" where the data says so, else {}. `side_labels` says
    what boxes beside the frames are, and `classes` are the names of their classes; both are empty where lists have the
    boxes.
    """

    name: str
    layout: str
    root: str
    split: str
    sequences: Mapping[str, Sequence[Frame]]
    recognised: bool
    normalisation: tuple[float, float] | None
    subsets: dict[str, frozenset[str]]
    classes: tuple[str, ...] = ()
    side_labels: str = ""

    @property
    def frames(self) -> Sequence[Frame]:
        """All frames, sequence by sequence; each is made when it is asked for."""
        return Sequences.of(self.sequences).frames()


def join_datasets(dataset: Dataset, extras: Sequence[Dataset]) -> Dataset:
    """`dataset` with the sequences of others, named FOLDER/SEQUENCE after the folders those are in.

    Its published normalisation then no longer describes all frames, and is None.

    Args:
        dataset: the one whose name, split and subsets stay.
        extras: the others.

    Raises:
        UserError: two folders have one name.
    """
    folders = [Path(extra.root).resolve().name for extra in extras]
    twice = [extra.root for extra, folder in zip(extras, folders, strict=True) if folders.count(folder) > 1]
    if twice:
        folder = Path(twice[-1]).resolve().name
        raise UserError(
            f"{twice[-1]}: found a second dataset in a folder called '{folder}', expected each once "
            "and under its own name; rename the folder"
        )
    sequences = Sequences.of(dataset.sequences).join(
        (f"{folder}/", Sequences.of(extra.sequences)) for folder, extra in zip(folders, extras, strict=True)
    )
    return replace(dataset, sequences=sequences, normalisation=None if extras else dataset.normalisation)


def open_dataset(
    root: str | os.PathLike, split: str = "train", need: str = "masks", report: Report | None = None
) -> Dataset:
    """Find out a dataset's layout and list the frames of a split; no image is opened.

    Which frames belong to a split is decided by, in this order: index files (`train.txt`, `train_NAME.txt`,
    `img_idx/train_NAME.txt`, …); box lists (COCO json before txt lines) whose name holds the split; `images/train` and
    `images/test`; the table of the published dataset. So where an index file and a json both list images, the index
    file decides. Boxes come from json files where there are any, else from txt lines, else from what lies beside the
    frames (`utils.datasets.side_labels`); they are looked up for every frame, whichever list decided the split.

    Args:
        root: the dataset's folder.
        split: "train", "test", or "all": what the lists of both splits name, or else every image.
        need: the labels that every frame must have: "masks", "boxes", "labels" for those of the two that the dataset
            has, or "images" for none.
        report: told of problems with single files; by default the first fatal one stops.

    Raises:
        UserError: no dataset there, no way to tell the split, labels missing, or a list that is empty or broken.
    """
    dataset = _open(root, split, need, report or Report())
    if len(dataset.frames) > MANY_FRAMES:
        give_back()
    return dataset


def _open(root: str | os.PathLike, split: str, need: str, report: Report) -> Dataset:
    if split not in (*SPLITS, "all") or need not in ("masks", "boxes", "labels", "images"):
        raise ValueError(f"split '{split}', need '{need}': expected train, test or all; masks, boxes, labels or images")
    files = list_files(check_root(root))
    lists = find_lists(files.root, report)
    finder = SequenceFinder(files)
    name_of = finder.name_of
    counts = Counter(map(name_of, files.images))
    listed = {item.split: len(item.entries) for item in reversed(lists) if item.split}
    spec, recognised = _spec(files, counts, listed)
    table = (lambda key: spec.split(name_of(key))) if spec and (spec.train or spec.test or spec.parity) else None
    keys = images_of_split(files, lists, split, table, report)
    boxes, snr = _boxes(files, lists, name_of)
    side = SideLabels(boxes) if boxes else read_side_labels(files, report)
    boxes = side.boxes
    files.tell_alike()
    _require_labels(files, keys, boxes, split, need, report)
    sequences = table_of(files, keys, finder, boxes)
    normalisation = None
    if recognised and spec:
        clips = all(path.lower().endswith(".mat") for path in files.images.values())
        normalisation = spec.clip_normalisation if clips else spec.normalisation
    name = spec.name if spec else Path(os.path.abspath(root)).name
    subsets = _subsets(sequences, snr, spec)
    about = normalisation, subsets, side.classes, side.source
    return Dataset(name, files.layout, str(root), split, sequences, recognised, *about)


def _spec(files: Files, counts: Counter[str], listed: dict[str, int]) -> tuple[DatasetSpec | None, bool]:
    """The published dataset in this folder, and whether names and counts prove it.

    Without proof, the names of all its sequences or the folder's own name will do for choosing the table's split.
    """
    single = files.layout == SINGLE_FRAMES
    possible = [
        spec
        for spec in PUBLISHED_DATASETS
        if spec.single == single and all(spec.number(name) is not None for name in counts)
    ]
    for spec in possible:
        if spec.has_names(counts) and spec.has_counts(counts, listed):
            return spec, True
    folder = re.sub(r"[^a-z0-9]", "", Path(os.path.abspath(files.root)).name.lower())
    for spec in possible:
        if re.sub(r"[^a-z0-9]", "", spec.name.lower()) in folder.replace("mwirdst", "mwirstd"):
            return spec, False
    complete = [
        spec for spec in possible if spec.train and spec.has_names(counts) and all(spec.split(name) for name in counts)
    ]
    return (complete[0], False) if len(complete) == 1 else (None, False)


def _boxes(
    files: Files, lists: list[ImageList], name_of: Callable[[str], str]
) -> tuple[BoxTable, dict[str, list[float]]]:
    """Boxes of every image that a box list names, and the SNR figures of every sequence."""
    boxed = [item for item in lists if item.has_boxes]
    boxed = [item for item in boxed if item.path.lower().endswith(".json")] or boxed
    boxes = BoxTable()
    snr: dict[str, list[float]] = defaultdict(list)
    for item in (list_of(files, boxed, split) for split in (*SPLITS, "")):
        for entry in item.entries if item else ():
            key = files.find(entry.path, item.word)
            if key is not None:
                boxes.add(key, entry)
                if entry.snr:
                    snr[name_of(key)] += entry.snr
    return boxes, snr


def _require_labels(files: Files, keys: Texts, boxes: BoxTable, split: str, need: str, report: Report) -> None:
    command = f"make them with `python -m utils_coco.{{}} --data-root {files.root}`"
    if need == "labels" and not files.masks and not boxes:
        raise UserError(
            f"{files.root}: found neither masks nor boxes, expected masks/ or annotations/; copy them there"
        )
    if need == "masks" and not files.masks:
        found = "boxes but no masks" if boxes else "no masks"
        advice = command.format("boxes_to_masks") if boxes else "copy the masks there"
        raise UserError(f"{files.root}: found {found}, expected masks/; {advice}")
    if need == "boxes" and not boxes:
        found = "masks but no boxes" if files.masks else "no boxes"
        advice = command.format("masks_to_coco") if files.masks else "copy the annotations there"
        raise UserError(f"{files.root}: found {found}, expected annotations/instances_{split}.json; {advice}")
    if need in ("masks", "labels") and files.masks:
        report.add_files(
            [files.path(files.images[key]) for key in keys if key not in files.masks],
            "image without a mask",
            "add its mask (all black for no target), or remove it",
        )
        report.add_files(
            [files.path(path) for key, path in files.masks.items() if key not in files.images],
            "mask without an image",
            "add its image, or remove it",
        )
    if need in ("boxes", "labels") and boxes:
        report.add_files(
            [files.path(files.images[key]) for key in keys if key not in boxes],
            "image that no box list names",
            "list it, with no boxes for no target",
        )


def _subsets(sequences: Sequences, snr: dict[str, list[float]], spec: DatasetSpec | None) -> dict[str, frozenset[str]]:
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


class LevelStatistics(NamedTuple):
    """Mean, standard deviation and highest of grey levels."""

    mean: float
    std: float
    highest: float


def measure_levels(frames: Sequence[Frame], limit: int = 200) -> LevelStatistics:
    """What the grey levels are over (evenly spaced, at most `limit`) frames.

    Raises:
        UserError: there is no frame, or all pixels are equal.
    """
    if not frames:
        raise UserError("no training frames to measure the normalisation on; check the split")
    step = max(1, len(frames) // limit)
    count, total, squares, highest = 0, 0.0, 0.0, 0.0
    for frame in frames[::step]:
        image = read_frame(frame.image).astype(np.float64)
        count, total, squares = count + image.size, total + image.sum(), squares + (image**2).sum()
        highest = max(highest, float(image.max()))
    mean = total / count
    std = max(squares / count - mean**2, 0.0) ** 0.5
    if std == 0:
        raise UserError(f"{frames[0].image}: every pixel of the training frames is {mean:g}; expected pictures")
    return LevelStatistics(round(mean, 4), round(std, 4), highest)
