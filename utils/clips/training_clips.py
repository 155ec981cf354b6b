"""Clips as training samples: frames that are read, mended, aligned and augmented."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from utils.clips.bad_pixels import find_defects, mend, pick_telling_frames
from utils.clips.cache import SharedCache
from utils.clips.registration import align_clip, scene_shift, shifts_to_last
from utils.clips.rule import clip_indices, run_starts
from utils.clips.settings import ClipSettings
from utils.clips.transforms import NO_BOXES
from utils.datasets.frame_table import Frame, Sequences
from utils.datasets.quick_check import require_declared_size
from utils.images.box_masks import mask_of_boxes
from utils.images.boxes import IGNORED_CLASS
from utils.images.image_files import read_frame
from utils.images.masks.values import ignore_regions, ignored_of, join_labels, read_labels, read_mask, targets_of
from utils.system.errors import UserError

PICTURE_KINDS, MEASURED_KINDS = ("image", "mask"), ("shift", "defects")  # what is kept of frames
MEASURED_BYTES = 1 << 10  # of a frame, on average


def file_mask(frame: Frame, image: np.ndarray) -> np.ndarray:
    """The targets of the mask on disk, `(H, W)` bool, of a frame that reads as `image`."""
    return read_mask(frame.mask, image.shape, frame.mask_rule)


def file_labels(frame: Frame, image: np.ndarray) -> np.ndarray:
    """Targets and ignored pixels of the mask on disk, `(H, W)` as of `utils.images.masks.values.read_labels`.

    Pixels of the frame's regions to ignore are ignored, where no target is.
    """
    return ignore_regions(read_labels(frame.mask, image.shape, frame.mask_rule), frame.ignored)


def box_mask(frame: Frame, image: np.ndarray) -> np.ndarray:
    """The targets inside the frame's boxes, `(H, W)` bool.

    They are told from the picture (`utils.images.box_masks.half_max_mask`).
    """
    return mask_of_boxes(image, frame.boxes or ())


def no_mask(frame: Frame, image: np.ndarray) -> np.ndarray:
    """`(H, W)` bool without targets, where nothing asks for their pixels."""
    return np.zeros(image.shape, bool)


def boxes_to_learn(frame: Frame) -> np.ndarray:
    """A frame's boxes, `(N, 5)` float64 x1, y1, x2, y2, class; of regions to ignore the class is `IGNORED_CLASS`."""
    ignored = ((*region[:4], IGNORED_CLASS) for region in frame.ignored)
    return np.array([*(frame.boxes or ()), *ignored], np.float64).reshape(-1, 5)


class ClipDataset:
    """Training clips, one for each key frame (a map-style dataset for `torch.utils.data.DataLoader`).

    Args:
        sequences: frames of each sequence in order; every frame has a mask, or `boxes` for a detector.
        keys: the key frames, as `(sequence name, position)`.
        settings: how the network sees clips; sizes are left to `transform`.
        transform: `(frames (T, H, W), masks (T, H, W), boxes (N, 5), rng) → the same, frames float32`, e.g. crops
            and augmentation; `boxes` are those of the key frame, see `utils.clips.transforms`.
        seed: with the epoch and the clip's index it seeds `rng`, so that a sample does not depend on the worker.
        cache_bytes: memory for decoded frames, of this process and loader processes together.
        labels: "mask" or "boxes", what a sample holds.
        mask_of: the mask of a frame, bool or labels, from the frame and its image.
        replace_bad: a clip with an unreadable frame is replaced by the next one that can be read, and the sample says
            so under `"replaced"`; else its error is raised.
    """

    def __init__(
        self,
        sequences: dict[str, Sequence[Frame]],
        keys: Sequence[tuple[str, int]],
        settings: ClipSettings,
        transform: Callable[..., tuple[np.ndarray, ...]] | None = None,
        seed: int = 0,
        cache_bytes: int = 256 << 20,
        labels: str = "mask",
        mask_of: Callable[[Frame, np.ndarray], np.ndarray] = file_mask,
        replace_bad: bool = False,
    ) -> None:
        self.sequences, self.keys, self.settings = Sequences.of(sequences), keys, settings
        self.transform, self.seed = transform, seed
        self.labels, self.mask_of, self.replace_bad = labels, mask_of, replace_bad
        self.sequences.names.build_index()
        self.frames = self.sequences.frames()
        count = len(self.frames)
        # Measured values have their own room: where pictures fill theirs, a run's past would be fitted anew each time.
        self.caches = {
            PICTURE_KINDS: SharedCache(len(PICTURE_KINDS) * count, cache_bytes),
            MEASURED_KINDS: SharedCache(len(MEASURED_KINDS) * count, MEASURED_BYTES * count),
        }

    def __len__(self) -> int:
        return len(self.keys)

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """The clip of a key frame, before `transform`.

        Args:
            index: of the key frame in `keys`.

        Returns:
            Frames `(T, H, W)` in grey levels, of the files' dtype, or aligned, float32; masks `(T, H, W)` bool, or
            labels where some pixels are ignored (`utils.images.masks.values.MaskRule.labels_of`).

        Raises:
            UserError: a frame is unreadable, or of another size than the others.
        """
        name, position = self.keys[index]
        settings = self.settings
        table, offset = self.sequences[name], self.frames.row_of(name)
        # What lies before the longest clip matters for bad pixels alone.
        first = 0 if settings.bad_pixels else max(0, position - (settings.num_frames - 1) * settings.frame_step)
        start = first + run_starts(table[first : position + 1].numbers.tolist())[-1]
        chosen = clip_indices((), offset + position, settings.num_frames, offset + start, settings.frame_step)
        images = [self._image(i) for i in chosen]
        sizes = sorted({image.shape for image in images})
        if len(sizes) > 1:
            raise UserError(
                f"{table[position].image}: frames of one clip have sizes {sizes}, expected one size (h, w) "
                "inside a run of frames; split the sequence or resize its frames"
            )
        masks = [self._mask(i, image) for i, image in zip(chosen, images, strict=True)]
        if settings.bad_pixels:
            defects = self._defects(offset + start, offset + position)
            images = [mend(image, defects) for image in images]
        if settings.register:
            images = [image.astype(np.float32) for image in images]
            images, masks = self._align(chosen, images, masks)
        return np.stack(images), np.stack(masks)

    def _get(self, kind: str, index: int, make: Callable[[], np.ndarray]) -> np.ndarray:
        """What is made of this `kind` from the frame that has this index among all."""
        kinds = PICTURE_KINDS if kind in PICTURE_KINDS else MEASURED_KINDS
        return self.caches[kinds].get(kinds.index(kind) * len(self.frames) + index, make)

    def _image(self, index: int) -> np.ndarray:
        return self._get("image", index, lambda: read_frame(self.frames[index].image))

    def _defects(self, start: int, index: int) -> np.ndarray:
        """Bad pixels as known after the frames `start` to `index`, those of a run."""
        telling = [start + i for i in pick_telling_frames(self._shift(i) for i in range(start + 1, index + 1))]
        return self._get("defects", telling[-1], lambda: find_defects([self._image(i) for i in telling]))

    def _mask(self, index: int, image: np.ndarray) -> np.ndarray:
        def pack() -> np.ndarray:
            labels = self.mask_of(self.frames[index], image)
            planes = [plane for plane in (targets_of(labels), ignored_of(labels)) if plane is not None]
            return np.packbits(np.concatenate(planes), 1)  # what is ignored below the targets

        rows = np.unpackbits(self._get("mask", index, pack), 1, image.shape[1]).view(bool)
        height = image.shape[0]
        return join_labels(rows[:height], rows[height:] if len(rows) > height else None)

    def _align(
        self, chosen: list[int], images: list[np.ndarray], masks: list[np.ndarray]
    ) -> tuple[list[np.ndarray], list[np.ndarray]]:
        steps = [sum((self._shift(i + 1) for i in range(*pair)), np.zeros(2)) for pair in pairwise(chosen)]
        shifts = shifts_to_last(steps)
        return (
            align_clip(images, shifts),
            [
                moved.astype(mask.dtype)
                for mask, moved in zip(
                    masks, align_clip([mask.astype(np.uint8) for mask in masks], np.rint(shifts)), strict=True
                )
            ],
        )

    def _shift(self, index: int) -> np.ndarray:
        """How far the scene moves to a frame from the one before it; overlapping clips share it."""

        def fit() -> np.ndarray:
            return scene_shift(*(self._image(i).astype(np.float32) for i in (index - 1, index)))[None]

        return self._get("shift", index, fit)[0]

    def __getitem__(self, item: int | tuple[int, int]) -> dict[str, Any]:
        """A sample.

        Args:
            item: the clip's index, or `(epoch, index)`.

        Returns:
            `{"clip": normalised (T, H, W), or (3, T, H, W), float32, "key": the key frame's path}` with its `"mask"`
            (1, H, W) float32, 0, 1, or 2 where it is ignored, with `settings.every_frame` those of all frames
            (T, H, W), or its `"boxes"` (N, 5) float32, x1, y1, x2, y2, class in pixels of the clip; the class of a
            region to ignore is `utils.images.boxes.IGNORED_CLASS`.

        Raises:
            UserError: a frame is unreadable, or of another size than the others; with `replace_bad`, no clip can be
                read.
        """
        epoch, index = item if isinstance(item, tuple) else (0, item)
        if not self.replace_bad:
            return self._sample(epoch, index)
        reason = ""
        for step in range(len(self)):
            try:
                return {**self._sample(epoch, (index + step) % len(self)), "replaced": reason}
            except UserError as error:
                reason = reason or str(error)
        raise UserError(f"no clip can be read; of the first: {reason}")

    def _sample(self, epoch: int, index: int) -> dict[str, Any]:
        name, position = self.keys[index]
        key = self.sequences[name][position]
        frames, masks = self.read(index)
        boxes = NO_BOXES
        if self.labels == "boxes":
            require_declared_size(key, frames.shape[1:])
            boxes = boxes_to_learn(key)
        if self.transform is not None:
            frames, masks, boxes = self.transform(
                frames, masks, boxes, np.random.default_rng((self.seed, epoch, index))
            )
        axis = 0 if self.settings.task == "detection" else None
        clip = self.settings.normalise(frames, axis)
        if self.settings.every_frame:
            missing = self._count_missing(name, position)
            clip[:missing], masks[:missing] = 0, False
        elif self.labels == "mask":
            masks = masks[-1:]
        return {
            "clip": clip,
            self.labels: (boxes if self.labels == "boxes" else masks).astype(np.float32),
            "key": key.image,
        }

    def _count_missing(self, name: str, position: int) -> int:
        """By how many frames the clip of a key frame begins before its run."""
        length = self.settings.num_frames
        first = max(0, position - length + 1)
        run = position - first - run_starts(self.sequences[name][first : position + 1].numbers.tolist())[-1] + 1
        return length - run
