"""A folder of results of `vid_predict.py` as a sequence of the page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from utils.datasets.json_formats import MAX_NUMBER
from utils.images.components import label
from utils.images.image_files import read_frame
from utils.render.page_parts import HIT, encode_components
from utils.render.sequence import mask_name
from utils.system.errors import UserError
from utils.system.untrusted import read_text
from utils.video.sources import FrameSource, open_sources
from utils.view.contents import PageObject, PageSequence
from utils.view.grouping import extend_tracks

MAIN_FILE = "predictions.json"
SEGMENTATION = "segmentation"


def read_folder(folder: Path) -> PageSequence:
    """What was found in one sequence.

    Args:
        folder: of the results: predictions.json, and of tracks and classes coco.json; outlines are from masks/.

    Raises:
        UserError: it holds no such results, or they cannot be read.
    """
    path = folder / MAIN_FILE
    if not path.is_file():
        raise UserError(
            f"{folder}: found no {MAIN_FILE}, expected a folder of results of vid_predict.py; give that one"
        )
    try:
        about = json.loads(read_text(str(path)))
        annotations, classes = _read_coco(folder / "coco.json")
        records = about["frames"]
        width, height = (int(side) for side in about["size"])
        expected = [record["expected_false"] for record in records if "expected_false" in record]
        outlined = about["task"] == SEGMENTATION
        return PageSequence(
            str(about["sequence"]),
            str(about["source"]),
            (width, height),
            _number(about["fps"]),
            tuple(classes),
            [int(record["number"]) for record in records],
            [str(record["name"]) for record in records],
            extend_tracks(
                [
                    _objects(record, annotations.get(n + 1, []), _outlines(folder, record) if outlined else {})
                    for n, record in enumerate(records)
                ]
            ),
            expected_false=fmean(expected) if len(expected) == len(records) > 0 else None,
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, RecursionError) as error:
        raise UserError(
            f"{path}: found something else ({type(error).__name__}: {error}), expected what vid_predict.py writes; run "
            "it again"
        ) from None


def _read_coco(path: Path) -> tuple[dict[int, list[dict[str, Any]]], list[str]]:
    """Annotations by their image, and the classes' names."""
    content = json.loads(read_text(str(path)))
    found: dict[int, list[dict[str, Any]]] = {}
    for item in content["annotations"]:
        found.setdefault(item["image_id"], []).append(item)
    return found, [str(item["name"]) for item in content["categories"]]


def _objects(
    record: dict[str, Any], annotations: Sequence[dict[str, Any]], outlines: dict[tuple[int, ...], str]
) -> list[PageObject]:
    """The components of a frame, each with what coco.json says of its track, in the same order."""
    result = []
    for n, found in enumerate(record["components"]):
        x1, y1, x2, y2 = map(_number, found["box"])
        track = annotations[n].get("track_id") if n < len(annotations) else None
        outline = outlines.get((int(x1), int(y1), int(x2 - x1), int(y2 - y1)), "")
        result.append(
            PageObject(
                (x1, y1, x2 - x1, y2 - y1),
                _number(found["score"]),
                None if track is None else int(track),
                int(found.get("class", 0)),
                outline,
            )
        )
    return result


def _number(value: Any) -> float:
    if type(value) not in (int, float) or not abs(value) <= MAX_NUMBER:  # NaN is none
        raise ValueError("no number where one belongs")
    return float(value)


def _outlines(folder: Path, record: dict[str, Any]) -> dict[tuple[int, ...], str]:
    """Runs of the components of a frame's mask, by their boxes; {} without such a file, or where nothing is in it."""
    path = folder / mask_name(str(record["name"]))
    if not record["components"] or path.parent != folder / "masks" or not path.is_file():
        return {}
    mask = np.asarray(read_frame(path)) > 0
    return {tuple(part[:4]): part.runs for part in encode_components(label(mask), mask.shape[1], HIT)}


def find_source(folder: Path, sequence: PageSequence) -> FrameSource:
    """The frames that results are of, where predictions.json says that they are.

    Raises:
        UserError: they are not there any more.
    """
    try:
        sources = open_sources(sequence.source)
    except UserError as error:
        raise UserError(
            f"{folder}: the frames are not where they were ({error}); go to the folder that vid_predict.py ran in, or "
            "give the frames with --source"
        ) from None
    return choose_source(sources, sequence)


def choose_source(sources: Sequence[FrameSource], sequence: PageSequence) -> FrameSource:
    """Of several sources the one of a sequence's name; raises `UserError` where there is none."""
    found = [one for one in sources if one.name == sequence.name or len(sources) == 1]
    if len(found) != 1:
        raise UserError(
            f"{sequence.source}: found {len(sources)} sequences, none of them called {sequence.name}; give its frames "
            "with --source"
        )
    return found[0]
