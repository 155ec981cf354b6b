"""RDIAN: receptive-field and direction-induced attention network.

Sun et al., "Receptive-Field and Direction Induced Attention Network for Infrared Dim Small Target Detection With a
Large-Scale Dataset IRDST", TGRS 2023.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nets.blocks import ConvNormAct, resize_like
from nets.single_frame.key_frame import KeyFrameNetwork
from nets.tsmsa import Head


def leaky_relu() -> nn.LeakyReLU:
    """The network's activation, of slope 0.01 below 0, in place."""
    return nn.LeakyReLU(0.01, inplace=True)


class Residual(nn.Module):
    """Two k×k conv-BN-LeakyReLU through half the channels, added to the input: (B, C, H, W) float → the same shape."""

    def __init__(self, channels: int, kernel: int):
        super().__init__()
        self.layer1 = ConvNormAct(channels, channels // 2, kernel, leaky_relu)
        self.layer2 = ConvNormAct(channels // 2, channels, kernel, leaky_relu)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layer2(self.layer1(x))


class CBAM(nn.Module):
    """Convolutional block attention (Woo et al., ECCV 2018): (B, C, H, W) float → the same shape.

    Channels are weighed from their mean and maximum, then points from the maximum and mean over channels.
    """

    def __init__(self, channels: int, inner: int):
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(channels, inner), nn.ReLU(), nn.Linear(inner, channels))
        self.spatial = ConvNormAct(2, 1, 7, nn.Sigmoid, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        weights = (self.mlp(x.mean((2, 3))) + self.mlp(x.amax((2, 3)))).sigmoid()
        x = x * weights[:, :, None, None]
        return x * self.spatial(torch.cat((x.amax(1, keepdim=True), x.mean(1, keepdim=True)), 1))


def directions() -> Tensor:
    """Eight 5×5 kernels (8, 1, 5, 5), each the centre less one of the surrounding points at distance 2.

    They go clockwise from the top left; kernels k and k + 4 look into opposite directions.
    """
    kernels = torch.zeros(8, 1, 5, 5)
    kernels[:, 0, 2, 2] = 1
    around = ((0, 0), (0, 2), (0, 4), (2, 4), (4, 4), (4, 2), (4, 0), (2, 0))
    for kernel, (y, x) in zip(kernels, around, strict=True):
        kernel[0, y, x] = -1
    return kernels


class RDIAN(KeyFrameNetwork):
    """clip (B, T, H, W) float32 → logits (B, 1, H, W) of the key frame, of any H and W.

    `directions` are fixed kernels: the product of the contrasts in opposite directions is positive on a target and
    negative on edges; 1 + σ of their sum weights the first features. The rest runs at H/2.
    """

    def __init__(self):
        super().__init__()
        self.register_buffer("directions", directions())
        self.conv1 = ConvNormAct(1, 16, 3, leaky_relu)
        self.conv2 = ConvNormAct(16, 32, 3, leaky_relu, stride=2)
        self.fields = nn.ModuleList(
            nn.Sequential(*(Residual(32, kernel) for _ in range(1 if kernel == 1 else 2))) for kernel in (1, 3, 5, 7)
        )
        self.conv_cat = ConvNormAct(128, 32, 3, leaky_relu)
        self.cbam = CBAM(32, 1)
        self.conv_res = ConvNormAct(16, 32, 1, leaky_relu)
        self.head = Head(32, 8)

    def segment(self, frame: Tensor) -> Tensor:
        contrast = F.conv2d(frame, self.directions, padding=2)
        attention = (contrast[:, :4] * contrast[:, 4:]).sum(1, keepdim=True).sigmoid()
        first = self.conv1(frame)
        x = self.conv2(first * (1 + attention))
        x = self.cbam(self.conv_cat(torch.cat([field(x) for field in self.fields], 1)))
        x = resize_like(x, frame)
        return self.head(F.relu(self.conv_res(first) + x))
