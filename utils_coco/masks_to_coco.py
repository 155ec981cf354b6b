"""Make COCO boxes for a dataset that has masks only: `python -m utils_coco.masks_to_coco --data-root X`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

if not __package__:  # run as a file
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils.datasets.building import build_folder
from utils.datasets.coco import TARGET_CATEGORY, coco_of_boxes, write_coco
from utils.datasets.compact_lists import Box
from utils.datasets.dataset import Dataset, open_dataset
from utils.datasets.layouts import check_root
from utils.datasets.layouts.trees import annotations_folder
from utils.datasets.quick_check import understand_masks
from utils.datasets.splits import NoSplit
from utils.images.box_masks import boxes_of_mask
from utils.images.image_files import image_size
from utils.images.masks.meaning import IGNORE_HELP, IgnoreChoice, parse_ignore_value
from utils.images.masks.values import read_mask
from utils.system.command_line import Parser
from utils.system.errors import UserError, user_errors
from utils.system.files import writing
from utils.system.packages.late import tqdm
from utils_coco.coco_files import coco_summary


def coco_of(dataset: Dataset, quiet: bool = False) -> dict[str, Any]:
    """The COCO dictionary of a dataset's masks: one box `[x, y, w, h]` in pixels for each 8-connected component.

    Frames without targets are listed too. `file_name` is relative to the dataset's folder; the only category is
    "target" with id 1; ids count from 1.

    Args:
        dataset: opened with `need="masks"`.
        quiet: no progress bar.

    Raises:
        UserError: an image or mask cannot be read, or a mask has another aspect than its image.
    """

    def frames() -> Iterator[tuple[str, tuple[int, int], list[Box]]]:
        for frame in tqdm.tqdm(dataset.frames, desc=dataset.split, unit="frame", disable=quiet, dynamic_ncols=True):
            size = image_size(frame.image)
            boxes = boxes_of_mask(read_mask(frame.mask, size, frame.mask_rule)).tolist()
            yield Path(os.path.relpath(frame.image, dataset.root)).as_posix(), size, [(*box, 0) for box in boxes]

    return coco_of_boxes(frames(), [TARGET_CATEGORY])


def convert(
    root: str,
    split: str | None = None,
    out: str | None = None,
    overwrite: bool = False,
    quiet: bool = False,
    ignore: IgnoreChoice = None,
) -> list[str]:
    """Write `instances_SPLIT.json` from a dataset's masks.

    Args:
        root: a dataset with masks, in any layout.
        split: "train", "test", or "all" for one file of every frame; default: train and test, as far as there are such.
        out: folder of the json files; default: `annotations/` in `root`.
        overwrite: replace files that are there.
        quiet: no progress bar.
        ignore: as of `utils.datasets.quick_check.understand_masks`.

    Returns:
        A line for each file written.

    Raises:
        UserError: no masks, masks whose meaning cannot be told, no such split, a file there already, or a folder that
            cannot be written.
    """
    folder = Path(out) if out else Path(root) / annotations_folder(check_root(root))
    datasets: list[Dataset] = []
    missing: list[NoSplit] = []
    for name in (split,) if split else ("train", "test"):
        try:
            datasets.append(open_dataset(root, name, "masks"))
        except NoSplit as error:
            missing.append(error)
    if missing and (split or not datasets):
        raise missing[0]
    lines = [f"left out: {error}" for error in missing]
    paths = [folder / f"instances_{dataset.split}.json" for dataset in datasets]
    boxed = [dataset.root for dataset in datasets if any(frame.boxes is not None for frame in dataset.frames)]
    found = [str(path) for path in paths if path.exists()]
    if not found and not out:
        found = boxed
    if found and not overwrite:
        raise UserError(f"{found[0]}: found boxes already, expected none; give --overwrite to replace them, or --out")
    datasets = understand_masks(*datasets, ignore=ignore)
    contents = [coco_of(dataset, quiet) for dataset in datasets]  # a broken mask stops before anything is written
    with writing(folder, "give another --out"), build_folder(folder, merge=True) as work:
        for content, path in zip(contents, paths, strict=True):
            write_coco(work / path.name, content)
    for content, path in zip(contents, paths, strict=True):
        lines.append(f"{path}: {coco_summary(content)}")
    return lines


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = Parser(description=__doc__.split(":")[0])
    parser.add_argument("--data-root", required=True, help="dataset folder with masks")
    parser.add_argument(
        "--split",
        choices=("train", "test", "all"),
        help="write this split only; all: one file of every frame (default: train and test)",
    )
    parser.add_argument("--out", help="folder of the json files (default: annotations/ in the dataset)")
    parser.add_argument("--overwrite", action="store_true", help="replace files that are there")
    parser.add_argument("--ignore-value", type=parse_ignore_value, metavar="N", help=IGNORE_HELP)
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    given = parser.parse_args(argv)
    lines = convert(given.data_root, given.split, given.out, given.overwrite, given.quiet, given.ignore_value)
    print("\n".join(lines))


if __name__ == "__main__":
    with user_errors():
        main()
