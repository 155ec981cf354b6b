"""Milliseconds, operations and memory of networks over clips against the literal ones, which give the same numbers.

python -m benchmarks.speed --json speed.json
python -m benchmarks.speed --networks tsmsa --sizes 256 --compile
python -m benchmarks.speed --networks dsfnet micml --batches 1
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Call, CallCost, add_ratios, alternate, check_json, count_cost, make_parser, report
from utils.commands.exported_program import steady_share
from utils.system.command_line import number
from utils.system.errors import UserError, user_errors
from utils.system.machine import keep_memory, pick_device

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from nets.inference.runtime import Runtime

# torch and what imports it stay inside functions: too slow for a command line that may be mistyped.
DEFAULT_SIZES = {
    "tsmsa": (512, 256),
    "sstnet": (512,),
    "resunet_dtum": (512,),
    "deeppro": (128,),
    "deeppro_plus": (128,),
    "dsfnet": (512,),
    "micml": (256,),
}
TRAINING_SHAPES = {  # size, batch
    "tsmsa": (256, 4),
    "sstnet": (256, 2),
    "resunet_dtum": (256, 2),
    "deeppro": (64, 1),
    "deeppro_plus": (64, 1),
    "dsfnet": (128, 2),
    "micml": (128, 2),
}
OPTIONS = {"micml": {"motion_at_test": True}}  # without it its inference is DSFNet's
MAX_DEVIATION = 1e-5  # of the literal output's range; where float32 is further away the benchmark stops
# Deformable convolutions read maps at places that float32 rounds, the further from 0 the coarser: there the literal
# network in float32 is itself away from float64, and ours may be so many times as far.
ROUNDING = 4


@dataclass(frozen=True)
class Setup:
    """How networks are measured; the last of `precisions` is the lowest, `compile`: with `torch.compile` too."""

    device: torch.device
    rounds: int
    precisions: tuple[str, ...]
    compile: bool


def main(argv: list[str] | None = None) -> None:
    """Measure the networks at every size and batch, and print a row for each way."""
    options = make_parser("speed", __doc__.splitlines()[0])
    options.add_argument("--networks", nargs="+", choices=sorted(DEFAULT_SIZES), default=["tsmsa", "sstnet"])
    options.add_argument(
        "--sizes",
        nargs="+",
        type=number("side"),
        help="sides of the frames (default: 512 and 256 for TSMSA, 512 for SSTNet, ResUNet-DTUM and DSFNet, 256 for "
        "MICML, 128 for DeepPro; training steps: 256, DSFNet and MICML 128, DeepPro 64)",
    )
    options.add_argument(
        "--batches", nargs="+", type=number("batch_size"), default=[1, 4], help="clips, or streams, at once"
    )
    options.add_argument("--work", nargs="+", choices=("inference", "training"), default=["inference", "training"])
    options.add_argument("--bf16", action="store_true", help="half precision too")
    options.add_argument(
        "--compile",
        action="store_true",
        help="torch.compile too, for streams of the first size "
        "and batch, in the lowest precision; start-up time in a line of its own",
    )
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
        import torch

        keep_memory()
        if chosen.threads:
            torch.set_num_threads(chosen.threads)
        precisions = ("float32", "bfloat16") if chosen.bf16 else ("float32",)
        setup = Setup(pick_device(chosen.device), chosen.rounds, precisions, chosen.compile)
        rows: list[dict[str, Any]] = []
        for name in chosen.networks:
            if "inference" in chosen.work:
                rows += measure_inference(name, chosen.sizes or DEFAULT_SIZES[name], chosen.batches, setup)
            if "training" in chosen.work:
                size, batch = TRAINING_SHAPES[name]
                for side in chosen.sizes or [size]:
                    rows += measure_training(name, side, batch, setup)
        add_ratios(rows, "literal")
        print(f"PyTorch {torch.__version__}, {setup.device}, {torch.get_num_threads()} threads")
        report(rows, chosen.json)


def measure_inference(name: str, sizes: Sequence[int], batches: Sequence[int], setup: Setup) -> list[dict[str, Any]]:
    """Rows of one network at all sizes and batches.

    What is compiled serves one shape, and making it takes minutes: only at the first size and batch.
    """
    rows: list[dict[str, Any]] = []
    for size in sizes:
        for batch in batches:
            first = (size, batch) == (sizes[0], batches[0])
            rows += inference_rows(name, size, batch, replace(setup, compile=setup.compile and first))
    return rows


def inference_rows(name: str, size: int, batch: int, setup: Setup) -> list[dict[str, Any]]:
    """Rows of one network at one size and batch: literal, over whole clips, streaming."""
    import torch

    from benchmarks.networks import as_tensor, build_pair, clip_of, deviation, peak_deviation, random_frames
    from nets import CENTRE_DETECTORS

    work = f"{name} {size}×{size}, batch {batch}"
    literal, model = build_pair(name, setup.device, **OPTIONS.get(name, {}))
    frames = random_frames(model.network, model.network.num_frames, batch, size, setup.device)
    clip, key = clip_of(frames), frames[-1]
    calls, networks = {"literal": lambda: as_tensor(literal(clip))}, {"literal": literal}
    for label, runtime in build_runtimes(model.network, setup):
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
        costs = {variant: cost_of(variant, call, setup.device) for variant, call in calls.items()}
        share, differ = steady_share(model.network), peak_deviation if name in CENTRE_DETECTORS else deviation
        different = {variant: differ(cost.output, costs["literal"].output, share) for variant, cost in costs.items()}
        limit = MAX_DEVIATION
        if name in CENTRE_DETECTORS:
            exact = as_tensor(copy.deepcopy(literal).double()(clip.double())).float()
            limit = max(limit, ROUNDING * differ(costs["literal"].output, exact, share))
        for variant, value in different.items():
            if "float32" in variant and value > limit:
                raise SystemExit(f"{work}, {variant}: {value:.2g} of the range away from the literal output")
        ms = alternate(calls, setup.rounds, synchronizer(setup.device), warm=True)
    return [
        make_row(work, variant, ms[variant], costs[variant], networks[variant], different[variant]) for variant in calls
    ]


def build_runtimes(network: nn.Module, setup: Setup) -> Iterator[tuple[str, Runtime]]:
    """The ways to run `network` that were asked for; compiled in the lowest precision."""
    from nets.inference.runtime import Runtime

    for precision in setup.precisions:
        yield precision, Runtime(network, setup.device, precision)
        if setup.device.type == "cuda":
            yield f"{precision} graphs", Runtime(network, setup.device, precision, graphs=True)
    if setup.compile:
        lowest = setup.precisions[-1]
        yield f"{lowest} compile", Runtime(network, setup.device, lowest, compile=True)


def cost_of(variant: str, call: Call, device: torch.device) -> CallCost:
    """Operations and memory; of compiled calls and graphs they are not seen one by one: NaN."""
    if "compile" in variant or "graphs" in variant:
        return CallCost(call(), math.nan, math.nan)
    return count_cost(call, device)


def make_row(
    work: str, variant: str, ms: float, cost: CallCost, network: nn.Module, different: float | None
) -> dict[str, Any]:
    """A line of the table."""
    return {
        "work": work,
        "variant": variant,
        "ms": round(ms, 3),
        "ratio": None,
        "gflops": None if math.isnan(cost.gflops) else round(cost.gflops, 3),
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "peak_mib": None if math.isnan(cost.peak_mib) else round(cost.peak_mib, 1),
        "deviation": different,
    }


def measure_training(name: str, size: int, batch: int, setup: Setup) -> list[dict[str, Any]]:
    """Rows of one training step: forward, loss, backward, optimiser."""
    import torch

    from benchmarks.networks import build_pair, clip_of, random_frames
    from nets.blocks import use_channels_last

    literal, model = build_pair(name, setup.device)
    networks = {"literal": literal, "ours": use_channels_last(model.network)}
    if name == "sstnet":
        folding = build_pair(name, setup.device).model.network
        folding.fold_frames = folding.neck.fold = True
        networks["ours, fold_frames"] = use_channels_last(folding)
    frames = random_frames(model.network, model.network.num_frames, batch, size, setup.device)
    clip = clip_of(frames)
    targets = make_targets(name, batch, size, setup.device)
    calls = {}
    for variant, network in networks.items():
        optimizer = torch.optim.SGD(network.train().parameters(), 1e-6, momentum=0.937, nesterov=True)
        calls[variant] = training_step(network, model.criterion, clip, targets, optimizer)
    costs = {variant: cost_of(variant, call, setup.device) for variant, call in calls.items()}
    ms = alternate(calls, setup.rounds, synchronizer(setup.device), warm=True)
    work = f"{name} training step {size}×{size}, batch {batch}"
    return [make_row(work, variant, ms[variant], costs[variant], networks[variant], None) for variant in calls]


def training_step(
    network: nn.Module, criterion: Callable, clip: Tensor, targets: dict[str, Any], optimizer: torch.optim.Optimizer
) -> Call:
    """A call that takes one step."""
    from nets.sstnet import TrainingOutput

    def call() -> None:
        outputs = network(clip)
        if isinstance(outputs, tuple):
            outputs = TrainingOutput(*outputs)
        optimizer.zero_grad(set_to_none=True)
        sum(criterion(outputs, targets).values()).backward()
        optimizer.step()

    return call


def make_targets(name: str, batch: int, size: int, device: torch.device) -> dict[str, Any]:
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


def synchronizer(device: torch.device) -> Call:
    """A call that waits until the device is done."""
    import torch

    if device.type == "cuda":
        return lambda: torch.cuda.synchronize(device)
    return lambda: None


if __name__ == "__main__":
    main()
