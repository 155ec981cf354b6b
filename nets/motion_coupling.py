"""Motion-coupling modules: they join the key frame's features with what the ConvLSTM saw move."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nets.blocks import PairBlock, ResidualBlock, split_frames, weighted_sum


class MotionCoupling(nn.Module):
    """Motion-coupling module of TSMSA.

    space: `s = block_{TC→C}([h_0 … h_{T-1}])`, `s = block_{2C→C}([f, s])`, `s = s + block(f)`;
    time: `t = block(Σ_i w_i · block_{2C→C}([h_i, f]))` with one shared inner block and learnt w_i, initially 1/T;
    out: `block_{2C→C}([s, t])`.

    The inner block sees all T pairs as one batch of T·B: in training its batch statistics are those of all pairs
    together, where the published code calls it (and updates its running averages) once a pair. In eval mode both agree.
    """

    def __init__(self, channels: int, num_frames: int = 5):
        super().__init__()
        self.space_motion = ResidualBlock(num_frames * channels, channels)
        self.space_mix = ResidualBlock(2 * channels, channels)
        self.space_key = ResidualBlock(channels, channels)
        self.frame_weights = nn.Parameter(torch.full((num_frames,), 1 / num_frames))
        self.time_pair = PairBlock(channels)
        self.time_mix = ResidualBlock(channels, channels)
        self.out = ResidualBlock(2 * channels, channels)

    def forward(self, key: Tensor, motion: Sequence[Tensor]) -> Tensor:
        """key f (B, C, H, W) and motion h, T × (B, C, H, W), float → (B, C, H, W) float."""
        space = self.space_mix(torch.cat((key, self.space_motion(torch.cat(motion, 1))), 1))
        space = space + self.space_key(key)
        pairs = split_frames(self.time_pair(torch.cat(motion), key), len(motion))
        time = self.time_mix(weighted_sum(self.frame_weights, pairs))
        return self.out(torch.cat((space, time), 1))
