"""What can go wrong in a training, each with its message and with what is left afterwards."""

import dataclasses
import json

import pytest
import torch
from checkpoints import flip_a_bit, same
from moving import small_recipe, write_dataset
from scripts import run_without_torch

from utils.datasets.dataset import open_dataset
from utils.predictor.checkpoint import LAST_NAMES, load_checkpoint, save_last
from utils.system.errors import UserError
from utils.training.config import TrainConfig
from utils.training.engine import train_one_epoch
from utils.training.learner import Learner
from utils.training.resume import last_checkpoint
from utils.training.trainer import train


@pytest.fixture
def data(tmp_path):
    return write_dataset(tmp_path / "made")


def recipe(data, out, **changes):
    return small_recipe(data, out, **({"batch_size": 2, "clips_per_epoch": 8, "val_every": 5} | changes))


def run(data, out, **changes):
    return train(recipe(data, out, **changes), open_dataset(data, "train"))


def rows(out):
    return [json.loads(line) for line in (out / "run/log.jsonl").read_text().splitlines()[1:]]


def poison(monkeypatch, calls):
    """Make the losses of some steps, counted from 1, not a number."""
    original, count = Learner.losses, []

    def losses(self, batch, network):
        count.append(1)
        found = original(self, batch, network)
        return {name: value * torch.nan for name, value in found.items()} if len(count) in calls else found

    monkeypatch.setattr(Learner, "losses", losses)


def test_some_losses_that_are_not_finite_can_be_tolerated(data, tmp_path, monkeypatch, capsys):
    poison(monkeypatch, (2, 7))
    run(data, tmp_path, skip_non_finite=2)
    said = capsys.readouterr().out
    assert "(1 of at most 2): losses {'loss': nan, 'bce': nan" in said and "(2 of at most 2)" in said
    assert str(data) in said  # the frames' paths
    assert [(row["skipped"], row["clips"]) for row in rows(tmp_path)] == [(1, 6), (1, 6)]
    content = load_checkpoint(tmp_path / "run/last.pt")
    assert all(value.isfinite().all() for value in content["network"].values())


def test_more_of_them_stop_training_and_keep_the_last_good_checkpoint(data, tmp_path, monkeypatch):
    poison(monkeypatch, (2, 7))
    with pytest.raises(UserError, match=r"losses \{'loss': nan, 'bce': nan.*images/sequence.*last good.*last\.pt"):
        run(data, tmp_path, skip_non_finite=1)
    content = load_checkpoint(tmp_path / "run/last.pt")
    assert content["progress"]["epoch"] == 1
    assert all(value.isfinite().all() for value in content["network"].values())


def test_batch_statistics_of_a_left_out_batch_are_forgotten():
    network = torch.nn.Sequential(torch.nn.BatchNorm2d(5), torch.nn.Conv2d(5, 1, 1))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    batch = {"clip": torch.full((1, 5, 4, 4), torch.inf), "mask": torch.zeros(1, 1, 4, 4), "key": ["a/7.png"]}
    learner = Learner(
        network,
        lambda logits, _: {"bce": logits.mean()},
        optimizer,
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0),
        torch.device("cpu"),
    )
    told = []
    train_one_epoch(learner, [batch], quiet=True, on_non_finite=told.append)
    assert len(told) == 1 and all(value.isfinite().all() for value in network.state_dict().values())


@pytest.mark.parametrize("workers", [0, 1])
def test_unreadable_frames_can_be_skipped_and_are_listed(data, tmp_path, capsys, workers):
    dataset = dataclasses.replace(open_dataset(data, "train"), normalisation=(90.0, 8.0))
    (data / "images/sequence1/4.png").write_bytes(b"no image")
    train(recipe(data, tmp_path, on_bad_frame="skip", clips_per_epoch=12, epochs=1, workers=workers), dataset)
    said = capsys.readouterr().out
    assert "1 unreadable files, 2 clips replaced or left out" in said  # frames 4 and 5 of the training part see it
    assert "sequence1/4.png: not a readable image" in said and "(2 clips)" in said
    assert rows(tmp_path)[0]["clips"] == 12
    with pytest.raises(UserError, match=r"sequence1/4\.png: not a readable image"):
        train(recipe(data, tmp_path, clips_per_epoch=12, epochs=1, workers=workers), dataset)


def test_unreadable_validation_frames_can_be_left_out(data, tmp_path, capsys):
    dataset = dataclasses.replace(open_dataset(data, "train"), normalisation=(90.0, 8.0))
    (data / "masks/sequence1/7.png").write_bytes(b"no image")
    train(recipe(data, tmp_path, on_bad_frame="skip", epochs=1, clips_per_epoch=2), dataset)
    assert "sequence1/7.png: not a readable image" in capsys.readouterr().out
    with pytest.raises(UserError, match=r"sequence1/7\.png"):
        train(recipe(data, tmp_path, epochs=1, clips_per_epoch=2), dataset)


def test_a_dataset_without_a_readable_clip_stops(data, tmp_path):
    dataset = dataclasses.replace(open_dataset(data, "train"), normalisation=(90.0, 8.0))
    for path in sorted((data / "masks").rglob("*.png")):
        path.write_bytes(b"no image")
    with pytest.raises(UserError, match="no clip can be read; of the first: .*not a readable image"):
        train(recipe(data, tmp_path, on_bad_frame="skip"), dataset)


@pytest.mark.parametrize(("fits", "text"), [(2, "--batch-size 2 fits, with --accumulate 4"), (0, "one clip of")])
def test_out_of_memory_suggests_a_batch_size_that_was_tried(fits, text):
    class Large(torch.nn.Conv2d):
        def forward(self, clip):
            if len(clip) > fits:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return super().forward(clip)

    network = Large(5, 1, 1)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    batch = {"clip": torch.zeros(8, 5, 4, 4), "mask": torch.zeros(8, 1, 4, 4), "key": ["a"] * 8}
    learner = Learner(
        network,
        lambda logits, _: {"bce": logits.mean()},
        optimizer,
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0),
        torch.device("cpu"),
    )
    with pytest.raises(UserError, match=text):
        train_one_epoch(learner, [batch], quiet=True)


def test_a_folder_that_cannot_be_written_is_found_out_before_anything_else(data, tmp_path):
    (tmp_path / "file").write_text("in the way")
    ended = run_without_torch("train_NUDT", "--data-root", data, "--out", tmp_path / "file")
    assert ended.returncode == 2 and "file" in ended.stderr and "cannot be written" in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_run_goes_on_with_its_own_data_and_recipe_only(data, tmp_path, capsys):
    run(data, tmp_path, epochs=1)
    with pytest.raises(UserError, match=r"--lr 0\.1 instead of 0\.004; .*--weights"):
        run(data, tmp_path, resume="auto", lr=0.1)
    run(data, tmp_path, resume="auto", epochs=2)  # longer is no other recipe
    assert "2 epochs instead of 1" in capsys.readouterr().out and len(rows(tmp_path)) == 2
    (data / "images/sequence2/3.png").write_bytes((data / "images/sequence2/3.png").read_bytes() + b"IEND")
    with pytest.raises(UserError, match="dataset changed.*training sequence2: 6 frames then, 6 frames now of other"):
        run(data, tmp_path, resume="auto", epochs=3)
    with pytest.raises(UserError, match=r"best\.pt: holds weights but no training state"):
        run(data, tmp_path, resume=str(tmp_path / "run/best.pt"))


def test_damaged_checkpoints_are_named_and_passed_over(data, tmp_path, capsys):
    run(data, tmp_path, epochs=3, clips_per_epoch=4)
    straight = load_checkpoint(tmp_path / "run/last.pt")
    newest = tmp_path / "run/last.pt"
    flip_a_bit(newest)
    capsys.readouterr()
    run(data, tmp_path, epochs=3, clips_per_epoch=4, resume="auto")
    said = capsys.readouterr().out
    assert "last.pt: not a readable checkpoint" in said and "continuing from" in said and "last-1.pt: 2 epochs" in said
    for name in ("network", "ema", "optimizer", "best"):
        same(load_checkpoint(newest)[name], straight[name], name)
    for name in LAST_NAMES:
        if (tmp_path / "run" / name).exists():
            (tmp_path / "run" / name).write_bytes(b"PK")
    with pytest.raises(UserError, match=r"last\.pt.*last-1\.pt.*last-2\.pt.*no checkpoint is left"):
        run(data, tmp_path, resume="auto")


DAMAGES = {
    "a bit of the directory": lambda whole: flipped(whole, whole.index(b"PK\x01\x02") + 42),
    "a bit of an entry's extra field": lambda whole: flipped(whole, whole.index(b"FB")),
    "a bit of the end record": lambda whole: flipped(whole, whole.rindex(b"PK\x05\x06") + 16),
    "a bit of the checksum's title": lambda whole: flipped(whole, len(whole) - 70),
    "a bit of the checksum": lambda whole: flipped(whole, len(whole) - 1),
    "a bit of the comment's length": lambda whole: flipped(whole, len(whole) - 74),
    "the end cut off": lambda whole: whole[:-74] + b"\0",
    "the half of it": lambda whole: whole[: len(whole) // 2],
    "a byte too many": lambda whole: whole + b"\n",
    "zeros at the end": lambda whole: whole[:-512] + bytes(512),
    "zeros at the beginning": lambda whole: bytes(512) + whole[512:],
    "nothing": lambda whole: b"",
}


def flipped(whole, at):
    return whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :]


@pytest.mark.parametrize("damage", DAMAGES)
def test_whatever_the_damage_the_checkpoint_before_is_taken(tmp_path, damage):
    config = TrainConfig(out=str(tmp_path), name="run", resume="auto")
    for epoch in (1, 2):
        save_last(
            config.folder,
            {
                "model": {"name": "tsmsa", "options": {}},
                "settings": {},
                "config": config.as_dict(),
                "network": {"weight": torch.full((50,), float(epoch))},
                "progress": {"epoch": epoch, "step": 0, "best": {}, "history": []},
                **{"data": {}, "random": [], "optimizer": {}, "schedule": {}},
            },
        )
    newest = config.folder / "last.pt"
    assert last_checkpoint(config)[0]["progress"]["epoch"] == 2
    newest.write_bytes(DAMAGES[damage](newest.read_bytes()))
    content, lines = last_checkpoint(config)
    assert content["network"]["weight"].unique().tolist() == [1]
    assert lines[0].startswith(f"{newest}: not a readable checkpoint") and "last-1.pt: 1 epochs" in lines[1]


def test_a_new_run_does_not_overwrite_an_earlier_one(data, tmp_path, capsys):
    for seed in (1, 2):
        run(data, tmp_path, seed=seed, epochs=1, clips_per_epoch=4)
    assert "--resume auto would have continued it" in capsys.readouterr().out
    assert [load_checkpoint(tmp_path / "run" / name)["config"]["seed"] for name in ("last.pt", "earlier/last.pt")] == [
        2,
        1,
    ]
    assert (tmp_path / "run/earlier/log.jsonl").exists() and not (tmp_path / "run/last-1.pt").exists()


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
def test_mixed_precision_trains_and_keeps_its_scale(data, tmp_path, amp):
    run(data, tmp_path, amp=amp, epochs=1, clips_per_epoch=4, num_frames=2)
    content = load_checkpoint(tmp_path / "run/last.pt")
    assert bool(content["scaler"]) == (amp == "fp16")
    assert all(value.dtype == torch.float32 for value in content["network"].values() if value.is_floating_point())
    run(data, tmp_path, amp=amp, epochs=2, clips_per_epoch=4, num_frames=2, resume="auto")
    assert load_checkpoint(tmp_path / "run/last.pt")["scaler"].keys() == content["scaler"].keys()


def _learner(network, amp="off"):
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    return Learner(
        network,
        lambda logits, targets: {"mse": (logits.float() - targets["mask"]).square().mean()},
        optimizer,
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 1.0),
        torch.device("cpu"),
        amp=amp,
        clip_gradient=0.05,
    )


def test_accumulated_batches_make_the_step_of_one_large_batch():
    torch.manual_seed(0)
    clip, mask = torch.randn(6, 5, 4, 4), torch.rand(6, 1, 4, 4)
    parts = [{"clip": clip[i : i + 2], "mask": mask[i : i + 2], "key": ["a"] * 2} for i in (0, 2, 4)]
    whole = {"clip": clip, "mask": mask, "key": ["a"] * 6}
    networks = [torch.nn.Conv2d(5, 1, 1) for _ in range(2)]
    networks[1].load_state_dict(networks[0].state_dict())
    before = networks[0].weight.clone()
    figures = [
        train_one_epoch(_learner(network), loader, accumulate=3, quiet=True)
        for network, loader in zip(networks, (parts, [whole]), strict=True)
    ]
    assert figures[0].losses["mse"] == pytest.approx(figures[1].losses["mse"])
    assert figures[0].clips == figures[1].clips == 6
    assert torch.allclose(networks[0].weight, networks[1].weight) and not torch.equal(networks[0].weight, before)
    assert (networks[0].weight - before).norm() < 0.1 * 0.05 * 1.001  # clipped after all were added up


def test_a_step_whose_scaled_gradient_overflows_is_left_out():
    learner = _learner(torch.nn.Conv2d(5, 1, 1), "fp16")
    learner.scaler = torch.amp.GradScaler("cpu", init_scale=3e38)
    before = learner.network.weight.clone()
    batch = {"clip": torch.randn(1, 5, 4, 4), "mask": torch.zeros(1, 1, 4, 4), "key": ["a"]}
    learner.step([batch])
    assert torch.equal(learner.network.weight, before) and learner.scaler.get_scale() < 3e38
    assert learner.schedule.last_epoch == 0


def test_the_same_command_gives_the_same_log_whatever_the_workers(data, tmp_path):
    for name, workers in (("a", 0), ("b", 1)):
        run(data, tmp_path / name, deterministic=True, workers=workers, val_every=1, batch_size=4)
        assert not torch.are_deterministic_algorithms_enabled()
    same(rows(tmp_path / "a"), rows(tmp_path / "b"))
