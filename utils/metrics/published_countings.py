"""Faulty or diverging countings that published figures were made with, so that those can be compared like for like.

Each is one deviation, as evaluation scripts of the field have it; `utils.metrics.segmentation` has the right counting,
and docs/metrics.md shows how far the figures move. All count at the operating threshold alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from utils.images.components import MATCH_DISTANCE, Components, label
from utils.metrics.figures import ratio
from utils.metrics.segmentation import SegmentationMetrics

_TIE = 1e-9


@dataclass(frozen=True)
class Counting:
    """`text`: what it does, for people; `rule`: that it deviates from; `keys`: the figures that may differ."""

    text: str
    keys: tuple[str, ...]
    rule: str = "centroid"


COUNTINGS = {
    "area": Counting(
        "false components that have as many pixels as any matched one of their frame are not counted",
        ("fa", "false_per_frame", "precision", "f1"),
    ),
    "reuse": Counting(
        "a component may be matched by several targets, as it is not taken out of the list",
        ("pd", "fa", "false_per_frame", "precision", "f1"),
    ),
    "fa-256": Counting("Fa is divided by 256·256 pixels a frame, whatever the frames' size", ("fa",)),
    "empty-zero": Counting("nIoU: a frame without targets counts as 0, whatever is predicted", ("niou",)),
    "empty-one": Counting("nIoU: a frame without targets counts as 1 where nothing is predicted, else as 0", ("niou",)),
    "skip-empty": Counting(
        "frames without targets are not measured at all, their false alarms go unseen",
        ("iou", "fa", "false_per_frame", "precision", "f1", "pixel_precision", "pixel_f1"),
    ),
    "background": Counting("IoU is the mean over the two classes target and background", ("iou",)),
    "shooting-border": Counting(
        "shooting rule whose windows vanish where they would begin above or left of the frame (negative slices)",
        ("pd", "fa", "false_per_frame", "precision", "f1"),
        "shooting",
    ),
    "shooting-centroids": Counting(
        "shooting rule with each target's mask reduced to the pixel nearest to its centroid, and windows that vanish "
        "as in shooting-border",
        ("pd", "fa", "false_per_frame", "precision", "f1"),
        "shooting",
    ),
}


class CompatMetrics(SegmentationMetrics):
    """`SegmentationMetrics` that counts as `counting`, one of `COUNTINGS`; it has no curve.

    Raises:
        ValueError: unknown counting.
    """

    def __init__(self, counting: str) -> None:
        if counting not in COUNTINGS:
            raise ValueError(f"counting '{counting}' is unknown, expected one of {', '.join(COUNTINGS)}")
        super().__init__(COUNTINGS[counting].rule)
        self.counting = counting

    def update(self, prediction: Any, mask: Any, probability: Any = None, ignored: Any = None) -> None:
        """As of `SegmentationMetrics`; `probability` is not used."""
        super().update(prediction, mask, ignored=ignored)

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
        if self.counting != "skip-empty" or mask.any():
            super()._frame(prediction, mask, None, targets, ignored=ignored)

    def _tally(
        self,
        pixel: np.ndarray,
        height: np.ndarray,
        levels: int,
        mask: np.ndarray,
        targets: Components,
        found: Components | None,
    ) -> dict[str, np.ndarray]:
        right = super()._tally(pixel, height, levels, mask, targets, found)
        if self.counting not in _FAULTY_TALLIES:
            return right
        prediction = np.zeros(mask.shape, bool)
        prediction.reshape(-1)[pixel] = True
        values = _FAULTY_TALLIES[self.counting](prediction, mask, targets)
        names = ("matched", "false_pixels", "false_components")
        return right | {name: np.array([value], np.int64) for name, value in zip(names, values, strict=True)}

    def compute(self, empty: str = "leave-out") -> dict[str, float | int]:
        """The figures as this counting has them."""
        empty = {"empty-zero": "zero", "empty-one": "one"}.get(self.counting, empty)
        result = super().compute(empty)
        if self.counting == "fa-256":
            result["fa"] = ratio(result["false_pixels"], 256 * 256 * result["frames"])
        if self.counting == "background":
            counts = self.counts
            hit, predicted = int(counts["intersection"][0]), int(counts["predicted"][0])
            union = predicted + counts["target_pixels"] - hit
            result["iou"] = (result["iou"] + ratio(counts["pixels"] - union, counts["pixels"] - hit)) / 2
        return result


def _components_near(target: np.ndarray, components: Components) -> np.ndarray:
    """Indices of the components whose centroid is less than 3 px from a target's, in raster order."""
    return np.flatnonzero(((components.centroid - target) ** 2).sum(1) < MATCH_DISTANCE**2 - _TIE)


def _tally_by_area(prediction: np.ndarray, mask: np.ndarray, targets: Components) -> tuple[int, int, int]:
    """`[area for area in all_areas if area not in matched_areas]`."""
    found, taken = label(prediction), []
    for target in targets.centroid:
        free = [index for index in _components_near(target, found) if index not in taken]
        taken += free[:1]
    false = [int(area) for area in found.area if area not in found.area[taken]]
    return len(taken), sum(false), len(false)


def _tally_reused(prediction: np.ndarray, mask: np.ndarray, targets: Components) -> tuple[int, int, int]:
    found = label(prediction)
    taken = [near[0] for near in (_components_near(target, found) for target in targets.centroid) if len(near)]
    false = np.setdiff1d(np.arange(len(found)), taken)
    return len(taken), int(found.area[false].sum()), len(false)


def _tally_border(prediction: np.ndarray, mask: np.ndarray, targets: Components) -> tuple[int, int, int]:
    return _tally_windows(prediction, np.stack(np.divmod(targets.pixel, mask.shape[1]), 1), targets.owner)


def _tally_centroids(prediction: np.ndarray, mask: np.ndarray, targets: Components) -> tuple[int, int, int]:
    return _tally_windows(prediction, np.floor(targets.centroid + 0.5).astype(int), np.arange(len(targets)))


def _tally_windows(prediction: np.ndarray, pixels: np.ndarray, owners: np.ndarray) -> tuple[int, int, int]:
    """`picture[y - 1:y + 2, x - 1:x + 2]` and `[y - 4:y + 5, x - 4:x + 5]` as they are.

    A negative start counts from the far end, which leaves nothing of the window.

    Args:
        prediction: (H, W) bool.
        pixels: (N, 2) y, x of the targets.
        owners: (N,) the target of each, from 0 without gaps.
    """
    hit, outside = np.zeros(1 + owners.max(initial=-1), bool), prediction.copy()
    for (y, x), owner in zip(pixels.tolist(), owners, strict=True):
        hit[owner] |= prediction[y - 1 : y + 2, x - 1 : x + 2].any()
        outside[y - 4 : y + 5, x - 4 : x + 5] = False
    return int(hit.sum()), int(outside.sum()), len(label(outside))


_FAULTY_TALLIES = {
    "area": _tally_by_area,
    "reuse": _tally_reused,
    "shooting-border": _tally_border,
    "shooting-centroids": _tally_centroids,
}


class Shift(NamedTuple):
    """How a figure moves by a faulty counting."""

    counting: str
    figure: str
    right: float
    counted: float

    @property
    def moves(self) -> bool:
        """Whether the two differ, where the right one is defined."""
        return self.right != self.counted and not np.isnan(self.right)


def shifts(right: dict[str, dict[str, Any]], counted: dict[str, dict[str, Any]]) -> list[Shift]:
    """Every figure that a counting may change, right and as counted.

    Args:
        right: figures of `SegmentationMetrics.compute` by rule.
        counted: those of `CompatMetrics.compute` by counting.
    """
    return [
        Shift(name, key, right[COUNTINGS[name].rule][key], figures[key])
        for name, figures in counted.items()
        for key in COUNTINGS[name].keys
    ]
