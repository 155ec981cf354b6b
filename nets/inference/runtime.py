"""A network on the hardware at hand: clips or a stream of frames in, outputs out.

What is exact is always done: folded batch norms, channels-last, streaming. What costs accuracy or a long start is for
the caller to choose: half precision, `torch.compile`, CUDA graphs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from nets.inference.folding import GreyNormalisation, fold_network
from nets.inference.profile_stream import ProfileStream
from nets.inference.streaming import Stream, can_stream
from nets.multi_frame.deeppro import ProfileNetwork

MAX_FRAMES_OBSERVED = 8  # frames at once on a CPU; a clip's five together take down to half the time of one by one
# Of convolutions and attention in each precision; None: as everything.
HALF_DTYPES = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Runtime:
    """A network ready for inference.

    Args:
        network: is copied; later changes to it have no effect.
        device: a torch device.
        precision: "float32"; or "bfloat16" (CPUs and GPUs that have it) or "float16" (GPUs) for convolutions and
            attention, which costs accuracy: measure it on data of your own.
        compile: `torch.compile`, which takes from half a minute to minutes at the first clip or frame of each shape.
        graphs: replay a stream's steps as CUDA graphs (GPUs only; not together with `compile`).
        grey: as of `nets.inference.folding.fold_network`.

    Raises:
        ValueError: choices that do not go together.
    """

    def __init__(
        self,
        network: nn.Module,
        device: str | torch.device = "cpu",
        precision: str = "float32",
        compile: bool = False,
        graphs: bool = False,
        grey: GreyNormalisation | None = None,
    ):
        self.device = torch.device(device)
        if precision not in HALF_DTYPES:
            raise ValueError(f"got precision {precision!r}, expected one of {', '.join(HALF_DTYPES)}")
        if graphs and (self.device.type != "cuda" or compile):
            raise ValueError(f"got graphs on {self.device}, compile={compile}: CUDA graphs need a GPU and no compile")
        self.network = fold_network(network, grey).to(self.device)
        self.half = HALF_DTYPES[precision]
        if self.half is not None:  # once here instead of at every call
            for module in self.network.modules():
                if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)):
                    module.to(self.half)
        if compile:
            names = ("forward", "observe", "decide") if can_stream(self.network) else ("forward",)
            for name in ("frames",) if isinstance(self.network, ProfileNetwork) else names:
                setattr(self.network, name, torch.compile(getattr(self.network, name), dynamic=False))
        self._max_observed = sys.maxsize
        if compile:
            self._max_observed = 1
        elif self.device.type == "cpu":
            self._max_observed = MAX_FRAMES_OBSERVED
        self._one_by_one = compile or self.device.type == "cpu"
        self._stream = None
        if can_stream(self.network):
            if graphs:
                self.network.observe = RecordedFunction(self.network.observe)
                self.network.decide = RecordedFunction(self.network.decide)
            self._stream = Stream(self.network)
        elif isinstance(self.network, ProfileNetwork):
            self._stream = ProfileStream(self.network)

    def windows(self, clips: Tensor) -> Tensor:
        """Clips (B, …) as the network takes them, on any device → its outputs (B, …), float32 on `device`."""
        with torch.inference_mode(), self._autocast():
            return self.network(self.to_device(clips)).float()

    def frames(self, clips: Tensor, newest: int) -> Tensor:
        """The last `newest` maps of clips (B, T, H, W), of an `EveryFrameNetwork` → (B, newest, H, W), float32."""
        with torch.inference_mode(), self._autocast():
            return self.network.frames(self.to_device(clips), newest).float()

    def open_stream(self) -> Callable[[Tensor], Tensor] | None:
        """A stream of its own, as `__call__`, of a network that keeps more than contributions of frames; else None."""
        if not isinstance(self.network, ProfileNetwork):
            return None
        stream = ProfileStream(self.network)

        def step(frame: Tensor) -> Tensor:
            with torch.inference_mode(), self._autocast():
                return stream(self.to_device(frame)).float()

        return step

    def __call__(self, frame: Tensor) -> Tensor:
        """The next frame of each of B sequences, (B, C, H, W) on any device → outputs (B, …), float32 on `device`."""
        with torch.inference_mode(), self._autocast():
            return self._stream(self.to_device(frame)).float()

    def chunk(self, frames: Tensor) -> Tensor:
        """The next N frames of each of B sequences, (N, B, C, H, W) on any device, as one batch → outputs (N, B, …)."""
        with torch.inference_mode(), self._autocast():
            return self._stream.chunk(self.to_device(frames)).float()

    def observe(self, frames: Tensor) -> list[tuple[Tensor, ...]]:
        """What each frame contributes to every clip that it is in.

        Args:
            frames: (N, C, H, W) on any device.

        Returns:
            N tuples of tensors (1, …) for `decide`.
        """
        with torch.inference_mode(), self._autocast():
            batches = self.to_device(frames).split(self._max_observed)
            return [
                tuple(part[i : i + 1] for part in parts)
                for parts in map(self.network.observe, batches)
                for i in range(len(parts[0]))
            ]

    def decide(self, keys: Tensor, windows: Sequence[Sequence[tuple[Tensor, ...]]]) -> Tensor:
        """The outputs for clips of frames that were observed before.

        On a CPU clip by clip: a batch of windows would only be copied together.

        Args:
            keys: key frames (B, C, H, W) on any device.
            windows: for each clip what its T frames contributed, in order.

        Returns:
            (B, …) float32 on `device`.
        """
        with torch.inference_mode(), self._autocast():
            keys = self.to_device(keys)
            if self._one_by_one or len(windows) == 1:
                outputs = [self.network.decide(*clip) for clip in zip(keys.split(1), windows, strict=True)]
                return torch.cat(outputs).float()
            ages = zip(*windows, strict=True)
            window = [tuple(map(torch.cat, zip(*frames, strict=True))) for frames in ages]
            return self.network.decide(keys, window).float()

    def reset(self) -> None:
        """A new sequence begins, or a cut in the frame numbers."""
        self._stream.reset()

    def stream(self, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        """`self(frame)` for every frame of one sequence, outputs on the CPU.

        On a GPU the next frame is copied and started before the last output is waited for.
        """
        self.reset()
        waiting = None
        for frame in frames:
            output = self._to_host(self(frame))
            if waiting is not None:
                yield self._wait(*waiting)
            waiting = output
        if waiting is not None:
            yield self._wait(*waiting)

    def to_device(self, x: Tensor) -> Tensor:
        """`x` on `device`; to a GPU through pinned memory, without waiting."""
        if self.device.type == "cuda" and x.device.type == "cpu":
            x = x.pin_memory()
        return x.to(self.device, non_blocking=True)

    def _to_host(self, output: Tensor) -> tuple[Tensor, torch.cuda.Event | None]:
        if output.device.type != "cuda":
            return output, None
        host = torch.empty(output.shape, dtype=output.dtype, pin_memory=True)
        host.copy_(output, non_blocking=True)
        return host, torch.cuda.current_stream(output.device).record_event()

    @staticmethod
    def _wait(output: Tensor, copied: torch.cuda.Event | None) -> Tensor:
        if copied is not None:
            copied.synchronize()
        return output

    def _autocast(self):
        if self.half is None:
            return nullcontext()
        return torch.autocast(self.device.type, self.half, cache_enabled=False)


def record_graph(step: Callable[[], Any], device: torch.device) -> tuple[Callable[[], None], Any]:
    """Capture `step` as a CUDA graph → what replays it, and its output, whose memory is fixed."""
    side = torch.cuda.Stream(device)
    side.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(side):
        for _ in range(3):  # libraries set themselves up before the capture
            step()
    torch.cuda.current_stream(device).wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        output = step()
    return graph.replay, output


class _Graph(NamedTuple):
    """A recorded call and its fixed memory: what it returns, the arguments it reads."""

    replay: Callable[[], None]
    output: Any
    arguments: tuple


class RecordedFunction:
    """A function of tensors, or of tuples and lists of them, whose calls are replayed as CUDA graphs.

    A graph is recorded at the first call for each combination of shapes. Arguments are copied into the graph's memory,
    outputs out of it.

    Args:
        function: what is called.
        record: as `record_graph`.
        max_graphs: combinations of shapes that are recorded; others run as they are.
    """

    def __init__(self, function: Callable, record: Callable = record_graph, max_graphs: int = 8):
        self.function, self.record, self.max_graphs = function, record, max_graphs
        self._graphs: dict[tuple, _Graph] = {}

    def __call__(self, *arguments: Any) -> Any:
        tensors = tree_leaves(arguments)
        shapes = tuple(tensor.shape for tensor in tensors)
        if shapes not in self._graphs:
            if len(self._graphs) >= self.max_graphs:
                return self.function(*arguments)
            memory = tree_map(torch.clone, arguments)
            self._graphs[shapes] = _Graph(*self.record(lambda: self.function(*memory), tensors[0].device), memory)
        graph = self._graphs[shapes]
        for tensor, fixed in zip(tensors, tree_leaves(graph.arguments), strict=True):
            fixed.copy_(tensor)
        graph.replay()
        return tree_map(torch.clone, graph.output)
