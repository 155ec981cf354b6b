"""Several processes against one: the same weights and figures."""

import dataclasses
import gc
import json
import signal

import pytest
import torch
from checkpoints import same
from children import exact_child, launched, message, run_child, run_children, train_child
from moving import small_recipe, write_boxed, write_dataset
from torch.nn.parallel import DistributedDataParallel

from nets.losses import CRITERIA, build_criterion
from nets.yolox_head import yolox_loss
from utils.predictor.checkpoint import load_checkpoint
from utils.system.distributed import fresh_store, gather, mean_over_processes, processes, rank
from utils.training.recipes import SSTNET

TOLERANCE = 1e-5  # of the distance that training moved the weights: sums in another order (found: below 1e-6)


def recipe(data, out, **changes):
    return small_recipe(data, out, **({"freeze_norm": True, "batch_augmentation": False} | changes))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data") / "made")


@pytest.fixture(scope="module")
def boxed(tmp_path_factory):
    return write_boxed(tmp_path_factory.mktemp("boxed") / "made", sequences=4)


def weights(out, name="network"):
    state = load_checkpoint(out / "run/last.pt")[name]
    return torch.cat([value.flatten() for value in state.values() if value.is_floating_point()])


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "focal_iou"},  # a sum whose factor is the IoU of the whole batch
        {
            "width": 0.0625,
            "motion_weight": 0.0,
            "input_size": 64,
            "val_fraction": 0.5,
            "epochs": 2,
            "name": "run",
            "workers": 0,
            "quiet": True,
            "device": "cpu",
            "freeze_norm": True,
        },
    ],
)  # divided by the cells of the whole batch
def test_two_processes_with_half_the_batch_are_one_with_all_of_it(data, boxed, tmp_path, changes):
    outs = [tmp_path / str(count) for count in (0, 1, 2)]
    for count, out in enumerate(outs):
        base = recipe(data, out) if "loss" in changes else SSTNET
        base = dataclasses.replace(base, data_root=str(data if "loss" in changes else boxed), out=str(out), **changes)
        if count == 2:
            assert run_children(launched(2), exact_child, base) == [0, 0], message(out)
        else:
            assert run_child(exact_child, base if count else dataclasses.replace(base, lr=1e-12)) == 0, message(out)
    start, one, two = map(weights, outs)
    moved, apart = (one - start).norm(), (one - two).norm()
    print(f"distance of two processes from one: {apart / moved:.1e} of the distance from the start")
    assert moved > 0.1 and apart < TOLERANCE * moved
    rows = [[json.loads(line) for line in (out / "run/log.jsonl").read_text().splitlines()[1:]] for out in outs[1:]]
    for first, second in zip(*rows, strict=True):
        assert first["clips"] == second["clips"] and first["loss"] == pytest.approx(second["loss"], rel=1e-3)
        for name in first["val"]:  # every frame counts once
            if first["val"][name] is not None:
                assert first["val"][name] == pytest.approx(second["val"][name], rel=1e-2, abs=1e-6), name


def _losses(folder):
    """Every criterion's value and gradient, of this process's half."""
    torch.manual_seed(0)
    torch.distributed.init_process_group("gloo") if processes() > 1 else None
    own = slice(rank() * 4 // processes(), (rank() + 1) * 4 // processes())
    shift = torch.zeros(4, 1, 1, 1, requires_grad=True)
    logits, mask = torch.randn(4, 1, 8, 8) + shift, torch.rand(4, 1, 8, 8) > 0.8
    found = {}
    for name in CRITERIA:
        criterion = build_criterion(name)
        criterion.epoch = 9
        found[name] = sum(criterion(logits[own], {"mask": mask[own]}).values())
    raw = torch.randn(4, 6, 4, 4) + shift
    boxes = [torch.tensor([[2.0 + 4 * i, 3.0, 12.0 + 4 * i, 13.0, 0]])[: i % 3] for i in range(4)]
    found["yolox"] = sum(yolox_loss(raw[own], boxes[own]).values())
    result = {}
    for name, loss in found.items():
        (gradient,) = torch.autograd.grad(loss, shift, retain_graph=True)
        result[name] = mean_over_processes(loss.detach()), mean_over_processes(gradient)
    if rank() == 0:
        torch.save(result, folder / f"{processes()}.pt")


def test_losses_of_halves_are_the_loss_of_the_whole(tmp_path):
    assert run_child(_losses, tmp_path) == 0 and run_children(launched(2), _losses, tmp_path) == [0, 0]
    one, two = (torch.load(tmp_path / f"{count}.pt", weights_only=True) for count in (1, 2))
    assert one.keys() == two.keys()
    for name, pair in one.items():
        for ours, theirs in zip(two[name], pair, strict=True):
            assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-6), name


def test_after_a_process_died_all_begin_again_from_the_last_checkpoint(data, tmp_path):
    recipes = [
        recipe(data, tmp_path / name, checkpoint_every=1, freeze_norm=False, epochs=1, loss="focal_iou")
        for name in ("straight", "broken")
    ]
    assert run_children(launched(2), train_child, recipes[0]) == [0, 0]
    # torchrun --max-restarts starts new processes with the store in which the dead ones left their addresses
    store = torch.distributed.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    statuses = run_children(launched(2, port=store.port), train_child, recipes[1], "death of the second process", 3)
    assert statuses == [2, -signal.SIGKILL]
    assert "another process ended" in message(tmp_path / "broken")
    assert load_checkpoint(tmp_path / "broken/run/last.pt")["progress"]["step"] == 2
    assert run_children(launched(2, 1, store.port), train_child, recipes[1]) == [0, 0]
    for name in ("last.pt", "best.pt"):
        ours, theirs = (load_checkpoint(tmp_path / part / "run" / name) for part in ("broken", "straight"))
        for content in (ours, theirs):
            del content["config"]
        same(ours, theirs, name)
    commands = (tmp_path / "broken/run/command.txt").read_text().splitlines()
    assert len(commands) == 2 and commands[0].startswith("torchrun --nproc-per-node 2 ")


def test_processes_do_not_read_what_those_before_them_wrote(monkeypatch):
    store, seen = torch.distributed.HashStore(), []
    for nodes, starts in ((1, 0), (1, 1), (2, 0), (2, 1)):
        monkeypatch.setenv("GROUP_WORLD_SIZE", str(nodes))
        monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", str(starts))
        own = fresh_store(store)
        seen.append(own.check(["address"]))
        own.set("address", "of a process")
    assert seen == [False, False, False, True]  # of several machines one may have started more often than the others


def test_a_loss_that_is_not_finite_in_one_process_counts_for_all(data, tmp_path):
    config = recipe(data, tmp_path, epochs=1, skip_non_finite=1)
    assert run_children(launched(2), train_child, config, "NaN in the second process", 2) == [0, 0], message(tmp_path)
    row = json.loads((tmp_path / "run/log.jsonl").read_text().splitlines()[1])
    assert (row["skipped"], row["clips"]) == (1, 8)
    assert weights(tmp_path).isfinite().all()


def _watch_the_end(config):
    """Train; fails where something that owns the group is still there when the group is destroyed."""
    destroy = torch.distributed.destroy_process_group

    def checked():
        assert DistributedDataParallel not in map(type, gc.get_objects())
        destroy()

    torch.distributed.destroy_process_group = checked
    train_child(config, "NaN in the second process", 2)


def test_the_network_that_exchanges_gradients_is_gone_when_the_group_ends(data, tmp_path):
    """Else both may wait for each other for ever: see `run_in_group`."""
    config = recipe(data, tmp_path, epochs=1, skip_non_finite=1)
    assert run_children(launched(2), _watch_the_end, config) == [0, 0], message(tmp_path)


def test_a_single_process_needs_no_group():
    assert (processes(), rank(), gather("x")) == (1, 0, ["x"])


def test_a_batch_that_cannot_be_shared_is_named(data, tmp_path):
    assert run_children(launched(2), train_child, recipe(data, tmp_path, batch_size=3)) == [2, 2]
    assert "--batch-size: found 3" in message(tmp_path)
