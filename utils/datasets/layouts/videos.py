"""Videos that are a folder each, with their frames and a table of boxes: NAME/img/FRAME.jpg and NAME/gt/gt.txt.

So VISO, SDM-Car and MOTChallenge are arranged; the folders above may be called after classes and splits.
"""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from utils.datasets.formats.mot import TABLE_PLACES
from utils.datasets.split_names import split_folder_of, split_of_folder
from utils.images.folders import FRAME_FOLDERS, is_passed_over
from utils.images.frame_names import natural_key
from utils.images.image_files import IMAGE_SUFFIXES

MAX_DEPTH = 3  # folders from a dataset's down to a video's, as in mot/car/001
LABEL_FOLDERS = ("gt", "det", "xml_det")  # in a video's folder
LABEL_FILES = ("gt.txt", "det.txt", "seqinfo.ini")  # likewise
OTHER_FOLDERS = ("masks", "annotations", *LABEL_FOLDERS, *FRAME_FOLDERS)  # which hold no videos


@dataclass(frozen=True)
class Video:
    """A video's folder by its path below the dataset's, "" for that itself, and the folder of its frames in it."""

    below: str
    frames: str
    labelled: bool

    @property
    def frame_folder(self) -> str:
        """The path of the frames' folder below the dataset's."""
        return f"{self.below}/{self.frames}".lstrip("/")


@dataclass
class VideoTree:
    """The videos in a folder, in natural order.

    `others` are folders beside them, or beside folders of them, that hold images and no video; `repeated` are those
    that links led to once more. Where there were too many folders to look into, it is not `whole`.
    """

    videos: list[Video] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    whole: bool = True

    @property
    def labelled(self) -> list[Video]:
        """Those with a table of boxes."""
        return [video for video in self.videos if video.labelled]

    @property
    def unlabelled(self) -> list[str]:
        """Folders of videos without a table that are not kept apart for testing, and of other images."""
        apart = (video.below for video in self.videos if not (video.labelled or _is_for_testing(video.below)))
        return [*apart, *self.others]

    def is_dataset(self) -> bool:
        """Whether the videos are a dataset: all have labels, but for those whose labels are kept back for a test."""
        return self.whole and bool(self.labelled) and not self.unlabelled


def table_beside(root: str, below: str) -> str | None:
    """The path of a video's table of boxes below `root`, None where there is none."""
    places = (f"{below}/{place}".lstrip("/") for place in TABLE_PLACES)
    return next((place for place in places if os.path.isfile(os.path.join(root, place))), None)


def is_label(below: str, name: str) -> bool:
    """Whether a file in a folder of a dataset is one of labels that lie beside a video's frames."""
    return name in LABEL_FILES or below.rpartition("/")[2] in LABEL_FOLDERS


def find_videos(root: str | os.PathLike, most: float = math.inf) -> VideoTree:
    """The videos at most `MAX_DEPTH` folders below `root`; no table is opened, and no more than `most` folders are."""
    root, tree, seen = os.fspath(root), VideoTree(), set()
    waiting = deque([""])
    while waiting and len(seen) < most:
        below = waiting.popleft()
        try:
            about = os.stat(os.path.join(root, below))
        except OSError:  # it is gone by now
            continue
        identity = split_folder_of(below), about.st_dev, about.st_ino
        if identity in seen:
            tree.repeated.append(below)
            continue
        seen.add(identity)
        inner = folders_in(os.path.join(root, below))
        frames = next((name for name in FRAME_FOLDERS if name in inner), None)
        if frames and _holds_images(os.path.join(root, below, frames)):
            tree.videos.append(Video(below, frames, table_beside(root, below) is not None))
        elif below.count("/") < MAX_DEPTH - 1:
            waiting.extend(f"{below}/{name}".lstrip("/") for name in inner if name not in OTHER_FOLDERS)
    tree.whole = not waiting
    tree.videos.sort(key=lambda video: natural_key(video.below))
    if tree.labelled and tree.videos[0].below:
        tree.others = _find_others(root, [*(video.below for video in tree.videos), *tree.repeated])
    return tree


def _find_others(root: str, videos: Sequence[str]) -> list[str]:
    """Folders that hold images beside videos, and beside the folders that these are in."""
    above = {path.rpartition("/")[0] for path in videos}
    while more := {path.rpartition("/")[0] for path in above} - above:
        above |= more
    known, found = {*videos, *above}, []
    for below in sorted(above, key=natural_key):
        inner = (f"{below}/{name}".lstrip("/") for name in folders_in(os.path.join(root, below)))
        free = (path for path in inner if path not in known and path.rpartition("/")[2] not in OTHER_FOLDERS)
        found += [path for path in free if _holds_images(os.path.join(root, path), MAX_DEPTH)]
    return found


def _is_for_testing(below: str) -> bool:
    return any(split_of_folder(name) == "test" for name in below.split("/")[:-1])


def folders_in(path: str) -> list[str]:
    """The names of the folders in one, those that systems keep for themselves left out."""
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if not is_passed_over(entry.name) and entry.is_dir())
    except OSError:  # whoever lists the files there says that it cannot be read
        return []


def _holds_images(path: str, depth: int = 0) -> bool:
    """Whether images lie in a folder, or so many folders below it."""
    try:
        with os.scandir(path) as entries:
            names = [entry.name for entry in entries if not is_passed_over(entry.name)]
    except OSError:
        return False
    if any(os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES for name in names):
        return True
    return depth > 0 and any(_holds_images(os.path.join(path, name), depth - 1) for name in folders_in(path))
