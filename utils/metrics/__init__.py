"""Floor 6: counting and evaluating."""

from utils.metrics.detection import DetectionMetrics
from utils.metrics.segmentation import SegmentationMetrics

__all__ = ["DetectionMetrics", "SegmentationMetrics"]
