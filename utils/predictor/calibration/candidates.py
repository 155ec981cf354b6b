"""Candidates of a prediction, at any score, and the prediction at another threshold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from utils.images.components import label, peaks_of
from utils.predictor.calibration.calibrator import MAX_CANDIDATES
from utils.predictor.prediction import Prediction, from_boxes, from_probability, suppress_for_pictures
from utils.system.packages.late import cv2

PEAK_SQUARE = np.ones((11, 11), np.uint8)  # pixels: large targets have several peaks, but are one candidate
LEAST_PROBABILITY = 1e-4  # below which nobody looks for candidates
LARGEST_SHARE = float(np.nextafter(np.float32(1), np.float32(0)))  # largest probability below 1 in single precision


def logit_of(probability: np.ndarray | float) -> np.ndarray:
    """Probabilities in [0, 1] as float64 logits; 0 and 1 as the nearest numbers of single precision beside them."""
    share = np.clip(np.asarray(probability, np.float64), 1 - LARGEST_SHARE, LARGEST_SHARE)
    return np.log(share) - np.log1p(-share)


def probability_of(logit: float) -> float:
    """The probability of a logit, such as single precision holds; from that of 1 on, it is 1, which nothing exceeds."""
    return 1.0 if logit >= logit_of(1.0) else float(np.float32(1 / (1 + np.exp(-logit))))


def candidates_of(prediction: Prediction) -> tuple[np.ndarray, np.ndarray]:
    """What a prediction may turn out to hold at any threshold, the surest first, at most `MAX_CANDIDATES`.

    Of a detector they are its boxes that NMS leaves for pictures; of a segmentation network the peaks of its map, which
    are the largest of 11×11 pixels each; a plateau is one.

    Returns:
        Centres `(N, 2)` x, y in pixels of the frame, and scores `(N,)` as logits, float64.
    """
    if prediction.boxes is not None:
        boxes = suppress_for_pictures(prediction.boxes)[:MAX_CANDIDATES].astype(np.float64)
        boxes = boxes[boxes[:, 4] > LEAST_PROBABILITY]
        return (boxes[:, :2] + boxes[:, 2:4] - 1) / 2, logit_of(boxes[:, 4])
    probability = prediction.probability
    peaks = label((probability > LEAST_PROBABILITY) & (probability == cv2.dilate(probability, PEAK_SQUARE)))
    scores = peaks_of(peaks, probability.reshape(-1)[peaks.pixel])
    surest = np.argsort(-scores, kind="stable")[:MAX_CANDIDATES]
    return peaks.centroid[surest, ::-1], logit_of(scores[surest])


def at_threshold(prediction: Prediction, threshold: float) -> Prediction:
    """The same prediction as its network gives it at another threshold of probability."""
    if prediction.boxes is not None:
        found = from_boxes(prediction.number, prediction.boxes, prediction.mask.shape, threshold)
    else:
        found = from_probability(prediction.number, prediction.probability, threshold)
    return replace(found, shift=prediction.shift)
