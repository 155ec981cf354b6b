"""Exports of DSFNet and MICML: their boxes in ONNX Runtime, and what they cannot be exported as."""

import dataclasses

import numpy as np
import pytest
import torch
from exporting import write_weights
from torch.export import Dim
from trees import picture

onnxruntime = pytest.importorskip("onnxruntime", reason="exports need onnxruntime")
pytest.importorskip("onnxscript", reason="exports need onnxscript")

from nets.centernet import decode_centres  # noqa: E402
from nets.deformable import DeformBlock  # noqa: E402
from nets.inference.exportable import ClipExport  # noqa: E402
from nets.micml import MICML  # noqa: E402
from utils import export  # noqa: E402
from utils.commands.exported_program import STEADY_SHARE, measure_deviation  # noqa: E402
from utils.predictor.onnx_run import OnnxRun, detections_of, open_session  # noqa: E402
from utils.predictor.predictor import Predictor  # noqa: E402
from utils.predictor.weights import read_weights  # noqa: E402
from utils.system.errors import UserError  # noqa: E402

pytestmark = pytest.mark.usefixtures("silent_exporter")


def boxes_of(predictor: Predictor, count: int) -> list[np.ndarray]:
    """Boxes and scores of frames (N, 5), found by their corners."""
    found = predictor.stream(picture(index, (60, 90)) for index in range(count))
    return [np.array([[*target.box, target.score] for target in one.components]) for one in found]


def assert_same_boxes(found: list[np.ndarray], expected: list[np.ndarray]) -> None:
    for own, other in zip(found, expected, strict=True):
        assert len(own) == len(other) > 5
        assert np.abs(own[:, None] - other).max(2).min(1).max() < 1e-3


class OneLayer(MICML):
    """The parts of a detector of centres that other networks lack, without the rest, which takes long to export."""

    def __init__(self):
        super().__init__(3, motion=False, width=1 / 16, num_classes=2)
        self.layer = DeformBlock(3, 1)

    def observe(self, frames):
        return (frames,)

    def join(self, key, window):
        return self.layer(key)


def test_peaks_of_deformable_convolutions_are_those_of_onnx(tmp_path):
    torch.manual_seed(0)
    network = OneLayer().eval()
    torch.nn.init.normal_(network.layer.conv.offsets.weight, std=0.3)
    module = ClipExport(network, True)
    clip = torch.randn(2, 3, 3, 48, 64)
    sides = {0: Dim("batch"), 3: 16 * Dim("rows", min=2), 4: 16 * Dim("columns", min=2)}
    program = torch.export.export(module, (clip,), dynamic_shapes=(sides,))
    model = export.make_onnx_model(program, (clip,), True, 19, "{}")
    assert "DeformConv" in {node.op_type for node in model.graph.node}
    path = tmp_path / "peaks.onnx"
    path.write_bytes(model.SerializeToString())
    try:
        session = open_session(path)
    except UserError as error:  # deformable convolutions came to ONNX Runtime later than the oldest that is allowed
        assert "lacks an operator of it" in str(error) and "pip install -U onnxruntime" in str(error)
        pytest.skip(f"ONNX Runtime {onnxruntime.__version__} has no deformable convolutions")

    def run(arrays, move=0.0):
        boxes, scores = session.run(None, {"clips": arrays[0]})
        return boxes + move, scores

    assert measure_deviation(run, module, (clip,), 16, STEADY_SHARE, True) < 1e-4
    assert measure_deviation(lambda arrays: run(arrays, 0.1), module, (clip,), 16, STEADY_SHARE, True) > 1e-4
    boxes, scores = run([clip.numpy()])
    assert boxes.shape == (2, 1000, 4) and scores.shape == (2, 1000, 2) and (scores > 0).any(1).all()


def test_a_streaming_program_gives_the_same_peaks(tmp_path, capsys):
    weights = write_weights(tmp_path, "dsfnet")
    export.main(["--weights", str(weights), "--streaming", "--format", "torch-export"])
    assert "frames, state0 → boxes, scores, next_state0; differs from PyTorch by" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["dsfnet", "micml"])
def test_clips_in_the_form_that_is_exported_give_the_same_boxes(tmp_path, name):
    """ONNX Runtime in PyTorch's numbers, as making a file takes long."""
    weights = write_weights(tmp_path, name, threshold=0.1)
    exact, module = Predictor.from_checkpoint(weights, "cpu"), ClipExport(read_weights(weights).model.network, True)

    class Session:
        def get_inputs(self):
            return [type("Input", (), {"name": "clips"})]

        def run(self, names, feeds):
            with torch.no_grad():
                return [part.numpy() for part in module(torch.from_numpy(feeds["clips"]))]

    exported = dataclasses.replace(exact, run=OnnxRun(Session(), "detection", "soft"))
    assert_same_boxes(boxes_of(exported, 4), boxes_of(exact, 4))


@pytest.mark.parametrize("classes", [1, 3])
def test_soft_suppression_is_that_of_the_network(classes):
    for seed in range(8):
        torch.manual_seed(seed)
        corner, kind = 30 * torch.rand(120, 2), torch.randint(classes, (120, 1)).float()
        score = torch.rand(120, 1).sort(0, descending=True).values ** 4
        peaks = torch.cat((corner, corner + 2 + 6 * torch.rand(120, 2), score, kind), 1)
        scores = torch.where(peaks[:, 5:] == torch.arange(classes), score, 0)
        found = detections_of(peaks[:, :4].numpy(), scores.numpy(), "soft")
        expected = decode_centres(peaks[None])[0].numpy()
        assert found.dtype == np.float32 and 10 < len(found) < 120
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert detections_of(np.zeros((0, 4), "float32"), np.zeros((0, classes), "float32"), "soft").shape == (0, 6)


def test_forms_that_they_cannot_have_are_refused_in_a_line(tmp_path):
    weights = str(write_weights(tmp_path, "dsfnet"))
    for options, message in (
        (["--opset", "18"], "--opset: found 18 with dsfnet, expected at least 19"),
        (["--precision", "fp16"], "--precision fp16: found with dsfnet, expected float32 or int8"),
    ):
        with pytest.raises(UserError, match=message):
            export.main(["--weights", weights, *options])
    assert not list(tmp_path.glob("*.onnx"))
