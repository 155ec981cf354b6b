"""How fast targets move against the scene, and the frame step that follows from it."""

import cv2
import numpy as np
import pytest

from utils.clips.target_speed import measure_frame_step, measure_target_speeds
from utils.datasets.dataset import Dataset
from utils.datasets.frame_table import Frame
from utils.training.config import TrainConfig
from utils.training.setup import resolve_frame_step


def write(folder, name, speed, count=24, pan=(0.8, -0.5)):
    """A panned scene and a target that moves by `speed` (y, x) against it."""
    rng = np.random.default_rng(5)
    scene = cv2.GaussianBlur(rng.normal(0, 1, (128, 128)), (0, 0), 3) * 200 + 110
    frames = []
    for t in range(count):
        matrix = np.array([[1, 0, pan[1] * t], [0, 1, pan[0] * t]])
        view = cv2.warpAffine(scene, matrix, (128, 128), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT)
        y, x = (50 + (pan[i] + speed[i]) * t for i in range(2))
        mask = np.zeros((128, 128), np.uint8)
        cv2.circle(mask, (round(x * 16), round(y * 16)), 40, 255, -1, shift=4)
        paths = [str(folder / f"{name}_{kind}{t}.png") for kind in "im"]
        cv2.imwrite(paths[0], np.clip(view + rng.normal(0, 1, view.shape) + mask * 0.2, 0, 255).astype(np.uint8))
        cv2.imwrite(paths[1], mask)
        frames.append(Frame(name, t, *paths, None))
    return tuple(frames)


@pytest.mark.parametrize(("speed", "step"), [((0.2, 0.15), 4), ((-0.4, 0.3), 2), ((1.5, -2.0), 1), ((0.0, 0.02), 8)])
def test_slow_targets_get_wide_steps(tmp_path, speed, step):
    sequences = {"a": write(tmp_path, "a", speed)}
    speeds = measure_target_speeds(sequences)
    assert len(speeds) >= 10 and np.median(speeds) == pytest.approx(np.hypot(*speed), abs=0.06)
    assert measure_frame_step(sequences) == step


def test_a_recipe_measures_on_its_own_data_root_alone(tmp_path):
    sequences = {
        "a": write(tmp_path, "a", (0.2, 0.15)),
        "more/b": write(tmp_path, "b", (2.0, 1.0)),
        "more/c": write(tmp_path, "c", (2.0, 1.0)),
    }
    dataset = Dataset("x", "image tree", str(tmp_path), "train", sequences, False, None, {})
    config = TrainConfig(frame_step=0, extra_roots=(str(tmp_path / "more"),))
    assert resolve_frame_step(config, dataset).frame_step == 4
    given = TrainConfig(frame_step=3)
    assert resolve_frame_step(given, dataset) is given


def test_without_targets_to_follow_frames_are_consecutive(tmp_path):
    frames = write(tmp_path, "a", (0.2, 0.15), count=5)
    assert measure_frame_step({"a": frames}) == 1
