"""MICML and DSFNet: detection of small moving objects in the last frame of a clip of satellite video.

C. Xiao et al., "DSFNet: Dynamic and Static Fusion Network for Moving Object Detection in Satellite Videos", IEEE GRSL
2022; MICML, motion-inspired cross-modal learning for small moving objects, published as MICPL too, IEEE TNNLS 2024.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nets.blocks import check_clip, split_frames
from nets.convlstm import observe_clip
from nets.deformable import IterativeAggregation, PyramidUp
from nets.dla import DLA34, WIDTHS
from nets.motion_mining import MotionMining
from nets.multi_frame.resunet_dtum import mix_times
from nets.streamable import StreamableNetwork

MULTIPLE = 16
NEWEST = 3  # frames over whose maps the dynamic branch takes the maximum
HEAD_WIDTH = 128  # hidden channels of each head
BRANCH_KERNELS = (5, 3, 3)  # and one frame to each side in time
MAX_PEAKS = 1000  # of a frame that the inference form gives


class PlaneConv(nn.Module):
    """1×K or K×1 convolution → batch norm → ReLU: (N, in_channels, h, w) → (N, out_channels, h, w), float."""

    def __init__(self, in_channels: int, out_channels: int, kernel: tuple[int, int]):
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2)
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, padding=padding, bias=False)
        self.norm = nn.BatchNorm2d(out_channels, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)).relu_()


class NeighbourConv(nn.Module):
    """Convolution over three frames, zero beyond the clip → batch norm over all frames → ReLU."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv3d(channels, channels, (3, 1, 1), bias=False)
        self.norm = nn.BatchNorm2d(channels, eps=1e-3)

    def forward(self, maps: Sequence[Tensor], count: int) -> list[Tensor]:
        """Maps (B, C, h, w) of frames → the first `count` frames' maps."""
        mixed = mix_times(maps, self.conv.weight, range(count), self.conv.bias)  # whose bias is a folded norm's
        return list(split_frames(self.norm(torch.cat(mixed)).relu_(), count))


class Branch(nn.Sequential):
    """1×K, K×1 and a convolution over time, which together are one over K×K×3."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int):
        super().__init__(
            PlaneConv(in_channels, out_channels, (1, kernel)),
            PlaneConv(out_channels, out_channels, (kernel, 1)),
            NeighbourConv(out_channels),
        )

    def forward(self, maps: Sequence[Tensor], count: int) -> list[Tensor]:
        """Maps (B, in_channels, h, w) of frames → the first `count` frames' maps (B, out_channels, h, w)."""
        maps = maps[: count + 1]  # what they see
        return self.join(split_frames(self.planes(torch.cat(list(maps))), len(maps)), count)

    def planes(self, frames: Tensor) -> Tensor:
        """What is done to each frame alone: (N, in_channels, h, w) → (N, out_channels, h, w)."""
        return self[1](self[0](frames))

    def join(self, planes: Sequence[Tensor], count: int) -> list[Tensor]:
        """As `forward`, of frames that `planes` has seen."""
        return self[2](planes[: count + 1], count)


class DynamicBranch(nn.Module):
    """Frames, the key frame first → maps at strides 1, 2, 4 of `widths` channels."""

    def __init__(self, widths: Sequence[int], num_frames: int, motion: bool, motion_at_test: bool):
        super().__init__()
        self.branches = nn.ModuleList(
            Branch(before, width, kernel)
            for before, width, kernel in zip((3, *widths), widths, BRANCH_KERNELS, strict=False)
        )
        self.motion = MotionMining(num_frames, widths[-1]) if motion else None
        self.motion_at_test = motion_at_test
        self.up = PyramidUp(widths)

    @property
    def moving(self) -> bool:
        """Whether the motion module runs."""
        return self.motion is not None and (self.training or self.motion_at_test)

    def frames_read(self, num_frames: int) -> int:
        """How many of a clip's frames, from the key frame on, reach the output."""
        # In training batch statistics are those of all frames, and the motion module reads all.
        return num_frames if self.training or self.moving else min(num_frames, 2 * NEWEST)

    def forward(self, planes: Sequence[Tensor]) -> list[Tensor]:
        """What `observe` gave for T frames → maps (B, widths[i], H/2^i, W/2^i)."""
        return self.up(self.levels(planes))

    def observe(self, frames: Tensor) -> Tensor:
        """What is done to each frame alone: (N, 3, H, W) → (N, widths[0], H, W)."""
        return self.branches[0].planes(frames)

    def levels(self, planes: Sequence[Tensor]) -> list[Tensor]:
        """Of each branch the maximum over its maps of the newest three frames, (B, C, H/stride, W/stride)."""
        moving, maps, levels = self.moving, [], []
        for stage, branch in enumerate(self.branches):
            count = len(planes) if self.training or moving else min(len(planes), NEWEST + 2 - stage)
            maps = branch([F.max_pool2d(x, 2) for x in maps], count) if stage else branch.join(planes, count)
            newest = torch.stack(list(maps[:NEWEST]), 1)
            if moving and stage == 2:
                newest = newest + self.motion(torch.stack(list(maps), 1), NEWEST)
            levels.append(newest.amax(1))
        return levels


def _head(in_channels: int, hidden: int, channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(in_channels, hidden, 3, padding=1), nn.ReLU(), nn.Conv2d(hidden, channels, 1))


class MICML(StreamableNetwork):
    """clip (B, 3, T, H, W) float32 → raw maps of centres, sizes and offsets in its last frame, at full resolution.

    What the last frame shows and how the clip moves are two branches; where their maps meet they are added. The motion
    module runs in training, as published, which adds an offset that evaluation lacks.

    Args:
        num_frames: T, at least 3; without the motion module at most 6, as no earlier frame reaches the output.
        motion: build the motion module; without it this is DSFNet.
        motion_at_test: run it in evaluation too.
        width: multiplier of all channels, in sixteenths (1 as published).
        num_classes: of objects (1 as published).

    Attributes:
        max_peaks: of a frame, that the inference form (`nets.inference.peaks.PeakDetector`) gives; may be set.

    Raises:
        ValueError: other numbers of frames or classes, no width, or `motion_at_test` without the module.
    """

    in_channels = 3
    multiple = MULTIPLE
    jumps = True  # in its inference form, where peaks that are nearly equal change places
    max_peaks = MAX_PEAKS

    def __init__(
        self,
        num_frames: int = 5,
        motion: bool = True,
        motion_at_test: bool = False,
        width: float = 1.0,
        num_classes: int = 1,
    ):
        super().__init__()
        if num_frames < NEWEST or (num_frames > 2 * NEWEST and not motion):
            expected = f"at least {NEWEST}" if motion else f"{NEWEST} to {2 * NEWEST}, as no earlier frame is read"
            raise ValueError(f"got num_frames={num_frames}, expected {expected}")
        if motion_at_test and not motion:
            raise ValueError("got motion_at_test=True with motion=False, expected the motion module to be built")
        if num_classes < 1:
            raise ValueError(f"got num_classes={num_classes}, expected at least 1")
        base = round(WIDTHS[0] * width)
        if base < 1:
            raise ValueError(f"got width={width}, expected at least {1 / WIDTHS[0]}")
        self.num_frames, self.num_classes = num_frames, num_classes
        widths = [base * channels // WIDTHS[0] for channels in WIDTHS]
        self.backbone = DLA34(widths)
        self.static_up = PyramidUp(widths)
        self.dynamic = DynamicBranch(widths[:3], num_frames, motion, motion_at_test)
        self.fuse = IterativeAggregation(widths[1:3], base, (2, 4))
        hidden = base * HEAD_WIDTH // WIDTHS[0]
        self.heads = nn.ModuleDict(
            {name: _head(base, hidden, count) for name, count in (("hm", num_classes), ("wh", 2), ("reg", 2))}
        )
        nn.init.constant_(self.heads["hm"][2].bias, -2.19)
        for layer in (*self.heads["wh"], *self.heads["reg"]):
            if isinstance(layer, nn.Conv2d):
                nn.init.zeros_(layer.bias)

    def forward(self, clip: Tensor) -> dict[str, Tensor]:
        """Detect in the last frame.

        Args:
            clip: (B, 3, T, H, W) float32, normalised, oldest frame first, H and W multiples of 16; (B, T, H, W) where
                the network is folded for grey frames. Published weights expect BGR.

        Returns:
            Raw float32 maps: "hm" (B, num_classes, H, W), logits of a centre; "wh" (B, 2, H, W), width and height in
            pixels; "reg" (B, 2, H, W), dx and dy of the centre from the pixel's corner.

        Raises:
            ValueError: any other shape.
        """
        return self._maps(self.features(clip))

    def features(self, clip: Tensor) -> Tensor:
        """What the heads read, (B, 16·width, H, W) float32; clip as in `forward`."""
        check_clip(clip, self.in_channels, self.num_frames, self.multiple)
        frames = (clip[:, None] if self.in_channels == 1 else clip).movedim(2, 0)
        frames = frames[-self.dynamic.frames_read(self.num_frames) :]
        return self.join(frames[-1], observe_clip(self.observe, frames))

    def observe(self, frames: Tensor) -> tuple[Tensor, ...]:
        """Frames (N, 3, H, W) → what each contributes to every clip that it is in, a map (N, 16·width, H, W)."""
        return (self.dynamic.observe(frames),)

    def join(self, key: Tensor, window: Sequence[tuple[Tensor, ...]]) -> Tensor:
        """As `features`, of key frames (B, 3, H, W) and what the frames up to them contributed, theirs last."""
        static = self.static_up(self.backbone(key))
        moving = self.dynamic([planes for (planes,) in reversed(window)])
        return self.fuse([still + move for still, move in zip(static[: len(moving)], moving, strict=True)])[-1]

    def decide(self, key: Tensor, window: Sequence[tuple[Tensor, ...]]) -> dict[str, Tensor]:
        """The clip's raw maps; arguments as of `join`."""
        return self._maps(self.join(key, window))

    def _maps(self, fused: Tensor) -> dict[str, Tensor]:
        return {name: head(fused) for name, head in self.heads.items()}


class DSFNet(MICML):
    """MICML without its motion module; see there."""

    def __init__(self, num_frames: int = 5, width: float = 1.0, num_classes: int = 1):
        super().__init__(num_frames, motion=False, width=width, num_classes=num_classes)
