"""The sequences of a dataset that several processes share, and what is put together of theirs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from utils.datasets.dataset import Dataset
from utils.metrics.detection import DetectionMetrics
from utils.metrics.segmentation import SegmentationMetrics
from utils.system.distributed import gather, processes, rank

Item = TypeVar("Item")
Metrics = TypeVar("Metrics", SegmentationMetrics, DetectionMetrics)


def pick_share(dataset: Dataset, limit: int) -> list[str]:
    """The sequences that this process predicts: each belongs to one process, and all have about as many frames."""
    loads = [0] * processes()
    own = []
    for name in sorted(dataset.sequences, key=lambda name: -len(dataset.sequences[name])):
        least = loads.index(min(loads))
        loads[least] += len(dataset.sequences[name][: limit or None])
        if least == rank():
            own.append(name)
    return [name for name in dataset.sequences if name in own]


def join_parts(dataset: Dataset, parts: dict[str, Item]) -> dict[str, Item]:
    """What all processes have for their sequences, in the dataset's order."""
    everything = {name: part for own in gather(parts) for name, part in own.items()}
    return {name: everything[name] for name in dataset.sequences if name in everything}


def sum_up(
    dataset: Dataset, parts: dict[str, Metrics], make: Callable[[], Metrics]
) -> tuple[Metrics, dict[str, Metrics]]:
    """The whole and the dataset's subsets, from the sequences."""
    overall, subsets = make(), {name: make() for name in dataset.subsets}
    for name, part in parts.items():
        overall.merge(part)
        for subset, members in dataset.subsets.items():
            if name in members:
                subsets[subset].merge(part)
    return overall, subsets
