"""What a weights file holds, and the network built from it: a checkpoint of this project or a published release."""
from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

from torch import Tensor, nn

from nets import DETECTORS, Model, build_model
from nets.published import load_published
from utils.checkpoint import check_content, load_file
from utils.errors import UserError

# ImageNet's, in 8-bit grey levels, one for each of R, G and B.
IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
SSTNET_SIZE = 512


@dataclass(frozen=True)
class Weights:
    """A network with its weights, and how it is to be used; `settings` are keywords of `Predictor.from_network`.

    `note` says what was recognised in a file that does not describe itself.
    """

    model: Model
    settings: dict[str, Any]
    note: str = ""


def read_weights(path: str | os.PathLike, normalisation: Sequence[float] | None = None) -> Weights:
    """Build the network of a weights file, in evaluation form: detectors without their temporal branch.

    Args:
        path: a checkpoint of this project (its averaged weights are taken where it has them), or a plain state dict in
            the names of the published SSTNet or TSMSA, with or without a leading `module.`.
        normalisation: (mean, standard deviation) of the frames' grey levels; needed for a published TSMSA only, whose
            file does not hold them.
    Raises:
        UserError: unreadable or unknown, its model is unknown, or its weights do not fit.
    """
    content = load_file(path)
    try:
        if _is_state(content):
            return _published(path, {name.removeprefix("module."): value for name, value in content.items()},
                              normalisation)
        return _own(check_content(path, content))
    except (KeyError, ValueError, TypeError, RuntimeError, IndexError) as error:
        raise UserError(f"{path}: does not fit this version of the project: {shorten(str(error), 300)}") from None


def _is_state(content: Any) -> bool:
    return isinstance(content, Mapping) and bool(content) and all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in content.items())


def _own(content: dict[str, Any]) -> Weights:
    name, options = content["model"]["name"], dict(content["model"]["options"])
    if name in DETECTORS:
        options["temporal"] = False  # it serves training only
    model = build_model(name, **options)
    model.network.load_state_dict(content.get("ema") or content["network"])
    config = content["config"]
    return Weights(model, {
        "task": _task(name), "num_classes": options.get("num_classes", 1), "num_frames": content["num_frames"],
        "normalisation": content["normalisation"], "threshold": content["threshold"],
        "fit": config.get("fit", "crop"), "input_size": config.get("input_size"), "name": name})


def _task(name: str) -> str:
    return "detection" if name in DETECTORS else "segmentation"


def _published(path: str | os.PathLike, state: dict[str, Tensor], normalisation: Sequence[float] | None) -> Weights:
    """A release, told by entries that only it has; its options are read off names and shapes."""
    if "head.cls_preds.0.weight" in state and "neck.conv_ref.0.conv.weight" in state:
        options = {"num_classes": len(state["head.cls_preds.0.weight"]), "num_frames": _count(state, r"neck\.weight\.")}
        model = build_model("sstnet", **options, temporal=False)
        settings = {"num_classes": options["num_classes"], "normalisation": IMAGENET, "fit": "letterbox",
                    "input_size": SSTNET_SIZE, "name": "sstnet"}
        used = (f"{options['num_classes']} class(es), frames letterboxed to {SSTNET_SIZE}x{SSTNET_SIZE}, ImageNet's "
                "mean and standard deviation of 8-bit RGB")
    elif "feature_enhance.weight.0" in state and "backbone.feature1.0.weight" in state:
        if normalisation is None:
            raise UserError(f"{path}: found a state dict of the published TSMSA, which does not hold its frames' mean "
                            "and standard deviation; use it where the dataset is known, as in test.py, or fine-tune it "
                            "with --weights and use that checkpoint")
        cells = {re.match(r"SSTCell\.cell_list\.(\d)(\d)\.", name) for name in state} - {None}
        options = {"num_frames": _count(state, r"feature_enhance\.weight\."),
                   "num_slices": 1 + max((int(cell[1]) for cell in cells), default=0),
                   "num_layers": 1 + max((int(cell[2]) for cell in cells), default=0)}
        model = build_model("tsmsa", **options)
        settings = {"normalisation": normalisation, "name": "tsmsa"}
        used = f"{options['num_slices']} slice(s), grey mean {normalisation[0]:g}, std {normalisation[1]:g}"
    else:
        names = ", ".join(list(state)[:3])
        raise UserError(f"{path}: found a state dict of {len(state)} entries ({names}, …), expected a checkpoint of "
                        "this project or the published SSTNet or TSMSA; give another --weights")
    report = load_published(model.network, state)
    unused = f", {len(report.dropped)} that serve training only or nothing left out" if report.dropped else ""
    name = {"sstnet": "SSTNet", "tsmsa": "TSMSA"}[settings["name"]]
    return Weights(model, {"task": _task(settings["name"]), "num_frames": options["num_frames"], "threshold": 0.5,
                           **settings},
                   f"{path}: published {name} release ({len(state)} entries{unused}): {options['num_frames']} frames, "
                   f"{used}")


def _count(state: Mapping[str, nn.Module | Tensor], pattern: str) -> int:
    return sum(re.fullmatch(rf"{pattern}\d+", name) is not None for name in state)
