"""What a json beside a dataset's lists holds, where that is no COCO file of boxes."""

from __future__ import annotations

import json
from typing import Any

from utils.system.errors import UserError
from utils.system.untrusted import read_text

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
    return f"a json with {'the keys ' + ', '.join(list(keys)[:4]) if keys else 'no keys'}"


def _first(items: Any) -> dict[str, Any]:
    """The first item of a list, where it is a dictionary, else {}."""
    return items[0] if isinstance(items, list) and items and isinstance(items[0], dict) else {}


def name_json_file(path: str) -> str:
    """`name_json` of a file; "" for one that is broken, of which whoever reads it says what is wrong."""
    try:
        return name_json(json.loads(read_text(path)))
    except (UserError, ValueError, RecursionError):
        return ""
