"""Bring the files of one dataset into another: copies, or links on request."""

from __future__ import annotations

import filecmp
import os
import shutil
from pathlib import Path

from utils.datasets.split_names import split_folder_of
from utils.images.folders import walk_folder
from utils.system.errors import UserError


def place(source: Path, target: Path, link: bool = False) -> None:
    """Make the file or folder `source` appear as `target`; what is already there and the same stays.

    Of a folder that is copied, links are followed as readers of datasets do, so that links in circles end.

    Args:
        source: path of what is there.
        target: path where it is to appear; folders above it are made.
        link: make a symbolic link, which needs no room on the disk, but what is done to it is done to the source's
            folder; else copy the contents, without the source's permissions.

    Raises:
        UserError: something else is there.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if link:
        _link(source, target)
    elif source.is_dir():
        tree = walk_folder(source, part_of=split_folder_of)
        tree.tell()
        for below, names in tree.names.items():
            for name in names:
                place(source / below / name, target / below / name)
    else:
        _copy(source, target)


def _link(source: Path, target: Path) -> None:
    if not (target.is_symlink() or target.exists()):
        target.symlink_to(source.resolve(), target_is_directory=source.is_dir())
    elif target.resolve() != source.resolve():
        raise _occupied(target)


def _copy(source: Path, target: Path) -> None:
    if target.is_symlink() or target.exists():
        linked = target.resolve() == source.resolve()
        if linked or not target.is_file() or not filecmp.cmp(source, target, shallow=False):
            raise _occupied(target)
    else:
        near = target.with_name(f".{target.name}.{os.getpid()}.tmp")
        try:
            shutil.copyfile(source, near)
            os.replace(near, target)
        finally:
            near.unlink(missing_ok=True)


def _occupied(target: Path) -> UserError:
    return UserError(f"{target}: already there, expected an empty folder for the new dataset; give another --out")
