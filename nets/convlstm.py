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

from nets.attention import ATTENTIONS, ConstantMaps, PastFuture


class States(NamedTuple):
    """States of one layer for all frames, each (T, B, C, H, W) float; m, n are None where nothing reads them."""

    h: Tensor
    c: Tensor
    m: Tensor | None
    n: Tensor | None


def conv3x3(in_channels: int, out_channels: int, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=bias)


def clip_window(observe: Callable[[Tensor], tuple[Tensor, ...]], frames: Tensor) -> list[tuple[Tensor, ...]]:
    """What the frames (T, B, C, H, W) of clips contribute, all observed as one batch: T tuples of (B, …) tensors."""
    return list(zip(*(part.chunk(len(frames)) for part in observe(frames.flatten(0, 1))), strict=True))


class FirstMotion(nn.Module):
    """Motion branch of slice 0, where m = n = 0: gates i, g, o from u and constant maps.

    Its gates (T·B, 3·channels, H, W), from `observe`, and the layer's h', c' (T, B, channels, H, W) → m', n'.
    """

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
        i, g, o = gates.unflatten(0, h.shape[:2]).chunk(3, 2)
        n = i.sigmoid() * g.tanh() + c
        return o.sigmoid() * n.tanh() + h, n


class Motion(nn.Module):
    """Motion branch of slices 1 and up.

    u (T, B, in_channels, H, W), the layer's h', c' and the previous slice's m, n (T, B, channels, H, W) → m', n'.
    `mix_past` and `mix_future` are mm1 and mm2 over [σ(p), m], as mm1([σ(p)+m, m]) is linear in both.
    """

    def __init__(self, in_channels: int, channels: int, attention: str):
        super().__init__()
        self.attention = PastFuture(ATTENTIONS[attention], channels)
        self.mix_past = nn.Conv2d(2 * channels, channels, 1, bias=False)
        self.mix_future = nn.Conv2d(2 * channels, channels, 1, bias=False)
        self.gates = conv3x3(in_channels + 2 * channels, 4 * channels)

    def forward(self, u: Tensor, h: Tensor, c: Tensor, m: Tensor, n: Tensor) -> tuple[Tensor, Tensor]:
        past, future = self.attention(u, m)
        m = m.flatten(0, 1)
        m1 = self.mix_past(torch.cat((past, m), 1))
        m2 = self.mix_future(torch.cat((future, m), 1))
        gates = self.gates(torch.cat((u.flatten(0, 1), m1, m2), 1))
        i, f, g, o = gates.unflatten(0, u.shape[:2]).chunk(4, 2)
        n = f.sigmoid() * n + i.sigmoid() * g.tanh() + c
        return o.sigmoid() * n.tanh() + h, n


class Layer(nn.Module):
    """One layer of one slice, run over all frames.

    `first_layer`: x and u are the same features; `first_slice`: m = n = 0; `last`: nothing reads m', n'.
    """

    def __init__(
        self, in_channels: int, channels: int, attention: str, first_layer: bool, first_slice: bool, last: bool
    ):
        super().__init__()
        sources = in_channels if first_layer else 2 * in_channels
        self.inputs = conv3x3(sources if first_slice else sources + channels, 4 * channels)
        self.recurrent = conv3x3(channels, 4 * channels, bias=False)
        motion = FirstMotion if first_slice else Motion
        self.motion = None if last else motion(in_channels, channels, attention)

    def forward(self, x: Tensor, u: Tensor | None, m: Tensor | None, n: Tensor | None) -> States:
        """x, u (T, B, in_channels, H, W); m, n (T, B, channels, H, W), or None in the first slice."""
        sources = [source.flatten(0, 1) for source in (x, u, m) if source is not None]
        # chunk and cat, unlike unbind and stack, keep a channels-last layout, forward and backward.
        gates = self.inputs(torch.cat(sources, 1)).chunk(x.shape[0])
        if m is None and self.motion is not None:
            return self.run(gates, self.motion.observe(sources[1]))
        return self.run(gates, u, m, n)

    def observe(self, x: Tensor) -> tuple[Tensor, ...]:
        """In the first layer of the first slice: all that a frame contributes, which no other frame changes.

        x (N, in_channels, H, W) → its part of the gates (N, 4·channels, H, W) and, where there is a motion branch, of
        that one's gates (N, 3·channels, H, W).
        """
        return (self.inputs(x),) if self.motion is None else (self.inputs(x), self.motion.observe(x))

    def run(self, gates: Sequence[Tensor], *motion: Tensor | None) -> States:
        """gates: all but their recurrent part, T × (B, 4·channels, H, W); motion: what the motion branch takes beside h
        and c, its first gates or u, and m, n."""
        h, c = (torch.cat(maps).unflatten(0, (len(gates), -1)) for maps in self._recur(gates))
        if self.motion is None:
            return States(h, c, None, None)
        return States(h, c, *self.motion(motion[0], h, c, *motion[1:]))

    def _recur(self, gates: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        hidden: list[Tensor] = []
        cells: list[Tensor] = []
        # Multiplying zeros at t = 0 is cheaper than not using f: its gradient would be filled in as contiguous zeros,
        # and every channels-last gradient of the gates would be copied to that layout and back.
        c = torch.zeros_like(gates[0].chunk(4, 1)[0])
        for gate in gates:
            if hidden:
                gate = gate + self.recurrent(hidden[-1])
            i, f, o, g = gate.chunk(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            cells.append(c)
            hidden.append(o.sigmoid() * c.tanh())
        return hidden, cells


class CrossSliceConvLSTM(nn.Module):
    """Cross-slice ConvLSTM (see the module's text for the equations).

    in_channels: of the features; channels: of all states; attention: "gc" (TSMSA) or "mha" (SSTNet). Raises ValueError
    for an unknown attention or counts below 1.
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
            Layer(
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

    def run(self, window: Sequence[tuple[Tensor, ...]]) -> list[States]:
        """What T frames contributed (see `observe`; tensors (B, …), in order) → the states of every layer, ordered by
        slice, then layer."""
        gates, *motion = zip(*window, strict=True)
        states = [self.layers[0].run(gates, *map(torch.cat, motion))]
        for index, layer in enumerate(self.layers[1:], 1):
            below, before = states[-1], states[index - self.num_layers] if index >= self.num_layers else None
            states.append(layer(below.h, below.m, before and before.m, before and before.n))
        return states

    def states(self, x: Tensor) -> list[States]:
        """x (B, T, in_channels, H, W) float → the states of every layer, ordered by slice, then layer."""
        return self.run(clip_window(self.observe, x.transpose(0, 1)))

    def forward(self, x: Tensor) -> Tensor:
        """x (B, T, in_channels, H, W) float → h of the last layer of the last slice,
        (B, T, channels, H, W) float in (-1, 1)."""
        return self.states(x)[-1].h.transpose(0, 1)
