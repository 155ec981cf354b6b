"""Find moving targets in images, videos, a camera or a growing folder: annotated video, masks, boxes and tracks.

Writes an mp4, masks as PNG (segmentation networks), predictions.json, coco.json, detections.csv and tracks.csv.
"""
from __future__ import annotations

import dataclasses
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from utils.chosen import add_predictor_options, check_predictor, open_predictor, results_folder, take_bundled
from utils.cli import Parser, make_folder, number
from utils.errors import UserError, user_errors
from utils.files import write_json
from utils.intake import DEEPEST, Intake, Window, add_options
from utils.live import GrowingFolder, LiveSource, is_live
from utils.measuring import add_hardware
from utils.prediction import Component, Prediction, match_components
from utils.predictor import Predictor
from utils.truth import Truth
from utils.video import FrameSource, SourceFrame, open_sources

DEFAULT_FPS = 25.0
FAR = 8  # a frame whose mean is that many standard deviations from the training frames' looks nothing like them
# How raw frames of 16 bits are shown to a network that has learnt from 8, at about the noise that it knows.
RAW = Window(0.5, 99.9, percent=True, noise=2.0)


def parse(argv: list[str] | None = None) -> Namespace:
    """The command line; raises `UserError` for mistakes."""
    parser = Parser(prog="vid_predict.py", description=__doc__)
    add_predictor_options(parser, "the SSTNet in weights/")
    parser.add_argument("--source", required=True, metavar="PATH", help="folder of images, image, TIFF of many pages, "
                        "video, camera index or URL; of a folder with subfolders of images, or of a dataset, every "
                        "sequence")
    parser.add_argument("--watch", type=number(float, 0.1), metavar="S", help="--source is a folder that grows: go on "
                        "until no image came for S seconds")
    parser.add_argument("--preview", action="store_true", help="keep preview.jpg in the output folder up to date with "
                        "the latest picture")
    add_options(parser)
    parser.add_argument("--motion-compensation", choices=("on", "off"), help="align the frames of a clip to the last "
                        "one, for panning and shaking cameras (default: as the network was trained)")
    parser.add_argument("--no-tracks", action="store_true", help="leave out tracks.csv")
    parser.add_argument("--out", metavar="FOLDER", help="for the results (default: predict/NAME beside the weights, or "
                        "in runs/NAME_METHOD)")
    parser.add_argument("--truth", metavar="FOLDER", help="dataset or folder of masks: tell hits from false alarms, "
                        "and show the truth beside the prediction")
    parser.add_argument("--heatmap", action="store_true", help="lay the probability over the frames")
    parser.add_argument("--gif", action="store_true", help="write a GIF as well")
    parser.add_argument("--fps", type=number(float, 0.1, 1000), metavar="X",
                        help=f"frames a second of the result (default: the source's, else {DEFAULT_FPS:g})")
    parser.add_argument("--scale", type=number(float, 0.05, 64), metavar="X",
                        help="enlargement of the pictures (default: so that the longer side has 640 pixels or more)")
    parser.add_argument("--max-frames", type=number(int, 0), default=0, metavar="N",
                        help="only the first N frames of each sequence (0: all)")
    add_hardware(parser)
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser.parse_args(argv)


def note(text: str) -> None:
    """One line on stderr that does not break the progress bar."""
    from tqdm import tqdm

    tqdm.write(text, file=sys.stderr)


def warn(text: str) -> None:
    note(f"warning: {text}")


def check_look(source: FrameSource, image: np.ndarray, intake: Intake, predictor: Predictor) -> None:
    """Say how raw frames are shown to the network, and warn about frames in other units than the training frames'."""
    image = intake.prepare(image)
    if intake.window == RAW:
        note(f"{source.path}: raw frames; the network, which has learnt from 8 bits, sees their percentiles {RAW} "
             "as 0 to 255, or more where that would be noise (--window)")
    mean, std = (float(np.mean(value)) for value in predictor.normalisation)
    if abs(image.mean() - mean) > FAR * std:
        warn(f"{source.path}: the frames' mean is {image.mean():.0f} ({image.dtype}), that of the training "
             f"frames {mean:.0f} ± {std:.0f}; the network has not learnt from frames like these; --window p0.5,p99.9 "
             "brings them closer")


def as_record(frame: SourceFrame, prediction: Prediction, targets: Sequence[Component] | None) -> dict[str, Any]:
    """One frame of predictions.json; boxes are x1, y1, x2, y2 and centroids x, y in original pixels.

    A detector's `components` are its boxes above the threshold, as drawn; `detections` are all that it found.
    """
    record: dict[str, Any] = {"number": frame.number, "name": frame.name, "components": [
        {"score": round(found.score, 6), "box": [round(value, 3) for value in found.box],
         "centroid": [round(value, 3) for value in found.centroid], "area": found.area,
         **({} if prediction.boxes is None else {"class": found.category})}
        for found in prediction.components]}
    if prediction.boxes is not None:
        record["detections"] = [{"score": round(row[4], 6), "box": [round(value, 3) for value in row[:4]],
                                 "class": int(row[5])} for row in prediction.boxes.tolist()]
    if targets is not None:
        record |= {"targets": len(targets), "hits": int((match_components(targets, prediction.components) >= 0).sum())}
    return record


def render(source: FrameSource, predictor: Predictor, truth: Truth | None, options: Namespace, out: Path) -> str:
    """Predict one sequence and write its files, also when it is interrupted; returns lines about them."""
    from tqdm import tqdm

    from utils.overlay import Stretch, Trails, draw
    from utils.results import Results
    from utils.tracker import Tracker
    from utils.writers import write_mask

    name, fps = source.name.rpartition("/")[2], options.fps or (source.fps or DEFAULT_FPS) / options.stride
    intake = intake_of(options, predictor)
    writers = picture_writers(options, out, name, fps)
    masks = out / "masks" if predictor.task == "segmentation" else None
    records: list[dict[str, Any]] = []
    size, stretch, trails = None, Stretch(), None if options.no_tracks else Trails()
    limit, began = options.max_frames or sys.maxsize, time.perf_counter()
    total = min(-(-source.length // options.stride), limit) if source.length else None
    if source.files and options.stride > 1:
        total = None  # numbers may have gaps
    try:
        with ExitStack() as stack:
            bar = stack.enter_context(tqdm(total=total, desc=source.name, unit=" frames", disable=options.quiet,
                                           dynamic_ncols=True, mininterval=0.5))
            for writer in writers:
                stack.enter_context(writer)
            results = stack.enter_context(Results(out, class_names(predictor),
                                                  None if options.no_tracks else Tracker()))
            frames = islice(intake.frames(source), limit)
            for frame, prediction in predictor.stream_with(frames, options.batch_size):
                if not records and options.weights:
                    check_look(source, frame.image, intake_of(options, predictor), predictor)
                size = size or frame.image.shape[::-1]
                prediction = intake.restore(prediction, frame)
                tracked = results.add(frame, prediction)
                if trails:
                    trails.update(frame.number, tracked)
                targets = truth.of(source, frame) if truth else None
                picture = draw(frame.image, prediction, levels=stretch.update(frame.image), truth=targets,
                               heat=options.heatmap, side_by_side=truth is not None, threshold=predictor.threshold,
                               title=source.name, scale=options.scale, trails=trails)
                for writer in writers:
                    writer.write(picture)
                if masks:
                    write_mask(masks / f"{frame.name}.png", prediction.mask)
                records.append(as_record(frame, prediction, targets))
                bar.update()
    finally:
        if records:
            write_json(out / "predictions.json", {
                "source": source.path, "sequence": source.name, "size": size, "fps": fps, "weights": options.weights,
                "model": predictor.name, "task": predictor.task, "threshold": predictor.threshold, "frames": records})
    if not records:
        raise UserError(f"{source.path}: no frame could be read; record or copy it again")
    if total and len(records) < total:
        warn(f"{source.path}: {len(records)} frames could be read, {total} were announced")
    paths = [*(writer.path for writer in writers), masks, out / "predictions.json", *results.paths()]
    tracks = f"  {len(results.ids)} tracks" if results.tracks else ""
    said = summary(source.name, records, "components" if masks else "boxes") + tracks
    return "\n".join([said, pace(source, len(records), time.perf_counter() - began),
                      *(f"  {path}" for path in paths if path)])


def pace(source: FrameSource, count: int, seconds: float) -> str:
    """How fast it went, and what a live source dropped, in lines."""
    text = f"  {count / seconds:.1f} frames a second, reading, drawing and writing included"
    return f"{text}\n  {source.report()}" if hasattr(source, "report") else text


def intake_of(options: Namespace, predictor: Predictor) -> Intake:
    """What prepares the frames of one sequence."""
    narrow = bool(options.weights) and float(np.max(predictor.normalisation[0])) <= DEEPEST
    return Intake(options.stride, options.roi, options.window, options.invert, RAW if narrow else None)


def picture_writers(options: Namespace, out: Path, name: str, fps: float) -> list[Any]:
    """What writes the annotated pictures of one sequence."""
    from utils.writers import GifWriter, PreviewWriter, VideoWriter

    writers: list[Any] = [VideoWriter(out / f"{name}.mp4", fps)]
    if options.preview:
        writers.append(PreviewWriter(out / "preview.jpg"))
    if options.gif:
        writers.append(GifWriter(out / f"{name}.gif", fps, longer_side=960 if options.truth else 640))
    return writers


def class_names(predictor: Predictor) -> list[str]:
    """Names of the predictor's classes."""
    return ["target"] if predictor.num_classes == 1 else [f"class{i}" for i in range(predictor.num_classes)]


def sources_of(options: Namespace) -> list[Any]:
    """What is to be read; raises `UserError` where there is nothing."""
    if options.watch:
        return [GrowingFolder(options.source, options.watch)]
    return [LiveSource(options.source)] if is_live(options.source) else open_sources(options.source)


def summary(name: str, records: list[dict[str, Any]], what: str) -> str:
    """What was found in one sequence, in one line."""
    text = f"{name}: {len(records)} frames, {sum(len(record['components']) for record in records)} {what}"
    known = [record for record in records if "targets" in record]
    if not known:
        return text
    hits, targets = (sum(record[key] for record in known) for key in ("hits", "targets"))
    false = sum(len(record["components"]) for record in known) - hits
    return f"{text}; {hits} of {targets} targets found and {false} false in the {len(known)} frames with known truth"


def main(argv: list[str] | None = None) -> None:
    """Predict every sequence of the source."""
    options = parse(argv)
    take_bundled(options)
    check_predictor(options)
    sources = sources_of(options)
    truth = Truth(options.truth) if options.truth else None
    if truth:
        truth.require(sources)
    name = sources[0].name if len(sources) == 1 else Path(options.source).name
    out = results_folder(options, name, f"predict/{name}")
    make_folder(out)
    predictor = open_predictor(options)
    if options.motion_compensation:
        predictor = dataclasses.replace(predictor, register=options.motion_compensation == "on")
    for source in sources:
        print(render(source, predictor, truth, options, out if len(sources) == 1 else out / source.name))


if __name__ == "__main__":
    with user_errors():
        main()
