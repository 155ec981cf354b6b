"""The look over a dataset that every command takes before it starts: only a few images are decoded, and all masks.

`inspect` is the thorough look at one frame, which `python -m utils.checks` takes at all.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from utils.datasets.dataset import Dataset, open_dataset
from utils.datasets.frame_table import Frame, Sequences
from utils.datasets.problems import CollectingReport
from utils.images.box_masks import boxes_of_mask
from utils.images.boxes import box_problem, size_problem
from utils.images.colour import COLOUR_ADVICE, list_coloured
from utils.images.frame_names import never_consecutive
from utils.images.grey_levels import DepthWatch
from utils.images.image_files import check_end, image_size, read_frame, same_aspect
from utils.images.masks.meaning import MOSTLY, IgnoreChoice, MaskMeaning, look_over_masks
from utils.images.masks.values import ignored_of, read_mask, read_mask_values, targets_of
from utils.system.errors import UserError
from utils.system.notices import hold_warnings, warn

LABEL_ADVICE = (
    "correct the annotation, or give the images that were labelled; `python -m utils_coco.import_labels … --cut` makes "
    "a dataset with boxes cut at the border"
)
MAX_TOLD = 10  # problems with boxes that an error lists
COLOUR_FRAMES = 6  # that are looked at for colours
DECODING_THREADS = 8  # decoding waits for the disk and runs outside the interpreter's lock


def quick_check(dataset: Dataset) -> None:
    """The cheap part, which training runs first: that all files are whole, sizes of all masks, and all boxes.

    Of every file only the first and last bytes are read, but for a few frames that are looked at for colours. Frames of
    a sequence are taken to have the size of its first one until a mask, a box or a declared size does not fit. Masks of
    another size but the same aspect are counted in one warning on stderr, and so are frames in colour, and sequences
    without any consecutive frames.

    Raises:
        UserError: the first file that is missing, truncated or no image, or mask of another aspect; else boxes of no
            area or outside their images, and images of another size than their boxes' list declares; the text names
            the command that lists them all.
    """
    resized: list[str] = []
    wrong: list[str] = []
    small: list[str] = []
    try:
        for frames in dataset.sequences.values():
            first, depth = image_size(frames[0].image), DepthWatch()
            for frame in frames:
                depth.see(frame.image, check_end(frame.image))
                if frame.mask:
                    check_end(frame.mask)
                size = image_size(frame.mask) if frame.mask else first
                if size != first and size != (own := image_size(frame.image)):
                    if not same_aspect(size, own):
                        raise UserError(describe_wrong_mask(frame, size, own))
                    resized.append(frame.mask)
                small += [frame.image for box in frame.boxes or () if max(box[2:4]) <= 1]
                if find_label_problems(frame, first):
                    wrong += find_label_problems(frame, image_size(frame.image))
        if wrong:
            more = f"; and {len(wrong) - MAX_TOLD} more" if len(wrong) > MAX_TOLD else ""
            raise UserError(f"{'; '.join(wrong[:MAX_TOLD])}{more}; {LABEL_ADVICE}")
        tell_colours(dataset)
    except UserError as error:
        raise UserError(f"{error}; `python -m utils.checks --data-root {dataset.root}` lists all problems") from None
    if apart := [
        name for name, frames in dataset.sequences.items() if never_consecutive([frame.number for frame in frames])
    ]:
        numbers = ", ".join(str(frame.number) for frame in dataset.sequences[apart[0]][:3])
        warn(
            f"{len(apart)} sequences hold no two consecutive frame numbers, the first {apart[0]} "
            f"({numbers}, …); their clips are one frame again and again, without motion; number the frames one "
            "after the other"
        )
    if small:
        warn(
            f"{len(small)} boxes lie within the first pixel of their image, the first in {small[0]}; are they shares "
            "of the image's sides? They are taken as pixels"
        )
    if resized:
        warn(
            f"{len(resized)} masks have another size than their images, the first {resized[0]}; "
            "they are resized when read"
        )


def tell_colours(dataset: Dataset) -> None:
    """Warn of frames in colour, by a few frames all over the dataset.

    Raises:
        UserError: one of these cannot be read.
    """
    frames = dataset.frames
    places = sorted({round(place) for place in np.linspace(0, len(frames) - 1, min(COLOUR_FRAMES, len(frames)))})
    if coloured := list_coloured([frames[place].image for place in places]):
        warn(
            f"{dataset.root}: {len(coloured)} of {len(places)} frames looked at are in colour, the first "
            f"{coloured[0]}; they are {COLOUR_ADVICE}"
        )


def warn_without_motion(dataset: Dataset, num_frames: int, name: str) -> None:
    """Warn where clips of several frames are asked for and every sequence is one frame.

    Args:
        dataset: whose frames make the clips.
        num_frames: of a clip.
        name: of the network or method that reads them.
    """
    if num_frames == 1 or max((len(frames) for frames in dataset.sequences.values()), default=0) != 1:
        return
    flat = all(Path(frame.image).stem == frame.sequence.rpartition("/")[2] for frame in dataset.frames)
    warn(
        f"{dataset.root}: every sequence is a single frame, so that no clip shows motion, and {name}, which reads "
        f"{num_frames} frames, sees one again and again; "
        + (
            "if these are frames of a video, move them into a folder of their own, images/NAME/ and masks/NAME/, which "
            "makes them a sequence"
            if flat and not dataset.recognised
            else "take a network or method that reads single frames"
        )
    )


def find_label_problems(frame: Frame, size: tuple[int, int]) -> list[str]:
    """What is wrong with a frame's boxes, and with the size that their list declares.

    Args:
        frame: of a dataset.
        size: (height, width) of its image.

    Returns:
        A text for each problem, with its image; `LABEL_ADVICE` says what to do.
    """
    problem = size_problem(frame.declared, size)
    if problem:
        return [f"{frame.image}: {problem}"]
    found = (box_problem(box, size) for box in (*(frame.boxes or ()), *frame.ignored))
    return [f"{frame.image}: {text}" for text in found if text]


def require_declared_size(frame: Frame, size: tuple[int, int]) -> None:
    """Hold a frame's own (height, width) against the one that the list of its boxes declares.

    Raises:
        UserError: they differ.
    """
    problem = size_problem(frame.declared, size)
    if problem:
        raise UserError(f"{frame.image}: {problem}; {LABEL_ADVICE}")


def has_target(frames: Iterable[Frame], boxes: bool) -> bool:
    """Whether any of the frames has a box, or else a mask that holds a target; looks no further than that one."""
    if boxes:
        return any(frame.boxes for frame in frames)
    for frame in frames:
        with contextlib.suppress(UserError):  # of a mask that cannot be read: whoever reads it for its frame tells
            if frame.mask and read_mask(frame.mask, rule=frame.mask_rule).any():
                return True
    return False


def check_classes(dataset: Dataset, num_classes: int) -> None:
    """Look at the classes of all boxes.

    Args:
        dataset: whose boxes are looked at.
        num_classes: of the network.

    Raises:
        UserError: a box has a class that such a network does not know.
    """
    classes = {box[4] for frame in dataset.frames for box in frame.boxes or ()}
    beyond = max(classes, default=0)
    if beyond >= num_classes:
        first = next(frame.image for frame in dataset.frames if any(box[4] == beyond for box in frame.boxes or ()))
        raise UserError(
            f"{first}: found a box of class {beyond}, counted from 0, expected classes below "
            f"{num_classes}; give --num-classes {beyond + 1}, or correct the annotation"
        )


def describe_wrong_mask(frame: Frame, size: tuple[int, int], own: tuple[int, int]) -> str:
    """The error for a mask of `size` whose image has another size and aspect, `own`; both (height, width)."""
    return (
        f"{frame.mask}: mask of {size[1]}x{size[0]} (w x h), expected {own[1]}x{own[0]} like its image, or the "
        "same aspect; replace the mask"
    )


def mask_paths(*parts: Dataset) -> list[str]:
    """All masks of the dataset whose splits the parts are, as far as its images can be listed."""
    known = list(parts)
    if parts[0].split != "all":
        with contextlib.suppress(UserError), hold_warnings():  # of the other split; these were listed
            known.append(open_dataset(parts[0].root, "all", "images", CollectingReport()))
    return list(dict.fromkeys(frame.mask for part in known for frame in part.frames if frame.mask))


def understand_masks(*parts: Dataset, ignore: IgnoreChoice = None) -> list[Dataset]:
    """Splits of one dataset, whose frames then know what the values of their masks mean.

    Every mask of the dataset, of both splits, is decoded once; what there is to say is a warning.

    Args:
        parts: splits of one dataset.
        ignore: as of `utils.images.masks.meaning.look_over_masks`.

    Returns:
        The parts with the dataset's rule in every frame.

    Raises:
        UserError: what the masks mean cannot be told.
    """
    paths = mask_paths(*parts)
    if not paths:
        return list(parts)
    root = parts[0].root
    found = look_over_masks(paths, ignore)
    if found.problem:
        raise UserError(f"{root}: {found.problem}")
    for line in found.warnings:
        warn(f"{root}: {line}")
    return [replace(part, sequences=Sequences.of(part.sequences).with_mask_rule(found.rule)) for part in parts]


@dataclass
class FrameCheck:
    """What one frame's files hold: problems and hints as lines, and figures for the summary."""

    problems: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    size: tuple[int, int] | None = None
    bits: int = 0
    targets: int = 0


def inspect(frame: Frame, meaning: MaskMeaning) -> FrameCheck:
    """Decode a frame and its mask, of that meaning, and compare them with each other and with the boxes."""
    found = FrameCheck()
    try:
        image = read_frame(frame.image)
    except UserError as error:
        found.problems.append(str(error))
    else:
        found.size, found.bits = image.shape, 8 * image.itemsize
        if image.min() == image.max():
            found.hints.append(f"{frame.image}: every pixel is {image.min()}; an empty picture?")
    if frame.mask:
        try:
            _inspect_mask(frame, found, meaning)
        except UserError as error:
            found.problems.append(str(error))
    else:
        found.targets = len(frame.boxes or ())
    problems = find_label_problems(frame, found.size) if found.size else []
    found.problems += [f"{problem}; {LABEL_ADVICE}" for problem in problems]
    return found


def _inspect_mask(frame: Frame, found: FrameCheck, meaning: MaskMeaning) -> None:
    rule = meaning.rule
    content = read_mask_values(frame.mask)
    values, labels = rule.plane_of(content), rule.labels_of(content)
    if found.size and values.shape != found.size:
        if same_aspect(values.shape, found.size):
            (h, w), (own_h, own_w) = values.shape, found.size
            found.problems.append(
                f"{frame.mask}: mask of {w}x{h} (w x h), expected {own_w}x{own_h} like its image; it "
                "is resized when read, replace it to be exact"
            )
        else:
            found.problems.append(describe_wrong_mask(frame, values.shape, found.size))
    targets, ignored = targets_of(labels), ignored_of(labels)
    known = values if ignored is None else values[~ignored]
    top = float(known.max(initial=0))
    between = int(((known > 0) & (known < top)).sum())
    share = int(targets.sum()) / max(known.size, 1)
    doubtful = rule.above > 0 and bool(meaning.problem)  # which is told of the dataset as a whole
    if 0 < top <= rule.above and not doubtful:
        found.problems.append(
            f"{frame.mask}: values of at most {top:g}, where other masks of this dataset have {2 * rule.above:g}; it "
            "counts as a mask without a target, write it again"
        )
    elif between and rule.above and not doubtful:
        found.problems.append(
            f"{frame.mask}: {between} pixels between 0 and {top:g}, expected two values; those above "
            f"{rule.above:g} count as target, write the mask again as PNG to be exact"
        )
    elif share == 1:
        found.problems.append(f"{frame.mask}: every pixel is target; replace the mask")
    elif share > MOSTLY:
        found.problems.append(f"{frame.mask}: {share:.0%} of the pixels are target; if it is inverted, invert it")
    found.targets = len(boxes_of_mask(targets))
