"""Milliseconds, operations and memory of TSMSA and SSTNet against the literal networks, which give the same numbers.

    python -m benchmarks.speed --json speed.json
    python -m benchmarks.speed --networks tsmsa --sizes 256 --compile
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.measure import Counted, add_ratios, alternate, check_json, counted, parser, report
from utils.system.errors import UserError, user_errors
from utils.system.machine import keep_memory

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
    options.add_argument("--compile", action="store_true", help="torch.compile too, for streams of the first size "
                         "and batch, in the lowest precision; start-up time in a line of its own")
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

    from utils.system.machine import pick_device

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

    work = f"{name} {size}×{size}, batch {batch}"
    literal, model = pair(name, chosen.device)
    frames = random_frames(model.network, model.network.num_frames, batch, size, chosen.device)
    clip, key = clip_of(frames), frames[-1]
    calls, networks = {"literal": lambda: literal(clip)}, {"literal": literal}
    for label, runtime in runtimes(name, model.network, size, batch, chosen):
        began = time.perf_counter()
        for frame in frames[:-1]:
            runtime(frame)
        if "compile" in label:
            print(f"{work}, {label}: first frame after {time.perf_counter() - began:.0f} s")
        else:
            calls[f"clip {label}"] = lambda runtime=runtime: runtime.windows(clip)
        calls[f"stream {label}"] = lambda runtime=runtime: runtime(key)
        networks |= {f"{way} {label}": runtime.network for way in ("clip", "stream")}
    with torch.inference_mode():
        counts = {variant: count(variant, call, chosen) for variant, call in calls.items()}
        different = {variant: deviation(found.output, counts["literal"].output) for variant, found in counts.items()}
        for variant, value in different.items():
            if "float32" in variant and value > EXACT:
                raise SystemExit(f"{work}, {variant}: {value:.2g} of the range away from the literal output")
        ms = alternate(calls, chosen.rounds, synchronizer(chosen.device), warm=True)
    return [row(work, variant, ms[variant], counts[variant], networks[variant], different[variant])
            for variant in calls]


def runtimes(name: str, network: Any, size: int, batch: int, chosen: Any) -> Iterator[tuple[str, Any]]:
    """The ways to run `network` that were asked for. What was compiled serves one shape, and making it takes minutes:
    only at the first size and batch, in the lowest precision."""
    from nets.inference.runtime import Runtime

    first = (size, batch) == ((chosen.sizes or SIZES[name])[0], chosen.batches[0])
    precisions = ("float32", "bfloat16") if chosen.bf16 else ("float32",)
    for precision in precisions:
        yield precision, Runtime(network, chosen.device, precision)
        if chosen.device.type == "cuda":
            yield f"{precision} graphs", Runtime(network, chosen.device, precision, graphs=True)
    if chosen.compile and first:
        yield f"{precisions[-1]} compile", Runtime(network, chosen.device, precisions[-1], compile=True)


def count(variant: str, call: Any, chosen: Any) -> Counted:
    """Operations and memory; of compiled calls and graphs they are not seen one by one."""
    if "compile" in variant or "graphs" in variant:
        return Counted(call(), math.nan, math.nan)
    return counted(call, chosen.device)


def row(work: str, variant: str, ms: float, counts: Counted, network: Any, different: float | None) -> dict[str, Any]:
    gflops, peak = (None if math.isnan(value) else value for value in (counts.gflops, counts.peak_mib))
    return {
        "work": work, "variant": variant, "ms": round(ms, 3), "ratio": None, "gflops": gflops and round(gflops, 3),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "peak_mib": peak and round(peak, 1), "deviation": different,
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
    counts = {variant: count(variant, call, chosen) for variant, call in calls.items()}
    ms = alternate(calls, chosen.rounds, synchronizer(chosen.device), warm=True)
    work = f"{name} training step {size}×{size}, batch {batch}"
    return [row(work, variant, ms[variant], counts[variant], networks[variant], None) for variant in calls]


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
