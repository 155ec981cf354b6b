"""What is found in one frame: components of a mask, boxes of a detector, and each family's results as the other's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from utils.images.boxes import box_pixels, leave_out_ignored, suppress
from utils.images.components import boxes_of, label, label_levels, match, peaks_of

PICTURE_NMS = 0.3  # IoU above which the less sure one of two boxes is neither drawn nor counted as a component
MAX_DETECTIONS = 100  # of a frame that COCO's AP looks at, the surest: kept, whatever their scores
SURE_SCORE = 0.3  # above it, or above a lower threshold, a detector's further boxes are kept: frames may be crowded
MAX_SURE_DETECTIONS = 1000  # of a frame, these included
# Levels below the operating threshold at which weaker components are looked for: whole steps of the logit.
WEAKER_LEVELS = 1 / (1 + np.exp(-np.arange(-5.0, 13.0)))


@dataclass(frozen=True, slots=True)
class Component:
    """One found (or true) target.

    `box` is x1, y1, x2, y2 in pixels of the original frame, right and bottom exclusive; `centroid` is (x, y) with pixel
    centres at whole numbers; `area` is in pixels; `category` is a detector's class, from 0.
    """

    score: float
    box: tuple[float, float, float, float]
    centroid: tuple[float, float]
    area: int
    category: int = 0


@dataclass(frozen=True, slots=True)
class TrackPoint:
    """A detection that belongs to track `id`.

    `x, y` are the box's left upper corner, all in pixels of the frame; `speed` is in pixels a frame, against the scene
    where its motion is known; `detection` is the index among the frame's components.
    """

    id: int
    frame: int
    x: float
    y: float
    w: float
    h: float
    score: float
    speed: float
    detection: int = -1


@dataclass(frozen=True, eq=False)
class Prediction:
    """What was found in one frame of H×W pixels, in that frame's own pixels.

    Of a segmentation network, `probability` is `(H, W)` float32 in [0, 1], `mask` is `probability > threshold`,
    `components` are the mask's 8-connected components in raster order, each with its largest probability as score.

    Of a detector, `boxes` are its detections, and of those that NMS at 0.3 leaves for pictures, `components` are the
    ones whose score exceeds the threshold, the surest first, and `probability` is at each pixel the largest score of
    those that cover it (0 where none does); `mask` is `probability > threshold` as before.

    Where the threshold was found from the source itself (`utils.predictor.calibration`), `expected_false` are the false
    components a frame that are expected at it.

    Where frames were aligned, `shift` is x, y in pixels by which the scene has moved since the frame before. Where only
    what is confirmed is reported (`utils.predictor.tracking`), `tracks` are those of the components, by id.
    """

    number: int
    probability: np.ndarray
    mask: np.ndarray
    components: tuple[Component, ...]
    threshold: float = 0.5
    boxes: np.ndarray | None = None
    expected_false: float | None = None
    shift: tuple[float, float] | None = None
    tracks: tuple[TrackPoint, ...] | None = None

    @cached_property
    def detections(self) -> np.ndarray:
        """`(N, 6)` float32: x1, y1, x2, y2, score, class; the surest first, as many as `keep_surest` says.

        A detector's own, or `rank_components`, made when first asked for.
        """
        return rank_components(self.probability, self.threshold) if self.boxes is None else self.boxes


def components_of(mask: np.ndarray, probability: np.ndarray | None = None) -> tuple[Component, ...]:
    """The 8-connected components of a mask `(H, W)` bool in raster order; score 1 without `probability` `(H, W)`."""
    found = label(mask)
    scores = np.ones(len(found)) if probability is None else peaks_of(found, probability.reshape(-1)[found.pixel])
    boxes = boxes_of(found, mask.shape[1])
    return tuple(
        Component(float(score), tuple(map(float, box)), (float(x), float(y)), int(area))
        for score, box, (y, x), area in zip(scores, boxes, found.centroid, found.area, strict=True)
    )


def rank_components(probability: np.ndarray, threshold: float) -> np.ndarray:
    """A probability map as a list of detections that can be ranked, as average precision needs it.

    First come the components at the threshold, as they are reported, each with its peak as score. A component at a
    lower level (whole steps of the logit below the threshold, down to about 0.007) joins them where it holds none of a
    higher level, also with its peak as score, which is below the threshold then. So whatever the cut through the list,
    no pixel is in two detections, and the cut at the threshold gives exactly what the network reports there.

    Args:
        probability: `(H, W)` float32 in [0, 1].
        threshold: at which the network is used.

    Returns:
        As `Prediction.detections`; the class is 0.
    """
    # float32, so that a pixel exceeds a level here where it exceeds the threshold there.
    levels = np.unique(np.append(WEAKER_LEVELS[threshold > WEAKER_LEVELS], threshold).astype(np.float32))
    flat = probability.reshape(-1)
    pixel = np.flatnonzero(flat > levels[0])
    height = np.zeros(flat.size, np.int64)
    height[pixel] = np.searchsorted(levels, flat[pixel], side="left")
    found = label_levels(pixel, height[pixel], probability.shape[1], len(levels))
    first = peaks_of(found, height[found.pixel]) == found.level
    scores = peaks_of(found, flat[found.pixel])
    rows = np.concatenate([boxes_of(found, probability.shape[1]), scores[:, None], np.zeros((len(found), 1))], 1)
    return keep_surest(rows[first], threshold)


def match_components(targets: Sequence[Component], found: Sequence[Component]) -> np.ndarray:
    """Which target each found component hits, -1 for none: the centroid rule of `utils.metrics.segmentation`.

    Returns:
        `(len(found),)` int64 indices into `targets`.
    """
    return match(*(np.array([item.centroid for item in items]).reshape(-1, 2) for items in (targets, found)))


def keep_surest(boxes: np.ndarray, sure: float) -> np.ndarray:
    """The detections of a frame that are kept.

    Args:
        boxes: `(N, 6)` x1, y1, x2, y2, score, class.
        sure: score above which a detection is kept, however many there are.

    Returns:
        `(M, 6)` float32, the surest first: 100, or where more than these exceed `sure`, all that do, up to 1,000.
    """
    boxes = boxes[np.argsort(-boxes[:, 4], kind="stable")].astype(np.float32)
    count = np.count_nonzero(boxes[:, 4] > np.float32(sure))
    return boxes[: min(max(count, MAX_DETECTIONS), MAX_SURE_DETECTIONS)]


def box_component(box: Sequence[float], score: float = 1.0) -> Component:
    """A box x1, y1, x2, y2, …, class as a component: its centroid is the centre, its area the box's, at least 1."""
    x1, y1, x2, y2 = map(float, box[:4])
    return Component(
        float(score),
        (x1, y1, x2, y2),
        ((x1 + x2 - 1) / 2, (y1 + y2 - 1) / 2),
        max(1, round((x2 - x1) * (y2 - y1))),
        int(box[-1]),
    )


def paint_scores(boxes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """`(H, W)` float32: at each pixel the largest score of the boxes `(N, 6)`, the surest first, that cover its centre.

    A box that covers no pixel's centre counts for the pixel that its own centre lies in.
    """
    canvas = np.zeros(shape, np.float32)
    for box in boxes[::-1]:
        canvas[box_pixels(box, shape)] = box[4]
    return canvas


def suppress_for_pictures(boxes: np.ndarray) -> np.ndarray:
    """Of detections `(N, 6)` float32, the surest first, those that are drawn and counted as components.

    They are what NMS at 0.3 leaves, in double precision.
    """
    return suppress(boxes.astype(np.float64), PICTURE_NMS).astype(np.float32)


def from_probability(number: int, probability: np.ndarray, threshold: float) -> Prediction:
    """The prediction of a segmentation network that gives `probability` `(H, W)` float32 for frame `number`."""
    mask = probability > threshold
    return Prediction(number, probability, mask, components_of(mask, probability), threshold)


def leave_out(prediction: Prediction, ignored: np.ndarray, targets: np.ndarray) -> Prediction:
    """A prediction without what is ignored.

    Its pixels there are not predicted, before components are made; of a detector `leave_out_ignored` decides.

    Args:
        prediction: of a frame of H×W pixels.
        ignored: `(H, W)` bool.
        targets: likewise.
    """
    if not ignored.any():
        return prediction
    if prediction.boxes is not None:
        boxes = leave_out_ignored(prediction.boxes, ignored, targets)
        left = from_boxes(prediction.number, boxes, ignored.shape, prediction.threshold)
    else:
        left = prediction
    probability, mask = np.where(ignored, np.float32(0), left.probability), left.mask & ~ignored
    components = left.components if left.boxes is not None else components_of(mask, probability)
    left = replace(prediction, probability=probability, mask=mask, components=components, boxes=left.boxes)
    return left if prediction.tracks is None else replace(left, tracks=_follow_components(prediction, left))


def _follow_components(prediction: Prediction, left: Prediction) -> tuple[TrackPoint, ...]:
    """The tracks of those components of a prediction that are `left`, whole or, of a mask the first part of each."""
    if prediction.boxes is None:
        before, after = label(prediction.mask), label(left.mask)
        first_pixels = after.pixel[np.unique(after.owner, return_index=True)[1]]
        origins = before.owner[np.searchsorted(before.pixel, first_pixels)].tolist()
    else:
        known = {one: index for index, one in enumerate(prediction.components)}
        origins = [known.get(one, -1) for one in left.components]
    parts: dict[int, int] = {}
    for index, origin in enumerate(origins):
        parts.setdefault(origin, index)
    return tuple(replace(one, detection=parts[one.detection]) for one in prediction.tracks if one.detection in parts)


def from_boxes(number: int, boxes: np.ndarray, shape: tuple[int, int], threshold: float) -> Prediction:
    """The prediction of a detector that finds `boxes` `(N, 6)` in frame `number` of `shape` (H, W) pixels."""
    boxes = keep_surest(boxes, min(threshold, SURE_SCORE))
    shown = suppress_for_pictures(boxes)
    probability = paint_scores(shown, shape)
    components = tuple(box_component(box, box[4]) for box in shown if box[4] > threshold)
    return Prediction(number, probability, probability > threshold, components, threshold, boxes)
