"""Boxes of exported detectors: suppressed as in PyTorch, to the last box, and fast."""

import dataclasses
import time

import numpy as np
import pytest
import torch
from exporting import write_weights

from nets.inference.exportable import ClipExport
from nets.yolox_head import decode_boxes
from nets.yolox_head import decode_detections as expected_of
from utils.predictor.onnx_run import OnnxRun, detections_of
from utils.predictor.predictor import Predictor
from utils.predictor.weights import read_weights


def both(raw):
    """What ONNX Runtime's and PyTorch's ways make of a head's raw output (1, 5 + classes, h, w)."""
    probability = raw[:, 4:].flatten(2).transpose(1, 2).sigmoid()
    scores = probability[..., :1] * probability[..., 1:]
    return detections_of(decode_boxes(raw)[0].numpy(), scores[0].numpy()), expected_of(raw)[0].numpy()


@pytest.mark.parametrize("classes", [1, 2])
def test_suppression_is_that_of_the_network(classes):
    for seed in range(20):
        raw = torch.randn(1, 5 + classes, 20, 25, generator=torch.Generator().manual_seed(seed))
        raw[:, 2:4] = 1.5 + 0.3 * raw[:, 2:4]
        if seed % 2:  # equal scores, equal boxes, IoUs at the limit
            raw = (2 * raw).round() / 2
            raw[:, 2:4] = (raw[:, 2:4].exp() / 2).round().log()
        found, expected = both(raw)
        assert found.dtype == np.float32 and 100 < len(found) < 500
        assert np.array_equal(found, expected)
    assert both(torch.full((1, 5 + classes, 3, 3), -20.0))[0].shape == (0, 6)


def test_thousands_of_candidates_take_no_time():
    raw = torch.randn(1, 6, 64, 80, generator=torch.Generator().manual_seed(0))  # of frames of 640 x 512
    raw[:, 2:4] *= 0.5
    began = time.process_time()
    found, expected = both(raw)
    assert len(found) == len(expected) > 4000
    assert time.process_time() - began < 2  # 0.3 s; box by box 3 s and more


def test_boxes_beside_the_frame_take_no_places(tmp_path, monkeypatch):
    """Of a wide frame half of the letterbox is margin: the 100 surest boxes are those of the frame."""
    monkeypatch.setattr("utils.predictor.prediction.MAX_SURE_DETECTIONS", 100)
    weights = write_weights(tmp_path, "sstnet", input_size=224)
    exact = Predictor.from_checkpoint(weights, "cpu")
    module = ClipExport(read_weights(weights).model.network, True)

    class Session:
        """ONNX Runtime in PyTorch's numbers, so that no last digit decides which boxes are kept."""

        def get_inputs(self):
            return [type("Input", (), {"name": "clips"})]

        def run(self, _, feeds):
            with torch.no_grad():
                return [part.numpy() for part in module(torch.from_numpy(feeds["clips"]))]

    predictor = dataclasses.replace(exact, run=OnnxRun(Session(), "detection"))
    torch_run = dataclasses.replace(
        exact, run=lambda clips: [found.numpy() for found in expected_of(raw_of(module, torch.from_numpy(clips)))]
    )
    frames = np.random.default_rng(0).integers(40, 200, (1, 5, 100, 300)).astype(np.uint8)
    (found,), (expected,) = predictor.predict(frames), torch_run.predict(frames)
    assert len(found.boxes) == len(expected.boxes) == 100
    assert np.abs(found.boxes - expected.boxes).max() < 1e-3


@torch.no_grad()
def raw_of(module, clips):
    """The raw output of the network inside a `ClipExport`."""
    return module.network(clips)
