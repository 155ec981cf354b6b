"""Past and future attention of the cross-slice ConvLSTM's motion gates.

Sequences here are time first: (T, B, C, H, W).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class GlobalContext(nn.Module):
    """Global-context attention (TSMSA): `w = softmax_P(conv1d(key))`, `ctx = Σ_P query·w`, result `ctx · value`.

    A softmax ignores a constant shift, hence no bias. `constants`: maps that stand for it in slice 0 (`ConstantMaps`).
    """

    constants = 1

    def __init__(self, channels: int):
        super().__init__()
        self.score = nn.Conv1d(channels, 1, 1, bias=False)

    @staticmethod
    def pool(x: Tensor) -> Tensor:
        """4×4 max pooling (of the whole side where it is shorter): (N, C, H, W) → (N, C, ⌊H/4⌋, ⌊W/4⌋)."""
        return F.max_pool2d(x, (min(4, x.shape[-2]), min(4, x.shape[-1])))

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        """query (B, C, P), key = value (T, B, C, P), float → (T, B, C, P) float."""
        weight = self.score(key.flatten(0, 1)).squeeze(1).unflatten(0, key.shape[:2]).softmax(-1)
        return torch.einsum("bcp,tbp->tbc", query, weight).unsqueeze(-1) * key


class MultiHeadAttention(nn.Module):
    """Multi-head attention (SSTNet) with the channels as tokens and 32×32 pooled pixels as their embedding.

    A softmax ignores a constant shift, hence no key bias. In training `dropout` of the attention weights are dropped.
    `constants`: as of `GlobalContext`.
    """

    constants = 2
    side = 32

    def __init__(self, channels: int, heads: int = 8, dropout: float = 0.1):
        super().__init__()
        width = self.side**2
        self.heads, self.dropout = heads, dropout
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    @classmethod
    def pool(cls, x: Tensor) -> Tensor:
        """Adaptive max pooling: (N, C, H, W) → (N, C, 32, 32)."""
        return F.adaptive_max_pool2d(x, cls.side)

    def forward(self, query: Tensor, key: Tensor) -> Tensor:
        """query (B, C, 1024), key = value (T, B, C, 1024), float → (T, B, C, 1024) float."""
        frames, batch = key.shape[:2]
        query = self._split(self.query(query)).expand(frames, -1, -1, -1, -1).flatten(0, 1)
        keys, values = (self._split(linear(key).flatten(0, 1)) for linear in (self.key, self.value))
        dropout = self.dropout if self.training else 0.0
        result = F.scaled_dot_product_attention(query, keys, values, dropout_p=dropout)
        return self.out(result.transpose(1, 2).flatten(2)).unflatten(0, (frames, batch))

    def _split(self, x: Tensor) -> Tensor:
        """(N, C, 1024) → (N, heads, C, 1024 / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class PastFutureAttention(nn.Module):
    """Maps σ(p) and σ(r) of the motion gates in slices 1 and up.

    `p = past(query=pool(u_0), key=value=pool(m_t))`, `r = future(query=pool(u_{T-1}), key=value=p)`, both upsampled
    bilinearly (align_corners) to H×W.
    """

    def __init__(self, kind: type[nn.Module], channels: int):
        super().__init__()
        self.past = kind(channels)
        self.future = kind(channels)

    def forward(self, u: Tensor, m: Tensor, frames: int) -> tuple[Tensor, Tensor]:
        """u, m (T·B, C, H, W) float of T `frames` → two maps (T·B, C, H, W) float in (0, 1)."""
        key = self.past.pool(m)
        grid, size, batch = key.shape[-2:], m.shape[-2:], m.shape[0] // frames
        p = self.past(self.past.pool(u[:batch]).flatten(2), key.flatten(2).unflatten(0, (frames, batch)))
        r = self.future(self.past.pool(u[-batch:]).flatten(2), p)
        return tuple(_upsample(x.flatten(0, 1).unflatten(-1, grid), size).sigmoid() for x in (p, r))


class ConstantMaps(nn.Module):
    """What the attention of slice 0 amounts to: constant maps (1, K, H, W), the same for every clip and frame.

    There m = 0. Global context then gives p = r = 0 exactly, so σ(p) = σ(r) = ½ and both enter `motion` as one map of
    ones (a map, not a bias: it is zero in the padding). Multi-head attention over equal keys gives every channel the
    same 32×32 map, whatever the query; those of p and r are learnt directly, without its dropout in training.
    """

    def __init__(self, kind: type[nn.Module]):
        super().__init__()
        self.grids = nn.Parameter(torch.zeros(1, 2, kind.side, kind.side)) if kind is MultiHeadAttention else None

    def forward(self, like: Tensor) -> Tensor:
        if self.grids is None:
            return like.new_ones(1, 1, *like.shape[-2:])
        return _upsample(self.grids, like.shape[-2:]).sigmoid()


ATTENTIONS: dict[str, type[nn.Module]] = {"gc": GlobalContext, "mha": MultiHeadAttention}


def _upsample(x: Tensor, size: torch.Size) -> Tensor:
    if x.shape[-2:] == size:
        return x
    return F.interpolate(x, size, mode="bilinear", align_corners=True)
