"""Rendering one sequence: every frame predicted, and annotated video, masks, boxes and tracks written."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from utils.images.grey_levels import Stretch, Window
from utils.images.normalise import Normalisation
from utils.predictor.frame_preparation import Intake, intake_for, raw_notice
from utils.predictor.predictor import Predictor
from utils.predictor.tracking.tracker import Tracker
from utils.render.overlay import Trails, draw
from utils.render.result_files import RESULT_FILES, Results, Tally
from utils.render.source_truth import Truth
from utils.system.errors import Interrupted, UserError
from utils.system.notices import warn
from utils.system.outputs import OutputFolder, adopt_earlier
from utils.system.packages.late import tqdm
from utils.video.sources import FrameSource
from utils.video.writers import GifWriter, PreviewWriter, VideoWriter, write_mask

DEFAULT_FPS = 25.0
MASKS_FOLDER = "masks"
MAX_DEVIATIONS = 8  # a frame whose mean is more standard deviations from the training frames' looks nothing like them


@dataclass(frozen=True)
class RenderSettings:
    """Which frames of a sequence are predicted, how they are prepared, and what is written.

    Args:
        stride: as of `Intake`.
        roi: likewise.
        window: likewise.
        invert: likewise.
        max_frames: that are predicted, the first ones (0: all).
        batch_size: clips that go through the network together.
        weights: file of the network; None of a classical method, to which all frames look alike.
        fps: frames a second of the result; None: the source's, or else `DEFAULT_FPS`, divided by the stride.
        scale: enlargement of the pictures, as of `draw`.
        heatmap: whether the probability is laid over them, as `heat` of `draw`.
        tracks: follow the targets, and write tracks.csv.
        gif: write a GIF as well.
        preview: keep preview.jpg up to date with the latest picture.
        quiet: no progress bar.
    """

    stride: int = 1
    roi: tuple[int, int, int, int] | None = None
    window: Window | None = None
    invert: bool = False
    max_frames: int = 0
    batch_size: int = 1
    weights: str | None = None
    fps: float | None = None
    scale: float | None = None
    heatmap: bool = False
    tracks: bool = True
    gif: bool = False
    preview: bool = False
    quiet: bool = False


def note(text: str) -> None:
    """Print a line on stderr that does not break the progress bar."""
    tqdm.tqdm.write(text, file=sys.stderr)


def tell_raw(source: FrameSource) -> None:
    """Say how raw frames are shown to the network."""
    note(f"{raw_notice(source.path)} (--window)")


def check_look(path: str, image: np.ndarray, normalisation: Normalisation) -> None:
    """Warn about frames in other units than the training frames'.

    Args:
        path: of the source.
        image: `(H, W)`, a frame as the network sees it.
        normalisation: mean and standard deviation of the training frames.
    """
    mean, std = (float(np.mean(value)) for value in normalisation)
    if abs(image.mean() - mean) > MAX_DEVIATIONS * std:
        warn(
            f"{path}: the frames' mean is {image.mean():.0f} ({image.dtype}), that of the training "
            f"frames {mean:.0f} ± {std:.0f}; the network has not learnt from frames like these; --window p0.5,p99.9 "
            "brings them closer"
        )


def print_notes(source: FrameSource) -> None:
    """Print what there is to say about a source since the last time."""
    while source.notes:
        note(source.notes.pop(0))


def render(source: FrameSource, predictor: Predictor, truth: Truth | None, settings: RenderSettings, out: Path) -> str:
    """Predict one sequence and write its files.

    Args:
        source: the sequence.
        predictor: at its own threshold.
        truth: the true targets, where they are known.
        settings: see there.
        out: folder of the files.

    Returns:
        Lines about what was found, how fast it went, and where the files are.

    Raises:
        UserError: a frame cannot be read or a file not be written; what was done until then is kept.
        Interrupted: by Ctrl-C; what was done until then is kept.
    """
    if source.problem:
        raise UserError(source.problem)
    name, fps = source.name.rpartition("/")[2], settings.fps or (source.fps or DEFAULT_FPS) / settings.stride
    outputs = open_outputs(out, source, name)
    writers, began = open_writers(settings, out, name, fps, truth is not None), time.perf_counter()
    results = Results(
        out,
        {
            "source": source.path,
            "sequence": source.name,
            "fps": fps,
            "weights": settings.weights,
            "model": predictor.settings.name,
            "task": predictor.settings.task,
            **describe_threshold(predictor),
            "tiles": asdict(predictor.tiling),
            "square": predictor.square,
        },
        class_names(predictor),
        Tracker() if settings.tracks else None,
    )
    try:
        with ExitStack() as stack:
            for writer in (*writers, results):  # results end first, while there is room for them
                stack.enter_context(writer)
            predict(source, predictor, truth, settings, results, writers, outputs)
    except UserError as error:
        raise UserError("; ".join([*messages_of(error), *partial_results(results)])) from None
    except KeyboardInterrupt:
        if not (results.tally.frames and source.report()):  # it is how one ends a source that does not wait
            done = "; ".join(partial_results(results)) or "before the first frame was done"
            raise Interrupted(done, signal.SIGINT) from None
    finally:
        print_notes(source)
    if not results.tally.frames:
        raise UserError(f"{source.path}: no frame could be read; record or copy it again")
    warn_of_few(source, predictor, results)
    tracks = f"  {len(results.ids)} tracks" if results.tracks else ""
    what = "components" if predictor.settings.task == "segmentation" else "boxes"
    found = summarise(source.name, results.tally, what) + tracks
    seconds = time.perf_counter() - began
    paths = [*(writer.path for writer in writers), out / MASKS_FOLDER, *results.paths()]
    return "\n".join([found, *describe_run(source, results, seconds), *(f"  {path}" for path in paths)])


def mask_name(frame: str) -> str:
    """Where the mask of a frame of this name goes in the folder of results."""
    return f"{MASKS_FOLDER}/{frame}.png"


def open_outputs(out: Path, source: FrameSource, name: str) -> OutputFolder:
    """The folder of a sequence's results, in which no file stands in the way.

    Args:
        out: path of the folder.
        source: the sequence.
        name: of the videos.

    Raises:
        UserError: there is one, or the folder cannot be written.
    """
    videos = (f"{name}.mp4", f"{name}.part.mp4", f"{name}.gif", "preview.jpg")
    files, masks = (*RESULT_FILES, *videos), [mask_name(Path(path).stem) for _, path in source.files]
    own = adopt_earlier(out, RESULT_FILES[0], b'"task": "', (*files, *masks))
    outputs = OutputFolder(out, "vid_predict.py", own)
    outputs.require_free(*files, *masks)
    outputs.claim(*files)
    return outputs


def warn_of_few(source: FrameSource, predictor: Predictor, results: Results) -> None:
    """Warn of frames such that the network sees little in them."""
    if results.tally.frames == 1 < predictor.settings.num_frames:
        warn(f"{source.path}: one frame; the network looks for what moves from frame to frame, and misses most in one")
    sizes = {(image["width"], image["height"]) for image in results.images}
    if len(sizes) > 1:
        warn(
            f"{source.path}: frames of {len(sizes)} sizes; no clip holds frames of several, and the video has the "
            "first one's size"
        )


def predict(
    source: FrameSource,
    predictor: Predictor,
    truth: Truth | None,
    settings: RenderSettings,
    results: Results,
    writers: Sequence[Any],
    outputs: OutputFolder,
) -> None:
    """Predict every frame of a sequence, and give it to what writes `results`, pictures and masks.

    Args:
        source: the sequence.
        predictor: at its own threshold.
        truth: the true targets, where they are known.
        settings: as of `render`.
        results: takes the predictions.
        writers: take the annotated pictures.
        outputs: folder of all of them.

    Raises: `UserError` where a frame cannot be read or a file not be written.
    """
    intake = make_intake(settings, predictor, partial(tell_raw, source))
    stretch, trails = Stretch(), Trails() if settings.tracks else None
    frames = islice(intake.frames(source), settings.max_frames or None)
    with tqdm.tqdm(
        total=count_expected(source, settings),
        desc=source.name,
        unit=" frames",
        disable=settings.quiet,
        dynamic_ncols=True,
        mininterval=0.5,
    ) as bar:
        for frame, prediction in predictor.stream_with(frames, settings.batch_size, settings.stride):
            print_notes(source)
            if not results.tally.frames and settings.weights and predictor.settings.levels == "dataset":
                seen = make_intake(settings, predictor).prepare(frame.image)
                check_look(source.path, seen, predictor.settings.normalisation)
            prediction = intake.restore(prediction, frame)
            prediction, targets = truth.judge(source, frame, prediction) if truth else (prediction, None)
            tracked = results.add(frame, prediction, targets)
            if trails:
                trails.update(frame.number, tracked)
            picture = draw(
                frame.image,
                prediction,
                levels=stretch.update(frame.image),
                truth=targets,
                heat=settings.heatmap,
                side_by_side=truth is not None,
                threshold=prediction.threshold,
                title=source.name,
                scale=settings.scale,
                trails=trails,
                roi=settings.roi,
            )
            for writer in writers:
                writer.write(picture)
            write_mask(outputs.path(mask_name(frame.name)), prediction.mask)
            bar.update()


def count_expected(source: FrameSource, settings: RenderSettings) -> int | None:
    """How many frames are to be expected; None where nobody knows."""
    if not source.length or (source.files and settings.stride > 1):  # numbers of files may have gaps
        return None
    return min(-(-source.length // settings.stride), settings.max_frames or sys.maxsize)


def partial_results(results: Results) -> list[str]:
    """What there is of a sequence that was not predicted to its end, in a line if anything."""
    count = results.tally.frames
    return [f"what was found in the first {count} frames is in {results.folder}"] if count else []


def messages_of(error: BaseException | None) -> list[str]:
    """What an error of the user says, after what those say during whose handling it came up."""
    texts: list[str] = []
    while error:
        if isinstance(error, UserError):
            texts.insert(0, str(error))
        error = error.__context__
    return texts


def describe_threshold(predictor: Predictor) -> dict[str, Any]:
    """Which threshold, or how thresholds are found, of which scores, and what confirms what exceeds them."""
    rate = {} if predictor.false_rate is None else {"false_rate": predictor.false_rate}
    scores = {"levels": predictor.settings.levels, "verifier": predictor.verifier is not None}
    confirm = {"confirm": asdict(predictor.confirmation)} if predictor.confirmation else {}
    return {"threshold": predictor.settings.threshold, **rate, **scores, **confirm}


def describe_run(source: FrameSource, results: Results, seconds: float) -> list[str]:
    """Which thresholds were found, how fast it went, and what became of a source's frames that does not wait."""
    lines = [f"  {results.thresholds.describe()}"] if results.thresholds.thresholds else []
    lines.append(f"  {results.tally.frames / seconds:.1f} frames a second, reading, drawing and writing included")
    if report := source.report():
        lines.append(f"  {report}")
    return lines


def make_intake(settings: RenderSettings, predictor: Predictor, on_raw: Callable[[], object] = lambda: None) -> Intake:
    """What prepares the frames of one sequence; `on_raw` is called where raw frames begin."""
    options = {"stride": settings.stride, "roi": settings.roi, "window": settings.window, "invert": settings.invert}
    return intake_for(predictor.settings, **options, on_raw=on_raw)


def open_writers(settings: RenderSettings, out: Path, name: str, fps: float, side_by_side: bool) -> list[Any]:
    """What writes the annotated pictures of one sequence; those `side_by_side` are twice as wide."""
    writers: list[Any] = [VideoWriter(out / f"{name}.mp4", fps)]
    if settings.preview:
        writers.append(PreviewWriter(out / "preview.jpg"))
    if settings.gif:
        writers.append(GifWriter(out / f"{name}.gif", fps, longer_side=960 if side_by_side else 640))
    return writers


def class_names(predictor: Predictor) -> list[str]:
    """Names of the predictor's classes."""
    count = predictor.settings.num_classes
    return ["target"] if count == 1 else [f"class{i}" for i in range(count)]


def summarise(name: str, tally: Tally, what: str) -> str:
    """What was found in one sequence, in one line; `what` that is: components or boxes."""
    text = f"{name}: {tally.frames} frames, {tally.found} {what}"
    if not tally.known_frames:
        return text
    return (
        f"{text}; {tally.hits} of {tally.targets} targets found and {tally.false} false in the "
        f"{tally.known_frames} frames with known truth"
    )
