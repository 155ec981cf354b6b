"""Motion coupling: joining the key frame's features with what moved in the frames before it.

`MotionCoupling` is TSMSA's module over the states of the ConvLSTM, `FrameCoupling` SSTNet's neck over the frames of a
clip.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from nets.blocks import PairBlock, ResidualBlock, add_shared, split_frames, weighted_sum
from nets.convlstm import conv3x3
from nets.csp_darknet import yolox_conv


def apply_to_frames(module: nn.Module | Callable[[Tensor], Tensor], frames: Tensor, fold: bool) -> Tensor:
    """Run a module over every frame.

    Args:
        module: (N, C, H, W) → (N, C', H', W').
        frames: (T, B, C, H, W) float.
        fold: all frames as one batch of T·B, whose batch norms see all of them together; else one call a frame, each
            with batch statistics and a running-average update of its own.

    Returns:
        (T, B, C', H', W') float.
    """
    if fold:
        return module(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
    # cat, unlike stack, keeps a channels-last layout.
    return torch.cat([module(frame) for frame in frames]).unflatten(0, frames.shape[:2])


def conv_pair(in_channels: int, middle: int, out_channels: int, last: type[nn.Module] = nn.SiLU) -> nn.Sequential:
    """Two 3×3 convolutions with batch norm and SiLU, the second one with the activation `last`."""
    return nn.Sequential(yolox_conv(in_channels, middle, 3), yolox_conv(middle, out_channels, 3, activation=last))


class FrameCoupling(nn.Module):
    """Motion-coupling neck of SSTNet over the features F_0 … F_{T-1} (F the key frame's).

    `g = reference([F_0 … F_{T-2}])`, ending in a sigmoid; `c = key_mix([current(g · F), F])`;
    `r = frame_mix(Σ_{i<T-1} w_i · pair([F_i, F]))` with learnt w_i, initially 1/(T-1); `out = final([r, c])`.

    The first convolution of `pair` is kept as its two halves: that on F is the same for every pair and runs once.

    Args:
        channels: C of the features.
        num_frames: T.
        fold: in training the pairs pass their batch norms as one batch; else pair by pair, as published.
    """

    def __init__(self, channels: int, num_frames: int = 5, fold: bool = False):
        super().__init__()
        self.fold = fold
        self.reference = conv_pair((num_frames - 1) * channels, 2 * channels, channels, nn.Sigmoid)
        self.current = conv_pair(channels, channels, channels)
        self.key_mix = conv_pair(2 * channels, 2 * channels, channels)
        self.pair_frame = conv3x3(channels, 2 * channels, bias=False)
        self.pair_key = conv3x3(channels, 2 * channels, bias=False)
        self.pair = nn.Sequential(
            nn.BatchNorm2d(2 * channels, 1e-3, 0.03), nn.SiLU(), yolox_conv(2 * channels, channels, 3)
        )
        self.frame_weights = nn.Parameter(torch.full((num_frames - 1,), 1 / (num_frames - 1)))
        self.frame_mix = conv_pair(channels, channels, channels)
        self.final = conv_pair(2 * channels, 2 * channels, channels)

    def forward(self, features: Tensor) -> Tensor:
        """features (T, B, C, H, W) float, key frame last → (B, C, H, W) float."""
        *earlier, key = features
        return self.join(key, earlier, self.pair_frame(features[:-1].flatten(0, 1)))

    def join(self, key: Tensor, earlier: Sequence[Tensor], parts: Tensor) -> Tensor:
        """The neck, where `pair_frame` has been applied.

        Args:
            key: F (B, C, H, W) float.
            earlier: the T-1 features before it, in order.
            parts: `pair_frame` of these, ((T-1)·B, 2C, H, W) float.

        Returns:
            (B, C, H, W) float.
        """
        gate = self.reference(torch.cat(earlier, 1))
        current = self.key_mix(torch.cat((self.current(gate * key), key), 1))
        pairs = add_shared(parts, self.pair_key(key)).unflatten(0, (len(earlier), -1))
        pairs = apply_to_frames(self.pair, pairs, self.fold or not self.training)
        mixed = weighted_sum(self.frame_weights, pairs)
        return self.final(torch.cat((self.frame_mix(mixed), current), 1))


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
