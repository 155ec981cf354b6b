"""Training a detector end to end on small made frames: files, figures, weights to start from, mistakes."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from devices import GPU, gpu
from moving import small_recipe, write_boxed
from scripts import ROOT

from nets import build_model
from utils.datasets.dataset import open_dataset
from utils.predictor.checkpoint import load_checkpoint
from utils.predictor.predictor import Predictor
from utils.system.errors import UserError
from utils.training.engine import measure_statistics
from utils.training.recipes import SSTNET
from utils.training.trainer import train


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_boxed(tmp_path_factory.mktemp("data") / "made")


def recipe(data, out, **changes):
    short = {"epochs": 1, "input_size": 64, "width": 0.0625, "val_fraction": 0.34}
    return small_recipe(data, out, SSTNET, **short | changes)


def run(data, out, **changes):
    config = recipe(data, out, **changes)
    return train(config, open_dataset(config.data_root, "train", "boxes"))


def test_a_run_leaves_a_checkpoint_that_finds_boxes(data, tmp_path, capsys, curves):
    best = run(data, tmp_path, epochs=2)
    lines = [json.loads(line) for line in (tmp_path / "run/log.jsonl").read_text().splitlines()]
    for line in lines[1:]:
        assert {"loss", "iou", "objectness", "class", "motion", "lr", "val"} <= set(line)
        assert {"threshold", "ap50", "centre_ap", "f1", "choice", "false_per_frame"} <= set(line["val"])
    assert (tmp_path / "run/curves.png").stat().st_size > 1000
    checkpoint = load_checkpoint(tmp_path / "run/best.pt")
    assert checkpoint["model"]["name"] == "sstnet" and checkpoint["model"]["options"] == {
        "num_frames": 5,
        "num_slices": 1,
        "num_layers": 1,
        "num_classes": 1,
        "depth": 0.33,
        "width": 0.0625,
        "fold_frames": True,
        "temporal": True,
        "init_std": None,
    }
    assert checkpoint["settings"]["normalisation"] == [[123.675, 116.28, 103.53], [58.395, 57.12, 57.375]]
    assert checkpoint["epoch"] == best["epoch"] and checkpoint["settings"]["threshold"] == best["threshold"]
    assert any(name.startswith("temporal.") for name in checkpoint["network"])
    predictor = Predictor.from_checkpoint(tmp_path / "run/best.pt", device="cpu")
    frame = cv2.imread(str(data / "images/train/data1/0.png"), cv2.IMREAD_UNCHANGED)
    assert next(iter(predictor.stream([frame]))).detections.shape[1] == 6
    assert "AP50" in capsys.readouterr().out


@pytest.mark.parametrize(
    "changes",
    [
        {"motion_weight": 0.0},
        {"fold_frames": False},
        {"num_slices": 2},
        {"num_classes": 3, "init_std": 0.02},
        {"optimizer": "sgd", "schedule": "yolox", "ema_ramp": 20, "clips_per_epoch": 0.5},
        {"val_fraction": 0.0},
        {"target_augmentation": False, "flips": False, "intensity": 0.0},
        {"published_augmentation": True},
        {"val_sequences": ("data2",)},
        {"threshold": 0.25},
        {"recalibrate": 0},
        {"recalibrate": 9, "ema": 0.0},
    ],
)
def test_every_choice_trains(data, tmp_path, changes):
    run(data, tmp_path, **changes)
    checkpoint = load_checkpoint(tmp_path / "run/best.pt")
    assert all(torch.isfinite(value).all() for value in checkpoint["network"].values())
    assert any(name.startswith("temporal.") for name in checkpoint["network"]) == bool(changes.get("motion_weight", 1))
    if changes.get("threshold"):
        assert checkpoint["settings"]["threshold"] == 0.25


def test_the_weight_of_the_motion_loss_counts(data, tmp_path):
    motion = []
    for weight in (1.0, 4.0):
        run(data, tmp_path / str(weight), motion_weight=weight, lr=1e-12)
        motion.append(json.loads((tmp_path / str(weight) / "run/log.jsonl").read_text().splitlines()[1])["motion"])
    assert motion[1] == pytest.approx(4 * motion[0], rel=1e-3)


def test_statistics_measured_anew_are_those_of_the_batches():
    """After a step the running averages, with momentum 0.03, are still at their start."""
    torch.manual_seed(0)
    norm = torch.nn.BatchNorm2d(2, momentum=0.03)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 1), norm).train()
    clips = [(3 + 2 * torch.randn(4, 3, 8, 8)) * scale for scale in (1, 2, 1000)]
    network(clips[0])
    lagging = norm.running_mean.clone()
    measure_statistics(network, [], 0, torch.device("cpu"))
    assert torch.equal(norm.running_mean, lagging)
    measure_statistics(network.eval(), [{"clip": clip} for clip in clips], 2, torch.device("cpu"))
    expected = torch.stack([network[0](clip).mean((0, 2, 3)) for clip in clips[:2]]).mean(0)
    assert torch.allclose(norm.running_mean, expected, atol=1e-4) and not torch.allclose(lagging, expected, atol=0.5)
    assert not network.training and norm.momentum == 0.03


def test_the_same_seed_gives_the_same_weights_whatever_the_workers(data, tmp_path):
    weights = []
    for workers in (0, 2):
        run(data, tmp_path / str(workers), workers=workers)
        weights.append(load_checkpoint(tmp_path / str(workers) / "run/last.pt")["network"])
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_sixteen_bit_frames_are_normalised_by_their_own_figures(tmp_path):
    root = write_boxed(tmp_path / "deep", dtype=np.uint16)
    run(root, tmp_path / "out")
    mean, std = load_checkpoint(tmp_path / "out/run/best.pt")["settings"]["normalisation"]
    assert len(mean) == len(std) == 3 and mean == pytest.approx([3600] * 3, rel=0.05)


def test_classes_beyond_the_network_stop_the_script_with_one_line(data, tmp_path):
    root = tmp_path / "classes"
    write_boxed(root)
    path = root / "annotations/instances_train2017.json"
    content = json.loads(path.read_text())
    content["categories"].append({"id": 2, "name": "other"})
    content["annotations"][0]["category_id"] = 2
    path.write_text(json.dumps(content))
    done = subprocess.run(
        [sys.executable, "train_DAUB.py", "--data-root", str(root), "--out", str(tmp_path / "out")],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "--num-classes 2" in done.stderr
    assert not (tmp_path / "out").exists()


def test_the_script_trains_from_boxes_to_a_checkpoint(data, tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "train_DAUB.py",
            "--data-root",
            str(data),
            "--out",
            str(tmp_path),
            "--name",
            "run",
            "--quiet",
            "--epochs",
            "1",
            "--input-size",
            "64",
            "--width",
            "0.0625",
            "--device",
            "cpu",
            "--workers",
            "1",
            "--threads",
            "1",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "best epoch 1" in done.stdout and "parameters on cpu" in done.stdout
    assert Predictor.from_checkpoint(tmp_path / "run/best.pt", device="cpu").settings.task == "detection"


@gpu
@pytest.mark.parametrize("amp", ["off", "bf16", "fp16"])
def test_training_on_cuda(data, tmp_path, amp):
    if GPU == "cpu" and amp == "fp16":
        pytest.skip("fp16 is for GPUs")
    run(data, tmp_path, device=GPU, amp=amp)


# --- weights to start from -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def first(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("first")
    run(data, folder)
    return folder / "run/best.pt"


def still(data, out, weights, **changes):
    """The network that training starts from."""
    run(
        data,
        out,
        weights=str(weights),
        lr=1e-12,
        weight_decay=0.0,
        ema=0.0,
        optimizer="sgd",
        clips_per_epoch=1,
        val_fraction=0.0,
        **changes,
    )
    return load_checkpoint(out / "run/best.pt")["network"]


def test_training_starts_from_another_run_with_other_classes_and_slices(data, tmp_path, first, capsys):
    before = load_checkpoint(first)["ema"]
    after = still(data, tmp_path, first, num_classes=2, num_slices=2)
    same = "backbone.darknet.dark3.0.0.weight"
    assert torch.allclose(before[same], after[same], atol=1e-6)
    note = next(line for line in capsys.readouterr().out.splitlines() if "recognised a checkpoint of sstnet" in line)
    assert "left as initialised" in note and "head.cls_pred" in note and "backbone" not in note


def published_names(width):
    """A state dict in published names, with random weights, of an SSTNet of that width."""
    from nets.published.loading import rules_for

    network = build_model("sstnet", width=width, temporal=False).network
    rules, _ = rules_for(network)
    state, values = {}, network.state_dict()
    for rule in rules:
        if rule.merge is None:
            state[rule.theirs[0]] = values[rule.ours]
    halves = (values["neck.pair_frame.weight"], values["neck.pair_key.weight"])
    state["neck.conv_gl.0.conv.weight"] = torch.cat(halves, 1)
    state |= {f"neck.weight.{i}": values["neck.frame_weights"][i : i + 1] for i in range(4)}
    return state, values


@pytest.mark.parametrize("prefix", ["", "module."])
def test_training_starts_from_the_published_release(data, tmp_path, prefix, capsys):
    state, values = published_names(0.0625)
    torch.save({prefix + name: value for name, value in state.items()}, tmp_path / "published.pth")
    after = still(data, tmp_path, tmp_path / "published.pth", num_classes=1)
    for name in ("backbone.C3_p3.conv3.0.weight", "neck.pair_key.weight", "head.cls_pred.weight"):
        assert torch.allclose(values[name], after[name], atol=1e-6)
    out = capsys.readouterr().out
    assert "recognised published SSTNet weights" in out and "left as initialised: temporal." in out


def test_training_starts_from_a_yolox_backbone(data, tmp_path, capsys):
    state, values = published_names(0.0625)
    state = {name: value for name, value in state.items() if name.startswith("backbone.")}
    state |= {"backbone.bu_conv2.conv.weight": torch.zeros(2), "head.obj_preds.0.bias": torch.full((1,), 7.0)}
    torch.save({"start_epoch": 300, "model": state}, tmp_path / "yolox_s.pth")
    after = still(data, tmp_path, tmp_path / "yolox_s.pth")
    assert torch.allclose(values["backbone.lateral_conv0.0.weight"], after["backbone.lateral_conv0.0.weight"])
    assert after["head.obj_pred.bias"] != 7
    out = capsys.readouterr().out
    assert "recognised YOLOX weights" in out
    assert "not used: backbone.bu_conv2.conv.weight, head.obj_preds.0.bias" in out


def test_weights_that_do_not_fit_are_one_line(data, tmp_path, first):
    cases = {"width": (first, {"width": 0.125}, r"nothing for backbone.*--depth 0.33 --width 0.0625")}
    torch.save(published_names(0.125)[0], tmp_path / "wide.pth")
    cases["published"] = (tmp_path / "wide.pth", {}, "--width 0.125 --num-classes 1 --num-frames 5")
    torch.save({"SSTCell.cell_list.00.conv.weight": torch.zeros(1)}, tmp_path / "tsmsa.pth")
    cases["family"] = (tmp_path / "tsmsa.pth", {}, "found published TSMSA weights, expected weights of sstnet")
    torch.save({"layer.weight": torch.zeros(1)}, tmp_path / "other.pth")
    cases["unknown"] = (tmp_path / "other.pth", {}, "recognised neither.*layer.weight")
    torch.save([1, 2], tmp_path / "list.pth")
    cases["list"] = (tmp_path / "list.pth", {}, "recognised neither.*no weights")
    (tmp_path / "cut.pt").write_bytes(first.read_bytes()[:-1000])
    cases["cut"] = (tmp_path / "cut.pt", {}, "not a readable checkpoint")
    for weights, changes, message in cases.values():
        with pytest.raises(UserError, match=message) as caught:
            run(data, tmp_path / "out", weights=str(weights), **changes)
        assert "\n" not in str(caught.value) and not (tmp_path / "out").exists()


def test_a_checkpoint_of_the_other_family_is_named(data, tmp_path, first):
    content = torch.load(first, weights_only=True)
    content["model"] = {"name": "tsmsa", "options": {}}
    torch.save(content, tmp_path / "masks.pt")
    with pytest.raises(UserError, match="masks.pt: found a checkpoint of tsmsa, expected one of sstnet; give --model"):
        run(data, tmp_path, weights=str(tmp_path / "masks.pt"))
