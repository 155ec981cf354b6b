"""Whether frames are cut into tiles: as asked for, or where the network would take too much memory for a whole one."""

from __future__ import annotations

import math
from dataclasses import dataclass

from utils.clips.settings import ClipSettings
from utils.predictor.network_run import NetworkRun
from utils.predictor.tiles.grid import Grid
from utils.predictor.tiles.runs import run_on_tiles
from utils.system.command_line import BOUNDS, shown
from utils.system.notices import warn

LEAST_SIDE = 64  # px
SIDE = 512  # px, of automatic tiles
WHOLE_BYTES = 4 << 30  # that a network may take for a whole frame
# Bytes that networks take for a pixel of their input, on a CPU in float32 (`python -m benchmarks.tiles`).
BYTES_PER_PIXEL = {
    "acm": 240,
    "alcnet": 240,
    "deeppro": 30_000,
    "deeppro_plus": 30_000,
    "dnanet": 2400,
    "dsfnet": 2600,
    "istdunet": 3400,
    "micml": 2600,
    "rdian": 1100,
    "resunet_dtum": 6200,
    "sstnet": 360,
    "tsmsa": 710,
    "uiunet": 3200,
    "unet": 2900,
}


@dataclass(frozen=True)
class Tiling:
    """How frames are cut into tiles.

    A tile is to the network what a frame is: one that was trained on frames fitted into a square sees each tile fitted
    into it, one that was trained on crops sees it in its own pixels. Frames no larger than a tile stay whole.

    Args:
        side: of the square tiles, in pixels of the frame, at least 64; 0: frames stay whole. None: those stay whole for
            which the network takes up to `WHOLE_BYTES`, and those that are fitted into a square.
        overlap: of neighbouring tiles, in pixels of the frame, up to half the side; None: a quarter of it.

    Raises:
        ValueError: a number beyond its bounds.
    """

    side: int | None = None
    overlap: int | None = None

    def __post_init__(self) -> None:
        side = SIDE if self.side is None else self.side
        if not BOUNDS["tile"].hold(side) or 0 < side < LEAST_SIDE:
            raise ValueError(f"got tiles of {shown(side)} px, expected 0, or {LEAST_SIDE} to {BOUNDS['tile'].most}")
        overlap = self.overlap or 0
        if not BOUNDS["tile_overlap"].hold(overlap) or 0 < side < 2 * overlap:
            raise ValueError(f"got an overlap of {shown(self.overlap)} px, expected 0 to {side // 2}, half a tile")

    def side_for(self, shape: tuple[int, int], settings: ClipSettings) -> int:
        """Side of the tiles that frames of `shape` (h, w) are cut into, in their pixels; 0: they stay whole."""
        side = automatic_side(shape, settings) if self.side is None else self.side
        return side if side < max(shape) else 0

    def overlap_for(self, side: int) -> int:
        """Overlap of tiles of a side, in the same pixels."""
        return side // 4 if self.overlap is None else min(self.overlap, side // 2)


AUTOMATIC = Tiling()  # where nothing else is asked for


def automatic_side(shape: tuple[int, int], settings: ClipSettings) -> int:
    """Side of the tiles of frames of `shape` (h, w), in pixels; 0: the network can take whole ones.

    Of networks that are not in `BYTES_PER_PIXEL` nobody knows what they take; so they see frames whole.
    """
    pixels = WHOLE_BYTES // BYTES_PER_PIXEL.get(settings.name, 1)
    if settings.fit != "crop" or shape[0] * shape[1] <= pixels:
        return 0
    return min(SIDE, math.isqrt(pixels) // LEAST_SIDE * LEAST_SIDE)


class Tiler:
    """Runs a network on frames of any size, whole or in tiles.

    Args:
        run: the network.
        settings: how it sees clips.
        multiple: of which the sides of its input are multiples.
        tiling: as asked for.
    """

    def __init__(self, run: NetworkRun, settings: ClipSettings, multiple: int, tiling: Tiling) -> None:
        self.run, self.settings, self.multiple, self.tiling = run, settings, multiple, tiling
        self._tiled: dict[tuple[int, int], NetworkRun] = {}

    def side(self, shape: tuple[int, int]) -> int:
        """As of `Tiling.side_for`."""
        return self.tiling.side_for(shape, self.settings)

    def run_for(self, shape: tuple[int, int], planes: tuple[int, int]) -> NetworkRun:
        """The network for frames of `shape` (h, w), as planes (H, W) of its input."""
        side = self.side(shape)
        if not side:
            return self.run
        if shape not in self._tiled:
            fitted = side if self.settings.fit == "crop" else self.settings.input_size
            overlap = math.ceil(self.tiling.overlap_for(side) * fitted / side)
            grid = Grid(planes, fitted, overlap, self.multiple)
            if self.tiling.side is None:
                warn(
                    f"frames of {shape[1]}x{shape[0]} (w x h) in {len(grid.tiles)} tiles of {side}x{side}, as "
                    f"{self.settings.name} would take more than {WHOLE_BYTES >> 30} GiB for a whole one; --tile 0 does "
                    "not cut them"
                )
            self._tiled[shape] = run_on_tiles(self.run, grid, self.settings)
        return self._tiled[shape]
