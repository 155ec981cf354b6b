"""Whether a folder is that of a dataset, and where the data seems to be if it is not."""

from __future__ import annotations

import os
from pathlib import Path

from utils.datasets.building import is_partial
from utils.datasets.layouts.trees import SEQUENCE_FOLDER, misspelt, sequence_folders
from utils.images.folders import is_passed_over
from utils.images.frame_names import natural_key
from utils.system.errors import UserError


def _is_one_sequence(folder: Path) -> bool:
    return bool(SEQUENCE_FOLDER.fullmatch(folder.name)) and folder.name in sequence_folders(str(folder.parent))


def _looks_right(folder: Path) -> bool:
    known = (folder / "images").is_dir() or bool(sequence_folders(str(folder)))
    return known and not _is_one_sequence(folder) and not is_partial(folder)


def _nearby(folder: Path) -> list[Path]:
    """Folders around `folder` that look like a dataset: above it, else up to two levels below it."""
    above = [parent for parent in list(folder.parents)[:3] if _looks_right(parent)]
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
    if path.is_dir() and _looks_right(path):
        return str(root)
    if _is_one_sequence(path):
        found, near = "one sequence of a dataset", [path.parent]
    elif path.is_dir():
        found, near = "neither images/ nor SequenceN/ folders", _nearby(path)
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
