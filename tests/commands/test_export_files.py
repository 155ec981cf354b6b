"""Exports: .pt2 files at other batches and sizes, what int8 is calibrated on, and files that do not pass the checks."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from exporting import OPTIONS, PARTS, all_weights, write_weights
from scripts import run_without_torch
from trees import picture, write

from nets.inference.exportable import ClipExport, StreamExport
from utils import export
from utils.clips.settings import ClipSettings
from utils.commands.exported_program import measure_deviation, side_multiple
from utils.commands.quantise import clips_of, pick_evenly
from utils.predictor.frame_preparation import intake_for
from utils.predictor.onnx_run import METADATA_KEY
from utils.predictor.predictor import Predictor
from utils.predictor.weights import read_weights
from utils.system.errors import UserError
from utils.video.sources import open_sources

pytestmark = pytest.mark.usefixtures("silent_exporter")


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return all_weights(tmp_path_factory.mktemp("weights"))


@pytest.mark.parametrize("name, streaming", PARTS)
def test_torch_export(weights, tmp_path, capsys, name, streaming):
    out = tmp_path / "x.pt2"
    export.main(
        [
            "--weights",
            str(weights / f"{name}.pt"),
            "--format",
            "torch-export",
            "--out",
            str(out),
            *["--streaming"] * streaming,
        ]
    )
    assert "differs from PyTorch by" in capsys.readouterr().out
    extra = {METADATA_KEY: ""}
    program = torch.export.load(str(out), extra_files=extra).module()
    assert json.loads(extra[METADATA_KEY])["settings"]["name"] == name
    network, detects = read_weights(weights / f"{name}.pt").model.network, name == "sstnet"
    module = (StreamExport if streaming else ClipExport)(network, detects).eval()
    for batch in (1, 2):
        for size in ((64, 96), (2 * network.multiple, 128)):
            frames = () if streaming else (OPTIONS[name]["num_frames"],)
            inputs = [torch.randn(batch, *((3,) if detects else (1,) * streaming), *frames, *size)]
            if streaming:
                inputs += [torch.randn(part.shape) for part in module.empty_state(inputs[0])]
            with torch.no_grad():
                for found, expected in zip(program(*inputs), module(*inputs), strict=True):
                    assert found.shape == expected.shape and torch.allclose(found, expected, atol=1e-5)


class Louder(torch.nn.Module):
    """What an export has to be compared with, a little off."""

    def __init__(self, module, gain=1.01):
        super().__init__()
        self.module, self.gain = module, gain

    def forward(self, *inputs):
        return tuple(self.gain * part for part in self.module(*inputs))


@pytest.mark.parametrize(
    "form, precision, gain",
    [
        ("torch-export", "float32", 1.01),
        ("torch-export", "float32", float("nan")),
        ("onnx", "float32", 1.01),
        ("onnx", "int8", 1.01),
    ],
)
def test_a_file_that_fails_is_not_kept(weights, tmp_path, monkeypatch, form, precision, gain):
    """Neither one that differs from PyTorch, nor a float32 one under the name of an int8 one."""
    if form == "onnx":
        pytest.importorskip("onnxruntime", reason="needs onnxruntime")
        pytest.importorskip("onnxscript", reason="needs onnxscript")
    write(tmp_path / "frames/0.png", picture(0, (64, 64)))
    program, module, arguments = export.export_program(read_weights(weights / "tsmsa.pt"), False)
    compared, what = (
        (module, "too few frames") if precision == "int8" else (Louder(module, gain), "differs from PyTorch")
    )
    monkeypatch.setattr(export, "export_program", lambda *_: (program, compared, arguments))
    out = tmp_path / "out" / f"x{export.ENDINGS[form]}"
    out.parent.mkdir()
    out.write_bytes(f"what was there before, {METADATA_KEY}".encode())
    with pytest.raises(UserError, match=what):
        export.main(
            [
                "--weights",
                str(weights / "tsmsa.pt"),
                "--format",
                form,
                "--out",
                str(out),
                "--precision",
                precision,
                *(["--calibrate", str(tmp_path / "frames")] if precision == "int8" else []),
            ]
        )
    assert [path.read_bytes() for path in out.parent.iterdir()] == [f"what was there before, {METADATA_KEY}".encode()]


@pytest.mark.parametrize("broken", [0, 1])
def test_one_result_that_is_no_number_makes_the_deviation_none(weights, broken):
    loaded = read_weights(weights / "sstnet.pt")
    _, module, arguments = export.export_program(loaded, False)

    def run(inputs):
        with torch.no_grad():
            results = [part.numpy().copy() for part in module(*map(torch.from_numpy, inputs))]
        results[broken].flat[0] = np.nan
        return results

    assert np.isnan(measure_deviation(run, module, arguments, side_multiple(loaded.model.network)))


def test_calibration_sees_what_inference_sees(tmp_path):
    """Raw frames of a panning camera with a bad pixel, before a network that has learnt from 8 bits: through the same
    window, step, alignment and mending as in vid_predict.py."""
    scene = np.random.default_rng(0).normal(8000, 300, (60, 140)).round().astype(np.uint16)
    for number in range(24):
        frame = scene[:, 2 * number : 2 * number + 80].copy()
        frame[30, 40] = 16000
        write(tmp_path / f"frames/{number + 5}.png", frame)
    path = write_weights(tmp_path, "tsmsa", register=True, bad_pixels=True, frame_step=3)
    predictor, seen = Predictor.from_checkpoint(path, "cpu"), []

    def run(clips):
        seen.append(clips.copy())
        return np.zeros((1, *clips.shape[-2:]), np.float32)

    recorder = dataclasses.replace(predictor, run=run)
    intake = intake_for(predictor.settings)
    assert len(list(recorder.stream_with(intake.frames(open_sources(tmp_path / "frames")[0])))) == 24
    found = clips_of(predictor, str(tmp_path / "frames"), 3)
    assert [clip.dtype for clip in found] == [np.float32] * 3 and np.abs(found).max() < 6  # standard deviations
    for clip, position in zip(found, (12, 17, 23), strict=True):  # from the first that repeats no frame on
        assert np.array_equal(clip, seen[position])
    assert np.abs(found[0][0, 0] - found[0][0, -1]).mean() < 0.2  # the scene stands still: 24 px apart it is another


def test_calibration_over_many_sequences(tmp_path):
    for name in range(7):
        for number in range(3 if name == 2 else 8):
            write(tmp_path / f"data/s{name}/{number}.png", np.full((32, 32), 10 * name + number, np.uint8))
    predictor = Predictor(lambda clips: clips[:, -1], ClipSettings(5, (0.0, 1.0)), multiple=1)
    assert [int(clip[0, -1, 0, 0]) for clip in clips_of(predictor, str(tmp_path / "data"), 3)] == [4, 34, 64]
    assert len(clips_of(predictor, str(tmp_path / "data"), 20)) == 20
    with pytest.raises(UserError, match="found too few frames to calibrate on, expected 5 or more"):
        clips_of(predictor, str(tmp_path / "data/s2"), 3)
    assert pick_evenly(range(4, 10), 3) == [4, 6, 9] and pick_evenly([7, 8], 5) == [7, 8] and pick_evenly([], 3) == []


def test_exports_where_a_checkpoint_is_expected(tmp_path):
    for ending, what in ((".pt2", "a torch.export program"), (".onnx", "an ONNX export")):
        path = tmp_path / f"best{ending}"
        path.write_bytes(b"PK")
        with pytest.raises(UserError, match=f"found {what}.*give the checkpoint that it was made from"):
            export.main(["--weights", str(path), "--out", str(tmp_path / "x.onnx")])
    with pytest.raises(UserError, match="found a torch.export program"):
        Predictor.from_checkpoint(tmp_path / "best.pt2")
    with pytest.raises(UserError, match=r"--out: found x.pt, expected a name that ends with .onnx"):
        export.main(["--weights", "x", "--out", "x.pt"])


def test_a_checkpoint_without_torch(weights, tmp_path):
    write(tmp_path / "frames/0.png", picture(0, (40, 50)))
    done = run_without_torch(
        "vid_predict", "--weights", weights / "tsmsa.pt", "--source", tmp_path / "frames", "--out", tmp_path / "out"
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "need PyTorch" in done.stderr and "give an .onnx file" in done.stderr


@pytest.mark.parametrize(
    "options, name",
    [
        ({}, "best.onnx"),
        ({"streaming": True}, "best-streaming.onnx"),
        ({"precision": "int8"}, "best-int8.onnx"),
        ({"streaming": True, "precision": "fp16"}, "best-streaming-fp16.onnx"),
        ({"format": "torch-export"}, "best.pt2"),
    ],
)
def test_a_file_without_a_name_lies_beside_the_weights_and_says_what_it_is(options, name):
    settings = export.ExportSettings("runs/a/best.pt", **options)
    assert settings.path.as_posix() == f"runs/a/{name}"
