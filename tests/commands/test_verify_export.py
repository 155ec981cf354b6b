"""Exports of weights with a verifier."""

import numpy as np
import pytest
from exporting import write_weights
from verifying import levels, random_model, scenery

pytest.importorskip("onnxruntime", reason="exports need onnxruntime")
pytest.importorskip("onnxscript", reason="exports need onnxscript")

from utils import export  # noqa: E402
from utils.predictor.checkpoint import load_checkpoint, save_checkpoint  # noqa: E402
from utils.predictor.predictor import Predictor  # noqa: E402
from utils.system.errors import UserError  # noqa: E402

pytestmark = pytest.mark.usefixtures("silent_exporter")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = write_weights(tmp_path_factory.mktemp("verified"), "tsmsa")
    save_checkpoint(path, {**load_checkpoint(path), "verifier": random_model().as_dict()})
    return path


def test_an_onnx_file_predicts_with_the_verifier_as_pytorch_does(weights, capsys):
    export.main(["--weights", str(weights)])
    assert "with its verifier" in capsys.readouterr().out
    frames = [levels(scenery(np.random.default_rng(index), 96)) for index in range(6)]
    for used in (True, False):
        exported, expected = (
            Predictor.from_checkpoint(path, "cpu", verify=used) for path in (weights.with_suffix(".onnx"), weights)
        )
        assert exported.settings == expected.settings and (exported.verifier is not None) == used
        for one, other in zip(exported.stream(frames), expected.stream(frames), strict=True):
            np.testing.assert_allclose(one.probability, other.probability, atol=1e-3)


def test_a_pt2_is_made_without_the_verifier_only(weights):
    with pytest.raises(UserError, match="expected --format onnx.*--no-verifier"):
        export.main(["--weights", str(weights), "--format", "torch-export"])
    assert not export.parse(["--weights", str(weights), "--no-verifier"]).verify
