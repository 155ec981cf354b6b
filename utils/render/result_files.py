"""Results of one sequence as files: all of it as JSON, and for other programs COCO json and CSV tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from utils.datasets.coco import box_entry, category_entries, coco_content, image_entry
from utils.predictor.calibration.log import ThresholdLog
from utils.predictor.prediction import Component, Prediction, TrackPoint, match_components
from utils.predictor.tracking.tracker import Tracker
from utils.system.files import GrowingFile, Reserve, encode_text, write_rows, writing
from utils.video.sources import SourceFrame

RESULT_FILES = ("predictions.json", "coco.json", "detections.csv", "tracks.csv")
DETECTION_COLUMNS = ("frame", "name", "class", "x", "y", "w", "h", "score", "track")
TRACK_COLUMNS = ("id", "frame", "x", "y", "w", "h", "score", "speed")
JSON_SHARE = 1.6  # JSON takes at most so many times the room of Python's own text


class _Table:
    """A CSV file that grows by whole lines, so that what was done is there whatever happens next."""

    def __init__(self, path: Path, head: tuple[str, ...]) -> None:
        self.path = path
        with writing(path):
            self.file = GrowingFile(path)
        self.write(head)

    def write(self, *rows: Any) -> None:
        text = io.StringIO(newline="")
        csv.writer(text).writerows(rows)
        with writing(self.path):
            self.file.write(encode_text(text.getvalue()))

    def close(self) -> None:
        self.file.close()


@dataclass
class Tally:
    """How many frames were done, how much was found in them, and how much of it is right.

    `targets` and `hits` are of the `known_frames`, those whose truth is known; `false` is what else was found in these.
    """

    frames: int = 0
    found: int = 0
    known_frames: int = 0
    targets: int = 0
    hits: int = 0
    false: int = 0

    def add(self, found: int, targets: int | None, hits: int) -> None:
        """Count a frame in which so much was `found`; `targets` is None where its truth is not known."""
        self.frames += 1
        self.found += found
        if targets is not None:
            self.known_frames += 1
            self.targets += targets
            self.hits += hits
            self.false += found - hits


def as_record(frame: SourceFrame, prediction: Prediction, targets: int | None, hits: int) -> dict[str, Any]:
    """One frame of predictions.json; boxes are x1, y1, x2, y2 and centroids x, y in original pixels, times seconds.

    A detector's `components` are its boxes above the threshold, as drawn; `detections` are all that it found.

    Args:
        frame: of the source.
        prediction: of this frame, in its pixels.
        targets: number of its true targets, None where they are not known.
        hits: how many of them were found.
    """
    record: dict[str, Any] = {
        "number": frame.number,
        "name": frame.name,
        **({} if frame.time is None else {"time": round(frame.time, 6)}),
        "components": [
            {
                "score": round(found.score, 6),
                "box": [round(value, 3) for value in found.box],
                "centroid": [round(value, 3) for value in found.centroid],
                "area": found.area,
                **({} if prediction.boxes is None else {"class": found.category}),
            }
            for found in prediction.components
        ],
    }
    if prediction.expected_false is not None:
        record |= {"threshold": prediction.threshold, "expected_false": round(prediction.expected_false, 6)}
    if prediction.boxes is not None:
        record["detections"] = [
            {"score": round(row[4], 6), "box": [round(value, 3) for value in row[:4]], "class": int(row[5])}
            for row in prediction.boxes.tolist()
        ]
    if targets is not None:
        record |= {"targets": targets, "hits": hits}
    return record


class Results:
    """Writes `predictions.json`, `coco.json`, `detections.csv` and `tracks.csv` into a folder while frames come in.

    The tables grow line by line, the JSON files are written when the `with` block is left, also by an error; a reserve
    keeps room for them, so that a disk that fills up leaves them whole.

    In tables and `coco.json` boxes are x, y, w, h in pixels of the frame, from 0; `speed` is in pixels a frame; `frame`
    is the frame's number.

    Args:
        folder: that exists.
        about: the head of `predictions.json`; `size` (w, h) and `frames` are added to it.
        categories: names of the classes.
        tracker: None leaves tracks out.

    Raises:
        UserError: a file cannot be written. Also by `add` and at the end.
    """

    def __init__(self, folder: Path, about: dict[str, Any], categories: list[str], tracker: Tracker | None) -> None:
        self.folder, self.about, self.tracker = folder, about, tracker
        self.reserve = Reserve(folder)
        self.detections = _Table(folder / "detections.csv", DETECTION_COLUMNS)
        self.tracks = _Table(folder / "tracks.csv", TRACK_COLUMNS) if tracker else None
        self.tally, self.thresholds = Tally(), ThresholdLog()
        self.records: list[dict[str, Any]] = []
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []
        self.categories = category_entries(categories)
        self.ids: set[int] = set()

    def add(self, frame: SourceFrame, prediction: Prediction, targets: Sequence[Component] | None) -> list[TrackPoint]:
        """Take in a frame.

        Args:
            frame: the next one.
            prediction: of this frame, in its pixels.
            targets: its true targets, None where they are not known.

        Returns:
            The tracks in it.

        Raises:
            UserError: a file cannot be written.
        """
        tracked = self.tracker.follow(frame.number, prediction) if self.tracker else []
        self.ids |= {row.id for row in tracked}
        rows, new = self._rows(frame, prediction, {row.detection: row.id for row in tracked})
        image = image_entry(
            len(self.images) + 1,
            Path(frame.path).name if frame.path else f"{frame.name}.png",
            frame.image.shape,
            frame=frame.number,
        )
        count, hits = None, 0
        if targets is not None:
            count, hits = len(targets), int((match_components(targets, prediction.components) >= 0).sum())
        record = as_record(frame, prediction, count, hits)
        self.reserve.grow(int(JSON_SHARE * len(ascii((record, image, new)))))
        self.about.setdefault("size", frame.image.shape[::-1])
        self.records.append(record)
        self.tally.add(len(prediction.components), count, hits)
        self.thresholds.add(prediction)
        self.images.append(image)
        self.annotations += new
        self.detections.write(*rows)
        if self.tracks:
            self.tracks.write(
                *(
                    (
                        row.id,
                        row.frame,
                        *(round(value, 3) for value in (row.x, row.y, row.w, row.h)),
                        round(row.score, 6),
                        round(row.speed, 4),
                    )
                    for row in tracked
                )
            )
        return tracked

    def _rows(
        self, frame: SourceFrame, prediction: Prediction, owners: dict[int, int]
    ) -> tuple[list[tuple], list[dict[str, Any]]]:
        """The frame's lines of detections.csv and its annotations of coco.json; `owners` are its detections' tracks."""
        rows, annotations = [], []
        for index, found in enumerate(prediction.components):
            x1, y1, x2, y2 = (round(float(value), 3) for value in found.box)
            box, score = [x1, y1, round(x2 - x1, 3), round(y2 - y1, 3)], round(float(found.score), 6)
            rows.append((frame.number, frame.name, found.category, *box, score, owners.get(index, "")))
            track = {"track_id": owners[index]} if index in owners else {}
            annotations.append(
                box_entry(
                    len(self.annotations) + index + 1,
                    len(self.images) + 1,
                    found.category + 1,
                    bbox=box,
                    area=found.area,
                    iscrowd=0,
                    segmentation=[],
                    score=score,
                    **track,
                )
            )
        return rows, annotations

    def _write_json(self, name: str, content: dict[str, Any]) -> None:
        write_rows(self.folder / name, content)

    def paths(self) -> list[Path]:
        """The files."""
        return [
            self.folder / "predictions.json",
            self.folder / "coco.json",
            self.detections.path,
            *([self.tracks.path] if self.tracks else []),
        ]

    def __enter__(self) -> Results:
        return self

    def __exit__(self, *_: object) -> None:
        with ExitStack() as stack:  # one that fails must not keep the others from being written
            stack.callback(self._write_json, "coco.json", coco_content(self.images, self.annotations, self.categories))
            if self.records:
                stack.callback(self._write_json, "predictions.json", self.about | {"frames": self.records})
            stack.callback(self.reserve.release)
            for one in filter(None, (self.detections, self.tracks)):
                stack.callback(one.close)
