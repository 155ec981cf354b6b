"""What is in this folder? `python -m utils.datasets describe FOLDER`."""
from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from utils.clips import measure_normalisation
from utils.datasets import Dataset, open_dataset
from utils.errors import UserError
from utils.frames import IMAGE_SUFFIXES, read_frame, read_mask
from utils.splits import NoSplit
from utils.video import VIDEO_SUFFIXES

LOOKED_AT = 40  # frames that are opened, evenly spread
LISTED = 20_000  # files of an unknown folder that are looked at


def describe(folder: str) -> list[str]:
    """Lines about a dataset, or about what is in a folder and how a dataset is made of it.

    Raises:
        UserError: there is no such folder, or nothing that could be used.
    """
    if not Path(folder).is_dir():
        raise UserError(f"{folder}: no such folder; expected one with images, videos or a dataset")
    try:
        whole = open_dataset(folder, "all", need="images")
    except UserError as error:
        return [f"{folder}: not a dataset as it is: {error}", *_unknown(Path(folder))]
    masks = sum(frame.mask is not None for frame in whole.frames)
    boxed = sum(frame.boxes is not None for frame in whole.frames)
    known = "recognised by names and counts" if whole.recognised else "not a published dataset"
    lines = [f"{folder}: {whole.name}, layout '{whole.layout}' ({known})"]
    lines += [f"{split}: {_counts(folder, split)}" for split in ("train", "test")]
    lines.append(f"labels: {masks} frames with a mask, {boxed} in a list of boxes, of {len(whole.frames)}")
    lines += [*_pictures(whole), *_targets(whole)]
    lines += [f"{name}: {len(names)} sequences" for name, names in whole.subsets.items()]
    if not masks and not boxed:
        return lines + _unknown(Path(folder))
    return lines + _next(folder, bool(masks), bool(boxed))


def _counts(folder: str, split: str) -> str:
    try:
        part = open_dataset(folder, split, need="images")
    except NoSplit as error:
        return f"none: {error}"
    lengths = part.sequences.lengths()
    return (f"{len(part.frames)} frames of {len(lengths)} sequences ({lengths.min()} to {lengths.max()} frames, the "
            f"first {next(iter(part.sequences))})")


def _pictures(dataset: Dataset) -> list[str]:
    frames = dataset.frames[::max(1, len(dataset.frames) // LOOKED_AT)]
    images = [read_frame(frame.image) for frame in frames]
    sizes = Counter(f"{image.shape[1]}x{image.shape[0]}" for image in images)
    bits = sorted({8 * image.itemsize for image in images})
    lines = [f"frames: {', '.join(f'{size} ({count})' for size, count in sizes.most_common(5))} (w x h), "
             f"{' and '.join(map(str, bits))} bit, levels {min(image.min() for image in images)} to "
             f"{max(image.max() for image in images)} in the {len(images)} looked at"]
    mean, std = dataset.normalisation or measure_normalisation(frames)
    return [*lines, f"normalisation: mean {mean:g}, std {std:g}"
            + (" as published" if dataset.normalisation else " in those")]


def _targets(dataset: Dataset) -> list[str]:
    boxes = [box for frame in dataset.frames for box in frame.boxes or ()]
    lines = []
    if boxes:
        sides = np.array([(x2 - x1, y2 - y1) for x1, y1, x2, y2, _ in boxes])
        empty = sum(frame.boxes == () for frame in dataset.frames)
        low, middle, high = np.quantile(sides.prod(1), (0.05, 0.5, 0.95))
        lines.append(f"boxes: {len(boxes)}, of {len({box[4] for box in boxes})} classes; area {middle:.0f} px² "
                     f"(5 to 95 %: {low:.0f} to {high:.0f}); {empty} frames without a target")
    masked = [frame for frame in dataset.frames if frame.mask]
    if masked:
        from utils.boxes import boxes_of_mask

        masks = [read_mask(frame.mask) for frame in masked[::max(1, len(masked) // LOOKED_AT)]]
        counts = [len(boxes_of_mask(mask)) for mask in masks]
        pixels = sum(int(mask.sum()) for mask in masks) / max(sum(counts), 1)
        lines.append(f"masks: {np.mean(counts):.2f} targets a frame, {pixels:.0f} px each, in {len(masks)} looked at")
    return lines


def _next(folder: str, masks: bool, boxes: bool) -> list[str]:
    lines = [f"next: python -m utils.checks --data-root {folder}"]
    if masks:
        lines.append(f"next: python train_NUDT.py --data-root {folder}       # masks: TSMSA")
    if boxes:
        lines.append(f"next: python train_DAUB.py --data-root {folder}       # boxes: SSTNet")
        lines += [] if masks else [f"next: python -m utils_coco.boxes_to_masks --data-root {folder}   # for TSMSA"]
    return lines


def _unknown(folder: Path) -> list[str]:
    """What lies in a folder that is no dataset, and the command that makes one of it."""
    from utils_coco.label_formats import guess

    counts: dict[Path, Counter[str]] = {}
    for number, path in enumerate(folder.rglob("*")):
        if number >= LISTED:
            break
        if path.is_file() and not path.name.startswith("."):
            counts.setdefault(path.parent.relative_to(folder), Counter())[path.suffix.lower()] += 1
    if not counts:
        return ["it is empty"]
    lines = [f"  {place or '.'}: " + ", ".join(f"{count} {suffix or 'without extension'}"
                                                for suffix, count in kinds.most_common(4))
             for place, kinds in sorted(counts.items())[:12]]
    tops = sorted({path.parts[0] for path in counts if path.parts})
    held = {top: sum((kinds for path, kinds in counts.items() if path.parts[:1] == (top,)), Counter()) for top in tops}
    films = [top for top, kinds in held.items() if kinds.keys() & VIDEO_SUFFIXES]
    tables = [top for top, kinds in held.items() if ".csv" in kinds]
    if films and tables:
        return [*lines, f"next: python -m utils_coco.csv_to_coco --labels {folder / tables[0]} --videos "
                        f"{folder / films[0]} --out NEW --frames --one-class"]
    pictures = [top for top, kinds in held.items() if kinds.keys() & IMAGE_SUFFIXES]
    named = [top for top in tops if top.lower() in ("labels", "annotations", "masks", "gt", "label", "mask")]
    labels = next((top for top in [*named, *tops] if top not in pictures[:1] and guess(folder / top)), None)
    images = next((top for top in pictures if top != labels), None)
    if images and labels:
        return [*lines, f"next: python -m utils_coco.import_labels --images {folder / images} --labels "
                        f"{folder / labels} --out NEW   # labels: {guess(folder / labels)}"]
    return [*lines, "found no labels beside images or videos; put images and labels into two folders, and see "
                    "docs/own_dataset.md"]


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    from utils.cli import Parser

    parser = Parser(prog="python -m utils.datasets", description="What is in a folder, and what to do with it.")
    parser.add_argument("command", choices=("describe",))
    parser.add_argument("folder", metavar="FOLDER")
    print("\n".join(describe(parser.parse_args(argv).folder)))
