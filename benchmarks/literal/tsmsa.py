"""TSMSA exactly as its equations are written, in the published names, dead parts included (as convlstm.py)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.literal.convlstm import LiteralConvLSTM


class Block(nn.Module):
    """Residual block: depthwise 3×3 → 1×1 → BN → LeakyReLU → depthwise 3×3 → BN, plus the skip, LeakyReLU."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1):
        super().__init__()
        self.conv1 = nn.Sequential(
            nn.Conv2d(in_channels, in_channels, 3, stride, 1, groups=in_channels),
            nn.Conv2d(in_channels, out_channels, 1),
        )
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Sequential(nn.Conv2d(out_channels, out_channels, 3, 1, 1, groups=out_channels))
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.connect_conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)  # unused where the block is strided
        if stride > 1:
            skip = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)
            self.downsample = nn.Sequential(skip, nn.BatchNorm2d(out_channels))
        else:
            self.downsample = None

    def forward(self, x: Tensor) -> Tensor:
        skip = self.connect_conv(x) if self.downsample is None else self.downsample(x)
        y = F.leaky_relu(self.bn1(self.conv1(x)), 0.01)
        return F.leaky_relu(self.bn2(self.conv2(y)) + skip, 0.01)


class BaseConv(nn.Module):
    """Convolution without bias → BN (eps 1e-3, momentum 0.03) → activation."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, activation=nn.SiLU):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, 1e-3, 0.03)
        self.act = activation()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))


class Fusion(nn.Module):
    """fuse(high, low): low to high's channels, nearest ×2, [low_up, high], 1×1 convolution."""

    def __init__(self, high: int, low: int):
        super().__init__()
        self.lateral_conv0 = BaseConv(low, high, 1)
        self.lateral_conv1 = BaseConv(2 * high, high, 1)

    def forward(self, high: Tensor, low: Tensor) -> Tensor:
        low = F.interpolate(self.lateral_conv0(low), scale_factor=2, mode="nearest")
        return self.lateral_conv1(torch.cat((low, high), 1))


class Backbone(nn.Module):
    """Key-frame encoder: (B, 1, H, W) → maps at H, H/2, H/4, H/8."""

    def __init__(self, channels: tuple[int, ...], blocks: tuple[int, ...]):
        super().__init__()
        first = channels[0]
        self.feature1 = nn.Sequential(
            nn.BatchNorm2d(1),
            nn.Conv2d(1, first, 3, padding=1, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(),
            nn.Conv2d(first, first, 3, padding=1, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(),
        )
        for index, count in enumerate(blocks):
            before, width = channels[index : index + 2]
            rest = (Block(width, width) for _ in range(count - 1))
            setattr(self, f"layer{index + 1}", nn.Sequential(Block(before, width, 2), *rest))

    def forward(self, frame: Tensor) -> list[Tensor]:
        maps = [self.feature1(frame)]
        for layer in (self.layer1, self.layer2, self.layer3):
            maps.append(layer(maps[-1]))
        return maps


class FeatureEnhance(nn.Module):
    """Motion-coupling module over the key feature f (B, C, H, W) and h_0 … h_{T-1}."""

    def __init__(self, channels: int, frames: int):
        super().__init__()
        self.weight = nn.ParameterList(nn.Parameter(torch.full((1,), 1 / frames)) for _ in range(frames))
        self.Sconv1 = Block(frames * channels, channels)
        self.Sconv2 = Block(2 * channels, channels)
        self.Sconv3 = Block(channels, channels)
        self.Tconv1 = nn.Sequential(Block(2 * channels, channels))
        self.Tconv2 = nn.Sequential(Block(channels, channels))
        self.conv_mix = nn.Sequential(Block(2 * channels, channels))

    def forward(self, f: Tensor, hidden: list[Tensor]) -> Tensor:
        s = self.Sconv1(torch.cat(hidden, 1))
        s = self.Sconv2(torch.cat((f, s), 1)) + self.Sconv3(f)
        pairs = [w * self.Tconv1(torch.cat((h, f), 1)) for w, h in zip(self.weight, hidden, strict=True)]
        t = self.Tconv2(sum(pairs))
        return self.conv_mix(torch.cat((s, t), 1))


class Head(nn.Module):
    """3×3 to two channels → BN → ReLU → dropout → 1×1: (B, channels, H, W) → logits (B, 1, H, W)."""

    def __init__(self, channels: int):
        super().__init__()
        self.block = nn.Sequential(
            nn.Conv2d(channels, 2, 3, padding=1, bias=False),
            nn.BatchNorm2d(2),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Conv2d(2, 1, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


class LiteralTSMSA(nn.Module):
    """Clip (B, T, H, W) float32, H and W multiples of 16 → logits (B, 1, H, W) of the last frame."""

    def __init__(self, num_slices=1, num_layers=1, num_frames=5, channels=(8, 16, 32, 64), blocks=(3, 3, 3)):
        super().__init__()
        width = channels[2]
        self.backbone = Backbone(channels, blocks)
        self.mapping1 = embedding(1, width)
        self.SSTCell = LiteralConvLSTM(width, width, num_slices, num_layers, "gc")
        self.fusion1 = Fusion(channels[2], channels[3])
        self.fusion2 = Fusion(channels[1], channels[2])
        self.fusion3 = Fusion(channels[0], channels[1])
        self.feature_enhance = FeatureEnhance(width, num_frames)
        self.head = Head(channels[0])

    def forward(self, clip: Tensor) -> Tensor:
        frames = [frame.unsqueeze(1) for frame in clip.unbind(1)]
        full, half, quarter, eighth = self.backbone(frames[-1])
        hidden = self.SSTCell(torch.stack([self.mapping1(frame) for frame in frames], 1))
        coupled = self.feature_enhance(self.fusion1(quarter, eighth), list(hidden.unbind(1)))
        return self.head(self.fusion3(full, self.fusion2(half, coupled)))


def embedding(in_channels: int, width: int) -> nn.Sequential:
    """Frame embedding at H/4: 5×5 stride 4 padding 1, LeakyReLU, 1×1, LeakyReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, width // 2, 5, 4, 1, bias=False),
        nn.LeakyReLU(0.01),
        nn.Conv2d(width // 2, width, 1, bias=False),
        nn.LeakyReLU(0.01),
    )
