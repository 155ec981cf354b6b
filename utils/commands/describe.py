"""What is in this folder? `python -m utils.datasets describe FOLDER`."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from utils.commands.next_steps import count_files, import_command, is_test_set, suggest_commands
from utils.datasets.compact_lists import NO_TRACK
from utils.datasets.dataset import Dataset, measure_levels, open_dataset
from utils.datasets.quick_check import mask_paths, tell_colours
from utils.datasets.split_names import split_of_folder
from utils.datasets.splits import SPLITS, NoSplit
from utils.images.box_masks import boxes_of_mask
from utils.images.frame_names import natural_key
from utils.images.image_files import read_frame, read_values
from utils.images.masks.meaning import look_over_masks
from utils.images.masks.values import read_mask
from utils.system.command_line import Parser
from utils.system.errors import UserError
from utils.system.notices import hold_warnings
from utils.video.sources import open_sources
from utils_coco.find_labels import find_pair, find_videos

MAX_OPENED_FRAMES = 40  # frames that are opened, evenly spread
MAX_LISTED_CLASSES = 20
MAX_TRIED_FOLDERS = 50  # that are tried as datasets


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
        return [f"{folder}: not a dataset as it is: {error}", *_describe_unknown(Path(folder), known=False)]
    masks = sum(frame.mask is not None for frame in whole.frames)
    boxed = sum(frame.boxes is not None for frame in whole.frames)
    known = "recognised by names and counts" if whole.recognised else "not a published dataset"
    lines = [f"{folder}: {whole.name}, layout '{whole.layout}' ({known})"]
    lines += _describe_splits(folder)
    lines.append(f"labels: {masks} frames with a mask, {boxed} in a list of boxes, of {len(whole.frames)}")
    lines += [*_describe_pictures(whole), *_describe_targets(whole)]
    lines += [f"{name}: {len(names)} sequences" for name, names in whole.subsets.items()]
    return lines + (suggest_commands(whole) if masks or boxed else _describe_unknown(Path(folder), known=True))


def _describe_splits(folder: str) -> list[str]:
    """A line for each split. A test set is whole without frames to train on, so nothing is said of how to name them."""
    found, missing = {}, {}
    for split in SPLITS:
        try:
            found[split] = _describe_lengths(open_dataset(folder, split, need="images"))
        except NoSplit as error:
            missing[split] = f"none: {error}"
    if is_test_set(missing):
        missing["train"] = "none, it is a test set"
    return [f"{split}: {(found | missing)[split]}" for split in SPLITS]


def _describe_lengths(part: Dataset) -> str:
    lengths = part.sequences.lengths()
    return (
        f"{len(part.frames)} frames of {len(lengths)} sequences ({lengths.min()} to {lengths.max()} frames, the "
        f"first {next(iter(part.sequences))})"
    )


def _describe_pictures(dataset: Dataset) -> list[str]:
    frames = _thin_out(dataset.frames)
    tell_colours(dataset)
    mean, std = dataset.normalisation or measure_levels(frames)[:2]
    source = "as published" if dataset.normalisation else "in those"
    return [
        _describe_levels([read_frame(frame.image) for frame in frames]),
        f"normalisation: mean {mean:g}, std {std:g} {source}",
    ]


def _thin_out(items: Sequence[Any]) -> Sequence[Any]:
    return items[:: max(1, len(items) // MAX_OPENED_FRAMES)]


def _describe_levels(images: Sequence[np.ndarray]) -> str:
    sizes = Counter(f"{image.shape[1]}x{image.shape[0]}" for image in images)
    bits = sorted({8 * image.itemsize for image in images})
    return (
        f"frames: {', '.join(f'{size} ({count})' for size, count in sizes.most_common(5))} (w x h), "
        f"{' and '.join(map(str, bits))} bit, levels {min(image.min() for image in images):g} to "
        f"{max(image.max() for image in images):g} in the {len(images)} looked at"
    )


def _describe_targets(dataset: Dataset) -> list[str]:
    boxes = [box for frame in dataset.frames for box in frame.boxes or ()]
    lines = []
    if boxes:
        sides = np.array([(x2 - x1, y2 - y1) for x1, y1, x2, y2, _ in boxes])
        empty = sum(frame.boxes == () for frame in dataset.frames)
        ignored = sum(len(frame.ignored) for frame in dataset.frames)
        low, middle, high = np.quantile(sides.prod(1), (0.05, 0.5, 0.95))
        tracks = {(frame.sequence, track) for frame in dataset.frames for track in frame.tracks} - {NO_TRACK}
        names = f" ({', '.join(dataset.classes[:MAX_LISTED_CLASSES])})" if dataset.classes else ""
        lines += [f"boxes: from {dataset.side_labels}"] if dataset.side_labels else []
        lines.append(
            f"boxes: {len(boxes)}, of {len({box[4] for box in boxes})} classes{names}; area {middle:.0f} px² "
            f"(5 to 95 %: {low:.0f} to {high:.0f}); {empty} frames without a target"
            + (f"; {len(tracks)} tracks" if tracks else "")
            + (f"; {ignored} regions to ignore (crowd, ignore, difficult)" if ignored else "")
        )
    masked = [frame for frame in dataset.frames if frame.mask]
    if masked:
        meaning = look_over_masks(mask_paths(dataset))
        masks = [read_mask(frame.mask, rule=meaning.rule) for frame in _thin_out(masked)]
        counts = [len(boxes_of_mask(mask)) for mask in masks]
        pixels = sum(int(mask.sum()) for mask in masks) / max(sum(counts), 1)
        lines.append(f"masks: {np.mean(counts):.2f} targets a frame, {pixels:.0f} px each, in {len(masks)} looked at")
        lines += [f"masks: {line}" for line in meaning.say()]
    return lines


def _describe_unknown(folder: Path, known: bool) -> list[str]:
    """What lies in a folder without labels in their places, and the command that comes next.

    Args:
        folder: any folder.
        known: it is a dataset, whose frames were described.
    """
    places = count_files(folder)
    if not places:
        return ["it is empty"]
    lines = [
        f"  {place or '.'}: "
        + ", ".join(f"{count} {suffix or 'without extension'}" for suffix, count in kinds.most_common(4))
        for place, kinds in sorted(places.items())[:12]
    ]
    lines += [f"  and {len(places) - 12} more folders"] if len(places) > 12 else []
    if inside := _find_datasets(folder):
        return lines + [
            f"next: {shlex.join(['python', '-m', 'utils.datasets', 'describe', str(path)])}" for path in inside
        ]
    films, problems = find_videos(folder, places)
    if films:
        labels, videos = films
        return [
            *lines,
            "next: "
            + shlex.join(
                [
                    "python",
                    "-m",
                    "utils_coco.csv_to_coco",
                    "--labels",
                    str(labels),
                    "--videos",
                    str(videos),
                    "--out",
                    "NEW",
                    "--frames",
                    "--one-class",
                ]
            ),
        ]
    pair, others = find_pair(folder, places)
    if pair:
        return [*lines, f"next: {import_command(pair)}   # labels of {pair.count} images: {pair.kind}"]
    lines += [f"not labels: {problem}" for problem in [*problems, *others][:3]]
    return lines + _describe_footage(folder, known)


def _find_datasets(folder: Path) -> list[Path]:
    """Folders right below that are datasets with labels; [] where they are the splits of one."""
    below = sorted((path for path in folder.iterdir() if path.is_dir()), key=lambda path: natural_key(path.name))
    if any(split_of_folder(path.name) for path in below):
        return []
    found = []
    for path in below[:MAX_TRIED_FOLDERS]:
        try:
            with hold_warnings():  # which describing that folder will say
                open_dataset(path, "all", need="labels")
        except UserError:
            continue
        found.append(path)
    return found


def _describe_footage(folder: Path, known: bool) -> list[str]:
    """Images and videos without labels: what a network would be shown. Frames that are `known` are not told again."""
    try:
        sources = open_sources(folder)
    except UserError as error:
        return [f"found no labels that belong to images or videos there, and nothing to look at: {error}"]
    broken = [source.problem for source in sources if source.problem]
    sources = [source for source in sources if not source.problem]
    films = [source for source in sources if not source.files]
    files = [path for source in sources for _, path in source.files]
    lines = ["found no labels that belong to these frames; docs/own_dataset.md says which are known"]
    if not known:
        kinds = (("image sequence", len(sources) - len(films)), ("video", len(films)))
        counts = [f"{count} {kind}" if count == 1 else f"{count} {kind}s" for kind, count in kinds if count]
        lengths = [source.length or 0 for source in sources]
        rates = sorted({f"{source.fps:g}" for source in films if source.fps})
        lines.append(
            f"footage: {' and '.join(counts)}, {sum(lengths)} frames ({min(lengths)} to {max(lengths)} each, "
            f"the first {sources[0].name})" + (f", {' and '.join(rates)} frames a second" if rates else "")
        )
        looked_at = [read_values(path) for path in _thin_out(files)]  # degrees too, which datasets refuse
        lines.append(_describe_levels(looked_at + [next(iter(film)).image for film in _thin_out(films)]))
    lines += [f"not readable: {problem}" for problem in broken]
    return [*lines, f"next: python vid_predict.py --source {shlex.quote(str(folder))}"]


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = Parser(prog="python -m utils.datasets", description="What is in a folder, and what to do with it.")
    parser.add_argument("command", choices=("describe",))
    parser.add_argument("folder", metavar="FOLDER")
    print("\n".join(describe(parser.parse_args(argv).folder)))
