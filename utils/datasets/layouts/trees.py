"""Which tree of folders a dataset is, and the images and masks in it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from utils.datasets.layouts.files import (
    IMAGE_TREE,
    MASKS,
    ONE_VIDEO,
    SEQUENCE_TREE,
    SINGLE_FRAMES,
    SPLIT_ROOT,
    SPLIT_TREE,
    VIDEO_TREE,
    Files,
    Paths,
)
from utils.datasets.layouts.videos import find_videos, folders_in, is_label
from utils.datasets.split_names import split_folder_of, word_of_folder
from utils.images.alike_names import AlikeNames
from utils.images.folders import LeftOut, walk_folder
from utils.images.frame_names import natural_key
from utils.images.image_files import IMAGE_SUFFIXES, images_among
from utils.images.picture_roles import mask_names, require_frames_alone
from utils.system.errors import UserError
from utils.system.notices import warn

ANNOTATIONS = "annotations"
DATASET_FOLDERS = ("images", MASKS, "img_idx")
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
                if not is_label(below, name):
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


class Place(NamedTuple):
    """Where frames and their masks lie, below the root; keys of all begin with the last of the folders of `frames`."""

    frames: tuple[str, ...]
    masks: str


def list_files(root: str) -> Files:
    """List the images and masks of the dataset in `root`; files are opened only where names may be of masks.

    Raises:
        UserError: there are no images, two images whose names differ in the extension only, or masks among the images.
    """
    layout, places = _find_places(root)
    left_out, images = LeftOut(), Paths()
    for name, meant in misspelt(root):
        warn(f"{os.path.join(root, name)}: is not read, expected {meant}/ in small letters; rename it if it is meant")
    for frames, _ in places:
        for folder in frames:
            for key, path in _folder(root, folder, left_out).items():
                images.add(frames[-1] + key[len(folder) :], path)
    masks = Paths(pair for frames, folder in places for pair in _masks(root, folder, frames[-1], images, left_out))
    left_out.tell(root)
    require_frames_alone(root, images.values())
    if not images:
        where = "SequenceN/images" if layout == SEQUENCE_TREE else "images"
        raise UserError(
            f"{root}: found no image in {where}/, expected {', '.join(sorted(IMAGE_SUFFIXES))} files; "
            "copy the frames there"
        )
    if layout == SEQUENCE_TREE:  # clips and images of one sequence were listed one after the other
        images = images.take(sorted(images, key=natural_key))
    masks = masks.take([*(key for key in images if key in masks), *(key for key in masks if key not in images)])
    return Files(root, layout or _layout_of_images(images), images, masks)


def _find_places(root: str) -> tuple[str, list[Place]]:
    """The layout, empty where the images in `images/` tell it, and where its frames lie."""
    if os.path.isdir(os.path.join(root, "images")):
        return "", [Place(("images",), MASKS)]
    if names := sequence_folders(root):
        return SEQUENCE_TREE, [Place((f"{name}/Mix", f"{name}/images"), f"{name}/{MASKS}") for name in names]
    if names := find_root_splits(root):
        return SPLIT_ROOT, [Place((name,), f"{MASKS}/{name}") for name in names]
    tree = find_videos(root)
    if tree.repeated:
        warn(
            f"{root}: {len(tree.repeated)} folders are linked to twice, the first {tree.repeated[0]}, and count once; "
            "remove the links, or put copies there if they are to count again"
        )
    layout = ONE_VIDEO if tree.videos and not tree.videos[0].below else VIDEO_TREE if tree.videos else ""
    places = [Place((video.frame_folder,), f"{video.below}/{MASKS}".lstrip("/")) for video in tree.videos]
    return layout, places or [Place(("images",), MASKS)]


def _layout_of_images(images: Mapping[str, str]) -> str:
    """The layout of a dataset whose frames lie in `images/`."""
    depth = max((key.count("/") for key in images), default=0)
    split = any(map(word_of_folder, {key.split("/", 2)[1] for key in images if key.count("/") > 1}))
    return SPLIT_TREE if split else SINGLE_FRAMES if depth == 1 else IMAGE_TREE


def annotations_folder(root: str) -> str:
    """The name of the folder of lists in `root`, `annotations` in whatever letters; that itself where there is none."""
    with os.scandir(root) as entries:
        names = sorted(entry.name for entry in entries if entry.name.lower() == ANNOTATIONS and entry.is_dir())
    return names[0] if names and ANNOTATIONS not in names else ANNOTATIONS


def find_root_splits(root: str) -> list[str]:
    """Folders of images right in `root` that are called after splits, where COCO files lie beside them."""
    lists = os.path.join(root, annotations_folder(root))
    if not (os.path.isdir(lists) and any(name.lower().endswith(".json") for name in os.listdir(lists))):
        return []
    return sorted((name for name in folders_in(root) if word_of_folder(name)), key=natural_key)


def misspelt(root: str) -> list[tuple[str, str]]:
    """Folders of `root` that are called like those of a dataset but for letter case, and what these are called."""
    with os.scandir(root) as entries:
        names = sorted(entry.name for entry in entries if os.path.isdir(entry.path))
    return [(name, name.lower()) for name in names if name.lower() in DATASET_FOLDERS and name.lower() not in names]
