"""A network on the hardware at hand: clips or a stream of frames in, outputs out.

What is exact is always done: folded batch norms, channels-last, streaming. What costs accuracy or a long start is for
the caller to choose: half precision, `torch.compile`, CUDA graphs.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nets.folding import folded
from nets.streaming import Stream, can_stream

PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16, "float16": torch.float16}


class Runtime:
    """`network` ready for inference; it is copied, later changes to it have no effect.

    device: a torch device. precision: "float32"; or "bfloat16" (CPUs and GPUs that have it) or "float16" (GPUs) for
    convolutions and attention, which costs accuracy: measure it on data of your own. compile: `torch.compile`, which
    takes from half a minute to minutes at the first clip or frame of each shape. graphs: replay the step of a stream as
    one CUDA graph (GPUs only; not together with `compile`). Raises ValueError for choices that do not go together.
    """

    def __init__(
        self,
        network: nn.Module,
        device: str | torch.device = "cpu",
        precision: str = "float32",
        compile: bool = False,
        graphs: bool = False,
    ):
        self.device = torch.device(device)
        if precision not in PRECISIONS:
            raise ValueError(f"got precision {precision!r}, expected one of {', '.join(PRECISIONS)}")
        if graphs and (self.device.type != "cuda" or compile):
            raise ValueError(f"got graphs on {self.device}, compile={compile}: CUDA graphs need a GPU and no compile")
        self.network = folded(network).to(self.device)
        self.half = PRECISIONS[precision]
        if self.half is not None:  # once here instead of at every call
            for module in self.network.modules():
                if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Linear)):
                    module.to(self.half)
        if compile:
            for name in ("forward", "observe", "decide"):
                if hasattr(self.network, name):
                    setattr(self.network, name, torch.compile(getattr(self.network, name), dynamic=False))
        self._stream = None
        if can_stream(self.network):
            self._stream = GraphStream(self.network) if graphs else Stream(self.network)

    def windows(self, clips: Tensor) -> Tensor:
        """Clips (B, …) as the network takes them, on any device → its outputs, float32 on `device`."""
        with torch.inference_mode(), self._autocast():
            return self.network(self.to_device(clips)).float()

    def __call__(self, frame: Tensor) -> Tensor:
        """The next frame of each of B sequences, (B, C, H, W) on any device → outputs (B, …), float32 on `device`."""
        with torch.inference_mode(), self._autocast():
            return self._stream(self.to_device(frame)).float()

    def chunk(self, frames: Tensor) -> Tensor:
        """The next N frames of each of B sequences, (N, B, C, H, W), as one batch → outputs (N, B, …)."""
        with torch.inference_mode(), self._autocast():
            return self._stream.chunk(self.to_device(frames)).float()

    def reset(self) -> None:
        """A new sequence begins, or a cut in the frame numbers."""
        self._stream.reset()

    def stream(self, frames: Iterable[Tensor]) -> Iterator[Tensor]:
        """`self(frame)` for every frame of one sequence, outputs on the CPU; on a GPU the next frame is copied and
        started before the last output is waited for."""
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


def record_graph(step: Callable[[], Tensor], device: torch.device) -> tuple[Callable[[], None], Tensor]:
    """Capture `step` as a CUDA graph → what replays it, and the output's fixed memory."""
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
    """A recorded step and its fixed memory: the frame it reads, what past frames contributed, its output."""

    replay: Callable[[], None]
    frame: Tensor
    past: list[tuple[Tensor, ...]]
    output: Tensor


class GraphStream(Stream):
    """`Stream` whose step over one frame is replayed as one CUDA graph, recorded at the first frame of each shape.

    What the last frames contributed lies in fixed memory and moves on by one inside the graph. Outputs are copies.
    """

    def __init__(self, network: nn.Module, record: Callable = record_graph):
        super().__init__(network)
        self._record = record
        self._graphs: dict[torch.Size, _Graph] = {}

    def __call__(self, frame: Tensor) -> Tensor:
        if frame.shape != self._shape:
            self._begin(frame)
        graph = self._graphs[frame.shape]
        graph.frame.copy_(frame)
        graph.replay()
        return graph.output.clone()

    def chunk(self, frames: Tensor) -> Tensor:
        return torch.stack([self(frame) for frame in frames])

    def _begin(self, frame: Tensor) -> None:
        first = Stream(self.network)
        first(frame)  # refuses bad frames, and fills the window
        if frame.shape not in self._graphs:
            self._graphs[frame.shape] = self._graph(frame, first.past)
        _move(first.past, self._graphs[frame.shape].past)
        self._shape = frame.shape

    def _graph(self, frame: Tensor, past: list[tuple[Tensor, ...]]) -> _Graph:
        frame, past = frame.clone(), [tuple(part.clone() for part in parts) for parts in past]

        def step() -> Tensor:
            window = [*past, self.network.observe(frame)]
            output = self.network.decide(frame, window)
            _move(window[1:], past)
            return output

        replay, output = self._record(step, frame.device)
        return _Graph(replay, frame, past, output)


def _move(source: list[tuple[Tensor, ...]], target: list[tuple[Tensor, ...]]) -> None:
    """Copy contributions, oldest first, which may overlap by one frame."""
    for parts, own in zip(source, target, strict=True):
        for part, memory in zip(parts, own, strict=True):
            memory.copy_(part)
