"""Which frames make a clip — one rule for training, testing and streaming — and clips as training samples."""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import cv2
import numpy as np

from utils.boxes import mask_of_boxes
from utils.datasets import Frame
from utils.errors import UserError
from utils.frame_table import Sequences
from utils.frames import read_frame, read_mask
from utils.registration import move, scene_shift, to_last

# (mean, standard deviation) in grey levels: one of each, or lists of three for networks that take RGB.
Normalisation = tuple[float | Sequence[float], float | Sequence[float]]


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


SHIFT_BYTES = 1 << 20  # for the latest 65,536 steps between frames, 16 bytes each


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


def file_mask(frame: Frame, image: np.ndarray) -> np.ndarray:
    """The mask on disk, `(H, W)` bool, of a frame that reads as `image`."""
    return read_mask(frame.mask, image.shape)


def box_mask(frame: Frame, image: np.ndarray) -> np.ndarray:
    """The targets inside the frame's boxes, told from the picture (`utils.boxes.half_max_mask`), `(H, W)` bool."""
    return mask_of_boxes(image, frame.boxes or ())


def no_mask(frame: Frame, image: np.ndarray) -> np.ndarray:
    """`(H, W)` bool without targets, where nothing asks for their pixels."""
    return np.zeros(image.shape, bool)


def normalise(frames: np.ndarray, normalisation: Normalisation) -> np.ndarray:
    """Grey frames `(T, H, W)` float32 → (frames - mean) / std of the same shape, or `(3, T, H, W)` where mean and
    standard deviation are lists of three."""
    mean, std = (np.asarray(value, np.float32) for value in normalisation)
    if mean.ndim:
        mean, std = (value[:, None, None, None] for value in (mean, std))
    return np.ascontiguousarray((frames - mean) / std, np.float32)


class ClipDataset:
    """Training clips, one for each key frame (a map-style dataset for `torch.utils.data.DataLoader`).

    Args:
        sequences: frames of each sequence in order; every frame has a mask, or `boxes` for a detector.
        keys: the key frames, as `(sequence name, position)`.
        num_frames: T.
        normalisation: `(mean, std)` in the files' own grey levels, see `normalise`.
        transform: `(frames (T, H, W) float32, masks (T, H, W) bool, boxes (N, 5), rng) → the same`, e.g. crops and
            augmentation; `boxes` are those of the key frame, see `utils.transforms`.
        seed: with the epoch and the clip's index it seeds `rng`, so that a sample does not depend on the worker.
        cache_bytes: memory for decoded frames of this process.
        labels: "mask" or "boxes", what a sample holds.
        mask_of: the mask of a frame, from the frame and its image.
        register: align the frames of a clip, and their masks, to the key frame (`utils.registration`).
    """

    def __init__(self, sequences: dict[str, Sequence[Frame]], keys: Sequence[tuple[str, int]], num_frames: int,
                 normalisation: Normalisation, transform: Callable[..., tuple[np.ndarray, ...]] | None = None,
                 seed: int = 0, cache_bytes: int = 256 << 20, labels: str = "mask",
                 mask_of: Callable[[Frame, np.ndarray], np.ndarray] = file_mask, register: bool = False) -> None:
        self.sequences, self.keys, self.num_frames = Sequences.of(sequences), keys, num_frames
        self.sequences.names.build_index()
        self.normalisation, self.transform, self.seed = normalisation, transform, seed
        self.labels, self.mask_of, self.register = labels, mask_of, register
        self.frames, self.masks = FrameCache(cache_bytes * 4 // 5), FrameCache(cache_bytes // 5)
        self.shifts = FrameCache(SHIFT_BYTES)

    def __len__(self) -> int:
        return len(self.keys)

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Clip `index` as stored, or aligned: frames `(T, H, W)` float32 in grey levels, masks `(T, H, W)` bool."""
        name, position = self.keys[index]
        first = max(0, position - self.num_frames + 1)  # what lies before it is in no clip
        frames = self.sequences[name][first:position + 1]
        chosen = [frames[i] for i in clip_indices(frames.numbers.tolist(), position - first, self.num_frames)]
        images = [self.frames.get(frame.image, lambda frame=frame: read_frame(frame.image)) for frame in chosen]
        sizes = sorted({image.shape for image in images})
        if len(sizes) > 1:
            raise UserError(f"{chosen[-1].image}: frames of one clip have sizes {sizes}, expected one size (h, w) "
                            "inside a run of frames; split the sequence or resize its frames")
        masks = [self.masks.get(frame.image, lambda frame=frame, image=image: self.mask_of(frame, image))
                 for frame, image in zip(chosen, images, strict=True)]
        images = [image.astype(np.float32) for image in images]
        if self.register:
            images, masks = self._aligned(chosen, images, masks)
        return np.stack(images), np.stack(masks)

    def _aligned(self, chosen: list[Frame], images: list[np.ndarray], masks: list[np.ndarray]
                 ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        steps = []
        for i, pair in enumerate(pairwise(frame.image for frame in chosen)):
            # overlapping clips share their steps
            steps.append(np.zeros(2) if pair[0] == pair[1] else
                         self.shifts.get(pair, lambda i=i: scene_shift(images[i], images[i + 1])))
        shifts = to_last(steps)
        return ([move(image, shift) for image, shift in zip(images, shifts, strict=True)],
                [move(mask.astype(np.uint8), np.rint(shift), cv2.INTER_NEAREST) > 0
                 for mask, shift in zip(masks, shifts, strict=True)])

    def __getitem__(self, item: int | tuple[int, int]) -> dict[str, Any]:
        """`{"clip": normalised (T, H, W), or (3, T, H, W), float32, "key": the key frame's path}` with its `"mask"`
        (1, H, W) float32 or its `"boxes"` (N, 5) float32, x1, y1, x2, y2, class in pixels of the clip.

        `item` is the clip's index, or `(epoch, index)`.
        """
        epoch, index = item if isinstance(item, tuple) else (0, item)
        name, position = self.keys[index]
        key = self.sequences[name][position]
        frames, masks = self.read(index)
        boxes = np.array(key.boxes or () if self.labels == "boxes" else (), np.float64).reshape(-1, 5)
        if self.transform is not None:
            frames, masks, boxes = self.transform(frames, masks, boxes,
                                                  np.random.default_rng((self.seed, epoch, index)))
        labels = boxes if self.labels == "boxes" else masks[-1:]
        return {"clip": normalise(frames, self.normalisation), self.labels: labels.astype(np.float32),
                "key": key.image}


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
