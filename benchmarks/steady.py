"""Memory of a training run over its steps: a curve that must be flat.

    python -m benchmarks.steady                      # 2,000 steps of TSMSA on synthetic clips
    python -m benchmarks.steady --steps 5000 --workers 2 --out steady.png

The run and its loader's workers are looked at once a second (proportional set size, without libraries and other mapped
files, whose share changes with what else runs on the machine). The second half of the run counts: its slope, in MiB for
1,000 steps, and its range.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.process_memory import pss_mib
from utils.render.curves import plot_runs
from utils.system.command_line import Parser, number
from utils.system.errors import UserError, user_errors
from utils.system.files import write_json

BATCH_SIZE = 2


def main(argv: list[str] | None = None) -> None:
    """Record the memory of a training run, print the curve and its slope, and write or draw it where asked."""
    options = Parser(prog="python -m benchmarks.steady", description=__doc__.splitlines()[0])
    options.add_argument("--steps", type=number("benchmark.steps"), default=2000)
    options.add_argument("--workers", type=number("workers"), default=1)
    options.add_argument("--input-size", type=number("input_size"), default=64)
    options.add_argument(
        "--threads", type=number("threads"), default=1, help="CPU threads of the run (0: its own choice)"
    )
    options.add_argument("--json", help="write the curve here")
    options.add_argument("--out", help="draw the curve here (PNG)")
    with user_errors():
        chosen = options.parse_args(argv)
        with tempfile.TemporaryDirectory() as folder:
            curve = record(Path(folder), chosen.steps, chosen.input_size, chosen.workers, chosen.threads)
        steps, memory = (np.array(column) for column in zip(*curve, strict=True))
        late = steps >= chosen.steps / 2
        slope = np.polyfit(steps[late], memory[late], 1)[0] * 1000
        for share in range(0, 101, 10):
            at = int(np.abs(steps - chosen.steps * share / 100).argmin())
            print(f"step {steps[at]:>7.0f}  {memory[at]:>8.1f} MiB")
        print(
            f"second half: {slope:+.2f} MiB in 1,000 steps, between {memory[late].min():.1f} and "
            f"{memory[late].max():.1f} MiB"
        )
        if chosen.json:
            write_json(chosen.json, {"steps": steps, "mib": memory, "slope_mib_in_1000_steps": slope})
        if chosen.out:
            draw(steps, memory, chosen.out)


def start_training(folder: Path, steps: int, input_size: int, workers: int, threads: int) -> subprocess.Popen:
    """Make the data in `folder` and start a run of `steps` steps there."""
    subprocess.run(
        [
            sys.executable,
            "-m",
            "utils.synthetic",
            "--out",
            str(folder / "data"),
            "--train-sequences",
            "8",
            "--test-sequences",
            "1",
            "--frames",
            "20",
        ],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    epochs = 10
    options = {
        "data-root": folder / "data",
        "out": folder / "runs",
        "name": "steady",
        "epochs": epochs,
        "batch-size": BATCH_SIZE,
        "clips-per-epoch": BATCH_SIZE * steps // epochs,
        "input-size": input_size,
        "workers": workers,
        "threads": threads,
        "val-every": epochs,
        "device": "cpu",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return subprocess.Popen(
        [sys.executable, "train_NUDT.py", *words, "--quiet"], cwd=Path(__file__).parents[1], stdout=subprocess.DEVNULL
    )


def record(folder: Path, steps: int, input_size: int, workers: int, threads: int) -> list[tuple[float, float]]:
    """Run the training and return (steps so far, MiB) once a second, steps interpolated over the run's epochs."""
    run = start_training(folder, steps, input_size, workers, threads)
    log, samples, marks = folder / "runs" / "steady" / "log.jsonl", [], []
    try:
        while run.poll() is None:
            done = sum('"epoch"' in line for line in log.read_text().splitlines()) if log.exists() else 0
            if log.exists() and (not marks or done > marks[-1][1]):
                marks.append((time.monotonic(), done))
            samples.append((time.monotonic(), pss_mib(run.pid, ("Pss_Anon", "Pss_Shmem"))))
            time.sleep(1)
    finally:
        run.terminate()
    if run.returncode:
        raise UserError(f"the training run ended with status {run.returncode}; its message is above")
    times, epochs_done = zip(*marks, strict=True)
    finished = json.loads(log.read_text().splitlines()[-1])["epoch"]
    return [
        (float(np.interp(at, times, epochs_done)) * steps / finished, mib)
        for at, mib in samples
        if times[0] <= at <= times[-1]
    ]


def draw(steps: np.ndarray, memory: np.ndarray, path: str) -> None:
    """The curve as a picture."""
    plot_runs({"proportional set size, MiB": {"run and workers": (steps, memory)}}, path, "steps")


if __name__ == "__main__":
    main()
