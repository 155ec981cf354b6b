"""What a recording makes of time: cuts to another scene, repeated frames, and jumps of the camera."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from utils.synthetic.camera import SPLINE_BORDER, Camera

MIN_PIECE = 8  # frames between two cuts
MIN_JUMP = 1.0  # pixels


@dataclass(frozen=True)
class Timeline:
    """Which of the frames that were taken are written, and where cuts are.

    `shown` (T,): the taken frame that each written one shows; `pieces`: how many taken frames each piece has.
    """

    shown: np.ndarray
    pieces: tuple[int, ...]

    @classmethod
    def draw(cls, rng: np.random.Generator, frames: int, repeats: float, cuts: float) -> Timeline:
        """One at random.

        Args:
            rng: decides on everything.
            frames: that are written, T.
            repeats: share of them that repeat the one before: in one half of the sequences at even distances, as where
                a recorder is faster than the camera, in the other half at random.
            cuts: in a sequence, on average; as many as leave pieces of `MIN_PIECE` frames.
        """
        even, phase, chance = rng.uniform() < 0.5, rng.uniform(), rng.uniform(size=frames)
        steps = np.floor(np.arange(frames) * repeats + phase)
        again = np.diff(steps, prepend=steps[0]) > 0 if even else chance < repeats
        again[0] = False
        taken = max(int((~again).sum()), min(frames, MIN_PIECE))
        again[np.flatnonzero(again)[frames - taken :]] = False  # too short a sequence repeats less
        wanted = min(int(rng.poisson(cuts)), taken // MIN_PIECE - 1) if cuts else 0
        spare = taken - (wanted + 1) * MIN_PIECE
        borders = np.sort(rng.integers(0, spare + 1, max(wanted, 0))) if spare >= 0 else np.empty(0, int)
        pieces = np.diff([0, *borders, spare]) + MIN_PIECE if wanted > 0 else np.array([taken])
        return cls(np.cumsum(~again) - 1, tuple(pieces.tolist()))

    @property
    def repeated(self) -> list[int]:
        """The written frames that repeat the one before."""
        return (np.flatnonzero(np.diff(self.shown) == 0) + 1).tolist()

    @property
    def cuts(self) -> list[int]:
        """The first written frame of each piece but the first."""
        return np.searchsorted(self.shown, np.cumsum(self.pieces)[:-1]).tolist()


def add_jumps(rng: np.random.Generator, camera: Camera, chance: float, largest: float) -> Camera:
    """The path with jumps to the side between frames.

    Args:
        rng: decides on everything.
        camera: the path.
        chance: of a jump before each frame but the first.
        largest: pixels; lengths are spread evenly from `MIN_JUMP` on.
    """
    frames = len(camera.position)
    jumps = rng.uniform(size=frames) < chance
    jumps[0] = False
    length, heading = rng.uniform(MIN_JUMP, largest, frames), rng.uniform(0, 2 * np.pi, frames)
    steps = (jumps * length)[:, None] * np.stack([np.sin(heading), np.cos(heading)], axis=1)
    position = camera.position + np.cumsum(steps, axis=0)
    return replace(camera, position=position - position.min(axis=0) + SPLINE_BORDER)
