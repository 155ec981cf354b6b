"""Draws frames of satellite video with tracks, beside themselves without any.

    python -m docs.make_satellite_figure --data-root DATASET --out docs/satellite.png

On the right each car has its box, and the way that its box has come since the sequence's first frame. The picture in
`docs` was drawn with `--sequences 003 007` from what `python -m utils.synthetic --kind satellite --out DATASET` makes.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from utils.datasets.dataset import open_dataset
from utils.datasets.frame_table import Frame
from utils.images.image_files import read_frame
from utils.system.errors import UserError, user_errors
from utils.system.files import whole_file
from utils.system.packages.late import cv2

SCALE = 2  # in which lines are drawn; the picture is made smaller again
BOX_COLOUR, WAY_COLOUR = (64, 255, 64), (255, 176, 0)
GREY_LEVELS = 56  # of the palette, which keeps the file small
LINE_LEVELS = 8  # of the palette, for each colour of the lines


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m docs.make_satellite_figure", description=__doc__.split("\n")[0])
    parser.add_argument("--data-root", required=True, metavar="FOLDER", help="dataset with boxes and tracks")
    parser.add_argument("--out", default="docs/satellite.png", metavar="FILE", help="picture (default: %(default)s)")
    parser.add_argument("--sequences", nargs="+", metavar="NAME", help="training sequences (default: the first two)")
    return parser.parse_args(argv)


def draw_tracks(frames: Sequence[Frame]) -> np.ndarray:
    """The last of `frames` beside itself with boxes and ways: (H, 2·W, 3) uint8."""
    grey = read_frame(frames[-1].image)
    plain = np.repeat(grey[:, :, None], 3, axis=2)
    drawn = cv2.resize(plain, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_NEAREST)
    ways = defaultdict(list)
    for frame in frames:
        for track, (x1, y1, x2, y2, _) in zip(frame.tracks, frame.boxes or (), strict=True):
            ways[track].append((SCALE * (x1 + x2) / 2, SCALE * (y1 + y2) / 2))
    for track, box in zip(frames[-1].tracks, frames[-1].boxes or (), strict=True):
        cv2.polylines(drawn, [np.rint(ways[track]).astype(np.int32)], False, WAY_COLOUR, 1, cv2.LINE_AA)
        x1, y1, x2, y2 = (round(SCALE * side) for side in box[:4])
        cv2.rectangle(drawn, (x1 - 2, y1 - 2), (x2 + 1, y2 + 1), BOX_COLOUR, 1)
    drawn = cv2.resize(drawn, grey.shape[::-1], interpolation=cv2.INTER_AREA)
    return np.concatenate([plain, np.full((len(grey), 4, 3), 255, np.uint8), drawn], axis=1)


def save(picture: np.ndarray, out: Path) -> None:
    """Write a PNG whose palette holds greys and the colours of the lines, from dark to bright."""
    greys = np.rint(np.linspace(0, 255, GREY_LEVELS))[:, None].repeat(3, 1)
    shades = [np.rint(np.outer(np.linspace(0.4, 1, LINE_LEVELS), colour)) for colour in (BOX_COLOUR, WAY_COLOUR)]
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.concatenate([greys, *shades]).astype(np.uint8).tobytes())
    indexed = Image.fromarray(picture).quantize(palette=palette, dither=Image.Dither.NONE)
    with whole_file(out) as file:
        indexed.save(file, format="png", optimize=True)


def main(argv: list[str] | None = None) -> None:
    """Draw the picture and print where it lies."""
    arguments = parse(argv)
    sequences = open_dataset(arguments.data_root, "train", need="boxes").sequences
    named = {name.removesuffix("/img"): frames for name, frames in sequences.items()}
    wanted = arguments.sequences or list(named)[:2]
    for name in wanted:
        if name not in named:
            raise UserError(f"--sequences: found {name}, expected some of {', '.join(named)}; change --sequences")
    rows = [draw_tracks(list(named[name])) for name in wanted]
    gap = np.full((4, rows[0].shape[1], 3), 255, np.uint8)
    out = Path(arguments.out)
    save(np.concatenate([part for row in rows for part in (row, gap)][:-1]), out)
    print(out)


if __name__ == "__main__":
    with user_errors():
        main()
