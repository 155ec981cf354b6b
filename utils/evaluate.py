"""Measuring a predictor on a dataset: the same function for validation while training and for `test.py`."""
from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeVar

import numpy as np

from utils.ahead import read_ahead
from utils.boxes import mask_of_boxes
from utils.datasets import Dataset, Frame
from utils.detection_metrics import DetectionMetrics
from utils.errors import UserError
from utils.frames import read_frame, read_mask
from utils.metrics import SegmentationMetrics
from utils.prediction import Prediction, grown, suppress
from utils.predictor import Predictor
from utils.truth import true_boxes

Metrics = TypeVar("Metrics", SegmentationMetrics, DetectionMetrics)


@dataclass(frozen=True)
class Evaluation:
    """Counts of the whole and of the dataset's subsets, figures (`SegmentationMetrics.compute`) of every sequence.

    `seconds` is the time for reading, predicting and counting `frames` frames.
    """

    overall: SegmentationMetrics
    subsets: dict[str, SegmentationMetrics]
    sequences: dict[str, dict[str, float | int]]
    frames: int
    seconds: float


@dataclass(frozen=True)
class DetectionEvaluation:
    """What was found and what is true: of the whole, of the dataset's subsets and of every sequence.

    `detections` are those of every frame, `(N, 6)` x1, y1, x2, y2, score, class, rounded as in COCO results. `seconds`
    is the time for reading and predicting.
    """

    overall: DetectionMetrics
    subsets: dict[str, DetectionMetrics]
    sequences: dict[str, DetectionMetrics]
    detections: list[tuple[Frame, np.ndarray]]
    seconds: float


def evaluate_sequences(predictor: Predictor, dataset: Dataset, *, rule: str = "centroid", curve: bool = True,
                       batch_size: int = 1, workers: int = 2, limit: int = 0, quiet: bool = False, title: str = "",
                       on_frame: Callable[[Frame, Prediction], None] | None = None) -> Evaluation:
    """Predict every frame of a dataset's sequences once and count pixels and components of the masks.

    Args:
        predictor: what is measured, at its own threshold. A detector's boxes are its components and, filled, its masks.
        dataset: whose frames all have masks. For a detector boxes stand in for masks that are not there.
        rule: what counts as found, see `utils.metrics`.
        curve: count at many thresholds too, for `SegmentationMetrics.curve`.
        batch_size: clips that go through the network together.
        workers: threads that read frames ahead; every file is read once.
        limit: only so many frames at the start of each sequence (0: all).
        quiet: no progress bar; `title` stands in front of it.
        on_frame: called after each prediction.
    Raises:
        UserError: a file cannot be read, or a frame has no mask.
    """
    detector = predictor.task == "detection"

    def load(frame: Frame) -> tuple[Frame, np.ndarray, np.ndarray]:
        image = read_frame(frame.image)
        return frame, image, _true_mask(frame, image, detector)

    began = time.perf_counter()
    metrics: dict[str, SegmentationMetrics] = {}
    for frame, mask, prediction in _predicted(predictor, dataset, load, batch_size, workers, limit, quiet, title):
        own = {"boxes": suppress(prediction.detections), "threshold": prediction.threshold,
               "true_boxes": frame.boxes if frame.mask is None else None} if detector else {}
        metrics.setdefault(frame.sequence, SegmentationMetrics(rule)).update(
            prediction.mask, mask, prediction.probability if curve else None, **own)
        if on_frame is not None:
            on_frame(frame, prediction)
    overall, subsets = _summed(dataset, metrics, lambda: SegmentationMetrics(rule))
    return Evaluation(overall, subsets, {name: part.compute() for name, part in metrics.items()},
                      overall.compute()["frames"], time.perf_counter() - began)


def evaluate_detection(predictor: Predictor, dataset: Dataset, *, classes: bool = True, least_side: float = 0,
                       batch_size: int = 1, workers: int = 2, limit: int = 0, quiet: bool = False, title: str = "",
                       on_frame: Callable[[Frame, Prediction], None] | None = None) -> DetectionEvaluation:
    """Predict every frame of a dataset's sequences once and compare the boxes (`Prediction.detections`).

    Args:
        predictor: a detector, or a segmentation network, whose components are its boxes.
        dataset: whose frames all have boxes or masks; of the latter, the components' boxes count.
        classes: whether classes are told apart; else all targets and all detections are of class 0.
        least_side: detections are grown to sides of so many pixels: a component's box is tight, while many datasets
            draw boxes of at least 8×8 pixels around smaller targets.
        batch_size, workers, limit, quiet, title, on_frame: as of `evaluate_sequences`.
    Raises:
        UserError: a file cannot be read, a frame has neither boxes nor mask, or a class that the network does not know.
    """
    def load(frame: Frame) -> tuple[Frame, np.ndarray, np.ndarray]:
        image = read_frame(frame.image)
        boxes = true_boxes(frame, image.shape)
        if classes and len(boxes) and boxes[:, 4].max() >= predictor.num_classes:
            raise UserError(f"{frame.image}: found a target of class {boxes[:, 4].max():.0f}, expected classes 0 to "
                            f"{predictor.num_classes - 1}, which {predictor.name or 'the network'} tells apart; use "
                            "other weights, or --class-agnostic")
        return frame, image, boxes if classes else one_class(boxes)

    began = time.perf_counter()
    metrics: dict[str, DetectionMetrics] = {}
    detections = []
    for frame, boxes, prediction in _predicted(predictor, dataset, load, batch_size, workers, limit, quiet, title):
        found = rounded(grown(prediction.detections, least_side))
        found = found if classes else one_class(found)
        detections.append((frame, found))
        metrics.setdefault(frame.sequence, DetectionMetrics()).update(found, boxes)
        if on_frame is not None:
            on_frame(frame, prediction)
    overall, subsets = _summed(dataset, metrics, DetectionMetrics)
    return DetectionEvaluation(overall, subsets, metrics, detections, time.perf_counter() - began)


def compare_detections(dataset: Dataset, found: dict[str, np.ndarray], *, classes: bool = True, least_side: float = 0,
                       limit: int = 0) -> DetectionEvaluation:
    """`evaluate_detection` for detections made elsewhere; no image is decoded.

    Args:
        dataset, classes, least_side, limit: as there.
        found: for an image's path (`Frame.image`) its detections `(N, 6)`; images that are not in it have none.
    """
    began = time.perf_counter()
    metrics: dict[str, DetectionMetrics] = {}
    detections = []
    for name, frames in dataset.sequences.items():
        metrics[name] = DetectionMetrics()
        for frame in frames[: limit or None]:
            boxes, own = true_boxes(frame), grown(found.get(frame.image, np.zeros((0, 6))), least_side)
            if not classes:
                boxes, own = one_class(boxes), one_class(own)
            detections.append((frame, own))
            metrics[name].update(own, boxes)
    overall, subsets = _summed(dataset, metrics, DetectionMetrics)
    return DetectionEvaluation(overall, subsets, metrics, detections, time.perf_counter() - began)


def rounded(detections: np.ndarray) -> np.ndarray:
    """Detections `(N, 6)` → float64 as they are written: boxes in thousandths of a pixel, scores to 9 digits, which
    single precision needs."""
    result = np.round(np.asarray(detections, np.float64), 3)
    result[:, 4] = [float(f"{score:.9g}") for score in detections[:, 4]]
    return result


def one_class(boxes: np.ndarray) -> np.ndarray:
    """Boxes or detections whose last column, the class, is 0."""
    boxes = boxes.copy()
    boxes[:, -1] = 0
    return boxes


def _predicted(predictor: Predictor, dataset: Dataset, load: Callable[[Frame], tuple[Frame, np.ndarray, Any]],
               batch_size: int, workers: int, limit: int, quiet: bool, title: str
               ) -> Iterator[tuple[Frame, Any, Prediction]]:
    """Every frame, sequence by sequence, with its truth and prediction; `load` gives frame, image and truth."""
    from tqdm import tqdm

    frames = [frame for sequence in dataset.sequences.values() for frame in sequence[: limit or None]]
    with tqdm(total=len(frames), desc=title or None, unit=" frames", disable=quiet, leave=False, dynamic_ncols=True,
              mininterval=0.5) as bar:
        for _, loaded in groupby(read_ahead(load, frames, workers), key=lambda item: item[0].sequence):
            items = ((frame.number, image, (frame, truth)) for frame, image, truth in loaded)
            for (frame, truth), prediction in predictor.stream_with(items, batch_size):
                yield frame, truth, prediction
                bar.update()


def _summed(dataset: Dataset, parts: dict[str, Metrics], make: Callable[[], Metrics]
            ) -> tuple[Metrics, dict[str, Metrics]]:
    """The whole and the dataset's subsets, from the sequences."""
    overall, subsets = make(), {name: make() for name in dataset.subsets}
    for name, part in parts.items():
        overall.merge(part)
        for subset, members in dataset.subsets.items():
            if name in members:
                subsets[subset].merge(part)
    return overall, subsets


def _true_mask(frame: Frame, image: np.ndarray, filled: bool) -> np.ndarray:
    if frame.mask is not None:
        return read_mask(frame.mask, image.shape)
    if filled and frame.boxes is not None:
        return mask_of_boxes(image, frame.boxes, "box", dilate=False)
    raise UserError(f"{frame.image}: has no mask, expected one for every frame that is measured")
