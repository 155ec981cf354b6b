"""What labels say of single images: boxes by what the labels call each image, and what there is to tell about them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from utils.datasets.split_names import split_of, split_of_folder
from utils.images.boxes import within_first_pixel
from utils_coco.label_tables import NamedBox
from utils_coco.unread_formats import UnreadFiles

SizeLookup = Callable[[str], "tuple[int, int] | None"]  # of an image by the key of its labels: (h, w), None without one


class ImageName(NamedTuple):
    """What labels call an image; `split` is "train" or "test" where the label file is called so, else ""."""

    path: str
    split: str = ""


@dataclass(frozen=True)
class Conventions:
    """What label files leave open.

    Args:
        side: of the boxes around centroids and single points, in pixels; None takes what is usual for their kind.
        origin: of `utils_coco.label_tables.POINT_ORIGINS`, what centroids count from.
        first_pixel: number of the first column and row in MOT tables; None takes 1 where frames lie in `img1`, else 0.
        frame_numbers: of `utils_coco.cvat_labels.FRAME_NUMBERS`, what CVAT's frames are numbered by; None takes names
            for those of a video file, else the order.
    """

    side: float | None = None
    origin: str = "corner"
    first_pixel: int | None = None
    frame_numbers: str | None = None


@dataclass
class LabelledImage:
    """What labels say of an image; `size` is the (height, width) in pixels that they declare for it, if any."""

    boxes: list[NamedBox] = field(default_factory=list)
    size: tuple[int, int] | None = None
    source: Path | None = None  # the file of several images that named it first


@dataclass
class ReadLabels:
    """What labels say of all images, by what they call these; `repeated` counts boxes that several files have.

    Images that a label file without boxes names are among them. `notes` are warnings about what was passed over, `said`
    lines about what was found, `scores` numbers that stand behind boxes.
    """

    images: dict[ImageName, LabelledImage] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    unread: UnreadFiles = field(default_factory=UnreadFiles)
    repeated: int = 0

    def add(
        self, key: str, boxes: Sequence[NamedBox], size: tuple[int, int] | None = None, labels: Path | None = None
    ) -> None:
        """Take up boxes of an image, of the split that the file `labels`, or a folder in `key`, is called after."""
        split = split_of(labels.name) if labels else ""
        split = split or next(filter(None, map(split_of_folder, key.split("/")[:-1])), "")
        image = self.images.setdefault(ImageName(key, split), LabelledImage())
        image.source = image.source or labels
        fresh = [box for box in boxes if box not in image.boxes] if image.source != labels else boxes
        self.repeated += len(boxes) - len(fresh)
        image.boxes.extend(fresh)
        image.size = image.size or size

    def note_scores(self, labels: Path) -> None:
        """Name the scores of boxes, which may tell that these are predictions."""
        scores, count = self.scores, sum(len(image.boxes) for image in self.images.values())
        if scores:
            alike = all(0 <= score <= 1 for score in scores) and any(score % 1 for score in scores)
            self.notes.append(
                f"{labels}: {len(scores)} of {count} boxes have a score or another number behind them "
                f"({min(scores):g} to {max(scores):g}), which is passed over: every box counts as a label"
                + ("; these look like predictions of a program, not like labels" if alike else "")
            )

    def note_shares(self, labels: Path) -> None:
        """Name boxes that may be shares of their image's sides, among others in pixels."""
        boxes = [box for image in self.images.values() for box in image.boxes]
        small = within_first_pixel(np.array([box[:4] for box in boxes], np.float64))
        if small.any():
            first = ",".join(f"{value:g}" for value in boxes[small.argmax()][:4])
            self.notes.append(
                f"{labels}: {small.sum()} of {len(boxes)} boxes lie within the first pixel, the first {first}; are "
                "they shares of the image's sides? They are taken as pixels"
            )
