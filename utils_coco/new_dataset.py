"""What a dataset is made of that `utils_coco.import_labels` writes, and how it is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from utils.datasets.coco import TARGET_CATEGORY, coco_of_boxes, write_coco
from utils.images.frame_names import natural_key
from utils.images.image_files import image_size
from utils_coco.borders import Borders
from utils_coco.coco_files import coco_summary
from utils_coco.label_tables import NamedBox
from utils_coco.placing import place
from utils_coco.source_images import SourceImage

MAX_LISTED_CLASSES = 20


def fit_boxes(
    images: Sequence[SourceImage],
    boxes: Mapping[str, Sequence[NamedBox]],
    declared: Mapping[str, tuple[int, int]],
    borders: Borders,
) -> dict[str, tuple[tuple[int, int], list[NamedBox]]]:
    """The (height, width) of every image, and its boxes inside of it, by its key.

    Args:
        images: of the dataset.
        boxes: by the image's key.
        declared: (height, width) that labels say of an image, likewise.
        borders: what is done with boxes that do not fit.

    Raises:
        UserError: images have another size than their labels declare, or boxes do not fit; the text lists all.
    """
    found = {}
    for image in images:
        size = image_size(image.path)
        borders.look_at_size(str(image.path), declared.get(image.key), size)
        fitted = [borders.fit(str(image.path), box, size) for box in boxes.get(image.key, ())]
        found[image.key] = size, [NamedBox(*box) for box in fitted if box is not None]
    borders.require("correct the labels")
    return found


def write_dataset(
    root: Path,
    found: Sequence[SourceImage],
    masks: dict[str, Path],
    fitted: dict[str, tuple[tuple[int, int], list[NamedBox]]],
    one_class: bool,
    link: bool,
) -> list[str]:
    """Write a dataset with masks or with boxes.

    Args:
        root: its folder.
        found: the images, each in a split.
        masks: files by the image's key; where there are any, images without one are left out.
        fitted: of `fit_boxes`.
        one_class: a single class "target".
        link: the files instead of copying them.

    Returns:
        Lines that say what was written.
    """
    names, alone = _class_names([box for _, own in fitted.values() for box in own])
    classes = [TARGET_CATEGORY] if one_class or not names else names
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
            content = coco_of_boxes((_numbered(image, *fitted[image.key], classes) for image in own), classes)
            write_coco(root / "annotations" / f"instances_{split}2017.json", content)
            said.append(f"{split}: {coco_summary(content)}")
        for image in own:
            place(image.path, root / "images" / image.name, link)
    if names and not one_class:
        more = ", …" if len(classes) > MAX_LISTED_CLASSES else ""
        listed = (f"{number} {name}" for number, name in enumerate(classes[:MAX_LISTED_CLASSES]))
        said.append(f"classes: {', '.join(listed)}{more}")
    if alone and len(classes) > 1:
        said.append(f"regions to ignore called {', '.join(alone[:MAX_LISTED_CLASSES])} count for every class")
    return said


def _class_names(boxes: Sequence[NamedBox]) -> tuple[list[str], list[str]]:
    """Names of the targets' classes, in natural order, and those that only regions to ignore have."""
    targets, regions = ({box.name for box in boxes if box.ignored == wanted} for wanted in (False, True))
    return sorted(targets, key=natural_key), sorted(regions - targets, key=natural_key)


def _numbered(
    image: SourceImage, size: tuple[int, int], boxes: Sequence[NamedBox], classes: Sequence[str]
) -> tuple[str, tuple[int, int], list[tuple]]:
    """Name, (height, width) and boxes of an image, of the classes 0, 1, …; of a single class all are of that.

    A region to ignore of another class, such as `ignored regions` or `DontCare`, becomes one of every class.
    """
    numbers = {name: [number] for number, name in enumerate(classes)}
    return (
        f"images/{image.name}",
        size,
        [
            (*(round(value, 4) for value in box[:4]), number, box.ignored, box.track)
            for box in boxes
            for number in numbers.get(box.name, range(len(classes)))
        ],
    )
