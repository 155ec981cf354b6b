"""Which network a plain state dict is of, in whose names, and with which options it was built."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from nets import NETWORKS, build_model
from nets.published.kinds import (
    centre_options,
    count_of,
    identify_network,
    profile_options,
    sstnet_options,
    tsmsa_options,
)
from nets.published.loading import rules_for

# What tells state dicts in this project's own names apart, of the networks that have options.
MAX_SLICES = 16  # and layers in each
OWN_NAMES = {
    "sstnet": "backbone.darknet.stem.0.weight",
    "tsmsa": "coupling.frame_weights",
    "micml": "dynamic.motion.look.0.weight",
    "dsfnet": "dynamic.branches.0.0.conv.weight",  # MICML has it too, and is looked for first
}


# How the options of networks that have some are found in state dicts in published names, or in any.
OPTIONS_TOLD = {
    "sstnet": sstnet_options,
    "tsmsa": tsmsa_options,
    "resunet_dtum": lambda _: {},
    "deeppro": profile_options,
    "deeppro_plus": profile_options,
    "micml": centre_options,
    "dsfnet": centre_options,
    "dla34": lambda _: {"width": 1.0},
}


@dataclass(frozen=True)
class Recognised:
    """What a state dict was recognised as.

    Args:
        name: of the network, which `nets.build_model` builds, or of a backbone, `yolox` or `dla34`.
        published: its names are the published ones; else this project's own.
        options: that the network is built with, as far as the tensors tell them.
    """

    name: str
    published: bool
    options: dict[str, Any] = field(default_factory=dict)


def recognise(state: Mapping[str, Tensor]) -> list[Recognised]:
    """All that a state dict can be: nothing, one network, or several that its names and shapes do not tell apart."""
    kind = identify_network(state)
    if kind == "yolox":
        return [Recognised(kind, True)]
    if kind:
        return [Recognised(kind, True, OPTIONS_TOLD[kind](state))]
    if OWN_NAMES["sstnet"] in state:
        return [Recognised("sstnet", False, _own_sstnet_options(state))]
    if OWN_NAMES["tsmsa"] in state:
        return [Recognised("tsmsa", False, options) for options in _own_tsmsa_options(state)]
    for name in ("micml", "dsfnet"):
        if OWN_NAMES[name] in state:
            return [Recognised(name, False, centre_options(state))]
    found = []
    for name in NETWORKS.keys() - OWN_NAMES.keys():
        own, published = _names_of(name)
        options = OPTIONS_TOLD[name](state) if name in OPTIONS_TOLD else {}
        found += [Recognised(name, False, options)] if own <= state.keys() else []
        found += [Recognised(name, True, options)] if published <= state.keys() and published != own else []
    return sorted(found, key=lambda one: (one.name, one.published))


def build_empty(name: str, options: Mapping[str, Any]) -> nn.Module:
    """The network without memory for its weights, whose names and shapes can be looked at."""
    with torch.device("meta"):
        return build_model(name, **options).network


@functools.cache
def _names_of(name: str) -> tuple[frozenset[str], frozenset[str]]:
    """The entries of a network, whose names depend on no option, in this project's and in published names."""
    network = build_empty(name, {})
    rules, _ = rules_for(network)
    return frozenset(network.state_dict()), frozenset(part for rule in rules for part in rule.theirs)


def _own_sstnet_options(state: Mapping[str, Tensor]) -> dict[str, Any]:
    blocks = count_of(state, r"backbone\.darknet\.dark2\.1\.blocks\.(\d+)\.")
    return {
        "depth": round(blocks / 3, 2),
        "width": state[OWN_NAMES["sstnet"]].shape[0] / 64,
        "num_classes": state["head.cls_pred.weight"].shape[0],
        "num_frames": state["neck.frame_weights"].shape[0] + 1,
    }


def _own_tsmsa_options(state: Mapping[str, Tensor]) -> Iterator[dict[str, Any]]:
    """Options whose network has exactly these entries; slices and layers share their numbers in the names."""
    count = count_of(state, r"lstm\.layers\.(\d+)\.")
    frames = state[OWN_NAMES["tsmsa"]].shape[0]
    for slices in range(1, min(count, MAX_SLICES) + 1):
        options = {"num_frames": frames, "num_slices": slices, "num_layers": count // slices}
        if count % slices == 0 and count // slices <= MAX_SLICES and _fits(build_empty("tsmsa", options), state):
            yield options


def _fits(network: nn.Module, state: Mapping[str, Tensor]) -> bool:
    target = network.state_dict()
    return target.keys() == state.keys() and all(value.shape == state[name].shape for name, value in target.items())
