"""The labels.json of a folder: what is there, and how new labels take its place without a decision being lost."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path

from utils.datasets.formats.page_labels import ADDED, MADE_BY, OPEN, PageLabels, parse_page_labels
from utils.system.errors import UserError
from utils.system.files import whole_file
from utils.system.outputs import require_new_or_own

LABELS_FILE = "labels.json"
ADVICE = "mend it, or move it away"


def read_saved(path: Path) -> str | None:
    """The labels saved before, as JSON; None where there is nothing.

    Raises:
        UserError: something else is there, or it cannot be read, so that nothing may be saved over it.
    """
    if path.is_symlink():
        raise UserError(f"{path}: found a link, expected a file or nothing; move it away")
    try:
        require_new_or_own(path, MADE_BY.encode(), [])
        if not path.exists():
            return None
        text = path.read_text(encoding="utf-8")
        parse_page_labels(text, str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error}); {ADVICE}") from None
    except UserError as error:
        text = str(error).replace("give another one with --out, or move that away", "move it away")
        raise UserError(text.replace("save it there again", ADVICE)) from None
    return text


def loses_decisions(old: PageLabels, new: PageLabels) -> bool:
    """Whether `old` decides on boxes that are not in `new`.

    So it is where they are of another sequence or of other predictions. A box that was decided on and is open again, or
    was added and is gone, is no loss: a person did that.
    """
    numbers = {frame.number for frame in new.frames} if old.sequence == new.sequence else set()
    places = {(frame.number, box.place) for frame in new.frames for box in frame.boxes if box.state != ADDED}
    return any(
        frame.number not in numbers or (box.state != ADDED and (frame.number, box.place) not in places)
        for frame in old.frames
        for box in frame.boxes
        if box.state != OPEN
    )


def save_labels(path: Path, text: str) -> Path | None:
    """Write labels, whole or not at all.

    Args:
        path: of the file.
        text: that `parse_page_labels` takes.

    Returns:
        Where the labels that were there are now, if they hold decisions that the new ones do not; else None.

    Raises:
        UserError: as of `read_saved`, or it cannot be written.
    """
    old, kept = read_saved(path), None
    if old is not None and loses_decisions(parse_page_labels(old, str(path)), parse_page_labels(text, "new labels")):
        # not called .json, as labels of one sequence in two files are refused where a dataset is made of them
        kept = next(one for n in count(1) if not os.path.lexists(one := path.with_name(f"{path.name}.{n}")))
        with whole_file(kept) as file:
            file.write(old.encode())
    with whole_file(path) as file:
        file.write(text.encode())
    return kept
