"""ISTDU-Net: a U-Net that weights groups of feature maps, with external attention in its skip connections.

Hou et al., "ISTDU-Net: Infrared Small-Target Detection U-Net", GRSL 2022.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from nets.blocks import ConvNormAct, conv1x1, favour_background, resize_like
from nets.single_frame.key_frame import KeyFrameNetwork

GROUPS = 4
RADIX = 2


class SplitAttention(nn.Module):
    """Grouped 3×3 convolution into two sets of maps, of which each group takes a learnt mixture.

    (B, C, H, W) float → the same shape. From Zhang et al., "ResNeSt: Split-Attention Networks", 2020.
    """

    def __init__(self, channels: int):
        super().__init__()
        inner = max(channels * RADIX // 4, 32)
        self.conv = nn.Conv2d(channels, RADIX * channels, 3, padding=1, groups=GROUPS * RADIX, bias=False)
        self.bn0 = nn.BatchNorm2d(RADIX * channels)
        self.fc1 = nn.Conv2d(channels, inner, 1, groups=GROUPS, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.fc2 = nn.Conv2d(inner, RADIX * channels, 1, groups=GROUPS)

    def forward(self, x: Tensor) -> Tensor:
        sets = F.relu(self.bn0(self.conv(x))).unflatten(1, (RADIX, -1))
        mean = sets.sum(1).mean((2, 3), keepdim=True)
        weights = self.fc2(F.relu(self.bn1(self.fc1(mean)))).flatten(1)
        weights = weights.unflatten(1, (GROUPS, RADIX, -1)).softmax(2).transpose(1, 2).flatten(2)
        return (weights[..., None, None] * sets).sum(1)


class SplitAttentionBottleneck(nn.Module):
    """1×1 → split attention → 1×1 residual block; sizes are halved by averages over 3×3, in the skip over 2×2.

    (B, in_channels, H, W) float → (B, 4·inner, H/stride, W/stride) float.
    """

    def __init__(self, in_channels: int, inner: int, stride: int):
        super().__init__()
        self.stride = stride
        self.conv1, self.bn1 = conv1x1(in_channels, inner), nn.BatchNorm2d(inner)
        self.conv2 = SplitAttention(inner)
        self.conv3, self.bn3 = conv1x1(inner, 4 * inner), nn.BatchNorm2d(4 * inner)
        self.downsample = ConvNormAct(in_channels, 4 * inner, 1, nn.Identity) if in_channels != 4 * inner else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(F.relu(self.bn1(self.conv1(x))))
        if self.stride > 1:
            y, x = F.avg_pool2d(y, 3, 2, 1), F.avg_pool2d(x, 2)
        skip = x if self.downsample is None else self.downsample(x)
        return F.relu(self.bn3(self.conv3(y)) + skip)


class ExternalAttention(nn.Module):
    """Every point reads 64 learnt patterns that all points of all images share.

    (B, C, H, W) float → the same shape. From Guo et al., "Beyond Self-attention: External Attention using Two Linear
    Layers for Visual Tasks", 2021.

    The published layers that compare with the patterns and that read them share one storage, so there is one tensor.
    """

    def __init__(self, channels: int, patterns: int = 64):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1)
        self.patterns = nn.Conv1d(patterns, channels, 1, bias=False)
        self.conv2 = ConvNormAct(channels, channels, 1, nn.Identity)

    def forward(self, x: Tensor) -> Tensor:
        patterns = self.patterns.weight[..., 0]
        likeness = (patterns.t() @ self.conv1(x).flatten(2)).softmax(2)
        likeness = likeness / (likeness.sum(1, keepdim=True) + 1e-9)
        return x + self.conv2((patterns @ likeness).unflatten(2, x.shape[-2:]))


class ISTDUNet(KeyFrameNetwork):
    """clip (B, T, H, W) float32 → logits (B, 1, H, W) of the key frame; H and W: multiples of 8.

    Frames are normalised by running statistics of their grey levels first.
    """

    multiple = 8

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.BatchNorm2d(1, affine=False), *ConvNormAct(1, 16, 3, nn.ReLU))
        widths, counts = (64, 128, 256, 512), (1, 2, 4, 8)
        self.down, before = nn.ModuleList(), 16
        for index, (width, count) in enumerate(zip(widths, counts, strict=True)):
            first = SplitAttentionBottleneck(before, width // 4, 2 if index else 1)
            rest = (SplitAttentionBottleneck(width, width // 4, 1) for _ in range(count - 1))
            self.down.append(nn.Sequential(first, *rest))
            before = width
        self.skip = nn.ModuleList(ExternalAttention(width) for width in widths)
        self.up = nn.ModuleList(ConvNormAct(width, width // 2, 1, nn.ReLU) for width in widths[:0:-1])
        self.head = nn.Sequential(*ConvNormAct(widths[0], 16, 3, nn.ReLU), favour_background(nn.Conv2d(16, 1, 1)))

    def segment(self, frame: Tensor) -> Tensor:
        x, maps = self.stem(frame), []
        for stage, skip in zip(self.down, self.skip, strict=True):
            x = stage(x)
            maps.append(skip(x))
        x = maps.pop()
        for up in self.up:
            shallow = maps.pop()
            x = shallow + resize_like(up(x), shallow)
        return self.head(x)
