"""Published state dicts loaded into the networks of this project."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from nets.convlstm import CrossSliceConvLSTM
from nets.published.comparison import comparison_rules
from nets.published.rules import EntryRule, convlstm_rules, dead_in, sstnet_rules, tsmsa_rules
from nets.published.sstnet_names import SSTNET_DEAD, SSTNET_TEMPORAL
from nets.sstnet import SSTNet
from nets.tsmsa import TSMSA


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What became of each entry.

    `loaded`, `folded` (into another of ours), `dropped` (no influence on the output) and `unexpected` are published
    names, each entry in exactly one of them; `missing` are names of ours.
    """

    loaded: tuple[str, ...]
    folded: tuple[str, ...]
    dropped: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]


def load_published(network: nn.Module, state_dict: Mapping[str, Tensor], strict: bool = True) -> LoadReport:
    """Load a state dict in published names into a network.

    Args:
        network: a comparison network, or TSMSA, SSTNet or a bare CrossSliceConvLSTM (names `cell_list.SL.…`, slice S,
            layer L), of any number of slices and layers; changed in place.
        state_dict: with or without a leading `module.` before its names.
        strict: take all or nothing; otherwise what fits is loaded, see the report.

    Raises:
        ValueError: strict, and entries are missing, unexpected or of another shape; the text names them, and the
            network stays as it was.
    """
    source = {name.removeprefix("module."): value for name, value in state_dict.items()}
    target = network.state_dict()
    rules, dead = rules_for(network)
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
        text = "; ".join(f"{what} {abridge(names)}" for what, names in problems.items() if names)
        raise ValueError(
            f"the weights do not match this {type(network).__name__}: {text}: "
            "build it with the options the weights were made with, or load with strict=False"
        )
    network.load_state_dict({**target, **values})
    return report


def rules_for(network: nn.Module) -> tuple[list[EntryRule], re.Pattern]:
    """The network's rules, and a pattern of the published names that cannot influence its output.

    Raises:
        ValueError: a network without published names.
    """
    if isinstance(network, CrossSliceConvLSTM):
        return list(convlstm_rules(network, "", "")), re.compile("|".join(dead_in(network)))
    if isinstance(network, TSMSA):
        dead = [r"^backbone\.layer\d+\.0\.connect_conv\.", *dead_in(network.lstm)]
        return list(tsmsa_rules(network)), re.compile("|".join(dead))
    if isinstance(network, SSTNet):
        dead = [*SSTNET_DEAD, rf"^neck\.weight\.{network.num_frames - 1}$"]
        dead += SSTNET_TEMPORAL if network.temporal is None else dead_in(network.temporal.lstm)
        return list(sstnet_rules(network)), re.compile("|".join(dead))
    return comparison_rules(network)


def abridge(names: Sequence[str], limit: int = 8) -> str:
    """The first `limit` of the names, and how many more there are."""
    rest = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + rest


def _value(rule: EntryRule, source: Mapping[str, Tensor]) -> Tensor | None:
    tensors = [source[name] for name in rule.theirs]
    try:
        return rule.merge(*tensors) if rule.merge else tensors[0]
    except (RuntimeError, IndexError):  # shapes that cannot be merged; the caller names them
        return None
