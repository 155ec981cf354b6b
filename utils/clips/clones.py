"""Cloned targets: the first half of TSMSA's temporal sample augmentation, on one clip in numpy."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from utils.clips.transforms import NO_BOXES, ClipTransform, check_clip
from utils.images.boxes import IGNORED_CLASS
from utils.images.components import label_targets
from utils.images.masks.values import ignored_of, join_labels, targets_of
from utils.system.packages.late import cv2

SKIRT_PX = 2  # pixels around the mask in which the skirts of a target's point spread fade out
BACKGROUND_RING_PX = 4  # pixels beyond the skirts that tell the local background
CLEARANCE_PX = 3  # free pixels between a clone's box and every other target
_SQUARE = np.ones((3, 3), np.uint8)


@dataclass(slots=True)
class _Patch:
    """One target of one frame, and the boxes that are annotated around it in the key frame.

    `values` and `mask` are (h, w) with top-left pixel (y, x); `boxes` are (K, 5): x1, y1, x2, y2 in the image's pixels,
    class.
    """

    frame: int
    y: int
    x: int
    values: np.ndarray
    mask: np.ndarray
    boxes: np.ndarray = field(default_factory=NO_BOXES.copy)


def displacement_range(size: int) -> int:
    """Largest displacement of a clone in pixels along an axis of `size` pixels: max(size/4 - 32, size/8).

    The published size/4 - 32 (96 px at 512) reaches zero at 128 px, where every clone would sit on its original;
    size/8 takes over below 256 px, where the two are equal.
    """
    return max(size // 4 - 32, size // 8)


@dataclass(frozen=True)
class TargetAugmentation(ClipTransform):
    """Clones the targets of a clip (TSMSA's target augmentation).

    A clone has one scale, one displacement and one contrast factor for the whole clip, so it moves as its original
    does; in frames where a target is absent its clone is absent too. Displacements lie within `displacement_range`.

    With "add" the target's contrast over its local background (the median of a ring around it), times a factor, is
    added to the new place; within 2 px around the mask the contrast fades out, so that the skirts of the point spread
    come along. The displacement is drawn so that the clone stays inside the image in every frame and keeps clear of all
    other targets. A target has no clone in frames where it touches the border, which may cut it off. Values saturate at
    255, or at 65535 where the clip exceeds 255. With "replace" (published) pixels of the mask replace those of the new
    place, whose position is clamped frame by frame with the clone's own size.

    Ignored pixels are no target that is cloned and no background to measure, and no clone is put where it would cover
    or, with "add", come near them: in one frame of the clip or in all.

    A clone's mask never has fewer than min(2, the original's) pixels (one where "replace" shrinks its box to a pixel).
    A box belongs to the target that has most pixels in it; it moves and shrinks with each clone of that target, whole
    in the image with "add", cut at the image's edge with "replace".

    Args:
        copies: clones of every target.
        scale: range of the scale factor, above 0 and at most 1.
        mode: "add" or "replace".
        contrast: range of the factor for "add", above 0.
        tries: draws of a displacement for "add"; the clone is left out if none fits.

    Raises:
        ValueError: an unknown mode, a range that is reversed or not positive, or a scale above 1.
    """

    copies: int = 3
    scale: tuple[float, float] = (0.6, 0.9)
    mode: str = "add"
    contrast: tuple[float, float] = (0.7, 1.1)
    tries: int = 10

    def __post_init__(self) -> None:
        if self.mode not in ("add", "replace"):
            raise ValueError(f"unknown mode {self.mode!r} of target augmentation, expected add or replace")
        for name, most in (("scale", 1.0), ("contrast", float("inf"))):
            low, high = getattr(self, name)
            if not 0 < low <= high <= most:
                raise ValueError(f"got {name} ({low}, {high}), expected 0 < low <= high <= {most}")

    def with_boxes(
        self, frames: np.ndarray, masks: np.ndarray, boxes: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The clip with clones.

        Args:
            frames: (T, H, W) float32 in the sensor's units.
            masks: (T, H, W) bool, or labels.
            boxes: (N, 5) of the key frame.
            rng: draws the clones' scales, contrasts and places.

        Returns:
            New arrays of the same kind; the arguments stay as they are.

        Raises:
            ValueError: the shapes of frames and masks differ.
        """
        check_clip(frames, masks)
        frames, ignored = frames.copy(), ignored_of(masks)
        masks = targets_of(masks).astype(bool)
        way = _Adding(self.contrast, self.tries) if self.mode == "add" else _Replacing()
        targets = []
        for index, (frame, mask) in enumerate(zip(frames, masks, strict=True)):
            hidden = None if ignored is None else ignored[index]
            targets += way.cut(frame, mask, index, boxes if index == len(frames) - 1 else NO_BOXES, hidden)
        placed = [boxes]
        for _ in range(self.copies if targets else 0):
            scale = rng.uniform(*self.scale)
            placed += way.place(frames, masks, [way.shrink(target, scale) for target in targets], rng, ignored)
        return frames, join_labels(masks, ignored), np.concatenate(placed)


@dataclass(frozen=True)
class _Adding:
    """The mode "add" of `TargetAugmentation`: cuts out contrasts, and places them where there is room."""

    contrast: tuple[float, float]
    tries: int

    def cut(
        self, frame: np.ndarray, mask: np.ndarray, index: int, boxes: np.ndarray, ignored: np.ndarray | None = None
    ) -> list[_Patch]:
        """Every target of a frame as its contrast over the local background, fading out within `SKIRT_PX`.

        Targets at the image's border are left out; `ignored` (H, W) bool are no background.
        """
        labels, places = label_targets(mask)
        owners = _owners(labels, boxes)
        reach = SKIRT_PX + BACKGROUND_RING_PX
        patches = []
        for label, (y0, x0, y1, x1) in enumerate(places, start=1):
            if not (min(y0, x0) > 0 and y1 < mask.shape[0] and x1 < mask.shape[1]):
                continue  # the image's border may cut it off, and half a target is none in the middle of an image
            top, left = max(y0 - reach, 0), max(x0 - reach, 0)
            here = slice(top, y1 + reach), slice(left, x1 + reach)
            found, values = labels[here], frame[here]
            target = (found == label).astype(np.uint8)
            near = cv2.dilate(target, _SQUARE)
            skirt = cv2.dilate(near, _SQUARE)
            others = (found > 0) & (target == 0)
            if others.any():  # a neighbour's light belongs neither to this target nor to its background
                others = cv2.dilate(others.astype(np.uint8), _SQUARE, iterations=SKIRT_PX) > 0
            around = (skirt == 0) & ~others
            ring = values[around if ignored is None else around & ~ignored[here]]
            background = np.median(ring) if ring.size else values.min()
            weight = (target + near + skirt).astype(np.float32) / 3
            weight[others & (target == 0)] = 0
            inner = (
                slice(max(y0 - SKIRT_PX - top, 0), y1 + SKIRT_PX - top),
                slice(max(x0 - SKIRT_PX - left, 0), x1 + SKIRT_PX - left),
            )
            contrast = (weight * (values - np.float32(background)))[inner]
            patches.append(
                _Patch(
                    index,
                    top + inner[0].start,
                    left + inner[1].start,
                    contrast,
                    target[inner] > 0,
                    boxes[owners == label],
                )
            )
        return patches

    def shrink(self, patch: _Patch, scale: float) -> _Patch:
        """A contrast patch shrunk about the middle of its mask, finer than whole pixels so that motion stays smooth.

        Values and mask are sampled alike (bilinear; the mask is where at least half remains), and the peak keeps its
        height, which sampling between pixels would lower.
        """
        height, width = patch.mask.shape
        y, x = (float(places.mean()) for places in np.nonzero(patch.mask))
        matrix = np.array([[1 / scale, 0, x - x / scale], [0, 1 / scale, y - y / scale]])
        both = cv2.merge((patch.values, patch.mask.astype(np.float32)))
        both = cv2.warpAffine(both, matrix, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        values, share = both[..., 0], both[..., 1]
        mask = _never_empty(share >= 0.5, share, patch.mask)
        peak = np.abs(values[mask]).max()
        if peak > 0:
            values = values * (np.abs(patch.values[patch.mask]).max() / peak)
        middle = patch.y + y + 0.5, patch.x + x + 0.5  # pixel centres → pixel edges at whole numbers
        boxes = _move_boxes(patch.boxes, middle, np.zeros(2), (scale, scale))
        return _Patch(patch.frame, patch.y, patch.x, values, mask, boxes)

    def place(
        self,
        frames: np.ndarray,
        masks: np.ndarray,
        clones: list[_Patch],
        rng: np.random.Generator,
        ignored: np.ndarray | None = None,
    ) -> list[np.ndarray]:
        """Places the clones, if there is room that is not `ignored` (T, H, W) bool, and returns their boxes."""
        factor = np.float32(rng.uniform(*self.contrast))
        size = frames.shape[1:]
        boxes = np.array([_extent(clone) for clone in clones])  # (N, 4): y0, x0, y1, x1, displacement still zero
        limit = np.array([displacement_range(length) for length in size])
        low = np.maximum(-boxes[:, :2].min(axis=0), -limit)
        high = np.minimum(size - boxes[:, 2:].max(axis=0), limit)
        if (low > high).any():
            return []
        for _ in range(self.tries):
            shift = rng.integers(low, high + 1)
            moved = boxes + np.tile(shift, 2)
            taken = [masks] if ignored is None else [masks, ignored]
            if all(_is_free(a[clone.frame], box) for clone, box in zip(clones, moved, strict=True) for a in taken):
                break
        else:
            return []
        saturation = 255.0 if frames.max() <= 255 else 65535.0
        for clone in clones:
            inside, here = _overlap(clone, shift, size)
            window = frames[clone.frame][here]
            window += factor * clone.values[inside]
            np.minimum(window, saturation, out=window)
            masks[clone.frame][here] |= clone.mask[inside]
        return [_move_boxes(clone.boxes, (0, 0), shift) for clone in clones]


class _Replacing:
    """The mode "replace" of `TargetAugmentation`: cuts out pixels, and places them anywhere, as published."""

    def cut(
        self, frame: np.ndarray, mask: np.ndarray, index: int, boxes: np.ndarray, ignored: np.ndarray | None = None
    ) -> list[_Patch]:
        """Every target of a frame in its bounding box, as it is."""
        labels, places = label_targets(mask)
        owners = _owners(labels, boxes)
        patches = []
        for label, (y0, x0, y1, x1) in enumerate(places, start=1):
            here = slice(y0, y1), slice(x0, x1)
            patches.append(_Patch(index, y0, x0, frame[here].copy(), labels[here] == label, boxes[owners == label]))
        return patches

    def shrink(self, patch: _Patch, scale: float) -> _Patch:
        """A patch of pixels as published: bilinear values, nearest-neighbour mask, in a box of whole pixels."""
        height, width = patch.mask.shape
        h, w = max(round(height * scale), 1), max(round(width * scale), 1)
        values = cv2.resize(patch.values, (w, h), interpolation=cv2.INTER_LINEAR)
        mask = cv2.resize(patch.mask.astype(np.uint8), (w, h), interpolation=cv2.INTER_NEAREST) > 0
        share = cv2.resize(patch.mask.astype(np.float32), (w, h), interpolation=cv2.INTER_AREA)
        boxes = _move_boxes(patch.boxes, (patch.y, patch.x), np.zeros(2), (h / height, w / width))
        return _Patch(patch.frame, patch.y, patch.x, values, _never_empty(mask, share, patch.mask), boxes)

    def place(
        self,
        frames: np.ndarray,
        masks: np.ndarray,
        clones: list[_Patch],
        rng: np.random.Generator,
        ignored: np.ndarray | None = None,
    ) -> list[np.ndarray]:
        """Places the clones, unless one would cover what is `ignored` (T, H, W) bool, and returns their boxes."""
        size = np.array(frames.shape[1:])
        limit = np.array([displacement_range(length) for length in size])
        shift = rng.integers(-limit, limit + 1)
        boxes = []
        corners = [np.clip((clone.y, clone.x) + shift, 0, size - clone.mask.shape) for clone in clones]
        areas = [
            (slice(y, y + clone.mask.shape[0]), slice(x, x + clone.mask.shape[1]))
            for clone, (y, x) in zip(clones, corners, strict=True)
        ]
        if ignored is not None and any(
            (ignored[clone.frame][area] & clone.mask).any() for clone, area in zip(clones, areas, strict=True)
        ):
            return []
        for clone, (y, x), here in zip(clones, corners, areas, strict=True):
            frames[clone.frame][here][clone.mask] = clone.values[clone.mask]
            masks[clone.frame][here] |= clone.mask
            moved = _move_boxes(clone.boxes, (0, 0), np.array((y - clone.y, x - clone.x)))
            moved[:, :4] = np.clip(moved[:, :4], 0, np.tile(size[::-1], 2))
            boxes.append(moved)
        return boxes


def _owners(labels: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """The label that has most pixels in each of the boxes (N, 5), 0 where none has any: (N,) int.

    Regions to ignore belong to none.
    """
    owners = np.zeros(len(boxes), int)
    for index, box in enumerate(boxes):
        if box[4] == IGNORED_CLASS:
            continue
        x1, y1, x2, y2 = np.maximum(np.rint(box[:4]).astype(int), 0)
        counts = np.bincount(labels[y1:y2, x1:x2].ravel(), minlength=2)[1:]
        owners[index] = 1 + counts.argmax() if counts.any() else 0
    return owners


def _move_boxes(
    boxes: np.ndarray, about: tuple[float, float], shift: np.ndarray, scale: tuple[float, float] = (1.0, 1.0)
) -> np.ndarray:
    """Boxes (K, 5) scaled by (y, x) factors about the point (y, x), pixel edges at whole numbers, then shifted."""
    moved = boxes.copy()
    if not len(moved):
        return moved
    for columns, origin, step, factor in zip(((1, 3), (0, 2)), about, shift, scale, strict=True):
        moved[:, columns] = origin + (moved[:, columns] - origin) * factor + step
    return moved


def _never_empty(mask: np.ndarray, share: np.ndarray, original: np.ndarray) -> np.ndarray:
    """`mask`, filled up to min(2, original's) pixels with those that hold the largest share of the target."""
    least = min(2, int(np.count_nonzero(original)), mask.size)
    if np.count_nonzero(mask) < least:
        order = np.argsort(-(share + mask), axis=None, kind="stable")
        mask.flat[order[:least]] = True
    return mask


def _extent(patch: _Patch) -> np.ndarray:
    """Pixels y0, x0, y1, x1 (ends exclusive) that hold the patch's mask and its boxes: (4,) int."""
    rows, columns = np.flatnonzero(patch.mask.any(axis=1)), np.flatnonzero(patch.mask.any(axis=0))
    if not len(patch.boxes):
        return np.array((patch.y + rows[0], patch.x + columns[0], patch.y + rows[-1] + 1, patch.x + columns[-1] + 1))
    low = [(patch.y + rows[0], patch.x + columns[0]), *np.floor(patch.boxes[:, 1::-1]).astype(int)]
    high = [(patch.y + rows[-1] + 1, patch.x + columns[-1] + 1), *np.ceil(patch.boxes[:, 3:1:-1]).astype(int)]
    return np.concatenate((np.min(low, axis=0), np.max(high, axis=0)))


def _is_free(mask: np.ndarray, box: np.ndarray) -> bool:
    """Whether no target lies in the box grown by CLEARANCE_PX pixels."""
    y0, x0, y1, x1 = box
    return not mask[max(y0 - CLEARANCE_PX, 0) : y1 + CLEARANCE_PX, max(x0 - CLEARANCE_PX, 0) : x1 + CLEARANCE_PX].any()


def _overlap(patch: _Patch, shift: np.ndarray, size: tuple[int, int]) -> tuple[tuple, tuple]:
    """Slices of the moved patch and of the image where the two overlap (skirts may reach over the border)."""
    inside, here = [], []
    for start, length, limit in zip((patch.y, patch.x) + shift, patch.mask.shape, size, strict=True):
        first, last = max(start, 0), min(start + length, limit)
        inside.append(slice(first - start, last - start))
        here.append(slice(first, last))
    return tuple(inside), tuple(here)
