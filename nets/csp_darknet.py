"""CSPDarknet of YOLOX with a top-down feature pyramid to one map at stride 8.

Z. Ge et al., "YOLOX: Exceeding YOLO Series in 2021", arXiv:2107.08430. The names of the parts are YOLOX's.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nets.blocks import ConvNormAct


def yolox_conv(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1, activation: type[nn.Module] = nn.SiLU
) -> ConvNormAct:
    """YOLOX's convolution → batch norm (eps 1e-3, momentum 0.03) → SiLU."""
    return ConvNormAct(in_channels, out_channels, kernel, activation, eps=1e-3, momentum=0.03, stride=stride)


class Bottleneck(nn.Module):
    """1×1 → 3×3, added to the input where `shortcut`: (B, C, H, W) float → the same shape."""

    def __init__(self, channels: int, shortcut: bool):
        super().__init__()
        self.conv1 = yolox_conv(channels, channels, 1)
        self.conv2 = yolox_conv(channels, channels, 3)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(self.conv1(x))
        return x + y if self.shortcut else y


class CSPLayer(nn.Module):
    """Cross-stage partial layer: half of the channels pass `depth` bottlenecks, the other half goes by.

    (B, in_channels, H, W) float → (B, out_channels, H, W) float.
    """

    def __init__(self, in_channels: int, out_channels: int, depth: int, shortcut: bool = True):
        super().__init__()
        half = out_channels // 2
        self.conv1 = yolox_conv(in_channels, half, 1)
        self.conv2 = yolox_conv(in_channels, half, 1)
        self.blocks = nn.Sequential(*(Bottleneck(half, shortcut) for _ in range(depth)))
        self.conv3 = yolox_conv(2 * half, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3(torch.cat((self.blocks(self.conv1(x)), self.conv2(x)), 1))


class SpatialPyramid(nn.Module):
    """Max pooling over 5, 9 and 13 pixels beside the map itself: (B, C, H, W) float → the same shape."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = yolox_conv(channels, channels // 2, 1)
        self.conv2 = yolox_conv(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        maps = [self.conv1(x)]
        for _ in range(3):  # 5 after 5 is 9, and 5 after 9 is 13, at a fraction of the reads
            maps.append(F.max_pool2d(maps[-1], 5, stride=1, padding=2))
        return self.conv2(torch.cat(maps, 1))


class CSPDarknet(nn.Module):
    """(B, 3, H, W) float, H and W multiples of 32 → maps of 4, 8 and 16 × `base` channels at H/8, H/16 and H/32.

    With `grey` set, see `nets.inference.folding.fold_network`, it takes (B, 1, H, W).

    Args:
        base: channels of the stem.
        depth: bottlenecks of the first stage; the two after it have three times as many.
    """

    def __init__(self, base: int, depth: int):
        super().__init__()
        self.grey = False
        self.stem = yolox_conv(12, base, 3)
        self.dark2 = nn.Sequential(yolox_conv(base, 2 * base, 3, 2), CSPLayer(2 * base, 2 * base, depth))
        self.dark3 = nn.Sequential(yolox_conv(2 * base, 4 * base, 3, 2), CSPLayer(4 * base, 4 * base, 3 * depth))
        self.dark4 = nn.Sequential(yolox_conv(4 * base, 8 * base, 3, 2), CSPLayer(8 * base, 8 * base, 3 * depth))
        self.dark5 = nn.Sequential(
            yolox_conv(8 * base, 16 * base, 3, 2),
            SpatialPyramid(16 * base),
            CSPLayer(16 * base, 16 * base, depth, shortcut=False),
        )

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # Focus: each 2×2 pixels become channels, in the order top left, bottom left, top right, bottom right.
        pixels = [image[..., row::2, column::2] for column in (0, 1) for row in (0, 1)]
        if self.grey:
            pixels.append(torch.ones_like(pixels[0]))
        eighth = self.dark3(self.dark2(self.stem(torch.cat(pixels, 1))))
        sixteenth = self.dark4(eighth)
        return eighth, sixteenth, self.dark5(sixteenth)


class DarknetFPN(nn.Module):
    """CSPDarknet and the top-down half of YOLOX's feature pyramid.

    (B, 3, H, W) float, H and W multiples of 32 → P3 (B, channels, H/8, W/8) float, channels = 4·⌊64·width⌋.

    Args:
        depth, width: YOLOX's multipliers; 0.33 and 0.50 are YOLOX-s, with 128 channels out.

    Raises:
        ValueError: they leave less than one channel or are not positive.
    """

    def __init__(self, depth: float = 0.33, width: float = 0.5):
        super().__init__()
        base, blocks = int(64 * width), max(round(3 * depth), 1)
        if depth <= 0 or base < 1:
            raise ValueError(f"got depth={depth}, width={width}, expected depth above 0 and width at least 1/64")
        self.channels = 4 * base
        self.darknet = CSPDarknet(base, blocks)
        self.lateral_conv0 = yolox_conv(16 * base, 8 * base, 1)
        self.C3_p4 = CSPLayer(16 * base, 8 * base, blocks, shortcut=False)
        self.reduce_conv1 = yolox_conv(8 * base, 4 * base, 1)
        self.C3_p3 = CSPLayer(8 * base, 4 * base, blocks, shortcut=False)

    def forward(self, image: Tensor) -> Tensor:
        eighth, sixteenth, low = self.darknet(image)
        p4 = self.C3_p4(torch.cat((_double(self.lateral_conv0(low)), sixteenth), 1))
        return self.C3_p3(torch.cat((_double(self.reduce_conv1(p4)), eighth), 1))


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")
