"""Runtimes against the network itself, and the benchmarks' commands."""

import json
from functools import partial

import pytest
import torch
from devices import GPU, gpu
from known_answers import assert_close
from networks import EXACT, SMALL, as_clip, filled, frames_of, windowed
from torch.utils._pytree import tree_leaves, tree_map

from benchmarks import data, metrics, scaling, speed
from benchmarks.memory import PeakMemory
from nets.inference.folding import fold_network
from nets.inference.runtime import RecordedFunction, Runtime
from nets.inference.streaming import Stream
from nets.sstnet import SSTNet
from nets.tsmsa import TSMSA

MIB = 2**20


@pytest.mark.parametrize("network", [TSMSA(num_frames=3), SSTNet(num_frames=3, **SMALL)])
def test_a_runtime_gives_the_networks_outputs(network):
    network = filled(network).train()
    runtime = Runtime(network)
    assert network.training, "the network itself stays as it was"
    frames = frames_of(network, 5, 2, 32, 32)
    with torch.no_grad():
        expected = windowed(network.eval(), frames)
    assert_close(runtime.windows(as_clip(network, frames, 4)), expected[4].numpy(), EXACT)
    outputs = torch.stack(list(runtime.stream(frames)))
    assert not outputs.requires_grad
    assert_close(outputs, expected.numpy(), EXACT)
    assert_close(torch.stack(list(runtime.stream(frames))), expected.numpy(), EXACT)
    runtime.reset()
    assert_close(runtime.chunk(frames), expected.numpy(), EXACT)


def test_bfloat16_is_close_and_returns_float32():
    network = filled(TSMSA(num_slices=2, num_frames=3))
    frames = frames_of(network, 4, 1, 32, 32)
    runtimes = [Runtime(network, precision=name) for name in ("float32", "bfloat16")]
    exact, half = (torch.stack(list(runtime.stream(frames))) for runtime in runtimes)
    assert half.dtype == torch.float32
    different = (exact - half).abs().mean() / (exact.max() - exact.min())
    assert 1e-5 < different < 0.05


def test_choices_that_do_not_go_together_are_named():
    network = TSMSA()
    with pytest.raises(ValueError, match="got precision 'int8', expected one of float32, bfloat16, float16"):
        Runtime(network, precision="int8")
    with pytest.raises(ValueError, match="CUDA graphs need a GPU"):
        Runtime(network, graphs=True)


@torch.no_grad()
def test_recorded_calls_stream_alike():
    """On the CPU, where a call that is recorded is just run again, into the same memory."""
    recorded = []

    def record(step, device):
        recorded.append(device)
        output = tree_map(torch.clone, step())

        def replay():
            for fixed, new in zip(tree_leaves(output), tree_leaves(step()), strict=True):
                fixed.copy_(new)

        return replay, output

    network = fold_network(filled(TSMSA(num_slices=2, num_frames=4)))
    small, large = (frames_of(network, 6, 2, *size) for size in ((16, 24), (24, 16)))
    expected = [windowed(network, frames).numpy() for frames in (small, large)]
    network.observe, network.decide = (
        RecordedFunction(call, record, max_graphs=2) for call in (network.observe, network.decide)
    )
    stream = Stream(network)
    for frames, outputs in ((small, expected[0]), (large, expected[1]), (small, expected[0])):
        stream.reset()
        assert_close(torch.stack([stream(frame) for frame in frames]), outputs, EXACT)
    stream.reset()
    assert_close(stream.chunk(small), expected[0], EXACT)  # a third shape runs as it is
    assert len(recorded) == 4


@torch.no_grad()
@pytest.mark.parametrize("network", [TSMSA(num_frames=3), SSTNet(num_frames=3, **SMALL)])
@pytest.mark.parametrize("one_by_one", [True, False])
def test_what_frames_contribute_makes_clips_of_any_choice(network, one_by_one):
    network = filled(network).eval()
    runtime = Runtime(network)
    runtime._one_by_one = one_by_one  # as on a CPU, as on a GPU
    frames = frames_of(network, 5, 1, 32, 32)
    contributions = runtime.observe(frames[:, 0])
    clips = [(0, 0, 2), (4, 1, 3)]
    keys = torch.cat([frames[clip[-1]] for clip in clips])
    outputs = runtime.decide(keys, [[contributions[index] for index in clip] for clip in clips])
    expected = torch.cat([network(as_clip(network, frames[list(clip)], 2)) for clip in clips])
    assert_close(outputs, expected.numpy(), EXACT)


def test_compiled_methods_give_the_same_outputs(monkeypatch):
    """Traced as for `torch.compile`, but run as they are: generating code takes minutes."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager", fullgraph=True))
    network = filled(TSMSA(num_frames=3, blocks=(1, 1, 1)))
    frames = frames_of(network, 4, 1, 16, 16)
    runtimes = [Runtime(network, compile=compile) for compile in (False, True)]
    expected, outputs = (torch.stack(list(runtime.stream(frames))) for runtime in runtimes)
    assert_close(outputs, expected.numpy(), EXACT)


@gpu
@pytest.mark.parametrize("options", [{}, {"graphs": True}, {"compile": True}], ids=["plain", "graphs", "compile"])
@pytest.mark.parametrize("network", [TSMSA(), TSMSA(num_slices=2, num_layers=2), SSTNet(**SMALL)])
def test_a_gpu_gives_the_same_outputs(network, options, monkeypatch):
    if GPU == "cpu" and options:
        pytest.skip("a CPU has no graphs, and compiling for it takes minutes")
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    network = filled(network)
    frames = frames_of(network, 7, 2, 64, 96)
    expected = torch.stack(list(Runtime(network).stream(frames)))
    runtime = Runtime(network, GPU, **options)
    for _ in range(2):
        assert_close(torch.stack(list(runtime.stream(frames))), expected.numpy(), 1e-4)
    other = frames[..., :64]
    again = torch.stack(list(Runtime(network).stream(other)))
    assert_close(torch.stack(list(runtime.stream(other))), again.numpy(), 1e-4)
    runtime.reset()
    assert_close(runtime.chunk(frames).cpu(), expected.numpy(), 1e-4)


@gpu
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_on_a_gpu_is_close(precision):
    network = filled(TSMSA())
    frames = frames_of(network, 6, 1, 64, 64)
    expected = torch.stack(list(Runtime(network).stream(frames)))
    if GPU == "cpu" and precision == "float16":
        pytest.skip("fp16 is for GPUs")
    for graphs in (False,) if GPU == "cpu" else (False, True):
        outputs = torch.stack(list(Runtime(network, GPU, precision, graphs=graphs).stream(frames)))
        assert (outputs - expected).abs().mean() / (expected.max() - expected.min()) < 0.05


# Benchmarks


def test_peak_memory_counts_what_is_alive_at_one_time():
    x = torch.zeros(MIB // 4)
    with PeakMemory() as counter:
        for _ in range(3):
            y = x + 1
            y.add_(1)
            x.view(2, -1).mul_(2)
        z = y * 2  # beside y; the other sums are gone
    assert counter.peak == 2 * MIB and len(z) == len(y)


def test_speed_writes_its_rows(tmp_path):
    file = tmp_path / "speed.json"
    speed.main(["--quick", "--networks", "tsmsa", "--sizes", "32", "--bf16", "--json", str(file)])
    rows = json.loads(file.read_text())
    variants = ["literal", "clip float32", "stream float32", "clip bfloat16", "stream bfloat16"]
    assert [row["variant"] for row in rows] == [*variants, "literal", "ours"]
    for row in rows:
        assert row["ms"] > 0 and row["ratio"] > 0 and row["gflops"] > 0 and row["peak_mib"] > 0, row
    literal, clip, stream = (row["gflops"] for row in rows[:3])
    assert stream < clip < literal / 3
    assert rows[1]["deviation"] < EXACT and rows[2]["deviation"] < EXACT < rows[3]["deviation"]
    assert rows[0]["parameters"] == 415_300
    assert rows[5]["gflops"] > 2 * rows[6]["gflops"]


def test_the_other_benchmarks_run(tmp_path, capsys):
    pytest.importorskip("skimage", reason="scikit-image is not installed; it is what benchmarks.metrics compares with")
    for module, count in ((data, 6), (metrics, 12), (scaling, 10)):
        file = tmp_path / f"{module.__name__}.json"
        networks = ["--networks", "tsmsa"] if module is scaling else []
        module.main(["--quick", "--json", str(file), *networks])
        rows = json.loads(file.read_text())
        assert len(rows) == count and all(row["ms"] > 0 for row in rows)
        assert rows[0]["work"] in capsys.readouterr().out


@pytest.mark.parametrize(
    ("module", "arguments", "message"),
    [
        (speed, ["--sizes", "100"], "--sizes: found 100, expected multiples of 32"),
        (speed, ["--batches", "0"], "--batches: found '0'"),
        (speed, ["--network", "tsmsa"], "unrecognized arguments: --network"),
        (speed, ["--json", "no/such/folder/file"], "expected a file in a folder that exists"),
        (speed, ["--rounds", "0"], "found '0', expected int at least 1"),
        (data, ["--workers", "-1"], "--workers"),
        (scaling, ["--of", "time"], "invalid choice: 'time'"),
        (metrics, ["--size", "8"], "--size: found '8'"),
    ],
)
def test_mistakes_are_one_line(module, arguments, message, capsys):
    if module is metrics:
        pytest.importorskip("skimage")
    with pytest.raises(SystemExit) as stop:
        module.main(arguments)
    error = capsys.readouterr().err
    assert stop.value.code == 2 and message in error and error.count("\n") == 1
