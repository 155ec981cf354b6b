"""The command line of a training script: a named recipe, or that of an earlier run, with given options replaced."""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Mapping, Sequence
from textwrap import shorten
from typing import Any, get_type_hints

from utils.system.command_line import BOUNDS, Parser, number
from utils.system.errors import UserError
from utils.system.untrusted import read_text
from utils.training.config import CENTRE_DETECTORS, CHOICES, DETECTORS, GROUPS, SINGLE_FRAME, TrainConfig, flag

# Settings of one run and one machine: no part of what others take over as a recipe.
KEPT_OUT_OF_RECIPES = (
    "data_root",
    "extra_roots",
    "ignore_value",
    "name",
    "out",
    "weights",
    "val_sequences",
    "workers",
    "cache_mb",
    "device",
    "threads",
    "resume",
    "quiet",
)


def _add_option(parser: Parser, item: dataclasses.Field, kind: Any, default: Any) -> None:
    shown = ",".join(str(part) for part in default) if isinstance(default, tuple) else default
    text = (
        f"{item.metadata['help']} (default: {shown})".replace("%", "%%")
        if shown not in ("", False)
        else item.metadata["help"].replace("%", "%%")
    )
    keywords: dict[str, Any] = {"dest": item.name, "default": argparse.SUPPRESS, "help": text}
    if kind is bool:
        keywords["action"] = argparse.BooleanOptionalAction
    elif "tuple" in str(kind):
        keywords |= {"type": number(item.name) if item.name in BOUNDS else str, "nargs": "*"}
    else:
        keywords |= {"type": number(item.name) if item.name in BOUNDS else kind, "metavar": kind.__name__.upper()}
        if item.name in CHOICES:
            keywords["metavar"] = "{" + ",".join(CHOICES[item.name]) + "}"
    parser.group(item.metadata["group"]).add_argument(f"--{flag(item.name)}", **keywords)


def _add_defaults(parser: Parser, recipes: Mapping[str, Sequence[TrainConfig]], model: dataclasses.Field) -> None:
    """The options that decide the others' defaults: --recipe and --model."""
    first, names = next(iter(recipes)), ", ".join(recipes)
    group = parser.group(model.metadata["group"])
    group.add_argument(
        "--recipe",
        default=first,
        metavar="NAME",
        help=f"set of defaults: {names}, or the config.json of a run, whose settings are taken over (default: {first})",
    )
    _add_option(parser, model, str, recipes[first][0].model)


def parse_cli(
    recipes: Mapping[str, Sequence[TrainConfig]], argv: Sequence[str] | None = None, description: str = ""
) -> TrainConfig:
    """Read the command line over a named recipe.

    Args:
        recipes: the script's recipes by name, each for one or more networks; the first name is the default of
            `--recipe`, the network of its first recipe that of `--model`.
        argv: arguments without the program's name (default: `sys.argv[1:]`).
        description: shown by `--help`.

    Returns:
        The network's recipe, or that of another network of its family, with every given option replaced.

    Raises:
        UserError: an unknown option, a value of the wrong kind or out of its range, or an option that only networks of
            the other family use.
    """
    first = next(iter(recipes))
    fields = {item.name: item for item in dataclasses.fields(TrainConfig)}
    hints = get_type_hints(TrainConfig)
    chooser = Parser(add_help=False)
    _add_defaults(chooser, recipes, fields["model"])
    chosen = vars(chooser.parse_known_args(argv)[0])
    if chosen["recipe"] in recipes:
        recipe = _pick_recipe(recipes[chosen["recipe"]], chosen.get("model"))
    elif chosen["recipe"].endswith(".json"):
        recipe = _read_recipe(chosen["recipe"])
        _pick_recipe(recipes[first], recipe.model)  # refuses what this script does not train
        recipe = _pick_recipe((recipe,), chosen.get("model"))
    else:
        raise UserError(
            f"--recipe: found '{chosen['recipe']}', expected {', '.join(recipes)}, or the config.json of a run"
        )
    parser = Parser(description=description)
    for title in GROUPS:
        parser.group(title)
    _add_defaults(parser, recipes, fields["model"])
    for name, item in fields.items():
        if name != "model":
            _add_option(parser, item, hints[name], getattr(recipe, name))
    given = vars(parser.parse_args(argv))
    del given["recipe"]
    for name in given:
        family = fields[name].metadata["family"]
        if family in ("segmentation", "detection"):
            if family != recipe.task:
                raise UserError(f"--{flag(name)}: is for {family}, which {recipe.model} does not do; leave it out")
        elif family and family != recipe.model:
            raise UserError(f"--{flag(name)}: is for {family}, found with {recipe.model}; leave it out")
    given = {key: tuple(value) if isinstance(value, list) else value for key, value in given.items()}
    return dataclasses.replace(recipe, **given)


def _read_recipe(path: str) -> TrainConfig:
    """The settings in a run's config.json, but for those of its data, its name and its machine."""
    try:
        found = json.loads(read_text(path))
        values = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in found.items()
            if name not in KEPT_OUT_OF_RECIPES
        }
        return TrainConfig(**values)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        reason = shorten(str(error), 300)
        raise UserError(f"--recipe: {path} is not the config.json of a run of this version ({reason})") from None


def _kind_of(model: str) -> str:
    if model in CENTRE_DETECTORS:
        return "detection of centres"
    if model in DETECTORS:
        return "detection"
    return "single-frame" if model in SINGLE_FRAME else "multi-frame"


def _pick_recipe(recipes: Sequence[TrainConfig], model: str | None) -> TrainConfig:
    """The recipe of `model`, or of another network of its kind; the first one where no model is named."""
    if model is None:
        return recipes[0]
    if model not in CHOICES["model"]:
        raise UserError(f"--model: found '{model}', expected one of {', '.join(CHOICES['model'])}")
    family = [recipe for recipe in recipes if _kind_of(recipe.model) == _kind_of(model)]
    if not family:
        kinds = {_kind_of(recipe.model) for recipe in recipes}
        known = [name for name in CHOICES["model"] if _kind_of(name) in kinds]
        raise UserError(f"--model: found '{model}', expected one of {', '.join(known)} in this script")
    return dataclasses.replace(next((recipe for recipe in family if recipe.model == model), family[0]), model=model)
