"""Measure one method on a dataset: everything that the page says about it, as a plain dictionary."""
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from utils.datasets.dataset import Dataset
from utils.datasets.frame_table import Frame
from utils.images.box_masks import boxes_of_mask
from utils.images.boxes import grow
from utils.images.components import label, peaks_of
from utils.metrics import bootstrap
from utils.metrics.breakdown import TargetLog
from utils.metrics.detection import DetectionMetrics
from utils.metrics.evaluate import Evaluation, evaluate_sequences, merge_classes, round_detections
from utils.metrics.published_countings import COUNTINGS
from utils.metrics.segmentation import MASK_RULES, SegmentationMetrics
from utils.metrics.target_facts import TargetFacts
from utils.predictor.prediction import Prediction
from utils.predictor.predictor import Predictor
from utils.render.contact_sheet import Tile, alarm_tiles, miss_tiles
from utils.report.frames import FALSE, HIT, encoded, webp

RULE = "centroid"
MAX_CURVE_POINTS = 150  # of a curve on the page
TILE_QUALITY = 80


class Watch:
    """Takes note of all that one method finds: boxes of every frame, and of those in `shown` (image paths)
    components and the numbers of the true targets that are missed."""

    def __init__(self, facts: TargetFacts, shown: frozenset[str], least_side: float) -> None:
        self.log = TargetLog(facts, RULE)
        self.shown, self.least_side = shown, least_side
        self.boxes: dict[str, DetectionMetrics] = {}
        self.components: dict[str, list[Any]] = {}

    def __call__(self, frame: Frame, image: np.ndarray, mask: np.ndarray, prediction: Prediction) -> None:
        hits, false = self.log(frame, image, mask, prediction)
        true = boxes_of_mask(mask) if frame.boxes is None else np.array(frame.boxes, np.float64).reshape(-1, 5)[:, :4]
        found = merge_classes(round_detections(grow(prediction.detections, self.least_side)))
        self.boxes.setdefault(frame.sequence, DetectionMetrics()).update(
            found, np.concatenate([true, np.zeros((len(true), 1))], 1))
        if frame.image in self.shown:
            components = label(prediction.mask)
            wrong = np.isin(components.pixel, false.pixel)
            kind = np.full(len(components), HIT)
            kind[components.owner[wrong]] = FALSE
            scores = peaks_of(components, prediction.probability.reshape(-1)[components.pixel])
            self.components[frame.image] = [np.flatnonzero(~hits).tolist(),
                                            encoded(components, mask.shape[1], kind, scores)]


def measure(name: str, predictor: Predictor, dataset: Dataset, facts: TargetFacts, shown: frozenset[str], *,
            least_side: float = 0, draws: int = bootstrap.DRAWS, **settings: Any) -> dict[str, Any]:
    """Predict every frame once and count everything.

    Args:
        name: of the method, for people.
        predictor: at its own threshold.
        dataset: whose frames have masks, or boxes.
        facts: of the dataset, shared by the methods.
        shown: image paths of the frames that the page shows.
        least_side: of the boxes found, see `vid_map_coco.py --least-box`.
        draws: resamples for intervals, at least 1.
        settings: of `evaluate_sequences`.
    Returns:
        What `utils.report.page` needs of a method, without pictures of frames; numbers, lists and text alone.
    """
    watch = Watch(facts, shown, least_side)
    result = evaluate_sequences(predictor, dataset, rule=RULE, also=MASK_RULES, compat=tuple(COUNTINGS), observe=watch,
                                title=name, **settings)
    parts, curve = result.by_rule[RULE], result.overall.curve()
    boxes = DetectionMetrics()
    for part in watch.boxes.values():
        boxes.merge(part)
    settings = predictor.settings
    spread = bootstrap.segmentation_draws(list(parts.values()), draws)
    seconds = max(result.seconds - result.counting, 1e-9)
    limits = {f"pd_at_fa_{limit:.0e}": pd for limit, pd in curve["pd_at_fa"].items()}
    return {
        "name": name, "network": settings.name, "task": settings.task, "threshold": settings.threshold,
        "frames_per_second": result.frames / seconds, "counting_seconds": result.counting,
        "figures": result.overall.compute() | limits | {key: curve[key] for key in ("pixel_auc", "pd_fa_auc")},
        "intervals": bootstrap.intervals(spread),
        "rules": _rules(result), "rule_intervals": _rule_intervals(result, draws),
        "subsets": {key: metrics.compute() for key, metrics in result.subsets.items()},
        "sequences": result.sequences,
        "bands": watch.log.bands(draws),
        "roc": {key: curve[key].tolist() for key in ("threshold", "fa", "pd")},
        "detection": boxes.compute(settings.threshold, areas=False),
        "detection_intervals": bootstrap.intervals(
            bootstrap.detection_draws(list(watch.boxes.values()), settings.threshold, draws)),
        "pr": {rule: thinned(boxes.curve(rule)) for rule in ("centre", "iou")},
        "compat": {key: metrics.compute() for key, metrics in result.counted.items()},
        "alarms": _tiles(alarm_tiles(watch.log)), "misses": _tiles(miss_tiles(watch.log)),
        "draws": {key: spread[key] for key in ("pd", "f1", "iou")},
        "frames": watch.components,
    }


def _rules(result: Evaluation) -> dict[str, dict[str, Any]]:
    return {rule: sum(parts.values(), SegmentationMetrics(rule)).compute() for rule, parts in result.by_rule.items()}


def _rule_intervals(result: Evaluation, draws: int) -> dict[str, dict[str, tuple[float, float]]]:
    return {rule: bootstrap.intervals(bootstrap.segmentation_draws(list(parts.values()), draws, curve=False))
            for rule, parts in result.by_rule.items() if rule != RULE}


def thinned(curve: dict[str, np.ndarray]) -> dict[str, list[float]]:
    """At most `MAX_CURVE_POINTS` points in ascending recall, about evenly spaced in it, with the first and last."""
    recall, precision = curve["recall"][::-1], curve["precision"][::-1]
    if not len(recall) or np.isnan(recall).any():
        return {"recall": [], "precision": []}
    pick = np.unique(np.searchsorted(recall, np.linspace(recall[0], recall[-1], MAX_CURVE_POINTS - 1)))
    pick = np.unique(np.append(pick, len(recall) - 1))
    return {"recall": np.round(recall[pick], 5).tolist(), "precision": np.round(precision[pick], 5).tolist()}


def _tiles(tiles: Sequence[Tile]) -> list[dict[str, Any]]:
    return [{"p": webp(tile.picture, TILE_QUALITY), "lines": list(tile.lines)} for tile in tiles]
