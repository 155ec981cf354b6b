"""Measuring a predictor on a dataset: the same function for validation while training and for `test.py`."""
from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import Any, TypeVar

import numpy as np

from utils.datasets import Dataset, Frame
from utils.errors import UserError
from utils.frames import read_frame, read_mask
from utils.metrics import SegmentationMetrics
from utils.predictor import Prediction, Predictor

Item, Result = TypeVar("Item"), TypeVar("Result")


@dataclass(frozen=True)
class Evaluation:
    """Counts of the whole and of the dataset's subsets, figures (`SegmentationMetrics.compute`) of every sequence.

    `seconds` is the time for reading, predicting and counting `frames` frames.
    """

    overall: SegmentationMetrics
    subsets: dict[str, SegmentationMetrics]
    sequences: dict[str, dict[str, float | int]]
    frames: int
    seconds: float


def evaluate_sequences(predictor: Predictor, dataset: Dataset, *, rule: str = "centroid", curve: bool = True,
                       batch_size: int = 1, workers: int = 2, limit: int = 0, quiet: bool = False, title: str = "",
                       on_frame: Callable[[Frame, Prediction], None] | None = None) -> Evaluation:
    """Predict every frame of a dataset's sequences once and count.

    Args:
        predictor: what is measured, at its own threshold.
        dataset: whose frames all have masks.
        rule: what counts as found, see `utils.metrics`.
        curve: count at many thresholds too, for `SegmentationMetrics.curve`.
        batch_size: clips that go through the network together.
        workers: threads that read frames ahead; every file is read once.
        limit: only so many frames at the start of each sequence (0: all).
        quiet: no progress bar; `title` stands in front of it.
        on_frame: called after each prediction.
    Raises:
        UserError: a file cannot be read, or a frame has no mask.
    """
    from tqdm import tqdm

    frames = [frame for sequence in dataset.sequences.values() for frame in sequence[: limit or None]]
    overall = SegmentationMetrics(rule)
    subsets = {name: SegmentationMetrics(rule) for name in dataset.subsets}
    sequences = {}
    began = time.perf_counter()
    with tqdm(total=len(frames), desc=title or None, unit=" frames", disable=quiet, leave=False, dynamic_ncols=True,
              mininterval=0.5) as bar:
        for name, loaded in groupby(read_ahead(_load, frames, workers), key=lambda item: item[0].sequence):
            metrics = SegmentationMetrics(rule)
            items = ((frame.number, image, (frame, mask)) for frame, image, mask in loaded)
            for (frame, mask), prediction in predictor.stream_with(items, batch_size):
                metrics.update(prediction.mask, mask, prediction.probability if curve else None)
                if on_frame is not None:
                    on_frame(frame, prediction)
                bar.update()
            sequences[name] = metrics.compute()
            overall.merge(metrics)
            for subset, members in dataset.subsets.items():
                if name in members:
                    subsets[subset].merge(metrics)
    return Evaluation(overall, subsets, sequences, len(frames), time.perf_counter() - began)


def _load(frame: Frame) -> tuple[Frame, np.ndarray, np.ndarray]:
    if frame.mask is None:
        raise UserError(f"{frame.image}: has no mask, expected one for every frame that is measured")
    image = read_frame(frame.image)
    return frame, image, read_mask(frame.mask, image.shape)


def read_ahead(read: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """`map(read, items)` in order, with up to `workers` calls running ahead in threads (0: none)."""
    if not workers:
        yield from map(read, items)
        return
    pool = ThreadPoolExecutor(workers)
    try:
        pending: deque[Any] = deque()
        for item in items:
            pending.append(pool.submit(read, item))
            if len(pending) > 2 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
