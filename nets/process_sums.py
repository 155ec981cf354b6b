"""Sums over the batch of all processes, for losses that are not a mean over clips.

Under DistributedDataParallel, which averages gradients, the processes together minimise the mean of their losses. A
loss that is a function of sums over the whole batch therefore takes those sums over all processes, with gradients
through them; one that is itself a sum counts `count_processes()` times its own share.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed


def count_processes() -> int:
    """Processes that train together; 1 outside a process group."""
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


class _AllReduce(torch.autograd.Function):
    """Every process's loss depends on every process's share, so the gradient of a share is the sum of all of theirs."""

    @staticmethod
    def forward(ctx, share: Tensor) -> Tensor:
        total = share.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        gradient = gradient.clone()
        distributed.all_reduce(gradient)
        return gradient


def sum_over_processes(share: Tensor) -> Tensor:
    """The sum of every process's `share`, float of any shape, with gradients to all of them; every process calls it."""
    return share if count_processes() == 1 else _AllReduce.apply(share)
