"""The page as a file: its HTML, the frames' pictures in blocks, the data of every sequence, and the script."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from html import escape
from itertools import islice
from pathlib import Path

from utils.datasets.formats.page_labels import MADE_BY
from utils.render.page_parts import html_page, json_block
from utils.system.errors import UserError
from utils.system.files import encode_text, whole_file
from utils.system.outputs import require_new_or_own
from utils.video.sources import FrameSource
from utils.view.contents import PageSequence
from utils.view.markup import HELP, LEGEND, PICTURE, STAGE, TOOLS
from utils.view.pictures import PictureBudget, pictures_of_source
from utils.view.results import read_folder

PAGE_FILE = "view.html"
PER_BLOCK = 50  # pictures that the script takes up together
SCRIPTS = ("model.js", "stage.js", "timeline.js", "inputs.js", "controls.js")
BLOCKS = "<!-- pictures and data -->"


def body_of(sequences: Sequence[PageSequence], title: str, about: str) -> str:
    """What the page shows, as HTML, with `BLOCKS` where pictures and data belong."""
    options = "".join(f'<option value="data-{n}">{escape(item.name)}</option>' for n, item in enumerate(sequences))
    hidden = " hidden" if len(sequences) < 2 else ""
    return (
        f'<header><h1>{escape(title)}</h1><p class="soft">{escape(about)}</p>'
        f'<label{hidden}>Sequence <select id="sequence">{options}</select></label></header>\n'
        f'<main><section aria-label="frames">{STAGE}{LEGEND}</section>\n<aside>{TOOLS}</aside>\n'
        f'<div class="below">{PICTURE}{HELP}</div></main>\n'
        f"<noscript><p>This page needs scripts: they draw the frames.</p></noscript>\n{BLOCKS}"
    )


def write_page(
    path: Path, sequences: Sequence[PageSequence], pictures: Iterable[Iterable[str]], title: str, about: str
) -> None:
    """Write a page, whole or not at all; one picture is in memory at a time.

    Args:
        path: of the file; only a page takes the place of what is there.
        sequences: that it shows, at least one.
        pictures: for each sequence the frames' pictures, in their order; see `utils.view.pictures`.
        title: for people.
        about: a line about what is shown.

    Raises:
        UserError: something else is at `path`, it cannot be written, or a frame not be read.
    """
    require_own(path)
    here = Path(__file__).parent
    script = "".join((here / name).read_text(encoding="utf-8") for name in SCRIPTS)
    script = f'"use strict";\n// made by {MADE_BY}\n(() => {{\n{script}}})();\n'
    text = html_page(title, about, here / "style.css", body_of(sequences, title, about), script)
    head, _, tail = text.partition(BLOCKS)
    budget = PictureBudget()
    with whole_file(path) as file:
        file.write(encode_text(head))
        for index, own in enumerate(pictures):
            rest, number = budget.limit(own), 0
            while block := list(islice(rest, PER_BLOCK)):
                lines = "\n".join(block)
                file.write(f'<script type="text/plain" id="pictures-{index}-{number}">{lines}\n</script>\n'.encode())
                number += 1
        for index, sequence in enumerate(sequences):
            file.write(encode_text(json_block(f"data-{index}", sequence.as_dict(index, PER_BLOCK))))
        file.write(encode_text(tail))
    budget.tell()


def require_own(path: str | os.PathLike, read: Iterable[str | os.PathLike] = ()) -> None:
    """Raise `UserError` where something is at `path` that is no page of ours, or it lies in what is `read`."""
    require_new_or_own(path, f"// made by {MADE_BY}".encode(), read)


def page_of_results(folder: Path, source: FrameSource) -> Path:
    """Write the page of one sequence beside its results.

    Args:
        folder: of results of `vid_predict.py`.
        source: whose frames they are of, read once more.

    Returns:
        Path of the page.

    Raises:
        UserError: see `read_folder` and `write_page`.
    """
    sequence, path = read_folder(folder), folder / PAGE_FILE
    about = f"{len(sequence.numbers):,} frames of {sequence.size[0]} × {sequence.size[1]} from {sequence.short_source}"
    if not sequence.numbers:
        raise UserError(f"{folder}: found results without a frame, expected some; run vid_predict.py again")
    write_page(path, [sequence], [pictures_of_source(source, sequence.numbers)], sequence.name, about)
    return path
