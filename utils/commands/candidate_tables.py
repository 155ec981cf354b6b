"""Candidates of labelled frames, in a table from which a verifier learns, or on which it is measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from utils.datasets.dataset import Dataset
from utils.datasets.frame_table import Frame
from utils.images.box_masks import mask_of_boxes
from utils.images.boxes import box_pixels
from utils.images.image_files import read_frame
from utils.metrics.truth import ignored_pixels, true_boxes
from utils.predictor.frame_preparation import intake_for
from utils.predictor.predictor import Predictor
from utils.predictor.verifier.candidates import stand_alone
from utils.predictor.verifier.features import NAMES
from utils.predictor.verifier.verification import CandidateStream, Described
from utils.system.packages.late import tqdm
from utils.system.threads import read_ahead

HIT_PX = 3.0  # from a candidate to the centre of the target that it is taken for, exclusive; or it lies in its box
NETWORK_SCORE = NAMES.index("network_near")


@dataclass(frozen=True, eq=False)
class CandidateTable:
    """Candidates of labelled frames.

    Args:
        features: (N, F) float32.
        frame: (N,) int64, the frame of each, from 0.
        target: (N,) int64, which of its frame's targets it is, -1: none of them.
        targets: (frames,) int64, how many there are.
        sequence: (frames,) int64, of which sequence each frame is.
        place: (N, 2) int64 y, x of each candidate.
    """

    features: np.ndarray
    frame: np.ndarray
    target: np.ndarray
    targets: np.ndarray
    sequence: np.ndarray
    place: np.ndarray

    @property
    def network(self) -> np.ndarray:
        """(N,) float32, the network's logit near each, by which it would rank them."""
        return self.features[:, NETWORK_SCORE]

    @property
    def labels(self) -> np.ndarray:
        """(N,) float32, 1 for targets, else 0."""
        return (self.target >= 0).astype(np.float32)

    def of_sequences(self, chosen: Iterable[int]) -> CandidateTable:
        """The part of some sequences."""
        frames = np.isin(self.sequence, list(chosen))
        rows, number = frames[self.frame], np.cumsum(frames) - 1
        return CandidateTable(
            self.features[rows],
            number[self.frame[rows]],
            self.target[rows],
            self.targets[frames],
            self.sequence[frames],
            self.place[rows],
        )

    def stand_alone(self, scores: np.ndarray) -> np.ndarray:
        """Which candidates (N,) bool stand alone in their frames by these scores (`verifier.candidates.stand_alone`).

        Candidates of a frame follow each other.
        """
        ends = np.searchsorted(self.frame, np.arange(len(self.targets) + 1))
        frames = [slice(*pair) for pair in pairwise(ends.tolist())]
        return np.concatenate([np.zeros(0, bool), *(stand_alone(self.place[one], scores[one]) for one in frames)])


def join_tables(tables: Sequence[CandidateTable]) -> CandidateTable:
    """All candidates of several tables; their frames and sequences are numbered on."""
    frames = np.cumsum([0, *(len(table.targets) for table in tables)])
    sequences = np.cumsum([0, *(table.sequence.max(initial=-1) + 1 for table in tables)])
    return CandidateTable(
        np.concatenate([table.features for table in tables]),
        np.concatenate([table.frame + first for table, first in zip(tables, frames, strict=False)]),
        np.concatenate([table.target for table in tables]),
        np.concatenate([table.targets for table in tables]),
        np.concatenate([table.sequence + first for table, first in zip(tables, sequences, strict=False)]),
        np.concatenate([table.place for table in tables]),
    )


def assign_targets(places: np.ndarray, boxes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Which target each candidate is: the nearest of those whose centre is nearer than 3 px, or in whose box it lies.

    Args:
        places: (N, 2) y, x.
        boxes: (G, 4 or more) x1, y1, x2, y2 of the targets.
        shape: (H, W) of the frame.

    Returns:
        (N,) int64, -1 for none.
    """
    distance = np.full((len(places), len(boxes) + 1), np.inf)
    distance[:, -1] = 1e9  # none of them
    for column, box in enumerate(boxes):
        rows, columns = box_pixels(box, shape)
        middle = np.array([box[1] + box[3] - 1, box[0] + box[2] - 1]) / 2
        away = np.hypot(*(places - middle).T)
        inside = (places >= (rows.start, columns.start)).all(1) & (places < (rows.stop, columns.stop)).all(1)
        distance[:, column] = np.where(inside | (away < HIT_PX), away, np.inf)
    found = distance.argmin(1)
    return np.where(found == len(boxes), -1, found)


def ignored_places(frame: Frame, image: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Which of the places (N, 2) y, x lie where nobody says what is a target: (N,) bool."""
    result = np.zeros(len(places), bool)
    pixels = ignored_pixels(frame, image.shape)
    if pixels is not None:
        result |= pixels[0][tuple(places.T)]
    if frame.ignored:
        result |= mask_of_boxes(image, frame.ignored, "box", dilate=False)[tuple(places.T)] > 0
    return result


@dataclass
class _Rows:
    """A table that grows by frames."""

    features: list[np.ndarray] = field(default_factory=list)
    frame: list[np.ndarray] = field(default_factory=list)
    target: list[np.ndarray] = field(default_factory=list)
    targets: list[int] = field(default_factory=list)
    sequence: list[int] = field(default_factory=list)
    place: list[np.ndarray] = field(default_factory=list)
    sides: list[np.ndarray] = field(default_factory=list)

    def table(self) -> CandidateTable:
        none = np.zeros(0, np.int64)
        return CandidateTable(
            np.concatenate([np.zeros((0, len(NAMES)), np.float32), *self.features]),
            np.concatenate([none, *self.frame]),
            np.concatenate([none, *self.target]),
            np.array(self.targets, np.int64),
            np.array(self.sequence, np.int64),
            np.concatenate([none.reshape(0, 2), *self.place]),
        )


def collect(
    predictor: Predictor,
    dataset: Dataset,
    *,
    max_frames: int = 0,
    batch_size: int = 1,
    workers: int = 2,
    quiet: bool = False,
) -> tuple[CandidateTable, np.ndarray]:
    """The candidates of every frame of a dataset.

    Args:
        predictor: of the network alone.
        dataset: whose frames have boxes or masks.
        max_frames: of each sequence only so many, the first (0: all).
        batch_size: clips that go through the network together.
        workers: threads that read frames ahead.
        quiet: no progress bar.

    Returns:
        The table, and (G,) the longer sides of the targets' boxes in pixels.

    Raises:
        UserError: a file cannot be read, or a frame has neither boxes nor mask.
    """
    rows = _Rows()
    total = sum(min(len(frames), max_frames or len(frames)) for frames in dataset.sequences.values())
    with tqdm.tqdm(
        total=total, desc=dataset.name, unit=" frames", disable=quiet, leave=False, dynamic_ncols=True
    ) as bar:
        for index, frames in enumerate(dataset.sequences.values()):
            for frame, image, boxes, found in _watch(predictor, dataset, frames, max_frames, batch_size, workers):
                places = found.candidates.place
                kept = ~ignored_places(frame, image, places)
                target = assign_targets(places, boxes, image.shape)
                rows.features.append(found.features[kept])
                rows.place.append(places[kept])
                rows.target.append(target[kept])
                rows.frame.append(np.full(int(kept.sum()), len(rows.targets)))
                rows.targets.append(len(boxes))
                rows.sequence.append(index)
                rows.sides.append(np.maximum(boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]))
                bar.update()
    return rows.table(), np.concatenate([np.zeros(0), *rows.sides])


def _watch(
    predictor: Predictor, dataset: Dataset, frames: Sequence[Frame], max_frames: int, batch_size: int, workers: int
) -> Iterator[tuple[Frame, np.ndarray, np.ndarray, Described]]:
    """The frames of one sequence with their images, true boxes and candidates."""

    def load(frame: Frame) -> tuple[Frame, np.ndarray, np.ndarray]:
        image = read_frame(frame.image)
        return frame, image, true_boxes(frame, image.shape)

    stream, intake = CandidateStream(), intake_for(predictor.settings, dataset.root)
    loaded = read_ahead(load, frames[: max_frames or None], workers)
    taken = ((*intake.take(frame.number, image), (frame, image, boxes)) for frame, image, boxes in loaded)
    items = ((number, shown, (number, shown, *rest)) for number, shown, rest in taken)
    for (number, shown, frame, image, boxes), prediction in predictor.stream_with(items, batch_size):
        yield frame, image, boxes, stream.see(number, shown, prediction)
