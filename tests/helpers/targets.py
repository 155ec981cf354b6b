"""Targets of several shapes, drawn into clips along their tracks."""

import cv2
import numpy as np

from utils.images.components import label_targets

SHAPES = {
    "2x2": np.ones((2, 2), bool),
    "1x1": np.ones((1, 1), bool),
    "1x3": np.ones((1, 3), bool),
    "diagonal": np.fliplr(np.eye(2, dtype=bool)),
    "cross": cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3)) > 0,
    "disc": cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5)) > 0,
}


def clip(tracks, size=(96, 96), level=50.0, peak=100.0, noise=0.0, seed=0):
    """Targets over a flat (or noisy) background. tracks: a list of (shape, positions), a position (y, x) of the
    top-left pixel or None for each of the frames."""
    length = len(tracks[0][1]) if tracks else 5
    frames = np.random.default_rng(seed).normal(level, noise, (length, *size)).astype(np.float32)
    masks = np.zeros(frames.shape, bool)
    for shape, positions in tracks:
        for frame, mask, position in zip(frames, masks, positions, strict=True):
            if position is not None:
                y, x = position
                here = np.s_[y : y + shape.shape[0], x : x + shape.shape[1]]
                frame[here][shape] += peak
                mask[here] |= shape
    return frames, masks


def line(start, step, length=5):
    return [(start[0] + step[0] * i, start[1] + step[1] * i) for i in range(length)]


def new_boxes(before, after):
    """Boxes of the targets that a frame's mask gained."""
    return np.array(label_targets(after & ~before)[1]).reshape(-1, 4)
