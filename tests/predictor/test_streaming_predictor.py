"""The predictor, which streams, against the same networks over whole clips."""

import copy

import numpy as np
import pytest
import torch
from networks import model_of
from scenes import panned

from nets import DETECTORS, NETWORKS, build_model
from nets.multi_frame.every_frame import EveryFrameNetwork
from utils.clips.settings import ClipSettings
from utils.predictor.network_run import StreamingRun
from utils.predictor.predictor import Predictor
from utils.predictor.torch_run import StreamingTorchRun, TorchRun
from utils.system.errors import UserError

NUMBERS = [0, 1, 2, 3, 4, 7, 8, 9, 10, 11, 12, 20]  # two gaps


def windows(model, seen=None):
    """The network over whole clips, unfolded, as a plain function."""
    network = copy.deepcopy(model.network).eval()

    @torch.no_grad()
    def run(clips):
        if seen is not None:
            seen.append(clips.shape)
        result = model.postprocess(network(torch.from_numpy(clips)))
        return [boxes.numpy() for boxes in result] if isinstance(result, list) else result.numpy()

    return run


def pair(model, name, precision="float32", compile=False, **options):
    """The predictor of a network, and one that runs it over whole clips."""
    task = "detection" if name in DETECTORS else "segmentation"
    settings = ClipSettings(**{"num_frames": 3, "normalisation": (100, 20), "task": task, **options})
    streaming = Predictor.from_network(
        model.network, model.postprocess, settings, device="cpu", precision=precision, compile=compile
    )
    return streaming, Predictor(windows(model), settings, model.network.multiple)


def assert_same_boxes(*predictions):
    """In any order, as scores that tie may change places."""
    one, other = (
        np.array(sorted(found.boxes.tolist(), key=lambda box: [round(v, 1) for v in box])) for found in predictions
    )
    assert one.shape == other.shape and len(one)
    np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize(
    "name, options",
    [("tsmsa", {}), ("tsmsa", {"num_slices": 2, "num_layers": 2}), ("tsmsa", {"lags": (1, 2)}), ("sstnet", {})],
)
@pytest.mark.parametrize("frame_step", [1, 2])
@pytest.mark.parametrize("register", [False, True])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_every_frame_is_as_over_whole_clips(name, options, frame_step, register, batch_size):
    """First frames, gaps, sides that are no multiples, another frame size in between."""
    frames = [*panned(8), *panned(4, (40, 41))]
    predictors = pair(model_of(name, **options), name, frame_step=frame_step, register=register)
    assert isinstance(predictors[0].run, StreamingRun) and not isinstance(predictors[1].run, StreamingRun)
    found, expected = (
        list(predictor.stream(zip(NUMBERS, frames, strict=True), size))
        for predictor, size in zip(predictors, (batch_size, 1), strict=True)
    )
    assert len(found) == len(expected) == len(frames)
    for one, other, frame in zip(found, expected, frames, strict=True):
        assert one.number == other.number and one.mask.shape == frame.shape
        if one.boxes is None:
            assert np.abs(one.probability - other.probability).max() < 1e-5 * max(1e-3, np.ptp(other.probability))
        else:
            assert_same_boxes(one, other)
    spread = [prediction.probability.std() for prediction in found if prediction.boxes is None]
    assert not spread or max(spread) > 1e-3, "outputs without any structure compare nothing"


@pytest.mark.parametrize("name", ["tsmsa", "sstnet"])
@pytest.mark.parametrize("register", [False, True])
def test_frames_normalised_by_what_is_around_them_stream_as_whole_clips(name, register):
    predictors = pair(model_of(name), name, register=register, levels="local")
    for one, other in zip(*(predictor.stream(panned(6)) for predictor in predictors), strict=True):
        if one.boxes is None:
            assert np.abs(one.probability - other.probability).max() < 1e-5 * max(1e-3, np.ptp(other.probability))
            assert np.ptp(other.probability) > 1e-3
        else:
            assert_same_boxes(one, other)


@pytest.mark.parametrize("register, count", [(False, 9), (True, 1 + 2 + 7 * 3)])
def test_each_view_of_a_frame_is_observed_once(register, count):
    """Registered clips see a frame at another place each, the first frame as often as it is repeated."""
    model = model_of("tsmsa")
    observed = []

    class Counting(StreamingTorchRun):
        def observe(self, frames):
            observed.append(len(frames))
            return super().observe(frames)

    run = Counting(model.network, model.postprocess, torch.device("cpu"), "float32", False)
    predictor = Predictor(run, ClipSettings(3, (100.0, 20.0), register=register), multiple=8)
    list(predictor.stream(panned(9, (64, 64)), batch_size=2))
    assert sum(observed) == count


def test_clips_are_predicted_as_streams():
    predictors = pair(model_of("tsmsa"), "tsmsa", register=True)
    clips = np.stack([panned(3), panned(4)[1:]])
    found, expected = (predictor.predict(clips) for predictor in predictors)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.probability, other.probability, atol=1e-5)


@pytest.mark.parametrize(
    "name",
    sorted(
        name for name, kind in NETWORKS.items() if not issubclass(kind, EveryFrameNetwork) and name not in DETECTORS
    ),
)
def test_folding_leaves_every_network_as_it_is(name):
    """Also those that do not stream; frames are padded to the network's own multiple."""
    torch.manual_seed(0)
    model = build_model(name, **({"num_frames": 3} if name == "tsmsa" else {}))
    for module in model.network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            parts = (module.running_mean, module.running_var, *(part.data for part in module.parameters()))
            for values, low, high in zip(parts, (-0.2, 0.5, 0.5, -0.2), (0.2, 1.5, 1.5, 0.2), strict=False):
                values.uniform_(low, high)
    before = copy.deepcopy(model.network.train().state_dict())
    predictors = pair(model, name, num_frames=getattr(model.network, "num_frames", 3))
    assert (type(predictors[0].run) is TorchRun) == (name not in ("tsmsa", "resunet_dtum"))
    assert predictors[0].multiple == model.network.multiple and model.network.training
    after = model.network.state_dict()
    assert all(torch.equal(after[key], value) for key, value in before.items())
    found, expected = (list(predictor.stream(panned(3))) for predictor in predictors)
    # Of nearly equal neighbours rounding decides which is the larger: ResUNet-DTUM's code of directions jumps there.
    tolerance = 1e-2 if name == "resunet_dtum" else 1e-4
    for one, other in zip(found, expected, strict=True):
        spread = np.ptp(other.probability)
        assert spread > 1e-3 and np.abs(one.probability - other.probability).max() < tolerance * spread


def test_a_predictor_of_a_live_network_has_its_weights_of_that_moment():
    model = model_of("tsmsa")
    first, _ = pair(model, "tsmsa")
    before = list(first.stream(panned(3)))[-1].probability
    with torch.no_grad():
        model.network.head[-1].bias.add_(1)
    again, (new, expected) = first, pair(model, "tsmsa")
    assert np.array_equal(list(again.stream(panned(3)))[-1].probability, before)
    now, whole = (list(predictor.stream(panned(3)))[-1].probability for predictor in (new, expected))
    assert np.abs(now - whole).max() < 1e-5 and np.abs(now - before).max() > 0.05
    with torch.enable_grad():  # and it trains on
        model.criterion(model.network.train()(torch.zeros(2, 3, 32, 32)), {"mask": torch.ones(2, 1, 32, 32)})[
            "soft_iou"
        ].backward()
    assert model.network.head[-1].bias.grad is not None


def test_half_precision_is_close_and_fp16_is_for_gpus():
    model = model_of("tsmsa")
    exact, _ = pair(model, "tsmsa")
    half, _ = pair(model, "tsmsa", precision="bf16")
    one, other = (np.stack([p.probability for p in predictor.stream(panned(4))]) for predictor in (exact, half))
    assert 0 < np.abs(one - other).mean() < 0.05 * np.ptp(one) and other.dtype == np.float32
    with pytest.raises(UserError, match="--precision: found fp16 on a CPU"):
        pair(model, "tsmsa", precision="fp16")


def test_compiled_networks_say_how_long_it_took(monkeypatch, capsys):
    """Traced, but run as it is: generating code takes minutes. One program for each frame size, whatever the batch."""
    traced = []

    def compile(function, dynamic):
        traced.append(function.__name__)
        return function

    monkeypatch.setattr(torch, "compile", compile)
    model = model_of("tsmsa")
    compiled, whole = pair(model, "tsmsa", compile=True)
    found, expected = (list(predictor.stream(panned(5), 4)) for predictor in (compiled, whole))
    np.testing.assert_allclose(found[-1].probability, expected[-1].probability, atol=1e-6)
    lines = capsys.readouterr().err.splitlines()
    assert sorted(traced) == ["decide", "forward", "observe"]
    assert [line.split(" took")[0] for line in lines] == [
        "--compile: frames of 1x56x72",
        "--compile: decisions on frames of 1x56x72",
    ]


def test_predictions_come_as_soon_as_their_frame():
    """A camera's next frame is not waited for."""
    given = []

    def camera():
        for frame in panned(6):
            given.append(len(given))
            yield frame

    stream = pair(model_of("tsmsa"), "tsmsa")[0].stream(camera())
    assert next(stream).number == 0 and len(given) <= 3
    stream.close()
    assert len(given) <= 4
