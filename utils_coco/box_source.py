"""The boxes that go out to other programs' formats: of a COCO json, of COCO results, or of `vid_predict.py`."""

from __future__ import annotations

import math
import os
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from utils.datasets.building import build_folder
from utils.datasets.coco import coco_entries, load_coco, number_tracks
from utils.datasets.json_formats import (
    IGNORE_FLAGS,
    RESULT_SCHEMA,
    SCHEMA,
    category_name,
    declared_size,
    find_flaw,
    is_ignored,
    load_json,
    shorten,
)
from utils.images.folders import FRAME_FOLDERS
from utils.images.image_files import image_size
from utils.system.command_line import Parser
from utils.system.errors import UserError
from utils.system.files import writing
from utils.system.outputs import require_apart
from utils_coco.borders import Borders, add_cut_option
from utils_coco.coco_files import files_of, find_images, write_list
from utils_coco.coco_to_txt import list_extras
from utils_coco.predicted_boxes import COCO_OF_RESULTS, coco_of_predictions, coco_of_tracks, is_predictions

KEYS_HELD = {  # by every format; sizes are those of the files
    "images": ("id", "file_name", "width", "height", "frame", "sequence"),
    "annotations": ("id", "image_id", "category_id", "bbox", "track_id", "score", *IGNORE_FLAGS),
    "categories": ("id", "name"),
}
RESULT_FIELDS = {**{key: SCHEMA["annotations"][key] for key in ("track_id", *IGNORE_FLAGS)}, **RESULT_SCHEMA}
RESULTS_ADVICE = "expected a COCO file, or COCO results, a list of {image_id, category_id, bbox, score}"


class SourceBox(NamedTuple):
    """A box of an image: its corners in pixels from 0 with every decimal, and the place of its category from 0."""

    x1: Decimal
    y1: Decimal
    x2: Decimal
    y2: Decimal
    category: int
    track: int | None = None
    ignored: bool = False
    score: Decimal | None = None


@dataclass(frozen=True)
class BoxSource:
    """Images and their boxes, which fit them.

    Args:
        path: of the file, for errors.
        content: the COCO dictionary.
        names: of the images, with `--image-root` their paths below it.
        files: the images themselves, None without `--image-root`.
        sizes: (height, width), None where that is not known.
        boxes: of each image, in the order of the annotations.
        categories: names, by their ids in ascending order.
        borders: what was cut.
    """

    path: str
    content: dict[str, Any]
    names: list[str]
    files: list[str] | None
    sizes: list[tuple[int, int] | None]
    boxes: list[list[SourceBox]]
    categories: list[str]
    borders: Borders

    def said(self, lost: Sequence[str], what: str) -> list[str]:
        """Lines about what was cut, what was not looked at, and what is `lost` as `what` cannot hold it."""
        lines = self.borders.said()
        if unknown := self.sizes.count(None):
            lines.append(
                f"not checked for boxes outside of them: {unknown} images without width and height; give --image-root "
                "to read them from the files"
            )
        return lines + ([f"left out, as {what} cannot hold it: {'; '.join(lost)}"] if lost else [])

    def list_lost(self, held: Collection[str] = ()) -> list[str]:
        """What no format holds, with its counts; and scores, regions to ignore and ids of tracks unless `held`."""
        lost = list_extras(self.content, KEYS_HELD)
        texts = [name for name in number_tracks(self.content["annotations"]) if isinstance(name, str)]
        boxes = [box for own in self.boxes for box in own]
        counts = Counter(
            score=sum(box.score is not None for box in boxes),
            ignored=sum(box.ignored for box in boxes),
            track=sum(box.track is not None for box in boxes),
        )
        for name, text in (
            ("score", "scores ({} boxes)"),
            ("ignored", "regions to ignore, with their boxes ({} boxes)"),
            ("track", "ids of tracks ({} boxes)"),
        ):
            lost += [text.format(counts[name])] if counts[name] and name not in held else []
        if texts and "track" in held:
            lost.append(f"ids of tracks that are text, which are numbered ({len(texts)} tracks)")
        return lost


def source_parser(command: str, description: str, out: str) -> Parser:
    """The options that the converters to other programs' formats share.

    Args:
        command: name of the module.
        description: its docstring, of which the part before the colon is shown.
        out: what `--out` is.
    """
    parser = Parser(prog=f"python -m utils_coco.{command}", description=description.split(":")[0] + ".")
    parser.add_argument(
        "source",
        metavar="FILE",
        help="COCO json with boxes, COCO results, or what vid_predict.py has written: its folder, predictions.json or "
        "tracks.csv",
    )
    parser.add_argument("--out", required=True, metavar="DIR", help=out)
    parser.add_argument("--images", metavar="FILE.json", help="of COCO results: the COCO file whose ids they have")
    parser.add_argument(
        "--image-root",
        metavar="DIR",
        help="dataset folder: name the images by their paths below it, and check sizes (default: names as they are)",
    )
    add_cut_option(parser)
    return parser


def open_boxes(
    source: str, images: str | None = None, image_root: str | None = None, borders: Borders | None = None
) -> BoxSource:
    """Read the boxes of a source, and hold them against their images.

    Args:
        source: a COCO json, COCO results, or a folder, predictions.json or tracks.csv of `vid_predict.py`.
        images: the COCO file whose images and categories results are about.
        image_root: a dataset's folder; its images are looked up there, and named by their paths below it.
        borders: what is done with boxes that do not fit.

    Raises:
        UserError: none of these, boxes of no area or outside their images, an image that is missing or of another size
            than the source declares.
    """
    borders = borders or Borders(exact=True)
    if os.path.isdir(source):
        source = os.path.join(source, COCO_OF_RESULTS)
    content = _read_content(source, images)
    names, files = [image["file_name"] for image in content["images"]], None
    sizes = list(map(declared_size, content["images"]))
    if image_root:
        names = find_images(names, files_of(image_root), source)
        files = [os.path.join(image_root, name) for name in names]
        declared, sizes = sizes, list(map(image_size, files))
        for name, own, size in zip(names, declared, sizes, strict=True):
            borders.look_at_size(f"{source}: {name}", own, size)
    boxes = _fit(content, sizes, borders, source)
    listed = sorted(content["categories"], key=lambda item: item["id"])
    categories = [category_name(item, f"class{number}") for number, item in enumerate(listed)]
    return BoxSource(source, content, names, files, sizes, boxes, categories, borders)


def _read_content(source: str, images: str | None) -> dict[str, Any]:
    """The content of a COCO json; of COCO results with the images and categories of `images`.

    Raises:
        UserError: none of these; results without `images`, or of others; or parts that do not refer to each other.
    """
    table = source.lower().endswith(".csv")
    content, path = coco_of_tracks(Path(source)) if table else load_json(source, RESULTS_ADVICE), source
    if not isinstance(content, list):
        if images:
            raise UserError(f"--images: found with {source}, which has its own images; leave it out")
        if is_predictions(content):
            content = coco_of_predictions(content, source)
        elif not table:
            content = load_coco(source)
    elif images is None:
        raise UserError(
            f"{source}: found a list of results, which says nothing of images, expected --images too; give the COCO "
            "file that its ids are from"
        )
    else:
        for index, item in enumerate(content):
            if flaw := find_flaw(item, RESULT_FIELDS):
                raise UserError(f"{source}: entry {index} is {shorten(item, 80)}, without a usable {flaw}")
        content, path = {**load_coco(images), "annotations": content}, f"{source} with {images}"
    coco_entries(content, path)
    return content


def _fit(
    content: dict[str, Any], sizes: Sequence[tuple[int, int] | None], borders: Borders, source: str
) -> list[list[SourceBox]]:
    """The boxes of each image, inside of it."""
    order = {image["id"]: index for index, image in enumerate(content["images"])}
    classes = {number: index for index, number in enumerate(sorted(item["id"] for item in content["categories"]))}
    tracks = number_tracks(content["annotations"])
    found: list[list[SourceBox]] = [[] for _ in order]
    for item in content["annotations"]:
        index = order[item["image_id"]]
        x, y, w, h = (Decimal(repr(value)) for value in item["bbox"])
        score = item.get("score")
        box = SourceBox(
            *(x, y, x + w, y + h, classes[item["category_id"]], tracks.get(item.get("track_id")), is_ignored(item)),
            None if score is None else Decimal(repr(score)),
        )
        place = f"{source}: {content['images'][index]['file_name']}"
        fitted = borders.fit(place, box, sizes[index] or (math.inf, math.inf))
        if fitted is not None:
            found[index].append(SourceBox(*fitted))
    borders.require("correct the json")
    return found


def videos_of(names: Sequence[str], source: str) -> Mapping[str, list[int]]:
    """The places of images among `names` by their video, which is the path of a folder without `img` or the like in it.

    Args:
        names: paths of the images.
        source: the list that names them; after its folder, or the one around `annotations/`, images are called that
            lie in no folder.

    Raises:
        UserError: a name leads out of its folder.
    """
    folders: dict[str, list[int]] = defaultdict(list)
    above = Path(source).resolve().parent
    otherwise = (above.parent if above.name.lower() == "annotations" else above).name or "video"
    for index, path in enumerate(map(plain_path, names)):
        if ".." in path.split("/"):
            raise UserError(f"{source}: found '{path}', which leads out of its folder; correct that name")
        folder = path.rpartition("/")[0]
        outer, _, last = folder.rpartition("/")
        folders[(outer if last in FRAME_FOLDERS else folder) or otherwise].append(index)
    return folders


def plain_path(name: str) -> str:
    """An image's path with slashes, and none in front."""
    return name.replace("\\", "/").lstrip("/")


def stem_of(name: str) -> str:
    """The name of an image file without its folder and ending."""
    return os.path.splitext(plain_path(name).rpartition("/")[2])[0]


def plain_number(value: int | Decimal) -> str:
    """A number in digits, with no more decimals than it has."""
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)


def place_in(folder: str, name: str, suffix: str) -> Path:
    """Where the labels of an image go: `folder` mirrors `images/`, with another ending.

    Raises:
        UserError: the name leads out of it.
    """
    parts = [part for part in plain_path(name).split("/") if part not in ("", ".")]
    parts = parts[1:] if parts[:1] == ["images"] else parts
    if not parts or ".." in parts:
        raise UserError(f"{name[:200]}: found a name that leads out of its folder; correct it")
    return Path(folder, *parts[:-1], os.path.splitext(parts[-1])[0] + suffix)


def write_new_folder(out: str, texts: Mapping[Path, str], read: Sequence[str | None]) -> None:
    """Write files into a new folder, which appears as a whole.

    Args:
        out: path of the folder.
        texts: of the files, by their paths below it.
        read: files and folders that are read, which it must be apart from.

    Raises:
        UserError: there is something already, or it cannot be written.
    """
    if os.path.exists(out) and not (os.path.isdir(out) and not os.listdir(out)):
        raise UserError(f"{out}: found something there, expected a new or empty folder; give another --out")
    require_apart(out, [path for path in read if path])
    with writing(out, "give another --out"), build_folder(out) as work:
        for path, text in texts.items():
            (work / path).parent.mkdir(parents=True, exist_ok=True)
            write_list(work / path, text)
