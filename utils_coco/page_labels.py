"""The labels that the page of `python -m utils.view` saves, and the frames that a person has looked at."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from utils.datasets.formats.page_labels import (
    OPEN,
    TARGET_STATES,
    PageBox,
    PageFrame,
    PageLabels,
    is_page_labels,
    read_page_labels,
)
from utils.images.image_files import write_picture
from utils.system.errors import UserError
from utils.system.notices import warn
from utils.video.sources import FrameSource, open_sources, video_frame
from utils_coco.image_labels import ReadLabels
from utils_coco.label_kinds import label_files
from utils_coco.label_tables import NamedBox
from utils_coco.placing import place


def read_pages(labels: Path) -> list[PageLabels]:
    """All labels of the page in a file or folder, other json files left out.

    Raises:
        UserError: one is broken, two are of one sequence, or a name would lead elsewhere.
    """
    found: dict[str, Path] = {}
    result = []
    for path, _ in label_files(labels, ".json"):
        if labels.is_dir() and not is_page_labels(path):
            continue
        page = read_page_labels(path)
        for name in (page.sequence, *(frame.name for frame in page.frames if frame.name)):
            if name != str(PurePosixPath(name)) or name.startswith("/") or ".." in name.split("/") or "\\" in name:
                raise UserError(f"{path}: found '{name}', expected a name that stays in its folder; correct it")
        if page.sequence in found:
            raise UserError(
                f"{path}: found labels of {page.sequence}, as in {found[page.sequence]}, expected one file for each "
                "sequence; move one away"
            )
        found[page.sequence] = path
        result.append(page)
    return result


def looked_at(page: PageLabels) -> Iterator[PageFrame]:
    """The frames in which something was decided; all of them where a person says to have looked at every one."""
    for frame in page.frames:
        if page.complete or any(box.state != OPEN for box in frame.boxes):
            yield frame


def frame_key(page: PageLabels, frame: PageFrame) -> str:
    """Where a frame lies below the images' folder, without the extension."""
    return f"{page.sequence}/{frame.name or video_frame(frame.number)[1]}"


@contextlib.contextmanager
def frames_looked_at(images: Path, labels: Path, link: bool) -> Iterator[Path]:
    """A folder for a while, with a subfolder of images for each sequence: those that a person has looked at.

    Args:
        images: what was predicted: a video, an image sequence, or a folder of several.
        labels: as of `read_pages`.
        link: whether the images in it are wanted to be linked later on, which decoded ones cannot.

    Raises:
        UserError: see `read_pages`; a sequence is not there or has frames missing, or nothing was looked at.
    """
    pages = read_pages(labels)
    if not pages:
        raise UserError(f"{labels}: found no labels.json of the page; give another --labels or --kind")
    sources = open_sources(images)
    with tempfile.TemporaryDirectory() as work:
        count = 0
        for page in pages:
            wanted = {frame.number: frame_key(page, frame) for frame in looked_at(page)}
            if not wanted:
                warn(f"{page.sequence}: nothing was decided in the page, so that no frame of it is taken")
                continue
            named = {frame.number: frame.name for frame in page.frames if frame.name}
            _gather(_source_of(page, sources, images, len(pages)), wanted, named, Path(work), link)
            count += len(wanted)
        if not count:
            raise UserError(f"{labels}: found no decision in any frame; accept or reject in the page and save again")
        yield Path(work)


def _source_of(page: PageLabels, sources: Sequence[FrameSource], images: Path, pages: int) -> FrameSource:
    """The source of a page's frames."""
    last = page.sequence.rpartition("/")[2]
    found = [one for one in sources if one.name == page.sequence]
    found = found or [one for one in sources if one.name.rpartition("/")[2] == last]
    if not found and len(sources) == pages == 1:
        found = list(sources)
        warn(f"{page.sequence}: found no sequence of this name in {images}; {found[0].name}, the only one, is taken")
    if len(found) != 1:
        raise UserError(
            f"--images: found {len(found)} sequences called {page.sequence} in {images}, expected the one that was "
            "predicted; give its video or folder, or the folder of all of them"
        )
    return found[0]


def _gather(source: FrameSource, wanted: dict[int, str], named: dict[int, str], work: Path, link: bool) -> None:
    """Bring the `wanted` frames of a source, keys by number, into a folder; `named` are the files that they were."""
    left = dict(wanted)
    for number, path in source.files:
        if number in left:
            if Path(path).stem != Path(named.get(number, path)).name.removesuffix(Path(path).suffix):
                raise UserError(
                    f"{path}: found frame {number}, which the labels call {named[number]}, expected the footage that "
                    "was predicted; give that with --images"
                )
            key = left.pop(number)
            place(Path(path), work / f"{key}{Path(path).suffix}", link=True)
    if not source.files:
        if link:
            raise UserError(
                f"--link: found with {source.path}, whose frames have no files of their own; leave it out, so that "
                "they are written"
            )
        for frame in source:
            if frame.number in left:
                target = work / f"{left.pop(frame.number)}.png"
                target.parent.mkdir(parents=True, exist_ok=True)
                write_picture(target, frame.image)
            if not left:
                break
    if left:
        raise UserError(
            f"{source.path}: found no frame {min(left)}, which the labels speak of (and {len(left) - 1} more), "
            "expected the footage that was predicted; give that with --images"
        )


def read_page_boxes(labels: Path, found: ReadLabels) -> None:
    """Take up the boxes of all frames that were looked at.

    Those accepted, moved or added are targets. Those that nobody has decided on are regions to ignore: neither right
    nor wrong. Those rejected are nothing, so that their frames teach that there is no target.
    """
    counts = dict.fromkeys(("frames", "targets", "ignored", "rejected"), 0)
    for page in read_pages(labels):
        width, height = page.size
        for frame in looked_at(page):
            own = [_named(box) for box in frame.boxes if box.state in (*TARGET_STATES, OPEN)]
            found.add(frame_key(page, frame), own, (height, width))
            ignored = sum(box.ignored for box in own)
            counts["frames"] += 1
            counts["targets"] += len(own) - ignored
            counts["ignored"] += ignored
            counts["rejected"] += len(frame.boxes) - len(own)
    found.said.append(
        f"{counts['frames']} frames that were looked at: {counts['targets']} boxes accepted, moved or added, which are "
        f"targets; {counts['rejected']} rejected, which are none; {counts['ignored']} undecided, which are regions to "
        "ignore"
    )


def _named(box: PageBox) -> NamedBox:
    x, y, w, h = box.box
    ignored = box.state == OPEN
    return NamedBox(x, y, x + w, y + h, box.name, ignored, None if ignored else box.track)
