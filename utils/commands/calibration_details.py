"""What `test.py` and `vid_map_coco.py` say where each sequence finds its thresholds by itself (`--false-rate`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from utils.commands.detection_details import figures_of
from utils.commands.inputs import MAX_SEQUENCE_ROWS
from utils.datasets.dataset import Dataset
from utils.datasets.frame_table import Frame
from utils.metrics.detection import DetectionMetrics
from utils.metrics.evaluate import compare_detections
from utils.predictor.calibration.log import ThresholdLog
from utils.predictor.prediction import Prediction
from utils.system.tables import format_table

COLUMNS = (
    ("frames", "frames", "d"),
    ("threshold", "threshold_median", ".6f"),
    ("false/frame expected", "expected_false_per_frame", ".3f"),
    ("false/frame", "false_per_frame", ".3f"),
    ("Pd", "pd", ".4f"),
)


class CalibrationLog:
    """The thresholds of every sequence, and the detections above each frame's own.

    Args:
        rate: false components a frame that are asked for.
    """

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.sequences: dict[str, ThresholdLog] = {}
        self.found: dict[str, np.ndarray] = {}

    def add(self, frame: Frame, prediction: Prediction) -> None:
        """Take in a frame's prediction."""
        self.sequences.setdefault(frame.sequence, ThresholdLog()).add(prediction)

    def add_detections(self, frame: Frame, prediction: Prediction) -> None:
        """Take in a frame's prediction, and keep its detections above the threshold."""
        self.add(frame, prediction)
        detections = prediction.detections
        self.found[frame.image] = detections[detections[:, 4] > np.float32(prediction.threshold)]

    def content(self, figures: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """What joins metrics.json.

        Args:
            figures: of every sequence at its thresholds; `pd` and `false_per_frame` are taken.
        """
        rows = {
            name: log.as_dict() | {key: figures[name][key] for key in ("pd", "false_per_frame")}
            for name, log in self.sequences.items()
        }
        return {"false_rate": self.rate, "labels_used": False, "sequences": rows}


def describe_calibration(content: Mapping[str, Any]) -> list[str]:
    """What `CalibrationLog.content` gave, in lines."""
    rows = content["sequences"]
    table = [format_table(rows, COLUMNS, corner="sequence")] if len(rows) <= MAX_SEQUENCE_ROWS else []
    return [
        f"thresholds found without labels for up to {content['false_rate']:g} false components a frame, by sequence "
        "(threshold: the median of its frames)",
        *table,
    ]


def assess_found(log: CalibrationLog, dataset: Dataset, **counting: Any) -> tuple[dict[str, Any], list[str]]:
    """Boxes above their frames' own thresholds: figures, by centres, as metrics.json has them, and the same as lines.

    Args:
        log: with the detections of every frame.
        dataset: that was measured.
        counting: as of `compare_detections`.
    """
    result = compare_detections(dataset, log.found, **counting)

    def centre_figures(metrics: DetectionMetrics) -> dict[str, Any]:
        figures = figures_of(metrics, 0.0)
        return figures | {"false_per_frame": figures["centre_false_per_frame"]}

    content = log.content({name: centre_figures(metrics) for name, metrics in result.sequences.items()})
    content["overall"] = figures_of(result.overall, 0.0)
    return content, describe_calibration(content)
