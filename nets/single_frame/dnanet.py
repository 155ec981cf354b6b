"""DNANet: densely nested U-Nets with channel and spatial attention.

Li et al., "Dense Nested Attention Network for Infrared Small Target Detection", TIP 2023.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nets.blocks import BasicBlock, favour_background, resize_like, stack_blocks
from nets.single_frame.key_frame import KeyFrameNetwork

WIDTHS = (16, 32, 64, 128, 256)


class ChannelAttention(nn.Module):
    """Weight of each channel from its mean and maximum: (B, C, H, W) float → (B, C, 1, 1) in (0, 1)."""

    def __init__(self, channels: int):
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // 16, 1, bias=False)
        self.fc2 = nn.Conv2d(channels // 16, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        pooled = (x.mean((2, 3), keepdim=True), x.amax((2, 3), keepdim=True))
        return sum(self.fc2(F.relu(self.fc1(values))) for values in pooled).sigmoid()


class SpatialAttention(nn.Module):
    """Weight of each point from the mean and maximum over channels: (B, C, H, W) float → (B, 1, H, W) in (0, 1)."""

    def __init__(self, kernel: int):
        super().__init__()
        self.conv1 = nn.Conv2d(2, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv1(torch.cat((x.mean(1, keepdim=True), x.amax(1, keepdim=True)), 1)).sigmoid()


class AttentionBlock(BasicBlock):
    """Basic block whose residual is weighted by channel, then by point."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1):
        super().__init__(in_channels, out_channels, stride)
        self.ca = ChannelAttention(out_channels)
        self.sa = SpatialAttention(7)

    def residual(self, x: Tensor) -> Tensor:
        y = super().residual(x)
        y = self.ca(y) * y
        return self.sa(y) * y


class DNANet(KeyFrameNetwork):
    """clip (B, T, H, W) float32 → logits (B, 1, H, W) of the key frame; H and W are multiples of 16.

    In training mode a list of four such logits of ever deeper nesting, the last one as in evaluation mode.

    Node (i, j) lies at H/2^i and reads the nodes left of it in its row, the one below on its left and the one above.
    """

    multiple = 16

    def __init__(self):
        super().__init__()
        self.nodes = nn.ModuleDict()
        for i, j in _order():
            read = WIDTHS[i] * j + (WIDTHS[i + 1] if j else 0) + (WIDTHS[i - 1] if i and j else 0)
            before = read if j else (1, *WIDTHS)[i]
            self.nodes[f"conv{i}_{j}"] = stack_blocks(before, WIDTHS[i], 2 if i else 1, kind=AttentionBlock)
        self.squeeze = nn.ModuleList(nn.Conv2d(width, WIDTHS[0], 1) for width in WIDTHS[:0:-1])
        self.fuse = stack_blocks(5 * WIDTHS[0], WIDTHS[0], 1, kind=AttentionBlock)
        self.last = nn.ModuleList(favour_background(nn.Conv2d(WIDTHS[0], 1, 1)) for _ in range(4))

    def segment(self, frame: Tensor) -> Tensor | list[Tensor]:
        x: dict[tuple[int, int], Tensor] = {}
        for i, j in _order():
            if j:
                read = [x[i, left] for left in range(j)]
                read.append(resize_like(x[i + 1, j - 1], x[i, 0], align_corners=True))
                if i:
                    read.append(resize_like(x[i - 1, j], x[i, 0], align_corners=True))
                entry = torch.cat(read, 1)
            elif i:
                entry = F.max_pool2d(x[i - 1, 0], 2)
            else:
                entry = frame
            x[i, j] = self.nodes[f"conv{i}_{j}"](entry)
        deep = [resize_like(squeeze(x[4 - j, j]), frame, align_corners=True) for j, squeeze in enumerate(self.squeeze)]
        final = self.last[3](self.fuse(torch.cat((*deep, x[0, 4]), 1)))
        if not self.training:
            return final
        return [*(last(x[0, j]) for j, last in enumerate(self.last[:3], start=1)), final]


def _order() -> list[tuple[int, int]]:
    """The nodes (i, j), each after those it reads."""
    return [(i, total - i) for total in range(len(WIDTHS)) for i in range(total, -1, -1)]
