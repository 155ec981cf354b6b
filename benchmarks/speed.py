"""Milliseconds, operations and memory of TSMSA and SSTNet against the literal networks, which give the same numbers.

    python -m benchmarks.speed --json speed.json
    python -m benchmarks.speed --networks tsmsa --sizes 256 --compile
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from benchmarks.measure import add_ratios, alternate, check_json, gflops, parser, peak_mib, report
from utils.errors import UserError, user_errors
from utils.memory import keep_memory

SIZES = {"tsmsa": (512, 256), "sstnet": (512,)}
TRAINING = {"tsmsa": (256, 4), "sstnet": (256, 2)}  # size, batch
EXACT = 1e-5  # of the literal output's range; where float32 is further away the benchmark stops


def main(argv: list[str] | None = None) -> None:
    options = parser("speed", __doc__.splitlines()[0])
    options.add_argument("--networks", nargs="+", choices=sorted(SIZES), default=sorted(SIZES, reverse=True))
    options.add_argument("--sizes", nargs="+", type=int, help="sides of the frames (default: 512 and 256 for TSMSA, "
                         "512 for SSTNet; training steps: 256)")
    options.add_argument("--batches", nargs="+", type=int, default=[1, 4], help="clips, or streams, at once")
    options.add_argument("--work", nargs="+", choices=("inference", "training"), default=["inference", "training"])
    options.add_argument("--bf16", action="store_true", help="half precision too")
    options.add_argument("--compile", action="store_true", help="torch.compile too, start-up time in a line of its own")
    options.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N")
    with user_errors():
        chosen = options.parse_args(argv)
        check_json(chosen.json)
        if chosen.quick:
            chosen.sizes, chosen.batches, chosen.rounds = chosen.sizes or [64], [1], 2
        for size in chosen.sizes or ():
            if size < 32 or size % 32:
                raise UserError(f"--sizes: found {size}, expected multiples of 32")
        if min(chosen.batches) < 1:
            raise UserError(f"--batches: found {min(chosen.batches)}, expected at least 1")
        run(chosen)


def run(chosen: Any) -> None:
    import torch

    from utils.predictor import pick_device

    keep_memory()
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    chosen.device = pick_device(chosen.device)
    rows: list[dict[str, Any]] = []
    for name in chosen.networks:
        if "inference" in chosen.work:
            for size in chosen.sizes or SIZES[name]:
                for batch in chosen.batches:
                    rows += inference(name, size, batch, chosen)
        if "training" in chosen.work:
            size, batch = TRAINING[name]
            for side in chosen.sizes or [size]:
                rows += training(name, side, batch, chosen)
    add_ratios(rows, "literal")
    print(f"PyTorch {torch.__version__}, {chosen.device}, {torch.get_num_threads()} threads")
    report(rows, chosen.json)


def inference(name: str, size: int, batch: int, chosen: Any) -> list[dict[str, Any]]:
    """Rows of one network at one size and batch: literal, over whole clips, streaming."""
    import torch

    from benchmarks.networks import clip_of, deviation, pair, random_frames

    literal, model = pair(name, chosen.device)
    frames = random_frames(model.network, model.network.num_frames, batch, size, chosen.device)
    clip, key = clip_of(frames), frames[-1]
    with torch.inference_mode():
        expected = literal(clip)
    calls, networks, differences = {"literal": lambda: literal(clip)}, {"literal": literal}, {"literal": 0.0}
    starts: dict[str, float] = {}
    for label, runtime in runtimes(model.network, chosen):
        began = time.perf_counter()
        outputs = {f"clip {label}": runtime.windows(clip), f"stream {label}": [runtime(frame) for frame in frames][-1]}
        starts[label] = time.perf_counter() - began
        for variant, output in outputs.items():
            networks[variant], differences[variant] = runtime.network, deviation(output, expected)
        calls[f"clip {label}"] = lambda runtime=runtime: runtime.windows(clip)
        calls[f"stream {label}"] = lambda runtime=runtime: runtime(key)
    work = f"{name} {size}×{size}, batch {batch}"
    for variant, different in differences.items():
        if "float32" in variant and different > EXACT:
            raise SystemExit(f"{work}, {variant}: {different:.2g} of the range away from the literal output")
    with torch.inference_mode():
        ms = alternate(calls, chosen.rounds, synchronizer(chosen.device))
        rows = [row(work, variant, ms[variant], call, networks[variant], differences[variant], chosen)
                for variant, call in calls.items()]
    for label, seconds in starts.items():
        if "compile" in label:
            print(f"{work}, {label}: first clip and frames after {seconds:.0f} s")
    return rows


def runtimes(network: Any, chosen: Any) -> Iterator[tuple[str, Any]]:
    """The ways to run `network` that were asked for."""
    from nets.runtime import Runtime

    for precision in ("float32", "bfloat16") if chosen.bf16 else ("float32",):
        yield precision, Runtime(network, chosen.device, precision)
        if chosen.device.type == "cuda":
            yield f"{precision} graphs", Runtime(network, chosen.device, precision, graphs=True)
        if chosen.compile:
            yield f"{precision} compile", Runtime(network, chosen.device, precision, compile=True)


def row(work: str, variant: str, ms: float, call: Any, network: Any, different: float | None, chosen: Any
        ) -> dict[str, Any]:
    compiled = "compile" in variant or "graphs" in variant  # their operations are not seen one by one
    return {
        "work": work, "variant": variant, "ms": round(ms, 3), "ratio": None,
        "gflops": None if compiled else round(gflops(call), 3),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "peak_mib": None if compiled else round(peak_mib(call, chosen.device), 1), "deviation": different,
    }


def training(name: str, size: int, batch: int, chosen: Any) -> list[dict[str, Any]]:
    """Rows of one training step: forward, loss, backward, optimiser."""
    import torch

    from benchmarks.networks import clip_of, pair, random_frames
    from nets import DETECTORS

    literal, model = pair(name, chosen.device)
    networks = {"literal": literal, "ours": model.network.to(memory_format=torch.channels_last)}
    if name in DETECTORS:
        folding = pair(name, chosen.device).model.network
        folding.fold_frames = folding.neck.fold = True
        networks["ours, fold_frames"] = folding.to(memory_format=torch.channels_last)
    frames = random_frames(model.network, model.network.num_frames, batch, size, chosen.device)
    clip = clip_of(frames)
    targets = targets_of(name, batch, size, chosen.device)
    calls = {}
    for variant, network in networks.items():
        optimizer = torch.optim.SGD(network.train().parameters(), 1e-6, momentum=0.937, nesterov=True)
        calls[variant] = step(network, model.criterion, clip, targets, optimizer)
    ms = alternate(calls, chosen.rounds, synchronizer(chosen.device))
    work = f"{name} training step {size}×{size}, batch {batch}"
    return [row(work, variant, ms[variant], call, networks[variant], None, chosen) for variant, call in calls.items()]


def step(network: Any, criterion: Any, clip: Any, targets: Any, optimizer: Any) -> Any:
    from nets.sstnet import TrainingOutput

    def call() -> None:
        outputs = network(clip)
        if isinstance(outputs, tuple):
            outputs = TrainingOutput(*outputs)
        optimizer.zero_grad(set_to_none=True)
        sum(criterion(outputs, targets).values()).backward()
        optimizer.step()

    return call


def targets_of(name: str, batch: int, size: int, device: Any) -> dict[str, Any]:
    """Two targets of 6×6 pixels in each key frame, as masks or boxes."""
    import torch

    from nets import DETECTORS

    if name in DETECTORS:
        boxes = torch.tensor([[at, at, at + 6.0, at + 6.0, 0.0] for at in (size / 4, size / 2)], device=device)
        return {"boxes": [boxes] * batch}
    mask = torch.zeros(batch, 1, size, size, device=device)
    for at in (size // 4, size // 2):
        mask[..., at : at + 6, at : at + 6] = 1
    return {"mask": mask}


def synchronizer(device: Any) -> Any:
    import torch

    return (lambda: torch.cuda.synchronize(device)) if device.type == "cuda" else (lambda: None)


if __name__ == "__main__":
    main()
