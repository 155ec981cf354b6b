"""What the single-frame networks share: reading the key frame, and residual blocks."""

import torch.nn.functional as F
from torch import Tensor, nn

from nets.blocks import ConvNormAct, check_clip


class KeyFrameNetwork(nn.Module):
    """Base of the networks that segment a clip's last frame and read nothing else.

    A subclass sets `multiple`, of which H and W must be multiples, and defines `segment`.
    """

    multiple = 1

    def segment(self, frame: Tensor) -> Tensor | list[Tensor]:
        """Key frames (B, 1, H, W) → logits (B, 1, H, W).

        A deeply supervised network in training mode: a list of such logits, each of which the criterion sees.
        """
        raise NotImplementedError

    def forward(self, clip: Tensor) -> Tensor | list[Tensor]:
        """Segment the last frame.

        Args:
            clip: (B, T, H, W) float32, normalised, of any T ≥ 1.

        Returns:
            What `segment` gives for that frame.

        Raises:
            ValueError: any other shape.
        """
        num_frames = max(1, clip.shape[1]) if clip.dim() == 4 else 1
        check_clip(clip, 1, num_frames, self.multiple)
        return self.segment(clip[:, -1:])


class BasicBlock(nn.Module):
    """Residual block of ResNet-18 (He et al., "Deep Residual Learning for Image Recognition", CVPR 2016).

    3×3 conv (stride) → BN → ReLU → 3×3 conv → BN; the skip is the identity, or where the size changes a 1×1 convolution
    and a BN; sum → ReLU. (B, in_channels, H, W) float → (B, out_channels, ⌈H/stride⌉, ⌈W/stride⌉) float.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1):
        super().__init__()
        self.stride = stride
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample = None
        if stride > 1 or in_channels != out_channels:
            self.downsample = ConvNormAct(in_channels, out_channels, 1, nn.Identity)

    def residual(self, x: Tensor) -> Tensor:
        """What is added to the skip."""
        return self.bn2(self.conv2(self.bn1(self.conv1(x)).relu_()))

    def forward(self, x: Tensor) -> Tensor:
        y = self.residual(x)
        if self.downsample is not None:
            # A strided 1×1 convolution reads these pixels only; see nets/blocks.py for why it is not written as one.
            x = self.downsample(x[..., :: self.stride, :: self.stride])
        return (y + x).relu_()


def stack_blocks(
    in_channels: int, out_channels: int, count: int, stride: int = 1, kind: type[BasicBlock] = BasicBlock
) -> nn.Sequential:
    """`count` residual blocks, the first with the stride."""
    rest = (kind(out_channels, out_channels) for _ in range(count - 1))
    return nn.Sequential(kind(in_channels, out_channels, stride), *rest)


class PooledGate(nn.Sequential):
    """Weight of each channel from its mean: (B, C, H, W) float → (B, C, 1, 1) in (0, 1).

    mean → 1×1 conv to `inner` → BN → ReLU → 1×1 conv → BN → σ. In training the batch norms see one value of a channel
    for each sample.

    Raises:
        ValueError: a batch of one in training.
    """

    def __init__(self, channels: int, inner: int):
        super().__init__(
            nn.AdaptiveAvgPool2d(1),
            *ConvNormAct(channels, inner, 1, nn.ReLU),
            *ConvNormAct(inner, channels, 1, nn.Sigmoid),
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.shape[0] < 2:
            raise ValueError(
                "got a batch of 1, expected at least 2: this network's batch norms over pooled values "
                "cannot train on one sample; take a larger batch size"
            )
        return super().forward(x)


def resize_like(x: Tensor, other: Tensor, align_corners: bool = False) -> Tensor:
    """(B, C, H, W) → (B, C, *height and width of `other`), bilinear, with PyTorch's align_corners."""
    return F.interpolate(x, size=tuple(other.shape[-2:]), mode="bilinear", align_corners=align_corners)


def favour_background(last: nn.Conv2d) -> nn.Conv2d:
    """Give the convolution that ends in logits a bias of -3, since targets are rare, and return it."""
    nn.init.constant_(last.bias, -3.0)
    return last
