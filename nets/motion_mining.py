"""MICML's motion module: motion patterns mined from a recurrent look over the clip, adapted to what is seen.

Motion-inspired cross-modal learning for small moving objects in satellite videos (MICML, MICPL), IEEE TNNLS 2024.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nets.blocks import resize_like

SIDE = 64  # of the maps on which motion patterns are mined
LAYERS = 3


class SqueezeExcite(nn.Sequential):
    """(B, C, h, w) float, times a weight in (0, 1) of each channel that its means over the map give."""

    def __init__(self, channels: int):
        super().__init__(
            nn.Linear(channels, channels // 2, bias=False), nn.ReLU(), nn.Linear(channels // 2, channels, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * super().forward(x.mean((2, 3))).sigmoid()[..., None, None]


class MotionMining(nn.Module):
    """x (B, T, C, h, w) float → what is to be added to it, of the same shape; frame 0 is the key frame.

    Three layers of a ConvLSTM, each with a cell of its own. At each time a copy of the state runs on over the whole
    clip; of this look the motion patterns are mined, and the visible state H grows by their adapted form. That H is the
    layer's output and the state from which the next time goes on. All but the cells is shared by layers and times.

    Args:
        num_frames: T.
        channels: C, even (64 as published).
    """

    def __init__(self, num_frames: int, channels: int = 64):
        super().__init__()
        self.num_frames, self.channels = num_frames, channels
        self.cells = nn.ModuleList(nn.Conv2d(2 * channels, 4 * channels, 3, padding=1) for _ in range(LAYERS))
        self.se_state, self.se_pattern = SqueezeExcite(channels), SqueezeExcite(channels)
        self.look = nn.Sequential(
            nn.Conv2d(2 * num_frames * channels, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU()
        )
        self.relation = nn.Linear(SIDE * SIDE, channels)
        self.own, self.other = nn.Linear(SIDE, SIDE), nn.Linear(SIDE, SIDE)  # along x
        self.adapt = nn.Sequential(
            nn.Linear(2 * channels, channels, bias=False), nn.ReLU(), nn.Linear(channels, channels, bias=False)
        )

    def forward(self, x: Tensor, newest: int | None = None) -> Tensor:
        """Look over the clip.

        Args:
            x: (B, T, C, h, w) float.
            newest: return times 0 … newest - 1 alone, all by default. The last layer runs no further, but in training,
                where every time counts in the running statistics.

        Returns:
            (B, newest, C, h, w) float.
        """
        for layer, cell in enumerate(self.cells):
            last = layer == LAYERS - 1 and newest is not None and not self.training
            x, _ = self.run_layer(x, cell, newest if last else self.num_frames)
        return x if newest is None else x[:, :newest]

    def run_layer(self, x: Tensor, cell: nn.Conv2d, times: int) -> tuple[Tensor, Tensor]:
        """Outputs (B, times, C, h, w) of a layer over x (B, T, C, h, w), and the last cell state (B, C, h, w)."""
        from_input, from_state = cell.weight.split(self.channels, 1)
        gates = F.conv2d(x.transpose(0, 1).flatten(0, 1), from_input, cell.bias, padding=1)
        gates = gates.unflatten(0, (x.shape[1], x.shape[0]))  # the same at every look: computed once
        state, outputs = None, []
        for time in range(times):
            hidden, memory = _step(gates[time], from_state, state)
            ahead, looks = (hidden, memory), []
            for gate in gates:
                ahead = _step(gate, from_state, ahead)
                looks.append(F.adaptive_max_pool2d(ahead[0], SIDE))
            pooled = F.adaptive_max_pool2d(hidden, SIDE)
            patterns = self.mine(pooled, self.patterns(pooled, looks))
            hidden = hidden + self.adapted(hidden, patterns).sigmoid()
            state = hidden, memory
            outputs.append(hidden)
        return torch.stack(outputs, 1), memory

    def patterns(self, pooled: Tensor, looks: list[Tensor]) -> Tensor:
        """K (B, C, 64, 64) of the pooled state, and of those of the look ahead, (B, C, 64, 64) each.

        The convolution is one over [H, G_0, H, G_1, …]; its columns over the same H are summed.
        """
        conv, norm, activation = self.look
        of_state, of_looks = conv.weight.unflatten(1, (self.num_frames, 2, self.channels)).unbind(2)
        weight = torch.cat((of_state.sum(1), of_looks.flatten(1, 2)), 1)
        return self.se_pattern(activation(norm(F.conv2d(torch.cat((pooled, *looks), 1), weight, conv.bias))))

    def mine(self, pooled: Tensor, patterns: Tensor) -> Tensor:
        """The pooled state and K, (B, C, 64, 64) each → motion patterns R of that shape."""
        relation = self.relation(patterns.flatten(2))
        state = self.se_state(pooled)
        mixed = (relation @ self.other(state).flatten(2)).view_as(state)
        return (self.own(state) + mixed) / 2

    def adapted(self, hidden: Tensor, patterns: Tensor) -> Tensor:
        """What σ is taken of and added to the state: hidden (B, C, h, w), patterns (B, C, 64, 64) → as hidden."""
        first, activation, last = self.adapt
        of_state, of_patterns = (part[..., None, None] for part in first.weight.split(self.channels, 1))
        # A convolution of each pixel alone commutes with the interpolation.
        larger = resize_like(F.conv2d(patterns, of_patterns), hidden, align_corners=True)
        return F.conv2d(activation(F.conv2d(hidden, of_state) + larger), last.weight[..., None, None])


def _step(gates: Tensor, from_state: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
    """The next (H, c) of a cell: `gates`, the input's part of them, (B, 4·C, h, w); without a state it is zero."""
    if state is not None:
        gates = gates + F.conv2d(state[0], from_state, padding=1)
    i, f, o, g = gates.chunk(4, 1)
    memory = i.sigmoid() * g.tanh()
    if state is not None:
        memory = f.sigmoid() * state[1] + memory
    return o.sigmoid() * memory.tanh(), memory
