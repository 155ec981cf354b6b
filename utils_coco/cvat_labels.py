"""CVAT's xml as labels, one a task, and the images that its frames are; `utils_coco.cvat_files` reads the xml."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from utils.system.errors import UserError
from utils.system.untrusted import parse_xml
from utils.video.capture import VIDEO_SUFFIXES
from utils_coco.cvat_files import (
    CVAT_FILE,
    MAX_BOXES,
    CvatFile,
    LabelledPicture,
    Shape,
    boxes_between,
    count_moved,
    read_cvat,
)
from utils_coco.image_labels import Conventions
from utils_coco.label_kinds import label_files
from utils_coco.label_tables import DEFAULT_SIDE, NamedBox
from utils_coco.mot_labels import VideoLabels, VideoLookup
from utils_coco.source_images import SourceImage
from utils_coco.unread_formats import name_xml

EXPORT_NAME = "annotations"  # of the xml in CVAT's zip files, which says nothing of the task
FRAME_NUMBERS = ("order", "names")  # what frames are numbered by: the images' order, from 0, or their names
MOST_APART = 0.5  # px that a box between key frames may lie from the line between these
MAX_NAMED = 8


def read_cvat_labels(labels: Path, videos: VideoLookup, conventions: Conventions) -> VideoLabels:
    """Read all xml files of CVAT.

    Ids of tracks are kept, unless no track of a file is there in two frames. Where one of `IGNORE_COLUMNS` is an
    attribute and true, a shape is a region to ignore.

    Args:
        labels: folder or file.
        videos: looks up a video's images.
        conventions: what the files leave open.

    Raises:
        UserError: a file is broken, or it cannot be told which images its frames are.
    """
    found, files = VideoLabels(), []
    for path, key in label_files(labels, ".xml"):
        root = parse_xml(str(path), CVAT_FILE)
        if labels.is_dir() and (name := name_xml(root)) != "CVAT":
            found.notes.append(f"{path}: found {name or 'a Pascal VOC file'}, which is passed over")
        else:
            files.append((read_cvat(root, str(path), conventions.side or DEFAULT_SIDE), key))
    alone = sum(bool(file.tracks) for file, _ in files) == 1
    for file, key in files:
        for picture in file.pictures:
            _take_picture(picture, found)
        if file.tracks or not file.pictures:
            names = [key.removesuffix(f"/{EXPORT_NAME}"), Path(file.source).stem, file.name]
            if key == EXPORT_NAME:
                names[0] = labels.resolve().name if labels.is_dir() else labels.resolve().parent.name
            names = list(dict.fromkeys(filter(None, names)))
            images = next(filter(None, (videos(name, False) for name in names)), None) or videos(names[0], alone)
            _take_tracks(file, names[0], images, conventions.frame_numbers, found)
        _tell_passed_over(file, found)
    return found


def _take_picture(picture: LabelledPicture, found: VideoLabels) -> None:
    """Take up the boxes of a single image."""
    boxes = [NamedBox(*shape.box(), label, shape.ignored) for label, shape in picture.shapes]
    found.images[picture.key] += boxes
    if picture.size:
        found.sizes[picture.key] = picture.size


def _take_tracks(
    file: CvatFile, video: str, images: Sequence[SourceImage], frame_numbers: str | None, found: VideoLabels
) -> None:
    """Take up the boxes of a task's tracks."""
    places = _place_frames(file, images, frame_numbers, found) if images else {}
    drawn = {shape.frame for track in file.tracks for shape in track.shapes if not shape.outside}
    for frame in sorted(drawn - places.keys()):
        found.images[f"{video}/frame {frame}"] = []
    for key in places.values():
        found.images[key] += []
        if file.size:
            found.sizes[key] = file.size
    frames, made, moved = sorted(places), [], 0
    for track in file.tracks:
        own: dict[int, Shape] = {}
        for shape in boxes_between(track, frames):
            own[shape.frame] = shape
            if len(made) + len(own) > MAX_BOXES:
                raise UserError(
                    f"{file.path}: track {track.id}: found more than {MAX_BOXES:,} boxes up to there, those between "
                    "key frames included; end tracks by a key frame that is outside, or export the task in parts"
                )
        made += [(track, shape) for shape in own.values()]
        moved += count_moved(track, own, MOST_APART)
    tracked = len({track.id for track, _ in made}) < len(made)
    for track, shape in made:
        box = NamedBox(*shape.box(), track.label, shape.ignored, track.id if tracked else None)
        found.images[places[shape.frame]].append(box)
    _tell_frames(file, made, tracked, moved, found)


def _place_frames(
    file: CvatFile, images: Sequence[SourceImage], frame_numbers: str | None, found: VideoLabels
) -> dict[int, str]:
    """The keys of the images by the number of the frame that each is.

    In CVAT's files frames have the numbers of what the task was made from: of one that takes every fourth, 0, 4, 8, ….
    """
    own = file.length == len(images)  # the task's images, and no more
    first, step = (file.first, file.step) if own else (0, 1)
    order = {first + step * place: image.key for place, image in enumerate(images)}
    names = {image.number: image.key for image in images}
    if order == names:
        return order
    film = Path(file.source).suffix.lower() in VIDEO_SUFFIXES
    chosen = frame_numbers or FRAME_NUMBERS[film]
    every = (file.first, file.step) == (0, 1) and file.length is None  # nothing speaks of other frames
    if chosen == "order" and frame_numbers is None and not (own or every):
        length = "a task that leaves frames out" if file.length is None else f"a task of {file.length} frames"
        raise UserError(
            f"{file.path}: found {length}, and {len(images)} images, the first {images[0].path}, "
            "so that it cannot be told which frame is which; give the task's images, or say by --frame-numbers whether "
            "frames are numbered by the images' order or by their names"
        )
    if frame_numbers is None:
        other = FRAME_NUMBERS[not film]
        example = f"frame {images[0].number if film else file.first} is {images[0].path.name}"
        found.said.append(
            f"{file.path}: frames are numbered by the images' {chosen} ({example}); if that is wrong, give "
            f"--frame-numbers {other}"
        )
    return order if chosen == "order" else names


def _tell_frames(file: CvatFile, made: list, tracked: bool, moved: int, found: VideoLabels) -> None:
    """Say what became of the tracks' boxes."""
    between = sum(not shape.key for _, shape in made)
    written = sum(not shape.outside for track in file.tracks for shape in track.shapes)
    if len(made) > written:
        found.said.append(
            f"{file.path}: {between} of {len(made)} boxes are between key frames, or behind the last one of a track "
            "that does not end with one that is outside, as CVAT has it"
        )
    if moved:
        found.notes.append(
            f"{file.path}: {moved} boxes that are no key frames lie more than {MOST_APART:g} px from the line between "
            "these, which counts, as in CVAT; mark them as key frames (keyframe 1) if they are to count"
        )
    if made and not tracked:
        found.said.append(f"{file.path}: no track is there in two frames, so that boxes get no ids of tracks")


def _tell_passed_over(file: CvatFile, found: VideoLabels) -> None:
    """Note what of a file is not taken."""
    lost = [f"{count} of the shape {name}" for name, count in file.others.most_common(MAX_NAMED)]
    if file.attributes:
        named = ", ".join(
            f"{name or 'without a name'} {count}" for name, count in file.attributes.most_common(MAX_NAMED)
        )
        lost.append(f"attributes ({named})")
    if file.occluded:
        lost.append(f"that {file.occluded} shapes are occluded")
    if lost:
        found.notes.append(f"{file.path}: passed over: {'; '.join(lost)}")
