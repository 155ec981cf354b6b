"""ONNX Runtime beside PyTorch: milliseconds a frame of a sequence, on the CPU.

    python -m benchmarks.exported --networks tsmsa sstnet --sizes 256x256 640x512 --threads 2
    python -m benchmarks.exported --precision float32 fp16

Networks are untrained, as speed does not depend on the weights. Each is exported into a temporary folder first, for
half a minute.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import add_ratios, alternate, check_json, make_parser, report
from utils import export
from utils.clips.settings import ClipSettings
from utils.predictor.onnx_run import open_onnx
from utils.system.errors import UserError, user_errors

FrameRun = Callable[[np.ndarray], Any]


def main(argv: list[str] | None = None) -> None:
    """Export the networks, measure every runtime at every size, and print a row for each."""
    options = make_parser("exported", __doc__.splitlines()[0])
    options.add_argument("--networks", nargs="+", choices=("tsmsa", "sstnet"), default=["tsmsa", "sstnet"])
    options.add_argument("--sizes", nargs="+", default=["256x256", "640x512"], metavar="WxH")
    options.add_argument("--precision", nargs="+", choices=("float32", "fp16"), default=["float32"])
    with user_errors():
        chosen = options.parse_args(argv)
        check_json(chosen.json)
        if chosen.quick:
            chosen.networks, chosen.sizes, chosen.rounds = ["tsmsa"], ["64x64"], 2
        try:
            sizes = [tuple(map(int, size.split("x"))) for size in chosen.sizes]
        except ValueError:
            raise UserError(f"--sizes: found {' '.join(chosen.sizes)}, expected WxH such as 640x512") from None
        rows: list[dict[str, Any]] = []
        with tempfile.TemporaryDirectory() as folder:
            for name in chosen.networks:
                runs = prepare_runs(name, Path(folder), chosen.precision, chosen.threads)
                for width, height in sizes:
                    rows += compare(name, runs, (height, width), chosen.rounds)
        add_ratios(rows, "PyTorch, clips")
        report(rows, chosen.json)


def prepare_runs(name: str, folder: Path, precisions: list[str], threads: int) -> dict[str, FrameRun]:
    """What takes a frame (C, H, W) float32 and gives the result for the clip that ends with it, by title."""
    import torch  # as the imports below, too slow for a command line that may be mistyped

    from nets import build_model
    from nets.inference.runtime import Runtime
    from utils.predictor.checkpoint import save_checkpoint, task_of

    if threads:
        torch.set_num_threads(threads)
    model, weights = build_model(name), folder / f"{name}.pt"
    settings = ClipSettings(5, (110.0, 30.0), task_of(name), name=name)
    save_checkpoint(
        weights,
        {
            "model": {"name": name, "options": {}},
            "settings": settings.as_dict(),
            "config": {},
            "network": model.network.state_dict(),
            "ema": None,
        },
    )
    runtime = Runtime(model.network)
    runs: dict[str, FrameRun] = {
        "PyTorch, clips": ClipRun(lambda clip: runtime.windows(torch.from_numpy(clip))),
        "PyTorch, streaming": lambda frame: runtime(torch.from_numpy(frame[None])),
    }
    for precision in precisions:
        for streaming in (False, True):
            out = folder / f"{name}-{precision}-{streaming}.onnx"
            arguments = ["--weights", str(weights), "--precision", precision, "--out", str(out)]
            if streaming:
                arguments.append("--streaming")
            export.main(arguments)
            run = open_onnx(out, threads=threads)[0]
            if streaming:
                runs[f"ONNX {precision}, streaming"] = StreamRun(run)
            else:
                runs[f"ONNX {precision}, clips"] = ClipRun(
                    lambda clip, run=run: run.session.run(None, {run.inputs[0]: clip})
                )
    return runs


class ClipRun:
    """Whole clips of the last frames."""

    def __init__(self, run: Callable[[np.ndarray], Any]) -> None:
        self.run, self.past = run, []

    def __call__(self, frame: np.ndarray) -> Any:
        if self.past and self.past[-1].shape != frame.shape:
            self.past = []
        if not self.past:
            self.past = [frame] * 4
        self.past = [*self.past[-4:], frame]
        clip = np.stack(self.past, 1)[None]
        return self.run(clip if clip.shape[1] > 1 else clip[:, 0])


class StreamRun:
    """Frame by frame, with the state kept between them."""

    def __init__(self, run: Any) -> None:
        self.run, self.size, self.state = run, None, []

    def __call__(self, frame: np.ndarray) -> Any:
        size = frame.shape[-2:]
        if self.size != size:
            self.size, self.state = size, self.run._zeros(size)
        outputs = self.run.session.run(None, dict(zip(self.run.inputs, [frame[None], *self.state], strict=True)))
        self.state = outputs[self.run.results :]
        return outputs


def compare(name: str, runs: dict[str, FrameRun], size: tuple[int, int], rounds: int) -> list[dict[str, Any]]:
    """Rows of all runs over frames of one size, height and width."""
    channels = 3 if name == "sstnet" else 1
    frames = np.random.default_rng(0).normal(size=(8, channels, *size)).astype(np.float32)
    numbers = {title: count() for title in runs}
    calls = {
        title: (lambda run=run, title=title: run(frames[next(numbers[title]) % len(frames)]))
        for title, run in runs.items()
    }
    ms = alternate(calls, rounds)
    return [
        {
            "work": f"{name} {size[1]}×{size[0]}",
            "variant": title,
            "ms": ms[title],
            "ratio": None,
            "gflops": None,
            "frames_per_s": round(1e3 / ms[title], 1),
        }
        for title in runs
    ]


if __name__ == "__main__":
    main()
