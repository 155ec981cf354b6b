"""IoU, nIoU, pixel accuracy, Pd, Fa and their curves over the threshold, from integer counts.

Counts are summed over the set and divided once, so that parts measured apart (sequences, processes) add up to exactly
the figures of the whole.

- `iou` (the papers' mIoU): Σ intersection / Σ union over all frames, pooled.
- `niou`: mean over the frames that have a target of the frame's IoU. Frames without targets are left out of this mean,
  unless `compute` is told otherwise (`utils.metrics.figures.EMPTY_FRAMES`).
- `pixel_accuracy`: Σ intersection / Σ target pixels; `pixel_precision`: … / Σ predicted pixels; `pixel_f1` of the two.
- `pd`: targets found / targets; a target is an 8-connected component of the mask.
- `fa`: false pixels / all pixels, frames without targets included.
- `precision`: targets found / (targets found + false components); `f1`: harmonic mean of `precision` and `pd`.
- `false_per_frame`: false components / frames.

What is divided by nothing (Pd of a set without targets) is NaN, never 0 or 1.

Rule `centroid`: targets in raster order each take the first prediction component (raster order) that is not yet taken
and whose centroid is less than 3 px away; the pixels of the components that nobody took are false.
Rule `shooting` (DTUM, also used for NUDT-MIRSDT): a target is found if any predicted pixel lies in the 3×3 around any
of its pixels; predicted pixels outside the 9×9 around all target pixels are false, false components are theirs.
Around means inside the frame: windows end at its border.
Boxes, where they are given, are components as they are, also where they touch or overlap; pixels count as masks have
them, and so does the rule `shooting`.

Ignored pixels are as if they were not there: they belong to no prediction, no target and not to all pixels, before
components are made. A box is left out where more than half of its pixels are ignored and none is a target's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from utils.images.boxes import leave_out_ignored, raster_order
from utils.images.components import (
    Components,
    components_of_boxes,
    label,
    match,
    repeat_at_levels,
)
from utils.images.masks.nested_components import nested_components
from utils.metrics.figures import NIOU_BITS, TALLIES, curves, figures
from utils.metrics.rules import MASK_RULES, shoot

# Evenly spaced in the logit from −4 to 12: networks differ in where their scores lie, and the interesting end of a
# Pd-Fa curve is at probabilities like 0.9999. Contains 0.5.
DEFAULT_THRESHOLDS = 1 / (1 + np.exp(-np.linspace(-4, 12, 65)))
_PIXEL_BINS = (0x3F800000 >> 16) + 1  # float32 in [0, 1] order like their bits; the upper half is the bin's number
_COUNTS = (
    "frames",
    "frames_with_target",
    "frames_with_probability",
    "empty_right",
    "pixels",
    "targets",
    "target_pixels",
    "niou",
)


class SegmentationMetrics:
    """Accumulates counts frame by frame.

    Args:
        rule: `centroid` or `shooting`, what counts as found and as false.
        thresholds: ascending probabilities in [0, 1) of the curve; a pixel is predicted where its probability exceeds
            the threshold.

    Raises:
        ValueError: unknown rule or thresholds that do not ascend.
    """

    def __init__(self, rule: str = "centroid", thresholds: np.ndarray | None = None) -> None:
        if rule not in MASK_RULES:
            raise ValueError(f"rule '{rule}' is unknown, expected one of {', '.join(MASK_RULES)}")
        self.rule = rule
        # Numbers that float32 holds exactly, so that comparing in single or double precision gives the same pixels.
        thresholds = DEFAULT_THRESHOLDS if thresholds is None else thresholds
        self.thresholds = np.asarray(thresholds, np.float32).astype(np.float64)
        if self.thresholds.ndim != 1 or not len(self.thresholds) or (np.diff(self.thresholds) <= 0).any():
            raise ValueError("thresholds must be one list of ascending numbers")
        self._counts: dict[str, Any] = dict.fromkeys(_COUNTS, 0)
        self._counts |= {name: np.zeros(1, np.int64) for name in TALLIES}
        self._counts |= {f"curve_{name}": np.zeros(len(self.thresholds), np.int64) for name in TALLIES}
        self._counts |= {name: np.zeros(_PIXEL_BINS, np.int64) for name in ("all_bins", "target_bins")}

    def update(
        self,
        prediction: Any,
        mask: Any,
        probability: Any = None,
        boxes: np.ndarray | None = None,
        true_boxes: np.ndarray | None = None,
        threshold: float = 0.5,
        ignored: Any = None,
    ) -> None:
        """Count one frame or a batch of frames.

        Args:
            prediction: `(H, W)` or `(B, H, W)` boolean, a numpy array or a tensor.
            mask: the true targets, like `prediction`.
            probability: `(H, W)` or `(B, H, W)` float in [0, 1], kept (as counts) for `curve`.
            boxes: of a single frame, `(N, 5 or more)` x1, y1, x2, y2, score: what a detector found, at any score; those
                above `threshold` are the prediction's components, instead of the mask's.
            true_boxes: of a single frame, `(K, 4 or more)` x1, y1, x2, y2: the targets, instead of the mask's.
            threshold: of the scores of `boxes`.
            ignored: pixels that are left out of all counts, like `prediction`.

        Raises:
            ValueError: shapes differ or are not one of the above, a probability is outside [0, 1], or boxes come with a
                batch.
            TypeError: prediction or mask is of floats.
        """
        prediction, mask = _as_boolean(prediction, "prediction"), _as_boolean(mask, "mask")
        probability = None if probability is None else _as_array(probability).astype(np.float32, copy=False)
        ignored = None if ignored is None else _as_boolean(ignored, "ignored")
        for name, other in (("mask", mask), ("probability", probability), ("ignored", ignored)):
            if other is not None and other.shape != prediction.shape:
                raise ValueError(f"{name} has shape {other.shape}, expected {prediction.shape} like the prediction")
        if prediction.ndim not in (2, 3):
            raise ValueError(f"prediction has shape {prediction.shape}, expected (H, W) or (B, H, W)")
        if probability is not None and not (probability.min(initial=0) >= 0 and probability.max(initial=0) <= 1):
            raise ValueError(f"probabilities reach from {probability.min()} to {probability.max()}, expected 0 to 1")
        if ignored is not None:
            prediction, mask = prediction & ~ignored, mask & ~ignored
            probability = None if probability is None else np.where(ignored, np.float32(0), probability)
        if prediction.ndim == 2:
            if ignored is not None and boxes is not None:
                boxes = leave_out_ignored(boxes, ignored, mask)
            targets = label(mask) if true_boxes is None else components_of_boxes(raster_order(true_boxes), mask.shape)
            self._frame(prediction, mask, probability, targets, boxes, threshold, ignored)
            return
        if boxes is not None or true_boxes is not None:
            raise ValueError(f"got boxes with a batch of {len(prediction)} frames, expected them frame by frame")
        for index in range(len(prediction)):
            own = (None if plane is None else plane[index] for plane in (probability, ignored))
            self._frame(prediction[index], mask[index], next(own), label(mask[index]), ignored=next(own))

    def _frame(
        self,
        prediction: np.ndarray,
        mask: np.ndarray,
        probability: np.ndarray | None,
        targets: Components,
        boxes: np.ndarray | None = None,
        threshold: float = 0.5,
        ignored: np.ndarray | None = None,
    ) -> None:
        counts = self._counts
        pixel = np.flatnonzero(prediction)
        found = None if boxes is None else _components_at(boxes, mask.shape, np.array([threshold]))
        tally = self._tally(pixel, np.ones(len(pixel), np.int64), 1, mask, targets, found)
        for name, value in tally.items():
            counts[name] += value
        counts["frames"] += 1
        counts["pixels"] += mask.size - (0 if ignored is None else int(np.count_nonzero(ignored)))
        counts["targets"] += len(targets)
        target_pixels = int(np.count_nonzero(mask))
        counts["target_pixels"] += target_pixels
        if target_pixels:
            intersection = int(tally["intersection"][0])
            union = target_pixels + len(pixel) - intersection
            counts["frames_with_target"] += 1
            counts["niou"] += (intersection << NIOU_BITS) // union
        elif not len(pixel):
            counts["empty_right"] += 1
        if probability is not None:
            found = None if boxes is None else _components_at(boxes, mask.shape, self.thresholds)
            self._frame_curve(probability, mask, targets, found, ignored)

    def _frame_curve(
        self,
        probability: np.ndarray,
        mask: np.ndarray,
        targets: Components,
        found: Components | None,
        ignored: np.ndarray | None,
    ) -> None:
        """Count at every threshold. Only pixels above the lowest one take part (see `nested_components`)."""
        counts, thresholds = self._counts, self.thresholds
        pixel = np.flatnonzero(probability > thresholds[0])
        height = np.searchsorted(thresholds, probability.reshape(-1)[pixel], side="left")
        for name, value in self._tally(pixel, height, len(thresholds), mask, targets, found).items():
            counts[f"curve_{name}"] += value
        bins = (np.abs(probability).view(np.uint32) >> 16).reshape(-1)
        known = bins if ignored is None else bins[~ignored.reshape(-1)]
        counts["all_bins"] += np.bincount(known, minlength=_PIXEL_BINS)
        counts["target_bins"] += np.bincount(bins[mask.reshape(-1)], minlength=_PIXEL_BINS)
        counts["frames_with_probability"] += 1

    def _tally(
        self,
        pixel: np.ndarray,
        height: np.ndarray,
        levels: int,
        mask: np.ndarray,
        targets: Components,
        found: Components | None,
    ) -> dict[str, np.ndarray]:
        """Counts `(levels,)` of the nested predictions {height ≥ level}; their components are `found`, where given."""
        result = {
            "predicted": _count_reaching(height, levels),
            "intersection": _count_reaching(height[mask.reshape(-1)[pixel]], levels),
        }
        if self.rule == "shooting":
            return result | _tally_shooting(pixel, height, levels, mask, targets)
        components = nested_components(pixel, height, mask.shape[1], levels) if found is None else found
        taken = match(targets.centroid, components.centroid, components.level) >= 0
        level, false = components.level, ~taken
        return result | {
            "matched": _count_levels(level[taken], levels),
            "false_components": _count_levels(level[false], levels),
            "false_pixels": _count_levels(level[false], levels, components.area[false]),
        }

    def merge(self, other: SegmentationMetrics) -> SegmentationMetrics:
        """Add the counts of `other` to these.

        Raises:
            ValueError: the two count by different rules or thresholds.
        """
        if self.rule != other.rule or not np.array_equal(self.thresholds, other.thresholds):
            raise ValueError("metrics of different rules or thresholds cannot be merged")
        for name, value in other._counts.items():
            self._counts[name] = self._counts[name] + value
        return self

    def __add__(self, other: SegmentationMetrics) -> SegmentationMetrics:
        return SegmentationMetrics(self.rule, self.thresholds).merge(self).merge(other)

    def compute(self, empty: str = "leave-out") -> dict[str, float | int]:
        """The figures of the module's docstring, and the counts they come from.

        Args:
            empty: what frames without targets add to `niou`, one of `utils.metrics.figures.EMPTY_FRAMES`.

        Returns:
            `iou, niou, pixel_accuracy, pixel_precision, pixel_f1, pd, precision, f1, fa, false_per_frame` (float, NaN
            where undefined) and `targets, matched, false_components, false_pixels, pixels, frames, frames_with_target`
            (int).

        Raises:
            ValueError: `empty` is unknown.
        """
        counts = self._counts
        single = {name: int(counts[name][0]) for name in ("matched", "false_components", "false_pixels")}
        return (
            figures(counts, empty)
            | single
            | {name: counts[name] for name in ("targets", "pixels", "frames", "frames_with_target")}
        )

    def curve(self, fa_limit: float = 1e-4) -> dict[str, Any]:
        """The figures over the threshold, and two areas.

        Args:
            fa_limit: Fa up to which the area under Pd is taken.

        Returns:
            Arrays `(K,)` float64 `threshold` (ascending), `pd, fa, false_per_frame, iou, precision, f1`; and the
            numbers `pd_fa_auc`: the mean over Fa in [0, `fa_limit`] of the best Pd that any threshold reaches at no
            more than that Fa (1 is perfect; a step function, nothing is interpolated), `fa_limit`, `pixel_auc`: the
            area under the pixels' ROC curve, ties counted half, and `pd_at_fa`: that best Pd by Fa, for
            `utils.metrics.figures.FA_LIMITS`.

        Raises:
            ValueError: some frames came without probabilities.
        """
        self.require_probabilities()
        return {"threshold": self.thresholds.copy(), "fa_limit": fa_limit} | curves(self._counts, fa_limit)

    def require_probabilities(self) -> None:
        """Raise ValueError where some frames came without probabilities, so that there is no curve."""
        counts = self._counts
        if counts["frames_with_probability"] != counts["frames"]:
            raise ValueError(
                f"probabilities came with {counts['frames_with_probability']} of {counts['frames']} "
                "frames, expected all: give them to every update"
            )

    @property
    def counts(self) -> dict[str, Any]:
        """The counts themselves, for `utils.metrics.bootstrap`; not to be written to."""
        return self._counts


def _as_array(value: Any) -> np.ndarray:
    if hasattr(value, "detach"):  # a tensor, perhaps on another device
        value = value.detach().cpu()
    return np.asarray(value)


def _as_boolean(value: Any, name: str) -> np.ndarray:
    array = _as_array(value)
    if array.dtype.kind not in "bui":
        raise TypeError(f"{name} holds {array.dtype}, expected booleans: compare probabilities with a threshold first")
    return array if array.dtype == np.bool_ else array != 0


def _components_at(boxes: np.ndarray, shape: tuple[int, int], thresholds: np.ndarray) -> Components:
    """Boxes `(N, 5 or more)` as components at every threshold that their score exceeds, in single precision."""
    boxes = raster_order(boxes)
    height = np.searchsorted(thresholds.astype(np.float32), boxes[:, 4].astype(np.float32), side="left")
    return repeat_at_levels(components_of_boxes(boxes, shape), height, len(thresholds))


def _count_levels(level: np.ndarray, levels: int, weight: np.ndarray | None = None) -> np.ndarray:
    counts = np.bincount(level, weight, minlength=levels + 1)[1:]
    return counts.astype(np.int64)


def _count_reaching(height: np.ndarray, levels: int) -> np.ndarray:
    """How many pixels reach each level."""
    return np.cumsum(_count_levels(height, levels)[::-1])[::-1]


def _tally_shooting(
    pixel: np.ndarray, height: np.ndarray, levels: int, mask: np.ndarray, targets: Components
) -> dict[str, np.ndarray]:
    found, outside = shoot(pixel, height, mask, targets)
    components = nested_components(pixel[outside], height[outside], mask.shape[1], levels)
    return {
        "matched": _count_reaching(found, levels),
        "false_pixels": _count_reaching(height[outside], levels),
        "false_components": _count_levels(components.level, levels),
    }
