"""A textured scene, and what a camera that pans over it sees."""

import cv2
import numpy as np

from utils.clips.registration import move


def scene(seed: int = 0, side: int = 200) -> np.ndarray:
    """A textured picture, grey levels about 100 ± 20."""
    rough = np.random.default_rng(seed).standard_normal((side, side)).astype(np.float32)
    smooth = sum(cv2.GaussianBlur(rough, (0, 0), sigma) * sigma for sigma in (2, 6, 15))
    return 100 + 20 * (smooth / smooth.std()).astype(np.float32)


def view(
    picture: np.ndarray, shift: tuple[float, float], size: int = 128, noise: float = 0.0, seed: int = 1
) -> np.ndarray:
    seen = move(picture, np.array(shift, float))[30 : 30 + size, 30 : 30 + size]
    return seen + np.float32(noise) * np.random.default_rng(seed).standard_normal(seen.shape).astype(np.float32)


def panned(count: int, shape=(52, 70)) -> list[np.ndarray]:
    frames = [view(scene(), (1.3 * t, -0.8 * t), noise=1, seed=t)[: shape[0], : shape[1]] for t in range(count)]
    return [np.clip(np.rint(frame), 0, 255).astype(np.uint8) for frame in frames]
