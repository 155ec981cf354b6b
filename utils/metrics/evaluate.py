"""Measuring a predictor on a dataset: the same function for validation while training and for `test.py`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any, TypeVar

import numpy as np

from utils.clips.settings import ClipSettings
from utils.datasets.dataset import Dataset
from utils.datasets.frame_table import Frame
from utils.images.boxes import grow, leave_out_ignored
from utils.images.image_files import read_frame
from utils.images.masks.values import ignored_of, targets_of
from utils.metrics.detection import DetectionMetrics
from utils.metrics.published_countings import CompatMetrics
from utils.metrics.segmentation import SegmentationMetrics
from utils.metrics.shares import join_parts, pick_share, sum_up
from utils.metrics.truth import count_boxes, ignored_pixels, true_boxes, true_labels
from utils.predictor.calibration.candidates import at_threshold
from utils.predictor.frame_preparation import intake_for
from utils.predictor.prediction import Prediction, leave_out, suppress_for_pictures
from utils.predictor.predictor import Predictor
from utils.system.errors import UserError
from utils.system.packages.late import tqdm
from utils.system.threads import read_ahead

Result = TypeVar("Result")
BoxObserver = Callable[[Frame, np.ndarray, np.ndarray, np.ndarray, np.ndarray], Any]


@dataclass(frozen=True)
class Evaluation:
    """Counts of the whole and of the dataset's subsets, figures (`SegmentationMetrics.compute`) of every sequence.

    `seconds` is the time for reading, predicting and counting `frames` frames, `counting` what of it was for counting.
    `by_rule` are the counts of every sequence by each rule, `by_counting` those of the whole by each faulty counting.
    """

    overall: SegmentationMetrics
    subsets: dict[str, SegmentationMetrics]
    sequences: dict[str, dict[str, float | int]]
    frames: int
    seconds: float
    counting: float
    by_rule: dict[str, dict[str, SegmentationMetrics]]
    by_counting: dict[str, CompatMetrics]


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


class _MaskCounts:
    """Counts of the masks of a run over a dataset: by each rule for each sequence, and by faulty countings.

    Args:
        rules: names, each counted once.
        countings: likewise.
        curve: count at many thresholds too.
        of_boxes: masks are a detector's boxes, filled.
    """

    def __init__(self, rules: Sequence[str], countings: Sequence[str], curve: bool, of_boxes: bool) -> None:
        self.by_rule: dict[str, dict[str, SegmentationMetrics]] = {name: {} for name in dict.fromkeys(rules)}
        self.by_counting = {name: CompatMetrics(name) for name in countings}
        self.curve, self.of_boxes = curve, of_boxes

    def add(self, frame: Frame, labels: np.ndarray, prediction: Prediction) -> Prediction:
        """Count one frame with its true labels `(H, W)`; returns the prediction without what is ignored."""
        mask, ignored = targets_of(labels), ignored_of(labels)
        if ignored is not None:
            prediction = leave_out(prediction, ignored, mask)
        probability = prediction.probability if self.curve else None
        own: dict[str, Any] = {}
        if self.of_boxes:
            own = {
                "boxes": suppress_for_pictures(prediction.detections),
                "threshold": prediction.threshold,
                "true_boxes": frame.boxes if frame.mask is None else None,
            }
        for name, parts in self.by_rule.items():
            parts.setdefault(frame.sequence, SegmentationMetrics(name)).update(
                prediction.mask, mask, probability, ignored=ignored, **own
            )
        for faulty in self.by_counting.values():
            faulty.update(prediction.mask, mask, ignored=ignored)
        return prediction

    def evaluation(self, dataset: Dataset, seconds: float, counting: float) -> Evaluation:
        """All that was counted, by the first of the rules; times in seconds. Every process takes part."""
        rule = next(iter(self.by_rule))
        by_rule = {name: join_parts(dataset, parts) for name, parts in self.by_rule.items()}
        overall, subsets = sum_up(dataset, by_rule[rule], lambda: SegmentationMetrics(rule))
        return Evaluation(
            overall,
            subsets,
            {name: part.compute() for name, part in by_rule[rule].items()},
            overall.compute()["frames"],
            seconds,
            counting,
            by_rule,
            self.by_counting,
        )


def evaluate_sequences(
    predictor: Predictor,
    dataset: Dataset,
    *,
    rule: str = "centroid",
    curve: bool = True,
    batch_size: int = 1,
    workers: int = 2,
    limit: int = 0,
    quiet: bool = False,
    title: str = "",
    on_frame: Callable[[Frame, Prediction], None] | None = None,
    on_bad_frame: Callable[[UserError], None] | None = None,
    extra_rules: Sequence[str] = (),
    countings: Sequence[str] = (),
    filled: bool = False,
    observe: Callable[[Frame, np.ndarray, np.ndarray, Prediction], Any] | None = None,
) -> Evaluation:
    """Predict every frame of a dataset's sequences once and count pixels and components of the masks.

    Of several processes that train together all call this: they share the sequences, and each gets the whole result.

    Args:
        predictor: what is measured, at its own threshold. A detector's boxes are its components and, filled, its masks.
        dataset: whose frames all have masks. For a detector boxes stand in for masks that are not there.
        rule: what counts as found, see `utils.metrics.segmentation`.
        curve: count at many thresholds too, for `SegmentationMetrics.curve`.
        batch_size: clips that go through the network together.
        workers: threads that read frames ahead; every file is read once.
        limit: only so many frames at the start of each sequence (0: all).
        quiet: no progress bar.
        title: stands in front of it.
        on_frame: called after each prediction.
        on_bad_frame: told of each frame that cannot be read, which is left out; without it such a frame stops.
        extra_rules: further rules to count by.
        countings: faulty ones (`utils.metrics.published_countings`) to count by as well, in a single process.
        filled: boxes stand in for masks that are not there, whatever predicts.
        observe: called after each prediction with the frame, its image `(H, W)`, its true mask `(H, W)` bool and the
            prediction without what is ignored; its time counts as counting.

    Raises: `UserError` where a file cannot be read, or a frame has no mask.
    """
    counts = _MaskCounts((rule, *extra_rules), countings, curve, predictor.settings.task == "detection")

    def load(frame: Frame) -> tuple[Frame, np.ndarray, tuple[np.ndarray, np.ndarray]]:
        image = read_frame(frame.image)
        return frame, image, (image, true_labels(frame, image, filled or counts.of_boxes))

    began, counting = time.perf_counter(), 0.0
    for frame, (image, labels), prediction in _predict(
        predictor, dataset, _skip_bad(load, on_bad_frame), batch_size, workers, limit, quiet, title
    ):
        predicted = time.perf_counter()
        judged = counts.add(frame, labels, prediction)
        if observe is not None:
            observe(frame, image, targets_of(labels), judged)
        counting += time.perf_counter() - predicted
        if on_frame is not None:
            on_frame(frame, prediction)
    return counts.evaluation(dataset, time.perf_counter() - began, counting)


def evaluate_detection(
    predictor: Predictor,
    dataset: Dataset,
    *,
    classes: bool = True,
    least_side: float = 0,
    batch_size: int = 1,
    workers: int = 2,
    limit: int = 0,
    quiet: bool = False,
    title: str = "",
    on_frame: Callable[[Frame, Prediction], None] | None = None,
    on_bad_frame: Callable[[UserError], None] | None = None,
    observe: BoxObserver | None = None,
) -> DetectionEvaluation:
    """Predict every frame once and compare boxes (`Prediction.detections`); processes share as in `evaluate_sequences`.

    Args:
        predictor: a detector, or a segmentation network, whose components are its boxes.
        dataset: whose frames all have boxes or masks; of the latter, the components' boxes count.
        classes: whether classes are told apart; else all targets and all detections are of class 0.
        least_side: pixels that sides of detections grow to: components' boxes are tight, many datasets' at least 8×8.
        batch_size: as of `evaluate_sequences`.
        workers: likewise.
        limit: likewise.
        quiet: likewise.
        title: likewise.
        on_frame: likewise.
        on_bad_frame: likewise.
        observe: called with each frame, its image, and its detections, true boxes and regions to ignore as counted.

    Raises: `UserError` where a file cannot be read, a frame lacks boxes and mask, or the network does not know a class.
    """
    load = partial(_read_with_boxes, settings=predictor.settings, classes=classes)
    began, watching = time.perf_counter(), 0.0
    metrics: dict[str, DetectionMetrics] = {}
    detections: dict[str, list[tuple[Frame, np.ndarray]]] = {}
    for frame, (image, boxes, ignored), prediction in _predict(
        predictor, dataset, _skip_bad(load, on_bad_frame), batch_size, workers, limit, quiet, title
    ):
        counted = metrics.setdefault(frame.sequence, DetectionMetrics())
        seen = prediction
        if seen.expected_false is not None:  # a threshold of its own, below which it lists nothing
            seen = at_threshold(seen, predictor.settings.threshold)
        seen = leave_out(seen, *ignored) if ignored else seen
        found = round_detections(grow(seen.detections, least_side))
        detections.setdefault(frame.sequence, []).append((frame, count_boxes(counted, frame, found, boxes, classes)))
        if observe is not None:
            before = time.perf_counter()
            observe(frame, image, counted.found[-1], counted.true[-1], counted.ignored[-1])
            watching += time.perf_counter() - before
        if on_frame is not None:
            on_frame(frame, prediction)
    metrics = join_parts(dataset, metrics)
    overall, subsets = sum_up(dataset, metrics, DetectionMetrics)
    listed = [item for part in join_parts(dataset, detections).values() for item in part]
    return DetectionEvaluation(overall, subsets, metrics, listed, time.perf_counter() - began - watching)


def _read_with_boxes(frame: Frame, settings: ClipSettings, classes: bool) -> tuple[Frame, np.ndarray, tuple]:
    """A frame, its image, and image, true boxes and ignored pixels, as `evaluate_detection` counts them."""
    image = read_frame(frame.image)
    boxes = true_boxes(frame, image.shape)
    if classes and len(boxes) and boxes[:, 4].max() >= settings.num_classes:
        raise UserError(
            f"{frame.image}: found a target of class {boxes[:, 4].max():.0f}, expected classes 0 to "
            f"{settings.num_classes - 1}, which {settings.name or 'the network'} tells apart; use "
            "other weights, or --class-agnostic"
        )
    return frame, image, (image, boxes, ignored_pixels(frame, image.shape))


def compare_detections(
    dataset: Dataset,
    found: dict[str, np.ndarray],
    *,
    classes: bool = True,
    least_side: float = 0,
    limit: int = 0,
    observe: BoxObserver | None = None,
) -> DetectionEvaluation:
    """`evaluate_detection` for detections made elsewhere; no image is decoded, unless there is something to observe.

    Args:
        dataset: as there.
        found: for an image's path (`Frame.image`) its detections `(N, 6)`; images that are not in it have none.
        classes: as there.
        least_side: as there.
        limit: as there.
        observe: as there.
    """
    began = time.perf_counter()
    metrics: dict[str, DetectionMetrics] = {}
    detections = []
    for name, frames in dataset.sequences.items():
        counted = metrics[name] = DetectionMetrics()
        for frame in frames[: limit or None]:
            ignored, own = ignored_pixels(frame), found.get(frame.image, np.zeros((0, 6)))
            own = grow(leave_out_ignored(own, *ignored) if ignored else own, least_side)
            detections.append((frame, count_boxes(counted, frame, own, true_boxes(frame), classes)))
            if observe is not None:
                observe(frame, read_frame(frame.image), counted.found[-1], counted.true[-1], counted.ignored[-1])
    overall, subsets = sum_up(dataset, metrics, DetectionMetrics)
    return DetectionEvaluation(overall, subsets, metrics, detections, time.perf_counter() - began)


def round_detections(detections: np.ndarray) -> np.ndarray:
    """Detections `(N, 6)` → float64 as written: boxes to 1/1000 pixel, scores to 9 digits, which float32 needs."""
    result = np.round(np.asarray(detections, np.float64), 3)
    result[:, 4] = [float(f"{score:.9g}") for score in detections[:, 4]]
    return result


def _skip_bad(
    load: Callable[[Frame], Result], on_bad_frame: Callable[[UserError], None] | None
) -> Callable[[Frame], Result | None]:
    """`load`, which gives None where it would raise `UserError`, as long as somebody is to be told."""

    def tolerant(frame: Frame) -> Result | None:
        try:
            return load(frame)
        except UserError as error:
            if on_bad_frame is None:
                raise
            on_bad_frame(error)
            return None

    return tolerant


def _predict(
    predictor: Predictor,
    dataset: Dataset,
    load: Callable[[Frame], tuple[Frame, np.ndarray, Any] | None],
    batch_size: int,
    workers: int,
    limit: int,
    quiet: bool,
    title: str,
) -> Iterator[tuple[Frame, Any, Prediction]]:
    """Every frame, sequence by sequence, with its truth and prediction.

    `load` gives frame, image and truth, or None for a frame to leave out.
    """
    frames = [frame for name in pick_share(dataset, limit) for frame in dataset.sequences[name][: limit or None]]
    with tqdm.tqdm(
        total=len(frames),
        desc=title or None,
        unit=" frames",
        disable=quiet,
        leave=False,
        dynamic_ncols=True,
        mininterval=0.5,
    ) as bar:
        for _, loaded in groupby(filter(None, read_ahead(load, frames, workers)), key=lambda item: item[0].sequence):
            intake = intake_for(predictor.settings, dataset.root)
            items = ((*intake.take(frame.number, image), (frame, truth)) for frame, image, truth in loaded)
            for (frame, truth), prediction in predictor.stream_with(items, batch_size):
                yield frame, truth, prediction
                bar.update()
