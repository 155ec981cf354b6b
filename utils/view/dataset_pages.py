"""Sequences of a dataset for the page: predictions beside what is true, and what is wrong with its files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from utils.datasets.dataset import Dataset
from utils.datasets.frame_table import Frame
from utils.datasets.quick_check import inspect, mask_paths
from utils.images.box_masks import boxes_of_mask
from utils.images.grey_levels import Stretch
from utils.images.image_files import image_size, read_frame
from utils.images.masks.meaning import IgnoreChoice, MaskMeaning, look_over_masks
from utils.images.masks.values import read_labels, targets_of
from utils.metrics.detection import match_in_order
from utils.predictor.prediction import Component
from utils.predictor.tracking.tracker import Tracker
from utils.system.errors import UserError
from utils.view.contents import BoxSides, PageObject, PageSequence
from utils.view.grouping import extend_tracks
from utils.view.pictures import NO_PICTURE, encode_picture

FPS = 10.0  # a second, of what says nothing of time
LEAST_SCORE = 0.01  # of detections that a page shows; those below are many, and no threshold is there


def sequences_of(
    dataset: Dataset,
    found: Mapping[str, np.ndarray],
    classes: Sequence[str],
    threshold: float,
    ignore: IgnoreChoice = None,
) -> list[PageSequence]:
    """The sequences of a dataset.

    Args:
        dataset: its frames, with masks or boxes as far as there are any.
        found: detections `(N, 6)` x1, y1, x2, y2, score, class of each image, by `Frame.image`.
        classes: names of the classes.
        threshold: score from which detections are followed from frame to frame, and where the page's slider begins.
        ignore: as of `utils.images.masks.meaning.look_over_masks`.
    """
    meaning = look_over_masks(mask_paths(dataset), ignore)
    return [
        _sequence(name, list(frames), found, classes, threshold, meaning) for name, frames in dataset.sequences.items()
    ]


def _sequence(
    name: str,
    frames: Sequence[Frame],
    found: Mapping[str, np.ndarray],
    classes: Sequence[str],
    threshold: float,
    meaning: MaskMeaning,
) -> PageSequence:
    tracker, objects, truth, problems = Tracker(), [], [], []
    for place, frame in enumerate(frames):
        looked = inspect(frame, meaning)
        problems += [(place, line) for line in looked.problems]
        true = _true_boxes(frame, meaning, looked.size)
        truth.append([_sides(box) for box in true.tolist()])
        rows = found.get(frame.image, np.zeros((0, 6)))
        rows = rows[rows[:, 4] >= LEAST_SCORE]
        rows = rows[np.argsort(-rows[:, 4], kind="stable")]
        objects.append(_objects(frame.number, rows, match_in_order(rows, true, "centre"), tracker, threshold))
    try:
        height, width = image_size(frames[0].image)
    except UserError:  # which is among the problems
        height, width = 1, 1
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


def _true_boxes(frame: Frame, meaning: MaskMeaning, size: tuple[int, int] | None) -> np.ndarray:
    """Boxes `(G, 4)` x1, y1, x2, y2 of a frame's targets: those listed, else those around what its mask shows."""
    if frame.boxes is not None:
        return np.array([box[:4] for box in frame.boxes], np.float64).reshape(-1, 4)
    if frame.mask is not None and size:
        try:
            return boxes_of_mask(targets_of(read_labels(frame.mask, size, meaning.rule)))
        except UserError:  # which is among the problems
            pass
    return np.zeros((0, 4))


def _objects(number: int, rows: np.ndarray, hits: np.ndarray, tracker: Tracker, threshold: float) -> list[PageObject]:
    """A frame's detections `(N, 6)`, the surest first, and the index of the target that each hits."""
    sure = rows[rows[:, 4] >= threshold]
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
