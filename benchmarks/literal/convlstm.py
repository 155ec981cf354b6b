"""Cross-slice ConvLSTM exactly as its equations are written: every convolution, frame by frame, zeros included.

Slow, and independent of nets/: what nets.convlstm computes otherwise is held against this. Names are the published
ones, and so are the parts that never influence the output.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class GlobalContext(nn.Module):
    """query, key (B, C, P) float → (B, C, P) float; the value is the key."""

    def __init__(self, channels: int):
        super().__init__()
        hidden = max(channels // 16, 1)
        self.conv_mask = nn.Conv1d(channels, 1, 1)
        self.channel_add_conv = nn.Sequential(  # never used, as published
            nn.Conv1d(channels, hidden, 1), nn.LayerNorm([hidden, 1, 1]), nn.ReLU(), nn.Conv1d(hidden, channels, 1)
        )

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        return (query * self.conv_mask(key).softmax(-1)).sum(-1, keepdim=True) * key


class MultiHeadAttention(nn.MultiheadAttention):
    """query, key (B, C, 1024) float → (B, C, 1024) float; the value is the key."""

    def __init__(self, channels: int):
        super().__init__(1024, 8, dropout=0.1, batch_first=True)

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        return super().forward(query, key, key)[0]


class Node(nn.Module):
    """One layer of one slice at one frame; `width`: channels of x and u, `channels`: of all states."""

    def __init__(self, width: int, channels: int, attention: str):
        super().__init__()
        self.attention = attention
        kind = {"gc": GlobalContext, "mha": MultiHeadAttention}[attention]
        self.conv = nn.Conv2d(width + channels, 4 * channels, 3, padding=1)
        self.conv2 = nn.Conv2d(2 * width + 2 * channels, 4 * channels, 3, padding=1)
        self.motion = nn.Sequential(nn.Conv2d(width + 2 * channels, 4 * channels, 3, padding=1))
        self.mm1 = nn.Conv2d(2 * channels, channels, 1, bias=False)
        self.mm2 = nn.Conv2d(2 * channels, channels, 1, bias=False)
        self.past_attention = kind(channels)
        self.future_attention = kind(channels)

    def forward(self, x, u, first, last, h, c, m, n):
        i, f, o, g = (self.conv(torch.cat((x, h), 1)) + self.conv2(torch.cat((x, h, u, m), 1))).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        p, r = self.attend(first, last, m)
        m1 = self.mm1(torch.cat((p.sigmoid() + m, m), 1))
        m2 = self.mm2(torch.cat((r.sigmoid() + m, m), 1))
        i, f, g, o = self.motion(torch.cat((u, m1, m2), 1)).chunk(4, 1)
        n = f.sigmoid() * n + i.sigmoid() * g.tanh() + c
        return h, c, o.sigmoid() * n.tanh() + h, n

    def attend(self, first: Tensor, last: Tensor, m: Tensor) -> list[Tensor]:
        k = self.pool(m)
        p = r = k.flatten(2)
        if m.shape[1] == first.shape[1]:
            p = self.past_attention(self.pool(first).flatten(2), p)
            r = self.future_attention(self.pool(last).flatten(2), p)
        else:  # features of another width cannot be queries; m = 0 makes gc's result 0 in any case
            assert self.attention == "gc" and not m.any()
        maps = (y.reshape(k.shape) for y in (p, r))
        return [F.interpolate(y, m.shape[-2:], mode="bilinear", align_corners=True) for y in maps]

    def pool(self, y: Tensor) -> Tensor:
        return F.max_pool2d(y, 4) if self.attention == "gc" else F.adaptive_max_pool2d(y, (32, 32))


class LiteralConvLSTM(nn.Module):
    """`slices` × `layers` nodes over `width` features; `attention`: "gc" or "mha"."""

    def __init__(self, width: int, channels: int, slices: int, layers: int, attention: str):
        super().__init__()
        self.slices, self.layers, self.channels = slices, layers, channels
        self.cell_list = nn.ModuleDict(
            {
                f"{index // layers}{index % layers}": Node(channels if index else width, channels, attention)
                for index in range(slices * layers)
            }
        )

    def sequences(self, x: Tensor) -> list[Tensor]:
        """x (B, T, width, H, W) → the h sequence (B, T, channels, H, W) of every (slice, layer), in that order."""
        frames = x.shape[1]
        zeros = x.new_zeros(x.shape[0], self.channels, *x.shape[-2:])
        motion = [[(zeros, zeros)] * frames for _ in range(self.layers)]
        xs = us = list(x.unbind(1))
        outputs = []
        for index, node in enumerate(self.cell_list.values()):
            before = motion[index % self.layers]
            h = c = zeros
            hidden, after = [], []
            for t in range(frames):
                h, c, *states = node(xs[t], us[t], us[0], us[-1], h, c, *before[t])
                hidden.append(h)
                after.append(states)
            motion[index % self.layers] = after
            xs, us = hidden, [m for m, _ in after]
            outputs.append(torch.stack(hidden, 1))
        return outputs

    def forward(self, x: Tensor) -> Tensor:
        """The last of `sequences`."""
        return self.sequences(x)[-1]
