"""Building blocks: convolution-norm-activation, residual blocks, the fuse block of TSMSA, and checks of clips.

No convolution here has a bias that a batch norm would remove again.
"""

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def use_channels_last(network: nn.Module) -> nn.Module:
    """Lay the network's weights out with channels last, those of 3-D convolutions too, and return it."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.dim() in formats:
            tensor.data = tensor.data.contiguous(memory_format=formats[tensor.dim()])
    return network


def split_frames(x: Tensor, count: int) -> Sequence[Tensor]:
    """(count·B, …) → `count` tensors (B, …).

    `chunk`, which keeps a channels-last layout; where the network is exported in a way that leaves B open, which
    `chunk` would fix.
    """
    if torch.compiler.is_exporting():
        return x.unflatten(0, (count, x.shape[0] // count)).unbind(0)
    return x.chunk(count)


def conv1x1(in_channels: int, out_channels: int) -> nn.Conv2d:
    """1×1 convolution without bias."""
    return nn.Conv2d(in_channels, out_channels, 1, bias=False)


def depthwise3x3(channels: int, stride: int = 1) -> nn.Conv2d:
    """Depthwise 3×3 convolution with padding 1, without bias."""
    return nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False)


class ConvNormAct(nn.Sequential):
    """Convolution without bias ("same" padding) → batch norm → activation.

    (B, in_channels, H, W) float → (B, out_channels, ⌈H/stride⌉, ⌈W/stride⌉) float.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        activation: type[nn.Module] = nn.SiLU,
        eps: float = 1e-5,
        momentum: float = 0.1,
        stride: int = 1,
    ):
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(out_channels, eps, momentum),
            activation(),
        )


class ResidualBlock(nn.Module):
    """Residual block of TSMSA with depthwise-separable convolutions.

    depthwise 3×3 (stride) → 1×1 → BN → LeakyReLU(0.01) → depthwise 3×3 → BN; the skip is a 1×1 convolution, with the
    block's stride and a BN in strided blocks; sum → LeakyReLU(0.01).

    (B, in_channels, H, W) float → (B, out_channels, ⌈H/stride⌉, ⌈W/stride⌉) float.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1):
        super().__init__()
        self.stride = stride
        self.depthwise1 = depthwise3x3(in_channels, stride)
        self.pointwise = conv1x1(in_channels, out_channels)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.depthwise2 = depthwise3x3(out_channels)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.skip = conv1x1(in_channels, out_channels)
        self.skip_norm = nn.BatchNorm2d(out_channels) if stride > 1 else None

    def forward(self, x: Tensor) -> Tensor:
        if self.skip_norm is None:
            skip = self.skip(x)
        else:
            # A strided 1×1 convolution reads these pixels only. Written as one, its channels-last backward on the CPU
            # corrupts memory in several releases of PyTorch.
            skip = self.skip_norm(self.skip(x[..., :: self.stride, :: self.stride]))
        return self.finish(self.pointwise(self.depthwise1(x)), skip)

    def finish(self, y: Tensor, skip: Tensor) -> Tensor:
        """All that follows the first two convolutions' output `y`; y, skip (B, out_channels, H', W')."""
        y = F.leaky_relu(self.norm1(y), 0.01, inplace=True)
        return F.leaky_relu(self.norm2(self.depthwise2(y)).add_(skip), 0.01, inplace=True)


class PairBlock(ResidualBlock):
    """Residual block over [x_t, shared]: `shared` is the same for all T maps x_t and passes the convolutions once."""

    def __init__(self, channels: int):
        super().__init__(2 * channels, channels)

    def forward(self, x: Tensor, shared: Tensor) -> Tensor:
        """x (T·B, C, H, W), shared (B, C, H, W), float → (T·B, C, H, W) float."""
        half = x.shape[1]
        y, skip = self._part(x, slice(half))
        shared_y, shared_skip = self._part(shared, slice(half, None), self.pointwise.bias)
        return self.finish(add_shared(y, shared_y), add_shared(skip, shared_skip))

    def _part(self, x: Tensor, part: slice, bias: Tensor | None = None) -> tuple[Tensor, Tensor]:
        y = F.conv2d(x, self.depthwise1.weight[part], padding=1, groups=x.shape[1])
        return F.conv2d(y, self.pointwise.weight[:, part], bias), F.conv2d(x, self.skip.weight[:, part])


def add_shared(x: Tensor, shared: Tensor) -> Tensor:
    """x (T·B, C, H, W), to be changed in place, plus shared (B, C, H, W) in each of the T parts."""
    batch = shared.shape[0]  # len() would fix it in an export
    if not torch.compiler.is_exporting() and batch == 1:  # an axis more would hide a channels-last layout
        return x.add_(shared)
    return x.unflatten(0, (x.shape[0] // batch, batch)).add_(shared).flatten(0, 1)


def weighted_sum(weights: Tensor, maps: Iterable[Tensor]) -> Tensor:
    """Σ_i weights[i] · maps[i]: weights (T,), T maps of one shape, float."""
    total = None
    for weight, x in zip(weights, maps, strict=True):
        total = weight * x if total is None else total.addcmul_(weight, x)
    return total


class Fuse(nn.Module):
    """Merges a deeper feature map into one of twice its size.

    1×1 conv-BN-SiLU takes `low` to high's channels; nearest ×2 upsampling; 1×1 conv-BN-SiLU over [low_up, high]. The
    second convolution is kept as its two halves: on `low` it runs before the upsampling, with which it commutes.
    """

    def __init__(self, high_channels: int, low_channels: int):
        super().__init__()
        self.lateral = ConvNormAct(low_channels, high_channels, 1, eps=1e-3, momentum=0.03)
        self.from_low = conv1x1(high_channels, high_channels)
        self.from_high = conv1x1(high_channels, high_channels)
        self.norm = nn.BatchNorm2d(high_channels, 1e-3, 0.03)

    def forward(self, high: Tensor, low: Tensor) -> Tensor:
        """high (B, high_channels, H, W), low (B, low_channels, H/2, W/2), float → (B, high_channels, H, W) float."""
        low = F.interpolate(self.from_low(self.lateral(low)), scale_factor=2, mode="nearest")
        return F.silu(self.norm(self.from_high(high).add_(low)))


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
            # A strided 1×1 convolution reads these pixels only; see `ResidualBlock` for why it is not written as one.
            x = self.downsample(x[..., :: self.stride, :: self.stride])
        return (y + x).relu_()


def stack_blocks(
    in_channels: int, out_channels: int, count: int, stride: int = 1, kind: type[BasicBlock] = BasicBlock
) -> nn.Sequential:
    """`count` residual blocks, the first with the stride."""
    rest = (kind(out_channels, out_channels) for _ in range(count - 1))
    return nn.Sequential(kind(in_channels, out_channels, stride), *rest)


def resize_like(x: Tensor, other: Tensor, align_corners: bool = False) -> Tensor:
    """(B, C, H, W) → (B, C, *height and width of `other`), bilinear, with PyTorch's align_corners."""
    return F.interpolate(x, size=tuple(other.shape[-2:]), mode="bilinear", align_corners=align_corners)


def favour_background(last: nn.Conv2d) -> nn.Conv2d:
    """Give the convolution that ends in logits a bias of -3, since targets are rare, and return it."""
    nn.init.constant_(last.bias, -3.0)
    return last


def check_clip(clip: Tensor, channels: int, num_frames: int, multiple: int) -> None:
    """Refuse clips that a network does not take.

    Args:
        clip: to be (B, T, H, W), or (B, C, T, H, W) where C > 1.
        channels: C.
        num_frames: T.
        multiple: of which H and W are to be multiples.

    Raises:
        ValueError: another shape; the text says what was found, expected and is to be done.
    """
    expected = "(B, T, H, W)" if channels == 1 else f"(B, {channels}, T, H, W)"
    found = f"got a clip of shape {tuple(clip.shape)}"
    if clip.dim() != (4 if channels == 1 else 5) or (channels > 1 and clip.shape[1] != channels):
        raise ValueError(f"{found}, expected {expected}: stack the frames of each clip along T")
    frames, height, width = clip.shape[-3:]
    if frames != num_frames:
        raise ValueError(
            f"{found}, i.e. {frames} frames, expected {num_frames}: make clips of {num_frames} frames "
            f"or build the network with num_frames={frames}"
        )
    _check_size(found, height, width, multiple)


def check_frames(frames: Tensor, channels: int, multiple: int) -> None:
    """Refuse frames that a network does not take.

    Args:
        frames: to be (N, channels, H, W).
        channels: of a frame.
        multiple: of which H and W are to be multiples.

    Raises:
        ValueError: another shape.
    """
    found = f"got frames of shape {tuple(frames.shape)}"
    if frames.dim() != 4 or frames.shape[1] != channels:
        raise ValueError(f"{found}, expected (N, {channels}, H, W): one frame of each sequence")
    _check_size(found, *frames.shape[-2:], multiple)


def _check_size(found: str, height: int, width: int, multiple: int) -> None:
    if height == 0 or width == 0 or height % multiple or width % multiple:
        raise ValueError(
            f"{found}, i.e. {height}×{width} pixels, expected multiples of {multiple}: "
            "pad right and bottom and crop the output"
        )
