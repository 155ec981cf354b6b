"""U-Net with batch norm.

Ronneberger et al., "U-Net: Convolutional Networks for Biomedical Image Segmentation", MICCAI 2015.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nets.blocks import ConvNormAct, favour_background
from nets.single_frame.key_frame import KeyFrameNetwork


class DoubleConv(nn.Sequential):
    """Twice 3×3 conv → BN → ReLU: (B, in_channels, H, W) float → (B, out_channels, H, W) float."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(
            *ConvNormAct(in_channels, out_channels, 3, nn.ReLU), *ConvNormAct(out_channels, out_channels, 3, nn.ReLU)
        )


class UNet(KeyFrameNetwork):
    """clip (B, T, H, W) float32 → logits (B, 1, H, W) of the key frame; H and W: multiples of 16."""

    multiple = 16

    def __init__(self):
        super().__init__()
        widths = (1, 64, 128, 256, 512, 1024)
        pairs = list(zip(widths[:-1], widths[1:], strict=True))
        self.down = nn.ModuleList(DoubleConv(before, width) for before, width in pairs)
        self.up = nn.ModuleList(ConvNormAct(width, before, 3, nn.ReLU) for before, width in reversed(pairs[1:]))
        self.join = nn.ModuleList(DoubleConv(width, before) for before, width in reversed(pairs[1:]))
        self.last = favour_background(nn.Conv2d(widths[1], 1, 1))

    def segment(self, frame: Tensor) -> Tensor:
        maps = [self.down[0](frame)]
        for stage in self.down[1:]:
            maps.append(stage(F.max_pool2d(maps[-1], 2)))
        x = maps.pop()
        for up, join in zip(self.up, self.join, strict=True):
            x = join(torch.cat((maps.pop(), up(F.interpolate(x, scale_factor=2, mode="nearest"))), 1))
        return self.last(x)
