"""What pages are made of: their frame of HTML, and pictures and components small enough for thousands of them."""

from __future__ import annotations

import base64
import io
import json
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from utils.images.components import Components
from utils.system.errors import UserError
from utils.system.files import to_json_value
from utils.system.packages.late import cv2

BASE_STYLE = Path(__file__).with_name("page.css")  # colours and controls that all pages share
MAX_SIDE = 640  # pixels; larger frames are reduced, coordinates stay those of the frame
WEBP_QUALITY = 45
FALSE_ALARM, HIT, TRUE_TARGET = 0, 1, 2  # kinds of components
# A page fetches nothing, whatever is in it; a page that a server shows may speak with that alone.
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; connect-src 'self'"
)


def html_page(title: str, description: str, style: Path, body: str, script: str) -> str:
    """A page that is complete in itself.

    Args:
        title: as text.
        description: likewise.
        style: file of what the page adds to `BASE_STYLE`.
        body: as HTML.
        script: that runs at its end.
    """
    styles = "".join(path.read_text(encoding="utf-8") for path in (BASE_STYLE, style))
    return (
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="description" content="{escape(description)}"><link rel="icon" href="data:,">\n'
        f"<style>\n{styles}</style></head>\n<body>\n{body}<script>\n{script}</script>\n</body></html>\n"
    )


def json_block(name: str, value: Any) -> str:
    """A block of data with the id `name`, which a script reads when it needs it."""
    text = json.dumps(to_json_value(value), separators=(",", ":"))
    text = text.replace("<", "\\u003c")  # nothing ends the element early
    return f'\n<script type="application/json" id="{name}">{text}</script>'


class EncodedComponent(NamedTuple):
    """A component in pixels of the frame, which JSON has as a list.

    `x, y, w, h` is its box; `kind` one of `FALSE_ALARM`, `HIT`, `TRUE_TARGET`; `score` in thousandths, 0 without one;
    `runs` are the lengths of the runs off, on, off … through the box in raster order, "" where the component fills it.
    """

    x: int
    y: int
    w: int
    h: int
    kind: int
    score: int
    runs: str


def encode_webp(picture: np.ndarray, quality: int = WEBP_QUALITY) -> str:
    """A picture `(H, W)` or `(H, W, 3)` BGR uint8 as a data URI.

    Raises:
        UserError: this Pillow cannot write WebP.
    """
    data = io.BytesIO()
    image = Image.fromarray(picture if picture.ndim == 2 else np.ascontiguousarray(picture[:, :, ::-1]))
    try:
        image.save(data, "WEBP", quality=quality, method=1)  # as small as by OpenCV, in half the time
    except (KeyError, OSError):
        raise UserError("Pillow: cannot write WebP, expected a build with it; pip install --upgrade pillow") from None
    return "data:image/webp;base64," + base64.b64encode(data.getvalue()).decode()


def grey_picture(image: np.ndarray, levels: tuple[float, float]) -> np.ndarray:
    """A frame `(H, W)` as a picture uint8 whose longer side has at most `MAX_SIDE` pixels; levels (black, white)."""
    black, white = levels
    grey = np.clip((image.astype(np.float32) - black) * (255 / (white - black)), 0, 255)
    height, width = image.shape
    shrink = MAX_SIDE / max(image.shape)
    if shrink < 1:
        size = max(1, round(width * shrink)), max(1, round(height * shrink))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return np.rint(grey).astype(np.uint8)


def encode_components(
    components: Components, width: int, kind: np.ndarray | int, scores: np.ndarray | None = None
) -> list[EncodedComponent]:
    """Components of a frame for the page.

    Args:
        components: K of them.
        width: of the frame.
        kind: of each, `(K,)`, or of all.
        scores: `(K,)` in [0, 1].
    """
    rows, columns = np.divmod(components.pixel, width)
    kinds = np.broadcast_to(kind, len(components))
    result = []
    for index in range(len(components)):
        own = components.owner == index
        y, x = rows[own], columns[own]
        top, left, h, w = (int(v) for v in (y.min(), x.min(), np.ptp(y) + 1, np.ptp(x) + 1))
        runs = ""
        if h * w != len(y):
            flat = np.zeros(h * w + 2, np.int8)
            flat[(y - top) * w + x - left + 1] = 1
            edges = np.flatnonzero(np.diff(flat))
            runs = ",".join(map(str, np.diff(edges, prepend=0).tolist()))
        score = 0 if scores is None else int(round(1000 * float(scores[index])))
        result.append(EncodedComponent(left, top, w, h, int(kinds[index]), score, runs))
    return result
