"""Masks of two targets each, in the ways in which people store them, and datasets of them."""

import cv2
import numpy as np
from PIL import Image
from trees import picture, write, write_text

SIZE = (48, 64)  # h, w
COUNT = 6  # frames of each of the two sequences


def discs(number, radius=2.0):
    """(2, H, W) bool: two targets that move."""
    yy, xx = np.mgrid[: SIZE[0], : SIZE[1]]
    places = ((10 + number, 12 + 2 * number), (36 - number, 50 - 2 * number))
    return np.stack([(yy - y) ** 2 + (xx - x) ** 2 <= radius**2 for y, x in places])


def write_palette(path, indices, colours):
    """A PNG of palette indices (H, W)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(indices.astype(np.uint8), "P")
    image.putpalette([int(level) for colour in colours for level in colour])
    image.save(path)
    return path


def voc_colours(count=256):
    """The colours of Pascal VOC's palette."""
    colours = []
    for index in range(count):
        channels, value = [0, 0, 0], index
        for shift in range(7, -1, -1):
            for channel in range(3):
                channels[channel] |= (value >> channel & 1) << shift
            value >>= 3
        colours.append(channels)
    return colours


def write_masked(root, mask_of, suffix=".png"):
    """A dataset of sequences a (training) and b (test) whose masks are what `mask_of(targets (2, H, W), number)` gives.

    That is an array, or a function that writes a file.
    """
    for sequence in "ab":
        for number in range(COUNT):
            name = f"{sequence}/{number:03d}"
            write(root / f"images/{name}.png", picture(number, SIZE))
            mask, path = mask_of(discs(number), number), root / f"masks/{name}{suffix}"
            write(path, mask) if isinstance(mask, np.ndarray) else mask(path)
    for split, sequence in (("train", "a"), ("test", "b")):
        lines = [f"images/{sequence}/{number:03d}.png\n" for number in range(COUNT)]
        write_text(root / f"{split}.txt", "".join(lines))
    return root


def with_border(mask, value, width=1):
    """`mask` (H, W) with a frame of `value` along its edge."""
    inner = mask[width:-width, width:-width]
    return cv2.copyMakeBorder(inner, width, width, width, width, cv2.BORDER_CONSTANT, value=value)


def with_ring(mask, value):
    """`mask` (H, W) with a ring of `value` around all that is above 0, as Pascal VOC draws it."""
    grown = cv2.dilate((mask > 0).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return np.where(grown & (mask == 0), value, mask).astype(mask.dtype)
