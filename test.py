"""Measure a trained network or a classical method on a dataset with masks: IoU, nIoU, F1, Pd, Fa, ROC, with intervals.

Overall, per sequence, per SNR subset, and Pd by SNR, size and speed of the targets.

A detector's mask is its boxes; where the dataset has boxes but no masks, a target's mask is its filled box then.
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from utils.clips.settings import ClipSettings
from utils.commands.inputs import (
    check_predictor,
    fit_to_budget,
    open_labelled,
    open_predictor,
    pick_rows,
    results_folder,
    select_sequences,
)
from utils.commands.options import (
    add_budget_options,
    add_data_options,
    add_detail_options,
    add_hardware_options,
    add_predictor_options,
    budget_of,
    choice_of,
    hardware_of,
)
from utils.commands.segmentation_details import DetailSettings, assess, countings_of
from utils.datasets.dataset import Dataset, open_dataset
from utils.datasets.frame_table import Frame
from utils.datasets.quick_check import warn_without_motion
from utils.metrics.breakdown import TargetLog
from utils.metrics.evaluate import Evaluation, evaluate_sequences
from utils.metrics.segmentation import MASK_RULES, SegmentationMetrics
from utils.metrics.target_facts import TargetFacts
from utils.predictor.prediction import Prediction
from utils.predictor.predictor import Predictor
from utils.render.curves import plot_curves
from utils.system.command_line import Parser, make_folder
from utils.system.errors import user_errors
from utils.system.files import write_json
from utils.system.notices import warnings_given
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
    output.add_argument(
        "--out",
        metavar="FOLDER",
        help="for metrics.json (default: test/ beside the weights, or in runs/DATASET_METHOD)",
    )
    output.add_argument("--save-masks", action="store_true", help="write the predicted masks as PNG")
    add_hardware_options(parser)
    return parser.parse_args(argv)


def mask_writer(folder: Path) -> Callable[[Frame, Prediction], None]:
    """A callback that writes `folder/SEQUENCE/FRAME.png`."""

    def write(frame: Frame, prediction: Prediction) -> None:
        write_mask(folder / frame.sequence / f"{Path(frame.image).stem}.png", prediction.mask)

    return write


def require_masks(dataset: Dataset, predictor: Predictor) -> str:
    """What a target's mask is on this dataset, for people.

    Raises:
        UserError: a segmentation network meets a dataset without masks.
    """
    if any(frame.mask is not None for frame in dataset.frames):
        return "masks"
    if predictor.settings.task != "detection":
        open_dataset(dataset.root, dataset.split, need="masks")  # says what is missing, and what to do
    return "filled boxes, as the dataset has no masks"


def describe_measuring(dataset: Dataset, settings: ClipSettings, rule: str, truth: str) -> str:
    """What was measured how, in a line."""
    return (
        f"{dataset.name} ({dataset.layout}), split {dataset.split}; {settings.name} at threshold "
        f"{settings.threshold:.4g}, rule {rule}; true targets are {truth}"
    )


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


def draw_curves(parts: dict[str, SegmentationMetrics], path: Path, threshold: float) -> dict[str, Any]:
    """Draw Pd over Fa of all sets into `path` and say how good it is; returns the curves for metrics.json."""
    curves = {name: metrics.curve() for name, metrics in parts.items()}
    plot_curves(curves, path, threshold)
    whole = curves["overall"]
    print(f"mean Pd up to Fa {whole['fa_limit']:.0e}: {whole['pd_fa_auc']:.4f}; curves in {path}")
    return {"curve": whole, "subset_curves": {name: curve for name, curve in curves.items() if name != "overall"}}


def main(argv: list[str] | None = None) -> None:
    """Measure, print, and write metrics.json."""
    options = parse(argv)
    choice, budget = choice_of(options), budget_of(options)
    check_predictor(choice)
    dataset = select_sequences(open_labelled(options.data_root, options.split, "masks"), options.sequences)
    out = results_folder(choice, options.out, dataset.root, "test")
    make_folder(out)
    predictor = open_predictor(choice, hardware_of(options), dataset.normalisation)
    warn_without_motion(dataset, predictor.settings.num_frames, predictor.settings.name)
    truth = require_masks(dataset, predictor)
    predictor, chosen_on = fit_to_budget(
        predictor, budget, batch_size=options.batch_size, workers=options.workers, quiet=options.quiet
    )
    log = None if options.no_details else TargetLog(TargetFacts(dataset), options.rule)
    result = evaluate_sequences(
        predictor,
        dataset,
        rule=options.rule,
        curve=not options.no_curve,
        batch_size=options.batch_size,
        workers=options.workers,
        limit=options.limit,
        quiet=options.quiet,
        title="testing",
        on_frame=mask_writer(out / "masks") if options.save_masks else None,
        extra_rules=MASK_RULES,
        countings=countings_of(options.compat),
        observe=log,
    )
    parts = {"overall": result.overall} | result.subsets
    sequences = {name: part.compute(options.empty_frames) for name, part in result.by_rule[options.rule].items()}
    figures = {name: metrics.compute(options.empty_frames) for name, metrics in parts.items()}
    content = {
        **figures,
        "sequences": sequences,
        "weights": options.weights,
        "model": predictor.settings.name,
        "dataset": dataset.name,
        "data_root": options.data_root,
        "split": options.split,
        "threshold": predictor.settings.threshold,
        "chosen_on": chosen_on,
        "rule": options.rule,
        "limit": options.limit,
        "truth": truth,
        **pace_of(result),
    }
    print(describe_measuring(dataset, predictor.settings, options.rule, truth))
    print(format_table(figures | pick_rows(sequences), COLUMNS))
    print(describe_pace(result))
    if not options.no_curve:
        content |= draw_curves(parts, out / "pd_fa.png", predictor.settings.threshold)
    details = DetailSettings(options.rule, options.empty_frames, options.draws, not options.no_curve)
    content |= assess(details, dataset, result, log, out)
    write_json(out / "metrics.json", content | {"warnings": warnings_given()})
    if options.save_masks:
        print(f"masks in {out / 'masks'}")
    print(f"figures in {out / 'metrics.json'}")


if __name__ == "__main__":
    with user_errors():
        main()
