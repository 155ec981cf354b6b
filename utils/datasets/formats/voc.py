"""Pascal VOC: one xml an image, whose xmin, ymin, xmax, ymax count pixels from 1, both ends inclusive."""

from __future__ import annotations

from typing import NamedTuple
from xml.etree import ElementTree

from utils.datasets.json_formats import IGNORE_FLAGS, MAX_NUMBER
from utils.system.errors import UserError

VOC_FILE = "a Pascal VOC file"
CORNERS = ("xmin", "ymin", "xmax", "ymax")


class VocObject(NamedTuple):
    """An object: its box in pixels from 0, right and bottom exclusive, its class, if any, or a region to ignore."""

    x1: float
    y1: float
    x2: float
    y2: float
    name: str
    ignored: bool


def as_flag(text: str) -> bool:
    """Whether a text says yes: 1 or true; 0, false and nothing say no.

    Raises:
        ValueError: it says neither.
    """
    plain = text.strip().lower().removesuffix(".0")
    if plain in ("", "0", "false", "no", "unspecified"):
        return False
    if plain in ("1", "true", "yes"):
        return True
    raise ValueError(f"found '{text.strip()[:20]}', expected 0 or 1")


def read_objects(root: ElementTree.Element, path: str) -> tuple[list[VocObject], tuple[int, int] | None]:
    """The objects in an xml, and the (height, width) that it declares for its image, if any.

    Raises:
        UserError: it is no VOC file.
    """
    found = []
    try:
        for item in root.iter("object"):
            x1, y1, x2, y2 = (float(item.find("bndbox").find(name).text) for name in CORNERS)
            flags = [as_flag(item.findtext(name) or "") for name in IGNORE_FLAGS]
            found.append(VocObject(x1 - 1, y1 - 1, x2, y2, (item.findtext("name") or "").strip(), any(flags)))
        height, width = (round(float(root.findtext(f"size/{name}") or 0)) for name in ("height", "width"))
        if max(height, width) > MAX_NUMBER:
            raise ValueError(f"a size of {width:g}x{height:g} is beyond all images")
    except (AttributeError, TypeError, ValueError, OverflowError) as error:
        raise _broken(path, error) from None
    return found, (height, width) if min(height, width) > 0 else None


def _broken(path: str, error: Exception) -> UserError:
    return UserError(f"{path}: not a VOC file with object/bndbox/xmin … ymax ({error}); correct it")
