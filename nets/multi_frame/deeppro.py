"""DeepPro and DeepPro-Plus, which look at how each pixel's grey level goes on in time, its temporal profile.

Li et al., "Probing Deep into Temporal Profile Makes the Infrared Small Target Detector Much Better", 2025.

Features are (B, C, T, H, W); kernel sizes are (time, row, column), and zero padding keeps all sizes.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nets.blocks import check_clip, favour_background
from nets.multi_frame.every_frame import EveryFrameNetwork

STEM, NARROW, WIDE = 8, 16, 32  # channels after the stem, the first and the second block of a level
Sizes = tuple[int, int, int]


class ProfileConv(nn.Conv3d):
    """Convolution without bias, of differences where there is a `difference`.

    Args:
        in_channels: of the input.
        out_channels: of the output.
        kernel: odd sizes.
        dilation: in each direction.
        difference: "" for none; "time": three taps, each weight acts on the difference of neighbours in time, so that
            what stands still gives 0; "space": the weights off the centre act on the centre less their neighbour, that
            of the centre on itself.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: Sizes = (1, 1, 1),
        dilation: Sizes = (1, 1, 1),
        difference: str = "",
    ):
        padding = tuple(step * (size // 2) for step, size in zip(dilation, kernel, strict=True))
        super().__init__(in_channels, out_channels, kernel, padding=padding, dilation=dilation, bias=False)
        self.difference = difference

    @property
    def reach(self) -> int:
        """Frames that it sees before and after its own."""
        return self.padding[0]

    def kernel(self) -> Tensor:
        """The weights that frames are multiplied with."""
        weight = self.weight
        if self.difference == "time":
            before, middle, after = weight.unbind(2)
            return torch.stack((before - middle, 2 * middle - before - after, after - middle), 2)
        if self.difference == "space":
            centre = torch.zeros(self.kernel_size[1:], device=weight.device, dtype=weight.dtype)
            centre[self.kernel_size[1] // 2, self.kernel_size[2] // 2] = 1
            return (weight.sum((-2, -1), keepdim=True) + weight) * centre - weight
        return weight

    def settle(self) -> None:
        """Keep the weights of `kernel` instead of those that training changes."""
        self.weight = nn.Parameter(self.kernel().detach(), self.weight.requires_grad)
        self.difference = ""

    def forward(self, x: Tensor, pad_time: bool = True) -> Tensor:
        """(B, in, T, H, W) → (B, out, T, H, W); without `pad_time` T is shorter by two times `reach`."""
        if self.kernel_size == (1, 1, 1) and x.is_contiguous(memory_format=torch.channels_last_3d):
            pixels = x.permute(0, 2, 3, 4, 1)  # one matrix product, without another layout of them
            return F.linear(pixels, self.weight.flatten(1), self.bias).permute(0, 4, 1, 2, 3)
        padding = (self.reach if pad_time else 0, *self.padding[1:])
        if self.kernel_size[1:] == (1, 1):  # over time alone: rows of frames, which is faster
            rows, kernel = x.flatten(3), self.kernel()[..., 0]
            y = F.conv2d(rows, kernel, self.bias, padding=(padding[0], 0), dilation=(self.dilation[0], 1))
            return y.unflatten(3, x.shape[-2:])
        return F.conv3d(x, self.kernel(), self.bias, padding=padding, dilation=self.dilation)


def conv_norm(conv: ProfileConv) -> nn.Sequential:
    """Convolution → batch norm over all frames."""
    return nn.Sequential(conv, nn.BatchNorm3d(conv.out_channels))


def conv_norm_relu(conv: ProfileConv) -> nn.Sequential:
    """Convolution → batch norm over all frames → ReLU."""
    return nn.Sequential(*conv_norm(conv), nn.ReLU())


class ProfileBlock(nn.Module):
    """Residual block of three convolutions, the first of differences in time.

    (B, in_channels, T, H, W) float → (B, out_channels, T, H, W) float.

    Args:
        in_channels: of the input.
        out_channels: of the output.
        space: the second convolution is of differences in space, and the first sees 3×3 pixels (DeepPro-Plus).
    """

    def __init__(self, in_channels: int, out_channels: int, space: bool):
        super().__init__()
        size = 3 if space else 1
        self.conv1 = ProfileConv(in_channels, out_channels, (3, size, size), (2, 1, 1), "time")
        self.bn1 = nn.BatchNorm3d(out_channels)
        self.conv2 = ProfileConv(
            out_channels, out_channels, (3, size, size), (1, 2, 2) if space else (1, 1, 1), "space" if space else ""
        )
        self.bn2 = nn.BatchNorm3d(out_channels)
        self.conv3 = ProfileConv(out_channels, out_channels)
        self.bn3 = nn.BatchNorm3d(out_channels)
        self.shortcut = conv_norm(ProfileConv(in_channels, out_channels))

    def forward(self, x: Tensor) -> Tensor:
        return self.finish(self.second(self.first(x)), self.shortcut(x))

    def first(self, x: Tensor, pad_time: bool = True) -> Tensor:
        """The first convolution, norm and ReLU."""
        return F.relu(self.bn1(self.conv1(x, pad_time)), inplace=True)

    def second(self, x: Tensor, pad_time: bool = True) -> Tensor:
        """The second convolution, norm and ReLU."""
        return F.relu(self.bn2(self.conv2(x, pad_time)), inplace=True)

    def finish(self, x: Tensor, shortcut: Tensor) -> Tensor:
        """The rest, with what the shortcut gives for the same frames."""
        return F.relu(self.bn3(self.conv3(x)) + shortcut, inplace=True)


class TemporalProbe(nn.Module):
    """Mixes each pixel's profile by a matrix over time: (B, C, T, H, W) float → (B, C, T or `newest`, H, W) float.

    The channels of a head share its matrix; the rest is one convolution.
    """

    def __init__(self, channels: int, num_frames: int, heads: int):
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(num_frames, num_frames) for _ in range(heads))
        self.norm1 = nn.BatchNorm3d(channels)
        self.conv = conv_norm_relu(ProfileConv(channels, channels))

    def forward(self, x: Tensor, newest: int) -> Tensor:
        return self.finish(self.mix(x.chunk(len(self.heads), 1), newest))

    def mix(self, parts: Sequence[Tensor], newest: int, times: list[int] | None = None) -> Tensor:
        """Profiles mixed by the matrices.

        Args:
            parts: channels of each head, (B, C / heads, T, H, W).
            newest: the last frames of the clip that are wanted.
            times: the place in the clip of each frame of `parts`; None: they are in order.

        Returns:
            (B, C, newest, H, W).
        """
        mixed = []
        for head, part in zip(self.heads, parts, strict=True):
            rows = head.weight[-newest:] / math.sqrt(head.in_features)
            rows = rows if times is None else rows[:, times]
            profiles = part.permute(0, 2, 3, 4, 1)  # as they lie in memory where channels are last
            y = torch.matmul(rows, profiles.flatten(2)) + head.bias[-newest:, None]
            mixed.append(y.unflatten(2, profiles.shape[2:]))
        return torch.cat(mixed, -1).permute(0, 4, 1, 2, 3)

    def finish(self, mixed: Tensor) -> Tensor:
        """All that follows."""
        return self.conv(F.relu(self.norm1(mixed)))


def pool(x: Tensor) -> Tensor:
    """2×2 maxima of every frame; an odd last row or column is dropped."""
    return F.max_pool3d(x, (1, 2, 2))


class ProfileLevel(nn.Module):
    """Two blocks and a probe: stem features (B, 8, T, H, W) float → (B, 8, T or `newest`, h, w) float.

    Args:
        num_frames: T.
        heads: of the probe.
        space: as of `ProfileBlock`.
        pools: whether maps are pooled before the first, and before the second block.
    """

    def __init__(self, num_frames: int, heads: int, space: bool, pools: tuple[bool, bool]):
        super().__init__()
        self.pools = pools
        self.blocks = nn.ModuleList((ProfileBlock(STEM, NARROW, space), ProfileBlock(NARROW, WIDE, space)))
        self.probe = TemporalProbe(WIDE, num_frames, heads)
        self.out = conv_norm_relu(ProfileConv(WIDE, STEM))

    def forward(self, x: Tensor, newest: int) -> Tensor:
        for pooled, block in zip(self.pools, self.blocks, strict=True):
            x = block(pool(x) if pooled else x)
        return self.out(self.probe(x, newest))


class ProfileNetwork(EveryFrameNetwork):
    """What DeepPro and DeepPro-Plus share: a stem, levels, and what joins them at full resolution."""

    smallest = 1  # height and width in pixels

    def __init__(self, num_frames: int, stem: ProfileConv, levels: list[ProfileLevel], join: nn.Module):
        super().__init__()
        self.num_frames = num_frames
        self.stem = conv_norm_relu(stem)
        self.levels = nn.ModuleList(levels)
        self.join = join
        self.final = favour_background(nn.Conv3d(STEM, 1, 1))

    def frames(self, clip: Tensor, newest: int | None = None) -> Tensor:
        check_clip(clip, self.in_channels, self.num_frames, self.multiple)
        self.check_size(clip)
        newest = self.num_frames if newest is None else newest
        seen = self.num_frames if self.training else newest
        x = self.stem(clip.unsqueeze(1))
        return self.decide([level(x, seen) for level in self.levels])[:, -newest:]

    def check_size(self, frames: Tensor) -> None:
        """Refuse frames (…, H, W) that are too small to be pooled. Raises ValueError."""
        if min(frames.shape[-2:]) < self.smallest:
            raise ValueError(
                f"got frames of shape {tuple(frames.shape)}, expected at least {self.smallest}×{self.smallest} pixels"
            )

    def decide(self, maps: list[Tensor]) -> Tensor:
        """What the levels give for n frames, (B, 8, n, h, w) each, the first at full size → logits (B, n, H, W)."""
        size = maps[0].shape[-2:]
        joined = torch.cat([resize_frames(x, size) for x in maps], 1) if len(maps) > 1 else maps[0]
        return self.final(self.join(joined)).squeeze(1)


def resize_frames(x: Tensor, size: tuple[int, int]) -> Tensor:
    """(B, C, n, h, w) → (B, C, n, *size), bilinear, corner pixels on corner pixels."""
    if x.shape[-2:] == size:
        return x
    images = F.interpolate(x.movedim(1, 2).flatten(0, 1), size=size, mode="bilinear", align_corners=True)
    return images.unflatten(0, (x.shape[0], x.shape[2])).movedim(2, 1)


class DeepPro(ProfileNetwork):
    """clip (B, T, H, W) float32 → logits (B, 1, H, W) of its last frame; `frames` gives those of every frame.

    Convolutions see one pixel each; space enters by pooling alone. H and W of at least 4.

    Args:
        num_frames: T, the size of the matrices over time.

    Raises:
        ValueError: fewer than 2 frames.
    """

    smallest = 4

    def __init__(self, num_frames: int = 40):
        check_num_frames(num_frames)
        pools = ((False, False), (True, False), (True, True))
        levels = [ProfileLevel(num_frames, 4, False, pooled) for pooled in pools]
        join = conv_norm_relu(ProfileConv(len(levels) * STEM, STEM))
        super().__init__(num_frames, ProfileConv(1, STEM, (5, 1, 1)), levels, join)


class DeepProPlus(ProfileNetwork):
    """clip (B, T, H, W) float32 → logits (B, 1, H, W) of its last frame; `frames` gives those of every frame.

    Differences in space stand beside those in time, all at full resolution.

    Args:
        num_frames: T, the size of the matrices over time.

    Raises:
        ValueError: fewer than 2 frames.
    """

    def __init__(self, num_frames: int = 40):
        check_num_frames(num_frames)
        stem = ProfileConv(1, STEM, (5, 7, 7), difference="space")
        super().__init__(num_frames, stem, [ProfileLevel(num_frames, 8, True, (False, False))], nn.Identity())


def check_num_frames(num_frames: int) -> None:
    """Refuse clips in which nothing can move. Raises ValueError."""
    if num_frames < 2:
        raise ValueError(f"got num_frames={num_frames}, expected at least 2: profiles need an earlier frame")
