"""UIU-Net: a U-Net whose stages are U-Nets, joined by interactive cross-attention.

Wu et al., "UIU-Net: U-Net in U-Net for Infrared Small Object Detection", TIP 2023.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nets.blocks import ConvNormAct, favour_background, resize_like
from nets.single_frame.dnanet import SpatialAttention
from nets.single_frame.key_frame import KeyFrameNetwork, PooledGate


def halve(x: Tensor) -> Tensor:
    """(B, C, H, W) → (B, C, ⌈H/2⌉, ⌈W/2⌉), the maximum of each 2×2."""
    return F.max_pool2d(x, 2, ceil_mode=True)


def conv_norm_relu(in_channels: int, out_channels: int, dilation: int = 1) -> ConvNormAct:
    """3×3 conv (dilated) → BN → ReLU."""
    block = ConvNormAct(in_channels, out_channels, 3, nn.ReLU)
    block[0].dilation = block[0].padding = (dilation, dilation)
    return block


class ResidualU(nn.Module):
    """Residual U-block of U²-Net: the U-Net's output is added to its first convolution's.

    (B, in_channels, H, W) float → (B, out_channels, H, W) float.

    Args:
        depth: convolutions that go down, the lowest dilated instead of pooled.
        in_channels, inner, out_channels: before, inside and after the block.
        dilated: none pools, and dilations are 1, 2, 4, 8.
    """

    def __init__(self, depth: int, in_channels: int, inner: int, out_channels: int, dilated: bool = False):
        super().__init__()
        self.dilated = dilated
        dilations = [2**index if dilated else 1 for index in range(depth - 1)] + [8 if dilated else 2]
        self.entry = conv_norm_relu(in_channels, out_channels)
        self.down = nn.ModuleList(
            conv_norm_relu(inner if index else out_channels, inner, dilation)
            for index, dilation in enumerate(dilations)
        )
        self.up = nn.ModuleList(
            conv_norm_relu(2 * inner, inner if index else out_channels, dilations[index]) for index in range(depth - 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        entry = self.entry(x)
        maps = [self.down[0](entry)]
        for stage in self.down[1:-1]:
            x = maps[-1] if self.dilated else halve(maps[-1])
            maps.append(stage(x))
        x = self.down[-1](maps[-1])
        for stage in reversed(self.up):
            shallow = maps.pop()
            x = stage(torch.cat((resize_like(x, shallow), shallow), 1))
        return x + entry


class CrossAttention(nn.Module):
    """Deep features weight the channels of shallow ones, which in turn weight the points of the deep ones."""

    def __init__(self, channels: int):
        super().__init__()
        inner = channels // 4
        self.feature_high = ConvNormAct(channels, channels, 1, nn.ReLU)
        self.topdown = PooledGate(channels, inner)
        self.bottomup = nn.Sequential(*ConvNormAct(channels, inner, 1, nn.ReLU), SpatialAttention(3))
        self.post = ConvNormAct(channels, channels, 3, nn.ReLU)

    def forward(self, deep: Tensor, shallow: Tensor) -> Tensor:
        """deep, shallow (B, C, H, W) float → (B, 2·C, H, W) float: [shallow, deep], both through one conv-BN-ReLU."""
        deep = self.feature_high(deep)
        shallow = shallow * self.topdown(deep)
        points = self.bottomup(shallow)
        return torch.cat((self.post(2 * shallow), self.post(2 * deep * points)), 1)


class UIUNet(KeyFrameNetwork):
    """clip (B, T, H, W) float32 → logits (B, 1, H, W) of the key frame, for any H and W.

    In training mode a list of seven such logits: the one of evaluation mode, made of the other six, and those from
    H, H/2, …, H/32.
    """

    def __init__(self):
        super().__init__()
        self.down = nn.ModuleList(
            (
                ResidualU(7, 1, 32, 64),
                ResidualU(6, 64, 32, 128),
                ResidualU(5, 128, 64, 256),
                ResidualU(4, 256, 128, 512),
                ResidualU(4, 512, 256, 512, dilated=True),
                ResidualU(4, 512, 256, 512, dilated=True),
            )
        )
        self.up = nn.ModuleList(
            (
                ResidualU(7, 128, 16, 64),
                ResidualU(6, 256, 32, 64),
                ResidualU(5, 512, 64, 128),
                ResidualU(4, 1024, 128, 256),
                ResidualU(4, 1024, 256, 512, dilated=True),
            )
        )
        self.fuse = nn.ModuleList(CrossAttention(channels) for channels in (128, 256, 512, 512))
        self.side = nn.ModuleList(
            favour_background(nn.Conv2d(width, 1, 3, padding=1)) for width in (64, 64, 128, 256, 512, 512)
        )
        self.last = nn.Conv2d(6, 1, 1)

    def segment(self, frame: Tensor) -> Tensor | list[Tensor]:
        maps = [self.down[0](frame)]
        for stage in self.down[1:]:
            maps.append(stage(halve(maps[-1])))
        decoded = [maps.pop()]
        for index in range(4, -1, -1):
            deep, shallow = resize_like(decoded[0], maps[index]), maps[index]
            both = self.fuse[index - 1](deep, shallow) if index else torch.cat((deep, shallow), 1)
            decoded.insert(0, self.up[index](both))
        sides = [resize_like(side(x), frame) for side, x in zip(self.side, decoded, strict=True)]
        final = self.last(torch.cat(sides, 1))
        return [final, *sides] if self.training else final
