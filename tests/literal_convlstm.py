"""Cross-slice ConvLSTM exactly as its equations are written: every convolution, frame by frame, zeros included.

Slow, and independent of nets/: what nets.convlstm computes otherwise is held against this.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def published_shapes(slices: int, layers: int, width: int, channels: int, attention: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the published state dict; `width`: channels of the features, all else has `channels`."""
    shapes = {}
    for index in range(slices * layers):
        cell = f"cell_list.{index // layers}{index % layers}."
        x, c = (width if index == 0 else channels), channels
        shapes |= {
            f"{cell}conv.weight": (4 * c, x + c, 3, 3),
            f"{cell}conv.bias": (4 * c,),
            f"{cell}conv2.weight": (4 * c, 2 * x + 2 * c, 3, 3),
            f"{cell}conv2.bias": (4 * c,),
            f"{cell}motion.0.weight": (4 * c, x + 2 * c, 3, 3),
            f"{cell}motion.0.bias": (4 * c,),
            f"{cell}mm1.weight": (c, 2 * c, 1, 1),
            f"{cell}mm2.weight": (c, 2 * c, 1, 1),
        }
        for side in ("past", "future"):
            part = f"{cell}{side}_attention."
            if attention == "gc":
                shapes |= {f"{part}conv_mask.weight": (1, c, 1), f"{part}conv_mask.bias": (1,)}
            else:
                shapes |= {
                    f"{part}in_proj_weight": (3072, 1024),
                    f"{part}in_proj_bias": (3072,),
                    f"{part}out_proj.weight": (1024, 1024),
                    f"{part}out_proj.bias": (1024,),
                }
    return shapes


def run(state: dict[str, Tensor], x: Tensor, slices: int, layers: int, channels: int, attention: str) -> list[Tensor]:
    """x (B, T, width, H, W) → the h sequence (B, T, channels, H, W) of every (slice, layer), in that order."""
    frames, size = x.shape[1], x.shape[-2:]
    zeros = x.new_zeros(x.shape[0], channels, *size)
    motion = [[(zeros, zeros)] * frames for _ in range(layers)]
    xs = us = list(x.unbind(1))
    outputs = []
    for index in range(slices * layers):
        layer = index % layers
        cell = f"cell_list.{index // layers}{layer}."
        part = {name.removeprefix(cell): value for name, value in state.items() if name.startswith(cell)}
        h = c = zeros
        hidden = []
        for t in range(frames):
            m, n = motion[layer][t]
            h, c, m, n = node(part, xs[t], us[t], us[0], us[-1], h, c, m, n, attention)
            motion[layer] = [*motion[layer][:t], (m, n), *motion[layer][t + 1 :]]
            hidden.append(h)
        xs, us = hidden, [m for m, _ in motion[layer]]
        outputs.append(torch.stack(hidden, 1))
    return outputs


def node(w, x, u, first, last, h, c, m, n, attention):
    a = F.conv2d(torch.cat((x, h), 1), w["conv.weight"], w["conv.bias"], padding=1)
    b = F.conv2d(torch.cat((x, h, u, m), 1), w["conv2.weight"], w["conv2.bias"], padding=1)
    i, f, o, g = (a + b).chunk(4, 1)
    c = f.sigmoid() * c + i.sigmoid() * g.tanh()
    h = o.sigmoid() * c.tanh()

    def pool(y):
        return F.max_pool2d(y, 4) if attention == "gc" else F.adaptive_max_pool2d(y, (32, 32))

    def attend(side, query, key):
        return (global_context if attention == "gc" else multi_head)(w, f"{side}_attention.", query, key)

    if m.shape[1] == first.shape[1]:
        k = pool(m)
        p = attend("past", pool(first).flatten(2), k.flatten(2))
        r = attend("future", pool(last).flatten(2), p)
    else:  # features of another width cannot be queries; m = 0 makes gc's result 0 in any case
        assert attention == "gc" and not m.any()
        k = pool(m)
        p = r = k.flatten(2)
    p, r = (F.interpolate(y.reshape(k.shape), m.shape[-2:], mode="bilinear", align_corners=True) for y in (p, r))
    m1 = F.conv2d(torch.cat((p.sigmoid() + m, m), 1), w["mm1.weight"])
    m2 = F.conv2d(torch.cat((r.sigmoid() + m, m), 1), w["mm2.weight"])
    e = F.conv2d(torch.cat((u, m1, m2), 1), w["motion.0.weight"], w["motion.0.bias"], padding=1)
    i, f, g, o = e.chunk(4, 1)
    n = f.sigmoid() * n + i.sigmoid() * g.tanh() + c
    return h, c, o.sigmoid() * n.tanh() + h, n


def global_context(w, name, query, key):
    weight = F.conv1d(key, w[f"{name}conv_mask.weight"], w[f"{name}conv_mask.bias"]).softmax(-1)
    return (query * weight).sum(-1, keepdim=True) * key


def multi_head(w, name, query, key):
    module = nn.MultiheadAttention(1024, 8, dropout=0.1, batch_first=True).to(key.dtype).eval()
    module.load_state_dict({k.removeprefix(name): v for k, v in w.items() if k.startswith(name)})
    return module(query, key, key, need_weights=False)[0]
