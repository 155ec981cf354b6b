"""TSMSA: moving-target segmentation of the last frame of a clip."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nets.blocks import ConvNormAct, Fuse, ResidualBlock, check_clip
from nets.convlstm import CrossSliceConvLSTM, observe_clip
from nets.differences import RegisteredDifferences
from nets.motion_coupling import MotionCoupling
from nets.streamable import StreamableNetwork


class Encoder(nn.Module):
    """Key-frame encoder: (B, in_channels, H, W) float → one map for each of `channels`, at H, H/2, H/4 and so on."""

    def __init__(self, in_channels: int, channels: tuple[int, ...], blocks: tuple[int, ...]):
        super().__init__()
        self.stem = nn.Sequential(
            nn.BatchNorm2d(in_channels),
            ConvNormAct(in_channels, channels[0], 3, nn.ReLU),
            ConvNormAct(channels[0], channels[0], 3, nn.ReLU),
        )
        self.stages = nn.ModuleList(
            nn.Sequential(ResidualBlock(before, width, 2), *(ResidualBlock(width, width) for _ in range(count - 1)))
            for before, width, count in zip(channels[:-1], channels[1:], blocks, strict=True)
        )

    def forward(self, frame: Tensor, motion: Tensor | None = None) -> list[Tensor]:
        """`motion` (B, channels[0], H, W) float, where there is some, joins the first map."""
        maps = [self.stem(frame) if motion is None else self.stem(frame) + motion]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps


class Head(nn.Sequential):
    """3×3 conv → BN → ReLU → Dropout(0.1) → 1×1 conv: (B, channels, H, W) float → logits (B, 1, H, W) float.

    After the ReLU only `hidden` (an even number) non-negative maps reach the last convolution. Were all its weights
    negative, no pixel could rise above σ(bias) and training would never start: it begins with as many weights of 1 as
    of -1, and a bias of -3 as targets are rare.
    """

    def __init__(self, channels: int, hidden: int = 2):
        last = nn.Conv2d(hidden, 1, 1)
        with torch.no_grad():
            last.weight[:, ::2] = 1.0
            last.weight[:, 1::2] = -1.0
            last.bias.fill_(-3.0)
        super().__init__(*ConvNormAct(channels, hidden, 3, nn.ReLU), nn.Dropout(0.1), last)


class TSMSA(StreamableNetwork):
    """TSMSA (see CITATION.cff for the paper), which segments the clip's last frame, the key frame.

    The key frame goes through an encoder; every frame is embedded at H/4 and the cross-slice ConvLSTM runs over them; a
    motion-coupling module joins both, and a decoder returns to full size.

    Args:
        in_channels: 1 for grey clips.
        num_slices, num_layers: of the cross-slice ConvLSTM (1, 1 is the published setting).
        num_frames: T.
        channels: of the encoder at H, H/2, H/4, H/8.
        blocks: residual blocks in each of its three stages.
        lags: the encoder also sees the key frame's differences from so many frames before it
            (`nets.differences.RegisteredDifferences`), ascending, from 1 to T - 1; none by default.

    Raises:
        ValueError: settings that do not fit together.
    """

    multiple = 8

    def __init__(
        self,
        in_channels: int = 1,
        num_slices: int = 1,
        num_layers: int = 1,
        num_frames: int = 5,
        channels: tuple[int, int, int, int] = (8, 16, 32, 64),
        blocks: tuple[int, int, int] = (3, 3, 3),
        lags: Sequence[int] = (),
    ):
        super().__init__()
        if len(channels) != 4 or len(blocks) != 3 or min(blocks) < 1 or channels[2] % 2:
            raise ValueError(
                f"got channels={tuple(channels)}, blocks={tuple(blocks)}, expected 4 channels (the third even) "
                "and 3 block counts of at least 1"
            )
        if num_frames < 2:
            raise ValueError(f"got num_frames={num_frames}, expected at least 2: motion needs an earlier frame")
        if list(lags) != sorted({*lags}) or not all(1 <= lag < num_frames for lag in lags):
            raise ValueError(f"got lags={tuple(lags)}, expected ascending numbers from 1 to {num_frames - 1}")
        self.in_channels, self.num_frames = in_channels, num_frames
        width = channels[2]
        self.encoder = Encoder(in_channels, tuple(channels), tuple(blocks))
        self.embedding = nn.Sequential(
            nn.Conv2d(in_channels, width // 2, 5, stride=4, padding=1, bias=False),
            nn.LeakyReLU(0.01),
            nn.Conv2d(width // 2, width, 1, bias=False),
            nn.LeakyReLU(0.01),
        )
        self.lstm = CrossSliceConvLSTM(width, width, num_layers, num_slices, "gc")
        self.fuse_key = Fuse(channels[2], channels[3])
        self.coupling = MotionCoupling(width, num_frames)
        self.fuse_half = Fuse(channels[1], channels[2])
        self.fuse_full = Fuse(channels[0], channels[1])
        self.head = Head(channels[0])
        self.differences = RegisteredDifferences(lags, channels[0]) if lags else None

    def forward(self, clip: Tensor) -> Tensor:
        """Segment the last frame.

        Args:
            clip: (B, T, H, W) float32, with more than one channel (B, in_channels, T, H, W); normalised, H and W
                multiples of 8.

        Returns:
            Logits (B, 1, H, W) float32.

        Raises:
            ValueError: any other shape.
        """
        check_clip(clip, self.in_channels, self.num_frames, self.multiple)
        frames = (clip.unsqueeze(1) if clip.dim() == 4 else clip).movedim(2, 0)
        return self.decide(frames[-1], observe_clip(self.observe, frames))

    def observe(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Frames (N, in_channels, H, W) → what each contributes to every clip that it is in, (N, …) tensors."""
        gates = self.lstm.observe(self.embedding(frames))
        return gates if self.differences is None else (*gates, frames.mean(1, keepdim=True))

    def decide(self, key: Tensor, window: Sequence[tuple[Tensor, ...]]) -> Tensor:
        """The clip's output.

        Args:
            key: key frames (B, in_channels, H, W).
            window: what the T frames that end with them contributed, (B, …) tensors in order.

        Returns:
            Logits (B, 1, H, W).
        """
        moving = None
        if self.differences is not None:
            *gates, frames = zip(*window, strict=True)
            window, moving = [*zip(*gates, strict=True)], self.differences(frames)
        full, half, quarter, eighth = self.encoder(key, moving)
        motion = self.lstm.run(window)[-1].h
        coupled = self.coupling(self.fuse_key(quarter, eighth), motion)
        return self.head(self.fuse_full(full, self.fuse_half(half, coupled)))
