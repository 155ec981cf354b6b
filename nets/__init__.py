"""Networks: tensors in, tensors out.

Shapes: B clips, T frames (the key frame is the last one), C channels, H×W pixels. Clips are (B, C, T, H, W), grey ones
(B, T, H, W), float32 and normalised; features of frames (B, T, C, H, W); masks and segmentation logits (B, 1, H, W);
probabilities (B, H, W); boxes (N, 4), x1, y1, x2, y2.
"""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from torch import Tensor, nn

from nets.centernet import centre_loss, decode_centres
from nets.losses import build_criterion
from nets.micml import MICML, DSFNet
from nets.multi_frame.deeppro import DeepPro, DeepProPlus
from nets.multi_frame.resunet_dtum import ResUNetDTUM
from nets.single_frame.acm import ACM
from nets.single_frame.alcnet import ALCNet
from nets.single_frame.dnanet import DNANet
from nets.single_frame.istdunet import ISTDUNet
from nets.single_frame.rdian import RDIAN
from nets.single_frame.uiunet import UIUNet
from nets.single_frame.unet import UNet
from nets.sstnet import SSTNet, detection_criterion
from nets.tsmsa import TSMSA
from nets.yolox_head import decode_detections

NETWORKS: dict[str, type[nn.Module]] = {
    "acm": ACM,
    "alcnet": ALCNet,
    "deeppro": DeepPro,
    "deeppro_plus": DeepProPlus,
    "dnanet": DNANet,
    "dsfnet": DSFNet,
    "istdunet": ISTDUNet,
    "micml": MICML,
    "rdian": RDIAN,
    "resunet_dtum": ResUNetDTUM,
    "sstnet": SSTNet,
    "tsmsa": TSMSA,
    "uiunet": UIUNet,
    "unet": UNet,
}
CENTRE_DETECTORS = frozenset({"dsfnet", "micml"})  # find boxes as peaks of a map of centres
DETECTORS = CENTRE_DETECTORS | {"sstnet"}


class Model(NamedTuple):
    """A network with what trains and what reads it.

    Attributes:
        network: clip → outputs.
        criterion: (outputs, targets) → {name: weighted loss}, their sum is minimised.
        postprocess: outputs → result.
    """

    network: nn.Module
    criterion: Callable[[Any, dict[str, Any]], dict[str, Tensor]]
    postprocess: Callable[..., Any]


def decode_probabilities(logits: Tensor) -> Tensor:
    """Segmentation logits (B, 1, H, W) → probabilities (B, H, W) float in [0, 1]."""
    return logits.squeeze(1).sigmoid()


def build_model(name: str, *, loss: str | None = None, loss_options: dict | None = None, **options) -> Model:
    """Build a network by name, e.g. `build_model("tsmsa", num_slices=2)`.

    Args:
        name: a key of `NETWORKS`.
        loss: the criterion (losses.py), for segmentation networks "bce_soft_iou" where None; detectors have one,
            "yolox", and detectors of centres "centernet".
        loss_options: those of the criterion; "yolox" has motion_weight.
        options: those of the network's constructor.

    Returns:
        Segmentation networks with a criterion (logits (B, 1, H, W), {"mask": (B, 1, H, W) float in {0, 1}}) → {name:
        loss} and the postprocessing `decode_probabilities`. Detectors (`DETECTORS`) with a criterion (outputs,
        {"boxes": for each image (N, 5) float x1, y1, x2, y2, class in input pixels}) → {name: loss} and the
        postprocessing `decode_detections`, which is (raw output of eval mode, score=0.001, nms=0.65) → for each image
        (N, 6) float x1, y1, x2, y2, score, class. Those of `CENTRE_DETECTORS` are alike, with raw maps as outputs (see
        centernet.py), or the peaks of their inference form, and the postprocessing `decode_centres`, (outputs,
        score=0.001, limit=None).

    Raises:
        ValueError: an unknown name, option or loss; the text lists the known ones.
    """
    if name not in NETWORKS:
        raise ValueError(f"got model {name!r}, expected one of: {', '.join(sorted(NETWORKS))}")
    valid = sorted(inspect.signature(NETWORKS[name]).parameters)
    unknown = sorted(set(options) - set(valid))
    if unknown:
        valid += ["loss", "loss_options"]
        raise ValueError(f"got options {', '.join(unknown)} for model {name!r}, expected some of: {', '.join(valid)}")
    if name in CENTRE_DETECTORS:
        if loss not in (None, "centernet") or loss_options:
            raise ValueError(
                f"got loss {loss!r} with options {loss_options} for model {name!r}, expected 'centernet' without any"
            )
        return Model(NETWORKS[name](**options), centre_loss, decode_centres)
    if name in DETECTORS:
        loss_options = loss_options or {}
        if loss not in (None, "yolox") or set(loss_options) - {"motion_weight"}:
            raise ValueError(
                f"got loss {loss!r} with options {loss_options} for model {name!r}, expected 'yolox' with motion_weight"
            )
        return Model(NETWORKS[name](**options), partial(detection_criterion, **loss_options), decode_detections)
    criterion = build_criterion(loss or "bce_soft_iou", **(loss_options or {}))
    return Model(NETWORKS[name](**options), criterion, decode_probabilities)
