"""Deformable convolutions, and the aggregation of feature levels that is made of them.

X. Zhu et al., "Deformable ConvNets v2", CVPR 2019; X. Zhou et al., "Objects as Points", arXiv:1904.07850, for the
aggregation.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nets.deform_conv import TAPS, deform_conv


class DeformConv(nn.Conv2d):
    """3×3 convolution whose taps are moved and weighted by what a convolution reads from the same map.

    `offsets` gives dy, dx of each tap (channels 2k, 2k + 1), then the logits of the taps' weights in (0, 1). It starts
    at 0: no tap is moved, and all weigh ½. Without bias, as a batch norm follows, until that is folded.
    """

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(in_channels, out_channels, 3, padding=1, bias=False)
        self.offsets = nn.Conv2d(in_channels, 3 * TAPS, 3, padding=1)
        nn.init.zeros_(self.offsets.weight)
        nn.init.zeros_(self.offsets.bias)
        bound = 1 / math.sqrt(in_channels * TAPS)
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, h, w) float → (B, out_channels, h, w) float."""
        offset, mask = self.offsets(x).split((2 * TAPS, TAPS), 1)
        # Memory is read where offsets say, and NaN says anywhere. The taps' weights, and so the output, are NaN too.
        offset, mask = offset.nan_to_num(), mask.sigmoid()
        if x.device.type != "cpu" or torch.compiler.is_exporting():
            from torchvision.ops import deform_conv2d  # its import takes as long as PyTorch's own

            return deform_conv2d(x, offset, self.weight, self.bias, padding=1, mask=mask)
        y = deform_conv(x, offset, mask, self.weight)
        return y if self.bias is None else y + self.bias[:, None, None]


class DeformBlock(nn.Module):
    """Deformable convolution → batch norm → ReLU: (B, in_channels, h, w) → (B, out_channels, h, w), float."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv = DeformConv(in_channels, out_channels)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)).relu_()


def bilinear_upsampling(channels: int, factor: int) -> nn.ConvTranspose2d:
    """Each channel by itself `factor` (even) times as large, with weights that start as bilinear interpolation."""
    layer = nn.ConvTranspose2d(channels, channels, 2 * factor, factor, factor // 2, groups=channels, bias=False)
    # on the CPU, wherever the layer is made: without memory these operators import what takes half a second
    distance = (torch.arange(2 * factor, device="cpu") / factor - (2 * factor - 1) / (2 * factor)).abs()
    with torch.no_grad():
        layer.weight.copy_(torch.outer(1 - distance, 1 - distance).expand_as(layer.weight))
    return layer


class IterativeAggregation(nn.Module):
    """Coarser levels added to the finest, one after the other: L_i ← node_i(up_i(proj_i(L_i)) + L_{i-1}).

    Args:
        in_channels: of the levels L_1 … L_n.
        out_channels: of L_0 and of what is returned.
        factors: by which L_1 … L_n are enlarged; each is then of L_0's size.
    """

    def __init__(self, in_channels: Sequence[int], out_channels: int, factors: Sequence[int]):
        super().__init__()
        self.projs = nn.ModuleList(DeformBlock(width, out_channels) for width in in_channels)
        self.ups = nn.ModuleList(bilinear_upsampling(out_channels, factor) for factor in factors)
        self.nodes = nn.ModuleList(DeformBlock(out_channels, out_channels) for _ in in_channels)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """L_0 … L_n, (B, channels, h, w) float each → the new L_0 (as it was) … L_n."""
        updated = [levels[0]]
        for level, proj, up, node in zip(levels[1:], self.projs, self.ups, self.nodes, strict=True):
            updated.append(node(up(proj(level)) + updated[-1]))
        return updated


class PyramidUp(nn.Module):
    """Levels, each half as large as the one before it, aggregated from the coarsest up (`DLAUp`).

    Stage k works on the last k + 2 levels and leaves all but the first of them at the first one's size.

    Args:
        widths: channels of the levels, fine to coarse.
    """

    def __init__(self, widths: Sequence[int]):
        super().__init__()
        pairs = list(zip(widths, widths[1:], strict=False))[::-1]
        self.stages = nn.ModuleList(
            IterativeAggregation([coarse] * (stage + 1), fine, [2] * (stage + 1))
            for stage, (fine, coarse) in enumerate(pairs)
        )

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Maps (B, width, h, w) float, fine to coarse → as many of the same shapes; the coarsest is the one given."""
        outputs, work = [levels[-1]], list(levels)
        for stage, aggregate in enumerate(self.stages):
            first = len(work) - stage - 2
            work[first:] = aggregate(work[first:])
            outputs.append(work[-1])
        return outputs[::-1]
