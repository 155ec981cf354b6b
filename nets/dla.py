"""DLA-34 without its last level: features of a frame at strides 1 to 16.

F. Yu et al., "Deep Layer Aggregation", CVPR 2018. The last level and the classifier are not built, nor are projections
of the outer trees, whose output nothing reads.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nets.blocks import ConvNormAct

WIDTHS = (16, 32, 64, 128, 256)  # of the levels, at strides 1, 2, 4, 8, 16; each is twice the one before it


class ResidualUnit(nn.Module):
    """3×3 conv (stride) → BN → ReLU → 3×3 conv → BN, plus what the caller gives as the skip → ReLU."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """x (B, in_channels, h, w), skip (B, out_channels, h/stride, w/stride) → as skip."""
        return (self.bn2(self.conv2(self.bn1(self.conv1(x)).relu_())) + skip).relu_()


class Tree(nn.Module):
    """Two residual units and a 1×1 convolution over both outputs and the `kids` of outer trees.

    (B, in_channels, h, w) float → (B, out_channels, h/stride, w/stride) float.

    Args:
        kid_channels: of all kids together.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1, kid_channels: int = 0):
        super().__init__()
        self.stride = stride
        self.tree1 = ResidualUnit(in_channels, out_channels, stride)
        self.tree2 = ResidualUnit(out_channels, out_channels)
        self.root = ConvNormAct(2 * out_channels + kid_channels, out_channels, 1, nn.ReLU)
        self.project = None
        if in_channels != out_channels:
            self.project = ConvNormAct(in_channels, out_channels, 1, nn.Identity)

    def forward(self, x: Tensor, kids: tuple[Tensor, ...] = ()) -> Tensor:
        bottom = F.max_pool2d(x, self.stride) if self.stride > 1 else x
        first = self.tree1(x, bottom if self.project is None else self.project(bottom))
        return self.root(torch.cat((self.tree2(first, first), first, *kids), 1))


class TwoLevelTree(nn.Module):
    """A tree of two trees, the first with stride 2: (B, in_channels, h, w) → (B, out_channels, h/2, w/2), float."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.tree1 = Tree(in_channels, out_channels, 2)
        self.tree2 = Tree(out_channels, out_channels, kid_channels=in_channels + out_channels)

    def forward(self, x: Tensor) -> Tensor:
        first = self.tree1(x)
        return self.tree2(first, (F.max_pool2d(x, 2), first))


class DLA34(nn.Module):
    """Frames (B, 3, H, W) float, H and W multiples of 16 → maps of `widths` channels at strides 1, 2, 4, 8, 16."""

    def __init__(self, widths: Sequence[int] = WIDTHS):
        super().__init__()
        self.stem = ConvNormAct(3, widths[0], 7, nn.ReLU)
        self.levels = nn.ModuleList(
            (
                ConvNormAct(widths[0], widths[0], 3, nn.ReLU),
                ConvNormAct(widths[0], widths[1], 3, nn.ReLU, stride=2),
                Tree(widths[1], widths[2], 2),
                TwoLevelTree(widths[2], widths[3]),
                TwoLevelTree(widths[3], widths[4]),
            )
        )

    def forward(self, frames: Tensor) -> list[Tensor]:
        x, maps = self.stem(frames), []
        for level in self.levels:
            x = level(x)
            maps.append(x)
        return maps
