"""Make a dataset of your own images and labels: `python -m utils_coco.import_labels --images X --labels Y --out Z`.

Labels: masks, YOLO, Pascal VOC, COCO, csv of boxes, or csv of centroids. Which of them is found out.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

if not __package__:  # run as a file
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils.datasets.building import build_folder
from utils.datasets.coco import TARGET_CATEGORY, coco_of_boxes, write_coco
from utils.datasets.compact_lists import Box
from utils.images.boxes import box_problem
from utils.images.frame_names import natural_key
from utils.images.image_files import image_size
from utils.system.command_line import Parser, number
from utils.system.errors import UserError, user_errors
from utils.system.files import writing
from utils.system.outputs import require_apart
from utils_coco.coco_files import coco_summary
from utils_coco.label_formats import LABEL_KINDS, NamedBox, guess_kind, mask_files, read_boxes
from utils_coco.placing import place
from utils_coco.source_images import Lookup, SourceImage, list_images

ROUNDING_MARGIN = 1.0  # px by which rounded boxes may leave their image; they are cut


@dataclass
class Match:
    """Boxes and masks by the keys of the images they belong to, and the keys of labels whose image is not there."""

    boxes: dict[str, list[NamedBox]] = field(default_factory=dict)
    masks: dict[str, Path] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)


def match_labels(
    lookup: Lookup, labels: Path, kind: str, side: float, size: Callable[[Path], tuple[int, int]]
) -> Match:
    """Read labels and find the image of each.

    Args:
        lookup: the images.
        labels: folder or file, see `utils_coco.label_formats`.
        kind: one of `LABEL_KINDS`.
        side: of the boxes around centroids, in pixels.
        size: (h, w) of an image file.

    Raises:
        UserError: a label file is broken, or no label belongs to any of the images.
    """
    found = Match()

    def size_of(key: str) -> tuple[int, int] | None:
        image = lookup.find(key)
        return size(image.path) if image else None

    for key, own in (mask_files(labels) if kind == "masks" else read_boxes(kind, labels, size_of, side)).items():
        image = lookup.find(key)
        if image is None:
            found.lost.append(key)
        elif kind == "masks":
            found.masks[image.key] = own
        else:
            found.boxes.setdefault(image.key, []).extend(own)
    if not (found.boxes or found.masks or found.lost):
        raise UserError(f"{labels}: found no masks, expected images; give another --labels or --kind")
    if not (found.boxes or found.masks):
        raise UserError(
            f"{labels}: found labels of {len(found.lost)} images, the first {found.lost[0]}, none of which "
            "is among the images; give another --images, or rename them alike"
        )
    return found


def _labelled_frame(
    image: SourceImage, boxes: Sequence[NamedBox], classes: Sequence[str], one_class: bool
) -> tuple[str, tuple[int, int], list[Box]]:
    """Name, (height, width) and boxes of an image with class numbers.

    Boxes are cut where they leave the image by less than `ROUNDING_MARGIN`.
    """
    size = image_size(image.path)
    result = []
    for *corners, name in boxes:
        limits = (size[1], size[0], size[1], size[0])
        inside = [min(max(value, 0.0), limit) for value, limit in zip(corners, limits, strict=True)]
        near = all(abs(a - b) <= ROUNDING_MARGIN for a, b in zip(inside, corners, strict=True))
        problem = box_problem(inside if near else corners, size)
        if problem:
            raise UserError(f"{image.path}: {problem}; correct its labels")
        result.append((*(round(value, 4) for value in inside), 0 if one_class else classes.index(name)))
    return f"images/{image.name}", size, result


def convert(
    images: str,
    labels: str,
    out: str,
    kind: str = "auto",
    test: Sequence[str] = (),
    fraction: float = 0.2,
    side: float = 7.0,
    one_class: bool = False,
    link: bool = False,
) -> list[str]:
    """Make the dataset `out`: `images/SPLIT/SEQUENCE/NAME`, and masks beside them or `annotations/`.

    Args:
        images: folder whose subfolders are sequences; without subfolders it is one sequence.
        labels: folder or file, see `utils_coco.label_formats`.
        out: folder of the dataset, new or empty.
        kind: one of `LABEL_KINDS`, or `auto`.
        test: names of the sequences for testing, see `list_images`.
        fraction: of the sequences or frames for testing, where nothing else tells the split, see there.
        side: of the boxes around centroids, in pixels.
        one_class: a single class "target".
        link: the images, which saves room; else they are copied.

    Returns:
        Lines that say what was made.

    Raises:
        UserError: images or labels are missing or broken, labels name other images, or `out` is not empty.
    """
    root, source = Path(out), Path(labels)
    if not source.exists():
        raise UserError(f"{labels}: no such file or folder, expected the labels; correct --labels")
    if root.exists() and any(root.iterdir()):
        raise UserError(f"{out}: found files there, expected a new or empty folder; give another --out")
    require_apart(root, [images, labels])
    found = list_images(Path(images), test, fraction, source)
    if kind == "auto":
        kind = guess_kind(source) or "none"
    if kind not in LABEL_KINDS:
        raise UserError(
            f"{labels}: found nothing that looks like labels, expected {', '.join(LABEL_KINDS)}; give --kind"
        )
    matched = match_labels(Lookup(found), source, kind, side, image_size)
    with writing(out, "give another --out"), build_folder(root) as work:
        said = _write(work, found, matched, one_class, link)
    lost = matched.lost
    more = [f"left out: labels of {len(lost)} images that are not there, the first {lost[0]}"] if lost else []
    return [f"{out}: from labels of the kind '{kind}'", *said, *more, f"next: python -m utils.datasets describe {out}"]


def _write(root: Path, found: Sequence[SourceImage], matched: Match, one_class: bool, link: bool) -> list[str]:
    boxes, masks = matched.boxes, matched.masks
    classes = sorted({name for own in boxes.values() for *_, name in own}, key=natural_key)
    said = []
    for split in ("train", "test"):
        own = [image for image in found if image.split == split]
        if not own:
            continue
        if masks:
            own = [image for image in own if image.key in masks]
            for image in own:
                place(masks[image.key], root / "masks" / Path(image.name).with_suffix(masks[image.key].suffix), link)
            said.append(f"{split}: {len(own)} images with masks")
        else:
            frames = (_labelled_frame(image, boxes.get(image.key, ()), classes, one_class) for image in own)
            content = coco_of_boxes(frames, [TARGET_CATEGORY] if one_class or not classes else classes)
            write_coco(root / "annotations" / f"instances_{split}2017.json", content)
            said.append(f"{split}: {coco_summary(content)}")
        for image in own:
            place(image.path, root / "images" / image.name, link)
    return said


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = Parser(prog="python -m utils_coco.import_labels", description=__doc__.split(":")[0] + ".")
    parser.add_argument("--images", required=True, metavar="DIR", help="images; its subfolders are sequences")
    parser.add_argument("--labels", required=True, metavar="PATH", help="folder or file of labels")
    parser.add_argument("--out", required=True, metavar="DIR", help="the new dataset")
    parser.add_argument("--kind", choices=("auto", *LABEL_KINDS), default="auto", help="default: %(default)s")
    parser.add_argument("--test", nargs="+", default=(), metavar="SEQUENCE", help="sequences to test on")
    parser.add_argument(
        "--test-fraction",
        type=number(float, 0, 0.9),
        default=0.2,
        metavar="X",
        help="without --test, and without folders train and test: the last share of the sequences, or "
        "of a single one's frames (default: %(default)s)",
    )
    parser.add_argument(
        "--box-side",
        type=number(float, 1, 1000),
        default=7.0,
        metavar="PX",
        help="of the boxes around centroids (default: %(default)s)",
    )
    parser.add_argument("--one-class", action="store_true", help="one class 'target' for all")
    parser.add_argument("--link", action="store_true", help="link the images instead of copying them, which saves room")
    given = parser.parse_args(argv)
    print(
        "\n".join(
            convert(
                given.images,
                given.labels,
                given.out,
                given.kind,
                given.test,
                given.test_fraction,
                given.box_side,
                given.one_class,
                given.link,
            )
        )
    )


if __name__ == "__main__":
    with user_errors():
        main()
