"""From the plan of a town, whose roads are straight and whose houses are upright, to the picture, turned and bent.

Plan and picture are both in pixels of the picture, positions (y, x), the picture's pixel centres at whole numbers.
Bending changes lengths a little, so that what has a size of its own, as a car, is drawn in the picture.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from utils.synthetic.textures import smooth_noise
from utils.system.packages.late import ndimage

MARGIN = 48  # pixels around the picture in which roads go on, so that cars come from somewhere
BEND_SCALE = 110.0  # pixels over which a bend changes
INVERSE_STEPS = 12  # each makes the error about a quarter of what it was


@dataclass(frozen=True, eq=False)
class Projection:
    """How a plan lies in a picture.

    `shape` (H, W) of the picture; `size` (Hp, Wp) of the plan, which holds all of the picture and `MARGIN` pixels
    around it; `turn` (2, 2): rotation; `bend` (2, H + 2·MARGIN, W + 2·MARGIN): what is added to picture positions
    before they are turned.
    """

    shape: tuple[int, int]
    size: tuple[int, int]
    turn: np.ndarray
    bend: np.ndarray

    @classmethod
    def draw(cls, rng: np.random.Generator, shape: tuple[int, int], bend: float) -> Projection:
        """One at random; `bend` is the rms of the displacement along each axis, in pixels."""
        angle = rng.uniform(0, 2 * np.pi)
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        outer = tuple(side + 2 * MARGIN for side in shape)
        bends = np.stack([bend * smooth_noise(rng, outer, (BEND_SCALE, BEND_SCALE)) for _ in range(2)])
        half = (np.abs(turn) * (np.array(outer) / 2 + np.abs(bends).max(axis=(1, 2)))).sum(axis=1)
        return cls(shape, (int(2 * half[0]) + 1, int(2 * half[1]) + 1), turn, bends)

    def _bend_at(self, points: np.ndarray) -> np.ndarray:
        at = (points + MARGIN).T
        return np.stack([ndimage.map_coordinates(part, at, order=1, mode="nearest") for part in self.bend], axis=1)

    def _turned(self, points: np.ndarray, turn: np.ndarray) -> np.ndarray:
        return np.stack([points[:, 0] * turn[i, 0] + points[:, 1] * turn[i, 1] for i in (0, 1)], axis=1)

    def to_plan(self, points: np.ndarray) -> np.ndarray:
        """Picture positions (N, 2) → plan positions (N, 2)."""
        moved = points + self._bend_at(points) - np.array(self.shape) / 2
        return self._turned(moved, self.turn) + np.array(self.size) / 2

    def to_picture(self, points: np.ndarray) -> np.ndarray:
        """Plan positions (N, 2) → picture positions (N, 2), exact to a hundredth of a pixel within the margin."""
        straight = self._turned(points - np.array(self.size) / 2, self.turn.T) + np.array(self.shape) / 2
        found = straight
        for _ in range(INVERSE_STEPS):
            found = straight - self._bend_at(found)
        return found

    def sample(self, drawn: np.ndarray, scale: int) -> np.ndarray:
        """What the picture (H, W) shows of a plan that was drawn with `scale` pixels a pixel, (scale·Hp, scale·Wp).

        The first pixel that was drawn reaches from 0 to 1 / `scale` in the plan.
        """
        y, x = np.mgrid[: self.shape[0], : self.shape[1]].astype(float)
        inner = self.bend[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
        moved = np.stack([(y + inner[0]).ravel(), (x + inner[1]).ravel()], axis=1) - np.array(self.shape) / 2
        plan = self._turned(moved, self.turn) + np.array(self.size) / 2
        at = plan.T * scale - 0.5
        return ndimage.map_coordinates(drawn, at, order=1, mode="nearest").reshape(self.shape)
