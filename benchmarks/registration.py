"""How exactly and how fast the motion of a scene between two frames is found: known shifts, by kind of footage.

    python -m benchmarks.registration --json registration.json

Frames are cut out of larger pictures, which whole pixels move by copying and parts of pixels in the Fourier domain, so
that the truth is exact: shifts of 0.05 to 30 px a frame (to 58 in larger frames) in eight directions. `median` and
`worst` are the errors in pixels of what was found; `refused` is the share of moving scenes of which nothing was found
(a shift of 0), which counts as no error; `ms` are milliseconds of one core for a frame of a stream, which keeps what it
has made of the frame before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.measure import check_json, make_parser, report
from utils.clips.registration import MIN_SHIFT_PX, Scenery, scene_shift
from utils.synthetic.infrared.scenery.scenes import procedural_scene
from utils.system.command_line import number
from utils.system.errors import user_errors
from utils.system.packages.late import cv2

SHIFTS_PX = (0.05, 0.15, 0.4, 1.3, 2.7, 6.5, 13.0, 21.5, 30.0)  # a frame of 256 px may move by an eighth of that
WIDE_SHIFTS_PX = (4.0, 17.5, 40.0, 58.0)  # of larger frames
MARGIN_PX = 36  # of a picture around a frame
Pair = tuple[np.ndarray, np.ndarray, np.ndarray]  # two frames (H, W) float32 and the shift y, x between them


@dataclass(frozen=True)
class Footage:
    """What frames are cut out of, and what is laid over them, in grey levels.

    `picture`: how a picture `(H, W)` of about 20 levels' standard deviation is made; `noise`: of a frame; `pattern`: of
    the sensor's fixed pattern; `targets`: bright ones, moving by themselves; `parallax`: how many times as far the
    lowest third of the frame moves; `contrast`: of the picture; `shifts`: lengths in pixels.
    """

    picture: Callable[[np.random.Generator, tuple[int, int]], np.ndarray]
    noise: float = 1.0
    pattern: float = 0.0
    targets: int = 0
    parallax: float = 1.0
    contrast: float = 1.0
    shifts: tuple[float, ...] = SHIFTS_PX
    shape: tuple[int, int] = (256, 256)


def power_law(slope: float) -> Callable[[np.random.Generator, tuple[int, int]], np.ndarray]:
    """Makes pictures whose amplitude falls with the wavenumber's power of `slope`; nothing is finer than 2.5 px."""

    def make(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
        wavenumber = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1]))
        gain = np.where((wavenumber > 0) & (wavenumber < 0.4), np.maximum(wavenumber, 1e-9) ** -slope, 0)
        picture = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape)) * gain, shape)
        return 100 + 20 * picture / picture.std()

    return make


def few_clouds(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """An empty sky with three small clouds."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    picture = np.full(shape, 100.0)
    for _ in range(3):
        row, column = rng.uniform(0.2, 0.8, 2) * shape
        picture += 30 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 2 / rng.uniform(5, 15) ** 2)
    return picture


def made_scenery(kind: str) -> Callable[[np.random.Generator, tuple[int, int]], np.ndarray]:
    """Makes pictures of one kind of the generator's scenery, as a lens of 0.7 px shows them."""
    return lambda rng, shape: cv2.GaussianBlur(procedural_scene(rng, kind, shape).fixed, (0, 0), 0.7)


FOOTAGE = {
    "clouds": Footage(power_law(1.6)),
    "rough clouds": Footage(power_law(1.2)),
    "made cloud": Footage(made_scenery("cloud")),
    "made ground": Footage(made_scenery("ground")),
    "made sea": Footage(made_scenery("sea")),
    "made building": Footage(made_scenery("building")),
    "much noise": Footage(power_law(1.6), noise=10),
    "bright targets": Footage(power_law(1.6), targets=8),
    "parallax": Footage(power_law(1.6), parallax=1.3),
    "fixed pattern": Footage(power_law(1.6), pattern=4),
    "still, fixed pattern": Footage(power_law(1.6), pattern=4, noise=2, shifts=(0.0,) * 3),
    "still, bright targets": Footage(power_law(1.6), targets=8, noise=2, shifts=(0.0,) * 3),
    "repeated frames": Footage(power_law(1.6), noise=0, shifts=(0.0,) * 3),
    "faint sky": Footage(power_law(2.2), noise=2, contrast=0.15),
    "noise alone": Footage(power_law(1.6), noise=5, contrast=0),
    "fine ground": Footage(power_law(0.2), noise=3),
    "few clouds": Footage(few_clouds, noise=2),
    "480×720": Footage(power_law(1.6), shape=(480, 720), shifts=WIDE_SHIFTS_PX),
    "480×720, fine ground": Footage(power_law(0.2), noise=3, shape=(480, 720), shifts=WIDE_SHIFTS_PX),
    "480×720, faint sky": Footage(power_law(2.2), 2, contrast=0.15, shape=(480, 720), shifts=WIDE_SHIFTS_PX),
    "512×640": Footage(power_law(1.6), shape=(512, 640), shifts=WIDE_SHIFTS_PX),
    "1024×1280": Footage(power_law(1.6), shape=(1024, 1280), shifts=WIDE_SHIFTS_PX),
}


def pairs_of(footage: Footage, seed: int) -> Iterator[Pair]:
    """A pair of frames for each of its shifts, each in a direction of its own."""
    rng = np.random.default_rng(seed)
    margin = max(MARGIN_PX, int(max(footage.shifts) * footage.parallax) + 6)
    picture = footage.picture(rng, tuple(side + 2 * margin for side in footage.shape))
    picture = 100 + footage.contrast * (picture - 100)
    pattern = footage.pattern * rng.standard_normal(footage.shape)
    for index, length in enumerate(footage.shifts):
        angle = np.pi / 4 * (index + seed + rng.uniform(-0.4, 0.4))
        shift = length * np.array([np.sin(angle), np.cos(angle)])
        places = rng.uniform(20, min(footage.shape) - 20, (footage.targets, 2))
        frames = [
            _see(footage, rng, picture, pattern, margin, share * shift, places + share * 3 * rng.standard_normal(2))
            for share in (0, 1)
        ]
        if footage.noise == 0 and length == 0:
            frames[1] = frames[0].copy()
        yield *frames, np.zeros(2) if footage.contrast == 0 else shift


def _see(
    footage: Footage,
    rng: np.random.Generator,
    picture: np.ndarray,
    pattern: np.ndarray,
    margin: int,
    shift: np.ndarray,
    targets: np.ndarray,
) -> np.ndarray:
    height, width = footage.shape
    view = _cut(picture, shift, margin, footage.shape)
    if footage.parallax != 1:
        low = height * 2 // 3
        view[low:] = _cut(picture, shift * footage.parallax, margin, footage.shape)[low:]
    y, x = np.mgrid[:height, :width]
    for row, column in targets:
        view += 100 * np.exp(-((y - row) ** 2 + (x - column) ** 2) / 4.5)
    return (view + pattern + footage.noise * rng.standard_normal(footage.shape)).astype(np.float32)


def _cut(picture: np.ndarray, shift: np.ndarray, margin: int, shape: tuple[int, int]) -> np.ndarray:
    """The middle of a picture moved by a shift: parts of pixels in the Fourier domain of the picture and its mirror."""
    whole = np.rint(shift).astype(int)
    moved = picture
    if (shift != whole).any():
        mirrored = np.pad(picture, [(0, side) for side in picture.shape], mode="symmetric")
        y, x = (
            np.exp(-2j * np.pi * np.fft.fftfreq(side) * part)
            for side, part in zip(mirrored.shape, shift - whole, strict=True)
        )
        moved = np.fft.irfft2(np.fft.rfft2(mirrored) * y[:, None] * x[: len(x) // 2 + 1], mirrored.shape)
    y, x = margin - whole
    return moved[y : y + shape[0], x : x + shape[1]].copy()


def measure_footage(name: str, seeds: int) -> dict[str, Any]:
    """The row of one kind of footage, over as many pictures as `seeds`."""
    errors, refused, spent = [], [], []
    for seed in range(seeds):
        for before, after, truth in pairs_of(FOOTAGE[name], seed):
            kept = Scenery.of(before)
            began = time.process_time()
            found = scene_shift(kept, after)
            spent.append(time.process_time() - began)
            gone = not found.any() and np.abs(truth).max() >= MIN_SHIFT_PX
            refused.append(gone)
            if not gone:
                errors.append(float(np.abs(found - truth).max()))
    return {
        "footage": name,
        "pairs": len(refused),
        "median": round(float(np.median(errors)), 4) if errors else None,
        "worst": round(max(errors), 3) if errors else None,
        "refused": round(float(np.mean(refused)), 3),
        "ms": round(1e3 * float(np.median(spent)), 2),
    }


def main(argv: list[str] | None = None) -> None:
    """Print a row for each kind of footage."""
    options = make_parser("registration", __doc__.splitlines()[0])
    options.add_argument("--pictures", type=number("count"), default=8, help="of each kind (default: 8)")
    with user_errors():
        chosen = options.parse_args(argv)
        check_json(chosen.json)
        if chosen.threads:
            cv2.setNumThreads(chosen.threads)
        seeds = 1 if chosen.quick else chosen.pictures
        report([measure_footage(name, seeds) for name in FOOTAGE], chosen.json)


if __name__ == "__main__":
    main()
