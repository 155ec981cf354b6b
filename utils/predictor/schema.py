"""What a checkpoint and an export's description may hold: types, ranges, lengths; all of it finite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from utils.system.command_line import BOUNDS, shown

_MAX_DEPTH = 20  # of values in values
_MAX_TEXT = 100_000  # letters of a text


def require_plain(what: str, value: Any, depth: int = 0) -> None:
    """Hold `value` to be made of text, numbers, truth values, lists and dicts by text, as JSON is.

    Raises:
        ValueError: it holds something else, a text that no file can hold, or more than is reasonable.
    """
    if depth > _MAX_DEPTH:
        raise ValueError(f"found {what} with more than {_MAX_DEPTH} values in one another")
    if isinstance(value, Mapping):
        for key, item in value.items():
            _require_text(f"a name in {what}", key)
            require_plain(what, item, depth + 1)
    elif isinstance(value, (list, tuple)):
        for item in value:
            require_plain(what, item, depth + 1)
    elif isinstance(value, str):
        _require_text(what, value)
    elif value is not None and not isinstance(value, (bool, int, float)):
        raise ValueError(f"found {what} with {shown(value)}, expected plain values")
    elif isinstance(value, int) and value.bit_length() > 64:
        raise ValueError(f"found {what} with an integer of {value.bit_length()} bits, expected at most 64")


def _require_text(what: str, value: Any) -> None:
    if not isinstance(value, str) or len(value) > _MAX_TEXT or any("\ud800" <= letter <= "\udfff" for letter in value):
        raise ValueError(f"found {what} that is {shown(value)}, expected text")


def require_number(what: str, value: Any, name: str) -> None:
    """Hold `value`, called `what`, to `BOUNDS[name]`; raises `ValueError`."""
    if not BOUNDS[name].hold(value):
        raise ValueError(f"found {what} {shown(value)}, expected {BOUNDS[name]}")


def require_model(model: Any) -> None:
    """Hold `{"name": …, "options": {…}}` to what `nets.build_model` can take; raises `ValueError`."""
    if not isinstance(model, Mapping) or not isinstance(model.get("name"), str):
        raise ValueError(f"found model {shown(model)}, expected its name and options")
    options = model.get("options")
    if not isinstance(options, Mapping):
        raise ValueError(f"found options {shown(options)} of model {shown(model['name'])}, expected values by name")
    for name, value in options.items():
        if name in ("fold_frames", "temporal", "stop_gradient", "motion", "motion_at_test"):
            if not isinstance(value, bool):
                raise ValueError(f"found option {name} {shown(value)}, expected true or false")
        elif name in ("channels", "blocks", "lags"):
            if not isinstance(value, (list, tuple)) or len(value) > (BOUNDS["lags"].most if name == "lags" else 8):
                raise ValueError(f"found option {name} {shown(value)}, expected some whole numbers")
            for part in value:
                require_number(f"option {name}", part, name)
        elif name in BOUNDS and (value is not None or name != "init_std"):
            require_number(f"option {name}", value, name)


def require_state(what: str, state: Any) -> None:
    """Hold `state` to be a network's: finite tensors by name; raises `ValueError`."""
    from torch import Tensor

    if not isinstance(state, Mapping) or not state:
        raise ValueError(f"found {what} {shown(state)}, expected tensors by name")
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise ValueError(f"found {shown(name)} in {what}, expected tensors by name")
        if value.is_floating_point() and not value.isfinite().all():
            raise ValueError(f"found values that are no finite numbers in {shown(name)} of {what}")


def require_checkpoint(content: Mapping[str, Any]) -> None:
    """Hold a checkpoint of the current version to its schema; what only continuing needs is looked at there.

    Raises:
        ValueError: something in it is missing, of another type, beyond its bounds, or not finite.
    """
    require_model(content["model"])
    for name in ("settings", "config"):
        if not isinstance(content[name], Mapping):
            raise ValueError(f"found {name} {shown(content[name])}, expected values by name")
        require_plain(name, content[name])
    require_plain("verifier", content.get("verifier"))  # what it is made of, `VerifierModel.from_dict` looks at
    require_state("network", content["network"])
    if content.get("ema") is not None:
        require_state("ema", content["ema"])
    if "epoch" in content:
        require_number("epoch", content["epoch"], "limit")
    for name, kind in (("best", Mapping), ("git", str)):
        value = content.get(name)
        if value is not None and not isinstance(value, kind):
            raise ValueError(f"found {name} {shown(value)}, expected {'figures by name' if name == 'best' else 'text'}")
        require_plain(name, value)


def require_training_state(content: Mapping[str, Any]) -> None:
    """Hold what a checkpoint has for continuing to its schema, as far as no later loading does; raises `ValueError`."""
    progress = content["progress"]
    kinds = {"epoch": int, "step": int, "best": Mapping, "history": list}
    if not isinstance(progress, Mapping) or not all(isinstance(progress.get(key), kind) for key, kind in kinds.items()):
        raise ValueError(f"found progress {shown(progress)}, expected epoch, step, best and history")
    for name in ("epoch", "step"):
        require_number(name, progress[name], "limit")
    for name in ("progress", "data"):
        require_plain(name, content[name])
    if not all(isinstance(row, Mapping) and isinstance(row.get("epoch"), int) for row in progress["history"]):
        raise ValueError(f"found history {shown(progress['history'])}, expected a row for each epoch")
    for name, kind in (("data", Mapping), ("random", list), ("optimizer", Mapping), ("schedule", Mapping)):
        if not isinstance(content.get(name), kind):
            raise ValueError(f"found {name} {shown(content.get(name))}, expected what training leaves there")
