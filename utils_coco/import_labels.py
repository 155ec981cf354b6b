"""Make a dataset of your own images and labels: `python -m utils_coco.import_labels --images X --labels Y --out Z`.

Labels: what the page of `python -m utils.view` has saved, masks, YOLO, Pascal VOC, COCO, CVAT, labelme, MOT tables, csv
of boxes, or csv of centroids. Which of them is found out.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

if not __package__:  # run as a file
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils.datasets.building import build_folder
from utils.images.image_files import image_size
from utils.images.masks.meaning import look_over_masks
from utils.system.command_line import Parser, number
from utils.system.errors import UserError, user_errors
from utils.system.files import writing
from utils.system.notices import warn
from utils.system.outputs import require_apart
from utils_coco.borders import Borders, add_cut_option
from utils_coco.cvat_labels import FRAME_NUMBERS, read_cvat_labels
from utils_coco.image_labels import Conventions, ReadLabels
from utils_coco.label_formats import mask_files, read_boxes
from utils_coco.label_kinds import LABEL_KINDS, guess_kind
from utils_coco.label_tables import DEFAULT_SIDE, POINT_ORIGINS, NamedBox
from utils_coco.mot_labels import read_videos
from utils_coco.new_dataset import fit_boxes, write_dataset
from utils_coco.page_labels import frames_looked_at
from utils_coco.point_files import HEAD_SIDE
from utils_coco.source_images import Lookup, SourceImage, list_images, split_by_labels


@dataclass
class Match:
    """Boxes, masks, declared (height, width) and the splits of label files by the keys of the images they belong to.

    `lost` are the keys of labels whose image is not there, `notes` warnings about what was passed over, and `said`
    lines about what was found.
    """

    boxes: dict[str, list[NamedBox]] = field(default_factory=dict)
    masks: dict[str, Path] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    splits: dict[str, set[str]] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


def match_labels(
    lookup: Lookup,
    labels: Path,
    kind: str,
    size: Callable[[Path], tuple[int, int]],
    conventions: Conventions,
) -> Match:
    """Read labels and find the image of each.

    Args:
        lookup: the images.
        labels: folder or file, see `utils_coco.label_formats`.
        kind: one of `utils_coco.label_kinds.LABEL_KINDS`.
        size: (h, w) of an image file.
        conventions: what label files leave open.

    Raises:
        UserError: a label file is broken, or no label belongs to any of the images.
    """
    found = Match()

    def size_of(key: str) -> tuple[int, int] | None:
        image = lookup.find(key)
        return size(image.path) if image else None

    if kind == "masks":
        _match_masks(lookup, labels, found)
    read = ReadLabels()
    if kind != "masks":
        videos = partial(read_videos, labels, lookup.find_video, conventions.first_pixel)
        if kind == "cvat":
            videos = partial(read_cvat_labels, labels, lookup.find_video, conventions)
        read = read_boxes(kind, labels, size_of, conventions, videos)
    found.notes, found.said = read.notes, read.said
    for name in read.images:
        image = lookup.find(name.path, name.split)
        if image is None:
            found.lost.append(name.path)
        else:
            own = read.images[name]
            found.boxes.setdefault(image.key, []).extend(own.boxes)
            found.sizes |= {image.key: own.size} if own.size else {}
            found.splits.setdefault(image.key, set()).add(name.split)
    lookup.alike.tell(str(labels))
    lookup.alike_videos.tell(str(labels))
    if not (found.boxes or found.masks or found.lost):
        raise UserError(
            f"{labels}: found no masks, expected pictures in a folder of their own, or beside the images, called "
            "NAME_mask.png or the like; give another --labels or --kind"
        )
    if not (found.boxes or found.masks):
        raise UserError(
            f"{labels}: found labels of {len(found.lost)} images, the first {found.lost[0]}, none of which "
            "is among the images; give another --images, or rename them alike"
        )
    _tell_unused_masks(lookup.images, found)
    return found


def _tell_unused_masks(images: Sequence[SourceImage], found: Match) -> None:
    """Warn of masks that lie beside images, where other labels count."""
    unused = [image.mask for image in images if image.mask and found.masks.get(image.key) != image.mask]
    if unused:
        warn(
            f"{unused[0].parent}: {len(unused)} masks that lie beside their images are left out, the first "
            f"{unused[0].name}; for them give the images' folder with --labels, too, and --kind masks"
        )


def _match_masks(lookup: Lookup, labels: Path, found: Match) -> None:
    """Find the image of each mask; in a folder that holds images, only what lies there as a mask of one counts."""
    beside = {os.path.realpath(image.mask): image for image in lookup.images if image.mask}
    places = {os.path.realpath(place) for place in {image.path.parent for image in lookup.images}}
    for path, keys in mask_files(labels):
        if (real := os.path.realpath(path)) in beside:
            image = beside[real]
        elif os.path.dirname(real) in places:
            continue
        else:
            image = next(filter(None, map(lookup.find, keys)), None)
        if image is None:
            found.lost.append(keys[0])
        elif found.masks.setdefault(image.key, path) != path:
            raise UserError(
                f"{path}: found beside {found.masks[image.key]}, both masks of {image.path}; expected one; remove the "
                "other, or give the folder of one with --labels"
            )


def _find_kind(labels: Path) -> str:
    """The kind of some labels; raises `UserError` where these are none."""
    kind = guess_kind(labels)
    if kind is None:
        raise UserError(
            f"{labels}: found nothing that looks like labels, expected {', '.join(LABEL_KINDS)}; give --kind"
        )
    return kind


def _require_places(images: str, source: Path, root: Path) -> None:
    """Raise `UserError` where there are no labels, or the dataset's place is not free."""
    if not source.exists():
        raise UserError(f"{source}: no such file or folder, expected the labels; correct --labels")
    if root.exists() and any(root.iterdir()):
        raise UserError(f"{root}: found files there, expected a new or empty folder; give another --out")
    require_apart(root, [images, source])


def convert(
    images: str,
    labels: str,
    out: str,
    kind: str = "auto",
    test: Sequence[str] = (),
    fraction: float = 0.2,
    one_class: bool = False,
    link: bool = False,
    cut: bool = False,
    side: float | None = None,
    origin: str = "corner",
    first_pixel: int | None = None,
    frame_numbers: str | None = None,
) -> list[str]:
    """Make the dataset `out`: `images/SPLIT/SEQUENCE/NAME`, and masks beside them or `annotations/`.

    Args:
        images: folder whose subfolders are sequences; without subfolders it is one sequence. With labels of the page
            what was predicted, also a video or a folder of videos.
        labels: folder or file, see `utils_coco.label_formats`.
        out: folder of the dataset, new or empty.
        kind: one of `utils_coco.label_kinds.LABEL_KINDS`, or `auto`.
        test: names of the sequences for testing, see `list_images`.
        fraction: of the sequences or frames for testing, where nothing else tells the split, see there.
        one_class: a single class "target".
        link: the images, which saves room; else they are copied.
        cut: boxes at their image's border, and leave out those wholly outside; else such boxes stop.
        side: as of `Conventions`.
        origin: likewise.
        first_pixel: likewise.
        frame_numbers: likewise.

    Returns:
        Lines that say what was made. What was passed over is a warning on stderr.

    Raises:
        UserError: images or labels are missing or broken, labels name other images or declare another size than theirs,
            boxes do not fit their images, or `out` is not empty.
    """
    root, source = Path(out), Path(labels)
    _require_places(images, source, root)
    kind = _find_kind(source) if kind == "auto" else kind
    conventions = Conventions(side, origin, first_pixel, frame_numbers)
    with ExitStack() as stack:
        place = Path(images)
        if kind == "view":
            place = stack.enter_context(frames_looked_at(place, source, link))
        found = list_images(place, test, fraction, source)
        matched = match_labels(Lookup(found), source, kind, image_size, conventions)
        for note in matched.notes:
            warn(note)
        if not test:
            found = split_by_labels(found, matched.splits)
        borders = Borders(cut, centred=kind == "centroids")
        fitted = {} if matched.masks else fit_boxes(found, matched.boxes, matched.sizes, borders)
        with writing(out, "give another --out"), build_folder(root) as work:
            said = write_dataset(work, found, matched.masks, fitted, one_class, link) + matched.said + borders.said()
    return _describe(out, kind, matched, said)


def _describe(out: str, kind: str, matched: Match, said: list[str]) -> list[str]:
    """What was made, in lines."""
    if matched.masks:
        said += [f"masks: {line}" for line in look_over_masks([str(path) for path in matched.masks.values()]).say()]
    lost = matched.lost
    more = [f"left out: labels of {len(lost)} images that are not there, the first {lost[0]}"] if lost else []
    return [f"{out}: from labels of the kind '{kind}'", *said, *more, f"next: python -m utils.datasets describe {out}"]


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = Parser(prog="python -m utils_coco.import_labels", description=__doc__.split(":")[0] + ".")
    parser.add_argument(
        "--images",
        required=True,
        metavar="PATH",
        help="images; its subfolders are sequences (with the page's labels.json a video or folder of videos too)",
    )
    parser.add_argument("--labels", required=True, metavar="PATH", help="folder or file of labels")
    parser.add_argument("--out", required=True, metavar="DIR", help="the new dataset")
    parser.add_argument("--kind", choices=("auto", *LABEL_KINDS), default="auto", help="default: %(default)s")
    parser.add_argument("--test", nargs="+", default=(), metavar="SEQUENCE", help="sequences to test on")
    parser.add_argument(
        "--test-fraction",
        dest="fraction",
        type=number("test_fraction"),
        default=0.2,
        metavar="X",
        help="without --test, and without folders train and test: the last share of the sequences, or "
        "of a single one's frames (default: %(default)s)",
    )
    parser.add_argument(
        "--box-side",
        dest="side",
        type=number("box_side"),
        metavar="PX",
        help=f"of the boxes around centroids and points (default: {DEFAULT_SIDE:g}, in .mat files {HEAD_SIDE:g})",
    )
    parser.add_argument(
        "--point-origin",
        dest="origin",
        choices=tuple(POINT_ORIGINS),
        default="corner",
        help="what centroids count from in the first pixel: its corner, as boxes do, or its centre, as centroids of "
        "masks do, whose pixels are whole numbers (default: %(default)s)",
    )
    parser.add_argument("--one-class", action="store_true", help="one class 'target' for all")
    parser.add_argument(
        "--first-pixel",
        type=number("first_pixel"),
        metavar="N",
        help="number of the first column and row in MOT tables, 0 or 1 (default: 1 where frames lie in img1/, else 0)",
    )
    parser.add_argument(
        "--frame-numbers",
        choices=FRAME_NUMBERS,
        help="what CVAT's frames are: the images in their order, from 0, or the numbers in their names (default: names "
        "where the task is of a video file, else order)",
    )
    add_cut_option(parser)
    parser.add_argument("--link", action="store_true", help="link the images instead of copying them, which saves room")
    print("\n".join(convert(**vars(parser.parse_args(argv)))))


if __name__ == "__main__":
    with user_errors():
        main()
