"""Published names of the comparison networks, and how their entries become ours."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import nn

from nets.micml import MICML, DSFNet
from nets.multi_frame.deeppro import DeepPro, DeepProPlus
from nets.multi_frame.resunet_dtum import ResUNetDTUM
from nets.published.rules import EntryRule
from nets.single_frame.acm import ACM
from nets.single_frame.alcnet import ALCNet
from nets.single_frame.dnanet import DNANet
from nets.single_frame.istdunet import ISTDUNet
from nets.single_frame.rdian import RDIAN
from nets.single_frame.uiunet import UIUNet
from nets.single_frame.unet import UNet

NO_NAME = "$^"  # a pattern that matches no name


class PublishedNames(NamedTuple):
    """How one network's published state dict becomes ours.

    renamings: regular expressions and what they become, one after the other, from our entries' names to the published
    ones. biased_convs: our convolutions (a full match of their published names) that have a bias there and a batch norm
    behind. merges: entries made of several published ones. dead: published names that never influence the output.
    """

    renamings: tuple[tuple[str, str], ...] = ()
    biased_convs: str = NO_NAME
    merges: tuple[EntryRule, ...] = ()
    dead: str = NO_NAME


def number_renamings(pattern: str, published: str, count: int) -> tuple[tuple[str, str], ...]:
    """The pairs of `pattern` and `published` for the numbers below `count`.

    A number stands for N in `pattern`; `{}` in `published` is one more.
    """
    return tuple((pattern.replace("N", str(index)), published.format(index + 1)) for index in range(count))


HEAD_RENAMING = (r"^head\.", "head.block.")
SHORTCUT_RENAMING = (r"\.downsample\.", ".shortcut.")
UNET_RENAMINGS = (
    *number_renamings(r"^down\.N\.", "Conv{}.conv.", 5),
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
RDIAN_RENAMINGS = (
    HEAD_RENAMING,
    (r"^fields\.", "residual_block"),
    (r"^cbam\.mlp\.0\.", "cbam.ChannelGate.mlp.1."),
    (r"^cbam\.mlp\.2\.", "cbam.ChannelGate.mlp.3."),
    (r"^cbam\.spatial\.0\.", "cbam.SpatialGate.spatial.conv."),
    (r"^cbam\.spatial\.1\.", "cbam.SpatialGate.spatial.bn."),
)
RDIAN_DIRECTIONS = tuple(f"d1{index}.weight" for index in range(1, 9))
DNANET_RENAMINGS = (
    (r"^nodes\.", ""),
    (r"^fuse\.", "conv0_4_final."),
    *((rf"^squeeze\.{index}\.", f"conv0_{4 - index}_1x1.") for index in range(4)),
    *number_renamings(r"^last\.N\.", "final{}.", 4),
    SHORTCUT_RENAMING,
)
ISTDUNET_RENAMINGS = (
    (r"^stem\.", "down.stem."),
    *number_renamings(r"^down\.N\.", "down.down.layer{}.", 4),
    *number_renamings(r"^skip\.N\.", "DN.X{}.", 4),
    *number_renamings(r"^up\.N\.", "up.up{}.", 3),
    (r"^head\.", "headSeg.head."),
    (r"\.patterns\.", ".linear_1."),
    (r"\.downsample\.1\.", ".downsample.2."),
    (r"\.downsample\.0\.", ".downsample.1."),
)
UIUNET_RENAMINGS = (
    *number_renamings(r"^down\.N\.", "stage{}.", 6),
    *number_renamings(r"^up\.N\.", "stage{}d.", 5),
    *((rf"^fuse\.{index}\.", f"fuse{index + 2}.") for index in range(4)),
    *number_renamings(r"^side\.N\.", "side{}.", 6),
    (r"^last\.", "outconv."),
    (r"\.entry\.", ".rebnconvin."),
    *number_renamings(r"\.down\.N\.", ".rebnconv{}.", 7),
    *number_renamings(r"\.up\.N\.", ".rebnconv{}d.", 6),
    (r"(\.rebnconv\w+)\.0\.", r"\1.conv_s1."),
    (r"(\.rebnconv\w+)\.1\.", r"\1.bn_s1."),
)
DTUM_RENAMINGS = (
    *((rf"^unet\.down\.{level}\.", f"UNet.conv{level}_0.") for level in range(4)),
    *((rf"^unet\.up\.{index}\.", f"UNet.conv{2 - index}_{index + 1}.") for index in range(3)),
    SHORTCUT_RENAMING,
    (r"^embedding\.0\.", "UNet.final."),
    (r"^embedding\.1\.", "DTUM.bn0."),
    (r"^first\.", "DTUM.level1_1."),
    *((rf"^deeper\.{index}\.", f"DTUM.level{index + 2}_1.") for index in range(3)),
    *((rf"^rejoin\.{index}\.", f"DTUM.level{3 - index}_2.") for index in range(3)),
    (r"^DTUM\.level(\d_\d)\.conv\.", r"DTUM.conv\1."),
    (r"^DTUM\.level(\d_\d)\.norm\.", r"DTUM.bn\1."),
    (r"^head\.", "DTUM.final."),
)
DTUM_HEAD = tuple(
    EntryRule(f"head.{index}.weight", (f"DTUM.final.{index}.weight",), lambda weight: weight.squeeze(2))
    for index in (0, 4)
)
STEM_RENAMING, HEADS_RENAMING = (r"^stem\.", "conv_in."), (r"\.heads\.", ".QK_heads.")
DEEPPRO_RENAMINGS = (
    STEM_RENAMING,
    *(
        (rf"^levels\.{level}\.blocks\.{block}\.", f"layer{level + 1}.{index}.")
        for level, indices in enumerate(((0, 1), (1, 2), (1, 3)))  # poolings count there
        for block, index in enumerate(indices)
    ),
    *number_renamings(r"^levels\.N\.probe\.", "TPro{}.", 3),
    *number_renamings(r"^levels\.N\.out\.", "conv_out1_{}.", 3),
    HEADS_RENAMING,
    (r"^join\.", "conv_out2."),
)
DEEPPRO_PLUS_RENAMINGS = (
    STEM_RENAMING,
    (r"^levels\.0\.blocks\.", "layer1."),
    (r"^levels\.0\.probe\.", "TPro."),
    (r"^levels\.0\.out\.", "conv_out1."),
    HEADS_RENAMING,
    (r"^final\.", "conv_out2."),
)
MICML_RENAMINGS = (
    (r"^backbone\.stem\.", "base.base_layer."),
    (r"^backbone\.levels\.(\d)\.", r"base.level\1."),
    (r"\.root\.0\.", ".root.conv."),
    (r"\.root\.1\.", ".root.bn."),
    (r"^static_up\.", "dla_up."),
    (r"^fuse\.", "ida_up."),
    (r"^dynamic\.up\.", "base3d.dla_up."),
    (r"\.stages\.(\d)\.", r".ida_\1."),
    *number_renamings(r"\.(proj|up|node)s\.N\.", r".\1_{}.", 4),
    (r"((?:proj|node)_\d)\.norm\.", r"\1.actf.0."),
    (r"\.conv\.offsets\.", ".conv.conv_offset_mask."),
    *number_renamings(r"^dynamic\.branches\.N\.", "base3d.branch{}.", 3),
    (r"^(base3d\.branch\d\.\d)\.norm\.", r"\1.bn."),
    (r"^dynamic\.motion\.", "base3d.Motion."),
    (r"\.cells\.(\d)\.", r".cell_list2.\1.conv."),  # shares its storage with cell_list, and is loaded last
    (r"\.se_state\.", ".se1.fc."),
    (r"\.se_pattern\.", ".se2.fc."),
    (r"\.look\.", ".conv1."),
    (r"\.relation\.", ".w0."),
    (r"\.own\.", ".w1."),
    (r"\.other\.", ".w2."),
    (r"\.adapt\.", ".mapping."),
    (r"^heads\.", ""),
)
MICML_DEAD = r"^base\.(level5|fc|level[34]\.project)\.|^base3d\.Motion\.cell_list\."
MICML_BIASED = r".*(proj|node)_\d\.conv"
MICML_PLANES = tuple(
    EntryRule(
        f"dynamic.branches.{index}.{layer}.conv.weight",
        (f"base3d.branch{index + 1}.{layer}.conv.weight",),
        lambda weight: weight.squeeze(2),
    )
    for index in range(3)
    for layer in range(2)
)
PUBLISHED_NAMES: dict[type[nn.Module], PublishedNames] = {
    ACM: PublishedNames((HEAD_RENAMING,), r"fuse.*"),
    ALCNet: PublishedNames((HEAD_RENAMING,), r"fuse.*", dead=r"^uplayer\d\."),
    DeepPro: PublishedNames(DEEPPRO_RENAMINGS, r".*"),
    DeepProPlus: PublishedNames(DEEPPRO_PLUS_RENAMINGS, r".*"),
    DNANet: PublishedNames(DNANET_RENAMINGS, r"conv\w+\.\d\.(conv\d|shortcut\.0)"),
    DSFNet: PublishedNames(MICML_RENAMINGS, MICML_BIASED, MICML_PLANES, rf"{MICML_DEAD}|^base3d\.Motion\."),
    # linear_0 and linear_1 share their storage, and the one that is loaded last is what remains.
    ISTDUNet: PublishedNames(ISTDUNET_RENAMINGS, r".*\.fc1", dead=r"^headDet\.|\.linear_0\."),
    MICML: PublishedNames(MICML_RENAMINGS, MICML_BIASED, MICML_PLANES, MICML_DEAD),
    RDIAN: PublishedNames(
        RDIAN_RENAMINGS, merges=(EntryRule("directions", RDIAN_DIRECTIONS, lambda *kernels: torch.cat(kernels)),)
    ),
    ResUNetDTUM: PublishedNames(DTUM_RENAMINGS, r".*", DTUM_HEAD),
    UIUNet: PublishedNames(UIUNET_RENAMINGS, r".*conv_s1|fuse\d\.\w+\.\d"),
    UNet: PublishedNames(UNET_RENAMINGS, r".*\d"),
}


def comparison_rules(network: nn.Module) -> tuple[list[EntryRule], re.Pattern]:
    """The rules of a comparison network, and the pattern of its dead published names.

    Raises:
        ValueError: a network without published names.
    """
    if type(network) not in PUBLISHED_NAMES:
        known = ", ".join(sorted(kind.__name__ for kind in PUBLISHED_NAMES))
        raise ValueError(
            f"got a {type(network).__name__}, expected a TSMSA, an SSTNet, a CrossSliceConvLSTM or one of {known}"
        )
    names = PUBLISHED_NAMES[type(network)]
    return list(_rules(network, names)), re.compile(names.dead)


def _rules(network: nn.Module, names: PublishedNames) -> Iterator[EntryRule]:
    yield from names.merges
    merged = {rule.ours for rule in names.merges}
    biases = {}
    for name, module in network.named_modules():
        conv = _published_name(f"{name}.", names)[:-1]
        if (
            isinstance(module, (nn.Conv2d, nn.Conv3d))
            and module.bias is None
            and re.fullmatch(names.biased_convs, conv)
        ):
            biases[f"{_norm_after(name)}.running_mean"] = f"{conv}.bias"
    for name in network.state_dict():
        if name in biases:  # a convolution's bias before a batch norm moves its running mean
            yield EntryRule(name, (_published_name(name, names), biases[name]), torch.sub)
        elif name not in merged:
            yield EntryRule(name, (_published_name(name, names),))


def _published_name(name: str, names: PublishedNames) -> str:
    for pattern, replacement in names.renamings:
        name = re.sub(pattern, replacement, name)
    return name


def _norm_after(conv: str) -> str:
    """Name of the batch norm behind a convolution: 0 → 1, conv1 and fc1 → bn1, conv → norm."""
    parent, _, last = conv.rpartition(".")
    if last == "conv":
        return f"{parent}.norm"
    after = str(int(last) + 1) if last.isdigit() else re.sub("conv|fc", "bn", last)
    return f"{parent}.{after}"
