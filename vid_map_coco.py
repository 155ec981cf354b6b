"""Measure boxes on a dataset: average precision by IoU and by the centres' distance, precision, recall, F1.

Of a detector, a segmentation network or a classical method (their components' boxes), or any program that writes COCO
results.
"""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np

from utils.commands.calibration_details import CalibrationLog, assess_found
from utils.commands.detection_details import assess, assess_details
from utils.commands.inputs import (
    check_predictor,
    describe_predictor,
    fit_to_budget,
    open_labelled,
    open_predictor,
    results_folder,
    select_sequences,
)
from utils.commands.options import (
    Budget,
    add_budget_options,
    add_data_options,
    add_hardware_options,
    budget_of,
    hardware_of,
)
from utils.commands.predictor_options import PredictorChoice, add_predictor_options, choice_of
from utils.commands.track_details import assess_tracks
from utils.commands.track_options import add_track_options, track_rules_of
from utils.datasets.coco import write_coco
from utils.datasets.dataset import Dataset
from utils.datasets.quick_check import warn_without_motion
from utils.metrics import bootstrap
from utils.metrics.breakdown import BoxLog, each_of
from utils.metrics.coco_results import Naming, as_results, as_truth, naming_of, read_results
from utils.metrics.detection import BOX_RULES, MIN_IOU, DetectionMetrics
from utils.metrics.evaluate import DetectionEvaluation, compare_detections, evaluate_detection
from utils.metrics.target_facts import TargetFacts
from utils.metrics.tracks import TrackLog
from utils.predictor.tiles.tiling import AUTOMATIC
from utils.render.contact_sheet import SHEETS, write_sheets
from utils.render.curves import plot_precision_recall
from utils.system.command_line import Parser, number
from utils.system.errors import UserError, user_errors
from utils.system.files import whole_file, write_json
from utils.system.notices import warnings_given
from utils.system.outputs import OutputFolder, adopt_earlier

RESULTS = ("metrics.json", "detections.json", "truth.json", "pr_curve.png", "pr_curve.txt", *SHEETS)  # files
DEFAULT_THRESHOLD = 0.5  # of detections made elsewhere
MAX_CURVE_POINTS = 250  # of the curve over the threshold, in metrics.json
CURVES = {"iou": f"IoU at least {MIN_IOU:g}", "centre": "centres less than 3 px apart"}


def parse(argv: list[str] | None = None) -> Namespace:
    """The command line; raises `UserError` for mistakes."""
    parser = Parser(prog="vid_map_coco.py", description=__doc__)
    add_data_options(parser)
    add_predictor_options(parser)
    add_budget_options(parser)
    network, figures, output = map(parser.group, ("Network", "Figures", "Output"))
    network.add_argument(
        "--detections",
        metavar="FILE",
        help="instead of --weights: COCO results made elsewhere; "
        f"precision, recall and F1 are those above score {DEFAULT_THRESHOLD}, or --threshold",
    )
    figures.add_argument("--class-agnostic", action="store_true", help="take all classes for one")
    figures.add_argument(
        "--draws",
        type=number("draws"),
        default=bootstrap.DRAWS,
        metavar="N",
        help="resamples of the sequences for 95%% intervals (0: none, default: %(default)s)",
    )
    figures.add_argument(
        "--least-box",
        type=number("least_box"),
        default=0.0,
        metavar="N",
        help="grow the boxes found to "
        "sides of N pixels: components are tight, while datasets such as DAUB draw no box below 8x8",
    )
    figures.add_argument(
        "--no-details",
        action="store_true",
        help="leave out the contact sheets of the worst false alarms and misses",
    )
    add_track_options(parser)
    output.add_argument(
        "--out",
        metavar="FOLDER",
        help="for metrics.json, detections.json, truth.json and the curves "
        "(default: map/ beside the weights or detections, or in runs/DATASET_METHOD)",
    )
    add_hardware_options(parser)
    return parser.parse_args(argv)


def check_detections(path: str, budget: Budget | None, choice: PredictorChoice) -> None:
    """Look at detections made elsewhere before any data is read.

    Args:
        path: of their file.
        budget: that a threshold is to be found for.
        choice: of what predicts, which is nothing here.

    Raises:
        UserError: there is no such file, a threshold is to be found, which takes frames, or what a network is to see
            is asked for.
    """
    for option, asked in (
        ("--levels", choice.levels),
        ("--compat-square", choice.square),
        ("--no-verifier", not choice.verify),
        ("--tile", choice.tiling != AUTOMATIC),
        ("--confirm", choice.confirmation is not None),
    ):
        if asked:
            raise UserError(f"{option}: found with --detections, which no network here makes; leave it out")
    if budget:
        raise UserError("--fa-budget: found with --detections, which says nothing of other frames; give --threshold")
    if choice.false_rate is not None:
        raise UserError("--false-rate: found with --detections, which hold no frames to find it on; leave it out")
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file, expected COCO results; give --detections FILE")


def open_outputs(out: Path) -> None:
    """Make the folder of results, in which no file stands in the way.

    Raises:
        UserError: there is one, or the folder cannot be written.
    """
    outputs = OutputFolder(out, "vid_map_coco.py", adopt_earlier(out, RESULTS[0], b'"least_box"', RESULTS))
    outputs.claim(*RESULTS)


def curves_of(metrics: DetectionMetrics) -> dict[str, Any]:
    """The interpolated curves, and those over the threshold, by rule."""
    curves: dict[str, Any] = {rule: metrics.interpolate(rule) for rule in BOX_RULES}
    for rule, curve in curves.items():
        every = metrics.curve(rule)
        step = -(-len(every["threshold"]) // MAX_CURVE_POINTS) or 1
        curve["by_threshold"] = {name: values[::step] for name, values in every.items()}
    return curves


def write_curves(curves: dict[str, Any], figures: dict[str, Any], out: Path) -> None:
    """Write the interpolated curves as pr_curve.png, with a mark at these figures, and pr_curve.txt."""
    points = {"iou": ("recall", "precision"), "centre": ("pd", "centre_precision")}
    plot_precision_recall(
        {CURVES[rule]: curve | {"at": [figures[key] for key in points[rule]]} for rule, curve in curves.items()},
        out / "pr_curve.png",
        f"precision over recall (o: score {figures['threshold']:.3g})",
    )
    with whole_file(out / "pr_curve.txt") as file:
        names = "; ".join(f"precision_{rule}: {CURVES[rule]}" for rule in BOX_RULES)
        file.write(f"# interpolated precision, the largest at that recall or beyond; {names}\n".encode())
        np.savetxt(
            file,
            np.stack([curves["iou"]["recall"], *(curves[rule]["precision"] for rule in BOX_RULES)], 1),
            "%.2f %.6f %.6f",
            header=" ".join(["recall", *(f"precision_{rule}" for rule in BOX_RULES)]),
        )


def write_boxes(result: DetectionEvaluation, dataset: Dataset, naming: Naming, out: Path) -> None:
    """Write truth.json and detections.json."""
    frames = (frame for frame, _ in result.detections)
    truth = zip(frames, result.overall.true, result.overall.ignored, strict=True)
    write_coco(out / "truth.json", as_truth(truth, dataset, naming))
    write_coco(out / "detections.json", as_results(result.detections, naming))


def save(
    content: dict[str, Any],
    dataset: Dataset,
    naming: Naming,
    result: DetectionEvaluation,
    log: BoxLog | None,
    out: Path,
) -> list[str]:
    """Write all files, and say where they are.

    Args:
        content: of metrics.json, but for curves, numbers of images and warnings.
        dataset: that was measured.
        naming: of its classes and images.
        result: of the dataset.
        log: that observed it, or None.
        out: folder of the files.
    """
    content["image_ids"] = list(naming.source) or "counted from 1 in the dataset's order, see truth.json"
    content["curve"] = curves_of(result.overall)
    content["contact_sheets"] = [str(out / name) for name in SHEETS] if log else []
    write_json(out / "metrics.json", content | {"warnings": warnings_given()})  # before all else, which may fail
    write_boxes(result, dataset, naming, out)
    write_curves(content["curve"], content["overall"], out)
    lines = []
    if log is not None:
        write_sheets(log, out)
        lines.append(f"worst false alarms and misses in {' and '.join(content['contact_sheets'])}")
    paths = (out / name for name in ("metrics.json", "detections.json", "pr_curve.png"))
    return [*lines, "figures in {}, boxes in {}, curves in {}".format(*paths)]


def main(argv: list[str] | None = None) -> None:
    """Measure, write the files, and print."""
    options = parse(argv)
    choice, budget, rules = choice_of(options), budget_of(options), track_rules_of(options)
    check_predictor(choice, detections=options.detections)
    if options.detections:
        check_detections(options.detections, budget, choice)
    whole = open_labelled(options.data_root, options.split, "boxes")
    dataset, naming = select_sequences(whole, options.sequences, options.ignore_value, masks=False), naming_of(whole)
    read = [options.detections, dataset.root, options.budget_root]
    out = results_folder(choice, options.out, options.data_root, "map", read)
    about = {
        "dataset": dataset.name,
        "data_root": options.data_root,
        "split": options.split,
        "limit": options.limit,
        "class_agnostic": options.class_agnostic,
        "least_box": options.least_box,
        "ignore_value": options.ignore_value,
    }
    found = read_results(options.detections, naming, options.class_agnostic) if options.detections else {}
    open_outputs(out)
    reading = {"batch_size": options.batch_size, "workers": options.workers, "quiet": options.quiet}
    if options.detections:
        model, threshold = "detections", DEFAULT_THRESHOLD if options.threshold is None else options.threshold
        about |= {"detections_from": options.detections, "model": model, "threshold": threshold}
    else:
        predictor = open_predictor(choice, hardware_of(options), dataset)
        warn_without_motion(dataset, predictor.settings.num_frames, predictor.settings.name)
        predictor, chosen_on = fit_to_budget(predictor, budget, ignore=options.ignore_value, filled=True, **reading)
        model, threshold = predictor.settings.name, predictor.settings.threshold
        about |= {**describe_predictor(choice, predictor), "task": predictor.settings.task, "threshold": threshold}
        about |= {"chosen_on": chosen_on}
    log = None if options.no_details else BoxLog(TargetFacts(dataset), threshold)
    tracks = None if rules is None else TrackLog(rules, threshold)
    counting = {"classes": not options.class_agnostic, "least_side": options.least_box, "limit": options.limit}
    calibration = None if choice.false_rate is None else CalibrationLog(choice.false_rate)
    if options.detections:
        result = compare_detections(dataset, found, **counting, observe=each_of(log, tracks))
    else:
        on_frame = each_of(calibration and calibration.add_detections, tracks and tracks.add_prediction)
        watching = {"observe": log, "on_frame": on_frame, "title": "measuring"}
        result = evaluate_detection(predictor, dataset, **counting, **reading, **watching)
        about |= {"seconds": result.seconds, "frames_per_second": len(result.detections) / result.seconds}
    content, lines = assess(result, dataset, model, threshold, timed=not options.detections)
    details, more = assess_details(result, dataset, naming, content["overall"], options.draws)
    measured, lines_of_tracks = assess_tracks(tracks, dataset, options.draws)
    details, more = details | measured, more + lines_of_tracks
    if calibration:
        details["calibration"], calibrated = assess_found(calibration, dataset, **counting)
        more += calibrated
    print("\n".join([*lines, *more, *save(content | about | details, dataset, naming, result, log, out)]))


if __name__ == "__main__":
    with user_errors():
        main()
