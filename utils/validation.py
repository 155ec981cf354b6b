"""Figures on the frames set aside: they choose the epoch and the threshold."""
from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from utils.config import TrainConfig
from utils.datasets import Dataset
from utils.detection_metrics import DetectionMetrics
from utils.distributed import rank
from utils.errors import UserError
from utils.evaluate import evaluate_detection, evaluate_sequences
from utils.holdout import choose_threshold
from utils.log import shown
from utils.predictor import Predictor

SHOWN = {"pd": "Pd", "fa": "Fa", "ap50": "AP50", "centre_ap": "centre AP", "centre_f1": "centre F1",
         "false_per_frame": "false/frame", "iou": "IoU", "niou": "nIoU", "threshold": "at threshold"}
# What of two epochs decides which is the better one; of equals the next.
RANKS = ("choice", "pd_in_budget", "iou", "centre_f1")


def validate(predictor: Predictor, dataset: Dataset, config: TrainConfig,
             on_frame: Callable[..., None] | None = None,
             on_bad_frame: Callable[[UserError], None] | None = None) -> dict[str, Any]:
    """Figures of a network on `dataset`, at the threshold that serves it best there (or the recipe's fixed one); of
    several processes all call this, and share the sequences. `on_frame` is called after each prediction, `on_bad_frame`
    for each frame that cannot be read, which is then left out.

    For detectors `choice`, the mean of AP50 and centre AP, ranks the epochs: of boxes of a few pixels AP50 alone is
    brittle, and centre AP alone does not see their size.
    """
    measure = evaluate_detection if predictor.task == "detection" else evaluate_sequences
    overall = measure(predictor, dataset, batch_size=4, quiet=config.quiet or rank() > 0, title="validation",
                      on_frame=on_frame, on_bad_frame=on_bad_frame).overall
    if predictor.task != "detection":
        return choose_threshold(overall.curve(), config.fa_budget, config.false_budget, config.threshold)
    figures = overall.compute(config.threshold or best_score(overall), areas=False)
    kept = ("threshold", "ap50", "ap", "centre_ap", "precision", "recall", "f1", "pd", "centre_precision", "centre_f1",
            "centre_false_per_frame", "false_per_frame")
    return {name: figures[name] for name in kept} | {"choice": (figures["ap50"] + figures["centre_ap"]) / 2}


def best_score(metrics: DetectionMetrics) -> float:
    """The score above which detections have the best F1 by the centre rule, 0.5 where none hits."""
    curve = metrics.curve("centre")
    if not np.nan_to_num(curve["f1"]).any():
        return 0.5
    return float(curve["threshold"][np.nan_to_num(curve["f1"]).argmax()])


def better(new: dict[str, Any] | None, best: dict[str, Any]) -> bool:
    """Whether `new` figures are a better choice: for masks Pd within the false-alarm budget first, then IoU; for boxes
    the mean of AP50 and centre AP first, then F1 by centres."""
    if not new:
        return False
    return not best or _rank(new) > _rank(best)


def _rank(figures: dict[str, Any]) -> tuple[float, ...]:
    values = [figures[name] for name in RANKS if name in figures]
    return tuple(-1.0 if value is None or math.isnan(value) else float(value) for value in values)


def figures_line(figures: dict[str, Any]) -> str:
    """The figures that people look at, in a line."""
    return "  ".join(f"{text} {shown(figures[name])}" for name, text in SHOWN.items() if name in figures)
