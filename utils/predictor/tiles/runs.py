"""A network that sees large frames tile by tile, as another run of a `Predictor`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from utils.clips.settings import ClipSettings
from utils.predictor.network_run import EveryFrameRun, NetworkRun, StreamingRun
from utils.predictor.tiles.grid import Grid, Tile
from utils.system.threads import Lanes

KEPT_BYTES = 1 << 29  # that the contributions of a clip's frames may take; beyond, they are computed for each clip anew


class TiledRun(NetworkRun):
    """A network over whole clips, one tile of them after the other.

    What it takes meanwhile is bounded by a tile, however large the frames are.

    Args:
        run: the network.
        grid: of the frames.
        settings: how the network sees clips.
    """

    def __init__(self, run: NetworkRun, grid: Grid, settings: ClipSettings) -> None:
        self.run, self.grid, self.settings = run, grid, settings
        self.channels = run.channels

    def __call__(self, clips: np.ndarray) -> Any:
        return self._join(self.run(tile.of(clips)) for tile in self.grid.tiles)

    def lanes(self) -> AbstractContextManager[Lanes]:
        return self.run.lanes()

    def _join(self, found: Iterable[Any]) -> Any:
        """The results of all tiles as those of whole frames."""
        if self.settings.task == "segmentation":
            return self.grid.join_maps(found)
        return [self.grid.join_boxes(boxes) for boxes in zip(*found, strict=True)]


class TiledStreamingRun(TiledRun, StreamingRun):
    """A network that streams.

    What frames contribute is kept for every tile where that takes up to `KEPT_BYTES`. Else the frames themselves are,
    and for each tile what they contribute is computed once for all clips that are decided on together: of clips of
    five frames one by one five times for each frame, of eight together one and a half times.
    """

    def __init__(self, run: StreamingRun, grid: Grid, settings: ClipSettings) -> None:
        super().__init__(run, grid, settings)
        planes = (1, *([3] if settings.task == "detection" and run.channels == 3 else []), *grid.tile_shape)
        (one,) = run.observe(np.zeros(planes, np.float32))
        self.keeps = run.size_of(one) * len(grid.tiles) * settings.num_frames <= KEPT_BYTES

    def observe(self, frames: np.ndarray) -> list[Any]:
        if not self.keeps:
            return list(frames)
        return list(zip(*(self.run.observe(tile.of(frames)) for tile in self.grid.tiles), strict=True))

    def decide(self, keys: np.ndarray, windows: Sequence[Sequence[Any]]) -> Any:
        if not self.keeps:
            return self._join(self._decide_anew(tile, keys, windows) for tile in self.grid.tiles)
        return self._join(
            self.run.decide(tile.of(keys), [[seen[index] for seen in window] for window in windows])
            for index, tile in enumerate(self.grid.tiles)
        )

    def _decide_anew(self, tile: Tile, keys: np.ndarray, windows: Sequence[Sequence[np.ndarray]]) -> Any:
        frames = {id(frame): frame for window in windows for frame in window}
        observed = self.run.observe(np.stack([tile.of(frame) for frame in frames.values()]))
        seen = dict(zip(frames, observed, strict=True))
        return self.run.decide(tile.of(keys), [[seen[id(frame)] for frame in window] for window in windows])

    def size_of(self, contribution: Any) -> int:
        """Of a frame that is kept as it is, or of all tiles."""
        if not self.keeps:
            return contribution.nbytes
        return sum(map(self.run.size_of, contribution))


class TiledEveryFrameRun(TiledRun, EveryFrameRun):
    """A network that gives a map for every frame of a clip.

    It looks at whole windows always, as what streams keep of a frame's every pixel is many times what a window needs.
    """

    def frames(self, clips: np.ndarray, newest: int) -> np.ndarray:
        return self.grid.join_maps(self.run.frames(tile.of(clips), newest) for tile in self.grid.tiles)


def run_on_tiles(run: NetworkRun, grid: Grid, settings: ClipSettings) -> TiledRun:
    """`run` over the tiles of `grid`, streaming or marking every frame as it does."""
    kinds = {StreamingRun: TiledStreamingRun, EveryFrameRun: TiledEveryFrameRun}
    kind = next((tiled for plain, tiled in kinds.items() if isinstance(run, plain)), TiledRun)
    return kind(run, grid, settings)
