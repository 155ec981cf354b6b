"""What json files hold: what a COCO file, and COCO results, may hold, and the names of other formats.

Others write these files: a number may be infinite or have thousands of digits, a text may hold what no file name and
no terminal takes, an entry may lack what every reader looks up. What has passed `require_coco` can be used without a
further look.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from utils.system.errors import UserError
from utils.system.notices import warn
from utils.system.untrusted import MAX_IMAGE_PIXELS, read_text

MAX_NUMBER = MAX_IMAGE_PIXELS  # no image is longer; a coordinate, an area or a score beyond is a slip
MAX_ID = 1 << 63
MAX_CHARACTERS = 4096  # of a path; no file system has longer ones
IGNORE_FLAGS = ("iscrowd", "ignore", "difficult")  # 1: a region to ignore, see `utils.datasets.frame_table.Frame`


class Field(NamedTuple):
    """What stands under a key: a test of its value, what the value should be, and whether it may be missing."""

    holds: Callable[[Any], bool]
    expected: str
    optional: bool = False


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and -MAX_NUMBER <= value <= MAX_NUMBER  # so NaN is none


def _is_id(value: Any) -> bool:
    return type(value) is int and -MAX_ID <= value < MAX_ID


def _is_text(value: Any) -> bool:
    if type(value) is not str or len(value) > MAX_CHARACTERS or "\0" in value:
        return False
    try:
        value.encode("utf-8", "surrogateescape")  # which stands for bytes of file names that are no text
    except UnicodeEncodeError:
        return False
    return True


def _is_box(value: Any) -> bool:
    if type(value) is not list or len(value) != 4:
        return False
    x, y, w, h = value  # in one go: there may be a hundred thousand of them
    return _is_number(x) and _is_number(y) and _is_number(w) and _is_number(h)


ID = Field(_is_id, "an integer")
IMAGE_ID = Field(lambda value: _is_id(value) or _is_text(value), "an integer or text")
TEXT = Field(_is_text, f"text of at most {MAX_CHARACTERS} characters")
BOX = Field(_is_box, "[x, y, w, h], four finite numbers in pixels")
NUMBER = Field(_is_number, "a finite number")
FLAG = Field(lambda value: type(value) in (int, float, bool) and value in (0, 1), "0 or 1", True)
SIDE = Field(lambda value: _is_number(value) and value >= 0, "a number of pixels", True)
LABEL = Field(lambda value: _is_id(value) or _is_text(value), "an integer or text", True)

SCHEMA: Mapping[str, Mapping[str, Field]] = {
    "images": {
        "id": IMAGE_ID,
        "file_name": Field(lambda value: _is_text(value) and bool(value), TEXT.expected),
        "width": SIDE,
        "height": SIDE,
    },
    "annotations": {
        "image_id": IMAGE_ID,
        "category_id": ID,
        "bbox": BOX,
        "id": LABEL,
        "area": NUMBER._replace(optional=True),
        "snr": NUMBER._replace(optional=True),
        "track_id": LABEL,
        **dict.fromkeys(IGNORE_FLAGS, FLAG),
    },
    "categories": {"id": ID, "name": LABEL},
}
RESULT_SCHEMA: Mapping[str, Field] = {
    "image_id": LABEL._replace(holds=lambda value: _is_number(value) or LABEL.holds(value), optional=False),
    "category_id": LABEL._replace(holds=lambda value: _is_number(value) or LABEL.holds(value), optional=False),
    "bbox": BOX,
    "score": NUMBER,
}


def load_json(path: str, advice: str) -> Any:
    """The content of a json file.

    Args:
        path: of the file.
        advice: what was expected and what to do, for the error.

    Raises:
        UserError: it cannot be read, or is no json.
    """
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:  # also numbers of thousands of digits, and lists in lists in lists
        raise UserError(f"{path}: not json ({error}); {advice}") from None


def find_flaw(entry: Any, fields: Mapping[str, Field]) -> str:
    """What is wrong with an entry, such as `'id', an integer: found "1"`; empty where nothing is."""
    if type(entry) is not dict:
        return f"dict of {', '.join(fields)}: found {shorten(entry)}"
    for key, (holds, expected, optional) in fields.items():
        value = entry.get(key)
        if (not optional) if value is None else not holds(value):
            return f"'{key}', {expected}: found {shorten(value) if key in entry else 'nothing'}"
    return ""


def shorten(value: Any, most: int = 40) -> str:
    """A value of a json file for people: on one line, not too long, in characters that every terminal has."""
    try:
        text = json.dumps(value)
    except RecursionError:
        text = f"a {type(value).__name__} in many others"
    return text if len(text) <= most else f"{text[:most]}…"


def require_coco(content: Any, path: str, advice: str) -> dict[str, Any]:
    """Look at the content of a COCO file.

    Args:
        content: of the json file.
        path: of the file, for the error.
        advice: what was expected and what to do, likewise.

    Returns:
        The content.

    Raises:
        UserError: something in it is not as `SCHEMA` has it, or a category id comes twice.
    """
    if not isinstance(content, dict):
        raise UserError(f"{path}: found a {type(content).__name__}, {advice}")
    for part, fields in SCHEMA.items():
        if not isinstance(content.get(part), list):
            keys = ", ".join(shorten(key)[1:-1] for key in list(content)[:6])
            raise UserError(f"{path}: found no list '{part}' (keys: {keys}), {advice}")
        for index, entry in enumerate(content[part]):
            if flaw := find_flaw(entry, fields):
                raise UserError(f"{path}: found an entry without a usable {flaw} ({part}, entry {index}); {advice}")
    counts = Counter(entry["id"] for entry in content["categories"])
    if twice := [number for number, count in counts.items() if count > 1]:
        raise UserError(f"{path}: found category id {twice[0]} twice; {advice}")
    return content


def is_ignored(annotation: Mapping[str, Any]) -> bool:
    """Whether an annotation is a region to ignore, by any of `IGNORE_FLAGS`."""
    return bool(annotation.get("iscrowd") or annotation.get("ignore") or annotation.get("difficult"))


def category_name(entry: Mapping[str, Any], otherwise: str) -> str:
    """The name of a category, `otherwise` where it has none."""
    name = entry.get("name")
    return otherwise if name is None else str(name)


def declared_size(image: Mapping[str, Any]) -> tuple[int, int] | None:
    """The (height, width) in pixels that an entry of `images` declares; None where it does not, or declares 0."""
    height, width = image.get("height"), image.get("width")
    return (round(height), round(width)) if height and width else None


NAMES_BY_KEYS = (  # of formats, by keys that all of their files have
    ({"images", "categories"}, "a COCO list of images without annotations"),
    ({"shapes", "imagePath"}, "labelme"),
    ({"exist", "gt_rect"}, "Anti-UAV, the boxes of one video"),
    ({"_via_img_metadata"}, "VGG Image Annotator (VIA)"),
    ({"datasetId", "frames"}, "a FLIR Conservator index"),
    ({"openlabel"}, "OpenLABEL"),
    ({"objects", "size"}, "Supervisely"),
    ({"videos", "annotations"}, "YouTube-VIS"),
    ({"items", "categories"}, "Datumaro"),
    ({"annotations", "item"}, "Darwin (V7)"),
)
NAMES_BY_FIRST_ITEM = (  # of formats that are lists, by keys of their first item
    ({"image_id", "score"}, "a list of detections (COCO results)"),
    ({"image", "annotations"}, "CreateML"),
    ({"data", "annotations"}, "Label Studio"),
    ({"name", "labels"}, "BDD100K (Scalabel)"),
    ({"Labeled Data"}, "Labelbox"),
    ({"data_row"}, "Labelbox"),
)


def name_json(content: Any) -> str:
    """The format of a json's `content`; "" where it is, or was meant as, a COCO file of boxes."""
    if isinstance(content, list):
        first = _first(content)
        return next((name for wanted, name in NAMES_BY_FIRST_ITEM if wanted <= first.keys()), "a list")
    if not isinstance(content, dict):
        return f"a {type(content).__name__}"
    keys = content.keys()
    if {"images", "annotations"} <= keys:
        first = _first(content["annotations"])
        return "COCO captions" if "caption" in first else "COCO panoptic" if "segments_info" in first else ""
    if name := next((name for wanted, name in NAMES_BY_KEYS if wanted <= keys), ""):
        return name
    if any("regions" in item and "filename" in item for item in content.values() if isinstance(item, dict)):
        return "VGG Image Annotator (VIA)"
    if {"images", "annotations"} & keys:
        return ""
    return f"a json with {'the keys ' + ', '.join(shorten(key)[1:-1] for key in list(keys)[:4]) if keys else 'no keys'}"


def _first(items: Any) -> dict[str, Any]:
    """The first item of a list, where it is a dictionary, else {}."""
    return items[0] if isinstance(items, list) and items and isinstance(items[0], dict) else {}


def name_json_file(path: str) -> str:
    """`name_json` of a file; "" for one that is broken, of which whoever reads it says what is wrong."""
    try:
        return name_json(json.loads(read_text(path)))
    except (UserError, ValueError, RecursionError):
        return ""


def complete_coco(content: Any, path: str) -> Any:
    """Bring other forms of a COCO file's `content` into the usual one, and return it.

    Polygons without `bbox` get the box around them, with a warning; ids in quotes become what the file calls an image,
    or the number of a category, where there is one such. Where no annotation has a `track_id`, one among its
    `attributes`, as CVAT writes it, or its `instance_id` where images have a `video_id`, as MMTracking's do, is that.

    Raises:
        UserError: segmentations are run lengths, and there is no `bbox`.
    """
    if not isinstance(content, dict):
        return content
    images, annotations, categories = (
        [item for item in _list(content, part) if isinstance(item, dict)]
        for part in ("images", "annotations", "categories")
    )
    boxed = [_add_box(item, path) for item in annotations if item.get("bbox") in (None, [])]
    if any(boxed):
        warn(f"{path}: {sum(boxed)} annotations have polygons and no 'bbox'; the boxes around these are taken")
    _unquote(categories, "id", annotations, "category_id")
    if all(item.get("track_id") is None for item in annotations):
        _add_tracks(annotations, any("video_id" in item for item in images))
    known = {item.get("id") for item in images if isinstance(item.get("id"), (int, str))}
    if any(isinstance(item.get("image_id"), (int, str)) and item["image_id"] not in known for item in annotations):
        by_number: dict[int, list[Any]] = {}
        for name in known:
            if (number := _to_number(name)) is not None:
                by_number.setdefault(number, []).append(name)
        for item in annotations:
            alike = by_number.get(_to_number(item.get("image_id")), ())
            if len(alike) == 1:
                item["image_id"] = alike[0]
    return content


def _list(content: dict[str, Any], key: str) -> list[Any]:
    found = content.get(key)
    return found if isinstance(found, list) else []


def _add_box(item: dict[str, Any], path: str) -> bool:
    """Give an annotation the `bbox` around its polygons, where it has some."""
    shape = item.get("segmentation")
    if isinstance(shape, dict) and "counts" in shape:
        raise UserError(
            f"{path}: found a segmentation in run lengths (RLE) without a 'bbox', which is not read, expected boxes or "
            "polygons; export them"
        )
    polygons = shape if isinstance(shape, list) and all(isinstance(part, list) for part in shape) else []
    values = [value for part in polygons for value in part]
    if len(values) < 6 or len(values) % 2 or not all(type(value) in (int, float) for value in values):
        return False
    x, y = values[::2], values[1::2]
    item["bbox"] = [min(x), min(y), max(x) - min(x), max(y) - min(y)]
    return True


def _add_tracks(annotations: list[dict[str, Any]], of_videos: bool) -> None:
    """Give annotations the `track_id` that other programs write elsewhere."""
    for item in annotations:
        attributes = item.get("attributes")
        track = attributes.get("track_id") if isinstance(attributes, dict) else None
        track = item.get("instance_id") if track is None and of_videos else track
        if LABEL.holds(track):
            item["track_id"] = track


def _to_number(name: Any) -> int | None:
    """An id as a number, where it is one or consists of at most 18 digits."""
    if type(name) is int:
        return name
    return int(name) if isinstance(name, str) and name.isdecimal() and len(name) <= 18 else None


def _unquote(items: list[dict[str, Any]], key: str, others: list[dict[str, Any]], other_key: str) -> None:
    """Make numbers of ids in quotes, of which no two are the same number."""
    numbers = [_to_number(item.get(key)) for item in items]
    if None in numbers or len(set(numbers)) < len(numbers):
        return
    for part, name in ((items, key), (others, other_key)):
        for item in part:
            if (number := _to_number(item.get(name))) is not None:
                item[name] = number
