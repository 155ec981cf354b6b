"""Size of the page of `utils.view` and how fast a browser is with it: `python -m benchmarks.view --frames 5000`."""

from __future__ import annotations

import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.browser import Browser, find_browser
from utils.system.command_line import Parser, number
from utils.system.errors import UserError, user_errors
from utils.view.contents import PageObject, PageSequence
from utils.view.page import write_page
from utils.view.pictures import encode_picture

SIZE = 320, 256
TRACK_FRAMES = 100  # that a track is long
SINGLE_SHARE = 0.2  # of the objects, which are in no track
MOVES, STEPS = 20, 40  # of the slider, from frame to frame


def parse(argv: list[str] | None = None) -> Namespace:
    """The command line."""
    parser = Parser(prog="python -m benchmarks.view", description=__doc__)
    parser.add_argument(
        "--frames", type=number("benchmark.frames"), default=5000, metavar="N", help="default: %(default)s"
    )
    parser.add_argument(
        "--objects", type=number("count"), default=10, metavar="N", help="in a frame (default: %(default)s)"
    )
    parser.add_argument("--browser", metavar="FILE", help="Chromium to open it with (default: the one that is there)")
    parser.add_argument("--out", metavar="FILE", help="keep the page")
    return parser.parse_args(argv)


def make_up_sequence(frames: int, count: int) -> PageSequence:
    """A sequence with so many objects a frame, most of them in tracks."""
    rng = np.random.default_rng(0)
    tracked = max(1, round(count * (1 - SINGLE_SHARE)))
    start, step = rng.uniform(20, 200, (2, tracked)), rng.uniform(-0.5, 0.5, (2, tracked))
    objects = []
    for frame in range(frames):
        place = (start + step * (frame % TRACK_FRAMES)).round(2)
        own = [
            PageObject((x, y, 5.0, 4.0), score, 1 + n + tracked * (frame // TRACK_FRAMES), outline="0,3,1,12,2,2")
            for n, (x, y, score) in enumerate(zip(*place.tolist(), rng.uniform(0.3, 1, tracked).tolist(), strict=True))
        ]
        own += [PageObject((*rng.integers(0, 250, 2).tolist(), 3.0, 3.0), 0.4) for _ in range(count - tracked)]
        objects.append(own)
    numbers = list(range(frames))
    return PageSequence("made up", "made up", SIZE, 25.0, ("target",), numbers, [], objects)


def make_up_pictures(frames: int) -> Iterator[str]:
    """Clouds that drift, under noise of 3 levels."""
    rng = np.random.default_rng(0)
    coarse = rng.uniform(60, 180, (SIZE[1] // 16, SIZE[0] // 16))
    clouds = np.kron(coarse, np.ones((16, 16)))
    kernel = np.ones(31) / 31
    for axis in (0, 1):
        clouds = np.apply_along_axis(np.convolve, axis, clouds, kernel, "same")
    for frame in range(frames):
        image = np.roll(clouds, frame // 3, 1) + rng.normal(0, 3, clouds.shape)
        yield encode_picture(np.clip(image, 0, 255).astype(np.uint8), (20.0, 200.0))


def measure(path: Path, program: str) -> list[str]:
    """How long the browser takes, as lines."""
    with Browser(program) as browser:
        began = time.perf_counter()
        browser.open(path.resolve().as_uri())
        browser.wait("typeof page === 'object' && page.stage.picture !== null")
        opened = time.perf_counter() - began
        slide = f"""(() => {{
            const slider = document.getElementById("sensitivity"), took = [];
            for (let n = 0; n < {MOVES}; n++) {{
                const began = performance.now();
                slider.value = 100 - 100 * n / {MOVES};
                slider.dispatchEvent(new Event("input"));
                took.push(performance.now() - began);
            }}
            return took;
        }})()"""
        moves = browser.run(slide)
        browser.run("page.setSensitivity(100)")
        steps = browser.run(f"""(async () => {{
            const took = [];
            for (let n = 0; n < {STEPS}; n++) {{
                const began = performance.now();
                await page.go(Math.floor(n * 997 % page.sequence.length));
                took.push(performance.now() - began);
            }}
            return took;
        }})()""")
        if browser.errors:
            raise UserError(f"{path}: {browser.errors[0]}; mend the script")
    return [
        f"open, first frame shown: {opened:.2f} s",
        f"a move of the slider: {np.median(moves):.0f} ms (median), {max(moves):.0f} ms (longest)",
        f"to a frame elsewhere: {np.median(steps):.0f} ms (median), {max(steps):.0f} ms (longest)",
    ]


def main(argv: list[str] | None = None) -> None:
    """Make the page, print its size, and open it where there is a browser."""
    options = parse(argv)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(options.out or Path(folder) / "view.html")
        sequence = make_up_sequence(options.frames, options.objects)
        began = time.perf_counter()
        write_page(path, [sequence], [make_up_pictures(options.frames)], "made up", "for measuring")
        seconds = time.perf_counter() - began
        found = sum(map(len, sequence.objects))
        print(
            f"{options.frames} frames of {SIZE[0]}x{SIZE[1]}, {found} objects: {path.stat().st_size / 1e6:.1f} MB, "
            f"written in {seconds:.1f} s"
        )
        if program := options.browser or find_browser():
            print("\n".join(measure(path, program)))


if __name__ == "__main__":
    with user_errors():
        main()
