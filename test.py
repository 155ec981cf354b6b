"""Measure a trained network or a classical method on a dataset with masks: IoU, nIoU, F1, Pd, Fa, ROC, with intervals.

Overall, per sequence, per SNR subset, and Pd by SNR, size and speed of the targets.

A detector's mask is its boxes; where the dataset has boxes but no masks, a target's mask is its filled box then.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from utils.commands.calibration_details import CalibrationLog, describe_calibration
from utils.commands.inputs import (
    check_predictor,
    describe_predictor,
    fit_to_budget,
    open_labelled,
    open_predictor,
    pick_rows,
    results_folder,
    select_sequences,
    warn_without_targets,
)
from utils.commands.options import (
    add_budget_options,
    add_data_options,
    add_detail_options,
    add_hardware_options,
    budget_of,
    hardware_of,
)
from utils.commands.predictor_options import PredictorChoice, add_predictor_options, choice_of
from utils.commands.segmentation_details import DetailSettings, assess, countings_of
from utils.commands.track_details import assess_tracks
from utils.commands.track_options import add_track_options, track_rules_of
from utils.datasets.dataset import Dataset, open_dataset
from utils.datasets.frame_table import Frame
from utils.datasets.quick_check import warn_without_motion
from utils.metrics.breakdown import TargetLog, each_of
from utils.metrics.evaluate import Evaluation, evaluate_sequences
from utils.metrics.rules import MASK_RULES
from utils.metrics.segmentation import SegmentationMetrics
from utils.metrics.target_facts import TargetFacts
from utils.metrics.tracks import TrackLog
from utils.predictor.every_frame import describe_windows
from utils.predictor.prediction import Prediction
from utils.predictor.predictor import Predictor
from utils.render.contact_sheet import SHEETS, write_sheets
from utils.render.curves import plot_curves
from utils.system.command_line import Parser
from utils.system.errors import user_errors
from utils.system.files import write_json
from utils.system.notices import warnings_given
from utils.system.outputs import OutputFolder, adopt_earlier
from utils.system.tables import format_table
from utils.video.writers import write_mask

COLUMNS = (
    ("frames", "frames", "d"),
    ("targets", "targets", "d"),
    ("Pd", "pd", ".4f"),
    ("Fa", "fa", ".2e"),
    ("false/frame", "false_per_frame", ".3f"),
    ("F1", "f1", ".4f"),
    ("IoU", "iou", ".4f"),
    ("nIoU", "niou", ".4f"),
    ("pixel acc.", "pixel_accuracy", ".4f"),
)
RESULTS = ("metrics.json", "pd_fa.png", *SHEETS)  # files


def parse(argv: list[str] | None = None) -> Namespace:
    """The command line; raises `UserError` for mistakes."""
    parser = Parser(prog="test.py", description=__doc__)
    add_data_options(parser)
    add_predictor_options(parser)
    add_budget_options(parser)
    figures, output = parser.group("Figures"), parser.group("Output")
    figures.add_argument(
        "--rule",
        choices=MASK_RULES,
        default=MASK_RULES[0],
        help="found: by the centroids' distance, or by DTUM's shooting rule (default: %(default)s)",
    )
    figures.add_argument("--no-curve", action="store_true", help="leave out Pd over Fa, which takes a little time")
    add_detail_options(parser)
    add_track_options(parser)
    output.add_argument(
        "--out",
        metavar="FOLDER",
        help="for metrics.json (default: test/ beside the weights, or in runs/DATASET_METHOD)",
    )
    output.add_argument("--save-masks", action="store_true", help="write the predicted masks as PNG")
    add_hardware_options(parser)
    return parser.parse_args(argv)


def mask_name(frame: Frame) -> str:
    """Where a frame's mask goes in the folder of results."""
    return f"masks/{frame.sequence}/{Path(frame.image).stem}.png"


def mask_writer(outputs: OutputFolder, asked: bool) -> Callable[[Frame, Prediction], None] | None:
    """A callback that writes a frame's mask; None where it is not asked for."""

    def write(frame: Frame, prediction: Prediction) -> None:
        write_mask(outputs.path(mask_name(frame)), prediction.mask)

    return write if asked else None


def open_outputs(out: Path, masks_of: Dataset | None) -> OutputFolder:
    """The folder of results, in which no file stands in the way; nor one of the masks of `masks_of`.

    Raises:
        UserError: there is one, or the folder cannot be written.
    """
    outputs = OutputFolder(out, "test.py", adopt_earlier(out, RESULTS[0], b'"counting_seconds"', RESULTS))
    outputs.require_free(*RESULTS, *(map(mask_name, masks_of.frames) if masks_of else ()))
    outputs.claim(*RESULTS)
    return outputs


def require_masks(dataset: Dataset, predictor: Predictor) -> str:
    """What a target's mask is on this dataset, for people.

    Raises:
        UserError: a segmentation network meets a dataset without masks.
    """
    ignored = sum(len(frame.ignored) for frame in dataset.frames)
    more = f"; {ignored} regions are ignored (crowd, ignore, difficult)" if ignored else ""
    if any(frame.mask is not None for frame in dataset.frames):
        return f"masks{more}"
    if predictor.settings.task != "detection":
        open_dataset(dataset.root, dataset.split, need="masks")  # says what is missing, and what to do
    return f"filled boxes, as the dataset has no masks{more}"


def describe_measuring(dataset: Dataset, predictor: Predictor, rule: str, truth: str) -> str:
    """What was measured how, in a line."""
    where = f"threshold {predictor.settings.threshold:.4g}"
    if predictor.false_rate is not None:
        where = f"thresholds for {predictor.false_rate:g} false components a frame"
    return (
        f"{dataset.name} ({dataset.layout}), split {dataset.split}; {predictor.settings.name} at {where}, rule {rule}; "
        f"true targets are {truth}"
    )


def describe_network(choice: PredictorChoice, predictor: Predictor, chosen_on: Any) -> dict[str, Any]:
    """What predicted, and at which threshold, as metrics.json has it; `chosen_on` is what that was chosen on."""
    windows = {"windows": describe_windows(predictor.settings)} if predictor.settings.every_frame else {}
    threshold = predictor.settings.threshold
    return {**describe_predictor(choice, predictor), "threshold": threshold, "chosen_on": chosen_on, **windows}


def pace_of(result: Evaluation) -> dict[str, float]:
    """How long it took, as metrics.json has it."""
    return {
        "seconds": result.seconds,
        "frames_per_second": result.frames / result.seconds,
        "counting_seconds": result.counting,
    }


def describe_pace(result: Evaluation) -> str:
    """How long reading, predicting and counting took, in a line."""
    return (
        f"{result.frames} frames in {result.seconds:.1f} s, {result.frames / result.seconds:.1f} frames a second; "
        f"counting takes {1e3 * result.counting / result.frames:.1f} ms of each"
    )


def parts_of(result: Evaluation) -> dict[str, SegmentationMetrics]:
    """What there is a line for in the table, but for single sequences."""
    return {"overall": result.overall} | result.subsets


def describe_curve(curve: dict[str, Any], path: Path) -> str:
    """How good Pd over Fa is, in a line; `path` is its picture."""
    return f"mean Pd up to Fa {curve['fa_limit']:.0e}: {curve['pd_fa_auc']:.4f}; curves in {path}"


def save(
    content: dict[str, Any],
    details: DetailSettings,
    dataset: Dataset,
    result: Evaluation,
    log: TargetLog | None,
    out: Path,
) -> list[str]:
    """Write metrics.json, then the pictures, which may fail.

    Args:
        content: of metrics.json, but for curves and details.
        details: what they are to be.
        dataset: that was measured.
        result: of `evaluate_sequences` with both rules.
        log: that observed it, or None.
        out: folder of the files.

    Returns:
        What curves and details say, as lines.
    """
    curves = {name: metrics.curve() for name, metrics in parts_of(result).items()} if details.curve else {}
    more, text = assess(details, dataset, result, log, out)
    lines = [text]
    if curves:
        subsets = {name: curve for name, curve in curves.items() if name != "overall"}
        content = content | {"curve": curves["overall"], "subset_curves": subsets}
        lines.insert(0, describe_curve(curves["overall"], out / "pd_fa.png"))
    write_json(out / "metrics.json", content | more | {"warnings": warnings_given()})
    if curves:
        plot_curves(curves, out / "pd_fa.png", None if "calibration" in content else content["threshold"])
    if log is not None:
        write_sheets(log, out)
    return lines


def main(argv: list[str] | None = None) -> None:
    """Measure, write metrics.json and the pictures, and print."""
    options = parse(argv)
    choice, budget, rules = choice_of(options), budget_of(options), track_rules_of(options)
    tracks = None if rules is None else TrackLog(rules)
    check_predictor(choice)
    whole = open_labelled(options.data_root, options.split, "masks")
    dataset = select_sequences(whole, options.sequences, options.ignore_value)
    out = results_folder(choice, options.out, dataset.root, "test", [dataset.root, options.budget_root])
    writer = mask_writer(open_outputs(out, dataset if options.save_masks else None), options.save_masks)
    predictor = open_predictor(choice, hardware_of(options), dataset)
    warn_without_motion(dataset, predictor.settings.num_frames, predictor.settings.name)
    truth = require_masks(dataset, predictor)
    reading = {"batch_size": options.batch_size, "workers": options.workers, "quiet": options.quiet}
    predictor, chosen_on = fit_to_budget(predictor, budget, ignore=options.ignore_value, **reading)
    log = None if options.no_details else TargetLog(TargetFacts(dataset), options.rule)
    calibration = None if choice.false_rate is None else CalibrationLog(choice.false_rate)
    result = evaluate_sequences(
        predictor,
        dataset,
        rule=options.rule,
        curve=not options.no_curve,
        **reading,
        limit=options.limit,
        title="testing",
        on_frame=each_of(writer, calibration and calibration.add, tracks and tracks.add_prediction),
        extra_rules=MASK_RULES,
        countings=countings_of(options.compat),
        observe=log,
    )
    sequences = {name: part.compute(options.empty_frames) for name, part in result.by_rule[options.rule].items()}
    figures = {name: metrics.compute(options.empty_frames) for name, metrics in parts_of(result).items()}
    warn_without_targets(dataset, figures["overall"])
    content = {
        **figures,
        "sequences": sequences,
        **describe_network(choice, predictor, chosen_on),
        "dataset": dataset.name,
        "data_root": options.data_root,
        "split": options.split,
        "rule": options.rule,
        "limit": options.limit,
        "truth": truth,
        "ignore_value": options.ignore_value,
        **pace_of(result),
    }
    calibrated = {} if calibration is None else {"calibration": calibration.content(sequences)}
    measured, lines_of_tracks = assess_tracks(tracks, dataset, options.draws)
    details = DetailSettings(options.rule, options.empty_frames, options.draws, not options.no_curve)
    lines = [
        describe_measuring(dataset, predictor, options.rule, truth),
        format_table(figures | pick_rows(sequences), COLUMNS),
        describe_pace(result),
        *(line for one in calibrated.values() for line in describe_calibration(one)),
        *lines_of_tracks,
        *save(content | calibrated | measured, details, dataset, result, log, out),
        *([f"masks in {out / 'masks'}"] if options.save_masks else []),
        f"figures in {out / 'metrics.json'}",
    ]
    print("\n".join(lines))


if __name__ == "__main__":
    with user_errors():
        main()
