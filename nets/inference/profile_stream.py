"""DeepPro and DeepPro-Plus fed frame by frame: features that a window moved by one frame keeps are kept.

Zero padding changes the features near both ends of a window, further in with every convolution over time; those between
are the last window's. The matrices over time move with the window, so all of their products are new, but only the
newest frame's are asked for.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from nets.blocks import check_frames
from nets.multi_frame.deeppro import ProfileBlock, ProfileConv, ProfileLevel, ProfileNetwork, pool

Span = tuple[int, int]  # places in the window from the first up to the second one


class Window:
    """Where the window of T frames lies in rings of T frames, and which of its places are computed anew."""

    def __init__(self, length: int):
        self.length, self.start, self.whole = length, 0, True

    def move(self) -> None:
        """One frame on: its place in rings is that of the frame that has left."""
        self.start = (self.start + 1) % self.length

    def spans(self, edge: int) -> list[Span]:
        """What is new where padding reaches `edge` frames into the window: both ends, and the frame next to the last's.

        All of it in the first window, or where the ends meet.
        """
        if self.whole or 2 * edge + 1 >= self.length:
            return [(0, self.length)]
        return [*([(0, edge)] if edge else []), (self.length - edge - 1, self.length)]

    def pieces(self, span: Span) -> list[slice]:
        """Where in rings the frames of a span are: in one piece, or in two around a ring's end."""
        first, count = (self.start + span[0]) % self.length, span[1] - span[0]
        beyond = max(0, first + count - self.length)
        return [slice(first, first + count - beyond), *([slice(0, beyond)] if beyond else [])]

    @property
    def times(self) -> list[int]:
        """The place in the window of each frame of a ring."""
        return [(place - self.start) % self.length for place in range(self.length)]


class Ring:
    """Features of the T frames of a window, (B, C, T, h, w), channels last; where they lie says `window`."""

    def __init__(self, window: Window):
        self.window = window
        self.frames: Tensor | None = None  # (B, T, h, w, C)

    @property
    def features(self) -> Tensor:
        """All of them in the order of the ring (`Window.times`)."""
        return self.frames.permute(0, 4, 1, 2, 3)

    def put(self, span: Span, x: Tensor) -> None:
        """Keep the features of a span, (B, C, its frames, h, w)."""
        x = x.permute(0, 2, 3, 4, 1)
        if self.frames is None:
            self.frames = x.new_empty((x.shape[0], self.window.length, *x.shape[2:]))
        done = 0
        for piece in self.window.pieces(span):
            count = piece.stop - piece.start
            self.frames[:, piece] = x[:, done : done + count]
            done += count

    def take(self, span: Span, reach: int = 0) -> Tensor:
        """Features of a span and of `reach` frames on both sides, zeros outside the window."""
        first, end = span[0] - reach, span[1] + reach
        inside = max(0, first), min(self.window.length, end)
        parts = [self.frames[:, piece] for piece in self.window.pieces(inside)]
        x = parts[0] if len(parts) == 1 else torch.cat(parts, 1)
        if inside != (first, end):
            x = F.pad(x, (0, 0, 0, 0, 0, 0, inside[0] - first, end - inside[1]))
        return x.permute(0, 4, 1, 2, 3)


class BlockStream:
    """A block whose input is new up to `edge` frames from the window's ends; `out` has its output."""

    def __init__(self, block: ProfileBlock, edge: int, window: Window):
        self.block, self.window, self.edge = block, window, edge
        self.middle = edge + block.conv1.reach
        self.end = self.middle + block.conv2.reach
        self.hidden, self.shortcut, self.out = Ring(window), Ring(window), Ring(window)

    def update(self, source: Ring) -> None:
        """The window has moved, and `source` is up to date."""
        block = self.block
        for span in self.window.spans(self.edge):
            self.shortcut.put(span, block.shortcut(source.take(span)))
        for span in self.window.spans(self.middle):
            self.hidden.put(span, block.first(source.take(span, block.conv1.reach), pad_time=False))
        for span in self.window.spans(self.end):
            x = block.second(self.hidden.take(span, block.conv2.reach), pad_time=False)
            self.out.put(span, block.finish(x, self.shortcut.take(span)))


class LevelStream:
    """A level: pooled copies of what its blocks read where they pool, and the probe's channels by head."""

    def __init__(self, level: ProfileLevel, edge: int, window: Window):
        self.level, self.window = level, window
        self.pooled = [Ring(window) if pooled else None for pooled in level.pools]
        self.blocks: list[BlockStream] = []
        for block in level.blocks:
            self.blocks.append(BlockStream(block, edge, window))
            edge = self.blocks[-1].end
        self.heads = [Ring(window) for _ in level.probe.heads]

    def update(self, source: Ring) -> Tensor:
        """As of `BlockStream`; gives the level's output for the newest frame, (B, 8, 1, h, w)."""
        for block, pooled in zip(self.blocks, self.pooled, strict=True):
            if pooled is not None:
                for span in self.window.spans(block.edge):
                    pooled.put(span, pool(source.take(span)))
            block.update(pooled or source)
            source = block.out
        for span in self.window.spans(self.blocks[-1].end):
            for head, part in zip(self.heads, source.take(span).chunk(len(self.heads), 1), strict=True):
                head.put(span, part)
        probe = self.level.probe
        mixed = probe.mix([head.features for head in self.heads], 1, self.window.times)
        return self.level.out(probe.finish(mixed))


class ProfileStream:
    """One frame in, the logits for it out: equal to the network over the clip of T frames that ends with it.

    A sequence begins after frames of zeros, in grey levels the mean. No gradients run through it. `reset()` starts a
    new one, and so do frames of another shape; call it where the sequence changes and at a cut in the frame numbers.

    Args:
        network: in eval mode, best from `nets.inference.folding.fold_network`.

    Raises:
        ValueError: a network in training mode.
    """

    def __init__(self, network: ProfileNetwork):
        if network.training:
            raise ValueError("got a network in training mode, expected eval mode: call network.eval() first")
        self.network = network
        self._shape: torch.Size | None = None

    def reset(self) -> None:
        """Forget all frames."""
        self._shape = None

    @torch.no_grad()
    def __call__(self, frame: Tensor) -> Tensor:
        """The next frame of each of B sequences, (B, 1, H, W) float32, normalised → logits (B, 1, H, W).

        Raises:
            ValueError: any other shape.
        """
        check_frames(frame, self.network.in_channels, self.network.multiple)
        self.network.check_size(frame)
        if frame.shape != self._shape:
            self._begin(frame)
        self.window.move()
        last = (self.window.length - 1, self.window.length)
        self.grey.put(last, frame.unsqueeze(2))
        conv: ProfileConv = self.network.stem[0]
        for span in self.window.spans(conv.reach):
            padded = conv(self.grey.take(span, conv.reach), pad_time=False)
            self.stem.put(span, self.network.stem[1:](padded))
        logits = self.network.decide([level.update(self.stem) for level in self.levels])
        self.window.whole = False
        return logits

    def chunk(self, frames: Tensor) -> Tensor:
        """The next N frames, one after the other: (N, B, 1, H, W) → (N, B, 1, H, W)."""
        return torch.stack([self(frame) for frame in frames])

    def _begin(self, frame: Tensor) -> None:
        self._shape, self.window = frame.shape, Window(self.network.num_frames)
        self.grey, self.stem = Ring(self.window), Ring(self.window)
        before = frame.new_zeros((*frame.shape[:2], self.window.length, *frame.shape[2:]))
        self.grey.put((0, self.window.length), before)
        edge = self.network.stem[0].reach
        self.levels = [LevelStream(level, edge, self.window) for level in self.network.levels]
