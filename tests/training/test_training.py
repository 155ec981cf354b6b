"""Training end to end on a dataset of a few small frames: files, figures, repeatability, mistakes."""

import json

import cv2
import numpy as np
import pytest
import torch
from devices import GPU, gpu
from moving import small_recipe, write_dataset

from utils.datasets.dataset import join_datasets, open_dataset
from utils.predictor.checkpoint import load_checkpoint, save_checkpoint
from utils.predictor.predictor import Predictor
from utils.system.errors import UserError
from utils.training.config import TrainConfig
from utils.training.engine import train_one_epoch
from utils.training.launch import launch
from utils.training.learner import Learner, NonFiniteLoss
from utils.training.optim import build_ema, build_optimizer, build_schedule
from utils.training.trainer import train


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data") / "made")


def run(data, out, **changes):
    config = small_recipe(data, out, **changes)
    return train(config, open_dataset(config.data_root, "train"))


def test_a_run_leaves_all_its_files_and_a_checkpoint_that_describes_itself(data, tmp_path, capsys, curves):
    best = run(data, tmp_path, epochs=2)
    folder = tmp_path / "run"
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert "git" in lines[0] and [line["epoch"] for line in lines[1:]] == [1, 2]
    for line in lines[1:]:
        assert {"loss", "bce", "soft_iou", "lr", "data_s", "clips", "clips_per_s", "val"} <= set(line)
        assert line["clips"] == 12
        assert {"threshold", "pd", "fa", "iou"} <= set(line["val"])
    assert json.loads((folder / "config.json").read_text())["input_size"] == 32
    assert (folder / "curves.png").stat().st_size > 1000 and list((folder / "tensorboard").iterdir())
    checkpoint = load_checkpoint(folder / "best.pt")
    assert checkpoint["epoch"] == best["epoch"] and checkpoint["settings"]["threshold"] == best["threshold"]
    assert checkpoint["model"] == {"name": "tsmsa", "options": {"num_frames": 5, "num_slices": 1, "num_layers": 1}}
    assert {"optimizer", "schedule"} <= set(load_checkpoint(folder / "last.pt"))
    frame = cv2.imread(str(data / "images/sequence1/0.png"), cv2.IMREAD_UNCHANGED)
    predictor = Predictor.from_checkpoint(folder / "best.pt", device="cpu")
    assert next(iter(predictor.stream([frame]))).probability.shape == frame.shape
    assert "best epoch" in capsys.readouterr().out


def test_training_finds_the_targets(data, tmp_path):
    best = run(data, tmp_path, epochs=1, clips_per_epoch=320, lr=1e-2, ema=0.9, target_probability=1.0)
    assert best["pd"] == 1.0 and best["iou"] > 0.4


def test_the_same_seed_gives_the_same_weights_whatever_the_workers(data, tmp_path):
    weights = []
    for workers, seed in ((0, 1), (2, 1), (0, 2)):
        run(data, tmp_path / f"{workers}{seed}", workers=workers, seed=seed, epochs=1)
        weights.append(load_checkpoint(tmp_path / f"{workers}{seed}" / "run" / "last.pt")["network"])
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert any(not torch.equal(weights[0][name], weights[2][name]) for name in weights[0])


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "focal_iou"},
        {"loss": "sls_iou"},
        {"loss": "soft_iou"},
        {"fit": "resize"},
        {"num_slices": 2, "num_layers": 2},
        {"optimizer": "sgd", "lr": 1e-3},
        {"published_augmentation": True},
        {"target_augmentation": False, "batch_augmentation": False},
        {"schedule": "multistep", "milestones": (1,)},
        {"val_fraction": 0.0},
        {"val_sequences": ("sequence2",)},
        {"threshold": 0.5},
        {"channels_last": False},
    ],
)
def test_every_choice_trains(data, tmp_path, changes):
    run(data, tmp_path, epochs=1, **changes)
    checkpoint = load_checkpoint(tmp_path / "run" / "best.pt")
    assert all(torch.isfinite(value).all() for value in checkpoint["network"].values())
    if changes.get("threshold"):
        assert checkpoint["settings"]["threshold"] == 0.5


def test_training_starts_from_the_weights_of_another_run(data, tmp_path):
    run(data, tmp_path / "a", epochs=1)
    run(data, tmp_path / "b", epochs=1, lr=1e-12, weight_decay=0.0, ema=0.0, weights=str(tmp_path / "a/run/best.pt"))
    first, second = (load_checkpoint(tmp_path / name / "run/best.pt") for name in "ab")
    name = "head.0.weight" if "head.0.weight" in first["ema"] else next(k for k in first["ema"] if k.endswith("weight"))
    assert torch.allclose(first["ema"][name], second["network"][name])
    with pytest.raises(UserError, match="do not fit"):
        run(data, tmp_path / "c", num_slices=2, weights=str(tmp_path / "a/run/best.pt"))


def test_sequences_of_other_datasets_join(data, tmp_path, monkeypatch, capsys):
    other = write_dataset(tmp_path / "more" / "made up", sequences=1)
    monkeypatch.setattr(
        "sys.argv",
        [
            "train_NUDT.py",
            "--data-root",
            str(data),
            "--extra-roots",
            str(other),
            "--name",
            "j",
            "--out",
            str(tmp_path),
            "--epochs",
            "1",
            "--batch-size",
            "4",
            "--input-size",
            "32",
            "--workers",
            "0",
            "--device",
            "cpu",
            "--quiet",
            "--val-sequences",
            "sequence2:4",
            "made up/sequence1",
        ],
    )
    launch({"default": (TrainConfig(),)}, "")
    assert "12 training frames of 2 sequences, 12 set aside for validation of 2" in capsys.readouterr().out
    parts = [open_dataset(root, "train") for root in (data, other)]
    both = join_datasets(parts[0], parts[1:])
    assert list(both.sequences) == ["sequence1", "sequence2", "made up/sequence1"] and both.normalisation is None
    with pytest.raises(UserError, match="second dataset in a folder called 'made up'"):
        join_datasets(parts[0], [parts[1], parts[1]])


def test_losses_that_are_not_finite_stop_the_epoch_and_name_losses_and_clips():
    network = torch.nn.Conv2d(5, 1, 1)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    batch = {"clip": torch.full((1, 5, 4, 4), torch.inf), "mask": torch.zeros(1, 1, 4, 4), "key": ["a/7.png"]}
    before = {name: value.clone() for name, value in network.state_dict().items()}
    learner = Learner(
        network,
        lambda logits, _: {"bce": logits.mean()},
        optimizer,
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0),
        torch.device("cpu"),
    )
    with pytest.raises(NonFiniteLoss, match=r"bce.*a/7\.png"):
        train_one_epoch(learner, [batch], quiet=True)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_schedules():
    network = torch.nn.Linear(2, 2)
    for changes, expected in (
        ({"schedule": "constant", "warmup": 0.0}, [1, 1, 1, 1]),
        ({"schedule": "multistep", "milestones": (1, 3), "warmup": 0.0}, [1, 0.1, 0.1, 0.01]),
        ({"schedule": "cosine", "warmup": 0.0}, [1, 0.855, 0.505, 0.155]),
        ({"schedule": "constant", "warmup": 0.5}, [0.1, 0.55, 1, 1]),
    ):
        config = TrainConfig(epochs=4, lr=1.0, **changes)
        optimizer = build_optimizer(network, config)
        schedule = build_schedule(optimizer, config, steps_per_epoch=1)
        rates = []
        for _ in range(4):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        assert rates == pytest.approx(expected, abs=1e-3)


def test_weight_decay_is_on_matrices_only_and_averages_follow_the_weights():
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
    decayed, plain = build_optimizer(network, TrainConfig(weight_decay=0.3)).param_groups
    assert [p.ndim for p in decayed["params"]] == [4] and decayed["weight_decay"] == 0.3
    assert all(p.ndim == 1 for p in plain["params"]) and plain["weight_decay"] == 0
    assert build_ema(network, 0.0) is None
    ema = build_ema(network, 0.9)
    for step in range(200):
        torch.nn.init.constant_(network[0].weight, 1.0 if step else 0.0)
        network[1].running_mean.fill_(3.0)
        network[1].num_batches_tracked.fill_(step)
        ema.update_parameters(network)
    assert torch.allclose(ema.module[0].weight, torch.ones(()), atol=1e-6)
    assert torch.allclose(ema.module[1].running_mean, torch.full((2,), 3.0))
    assert ema.module[1].num_batches_tracked == 199


@pytest.mark.parametrize(
    "ramp, decays", [(0, [2 / 11, 3 / 12, 4 / 13]), (5, [0.9 * (1 - np.exp(-(n + 1) / 5)) for n in (1, 2, 3)])]
)
def test_averages_follow_fast_at_first(ramp, decays):
    network = torch.nn.Linear(1, 1)
    ema, expected = build_ema(network, 0.9, ramp), 0.0
    for step, decay in enumerate([0.0, *decays]):
        torch.nn.init.constant_(network.weight, float(step))
        ema.update_parameters(network)
        expected = decay * expected + (1 - decay) * step
    assert ema.module.weight.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut off"])
def test_damaged_checkpoints_are_named(tmp_path, content):
    path = tmp_path / "best.pt"
    path.write_bytes(content)
    with pytest.raises(UserError, match="best.pt"):
        load_checkpoint(path)


def test_checkpoints_that_would_run_code_are_refused(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("ran",))

    torch.save({"network": Evil()}, tmp_path / "evil.pt")
    with pytest.raises(UserError, match="not a readable checkpoint"):
        load_checkpoint(tmp_path / "evil.pt")


def test_other_checkpoints_and_later_versions_are_named(tmp_path):
    torch.save({"weight": torch.zeros(2)}, tmp_path / "other.pt")
    with pytest.raises(UserError, match="not a checkpoint of this project"):
        load_checkpoint(tmp_path / "other.pt")
    whole = dict.fromkeys(("model", "normalisation", "num_frames", "threshold", "config", "network"), 0)
    save_checkpoint(tmp_path / "new.pt", {**whole, "version": 99})
    with pytest.raises(UserError, match="99"):
        load_checkpoint(tmp_path / "new.pt")
    with pytest.raises(UserError, match="no such file"):
        load_checkpoint(tmp_path / "none.pt")


def test_a_save_that_fails_leaves_the_old_checkpoint(tmp_path):
    path = tmp_path / "last.pt"
    save_checkpoint(path, {"epoch": 1})
    with pytest.raises(Exception, match="pickle"):
        save_checkpoint(path, {"epoch": 2, "bad": lambda: None})
    assert torch.load(path, weights_only=True)["epoch"] == 1
    assert [item.name for item in tmp_path.iterdir()] == ["last.pt"]


def test_devices_that_are_not_there_are_named(data, tmp_path):
    with pytest.raises(UserError, match="--device"):
        run(data, tmp_path, device="abacus")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="cuda"):
            run(data, tmp_path, device="cuda")


@gpu
@pytest.mark.parametrize("amp", ["off", "bf16", "fp16"])
def test_training_on_cuda(data, tmp_path, amp):
    if GPU == "cpu" and amp == "fp16":
        pytest.skip("fp16 is for GPUs")
    run(data, tmp_path, device=GPU, amp=amp, epochs=1)


def test_a_bad_frame_in_a_loader_process_is_one_line(tmp_path):
    root = write_dataset(tmp_path / "made")
    config = small_recipe(root, tmp_path / "out", workers=1)
    dataset = open_dataset(root, "train")
    (root / "images/sequence1/2.png").write_bytes(b"no image")
    with pytest.raises(UserError) as caught:
        train(config, dataset)
    assert "sequence1/2.png" in str(caught.value) and "Traceback" not in str(caught.value)


@pytest.mark.parametrize(("model", "frames"), [("deeppro", 6), ("deeppro_plus", 4), ("resunet_dtum", 5)])
def test_the_networks_over_clips_are_trained_and_predict_from_their_checkpoint(data, tmp_path, model, frames):
    own = {"register": False, "batch_augmentation": False, "loss": "clip_iou"} if frames != 5 else {}
    best = run(data, tmp_path, model=model, num_frames=frames, epochs=1, clips_per_epoch=8, **own)
    assert 0 <= best["pd"] <= 1
    checkpoint = load_checkpoint(tmp_path / "run" / "best.pt")
    options = {"stop_gradient": True} if model == "resunet_dtum" else {"num_frames": frames}
    assert checkpoint["model"] == {"name": model, "options": options}
    assert checkpoint["settings"]["every_frame"] == (model != "resunet_dtum")
    predictor = Predictor.from_checkpoint(tmp_path / "run" / "best.pt", device="cpu")
    images = [cv2.imread(str(data / f"images/sequence1/{n}.png"), cv2.IMREAD_UNCHANGED) for n in range(3)]
    assert [one.number for one in predictor.stream(images)] == [0, 1, 2]
