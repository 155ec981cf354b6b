"""Detectors of centres as they run: sizes and offsets are computed at the highest peaks alone, which is exact."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nets.centernet import boxes_at, highest_peaks
from nets.micml import MICML
from nets.streamable import StreamableNetwork


class PeakDetector(StreamableNetwork):
    """clip → peaks, as `nets.centernet.find_peaks` finds them in the maps of `network`.

    A clip is (B, 3, T, H, W), or (B, T, H, W) where the network is folded for grey frames. Peaks are (B, max_peaks, 6)
    float32: x1, y1, x2, y2 in pixels of the input, score, class, highest score first; zeros where there are fewer.
    """

    jumps = MICML.jumps

    def __init__(self, network: MICML):
        super().__init__()
        self.network, self.max_peaks = network, network.max_peaks
        self.in_channels, self.num_frames, self.multiple = network.in_channels, network.num_frames, network.multiple

    def forward(self, clip: Tensor) -> Tensor:
        return self._peaks(self.network.features(clip))

    def observe(self, frames: Tensor) -> tuple[Tensor, ...]:
        """As of the network."""
        return self.network.observe(frames)

    def decide(self, key: Tensor, window: Sequence[tuple[Tensor, ...]]) -> Tensor:
        """The clips' peaks; arguments as of the network."""
        return self._peaks(self.network.join(key, window))

    def _peaks(self, fused: Tensor) -> Tensor:
        heads = self.network.heads
        peaks = highest_peaks(heads["hm"](fused), self.max_peaks)
        patches = patches_at(fused, peaks.rows, peaks.columns)
        size, offset = (head_of_patches(heads[name], patches) for name in ("wh", "reg"))
        return boxes_at(peaks, size, offset)


def patches_at(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """3×3 pixels around some, zeros outside the map.

    Args:
        x: (B, C, H, W) float.
        rows: of the middles, (B, N) int64.
        columns: likewise.

    Returns:
        (B, N, 9·C) in the order of a 3×3 convolution's weights.
    """
    height, width = x.shape[-2:]
    step = torch.arange(-1, 2, device=x.device)
    rows, columns = rows[..., None] + step[:, None].expand(3, 3).flatten(), columns[..., None] + step.repeat(3)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    place = torch.where(inside, rows * width + columns, 0).flatten(1)
    values = x.flatten(2).gather(2, place[:, None].expand(-1, x.shape[1], -1)).unflatten(2, rows.shape[1:])
    values = torch.where(inside[:, None], values, 0)  # not a product, as what lies elsewhere may be NaN
    return values.transpose(1, 2).flatten(2)


def head_of_patches(head: nn.Sequential, patches: Tensor) -> Tensor:
    """A head (3×3 convolution, ReLU, 1×1 convolution) at the middle of patches (B, N, 9·C) → (B, N, channels)."""
    first, activation, last = head
    hidden = activation(F.linear(patches, first.weight.flatten(1), first.bias))
    return F.linear(hidden, last.weight.flatten(1), last.bias)
