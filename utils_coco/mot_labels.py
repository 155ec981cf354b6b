"""MOT tables as labels: gt/gt.txt, det/det.txt or NAME.txt, one a video, and the images that their frames are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from utils.datasets.compact_lists import NO_TRACK
from utils.datasets.formats.mot import MotTable, frames_by_number, read_mot
from utils.datasets.side_labels import COUNTED_FROM_ONE, name_classes
from utils.images.folders import walk_folder
from utils.images.frame_names import natural_key
from utils_coco.label_tables import NamedBox
from utils_coco.source_images import SourceImage
from utils_coco.unread_formats import MOT_FORMATS, MOT_NAMES, name_format

VideoLookup = Callable[[str, bool], Sequence[SourceImage]]  # by a video's name, and whether no other one is asked for


@dataclass
class VideoLabels:
    """What labels of videos say: boxes by the keys of images, those of frames without an image by VIDEO/NUMBER.

    `sizes` are (height, width) that are declared for images, `scores` numbers in a table's seventh column that are no
    flags, `said` lines for people, `notes` warnings.
    """

    images: dict[str, list[NamedBox]] = field(default_factory=lambda: defaultdict(list))
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    scores: list[float] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_tables(labels: Path) -> tuple[dict[str, Path], list[Path]]:
    """The tables in a folder, or a single file, by the names of their videos, and those of detections beside labels.

    The video of `V/gt/gt.txt`, `V/gt.txt` and `V.txt` is V; of a table in `labels` itself it is called like that
    folder, or like the one around `gt/`.
    """
    root = (labels if labels.is_dir() else labels.parent).resolve()
    tables: dict[str, Path] = {}
    passed_over = []
    for path in [labels] if labels.is_file() else _texts_below(labels):
        place = _strip(path.resolve())
        video = place.relative_to(root).as_posix() if root in place.parents else place.name
        other = tables.setdefault(video, path)
        if other != path:
            detections = path if path.stem.lower() == "det" else other
            tables[video] = other if detections == path else path
            passed_over.append(detections)
    return tables, passed_over


def _strip(path: Path) -> Path:
    """The folder of a video that `gt/gt.txt` and the like belong to; any other path without its ending."""
    path = path.with_suffix("") if path.is_file() else path
    while path.name.lower() in MOT_NAMES:
        path = path.parent
    return path


def _texts_below(folder: Path) -> list[Path]:
    found = (folder / below / name for below, names in walk_folder(folder).names.items() for name in names)
    texts = (path for path in found if path.suffix.lower() == ".txt" and name_format(path) in MOT_FORMATS)
    return sorted(texts, key=lambda path: natural_key(str(path)))


def read_videos(labels: Path, videos: VideoLookup, first_pixel: int | None = None) -> VideoLabels:
    """Read the tables of all videos.

    Where the seventh column is 0, 1 or -1 in the whole table it is a flag, and 0 a region to ignore; other numbers are
    scores. Classes are called as `utils.datasets.side_labels.name_classes` has it.

    Args:
        labels: folder or file.
        videos: looks up a video's images.
        first_pixel: number of the first column and row of pixels; None takes 1 where frames lie in `img1`, else 0.

    Raises:
        UserError: a table is broken.
    """
    paths, passed_over = find_tables(labels)
    found, tables = VideoLabels(), {}
    images = {video: videos(video, len(paths) == 1) for video in paths}
    origins: dict[int, list[str]] = defaultdict(list)
    for video, path in paths.items():
        as_motchallenge = {image.path.parent.name for image in images[video]} == {COUNTED_FROM_ONE}
        origin = int(as_motchallenge) if first_pixel is None else first_pixel
        origins[origin].append(video)
        tables[video] = read_mot(str(path), origin)
    names = name_classes(str(_strip(labels.resolve())), tables)
    for video, table in tables.items():
        _take(video, table, names[video], images[video], found)
    found.notes += [f"{path}: detections beside labels of their video are passed over" for path in passed_over]
    found.said += [
        f"x and y of {len(own)} MOT tables are taken as counted from {origin}, the first of {own[0]}; if that is "
        f"wrong, give --first-pixel {1 - origin}"
        for origin, own in sorted(origins.items())
        if first_pixel is None
    ]
    return found


def _take(
    video: str, table: MotTable, names: Mapping[int, str], images: Sequence[SourceImage], found: VideoLabels
) -> None:
    """Take up the boxes of a table."""
    places, said = frames_by_number([image.path.stem for image in images], set(table.frames.tolist()))
    found.notes += [f"{table.path}: {text}" for text in (table.said, said) if text]
    flagged = bool(np.isin(table.scores, (-1, 0, 1)).all())
    found.scores += [] if flagged else table.scores.tolist()
    columns = (table.frames, table.tracks, table.boxes, table.scores, table.classes)
    for frame, track, corners, score, number in zip(*(column.tolist() for column in columns), strict=True):
        key = images[places[frame]].key if frame in places else f"{video}/{frame}"
        name = names.get(number, f"class{number}")
        box = NamedBox(*corners, name, flagged and score == 0, None if track == NO_TRACK else track)
        found.images[key].append(box)
