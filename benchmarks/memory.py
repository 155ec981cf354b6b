"""Memory of the tensors that a call makes, and of processes and their children as Linux accounts for it."""
from __future__ import annotations

from pathlib import Path
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
    tensors = (leaf for leaf in tree_leaves(tree) if isinstance(leaf, torch.Tensor))
    storages = [tensor.untyped_storage() for tensor in tensors]
    return [(StorageWeakRef(storage), storage.nbytes()) for storage in storages]


def tree(pid: int) -> list[int]:
    """A process and all below it, those that are there at the moment."""
    found, waiting = [], [pid]
    while waiting:
        current = waiting.pop()
        try:
            tasks = Path(f"/proc/{current}/task").iterdir()
            children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            continue  # it has just ended
        found.append(current)
        waiting += children
    return found


def pss_mib(pid: int, kinds: tuple[str, ...] = ("Pss",)) -> float:
    """Proportional set size of a process and all below it, in MiB: what several share counts once in the sum.

    kinds: lines of `smaps_rollup`. "Pss_Anon" and "Pss_Shmem" leave out the files that are mapped, above all libraries:
    their share depends on which other processes on the machine have them open.
    """
    total, wanted = 0, tuple(f"{kind}:" for kind in kinds)
    for one in tree(pid):
        try:
            lines = Path(f"/proc/{one}/smaps_rollup").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it has just ended
        total += sum(int(line.split()[1]) for line in lines if line.startswith(wanted))
    return total / 1024


def peak_mib(pid: int) -> float:
    """The largest resident set that a process ever had, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024
