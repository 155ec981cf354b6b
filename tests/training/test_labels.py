"""What a training learns from: labels that hold targets, and pixels that are ignored."""

import dataclasses

import numpy as np
import pytest
import torch
from mask_files import SIZE, with_border, write_masked
from torch import nn
from trees import target_mask, write, write_coco

from utils.datasets.dataset import open_dataset
from utils.system.errors import UserError
from utils.system.notices import warnings_given
from utils.training.config import TrainConfig
from utils.training.launch import launch, require_targets
from utils.training.learner import Learner


def nothing(targets, number):
    return np.zeros(SIZE, np.uint8)


def config(root, **changes):
    return dataclasses.replace(TrainConfig(data_root=str(root), val_fraction=0.3), **changes)


def test_without_any_target_no_training_begins(tmp_path):
    root = write_masked(tmp_path, nothing)
    with pytest.raises(UserError, match="none of the 5 frames to learn from has a mask with a target"):
        require_targets(open_dataset(root, "train"), config(root))


def test_without_a_target_to_choose_on_a_line_says_so(tmp_path):
    root = write_masked(tmp_path, lambda targets, number: targets.any(0) * np.uint8(255) * (number < 4))
    require_targets(open_dataset(root, "train"), config(root))
    assert any("none of the 1 frames set aside for validation" in line for line in warnings_given())


def test_without_any_box_no_training_begins(tmp_path):
    names = [f"images/train/a/{number}.png" for number in range(6)]
    for name in names:
        write(tmp_path / name, target_mask())
    write_coco(tmp_path / "annotations/instances_train2017.json", names, boxes=())
    recipe = config(tmp_path, model="sstnet", loss="yolox", fit="letterbox", batch_augmentation=False)
    with pytest.raises(UserError, match="none of the 5 frames to learn from has a box"):
        require_targets(open_dataset(tmp_path, "train", "boxes"), recipe)


def test_the_ignored_value_of_a_recipe_is_checked():
    assert TrainConfig(ignore_value="255").ignore_value == "255"
    with pytest.raises(UserError, match="--ignore-value: found 'red', expected a value"):
        TrainConfig(ignore_value="red")


def test_masks_that_may_ignore_a_border_end_a_training_before_it_begins(tmp_path, monkeypatch, capsys):
    root = write_masked(tmp_path / "set", lambda t, n: with_border((t[0] + 2 * t[1]).astype(np.uint8), 255, 3))
    monkeypatch.setattr("sys.argv", ["train.py", "--data-root", str(root), "--out", str(tmp_path / "runs")])
    with pytest.raises(SystemExit) as ended:
        launch({"default": (TrainConfig(),)}, "trains")
    assert ended.value.code == 2 and "give --ignore-value 255" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_ignored_pixels_are_told_to_the_criterion():
    seen = []

    def criterion(outputs, targets):
        seen.append(targets)
        return {"x": outputs.sum()}

    network = nn.Conv2d(1, 1, 1)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.ConstantLR(optimizer)
    mask = torch.tensor([[0.0, 1.0, 2.0, 0.0]]).reshape(1, 1, 1, 4)
    batch = {"clip": torch.zeros((1, 1, 1, 4)), "mask": mask, "key": ["x"]}
    for ignoring in (True, False):
        learner = Learner(network, criterion, optimizer, schedule, torch.device("cpu"), ignoring=ignoring)
        learner.losses(batch, network)
    assert seen[0]["mask"].flatten().tolist() == [0, 1, 0, 0]
    assert seen[0]["ignored"].flatten().tolist() == [False, False, True, False]
    assert "ignored" not in seen[1]
