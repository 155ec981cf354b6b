"""What each true target is: its size, its SNR and its speed, by the dataset's annotations or by its pixels.

- `area`: pixels of its component in the mask.
- `snr`: the annotation's where a COCO json gives one, else `utils.images.snr.local_snr` of the frame as it is; without
  sign.
- `speed`: pixels a frame in the picture, over the last four frames in which the target was seen (over the next ones at
  its start). A target is followed by its track where labels name one, else to the nearest target of the next
  frame with one, at most 10 px a frame away, each taken once. The camera's own motion is part of this speed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from utils.datasets.coco import load_coco
from utils.datasets.compact_lists import NO_TRACK
from utils.datasets.dataset import Dataset
from utils.datasets.frame_table import Frame
from utils.datasets.json_formats import is_ignored
from utils.datasets.layouts import list_files
from utils.datasets.lists import find_lists
from utils.datasets.problems import Report
from utils.images.components import Components, label
from utils.images.snr import local_snr

SPEED_SPAN = 4  # frames over which a speed is taken
MAX_TARGET_SPEED = 10.0  # pixels a frame that a target may go
MAX_GAP = 5  # frames after which a target that was not seen is another one
BOX_MARGIN = 1.0  # pixels that a component's centroid may lie outside of its box
NAN = float("nan")


@dataclass
class Target:
    """One true target in one frame; `centroid` (y, x), `track` the same for all frames it is followed through."""

    sequence: str
    number: int
    image: str
    centroid: tuple[float, float]
    area: int
    snr: float
    track: int = -1
    speed: float = NAN


@dataclass(frozen=True)
class Note:
    """What an annotation says about a target: `box` x1, y1, x2, y2; None where it does not say."""

    box: tuple[float, float, float, float]
    snr: float | None
    track: int | None


def notes_of(dataset: Dataset) -> dict[str, list[Note]]:
    """What the dataset says of targets' SNR and tracks, by `Frame.image`."""
    snr, notes = _snr_by_box(dataset), {}
    for frame in dataset.frames:
        if frame.boxes and (frame.tracks or frame.image in snr):
            own, tracks = snr.get(frame.image, {}), frame.tracks or [NO_TRACK] * len(frame.boxes)
            notes[frame.image] = [
                Note(box[:4], own.get(box[:4]), None if track == NO_TRACK else track)
                for box, track in zip(frame.boxes, tracks, strict=True)
            ]
    return notes


def _snr_by_box(dataset: Dataset) -> dict[str, dict[tuple[float, ...], float]]:
    """The `snr` of annotations in the dataset's COCO files, by `Frame.image` and x1, y1, x2, y2."""
    files, found = list_files(dataset.root), defaultdict(dict)
    for item in find_lists(dataset.root, Report()):
        if not item.path.lower().endswith(".json"):
            continue
        content = load_coco(item.path)
        paths = {}
        for image in content["images"]:
            key = files.find(str(image["file_name"]), item.word)
            if key is not None:
                paths[image["id"]] = files.path(files.images[key])
        for entry in content["annotations"]:
            path, snr = paths.get(entry["image_id"]), entry.get("snr")
            if path is not None and snr is not None and not is_ignored(entry):
                x, y, w, h = map(float, entry["bbox"])
                found[path][x, y, x + w, y + h] = snr
    return dict(found)


class TargetFacts:
    """The targets of a dataset's frames; each frame is looked at once, however many methods ask for it.

    Without a dataset nothing is known but the pixels.
    """

    def __init__(self, dataset: Dataset | None) -> None:
        self.notes = {} if dataset is None else notes_of(dataset)
        self.frames: dict[str, tuple[Components, list[Target]]] = {}
        self._known: dict[str, list[int | None]] = {}

    def of(
        self, frame: Frame, image: np.ndarray, mask: np.ndarray, components: Components | None = None
    ) -> tuple[Components, list[Target]]:
        """The components of a frame's mask `(H, W)` bool, and what is known about each; `image` is `(H, W)`.

        `components` are given where targets that touch are told apart, such as boxes.
        """
        if frame.image not in self.frames:
            components = label(mask) if components is None else components
            targets, tracks = [], []
            for index, (centroid, area) in enumerate(zip(components.centroid, components.area, strict=True)):
                note = _find_note(self.notes.get(frame.image, ()), centroid)
                snr = note.snr if note and note.snr is not None else _measure_snr(image, mask, components, index)
                targets.append(
                    Target(
                        frame.sequence,
                        frame.number,
                        frame.image,
                        tuple(map(float, centroid)),
                        int(area),
                        abs(float(snr)),
                    )
                )
                tracks.append(note.track if note else None)
            self.frames[frame.image], self._known[frame.image] = (components, targets), tracks
        return self.frames[frame.image]

    def follow(self) -> None:
        """Fill in `track` and `speed` of all targets seen so far."""
        sequences: dict[str, list[tuple[Target, int | None]]] = defaultdict(list)
        for image, (_, targets) in self.frames.items():
            for target, known in zip(targets, self._known[image], strict=True):
                sequences[target.sequence].append((target, known))
        count = 0
        for pairs in sequences.values():
            pairs.sort(key=lambda pair: (pair[0].number, pair[0].centroid))
            for track in _split_tracks(pairs):
                for target, speed in zip(track, speeds(track), strict=True):
                    target.track, target.speed = count, speed
                count += 1


def _find_note(notes: Sequence[Note], centroid: np.ndarray) -> Note | None:
    """The annotation whose box holds the centroid, the one with the nearest centre."""
    y, x = centroid + 0.5
    held = [
        note
        for note in notes
        if note.box[0] - BOX_MARGIN <= x <= note.box[2] + BOX_MARGIN
        and note.box[1] - BOX_MARGIN <= y <= note.box[3] + BOX_MARGIN
    ]
    return min(
        held,
        default=None,
        key=lambda note: np.hypot((note.box[0] + note.box[2]) / 2 - x, (note.box[1] + note.box[3]) / 2 - y),
    )


def _measure_snr(image: np.ndarray, mask: np.ndarray, components: Components, index: int) -> float:
    own = np.zeros(mask.shape, bool)
    own.reshape(-1)[components.pixel[components.owner == index]] = True
    return local_snr(image, own, mask)


def _split_tracks(pairs: Iterable[tuple[Target, int | None]]) -> list[list[Target]]:
    """Targets of one sequence by number → tracks."""
    named: dict[int, list[Target]] = defaultdict(list)
    frames: dict[int, list[Target]] = defaultdict(list)
    for target, known in pairs:
        (named[known] if known is not None else frames[target.number]).append(target)
    return [*named.values(), *chains(frames, MAX_TARGET_SPEED)]


def chains(frames: dict[int, list], farthest: float) -> list[list]:
    """Things with a `centroid`, by frame number → chains from frame to frame, the nearest pairs first.

    Args:
        frames: for ascending numbers what is there.
        farthest: pixels a frame that a chain may go; it ends after `MAX_GAP` frames without a thing.
    """
    done: list[list] = []
    active: list[tuple[int, list]] = []  # the number of the last frame, and the chain
    for number, things in sorted(frames.items()):
        done += [chain for last, chain in active if number - last > MAX_GAP]
        active = [(last, chain) for last, chain in active if number - last <= MAX_GAP]
        heads = np.array([chain[-1].centroid for _, chain in active]).reshape(-1, 1, 2)
        gaps = np.array([number - last for last, _ in active]).reshape(-1, 1)
        away = np.hypot(*np.moveaxis(heads - np.array([thing.centroid for thing in things]).reshape(1, -1, 2), -1, 0))
        pairs = np.argwhere(away <= farthest * gaps)
        pairs = pairs[np.argsort(away[tuple(pairs.T)], kind="stable")]
        chain_of: dict[int, int] = {}
        for head, thing in pairs.tolist():
            if thing not in chain_of and head not in chain_of.values():
                chain_of[thing] = head
        for index, thing in enumerate(things):
            if index in chain_of:
                chain = active[chain_of[index]][1]
                chain.append(thing)
                active[chain_of[index]] = (number, chain)
            else:
                active.append((number, [thing]))
    return done + [chain for _, chain in active]


def speeds(track: Sequence[Target]) -> list[float]:
    """Pixels a frame of each sighting; NaN for a target that is seen once."""
    result = []
    for index, target in enumerate(track):
        before, after = track[max(index - SPEED_SPAN, 0) : index], track[index + 1 : index + 1 + SPEED_SPAN]
        earlier = [other for other in before if 0 < target.number - other.number <= SPEED_SPAN]
        later = [other for other in after if 0 < other.number - target.number <= SPEED_SPAN]
        if not (earlier or later):
            result.append(NAN)
            continue
        other = earlier[0] if earlier else later[-1]
        distance = np.hypot(*np.subtract(target.centroid, other.centroid))
        result.append(float(distance / abs(target.number - other.number)))
    return result
