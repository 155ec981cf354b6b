"""Networks: tensors in, tensors out.

Shapes: B clips, T frames (the key frame is the last one), C channels, H×W pixels. Clips are (B, C, T, H, W), grey ones
(B, T, H, W), float32 and normalised; features of frames (B, T, C, H, W); masks and segmentation logits (B, 1, H, W);
probabilities (B, H, W).
"""

import inspect
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn

from nets.losses import build_criterion
from nets.tsmsa import TSMSA

NETWORKS: dict[str, type[nn.Module]] = {"tsmsa": TSMSA}


class Model(NamedTuple):
    """A network with what trains and what reads it.

    network: clip → outputs. criterion: (outputs, targets) → {name: weighted loss}, their sum is minimised.
    postprocess: outputs → result.
    """

    network: nn.Module
    criterion: Callable[[Tensor, dict[str, Tensor]], dict[str, Tensor]]
    postprocess: Callable[[Tensor], Tensor]


def probabilities(logits: Tensor) -> Tensor:
    """Segmentation logits (B, 1, H, W) → probabilities (B, H, W) float in [0, 1]."""
    return logits.squeeze(1).sigmoid()


def build_model(name: str, *, loss: str = "bce_soft_iou", loss_options: dict | None = None, **options) -> Model:
    """Build a network by name, e.g. `build_model("tsmsa", num_slices=2)`.

    loss, loss_options: criterion and its options (losses.py); options: those of the network's constructor. Segmentation
    networks have a criterion (logits (B, 1, H, W), {"mask": (B, 1, H, W) float in {0, 1}}) → {name: loss} and the
    postprocessing `probabilities`. Raises ValueError for an unknown name or option, listing the known ones.
    """
    if name not in NETWORKS:
        raise ValueError(f"got model {name!r}, expected one of: {', '.join(sorted(NETWORKS))}")
    valid = sorted(inspect.signature(NETWORKS[name]).parameters)
    unknown = sorted(set(options) - set(valid))
    if unknown:
        valid += ["loss", "loss_options"]
        raise ValueError(f"got options {', '.join(unknown)} for model {name!r}, expected some of: {', '.join(valid)}")
    return Model(NETWORKS[name](**options), build_criterion(loss, **(loss_options or {})), probabilities)
