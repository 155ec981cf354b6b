"""What moves against a scene that stands still: differences of aligned frames, in units of the noise around.

A frame's difference from an earlier one shows a mover twice, where it is and where it was, and of the scene only what
changes. Divided by how large such differences are around, it has the same values whatever the contrast.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nets.blocks import ConvNormAct

BAND_PX = (0.8, 4.0)  # standard deviations of the two Gaussians between which targets of a few pixels lie
CELL_PX, CELLS = 8, 5  # noise is measured in squares of 8 px, and is the mean of 5 x 5 of them
MIN_NOISE = 0.004  # in normalised levels: a tenth of a grey level where the frames' deviation is 25
MOST = 16.0  # times the noise; beyond, more says nothing more


class RegisteredDifferences(nn.Module):
    """Features of the key frame's differences from earlier frames, to be added to those of the key frame.

    For each lag `k`, `d = band(key - frame k before it)`, where `band` is the difference of two Gaussians; `d` over
    `MOST` times the mean of |d| around it, within ±1, goes through a 3×3 convolution, batch norm, ReLU, and a 1×1
    convolution that starts at zero: a network with it gives, before any training, what it gives without, bit by bit.

    Args:
        lags: how many frames of the clip lie between, ascending from 1 on.
        channels: of the features.
    """

    def __init__(self, lags: Sequence[int], channels: int):
        super().__init__()
        self.mix = nn.Sequential(
            *ConvNormAct(len(lags), channels, 3, nn.ReLU), nn.Conv2d(channels, channels, 1, bias=False)
        )
        nn.init.zeros_(self.mix[-1].weight)
        self.lags = tuple(lags)
        for index, sigma in enumerate(BAND_PX):
            self.register_buffer(f"gauss{index}", _gauss(sigma), persistent=False)

    def forward(self, frames: Sequence[Tensor]) -> Tensor:
        """A clip's T frames, each (B, 1, H, W), key frame last → (B, channels, H, W).

        H and W are multiples of `CELL_PX`.
        """
        # subtracted first, so that of equal frames nothing is left
        steps = torch.cat([frames[-1] - frames[-1 - lag] for lag in self.lags], 1)
        steps = _smooth(steps, self.gauss0) - _smooth(steps, self.gauss1)
        return self.mix((steps / (MOST * noise_around(steps))).clamp(-1, 1))


def noise_around(x: Tensor) -> Tensor:
    """The mean of |x| over 40 px around each pixel, at least `MIN_NOISE`: (B, C, H, W) → the same shape."""
    cells = F.avg_pool2d(x.abs(), CELL_PX)
    cells = F.avg_pool2d(cells, CELLS, 1, CELLS // 2, count_include_pad=False)
    return F.interpolate(cells, scale_factor=CELL_PX, mode="bilinear", align_corners=False).clamp(min=MIN_NOISE)


def _gauss(sigma: float) -> Tensor:
    """Weights (2r + 1,) of a Gaussian out to r = 3 σ, whose sum is 1."""
    places = torch.arange(-round(3 * sigma), round(3 * sigma) + 1)
    weights = torch.exp(-(places**2) / (2 * sigma**2))
    return weights / weights.sum()


def _smooth(x: Tensor, weights: Tensor) -> Tensor:
    """x (B, C, H, W) along both axes, with zeros beyond its edges."""
    reach, channels = len(weights) // 2, x.shape[1]
    x = F.conv2d(x, weights.view(1, 1, -1, 1).expand(channels, 1, -1, 1), padding=(reach, 0), groups=channels)
    return F.conv2d(x, weights.view(1, 1, 1, -1).expand(channels, 1, 1, -1), padding=(0, reach), groups=channels)
