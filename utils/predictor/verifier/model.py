"""The verifier: a small network in numpy that gives a candidate's features a calibrated probability."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from utils.predictor.schema import require_number
from utils.predictor.verifier.features import NAMES
from utils.system.command_line import shown
from utils.system.notices import warn

VERSION = 1  # of what a checkpoint holds: another set of features, or other meanings, makes it another one
MAX_LAYERS, MAX_WIDTH = 4, 512
MAX_FEATURE = 6.0  # standard deviations at which features are cut: what no training frame had says no more than that


class OtherVersionError(ValueError):
    """A verifier that looks at other features than this code has."""


@dataclass(frozen=True, eq=False)
class VerifierModel:
    """A perceptron over standardised features.

    Args:
        mean, scale: (F,) float32 of the features `names`.
        layers: of each its weights (out, in) and biases (out,) float32; the last one's single output is the logit, all
            others pass a rectifier. Calibration is in them.
        threshold: of probability, above which a candidate is a target.
        network_threshold: of the network's own probability, which bounds the regions of what it finds.
        box_side: pixels, of the square around what a detector has no box for.
    """

    mean: np.ndarray
    scale: np.ndarray
    layers: tuple[tuple[np.ndarray, np.ndarray], ...]
    threshold: float
    network_threshold: float
    box_side: float

    def logits(self, features: np.ndarray) -> np.ndarray:
        """Log-odds (N,) float32 that candidates with these features (N, F) are targets."""
        values = np.clip((features - self.mean) / self.scale, -MAX_FEATURE, MAX_FEATURE).astype(np.float32)
        for index, (weights, biases) in enumerate(self.layers):
            values = (np.maximum(values, 0) if index else values) @ weights.T + biases
        return values[:, 0]

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Probabilities (N,) float32 in [0, 1], likewise."""
        return (1 / (1 + np.exp(-np.clip(self.logits(features), -60, 60)))).astype(np.float32)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for checkpoints and JSON; `from_dict` makes the same model of them, bit by bit."""
        return {
            "version": VERSION,
            "features": list(NAMES),
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "layers": [{"weights": weights.tolist(), "biases": biases.tolist()} for weights, biases in self.layers],
            "threshold": float(self.threshold),
            "network_threshold": float(self.network_threshold),
            "box_side": float(self.box_side),
        }

    @classmethod
    def from_dict(cls, values: Any) -> VerifierModel:
        """What `as_dict` gave.

        Raises:
            OtherVersionError: it is of a version with other features.
            ValueError: it is something else.
        """
        if not isinstance(values, Mapping):
            raise ValueError(f"found verifier {shown(values)}, expected values by name")
        version, features = values.get("version"), values.get("features")
        if version != VERSION or features != list(NAMES):
            raise OtherVersionError(
                f"found a verifier of version {shown(version)} with features {shown(features)}, expected version "
                f"{VERSION} with {len(NAMES)} others; fit it again with python -m utils.verify"
            )
        mean, scale = (_array(f"the verifier's {name}", values.get(name), len(NAMES)) for name in ("mean", "scale"))
        if not (scale > 0).all():
            raise ValueError("found a verifier's scale that is not above 0")
        layers, width = [], len(NAMES)
        given = values.get("layers")
        if not isinstance(given, list) or not 1 <= len(given) <= MAX_LAYERS:
            raise ValueError(f"found a verifier's layers {shown(given)}, expected 1 to {MAX_LAYERS}")
        for layer in given:
            if not isinstance(layer, Mapping) or not isinstance(layer.get("weights"), list):
                raise ValueError(f"found a verifier's layer {shown(layer)}, expected weights and biases")
            count = len(layer["weights"])
            if not 1 <= count <= MAX_WIDTH:
                raise ValueError(f"found a verifier's layer of {count} units, expected 1 to {MAX_WIDTH}")
            layers.append(
                (
                    _array("a verifier's weights", layer["weights"], count, width),
                    _array("a verifier's biases", layer.get("biases"), count),
                )
            )
            width = count
        if width != 1:
            raise ValueError(f"found a verifier with {width} outputs, expected 1")
        bounds = {"threshold": "threshold", "network_threshold": "threshold", "box_side": "least_box"}
        for name, bound in bounds.items():
            require_number(f"the verifier's {name}", values.get(name), bound)
        return cls(mean, scale, tuple(layers), *(float(values[name]) for name in bounds))


def read_verifier(values: Any, path: Any) -> VerifierModel | None:
    """The verifier that weights hold; None where they hold none, or one of another version, of which it warns.

    Args:
        values: of `VerifierModel.as_dict`, or None.
        path: the weights file.

    Raises:
        ValueError: as of `VerifierModel.from_dict`, but for another version: the network beside it is sound.
    """
    if values is None:
        return None
    try:
        return VerifierModel.from_dict(values)
    except OtherVersionError as error:
        warn(f"{path}: {error}; it is left out, and the network alone counts, at its own threshold")
        return None


def _array(what: str, values: Any, *shape: int) -> np.ndarray:
    """Nested lists of finite numbers as float32 of this shape; raises `ValueError`."""
    try:
        array = np.array(values, np.float32)
    except (ValueError, TypeError, OverflowError):
        array = np.zeros(0, np.float32)
    if not isinstance(values, list) or array.shape != shape or not np.isfinite(array).all():
        raise ValueError(f"found {what} {shown(values)}, expected {'x'.join(map(str, shape))} finite numbers")
    return array
