"""Criteria for segmentation: outputs and targets in, named and already weighted losses out (their sum is the total).

Notation: p is a probability, y the mask, both (B, 1, H, W). The functions take tensors and return a scalar each, so
they can be held against known answers; the modules made by `build_criterion` take logits. Sums, exponentials and
quotients run in float32 (float64 stays float64), also under autocast. Of several processes that train together each
holds a part of the batch: sums over the batch are of all parts, and the mean of the processes' losses is the loss.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nets.process_sums import count_processes, sum_over_processes


def _wide(tensor: Tensor) -> Tensor:
    """Half-precision, integer and boolean tensors as float32; float32 and float64 as they are."""
    return tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()


def _overlap(probability: Tensor, mask: Tensor, per_sample: bool = False) -> Tensor:
    """Smoothed soft IoU, (sum py + 1) / (sum p + sum y - sum py + 1), over the batch, or over each sample (B,)."""
    dims = (1, 2, 3) if per_sample else (0, 1, 2, 3)
    sums = torch.stack([(probability * mask).sum(dims), probability.sum(dims), mask.sum(dims)])
    intersection, p_sum, y_sum = sums if per_sample else sum_over_processes(sums)
    return (intersection + 1) / (p_sum + y_sum - intersection + 1)


def _blank(ignored: Tensor | None, *planes: Tensor) -> list[Tensor]:
    """Planes (B, 1, H, W) that are 0, without gradient, where pixels are ignored."""
    return list(planes) if ignored is None else [plane.masked_fill(ignored, 0) for plane in planes]


def focal_iou(probability: Tensor, mask: Tensor, ignored: Tensor | None = None) -> Tensor:
    """Focal-IoU loss of TSMSA, a *sum* over all pixels of the batch (networks trained with it see large values).

    With p <- 0.999 (p - 0.5) + 0.5, f = (1 - exp(-bce))^2 bce and the IoU of the whole batch, a pixel counts
    a (1 - IoU) f^(0.5 IoU + 0.5), a = 0.75 on targets and 0.25 elsewhere; gradients flow through IoU in both places.
    The squeeze of p keeps bce and f away from 0, so value and gradient are finite for every p in [0, 1].

    Args:
        probability: (B, 1, H, W) float in [0, 1].
        mask: same shape, 0/1 of any dtype.
        ignored: same shape, bool: pixels that have no part in any sum.

    Returns:
        A scalar >= 0.
    """
    probability = 0.999 * (_wide(probability) - 0.5) + 0.5
    mask = mask.to(probability.dtype)
    iou = _overlap(*_blank(ignored, probability, mask))
    bce = -(mask * probability.log() + (1 - mask) * (1 - probability).log())
    focal = torch.expm1(-bce).square() * bce
    balance = 0.25 + 0.5 * mask
    (pixels,) = _blank(ignored, balance * (1 - iou) * focal ** (0.5 * iou + 0.5))
    return count_processes() * pixels.sum()


def soft_iou(probability: Tensor, mask: Tensor, per_sample: bool = False, ignored: Tensor | None = None) -> Tensor:
    """Soft-IoU loss, 1 - (sum py + 1) / (sum p + sum y - sum py + 1).

    Args:
        probability: (B, 1, H, W) float in [0, 1].
        mask: same shape, 0/1 of any dtype.
        per_sample: the sums run over each sample, with the mean taken afterwards, instead of over the batch.
        ignored: same shape, bool: pixels that have no part in any sum.

    Returns:
        A scalar in [0, 1).
    """
    probability = _wide(probability)
    probability, mask = _blank(ignored, probability, mask.to(probability.dtype))
    return 1 - _overlap(probability, mask, per_sample).mean()


def _moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Means over all pixels of (0-based x / W) * value and (0-based y / H) * value; (B, 1, H, W) -> two (B,)."""
    height, width = values.shape[-2:]
    x = torch.arange(width, device=values.device, dtype=values.dtype) / width
    y = torch.arange(height, device=values.device, dtype=values.dtype) / height
    return (values * x).mean((1, 2, 3)), (values * y[:, None]).mean((1, 2, 3))


def _location(probability: Tensor, mask: Tensor) -> Tensor:
    """Location term of the SLS loss: polar distance and angle between the two masses; the mean over samples."""
    (px, py), (yx, yy) = _moments(probability), _moments(mask)
    p_length = (px.square() + py.square() + 1e-8).sqrt()
    y_length = (yx.square() + yy.square() + 1e-8).sqrt()
    length = torch.minimum(p_length, y_length) / (torch.maximum(p_length, y_length) + 1e-8)
    angle = torch.atan(py / (px + 1e-8)) - torch.atan(yy / (yx + 1e-8))
    return (1 - length + 4 / math.pi**2 * angle.square()).mean()


def sls_iou(probability: Tensor, mask: Tensor, epoch: int, warm_up: int = 5, ignored: Tensor | None = None) -> Tensor:
    """Scale- and location-sensitive loss of MSHNet.

    From "Infrared Small Target Detection with Scale and Location Sensitivity", CVPR 2024.

    Until `epoch > warm_up` it is 1 - mean(IoU) of the samples, afterwards 1 - mean(a IoU) + location term, with
    a = (min(sum p, sum y) + d) / (max(sum p, sum y) + d), d = ((sum p - sum y) / 2)^2.
    The quotient IoU has no smoothing here; where nothing is there and nothing is predicted (0/0) it is taken as 0,
    the value it has for every other prediction on an empty mask, so the loss stays continuous.

    Args:
        probability: (B, 1, H, W) float in [0, 1].
        mask: same shape, 0/1 of any dtype.
        epoch: counted from 0.
        warm_up: the last epoch of the plain IoU.
        ignored: same shape, bool: pixels that have no part in any sum.

    Returns:
        A scalar.
    """
    probability = _wide(probability)
    probability, mask = _blank(ignored, probability, mask.to(probability.dtype))
    dims = (1, 2, 3)
    intersection, p_sum, y_sum = (probability * mask).sum(dims), probability.sum(dims), mask.sum(dims)
    iou = _quotient(intersection, p_sum + y_sum - intersection)
    if epoch <= warm_up:
        return 1 - iou.mean()
    spread = ((p_sum - y_sum) / 2).square()
    scale = _quotient(torch.minimum(p_sum, y_sum) + spread, torch.maximum(p_sum, y_sum) + spread)
    return 1 - (scale * iou).mean() + _location(probability, mask)


def _quotient(numerator: Tensor, denominator: Tensor) -> Tensor:
    """numerator / denominator with 0 (and no gradient) where the denominator is 0."""
    empty = denominator == 0
    return torch.where(empty, 0.0, numerator / torch.where(empty, 1.0, denominator))


def clip_iou(probability: Tensor, mask: Tensor, ignored: Tensor | None = None) -> Tensor:
    """Loss of DeepPro, 1 - mean over clips of sum py / (sum p + sum y - sum py), without smoothing.

    The sums run over all frames of a clip; one without targets counts 1 and has no gradient.

    Args:
        probability: (B, T, H, W) float in [0, 1].
        mask: same shape, 0/1 of any dtype.
        ignored: same shape, bool: pixels that have no part in any sum.

    Returns:
        A scalar in [0, 1].
    """
    return sls_iou(probability, mask, epoch=0, ignored=ignored)


def weighted_bce(logits: Tensor, mask: Tensor, target_weight: float = 200.0, ignored: Tensor | None = None) -> Tensor:
    """Mean over pixels of binary cross entropy, a pixel weighing 1 + target_weight * y.

    Args:
        logits: (B, 1, H, W) float.
        mask: same shape, 0/1 of any dtype.
        target_weight: of targets' pixels, beyond 1.
        ignored: same shape, bool: pixels that the mean is not over.
    """
    logits = _wide(logits)
    mask = mask.to(logits.dtype)
    weight = 1 + target_weight * mask
    if ignored is None:
        return F.binary_cross_entropy_with_logits(logits, mask, weight=weight)
    (pixels,) = _blank(ignored, F.binary_cross_entropy_with_logits(logits, mask, weight=weight, reduction="none"))
    return count_processes() * pixels.sum() / sum_over_processes((~ignored).sum().to(pixels)).clamp(min=1)


class Criterion(nn.Module):
    """Base of the criteria: checks shapes, averages over several outputs, knows the epoch.

    The training loop keeps `epoch` (counted from 0) up to date, for losses that depend on it.
    """

    epoch: int = 0

    def losses(self, logits: Tensor, mask: Tensor, ignored: Tensor | None = None) -> dict[str, Tensor]:
        """Logits, mask and what is ignored, bool, each (B, 1, H, W) → {name: weighted loss}."""
        raise NotImplementedError

    def forward(self, logits: Tensor | Sequence[Tensor], targets: dict[str, Tensor]) -> dict[str, Tensor]:
        """The losses by name, weighted already: their sum is the total.

        Args:
            logits: (B, 1, H, W) float, or a list/tuple of such tensors (deep supervision; each loss is averaged over
                the entries).
            targets: "mask" (B, 1, H, W) bool or 0/1 float; maybe "ignored", likewise, bool: pixels that have no part
                in the losses.

        Raises:
            ValueError: shapes differ, or a list is empty.
        """
        outputs = list(logits) if isinstance(logits, (list, tuple)) else [logits]
        if not outputs:
            raise ValueError("got no outputs, expected logits (B, 1, H, W) or a non-empty list of them")
        mask = targets["mask"]
        for output in outputs:
            if output.ndim != 4 or output.shape != mask.shape:
                raise ValueError(
                    f"got logits {tuple(output.shape)} and mask {tuple(mask.shape)}, expected both (B, 1, H, W)"
                )
        named = [self.losses(_wide(output), mask, targets.get("ignored")) for output in outputs]
        return {name: torch.stack([losses[name] for losses in named]).mean() for name in named[0]}


class FocalIoU(Criterion):
    """{"focal_iou"}: the published loss of TSMSA, see `focal_iou`."""

    def losses(self, logits: Tensor, mask: Tensor, ignored: Tensor | None = None) -> dict[str, Tensor]:
        return {"focal_iou": focal_iou(logits.sigmoid(), mask, ignored)}


class SoftIoU(Criterion):
    """{"soft_iou"}: see `soft_iou`, over the batch."""

    def losses(self, logits: Tensor, mask: Tensor, ignored: Tensor | None = None) -> dict[str, Tensor]:
        return {"soft_iou": soft_iou(logits.sigmoid(), mask, ignored=ignored)}


class SLSIoU(Criterion):
    """{"sls_iou"}: see `sls_iou`; plain IoU loss for the first `warm_up` epochs."""

    def __init__(self, warm_up: int = 5):
        super().__init__()
        self.warm_up = warm_up

    def losses(self, logits: Tensor, mask: Tensor, ignored: Tensor | None = None) -> dict[str, Tensor]:
        return {"sls_iou": sls_iou(logits.sigmoid(), mask, self.epoch, self.warm_up, ignored)}


class ClipIoU(Criterion):
    """{"clip_iou"}: see `clip_iou`."""

    def losses(self, logits: Tensor, mask: Tensor, ignored: Tensor | None = None) -> dict[str, Tensor]:
        return {"clip_iou": clip_iou(logits.sigmoid(), mask, ignored)}


class BCESoftIoU(Criterion):
    """{"bce", "soft_iou"}: bce_weight * weighted BCE plus Soft-IoU averaged over the samples."""

    def __init__(self, bce_weight: float = 10.0, target_weight: float = 200.0):
        super().__init__()
        self.bce_weight = bce_weight
        self.target_weight = target_weight

    def losses(self, logits: Tensor, mask: Tensor, ignored: Tensor | None = None) -> dict[str, Tensor]:
        return {
            "bce": self.bce_weight * weighted_bce(logits, mask, self.target_weight, ignored),
            "soft_iou": soft_iou(logits.sigmoid(), mask, per_sample=True, ignored=ignored),
        }


CRITERIA: dict[str, type[Criterion]] = {
    "focal_iou": FocalIoU,
    "soft_iou": SoftIoU,
    "sls_iou": SLSIoU,
    "bce_soft_iou": BCESoftIoU,
    "clip_iou": ClipIoU,
}


def build_criterion(name: str, **options) -> Criterion:
    """Make a criterion.

    Args:
        name: a key of `CRITERIA`.
        options: those of its constructor.

    Raises:
        ValueError: an unknown name or option; the text lists the known ones.
    """
    if name not in CRITERIA:
        raise ValueError(f"unknown loss {name!r}, expected one of {', '.join(CRITERIA)}")
    known = [option for option in inspect.signature(CRITERIA[name]).parameters if option not in ("args", "kwargs")]
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise ValueError(f"unknown option {unknown[0]!r} of loss {name}, expected {', '.join(known) or 'none'}")
    return CRITERIA[name](**options)
