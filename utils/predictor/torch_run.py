"""PyTorch networks as the run of a `Predictor`."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nets.inference.folding import GreyNormalisation
from nets.inference.runtime import Runtime
from nets.inference.streaming import can_stream
from nets.multi_frame.every_frame import EveryFrameNetwork
from utils.predictor.network_run import EveryFrameRun, NetworkRun, StreamingRun
from utils.system.errors import UserError
from utils.system.machine import keep_memory, pick_device
from utils.system.packages.late import tqdm
from utils.system.threads import IN_LINE, Lanes, open_lanes

# Names on command lines → PyTorch's.
PRECISIONS = {"float32": "float32", "bf16": "bfloat16", "fp16": "float16"}
MAX_LANES = 4  # more would keep more frames waiting


class TorchRun(NetworkRun):
    """A network over whole clips.

    The network is copied as it is now, with its batch norms folded (`nets.inference.runtime.Runtime`). On a GPU the
    steps of networks that stream are replayed as CUDA graphs, unless they are compiled. With `compile` clips go through
    one by one, so that one program serves each frame size; how long it took to make is said on stderr. `grey` is as of
    `nets.inference.folding.fold_network`.
    """

    def __init__(
        self,
        network: nn.Module,
        postprocess: Callable[[Any], Any],
        device: torch.device,
        precision: str,
        compile: bool,
        grey: GreyNormalisation | None = None,
    ) -> None:
        keep_memory()
        graphs = device.type == "cuda" and not compile
        self.runtime = Runtime(network, device, PRECISIONS[precision], compile, graphs, grey)
        self.channels = 1 if grey else 3
        self.postprocess, self.compile = postprocess, compile
        self._compiled: set[tuple[str, tuple[int, ...]]] = set()

    @contextmanager
    def lanes(self) -> Iterator[Lanes]:
        """How clips run: on a CPU some side by side, each on its part of the cores.

        On two cores that takes a fifth less time than one after the other on both.
        """
        threads = torch.get_num_threads()
        count = 1 if self.runtime.device.type != "cpu" or self.compile else min(threads, MAX_LANES)
        if count == 1:
            yield IN_LINE
            return

        def prepare() -> None:
            torch.get_num_threads()  # a thread that has not asked takes the process's number at its first operation
            torch.set_num_threads(threads // count)

        with open_lanes(count, prepare) as lanes:
            torch.set_num_threads(threads)  # for threads to come; those of the lanes keep theirs
            yield lanes

    def __call__(self, clips: np.ndarray) -> np.ndarray | list[np.ndarray]:
        batch = torch.from_numpy(clips)
        parts = batch.split(1) if self.compile else [batch]
        return self._results(torch.cat([self._time("clips", part, self.runtime.windows, part) for part in parts]))

    def _results(self, outputs: Tensor) -> np.ndarray | list[np.ndarray]:
        with torch.inference_mode():
            result = self.postprocess(outputs)
        if isinstance(result, list):
            return [boxes.float().cpu().numpy() for boxes in result]
        return result.float().cpu().numpy()

    def _time(self, what: str, frames: Tensor, call: Callable[..., Any], *arguments: Any) -> Any:
        """`call(*arguments)`, and a word about the time where that compiled it for frames of a new size."""
        key = what, frames.shape[1:]
        if not self.compile or key in self._compiled:
            return call(*arguments)
        began = time.perf_counter()
        result = call(*arguments)
        self._compiled.add(key)
        tqdm.tqdm.write(
            f"--compile: {what} of {'x'.join(map(str, key[1]))} took {time.perf_counter() - began:.0f} s",
            file=sys.stderr,
        )
        return result


class StreamingTorchRun(TorchRun, StreamingRun):
    """A network that streams."""

    def observe(self, frames: np.ndarray) -> list[tuple[Tensor, ...]]:
        batch = _images(frames)
        return self._time("frames", batch, self.runtime.observe, batch)

    def decide(self, keys: np.ndarray, windows: Sequence[Sequence[Any]]) -> np.ndarray | list[np.ndarray]:
        batch = _images(keys)
        return self._results(self._time("decisions on frames", batch, self.runtime.decide, batch, windows))

    def size_of(self, contribution: Sequence[Tensor]) -> int:
        return sum(part.nbytes for part in contribution)


class EveryFrameTorchRun(TorchRun, EveryFrameRun):
    """A network that gives a map for every frame of a clip."""

    def frames(self, clips: np.ndarray, newest: int) -> np.ndarray:
        batch = torch.from_numpy(clips)
        logits = self._time(f"clips, {newest} maps,", batch, self.runtime.frames, batch, newest)
        return logits.sigmoid().cpu().numpy()

    def open_stream(self) -> Callable[[np.ndarray], np.ndarray] | None:
        step = None if self.compile else self.runtime.open_stream()
        if step is None:
            return None
        return lambda frame: step(torch.from_numpy(frame)[None, None])[0, 0].sigmoid().cpu().numpy()


def _images(frames: np.ndarray) -> Tensor:
    """Frames (N, H, W) or (N, C, H, W) → (N, C, H, W)."""
    batch = torch.from_numpy(frames)
    return batch.unsqueeze(1) if batch.dim() == 3 else batch


def make_torch_run(
    network: nn.Module,
    postprocess: Callable[[Any], Any],
    device: Any = None,
    precision: str = "float32",
    compile: bool = False,
    grey: GreyNormalisation | None = None,
) -> TorchRun:
    """The run of a PyTorch network, a `StreamingTorchRun` where it can stream.

    Args:
        network: as of `Predictor.from_network`, as are the others but `grey`.
        postprocess: outputs → probabilities `(B, H, W)`, or for each clip boxes `(N, 6)`.
        device: `cpu`, `cuda` or `cuda:N`; default: `cuda` where there is one, else `cpu`.
        precision: `float32`, `bf16` or `fp16`.
        compile: whether by `torch.compile`.
        grey: as of `TorchRun`.

    Raises:
        UserError: `device` is unknown or not there, or does not have this precision.
    """
    device = pick_device(device)
    if precision == "fp16" and device.type == "cpu":
        raise UserError("--precision: found fp16 on a CPU, expected float32 or bf16 there; fp16 is for GPUs")
    kind = StreamingTorchRun if can_stream(network) else TorchRun
    kind = EveryFrameTorchRun if isinstance(network, EveryFrameNetwork) else kind
    return kind(network, postprocess, device, precision, compile, grey)
