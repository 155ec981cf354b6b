"""Small untrained networks to export, of kinds that differ."""

import torch
from known_answers import fill

from nets import CENTRE_DETECTORS, build_model
from utils.clips.settings import ClipSettings
from utils.predictor.checkpoint import save_checkpoint, task_of

FRAMES = 5
OPTIONS = {
    "tsmsa": {"channels": [4, 8, 8, 8], "blocks": [1, 1, 1], "num_frames": FRAMES},
    "deeppro_plus": {"num_frames": 4},
    "sstnet": {"depth": 0.1, "width": 0.125, "num_frames": FRAMES},
    "dsfnet": {"width": 0.25, "num_frames": 3},
    "micml": {"width": 0.25, "num_frames": 3, "motion_at_test": True},
}
PARTS = [("tsmsa", False), ("tsmsa", True), ("sstnet", False), ("sstnet", True)]


def write_weights(folder, name, **config):
    """Write `NAME.pt` of a network whose outputs vary from pixel to pixel; returns its path."""
    torch.manual_seed(1)
    options = OPTIONS.get(name, {})
    network, detects = build_model(name, **options).network, name == "sstnet"
    for module in network.modules():
        if isinstance(module, (torch.nn.BatchNorm2d, torch.nn.BatchNorm3d)):  # as after training: nothing is 0 or 1
            for value in (module.weight, module.running_var):
                value.data.uniform_(0.5, 1.5)
            for value in (module.bias, module.running_mean):
                value.data.normal_(0, 0.2)
    with torch.no_grad():  # else there is little to compare
        if detects:
            for layer in (network.head.obj_pred, network.head.cls_pred):
                layer.bias.fill_(0.5)
        elif name in CENTRE_DETECTORS:
            network.load_state_dict(fill({key: value.shape for key, value in network.state_dict().items()}))
            network.heads["wh"][2].bias.fill_(6.0)
        elif name == "tsmsa":
            network.head[1].bias.fill_(1.0)
            network.head[-1].weight.mul_(5)
        else:
            last = [module for module in network.modules() if isinstance(module, (torch.nn.Conv2d, torch.nn.Conv3d))][
                -1
            ]
            last.bias.zero_()
            last.weight.mul_(5)
    fit = {"fit": "letterbox", "input_size": 96} if detects else {"fit": "crop", "input_size": 64}
    settings = ClipSettings(
        **{
            "num_frames": options.get("num_frames", 1),
            "normalisation": (110.0, 30.0),
            "task": task_of(name),
            "threshold": 0.02 if detects else 0.4,
            "name": name,
            **fit,
            **config,
        }
    )
    save_checkpoint(
        folder / f"{name}.pt",
        {
            "model": {"name": name, "options": options},
            "settings": settings.as_dict(),
            "network": network.state_dict(),
            "ema": None,
            "config": fit | config,
        },
    )
    return folder / f"{name}.pt"


def all_weights(folder):
    """Write `tsmsa.pt` and `sstnet.pt`; returns the folder."""
    for name in ("tsmsa", "sstnet"):
        write_weights(folder, name)
    return folder
