"""Random states: everything a run draws follows from its seed, the epoch and the sample."""
from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import Sampler


def epoch_seed(seed: int, epoch: int, rank: int = 0) -> int:
    """A seed for one epoch of one process."""
    entropy = (seed, epoch, rank) if rank else (seed, epoch)
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)


@contextlib.contextmanager
def deterministic(wanted: bool) -> Iterator[None]:
    """Within this context PyTorch takes operations that give the same bits each time, where `wanted`; where there is no
    such form of one, it warns and names it."""
    if not wanted:
        yield
        return
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when the GPU is first used
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])


class EpochSampler(Sampler):
    """Indices in a random order that depends on the seed and the epoch alone, as `(epoch, index)` pairs.

    Of every `batch` indices each of several processes gets its own share, so all of them together see what one would.

    Args:
        length: clips in the dataset.
        seed: the run's seed.
        draw: clips an epoch (0: all of them, each once; more than `length`: several passes).
        batch: clips in a batch of all processes together; incomplete batches at the end are left out.
        rank, processes: which process this is, and of how many, a divisor of `batch`.

    `epoch` is to be set before each epoch, and `done` to how many of its batches have been seen already.
    """

    def __init__(self, length: int, seed: int, draw: int = 0, batch: int = 1, rank: int = 0, processes: int = 1
                 ) -> None:
        self.length, self.seed, self.draw, self.batch = length, seed, draw or length, batch
        self.rank, self.processes, self.epoch, self.done = rank, processes, 0, 0

    def __len__(self) -> int:
        return self.draw // self.batch * (self.batch // self.processes)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        rng = np.random.default_rng((self.seed, self.epoch, 1))
        passes = -(-self.draw // self.length)
        order = np.concatenate([rng.permutation(self.length) for _ in range(passes)])[: self.draw]
        share = self.batch // self.processes
        for start in range(self.done * self.batch, self.draw - self.batch + 1, self.batch):
            for i in range(start + self.rank * share, start + (self.rank + 1) * share):
                # a clip drawn twice in one epoch gets a number of its own, so that it is augmented differently
                yield self.epoch * passes + i // self.length, int(order[i])
