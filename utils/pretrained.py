"""Weights to start from: checkpoints of this project, published state dicts, and for detectors a YOLOX backbone."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from nets.published import load_published, some
from nets.published_kinds import BACKBONE, kind_of, plain_state, sstnet_options
from nets.sstnet import SSTNet
from utils.checkpoint import check_content, load_file
from utils.errors import UserError

TEXTS = {"tsmsa": "published TSMSA weights", "sstnet": "published SSTNet weights", "yolox": "YOLOX weights"}
SERVES = {"tsmsa": ("tsmsa",), "sstnet": ("sstnet",), "yolox": ("sstnet",)}  # for which networks each kind is good


def load_weights(network: nn.Module, path: str, model: str) -> str:
    """Start `network` from a file: a checkpoint of this project (averaged weights where it has them), or a published
    state dict, with or without `module.` before its names.

    A detector takes what fits, as long as its backbone is complete: so its classes, frames and slices may be others
    than those of the weights, and a YOLOX of its size gives the backbone alone. Other networks take all or nothing.

    Args:
        network: of the name `model`; changed in place.
    Returns:
        What the file was recognised as, and which entries did not match, in a line.
    Raises:
        UserError: the file is unreadable, of another network, or its entries do not match; the text names them.
    """
    content = load_file(path)
    try:
        if isinstance(content, dict) and "network" in content:
            return f"{path}: {_from_checkpoint(network, check_content(path, content), path, model)}"
        return f"{path}: {_from_published(network, plain_state(content), path, model)}"
    except (RuntimeError, ValueError, KeyError) as error:
        raise UserError(f"{path}: weights do not fit this network: {error}") from None


def _from_checkpoint(network: nn.Module, content: dict[str, Any], path: str, model: str) -> str:
    found = content["model"]["name"]
    if found != model:
        raise UserError(f"{path}: found a checkpoint of {found}, expected one of {model}; give --model {found}, or "
                        "other --weights")
    state, text = content["ema"] or content["network"], f"recognised a checkpoint of {found}"
    if not isinstance(network, SSTNet):
        network.load_state_dict(state)
        return text
    target = network.state_dict()
    values = {name: value for name, value in state.items() if name in target and value.shape == target[name].shape}
    missing = [name for name in target if name not in values]
    _require_backbone(missing, {name: content["model"]["options"].get(name) for name in ("depth", "width")})
    network.load_state_dict({**target, **values})
    return f"{text}: {_summary(target, missing, [name for name in state if name not in values])}"


def _from_published(network: nn.Module, state: Mapping[str, Tensor], path: str, model: str) -> str:
    kind = kind_of(state)
    if not kind:
        raise UserError(f"{path}: recognised neither a checkpoint nor published weights: found "
                        f"{some(list(state), 3) or 'no tensors'}, expected the names of {' or '.join(TEXTS.values())}")
    if model not in SERVES[kind]:
        raise UserError(f"{path}: found {TEXTS[kind]}, expected weights of {model}; give "
                        f"--model {SERVES[kind][0]}, or other --weights")
    text = f"recognised {TEXTS[kind]}"
    if not isinstance(network, SSTNet):
        load_published(network, state)
        return text
    taken = {name: value for name, value in state.items() if kind == "sstnet" or name.startswith(BACKBONE)}
    report = load_published(network, taken, strict=False)
    _require_backbone(report.missing, sstnet_options(state))
    unused = [*report.unexpected, *(name for name in state if name not in taken)]
    return f"{text}: {_summary(network.state_dict(), report.missing, unused)}"


def _require_backbone(missing: Sequence[str], options: Mapping[str, Any]) -> None:
    names = [name for name in missing if name.startswith(BACKBONE)]
    if names:
        built = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in options.items())
        raise ValueError(f"nothing for {some(names)}; they are of a network with {built}")


def _summary(target: Mapping[str, Tensor], missing: Sequence[str], unused: Sequence[str]) -> str:
    text = f"{len(target) - len(missing)} of the network's {len(target)} entries taken"
    for what, names in (("left as initialised", missing), ("not used", unused)):
        text += f"; {what}: {some(names)}" if names else ""
    return text
