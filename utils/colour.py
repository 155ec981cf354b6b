"""Colour footage as grey, and a word about what that cannot bring back."""
from __future__ import annotations

import numpy as np

COLOURFUL = 12.0  # mean difference between the channels beyond which colours carry something; coding leaves 1 or 2


class Grey:
    """Turns pictures of one source into grey; says once that they are in colour.

    Args:
        path: of the source, for what is said.
        notes: lists what is to be said about it; None says nothing.
    """

    def __init__(self, path: str, notes: list[str] | None = None) -> None:
        self.path, self.notes = path, notes

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """A picture `(H, W)` or `(H, W, 3)` uint8 BGR → `(H, W)`."""
        import cv2

        if picture.ndim == 2:
            return picture
        if self.notes is not None:
            part = picture[::4, ::4].astype(np.int16)
            if np.ptp(part, axis=2).mean() > COLOURFUL:
                self.notes.append(f"{self.path}: the frames are in colour and are turned grey, which does not bring "
                                  "back what a palette (pseudo-colour) stands for; record white-hot or black-hot")
            self.notes = None
        return cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
