"""Deformable 3×3 convolutions on CPUs, several times as fast as torchvision's kernel, which takes value after value.

X. Zhu et al., "Deformable ConvNets v2", CVPR 2019: y(p) = Σ_k W_k · m_k(p) · x(p + k + o_k(p)), bilinear, zero outside.
W_k commutes with the sampling: applied first, it leaves for each pixel a sum of 9·4 rows of a table with weights, which
is an embedding bag. Where all nine taps would take much memory, a row of the kernel is
done after the other.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

TAPS = 9  # of a 3×3 kernel, in rows
EDGE = 2  # zeros around a map: the corners of a place that is further outside are among them
MAX_TABLE = 1 << 24  # values of a table for all taps at once; beyond, for one row of the kernel after the other
MIN_CHANNELS = 8  # below, the products of the backward pass are faster with zeros beside them


def deform_conv(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """What `torchvision.ops.deform_conv2d(x, offset, weight, padding=1, mask=mask)` computes.

    Args:
        x: (B, C, H, W) float.
        offset: dy, dx of each tap, finite, (B, 18, H, W).
        mask: weight of each tap, (B, 9, H, W).
        weight: (out, C, 3, 3).

    Returns:
        (B, out, H, W), channels last; with a gradient for each argument.
    """
    if torch.is_autocast_enabled("cpu"):  # the places need more digits than half precision has
        with torch.autocast("cpu", enabled=False):
            return deform_conv(x.float(), offset.float(), mask.float(), weight.float()).to(x.dtype)
    if torch.is_grad_enabled() and any(value.requires_grad for value in (x, offset, mask, weight)):
        return _DeformConv.apply(x, offset, mask, weight)
    return _forward(x, offset, mask, weight)


class _Corners(NamedTuple):
    """Where K taps of N pixels are, between four pixels of the map with zeros around it.

    Attributes:
        first: index of the upper left one, (N, K) int32.
        steps: from it to each of the four: itself, right, below, below right.
        down, right: of the place from it, (N, K) in [0, 1).
        mask: weight of the tap, (N, K).
    """

    first: Tensor
    steps: tuple[int, int, int, int]
    down: Tensor
    right: Tensor
    mask: Tensor

    def indices(self, stride: int = 1, starts: Tensor | int = 0) -> Tensor:
        """Of the four, times `stride`, plus (K,) `starts`: (N·K·4,) int32."""
        first = self.first * stride + starts
        return torch.stack([first + step * stride for step in self.steps], -1).flatten()

    def weights(self) -> Tensor:
        """Of the four, (N·K, 4)."""
        weights = self.mask.new_empty((*self.mask.shape, 4))
        below = self.mask * self.down
        for row, weight in ((0, self.mask - below), (2, below)):
            torch.mul(weight, self.right, out=weights[..., row + 1])
            torch.sub(weight, weights[..., row + 1], out=weights[..., row])
        return weights.flatten(0, 1)

    def backward(self, grad: Tensor) -> tuple[Tensor, Tensor]:
        """The gradient of `weights` → those of offsets (N, K, 2) and masks (N, K)."""
        left_above, right_above, left_below, right_below = grad.view(*self.mask.shape, 4).unbind(-1)
        across_above, across_below = right_above - left_above, right_below - left_below
        above = left_above + self.right * across_above
        fall = left_below + self.right * across_below - above
        across = across_above + self.down * (across_below - across_above)
        return torch.stack((fall, across), -1) * self.mask[..., None], above + self.down * fall


def _find_corners(offset: Tensor, mask: Tensor, taps: slice) -> _Corners:
    batch, _, height, width = offset.shape
    like = {"dtype": offset.dtype, "device": offset.device}
    rows, columns = (torch.arange(count, **like) for count in (height, width))
    step = torch.arange(-1.0, 2, **like)
    y, x = offset.permute(0, 2, 3, 1).unflatten(-1, (TAPS, 2))[..., taps, :].unbind(-1)
    y = (y + (rows[:, None, None] + step.repeat_interleave(3)[taps])).clamp(-EDGE, height)
    x = (x + (columns[:, None] + step.repeat(3)[taps])).clamp(-EDGE, width)
    top, left = y.floor(), x.floor()
    pitch = width + 2 * EDGE
    images = torch.arange(batch, dtype=torch.int32, device=offset.device)[:, None, None, None]
    first = (top.int() + EDGE) * pitch + (left.int() + EDGE) + images * (pitch * (height + 2 * EDGE))
    parts = (part.flatten(0, 2) for part in (first, y - top, x - left, mask.permute(0, 2, 3, 1)[..., taps]))
    first, down, right, mask = parts
    return _Corners(first, (0, 1, pitch, pitch + 1), down, right, mask)


def _table(x: Tensor) -> Tensor:
    """(B, C, H, W) → (B·(H + 4)·(W + 4), C), zeros around each image."""
    return F.pad(x.permute(0, 2, 3, 1), (0, 0, EDGE, EDGE, EDGE, EDGE)).flatten(0, 2)


def _tap_groups(count: int) -> Iterator[slice]:
    """All taps at once, or where a table of `count` values would be too large a row of the kernel at a time."""
    size = TAPS if count <= MAX_TABLE else 3
    return (slice(first, first + size) for first in range(0, TAPS, size))


def _bags(indices: Tensor, size: int, table: Tensor, weights: Tensor) -> Tensor:
    """Of each `size` indices the weighted sum of their rows: (N·size,) → (N, C)."""
    starts = torch.arange(0, len(indices), size, dtype=torch.int32, device=table.device)
    return F.embedding_bag(indices, table, starts, mode="sum", per_sample_weights=weights.flatten())


def _forward(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    table, kernel = _table(x), weight.flatten(2)
    out = None
    for taps in _tap_groups(len(table) * TAPS * len(weight)):
        some = kernel[:, :, taps].permute(1, 2, 0)  # (C, K, out)
        count = some.shape[1]
        mapped = (table @ some.flatten(1)).view(-1, len(weight))
        corners = _find_corners(offset, mask, taps)
        indices = corners.indices(count, torch.arange(count, dtype=torch.int32, device=x.device))
        part = _bags(indices, 4 * count, mapped, corners.weights())
        out = part if out is None else out.add_(part)
    return out.view(x.shape[0], *x.shape[2:], -1).permute(0, 3, 1, 2)


class _DeformConv(torch.autograd.Function):
    """`_forward`; what it computes on the way is computed again in the backward pass, not kept."""

    @staticmethod
    def forward(ctx, x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, offset, mask, weight)
        return _forward(x, offset, mask, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor, ...]:
        x, offset, mask, weight = ctx.saved_tensors
        (batch, channels, height, width), size = x.shape, (grad.shape[0], *grad.shape[2:])
        wider = max(0, MIN_CHANNELS - channels)
        table, kernel = F.pad(_table(x), (0, wider)), F.pad(weight.flatten(2), (0, 0, 0, wider))
        grad = grad.permute(0, 2, 3, 1).flatten(0, 2)
        of_table, parts = torch.zeros_like(table), []
        for taps in _tap_groups(len(grad) * TAPS * table.shape[1]):
            some = kernel[:, :, taps].transpose(1, 2)  # (out, K, C)
            of_samples = (grad @ some.flatten(1)).view(-1, table.shape[1])
            corners = _find_corners(offset, mask, taps)
            indices, weights = corners.indices(), corners.weights()
            samples = _bags(indices, 4, table, weights)
            of_kernel = (grad.T @ samples.view(len(grad), -1)).view_as(some).transpose(1, 2)
            _scatter(of_table, corners, of_samples, weights)
            parts.append((*corners.backward(_products(indices, of_samples, table)), of_kernel))
        of_offset, of_mask, of_kernel = (
            torch.cat(part, axis) for part, axis in zip(zip(*parts, strict=True), (1, 1, 2), strict=True)
        )
        of_table = of_table.view(batch, height + 2 * EDGE, width + 2 * EDGE, -1)
        return (
            of_table[:, EDGE:-EDGE, EDGE:-EDGE, :channels].permute(0, 3, 1, 2),
            of_offset.view(*size, 2 * TAPS).permute(0, 3, 1, 2),
            of_mask.view(*size, TAPS).permute(0, 3, 1, 2),
            of_kernel[:, :channels].reshape(weight.shape),
        )


def _products(indices: Tensor, rows: Tensor, table: Tensor) -> Tensor:
    """Of each of M rows with its four rows of the table the scalar products: (4·M,) → (M, 4)."""
    ends = torch.arange(0, len(indices) + 1, 4, dtype=torch.int32, device=rows.device)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that sparse tensors of this layout may change
        pattern = torch.sparse_csr_tensor(
            ends, indices, rows.new_zeros(len(indices)), (len(rows), len(table)), check_invariants=False
        )
    return torch.sparse.sampled_addmm(pattern, rows, table.T).values().view(-1, 4)


def _scatter(total: Tensor, corners: _Corners, rows: Tensor, weights: Tensor) -> None:
    """Add to the four rows of `total` of each of M places its row (M, C) times its weights (M, 4)."""
    first, order = corners.first.flatten().sort()
    starts = torch.bincount(first, minlength=len(total)).cumsum(0, dtype=torch.int32)
    starts = F.pad(starts[:-1], (1, 0))
    weights, order = weights.index_select(0, order), order.int()
    for step, weight in zip(corners.steps, weights.unbind(1), strict=True):
        sums = F.embedding_bag(order, rows, starts, mode="sum", per_sample_weights=weight.contiguous())
        total[step:] += sums[: len(total) - step]
