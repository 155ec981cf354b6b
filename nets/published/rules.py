"""State dicts in published names → ours.

A network's mapping is a list of `EntryRule`s. Ours hold fewer tensors than the published networks: convolutions over
one input are one, biases before a batch norm are part of its running mean, what cannot influence the output is not
built.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nets.attention import MultiHeadAttention
from nets.blocks import ConvNormAct, Fuse, PairBlock, ResidualBlock
from nets.convlstm import ConvLSTMLayer, CrossSliceConvLSTM, FirstMotionBranch
from nets.published.sstnet_names import SSTNET_NAMES
from nets.sstnet import SSTNet
from nets.tsmsa import TSMSA


@dataclass(frozen=True, slots=True)
class EntryRule:
    """Our entry `ours` is `merge` of the published entries `theirs`; without `merge` it is the one there is."""

    ours: str
    theirs: tuple[str, ...]
    merge: Callable[..., Tensor] | None = None


def _same_rules(module: nn.Module, ours: str, theirs: str) -> Iterator[EntryRule]:
    for name in module.state_dict():
        yield EntryRule(ours + name, (theirs + name,))


def _residual_rules(block: ResidualBlock, ours: str, theirs: str) -> Iterator[EntryRule]:
    for name, published in (
        ("depthwise1", "conv1.0"),
        ("pointwise", "conv1.1"),
        ("depthwise2", "conv2.0"),
        ("skip", "connect_conv" if block.skip_norm is None else "downsample.0"),
    ):
        yield EntryRule(f"{ours}{name}.weight", (f"{theirs}{published}.weight",))
    if block.skip_norm is not None:
        yield from _same_rules(block.skip_norm, f"{ours}skip_norm.", f"{theirs}downsample.1.")
    # A convolution's bias before a batch norm moves its running mean.
    first = ("conv1.1.weight", "conv1.0.bias", "conv1.1.bias")
    for index, names, merge in (
        (1, first, lambda mean, weight, bias0, bias1: mean - weight[:, :, 0, 0] @ bias0 - bias1),
        (2, ("conv2.0.bias",), torch.sub),
    ):
        for rule in _same_rules(block.norm1, f"{ours}norm{index}.", f"{theirs}bn{index}."):
            if rule.ours.endswith("running_mean"):
                rule = EntryRule(rule.ours, (*rule.theirs, *(theirs + name for name in names)), merge)
            yield rule


def _fuse_rules(fuse: Fuse, ours: str, theirs: str) -> Iterator[EntryRule]:
    yield from _same_rules(fuse.lateral[0], f"{ours}lateral.0.", f"{theirs}lateral_conv0.conv.")
    yield from _same_rules(fuse.lateral[1], f"{ours}lateral.1.", f"{theirs}lateral_conv0.bn.")
    mix, width = (f"{theirs}lateral_conv1.conv.weight",), fuse.from_low.in_channels
    yield EntryRule(f"{ours}from_low.weight", mix, lambda weight: weight[:, :width])
    yield EntryRule(f"{ours}from_high.weight", mix, lambda weight: weight[:, width:])
    yield from _same_rules(fuse.norm, f"{ours}norm.", f"{theirs}lateral_conv1.bn.")


TSMSA_NAMES = (
    (r"encoder\.stem\.0", "backbone.feature1.0"),
    (r"encoder\.stem\.1\.0", "backbone.feature1.1"),
    (r"encoder\.stem\.1\.1", "backbone.feature1.2"),
    (r"encoder\.stem\.2\.0", "backbone.feature1.4"),
    (r"encoder\.stem\.2\.1", "backbone.feature1.5"),
    (r"encoder\.stages\.0\.(\d+)", r"backbone.layer1.\1"),
    (r"encoder\.stages\.1\.(\d+)", r"backbone.layer2.\1"),
    (r"encoder\.stages\.2\.(\d+)", r"backbone.layer3.\1"),
    (r"embedding\.(0|2)", r"mapping1.\1"),
    (r"lstm", "SSTCell"),
    (r"fuse_key", "fusion1"),
    (r"fuse_half", "fusion2"),
    (r"fuse_full", "fusion3"),
    (r"coupling\.space_motion", "feature_enhance.Sconv1"),
    (r"coupling\.space_mix", "feature_enhance.Sconv2"),
    (r"coupling\.space_key", "feature_enhance.Sconv3"),
    (r"coupling\.time_pair", "feature_enhance.Tconv1.0"),
    (r"coupling\.time_mix", "feature_enhance.Tconv2.0"),
    (r"coupling\.out", "feature_enhance.conv_mix.0"),
    (r"head\.(0|1|4)", r"head.block.\1"),
)


def _rules_by_name(network: nn.Module, names: tuple[tuple[str, str], ...]) -> Iterator[EntryRule]:
    """Rules of all modules whose name matches one of ours in `names`."""
    makers = {ResidualBlock: _residual_rules, PairBlock: _residual_rules, Fuse: _fuse_rules}
    makers |= {ConvNormAct: _conv_norm_rules, CrossSliceConvLSTM: convlstm_rules}
    for name, module in network.named_modules():
        for pattern, published in names:
            match = re.fullmatch(pattern, name)
            if match:
                yield from makers.get(type(module), _same_rules)(module, f"{name}.", f"{match.expand(published)}.")


def tsmsa_rules(network: TSMSA) -> Iterator[EntryRule]:
    """Rules of all entries of a TSMSA."""
    yield from _rules_by_name(network, TSMSA_NAMES)
    weights = tuple(f"feature_enhance.weight.{frame}" for frame in range(network.num_frames))
    yield EntryRule("coupling.frame_weights", weights, lambda *scalars: torch.cat(scalars))


def _conv_norm_rules(block: ConvNormAct, ours: str, theirs: str) -> Iterator[EntryRule]:
    yield from _same_rules(block[0], f"{ours}0.", f"{theirs}conv.")
    yield from _same_rules(block[1], f"{ours}1.", f"{theirs}bn.")


def sstnet_rules(network: SSTNet) -> Iterator[EntryRule]:
    """Rules of all entries of an SSTNet, with those of its temporal branch where it has one."""
    yield from _rules_by_name(network, SSTNET_NAMES)
    pair, width = ("neck.conv_gl.0.conv.weight",), network.backbone.channels
    yield EntryRule("neck.pair_frame.weight", pair, lambda weight: weight[:, :width])
    yield EntryRule("neck.pair_key.weight", pair, lambda weight: weight[:, width:])
    weights = tuple(f"neck.weight.{frame}" for frame in range(network.num_frames - 1))
    yield EntryRule("neck.frame_weights", weights, lambda *scalars: torch.cat(scalars))


def dead_in(lstm: CrossSliceConvLSTM) -> list[str]:
    """Patterns of the published names that, where no rule uses them, cannot influence this ConvLSTM's output."""
    first = "|".join(f"0{layer}" for layer in range(lstm.num_layers))
    last = f"{lstm.num_slices - 1}{lstm.num_layers - 1}"
    return [
        rf"cell_list\.{last}\.(motion|mm1|mm2|past_attention|future_attention)\.",
        rf"cell_list\.({first})\.(past_attention|future_attention)\.",
        r"_attention\.(conv_mask\.bias|channel_add_conv\.)",
    ]


def convlstm_rules(lstm: CrossSliceConvLSTM, ours: str, theirs: str) -> Iterator[EntryRule]:
    """Rules of all entries of a ConvLSTM; `ours`, `theirs`: what stands before its entries' names, with the dot."""
    for index, layer in enumerate(lstm.layers):
        cell = f"{theirs}cell_list.{index // lstm.num_layers}{index % lstm.num_layers}."
        width = lstm.in_channels if index == 0 else lstm.channels
        yield from _layer_rules(layer, f"{ours}layers.{index}.", cell, width, lstm.channels)


def _layer_rules(layer: ConvLSTMLayer, ours: str, theirs: str, width: int, channels: int) -> Iterator[EntryRule]:
    """Rules of one layer; `width`: channels of x and u. Published columns are [x, h] of conv, [x, h, u, m] of conv2."""

    def inputs(conv: Tensor, conv2: Tensor) -> Tensor:
        x, _, u, m = conv2.split((width, channels, width, channels), 1)
        x = x + conv[:, :width]
        sources = layer.inputs.in_channels
        return x + u if sources == width else torch.cat((x, u, m), 1)[:, :sources]

    def recurrent(conv: Tensor, conv2: Tensor) -> Tensor:
        return conv[:, width:] + conv2[:, width : width + channels]

    weights = (f"{theirs}conv.weight", f"{theirs}conv2.weight")
    yield EntryRule(f"{ours}inputs.weight", weights, inputs)
    yield EntryRule(f"{ours}inputs.bias", (f"{theirs}conv.bias", f"{theirs}conv2.bias"), torch.add)
    yield EntryRule(f"{ours}recurrent.weight", weights, recurrent)
    if isinstance(layer.motion, FirstMotionBranch):
        yield from _first_motion_rules(layer.motion, f"{ours}motion.", theirs, width, channels)
    elif layer.motion is not None:
        yield from _motion_rules(layer.motion.attention.past, f"{ours}motion.", theirs, channels)


def _motion_rules(attention: nn.Module, ours: str, theirs: str, channels: int) -> Iterator[EntryRule]:
    for name in ("weight", "bias"):
        yield EntryRule(f"{ours}gates.{name}", (f"{theirs}motion.0.{name}",))
    for side, mix in (("past", "mm1"), ("future", "mm2")):
        # mm([σ + m, m]) as a convolution over [σ, m]
        yield EntryRule(
            f"{ours}mix_{side}.weight",
            (f"{theirs}{mix}.weight",),
            lambda w: torch.cat((w[:, :channels], w[:, :channels] + w[:, channels:]), 1),
        )
        own, published = f"{ours}attention.{side}.", f"{theirs}{side}_attention."
        if not isinstance(attention, MultiHeadAttention):
            yield EntryRule(f"{own}score.weight", (f"{published}conv_mask.weight",))
            continue
        yield from _same_rules(attention.out, f"{own}out.", f"{published}out_proj.")
        for part, name in enumerate(("query", "key", "value")):
            for kind in ("weight",) if name == "key" else ("weight", "bias"):
                yield EntryRule(
                    f"{own}{name}.{kind}", (f"{published}in_proj_{kind}",), lambda w, part=part: w.chunk(3)[part]
                )


def _first_motion_rules(
    motion: FirstMotionBranch, ours: str, theirs: str, width: int, channels: int
) -> Iterator[EntryRule]:
    """Slice 0: m = 0, so mm1 and mm2 see σ(p) and σ(r) only, and these are the same in every channel."""

    def live(gates: Tensor) -> Tensor:
        i, _, g, o = gates.chunk(4)
        return torch.cat((i, g, o))

    def constant(gates: Tensor, bias: Tensor, mm1: Tensor, mm2: Tensor) -> Tensor:
        kernels = [
            torch.einsum("ocyx,c->oyx", columns, mix[:, :channels, 0, 0].sum(1))
            for columns, mix in zip(live(gates)[:, width:].split(channels, 1), (mm1, mm2), strict=True)
        ]
        if motion.constant.grids is not None:
            return torch.stack(kernels, 1)
        kernel = (kernels[0] + kernels[1]) / 2  # σ(0) = ½
        kernel[:, 1, 1] += live(bias)
        return kernel.unsqueeze(1)

    def grids(past_bias, past_out, past_out_bias, weight, bias, out, out_bias):
        p = past_out @ past_bias.chunk(3)[2] + past_out_bias
        r = out @ (weight.chunk(3)[2] @ p + bias.chunk(3)[2]) + out_bias
        return torch.stack((p, r)).reshape(1, 2, MultiHeadAttention.side, MultiHeadAttention.side)

    gates = (f"{theirs}motion.0.weight", f"{theirs}motion.0.bias")
    yield EntryRule(f"{ours}gates.weight", gates[:1], lambda weight: live(weight)[:, :width])
    yield EntryRule(f"{ours}constant_gates.weight", (*gates, f"{theirs}mm1.weight", f"{theirs}mm2.weight"), constant)
    if motion.constant.grids is not None:
        yield EntryRule(f"{ours}gates.bias", gates[1:], live)
        past = ("in_proj_bias", "out_proj.weight", "out_proj.bias")
        names = [f"past_attention.{name}" for name in past]
        names += [f"future_attention.{name}" for name in ("in_proj_weight", *past)]
        yield EntryRule(f"{ours}constant.grids", tuple(theirs + name for name in names), grids)
