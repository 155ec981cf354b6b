"""Label formats that are recognised by a look at a file, so that they can be named; most are not read.

`READ_LAST` are those that are, where nothing else that is read lies beside them.
"""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

from utils.datasets.json_formats import name_json_file
from utils.system.errors import UserError
from utils.system.untrusted import parse_xml, read_text

NUMBER = re.compile(r"-?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
MAX_LINES_LOOKED_AT = 20
MOT_NAMES = ("gt", "det")
MOT_FORMATS = ("MOTChallenge", "MOTChallenge, or VisDrone-VID and UAVDT")
# which are read where nothing else is, the likelier first; `utils_coco.label_kinds.LABEL_KINDS` by format
READ_LAST = {"CVAT": "cvat", "labelme": "labelme", **dict.fromkeys(MOT_FORMATS, "mot")}
GENERIC_ADVICE = "export them as COCO, CVAT, YOLO or Pascal VOC"


def name_xml(root: ElementTree.Element) -> str:
    """The format of an xml; "" where it is, or was meant as, Pascal VOC."""
    if root.tag == "annotations" and (root.find("image") is not None or root.find("track") is not None):
        return "CVAT"
    for tag, name in (
        ("annotations", "CVAT"),
        ("sequence", "UA-DETRAC"),
        ("dataset", "dlib (imglab)"),
        ("HRSC_Image", "HRSC2016"),
        ("viper", "ViPER"),
        ("tagset", "TagSet"),
    ):
        if root.tag == tag:
            return name
    if root.find("objects/object/points") is not None:
        return "FAIR1M"
    found = root.find("object")
    if found is not None and found.find("bndbox") is None:
        if found.find("robndbox") is not None:
            return "roLabelImg (rotated boxes)"
        if found.find("polygon") is not None:
            return "LabelMe polygons"
    return "" if root.tag == "annotation" else f"an xml of <{root.tag[:40]}>"


def name_text(path: Path, text: str) -> str:
    """The format of a text file; "" where it may be YOLO's, or is none of these."""
    lines = [line.strip() for line in text.splitlines()[:MAX_LINES_LOOKED_AT] if line.strip()]
    table = path.stem.lower() in MOT_NAMES
    if not lines:
        return MOT_FORMATS[0] if table else ""
    if re.match(r"(imagesource|gsd):", lines[0]):
        return "DOTA"
    rows = [[word for word in re.split(r"[,\s]+", line) if word] for line in lines]
    numeric = all(NUMBER.fullmatch(word) for row in rows for word in row)
    commas = "," in lines[0]
    count = len(rows[0])
    if any(len(row) != count for row in rows):
        return MOT_FORMATS[0] if table and commas and all(map(NUMBER.fullmatch, rows[0])) else ""
    if numeric and path.stem.lower().startswith("groundtruth") or (numeric and count == 4):
        return "one box a frame, as in OTB, LaSOT, GOT-10k and VOT"
    if numeric and commas:
        if count in (6, 7, 9, 10):
            return MOT_FORMATS[not table]
        return "VisDrone (boxes of one image)" if count == 8 else ""
    if not commas and count >= 9 and all(map(NUMBER.fullmatch, rows[0][:8])) and not NUMBER.fullmatch(rows[0][8]):
        return "DOTA"
    if not commas and count >= 15 and sum(bool(NUMBER.fullmatch(word)) for word in rows[0]) == count - 1:
        return "KITTI"
    return ""


def name_format(path: Path) -> str:
    """The format of a label file that is recognised and not read; "" for all others, broken ones too."""
    suffix = path.suffix.lower()
    if suffix == ".json":
        return name_json_file(str(path))
    try:
        if suffix == ".xml":
            return name_xml(parse_xml(str(path), "labels"))
        return name_text(path, read_text(str(path))) if suffix == ".txt" else ""
    except UserError:
        return ""  # whoever reads it says what is wrong


class UnreadFiles:
    """Files that were recognised as something that is not read, by what they are."""

    def __init__(self) -> None:
        self.files: dict[str, list[Path]] = {}

    def takes(self, path: Path, name: str | None = None) -> bool:
        """Look at a file, and keep it where it is such.

        Args:
            path: of the file.
            name: of its format, as of `name_format`, if that is known.
        """
        name = name_format(path) if name is None else name
        if name:
            self.files.setdefault(name, []).append(path)
        return bool(name)

    def said(self) -> list[str]:
        """A line for each kind of files."""
        return [
            f"{paths[0]}: found {name}, which is passed over (the first of {len(paths)} such files)"
            for name, paths in self.files.items()
        ]

    def refuse(self, all_kinds: bool = False) -> None:
        """Raise `UserError` where labels that are not read are among them.

        With `all_kinds` for other things too, called `a …`.
        """
        for name, paths in self.files.items():
            count = f"(the first of {len(paths)} such files)"
            if name in READ_LAST:
                raise UserError(
                    f"{paths[0]}: found labels of the format {name} {count}, expected other ones; give --kind "
                    f"{READ_LAST[name]}, which reads them"
                )
            if not name.startswith(("a ", "an ")):
                raise UserError(
                    f"{paths[0]}: found labels of the format {name} {count}, which is not read; {GENERIC_ADVICE}, or "
                    "say with --kind what else is to be read"
                )
            if all_kinds:
                raise UserError(f"{paths[0]}: found {name} {count}, expected labels; give another --labels")
