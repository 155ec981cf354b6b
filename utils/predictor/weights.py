"""What a weights file holds: a checkpoint of this project, a published release, or a YOLOX backbone.

`read_weights` builds the network of a file to predict with; `load_weights` starts a network from one.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import shorten
from typing import Any

from utils.system.errors import UserError

try:
    from torch import Tensor, nn

    from nets import CENTRE_DETECTORS, DETECTORS, NETWORKS, Model, build_model
    from nets.micml import MICML
    from nets.multi_frame.every_frame import EveryFrameNetwork
    from nets.published.kinds import BACKBONE_PREFIX, extract_state, sstnet_options
    from nets.published.loading import abridge, load_published
    from nets.published.recognise import Recognised, build_empty, recognise
    from nets.single_frame.key_frame import KeyFrameNetwork
    from nets.sstnet import SSTNet
    from nets.tsmsa import TSMSA
    from utils.clips.settings import ClipSettings
    from utils.images.normalise import Normalisation
    from utils.predictor.checkpoint import check_content, is_checkpoint, load_file, task_of
    from utils.predictor.schema import require_model
    from utils.predictor.verifier.model import VerifierModel, read_verifier
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
RSCARDATA = (127.41, 21.05)  # in grey levels; as published one for all of B, G and R
SSTNET_SIZE = 512
# Names of those whose classes are called otherwise.
RELEASE_NAMES = {
    "yolox": "YOLOX",
    "dla34": "DLA-34",
    "resunet_dtum": "ResUNet-DTUM",
    "deeppro": "DeepPro",
    "deeppro_plus": "DeepPro-Plus",
}
BACKBONES = {"yolox": frozenset({"sstnet"}), "dla34": CENTRE_DETECTORS}  # whose they are
DLA34_PREFIX = "base."  # of its names in those of DSFNet and MICML
ADDED_PREFIX = "differences."  # of what a TSMSA may have beyond its weights, which change nothing before training
TEMPORAL_OPTIONS = ("num_slices", "num_layers")  # of a detector's branch that serves training only
LevelSource = Callable[[], tuple[Normalisation, str]]  # finds a normalisation, and says where


@dataclass(frozen=True)
class Weights:
    """A network with its weights, and how it is to be used.

    `note` says what was recognised in a file that does not describe itself; `verifier` is None where it holds none.
    """

    model: Model
    settings: ClipSettings
    note: str = ""
    verifier: VerifierModel | None = None


def read_weights(path: str | os.PathLike, normalisation: Normalisation | LevelSource | None = None) -> Weights:
    """Build the network of a weights file, in evaluation form: detectors without their temporal branch.

    Args:
        path: a checkpoint of this project (its averaged weights are taken where it has them), or a plain state dict of
            one of its networks, in its own or in published names, with or without a leading `module.`.
        normalisation: (mean, standard deviation) of the frames' grey levels, or a function that finds them and says
            where; asked for by files that do not hold them, which are all state dicts but SSTNet's and the published
            ones of DSFNet and MICML.

    Raises:
        UserError: unreadable or unknown, an export, its model is unknown, or its weights do not fit.
    """
    content = load_file(path)
    try:
        if is_checkpoint(content):
            return _read_own(path, check_content(path, content))
        return _read_state(path, extract_state(content), normalisation)
    except (KeyError, ValueError, TypeError, RuntimeError, IndexError) as error:
        raise UserError(f"{path}: does not fit this version of the project: {shorten(str(error), 300)}") from None


def _read_own(path: str | os.PathLike, content: dict[str, Any]) -> Weights:
    name, options = content["model"]["name"], dict(content["model"]["options"])
    if name not in NETWORKS:
        raise ValueError(f"got model {name!r}, expected one of: {', '.join(sorted(NETWORKS))}")
    if name == "sstnet":
        options["temporal"] = False  # it serves training only
    state = content.get("ema") or content["network"]
    require_fit(name, options, state, False)
    model = build_model(name, **options)
    model.network.load_state_dict(state)
    settings = ClipSettings.from_dict(content["settings"], path)
    told = {"task": task_of(name), "every_frame": isinstance(model.network, EveryFrameNetwork)}
    told |= {key: options[key] for key in ("num_frames", "num_classes") if key in options}
    for key, value in told.items():
        if getattr(settings, key) != value:
            raise ValueError(f"found settings with {key} {getattr(settings, key)}, expected {value}, as its {name} has")
    return Weights(model, settings, verifier=read_verifier(content.get("verifier"), path))


def _read_state(
    path: str | os.PathLike, state: Mapping[str, Tensor], levels: Normalisation | LevelSource | None
) -> Weights:
    found = recognise(state)
    if len(found) != 1 or found[0].name in BACKBONES:
        raise UserError(f"{path}: {_not_one(found, state)}; give another --weights")
    (kind,) = found
    name = kind.name
    options = {key: value for key, value in kind.options.items() if name != "sstnet" or key not in TEMPORAL_OPTIONS}
    require_model({"name": name, "options": options})
    if name == "sstnet":
        options["temporal"] = False  # it serves training only
    normalisation, source = _levels_for(path, kind, levels)
    require_fit(name, options, state, kind.published)
    model = build_model(name, **options)
    unused = load_state(model.network, state, kind.published)
    settings = ClipSettings(
        1 if isinstance(model.network, KeyFrameNetwork) else model.network.num_frames,
        normalisation,
        task_of(name),
        fit="letterbox" if name == "sstnet" else "crop",
        input_size=SSTNET_SIZE if name == "sstnet" else None,
        num_classes=options.get("num_classes", 1),
        name=name,
        every_frame=isinstance(model.network, EveryFrameNetwork),
    )
    parts = [f"{settings.num_frames} frame(s)"]
    if name in DETECTORS:
        parts.append(f"{settings.num_classes} class(es)")
    if name == "sstnet":
        parts.append(f"frames letterboxed to {SSTNET_SIZE}x{SSTNET_SIZE}")
    elif "num_slices" in options:
        parts.append(f"{options['num_slices']} slice(s)")
    unsaid = (
        f"it holds no threshold ({settings.threshold:g}), no alignment and no repair of bad pixels (neither is done)"
    )
    title = f"{_title(kind)} {'release' if kind.published else 'weights'}"
    about = f"{len(state)} entries of which {unused} do not serve the prediction: {', '.join([*parts, source])}"
    return Weights(model, settings, f"{path}: {title}, {about}; {unsaid}")


def _levels_for(
    path: str | os.PathLike, kind: Recognised, levels: Normalisation | LevelSource | None
) -> tuple[Normalisation, str]:
    """The normalisation of a state dict's frames, and in words where it comes from."""
    if levels is None or callable(levels):
        if kind.name == "sstnet":
            return IMAGENET, "ImageNet's mean and standard deviation of 8-bit RGB"
        if kind.name in CENTRE_DETECTORS and kind.published:
            return RSCARDATA, "RsCarData's mean and standard deviation, as published"
    if levels is None:
        raise UserError(
            f"{path}: found a state dict of the {_title(kind)}, which does not hold its frames' mean and standard "
            "deviation; give them with --normalisation MEAN,STD, or fine-tune it with --weights and use that checkpoint"
        )
    levels, source = levels() if callable(levels) else (levels, "as given")
    return levels, f"grey mean {levels[0]:g}, std {levels[1]:g} ({source})"


def require_fit(name: str, options: Mapping[str, Any], state: Mapping[str, Tensor], published: bool) -> None:
    """Load names and shapes alone, before a network takes memory; raises as of `load_state`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that without memory nothing is copied
        load_state(build_empty(name, options), {key: value.to("meta") for key, value in state.items()}, published)


def load_state(network: nn.Module, state: Mapping[str, Tensor], published: bool) -> int:
    """Load a state dict, all or nothing; gives how many of its entries are of no use.

    Raises:
        ValueError, RuntimeError: it does not match.
    """
    if published:
        return len(load_published(network, state).dropped)
    network.load_state_dict(state)
    return 0


def _title(kind: Recognised) -> str:
    name = RELEASE_NAMES.get(kind.name) or NETWORKS[kind.name].__name__
    return name if kind.name in BACKBONES else f"published {name}" if kind.published else f"{name} of this project"


def _not_one(found: Sequence[Recognised], state: Mapping[str, Tensor]) -> str:
    """What is wrong with a state dict that is not of exactly one network."""
    if len(found) > 1:
        told = " or ".join(
            " ".join([one.name, *(f"--{key.replace('_', '-')} {value}" for key, value in one.options.items())])
            for one in found
        )
        return (
            f"found a state dict that fits {told}, which its names do not tell apart; start a training from it with "
            "--weights and --model, --num-slices and --num-layers as they were, and use that checkpoint"
        )
    if found:
        return (
            f"found a {_title(found[0])}, whose backbone can be trained from with --weights, expected a checkpoint or "
            "a state dict of one of this project's networks"
        )
    entries = f"{len(state)} entries such as {abridge(list(state), 3)}" if state else "no weights"
    return (
        f"found {entries}, expected a checkpoint of this project, or a state dict of {', '.join(sorted(NETWORKS))} in "
        "this project's or in published names"
    )


def load_weights(network: nn.Module, path: str, model: str) -> str:
    """Start `network` from a file: a checkpoint of this project, or a published state dict.

    Of a checkpoint it takes the averaged weights where there are some; the names of a state dict may begin with
    `module.` or not.

    A detector takes what fits, as long as its backbone is complete: so its classes, frames and slices may be others
    than those of the weights, a YOLOX of SSTNet's size gives it the backbone alone, a DLA-34 from ImageNet gives DSFNet
    and MICML theirs, and these two start from each other. Other networks take all or nothing.

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
        if is_checkpoint(content):
            return f"{path}: {_start_from_checkpoint(network, check_content(path, content), path, model)}"
        return f"{path}: {_start_from_state(network, extract_state(content), path, model)}"
    except (RuntimeError, ValueError, KeyError, TypeError, IndexError) as error:
        raise UserError(f"{path}: weights do not fit this network: {shorten(str(error), 600)}") from None


def _start_from_checkpoint(network: nn.Module, content: dict[str, Any], path: str, model: str) -> str:
    found = content["model"]["name"]
    if found != model and not {found, model} <= CENTRE_DETECTORS:
        raise UserError(
            f"{path}: found a checkpoint of {found}, expected one of {model}; give --model {found}, or other --weights"
        )
    state, text = content["ema"] or content["network"], f"recognised a checkpoint of {found}"
    return _take_own(network, state, text, {name: content["model"]["options"].get(name) for name in ("depth", "width")})


def _take_own(network: nn.Module, state: Mapping[str, Tensor], text: str, options: Mapping[str, Any]) -> str:
    """Start from a state dict in this project's names; a detector takes what fits."""
    target = network.state_dict()
    if not isinstance(network, (SSTNet, MICML)):
        added = {}
        if isinstance(network, TSMSA) and not any(name.startswith(ADDED_PREFIX) for name in state):
            added = {name: value for name, value in target.items() if name.startswith(ADDED_PREFIX)}
        network.load_state_dict({**added, **state})
        return f"{text}; its differences of frames start at zero" if added else text
    values = {name: value for name, value in state.items() if name in target and value.shape == target[name].shape}
    missing = [name for name in target if name not in values]
    _require_backbone(missing, options)
    network.load_state_dict({**target, **values})
    return f"{text}: {_summary(target, missing, [name for name in state if name not in values])}"


def _start_from_state(network: nn.Module, state: Mapping[str, Tensor], path: str, model: str) -> str:
    found = recognise(state)
    networks = {name for one in found for name in BACKBONES.get(one.name, {one.name})}
    networks |= CENTRE_DETECTORS if networks & CENTRE_DETECTORS else set()
    if not found:
        raise UserError(f"{path}: recognised neither a checkpoint nor published weights: {_not_one(found, state)}")
    if model not in networks:
        raise UserError(
            f"{path}: found {' or '.join(map(_title, found))} weights, expected weights of {model}; give "
            f"--model {' or '.join(sorted(networks))}, or other --weights"
        )
    kind = next((one for one in found if one.name == model), found[0])
    text = f"recognised {_title(kind)} weights"
    if not kind.published:
        return _take_own(network, state, text, kind.options)
    if not isinstance(network, (SSTNet, MICML)):
        load_published(network, state)
        return text
    taken = dict(state)
    if kind.name == "yolox":
        taken = {name: value for name, value in state.items() if name.startswith(BACKBONE_PREFIX)}
    elif kind.name == "dla34":
        taken = {DLA34_PREFIX + name: value for name, value in state.items()}
    report = load_published(network, taken, strict=False)
    _require_backbone(report.missing, kind.options or sstnet_options(state))
    unused = [*report.unexpected, *(name for name in state if kind.name == "yolox" and name not in taken)]
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
