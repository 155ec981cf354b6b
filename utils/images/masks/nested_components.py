"""8-connected components of many nested masks at once, in time that follows what the masks hold.

Of a prediction over its threshold, most components shrink around one peak until they are gone: those need labelling
once. Only components with several peaks, which may fall apart, are labelled again at higher levels (the tree that this
walks is the max-tree of P. Salembier et al., "Antiextensive connected operators for image and sequence processing",
IEEE TIP 1998).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from utils.images.components import Components, label_levels, squeeze
from utils.system.packages.late import cv2

CHEAP_PIXELS = 1 << 19  # of all levels' pictures, which are labelled in one call as soon as they are so small


class _Pixels(NamedTuple):
    """Pixels of one or several components: flat indices, ascending, rows and columns, heights."""

    flat: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    height: np.ndarray

    def where(self, chosen: np.ndarray) -> _Pixels:
        return _Pixels(*(part[chosen] for part in self))


class _Sums(NamedTuple):
    """Of components: level, first pixel, area, and sums of rows and columns."""

    level: np.ndarray
    first: np.ndarray
    area: np.ndarray
    rows: np.ndarray
    columns: np.ndarray


def nested_components(pixel: np.ndarray, height: np.ndarray, width: int, levels: int) -> Components:
    """The components of `label_levels`, in its order, but without their pixels.

    Args:
        pixel: `(M,)` flat indices, ascending.
        height: `(M,)` the highest level each pixel reaches, 1 … `levels`.
        width: width of the frame.
        levels: number of levels.
    """
    rest, parts = _Pixels(pixel, *np.divmod(pixel, width), height), []
    for level in range(1, levels + 1):
        if not len(rest.flat):
            break
        y, x = squeeze(rest.rows), squeeze(rest.columns)
        shape = int(y[-1]) + 1, int(x.max()) + 1
        if shape[0] * shape[1] * (levels - level + 1) <= CHEAP_PIXELS:
            parts.append(_label_all(rest, width, level, levels))
            break
        owner, peaks, top = _split(rest, y, x, shape)
        alone = peaks == 1
        lone, number = alone[owner], np.where(alone, np.cumsum(alone), np.cumsum(~alone))[owner] - 1
        several = rest.where(~lone)
        parts += [_shrink(rest.where(lone), number[lone], top[alone], level), _sum(several, number[~lone], level)]
        rest = several.where(several.height > level)
    if not parts:
        return label_levels(pixel, height, width, levels)
    found = _Sums(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    # pixels are fewer than 2^40, so that one number orders levels and, within each, first pixels
    order = np.argsort((found.level << 40) + found.first)
    found, none = _Sums(*(column[order] for column in found)), np.zeros(0, np.int64)
    centroid = np.stack([found.rows / found.area, found.columns / found.area], 1)
    return Components(none, none, found.level, found.area, centroid)


def _split(
    pixels: _Pixels, y: np.ndarray, x: np.ndarray, shape: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The component of each pixel, from 0, and of each component the number of its peaks and its greatest height.

    A peak is a connected group of pixels without a higher neighbour. A ledge below a summit may count as one too: then
    there are two, and the component is looked at again one level higher.
    """
    place = y * shape[1] + x
    picture = np.zeros(shape, np.uint8 if pixels.height.max() < 256 else np.uint16)
    picture.reshape(-1)[place] = pixels.height
    whole = picture if picture.dtype == np.uint8 else (picture > 0).view(np.uint8)
    count, labels = cv2.connectedComponents(whole, connectivity=8)
    owner = labels.reshape(-1)[place] - 1
    summit = cv2.dilate(picture, np.ones((3, 3), np.uint8)).reshape(-1)[place] == pixels.height
    of, place = owner[summit], place[summit]
    picture = np.zeros(shape, np.uint8)
    picture.reshape(-1)[place] = 1
    groups, labels = cv2.connectedComponents(picture, connectivity=8)
    group_owner = np.empty(groups, np.int64)
    group_owner[labels.reshape(-1)[place]] = of
    top = np.zeros(count - 1, np.int64)
    top[of] = pixels.height[summit]  # of several peaks any one: it is asked for where there is one
    return owner, np.bincount(group_owner[1:], minlength=count - 1), top


def _shrink(pixels: _Pixels, owner: np.ndarray, top: np.ndarray, level: int) -> _Sums:
    """Components that stay in one piece from `level` to their `top`, at all these levels."""
    sizes = top - level + 1  # levels of each component, which follow one another
    ends = np.cumsum(sizes)
    place = (ends - sizes)[owner] + pixels.height - level
    total = int(ends[-1]) if len(ends) else 0
    component = np.repeat(np.arange(len(sizes)), sizes)
    beyond = int(pixels.flat[-1]) + 1 if total else 1
    # a level holds what the levels above it hold: minima and sums from the end, anew with each component
    first = component * beyond + beyond - 1
    first[place[::-1]] = (owner * beyond + pixels.flat)[::-1]
    first = np.minimum.accumulate(first[::-1])[::-1] - component * beyond
    sums = []
    for weight in (None, pixels.rows, pixels.columns):
        after = np.append(np.cumsum(np.bincount(place, weight, minlength=total)[::-1])[::-1], 0).astype(np.int64)
        sums.append(after[:-1] - after[ends][component])
    levels = np.arange(total) - (ends - sizes)[component] + level
    return _Sums(levels, first, *sums)


def _sum(pixels: _Pixels, owner: np.ndarray, level: int) -> _Sums:
    """Components at one level."""
    area, rows, columns = (
        np.bincount(owner, weight).astype(np.int64) for weight in (None, pixels.rows, pixels.columns)
    )
    return _Sums(np.full(len(area), level), _first(owner, pixels.flat, len(area)), area, rows, columns)


def _first(owner: np.ndarray, pixel: np.ndarray, count: int) -> np.ndarray:
    """The first of each owner's pixels, which ascend: what is assigned last remains."""
    first = np.empty(count, np.int64)
    first[owner[::-1]] = pixel[::-1]
    return first


def _label_all(pixels: _Pixels, width: int, level: int, levels: int) -> _Sums:
    """Components at all levels from `level` on."""
    found = label_levels(pixels.flat, pixels.height - level + 1, width, levels - level + 1)
    rows, columns = np.divmod(found.pixel, width)
    sums = (np.bincount(found.owner, part, minlength=len(found)).astype(np.int64) for part in (rows, columns))
    first = _first(found.owner, found.pixel, len(found))
    return _Sums(found.level + level - 1, first, found.area, *sums)
