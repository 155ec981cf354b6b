"""SSTNet: detection of moving targets in the last frame of a clip."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nets.blocks import check_clip
from nets.convlstm import CrossSliceConvLSTM, observe_clip
from nets.csp_darknet import DarknetFPN
from nets.motion_coupling import FrameCoupling, apply_to_frames
from nets.streamable import StreamableNetwork
from nets.yolox_head import YOLOXHead, yolox_loss

TEMPORAL_PREFIX = "temporal."


class TrainingOutput(NamedTuple):
    """raw: head output (B, 5 + classes, H/8, W/8) float; motion: motion-coordination loss, scalar float ≥ 0."""

    raw: Tensor
    motion: Tensor


class MotionCoordination(nn.Module):
    """Motion-coordination loss: the features of all frames against what a cross-slice ConvLSTM makes of the clip.

    Frames are embedded at H/4, the ConvLSTM (mha) runs over them, a 1×1 convolution takes all its h to the features'
    channels, adaptive max pooling to their size. The loss is the mean squared difference; both sides learn from it.
    """

    def __init__(self, channels: int, num_frames: int, num_slices: int, num_layers: int):
        super().__init__()
        half = channels // 2
        self.embedding = nn.Sequential(
            nn.Conv2d(3, half // 2, 5, stride=4, padding=1, bias=False),
            nn.LeakyReLU(0.01),
            nn.Conv2d(half // 2, half, 1, bias=False),
            nn.LeakyReLU(0.01),
        )
        self.lstm = CrossSliceConvLSTM(half, half, num_layers, num_slices, "mha")
        self.expand = nn.Conv2d(num_frames * half, num_frames * channels, 1, bias=False)

    def forward(self, frames: Tensor, features: Tensor) -> Tensor:
        """frames (T, B, 3, H, W), features (T, B, C, H/8, W/8), float → scalar."""
        window = observe_clip(lambda batch: self.lstm.observe(self.embedding(batch)), frames)
        expanded = self.expand(torch.cat(self.lstm.run(window)[-1].h, 1))
        # Pooling first leaves a quarter of the values to the activation, which is monotonic.
        target = F.leaky_relu(F.adaptive_max_pool2d(expanded, features.shape[-2:]), 0.01)
        return F.mse_loss(torch.cat(features.unbind(0), 1), target)


class SSTNet(StreamableNetwork):
    """SSTNet, which detects targets in the clip's last frame, the key frame.

    From S. Chen et al., "SSTNet: Sliced Spatio-Temporal Network With Cross-Slice ConvLSTM for Moving Infrared
    Dim-Small Target Detection", IEEE TGRS 2024.

    Every frame passes the backbone, the motion-coupling neck joins the frames' features, a YOLOX head of one level
    detects. The temporal branch only adds a loss in training.

    Args:
        num_classes: of targets.
        num_frames: T.
        num_slices, num_layers: of the temporal branch's cross-slice ConvLSTM (1, 1 is the published setting).
        depth, width: YOLOX's multipliers (0.33, 0.5 as published).
        fold_frames: in training frames share batch statistics, which is faster, instead of one set for each frame, as
            published.
        temporal: False builds the network without temporal branch, which ignores that branch's entries in a state dict.
        init_std: standard deviation of the convolutions' initial weights (published: 0.02), PyTorch's own
            initialisation where None.

    Raises:
        ValueError: settings out of range.
    """

    in_channels = 3
    multiple = 32

    def __init__(
        self,
        num_classes: int = 1,
        num_frames: int = 5,
        num_slices: int = 1,
        num_layers: int = 1,
        depth: float = 0.33,
        width: float = 0.5,
        fold_frames: bool = False,
        temporal: bool = True,
        init_std: float | None = None,
    ):
        super().__init__()
        if num_classes < 1:
            raise ValueError(f"got num_classes={num_classes}, expected at least 1")
        if num_frames < 2:
            raise ValueError(f"got num_frames={num_frames}, expected at least 2: motion needs an earlier frame")
        self.num_classes, self.num_frames, self.fold_frames = num_classes, num_frames, fold_frames
        self.backbone = DarknetFPN(depth, width)
        channels = self.backbone.channels
        self.neck = FrameCoupling(channels, num_frames, fold_frames)
        self.head = YOLOXHead(channels, 2 * channels, num_classes)
        self.temporal = MotionCoordination(channels, num_frames, num_slices, num_layers) if temporal else None
        self.register_load_state_dict_pre_hook(_ignore_temporal)
        if init_std is not None:
            for module in self.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.normal_(module.weight, 0.0, init_std)

    def features(self, frames: Tensor) -> Tensor:
        """Backbone: (T, B, 3, H, W) float → (T, B, C, H/8, W/8) float. In eval mode no frame depends on another."""
        return apply_to_frames(self.backbone, frames, self.fold_frames or not self.training)

    def forward(self, clip: Tensor) -> Tensor | TrainingOutput:
        """Detect in the last frame.

        Args:
            clip: (B, 3, T, H, W) float32, RGB, normalised, H and W multiples of 32; (B, T, H, W) where the network is
                folded for grey frames.

        Returns:
            Raw head output (B, 5 + classes, H/8, W/8) float32 (see yolox_head.py); in training, where there is a
            temporal branch, with the motion-coordination loss beside it.

        Raises:
            ValueError: any other shape.
        """
        check_clip(clip, self.in_channels, self.num_frames, self.multiple)
        frames = (clip[:, None] if self.in_channels == 1 else clip).movedim(2, 0)
        features = self.features(frames)
        raw = self.head(self.neck(features))
        if not self.training or self.temporal is None:
            return raw
        return TrainingOutput(raw, self.temporal(frames, features))

    def observe(self, frames: Tensor) -> tuple[Tensor, ...]:
        """In eval mode, frames (N, 3, H, W) → what each contributes to every clip that it is in, (N, …) tensors.

        That is its features and their part of the neck's pairs.
        """
        features = self.backbone(frames)
        return features, self.neck.pair_frame(features)

    def decide(self, key: Tensor, window: Sequence[tuple[Tensor, ...]]) -> Tensor:
        """In eval mode, the clip's output.

        Args:
            key: key frames (B, 3, H, W), not read.
            window: what the T frames that end with them contributed, (B, …) tensors in order.

        Returns:
            Raw head output (B, 5 + classes, H/8, W/8).
        """
        features, parts = zip(*window, strict=True)
        return self.head(self.neck.join(features[-1], features[:-1], torch.cat(parts[:-1])))


def _ignore_temporal(network: SSTNet, state: dict, prefix: str, *_) -> None:
    if network.temporal is None:
        for name in [name for name in state if name.startswith(prefix + TEMPORAL_PREFIX)]:
            del state[name]


def detection_criterion(
    outputs: Tensor | TrainingOutput, targets: dict[str, list[Tensor]], motion_weight: float = 1.0
) -> dict[str, Tensor]:
    """Losses of a detector by name, already weighted.

    Args:
        outputs: of an SSTNet.
        targets: "boxes", as of `yolox_loss`.
        motion_weight: of the loss "motion", which is there where the outputs hold it.
    """
    if isinstance(outputs, TrainingOutput):
        return yolox_loss(outputs.raw, targets["boxes"]) | {"motion": motion_weight * outputs.motion}
    return yolox_loss(outputs, targets["boxes"])
