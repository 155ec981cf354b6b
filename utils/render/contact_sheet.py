"""The worst false alarms and misses as small pictures, and these on one sheet."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.images.grey_levels import Stretch
from utils.images.image_files import read_frame, write_picture
from utils.metrics.breakdown import TargetLog
from utils.render.overlay import FALSE_COLOUR, MISSED_COLOUR, PAPER_COLOUR, TEXT_COLOUR, TRUTH_COLOUR
from utils.system.files import writing
from utils.system.packages.late import cv2
from utils.system.tables import on_one_line

SIDE, ENLARGEMENT = 33, 5  # pixels of the frame that a picture shows, and how much larger
COLUMNS, GAP, CAPTION_HEIGHT = 5, 10, 34
SHEETS = ("false_alarms.png", "misses.png")


@dataclass(frozen=True, eq=False)
class Tile:
    """`picture` (165, 165, 3) uint8 BGR around the place, and lines of text about it."""

    picture: np.ndarray
    lines: tuple[str, ...]


def alarm_tiles(log: TargetLog, most: int = 20) -> list[Tile]:
    """The surest false alarms; true targets in the picture are marked in yellow.

    Args:
        log: of one method.
        most: the largest number of tiles.

    Raises:
        UserError: a frame cannot be read any more.
    """
    tiles = []
    for alarm, count in log.worst_alarms(most):
        picture = _crop(log, alarm.image, alarm.centroid, FALSE_COLOUR)
        tiles.append(
            Tile(
                picture,
                (
                    f"{alarm.sequence} frame {alarm.number}",
                    f"score {alarm.score:.3f}, {alarm.area} px, {_frames(count)}",
                ),
            )
        )
    return tiles


def miss_tiles(log: TargetLog, most: int = 20) -> list[Tile]:
    """The missed targets of the highest SNR.

    Args:
        log: of one method.
        most: the largest number of tiles.

    Raises:
        UserError: a frame cannot be read any more.
    """
    tiles = []
    for target, peak, count in log.worst_misses(most):
        picture = _crop(log, target.image, target.centroid, MISSED_COLOUR)
        tiles.append(
            Tile(
                picture,
                (
                    f"{target.sequence} frame {target.number}",
                    f"SNR {target.snr:.1f}, peak {peak:.3f}, {_frames(count)}",
                ),
            )
        )
    return tiles


def _frames(count: int) -> str:
    return "1 frame" if count == 1 else f"{count} frames"


def _crop(log: TargetLog, path: str, centre: tuple[float, float], colour: tuple[int, int, int]) -> np.ndarray:
    """The surroundings of `centre` (y, x) with a mark around it, and marks around the true targets."""
    frame = read_frame(path)
    top, left = (round(value) - SIDE // 2 for value in centre)
    black, white = Stretch().update(frame[max(top - SIDE, 0) : top + 2 * SIDE, max(left - SIDE, 0) : left + 2 * SIDE])
    shades = np.clip((frame.astype(np.float32) - black) * (255 / (white - black)), 0, 255)
    padded = cv2.copyMakeBorder(np.rint(shades).astype(np.uint8), SIDE, SIDE, SIDE, SIDE, cv2.BORDER_CONSTANT, value=0)
    grey = padded[top + SIDE : top + 2 * SIDE, left + SIDE : left + 2 * SIDE]
    picture = cv2.cvtColor(
        cv2.resize(grey, None, fx=ENLARGEMENT, fy=ENLARGEMENT, interpolation=cv2.INTER_NEAREST), cv2.COLOR_GRAY2BGR
    )
    for target in log.facts.frames[path][1]:
        if np.abs(np.subtract(target.centroid, centre)).max() > 0.5 or colour == FALSE_COLOUR:
            _mark(picture, target.centroid, (top, left), TRUTH_COLOUR)
    _mark(picture, centre, (top, left), colour)
    return picture


def _mark(picture: np.ndarray, at: tuple[float, float], corner: tuple[int, int], colour: tuple[int, int, int]) -> None:
    """Four corners of a square around a place, which leave the place itself free."""
    y, x = (round((value - start + 0.5) * ENLARGEMENT) for value, start in zip(at, corner, strict=True))
    reach, arm = 6 * ENLARGEMENT, 2 * ENLARGEMENT
    for dy in (-1, 1):
        for dx in (-1, 1):
            end = (x + dx * reach, y + dy * reach)
            for other in ((end[0] - dx * arm, end[1]), (end[0], end[1] - dy * arm)):
                cv2.line(picture, end, other, colour, 2)


def draw_sheet(tiles: Sequence[Tile], title: str) -> np.ndarray:
    """All tiles on one picture `(H, W, 3)` uint8 BGR."""
    side = SIDE * ENLARGEMENT
    rows = max(1, -(-len(tiles) // COLUMNS))
    page = np.full((44 + rows * (side + CAPTION_HEIGHT + GAP), GAP + COLUMNS * (side + GAP), 3), PAPER_COLOUR, np.uint8)
    cv2.putText(page, title, (GAP, 28), cv2.FONT_HERSHEY_SIMPLEX, 0.55, TEXT_COLOUR, 1, cv2.LINE_AA)
    for index, tile in enumerate(tiles):
        y, x = 44 + index // COLUMNS * (side + CAPTION_HEIGHT + GAP), GAP + index % COLUMNS * (side + GAP)
        page[y : y + side, x : x + side] = tile.picture
        for line, text in enumerate(map(on_one_line, tile.lines)):
            size = min(0.38, 0.38 * side / max(cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.38, 1)[0][0], 1))
            cv2.putText(
                page, text, (x, y + side + 13 + 14 * line), cv2.FONT_HERSHEY_SIMPLEX, size, TEXT_COLOUR, 1, cv2.LINE_AA
            )
    return page


def write_sheet(path: str | os.PathLike, tiles: Sequence[Tile], title: str) -> None:
    """Write `draw_sheet` as PNG.

    Raises:
        UserError: it cannot be written.
    """
    with writing(path):
        write_picture(path, draw_sheet(tiles, title))


def write_sheets(log: TargetLog, out: Path) -> None:
    """Write the `SHEETS` of false alarms and misses of one method into the folder `out`.

    Raises:
        UserError: a frame cannot be read any more, or a sheet not be written.
    """
    tiles = (
        (alarm_tiles(log), "surest false alarms (true targets: yellow)"),
        (miss_tiles(log), "missed targets of the highest SNR"),
    )
    for name, (shown, title) in zip(SHEETS, tiles, strict=True):
        write_sheet(out / name, shown, f"{title}: {len(shown)}")
