"""True targets for the frames of a source, from a dataset's folder or from a folder of masks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.datasets.dataset import open_dataset
from utils.datasets.layouts import check_root
from utils.datasets.quick_check import understand_masks
from utils.images.alike_names import AlikeNames
from utils.images.box_masks import mask_of_boxes
from utils.images.boxes import size_problem
from utils.images.folders import walk_folder
from utils.images.image_files import IMAGE_SUFFIXES
from utils.images.masks.meaning import IgnoreChoice, look_over_masks
from utils.images.masks.values import IGNORED, MaskRule, ignore_regions, ignored_of, read_labels, targets_of
from utils.images.picture_roles import Pictures, mask_names, sort_pictures
from utils.predictor.prediction import Component, Prediction, box_component, components_of, leave_out
from utils.system.errors import UserError
from utils.system.notices import warn
from utils.video.sources import FrameSource, SourceFrame, video_frame


@dataclass(frozen=True)
class TrueLabels:
    """What is known about a frame: its mask's path, or else its boxes x1, y1, x2, y2, class.

    `ignored` are regions like them in which nothing is right or wrong, `declared` the (height, width) that their list
    says of the frame.
    """

    mask: str | None = None
    boxes: tuple[tuple[float, ...], ...] | None = None
    ignored: tuple[tuple[float, ...], ...] = ()
    declared: tuple[int, int] | None = None


@dataclass(frozen=True, eq=False)
class FrameTruth:
    """The true targets of a frame, and where its mask may ignore pixels its labels `(H, W)`, else None."""

    targets: tuple[Component, ...]
    labels: np.ndarray | None = None


class Truth:
    """Looks up the true targets of a source's frames.

    Args:
        path: the folder that they are from.
        ignore: as of `utils.datasets.quick_check.understand_masks`.
    """

    def __init__(self, path: str | os.PathLike, ignore: IgnoreChoice = None) -> None:
        self.path, self.ignore = Path(path), ignore
        self.rule: MaskRule | None = None

    def find(self, source: str, number: int, name: str, path: str | None) -> TrueLabels | None:
        """What is known about a frame, None where nothing is.

        Args:
            source: name of the source.
            number: of the frame.
            name: of the frame.
            path: of its file, None without one.
        """
        raise NotImplementedError

    def require(self, sources: Sequence[FrameSource]) -> None:
        """Raise `UserError` where no frame of any source is known (videos that do not say their length pass)."""
        names = []
        for source in sources:
            files = [(source.name, number, Path(path).stem, path) for number, path in source.files]
            names += files or [(source.name, *video_frame(number), None) for number in range(source.length or 0)]
        found = [labels for name in names if (labels := self.find(*name)) is not None]
        if names and not found:
            raise UserError(
                f"{self.path}: holds no truth for the {len(names)} frames of the source, the first called "
                f"{names[0][2]} in {names[0][0]}; expected masks of those names, or the dataset they are "
                "from; check --truth"
            )
        self.decide(found)

    def decide(self, found: Sequence[TrueLabels]) -> None:
        """Find out what the values of the masks mean, of which so many belong to the source.

        Raises:
            UserError: that cannot be told.
        """

    def of(self, source: FrameSource, frame: SourceFrame) -> tuple[Component, ...] | None:
        """The true targets of `look`."""
        found = self.look(source, frame)
        return None if found is None else found.targets

    def judge(
        self, source: FrameSource, frame: SourceFrame, prediction: Prediction
    ) -> tuple[Prediction, tuple[Component, ...] | None]:
        """The prediction without what is ignored (`utils.predictor.prediction.leave_out`), and what `of` gives."""
        found = self.look(source, frame)
        if found is None:
            return prediction, None
        if found.labels is None:
            return prediction, found.targets
        return leave_out(prediction, found.labels == IGNORED, targets_of(found.labels)), found.targets

    def look(self, source: FrameSource, frame: SourceFrame) -> FrameTruth | None:
        """What is true of a frame, None where nothing is known about it.

        Raises:
            UserError: its mask cannot be read, or has another aspect than the frame.
        """
        found = self.find(source.name, frame.number, frame.name, frame.path)
        if found is None:
            return None
        if found.mask is not None:
            labels = ignore_regions(read_labels(found.mask, frame.image.shape, self.rule), found.ignored)
            return FrameTruth(components_of(targets_of(labels)), None if ignored_of(labels) is None else labels)
        problem = size_problem(found.declared, frame.image.shape)
        if problem:
            raise UserError(f"{self.path}: {source.name}, frame {frame.name}: {problem}; give frames of that size")
        labels = None
        if found.ignored:
            filled = mask_of_boxes(frame.image, found.boxes or (), "box", dilate=False)
            labels = ignore_regions(filled, found.ignored)
        return FrameTruth(tuple(box_component(box) for box in found.boxes or ()), labels)


class DatasetTruth(Truth):
    """Masks or boxes of a dataset.

    A frame of it is known by its file, frames from elsewhere by the last part of the sequence's name and the frame's
    name (a copy) or number (a video).
    """

    def __init__(self, path: str | os.PathLike, ignore: IgnoreChoice = None) -> None:
        super().__init__(path, ignore)
        self.by_file: dict[str, TrueLabels] = {}
        self.by_name: dict[tuple[str, str], TrueLabels] = {}
        self.by_number: dict[tuple[str, int], TrueLabels] = {}
        (dataset,) = understand_masks(open_dataset(path, "all", need="images"), ignore=ignore)
        for frame in dataset.frames:
            self.rule = frame.mask_rule
            if frame.mask is not None or frame.boxes is not None:
                labels = TrueLabels(frame.mask, frame.boxes, frame.ignored, frame.declared)
                self.by_file[os.path.realpath(frame.image)] = labels
                sequence = frame.sequence.rpartition("/")[2]
                self.by_name[sequence, Path(frame.image).stem] = labels
                self.by_number[sequence, frame.number] = labels
        if not self.by_file:
            raise _nothing_found(path)

    def find(self, source: str, number: int, name: str, path: str | None) -> TrueLabels | None:
        """See `Truth`."""
        found = self.by_file.get(os.path.realpath(path)) if path else None
        sequence = source.rpartition("/")[2]
        return found or self.by_name.get((sequence, name)) or self.by_number.get((sequence, number))


class MaskTruth(Truth):
    """Masks `SEQUENCE/NAME.png` or `NAME.png` that are called like the frames (`NAME_mask.png` or the like will do).

    Where masks lie beside frames, these are no masks.
    """

    def __init__(self, path: str | os.PathLike, ignore: IgnoreChoice = None) -> None:
        super().__init__(path, ignore)
        self.masks: dict[str, str] = {}
        tree = walk_folder(self.path, IMAGE_SUFFIXES)
        tree.tell()
        for below, names in tree.names.items():
            names = [name for name in names if Path(name).suffix.lower() in IMAGE_SUFFIXES]
            found = sort_pictures(self.path / below, names) if names else Pictures([])
            beside = {Path(frame).stem: mask for frame, mask in found.masks.items()}
            self.masks |= _masks_by_key(self.path, below, beside or {Path(name).stem: name for name in names})
        if not self.masks:
            raise _nothing_found(path)
        self.alike = AlikeNames(lambda: self.masks)

    def find(self, source: str, number: int, name: str, path: str | None) -> TrueLabels | None:
        """See `Truth`."""
        folders = (f"{source}/", f"{source.rpartition('/')[2]}/", "")
        possible = [f"{folder}{name}" for folder in folders]
        found = next((key for key in possible if key in self.masks), None)
        if found is None and (found := next(filter(None, map(self.alike.find, possible)), None)):
            self.alike.tell(str(self.path), counted=False)
        if not found or (path and os.path.realpath(path) == os.path.realpath(self.masks[found])):
            return None  # a frame is no mask of itself
        return TrueLabels(self.masks[found])

    def decide(self, found: Sequence[TrueLabels]) -> None:
        """See `Truth`; where the source's frames are not known yet, all images of the folder count as masks."""
        paths = [labels.mask for labels in found if labels.mask] or list(self.masks.values())
        meaning = look_over_masks(list(dict.fromkeys(paths)), self.ignore)
        if meaning.problem:
            raise UserError(f"{self.path}: {meaning.problem}")
        self.rule = meaning.rule
        for line in meaning.warnings:
            warn(f"{self.path}: {line}")


def _masks_by_key(root: Path, below: str, masks: dict[str, str]) -> dict[str, str]:
    """Paths of the masks in a folder below `root`, given by stem, under the keys that their frames may have."""
    keys = dict(masks)
    for stem, name in masks.items():
        for other in mask_names(stem):
            keys.setdefault(other, name)
    return {(Path(below) / stem).as_posix(): os.path.join(root, below, name) for stem, name in keys.items()}


def open_truth(path: str | os.PathLike, ignore: IgnoreChoice = None) -> Truth:
    """The true targets in a folder.

    Args:
        path: of a dataset with masks or boxes (`DatasetTruth`), or of masks (`MaskTruth`).
        ignore: as of `utils.datasets.quick_check.understand_masks`.

    Raises:
        UserError: there is no such folder, it holds no masks and no boxes, or what its masks mean cannot be told.
    """
    if not Path(path).is_dir():
        raise UserError(f"{path}: no such folder; expected a dataset or a folder of masks; check --truth")
    try:
        check_root(Path(path))
    except UserError:  # it is no dataset
        return MaskTruth(path, ignore)
    return DatasetTruth(path, ignore)


def _nothing_found(path: str | os.PathLike) -> UserError:
    return UserError(f"{path}: found neither masks nor boxes, expected a dataset or a folder of masks; check --truth")
