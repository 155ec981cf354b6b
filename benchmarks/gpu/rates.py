"""Frames a second of one network on a device: streaming and batched, in every precision, as it is, recorded, compiled.

The literal network stands beside it; `deviation` is from ours in float32 on the CPU, by its range.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks.gpu.rows import RowFile, stage_parser
from benchmarks.measure import Call, median_ms
from benchmarks.speed import DEFAULT_SIZES, OPTIONS, synchronizer
from benchmarks.tiles import scene_frames
from utils.commands.exported_program import steady_share
from utils.system.errors import user_errors
from utils.system.machine import keep_memory, pick_device

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from nets.inference.runtime import Runtime

# torch and what imports it stay inside functions: too slow for a command line that may be mistyped.
QUICK_SIZE = 32
PRECISIONS = {"float32": "float32", "bfloat16": "bf16", "float16": "fp16"}  # of runtimes → of predictors
WAYS = ("as it is", "recorded")
COMPILED_PRECISION = "bfloat16"


@dataclass(frozen=True)
class Subject:
    """What is measured, and for how long.

    Args:
        name: of the network.
        size: side of its frames.
        device: it runs on.
        at_once: frames of a batch.
        seconds: of every figure.
        quick: whether compiling stops before code is generated.
    """

    name: str
    size: int
    device: torch.device
    at_once: int
    seconds: float
    quick: bool

    @property
    def options(self) -> dict[str, Any]:
        """Those of the network."""
        return OPTIONS.get(self.name, {})

    @property
    def work(self) -> str:
        """As tables have it."""
        return f"{self.name} {self.size}×{self.size}"


@dataclass(frozen=True)
class Material:
    """The networks, the frames that they see (T, 1, C, H, W), and what ours gives for their clip in float32."""

    literal: nn.Module
    network: nn.Module
    frames: Tensor
    expected: Tensor


@dataclass(frozen=True)
class Figure:
    """A call that takes `frames` at once, and, where it can be told, a function to what it gives for the one clip."""

    variant: str
    frames: int
    call: Call
    output: Callable[[], Tensor] | None = None


def main(argv: list[str] | None = None) -> None:
    """Measure one network."""
    options = stage_parser("rates", __doc__.splitlines()[0])
    options.add_argument("--network", required=True, choices=sorted(DEFAULT_SIZES))
    options.add_argument("--compiled", action="store_true", help="compiled, instead of all the other ways")
    with user_errors():
        chosen = options.parse_args(argv)
        import torch

        keep_memory()
        if chosen.threads:
            torch.set_num_threads(chosen.threads)
        name, quick = chosen.network, chosen.quick
        size = QUICK_SIZE if quick else DEFAULT_SIZES[name][0]
        device = pick_device(chosen.device)
        subject = Subject(name, size, device, 2 if quick else 8, 0.01 if quick else 0.25, quick)
        rows, material = RowFile(chosen.rows), prepare(subject)
        if chosen.compiled:
            measure_compiled(subject, material, rows)
            return
        measure_literal(subject, material, rows)
        for precision in PRECISIONS:
            if precision == "float16" and device.type == "cpu":
                rows.leave_out({"work": subject.work, "precision": precision}, "fp16 is for GPUs")
                continue
            for way in WAYS:
                measure_way(subject, material, precision, way, rows)
            measure_predictor(subject, precision, rows)


def prepare(subject: Subject) -> Material:
    """The networks on the CPU, and what is expected of them."""
    from benchmarks.networks import build_pair, clip_of, random_frames
    from nets.inference.runtime import Runtime

    literal, (network, *_) = build_pair(subject.name, **subject.options)
    frames = random_frames(network, network.num_frames, 1, subject.size)
    return Material(literal, network, frames, Runtime(network).windows(clip_of(frames)))


def measure_literal(subject: Subject, material: Material, rows: RowFile) -> None:
    """Rows of the literal network, over one clip and over a batch of them."""
    import torch

    from benchmarks.networks import clip_of

    literal = material.literal.to(subject.device)
    for count in (1, subject.at_once):
        clips = clip_of(material.frames.expand(-1, count, -1, -1, -1)).to(subject.device)
        names = {"work": subject.work, "precision": "float32", "way": "literal", "variant": _clips(count)}

        def rate(clips: Tensor = clips, count: int = count) -> dict[str, Any]:
            with torch.inference_mode():
                return time_figure(subject, Figure("", count, lambda: literal(clips)))

        rows.measure(names, rate)
    material.literal.cpu()


def measure_way(subject: Subject, material: Material, precision: str, way: str, rows: RowFile) -> None:
    """Rows of one way to run the network in one precision."""
    from nets.inference.runtime import Runtime
    from nets.inference.streaming import can_stream

    names = {"work": subject.work, "precision": precision, "way": way}
    if way == "recorded" and subject.device.type == "cpu":
        rows.leave_out(names, "CUDA graphs need a GPU")
        return
    if way == "recorded" and not can_stream(material.network):
        rows.leave_out(names, "its stream is not recorded")
        return

    @functools.cache
    def runtime() -> Runtime:
        return Runtime(material.network, subject.device, precision, graphs=way == "recorded")

    for figure in figures(subject, material, runtime, streams=True):
        rows.measure(names | {"variant": figure.variant}, lambda figure=figure: measure(subject, material, figure))


def measure_compiled(subject: Subject, material: Material, rows: RowFile) -> None:
    """Rows of the compiled network: each shape takes from half a minute to minutes, so of few."""
    import torch

    from nets.inference.runtime import Runtime
    from nets.inference.streaming import can_stream

    way = "compiled"
    if subject.quick and subject.device.type == "cpu":  # generating code for a CPU takes minutes
        torch.compile, way = functools.partial(torch.compile, backend="eager"), "traced"
    names = {"work": subject.work, "precision": COMPILED_PRECISION, "way": way}

    @functools.cache
    def runtime() -> Runtime:
        return Runtime(material.network, subject.device, COMPILED_PRECISION, compile=True)

    for figure in figures(subject, material, runtime, streams=False):
        if figure.variant != "stream" or can_stream(material.network):
            rows.measure(names | {"variant": figure.variant}, lambda figure=figure: measure(subject, material, figure))


def figures(subject: Subject, material: Material, runtime: Callable[[], Runtime], streams: bool) -> Iterator[Figure]:
    """What is measured of a runtime, which is made when the first figure needs it.

    `streams`: with several frames of streams at once too.
    """
    from benchmarks.networks import clip_of
    from nets.multi_frame.every_frame import EveryFrameNetwork

    device, count, frames = subject.device, subject.at_once, material.frames
    key = frames[-1].to(device)

    def stream() -> Tensor:
        runtime().reset()
        return [runtime()(frame) for frame in frames][-1]

    yield Figure("stream", 1, lambda: runtime()(key), stream)
    if streams:
        keys = key.expand(count, -1, -1, -1)
        yield Figure(f"{count} streams", count, lambda: runtime()(keys))
    if isinstance(material.network, EveryFrameNetwork):
        clip, length = clip_of(frames).to(device), len(frames)
        yield Figure(f"all {length} frames", length, lambda: runtime().frames(clip, length))
    elif streams:
        chunk = key.expand(count, 1, -1, -1, -1)
        yield Figure(f"stream, {count} frames at once", count, lambda: runtime().chunk(chunk))
    clips = clip_of(frames.expand(-1, count, -1, -1, -1)).to(device)
    yield Figure(_clips(count), count, lambda: runtime().windows(clips), lambda: runtime().windows(clips)[:1])


def measure(subject: Subject, material: Material, figure: Figure) -> dict[str, Any]:
    """Time of a figure, how long its first call took, and how far its output is from the expected one."""
    from benchmarks.networks import deviation, peak_deviation
    from nets import CENTRE_DETECTORS

    began = time.perf_counter()
    output = figure.output and figure.output().cpu()
    figure.call()
    synchronizer(subject.device)()
    result = {"start_s": round(time.perf_counter() - began, 2)}
    if output is not None:
        differ = peak_deviation if subject.name in CENTRE_DETECTORS else deviation
        result["deviation"] = float(f"{differ(output, material.expected, steady_share(material.network)):.3g}")
    return result | time_figure(subject, figure)


def time_figure(subject: Subject, figure: Figure) -> dict[str, Any]:
    """Milliseconds of a call, and frames a second."""
    ms = median_ms(figure.call, subject.seconds, synchronizer(subject.device))
    return {"ms": round(ms, 3), "fps": round(1e3 * figure.frames / ms, 2)}


def measure_predictor(subject: Subject, precision: str, rows: RowFile) -> None:
    """The row of frames of 8 bits in, predictions out, as the scripts do it, all that the CPU has to do included."""
    from benchmarks.networks import untrained_predictor

    def measure_stream() -> dict[str, Any]:
        predictor = untrained_predictor(subject.name, str(subject.device), PRECISIONS[precision], **subject.options)
        scene = scene_frames(subject.size, 8)
        scene += scene[-2:0:-1]  # there and back, so that it may go on for ever
        endless = (scene[index % len(scene)] for index in range(10**9))
        predictions = predictor.stream(endless, subject.at_once)
        first = time.perf_counter()
        for _ in range(2 * subject.at_once):
            next(predictions)
        began, count = time.perf_counter(), 0
        while time.perf_counter() - began < 4 * subject.seconds or not count:
            next(predictions)
            count += 1
        seconds = time.perf_counter() - began
        predictions.close()
        return {
            "start_s": round(began - first, 2),
            "ms": round(1e3 * seconds / count, 3),
            "fps": round(count / seconds, 2),
        }

    names = {"work": subject.work, "precision": precision, "way": "Predictor"}
    rows.measure(names | {"variant": f"batches of {subject.at_once}"}, measure_stream)


def _clips(count: int) -> str:
    return "a clip" if count == 1 else f"{count} clips"


if __name__ == "__main__":
    main()
