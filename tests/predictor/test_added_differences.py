"""Weights without differences of frames in networks with them: loading, checkpoints, exports."""

import numpy as np
import pytest
import torch
from networks import model_of
from scenes import panned
from scripts import ROOT

from nets import build_model
from utils.clips.settings import ClipSettings
from utils.commands.inputs import open_predictor
from utils.commands.options import Hardware
from utils.commands.predictor_options import PredictorChoice
from utils.predictor.checkpoint import save_checkpoint
from utils.predictor.predictor import Predictor
from utils.predictor.weights import load_weights
from utils.system.errors import UserError

BUNDLED = ROOT / "weights" / "tsmsa_ir" / "best.pt"
LAGS = (1, 2, 4)


def save(path, network, options=None, **settings):
    """A checkpoint of a TSMSA."""
    settings = ClipSettings(5, (100.0, 20.0), name="tsmsa", register=True, **settings)
    model = {"name": "tsmsa", "options": {"num_frames": 5, "lags": LAGS, **(options or {})}}
    content = {"model": model, "settings": settings.as_dict(), "config": {}, "network": network.state_dict()}
    save_checkpoint(path, content | {"ema": None})
    return path


def trained(seed=0):
    """A network whose differences do reach its output."""
    network = build_model("tsmsa", lags=LAGS).network
    load_weights(network, str(BUNDLED), "tsmsa")
    torch.manual_seed(seed)
    torch.nn.init.normal_(network.differences.mix[-1].weight, std=0.3)
    return network


def maps(predictor, frames):
    return np.stack([prediction.probability for prediction in predictor.stream(frames)])


def test_bundled_weights_predict_the_same_bit_by_bit_in_a_network_with_differences():
    plain = Predictor.from_checkpoint(BUNDLED, "cpu")
    model = build_model("tsmsa", lags=LAGS)
    said = load_weights(model.network, str(BUNDLED), "tsmsa")
    assert said.endswith("recognised a checkpoint of tsmsa; its differences of frames start at zero")
    wider = Predictor.from_network(model.network, model.postprocess, plain.settings, device="cpu")
    frames = panned(6)
    expected = maps(plain, frames)
    assert np.ptp(expected) > 1e-4
    np.testing.assert_array_equal(maps(wider, frames), expected)


def test_a_checkpoint_remembers_lags_and_levels(tmp_path):
    path = save(tmp_path / "made.pt", trained(), levels="local")
    predictor = Predictor.from_checkpoint(path, "cpu")
    assert predictor.settings.levels == "local"
    assert predictor.run.runtime.network.differences.lags == LAGS
    again = build_model("tsmsa", lags=LAGS).network
    assert "start at zero" not in load_weights(again, str(path), "tsmsa")
    assert torch.equal(again.differences.mix[-1].weight, trained().differences.mix[-1].weight)


def test_weights_for_other_lags_do_not_fit(tmp_path):
    path = save(tmp_path / "made.pt", trained())
    with pytest.raises(UserError, match="weights do not fit this network: .*differences.mix"):
        load_weights(build_model("tsmsa", lags=(1, 2)).network, str(path), "tsmsa")
    with pytest.raises(UserError, match="weights do not fit this network: .*Unexpected key"):
        load_weights(build_model("tsmsa").network, str(path), "tsmsa")


def test_a_streaming_export_gives_the_same_masks(tmp_path):
    pytest.importorskip("onnxruntime", reason="exports need onnxruntime")
    pytest.importorskip("onnxscript", reason="exports need onnxscript")
    from utils import export

    small = {"channels": (4, 8, 8, 8), "blocks": (1, 1, 1)}
    path = save(
        tmp_path / "made.pt", model_of("tsmsa", num_frames=5, lags=LAGS, **small).network, small, levels="local"
    )
    export.main(["--weights", str(path), "--out", str(tmp_path / "made.onnx"), "--streaming"])
    frames = panned(6)
    expected = maps(Predictor.from_checkpoint(path, "cpu"), frames)
    found = maps(Predictor.from_checkpoint(tmp_path / "made.onnx"), frames)
    assert np.ptp(expected) > 1e-4 and np.abs(found - expected).max() < 1e-4


def test_trained_weights_can_be_shown_the_level_and_noise_around_each_pixel():
    given = open_predictor(PredictorChoice(str(BUNDLED), levels="local"), Hardware(device="cpu"))
    expected = Predictor.from_checkpoint(BUNDLED, "cpu").with_settings(levels="local")
    frames = panned(3)
    assert given.settings.levels == "local" and np.ptp(maps(expected, frames)) > 0
    np.testing.assert_array_equal(maps(given, frames), maps(expected, frames))
    assert open_predictor(PredictorChoice(str(BUNDLED)), Hardware(device="cpu")).settings.levels == "dataset"
    detector = str(ROOT / "weights" / "sstnet" / "best.pt")
    with pytest.raises(UserError, match="--levels: found local with a detector, which"):
        open_predictor(PredictorChoice(detector, levels="local"), Hardware(device="cpu"))
