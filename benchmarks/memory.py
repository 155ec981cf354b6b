"""Memory of the tensors that a call makes."""

from __future__ import annotations

from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class PeakMemory(TorchDispatchMode):
    """`peak`: most bytes that tensors made inside this context held at one time."""

    def __init__(self):
        super().__init__()
        self.peak = 0
        self._made: dict[StorageWeakRef, int] = {}
        self._before: set[StorageWeakRef] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        # What is handed in without having been made here was there before, also where an output is a view of it.
        self._before.update(ref for ref, _ in _storages((args, kwargs)) if ref not in self._made)
        outputs = func(*args, **(kwargs or {}))
        self._made |= {ref: size for ref, size in _storages(outputs) if ref not in self._before}
        self._made = {ref: size for ref, size in self._made.items() if not ref.expired()}
        self.peak = max(self.peak, sum(self._made.values()))
        return outputs


def _storages(tree: Any) -> list[tuple[StorageWeakRef, int]]:
    leaves = [leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor)]
    # Sparse tensors have no storage of their own; the tensors they are made of do.
    storages = [tensor.untyped_storage() for tensor in leaves if tensor.layout == torch.strided]
    return [(StorageWeakRef(storage), storage.nbytes()) for storage in storages]
