"""Random states: everything a run draws follows from its seed, the epoch and the sample."""
from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch.utils.data import Sampler


def seed_epoch(seed: int, epoch: int) -> torch.Generator:
    """Seed PyTorch's global generator (dropout) for one epoch and return a generator for batch augmentation."""
    value = int(np.random.SeedSequence((seed, epoch)).generate_state(1, np.uint64)[0] >> 1)
    torch.manual_seed(value)
    return torch.Generator().manual_seed(value + 1)


class EpochSampler(Sampler):
    """Indices in a random order that depends on the seed and the epoch alone, as `(epoch, index)` pairs.

    Args:
        length: clips in the dataset.
        seed: the run's seed.
        draw: clips an epoch (0: all of them, each once; more than `length`: several passes).
    """

    def __init__(self, length: int, seed: int, draw: int = 0) -> None:
        self.length, self.seed, self.draw, self.epoch = length, seed, draw or length, 0

    def __len__(self) -> int:
        return self.draw

    def __iter__(self) -> Iterator[tuple[int, int]]:
        rng = np.random.default_rng((self.seed, self.epoch, 1))
        passes = -(-self.draw // self.length)
        order = np.concatenate([rng.permutation(self.length) for _ in range(passes)])[: self.draw]
        # a clip drawn twice in one epoch gets a number of its own, so that it is augmented differently
        for i, index in enumerate(order):
            yield self.epoch * passes + i // self.length, int(index)
