"""Exports: the same predictions as PyTorch on real frames, windowed and streaming, and without PyTorch."""

import dataclasses
import json
import shutil
from functools import partial

import numpy as np
import pytest
import torch
from exporting import FRAMES, PARTS, all_weights, write_weights
from scripts import run_without_torch
from trees import picture, real_data, write

onnxruntime = pytest.importorskip("onnxruntime", reason="exports need onnxruntime")
pytest.importorskip("onnxscript", reason="exports need onnxscript")

from nets import build_model  # noqa: E402
from nets.inference.exportable import ClipExport  # noqa: E402
from utils import export  # noqa: E402
from utils.commands.exported_program import measure_deviation, steady_share  # noqa: E402
from utils.commands.quantise import quantise  # noqa: E402
from utils.images.image_files import read_frame  # noqa: E402
from utils.predictor import onnx_run  # noqa: E402
from utils.predictor.checkpoint import save_checkpoint  # noqa: E402
from utils.predictor.predictor import Predictor  # noqa: E402
from utils.predictor.tiles import runs as tile_runs  # noqa: E402
from utils.predictor.tiles.tiling import Tiling  # noqa: E402
from utils.predictor.weights import read_weights  # noqa: E402
from utils.system.errors import UserError  # noqa: E402

pytestmark = pytest.mark.usefixtures("silent_exporter")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return all_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def exported(weights):
    """Path of an export, made when it is first asked for."""

    def path(name, streaming):
        out = weights / f"{name}{'-streaming' * streaming}.onnx"
        if not out.exists():
            export.main(["--weights", str(weights / f"{name}.pt"), *["--streaming"] * streaming])
        return out

    return path


def real_frames(count=7):
    root = real_data("DAUB-mini") / "images/train/data13"
    return [read_frame(root / f"{number}.bmp")[:90, :150] for number in range(count)]


@pytest.mark.parametrize("streaming", [False, True])
def test_the_same_masks_on_real_frames(weights, exported, streaming):
    path, frames = exported("tsmsa", streaming), real_frames()
    expected = list(Predictor.from_checkpoint(weights / "tsmsa.pt", "cpu").stream(frames))
    found = list(Predictor.from_checkpoint(path).stream(frames, batch_size=3))
    for own, other in zip(found, expected, strict=True):
        assert own.number == other.number and own.probability.shape == (90, 150)
        assert np.abs(own.probability - other.probability).max() < 1e-4
        assert np.ptp(other.probability) > 0.01  # there is something to differ in


@pytest.mark.parametrize("streaming", [False, True])
def test_the_same_masks_in_tiles(weights, exported, monkeypatch, streaming):
    frames = [picture(index, (90, 150)) for index in range(6)]
    expected = list(Predictor.from_checkpoint(weights / "tsmsa.pt", "cpu", tiling=Tiling(64, 0)).stream(frames))
    for kept_bytes in (1 << 29, 0):
        monkeypatch.setattr(tile_runs, "KEPT_BYTES", kept_bytes)
        predictor, shapes = Predictor.from_checkpoint(exported("tsmsa", streaming), tiling=Tiling(64, 0)), set()
        run = predictor.run._run
        predictor.run._run = lambda feeds, run=run, seen=shapes: (
            seen.add(next(iter(feeds.values())).shape[-2:]),
            run(feeds),
        )[1]
        for own, other in zip(predictor.stream(frames, batch_size=2), expected, strict=True):
            assert np.abs(own.probability - other.probability).max() < 1e-4
        assert shapes == {(64, 64)}


def test_what_frames_contribute_to_a_stream_is_as_large_as_it_says(exported):
    run = Predictor.from_checkpoint(exported("tsmsa", True)).run
    (seen,) = run.observe(np.zeros((1, 64, 96), np.float32))
    announced = run.size_of(seen)
    run.decide(np.zeros((1, 64, 96), np.float32), [[seen] * FRAMES])
    assert run.size_of(seen) == announced == seen.frame.nbytes + sum(part.nbytes for part in seen.parts)


def test_a_network_that_jumps_is_held_to_most_of_its_outputs():
    """Where neighbours are nearly equal, rounding decides on ResUNet-DTUM's codes of directions."""

    def run(arrays, changed):
        values = arrays[0].copy()
        values.reshape(-1)[: int(changed * values.size)] += 1
        return [values]

    shares = [steady_share(build_model(name).network) for name in ("resunet_dtum", "tsmsa")]
    assert shares == [0.95, 1.0]
    for changed, share, differs in ((0.04, 0.95, False), (0.06, 0.95, True), (0.04, 1.0, True)):
        found = measure_deviation(partial(run, changed=changed), lambda x: [x], (torch.zeros(2, 1, 8, 8),), 8, share)
        assert (found > 0) == differs


def test_networks_that_mark_every_frame(tmp_path):
    """The file gives all maps of a clip, and predictions come by windows as in PyTorch."""
    weights = write_weights(tmp_path, "deeppro_plus", num_frames=4, every_frame=True)
    export.main(["--weights", str(weights)])
    frames = [frame[:64, :96] for frame in real_frames(6)]
    for max_delay in (None, 0):
        own, other = (
            Predictor.from_checkpoint(path, "cpu").with_settings(max_delay=max_delay)
            for path in (weights.with_suffix(".onnx"), weights)
        )
        for one, two in zip(own.stream(frames), other.stream(frames), strict=True):
            spread = np.ptp(two.probability)
            assert one.number == two.number and spread > 5e-5
            assert np.abs(one.probability - two.probability).max() < 1e-2 * spread
    with pytest.raises(UserError, match="--streaming: found deeppro_plus, which keeps more than what each frame"):
        export.export(export.parse(["--weights", str(weights), "--streaming"]))


@pytest.mark.parametrize("name", ["rdian", "dnanet"])
def test_single_frame_networks(tmp_path, name):
    """RDIAN takes frames of any size, its file multiples of 32, to which others are padded; DNANet has many maps."""
    weights = write_weights(tmp_path, name)
    export.main(["--weights", str(weights)])
    own, other = Predictor.from_checkpoint(weights.with_suffix(".onnx")), Predictor.from_checkpoint(weights, "cpu")
    picture = np.random.default_rng(2).integers(60, 160, (96, 160)).astype(np.uint8)
    for frame, tolerance in ((picture, 1e-4), (picture[:90, :150], 1e-4 if name == "dnanet" else 0.1)):
        found, expected = (next(iter(predictor.stream([frame]))).probability for predictor in (own, other))
        assert found.shape == frame.shape and np.ptp(expected) > 0.01
        assert np.abs(found - expected)[:64, :128].max() < tolerance


@pytest.mark.parametrize("streaming", [False, True])
def test_a_panning_camera_with_bad_pixels(weights, exported, streaming):
    """What the predictor does to clips is written into the file: alignment, bad pixels, the step between frames."""
    frames = [np.roll(real_frames(1)[0], 3 * i, axis=1) for i in range(16)]
    for frame in frames:
        frame[40, 70] = 255  # stays on the sensor while the scene moves
    content = torch.load(weights / "tsmsa.pt", weights_only=True)
    content["settings"] |= {"register": True, "bad_pixels": True, "frame_step": 2}
    save_checkpoint(weights / "panning.pt", content)
    given = export.ExportSettings("x", streaming=streaming)
    read = read_weights(weights / "panning.pt")
    settings = json.loads(export.describe(read, given, (torch.zeros(1, 1, 32, 32),)))["settings"]
    assert settings["register"] and settings["bad_pixels"] and settings["frame_step"] == 2
    aware = {name: settings[name] for name in ("register", "bad_pixels", "frame_step")}
    predictor = Predictor.from_checkpoint(exported("tsmsa", streaming)).with_settings(**aware)
    expected = list(Predictor.from_checkpoint(weights / "panning.pt", "cpu").stream(frames))
    plain = list(Predictor.from_checkpoint(weights / "tsmsa.pt", "cpu").stream(frames))
    for own, other in zip(predictor.stream(frames, batch_size=3), expected, strict=True):
        assert np.abs(own.probability - other.probability).max() < 1e-4
    assert np.abs(plain[-1].probability - expected[-1].probability).max() > 1e-3


@pytest.mark.parametrize("streaming", [False, True])
def test_the_same_boxes_on_real_frames(weights, exported, streaming):
    """Compared before suppression, in which a difference in the last digit may let another box survive."""
    predictor, clips = Predictor.from_checkpoint(exported("sstnet", streaming)), []
    run = predictor.run
    recorder = dataclasses.replace(predictor, run=lambda clip: (clips.append(clip.copy()), run(clip))[1])
    assert [prediction.number for prediction in recorder.stream(real_frames())] == list(range(7))
    run._results = (
        (lambda outputs: [[part[0] for part in outputs[:2]]])
        if streaming
        else (lambda outputs: list(zip(*outputs, strict=True)))
    )
    module = ClipExport(read_weights(weights / "sstnet.pt").model.network, True)
    for clip in clips:
        with torch.no_grad():
            boxes, scores = (part[0].numpy() for part in module(torch.from_numpy(clip)))
        ((own_boxes, own_scores),) = run(clip)
        assert np.abs(own_scores - scores).max() < 1e-4 and np.ptp(scores) > 2e-3
        assert np.abs(own_boxes - boxes).max() < 1e-4 * np.abs(boxes).max()


@pytest.mark.parametrize("name, streaming", PARTS)
def test_the_file_describes_itself(exported, name, streaming):
    session = onnx_run.open_session(exported(name, streaming))
    about = onnx_run.read_description(session, "x")
    assert about["opset"] == export.DEFAULT_OPSET and about["streaming"] == streaming
    assert about["settings"]["name"] == name
    inputs = [item.name for item in session.get_inputs()]
    assert inputs == {("tsmsa", True): ["frames", "state0"], ("sstnet", True): ["frames", "state0", "state1"]}.get(
        (name, streaming), ["clips"]
    )
    outputs = [item.name for item in session.get_outputs()]
    assert outputs == (["probabilities"] if name == "tsmsa" else ["boxes", "scores"]) + [
        f"next_{name}" for name in inputs[1:]
    ]
    shape = session.get_inputs()[0].shape
    assert all(isinstance(shape[axis], str) for axis in (0, -2, -1))  # batch, height and width are open


@pytest.mark.parametrize("name", ["tsmsa", "sstnet"])
def test_files_of_the_first_version_are_read_alike(exported, tmp_path, name):
    import onnx

    model = onnx.load(exported(name, False))
    entry = next(entry for entry in model.metadata_props if entry.key == onnx_run.METADATA_KEY)
    about = json.loads(entry.value)
    settings = about.pop("settings") | {"multiple": about.pop("multiple")}
    if settings["fit"] == "crop":  # which it left out, and the size with it
        del settings["fit"]
        settings["input_size"] = None
    entry.value = json.dumps(about | {"version": 1, "predictor": settings})
    onnx.save(model, tmp_path / "first.onnx")
    before, now = (Predictor.from_checkpoint(path) for path in (tmp_path / "first.onnx", exported(name, False)))
    frames = [picture(index, (90, 150)) for index in range(6)]
    assert before.multiple == now.multiple and before.settings.fit == now.settings.fit
    for one, other in zip(before.stream(frames), now.stream(frames), strict=True):
        assert np.array_equal(one.mask, other.mask) and one.components == other.components


def test_the_state_is_explicit(exported, weights):
    """Frame by frame through the session alone equals whole clips."""
    session = onnx_run.open_session(exported("tsmsa", True))
    whole = onnx_run.open_session(exported("tsmsa", False))
    frames = np.random.default_rng(0).normal(size=(6, 1, 64, 32)).astype(np.float32)
    state = np.zeros((FRAMES - 1, 1, session.get_inputs()[1].shape[2], 16, 8), np.float32)
    state = np.repeat(session.run(None, {"frames": frames[:1], "state0": state})[1][-1:], FRAMES - 1, 0)
    for index in range(6):
        found, state = session.run(None, {"frames": frames[index : index + 1], "state0": state})
        clip = frames[[max(0, i) for i in range(index - FRAMES + 1, index + 1)], 0]
        assert np.abs(found - whole.run(None, {"clips": clip[None]})[0]).max() < 1e-5


def test_predicting_without_torch(exported, tmp_path):
    for number in range(6):
        write(tmp_path / f"frames/{number}.png", picture(number, (40, 50)))
    for name, streaming in (("tsmsa", False), ("sstnet", True)):
        out = tmp_path / f"{name}"
        done = run_without_torch(
            "vid_predict",
            "--weights",
            exported(name, streaming),
            "--source",
            tmp_path / "frames",
            "--out",
            out,
            "--quiet",
        )
        assert done.returncode == 0, done.stderr
        content = json.loads((out / "predictions.json").read_text())
        assert content["model"] == name and len(content["frames"]) == 6
        assert (out / "frames.mp4").stat().st_size > 1000


def test_fewer_bits(exported, tmp_path):
    exact = Predictor.from_checkpoint(exported("tsmsa", False))
    frames = [picture(number, (64, 64)) // 2 + 60 for number in range(6)]
    for number, frame in enumerate(frames):
        write(tmp_path / f"{number}.png", frame)
    expected = [prediction.probability for prediction in exact.stream(frames)]
    about = onnx_run.open_session(exported("tsmsa", False)).get_modelmeta().custom_metadata_map[onnx_run.METADATA_KEY]
    for precision, limit in (("fp16", 0.02), ("int8", 0.2)):
        out = tmp_path / f"{precision}.onnx"
        shutil.copy(exported("tsmsa", False), out)
        quantise(out, precision, about, str(tmp_path), 2)
        found = [prediction.probability for prediction in Predictor.from_checkpoint(out).stream(frames)]
        different = np.abs(np.array(found) - expected).max()
        assert 0 < different < limit, precision
        assert out.stat().st_size != exported("tsmsa", False).stat().st_size


def test_a_detector_in_half_precision(exported, tmp_path):
    """The converter gives its file two casts of one name, which ONNX Runtime does not read."""
    exact = Predictor.from_checkpoint(exported("sstnet", False), threshold=0.0)
    frames = [picture(number, (64, 64)) // 2 + 60 for number in range(3)]
    out = tmp_path / "fp16.onnx"
    shutil.copy(exported("sstnet", False), out)
    about = onnx_run.open_session(out).get_modelmeta().custom_metadata_map[onnx_run.METADATA_KEY]
    quantise(out, "fp16", about)
    for one, other in zip(
        exact.stream(frames), Predictor.from_checkpoint(out, threshold=0.0).stream(frames), strict=True
    ):
        assert abs(one.boxes[0, 4] - other.boxes[0, 4]) < 0.02


def test_mistakes(weights, tmp_path):
    with pytest.raises(UserError, match="expected --format onnx"):
        export.main(["--weights", "x", "--format", "torch-export", "--precision", "fp16"])
    with pytest.raises(UserError, match="--calibrate: goes with --precision int8"):
        export.main(["--weights", "x", "--precision", "int8"])
    (tmp_path / "x.onnx").write_bytes(b"nothing")
    with pytest.raises(UserError, match="not a readable ONNX file"):
        Predictor.from_checkpoint(tmp_path / "x.onnx")
