"""The literal networks and ours with the same weights, ready to be measured."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.literal.deeppro import LiteralDeepPro, LiteralDeepProPlus
from benchmarks.literal.micml import LiteralDSFNet, LiteralMICML
from benchmarks.literal.resunet_dtum import LiteralResUNetDTUM
from benchmarks.literal.sstnet import LiteralSSTNet
from benchmarks.literal.tsmsa import LiteralTSMSA
from nets import Model, build_model
from nets.centernet import find_peaks
from nets.micml import MAX_PEAKS
from nets.multi_frame.every_frame import EveryFrameNetwork
from nets.published.loading import load_published
from utils.clips.settings import ClipSettings
from utils.predictor.checkpoint import task_of
from utils.predictor.predictor import Predictor

LITERAL_NETWORKS = {
    "tsmsa": LiteralTSMSA,
    "sstnet": LiteralSSTNet,
    "resunet_dtum": LiteralResUNetDTUM,
    "deeppro": LiteralDeepPro,
    "deeppro_plus": LiteralDeepProPlus,
    "dsfnet": LiteralDSFNet,
    "micml": LiteralMICML,
}


class NetworkPair(NamedTuple):
    """A literal network, and ours with the same weights."""

    literal: nn.Module
    model: Model


def build_pair(name: str, device: str | torch.device = "cpu", **options) -> NetworkPair:
    """The literal network `name` with seeded weights, and ours with the same; both in eval mode, on `device`.

    The weights keep the size of the signal through the layers, as trained ones do, so that outputs depend on all of the
    clip and comparing them means something.

    Args:
        name: a key of `LITERAL_NETWORKS`.
        device: where both go.
        options: those that both networks have (num_slices, num_frames, …).
    """
    generator = torch.Generator().manual_seed(0)
    literal = LITERAL_NETWORKS[name](**options)
    with torch.no_grad():
        for parameter in literal.parameters():
            if parameter.dim() > 1:
                fan_in = parameter[0].numel()
                parameter.normal_(0, (2 / fan_in) ** 0.5, generator=generator)
    model = build_model(name, **options)
    load_published(model.network, literal.state_dict())
    model.network.to(device).eval()
    return NetworkPair(literal.to(device).eval(), model)


def untrained_predictor(name: str, device: str = "cpu", precision: str = "float32", **options) -> Predictor:
    """A predictor of an untrained network: what it finds means nothing.

    Args:
        name: as of `build_model`.
        device: as of `Predictor.from_network`.
        precision: likewise.
        options: of the network.
    """
    network, _, postprocess = build_model(name, **options)
    settings = ClipSettings(
        getattr(network, "num_frames", 1),
        (100.0, 30.0),
        task_of(name),
        name=name,
        every_frame=isinstance(network, EveryFrameNetwork),
    )
    return Predictor.from_network(network, postprocess, settings, device=device, precision=precision)


def random_frames(network: nn.Module, count: int, batch: int, size: int, device: str | torch.device = "cpu") -> Tensor:
    """(count, batch, C, size, size) float32 normal, the same at every call."""
    shape = (count, batch, network.in_channels, size, size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(device)


def clip_of(frames: Tensor) -> Tensor:
    """Frames (T, B, C, H, W) → the clip that the networks take, (B, C, T, H, W), grey ones (B, T, H, W)."""
    clip = frames.movedim(0, 2).contiguous()
    return clip.squeeze(1) if clip.shape[1] == 1 else clip


def as_tensor(output: Tensor | dict[str, Tensor]) -> Tensor:
    """An output; of raw maps of centres their peaks."""
    return find_peaks(output, MAX_PEAKS) if isinstance(output, dict) else output


def peak_deviation(output: Tensor, expected: Tensor, share: float = 1.0) -> float:
    """As `deviation`, of peaks (B, N, 6), each beside the nearest one: of scores, whose range is 1, and of boxes."""
    nearest = torch.cdist(expected, output, 1, compute_mode="donot_use_mm_for_euclid_dist").argmin(2)
    output = output.gather(1, nearest[..., None].expand_as(output))
    scores = largest_difference(output[..., 4], expected[..., 4], share)
    return max(scores, deviation(output[..., :4], expected[..., :4], share))


def deviation(output: Tensor, expected: Tensor, share: float = 1.0) -> float:
    """Largest difference, of that `share` of the values that differ least, over the expected values' range."""
    return largest_difference(output, expected, share) / (expected.max() - expected.min()).item()


def largest_difference(output: Tensor, expected: Tensor, share: float) -> float:
    """Of that `share` of the values that differ least."""
    difference = (output - expected).abs().flatten()
    return difference.kthvalue(max(1, math.ceil(share * len(difference)))).values.item()
