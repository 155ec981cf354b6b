"""What a weights file holds: a checkpoint of this project, a published release, or a YOLOX backbone.

`read_weights` builds the network of a file to predict with; `load_weights` starts a network from one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

from utils.system.errors import UserError

try:
    from torch import Tensor, nn

    from nets import DETECTORS, Model, build_model
    from nets.multi_frame.every_frame import EveryFrameNetwork
    from nets.published.kinds import (
        BACKBONE_PREFIX,
        extract_state,
        identify_network,
        profile_options,
        sstnet_options,
        tsmsa_options,
    )
    from nets.published.loading import abridge, load_published
    from nets.sstnet import SSTNet
    from utils.clips.settings import ClipSettings
    from utils.predictor.checkpoint import check_content, load_file
except ModuleNotFoundError as error:
    if error.name not in ("torch", "torchvision"):
        raise
    raise UserError(
        f"checkpoints need PyTorch, and the package {error.name} is not installed; `pip install torch "
        "torchvision`, or give an .onnx file as --weights, which onnxruntime runs without PyTorch: "
        "`python -m utils.export --weights FILE.pt` writes it on a machine that has PyTorch"
    ) from None

# ImageNet's, in 8-bit grey levels, one for each of R, G and B.
IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
SSTNET_SIZE = 512
RELEASE_NAMES = {
    "sstnet": "SSTNet",
    "tsmsa": "TSMSA",
    "resunet_dtum": "ResUNet-DTUM",
    "deeppro": "DeepPro",
    "deeppro_plus": "DeepPro-Plus",
}


@dataclass(frozen=True)
class Weights:
    """A network with its weights, and how it is to be used.

    `note` says what was recognised in a file that does not describe itself.
    """

    model: Model
    settings: ClipSettings
    note: str = ""


def read_weights(path: str | os.PathLike, normalisation: Sequence[float] | None = None) -> Weights:
    """Build the network of a weights file, in evaluation form: detectors without their temporal branch.

    Args:
        path: a checkpoint of this project (its averaged weights are taken where it has them), or a plain state dict in
            the names of a published network (`RELEASE_NAMES`), with or without a leading `module.`.
        normalisation: (mean, standard deviation) of the frames' grey levels; needed for published segmentation
            networks only, whose files do not hold them.

    Raises:
        UserError: unreadable or unknown, an export, its model is unknown, or its weights do not fit.
    """
    content = load_file(path)
    try:
        if isinstance(content, dict) and "network" in content:
            return _read_own(path, check_content(path, content))
        return _read_published(path, extract_state(content), normalisation)
    except (KeyError, ValueError, TypeError, RuntimeError, IndexError) as error:
        raise UserError(f"{path}: does not fit this version of the project: {shorten(str(error), 300)}") from None


def _read_own(path: str | os.PathLike, content: dict[str, Any]) -> Weights:
    name, options = content["model"]["name"], dict(content["model"]["options"])
    if name in DETECTORS:
        options["temporal"] = False  # it serves training only
    model = build_model(name, **options)
    model.network.load_state_dict(content.get("ema") or content["network"])
    return Weights(model, ClipSettings.from_dict(content["settings"], path))


PUBLISHED_OPTIONS = {
    "tsmsa": tsmsa_options,
    "resunet_dtum": lambda state: {},
    "deeppro": profile_options,
    "deeppro_plus": profile_options,
}


def _read_published(
    path: str | os.PathLike, state: Mapping[str, Tensor], normalisation: Sequence[float] | None
) -> Weights:
    kind = identify_network(state)
    if kind == "sstnet":
        options = sstnet_options(state)
        settings = ClipSettings(
            options["num_frames"],
            IMAGENET,
            "detection",
            fit="letterbox",
            input_size=SSTNET_SIZE,
            num_classes=options["num_classes"],
            name=kind,
        )
        text = (
            f"{options['num_classes']} class(es), frames letterboxed to {SSTNET_SIZE}x{SSTNET_SIZE}, ImageNet's "
            "mean and standard deviation of 8-bit RGB"
        )
        model = build_model(kind, **options, temporal=False)
    elif kind in RELEASE_NAMES:
        if normalisation is None:
            raise UserError(
                f"{path}: found a state dict of the published {RELEASE_NAMES[kind]}, which does not hold its frames' "
                "mean and standard deviation; use it where the dataset is known, as in test.py, or fine-tune it "
                "with --weights and use that checkpoint"
            )
        options = PUBLISHED_OPTIONS[kind](state)
        model = build_model(kind, **options)
        frames, every_frame = model.network.num_frames, isinstance(model.network, EveryFrameNetwork)
        settings = ClipSettings(frames, normalisation, name=kind, every_frame=every_frame)
        text = f"grey mean {normalisation[0]:g}, std {normalisation[1]:g}"
        if kind == "tsmsa":
            text = f"{options['num_slices']} slice(s), {text}"
    else:
        found = (
            "a YOLOX, whose backbone can be trained from with --weights"
            if kind
            else f"{len(state)} entries such as {abridge(list(state), 3)}"
            if state
            else "no weights"
        )
        raise UserError(
            f"{path}: found {found}, expected a checkpoint of this project or the published "
            f"{' or '.join(RELEASE_NAMES.values())}; give another --weights"
        )
    report = load_published(model.network, state)
    return Weights(
        model,
        settings,
        f"{path}: published {RELEASE_NAMES[kind]} release, {len(state)} entries of which "
        f"{len(report.dropped)} do not serve the prediction: {settings.num_frames} "
        f"frames, {text}",
    )


KIND_TEXTS = {kind: f"published {name} weights" for kind, name in RELEASE_NAMES.items()} | {"yolox": "YOLOX weights"}
NETWORKS_OF_KIND = {kind: (kind,) for kind in RELEASE_NAMES} | {"yolox": ("sstnet",)}


def load_weights(network: nn.Module, path: str, model: str) -> str:
    """Start `network` from a file: a checkpoint of this project, or a published state dict.

    Of a checkpoint it takes the averaged weights where there are some; the names of a state dict may begin with
    `module.` or not.

    A detector takes what fits, as long as its backbone is complete: so its classes, frames and slices may be others
    than those of the weights, and a YOLOX of its size gives the backbone alone. Other networks take all or nothing.

    Args:
        network: changed in place.
        path: the file.
        model: the network's name.

    Returns:
        What the file was recognised as, and which entries did not match, in a line.

    Raises:
        UserError: the file is unreadable, of another network, or its entries do not match; the text names them.
    """
    content = load_file(path)
    try:
        if isinstance(content, dict) and "network" in content:
            return f"{path}: {_start_from_checkpoint(network, check_content(path, content), path, model)}"
        return f"{path}: {_start_from_published(network, extract_state(content), path, model)}"
    except (RuntimeError, ValueError, KeyError) as error:
        raise UserError(f"{path}: weights do not fit this network: {error}") from None


def _start_from_checkpoint(network: nn.Module, content: dict[str, Any], path: str, model: str) -> str:
    found = content["model"]["name"]
    if found != model:
        raise UserError(
            f"{path}: found a checkpoint of {found}, expected one of {model}; give --model {found}, or other --weights"
        )
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


def _start_from_published(network: nn.Module, state: Mapping[str, Tensor], path: str, model: str) -> str:
    kind = identify_network(state)
    if not kind:
        raise UserError(
            f"{path}: recognised neither a checkpoint nor published weights: found "
            f"{abridge(list(state), 3) or 'no tensors'}, expected the names of "
            f"{' or '.join(KIND_TEXTS.values())}"
        )
    if model not in NETWORKS_OF_KIND[kind]:
        raise UserError(
            f"{path}: found {KIND_TEXTS[kind]}, expected weights of {model}; give "
            f"--model {NETWORKS_OF_KIND[kind][0]}, or other --weights"
        )
    text = f"recognised {KIND_TEXTS[kind]}"
    if not isinstance(network, SSTNet):
        load_published(network, state)
        return text
    taken = {name: value for name, value in state.items() if kind == "sstnet" or name.startswith(BACKBONE_PREFIX)}
    report = load_published(network, taken, strict=False)
    _require_backbone(report.missing, sstnet_options(state))
    unused = [*report.unexpected, *(name for name in state if name not in taken)]
    return f"{text}: {_summary(network.state_dict(), report.missing, unused)}"


def _require_backbone(missing: Sequence[str], options: Mapping[str, Any]) -> None:
    names = [name for name in missing if name.startswith(BACKBONE_PREFIX)]
    if names:
        built = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in options.items())
        raise ValueError(f"nothing for {abridge(names)}; they are of a network with {built}")


def _summary(target: Mapping[str, Tensor], missing: Sequence[str], unused: Sequence[str]) -> str:
    text = f"{len(target) - len(missing)} of the network's {len(target)} entries taken"
    for what, names in (("left as initialised", missing), ("not used", unused)):
        text += f"; {what}: {abridge(names)}" if names else ""
    return text
