"""Published names of the comparison networks, and how their entries become ours."""
from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nets.single_frame.acm import ACM
from nets.single_frame.alcnet import ALCNet
from nets.single_frame.dnanet import DNANet
from nets.single_frame.istdunet import ISTDUNet
from nets.single_frame.rdian import RDIAN
from nets.single_frame.uiunet import UIUNet
from nets.single_frame.unet import UNet

Parts = tuple[str, tuple[str, ...], Callable[..., Tensor] | None]  # as of nets.published.rules.Rule


class Names(NamedTuple):
    """How one network's published state dict becomes ours.

    renamed: regular expressions and what they become, one after the other, from our entries' names to the published
    ones. biased: our convolutions (a full match of their published names) that have a bias there and a batch norm
    behind. merged: entries made of several published ones. dead: published names that never influence the output.
    """

    renamed: tuple[tuple[str, str], ...] = ()
    biased: str = "$^"
    merged: tuple[Parts, ...] = ()
    dead: str = "$^"


def counted(pattern: str, published: str, count: int) -> tuple[tuple[str, str], ...]:
    """The pairs of `pattern` and `published` for the numbers below `count`: N in `pattern`; `{}` in `published` is
    one more."""
    return tuple((pattern.replace("N", str(index)), published.format(index + 1)) for index in range(count))


HEAD = (r"^head\.", "head.block.")
SHORTCUT = (r"\.downsample\.", ".shortcut.")
UNET = (
    *counted(r"^down\.N\.", "Conv{}.conv.", 5),
    *(
        pair
        for index, stage in enumerate((5, 4, 3, 2))
        for pair in (
            (rf"^up\.{index}\.0\.", f"Up{stage}.up.1."),
            (rf"^up\.{index}\.1\.", f"Up{stage}.up.2."),
            (rf"^join\.{index}\.", f"Up_conv{stage}.conv."),
        )
    ),
    (r"^last\.", "Conv."),
)
RDIAN_NAMES = (
    HEAD,
    (r"^fields\.", "residual_block"),
    (r"^cbam\.mlp\.0\.", "cbam.ChannelGate.mlp.1."),
    (r"^cbam\.mlp\.2\.", "cbam.ChannelGate.mlp.3."),
    (r"^cbam\.spatial\.0\.", "cbam.SpatialGate.spatial.conv."),
    (r"^cbam\.spatial\.1\.", "cbam.SpatialGate.spatial.bn."),
)
DIRECTIONS = tuple(f"d1{index}.weight" for index in range(1, 9))
DNANET = (
    (r"^nodes\.", ""),
    (r"^fuse\.", "conv0_4_final."),
    *((rf"^squeeze\.{index}\.", f"conv0_{4 - index}_1x1.") for index in range(4)),
    *counted(r"^last\.N\.", "final{}.", 4),
    SHORTCUT,
)
ISTDUNET = (
    (r"^stem\.", "down.stem."),
    *counted(r"^down\.N\.", "down.down.layer{}.", 4),
    *counted(r"^skip\.N\.", "DN.X{}.", 4),
    *counted(r"^up\.N\.", "up.up{}.", 3),
    (r"^head\.", "headSeg.head."),
    (r"\.patterns\.", ".linear_1."),
    (r"\.downsample\.1\.", ".downsample.2."),
    (r"\.downsample\.0\.", ".downsample.1."),
)
UIUNET = (
    *counted(r"^down\.N\.", "stage{}.", 6),
    *counted(r"^up\.N\.", "stage{}d.", 5),
    *((rf"^fuse\.{index}\.", f"fuse{index + 2}.") for index in range(4)),
    *counted(r"^side\.N\.", "side{}.", 6),
    (r"^last\.", "outconv."),
    (r"\.entry\.", ".rebnconvin."),
    *counted(r"\.down\.N\.", ".rebnconv{}.", 7),
    *counted(r"\.up\.N\.", ".rebnconv{}d.", 6),
    (r"(\.rebnconv\w+)\.0\.", r"\1.conv_s1."),
    (r"(\.rebnconv\w+)\.1\.", r"\1.bn_s1."),
)
NAMES: dict[type[nn.Module], Names] = {
    ACM: Names((HEAD,), r"fuse.*"),
    ALCNet: Names((HEAD,), r"fuse.*", dead=r"^uplayer\d\."),
    DNANet: Names(DNANET, r"conv\w+\.\d\.(conv\d|shortcut\.0)"),
    # linear_0 and linear_1 share their storage, and the one that is loaded last is what remains.
    ISTDUNet: Names(ISTDUNET, r".*\.fc1", dead=r"^headDet\.|\.linear_0\."),
    RDIAN: Names(RDIAN_NAMES, merged=(("directions", DIRECTIONS, lambda *kernels: torch.cat(kernels)),)),
    UIUNet: Names(UIUNET, r".*conv_s1|fuse\d\.\w+\.\d"),
    UNet: Names(UNET, r".*\d"),
}


def comparison_rules(network: nn.Module) -> tuple[list[Parts], re.Pattern]:
    """The rules (fields of `nets.published.rules.Rule`) of a comparison network, and the pattern of its dead published
    names.

    Raises ValueError for a network without published names.
    """
    if type(network) not in NAMES:
        known = ", ".join(sorted(kind.__name__ for kind in NAMES))
        raise ValueError(
            f"got a {type(network).__name__}, expected a TSMSA, an SSTNet, a CrossSliceConvLSTM or one of {known}"
        )
    names = NAMES[type(network)]
    return list(_rules(network, names)), re.compile(names.dead)


def _rules(network: nn.Module, names: Names) -> Iterator[Parts]:
    yield from names.merged
    merged = {ours for ours, _, _ in names.merged}
    biases = {}
    for name, module in network.named_modules():
        conv = _published(f"{name}.", names)[:-1]
        if isinstance(module, nn.Conv2d) and module.bias is None and re.fullmatch(names.biased, conv):
            biases[f"{_norm_after(name)}.running_mean"] = f"{conv}.bias"
    for name in network.state_dict():
        if name in biases:  # a convolution's bias before a batch norm moves its running mean
            yield name, (_published(name, names), biases[name]), torch.sub
        elif name not in merged:
            yield name, (_published(name, names),), None


def _published(name: str, names: Names) -> str:
    for pattern, replacement in names.renamed:
        name = re.sub(pattern, replacement, name)
    return name


def _norm_after(conv: str) -> str:
    """Name of the batch norm behind a convolution: 0 → 1, conv1 and fc1 → bn1."""
    parent, _, last = conv.rpartition(".")
    after = str(int(last) + 1) if last.isdigit() else re.sub("conv|fc", "bn", last)
    return f"{parent}.{after}"
