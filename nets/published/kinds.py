"""Which network a state dict in published names belongs to, and the options it was built with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

BACKBONE_PREFIX = "backbone."
# Keys under which weights files hold their state dict.
STATE_KEYS = ("model", "state_dict", "model_state_dict", "net", "network", "params", "weights")
WRAPPERS = ("module.", "_orig_mod.", "model.", "net.", "network.")  # that may stand in front of all names of one
# What tells the published names apart: YOLOX is SSTNet's backbone with another head and no neck, DLA-34 as it
# classifies ImageNet's pictures is DSFNet's and MICML's.
NETWORK_PREFIXES = (
    ("sstnet", "neck.conv_ref."),
    ("yolox", "backbone.backbone.dark2."),
    ("tsmsa", "SSTCell.cell_list."),
    ("resunet_dtum", "DTUM.conv1_1."),
    ("deeppro", "TPro1.QK_heads."),
    ("deeppro_plus", "TPro.QK_heads."),
    ("micml", "base3d.Motion."),
    ("dsfnet", "base3d.branch1."),
    ("dla34", "level4.tree2.root."),
)


def extract_state(content: Any) -> dict[str, Tensor]:
    """The state dict in a weights file's content, {} for none.

    It may stand one level down, and its names may have parallel, compiled or wrapping modules in front (`WRAPPERS`),
    once or several times.
    """
    if not isinstance(content, Mapping):
        return {}
    for key in STATE_KEYS:
        if isinstance(content.get(key), Mapping):
            content = content[key]
            break
    state = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    while prefix := next((one for one in WRAPPERS if state and all(name.startswith(one) for name in state)), ""):
        state = {name.removeprefix(prefix): value for name, value in state.items()}
    return {name.removeprefix("module."): value for name, value in state.items()}


def identify_network(state: Mapping[str, Tensor]) -> str:
    """A name of `NETWORK_PREFIXES`, or "" for names of no known network."""
    for network, prefix in NETWORK_PREFIXES:
        if any(name.startswith(prefix) for name in state):
            return network
    return ""


def sstnet_options(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The options of `nets.sstnet.SSTNet` that a state dict of SSTNet or of YOLOX tells.

    They are those of its backbone, and, where it holds the parts, `num_classes`, `num_frames`, `num_slices`,
    `num_layers`.
    """
    blocks = count_of(state, r"backbone\.backbone\.dark2\.1\.m\.(\d+)\.")
    base = state["backbone.backbone.stem.conv.conv.weight"].shape[0]
    options: dict[str, Any] = {"depth": round(blocks / 3, 2), "width": base / 64}
    if identify_network(state) == "sstnet":
        options["num_classes"] = state["head.cls_preds.0.weight"].shape[0]
        options["num_frames"] = state["neck.conv_ref.0.conv.weight"].shape[1] // (4 * base) + 1
        for name, pattern in (
            ("num_slices", r"SSTNet\.cell_list\.(\d)\d\."),
            ("num_layers", r"SSTNet\.cell_list\.\d(\d)\."),
        ):
            if count := count_of(state, pattern):
                options[name] = count
    return options


def tsmsa_options(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The options of `nets.tsmsa.TSMSA` that a state dict of it tells: `num_frames`, `num_slices`, `num_layers`."""
    patterns = {
        "num_frames": r"feature_enhance\.weight\.(\d+)$",
        "num_slices": r"SSTCell\.cell_list\.(\d)\d\.",
        "num_layers": r"SSTCell\.cell_list\.\d(\d)\.",
    }
    return {name: count_of(state, pattern) for name, pattern in patterns.items()}


def profile_options(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The options of DeepPro and DeepPro-Plus that a state dict of it tells, in any names: `num_frames`."""
    return {"num_frames": next((len(value) for name, value in state.items() if name.endswith("heads.0.weight")), 0)}


def centre_options(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """The options of MICML and DSFNet that a state dict of it tells, in any names.

    They are `width`, `num_classes`, and of MICML `num_frames`.
    """
    stem, centres, look = (
        next((value.shape for name in names if (value := state.get(name)) is not None), None)
        for names in (
            ("backbone.stem.0.weight", "base.base_layer.0.weight"),
            ("heads.hm.2.weight", "hm.2.weight"),
            ("dynamic.motion.look.0.weight", "base3d.Motion.conv1.0.weight"),
        )
    )
    if stem is None or centres is None:
        raise ValueError("expected weights of a stem and of a head for centres")
    options: dict[str, Any] = {"width": stem[0] / 16, "num_classes": centres[0]}
    if look is not None:
        options["num_frames"] = look[1] // max(1, 2 * look[0])
    return options


def count_of(state: Mapping[str, Tensor], pattern: str) -> int:
    """One more than the largest number that group 1 of `pattern` finds in a name; 0 where it finds none."""
    found = (re.match(pattern, name) for name in state)
    return 1 + max((int(match.group(1)) for match in found if match), default=-1)
