"""Figures of footage that say whether made scenes look like real ones: texture, spots, repeated frames, jumps.

    python -m benchmarks.scenery datasets/synthetic datasets/DAUB/images/train my_videos

A row for each sequence (of a dataset, a folder, a video), then what 10, 50 and 90 % of them have at most. `mean` and
`std` are grey levels of a frame; `rms` is that of the band of targets (a difference of Gaussians of 0.8 and 4 px) over
41×41 px, `gradient` the mean length of the grey levels' gradient, `slope` that of the rows' power spectrum over
wavenumber between wavelengths of 64 and 4 px, `peaks` are largest values within 5×5 px above 4.5 `rms` where they lie,
a frame of 256×256 (`dark`: the same below). Of consecutive frames `change` is the root of the mean squared difference,
`repeated` the share of frames that hardly differ from the one before, `shift` and `jump` the median and the largest
shift of the scene, pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, pairwise
from pathlib import Path

import numpy as np

from benchmarks.measure import check_json, report
from utils.clips.registration import scene_shift
from utils.system.command_line import Parser, number
from utils.system.errors import user_errors
from utils.system.packages.late import ndimage
from utils.video.sources import open_sources

FINE, COARSE, AROUND, NEIGHBOURS, PEAK = 0.8, 4.0, 41, 5, 4.5
FRAME_PIXELS = 256 * 256
WAVELENGTHS = 4.0, 64.0  # pixels, between which the slope of the spectrum is fitted
LOOKED_AT = 5  # frames of a sequence, about, for the figures of single ones
REPEATED = 0.35  # of a sequence's median change, below which a frame is the one before


def band_of_targets(frame: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of levels (H, W): their difference of Gaussians, and its local rms."""
    band = ndimage.gaussian_filter(frame, FINE) - ndimage.gaussian_filter(frame, COARSE)
    return band, np.sqrt(np.maximum(ndimage.uniform_filter(band**2, AROUND), 0)) + 1e-6


def count_peaks(ratio: np.ndarray) -> float:
    """Largest values within `NEIGHBOURS` above `PEAK`, a frame of `FRAME_PIXELS`."""
    peaks = (ratio == ndimage.maximum_filter(ratio, NEIGHBOURS)) & (ratio > PEAK)
    return float(peaks.sum()) * FRAME_PIXELS / ratio.size


def spectral_slope(frame: np.ndarray) -> float:
    """Exponent of the rows' mean power spectrum over wavenumber, fitted in logarithms between `WAVELENGTHS`."""
    rows = (frame - frame.mean(axis=1, keepdims=True)) * np.hanning(frame.shape[1])
    power = (np.abs(np.fft.rfft(rows, axis=1)) ** 2).mean(axis=0)
    wavenumber = np.fft.rfftfreq(frame.shape[1])
    part = (wavenumber >= 1 / WAVELENGTHS[1]) & (wavenumber <= 1 / WAVELENGTHS[0]) & (power > 0)
    return float(np.polyfit(np.log(wavenumber[part]), np.log(power[part]), 1)[0]) if part.sum() > 2 else np.nan


def describe_frame(frame: np.ndarray) -> dict[str, float]:
    """The figures of one frame (H, W) of levels."""
    band, rms = band_of_targets(frame)
    return {
        "mean": float(frame.mean()),
        "std": float(frame.std()),
        "rms": float(np.median(rms)),
        "gradient": float(np.hypot(*np.gradient(frame)).mean()),
        "slope": spectral_slope(frame),
        "peaks": count_peaks(band / rms),
        "dark": count_peaks(-band / rms),
    }


def describe_sequence(frames: Sequence[np.ndarray], stride: int) -> dict[str, float]:
    """The figures of a sequence of frames (H, W) of levels, every `stride`-th of which is looked at by itself."""
    single = [describe_frame(frame) for frame in frames[::stride]]
    found = {name: float(np.mean([one[name] for one in single])) for name in single[0]}
    if len(frames) > 1:
        change = np.array([np.sqrt(np.mean((after - before) ** 2)) for before, after in pairwise(frames)])
        shifts = [float(np.hypot(*scene_shift(*(np.float32(frame) for frame in pair)))) for pair in pairwise(frames)]
        found["change"] = float(np.median(change))
        found["repeated"] = float((change <= REPEATED * np.median(change)).mean())
        found["shift"], found["jump"] = float(np.median(shifts)), float(max(shifts))
    return found


def describe_sources(paths: Sequence[str], frames: int) -> list[dict[str, float]]:
    """The figures of every sequence of the sources, of its first `frames` frames."""
    found = []
    for path in paths:
        for source in open_sources(path):
            taken = [frame.image.astype(float) for frame in islice(source, frames)]
            found.append({"sequence": source.name, **describe_sequence(taken, max(len(taken) // LOOKED_AT, 1))})
    return found


def main(argv: list[str] | None = None) -> None:
    """Print a row for each sequence, and what 10 %, half and 90 % of them have at most."""
    parser = Parser(prog="python -m benchmarks.scenery", description=__doc__.splitlines()[0])
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="datasets, folders of images, or videos")
    parser.add_argument("--frames", type=number("benchmark.frames"), default=40, help="of a sequence (default: 40)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows as a JSON list")
    with user_errors():
        arguments = parser.parse_args(argv)
        check_json(arguments.json)
        rows = describe_sources(arguments.sources, arguments.frames)
        names = [name for name in max(rows, key=len) if name != "sequence"]
        values = np.array([[row.get(name, np.nan) for name in names] for row in rows])
        for percent in (10, 50, 90):
            shares = np.nanpercentile(values, percent, axis=0).tolist()
            rows.append({"sequence": f"{percent} % at most", **dict(zip(names, shares, strict=True))})
        report([{"sequence": row["sequence"], **{n: row.get(n) for n in names}} for row in rows], arguments.json)


if __name__ == "__main__":
    main()
