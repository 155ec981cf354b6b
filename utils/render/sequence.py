"""Rendering one sequence: every frame predicted, and annotated video, masks, boxes and tracks written."""
from __future__ import annotations

import signal
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from utils.predictor.frame_preparation import RAW_WINDOW, Intake, raw_window_for
from utils.predictor.predictor import Predictor
from utils.render.source_truth import Truth
from utils.system.errors import Interrupted, UserError
from utils.video.sources import FrameSource

if TYPE_CHECKING:
    from utils.render.result_files import Results

DEFAULT_FPS = 25.0
FAR = 8  # a frame whose mean is that many standard deviations from the training frames' looks nothing like them


def note(text: str) -> None:
    """One line on stderr that does not break the progress bar."""
    from tqdm import tqdm

    tqdm.write(text, file=sys.stderr)


def warn(text: str) -> None:
    note(f"warning: {text}")


def tell_raw(source: FrameSource) -> None:
    """Say how raw frames are shown to the network."""
    note(f"{source.path}: raw frames; the network, which has learnt from 8 bits, sees their percentiles {RAW_WINDOW} "
         "as 0 to 255, or more where that would be noise (--window)")


def check_look(source: FrameSource, image: np.ndarray, intake: Intake, predictor: Predictor) -> None:
    """Warn about frames in other units than the training frames'."""
    image = intake.prepare(image)
    mean, std = (float(np.mean(value)) for value in predictor.settings.normalisation)
    if abs(image.mean() - mean) > FAR * std:
        warn(f"{source.path}: the frames' mean is {image.mean():.0f} ({image.dtype}), that of the training "
             f"frames {mean:.0f} ± {std:.0f}; the network has not learnt from frames like these; --window p0.5,p99.9 "
             "brings them closer")


def say(source: FrameSource) -> None:
    """What there is to say about a source since the last time."""
    while source.notes:
        note(source.notes.pop(0))


def render(source: FrameSource, predictor: Predictor, truth: Truth | None, options: Namespace, out: Path) -> str:
    """Predict one sequence and write its files; returns lines about them.

    Raises:
        UserError: a frame cannot be read or a file not be written; what was done until then is kept.
        Interrupted: by Ctrl-C; what was done until then is kept.
    """
    from utils.render.result_files import Results
    from utils.render.tracks import Tracker

    if source.problem:
        raise UserError(source.problem)
    name, fps = source.name.rpartition("/")[2], options.fps or (source.fps or DEFAULT_FPS) / options.stride
    writers, began = picture_writers(options, out, name, fps), time.perf_counter()
    masks = out / "masks"
    if Path(source.path).resolve() in [path.resolve() for path in (*(one.path for one in writers), masks)]:
        raise UserError(f"{source.path}: results would take the place of the source; give another folder with --out")
    results = Results(out, {
        "source": source.path, "sequence": source.name, "fps": fps, "weights": options.weights,
        "model": predictor.settings.name, "task": predictor.settings.task, "threshold": predictor.settings.threshold,
    }, class_names(predictor), None if options.no_tracks else Tracker())
    try:
        with ExitStack() as stack:
            for writer in (*writers, results):  # results end first, while there is room for them
                stack.enter_context(writer)
            predict(source, predictor, truth, options, results, writers, masks)
    except UserError as error:
        raise UserError("; ".join([*told(error), *kept(results)])) from None
    except KeyboardInterrupt:
        if not (results.records and hasattr(source, "report")):  # it is how one ends a live source
            raise Interrupted("; ".join(kept(results)) or "before the first frame was done", signal.SIGINT) from None
    finally:
        say(source)
    count, total = len(results.records), announced(source, options)
    if not count:
        raise UserError(f"{source.path}: no frame could be read; record or copy it again")
    if total and count < total:
        warn(f"{source.path}: {count} frames could be read, {total} were announced")
    if count == 1 < predictor.settings.num_frames:
        warn(f"{source.path}: one frame; the network looks for what moves from frame to frame, and misses most in one")
    sizes = {(image["width"], image["height"]) for image in results.images}
    if len(sizes) > 1:
        warn(f"{source.path}: frames of {len(sizes)} sizes; no clip holds frames of several, and the video has the "
             "first one's size")
    tracks = f"  {len(results.ids)} tracks" if results.tracks else ""
    what = "components" if predictor.settings.task == "segmentation" else "boxes"
    said = summary(source.name, results.records, what) + tracks
    paths = [*(writer.path for writer in writers), masks, *results.paths()]
    return "\n".join([said, pace(source, count, time.perf_counter() - began), *(f"  {path}" for path in paths)])


def predict(source: FrameSource, predictor: Predictor, truth: Truth | None, options: Namespace, results: Results,
            writers: Sequence[Any], masks: Path) -> None:
    """Predict every frame of a sequence, and give it to what writes `results`, pictures and `masks`."""
    from tqdm import tqdm

    from utils.images.grey_levels import Stretch
    from utils.render.overlay import Trails, draw
    from utils.video.writers import write_mask

    intake = intake_of(options, predictor, partial(tell_raw, source))
    stretch, trails = Stretch(), None if options.no_tracks else Trails()
    frames = islice(intake.frames(source), options.max_frames or None)
    with tqdm(total=announced(source, options), desc=source.name, unit=" frames", disable=options.quiet,
              dynamic_ncols=True, mininterval=0.5) as bar:
        for frame, prediction in predictor.stream_with(frames, options.batch_size):
            say(source)
            if not results.records and options.weights:
                check_look(source, frame.image, intake_of(options, predictor), predictor)
            prediction = intake.restore(prediction, frame)
            targets = truth.of(source, frame) if truth else None
            tracked = results.add(frame, prediction, targets)
            if trails:
                trails.update(frame.number, tracked)
            picture = draw(frame.image, prediction, levels=stretch.update(frame.image), truth=targets,
                           heat=options.heatmap, side_by_side=truth is not None, threshold=predictor.settings.threshold,
                           title=source.name, scale=options.scale, trails=trails, roi=options.roi)
            for writer in writers:
                writer.write(picture)
            write_mask(masks / f"{frame.name}.png", prediction.mask)
            bar.update()


def announced(source: FrameSource, options: Namespace) -> int | None:
    """How many frames are to be expected; None where nobody knows."""
    if not source.length or (source.files and options.stride > 1):  # numbers of files may have gaps
        return None
    return min(-(-source.length // options.stride), options.max_frames or sys.maxsize)


def kept(results: Results) -> list[str]:
    """What there is of a sequence that was not predicted to its end, if anything."""
    count = len(results.records)
    return [f"what was found in the first {count} frames is in {results.folder}"] if count else []


def told(error: BaseException | None) -> list[str]:
    """What an error of the user says, after what those say during whose handling it came up."""
    texts: list[str] = []
    while error:
        if isinstance(error, UserError):
            texts.insert(0, str(error))
        error = error.__context__
    return texts


def pace(source: FrameSource, count: int, seconds: float) -> str:
    """How fast it went, and what a live source dropped, in lines."""
    text = f"  {count / seconds:.1f} frames a second, reading, drawing and writing included"
    return f"{text}\n  {source.report()}" if hasattr(source, "report") else text


def intake_of(options: Namespace, predictor: Predictor, on_raw: Callable[[], object] = lambda: None) -> Intake:
    """What prepares the frames of one sequence; `on_raw` is called where raw frames begin."""
    return Intake(options.stride, options.roi, options.window, options.invert,
                  raw_window_for(predictor.settings.normalisation), on_raw)


def picture_writers(options: Namespace, out: Path, name: str, fps: float) -> list[Any]:
    """What writes the annotated pictures of one sequence."""
    from utils.video.writers import GifWriter, PreviewWriter, VideoWriter

    writers: list[Any] = [VideoWriter(out / f"{name}.mp4", fps)]
    if options.preview:
        writers.append(PreviewWriter(out / "preview.jpg"))
    if options.gif:
        writers.append(GifWriter(out / f"{name}.gif", fps, longer_side=960 if options.truth else 640))
    return writers


def class_names(predictor: Predictor) -> list[str]:
    """Names of the predictor's classes."""
    count = predictor.settings.num_classes
    return ["target"] if count == 1 else [f"class{i}" for i in range(count)]


def summary(name: str, records: list[dict[str, Any]], what: str) -> str:
    """What was found in one sequence, in one line."""
    text = f"{name}: {len(records)} frames, {sum(len(record['components']) for record in records)} {what}"
    known = [record for record in records if "targets" in record]
    if not known:
        return text
    hits, targets = (sum(record[key] for record in known) for key in ("hits", "targets"))
    false = sum(len(record["components"]) for record in known) - hits
    return f"{text}; {hits} of {targets} targets found and {false} false in the {len(known)} frames with known truth"
