"""Which commands come next for a dataset: looking at all of it, measuring, training, a copy with a split, masks."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from utils.datasets.dataset import Dataset, open_dataset
from utils.datasets.layouts import SEQUENCE_TREE
from utils.datasets.layouts.files import VISO_CLASSES
from utils.datasets.splits import SPLITS, NoSplit
from utils.images.folders import walk_folder
from utils.images.image_files import IMAGE_SUFFIXES
from utils.system.errors import UserError
from utils_coco.find_labels import ImagesAndLabels, find_pair

MAX_LISTED_FILES = 200_000  # files of an unknown folder that are looked at
SCRIPTS_BY_DATASET = {
    "NUDT-MIRSDT": "train_NUDT.py",
    "MWIRSTD": "train_MWIRDST.py",
    "DAUB": "train_DAUB.py",
    "ITSDT-15K": "train_DAUB.py",
    "IRDST": "train_IRDST.py",
    "RsCarData": "train_RsCarData.py",
}  # by the dataset's name
SCRIPTS_BY_LABELS = {"masks": "train_NUDT.py", "boxes": "train_DAUB.py"}  # for other sequences
VISO_SCRIPT = "train_VISO.py"  # for boxes of its classes
NETWORKS_BY_LABELS = {"masks": "TSMSA", "boxes": "SSTNet"}
SINGLE_FRAME_SCRIPT = "train_NUAA_single.py"
DETECTORS_BY_SCRIPT = {  # that these train unless told otherwise; the others train TSMSA
    "train_DAUB.py": "SSTNet",
    "train_IRDST.py": "SSTNet",
    "train_RsCarData.py": "MICML",
    VISO_SCRIPT: "MICML",
}


def suggest_commands(dataset: Dataset) -> list[str]:
    """The commands that work on a dataset with labels, as it is."""
    root = shlex.quote(dataset.root)
    masks = any(frame.mask for frame in dataset.frames)
    boxes = any(frame.boxes is not None for frame in dataset.frames)
    lines = [f"next: python -m utils.checks --data-root {root}"]
    missing = _find_missing_splits(dataset.root)
    if "train" in missing:
        lines.append(_suggest_measuring(dataset, "all" if "test" in missing else "test"))
    if "test" in missing:
        lines.append(_suggest_lists(dataset, missing))
    if "train" not in missing:
        lines += [_suggest_training(dataset, "masks")] if masks else []
        lines += [_suggest_training(dataset, "boxes")] if boxes and not _is_single_frame(dataset) else []
    elif not is_test_set(missing):
        lines += _suggest_copy(dataset)
    if boxes and not masks:
        use = "to measure networks that give masks" if is_test_set(missing) else "for networks that learn from masks"
        lines.append(f"next: python -m utils_coco.boxes_to_masks --data-root {root}   # {use}")
    return lines


def is_test_set(missing: Iterable[str]) -> bool:
    """Whether a dataset that lacks these of `SPLITS` is there to be measured on, and whole as it is."""
    return list(missing) == ["train"]


def _suggest_training(dataset: Dataset, need: str) -> str:
    """The training script that learns from `need`, "masks" or "boxes", with its options; or why none can."""
    try:
        open_dataset(dataset.root, "train", need)
    except UserError as error:
        return f"not for training from {need}: {error}"
    data = f"--data-root {shlex.quote(dataset.root)}"
    if _is_single_frame(dataset):
        return f"next: python {SINGLE_FRAME_SCRIPT} {data}   # masks: networks that read single frames"
    script = SCRIPTS_BY_DATASET.get(dataset.name, SCRIPTS_BY_LABELS[need])
    if need == "boxes" and not set(VISO_CLASSES).isdisjoint(dataset.classes):
        script = VISO_SCRIPT
    first, network = DETECTORS_BY_SCRIPT.get(script, NETWORKS_BY_LABELS["masks"]), NETWORKS_BY_LABELS[need]
    if need == "boxes" and script in DETECTORS_BY_SCRIPT:
        network = first
    options = "" if first == network else f" --model {network.lower()}"
    classes = _count_classes(dataset)
    options += f" --num-classes {classes}" if need == "boxes" and classes > 1 else ""
    return f"next: python {script} {data}{options}   # {need}: {network}"


def _suggest_measuring(dataset: Dataset, split: str) -> str:
    """The command that measures a method without training on frames that none can be trained on."""
    boxes = any(frame.boxes is not None for frame in dataset.frames)
    try:
        open_dataset(dataset.root, split, "boxes" if boxes else "masks")
    except UserError as error:
        return f"not for measuring: {error}"
    words = ["python", "vid_map_coco.py" if boxes else "test.py", "--data-root", dataset.root]
    words += [] if split == "test" else ["--split", split]
    words += ["--class-agnostic"] if boxes and _count_classes(dataset) > 1 else []
    words += ["--method", "top-hat" if _is_single_frame(dataset) else "frame-difference"]
    return f"next: {shlex.join(words)}   # or --weights FILE"


def _count_classes(dataset: Dataset) -> int:
    return 1 + max((box[4] for frame in dataset.frames for box in frame.boxes or ()), default=0)


def _is_single_frame(dataset: Dataset) -> bool:
    """Whether no frame has a neighbour."""
    return dataset.sequences.lengths().max() == 1


def _find_missing_splits(root: str) -> list[str]:
    missing = []
    for split in SPLITS:
        try:
            open_dataset(root, split, "images")
        except NoSplit:
            missing.append(split)
    return missing


def _suggest_lists(dataset: Dataset, missing: Sequence[str]) -> str:
    """Which lists tell training from test."""
    root, image = Path(dataset.root), dataset.frames[0].image
    paths = " and ".join(str(root / f"{split}.txt") for split in missing)
    return f"split: list the images in {paths}, one a line, such as {Path(image).relative_to(root).as_posix()}"


def _suggest_copy(dataset: Dataset) -> list[str]:
    """The command that makes a dataset with a split of one without."""
    root = Path(dataset.root)
    pair = None if dataset.layout == SEQUENCE_TREE else find_pair(root, count_files(root))[0]
    why = "a copy with a split" + (", if these are frames of one video" if _is_single_frame(dataset) else "")
    return [f"next: {import_command(pair)}   # {why}"] if pair else []


def import_command(pair: ImagesAndLabels) -> str:
    """The command that makes a dataset of images and labels."""
    return shlex.join(
        [
            "python",
            "-m",
            "utils_coco.import_labels",
            "--images",
            str(pair.images),
            "--labels",
            str(pair.labels),
            "--out",
            "NEW",
        ]
    )


def count_files(folder: Path) -> dict[Path, Counter[str]]:
    """How many files of each suffix lie in which folders, by their paths below `folder`."""
    places: dict[Path, Counter[str]] = {}
    for below, names in walk_folder(folder, IMAGE_SUFFIXES, most=MAX_LISTED_FILES).names.items():
        if names:
            places[Path(below)] = Counter(Path(name).suffix.lower() for name in names)
    return places
