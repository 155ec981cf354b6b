"""DeepPro and DeepPro-Plus exactly as their equations are written, in the published names."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class TimeDifference(nn.Conv3d):
    """Three taps over time; each of them weighs what changes to its neighbours."""

    def forward(self, x: Tensor) -> Tensor:
        first, second, third = self.weight.split(1, 2)
        kernel = torch.cat((first - second, 2 * second - first - third, third - second), 2)
        return F.conv3d(x, kernel, self.bias, padding=self.padding, dilation=self.dilation)


class SpaceDifference(nn.Conv3d):
    """Off its centre -w, at its centre the sum of all w of a frame."""

    def forward(self, x: Tensor) -> Tensor:
        kernel = -self.weight
        middle = kernel.shape[-1] // 2
        kernel[..., middle, middle] = self.weight.sum((-2, -1))
        return F.conv3d(x, kernel, self.bias, padding=self.padding, dilation=self.dilation)


class Block(nn.Module):
    """Three convolutions and a shortcut."""

    def __init__(self, in_channels: int, out_channels: int, plus: bool):
        super().__init__()
        if plus:
            self.conv1 = TimeDifference(in_channels, out_channels, 3, dilation=(2, 1, 1), padding=(2, 1, 1))
            self.conv2 = SpaceDifference(out_channels, out_channels, 3, dilation=(1, 2, 2), padding=(1, 2, 2))
        else:
            time = {"dilation": (2, 1, 1), "padding": (2, 0, 0)}
            self.conv1 = TimeDifference(in_channels, out_channels, (3, 1, 1), **time)
            self.conv2 = nn.Conv3d(out_channels, out_channels, (3, 1, 1), padding=(1, 0, 0))
        self.conv3 = nn.Conv3d(out_channels, out_channels, 1)
        self.bn1, self.bn2, self.bn3 = (nn.BatchNorm3d(out_channels) for _ in range(3))
        self.shortcut = nn.Sequential(nn.Conv3d(in_channels, out_channels, 1), nn.BatchNorm3d(out_channels))

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + self.shortcut(x))


class TPro(nn.Module):
    """A matrix over time for each group of channels."""

    def __init__(self, num_frames: int, heads: int):
        super().__init__()
        self.QK_heads = nn.ModuleList(nn.Linear(num_frames, num_frames) for _ in range(heads))
        self.norm1 = nn.BatchNorm3d(32)
        self.conv = nn.Sequential(nn.Conv3d(32, 32, 1), nn.BatchNorm3d(32), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        parts = []
        for head, part in zip(self.QK_heads, x.chunk(len(self.QK_heads), 1), strict=True):
            mixed = F.linear(part.movedim(2, -1) / math.sqrt(part.shape[2]), head.weight, head.bias)
            parts.append(mixed.movedim(-1, 2))
        return self.conv(F.relu(self.norm1(torch.cat(parts, 1))))


def conv_norm_relu(conv: nn.Conv3d) -> nn.Sequential:
    """Convolution → BN → ReLU."""
    return nn.Sequential(conv, nn.BatchNorm3d(conv.out_channels), nn.ReLU())


class LiteralDeepPro(nn.Module):
    """clip (B, T, H, W) → logits (B, 1, H, W) of the last frame; `frames` gives (B, T, H, W)."""

    in_channels = 1

    def __init__(self, num_frames: int = 40):
        super().__init__()
        self.num_frames = num_frames
        pool = nn.MaxPool3d((1, 2, 2))
        self.conv_in = conv_norm_relu(nn.Conv3d(1, 8, (5, 1, 1), padding=(2, 0, 0)))
        self.layer1 = nn.Sequential(Block(8, 16, False), Block(16, 32, False))
        self.layer2 = nn.Sequential(pool, Block(8, 16, False), Block(16, 32, False))
        self.layer3 = nn.Sequential(pool, Block(8, 16, False), pool, Block(16, 32, False))
        self.TPro1, self.TPro2, self.TPro3 = (TPro(num_frames, 4) for _ in range(3))
        self.conv_out1_1, self.conv_out1_2, self.conv_out1_3 = (conv_norm_relu(nn.Conv3d(32, 8, 1)) for _ in range(3))
        self.conv_out2 = conv_norm_relu(nn.Conv3d(24, 8, 1))
        self.final = nn.Conv3d(8, 1, 1)

    def frames(self, clip: Tensor) -> Tensor:
        """Logits of every frame."""
        x = self.conv_in(clip.unsqueeze(1))
        maps = []
        for level in (1, 2, 3):
            layer, probe, out = (getattr(self, f"{name}{level}") for name in ("layer", "TPro", "conv_out1_"))
            y = out(probe(layer(x)))
            images = y.movedim(2, 1).flatten(0, 1)
            images = F.interpolate(images, size=clip.shape[-2:], mode="bilinear", align_corners=True)
            maps.append(images.unflatten(0, clip.shape[:2]).movedim(1, 2))
        return self.final(self.conv_out2(torch.cat(maps, 1))).squeeze(1)

    def forward(self, clip: Tensor) -> Tensor:
        return self.frames(clip)[:, -1:]


class LiteralDeepProPlus(nn.Module):
    """As `LiteralDeepPro`."""

    in_channels = 1

    def __init__(self, num_frames: int = 40):
        super().__init__()
        self.num_frames = num_frames
        self.conv_in = conv_norm_relu(SpaceDifference(1, 8, (5, 7, 7), padding=(2, 3, 3)))
        self.layer1 = nn.Sequential(Block(8, 16, True), Block(16, 32, True))
        self.TPro = TPro(num_frames, 8)
        self.conv_out1 = conv_norm_relu(nn.Conv3d(32, 8, 1))
        self.conv_out2 = nn.Conv3d(8, 1, 1)

    def frames(self, clip: Tensor) -> Tensor:
        """Logits of every frame."""
        x = self.layer1(self.conv_in(clip.unsqueeze(1)))
        return self.conv_out2(self.conv_out1(self.TPro(x))).squeeze(1)

    def forward(self, clip: Tensor) -> Tensor:
        return self.frames(clip)[:, -1:]
