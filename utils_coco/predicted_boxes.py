"""What `vid_predict.py` has found, as COCO: its predictions.json, its tracks.csv, or the coco.json in its folder."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from utils.datasets.coco import TARGET_CATEGORY, box_entry, category_entries, coco_content, image_entry
from utils.datasets.json_formats import BOX, ID, MAX_ID, MAX_NUMBER, NUMBER, TEXT, Field, find_flaw, load_json, shorten
from utils.system.errors import UserError
from utils.system.untrusted import read_text
from utils.video.capture import VIDEO_SUFFIXES

COCO_OF_RESULTS, PREDICTIONS = "coco.json", "predictions.json"
TRACK_COLUMNS = ("id", "frame", "x", "y", "w", "h", "score")
TRACK_ADVICE = f"expected numbers for {','.join(TRACK_COLUMNS)}, as in tracks.csv; write it again"
PREDICTION_ADVICE = "expected predictions.json of vid_predict.py; write it again"
FRAME = {"number": ID, "name": TEXT, "components": Field(lambda value: isinstance(value, list), "a list")}
CORNERS = BOX._replace(expected="[x1, y1, x2, y2], four finite numbers in pixels")
CLASS = Field(lambda value: type(value) is int and 0 <= value < 10_000, "a class from 0", True)
COMPONENT = {"box": CORNERS, "score": NUMBER, "class": CLASS, "track": ID._replace(optional=True)}


def is_predictions(content: Any) -> bool:
    """Whether the content of a json is that of predictions.json."""
    return isinstance(content, dict) and {"frames", "task", "size"} <= content.keys() and "images" not in content


def coco_of_predictions(content: dict[str, Any], path: str) -> dict[str, Any]:
    """The components of all frames as a COCO dictionary; ids of tracks stand in tracks.csv and coco.json.

    Args:
        content: of predictions.json.
        path: of the file, for errors.

    Raises:
        UserError: something in it is not what it should be.
    """
    images, annotations = _images_of(content, path), []
    for image, frame in zip(images, content["frames"], strict=True):
        for item in frame["components"]:
            if flaw := find_flaw(item, COMPONENT):
                raise UserError(
                    f"{path}: frame {frame['number']}: found a component without a usable {flaw}; {PREDICTION_ADVICE}"
                )
            x1, y1, x2, y2 = item["box"]
            box = [x1, y1, round(x2 - x1, 3), round(y2 - y1, 3)]
            track = {} if item.get("track") is None else {"track_id": item["track"]}
            number, category = len(annotations) + 1, (item.get("class") or 0) + 1
            annotations.append(box_entry(number, image["id"], category, bbox=box, score=item["score"], **track))
    count = max((item["category_id"] for item in annotations), default=1)
    names = [TARGET_CATEGORY] if count == 1 else [f"class{number}" for number in range(count)]
    return coco_content(images, annotations, category_entries(names))


def film_of(path: str) -> str:
    """The name of the video file that results are of, "" where they are of none or are no results.

    Args:
        path: of one of the files in a folder of results.
    """
    beside = Path(path).with_name(PREDICTIONS)
    try:
        content = load_json(str(beside), PREDICTION_ADVICE) if beside.is_file() else None
    except UserError:  # some other file of that name
        content = None
    source = content.get("source") if is_predictions(content) else None
    film = Path(source.replace("\\", "/")) if TEXT.holds(source) else Path()
    return film.name if film.suffix.lower() in VIDEO_SUFFIXES else ""


def _images_of(content: dict[str, Any], path: str) -> list[dict[str, Any]]:
    """The frames as images of a COCO file; raises `UserError` where they are none."""
    frames, size = content["frames"], content["size"]
    if not (isinstance(size, list) and len(size) == 2 and all(type(v) is int and 0 < v <= MAX_NUMBER for v in size)):
        raise UserError(f"{path}: found size {shorten(size)}, expected [width, height]; {PREDICTION_ADVICE}")
    if not isinstance(frames, list):
        raise UserError(f"{path}: found frames {shorten(frames)}, expected a list; {PREDICTION_ADVICE}")
    for index, frame in enumerate(frames):
        if flaw := find_flaw(frame, FRAME):
            raise UserError(f"{path}: found frame {index} of the list without a usable {flaw}; {PREDICTION_ADVICE}")
    return [
        image_entry(number, f"{frame['name']}.png", (size[1], size[0]), frame=frame["number"])
        for number, frame in enumerate(frames, 1)
    ]


def coco_of_tracks(path: Path) -> dict[str, Any]:
    """The boxes of tracks.csv as a COCO dictionary of one class, with the frames of predictions.json beside it.

    Raises:
        UserError: a file is missing or broken, or a row is of a frame that predictions.json does not have.
    """
    beside = path.with_name(PREDICTIONS)
    if not beside.is_file():
        raise UserError(f"{path}: found no {PREDICTIONS} beside it, expected that of the same run; put it there")
    content = load_json(str(beside), PREDICTION_ADVICE)
    if not is_predictions(content):
        raise UserError(f"{beside}: {PREDICTION_ADVICE}")
    images, annotations = _images_of(content, str(beside)), []
    ids = {image["frame"]: image["id"] for image in images}
    reader = csv.DictReader(read_text(str(path)).splitlines())
    try:
        if missing := [name for name in TRACK_COLUMNS if name not in (reader.fieldnames or ())]:
            raise UserError(f"{path}: found no column {missing[0]}, {TRACK_ADVICE}")
        for row in reader:
            track, frame, box, score = _track_row(row, path, reader.line_num)
            if frame not in ids:
                raise UserError(
                    f"{path}: line {reader.line_num}: found frame {frame}, which is none of {beside}; give "
                    "the files of one run"
                )
            annotations.append(box_entry(len(annotations) + 1, ids[frame], 1, bbox=box, score=score, track_id=track))
    except csv.Error as error:
        raise UserError(f"{path}: not a csv file ({error}); write it again") from None
    return coco_content(images, annotations, category_entries([TARGET_CATEGORY]))


def _track_row(row: dict[Any, Any], path: Path, line: int) -> tuple[int, int, list[float], float]:
    """Id, frame, x, y, w, h and score of a line; raises `UserError` where it has none."""
    try:
        track, frame = int(row["id"]), int(row["frame"])
        *box, score = (float(row[name]) for name in TRACK_COLUMNS[2:])
        sound = 0 <= track < MAX_ID and abs(frame) < MAX_ID and all(abs(v) <= MAX_NUMBER for v in (*box, score))
    except (TypeError, ValueError):
        sound = False
    if not sound:
        words = ",".join(str(row.get(name)) for name in TRACK_COLUMNS)[:60]
        raise UserError(
            f"{path}: line {line}: found {words}, expected numbers for {','.join(TRACK_COLUMNS)}; correct it"
        )
    return track, frame, box, score
