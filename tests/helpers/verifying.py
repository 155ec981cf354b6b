"""Scenes with spots for a verifier, and verifiers of random numbers."""

import numpy as np
from scipy import ndimage

from utils.predictor.verifier.features import NAMES
from utils.predictor.verifier.maps import FrameHistory
from utils.predictor.verifier.model import VerifierModel


def scenery(rng, size=160, shift=(0, 0)):
    """Smooth scenery and a little noise; `shift` says how far the scene has moved, y and x."""
    big = ndimage.gaussian_filter(np.random.default_rng(5).normal(size=(size + 80, size + 80)), 10)
    big = 30 * big / big.std()
    y, x = (40 - int(part) for part in shift)
    return (120 + big[y : y + size, x : x + size] + rng.normal(size=(size, size))).astype(np.float32)


def with_spot(frame, y, x, height=40):
    spot = np.zeros_like(frame)
    spot[y, x] = 1
    return frame + height * 2 * np.pi * ndimage.gaussian_filter(spot, 1)


def levels(frame):
    return np.clip(np.rint(frame), 0, 255).astype(np.uint8)


def watch(frames, numbers=None):
    """The maps of the last of the frames."""
    history = FrameHistory()
    for number, frame in zip(numbers or range(len(frames)), frames, strict=True):
        maps = history.see(number, levels(frame))
    return maps


def random_model(seed=0, hidden=(8, 4)):
    rng = np.random.default_rng(seed)
    sizes = (len(NAMES), *hidden, 1)
    layers = tuple(
        (rng.normal(size=(after, before)).astype(np.float32), rng.normal(size=after).astype(np.float32))
        for before, after in zip(sizes, sizes[1:], strict=False)
    )
    mean, scale = rng.normal(size=len(NAMES)), rng.uniform(0.5, 2, len(NAMES))
    return VerifierModel(mean.astype(np.float32), scale.astype(np.float32), layers, 0.4, 0.6, 8.0)
