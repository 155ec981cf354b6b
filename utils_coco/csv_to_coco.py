"""Turn videos with csv labels into a COCO json and frames: `python -m utils_coco.csv_to_coco --labels DIR …`."""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

if not __package__:  # run as a file
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from utils.datasets.building import build_folder
from utils.datasets.coco import TARGET_CATEGORY, coco_of_boxes, write_coco
from utils.images.image_files import write_picture
from utils.system.command_line import Parser, number
from utils.system.errors import UserError, user_errors
from utils.system.files import writing
from utils.system.outputs import require_apart
from utils.system.packages.late import tqdm
from utils.video.sources import open_sources
from utils_coco.borders import Borders, add_cut_option
from utils_coco.coco_files import coco_summary, refuse_existing
from utils_coco.video_labels import Label, LabelledVideo, labelled_videos


class Conversion:
    """Goes through labelled videos frame by frame.

    Args:
        classes: index by class name.
        images: folder that gets the frames kept, as `VIDEO/N.png` with N = 0, 1, 2, …; None writes none, and N is the
            frame's place in its video.
        prefix: what comes before `VIDEO/N.png` in file names.
        stride, max_frames: keep every so many frames of a video, and at most so many.
        borders: what is done with boxes that do not fit their frame.

    After `frames()`, `places` has the place in its video of each frame kept, and `skipped` counts the others.
    """

    def __init__(
        self,
        classes: dict[str, int],
        images: Path | None,
        prefix: str,
        stride: int,
        max_frames: int,
        borders: Borders,
    ) -> None:
        self.classes, self.images, self.prefix, self.borders = classes, images, prefix, borders
        self.stride, self.max_frames = stride, max_frames
        self.places: list[int] = []
        self.skipped: Counter[str] = Counter()

    def frames(self, video: LabelledVideo) -> Iterator[tuple[str, tuple[int, int], list[tuple]]]:
        """Name, (height, width) and boxes of every frame kept; all boxes of the video are checked."""
        labels: dict[int, list[Label]] = {}
        for label in video.labels:
            labels.setdefault(label.frame, []).append(label)
        kept, length = 0, 0
        for frame in open_sources(video.film)[0]:
            length = frame.number + 1
            own = self._fit(video, labels.pop(frame.number, []), frame.image.shape)
            if frame.number % self.stride or kept >= self.max_frames:
                self.skipped.update(frames=1, boxes=len(own))
                continue
            name = f"{video.name}/{kept if self.images else frame.number}.png"
            if self.images:
                write_picture(self.images / name, frame.image)
            self.places.append(frame.number)
            kept += 1
            yield f"{self.prefix}{name}", frame.image.shape, own
        if labels:
            first = labels[min(labels)][0]
            raise UserError(
                f"{video.table}: line {first.row}: found frame {first.frame + 1}, expected at most "
                f"{length}, as many as {video.film} has; correct the labels"
            )

    def all_frames(self, videos: Iterable[LabelledVideo]) -> Iterator[tuple[str, tuple[int, int], list[tuple]]]:
        """The `frames` of all videos.

        Raises:
            UserError: boxes do not fit their frames; the text lists all.
        """
        for video in videos:
            yield from self.frames(video)
        self.borders.require("correct the labels")

    def _fit(self, video: LabelledVideo, labels: Sequence[Label], size: tuple[int, int]) -> list[tuple]:
        """The boxes of a frame, inside of it, with their class, and whether they are regions to ignore."""
        fitted = [
            self.borders.fit(
                f"{video.table}: line {label.row}", (*label.corners, self.classes[label.name], label.ignored), size
            )
            for label in labels
        ]
        return [box for box in fitted if box is not None]


def convert(
    labels: str,
    videos: str,
    out: str,
    split: str = "test",
    frames: bool = False,
    stride: int = 1,
    max_frames: int | None = None,
    one_class: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
    cut: bool = False,
) -> list[str]:
    """Write `annotations/instances_SPLIT2017.json` for all videos, frames without boxes included.

    Args:
        labels: folder of NAME.csv, see `utils_coco.video_labels`.
        videos: folder of NAME.mp4 or another video format.
        out: folder to write into.
        split: "train" or "test".
        frames: write the frames too, as `images/SPLIT/NAME/0.png`, so that `out` is a dataset.
        stride: keep every so many frames; with `frames` they are numbered 0, 1, 2, …, as in a video of that rate.
        max_frames: keep at most so many of each video, from its start.
        one_class: one category "target" for all classes.
        overwrite: replace a json that is there (never frames).
        quiet: no progress bar.
        cut: boxes at their frame's border, and leave out those wholly outside; else such boxes stop.

    Returns:
        Lines that say what was written and what was left out.

    Raises:
        UserError: labels or videos are missing or broken, boxes of no area or outside the frame, a frame that the video
            does not have, or `out` holds something already or cannot be written.
    """
    require_apart(out, [labels, videos])
    folder, below = Path(out), Path("annotations") / f"instances_{split}2017.json"
    if frames and folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UserError(f"{out}: found files there, expected a new or empty folder for frames; give another --out")
    refuse_existing(folder / below, overwrite)
    found, unlabelled = labelled_videos(labels, videos)
    counts, names, classes = _count_classes(found, one_class)
    bar = tqdm.tqdm(found, desc="videos", unit="video", disable=quiet, dynamic_ncols=True)
    whole = build_folder(folder) if frames else contextlib.nullcontext(folder)
    with writing(out, "give another --out"), whole as place:
        job = Conversion(
            classes,
            place / "images" / split if frames else None,
            f"images/{split}/" if frames else "",
            stride,
            max_frames or sys.maxsize,
            Borders(cut, exact=True),
        )
        content = coco_of_boxes(job.all_frames(bar), names)
        for image, position in zip(content["images"], job.places, strict=True):
            image["video_frame"] = position
        write_coco(place / below, content)
    lost = _list_lost(job, found, counts if one_class else Counter(), unlabelled)
    said = f"{folder / below}: {len(found)} videos, {coco_summary(content)}, categories {', '.join(names)}"
    return [said, *job.borders.said(), *lost]


def _count_classes(videos: Sequence[LabelledVideo], one_class: bool) -> tuple[Counter[str], list[str], dict[str, int]]:
    """How many boxes each class has, the names of the categories, and the number of each class."""
    counts = Counter(label.name for video in videos for label in video.labels)
    names = [TARGET_CATEGORY] if one_class or not counts else sorted(counts)
    return counts, names, {name: 0 if one_class else names.index(name) for name in counts}


def _list_lost(
    job: Conversion, found: Sequence[LabelledVideo], classes: Counter[str], unlabelled: Sequence[str]
) -> list[str]:
    lost, columns = [], sorted({column for video in found for column in video.other_columns})
    if job.skipped["frames"]:
        lost.append(f"{job.skipped['frames']} frames with {job.skipped['boxes']} boxes (--stride, --max-frames)")
    if classes:
        lost.append(f"class names ({', '.join(f'{name} {classes[name]}' for name in sorted(classes))})")
    if columns:
        lost.append(f"columns {', '.join(columns)}")
    if unlabelled:
        lost.append(f"{len(unlabelled)} videos without a csv ({', '.join(unlabelled[:5])})")
    return [f"left out: {'; '.join(lost)}"] if lost else []


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    parser = Parser(
        prog="python -m utils_coco.csv_to_coco",
        description="Turn videos with csv labels (columns frame,class,x,y,w,h; frames and pixels counted "
        "from 1) into a COCO json, and into frames.",
    )
    parser.add_argument("--labels", required=True, metavar="DIR", help="folder of NAME.csv")
    parser.add_argument("--videos", required=True, metavar="DIR", help="folder of NAME.mp4")
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="folder that gets annotations/instances_SPLIT2017.json"
    )
    parser.add_argument(
        "--frames",
        action="store_true",
        help="write the frames as images/SPLIT/NAME/0.png too, which makes --out a dataset",
    )
    parser.add_argument("--split", choices=("train", "test"), default="test", help="default: test")
    parser.add_argument(
        "--stride",
        type=number("stride"),
        default=1,
        metavar="N",
        help="keep every Nth frame; those written are numbered 0, 1, 2, … (default: 1)",
    )
    parser.add_argument(
        "--max-frames", type=number("max_frames"), metavar="N", help="keep at most N frames of each video (0: all)"
    )
    parser.add_argument("--one-class", action="store_true", help=f"one category for all classes, {TARGET_CATEGORY}")
    add_cut_option(parser)
    parser.add_argument("--overwrite", action="store_true", help="replace a json that is there (never frames)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    given = parser.parse_args(argv)
    print(
        "\n".join(
            convert(
                given.labels,
                given.videos,
                given.out,
                given.split,
                given.frames,
                given.stride,
                given.max_frames,
                given.one_class,
                given.overwrite,
                given.quiet,
                given.cut,
            )
        )
    )


if __name__ == "__main__":
    with user_errors():
        main()
