"""Draws a frame of each further scene that `python -m utils.synthetic` makes, with boxes around what is labelled.

    python -m docs.make_scenes_figure --out docs/scenes.png

From left to right, in two rows: clouds, stars, glint, trees; birds, insects, stripes and flashes, streaks.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from docs.make_satellite_figure import BOX_COLOUR, WAY_COLOUR, save
from utils.synthetic.infrared.config import InfraredConfig
from utils.synthetic.infrared.sequence import make_sequence
from utils.system.errors import user_errors
from utils.system.packages.late import cv2

SIDE, FRAMES, COLUMNS, GAP = 150, 10, 4, 3
BASE = {"frames": FRAMES, "size": (SIDE, SIDE), "area": (2.0, 20.0), "snr": (4.0, 9.0), "empty_share": 0.0}
SKY = {"cloud_share": 1.0}
# settings, seed and frame of each picture
PICTURES = (
    (SKY, 0, 5),
    ({"star_share": 1.0}, 0, 5),
    ({"glint_share": 1.0}, 0, 5),
    ({"tree_share": 1.0}, 0, 5),
    (SKY | {"birds": 3.0, "bird_labels": "class"}, 12, 5),
    (SKY | {"insects": 4.0, "insect_labels": "class"}, 5, 5),
    (SKY | {"stripes": 2.0, "flashes": 12.0}, 6, 5),
    (SKY | {"streak_share": 1.0}, 7, 0),
)


def draw(settings: dict, seed: int, frame: int) -> np.ndarray:
    """A frame (SIDE, SIDE, 3) uint8 with boxes: targets in the one colour, birds and insects in the other."""
    made = make_sequence(InfraredConfig(**BASE | settings, seed=seed), "train", 0)
    picture = np.repeat(made.frames[frame][:, :, None], 3, axis=2)
    for target in (target for target in made.targets if target.frame == frame):
        x, y, width, height = target.bbox
        colour = BOX_COLOUR if target.category == 1 else WAY_COLOUR
        cv2.rectangle(picture, (x - 4, y - 4), (x + width + 3, y + height + 3), colour, 1)
    return picture


def main(argv: list[str] | None = None) -> None:
    """Draw the picture and print where it lies."""
    parser = argparse.ArgumentParser(prog="python -m docs.make_scenes_figure", description=__doc__.split("\n")[0])
    parser.add_argument("--out", default="docs/scenes.png", metavar="FILE", help="picture (default: %(default)s)")
    out = Path(parser.parse_args(argv).out)
    rows = len(PICTURES) // COLUMNS
    sheet = np.full((rows * (SIDE + GAP) - GAP, COLUMNS * (SIDE + GAP) - GAP, 3), 255, np.uint8)
    for number, picture in enumerate(PICTURES):
        top, left = ((SIDE + GAP) * place for place in divmod(number, COLUMNS))
        sheet[top : top + SIDE, left : left + SIDE] = draw(*picture)
    save(sheet, out)
    print(out)


if __name__ == "__main__":
    with user_errors():
        main()
