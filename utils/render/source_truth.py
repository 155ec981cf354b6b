"""True targets for the frames of a source, from a dataset's folder or from a folder of masks."""
from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from utils.datasets.dataset import open_dataset
from utils.datasets.frame_table import Frame
from utils.datasets.layouts import check_root
from utils.images.image_files import IMAGE_SUFFIXES, read_mask
from utils.predictor.prediction import Component, box_component, components_of
from utils.system.errors import UserError
from utils.video.sources import FrameSource, SourceFrame, video_frame


class Truth:
    """Looks up the true targets of a source's frames.

    Args:
        path: the folder of a dataset with masks or boxes: a frame of it is known by its file, frames from elsewhere (a
            video, a copy) by the last part of the sequence's name and the frame's number. Or a folder of masks
            `SEQUENCE/NAME.png` or `NAME.png`, called like the frames (`NAME_pixels0.png` will do).
    Raises:
        UserError: there is no such folder, or it holds no masks and no boxes.
    """

    def __init__(self, path: str | os.PathLike) -> None:
        self.path = Path(path)
        if not self.path.is_dir():
            raise UserError(f"{path}: no such folder; expected a dataset or a folder of masks; check --truth")
        self.by_file: dict[str, Frame] = {}
        self.by_number: dict[tuple[str, int], Frame] = {}
        self.masks: dict[str, str] = {}
        if self._is_dataset():
            for frame in open_dataset(path, "all", need="images").frames:
                if frame.mask is not None or frame.boxes is not None:
                    self.by_file[os.path.realpath(frame.image)] = frame
                    self.by_number[frame.sequence.rpartition("/")[2], frame.number] = frame
        else:
            for folder, _, names in os.walk(self.path):
                below = Path(folder).relative_to(self.path)
                names = sorted(name for name in names if Path(name).suffix.lower() in IMAGE_SUFFIXES)
                self.masks |= {(below / Path(name).stem).as_posix(): os.path.join(folder, name) for name in names}
        if not (self.by_file or self.masks):
            raise UserError(f"{path}: found neither masks nor boxes, expected a dataset or a folder of masks; "
                            "check --truth")

    def _is_dataset(self) -> bool:
        try:
            check_root(self.path)
        except UserError:
            return False  # then it is a folder of masks
        return True

    def require(self, sources: Sequence[FrameSource]) -> None:
        """Raise `UserError` where no frame of any source is known (videos that do not say their length pass)."""
        names = []
        for source in sources:
            files = [(source.name, number, Path(path).stem, path) for number, path in source.files]
            names += files or [(source.name, *video_frame(number), None) for number in range(source.length or 0)]
        if names and not any(self._find(*name) is not None for name in names):
            raise UserError(f"{self.path}: holds no truth for the {len(names)} frames of the source, the first called "
                            f"{names[0][2]} in {names[0][0]}; expected masks of those names, or the dataset they are "
                            "from; check --truth")

    def of(self, source: FrameSource, frame: SourceFrame) -> tuple[Component, ...] | None:
        """The true targets of a frame, `()` where it has none, None where nothing is known about it.

        Raises:
            UserError: its mask cannot be read, or has another aspect than the frame.
        """
        number = frame.number if frame.file_number is None else frame.file_number
        found = self._find(source.name, number, frame.name, frame.path)
        mask = found.mask if isinstance(found, Frame) else found
        if mask is not None:
            return components_of(read_mask(mask, frame.image.shape))
        if found is None:
            return None
        return tuple(box_component(box) for box in found.boxes or ())

    def _find(self, source: str, number: int, name: str, path: str | None) -> Frame | str | None:
        """The dataset's frame or the mask's path."""
        last = source.rpartition("/")[2]
        if not self.masks:
            frame = self.by_file.get(os.path.realpath(path)) if path else None
            return frame or self.by_number.get((last, number))
        keys = [f"{folder}{name}{end}" for folder in (f"{source}/", f"{last}/", "") for end in ("", "_pixels0")]
        return next((self.masks[key] for key in keys if key in self.masks), None)
