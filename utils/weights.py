"""What a weights file holds, and the network built from it: a checkpoint of this project or a published release."""
from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

from utils.errors import UserError

try:
    from torch import Tensor

    from nets import DETECTORS, Model, build_model
    from nets.published import load_published, some
    from nets.published_kinds import kind_of, plain_state, sstnet_options, tsmsa_options
    from utils.checkpoint import check_content, load_file
except ModuleNotFoundError as error:
    if error.name not in ("torch", "torchvision"):
        raise
    raise UserError(f"checkpoints need PyTorch, and the package {error.name} is not installed; `pip install torch "
                    "torchvision`, or give an .onnx file as --weights, which onnxruntime runs without PyTorch: "
                    "`python -m utils.export --weights FILE.pt` writes it on a machine that has PyTorch") from None

# ImageNet's, in 8-bit grey levels, one for each of R, G and B.
IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
SSTNET_SIZE = 512
NAMES = {"sstnet": "SSTNet", "tsmsa": "TSMSA"}


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
        UserError: unreadable or unknown, an export, its model is unknown, or its weights do not fit.
    """
    content = load_file(path)
    try:
        if isinstance(content, dict) and "network" in content:
            return _own(check_content(path, content))
        return _published(path, plain_state(content), normalisation)
    except (KeyError, ValueError, TypeError, RuntimeError, IndexError) as error:
        raise UserError(f"{path}: does not fit this version of the project: {shorten(str(error), 300)}") from None


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
        "fit": config.get("fit", "crop"), "input_size": config.get("input_size"), "name": name,
        "register": config.get("register", False), "frame_step": config.get("frame_step", 1),
        "bad_pixels": config.get("bad_pixels", False)})


def _task(name: str) -> str:
    return "detection" if name in DETECTORS else "segmentation"


def _published(path: str | os.PathLike, state: Mapping[str, Tensor], normalisation: Sequence[float] | None) -> Weights:
    kind = kind_of(state)
    if kind == "sstnet":
        options = sstnet_options(state)
        settings = {"num_classes": options["num_classes"], "normalisation": IMAGENET, "fit": "letterbox",
                    "input_size": SSTNET_SIZE}
        text = (f"{options['num_classes']} class(es), frames letterboxed to {SSTNET_SIZE}x{SSTNET_SIZE}, ImageNet's "
                "mean and standard deviation of 8-bit RGB")
        model = build_model(kind, **options, temporal=False)
    elif kind == "tsmsa":
        if normalisation is None:
            raise UserError(f"{path}: found a state dict of the published TSMSA, which does not hold its frames' mean "
                            "and standard deviation; use it where the dataset is known, as in test.py, or fine-tune it "
                            "with --weights and use that checkpoint")
        options, settings = tsmsa_options(state), {"normalisation": normalisation}
        text = f"{options['num_slices']} slice(s), grey mean {normalisation[0]:g}, std {normalisation[1]:g}"
        model = build_model(kind, **options)
    else:
        found = "a YOLOX, whose backbone can be trained from with --weights" if kind else \
            f"{len(state)} entries such as {some(list(state), 3)}" if state else "no weights"
        raise UserError(f"{path}: found {found}, expected a checkpoint of this project or the published SSTNet or "
                        "TSMSA; give another --weights")
    report = load_published(model.network, state)
    settings |= {"task": _task(kind), "num_frames": options["num_frames"], "threshold": 0.5, "name": kind}
    return Weights(model, settings, f"{path}: published {NAMES[kind]} release, {len(state)} entries of which "
                                    f"{len(report.dropped)} do not serve the prediction: {options['num_frames']} "
                                    f"frames, {text}")
