"""Temporal sample augmentation (TSMSA) as training uses it: cloned targets in a clip, pairs of clips in a batch.

Both halves keep a clip consistent over time: what happens to a target happens in the same way in all frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from utils.clips.transforms import (
    ClipTransform,
    letterbox_clip,
    random_crop,
    random_crop_boxes,
    resize_clip,
)
from utils.images.fit import MARGIN_GREY


def augment_batch(
    frames: torch.Tensor,
    masks: torch.Tensor,
    axis: int | None = None,
    generator: torch.Generator | None = None,
    published: bool = False,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Appends B clips made of neighbouring pairs (TSMSA's batch augmentation).

    Sample i is concatenated with sample i+1 (the last one with the first; a single sample with itself) and resized back
    to H x W with nearest neighbour, i.e. every second row or column is kept, for odd sizes too. Nearest neighbour would
    erase a target one pixel wide in every second case, so a pixel of the new mask is set where either of its two pixels
    was, and ignored where either was ignored.

    Args:
        frames: (B, T, H, W).
        masks: (B, 1, H, W), bool or 0/1 of any dtype, 2 where pixels are ignored.
        axis: 2, above each other, or 3, side by side; drawn if None.
        generator: that draws it.
        published: nearest neighbour for the mask as well.

    Returns:
        (2B, T, H, W) and (2B, 1, H, W), the originals first.

    Raises:
        ValueError: another `axis`, or shapes that do not fit.
    """
    if (
        frames.ndim != 4
        or masks.ndim != 4
        or (frames.shape[0], *frames.shape[2:])
        != (
            masks.shape[0],
            *masks.shape[2:],
        )
    ):
        raise ValueError(
            f"got frames {tuple(frames.shape)} and masks {tuple(masks.shape)}, expected (B, T, H, W) and (B, 1, H, W)"
        )
    if axis is None:
        axis = 2 + int(torch.randint(2, (), generator=generator))
    if axis not in (2, 3):
        raise ValueError(f"got axis {axis}, expected 2 (rows) or 3 (columns)")
    pair, pair_mask = (torch.cat((x, x.roll(-1, dims=0)), dim=axis) for x in (frames, masks))
    first, second = (pair_mask[:, :, start::2] if axis == 2 else pair_mask[..., start::2] for start in (0, 1))
    resized = pair[:, :, ::2] if axis == 2 else pair[..., ::2]
    mixed = first if published else torch.maximum(first, second)
    return torch.cat((frames, resized)), torch.cat((masks, mixed))


@dataclass(frozen=True)
class TrainTransform(ClipTransform):
    """What a training clip goes through, in this order: size, cloned targets, flips and turns, gain and offset.

    Frames of any dtype come out as float32, masks and boxes as they went in, (T, size, size), or (T, crop, crop).

    Args:
        size: side of the square that comes out, in pixels.
        fit: "crop" (see `random_crop` and `random_crop_boxes`), "resize" (see `resize_clip`), which moves no boxes, or
            "letterbox" (see `letterbox_clip`), which comes last, so that its grey margins are those of prediction.
        target_probability: as of `random_crop`.
        steps: between size and letterbox, in this order.
        full_scale: largest grey level of the sensor.
        margin: grey level of the letterbox's margins.
        crop: with "letterbox", between 0 and `size`: takes a square of so many pixels out of what letterboxing would
            give, at the same scale.
        boxes: whether crops are moved to the targets' boxes, and move these along; else to the targets of masks.

    Raises:
        ValueError: boxes with a fit that does not move them.
    """

    size: int
    fit: str
    target_probability: float
    steps: tuple[ClipTransform, ...]
    full_scale: float = 255.0
    margin: float = MARGIN_GREY
    crop: int = 0
    boxes: bool = False

    def with_boxes(
        self, frames: np.ndarray, masks: np.ndarray, boxes: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if len(boxes) and self.fit != "letterbox" and not (self.fit == "crop" and self.boxes):
            raise ValueError(f"got {len(boxes)} boxes with fit {self.fit!r}, expected none, as it moves none")
        if self.fit == "crop" and self.boxes:
            frames, masks, boxes = random_crop_boxes(frames, masks, boxes, self.size, rng, self.target_probability)
        elif self.fit == "crop":
            frames, masks = random_crop(frames, masks, self.size, rng, self.target_probability)
        frames = frames.astype(np.float32, copy=False)  # not before the crop, which leaves less
        if self.fit == "resize":
            frames, masks = resize_clip(frames, masks, self.size)
        for step in self.steps:
            frames, masks, boxes = step.with_boxes(frames, masks, boxes, rng)
        if self.fit == "letterbox":
            size = self.size
            if 0 < self.crop < size:
                part = min(round(self.crop * max(frames.shape[1:]) / size), *frames.shape[1:])
                frames, masks, boxes = random_crop_boxes(frames, masks, boxes, part, rng, self.target_probability)
                size = self.crop
            frames, masks, boxes = letterbox_clip(frames, masks, boxes, size, self.full_scale, self.margin)
        return frames, masks, boxes
