"""Size of the report page, and how long a browser takes to open it, with made-up methods and frames.

    python -m benchmarks.report --methods 10 --frames 2000 --browser /usr/bin/chromium

Frames are noise over a gradient, which compresses worse than most scenes; every method finds two components in each.
"""

from __future__ import annotations

import os
import tempfile
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np

from utils.images.components import label
from utils.metrics.bootstrap import Resampling
from utils.metrics.breakdown import Band
from utils.render.page_parts import FALSE_ALARM, TRUE_TARGET, encode_components, encode_webp
from utils.report.frames import FoundInFrame, PagePicture, ShownFrame
from utils.report.page import page
from utils.report.results import Curve, FigureSet, Measurement, MethodResult, TilePicture
from utils.system.command_line import Parser, number
from utils.system.errors import UserError, user_errors

SEQUENCES = 20
IMAGE_DECODED = "document.querySelector('.stage img').decode().then(() => true)"


def parse(argv: list[str] | None = None) -> Namespace:
    """The command line."""
    parser = Parser(prog="python -m benchmarks.report", description=__doc__.splitlines()[0])
    parser.add_argument("--methods", type=number("count"), default=10, metavar="N", help="default: %(default)s")
    parser.add_argument(
        "--frames", type=number("benchmark.frames"), default=2000, metavar="N", help="default: %(default)s"
    )
    parser.add_argument("--size", type=number("benchmark.side"), default=256, metavar="N", help="side of a frame")
    parser.add_argument("--browser", metavar="FILE", help="Chromium to open it with, through playwright")
    parser.add_argument("--out", metavar="FILE", help="keep the page")
    return parser.parse_args(argv)


def make_up_frames(count: int, side: int, methods: int) -> dict[str, list[ShownFrame]]:
    """Frames of `SEQUENCES` sequences, `side` x `side` pixels, with what so many methods found."""
    rng = np.random.default_rng(0)
    ground = np.linspace(60, 160, side)[None] + np.linspace(0, 40, side)[:, None]
    result: dict[str, list[ShownFrame]] = {}
    for index in range(count):
        picture = np.clip(ground + rng.normal(0, 8, (side, side)), 0, 255).astype(np.uint8)
        mask = np.zeros((1 + methods, side, side), bool)
        for layer in mask:
            for y, x in rng.integers(0, side - 8, (2, 2)):
                layer[y : y + 4, x : x + 5] = rng.random((4, 5)) < 0.8
        truth, *found = (
            encode_components(label(layer), side, FALSE_ALARM if i else TRUE_TARGET) for i, layer in enumerate(mask)
        )
        name = f"sequence{index * SEQUENCES // count + 1}"
        result.setdefault(name, []).append(
            ShownFrame(
                index, PagePicture(side, side, encode_webp(picture)), truth, [FoundInFrame([0], part) for part in found]
            )
        )
    return result


def make_up_method(name: str, rng: np.random.Generator) -> MethodResult:
    """All that the page says of a method, with figures drawn at random."""

    def draw_figures(keys: str) -> dict[str, Any]:
        return {key: float(rng.uniform(0.3, 0.9)) for key in keys.split()}

    keys = (
        "pd f1 iou niou pixel_auc pd_at_fa_1e-06 pd_at_fa_1e-05 pd_at_fa_1e-04 precision recall centre_precision "
        "ap50 centre_ap any_overlap_f1 centre_5px_f1 false_per_frame pixel_precision pixel_f1"
    )
    figures = draw_figures(keys) | {"fa": 10 ** float(rng.uniform(-6, -3))}
    both = FigureSet(figures, {key: (0.9 * value, 1.1 * value) for key, value in figures.items()})
    tile = TilePicture(encode_webp(rng.integers(0, 255, (165, 165, 3)).astype(np.uint8), 80), ("frame 1", "noise"))
    curve = Curve(np.linspace(0, 1, 150).tolist(), np.linspace(1, 0, 150).tolist())
    return MethodResult(
        name=name,
        threshold=0.5,
        frames_per_second=float(rng.uniform(2, 80)),
        rules={"centroid": both, "shooting": both},
        detection=both,
        sequences={f"sequence{i + 1}": draw_figures(keys) | {"targets": 100, "frames": 100} for i in range(SEQUENCES)},
        bands={"snr": [Band("≤ 3", 9, 4, 0.5, (0.4, 0.6))]},
        roc=Curve(np.logspace(-7, -2, 65).tolist(), np.linspace(0, 1, 65).tolist()),
        precision_recall={"centre": curve, "iou": curve},
        countings={},
        alarms=[tile] * 20,
        misses=[tile] * 20,
        draws={key: rng.uniform(0, 1, 100) for key in ("pd", "f1", "iou")},
        found={},
    )


def time_opening(path: Path, browser: str) -> list[str]:
    """Seconds until the page is there, until its first frame is, and until a frame of another sequence is, as lines."""
    try:
        from playwright.sync_api import sync_playwright  # not everyone has it
    except ImportError:
        raise UserError(
            "playwright is not installed, and it is what drives the browser: pip install playwright"
        ) from None
    lines = []
    with sync_playwright() as play:
        program = play.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        for width in (1400, 390):
            tab = program.new_page(viewport={"width": width, "height": 900})
            began = time.perf_counter()
            tab.goto(path.resolve().as_uri())
            loaded = time.perf_counter() - began
            tab.evaluate(IMAGE_DECODED)
            shown = time.perf_counter() - began
            began = time.perf_counter()
            tab.select_option("[data-is=sequence]", f"frames-{SEQUENCES - 1}")
            tab.evaluate(IMAGE_DECODED)
            lines.append(
                f"{width} px wide: open after {loaded:.2f} s, first frame after {shown:.2f} s, another "
                f"sequence after {time.perf_counter() - began:.2f} s"
            )
            tab.close()
        program.close()
    return lines


def main(argv: list[str] | None = None) -> None:
    """Make the page, print its size, and open it where a browser is given."""
    options = parse(argv)
    rng = np.random.default_rng(1)
    methods = [make_up_method(f"method {index + 1}", rng) for index in range(options.methods)]
    frames = make_up_frames(options.frames, options.size, options.methods)
    about = Measurement(
        "made-up frames",
        "test",
        options.frames,
        2 * options.frames,
        options.frames,
        "none",
        Resampling(SEQUENCES),
        "benchmarks.report",
    )
    began = time.perf_counter()
    text = page(methods, about, frames).encode()
    print(
        f"{options.methods} methods, {options.frames} frames of {options.size}x{options.size}: "
        f"{len(text) / 1e6:.1f} MB, put together in {time.perf_counter() - began:.1f} s"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(options.out or os.path.join(folder, "page.html"))
        path.write_bytes(text)
        if options.browser:
            print("\n".join(time_opening(path, options.browser)))


if __name__ == "__main__":
    with user_errors():
        main()
