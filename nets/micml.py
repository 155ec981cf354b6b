"""MICML and DSFNet: detection of small moving objects in the last frame of a clip of satellite video.

C. Xiao et al., "DSFNet: Dynamic and Static Fusion Network for Moving Object Detection in Satellite Videos", IEEE GRSL
2022; MICML, motion-inspired cross-modal learning for small moving objects, published as MICPL too, IEEE TNNLS 2024.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nets.blocks import check_clip, split_frames
from nets.deformable import IterativeAggregation, PyramidUp
from nets.dla import DLA34, WIDTHS
from nets.motion_mining import MotionMining
from nets.multi_frame.resunet_dtum import mix_times

MULTIPLE = 16
NEWEST = 3  # frames over whose maps the dynamic branch takes the maximum
HEAD_WIDTH = 128
HEADS = {"hm": 1, "wh": 2, "reg": 2}  # channels of what the network gives
DYNAMIC_WIDTHS = WIDTHS[:3]


class PlaneConv(nn.Module):
    """1×K or K×1 convolution → batch norm → ReLU: (N, in_channels, h, w) → (N, out_channels, h, w), float."""

    def __init__(self, in_channels: int, out_channels: int, kernel: tuple[int, int]):
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2)
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, padding=padding, bias=False)
        self.norm = nn.BatchNorm2d(out_channels, eps=1e-3)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)).relu_()


class TimeConv(nn.Module):
    """Convolution over three frames, zero beyond the clip → batch norm over all frames → ReLU."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv3d(channels, channels, (3, 1, 1), bias=False)
        self.norm = nn.BatchNorm2d(channels, eps=1e-3)

    def forward(self, maps: Sequence[Tensor], count: int) -> list[Tensor]:
        """Maps (B, C, h, w) of frames → the first `count` frames' maps."""
        return list(split_frames(self.norm(torch.cat(mix_times(maps, self.conv.weight, range(count)))).relu_(), count))


class Branch(nn.Sequential):
    """1×K, K×1 and a convolution over time, which together are one over K×K×3."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int):
        super().__init__(
            PlaneConv(in_channels, out_channels, (1, kernel)),
            PlaneConv(out_channels, out_channels, (kernel, 1)),
            TimeConv(out_channels),
        )

    def forward(self, maps: Sequence[Tensor], count: int) -> list[Tensor]:
        """Maps (B, in_channels, h, w) of frames → the first `count` frames' maps (B, out_channels, h, w)."""
        maps = maps[: count + 1]  # what they see
        x = self[1](self[0](torch.cat(list(maps))))
        return self[2](split_frames(x, len(maps)), count)


class DynamicBranch(nn.Module):
    """Frames (B, 3, H, W), the key frame first → maps at strides 1, 2, 4 of 16, 32, 64 channels."""

    def __init__(self, num_frames: int, motion: bool, motion_at_test: bool):
        super().__init__()
        widths = (3, *DYNAMIC_WIDTHS)
        self.branches = nn.ModuleList(Branch(widths[i], widths[i + 1], kernel) for i, kernel in enumerate((5, 3, 3)))
        self.motion = MotionMining(num_frames) if motion else None
        self.motion_at_test = motion_at_test
        self.up = PyramidUp(DYNAMIC_WIDTHS)

    def forward(self, frames: Sequence[Tensor]) -> list[Tensor]:
        return self.up(self.levels(frames))

    def levels(self, frames: Sequence[Tensor]) -> list[Tensor]:
        """Of each branch the maximum over its maps of the newest three frames, (B, C, H/stride, W/stride)."""
        moving = self.motion is not None and (self.training or self.motion_at_test)
        maps, levels = frames, []
        for stage, branch in enumerate(self.branches):
            # In training batch statistics are those of all frames, and the motion module reads all.
            count = len(frames) if self.training or moving else min(len(frames), NEWEST + 2 - stage)
            if stage:
                maps = [F.max_pool2d(x, 2) for x in maps]
            maps = branch(maps, count)
            newest = torch.stack(list(maps[:NEWEST]), 1)
            if moving and stage == 2:
                newest = newest + self.motion(torch.stack(list(maps), 1), NEWEST)
            levels.append(newest.amax(1))
        return levels


def _head(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(WIDTHS[0], HEAD_WIDTH, 3, padding=1), nn.ReLU(), nn.Conv2d(HEAD_WIDTH, channels, 1))


class MICML(nn.Module):
    """clip (B, 3, T, H, W) float32 → raw maps of centres, sizes and offsets in its last frame, at full resolution.

    What the last frame shows and how the clip moves are two branches; where their maps meet they are added. The motion
    module runs in training, as published, which adds an offset that evaluation lacks.

    Args:
        num_frames: T, at least 3; without the motion module at most 6, as no earlier frame reaches the output.
        motion: build the motion module; without it this is DSFNet.
        motion_at_test: run it in evaluation too.

    Raises:
        ValueError: other numbers of frames, or `motion_at_test` without the module.
    """

    in_channels = 3
    multiple = MULTIPLE

    def __init__(self, num_frames: int = 5, motion: bool = True, motion_at_test: bool = False):
        super().__init__()
        if num_frames < NEWEST or (num_frames > 2 * NEWEST and not motion):
            expected = f"at least {NEWEST}" if motion else f"{NEWEST} to {2 * NEWEST}, as no earlier frame is read"
            raise ValueError(f"got num_frames={num_frames}, expected {expected}")
        if motion_at_test and not motion:
            raise ValueError("got motion_at_test=True with motion=False, expected the motion module to be built")
        self.num_frames = num_frames
        self.backbone = DLA34()
        self.static_up = PyramidUp(WIDTHS)
        self.dynamic = DynamicBranch(num_frames, motion, motion_at_test)
        self.fuse = IterativeAggregation(DYNAMIC_WIDTHS[1:], DYNAMIC_WIDTHS[0], (2, 4))
        self.heads = nn.ModuleDict({name: _head(channels) for name, channels in HEADS.items()})
        nn.init.constant_(self.heads["hm"][2].bias, -2.19)
        for layer in (*self.heads["wh"], *self.heads["reg"]):
            if isinstance(layer, nn.Conv2d):
                nn.init.zeros_(layer.bias)

    def forward(self, clip: Tensor) -> dict[str, Tensor]:
        """Detect in the last frame.

        Args:
            clip: (B, 3, T, H, W) float32, normalised, oldest frame first, H and W multiples of 16. Published weights
                expect BGR.

        Returns:
            Raw float32 maps: "hm" (B, 1, H, W), logits of a centre; "wh" (B, 2, H, W), width and height in pixels;
            "reg" (B, 2, H, W), dx and dy of the centre from the pixel's corner.

        Raises:
            ValueError: any other shape.
        """
        fused = self.features(clip)
        return {name: head(fused) for name, head in self.heads.items()}

    def features(self, clip: Tensor) -> Tensor:
        """What the heads read, (B, 16, H, W) float32; clip as in `forward`."""
        check_clip(clip, self.in_channels, self.num_frames, self.multiple)
        frames = clip.unbind(2)[::-1]
        static = self.static_up(self.backbone(frames[0]))
        moving = self.dynamic(frames)
        return self.fuse([still + move for still, move in zip(static[: len(moving)], moving, strict=True)])[-1]


class DSFNet(MICML):
    """MICML without its motion module; see there."""

    def __init__(self, num_frames: int = 5):
        super().__init__(num_frames, motion=False)
