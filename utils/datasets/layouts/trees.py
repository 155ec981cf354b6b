"""Which tree of folders a dataset is, and the images and masks in it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping

from utils.datasets.layouts.files import (
    IMAGE_TREE,
    SEQUENCE_TREE,
    SINGLE_FRAMES,
    SPLIT_TREE,
    Files,
    Paths,
)
from utils.datasets.split_names import split_folder_of, word_of_folder
from utils.images.alike_names import AlikeNames
from utils.images.folders import LeftOut, walk_folder
from utils.images.frame_names import natural_key
from utils.images.image_files import IMAGE_SUFFIXES, images_among
from utils.images.picture_roles import mask_names, require_frames_alone
from utils.system.errors import UserError
from utils.system.notices import warn

DATASET_FOLDERS = ("images", "masks", "annotations", "img_idx")
SEQUENCE_FOLDER = re.compile(r"sequence[ _-]?\d+", re.IGNORECASE)


def _folder(root: str, where: str, left_out: LeftOut) -> Paths:
    """The images of a folder by their keys, in natural order within each folder below it; other files are counted."""
    found, folder = Paths(), os.path.join(root, where)
    if not os.path.isdir(folder):
        return found
    tree = walk_folder(folder, IMAGE_SUFFIXES, split_folder_of)
    tree.tell()
    folders = {f"{where}/{below}".rstrip("/"): names for below, names in tree.names.items()}
    for below in sorted(folders, key=natural_key):
        images = set(images_among(folders[below]))
        for name in sorted(folders[below], key=natural_key):
            stem, ending = os.path.splitext(name)
            if name not in images:
                left_out.add(f"{below}/{name}")
                continue
            key = f"{below}/{stem}"
            if key in found:
                raise UserError(
                    f"{below}/{name}: found beside {found[key]}, expected one image of that name; remove one of them"
                )
            found.put(key, f"{below}/", ending)
    return found


def sequence_folders(root: str) -> list[str]:
    """`SequenceN` folders of the official NUDT-MIRSDT layout below `root`."""
    if not os.path.isdir(root):
        return []
    with os.scandir(root) as entries:
        names = sorted(e.name for e in entries if SEQUENCE_FOLDER.fullmatch(e.name) and os.path.isdir(e.path))
    return sorted(
        (n for n in names if any(os.path.isdir(os.path.join(root, n, d)) for d in ("images", "Mix"))), key=natural_key
    )


def _masks(
    root: str, where: str, instead: str, images: Mapping[str, str], left_out: LeftOut
) -> Iterator[tuple[str, str]]:
    """Masks in the folder `where` under the keys of their images, which lie in `instead`.

    `NAME_pixels0`, `NAME_mask` or the like is the mask of `NAME`.

    Raises:
        UserError: two are of one image.
    """
    masks = _folder(root, where, left_out)
    alike, taken = AlikeNames(lambda: images), {}
    for key in masks:
        image = instead + key[len(where) :]
        if image not in images:
            folder, _, stem = image.rpartition("/")
            names = [f"{folder}/{name}" for name in mask_names(stem)]
            there = next((name for name in names if name in images), None)
            image = there or next(filter(None, map(alike.find, names)), image)
        if image in taken:
            raise UserError(f"{masks[key]}: found beside {masks[taken[image]]}, both masks of {image}; remove one")
        taken[image] = key
        yield image, masks[key]
    alike.tell(os.path.join(root, where))


def list_files(root: str) -> Files:
    """List the images and masks of the dataset in `root`; files are opened only where names may be of masks.

    Raises:
        UserError: there are no images, two images whose names differ in the extension only, or masks among the images.
    """
    sequences = [] if os.path.isdir(os.path.join(root, "images")) else sequence_folders(root)
    left_out = LeftOut()
    for name, meant in misspelt(root):
        warn(f"{os.path.join(root, name)}: is not read, expected {meant}/ in small letters; rename it if it is meant")
    images = Paths() if sequences else _folder(root, "images", left_out)
    for name in sequences:
        for folder in ("Mix", "images"):
            for key, path in _folder(root, f"{name}/{folder}", left_out).items():
                images.add(key.replace("/Mix/", "/images/"), path)
    masks = Paths(
        pair
        for below in [f"{name}/" for name in sequences] or [""]
        for pair in _masks(root, f"{below}masks", f"{below}images", images, left_out)
    )
    left_out.tell(root)
    require_frames_alone(root, images.values())
    layout = SEQUENCE_TREE
    if not sequences:
        depth = max((key.count("/") for key in images), default=0)
        split = any(map(word_of_folder, {key.split("/", 2)[1] for key in images if key.count("/") > 1}))
        layout = SPLIT_TREE if split else SINGLE_FRAMES if depth == 1 else IMAGE_TREE
    if not images:
        where = "SequenceN/images" if sequences else "images"
        raise UserError(
            f"{root}: found no image in {where}/, expected {', '.join(sorted(IMAGE_SUFFIXES))} files; "
            "copy the frames there"
        )
    if sequences:  # clips and images of one sequence were listed one after the other
        images = images.take(sorted(images, key=natural_key))
    masks = masks.take([*(key for key in images if key in masks), *(key for key in masks if key not in images)])
    return Files(root, layout, images, masks)


def misspelt(root: str) -> list[tuple[str, str]]:
    """Folders of `root` that are called like those of a dataset but for letter case, and what these are called."""
    with os.scandir(root) as entries:
        names = sorted(entry.name for entry in entries if os.path.isdir(entry.path))
    return [(name, name.lower()) for name in names if name.lower() in DATASET_FOLDERS and name.lower() not in names]
