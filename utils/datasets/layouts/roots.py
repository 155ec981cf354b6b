"""Whether a folder is that of a dataset, and where the data seems to be if it is not."""

from __future__ import annotations

import math
import os
from pathlib import Path

from utils.datasets.building import is_partial
from utils.datasets.layouts.trees import SEQUENCE_FOLDER, find_root_splits, misspelt, sequence_folders
from utils.datasets.layouts.videos import find_videos
from utils.images.folders import is_passed_over
from utils.images.frame_names import natural_key
from utils.system.errors import UserError

MAX_FOLDERS = 300  # that are looked into to see whether a folder around or below another is a dataset's


def _is_one_sequence(folder: Path) -> bool:
    return bool(SEQUENCE_FOLDER.fullmatch(folder.name)) and folder.name in sequence_folders(str(folder.parent))


def _looks_right(folder: Path, most: float = MAX_FOLDERS, inner: Path | None = None) -> bool:
    """Whether a folder is a dataset's.

    Args:
        folder: that is looked at.
        most: folders that are looked into for that.
        inner: a folder that belongs to a video of the dataset, where it is one of videos.
    """
    if _is_one_sequence(folder) or is_partial(folder):
        return False
    if (folder / "images").is_dir() or sequence_folders(str(folder)) or find_root_splits(str(folder)):
        return True
    tree = find_videos(folder, most)
    around = inner is None or any(folder / video.below in (inner, *inner.parents) for video in tree.videos)
    return tree.is_dataset() and around


def _nearby(folder: Path) -> list[Path]:
    """Folders around `folder` that look like a dataset: above it, else up to two levels below it."""
    above = [parent for parent in list(folder.parents)[:3] if _looks_right(parent, inner=folder)]
    if above:
        return above
    level = [folder]
    for _ in range(2):
        level = [
            child
            for parent in level
            for child in sorted(parent.iterdir(), key=lambda p: natural_key(p.name))
            if child.is_dir() and not is_passed_over(child.name)
        ][:200]
        found = [child for child in level if _looks_right(child)]
        if found:
            return found
    return []


def check_root(root: str | os.PathLike) -> str:
    """Make sure that `root` is a dataset's folder, not one above or below it.

    Raises:
        UserError: it is missing or holds no dataset; the message says where the data seems to be.
    """
    if not str(root):
        raise UserError("no dataset given; expected --data-root FOLDER, the folder that holds images/")
    path = Path(os.path.abspath(root))
    if is_partial(path):
        raise UserError(
            f"{root}: found an unfinished dataset, which a command is building or has left when it was interrupted; "
            "expected a whole one; wait, or run that command again"
        )
    if path.is_dir() and _looks_right(path, math.inf):
        return str(root)
    if _is_one_sequence(path):
        found, near = "one sequence of a dataset", [path.parent]
    elif path.is_dir():
        found, near = _describe_videos(path) or "neither images/ nor SequenceN/ folders", _nearby(path)
        found = next((f"{name}/" for name, meant in misspelt(str(path)) if meant == "images"), found)
    else:
        found = "a file" if path.exists() else "no such folder"
        existing = next(parent for parent in path.parents if parent.is_dir())
        near = [existing] if _looks_right(existing) else _nearby(existing)
    advice = (
        f"the data seems to be in {', '.join(str(p) for p in near[:3])}"
        if near
        else "give the folder that holds images/ (docs/datasets.md shows the tree of every dataset)"
    )
    raise UserError(f"{root}: found {found}, expected the folder of a dataset; {advice}")


def _describe_videos(folder: Path) -> str:
    """What keeps videos in a folder from being a dataset, empty where there are none with labels."""
    tree = find_videos(folder)
    if not tree.labelled:
        return ""
    return f"{len(tree.labelled)} videos with gt/gt.txt beside images without, in {', '.join(tree.unlabelled[:3])}"
