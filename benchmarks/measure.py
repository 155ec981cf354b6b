"""How the benchmarks measure and report: alternating runs, operation counts, peak memory, a table and a JSON file."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from utils.system.command_line import Parser, number
from utils.system.errors import UserError
from utils.system.tables import align_cells, format_value

Call = Callable[[], Any]


def make_parser(module: str, description: str) -> Parser:
    """A command line with the options that all benchmarks share."""
    options = Parser(prog=f"python -m benchmarks.{module}", description=description)
    options.add_argument("--json", type=Path, metavar="FILE", help="write the rows as a JSON list")
    options.add_argument("--rounds", type=number("rounds"), default=10, help="runs of each variant; the median counts")
    options.add_argument("--quick", action="store_true", help="two rounds at small sizes: does it run at all?")
    options.add_argument("--threads", type=number("threads"), default=0, help="CPU threads (0: PyTorch's choice)")
    return options


def check_json(path: Path | None) -> None:
    """Raise `UserError` before work starts where the rows could not be written."""
    if path is not None and (path.is_dir() or not path.parent.is_dir()):
        raise UserError(f"--json: found '{path}', expected a file in a folder that exists; make {path.parent} first")


def alternate(
    calls: Mapping[str, Call], rounds: int, synchronize: Call = lambda: None, warm: bool = False
) -> dict[str, float]:
    """Median milliseconds of each call, by its name.

    They take turns, so that whatever else the machine does meets all alike.

    Args:
        calls: what is measured, by name.
        rounds: turns that count.
        synchronize: called before and after each call; waits until the device is done.
        warm: leave out the first turn, which does not count.
    """
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(int(warm), rounds + 1):
        for name, call in calls.items():
            synchronize()
            began = time.perf_counter()
            call()
            synchronize()
            if turn:
                times[name].append(time.perf_counter() - began)
    return {name: 1e3 * statistics.median(values) for name, values in times.items()}


def median_ms(call: Call, seconds: float, synchronize: Call = lambda: None) -> float:
    """Median milliseconds of a call that is repeated for so many seconds, after half of that to warm up.

    Args:
        call: what is measured; is called four times at least.
        seconds: that count.
        synchronize: as of `alternate`.
    """
    _repeat(call, seconds / 2, 1, synchronize)
    return 1e3 * statistics.median(_repeat(call, seconds, 3, synchronize))


def _repeat(call: Call, seconds: float, least: int, synchronize: Call) -> list[float]:
    """Seconds of each call, until `seconds` are over and it was called so often at least."""
    times: list[float] = []
    began = time.perf_counter()
    while time.perf_counter() - began < seconds or len(times) < least:
        started = time.perf_counter()
        call()
        synchronize()
        times.append(time.perf_counter() - started)
    return times


class CallCost(NamedTuple):
    """What a call returned, and what it took.

    `gflops`: 10⁹ floating-point operations in convolutions and matrix products (a multiplication and an addition are
    two). `peak_mib`: the largest memory of tensors made during the call, beyond what was there before; on the CPU a
    library's own scratch memory does not count.
    """

    output: Any
    gflops: float
    peak_mib: float


def count_cost(call: Call, device: Any = None) -> CallCost:
    """Run `call` once, on the CPU or on `device`, and count."""
    import torch  # as benchmarks.memory, too slow for a command line that may be mistyped
    from torch.utils.flop_counter import FlopCounterMode

    from benchmarks.memory import PeakMemory

    flops = FlopCounterMode(display=False, custom_mapping=deform_flops())
    if device is not None and device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        with flops:
            output = call()
        torch.cuda.synchronize(device)
        peak = torch.cuda.max_memory_allocated(device) - before
    else:
        with PeakMemory() as memory, flops:
            output = call()
        peak = memory.peak
    return CallCost(output, flops.get_total_flops() / 1e9, peak / 2**20)


def deform_flops() -> dict[Any, Callable]:
    """How operations of torchvision's deformable convolutions are counted: as those of plain ones."""
    import torch
    import torchvision  # noqa: F401 - makes its operators known

    def count(x, weight, *_, out_shape, **__) -> int:
        (batch, _, height, width), (out, channels, *kernel) = out_shape, weight
        return 2 * batch * height * width * out * channels * kernel[0] * kernel[1]

    return {torch.ops.torchvision.deform_conv2d: count}


def add_ratios(rows: Sequence[dict[str, Any]], reference: str) -> None:
    """Give each row `ratio`: time of the variant `reference` of the same work / its own."""
    base = {row["work"]: row["ms"] for row in rows if row["variant"] == reference}
    for row in rows:
        row["ratio"] = round(base[row["work"]] / row["ms"], 3) if row["work"] in base else None


def report(rows: Sequence[dict[str, Any]], path: Path | None) -> None:
    """Print rows as a table, columns in the first row's order, and write them as JSON where a path is given."""
    names = list(rows[0])
    print(align_cells([names, *([_cell(row[name]) for name in names] for row in rows)], names=2))
    if path is not None:
        path.write_text(json.dumps(list(rows), indent=1) + "\n")


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return format_value(value, ".4g")
    if isinstance(value, int):
        return format_value(value, ",")
    return format_value(value)
