"""Which frames make a clip — one rule for training, testing and streaming — and clips as training samples."""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from utils.datasets import Frame
from utils.errors import UserError
from utils.frames import read_frame, read_mask


def run_starts(numbers: Sequence[int]) -> list[int]:
    """For every frame of a sequence, the index at which its run of consecutive frame numbers begins.

    Args:
        numbers: the frame numbers of one sequence, ascending.
    Raises:
        ValueError: a number does not exceed the one before it.
    """
    starts: list[int] = []
    for i, number in enumerate(numbers):
        if i and number <= numbers[i - 1]:
            raise ValueError(f"frame numbers must ascend: {number} follows {numbers[i - 1]}")
        starts.append(starts[-1] if i and number == numbers[i - 1] + 1 else i)
    return starts


def clip_indices(numbers: Sequence[int], index: int, num_frames: int, start: int | None = None) -> list[int]:
    """The clip rule: `num_frames` frames that end at the key frame `index`.

    A clip never crosses a gap in the frame numbers: where the run of consecutive frames is too short, its first frame
    is repeated in front, as at a sequence's start.

    Args:
        numbers: the frame numbers of one sequence, ascending.
        index: position of the key frame in `numbers`.
        num_frames: T, at least 1.
        start: where the key frame's run begins, if known already (from `run_starts`).
    Returns:
        T positions in `numbers`, oldest first, the key frame last.
    """
    if start is None:
        start = run_starts(numbers[: index + 1])[-1]
    return [max(start, index - age) for age in range(num_frames - 1, -1, -1)]


class FrameCache:
    """The most recently used arrays, up to `limit` bytes, so that overlapping clips decode each frame once."""

    def __init__(self, limit: int) -> None:
        self.limit, self.size = limit, 0
        self.items: OrderedDict[Any, np.ndarray] = OrderedDict()

    def get(self, key: Any, make: Callable[[], np.ndarray]) -> np.ndarray:
        """The array under `key`, made by `make()` where it is not at hand; not to be written to."""
        if key in self.items:
            self.items.move_to_end(key)
            return self.items[key]
        value = make()
        self.items[key] = value
        self.size += value.nbytes
        while self.size > self.limit and self.items:
            self.size -= self.items.popitem(last=False)[1].nbytes
        return value


class ClipDataset:
    """Training clips, one for each key frame (a map-style dataset for `torch.utils.data.DataLoader`).

    Args:
        sequences: frames of each sequence in order; every frame has a mask.
        keys: the key frames, as `(sequence name, position)`.
        num_frames: T.
        normalisation: `(mean, std)` in the files' own grey levels.
        transform: `(frames (T, H, W) float32, masks (T, H, W) bool, rng) → the same`, e.g. crops and augmentation.
        seed: with the epoch and the clip's index it seeds `rng`, so that a sample does not depend on the worker.
        cache_bytes: memory for decoded frames of this process.
    """

    def __init__(self, sequences: dict[str, Sequence[Frame]], keys: Sequence[tuple[str, int]], num_frames: int,
                 normalisation: tuple[float, float],
                 transform: Callable[..., tuple[np.ndarray, np.ndarray]] | None = None,
                 seed: int = 0, cache_bytes: int = 256 << 20) -> None:
        self.sequences, self.keys, self.num_frames = sequences, list(keys), num_frames
        self.normalisation, self.transform, self.seed = normalisation, transform, seed
        self.starts = {name: run_starts([frame.number for frame in frames]) for name, frames in sequences.items()}
        self.frames, self.masks = FrameCache(cache_bytes * 4 // 5), FrameCache(cache_bytes // 5)

    def __len__(self) -> int:
        return len(self.keys)

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Clip `index` as stored: frames `(T, H, W)` float32 in grey levels, masks `(T, H, W)` bool."""
        name, position = self.keys[index]
        frames = self.sequences[name]
        chosen = [frames[i] for i in clip_indices((), position, self.num_frames, self.starts[name][position])]
        images = [self.frames.get(frame.image, lambda frame=frame: read_frame(frame.image)) for frame in chosen]
        sizes = sorted({image.shape for image in images})
        if len(sizes) > 1:
            raise UserError(f"{chosen[-1].image}: frames of one clip have sizes {sizes}, expected one size (h, w) "
                            "inside a run of frames; split the sequence or resize its frames")
        masks = [self.masks.get(frame.mask, lambda frame=frame, image=image: read_mask(frame.mask, image.shape))
                 for frame, image in zip(chosen, images, strict=True)]
        return np.stack(images).astype(np.float32), np.stack(masks)

    def __getitem__(self, item: int | tuple[int, int]) -> dict[str, Any]:
        """`{"clip": (T, H, W) float32 normalised, "mask": (1, H, W) float32 of the key frame, "key": its image path}`.

        `item` is the clip's index, or `(epoch, index)`.
        """
        epoch, index = item if isinstance(item, tuple) else (0, item)
        frames, masks = self.read(index)
        if self.transform is not None:
            frames, masks = self.transform(frames, masks, np.random.default_rng((self.seed, epoch, index)))
        mean, std = self.normalisation
        name, position = self.keys[index]
        return {"clip": np.ascontiguousarray((frames - np.float32(mean)) / np.float32(std), np.float32),
                "mask": masks[-1:].astype(np.float32), "key": self.sequences[name][position].image}


def measure_normalisation(frames: Sequence[Frame], limit: int = 200) -> tuple[float, float]:
    """Mean and standard deviation of the grey levels over (evenly spaced, at most `limit`) frames.

    Raises:
        UserError: there is no frame, or all pixels are equal.
    """
    if not frames:
        raise UserError("no training frames to measure the normalisation on; check the split")
    step = max(1, len(frames) // limit)
    count, total, squares = 0, 0.0, 0.0
    for frame in frames[::step]:
        image = read_frame(frame.image).astype(np.float64)
        count, total, squares = count + image.size, total + image.sum(), squares + (image ** 2).sum()
    mean = total / count
    std = max(squares / count - mean ** 2, 0.0) ** 0.5
    if std == 0:
        raise UserError(f"{frames[0].image}: every pixel of the training frames is {mean:g}; expected pictures")
    return round(mean, 4), round(std, 4)
