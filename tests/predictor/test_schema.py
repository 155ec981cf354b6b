"""What a checkpoint, an export's description and a device's name may be: anything else is one line, at once."""

import json
import time

import pytest
import torch
from fuzz_targets import content_of_a_checkpoint, description, onnx_model
from trees import picture

from utils.predictor.checkpoint import save_checkpoint
from utils.predictor.predictor import Predictor
from utils.predictor.schema import require_model
from utils.predictor.verifier.features import NAMES
from utils.predictor.weights import read_weights
from utils.system.errors import UserError
from utils.system.machine import is_device
from utils.training.config import TrainConfig
from utils.training.resume import last_checkpoint

NAN = float("nan")
DEEP = []
for _ in range(60):
    DEEP = [DEEP, DEEP]


@pytest.fixture(scope="module")
def content():
    return content_of_a_checkpoint()


@pytest.mark.parametrize(
    "change, text",
    [
        (
            {"model": {"name": "sstnet", "options": {"num_classes": 10**8}}},
            "num_classes 100000000, expected int at least",
        ),
        ({"model": {"name": "tsmsa", "options": {"num_slices": 10**6}}}, "num_slices 1000000"),
        ({"model": {"name": "tsmsa", "options": {"num_frames": 2.5}}}, "num_frames 2.5, expected int"),
        ({"model": {"name": "tsmsa", "options": {"channels": [10**9] * 4}}}, "channels 1000000000"),
        ({"model": {"name": "sstnet", "options": {"width": NAN}}}, "width nan"),
        ({"model": {"name": "sstnet", "options": {"width": 8.0, "num_frames": 5}}}, "Missing key|size mismatch"),
        ({"model": {"name": "unet", "options": {}}}, "Missing key"),
        ({"model": {"name": ["tsmsa"], "options": {}}}, "expected its name and options"),
        ({"model": DEEP}, "expected its name and options"),
        ({"settings": DEEP}, "expected values by name"),
        ({"settings": {"a": "\ud800"}}, "expected text"),
        ({"config": {"a": 2**70}}, "an integer of 71 bits"),
        ({"config": {1: 2}}, "a name in config that is 1"),
        ({"network": [1]}, "expected tensors by name"),
        ({"network": {"a": 1}}, "expected tensors by name"),
        ({"ema": {"a": torch.tensor([1.0, NAN])}}, "no finite numbers in 'a' of ema"),
        ({"epoch": -1}, "epoch -1"),
        ({"git": 5}, "git 5, expected text"),
    ],
)
def test_a_checkpoint_of_odd_content_is_refused_before_it_takes_memory(tmp_path, content, change, text):
    torch.save({"version": 3, **content, **change}, tmp_path / "x.pt")
    begun = time.process_time()
    with pytest.raises(UserError, match=text):
        read_weights(tmp_path / "x.pt")
    assert time.process_time() - begun < 5


@pytest.mark.parametrize(
    "change, text",
    [
        ({"num_frames": 10**9}, "num_frames 1000000000"),
        ({"num_frames": 4}, "num_frames 4, expected 5"),
        ({"task": "detection", "normalisation": [[1.0] * 3, [1.0] * 3]}, "task detection, expected segmentation"),
        ({"normalisation": [1.0, 0.0]}, "normalisation .*more than 0"),
        ({"normalisation": [1.0]}, "a mean and a standard deviation"),
        ({"normalisation": [[1.0, 2.0, 3.0], 1.0]}, "for segmentation, expected two numbers"),
        ({"threshold": NAN}, "threshold nan"),
        ({"frame_step": 0.5}, "frame_step 0.5"),
        ({"every_frame": True}, "every_frame True, expected False"),
        ({"fit": "letterbox", "input_size": 10**6}, "input_size 1000000"),
    ],
)
def test_settings_that_are_none_or_of_another_network(tmp_path, content, change, text):
    torch.save({"version": 3, **content, "settings": {**content["settings"], **change}}, tmp_path / "x.pt")
    with pytest.raises(UserError, match=text):
        read_weights(tmp_path / "x.pt")


@pytest.mark.parametrize(
    "change, text",
    [
        ({"progress": 3}, "progress 3, expected epoch, step, best and history"),
        ({"progress": {"epoch": 1, "step": -1, "best": {}, "history": []}}, "step -1"),
        ({"progress": {"epoch": 1, "step": 0, "best": {}, "history": [3]}}, "a row for each epoch"),
        ({"data": []}, "data"),
        ({"optimizer": 1}, "optimizer 1, expected what training leaves there"),
    ],
)
def test_a_state_of_training_that_is_none(tmp_path, content, change, text):
    save_checkpoint(tmp_path / "x.pt", {**content, **change})
    with pytest.raises(UserError, match=f"cannot be continued from: .*{text}"):
        last_checkpoint(TrainConfig(frame_step=1, data_root="x", resume=str(tmp_path / "x.pt")))


def test_a_sound_one_passes(tmp_path, content):
    save_checkpoint(tmp_path / "x.pt", content)
    assert read_weights(tmp_path / "x.pt").settings.num_frames == 5
    assert last_checkpoint(TrainConfig(frame_step=1, data_root="x", resume=str(tmp_path / "x.pt")))[0]


@pytest.mark.parametrize(
    "change, text",
    [
        ({"version": "2"}, "version '2', expected 1 to 4"),
        ({"suppression": "firm"}, "suppression 'firm', expected hard or soft"),
        ({"verifier": {"version": 1, "features": list(NAMES), "mean": [0.0]}}, "the verifier's mean"),
        ({"verifier": [1]}, "a verifier|found verifier"),
        ({"version": 10**5}, "exported by version 100000"),
        ({"streaming": 1}, "streaming 1, expected true or false"),
        ({"streaming": True}, "streaming"),
        ({"multiple": 0}, "multiple 0"),
        ({"multiple": 10**9}, "multiple 1000000000"),
        ({"settings": []}, "list"),
        ({"settings": {"num_frames": 5}}, "normalisation"),
        ({"settings": {"num_frames": 3, "normalisation": [1, 1]}}, "clips of 5 frames and of 3"),
        ({"settings": {"num_frames": 5, "normalisation": [1, 1], "task": "detection"}}, "outputs, for detection"),
        ({"settings": {"num_frames": 5, "normalisation": [1, 1], "every_frame": 1}}, "every_frame 1, expected true or"),
        ({"settings": {"num_frames": 5, "normalisation": [1, 1], "every_frame": True}}, "results of 3 sides, not of 4"),
        ({"state_strides": [0]}, "a stride of the state 0"),
        ({"settings": None}, "a description that is none"),
    ],
)
def test_a_description_that_is_none_of_its_network(tmp_path, change, text):
    pytest.importorskip("onnxruntime")
    (tmp_path / "x.onnx").write_bytes(onnx_model(json.dumps(description() | {"state_strides": []} | change)))
    with pytest.raises(UserError, match=text):
        Predictor.from_checkpoint(tmp_path / "x.onnx")


@pytest.mark.parametrize(
    "about",
    [
        "",
        "[]",
        '{"version": 2, "streaming": false, "multiple": 8}',
        "5",
        "{}",
        "[" * 100_000,
        '{"version": ' + "9" * 5000 + "}",
        '"\\ud800"',
    ],
)
def test_a_description_that_is_no_description(tmp_path, about):
    pytest.importorskip("onnxruntime")
    (tmp_path / "x.onnx").write_bytes(onnx_model(about))
    with pytest.raises(UserError, match="a description that is none of a network"):
        Predictor.from_checkpoint(tmp_path / "x.onnx")


def test_frames_that_an_exported_network_cannot_take(tmp_path):
    pytest.importorskip("onnxruntime")
    (tmp_path / "x.onnx").write_bytes(onnx_model(json.dumps(description() | {"state_strides": []})))
    predictor = Predictor.from_checkpoint(tmp_path / "x.onnx")
    assert next(predictor.stream([picture(0)])).probability.shape == (24, 32)
    with pytest.raises(UserError, match="the ONNX network cannot be run on these frames"):
        predictor.run._run({"clips": picture(0)})


@pytest.mark.parametrize(
    "name, known", [("cpu", True), ("cuda", True), ("cuda:1", True), ("meta", False), ("mps", False)]
)
def test_names_of_devices(name, known):
    assert is_device(name) == known and not is_device(f"{name}:99999999999") and not is_device("")
    if known:
        assert TrainConfig(device=name).device == name
        return
    with pytest.raises(UserError, match=f"--device: found '{name}', expected cpu, cuda or cuda:N"):
        TrainConfig(device=name)


def test_all_lags_that_a_clip_can_have_are_opened_again():
    require_model({"name": "tsmsa", "options": {"lags": list(range(1, 64))}})
    with pytest.raises(ValueError, match="option lags"):
        require_model({"name": "tsmsa", "options": {"lags": list(range(1, 65))}})
