"""Pictures of predictions, drawn so that targets of a few pixels stay visible inside their outlines."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

import numpy as np

from utils.images.components import label
from utils.images.grey_levels import Stretch
from utils.predictor.calibration.log import show_share
from utils.predictor.prediction import Component, Prediction, TrackPoint, match_components
from utils.system.packages.late import cv2
from utils.system.tables import on_one_line

# BGR; told apart by people with any colour vision.
FOUND_COLOUR = (235, 200, 60)
FALSE_COLOUR = (40, 80, 255)
TRUTH_COLOUR = (80, 235, 250)
MISSED_COLOUR = (250, 90, 250)
TRACK_COLOUR = (110, 220, 110)
TEXT_COLOUR, PAPER_COLOUR = (235, 235, 235), (30, 30, 30)
MIN_LONGER_SIDE = 640  # smaller frames are enlarged to at least this many pixels
MIN_WIDTH = 420  # pixels; header and legend need so much
GAP = 5  # pixels of the picture between a target and its outline
BOX_GAP = 1  # the same for a detector's box, which leaves room around the target by itself
TRAIL_FRAMES = 25  # frames of a track that are shown as its way
MAX_LABELS = 25  # scores are written beside that many components, the surest first


class Trails:
    """Which track each component of a frame belongs to, and the ways that the tracks in it have come."""

    def __init__(self) -> None:
        self.points: dict[int, deque[tuple[int, float, float]]] = {}
        self.owners: dict[int, int] = {}

    def update(self, frame: int, tracked: Sequence[TrackPoint]) -> None:
        """Take in the tracks of the next frame, number `frame`."""
        self.owners = {row.detection: row.id for row in tracked}
        self.points = {track: points for track, points in self.points.items() if points[-1][0] > frame - TRAIL_FRAMES}
        for row in tracked:
            points = self.points.setdefault(row.id, deque(maxlen=TRAIL_FRAMES))
            points.append((row.frame, row.x + row.w / 2, row.y + row.h / 2))

    def ways(self) -> list[np.ndarray]:
        """Of each track in the frame taken in last, its centres x, y `(N, 2)` in that frame and those before."""
        return [np.array([(x, y) for _, x, y in self.points[track]]) for track in self.owners.values()]


def draw(
    frame: np.ndarray,
    prediction: Prediction,
    *,
    levels: tuple[float, float] | None = None,
    truth: Sequence[Component] | None = None,
    heat: bool = False,
    side_by_side: bool = False,
    threshold: float = 0.5,
    title: str = "",
    scale: float | None = None,
    trails: Trails | None = None,
    roi: tuple[int, int, int, int] | None = None,
) -> np.ndarray:
    """Draw what was found in a frame.

    Args:
        frame: `(H, W)` uint8 or uint16.
        prediction: of this frame.
        levels: grey levels shown as black and white (default: percentiles of this frame).
        truth: the true targets; outlines then tell hits (centroid less than 3 px away, each target once) from false
            alarms, and targets that were missed are marked.
        heat: lay the probability over the frame.
        side_by_side: put the bare frame, with the truth, to the right.
        threshold: of the prediction, for the header.
        title: for the header, e.g. the sequence; the frame's number is written behind it.
        trails: tracks, whose numbers are written before the scores and whose ways are drawn.
        scale: enlargement; default: the smallest whole number that brings the longer side to 640 pixels.
        roi: `(x, y, w, h)`, the part of the frame that was looked at; the rest is shown darker.

    Returns:
        `(H', W', 3)` uint8 BGR: a header, the picture, a legend.
    """
    scale = scale or max(1, -(-MIN_LONGER_SIDE // max(frame.shape)))
    size = tuple(max(1, round(side * scale)) for side in frame.shape)
    grey = _shade(frame, levels or Stretch().update(frame), size)
    if roi:
        _darken_outside(grey, roi, scale)
    bare = cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)
    picture = _lay_heat(bare, prediction.probability) if heat else bare.copy()
    hits = None
    if truth is not None:
        taken = match_components(truth, prediction.components)
        hits = taken >= 0
        missed = [target for index, target in enumerate(truth) if index not in taken]
        _draw_outlines(picture, missed, scale, MISSED_COLOUR, gap=GAP + 4)
    _draw_found(picture, prediction, scale, hits)
    owners = _draw_trails(picture, trails, prediction, scale) if trails else {}
    _write_scores(picture, prediction.components, scale, hits, owners)
    if side_by_side:
        _draw_outlines(bare, truth or (), scale, TRUTH_COLOUR)
        picture = np.concatenate([picture, np.full((size[0], 6, 3), PAPER_COLOUR, np.uint8), bare], 1)
    return _add_margins(
        picture,
        _header(prediction, title, threshold, truth, hits),
        _legend(truth is not None, heat, side_by_side, trails is not None),
    )


def _darken_outside(grey: np.ndarray, roi: tuple[int, int, int, int], scale: float) -> None:
    """Darken an enlarged grey picture `(H, W)` uint8 outside of a part `(x, y, w, h)` of its frame."""
    x1, y1, x2, y2 = (round(value * scale) for value in (*roi[:2], roi[0] + roi[2], roi[1] + roi[3]))
    seen = grey[y1:y2, x1:x2].copy()
    grey //= 2
    grey[y1:y2, x1:x2] = seen


def _draw_trails(picture: np.ndarray, trails: Trails, prediction: Prediction, scale: float) -> dict[int, int]:
    """Draw the ways of the tracks; returns the track of each component that has one, by its index."""
    for index, way in zip(trails.owners, trails.ways(), strict=True):
        _draw_trail(picture, way, prediction.components[index], scale)
    return trails.owners


def _draw_found(picture: np.ndarray, prediction: Prediction, scale: float, hits: np.ndarray | None) -> None:
    """Outline what was found: a detector's boxes, else the mask."""
    if prediction.boxes is None:
        _draw_mask_outline(picture, prediction, hits)
        return
    for index, component in enumerate(prediction.components):
        colour = FOUND_COLOUR if hits is None or hits[index] else FALSE_COLOUR
        _draw_outlines(picture, [component], scale, colour, gap=BOX_GAP)


def _shade(frame: np.ndarray, levels: tuple[float, float], size: tuple[int, int]) -> np.ndarray:
    black, white = levels
    grey = np.clip((frame.astype(np.float32) - black) * (255 / (white - black)), 0, 255)
    shrinks = size[0] < frame.shape[0]
    grey = cv2.resize(grey, size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def _lay_heat(picture: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Probability as colour; it covers more where it is higher, and nothing below about 0.01."""
    share = cv2.resize(probability, picture.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    colours = cv2.applyColorMap(np.rint(share * 255).astype(np.uint8), cv2.COLORMAP_TURBO)
    cover = (0.65 * np.clip((share - 0.01) / 0.3, 0, 1))[:, :, None]
    return np.rint(picture * (1 - cover) + colours * cover).astype(np.uint8)


def _draw_mask_outline(picture: np.ndarray, prediction: Prediction, hits: np.ndarray | None) -> None:
    """Outline the mask a few pixels outside, in the colours of hits and false alarms."""
    found = label(prediction.mask)
    good = np.ones(len(found), bool) if hits is None else hits
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * GAP + 1, 2 * GAP + 1))
    for wanted, colour in ((True, FOUND_COLOUR), (False, FALSE_COLOUR)):
        pixels = found.pixel[good[found.owner] == wanted]
        if len(pixels):
            part = np.zeros(prediction.mask.shape, np.uint8)
            part.reshape(-1)[pixels] = 1
            large = cv2.resize(part, picture.shape[1::-1], interpolation=cv2.INTER_NEAREST_EXACT)
            contours, _ = cv2.findContours(cv2.dilate(large, disc), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            cv2.drawContours(picture, contours, -1, colour, 1, cv2.LINE_AA)


def _draw_outlines(
    picture: np.ndarray, components: Sequence[Component], scale: float, colour: tuple[int, int, int], gap: int = GAP
) -> None:
    for component in components:
        x1, y1, x2, y2 = (round(value * scale) for value in component.box)
        cv2.rectangle(picture, (x1 - gap, y1 - gap), (x2 + gap - 1, y2 + gap - 1), colour, 1)


def _draw_trail(picture: np.ndarray, way: np.ndarray, component: Component, scale: float) -> None:
    """Draw the way that a target has come, up to the outline around it."""
    x1, y1, x2, y2 = component.box
    outside = np.abs(way - way[-1]).max(axis=1) > max(x2 - x1, y2 - y1) / 2 + GAP / scale
    points = np.rint((way[outside] * scale - 0.5) * 16).astype(np.int32)  # in sixteenths of a pixel
    if len(points):
        cv2.polylines(picture, [points], False, TRACK_COLOUR, 1, cv2.LINE_AA, shift=4)


def _write_scores(
    picture: np.ndarray,
    components: Sequence[Component],
    scale: float,
    hits: np.ndarray | None,
    owners: Mapping[int, int],
) -> None:
    """Write scores beside the outlines, where they cover neither a component nor another score.

    They stand after the track's number where there is one, with the class where there are several.
    """
    several = any(component.category for component in components)
    height, width = picture.shape[:2]
    taken = [
        tuple(round(side * scale) + gap for side, gap in zip(component.box, (-GAP, -GAP, GAP, GAP), strict=True))
        for component in components
    ]
    order = sorted(range(len(components)), key=lambda index: -components[index].score)[:MAX_LABELS]
    for index in order:
        text = f"{owners[index]}: " if index in owners else ""
        text += f"{components[index].score:.2f}" + (f" #{components[index].category}" if several else "")
        w, h = _text_size(text)
        x1, y1, x2, y2 = taken[index]
        right, left, above, below = x2 + 3, x1 - 3 - w, y1 - 3 - h, y2 + 3
        across, along = (x1 + x2 - w) // 2, (y1 + y2 - h) // 2
        places = [
            (right, along),
            (left, along),
            (across, above),
            (across, below),
            (right, above),
            (right, below),
            (left, above),
            (left, below),
        ]
        for x, y in places:
            box = (x, y, x + w, y + h)
            inside = x >= 0 and y >= 0 and x + w <= width and y + h <= height
            if inside and not any(_overlap(box, other) for other in taken):
                colour = FOUND_COLOUR if hits is None or hits[index] else FALSE_COLOUR
                area = picture[max(y - 3, 0) : y + h + 3, max(x - 2, 0) : x + w + 2]
                area[:] = area // 3  # light text needs a darker ground
                _write(picture, text, x, y, colour)
                taken.append(box)
                break


def _overlap(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _text_size(text: str, size: float = 0.45) -> tuple[int, int]:
    (width, height), _ = cv2.getTextSize(on_one_line(text), cv2.FONT_HERSHEY_SIMPLEX, size, 1)
    return width, height


def _write(picture: np.ndarray, text: str, x: int, y: int, colour: tuple[int, int, int], size: float = 0.45) -> None:
    """Text whose box has its upper left corner at (x, y)."""
    cv2.putText(
        picture,
        on_one_line(text),
        (int(x), int(y + _text_size(text, size)[1])),
        cv2.FONT_HERSHEY_SIMPLEX,
        size,
        colour,
        1,
        cv2.LINE_AA,
    )


def _header(
    prediction: Prediction, title: str, threshold: float, truth: Sequence[Component] | None, hits: np.ndarray | None
) -> str:
    count = len(prediction.components)
    parts = [f"{title}  frame {prediction.number}".strip(), f"threshold {show_share(threshold)}"]
    if hits is None:
        return "   ".join([*parts, f"{count} found"])
    right = int(hits.sum())
    return "   ".join([*parts, f"{right} of {len(truth)} targets found", f"{count - right} false"])


def _legend(truth: bool, heat: bool, side_by_side: bool, tracks: bool) -> list[tuple[str, tuple[int, int, int] | None]]:
    """Text and colour of every entry; None for the probability's ramp of colours."""
    entries = [("found, with score", FOUND_COLOUR)]
    if truth:
        entries = [("hit", FOUND_COLOUR), ("false alarm", FALSE_COLOUR), ("missed", MISSED_COLOUR)]
    if tracks:
        entries.append(("track", TRACK_COLOUR))
    if truth and side_by_side:
        entries.append(("truth (right)", TRUTH_COLOUR))
    if heat:
        entries.append(("probability 0-1", None))
    return entries


def _add_margins(picture: np.ndarray, header: str, legend: list[tuple[str, tuple[int, int, int] | None]]) -> np.ndarray:
    width = max(picture.shape[1], MIN_WIDTH)
    spare = width - picture.shape[1]
    picture = cv2.copyMakeBorder(
        picture, 26, 24, spare // 2, spare - spare // 2, cv2.BORDER_CONSTANT, value=PAPER_COLOUR
    )
    picture[:26], picture[-24:] = PAPER_COLOUR, PAPER_COLOUR
    size = 0.45
    while _text_size(header, size)[0] > width - 16 and size > 0.3:
        size -= 0.05
    _write(picture, header, 8, 8, TEXT_COLOUR, size=size)
    x, y = 8, picture.shape[0] - 17
    for text, colour in legend:
        if colour is None:
            ramp = cv2.applyColorMap(np.arange(0, 256, 8, np.uint8)[None].repeat(9, 0), cv2.COLORMAP_TURBO)
            picture[y : y + 9, x : x + ramp.shape[1]] = ramp
            x += ramp.shape[1] + 5
        else:
            cv2.rectangle(picture, (x, y), (x + 9, y + 8), colour, 1)
            x += 15
        _write(picture, text, x, y, TEXT_COLOUR, size=0.4)
        x += _text_size(text, 0.4)[0] + 18
    return picture
