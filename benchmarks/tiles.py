"""Memory and time of large frames, whole and in tiles, and whether the same is found.

python -m benchmarks.tiles --json tiles.json
python -m benchmarks.tiles --networks resunet_dtum dsfnet --sizes 1024

Each way runs in a process of its own; `cpu_ms` is what all its threads work for a frame, `peak_mib` what it took beyond
what it had before its first large frame, and `bytes_per_pixel` the same by the frame's pixels. `found` are the targets
of the last frame, `as_whole` those among them that are found in the whole frame too, `difference` is the largest one
between the maps of both, by the range of the whole one. Networks that were trained on frames fitted into a square are
measured at the frame's own scale too. What untrained ones (`--networks`) find means nothing.
"""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.measure import check_json, make_parser, report
from benchmarks.process_memory import peak_mib
from utils.commands.inputs import BUNDLED_WEIGHTS
from utils.predictor.prediction import Component, match_components
from utils.predictor.predictor import Predictor
from utils.predictor.tiles.tiling import BYTES_PER_PIXEL, SIDE, Tiling
from utils.system.command_line import number
from utils.system.errors import UserError, user_errors
from utils.system.packages.late import cv2

TARGETS_PER_MEGAPIXEL = 60


class Way(NamedTuple):
    """What one process measures: a weights file or an untrained network, and how it sees so many frames of `side`²."""

    weights: str | None
    network: str | None
    side: int
    tiling: Tiling
    fit: str | None
    frames: int
    threads: int


class Measured(NamedTuple):
    """Milliseconds a frame, MiB beyond those before, what the last frame holds, and, of segmentation, its map."""

    cpu_ms: float
    peak_mib: float
    found: tuple[Component, ...]
    map: np.ndarray | None


def main(argv: list[str] | None = None) -> None:
    """Measure every network at every size, whole and in tiles, and print a row for each."""
    options = make_parser("tiles", __doc__.splitlines()[0])
    bundled = [str(BUNDLED_WEIGHTS / name / "best.pt") for name in ("tsmsa", "sstnet")]
    options.add_argument("--weights", nargs="+", default=bundled, metavar="FILE", help="default: those of weights/")
    options.add_argument("--networks", nargs="+", choices=sorted(BYTES_PER_PIXEL), help="instead: untrained ones")
    options.add_argument("--sizes", nargs="+", type=number("side"), default=[512, 1024, 1536, 2048])
    options.add_argument("--tile", type=number("tile"), default=SIDE, help="default: %(default)s")
    options.add_argument("--tile-overlap", type=number("tile_overlap"), help="default: a quarter of the tile")
    options.add_argument("--frames", type=number("max_frames"), default=5, help="default: %(default)s")
    with user_errors():
        chosen = options.parse_args(argv)
        check_json(chosen.json)
        if chosen.quick:
            chosen.sizes, chosen.tile, chosen.tile_overlap, chosen.frames = [128], 64, 16, 2
        try:
            tiling = Tiling(chosen.tile, chosen.tile_overlap)
        except ValueError as error:
            raise UserError(f"--tile, --tile-overlap: {error}") from None
        rows = []
        untrained = [(None, name) for name in chosen.networks or ()]
        for weights, network in untrained or [(path, None) for path in chosen.weights]:
            for side in chosen.sizes:
                way = Way(weights, network, side, Tiling(0), None, chosen.frames, chosen.threads)
                rows += rows_of(way, tiling)
        report(rows, chosen.json)


def rows_of(way: Way, tiling: Tiling) -> list[dict[str, Any]]:
    """Rows of frames of one size, `way` being that over whole frames."""
    ways = {"whole": way, "tiles": way._replace(tiling=tiling)}
    if way.weights and predictor_of(way).settings.fit != "crop":
        ways = {"whole, fitted": way, "whole": way._replace(fit="crop"), "tiles": ways["tiles"]}
    rows, whole = [], None
    for variant, one in ways.items():
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found = pool.apply(measure, (one,))
        whole = found if variant == "whole" else whole
        rows.append(
            {
                "work": f"{way.network or Path(way.weights).resolve().parent.name}, {way.side}×{way.side}",
                "variant": variant,
                "cpu_ms": round(found.cpu_ms),
                "peak_mib": round(found.peak_mib, 1),
                "bytes_per_pixel": round(found.peak_mib * 2**20 / way.side**2),
                "found": len(found.found),
                "as_whole": whole and int((match_components(whole.found, found.found) >= 0).sum()),
                "difference": whole and difference(whole.map, found.map),
            }
        )
    return rows


def difference(whole: np.ndarray | None, other: np.ndarray | None) -> float | None:
    """The largest one between two maps, by the range of the first."""
    return None if whole is None else float(np.abs(other - whole).max() / np.ptp(whole))


def measure(way: Way) -> Measured:
    """What one way takes, in a process that did nothing else before."""
    import torch  # too slow for a command line that may be mistyped

    if way.threads:
        torch.set_num_threads(way.threads)
    predictor, frames = predictor_of(way), scene_frames(way.side, way.frames)
    list(predictor.stream(frame[:64, :64] for frame in frames))  # libraries set themselves up
    before, began = peak_mib(os.getpid()), time.process_time()
    for prediction in predictor.stream(frames):
        last = prediction
    seconds = time.process_time() - began
    found = None if last.boxes is not None else last.probability
    return Measured(1e3 * seconds / len(frames), peak_mib(os.getpid()) - before, last.components, found)


def predictor_of(way: Way) -> Predictor:
    """The predictor of one way, on the CPU."""
    if way.weights:
        predictor = Predictor.from_checkpoint(way.weights, "cpu", tiling=way.tiling)
        return predictor.with_settings(fit=way.fit) if way.fit else predictor
    from benchmarks.networks import untrained_predictor  # torch, see above

    options = {"temporal": False} if way.network == "sstnet" else {}
    return dataclasses.replace(untrained_predictor(way.network, **options), tiling=way.tiling)


def scene_frames(side: int, count: int) -> list[np.ndarray]:
    """Frames of `side`² pixels uint8: a textured scene that stands still, over which small targets move."""
    rng = np.random.default_rng(0)
    scene = cv2.GaussianBlur(rng.standard_normal((side, side)).astype(np.float32), (0, 0), 8)
    scene = 100 + 12 * scene / scene.std()
    starts = rng.uniform(8, side - 8, (max(4, TARGETS_PER_MEGAPIXEL * side**2 // 2**20), 2))
    steps = rng.uniform(-2, 2, starts.shape)
    frames = []
    for index in range(count):
        frame = scene + 3 * rng.standard_normal(scene.shape, np.float32)
        for y, x in np.clip(np.rint(starts + index * steps), 2, side - 3).astype(int):
            frame[y - 1 : y + 2, x - 1 : x + 2] += 60
        frames.append(np.clip(np.rint(frame), 0, 255).astype(np.uint8))
    return frames


if __name__ == "__main__":
    main()
