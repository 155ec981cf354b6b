"""ResUNet-DTUM: a residual U-Net for each frame, and a direction-coded temporal U-shape module over them.

Li et al., "Direction-coded Temporal U-shape Module for Multiframe Infrared Small Target Detection", TNNLS 2023.
"""

from collections.abc import Sequence
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nets.blocks import BasicBlock, ConvNormAct, check_clip, favour_background, split_frames, stack_blocks
from nets.convlstm import observe_clip
from nets.streamable import StreamableNetwork

CHANNELS = 32  # of every map of the temporal module
TAPS = 5  # of its convolutions over time, and frames in a clip


class GreyConv2d(nn.Conv2d):
    """A convolution over RGB images that are grey: one channel comes in, for the `in_channels` equal ones."""

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.weight.sum(1, keepdim=True), self.bias)


class FrameUNet(nn.Module):
    """Features of each frame alone: (N, 1, H, W) float → (N, 8, H, W) float; H and W multiples of 8."""

    def __init__(self):
        super().__init__()
        stem = BasicBlock(3, 8)
        stem.conv1 = GreyConv2d(3, 8, 3, padding=1, bias=False)
        stem.downsample[0] = GreyConv2d(3, 8, 1, bias=False)
        self.down = nn.ModuleList([nn.Sequential(stem)])
        self.down.extend(stack_blocks(width // 2, width, 2) for width in (16, 32, 64))
        self.up = nn.ModuleList(stack_blocks(3 * width, width, 1) for width in (32, 16, 8))

    def forward(self, frames: Tensor) -> Tensor:
        maps = [self.down[0](frames)]
        for stage in self.down[1:]:
            maps.append(stage(F.max_pool2d(maps[-1], 2)))
        x = maps.pop()
        for stage in self.up:
            larger = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True)
            x = stage(torch.cat((maps.pop(), larger), 1))
        return x


def mix_times(
    maps: Sequence[Tensor], weight: Tensor, times: Sequence[int] | None = None, bias: Tensor | None = None
) -> list[Tensor]:
    """A convolution over time, zero outside the clip: only taps on frames of the clip are computed.

    Args:
        maps: of T frames, (B, in, h, w) each.
        weight: (out, in, K, 1, 1), K odd.
        times: positions in the clip that are wanted, all of them by default.
        bias: (out,).

    Returns:
        For each of these a map (B, out, h, w).
    """
    reach = weight.shape[2] // 2
    mixed = []
    for time in range(len(maps)) if times is None else times:
        first, end = max(0, time - reach), min(len(maps), time + reach + 1)
        taps = weight[:, :, first - time + reach : end - time + reach, 0, 0]
        kernel = taps.transpose(1, 2).flatten(1)[..., None, None]
        mixed.append(F.conv2d(torch.cat(list(maps[first:end]), 1), kernel, bias))
    return mixed


class TimeConv(nn.Module):
    """Convolution over time → batch norm over all frames → ReLU; where `magnitude`, |·| before the norm, and a bias.

    T maps (B, in_channels, h, w) float → T maps (B, 32, h, w) float.
    """

    def __init__(self, in_channels: int = CHANNELS, magnitude: bool = False):
        super().__init__()
        self.magnitude = magnitude
        self.conv = nn.Conv3d(in_channels, CHANNELS, (TAPS, 1, 1), bias=magnitude)
        self.norm = nn.BatchNorm2d(CHANNELS)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        return self.finish(mix_times(maps, self.conv.weight))

    def finish(self, mixed: Sequence[Tensor]) -> list[Tensor]:
        """All that follows the sums over time."""
        x = torch.cat(list(mixed))
        if self.conv.bias is not None:  # the folded norm's, where the convolution has none of its own
            x = x + self.conv.bias[:, None, None]
        x = x.abs() if self.magnitude else x
        return list(split_frames(F.relu(self.norm(x)), len(mixed)))

    def products(self, x: Tensor) -> Tensor:
        """What a frame adds to the sums at each distance in time: (N, in_channels, h, w) → (N, TAPS·32, h, w)."""
        return F.conv2d(x, self.conv.weight.movedim(2, 0).flatten(0, 1))

    def join(self, products: Sequence[Tensor]) -> list[Tensor]:
        """As `forward`, from the `products` of the T frames."""
        parts = [x.chunk(TAPS, 1) for x in products]
        sums = []
        for time in range(len(parts)):
            first, end = max(0, time - TAPS // 2), min(len(parts), time + TAPS // 2 + 1)
            total = parts[first][first - time + TAPS // 2].clone()
            for other in range(first + 1, end):
                total += parts[other][other - time + TAPS // 2]
            sums.append(total)
        return self.finish(sums)


class Rejoin(TimeConv):
    """`TimeConv` over [×2 nearest of `small`, `large`]; the half over `small` runs before the upsampling.

    With `key` for the last frame alone, over five frames without padding in time: a list of one map.
    """

    def __init__(self):
        super().__init__(2 * CHANNELS)

    def forward(self, small: Sequence[Tensor], large: Sequence[Tensor], key: bool = False) -> list[Tensor]:
        times = [len(large) // 2] if key else None  # centred there the taps cover the clip
        halves = zip((small, large), self.conv.weight.split(CHANNELS, 1), strict=True)
        below, beside = (mix_times(maps, weight, times) for maps, weight in halves)
        larger = F.interpolate(torch.cat(below), scale_factor=2, mode="nearest")
        return self.finish([x + y for x, y in zip(split_frames(larger, len(below)), beside, strict=True)])


def direction_code(x: Tensor) -> Tensor:
    """Where in its 2×2 cell the maximum is: [[-1.5, -0.5], [0.5, 1.5]], of equals the first in rows.

    (N, C, h, w) → (N, C, h/2, w/2) float.
    """
    upper, lower = ((x[..., row::2, ::2], x[..., row::2, 1::2]) for row in (0, 1))
    columns = [torch.where(right > left, 1.0, 0.0) for left, right in (upper, lower)]
    below = torch.maximum(*lower) > torch.maximum(*upper)
    return torch.where(below, columns[1] + 0.5, columns[0] - 1.5).to(x.dtype)


def pool_with_direction(x: Tensor) -> Tensor:
    """2×2 maxima times their direction codes, through which no gradient runs: (N, C, h, w) → (N, C, h/2, w/2)."""
    return F.max_pool2d(x, 2) * direction_code(x.detach())


class ResUNetDTUM(StreamableNetwork):
    """clip (B, 5, H, W) float32 → logits (B, 1, H, W) of its last frame, the key frame; H and W multiples of 8.

    A frame contributes its features and their products with the five taps of the first convolution over time; what
    follows depends on the frame's place in the clip. In training the U-Net takes one frame at a time, the key frame
    first and then backwards, each with batch statistics of its own, as published.

    Args:
        stop_gradient: no gradient runs below the second level of the temporal decoder, as published: `frozen` names
            what stays as it was initialised, but for the statistics of its batch norms.
    """

    in_channels = 1
    num_frames = TAPS
    multiple = 8
    jumps = True  # by the direction codes of nearly equal neighbours

    def __init__(self, stop_gradient: bool = True):
        super().__init__()
        self.stop_gradient = stop_gradient
        self.unet = FrameUNet()
        self.embedding = ConvNormAct(8, CHANNELS, 1, nn.ReLU)  # its norm is over all frames of a clip
        self.first = TimeConv()
        self.deeper = nn.ModuleList(TimeConv(magnitude=True) for _ in range(3))
        self.rejoin = nn.ModuleList(Rejoin() for _ in range(3))
        self.head = nn.Sequential(
            *ConvNormAct(2 * CHANNELS, CHANNELS, 3, nn.ReLU),
            nn.Dropout2d(0.5),
            favour_background(nn.Conv2d(CHANNELS, 1, 1)),
        )
        if stop_gradient:
            for name, parameter in self.named_parameters():
                parameter.requires_grad = not name.startswith(("deeper.", "rejoin.0.", "rejoin.1."))

    @property
    def frozen(self) -> list[str]:
        """Names of the parameters that training never changes."""
        return [name for name, parameter in self.named_parameters() if not parameter.requires_grad]

    def forward(self, clip: Tensor) -> Tensor:
        """Segment the last frame.

        Args:
            clip: (B, 5, H, W) float32, normalised, H and W multiples of 8.

        Returns:
            Logits (B, 1, H, W) float32.

        Raises:
            ValueError: any other shape.
        """
        check_clip(clip, self.in_channels, self.num_frames, self.multiple)
        frames = clip.unsqueeze(1).movedim(2, 0)
        if not self.training:
            return self.decide(frames[-1], observe_clip(self.observe, frames))
        backwards = [self.unet(frame) for frame in frames.flip(0)]
        x = split_frames(self.embedding(torch.cat(backwards[::-1])), len(frames))
        return self.decode(self.first(x), x[-1])

    def observe(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Frames (N, 1, H, W) → what each contributes to every clip that it is in, (N, …) tensors."""
        x = self.embedding(self.unet(frames))
        return x, self.first.products(x)

    def decide(self, key: Tensor, window: Sequence[tuple[Tensor, ...]]) -> Tensor:
        """The clip's output.

        Args:
            key: key frames (B, 1, H, W).
            window: what the five frames that end with them contributed, (B, …) tensors in order.

        Returns:
            Logits (B, 1, H, W).
        """
        return self.decode(self.first.join([products for _, products in window]), window[-1][0])

    def decode(self, first: list[Tensor], key: Tensor) -> Tensor:
        """The temporal module from its first level on.

        Args:
            first: maps of the five frames, (B, 32, H, W) each.
            key: features of the key frame (B, 32, H, W).
        """
        with torch.no_grad() if self.stop_gradient and torch.is_grad_enabled() else nullcontext():
            second = self._look_deeper(first)
        coarse = self.rejoin[2](second, first, key=True)[0]
        return self.head(torch.cat((coarse, key), 1))

    def _look_deeper(self, first: list[Tensor]) -> list[Tensor]:
        """Down to H/8 and back to H/2, where it ends: maps of the five frames (B, 32, H/2, W/2)."""
        levels = [first]
        for stage in self.deeper:
            levels.append(stage([pool_with_direction(x) for x in levels[-1]]))
        x = levels.pop()
        for stage in self.rejoin[:2]:
            x = stage(x, levels.pop())
        return x
