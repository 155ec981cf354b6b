"""A town's plan drawn from above: levels, light and texture, from rectangles, trees and their shadows.

It has `SCALE` pixels a pixel of the picture, so that edges come out smooth. Positions are (v, u) in pixels of the
picture.
"""

from __future__ import annotations

import numpy as np

SCALE = 2
SHADE = 0.42  # light that is left in a shadow
SHADOW_STEP = 1.0  # pixels between the rectangles that a shadow is made of


class PlanDrawing:
    """What is drawn so far.

    `level` (SCALE·Hp, SCALE·Wp) float32: grey levels in the sun; `light`: share of the sun's light; `texture`: levels
    rms of the texture that is laid over it. `shadow` (v, u): where the shadow of a thing 1 pixel high ends.
    """

    def __init__(self, size: tuple[int, int], shadow: np.ndarray) -> None:
        """An empty plan of `size` (Hp, Wp)."""
        shape = SCALE * size[0], SCALE * size[1]
        self.level = np.full(shape, 110.0, np.float32)
        self.light = np.ones(shape, np.float32)
        self.texture = np.full(shape, 6.0, np.float32)
        self.shadow = shadow

    def window(self, top: float, bottom: float, left: float, right: float) -> tuple[slice, slice]:
        """The pixels of a rectangle, cut at the plan's edges."""
        v1, v2, u1, u2 = (
            min(max(round(SCALE * edge), 0), side)
            for edge, side in zip((top, bottom, left, right), np.repeat(self.level.shape, 2), strict=True)
        )
        return slice(v1, v2), slice(u1, u2)

    def fill(self, top: float, bottom: float, left: float, right: float, level: float, texture: float) -> None:
        """A flat rectangle."""
        window = self.window(top, bottom, left, right)
        self.level[window] = level
        self.texture[window] = texture

    def build(
        self, top: float, bottom: float, left: float, right: float, level: float, texture: float, height: float
    ) -> None:
        """A box of `height` pixels: its shadow and its roof, which lies in the sun."""
        reach = height * self.shadow
        for part in np.arange(SHADOW_STEP, max(np.abs(reach).max(), 0.5) + SHADOW_STEP, SHADOW_STEP):
            v, u = reach * min(part / max(np.abs(reach).max(), 0.5), 1.0)
            window = self.window(top + v, bottom + v, left + u, right + u)
            self.light[window] = np.minimum(self.light[window], SHADE)
        self.fill(top, bottom, left, right, level, texture)
        self.light[self.window(top, bottom, left, right)] = 1.0

    def disk(self, middle: tuple[float, float], radius: float) -> tuple[tuple[slice, slice], np.ndarray]:
        """The window of a disk and which of its pixels lie in it."""
        v, u = middle
        window = self.window(v - radius, v + radius + 0.5, u - radius, u + radius + 0.5)
        y, x = np.ogrid[window]
        dy, dx = (y + 0.5) / SCALE - v, (x + 0.5) / SCALE - u
        return window, dy**2 + dx**2 <= radius**2

    def plant(self, middle: tuple[float, float], radius: float, level: float) -> None:
        """A tree and its shadow; its crown is brighter towards the sun."""
        reach = 1.2 * radius * self.shadow
        window, inside = self.disk((middle[0] + reach[0], middle[1] + reach[1]), radius)
        part = self.light[window]
        part[inside] = np.minimum(part[inside], SHADE)
        window, inside = self.disk(middle, radius)
        self.level[window][inside] = level
        self.light[window][inside] = 0.9
        self.texture[window][inside] = 12.0
        sunny = -0.35 * radius * self.shadow / max(np.hypot(*self.shadow), 1e-9)
        window, inside = self.disk((middle[0] + sunny[0], middle[1] + sunny[1]), 0.55 * radius)
        self.level[window][inside] = 1.3 * level
