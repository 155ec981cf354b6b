"""ONNX Runtime beside PyTorch: milliseconds a frame of a sequence, on the CPU.

    python -m benchmarks.exported --networks tsmsa sstnet --sizes 256x256 640x512 --threads 2
    python -m benchmarks.exported --precision float32 fp16

Networks are untrained, as speed does not depend on the weights. Each is exported into a temporary folder first, for
half a minute.
"""
from __future__ import annotations

import tempfile
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import add_ratios, alternate, check_json, parser, report
from utils.system.errors import UserError, user_errors


def main(argv: list[str] | None = None) -> None:
    options = parser("exported", __doc__.splitlines()[0])
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
                runs = all_runs(name, Path(folder), chosen)
                for width, height in sizes:
                    rows += compare(name, runs, (height, width), chosen.rounds)
        add_ratios(rows, "PyTorch, clips")
        report(rows, chosen.json)


def all_runs(name: str, folder: Path, chosen: Any) -> dict[str, Any]:
    """What takes a frame (C, H, W) and gives the result for the clip that ends with it."""
    import torch

    from nets import build_model
    from nets.inference.runtime import Runtime
    from utils import export
    from utils.clips.settings import ClipSettings
    from utils.predictor.checkpoint import save_checkpoint, task_of
    from utils.predictor.onnx_run import open_onnx

    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    model, weights = build_model(name), folder / f"{name}.pt"
    settings = ClipSettings(5, (110.0, 30.0), task_of(name), name=name)
    save_checkpoint(weights, {"model": {"name": name, "options": {}}, "settings": settings.as_dict(), "config": {},
                              "network": model.network.state_dict(), "ema": None})
    runtime = Runtime(model.network)
    runs = {"PyTorch, clips": Windows(lambda clip: runtime.windows(torch.from_numpy(clip))),
            "PyTorch, streaming": lambda frame: runtime(torch.from_numpy(frame[None]))}
    for precision in chosen.precision:
        for streaming in (False, True):
            out = folder / f"{name}-{precision}-{streaming}.onnx"
            export.main(["--weights", str(weights), "--precision", precision, "--out", str(out),
                         *["--streaming"] * streaming])
            run = open_onnx(out, threads=chosen.threads)[0]
            title = f"ONNX {precision}, {'streaming' if streaming else 'clips'}"
            runs[title] = Streams(run) if streaming else Windows(
                lambda clip, run=run: run.session.run(None, {run.inputs[0]: clip}))
    return runs


class Windows:
    """Whole clips of the last frames."""

    def __init__(self, run: Any) -> None:
        self.run, self.past = run, []

    def __call__(self, frame: np.ndarray) -> Any:
        if self.past and self.past[-1].shape != frame.shape:
            self.past = []
        self.past = ([frame] * 4 if not self.past else self.past[-4:]) + [frame]
        clip = np.stack(self.past, 1)[None]
        return self.run(clip if clip.shape[1] > 1 else clip[:, 0])


class Streams:
    """Frame by frame, with the state kept between them."""

    def __init__(self, run: Any) -> None:
        self.run, self.state = run, None

    def __call__(self, frame: np.ndarray) -> Any:
        size = frame.shape[-2:]
        if self.state is None or self.size != size:
            self.size, self.state = size, self.run._zeros(size)
        outputs = self.run.session.run(None, dict(zip(self.run.inputs, [frame[None], *self.state], strict=True)))
        self.state = outputs[self.run.results:]
        return outputs


def compare(name: str, runs: dict[str, Any], size: tuple[int, int], rounds: int) -> list[dict[str, Any]]:
    channels = 3 if name == "sstnet" else 1
    frames = np.random.default_rng(0).normal(size=(8, channels, *size)).astype(np.float32)
    numbers = {title: count() for title in runs}
    calls = {title: (lambda run=run, title=title: run(frames[next(numbers[title]) % len(frames)]))
             for title, run in runs.items()}
    ms = alternate(calls, rounds)
    return [{"work": f"{name} {size[1]}×{size[0]}", "variant": title, "ms": ms[title], "ratio": None, "gflops": None,
             "frames_per_s": round(1e3 / ms[title], 1)} for title in runs]


if __name__ == "__main__":
    main()
