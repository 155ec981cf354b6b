"""Training clips a second of one process, and of several under torchrun, with one batch size for all of them together.

    python -m benchmarks.processes --json processes.json
    python -m benchmarks.processes --processes 1 2 4 --size 256 --batch 16 --threads 1

Clips lie in memory, so this measures the network and what the processes tell each other; over gloo on the CPU, over
nccl with a GPU for each. Every process gets `--threads`, by default one.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import check_json, make_parser, report
from utils.system.command_line import number
from utils.system.distributed import processes, rank, run_in_group
from utils.system.errors import UserError, user_errors


@dataclass(frozen=True)
class TrainingSteps:
    """What is measured: steps on clips of `size`² pixels, `batch` of all processes together, with `threads` each."""

    size: int
    batch: int
    rounds: int
    threads: int
    device: str


def main(argv: list[str] | None = None) -> None:
    """Train with each number of processes and print a row for each, or be one of these processes."""
    options = make_parser("processes", __doc__.splitlines()[0])
    options.add_argument("--processes", nargs="+", type=number("processes"), default=[1, 2])
    options.add_argument("--size", type=number("benchmark.side"), default=128, help="side of the clips")
    options.add_argument("--batch", type=number("batch_size"), default=8, help="clips in a batch of all of them")
    options.add_argument("--device", default="cpu", help="cpu, or cuda for a GPU for each process")
    options.add_argument(
        "--result",
        type=Path,
        help="only measure, inside a process that is there already, and write the milliseconds of each step here",
    )
    options.set_defaults(threads=1)
    with user_errors():
        chosen = options.parse_args(argv)
        check_json(chosen.json)
        if chosen.quick:
            chosen.size, chosen.batch, chosen.rounds = 32, 2, 2
        steps = TrainingSteps(chosen.size, chosen.batch, chosen.rounds, chosen.threads, chosen.device)
        if chosen.result:
            take_steps(steps, chosen.result)
            return
        if any(count < 1 or chosen.batch % count for count in chosen.processes):
            raise UserError(f"--processes: found {chosen.processes}, expected divisors of --batch {chosen.batch}")
        report([measure(steps, count) for count in chosen.processes], chosen.json)


def measure(steps: TrainingSteps, count: int) -> dict[str, Any]:
    """The row of `count` processes, each started anew."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "steps.json"
        launcher = [] if count == 1 else ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
        own = [
            "-m",
            "benchmarks.processes",
            "--result",
            result,
            "--size",
            steps.size,
            "--batch",
            steps.batch,
            "--rounds",
            steps.rounds,
            "--threads",
            steps.threads,
            "--device",
            steps.device,
        ]
        environment = {**os.environ, "OMP_NUM_THREADS": str(steps.threads)}
        done = subprocess.run(
            [sys.executable, *launcher, *map(str, own)], env=environment, capture_output=True, text=True
        )
        if done.returncode:
            raise UserError(f"{count} processes ended with status {done.returncode}: {done.stderr[-500:]}")
        ms = statistics.median(json.loads(result.read_text()))
    return {
        "work": f"training, {steps.size}×{steps.size}, batch {steps.batch}",
        "variant": f"{count} processes",
        "ms": round(ms, 1),
        "clips_per_s": round(1e3 * steps.batch / ms, 2),
    }


def take_steps(steps: TrainingSteps, result: Path) -> None:
    """Take steps on one batch, and write their milliseconds; the first two do not count."""
    import torch  # as the imports below, too slow for a command line that may be mistyped

    from nets import build_model
    from utils.training.learner import Learner

    def time_steps(device: torch.device) -> list[float]:
        network, criterion, _ = build_model("tsmsa")
        network.to(device, memory_format=torch.channels_last)
        optimizer = torch.optim.AdamW(network.parameters())
        learner = Learner(
            network, criterion, optimizer, torch.optim.lr_scheduler.ConstantLR(optimizer), device, channels_last=True
        )
        learner.train()
        share = steps.batch // processes()
        batch = {
            "clip": torch.randn(share, 5, steps.size, steps.size),
            "key": ["made"] * share,
            "mask": (torch.rand(share, 1, steps.size, steps.size) > 0.99).float(),
        }
        times = []
        for _ in range(steps.rounds + 2):
            began = time.perf_counter()
            learner.step([batch])  # reads the losses, so it waits for the device
            times.append(1e3 * (time.perf_counter() - began))
        return times[2:]

    torch.set_num_threads(steps.threads)
    times = run_in_group(time_steps, steps.device)
    if rank() == 0:
        result.write_text(json.dumps(times))


if __name__ == "__main__":
    main()
