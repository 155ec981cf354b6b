"""Results of one sequence as files for other programs: COCO json, CSV of detections, CSV of tracks."""
from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from utils.errors import UserError
from utils.files import write_json
from utils.prediction import Prediction
from utils.tracker import Tracked, Tracker
from utils.video import SourceFrame

DETECTIONS = ("frame", "name", "class", "x", "y", "w", "h", "score", "track")
TRACKS = ("id", "frame", "x", "y", "w", "h", "score", "speed")


class _Table:
    """A CSV file that grows line by line, so that what was done is there whatever happens next."""

    def __init__(self, path: Path, head: tuple[str, ...]) -> None:
        self.path = path
        self.file = open(path, "w", newline="", encoding="utf-8")  # noqa: SIM115 - stays open until `close`
        self.writer = csv.writer(self.file)
        self.write(head)

    def write(self, *rows: Any) -> None:
        try:
            self.writer.writerows(rows)
            self.file.flush()
        except OSError as error:
            raise UserError(f"{self.path}: cannot be written ({error.strerror}); check the space left") from None

    def close(self) -> None:
        self.file.close()


class Results:
    """Writes `detections.csv`, `tracks.csv` and `coco.json` into a folder while frames come in.

    Boxes are x, y, w, h in pixels of the frame, from 0; `speed` is in pixels a frame; `frame` is the frame's number.

    Args:
        folder: that exists.
        categories: names of the classes.
        tracker: None leaves tracks out.
    """

    def __init__(self, folder: Path, categories: list[str], tracker: Tracker | None) -> None:
        self.folder, self.tracker = folder, tracker
        folder.mkdir(parents=True, exist_ok=True)
        self.detections = _Table(folder / "detections.csv", DETECTIONS)
        self.tracks = _Table(folder / "tracks.csv", TRACKS) if tracker else None
        self.images: list[dict[str, Any]] = []
        self.annotations: list[dict[str, Any]] = []
        self.categories = [{"id": number, "name": name} for number, name in enumerate(categories, 1)]
        self.ids: set[int] = set()

    def add(self, frame: SourceFrame, prediction: Prediction) -> list[Tracked]:
        """Take in a frame's prediction; returns the tracks that are in it."""
        tracked = self.tracker.update(frame.number, prediction.components) if self.tracker else []
        self.ids |= {row.id for row in tracked}
        owners = {row.detection: row.id for row in tracked}
        height, width = frame.image.shape
        self.images.append({"id": len(self.images) + 1, "file_name": Path(frame.path).name if frame.path else
                            f"{frame.name}.png", "width": width, "height": height, "frame": frame.number})
        lines = []
        for index, found in enumerate(prediction.components):
            x1, y1, x2, y2 = (round(float(value), 3) for value in found.box)
            box, score = [x1, y1, round(x2 - x1, 3), round(y2 - y1, 3)], round(float(found.score), 6)
            lines.append((frame.number, frame.name, found.category, *box, score, owners.get(index, "")))
            self.annotations.append({
                "id": len(self.annotations) + 1, "image_id": len(self.images), "category_id": found.category + 1,
                "bbox": box, "area": found.area, "iscrowd": 0, "segmentation": [], "score": score,
                **({"track_id": owners[index]} if index in owners else {})})
        self.detections.write(*lines)
        if self.tracks:
            self.tracks.write(*((row.id, row.frame, *(round(value, 3) for value in (row.x, row.y, row.w, row.h)),
                                 round(row.score, 6), round(row.speed, 4)) for row in tracked))
        return tracked

    def paths(self) -> list[Path]:
        """The files."""
        return [self.folder / "coco.json", self.detections.path, *([self.tracks.path] if self.tracks else [])]

    def __enter__(self) -> Results:
        return self

    def __exit__(self, *_: object) -> None:
        for one in filter(None, (self.detections, self.tracks)):
            one.close()
        write_json(self.folder / "coco.json", {"images": self.images, "annotations": self.annotations,
                                               "categories": self.categories})
