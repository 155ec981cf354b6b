"""Training detectors of centres end to end on small made frames: files, settings, weights to start from."""

import json

import cv2
import numpy as np
import pytest
import torch
from moving import small_recipe, write_boxed

from nets import build_model
from utils.datasets.dataset import open_dataset
from utils.predictor.checkpoint import load_checkpoint
from utils.predictor.predictor import Predictor
from utils.predictor.weights import load_weights
from utils.system.errors import UserError
from utils.training.recipes import DSFNET, MICML, PUBLISHED_DSFNET
from utils.training.trainer import train

RECIPES = {"dsfnet": DSFNET, "micml": MICML}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_boxed(tmp_path_factory.mktemp("data") / "made")


def run(data, out, model="dsfnet", base=None, **changes):
    short = {"epochs": 1, "width": 0.25, "val_fraction": 0.34}
    config = small_recipe(data, out, base or RECIPES[model], **short | changes)
    return train(config, open_dataset(config.data_root, "train", "boxes"))


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """The folder of a short run of each network."""
    out = tmp_path_factory.mktemp("trained")
    for model in RECIPES:
        run(data, out / model, model)
    return out


@pytest.mark.parametrize("model", RECIPES)
def test_a_run_leaves_a_checkpoint_that_finds_boxes(data, trained, model):
    line = json.loads((trained / model / "run/log.jsonl").read_text().splitlines()[1])
    assert {"loss", "heatmap", "size", "offset"} <= set(line) and {"ap50", "centre_ap"} <= set(line["val"])
    checkpoint = load_checkpoint(trained / model / "run/best.pt")
    expected = {"num_frames": 5, "width": 0.25, "num_classes": 1}
    assert checkpoint["model"]["options"] == expected | ({"motion_at_test": False} if model == "micml" else {})
    settings = checkpoint["settings"]
    assert (settings["task"], settings["fit"], settings["name"]) == ("detection", "crop", model)
    assert np.ndim(settings["normalisation"][0]) == 0
    predictor = Predictor.from_checkpoint(trained / model / "run/best.pt", device="cpu")
    frame = cv2.imread(str(data / "images/train/data1/0.png"), cv2.IMREAD_UNCHANGED)
    (prediction,) = predictor.stream([frame])
    assert len(prediction.detections) and prediction.detections.shape[1] == 6
    assert prediction.detections[:, [2, 3]].max() <= max(frame.shape), "frames keep their pixels"


def test_the_motion_module_is_trained_and_left_out_of_predictions(data, trained, tmp_path):
    checkpoint = load_checkpoint(trained / "micml/run/best.pt")
    motion = [name for name in checkpoint["network"] if ".motion." in name]
    start = build_model("micml", **checkpoint["model"]["options"]).network
    assert motion and len(start.state_dict()) == len(checkpoint["network"])
    changed = {**checkpoint["network"], **{name: torch.zeros_like(checkpoint["network"][name]) for name in motion}}
    frame = cv2.imread(str(data / "images/train/data1/0.png"), cv2.IMREAD_UNCHANGED)

    def boxes(state, options):
        content = {**checkpoint, "network": state, "ema": None, "model": {"name": "micml", "options": options}}
        torch.save(content, tmp_path / "changed.pt")
        (prediction,) = Predictor.from_checkpoint(tmp_path / "changed.pt", device="cpu").stream([frame])
        return prediction.detections

    options = checkpoint["model"]["options"]
    assert np.array_equal(boxes(checkpoint["network"], options), boxes(changed, options))
    options = options | {"motion_at_test": True}
    assert not np.array_equal(boxes(checkpoint["network"], options), boxes(changed, options))


@pytest.mark.parametrize(("model", "start"), [("micml", "dsfnet"), ("dsfnet", "micml"), ("dsfnet", "dsfnet")])
def test_each_starts_from_the_other(data, trained, tmp_path, capsys, model, start):
    weights = str(trained / start / "run/best.pt")
    run(data, tmp_path, model, weights=weights, lr=1e-12, ema=0.0)
    assert f"recognised a checkpoint of {start}" in capsys.readouterr().out
    before = load_checkpoint(weights)
    before = before["ema"] or before["network"]
    after = load_checkpoint(tmp_path / "run/last.pt")["network"]
    shared = [name for name in before.keys() & after.keys() if name.endswith("weight")]
    assert len(shared) > 100 and all(torch.allclose(before[name], after[name], atol=1e-6) for name in shared)


def test_a_dla_34_from_imagenet_gives_the_backbone(golden, data, tmp_path, capsys):
    """In the names of its own release, with the classifier and the last level that nothing here reads."""
    shapes = {name: shape for name, shape in golden("micml_params.json").items() if name.startswith("base.")}
    state = {name.removeprefix("base."): torch.rand(shape) + 0.5 for name, shape in shapes.items()}
    torch.save(state, tmp_path / "dla34.pth")
    network = build_model("micml").network
    before = {name: value.clone() for name, value in network.state_dict().items()}
    note = load_weights(network, str(tmp_path / "dla34.pth"), "micml")
    assert "recognised DLA-34 weights" in note and "left as initialised" in note and "not used" not in note
    after = network.state_dict()
    counted = [name for name in after if not name.endswith("num_batches_tracked")]
    taken = {name for name in counted if not torch.equal(after[name], before[name])}
    assert taken == {name for name in counted if name.startswith("backbone.")} and len(taken) > 150
    assert torch.equal(after["backbone.stem.0.weight"], state["base_layer.0.weight"])
    with pytest.raises(UserError, match="found a DLA-34, whose backbone can be trained from"):
        Predictor.from_checkpoint(tmp_path / "dla34.pth", device="cpu")
    with pytest.raises(UserError, match="expected weights of sstnet; give --model dsfnet or micml"):
        load_weights(build_model("sstnet", width=0.0625).network, str(tmp_path / "dla34.pth"), "sstnet")
    with pytest.raises(UserError, match="nothing for backbone.*--width 1.0"):
        load_weights(build_model("dsfnet", width=0.25).network, str(tmp_path / "dla34.pth"), "dsfnet")


def test_weights_of_another_width_are_named(data, trained, tmp_path):
    with pytest.raises(UserError, match="nothing for backbone.*--width 0.25"):
        run(data, tmp_path, weights=str(trained / "dsfnet/run/best.pt"), width=0.5)


def test_weights_of_another_family_are_named(data, trained, tmp_path):
    with pytest.raises(UserError, match="found a checkpoint of dsfnet, expected one of sstnet"):
        from utils.training.recipes import SSTNET

        run(data, tmp_path, base=SSTNET, weights=str(trained / "dsfnet/run/best.pt"))


@pytest.mark.parametrize(
    "changes",
    [
        {"base": PUBLISHED_DSFNET, "milestones": (1,), "clips_per_epoch": 4.0},
        {"num_frames": 3, "num_classes": 3, "target_augmentation": True},
        {"model": "micml", "motion_at_test": True, "register": False, "recalibrate": 0, "ema": 0.0},
    ],
)
def test_every_choice_trains(data, tmp_path, changes):
    run(data, tmp_path, **changes)
    checkpoint = load_checkpoint(tmp_path / "run/best.pt")
    assert all(torch.isfinite(value).all() for value in checkpoint["network"].values())
