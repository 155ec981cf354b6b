"""Sequences of a dataset for the page: predictions beside what is true, and what is wrong with its files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from utils.datasets.dataset import Dataset
from utils.datasets.frame_table import Frame
from utils.datasets.quick_check import inspect, mask_paths
from utils.images.boxes import leave_out_ignored
from utils.images.grey_levels import Stretch
from utils.images.image_files import read_frame
from utils.images.masks.meaning import IgnoreChoice, MaskMeaning, look_over_masks
from utils.metrics.detection import LEFT_OUT, exceeds, judge
from utils.metrics.truth import ignored_pixels, true_boxes
from utils.predictor.prediction import Component
from utils.predictor.tracking.tracker import Tracker
from utils.system.errors import UserError
from utils.view.contents import BoxSides, PageObject, PageSequence, TrueBox
from utils.view.grouping import extend_tracks
from utils.view.pictures import NO_PICTURE, encode_picture

FPS = 10.0  # a second, of what says nothing of time
LEAST_SCORE = 0.01  # of detections that a page shows; those below are many, and no threshold is there


@dataclass(frozen=True)
class TruthChoice:
    """How detections are compared with what is true.

    Args:
        threshold: score above which detections are followed from frame to frame, and where the page's slider begins.
        ignore: as of `utils.images.masks.meaning.look_over_masks`.
    """

    threshold: float
    ignore: IgnoreChoice = None


def sequences_of(
    dataset: Dataset,
    found: Mapping[str, np.ndarray],
    classes: Sequence[str],
    choice: TruthChoice,
) -> list[PageSequence]:
    """The sequences of a dataset.

    Args:
        dataset: its frames, with masks or boxes as far as there are any.
        found: detections `(N, 6)` x1, y1, x2, y2, score, class of each image, by `Frame.image`.
        classes: names of the classes.
        choice: see there.
    """
    meaning, folder = look_over_masks(mask_paths(dataset), choice.ignore), os.path.join(dataset.root, "")
    shown = [
        _sequence(name, list(frames), found, classes, choice.threshold, meaning)
        for name, frames in dataset.sequences.items()
    ]
    # a page is made to be handed on, and the folders above the dataset are nobody's business
    return [replace(one, problems=[(n, line.replace(folder, "")) for n, line in one.problems]) for one in shown]


def _sequence(
    name: str,
    frames: Sequence[Frame],
    found: Mapping[str, np.ndarray],
    classes: Sequence[str],
    threshold: float,
    meaning: MaskMeaning,
) -> PageSequence:
    tracker, objects, truth, problems, size = Tracker(), [], [], [], None
    for place, frame in enumerate(frames):
        looked = inspect(frame, meaning)
        problems += [(place, line) for line in looked.problems]
        size = size or looked.size
        frame = replace(frame, mask_rule=meaning.rule)
        true = _true_boxes(frame, looked.size)
        truth.append([_true_box(box) for box in true.tolist()])
        rows, hits = _judged(frame, found.get(frame.image, np.zeros((0, 6))), true, looked.size)
        objects.append(_objects(frame.number, rows, hits, tracker, threshold))
    height, width = size or (1, 1)  # where no frame can be read, which is among the problems
    return PageSequence(
        name,
        str(Path(frames[0].image).parent),
        (width, height),
        FPS,
        tuple(classes),
        [frame.number for frame in frames],
        [Path(frame.image).stem for frame in frames],
        extend_tracks(objects),
        truth,
        problems=problems,
        least_score=threshold,
    )


def _true_boxes(frame: Frame, size: tuple[int, int] | None) -> np.ndarray:
    """`true_boxes`, where that can be told; else those that are listed, whatever is wrong with them."""
    try:
        return true_boxes(frame, size)
    except UserError:  # which is among the problems
        return np.array(frame.boxes or (), np.float64).reshape(-1, 5)


def _judged(
    frame: Frame, rows: np.ndarray, true: np.ndarray, size: tuple[int, int] | None
) -> tuple[np.ndarray, np.ndarray]:
    """A frame's detections `(N, 6)` that count, the surest first, and the index of the target that each hits.

    What lies in a region to ignore counts for nothing, as in `utils.metrics`, and is not shown.
    """
    rows = rows[rows[:, 4] >= LEAST_SCORE]
    rows = rows[np.argsort(-rows[:, 4], kind="stable")]
    try:
        pixels = ignored_pixels(frame, size)
    except UserError:  # which is among the problems
        pixels = None
    rows = leave_out_ignored(rows, *pixels) if pixels else rows
    hits = judge(rows, true, np.array(frame.ignored, np.float64).reshape(-1, 5), "centre")
    counted = np.flatnonzero(hits != LEFT_OUT)
    return rows[counted], hits[counted]


def _objects(number: int, rows: np.ndarray, hits: np.ndarray, tracker: Tracker, threshold: float) -> list[PageObject]:
    """A frame's detections `(N, 6)`, the surest first, and the index of the target that each hits."""
    sure = rows[exceeds(rows[:, 4], threshold)]
    boxes = [tuple(map(float, row[:4])) for row in sure]
    parts = [
        Component(float(row[4]), box, ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2), 1)
        for row, box in zip(sure, boxes, strict=True)
    ]
    tracks = {point.detection: point.id for point in tracker.update(number, parts)}
    return [
        PageObject(
            _sides(row[:4].tolist()), min(max(float(row[4]), 0.0), 1.0), tracks.get(n), int(row[5]), "", int(hit)
        )
        for n, (row, hit) in enumerate(zip(rows, hits, strict=True))
    ]


def _true_box(box: Sequence[float]) -> TrueBox:
    return *_sides(box), int(box[4])


def _sides(box: Sequence[float]) -> BoxSides:
    x1, y1, x2, y2 = box[:4]
    return x1, y1, x2 - x1, y2 - y1


def pictures_of_frames(frames: Sequence[Frame]) -> Iterator[str]:
    """The pictures of a sequence's frames; "" for those that cannot be read, which are among the problems."""
    stretch = Stretch()
    for frame in frames:
        try:
            image = read_frame(frame.image)
        except UserError:
            yield NO_PICTURE
        else:
            yield encode_picture(image, stretch.update(image))
