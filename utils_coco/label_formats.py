"""Labels in the formats that people have: YOLO, Pascal VOC, COCO, labelme, csv of boxes or centroids, masks, videos'.

Every reader gives boxes by image, in pixels from 0, right and bottom exclusive. Images are looked up by their paths
without the extension, else by their names where these are unique.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import zip_longest
from pathlib import Path

import numpy as np

from utils.datasets.coco import TARGET_CATEGORY, coco_entries, load_coco
from utils.datasets.formats.voc import VOC_FILE, read_objects
from utils.datasets.json_formats import category_name
from utils.images.boxes import shares_problem
from utils.images.image_files import IMAGE_SUFFIXES
from utils.images.picture_roles import mask_names
from utils.system.errors import UserError
from utils.system.untrusted import parse_xml
from utils_coco.image_labels import Conventions, ReadLabels, SizeLookup
from utils_coco.label_kinds import SUFFIXES, files_below, find_points, label_files
from utils_coco.label_tables import DEFAULT_SIDE, POINT_ORIGINS, NamedBox, read_table
from utils_coco.labelme_labels import read_labelme
from utils_coco.mot_labels import VideoLabels
from utils_coco.page_labels import read_page_boxes
from utils_coco.point_files import HEAD_SIDE, image_of_points, read_points
from utils_coco.unread_formats import name_format, name_xml
from utils_coco.yolo_labels import read_yolo


def read_boxes(
    kind: str,
    labels: Path,
    sizes: SizeLookup,
    conventions: Conventions,
    videos: Callable[[], VideoLabels] = VideoLabels,
) -> ReadLabels:
    """The boxes of all images.

    Args:
        kind: one of `LABEL_KINDS`, but masks.
        labels: folder or file.
        sizes: (h, w) of the image that a key names, which YOLO's shares need; None where there is none.
        conventions: what label files leave open.
        videos: reads labels of videos, as `utils_coco.mot_labels.read_videos` and
            `utils_coco.cvat_labels.read_cvat_labels` do.

    Raises:
        UserError: there is no such label file, or one is broken.
    """
    found = ReadLabels()
    if kind == "view":
        read_page_boxes(labels, found)
    elif kind == "yolo":
        read_yolo(labels, sizes, found)
    elif kind == "voc":
        _read_voc(labels, found)
    elif kind == "coco":
        _read_coco(labels, found)
    elif kind in ("mot", "cvat"):
        read = videos()
        for key, boxes in read.images.items():
            found.add(key, boxes, read.sizes.get(key))
        found.scores, found.said, found.notes = read.scores, read.said, read.notes
    elif kind == "labelme":
        read_labelme(labels, sizes, conventions.side or DEFAULT_SIDE, found)
    else:
        _read_tables(labels, kind, conventions.side, conventions.origin, found)
    if not found.images:
        found.unread.refuse(all_kinds=True)
        raise UserError(f"{labels}: found no labels of the kind '{kind}'; give another --labels or --kind")
    _note_others(labels, SUFFIXES.get(kind, ".csv"), found)
    found.notes += found.unread.said()
    if found.repeated:
        found.notes.append(f"{labels}: {found.repeated} boxes are in several label files, and count once")
    found.note_scores(labels)
    found.note_shares(labels)
    return found


def _note_others(labels: Path, suffix: str, found: ReadLabels) -> None:
    """Note label files of other suffixes; those in one folder are taken to be like the first of them."""
    groups: dict[tuple[Path, str], list[Path]] = defaultdict(list)
    for path in files_below(labels) if labels.is_dir() else ():
        if path.suffix.lower() in SUFFIXES.values() and path.suffix.lower() != suffix:
            groups[path.parent, path.suffix.lower()].append(path)
    for paths in groups.values():
        if name := name_format(paths[0]):
            found.unread.files.setdefault(name, []).extend(paths)


def _read_voc(labels: Path, found: ReadLabels) -> None:
    """One xml an image; xmin … ymax count from 1, both ends inclusive; difficult objects are regions to ignore."""
    raw = []
    for path, key in label_files(labels, ".xml"):
        root = parse_xml(str(path), VOC_FILE)
        if root.tag != "annotation" and found.unread.takes(path, name_xml(root)):
            continue
        objects, size = read_objects(root, str(path))
        raw += [(item.x1 + 1, item.y1 + 1, item.x2, item.y2) for item in objects]
        boxes = [NamedBox(*item[:4], item.name or TARGET_CATEGORY, item.ignored) for item in objects]
        found.add(key, boxes, size)
    _require_pixels(labels, raw)


def _read_coco(labels: Path, found: ReadLabels) -> None:
    """Names of images may begin in the json's folder; `iscrowd` and the like are regions to ignore."""
    for path, own in label_files(labels, ".json"):
        folder = own.rpartition("/")[0]
        if found.unread.takes(path):
            continue
        content = load_coco(str(path))
        entries = coco_entries(content, str(path))  # holds annotations and categories to be what they are taken for
        scores = [item.get("score") for item in content["annotations"]]
        found.scores += [score for score in scores if type(score) in (int, float) and math.isfinite(score)]
        categories = sorted(content["categories"], key=lambda item: item["id"])
        names = [category_name(item, f"class{number}") for number, item in enumerate(categories)]
        for entry in entries:
            key = entry.path.replace("\\", "/")
            if ".." in key.split("/"):
                raise UserError(f"{path}: found '{entry.path}', which may lead out of the images' folder; correct it")
            boxes = [
                NamedBox(*corners, names[number], False, track)
                for (*corners, number), track in zip_longest(entry.boxes, entry.tracks)
            ]
            boxes += [NamedBox(*corners, names[number], True) for *corners, number in entry.ignored]
            found.add(f"{folder}/{key.rpartition('.')[0] or key}".lstrip("/"), boxes, entry.size, path)


def _read_tables(labels: Path, kind: str, side: float | None, origin: str, found: ReadLabels) -> None:
    counts: Counter[float] = Counter()  # of centroids, by the side of their boxes
    for path, key in find_points(labels) if kind == "centroids" else ():
        points = read_points(path)
        if points is not None:
            boxes = [
                NamedBox(*corners, TARGET_CATEGORY, False, track) for *corners, track in points.boxes(side, origin)
            ]
            found.add(image_of_points(key), boxes)
            counts[side or HEAD_SIDE] += len(boxes)
    for path, key in label_files(labels, ".csv"):
        for row in read_table(path, key, kind, side or DEFAULT_SIDE, origin):
            found.add(row.image, row.boxes, row.size, path)
            found.scores += [] if row.score is None else [row.score]
            counts[side or DEFAULT_SIDE] += len(row.boxes)
    if kind == "centroids":
        found.said += [_say_centroids(count, size, origin) for size, count in counts.items() if count]


def _say_centroids(count: int, side: float, origin: str) -> str:
    """How centroids were understood, for people."""
    other = next(name for name in POINT_ORIGINS if name != origin)
    return (
        f"{count} centroids are taken as x, y in pixels from the {origin} of the first one, and boxes of "
        f"{side:g}x{side:g} pixels are put around them (--box-side); if they count from its {other}, give "
        f"--point-origin {other}"
    )


def _require_pixels(labels: Path, boxes: Sequence[Sequence[float]]) -> None:
    """Raise `UserError` where boxes, four numbers of each, look like shares of their image's sides."""
    problem = shares_problem(np.array(boxes, np.float64))
    if problem:
        raise UserError(f"{labels}: {problem}")


def mask_files(labels: Path) -> Iterator[tuple[Path, list[str]]]:
    """Pictures in a folder of masks, with the keys that the image of each may have, the likelier first."""
    for path in files_below(labels):
        if path.suffix.lower() in IMAGE_SUFFIXES:
            key = path.relative_to(labels).with_suffix("")
            yield path, [key.with_name(name).as_posix() for name in mask_names(key.name)]
