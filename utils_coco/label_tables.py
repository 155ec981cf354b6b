"""Tables of labels: csv files whose first line names the columns, by which boxes and centroids are told apart."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from utils.datasets.coco import TARGET_CATEGORY
from utils.datasets.formats.voc import as_flag
from utils.datasets.json_formats import MAX_CHARACTERS, MAX_NUMBER
from utils.images.boxes import shares_problem
from utils.images.image_files import IMAGE_SUFFIXES
from utils.system.errors import UserError
from utils.system.untrusted import read_text

# Names as `plain_name` writes them: without case, blanks, marks and a `bbox_` in front.
IMAGE_COLUMNS = (
    "image",
    "imagename",
    "imagefile",
    "imagepath",
    "filename",
    "file",
    "filepath",
    "path",
    "img",
    "imgname",
    "imgpath",
    "frame",
    "framename",
    "frameid",
    "framenumber",
    "frameno",
    "frameindex",
    "imageid",
    "imgid",
)
SEQUENCE_COLUMNS = ("sequence", "sequencename", "sequenceid", "seq", "video", "videoname", "videoid", "folder")
CLASS_COLUMNS = (
    "class",
    "classname",
    "label",
    "labelname",
    "category",
    "categoryname",
    "name",
    "type",
    "classid",
    "categoryid",
)
IGNORE_COLUMNS = ("iscrowd", "crowd", "ignore", "ignored", "difficult")  # of 1: a region to ignore
TRACK_COLUMNS = ("trackid", "track", "tracknumber", "targetid", "objectid", "instanceid", "id")
SCORE_COLUMNS = ("score", "confidence", "conf", "probability", "prob")
IMAGE_SIZE_COLUMNS = (("imagewidth", "imageheight"), ("imgwidth", "imgheight"), ("imagew", "imageh"), ("imgw", "imgh"))
CORNER_COLUMNS = (
    ("x1", "y1", "x2", "y2"),
    ("x0", "y0", "x1", "y1"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("minx", "miny", "maxx", "maxy"),
    ("left", "top", "right", "bottom"),
    ("xtl", "ytl", "xbr", "ybr"),
)
START_COLUMNS = (("x", "y"), *(names[:2] for names in CORNER_COLUMNS))
CENTRE_COLUMNS = (
    ("cx", "cy"),
    ("xc", "yc"),
    ("xcenter", "ycenter"),
    ("xcentre", "ycentre"),
    ("centerx", "centery"),
    ("centrex", "centrey"),
    ("centroidx", "centroidy"),
    ("xcentroid", "ycentroid"),
)
SIZE_COLUMNS = (("w", "h"), ("width", "height"))  # with both, the second is the image's
COORDINATE_COLUMNS = frozenset(
    name for names in (*CORNER_COLUMNS, *START_COLUMNS, *CENTRE_COLUMNS, *SIZE_COLUMNS) for name in names
)
DEFAULT_SIDE = 7.0  # pixels, of boxes around centroids
POINT_ORIGINS = {"corner": 0.0, "centre": 0.5}  # of the first pixel, from which points count: its place there
FORMS_BY_KIND = {"boxes": ("corners", "start and size", "centre and size"), "centroids": ("centre",)}
COLUMN_ADVICE = (
    "expected one that names the image (image, filename, frame, …) and x,y,w,h (from the left upper "
    "corner), xmin,ymin,xmax,ymax, x1,y1,x2,y2, left,top,right,bottom or cx,cy,w,h for boxes, x,y or "
    "cx,cy for centroids; rename the columns"
)


@dataclass(frozen=True)
class Columns:
    """Positions of the columns that are read.

    `form` is one of `FORMS_BY_KIND`, which says what the `values` are. `sequence`, `category`, `score` and `track` are
    None where there is none, `size` (width, height of the image) and `ignored` are empty then.
    """

    form: str
    values: tuple[int, ...]
    image: int
    sequence: int | None
    category: int | None
    score: int | None
    track: int | None
    size: tuple[int, ...]
    ignored: tuple[int, ...]

    @property
    def kind(self) -> str:
        """Either "boxes" or "centroids"."""
        return next(kind for kind, forms in FORMS_BY_KIND.items() if self.form in forms)


class NamedBox(NamedTuple):
    """A box in pixels from 0, right and bottom exclusive, its class and the id of its track; or a region to ignore."""

    x1: float
    y1: float
    x2: float
    y2: float
    name: str
    ignored: bool = False
    track: int | str | None = None


class LabelRow(NamedTuple):
    """A line of a table: the image's key, its box, if any, the declared (height, width), and the box's score."""

    image: str
    boxes: tuple[NamedBox, ...] = ()
    size: tuple[int, int] | None = None
    score: float | None = None


def plain_name(name: str) -> str:
    """`Bbox_X-Min` → `xmin`."""
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    return re.sub(r"^(?:boundingbox|bbox|box|bb)(?=.)", "", plain)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Numbers, from 1, and cells of the lines.

    They are split at what the first one has most of: comma, semicolon or tab.
    """
    lines = read_text(str(path)).splitlines()
    delimiter = max(",;\t", key=lines[0].count) if lines else ","
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    try:
        for row in reader:
            yield reader.line_num, [cell.strip() for cell in row]
    except csv.Error as error:
        raise UserError(f"{path}: not a csv file ({error}); write the labels again") from None


def _readings(names: set[str], form: str) -> list[tuple[str, ...]]:
    """The sets of columns among `names` that could be meant by a form."""
    sizes = [size for size in SIZE_COLUMNS if names.issuperset(size)][:1]
    choices = {
        "corners": CORNER_COLUMNS,
        "start and size": [start + size for start in START_COLUMNS for size in sizes],
        "centre and size": [centre + size for centre in CENTRE_COLUMNS for size in sizes],
        "centre": (*CENTRE_COLUMNS, ("x", "y")),
    }[form]
    return [choice for choice in choices if names.issuperset(choice)]


def find_columns(path: Path, head: Sequence[str], kind: str = "") -> Columns:
    """What the columns of a table mean.

    Args:
        path: named in errors.
        head: the columns' names.
        kind: "boxes" or "centroids", where that is known.

    Raises:
        UserError: there is no column for the image or none for the place, or there are several readings.
    """
    plain = [plain_name(name) for name in head]
    names = set(plain)
    said = f"{path}: found the columns {', '.join(head)[:160] or 'none'}"
    image = next((name for name in IMAGE_COLUMNS if name in names), None)
    forms = FORMS_BY_KIND[kind] if kind else [form for forms in FORMS_BY_KIND.values() for form in forms]
    readings = next((found for form in forms if (found := _readings(names, form))), [])
    if not image or not readings:
        lacking = "where the target is" if image else "which image a line is about"
        raise UserError(f"{said}, none of which says {lacking}; {COLUMN_ADVICE}")
    used = readings[0]
    form = next(form for form in forms if used in _readings(names, form))
    others = {name for name in names - set(used) if re.fullmatch(r"[xy]\d+", name)}  # of a polygon, or a third corner
    if form == "centre" and not kind:  # of an unfinished box
        others |= (names & COORDINATE_COLUMNS) - set(used)
    if len(readings) > 1:
        raise UserError(f"{said}, in which targets are at {' or at '.join(map(','.join, readings))}; {COLUMN_ADVICE}")
    if others:
        raise UserError(
            f"{said}, of which {', '.join(sorted(others))} would not be read beside {','.join(used)}; {COLUMN_ADVICE}"
        )
    twice = [name for name in (image, *used) if plain.count(name) > 1]
    if twice:
        raise UserError(f"{said}, two of them {twice[0]}; {COLUMN_ADVICE}")
    sequence, category, score, track = (
        next((plain.index(name) for name in known if name in names), None)
        for known in (SEQUENCE_COLUMNS, CLASS_COLUMNS, SCORE_COLUMNS, TRACK_COLUMNS)
    )
    sides = [pair for pair in (*IMAGE_SIZE_COLUMNS, SIZE_COLUMNS[1]) if names.issuperset(pair) and pair[0] not in used]
    size = tuple(map(plain.index, sides[0])) if sides and form != "centre" else ()
    ignored = tuple(index for index, name in enumerate(plain) if name in IGNORE_COLUMNS)
    places = tuple(map(plain.index, used))
    return Columns(form, places, plain.index(image), sequence, category, score, track, size, ignored)


def table_kind(path: Path) -> str:
    """Whether a table holds "boxes" or "centroids", by its columns.

    Raises:
        UserError: they do not tell.
    """
    return find_columns(path, next(_rows(path), (1, []))[1]).kind


def read_table(path: Path, key: str, kind: str, side: float, origin: str = "corner") -> Iterator[LabelRow]:
    """The images and boxes of a table, line by line; a line without numbers is an image without targets.

    Args:
        path: the csv.
        key: its path below the labels' folder, without the extension; numbered frames are those of a sequence called
            so, or as the column `sequence` says, and names of images may begin in its folder.
        kind: "boxes" or "centroids".
        side: of the boxes around centroids, in pixels.
        origin: of `POINT_ORIGINS`, what centroids count from.

    Raises:
        UserError: the columns do not tell, a line lacks a value, or places are shares of the image's sides.
    """
    rows = _rows(path)
    head = next(rows, (1, []))[1]
    columns, places = find_columns(path, head, kind), []
    for line, row in rows:
        if not any(row):
            continue
        try:
            label, values = _read_row(columns, dict(enumerate(row)), key, side, POINT_ORIGINS[origin])
        except ValueError:
            raise UserError(
                f"{path}: line {line}: found '{','.join(row)[:60]}', expected values for "
                f"{','.join(head)[:80]}; correct that line"
            ) from None
        places += [values] if values else []
        yield label
    problem = _shares_problem(np.array(places, np.float64))
    if problem:
        raise UserError(f"{path}: {problem}")


def _shares_problem(places: np.ndarray) -> str | None:
    """Whether places, boxes `(N, 4)` or centroids `(N, 2)`, are shares of the image's sides."""
    if places.ndim < 2 or places.shape[1] == 4:
        return shares_problem(places)
    if (places < 0).any() or (places > 1).any() or not (places % 1).any():
        return None  # whole numbers may be the first two pixels
    return "found shares of the image's sides, expected pixels; multiply them by its width and height"


def _read_row(
    columns: Columns, cells: dict[int, str], key: str, side: float, offset: float
) -> tuple[LabelRow, list[float]]:
    """A line as a label, and the numbers that say where its target is.

    Raises:
        ValueError: a value is missing, or is not what its column says.
    """
    image, words = cells.get(columns.image, ""), [cells.get(index) or "" for index in columns.values]
    values = [_number(word) for word in words] if any(words) else []
    name = _image_key(image, key, cells.get(columns.sequence))
    if not image or ".." in name.split("/"):
        raise ValueError("no image")
    if not values:
        return LabelRow(name), []
    corners = _corners(columns.form, values, side, offset)
    ignored = any([as_flag(cells.get(index) or "") for index in columns.ignored])
    track = _track(cells.get(columns.track) or "")
    box = NamedBox(*corners, cells.get(columns.category) or TARGET_CATEGORY, ignored, track)
    return LabelRow(name, (box,), _declared(columns, cells, corners), _score(cells.get(columns.score) or "")), values


def _declared(columns: Columns, cells: dict[int, str], corners: Sequence[float]) -> tuple[int, int] | None:
    """The image's (height, width) in columns of that name, None where these are the box's own sides, or 0."""
    words = [cells.get(index) or "0" for index in columns.size]
    width, height = map(_number, words) if words else (0, 0)
    sides = abs(width - (corners[2] - corners[0])), abs(height - (corners[3] - corners[1]))
    return None if min(width, height) <= 0 or max(sides) <= 1 else (round(height), round(width))


def _track(word: str) -> int | str | None:
    """The id of a track: a number, where it is one; -1 is none, as in MOT tables."""
    number = re.fullmatch(r"(-?\d{1,15})(?:\.0+)?", word, re.ASCII)
    track = int(number[1]) if number else word[:MAX_CHARACTERS]
    return None if track in ("", -1) else track


def _score(word: str) -> float | None:
    try:
        return _number(word)
    except ValueError:  # as a word, which is passed over like any other column
        return None


def _number(word: str) -> float:
    value = float(word)
    if not abs(value) <= MAX_NUMBER:
        raise ValueError(f"{word[:20]} is beyond all images")
    return value


def _image_key(image: str, key: str, sequence: str | None) -> str:
    number = re.fullmatch(r"(\d+)(?:\.0+)?", image)
    name = number[1] if number else image.replace("\\", "/")
    folder = (sequence or (key if number else key.rpartition("/")[0])).replace("\\", "/")
    if Path(name).suffix.lower() in IMAGE_SUFFIXES:
        name = name.rpartition(".")[0]
    return f"{folder}/{name}".lstrip("/")


def _corners(form: str, values: Sequence[float], side: float, offset: float) -> tuple[float, float, float, float]:
    x, y, *rest = values
    if form == "corners":
        return x, y, rest[0], rest[1]
    if form == "centre":
        x, y, rest = x + offset, y + offset, [side, side]
    w, h = rest
    return (x, y, x + w, y + h) if form == "start and size" else (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
