"""--threads: every command that runs networks or classical methods has it, and keeps to it."""

import ctypes
import importlib
import os
import runpy
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from modules import MODULES, reached_from
from scripts import ROOT, script
from trees import write_pairs, write_text

from utils.system.threads import limit_threads

COMMANDS = sorted(
    name
    for name, path in MODULES.items()
    if path.name == "__main__.py" or '__name__ == "__main__"' in path.read_text(encoding="utf-8")
)
RUN_NONE = {  # import them, to read batches, to copy weights, and to read what was predicted
    "benchmarks.index",
    "utils.bundle",
    "benchmarks.view",
    "utils.view.__main__",
}
START_TRAINING = {"benchmarks.steady"}  # in a process of its own


def runs_networks(command):
    reached = reached_from(command)
    imported = "utils.predictor.classical" in reached or any(name.startswith("nets.") for name in reached)
    return (imported and command not in RUN_NONE) or command in START_TRAINING


@pytest.mark.parametrize("command", [name for name in COMMANDS if runs_networks(name)])
def test_commands_have_it_where_they_run_networks_or_methods(command, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [command, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(MODULES[command]), run_name="__main__")
    assert ended.value.code == 0
    assert "--threads" in capsys.readouterr().out


def test_the_walk_knows_commands_of_both_kinds():
    kinds = {command: runs_networks(command) for command in COMMANDS}
    assert all(kinds[name] for name in ("test", "vid_map_coco", "vid_predict", "train_NUDT", "utils.export"))
    assert not any(kinds[name] for name in ("utils.checks", "utils_coco.boxes_to_masks", "utils.synthetic.__main__"))


def algebra_threads():
    """Threads of NumPy's linear algebra; None where it cannot be asked."""
    library = ctypes.CDLL(np.linalg._umath_linalg.__file__)
    names = ("scipy_openblas_get_num_threads64_", "openblas_get_num_threads64_", "openblas_get_num_threads")
    return next((getattr(library, name)() for name in names if hasattr(library, name)), None)


@pytest.fixture
def threads_restored(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
    before = torch.get_num_threads(), cv2.getNumThreads(), algebra_threads()
    yield
    limit_threads(before[2] or 1)
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])


@pytest.mark.usefixtures("threads_restored")
def test_each_library_keeps_to_it_and_0_changes_nothing():
    for count in (2, 0, 1):
        limit_threads(count)
        found = torch.get_num_threads(), cv2.getNumThreads(), algebra_threads(), os.environ["OMP_NUM_THREADS"]
        assert found == (count or 2, count or 2, None if algebra_threads() is None else count or 2, str(count or 2))


@pytest.mark.usefixtures("threads_restored")
def test_onnx_runtime_keeps_to_it(tmp_path):
    onnx, _ = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    from utils.predictor.onnx_run import open_session

    plane = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in ("x", "y")]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Abs", ["x"], ["y"])], "g", plane[:1], plane[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, tmp_path / "a.onnx")
    limit_threads(3)
    assert open_session(tmp_path / "a.onnx").get_session_options().intra_op_num_threads == 3


def test_pytorch_keeps_to_it_where_it_is_imported_later():
    code = (
        "from utils.system.threads import limit_threads; limit_threads(1); import torch; print(torch.get_num_threads())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "1\n", done.stderr


@pytest.mark.usefixtures("threads_restored")
@pytest.mark.parametrize("name", ["test", "vid_map_coco", "vid_predict", "utils.report.__main__"])
def test_commands_keep_to_it(tmp_path, name):
    root = write_pairs(tmp_path / "root", [f"1/{number}" for number in range(2)])
    write_text(root / "test.txt", "images/1/0.png\nimages/1/1.png\n")
    out = str(tmp_path / ("report.html" if "report" in name else "out"))
    data = ["--source", str(root / "images/1")] if name == "vid_predict" else ["--data-root", str(root)]
    method = ["top-hat"] if "report" in name else ["--method", "top-hat"]
    command = importlib.import_module(name) if "." in name else script(name)
    command.main([*data, *method, "--out", out, "--quiet", "--threads", "3"])
    assert torch.get_num_threads() == cv2.getNumThreads() == 3
    if "report" in name:
        assert "3 threads" in (tmp_path / "report.md").read_text()


@pytest.mark.usefixtures("threads_restored")
def test_exports_keep_to_it(tmp_path, monkeypatch):
    export = importlib.import_module("utils.export")
    write_text(tmp_path / "best.pt", "")
    monkeypatch.setattr(export, "export", lambda given: f"{given.threads} {torch.get_num_threads()}")
    export.main(["--weights", str(tmp_path / "best.pt"), "--threads", "3"])
    assert torch.get_num_threads() == 3
