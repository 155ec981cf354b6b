"""ResUNet-DTUM exactly as its equations are written, in the published names."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Block(nn.Module):
    """Residual block: 3×3 → BN → ReLU → 3×3 → BN, plus the shortcut, ReLU; all convolutions have a bias."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        self.bn2 = nn.BatchNorm2d(out_channels)
        if in_channels != out_channels:
            self.shortcut = nn.Sequential(nn.Conv2d(in_channels, out_channels, 1), nn.BatchNorm2d(out_channels))
        else:
            self.shortcut = nn.Sequential()

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class LiteralUNet(nn.Module):
    """(B, 3, H, W) → (B, 32, H, W)."""

    def __init__(self):
        super().__init__()
        self.conv0_0 = nn.Sequential(Block(3, 8))
        self.conv1_0 = nn.Sequential(Block(8, 16), Block(16, 16))
        self.conv2_0 = nn.Sequential(Block(16, 32), Block(32, 32))
        self.conv3_0 = nn.Sequential(Block(32, 64), Block(64, 64))
        self.conv2_1 = nn.Sequential(Block(96, 32))
        self.conv1_2 = nn.Sequential(Block(48, 16))
        self.conv0_3 = nn.Sequential(Block(24, 8))
        self.final = nn.Conv2d(8, 32, 1)

    def forward(self, x: Tensor) -> Tensor:
        x00 = self.conv0_0(x)
        x10 = self.conv1_0(F.max_pool2d(x00, 2))
        x20 = self.conv2_0(F.max_pool2d(x10, 2))
        x30 = self.conv3_0(F.max_pool2d(x20, 2))
        x21 = self.conv2_1(torch.cat((x20, upsample(x30)), 1))
        x12 = self.conv1_2(torch.cat((x10, upsample(x21)), 1))
        return self.final(self.conv0_3(torch.cat((x00, upsample(x12)), 1)))


def upsample(x: Tensor) -> Tensor:
    """(B, C, h, w) → (B, C, 2h, 2w), bilinear."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)


class LiteralDTUM(nn.Module):
    """(B, 32, 5, H, W) → (B, 1, 1, H, W)."""

    def __init__(self):
        super().__init__()
        self.bn0 = nn.BatchNorm3d(32)
        for level in (1, 2, 3, 4):
            self.add_module(f"conv{level}_1", nn.Conv3d(32, 32, (5, 1, 1), padding=(2, 0, 0)))
            self.add_module(f"bn{level}_1", nn.BatchNorm3d(32))
        for level in (3, 2, 1):
            padding = (2, 0, 0) if level > 1 else 0
            self.add_module(f"conv{level}_2", nn.Conv3d(64, 32, (5, 1, 1), padding=padding))
            self.add_module(f"bn{level}_2", nn.BatchNorm3d(32))
        self.final = nn.Sequential(
            nn.Conv3d(64, 32, (1, 3, 3), padding=(0, 1, 1)),
            nn.BatchNorm3d(32),
            nn.ReLU(),
            nn.Dropout3d(0.5),
            nn.Conv3d(32, 1, 1),
        )

    def forward(self, features: Tensor) -> Tensor:
        x = F.relu(self.bn0(features))
        levels = [F.relu(self.bn1_1(self.conv1_1(x)))]
        for level in (2, 3, 4):
            conv, norm = getattr(self, f"conv{level}_1"), getattr(self, f"bn{level}_1")
            levels.append(F.relu(norm(conv(self.pool(levels[-1])).abs())))
        o_3 = self.join(levels[3], levels[2], self.conv3_2, self.bn3_2)
        o_2 = self.join(o_3, levels[1], self.conv2_2, self.bn2_2).detach()
        o_1 = self.join(o_2, levels[0], self.conv1_2, self.bn1_2)
        return self.final(torch.cat((o_1, x[:, :, -1:]), 1))

    def pool(self, x: Tensor) -> Tensor:
        """2×2 maxima times the code of their place, from their indices in a frame."""
        maxima, index = F.max_pool2d(x.flatten(1, 2), 2, return_indices=True)
        width = x.shape[-1]
        code = index % width % 2 + 2 * (index // width % 2) - 1.5
        return (maxima * code).unflatten(1, x.shape[1:3])

    def join(self, small: Tensor, large: Tensor, conv: nn.Conv3d, norm: nn.BatchNorm3d) -> Tensor:
        """A convolution over [×2 nearest of `small`, `large`] → BN → ReLU."""
        larger = F.interpolate(small, scale_factor=(1, 2, 2), mode="nearest")
        return F.relu(norm(conv(torch.cat((larger, large), 1))))


class LiteralResUNetDTUM(nn.Module):
    """clip (B, 5, H, W) → logits (B, 1, H, W)."""

    in_channels, num_frames = 1, 5

    def __init__(self):
        super().__init__()
        self.UNet = LiteralUNet()
        self.DTUM = LiteralDTUM()

    def forward(self, clip: Tensor) -> Tensor:
        images = clip.unsqueeze(1).expand(-1, 3, -1, -1, -1)
        backwards = [self.UNet(images[:, :, time]) for time in (4, 3, 2, 1, 0)]
        return self.DTUM(torch.stack(backwards[::-1], 2)).squeeze(2)
