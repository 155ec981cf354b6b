"""Small networks with known weights, clips for them, and what they give over whole clips."""

import torch
from known_answers import fill, known
from torch import nn

from nets import build_model

EXACT = 1e-5  # of the output's range
SMALL = {"depth": 0.33, "width": 0.0625}


def filled(network: nn.Module) -> nn.Module:
    """With known weights, a quarter larger so that what frames differ in reaches the output of a deep network."""
    known_weights = fill({name: value.shape for name, value in network.state_dict().items()})
    network.load_state_dict({name: value * 1.25 if value.dim() > 1 else value for name, value in known_weights.items()})
    return network


def model_of(name: str, **options):
    small = {"tsmsa": {"blocks": (1, 1, 1), "num_frames": 3}, "sstnet": {"num_frames": 3, **SMALL}}.get(name, {})
    model = build_model(name, **small | options)
    filled(model.network)
    return model


def frames_of(network: nn.Module, count: int, batch: int, height: int, width: int) -> torch.Tensor:
    return known("fast", count, batch, network.in_channels, height, width)


def as_clip(network: nn.Module, frames: torch.Tensor, last: int) -> torch.Tensor:
    """The clip that ends with frame `last` of (N, B, C, H, W), the first frame repeated in front where it is short."""
    ages = range(network.num_frames - 1, -1, -1)
    clip = torch.stack([frames[max(0, last - age)] for age in ages], 2)
    return clip.squeeze(1) if network.in_channels == 1 else clip


def windowed(network: nn.Module, frames: torch.Tensor) -> torch.Tensor:
    return torch.stack([network(as_clip(network, frames, last)) for last in range(len(frames))])
