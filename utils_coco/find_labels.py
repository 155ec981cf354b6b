"""Which images and labels of a folder belong together: those of which the labels name the most images."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np

from utils.images.frame_names import natural_key
from utils.images.image_files import IMAGE_SUFFIXES, read_frame
from utils.system.errors import UserError
from utils.system.notices import hold_warnings
from utils.video.capture import VIDEO_SUFFIXES
from utils_coco.image_labels import Conventions
from utils_coco.import_labels import match_labels
from utils_coco.label_kinds import guess_kind
from utils_coco.source_images import Lookup, list_images
from utils_coco.video_labels import labelled_videos

FilePlaces = Mapping[Path, Counter[str]]  # how many files of each suffix lie in which folders, named by paths below one
IMAGE_NAMES = ("images", "image", "imgs", "img", "frames", "jpegimages")
LABEL_NAMES = (
    "labels",
    "label",
    "annotations",
    "annotation",
    "boxes",
    "bboxes",
    "masks",
    "mask",
    "gt",
    "ground_truth",
    "groundtruth",
)
MAX_TRIED = 4  # folders or files of one sort that are tried one by one
MAX_MASKS_READ = 5


@dataclass(frozen=True)
class ImagesAndLabels:
    """What `utils_coco.import_labels` takes; `count` images have labels."""

    images: Path
    labels: Path
    kind: str
    count: int


def find_pair(folder: Path, places: FilePlaces) -> tuple[ImagesAndLabels | None, list[str]]:
    """The images and labels below `folder` that go best together.

    Returns:
        Them, or None where no labels are about images there; and what is wrong with files that may be labels.
    """
    best, problems = None, {}
    kind_of, lookup_of = cache(guess_kind), cache(lambda images, labels: Lookup(list_images(images, labels=labels)))
    for images, labels in product(_image_folders(folder, places), _labels(folder, places)):
        labels = labels or images
        try:
            with hold_warnings():  # which importing will say
                kind = kind_of(labels)
                if not kind or (kind == "masks" and labels in images.parents):
                    continue
                lookup = lookup_of(images, labels if images in labels.parents else None)
                if kind == "masks" and labels == images and not any(image.mask for image in lookup.images):
                    continue
                found = match_labels(lookup, labels, kind, lambda _: (1, 1), Conventions(side=1.0))
                count = len(found.boxes) + len(found.masks)
                fits = kind != "masks" or labels == images or _are_masks(labels, list(found.masks.values()))
        except UserError as error:
            problems.setdefault(labels, str(error))
            continue
        if fits and count > (best.count if best else 0):
            best = ImagesAndLabels(images, labels, kind, count)
    return best, list(dict.fromkeys(problems.values()))


def _image_folders(folder: Path, places: FilePlaces) -> list[Path]:
    """Folders that may be the ones of images, each as deep as it can be with all of its images below it."""
    held = [path for path, kinds in places.items() if kinds.keys() & IMAGE_SUFFIXES]
    groups: dict[str, list[Path]] = {}
    for path in held:
        if path.parts and path.parts[0].lower() not in LABEL_NAMES:
            groups.setdefault(path.parts[0], []).append(path)
    tops = sorted(groups, key=natural_key)
    chosen = [top for top in tops if top.lower() in IMAGE_NAMES or len(tops) <= MAX_TRIED]
    whole = [folder] if held and (len(tops) != 1 or Path() in held) else []
    return [*(folder / os.path.commonpath(groups[top]) for top in chosen), *whole]


def _labels(folder: Path, places: FilePlaces) -> Iterator[Path | None]:
    """Folders and files that may hold labels, the likelier first; None stands for the images' own folder."""
    tops = sorted({path.parts[0] for path in places if path.parts}, key=natural_key)
    named = [top for top in tops if top.lower() in LABEL_NAMES]
    yield from (folder / top for top in named)
    for suffix in (".json", ".csv"):
        files = [path for path in folder.iterdir() if path.suffix.lower() == suffix and path.is_file()]
        yield from sorted(files, key=lambda path: natural_key(path.name))[:MAX_TRIED]
    yield None
    yield from (folder / top for top in [top for top in tops if top not in named][:MAX_TRIED])
    yield folder


def _are_masks(labels: Path, masks: list[Path]) -> bool:
    """Whether a folder is named like masks, or holds pictures of two levels."""
    return labels.name.lower() in LABEL_NAMES or all(
        len(np.unique(read_frame(path))) <= 2 for path in masks[:: max(1, len(masks) // MAX_MASKS_READ)]
    )


def find_videos(folder: Path, places: FilePlaces) -> tuple[tuple[Path, Path] | None, list[str]]:
    """The folders of csv labels and of the videos that they are about, as `utils_coco.csv_to_coco` takes them.

    Returns:
        Them, or None; and what is wrong with such folders.
    """
    films = [folder / path for path, kinds in places.items() if kinds.keys() & VIDEO_SUFFIXES]
    tables = [folder / path for path, kinds in places.items() if ".csv" in kinds]
    problems = []
    for labels, videos in product(sorted(tables)[:MAX_TRIED], sorted(films)[:MAX_TRIED]):
        try:
            labelled_videos(str(labels), str(videos))
        except UserError as error:
            problems.append(str(error))
        else:
            return (labels, videos), []
    return None, problems
