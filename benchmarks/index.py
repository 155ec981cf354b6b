"""Opening a dataset whose index file has a million lines: seconds, and memory of the process and its loader workers.

    python -m benchmarks.index
    python -m benchmarks.index --lines 100000 --layout single --workers 4

The files are hard links to one picture and one mask. `added` is the proportional set size beyond that of a process that
has only imported PyTorch.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import numpy as np

from benchmarks.process_memory import peak_mib, pss_mib
from utils.system.command_line import Parser, number
from utils.system.errors import user_errors

MAX_LINKS = 50_000  # to one file; file systems allow some more
PICTURE_SIDE = 48  # pixels


def main(argv: list[str] | None = None) -> None:
    """Make the dataset, measure in a process of its own, and print the figures."""
    options = Parser(prog="python -m benchmarks.index", description=__doc__.splitlines()[0])
    options.add_argument("--lines", type=number("benchmark.lines"), default=1_000_000)
    options.add_argument("--layout", choices=("sequences", "single"), default="sequences")
    options.add_argument("--workers", type=number("workers"), default=2)
    options.add_argument("--clips", type=number("count"), default=5000, help="read by the loader before measuring")
    options.add_argument("--folder", help="make the dataset here and keep it (default: a temporary folder)")
    options.add_argument("--child", help="used by this command itself")
    with user_errors():
        chosen = options.parse_args(argv)
        if chosen.child:
            measure(chosen.child, chosen.workers, chosen.clips)
            return
        with tempfile.TemporaryDirectory() as temporary:
            root = Path(chosen.folder or temporary) / "dataset"
            if not root.exists():
                make_dataset(root, chosen.lines, chosen.layout)
            done = subprocess.run(
                [
                    sys.executable,
                    "-m",
                    "benchmarks.index",
                    "--child",
                    str(root),
                    "--workers",
                    str(chosen.workers),
                    "--clips",
                    str(chosen.clips),
                ],
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            )
            figures = json.loads(done.stdout)
        print(f"{chosen.lines} lines, {chosen.layout}, {chosen.workers} workers")
        for name, value in figures.items():
            print(f"  {name:<46}{value:>10.1f}")


def make_dataset(root: Path, lines: int, layout: str) -> None:
    """A dataset of `lines` frames with masks and an index file that lists all of them."""
    import cv2  # here, as what is measured is a process that has imported PyTorch only

    picture = np.random.default_rng(0).integers(0, 255, (PICTURE_SIDE, PICTURE_SIDE)).astype(np.uint8)
    mask = np.zeros((PICTURE_SIDE, PICTURE_SIDE), np.uint8)
    mask[20:23, 20:23] = 255
    names = [f"{i:07d}.png" if layout == "single" else f"{i // 1000}/{i % 1000}.png" for i in range(lines)]
    for kind, content in (("images", picture), ("masks", mask)):
        for i, name in enumerate(names):
            path = root / kind / name
            if i % MAX_LINKS == 0 or i % 1000 == 0:
                path.parent.mkdir(parents=True, exist_ok=True)
            if i % MAX_LINKS == 0:
                first = path
                cv2.imwrite(str(path), content)
            else:
                os.link(first, path)
    (root / "train.txt").write_text("".join(f"images/{name}\n" for name in names))


def measure(root: str, workers: int, clips: int) -> None:
    """Print the figures of this process as JSON."""
    import torch  # what is imported before and after it is measured

    torch.set_num_threads(1)
    pid, torch_alone, torch_peak = os.getpid(), pss_mib(os.getpid()), peak_mib(os.getpid())
    from utils.datasets.dataset import open_dataset
    from utils.training.config import TrainConfig
    from utils.training.loader import build_loader
    from utils.training.selection import hold_out

    imported = pss_mib(pid)
    began = time.perf_counter()
    dataset = open_dataset(root, "train")
    seconds = time.perf_counter() - began
    opened, peak = pss_mib(pid), peak_mib(pid)
    training, _ = hold_out(dataset.sequences, (), 0.15)
    config = TrainConfig(input_size=32, batch_size=8, workers=workers, cache_mb=16, register=False, bad_pixels=False)
    _, loader = build_loader(config, training, config.clip_settings((128.0, 30.0)), 30.0, 255.0)
    batches = iter(loader)
    for _ in islice(batches, clips // 8):
        pass
    print(
        json.dumps(
            {
                "PyTorch alone, MiB": torch_alone,
                "this project imported, added MiB": imported - torch_alone,
                "dataset opened, added MiB": opened - torch_alone,
                "while opening, at most, added MiB": peak - torch_peak,
                "with loader and workers, added MiB": pss_mib(pid) - torch_alone,
                "opening, s": seconds,
            }
        )
    )


if __name__ == "__main__":
    main()
