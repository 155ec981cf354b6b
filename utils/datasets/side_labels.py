"""Boxes that lie beside the frames of a video: MOT tables, or Pascal VOC files in `xml_det/`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from utils.datasets.coco import TARGET_CATEGORY
from utils.datasets.compact_lists import NO_TRACK, Box, Entry
from utils.datasets.formats.mot import NO_CLASS, MotTable, frames_by_number, read_mot
from utils.datasets.formats.voc import VOC_FILE, read_objects
from utils.datasets.layouts import Files
from utils.datasets.layouts.files import VISO_CLASSES
from utils.datasets.layouts.videos import table_beside
from utils.datasets.problems import Report
from utils.datasets.sequences import BoxTable
from utils.images.folders import FRAME_FOLDERS
from utils.images.frame_names import natural_key
from utils.system.notices import warn
from utils.system.untrusted import parse_xml

COUNTED_FROM_ONE = "img1"  # the folder of frames whose tables count pixels from 1, as MOTChallenge does
VOC_FOLDER = "xml_det"


@dataclass
class SideLabels:
    """What lies beside the frames of all videos.

    Args:
        boxes: of the images.
        classes: names of the classes 0, 1, …; () where nothing tells them.
        source: what the labels are, for people; empty where there are none.
    """

    boxes: BoxTable = field(default_factory=BoxTable)
    classes: tuple[str, ...] = ()
    source: str = ""


def read_side_labels(files: Files, report: Report) -> SideLabels:
    """Read the tables beside the frames, or else the VOC files.

    Pixels of a table count from 1 where its frames lie in `img1`, as MOTChallenge has them, else from 0, as VISO does;
    lines with 0 in the seventh column become regions to ignore. Classes are those of `name_classes`.

    Args:
        files: images and masks in the dataset's folder.
        report: told of frames and images that are named and not there.

    Raises:
        UserError: a table or VOC file is broken.
    """
    videos = sorted({_video_of(folder) for folder in {key.rpartition("/")[0] for key in files.images}}, key=natural_key)
    tables = {video: table for video in videos if (table := table_beside(files.root, video))}
    if tables:
        return _read_tables(files, _frames_of(files, tables), tables, report)
    folders = {video: f"{video}/{VOC_FOLDER}" for video in videos}
    folders = {video: path for video, path in folders.items() if os.path.isdir(files.path(path))}
    return _read_voc(files, _frames_of(files, folders), folders, report) if folders else SideLabels()


def _video_of(folder: str) -> str:
    """The folder of a video whose frames lie in `folder`; labels lie in it, too."""
    above, _, last = folder.rpartition("/")
    return above if last in FRAME_FOLDERS else folder


def _frames_of(files: Files, videos: Iterable[str]) -> dict[str, list[str]]:
    """The keys of the images of each video."""
    found: dict[str, list[str]] = {video: [] for video in videos}
    for key in files.images:
        if (video := _video_of(key.rpartition("/")[0])) in found:
            found[video].append(key)
    return found


def _read_tables(
    files: Files, frames: Mapping[str, Sequence[str]], paths: Mapping[str, str], report: Report
) -> SideLabels:
    tables = {}
    for video, path in paths.items():
        tables[video] = read_mot(files.path(path), _first_pixel(frames[video]))
        tables[video].require_labels()
    names = name_classes(files.root, tables)
    known = {name for own in names.values() for name in own.values()} or {class_of_name(files.root)}
    classes = sorted(known, key=natural_key)
    numbers = {name: number for number, name in enumerate(classes)}
    origins = " or ".join(sorted({str(_first_pixel(keys)) for keys in frames.values()}))
    found = SideLabels(classes=tuple(classes), source=f"a MOT table for each video, x and y counted from {origins}")
    for video, table in tables.items():
        places, said = frames_by_number([key.rpartition("/")[2] for key in frames[video]], set(table.frames.tolist()))
        for text in filter(None, (table.said, said)):
            warn(f"{table.path}: {text}")
        lost = sorted(set(table.frames.tolist()) - places.keys())
        report.add_files(
            [f"{table.path}: frame {number}" for number in lost],
            f"listed, but no such image in {files.path(frames[video][0].rpartition('/')[0])}",
            "copy it there, or remove its lines",
        )
        own = {number: numbers[name] for number, name in names[video].items()}
        for entry in _entries(table, places, frames[video], own, len(classes)):
            found.boxes.add(entry.path, entry)
    return found


def _first_pixel(keys: Sequence[str]) -> int:
    """The number of the first column and row in the table of a video with these images."""
    return int(keys[0].rpartition("/")[0].rpartition("/")[2] == COUNTED_FROM_ONE)


def _entries(
    table: MotTable, places: Mapping[int, int], keys: Sequence[str], classes: Mapping[int, int], count: int
) -> Iterator[Entry]:
    """Every image of a video with its boxes; regions to ignore of a class without targets are of all classes."""
    order = np.argsort(table.frames, kind="stable")
    numbers = np.array([*places], np.int64)
    starts, stops = (np.searchsorted(table.frames[order], numbers, side).tolist() for side in ("left", "right"))
    for place, start, stop in zip(places.values(), starts, stops, strict=True):
        rows = order[start:stop]
        boxes: list[Box] = []
        ignored: list[Box] = []
        tracks = []
        for corners, number, score, track in zip(
            table.boxes[rows].tolist(),
            table.classes[rows].tolist(),
            table.scores[rows].tolist(),
            table.tracks[rows].tolist(),
            strict=True,
        ):
            if score == 0:
                ignored += [(*corners, one) for one in ([classes[number]] if number in classes else range(count))]
            else:
                boxes.append((*corners, classes[number]))
                tracks.append(track)
        known = tuple(tracks) if set(tracks) - {NO_TRACK} else ()
        yield Entry(keys[place], tuple(boxes), ignored=tuple(ignored), tracks=known)


def name_classes(root: str, tables: Mapping[str, MotTable]) -> dict[str, dict[int, str]]:
    """The names of the classes that targets have in each table's eighth column, by its video's folder.

    Folders that are called after VISO's classes name those of what is in them; where there are several numbers in the
    eighth columns, each is a class of its own.
    """
    folders = class_folders(tables)
    targets = {video: table.classes[table.scores != 0] for video, table in tables.items()}
    several = len({int(number) for own in targets.values() for number in np.unique(own)} - {NO_CLASS}) > 1
    found = {}
    for video, own in targets.items():
        folder = folders.get(video, "")
        found[video] = {
            number: f"{folder} class{number}".lstrip()
            if several and number != NO_CLASS
            else folder or class_of_name(root)
            for number in np.unique(own).tolist()
        }
    return found


def class_folders(videos: Iterable[str]) -> dict[str, str]:
    """The class of each video, by a folder of that name above it; {} where not all have one.

    `train` counts among folders of other classes.
    """
    videos = list(videos)
    parts = {video: video.lower().split("/")[:-1] for video in videos}
    others = {place for own in parts.values() for place, name in enumerate(own) if name in VISO_CLASSES[:-1]}
    found = {}
    for video, own in parts.items():
        names = [
            name
            for place, name in enumerate(own)
            if name in VISO_CLASSES and (name != VISO_CLASSES[-1] or place in others)
        ]
        found |= {video: names[-1]} if names else {}
    if len(found) == len(videos):
        return found
    words = {word: video for video in videos for word in _class_words(video)}
    if len(words) > 1:
        listed = ", ".join(f"{word} in {video}" for word, video in words.items())
        warn(
            f"folders of videos speak of several classes ({listed}), and all boxes count as one class; put the videos "
            "below folders called after their classes if these are to be told apart"
        )
    return {}


def class_of_name(root: str) -> str:
    """The class that the name of a dataset's folder, or of the one that it lies in, speaks of; else "target"."""
    above, name = os.path.split(os.path.abspath(root))
    words, above = _class_words(name), os.path.basename(above).lower()
    return words[0] if len(words) == 1 else above if above in VISO_CLASSES[:-1] else TARGET_CATEGORY


def _class_words(name: str) -> list[str]:
    words = set(re.findall(r"[a-z]+", name.lower()))
    return [word for word in VISO_CLASSES[:-1] if word in words]


def _read_voc(
    files: Files, frames: Mapping[str, Sequence[str]], folders: Mapping[str, str], report: Report
) -> SideLabels:
    read, names = [], set()
    for video, folder in folders.items():
        keys = {key.rpartition("/")[2]: key for key in frames[video]}
        lost = []
        for name in sorted(os.listdir(files.path(folder)), key=natural_key):
            stem, ending = os.path.splitext(name)
            if ending.lower() != ".xml" or name.startswith("."):
                continue
            path = files.path(f"{folder}/{name}")
            if stem in keys:
                read.append((keys[stem], *read_objects(parse_xml(path, VOC_FILE), path)))
                names |= {item.name or TARGET_CATEGORY for item in read[-1][1] if not item.ignored}
            else:
                lost.append(path)
        report.add_files(lost, "boxes without an image", "add its image, or remove it")
    classes = sorted(names, key=natural_key)
    numbers = {name: [number] for number, name in enumerate(classes)}
    warn(
        f"{files.root}: the boxes in {VOC_FOLDER}/ are taken as Pascal VOC has them, xmin and ymin counted from 1, "
        "xmax and ymax the last pixel; lists in annotations/ count before them"
    )
    found = SideLabels(classes=tuple(classes), source=f"{VOC_FOLDER}/ beside the frames (Pascal VOC)")
    for key, objects, size in read:
        parts: dict[bool, list[Box]] = {False: [], True: []}
        for item in objects:
            for number in numbers.get(item.name or TARGET_CATEGORY, range(len(classes))):
                parts[item.ignored].append((*item[:4], number))
        found.boxes.add(key, Entry(key, tuple(parts[False]), ignored=tuple(parts[True]), size=size))
    return found
