"""Inference copies of networks: batch norms folded into the convolutions before them, channels-last.

The copy is the same class with the same `forward`, `observe` and `decide`, but for detectors of centres, whose copy
gives peaks instead of maps (`nets.inference.peaks`); where a batch norm was stands an identity. Its state dict is
another one: keep the network itself for training and saving.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from nets.blocks import BasicBlock, Fuse, ResidualBlock, use_channels_last
from nets.csp_darknet import CSPDarknet
from nets.deformable import DeformBlock
from nets.dla import ResidualUnit
from nets.inference.peaks import PeakDetector
from nets.micml import MICML, NeighbourConv, PlaneConv
from nets.motion_coupling import FrameCoupling
from nets.multi_frame.deeppro import ProfileBlock, ProfileConv
from nets.multi_frame.resunet_dtum import TimeConv
from nets.sstnet import SSTNet

Norm, Conv = nn.BatchNorm2d | nn.BatchNorm3d, nn.Conv2d | nn.Conv3d
GreyNormalisation = tuple[Sequence[float], Sequence[float]]  # mean and standard deviation of R, G and B


@torch.no_grad()
def fold_network(network: nn.Module, grey: GreyNormalisation | None = None) -> nn.Module:
    """Copy a network for inference; the copy gives its eval-mode outputs to about 1e-6 of their range.

    It is in eval mode, without gradients, channels-last, with every batch norm after a convolution folded into it, and
    without parts that only training needs (SSTNet's temporal branch, MICML's motion module unless it is for test too,
    dropout). Of a detector of centres it is a `PeakDetector`.

    Args:
        network: stays as it is.
        grey: mean and standard deviation of R, G and B with which grey frames are normalised; the copy, of a detector,
            takes R alone instead of all three.

    Raises:
        ValueError: `grey` for other networks.
    """
    if grey and not isinstance(network, (SSTNet, MICML)):
        raise ValueError(f"got grey for a {type(network).__name__}, expected a detector, which reads three channels")
    network = copy.deepcopy(network).eval().requires_grad_(False)
    if isinstance(network, SSTNet):
        network.temporal = None
    elif isinstance(network, MICML) and not network.dynamic.moving:
        network.dynamic.motion = None
    if grey:
        _take_grey(network, *map(torch.tensor, grey))
    for module in list(network.modules()):
        if isinstance(module, ProfileConv):
            module.settle()
        if isinstance(module, nn.Sequential):
            _fold_sequence(module)
        elif isinstance(module, ResidualBlock):
            module.norm1 = _fold(module.norm1, module.pointwise)
            module.norm2 = _fold(module.norm2, module.depthwise2)
            if module.skip_norm is not None:
                module.skip_norm = _fold(module.skip_norm, module.skip)
        elif isinstance(module, (BasicBlock, ProfileBlock, ResidualUnit)):
            module.bn1 = _fold(module.bn1, module.conv1)
            module.bn2 = _fold(module.bn2, module.conv2)
            if isinstance(module, ProfileBlock):
                module.bn3 = _fold(module.bn3, module.conv3)
        elif isinstance(module, (PlaneConv, NeighbourConv, DeformBlock)) or (
            isinstance(module, TimeConv) and not module.magnitude
        ):
            module.norm = _fold(module.norm, module.conv)
        elif isinstance(module, Fuse):
            module.norm = _fold(module.norm, module.from_low, module.from_high)
        elif isinstance(module, FrameCoupling):
            module.pair[0] = _fold(module.pair[0], module.pair_key, module.pair_frame)
    network = use_channels_last(network)
    return PeakDetector(network).eval() if isinstance(network, MICML) else network


class GreyConv(nn.Conv2d):
    """A convolution over RGB images that are grey: R comes in, and G and B are R times a factor, plus a constant.

    The constant has a channel of its own as it ends with the frame.
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(torch.cat((x, torch.ones_like(x)), 1))


def _take_grey(network: SSTNet | MICML, mean: Tensor, std: Tensor) -> None:
    """Let a network read R of grey frames alone."""
    factor, constant = std[0] / std, (mean[0] - mean) / std
    network.in_channels = 1
    if isinstance(network, SSTNet):
        darknet: CSPDarknet = network.backbone.darknet
        conv = darknet.stem[0]
        weight = conv.weight.unflatten(1, (4, 3))  # pixels, colours
        joined = torch.einsum("opcyx,c->opyx", weight, factor)
        constants = torch.einsum("opcyx,c->oyx", weight, constant)[:, None]
        conv.weight = nn.Parameter(torch.cat((joined, constants), 1), False)
        conv.in_channels, darknet.grey = 5, True
        return
    for parent, name in ((network.backbone.stem, "0"), (network.dynamic.branches[0][0], "conv")):
        conv = parent.get_submodule(name)
        grey = GreyConv(2, conv.out_channels, conv.kernel_size, padding=conv.padding, bias=False).requires_grad_(False)
        grey.weight.copy_(torch.einsum("ocyx,ck->okyx", conv.weight, torch.stack((factor, constant), 1)))
        setattr(parent, name, grey)


def _fold_sequence(sequence: nn.Sequential) -> None:
    for index, module in enumerate(sequence):
        if isinstance(module, (nn.Dropout, nn.Dropout2d)):
            sequence[index] = nn.Identity()
        if isinstance(module, (nn.ReLU, nn.SiLU, nn.LeakyReLU)):
            module.inplace = True  # all of them follow a convolution or a sum, which nothing else reads
        # A batch norm before a convolution stays: that convolution's zero padding follows the norm.
        before = sequence[index - 1] if index else None
        if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d)) and isinstance(before, (nn.Conv2d, nn.Conv3d)):
            sequence[index] = _fold(module, before)


def _fold(norm: Norm, conv: Conv, *added: Conv) -> nn.Identity:
    """Fold `norm`, which follows the sum of `conv` and the bias-free `added`, into these; the shift goes to `conv`."""
    for part in added:
        part.weight.copy_(_scaled(norm, part)[0])
    weight, bias = _scaled(norm, conv)
    conv.weight.copy_(weight)
    conv.bias = nn.Parameter(bias, requires_grad=False)
    return nn.Identity()


def _scaled(norm: Norm, conv: Conv) -> tuple[Tensor, Tensor]:
    statistics = (norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias)
    return fuse_conv_bn_weights(conv.weight, conv.bias, *statistics)
