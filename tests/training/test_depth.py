"""Weights remember whether their training frames had more than 8 bits."""

import numpy as np
import pytest
import torch
from trees import target_mask, write

from utils.datasets.dataset import measure_levels, open_dataset
from utils.predictor.frame_preparation import RAW_WINDOW, raw_window_for
from utils.training.config import TrainConfig
from utils.training.setup import TrainingSetup


@pytest.mark.parametrize(
    "top, kind, bits",
    [(200, np.uint8, 8), (255, np.uint16, 8), (256, np.uint16, 16), (9000, np.uint16, 16)],
)
def test_what_the_training_frames_hold_decides_how_raw_frames_are_shown(tmp_path, top, kind, bits):
    for number in range(4):
        image = np.random.default_rng(number).integers(40, 160, (32, 32)).astype(kind)  # a mean that tells nothing
        image[number, 5] = top
        write(tmp_path / f"images/train/s/{number}.png", image)
        write(tmp_path / f"masks/train/s/{number}.png", target_mask((32, 32)))
    data = open_dataset(tmp_path, "train", need="masks")
    assert measure_levels(data.frames).highest == top
    config = TrainConfig(
        data_root=str(tmp_path), model="acm", num_frames=1, frame_step=1, fit="crop", input_size=32, val_fraction=0.25
    )
    setup = TrainingSetup(config, data, torch.device("cpu"))
    assert setup.settings.bits == bits and setup.full_scale == 2**bits - 1
    assert raw_window_for(setup.settings) == (RAW_WINDOW if bits == 8 else None)
