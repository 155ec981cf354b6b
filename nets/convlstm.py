"""Cross-slice ConvLSTM, shared by TSMSA and SSTNet.

One *slice* is one pass of a stack of ConvLSTM layers over the T frames of a clip. A slice hands the next one its hidden
states h and the motion states m, n of every layer and frame. For layer inputs x_t and u_t, at frame t:

    i, f, o, g = conv([x, h]) + conv2([x, h, u, m])          c' = σ(f)·c + σ(i)·tanh(g)      h' = σ(o)·tanh(c')
    i, f, g, o = motion([u, mm1([σ(p)+m, m]), mm2([σ(r)+m, m])])
    n' = σ(f)·n + σ(i)·tanh(g) + c'                          m' = σ(o)·tanh(n') + h'

x and u are h and m of the layer below; in layer 0 those of the previous slice's last layer, and in the very first layer
both are the frame's features. h, c come from frame t-1; m, n from the same layer and frame of the previous slice.
p and r are the past and future attention (attention.py).

Only h is recurrent within a layer: everything else is known for all frames before it starts. So all frames' x, u and m
pass through one convolution, and the recurrence is left with an h → gates convolution, from the second frame on. What
only multiplies zeros or cannot reach the last layer's h is not built: the first slice has no m, n, no forget gate for n
and a constant for its attention, and the last layer of the last slice has no motion branch.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nets.attention import ATTENTIONS, ConstantMaps, PastFutureAttention
from nets.blocks import split_frames


class LayerStates(NamedTuple):
    """States of one layer, for each of T frames (B, C, H, W) float; m, n are empty where nothing reads them."""

    h: Sequence[Tensor]
    c: Sequence[Tensor]
    m: Sequence[Tensor] = ()
    n: Sequence[Tensor] = ()


def conv3x3(in_channels: int, out_channels: int, bias: bool = True) -> nn.Conv2d:
    """3×3 convolution that keeps H and W."""
    return nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=bias)


def observe_clip(observe: Callable[[Tensor], tuple[Tensor, ...]], frames: Tensor) -> list[tuple[Tensor, ...]]:
    """What the frames (T, B, C, H, W) of clips contribute, all observed as one batch: T tuples of (B, …) tensors."""
    return list(zip(*(split_frames(part, len(frames)) for part in observe(frames.flatten(0, 1))), strict=True))


def tanh(x: Tensor) -> Tensor:
    """tanh as 1 - 2·σ(-2x) where that is exact enough and faster: float32 on the CPU, about four times."""
    if x.device.type != "cpu" or x.dtype != torch.float32:
        return x.tanh()
    return torch.rsub(torch.sigmoid(-2 * x), 1, alpha=2)


class FirstMotionBranch(nn.Module):
    """Motion branch of slice 0, where m = n = 0: gates i, g, o from u and constant maps."""

    def __init__(self, in_channels: int, channels: int, attention: str):
        super().__init__()
        kind = ATTENTIONS[attention]
        # The middle tap over a map of ones is the bias.
        self.gates = conv3x3(in_channels, 3 * channels, bias=kind.constants > 1)
        self.constant = ConstantMaps(kind)
        self.constant_gates = conv3x3(kind.constants, 3 * channels, bias=False)

    def observe(self, u: Tensor) -> Tensor:
        """u (N, in_channels, H, W) → gates (N, 3·channels, H, W), of each frame by itself."""
        return self.gates(u) + self.constant_gates(self.constant(u))

    def forward(self, gates: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        """Its gates from `observe` and the layer's h', c', all of one frame → m', n' (B, channels, H, W)."""
        i, g, o = gates.chunk(3, 1)
        n = i.sigmoid() * tanh(g) + c
        return o.sigmoid() * tanh(n) + h, n


class MotionBranch(nn.Module):
    """Motion branch of slices 1 and up.

    `mix_past` and `mix_future` are mm1 and mm2 over [σ(p), m], as mm1([σ(p)+m, m]) is linear in both.
    """

    def __init__(self, in_channels: int, channels: int, attention: str):
        super().__init__()
        self.attention = PastFutureAttention(ATTENTIONS[attention], channels)
        self.mix_past = nn.Conv2d(2 * channels, channels, 1, bias=False)
        self.mix_future = nn.Conv2d(2 * channels, channels, 1, bias=False)
        self.gates = conv3x3(in_channels + 2 * channels, 4 * channels)

    def observe(self, u: Tensor, m: Tensor, frames: int) -> Tensor:
        """The gates of all frames.

        Args:
            u: (T·B, in_channels, H, W) float.
            m: the previous slice's (T·B, channels, H, W) float.
            frames: T.

        Returns:
            (T·B, 4·channels, H, W) float.
        """
        past, future = self.attention(u, m, frames)
        m1 = self.mix_past(torch.cat((past, m), 1))
        m2 = self.mix_future(torch.cat((future, m), 1))
        return self.gates(torch.cat((u, m1, m2), 1))

    def forward(self, gates: Tensor, h: Tensor, c: Tensor, n: Tensor) -> tuple[Tensor, Tensor]:
        """The gates from `observe`, the layer's h', c' and the previous slice's n → m', n'.

        All are of one frame, (B, channels, H, W) each, the gates with four times the channels.
        """
        i, f, g, o = gates.chunk(4, 1)
        n = f.sigmoid() * n + i.sigmoid() * tanh(g) + c
        return o.sigmoid() * tanh(n) + h, n


class ConvLSTMLayer(nn.Module):
    """One layer of one slice, run over all frames.

    Args:
        in_channels: of x and u.
        channels: of all states.
        attention: a key of `ATTENTIONS`.
        first_layer: x and u are the same features.
        first_slice: m = n = 0.
        last: nothing reads m', n'.
    """

    def __init__(
        self, in_channels: int, channels: int, attention: str, first_layer: bool, first_slice: bool, last: bool
    ):
        super().__init__()
        sources = in_channels if first_layer else 2 * in_channels
        self.inputs = conv3x3(sources if first_slice else sources + channels, 4 * channels)
        self.recurrent = conv3x3(channels, 4 * channels, bias=False)
        motion = FirstMotionBranch if first_slice else MotionBranch
        self.motion = None if last else motion(in_channels, channels, attention)

    def forward(self, below: LayerStates, before: LayerStates | None) -> LayerStates:
        """The states of any layer but the first.

        Args:
            below: states of the layer below or of the previous slice's last layer, which give x and u.
            before: states of the previous slice's same layer, which give m and n; None in the first slice.
        """
        frames, n = len(below.h), ()
        # chunk and cat along the batch, unlike unbind and stack, keep a channels-last layout, forward and backward.
        x, u = torch.cat(below.h), torch.cat(below.m)
        if before is None:
            parts = [self.inputs(torch.cat((x, u), 1))]
            if self.motion is not None:
                parts.append(self.motion.observe(u))
        else:
            m, n = torch.cat(before.m), before.n
            parts = [self.inputs(torch.cat((x, u, m), 1))]
            if self.motion is not None:
                parts.append(self.motion.observe(u, m, frames))
        return self.run(list(zip(*(split_frames(part, frames) for part in parts), strict=True)), n)

    def observe(self, x: Tensor) -> tuple[Tensor, ...]:
        """In the first layer of the first slice: all that a frame contributes, which no other frame changes.

        x (N, in_channels, H, W) → its part of the gates (N, 4·channels, H, W) and, where there is a motion branch, of
        that one's gates (N, 3·channels, H, W).
        """
        return (self.inputs(x),) if self.motion is None else (self.inputs(x), self.motion.observe(x))

    def run(self, window: Sequence[tuple[Tensor, ...]], n: Sequence[Tensor] = ()) -> LayerStates:
        """The states of all frames.

        Args:
            window: for each frame its gates (B, 4·channels, H, W), recurrent part left out, and those of the motion
                branch, where there is one.
            n: the previous slice's, where there is one.
        """
        gates, *motion = zip(*window, strict=True)
        h, c = self._recur(gates)
        if self.motion is None:
            return LayerStates(h, c)
        states = (h, c, n) if n else (h, c)
        frames = zip(*motion, *states, strict=True)
        return LayerStates(h, c, *zip(*(self.motion(*frame) for frame in frames), strict=True))

    def _recur(self, gates: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        hidden: list[Tensor] = []
        cells: list[Tensor] = []
        # Multiplying zeros at t = 0 is cheaper than not using f: its gradient would be filled in as contiguous zeros,
        # and every channels-last gradient of the gates would be copied to that layout and back.
        c = torch.zeros_like(gates[0].chunk(4, 1)[0])
        for gate in gates:
            if hidden:
                gate = self.recurrent(hidden[-1]).add_(gate)
            i, f, o, g = gate.chunk(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * tanh(g)
            cells.append(c)
            hidden.append(o.sigmoid() * tanh(c))
        return hidden, cells


class CrossSliceConvLSTM(nn.Module):
    """Cross-slice ConvLSTM (see the module's text for the equations).

    Args:
        in_channels: of the features.
        channels: of all states.
        num_layers, num_slices: at least 1 each.
        attention: "gc" (TSMSA) or "mha" (SSTNet).

    Raises:
        ValueError: an unknown attention, or counts below 1.
    """

    def __init__(
        self, in_channels: int, channels: int, num_layers: int = 1, num_slices: int = 1, attention: str = "gc"
    ):
        super().__init__()
        if attention not in ATTENTIONS:
            raise ValueError(f"got attention {attention!r}, expected one of {', '.join(ATTENTIONS)}")
        for name, count in (("num_layers", num_layers), ("num_slices", num_slices)):
            if count < 1:
                raise ValueError(f"got {name}={count}, expected at least 1")
        self.num_layers, self.num_slices = num_layers, num_slices
        self.in_channels, self.channels, self.attention = in_channels, channels, attention
        count = num_slices * num_layers
        self.layers = nn.ModuleList(
            ConvLSTMLayer(
                in_channels if index == 0 else channels,
                channels,
                attention,
                first_layer=index == 0,
                first_slice=index < num_layers,
                last=index == count - 1,
            )
            for index in range(count)
        )

    def observe(self, x: Tensor) -> tuple[Tensor, ...]:
        """What each frame contributes whatever the clip it is in: x (N, in_channels, H, W) float → (N, …) tensors."""
        return self.layers[0].observe(x)

    def run(self, window: Sequence[tuple[Tensor, ...]]) -> list[LayerStates]:
        """The states of every layer, ordered by slice, then layer.

        Args:
            window: what T frames contributed, in order (see `observe`), tensors (B, …).
        """
        states = [self.layers[0].run(window)]
        for index, layer in enumerate(self.layers[1:], 1):
            before = states[index - self.num_layers] if index >= self.num_layers else None
            states.append(layer(states[-1], before))
        return states

    def states(self, x: Tensor) -> list[LayerStates]:
        """x (B, T, in_channels, H, W) float → the states of every layer, ordered by slice, then layer."""
        return self.run(observe_clip(self.observe, x.transpose(0, 1)))

    def forward(self, x: Tensor) -> Tensor:
        """x (B, T, in_channels, H, W) float → h of the last layer of the last slice.

        It is (B, T, channels, H, W) float in (-1, 1).
        """
        return torch.stack(list(self.states(x)[-1].h), 1)
