"""Published names of the comparison networks, and how their entries become ours."""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nets.single_frame.acm import ACM
from nets.single_frame.alcnet import ALCNet
from nets.single_frame.unet import UNet

Parts = tuple[str, tuple[str, ...], Callable[..., Tensor] | None]  # as of nets.published.Rule


class Names(NamedTuple):
    """How one network's published state dict becomes ours.

    renamed: regular expressions of our entries' names → the published names; the first that matches the start of a name
    replaces that part, and the rest stays. biased: our convolutions (a full match of their published names) that have a
    bias there and a batch norm behind. dead: published names that never influence the output.
    """

    renamed: tuple[tuple[str, str], ...] = ()
    biased: str = r"$^"
    dead: str = r"$^"


UNET_STAGES = tuple(
    part
    for index in range(4)
    for part in (
        (rf"up\.{index}\.0\.", f"Up{5 - index}.up.1."),
        (rf"up\.{index}\.1\.", f"Up{5 - index}.up.2."),
        (rf"join\.{index}\.", f"Up_conv{5 - index}.conv."),
    )
)
NAMES: dict[type[nn.Module], Names] = {
    ACM: Names(((r"head\.", "head.block."),), r"fuse.*"),
    ALCNet: Names(((r"head\.", "head.block."),), r"fuse.*", r"^uplayer\d\."),
    UNet: Names(
        (*((rf"down\.{index}\.", f"Conv{index + 1}.conv.") for index in range(5)), *UNET_STAGES, (r"last\.", "Conv.")),
        r".*\d",
    ),
}


def comparison_rules(network: nn.Module) -> tuple[list[Parts], re.Pattern]:
    """The rules (fields of `nets.published.Rule`) of a comparison network, and the pattern of its dead published names.

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
    published = {name: _published(name, names) for name in network.state_dict()}
    means = {}
    for name, module in network.named_modules():
        conv = _published(f"{name}.", names)[:-1]
        if isinstance(module, nn.Conv2d) and module.bias is None and re.fullmatch(names.biased, conv):
            means[f"{_norm_after(name)}.running_mean"] = f"{conv}.bias"
    for name, theirs in published.items():
        # A convolution's bias before a batch norm moves its running mean.
        yield (name, (theirs, means[name]), torch.sub) if name in means else (name, (theirs,), None)


def _published(name: str, names: Names) -> str:
    for pattern, replacement in names.renamed:
        if re.match(pattern, name):
            return re.sub(pattern, replacement, name, count=1)
    return name


def _norm_after(conv: str) -> str:
    """Name of the batch norm behind a convolution: 0 → 1, conv1 → bn1."""
    parent, _, last = conv.rpartition(".")
    after = str(int(last) + 1) if last.isdigit() else last.replace("conv", "bn")
    return f"{parent}.{after}"
