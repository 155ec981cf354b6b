"""Predictions that overlap targets by chance, and how much two boxes overlap."""

import numpy as np


def random_frames(rng, count, dense=False):
    """Predictions and masks made of small blobs, shifted copies, single pixels and noise, touching borders as well."""
    frames = []
    for _ in range(count):
        height, width = rng.integers(1, 26, 2)
        mask, prediction = np.zeros((2, height, width), bool)
        for _ in range(rng.integers(0, 5)):
            y, x, h, w = rng.integers(0, height), rng.integers(0, width), *rng.integers(1, 5, 2)
            blob = rng.random((h, w)) < 0.8
            for picture, dy, dx in ((mask, 0, 0), (prediction, *rng.integers(-4, 5, 2))):
                if picture is mask or rng.random() < 0.8:
                    part = picture[max(y + dy, 0) : max(y + dy + h, 0), max(x + dx, 0) : max(x + dx + w, 0)]
                    part |= blob[: part.shape[0], : part.shape[1]]
        prediction |= rng.random(prediction.shape) < (0.4 if dense else 0.02)
        frames.append((prediction, mask))
    return frames


def plain_iou(a, b):
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    return w * h / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h)
