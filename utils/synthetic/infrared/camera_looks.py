"""What cameras and recorders make of a sensor's picture before anybody sees it.

These are sharpening with its halos, a grey scale stretched until parts of it are saturated, interpolation, and lossy
video.

Levels as in `utils.synthetic.camera`; element by element like there, so a look is the same on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from utils.system.packages.late import ndimage

BLOCK_SIDE = 8  # pixels, of the blocks that lossy video works on
GROUP_FRAMES = 12  # from one that is coded by itself to the next
BASE_LEVEL = 128.0  # that such a frame is coded against


@dataclass(frozen=True)
class Look:
    """What is done to a sensor's picture, of which each part may be missing.

    `halo`: how much is added of what differs from a blur of `reach` pixels (0: none); `percentiles` of the middle frame
    that become the levels `span` (None: as they are); `softness`: blur of an interpolated picture, pixels (0: none);
    `quantum`: coarseness of lossy video, levels (0: none).
    """

    halo: float = 0.0
    reach: float = 1.0
    percentiles: tuple[float, float] | None = None
    span: tuple[float, float] = (0.0, 255.0)
    softness: float = 0.0
    quantum: float = 0.0

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Look:
        """One at random; each part is there in about half of all, one at least."""
        parts = np.zeros(4, bool)
        while not parts.any():
            parts = rng.uniform(size=4) < 0.5
        halo, stretched, soft, coded = parts
        reach = float(np.exp(rng.uniform(np.log(1.0), np.log(20.0))))
        percentiles = rng.uniform(0, 2), rng.uniform(97, 100)
        span = rng.uniform(0, 30), rng.uniform(180, 255)
        amount, softness, quantum = rng.uniform(0.3, 1.5), rng.uniform(0.4, 0.9), rng.uniform(1.0, 6.0)
        return cls(
            amount if halo else 0.0,
            reach,
            percentiles if stretched else None,
            span,
            softness if soft else 0.0,
            quantum if coded else 0.0,
        )

    def apply(self, clip: np.ndarray, most_gain: float = np.inf) -> np.ndarray:
        """Levels (T, H, W) as the sensor gives them → as they are recorded; they may leave 0 to 255.

        Args:
            clip: the levels.
            most_gain: by which the grey scale is stretched at most; what would be more ends in the middle of the span.
        """
        if self.halo:
            clip = clip + self.halo * (clip - ndimage.gaussian_filter(clip, (0, self.reach, self.reach)))
        if self.percentiles:
            low, high = np.percentile(clip[len(clip) // 2], self.percentiles)
            gain = (self.span[1] - self.span[0]) / max(high - low, 1.0)
            if gain > most_gain:
                clip = sum(self.span) / 2 + (clip - (low + high) / 2) * most_gain
            else:
                clip = self.span[0] + (clip - low) * gain
        if self.softness:
            clip = ndimage.gaussian_filter(clip, (0, self.softness, self.softness))
        return code_as_video(np.clip(clip, 0, 255), self.quantum) if self.quantum else clip


def _cosines() -> np.ndarray:
    """The orthonormal cosine basis (BLOCK_SIDE, BLOCK_SIDE), a row a frequency."""
    order = np.arange(BLOCK_SIDE)
    basis = np.cos(np.pi * (2 * order[None] + 1) * order[:, None] / (2 * BLOCK_SIDE)) * (2 / BLOCK_SIDE) ** 0.5
    basis[0] /= 2**0.5
    return basis


def code_as_video(clip: np.ndarray, quantum: float) -> np.ndarray:
    """Levels (T, H, W) after lossy video coding in its simplest form, without motion compensation.

    Coded is of each frame the difference from the decoded frame before, of every twelfth the frame itself, in blocks
    of 8×8 cosines rounded to multiples of `quantum` levels, coarser for higher frequencies.
    """
    basis = _cosines()
    steps = quantum * (1 + np.add.outer(np.arange(BLOCK_SIDE), np.arange(BLOCK_SIDE)) / 2)
    height, width = clip.shape[1:]
    padded = np.pad(clip, [(0, 0), (0, -height % BLOCK_SIDE), (0, -width % BLOCK_SIDE)], mode="edge")
    rows, columns = padded.shape[1] // BLOCK_SIDE, padded.shape[2] // BLOCK_SIDE
    decoded, known = [], np.empty(0)
    for t, frame in enumerate(padded):
        base = known if t % GROUP_FRAMES else np.full_like(frame, BASE_LEVEL)
        blocks = (frame - base).reshape(rows, BLOCK_SIDE, columns, BLOCK_SIDE)
        # no optimize: no BLAS, the same sums everywhere
        blocks = np.einsum("aibj,ui->aubj", blocks, basis)
        blocks = np.einsum("aubj,vj->aubv", blocks, basis)
        blocks = np.rint(blocks / steps[:, None, :]) * steps[:, None, :]
        blocks = np.einsum("aubv,ui->aibv", blocks, basis)
        blocks = np.einsum("aibv,vj->aibj", blocks, basis)
        known = base + blocks.reshape(frame.shape)
        decoded.append(known[:height, :width])
    return np.stack(decoded)
