"""State dicts in published names → ours.

A network's mapping is a list of `Rule`s. Ours hold fewer tensors than the published networks: convolutions over one
input are one, biases before a batch norm are part of its running mean, what cannot influence the output is not built.
"""
from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nets.attention import MultiHead
from nets.blocks import ConvNormAct, Fuse, PairBlock, ResidualBlock
from nets.convlstm import CrossSliceConvLSTM, FirstMotion, Layer
from nets.published.comparison import comparison_rules
from nets.published.sstnet_names import SSTNET_DEAD, SSTNET_NAMES, SSTNET_TEMPORAL
from nets.sstnet import SSTNet
from nets.tsmsa import TSMSA


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What became of each entry. `loaded`, `folded` (into another of ours), `dropped` (no influence on the output) and
    `unexpected` are published names, each entry in exactly one of them; `missing` are names of ours."""
    loaded: tuple[str, ...]
    folded: tuple[str, ...]
    dropped: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """Our entry `ours` is `merge` of the published entries `theirs`; without `merge` it is the one there is."""

    ours: str
    theirs: tuple[str, ...]
    merge: Callable[..., Tensor] | None = None


def load_published(network: nn.Module, state_dict: Mapping[str, Tensor], strict: bool = True) -> LoadReport:
    """Load a state dict in published names, with or without a leading `module.`, into `network` (in place).

    network: a comparison network, or TSMSA, SSTNet or a bare CrossSliceConvLSTM (names `cell_list.SL.…`, slice S,
    layer L), of any number of slices and layers. When strict, raises ValueError naming the entries that are missing,
    unexpected or of another shape and leaves the network as it was; otherwise what fits is loaded, see the report.
    """
    source = {name.removeprefix("module."): value for name, value in state_dict.items()}
    target = network.state_dict()
    rules, dead = _rules(network)
    values: dict[str, Tensor] = {}
    only_folded: dict[str, bool] = {}
    misfits: list[str] = []
    for rule in rules:
        if not all(name in source for name in rule.theirs):
            continue
        value = _value(rule, source)
        if value is None or value.shape != target[rule.ours].shape:
            shapes = ", ".join(f"{name} {tuple(source[name].shape)}" for name in rule.theirs)
            misfits.append(f"{shapes} (expected to give {rule.ours} {tuple(target[rule.ours].shape)})")
            continue
        values[rule.ours] = value
        for name in rule.theirs:
            only_folded[name] = only_folded.get(name, True) and rule.merge is not None
    rest = [name for name in source if name not in only_folded]
    report = LoadReport(
        loaded=tuple(name for name, folded in only_folded.items() if not folded),
        folded=tuple(name for name, folded in only_folded.items() if folded),
        dropped=tuple(name for name in rest if dead.search(name)),
        missing=tuple(name for name in target if name not in values),
        unexpected=tuple(name for name in rest if not dead.search(name)),
    )
    problems = {"other shapes": misfits, "nothing for": report.missing, "unexpected": report.unexpected}
    if strict and any(problems.values()):
        text = "; ".join(f"{what} {some(names)}" for what, names in problems.items() if names)
        raise ValueError(
            f"the weights do not match this {type(network).__name__}: {text}: "
            "build it with the options the weights were made with, or load with strict=False"
        )
    network.load_state_dict({**target, **values})
    return report


def _value(rule: Rule, source: Mapping[str, Tensor]) -> Tensor | None:
    tensors = [source[name] for name in rule.theirs]
    try:
        return rule.merge(*tensors) if rule.merge else tensors[0]
    except (RuntimeError, IndexError):  # shapes that cannot be merged; the caller names them
        return None


def some(names: Sequence[str], limit: int = 8) -> str:
    """The first `limit` of some names, and how many more there are."""
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest


def _rules(network: nn.Module) -> tuple[list[Rule], re.Pattern]:
    """The network's rules, and a pattern of the published names that cannot influence its output."""
    if isinstance(network, CrossSliceConvLSTM):
        return list(_convlstm(network, "", "")), re.compile("|".join(_dead_in(network)))
    if isinstance(network, TSMSA):
        dead = [r"^backbone\.layer\d+\.0\.connect_conv\.", *_dead_in(network.lstm)]
        return list(_tsmsa(network)), re.compile("|".join(dead))
    if isinstance(network, SSTNet):
        dead = [*SSTNET_DEAD, rf"^neck\.weight\.{network.num_frames - 1}$"]
        dead += SSTNET_TEMPORAL if network.temporal is None else _dead_in(network.temporal.lstm)
        return list(_sstnet(network)), re.compile("|".join(dead))
    rules, dead = comparison_rules(network)
    return [Rule(*parts) for parts in rules], dead


def _same(module: nn.Module, ours: str, theirs: str) -> Iterator[Rule]:
    for name in module.state_dict():
        yield Rule(ours + name, (theirs + name,))


def _residual(block: ResidualBlock, ours: str, theirs: str) -> Iterator[Rule]:
    for name, published in (
        ("depthwise1", "conv1.0"),
        ("pointwise", "conv1.1"),
        ("depthwise2", "conv2.0"),
        ("skip", "connect_conv" if block.skip_norm is None else "downsample.0"),
    ):
        yield Rule(f"{ours}{name}.weight", (f"{theirs}{published}.weight",))
    if block.skip_norm is not None:
        yield from _same(block.skip_norm, f"{ours}skip_norm.", f"{theirs}downsample.1.")
    # A convolution's bias before a batch norm moves its running mean.
    first = ("conv1.1.weight", "conv1.0.bias", "conv1.1.bias")
    for index, names, merge in (
        (1, first, lambda mean, weight, bias0, bias1: mean - weight[:, :, 0, 0] @ bias0 - bias1),
        (2, ("conv2.0.bias",), torch.sub),
    ):
        for rule in _same(block.norm1, f"{ours}norm{index}.", f"{theirs}bn{index}."):
            if rule.ours.endswith("running_mean"):
                rule = Rule(rule.ours, (*rule.theirs, *(theirs + name for name in names)), merge)
            yield rule


def _fuse(fuse: Fuse, ours: str, theirs: str) -> Iterator[Rule]:
    yield from _same(fuse.lateral[0], f"{ours}lateral.0.", f"{theirs}lateral_conv0.conv.")
    yield from _same(fuse.lateral[1], f"{ours}lateral.1.", f"{theirs}lateral_conv0.bn.")
    mix, width = (f"{theirs}lateral_conv1.conv.weight",), fuse.from_low.in_channels
    yield Rule(f"{ours}from_low.weight", mix, lambda weight: weight[:, :width])
    yield Rule(f"{ours}from_high.weight", mix, lambda weight: weight[:, width:])
    yield from _same(fuse.norm, f"{ours}norm.", f"{theirs}lateral_conv1.bn.")


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


def _by_name(network: nn.Module, names: tuple[tuple[str, str], ...]) -> Iterator[Rule]:
    """Rules of all modules whose name matches one of ours in `names`."""
    makers = {ResidualBlock: _residual, PairBlock: _residual, Fuse: _fuse}
    makers |= {ConvNormAct: _conv_norm, CrossSliceConvLSTM: _convlstm}
    for name, module in network.named_modules():
        for pattern, published in names:
            match = re.fullmatch(pattern, name)
            if match:
                yield from makers.get(type(module), _same)(module, f"{name}.", f"{match.expand(published)}.")


def _tsmsa(network: TSMSA) -> Iterator[Rule]:
    yield from _by_name(network, TSMSA_NAMES)
    weights = tuple(f"feature_enhance.weight.{frame}" for frame in range(network.num_frames))
    yield Rule("coupling.frame_weights", weights, lambda *scalars: torch.cat(scalars))


def _conv_norm(block: ConvNormAct, ours: str, theirs: str) -> Iterator[Rule]:
    yield from _same(block[0], f"{ours}0.", f"{theirs}conv.")
    yield from _same(block[1], f"{ours}1.", f"{theirs}bn.")


def _sstnet(network: SSTNet) -> Iterator[Rule]:
    yield from _by_name(network, SSTNET_NAMES)
    pair, width = ("neck.conv_gl.0.conv.weight",), network.backbone.channels
    yield Rule("neck.pair_frame.weight", pair, lambda weight: weight[:, :width])
    yield Rule("neck.pair_key.weight", pair, lambda weight: weight[:, width:])
    weights = tuple(f"neck.weight.{frame}" for frame in range(network.num_frames - 1))
    yield Rule("neck.frame_weights", weights, lambda *scalars: torch.cat(scalars))


def _dead_in(lstm: CrossSliceConvLSTM) -> list[str]:
    """Patterns of the published names that, where no rule uses them, cannot influence this ConvLSTM's output."""
    first = "|".join(f"0{layer}" for layer in range(lstm.num_layers))
    last = f"{lstm.num_slices - 1}{lstm.num_layers - 1}"
    return [
        rf"cell_list\.{last}\.(motion|mm1|mm2|past_attention|future_attention)\.",
        rf"cell_list\.({first})\.(past_attention|future_attention)\.",
        r"_attention\.(conv_mask\.bias|channel_add_conv\.)",
    ]


def _convlstm(lstm: CrossSliceConvLSTM, ours: str, theirs: str) -> Iterator[Rule]:
    for index, layer in enumerate(lstm.layers):
        cell = f"{theirs}cell_list.{index // lstm.num_layers}{index % lstm.num_layers}."
        width = lstm.in_channels if index == 0 else lstm.channels
        yield from _layer(layer, f"{ours}layers.{index}.", cell, width, lstm.channels)


def _layer(layer: Layer, ours: str, theirs: str, width: int, channels: int) -> Iterator[Rule]:
    """Rules of one layer; `width`: channels of x and u. Published columns are [x, h] of conv, [x, h, u, m] of conv2."""

    def inputs(conv: Tensor, conv2: Tensor) -> Tensor:
        x, _, u, m = conv2.split((width, channels, width, channels), 1)
        x = x + conv[:, :width]
        sources = layer.inputs.in_channels
        return x + u if sources == width else torch.cat((x, u, m), 1)[:, :sources]

    def recurrent(conv: Tensor, conv2: Tensor) -> Tensor:
        return conv[:, width:] + conv2[:, width : width + channels]

    weights = (f"{theirs}conv.weight", f"{theirs}conv2.weight")
    yield Rule(f"{ours}inputs.weight", weights, inputs)
    yield Rule(f"{ours}inputs.bias", (f"{theirs}conv.bias", f"{theirs}conv2.bias"), torch.add)
    yield Rule(f"{ours}recurrent.weight", weights, recurrent)
    if isinstance(layer.motion, FirstMotion):
        yield from _first_motion(layer.motion, f"{ours}motion.", theirs, width, channels)
    elif layer.motion is not None:
        yield from _motion(layer.motion.attention.past, f"{ours}motion.", theirs, channels)


def _motion(attention: nn.Module, ours: str, theirs: str, channels: int) -> Iterator[Rule]:
    for name in ("weight", "bias"):
        yield Rule(f"{ours}gates.{name}", (f"{theirs}motion.0.{name}",))
    for side, mix in (("past", "mm1"), ("future", "mm2")):
        # mm([σ + m, m]) as a convolution over [σ, m]
        yield Rule(
            f"{ours}mix_{side}.weight",
            (f"{theirs}{mix}.weight",),
            lambda w: torch.cat((w[:, :channels], w[:, :channels] + w[:, channels:]), 1),
        )
        own, published = f"{ours}attention.{side}.", f"{theirs}{side}_attention."
        if not isinstance(attention, MultiHead):
            yield Rule(f"{own}score.weight", (f"{published}conv_mask.weight",))
            continue
        yield from _same(attention.out, f"{own}out.", f"{published}out_proj.")
        for part, name in enumerate(("query", "key", "value")):
            for kind in ("weight",) if name == "key" else ("weight", "bias"):
                yield Rule(
                    f"{own}{name}.{kind}", (f"{published}in_proj_{kind}",), lambda w, part=part: w.chunk(3)[part]
                )


def _first_motion(motion: FirstMotion, ours: str, theirs: str, width: int, channels: int) -> Iterator[Rule]:
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
        return torch.stack((p, r)).reshape(1, 2, MultiHead.side, MultiHead.side)

    gates = (f"{theirs}motion.0.weight", f"{theirs}motion.0.bias")
    yield Rule(f"{ours}gates.weight", gates[:1], lambda weight: live(weight)[:, :width])
    yield Rule(f"{ours}constant_gates.weight", (*gates, f"{theirs}mm1.weight", f"{theirs}mm2.weight"), constant)
    if motion.constant.grids is not None:
        yield Rule(f"{ours}gates.bias", gates[1:], live)
        past = ("in_proj_bias", "out_proj.weight", "out_proj.bias")
        names = [f"past_attention.{name}" for name in past]
        names += [f"future_attention.{name}" for name in ("in_proj_weight", *past)]
        yield Rule(f"{ours}constant.grids", tuple(theirs + name for name in names), grids)
