"""Make masks for a dataset that has boxes only: `python -m utils_coco.boxes_to_masks --data-root X`."""

from __future__ import annotations

import argparse
import os
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

if not __package__:  # run as a file
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils.datasets.building import build_folder
from utils.datasets.compact_lists import NO_TRACK, Box
from utils.datasets.dataset import Dataset, open_dataset
from utils.datasets.frame_table import Frame
from utils.datasets.layouts import place_of_mask
from utils.datasets.layouts.files import MASKS
from utils.images.box_masks import contrasts_of_boxes, convert_boxes, polarity
from utils.images.image_files import image_size, read_frame, write_picture
from utils.system.command_line import Parser
from utils.system.errors import UserError, user_errors
from utils.system.files import writing
from utils.system.outputs import require_apart
from utils.system.packages.late import tqdm
from utils_coco.borders import Borders
from utils_coco.placing import place

SURE_POLARITY = 0.5  # from here on it is that of all frames
MAX_NAMED_SEQUENCES = 5
CUT_ADVICE = "or make a dataset with boxes cut at the border: `python -m utils_coco.import_labels … --cut`"


def mask_path(frame: Frame, dataset: Dataset, out: str) -> str:
    """Where a frame's mask goes, as PNG: `masks/` mirrors the folder of the frames."""
    image = Path(os.path.relpath(frame.image, dataset.root)).with_suffix(".png").as_posix()
    return os.path.join(out, *place_of_mask(image, dataset.layout).split("/"))


def mirror(source: Path, target: Path, masks: Sequence[Path], link: bool = False) -> None:
    """Make `target` a dataset like `source`, without masks: everything else is copied, or linked.

    Args:
        source: folder of a dataset, or one in it.
        target: the folder that is made.
        masks: folders of masks, that are or may come to be, by their paths below `source`.
        link: link what holds no masks.
    """
    target.mkdir(parents=True, exist_ok=True)
    for item in sorted(source.iterdir()):
        inner = [path.relative_to(item.name) for path in masks if path.parts[0] == item.name]
        if Path() in inner:
            continue
        if inner and item.is_dir():
            mirror(item, target / item.name, inner, link)
        else:
            place(item, target / item.name, link)


def _mask_folders(dataset: Dataset) -> list[Path]:
    """The folders of masks by their paths below the dataset's, one for each place that frames lie in."""
    paths = {Path(mask_path(frame, dataset, "")) for frame in dataset.frames}
    tops = {path.parts[: path.parts.index(MASKS) + 1] for path in paths}
    return [Path(*parts) for parts in sorted(tops)]


def _refuse_existing(dataset: Dataset, frames: Sequence[Frame], out: str, overwrite: bool) -> None:
    if overwrite:
        return
    found = [path for frame in frames if os.path.lexists(path := mask_path(frame, dataset, out))]
    if os.path.abspath(out) == os.path.abspath(dataset.root):
        found = [frame.mask for frame in frames if frame.mask] or found
    if found:
        raise UserError(
            f"{out}: found {len(found)} masks already (first: {found[0]}), expected none; "
            "give --overwrite to replace them, or another --out"
        )


def convert(
    root: str,
    out: str | None = None,
    method: str = "half-max",
    dilate: bool | None = None,
    overwrite: bool = False,
    quiet: bool = False,
    link: bool = False,
) -> list[str]:
    """Write a mask for every frame that has a box list's word on it; frames without targets get empty ones.

    Args:
        root: a dataset with boxes, in any layout.
        out: make a dataset here, with copies of the images and lists; default: write `masks/` into `root`.
        method: "half-max" or "box", see `utils.images.box_masks.convert_boxes`.
        dilate: add one pixel on each side, see there.
        overwrite: replace masks that are there.
        quiet: no progress bar.
        link: with `out`, link images and lists instead.

    Returns:
        Lines that say what was made.

    Raises:
        UserError: no boxes, boxes of no area or outside their images, images of another size than the list of boxes
            declares, masks there already, or a folder that cannot be written.
    """
    dataset = open_dataset(root, "all", "images")
    frames = [frame for frame in dataset.frames if frame.boxes is not None]
    if not frames:
        open_dataset(root, "all", "boxes")
    boxes = fit_frames(frames)
    out = out or dataset.root
    _refuse_existing(dataset, frames, out, overwrite)
    elsewhere = os.path.abspath(out) != os.path.abspath(dataset.root)
    if elsewhere:
        require_apart(out, [dataset.root])
    new = not (os.path.isdir(out) and os.listdir(out))
    with writing(out, "give --out DIR to make the dataset elsewhere"), build_folder(out, merge=not new) as work:
        if elsewhere:
            mirror(Path(dataset.root), work if new else Path(out), _mask_folders(dataset), link)
        polarities = find_polarities(boxes, quiet) if method == "half-max" else {}
        said = _write(dataset, boxes, str(work), method, dilate, polarities, quiet)
    ignored = sum(len(frame.ignored) for frame in frames)
    more = [f"{ignored} regions to ignore (crowd, ignore, difficult) give no targets"] if ignored else []
    return ["; ".join([f"{len(frames)} masks in {out}: {said}", *more]), *say_polarities(polarities)]


def fit_frames(frames: Sequence[Frame]) -> list[tuple[Frame, list[Box]]]:
    """Frames with their boxes inside of them.

    Raises:
        UserError: boxes do not fit their images, or images have another size than the list of boxes declares.
    """
    fitted, borders = [], Borders(cut_advice=CUT_ADVICE)
    for frame in frames:
        size = image_size(frame.image) if frame.boxes or frame.declared else (0, 0)
        borders.look_at_size(frame.image, frame.declared, size)
        boxes = [borders.fit(frame.image, box, size) for box in frame.boxes]
        fitted.append((frame, [box for box in boxes if box is not None]))
    borders.require("correct the annotation")
    return fitted


@dataclass
class Polarity:
    """Whether a sequence's target, or the one of a track, is brighter or darker than its surroundings.

    Args:
        value: as of `utils.images.box_masks.polarity`.
        boxes: it was decided over.
        others: how many of them look the other way.
    """

    value: float
    boxes: int
    others: int

    @property
    def sign(self) -> int:
        """1 bright, -1 dark, 0 where it is in doubt."""
        return 0 if abs(self.value) < SURE_POLARITY else 1 if self.value > 0 else -1


def _target_keys(frame: Frame) -> list[tuple[str, int]]:
    """Sequence and track of each of a frame's boxes."""
    return [(frame.sequence, track) for track in frame.tracks or [NO_TRACK] * len(frame.boxes)]


def find_polarities(frames: Sequence[tuple[Frame, list[Box]]], quiet: bool = False) -> dict[tuple[str, int], Polarity]:
    """The polarity of every sequence's targets, each track apart where labels name it, over all of its frames.

    Args:
        frames: with their boxes inside of them.
        quiet: no progress bar.

    Returns:
        By sequence and track (`NO_TRACK` without).

    Raises:
        UserError: an image cannot be read.
    """
    seen: dict[tuple[str, int], list[np.ndarray]] = defaultdict(list)
    for frame, boxes in tqdm.tqdm(frames, desc="polarity", unit="frame", disable=quiet, dynamic_ncols=True):
        if boxes:
            for key, contrasts in zip(
                _target_keys(frame), contrasts_of_boxes(read_frame(frame.image), boxes), strict=True
            ):
                seen[key].append(contrasts)
    found = {}
    for key, contrasts in seen.items():
        votes = np.array(contrasts)
        value, signs = polarity(votes), np.sign(votes[:, 0] - votes[:, 1])
        found[key] = Polarity(value, len(votes), int((signs == (-1 if value > 0 else 1)).sum()))
    return found


def say_polarities(polarities: dict[tuple[str, int], Polarity]) -> list[str]:
    """Lines about targets that look bright in some frames and dark in others."""
    lines = []
    for sure in (True, False):
        own = {key: one for key, one in polarities.items() if bool(one.sign) == sure and one.others}
        if not own:
            continue
        names = [
            f"{sequence}{'' if track == NO_TRACK else f' track {track}'} ({'bright' if one.value > 0 else 'dark'} in "
            f"{one.boxes - one.others} of {one.boxes}, {one.value:+.2f})"
            for (sequence, track), one in own.items()
        ]
        more = [f"{len(names) - MAX_NAMED_SEQUENCES} more"] if len(names) > MAX_NAMED_SEQUENCES else []
        what = (
            f"{sum(one.others for one in own.values())} boxes look the other way than their target does in its sequence"
            if sure
            else f"{len(own)} targets may be bright or dark, so that each box's own contrast counts"
        )
        lines.append(f"polarity: {what}: {', '.join([*names[:MAX_NAMED_SEQUENCES], *more])}")
    return lines


def _write(
    dataset: Dataset,
    frames: Sequence[tuple[Frame, list[Box]]],
    out: str,
    method: str,
    dilate: bool | None,
    polarities: dict[tuple[str, int], Polarity],
    quiet: bool,
) -> str:
    areas, targets, fallbacks = [], 0, 0
    for frame, boxes in tqdm.tqdm(frames, desc="masks", unit="frame", disable=quiet, dynamic_ncols=True):
        signs = [polarities[key].sign for key in _target_keys(frame)] if polarities else None
        mask, failed = convert_boxes(read_frame(frame.image), boxes, method, dilate, signs)
        write_picture(mask_path(frame, dataset, out), mask.astype(np.uint8) * 255)
        if boxes:
            areas.append(int(mask.sum()) / len(boxes))
        targets, fallbacks = targets + len(boxes), fallbacks + failed
    left_out = len(dataset.frames) - len(frames)
    size = f"{np.mean(areas):.1f} px each ({np.min(areas):.0f} to {np.max(areas):.0f})" if areas else "none"
    return f"{targets} targets, {size}, {fallbacks} too faint for half-max (2x2 pixels taken)" + (
        f"; {left_out} images that no box list names have none" if left_out else ""
    )


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = Parser(description=__doc__.split(":")[0])
    parser.add_argument("--data-root", required=True, help="dataset folder with boxes (COCO json or txt lines)")
    parser.add_argument(
        "--method",
        choices=("half-max", "box"),
        default="half-max",
        help="half-max: pixels above half of the target's contrast; box: all of it (default: half-max)",
    )
    parser.add_argument("--out", help="make a dataset in this folder, images copied (default: masks/ in the dataset)")
    parser.add_argument("--link", action="store_true", help="with --out: link the images instead, which saves room")
    parser.add_argument(
        "--dilate",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="add one pixel on each of the four sides (default: for half-max)",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace masks that are there")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    given = parser.parse_args(argv)
    options = (given.out, given.method, given.dilate, given.overwrite, given.quiet, given.link)
    print("\n".join(convert(given.data_root, *options)))


if __name__ == "__main__":
    with user_errors():
        main()
