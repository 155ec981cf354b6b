"""Measure one method on a dataset: everything that the page says about it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from utils.datasets.dataset import Dataset
from utils.datasets.frame_table import Frame
from utils.images.boxes import grow
from utils.images.components import label, peaks_of
from utils.metrics import bootstrap
from utils.metrics.breakdown import TargetLog
from utils.metrics.detection import BOX_RULES, DetectionMetrics
from utils.metrics.evaluate import Evaluation, evaluate_sequences, round_detections
from utils.metrics.published_countings import COUNTINGS
from utils.metrics.rules import MASK_RULES
from utils.metrics.segmentation import SegmentationMetrics
from utils.metrics.target_facts import TargetFacts
from utils.metrics.tracks import TrackLog, TrackRules, measure_tracks
from utils.metrics.truth import count_boxes, true_boxes
from utils.predictor.prediction import Prediction
from utils.predictor.predictor import Predictor
from utils.render.contact_sheet import Tile, alarm_tiles, miss_tiles
from utils.render.page_parts import FALSE_ALARM, HIT, encode_components, encode_webp
from utils.report.frames import FoundInFrame
from utils.report.results import Curve, FigureSet, MethodResult, TilePicture
from utils.system.errors import UserError

RULE = "centroid"
MAX_CURVE_POINTS = 150  # of a curve on the page
TILE_QUALITY = 80


class MethodObserver:
    """Takes note of all that one method finds.

    That is boxes of every frame, and of those in `shown` (image paths) components and the numbers of the true targets
    that are missed; with `rules` tracks, too.
    """

    def __init__(
        self, facts: TargetFacts, shown: frozenset[str], least_side: float, rules: TrackRules | None = None
    ) -> None:
        self.log = TargetLog(facts, RULE)
        self.shown, self.least_side = shown, least_side
        self.tracks = None if rules is None else TrackLog(rules)
        self.boxes: dict[str, DetectionMetrics] = {}
        self.found: dict[str, FoundInFrame] = {}

    def __call__(self, frame: Frame, image: np.ndarray, mask: np.ndarray, prediction: Prediction) -> None:
        hits, false = self.log(frame, image, mask, prediction)
        found = round_detections(grow(prediction.detections, self.least_side))
        counted = self.boxes.setdefault(frame.sequence, DetectionMetrics())
        count_boxes(counted, frame, found, true_boxes(frame, image.shape), classes=False)
        if self.tracks:
            self.tracks.add_prediction(frame, prediction)
        if frame.image in self.shown:
            components = label(prediction.mask)
            wrong = np.isin(components.pixel, false.pixel)
            kind = np.full(len(components), HIT)
            kind[components.owner[wrong]] = FALSE_ALARM
            scores = peaks_of(components, prediction.probability.reshape(-1)[components.pixel])
            self.found[frame.image] = FoundInFrame(
                np.flatnonzero(~hits).tolist(), encode_components(components, mask.shape[1], kind, scores)
            )

    def all_boxes(self) -> DetectionMetrics:
        """Those of all sequences."""
        boxes = DetectionMetrics()
        for part in self.boxes.values():
            boxes.merge(part)
        return boxes


def measure(
    name: str,
    predictor: Predictor,
    dataset: Dataset,
    facts: TargetFacts,
    shown: frozenset[str],
    *,
    least_side: float = 0,
    rules: TrackRules | None = None,
    draws: int = bootstrap.DRAWS,
    **settings: Any,
) -> MethodResult:
    """Predict every frame once and count everything.

    Args:
        name: of the method, for people.
        predictor: at its own threshold.
        dataset: whose frames have masks, or boxes.
        facts: of the dataset, shared by the methods.
        shown: image paths of the frames that the page shows.
        least_side: of the boxes found, see `vid_map_coco.py --least-box`.
        rules: by which its tracks are measured, if they are.
        draws: resamples for intervals, at least 1.
        settings: of `evaluate_sequences`.

    Raises:
        UserError: a file cannot be read.
    """
    observer = MethodObserver(facts, shown, least_side, rules)
    result = evaluate_sequences(
        predictor,
        dataset,
        rule=RULE,
        extra_rules=MASK_RULES,
        countings=tuple(COUNTINGS),
        observe=observer,
        title=name,
        **settings,
    )
    curve, boxes, threshold = result.overall.curve(), observer.all_boxes(), predictor.settings.threshold
    resampled = bootstrap.segmentation_draws(list(result.by_rule[RULE].values()), draws)
    resampled_boxes = bootstrap.detection_draws(list(observer.boxes.values()), threshold, draws)
    return MethodResult(
        name=name if predictor.verifier is None else f"{name}, verified",
        threshold=threshold,
        frames_per_second=result.frames / max(result.seconds - result.counting, 1e-9),
        rules=_figures_by_rule(result, curve, bootstrap.intervals(resampled), draws),
        detection=FigureSet(boxes.compute(threshold, areas=False), bootstrap.intervals(resampled_boxes)),
        sequences=result.sequences,
        bands=observer.log.bands(draws),
        roc=Curve(curve["fa"].tolist(), curve["pd"].tolist()),
        precision_recall={rule: thin_curve(boxes.curve(rule)) for rule in BOX_RULES},
        countings={key: metrics.compute() for key, metrics in result.by_counting.items()},
        alarms=_encode_tiles(alarm_tiles(observer.log)),
        misses=_encode_tiles(miss_tiles(observer.log)),
        draws={key: resampled[key] for key in ("pd", "f1", "iou")},
        found=observer.found,
        tracks=observer.tracks and measure_tracks(observer.tracks, dataset.subsets, draws),
    )


def _figures_by_rule(
    result: Evaluation, curve: dict[str, Any], intervals: bootstrap.Intervals, draws: int
) -> dict[str, FigureSet]:
    """Figures by every rule; those of `RULE`, whose `intervals` are given, with the single numbers of its `curve`."""
    numbers = {f"pd_at_fa_{limit:.0e}": pd for limit, pd in curve["pd_at_fa"].items()}
    numbers |= {key: curve[key] for key in ("pixel_auc", "pd_fa_auc")}
    sets = {RULE: FigureSet(result.overall.compute() | numbers, intervals)}
    for rule, parts in result.by_rule.items():
        if rule != RULE:
            resampled = bootstrap.segmentation_draws(list(parts.values()), draws, curve=False)
            sets[rule] = FigureSet(
                sum(parts.values(), SegmentationMetrics(rule)).compute(), bootstrap.intervals(resampled)
            )
    return sets


def thin_curve(curve: dict[str, np.ndarray]) -> Curve:
    """At most `MAX_CURVE_POINTS` points in ascending recall, about evenly spaced in it, with the first and last."""
    recall, precision = curve["recall"][::-1], curve["precision"][::-1]
    if not len(recall) or np.isnan(recall).any():
        return Curve([], [])
    pick = np.unique(np.searchsorted(recall, np.linspace(recall[0], recall[-1], MAX_CURVE_POINTS - 1)))
    pick = np.unique(np.append(pick, len(recall) - 1))
    return Curve(np.round(recall[pick], 5).tolist(), np.round(precision[pick], 5).tolist())


def _encode_tiles(tiles: Sequence[Tile]) -> list[TilePicture]:
    return [TilePicture(encode_webp(tile.picture, TILE_QUALITY), tile.lines) for tile in tiles]


def names_of(sources: Sequence[str]) -> list[str]:
    """A short name for each method: a run's folder, with as many folders above it as it takes to tell them apart.

    Raises:
        UserError: one source comes twice.
    """
    folders = [Path(source).parent if Path(source).name == "best.pt" else Path(source) for source in sources]
    folders = [folder if folder.parts else folder.absolute() for folder in folders]  # "." has no name of its own
    for depth in range(1, max(len(folder.parts) for folder in folders) + 1):
        names = ["/".join(folder.parts[-depth:]) for folder in folders]
        if len(set(names)) == len(names):
            return names
    twice = next(source for source, folder in zip(sources, folders, strict=True) if folders.count(folder) > 1)
    raise UserError(f"{twice}: found twice, expected every run and method once; leave one out")
