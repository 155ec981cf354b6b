"""Measure a trained network on a dataset with masks: IoU, nIoU, Pd, Fa, overall, per sequence and per SNR subset."""
from __future__ import annotations

import dataclasses
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from utils.checks import quick_check
from utils.cli import Parser, make_folder, number
from utils.datasets import Dataset, Frame, open_dataset
from utils.errors import UserError, user_errors
from utils.files import write_json
from utils.metrics import RULES
from utils.prediction import Prediction
from utils.predictor import Predictor, check_weights

NAMED = 12  # sequences listed in an error
MOST_ROWS = 40  # sequences listed on the screen; metrics.json has all of them
COLUMNS = (("frames", "frames", "d"), ("targets", "targets", "d"), ("Pd", "pd", ".4f"), ("Fa", "fa", ".2e"),
           ("false/frame", "false_per_frame", ".3f"), ("IoU", "iou", ".4f"), ("nIoU", "niou", ".4f"),
           ("pixel acc.", "pixel_accuracy", ".4f"))


def parse(argv: list[str] | None = None) -> Namespace:
    """The command line; raises `UserError` for mistakes."""
    parser = Parser(prog="test.py", description=__doc__)
    parser.add_argument("--weights", required=True, metavar="FILE", help="checkpoint, such as runs/NAME/best.pt")
    parser.add_argument("--data-root", required=True, metavar="FOLDER", help="dataset, its layout is found out")
    parser.add_argument("--split", choices=("test", "train", "all"), default="test", help="default: %(default)s")
    parser.add_argument("--out", metavar="FOLDER", help="for metrics.json (default: test/ beside the weights)")
    parser.add_argument("--threshold", type=number(float, 0, 1), metavar="X",
                        help="probability above which a pixel is predicted (default: the checkpoint's)")
    parser.add_argument("--rule", choices=RULES, default=RULES[0],
                        help="found: by the centroids' distance, or by DTUM's shooting rule (default: %(default)s)")
    parser.add_argument("--sequences", nargs="+", default=[], metavar="NAME", help="only these sequences")
    parser.add_argument("--limit", type=number(int, 0), default=0, metavar="N",
                        help="only the first N frames of each sequence (0: all)")
    parser.add_argument("--save-masks", action="store_true", help="write the predicted masks as PNG")
    parser.add_argument("--no-curve", action="store_true", help="leave out Pd over Fa, which takes a little time")
    parser.add_argument("--device", metavar="NAME", help="cpu, cuda, cuda:1 … (default: cuda where there is one)")
    parser.add_argument("--batch-size", type=number(int, 1), default=1, metavar="N",
                        help="clips that go through the network together (default: %(default)s)")
    parser.add_argument("--workers", type=number(int, 0), default=2, metavar="N",
                        help="threads that read frames ahead (default: %(default)s)")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser.parse_args(argv)


def open_checked(options: Namespace) -> Dataset:
    """The dataset, with the sequences asked for; raises `UserError` before anything heavy is imported."""
    check_weights(options.weights)
    dataset = open_dataset(options.data_root, options.split, need="masks")
    unknown = [name for name in options.sequences if name not in dataset.sequences]
    if unknown:
        known = [*list(dataset.sequences)[:NAMED], *(["…"] if len(dataset.sequences) > NAMED else [])]
        raise UserError(f"--sequences: found {', '.join(unknown)}, expected some of the {len(dataset.sequences)} of "
                        f"this split, {', '.join(known)}")
    if options.sequences:
        chosen = {name: frames for name, frames in dataset.sequences.items() if name in options.sequences}
        dataset = dataclasses.replace(dataset, sequences=chosen)
    quick_check(dataset)
    return dataset


def mask_writer(folder: Path) -> Callable[[Frame, Prediction], None]:
    """A callback that writes `folder/SEQUENCE/FRAME.png`."""
    from utils.writers import write_mask

    def write(frame: Frame, prediction: Prediction) -> None:
        write_mask(folder / frame.sequence / f"{Path(frame.image).stem}.png", prediction.mask)

    return write


def table(rows: dict[str, dict[str, Any]]) -> str:
    """Figures by name, as aligned text; – where one is undefined."""
    lines = [["", *(head for head, _, _ in COLUMNS)]]
    for name, figures in rows.items():
        lines.append([name, *("–" if figures[key] != figures[key] else format(figures[key], style)
                              for _, key, style in COLUMNS)])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join([line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in
                                                            zip(line[1:], widths[1:], strict=True))]) for line in lines)


def main(argv: list[str] | None = None) -> None:
    """Measure, print, and write metrics.json."""
    options = parse(argv)
    dataset = open_checked(options)
    out = Path(options.out) if options.out else Path(options.weights).parent / "test"
    make_folder(out)
    from utils.evaluate import evaluate_sequences

    predictor = Predictor.from_checkpoint(options.weights, options.device, options.threshold)
    result = evaluate_sequences(
        predictor, dataset, rule=options.rule, curve=not options.no_curve, batch_size=options.batch_size,
        workers=options.workers, limit=options.limit, quiet=options.quiet, title="testing",
        on_frame=mask_writer(out / "masks") if options.save_masks else None)
    parts = {"overall": result.overall} | result.subsets
    figures = {name: metrics.compute() for name, metrics in parts.items()}
    rate = result.frames / result.seconds
    content = {**figures, "sequences": result.sequences, "weights": options.weights, "model": predictor.name,
               "dataset": dataset.name, "data_root": options.data_root, "split": options.split,
               "threshold": predictor.threshold, "rule": options.rule, "limit": options.limit,
               "seconds": result.seconds, "frames_per_second": rate}
    print(f"{dataset.name} ({dataset.layout}), split {options.split}; {predictor.name} at threshold "
          f"{predictor.threshold:.4g}, rule {options.rule}")
    listed = result.sequences if 1 < len(result.sequences) <= MOST_ROWS else {}
    print(table(figures | listed))
    print(f"{result.frames} frames in {result.seconds:.1f} s, {rate:.1f} frames a second")
    if not options.no_curve:
        from utils.visualize import plot_curves

        curves = {name: metrics.curve() for name, metrics in parts.items()}
        content |= {"curve": curves["overall"], "subset_curves": {name: curves[name] for name in result.subsets}}
        plot_curves(curves, out / "pd_fa.png", predictor.threshold)
        whole = curves["overall"]
        print(f"mean Pd up to Fa {whole['fa_limit']:.0e}: {whole['pd_fa_auc']:.4f}; curves in {out / 'pd_fa.png'}")
    write_json(out / "metrics.json", content)
    if options.save_masks:
        print(f"masks in {out / 'masks'}")
    print(f"figures in {out / 'metrics.json'}")


if __name__ == "__main__":
    with user_errors():
        main()
