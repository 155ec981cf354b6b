"""Which predictor a command measures or renders, a trained network or a classical method, and at which threshold."""
from __future__ import annotations

import dataclasses
from argparse import Namespace
from pathlib import Path

from utils.classical import METHODS, THRESHOLD, classical_predictor
from utils.cli import Parser, number
from utils.config import TrainConfig
from utils.datasets import Dataset, open_dataset
from utils.errors import UserError
from utils.holdout import choose_threshold, hold_out
from utils.measuring import running
from utils.predictor import Predictor, check_weights

BUNDLED = Path(__file__).resolve().parents[1] / "weights"  # trained on synthetic sequences; see its README.md

def add_predictor_options(parser: Parser, default: str = "") -> None:
    """--weights, --method and --threshold; `default` says what is taken where neither of the first two is given."""
    parser.add_argument("--weights", metavar="FILE", help="checkpoint, such as runs/NAME/best.pt, or a published state "
                        "dict" + (f" (default: {default})" if default else ""))
    parser.add_argument("--method", metavar="NAME", help="instead of --weights, a classical method that needs no "
                        f"training: {', '.join(METHODS)}")
    parser.add_argument("--threshold", type=number(float, 0, 1), metavar="X",
                        help="probability or score above which a pixel or a box is predicted (default: the "
                        f"checkpoint's; {THRESHOLD} for a method: its frame's mean response and k standard deviations, "
                        "with the method's own k)")


def add_budget_options(parser: Parser) -> None:
    """Options of a threshold that is chosen on training frames, as a training run chooses it."""
    parser.add_argument("--fa-budget", type=number(float, 0, 1), metavar="X", help="choose the threshold on training "
                        "frames set aside, never on those measured: the most targets found at a false-alarm rate of at "
                        "most X there")
    parser.add_argument("--false-budget", type=number(float, 0), default=float("inf"), metavar="X",
                        help="with --fa-budget: and at most X false components a frame")
    parser.add_argument("--budget-root", metavar="FOLDER", help="with --fa-budget: the dataset of those frames "
                        "(default: that of --data-root)")
    parser.add_argument("--val-sequences", nargs="+", default=(), metavar="NAME", help="with --fa-budget: the training "
                        "sequences, or NAME:N from frame N on, to choose on (default: as in training)")
    parser.add_argument("--val-fraction", type=number(float, 0, 1), default=TrainConfig().val_fraction, metavar="X",
                        help="with --fa-budget and without --val-sequences: the share set aside (default: %(default)s)")


def check_predictor(options: Namespace, *others: str) -> None:
    """Look at the choice before any data is read.

    Args:
        options: from a parser with `add_predictor_options`.
        others: further options that may stand instead of --weights and --method.
    Raises:
        UserError: not exactly one of them is given, there is no such file, or the method is unknown.
    """
    names = ("weights", *others, "method")
    if sum(bool(getattr(options, name)) for name in names) != 1:
        known = [f"--{name} {'NAME' if name == 'method' else 'FILE'}" for name in names]
        raise UserError(f"expected one of {', '.join(known[:-1])} and {known[-1]}")
    if options.weights:
        check_weights(options.weights)
    if options.method and options.method not in METHODS:
        raise UserError(f"--method: found '{options.method}', expected one of {', '.join(METHODS)}")


def take_bundled(options: Namespace) -> None:
    """Where neither weights nor a method are given, take the weights that come with the project, and say so."""
    path = BUNDLED / "sstnet" / "best.pt"  # of the two the one with fewer false alarms on real frames
    if not (options.weights or options.method) and path.is_file():
        options.weights = str(path)
        print(f"no --weights given: taking {path}, trained on synthetic sequences; see {BUNDLED / 'README.md'}")


def results_folder(options: Namespace, data: str, kind: str) -> Path:
    """Where results of this `kind` go: `--out`, else beside the weights or --detections, or, of a method and of weights
    that come with the project, in a folder of runs/ that is named by the data (a path) and the method or network."""
    if options.out:
        return Path(options.out)
    source = options.weights or getattr(options, "detections", None)
    if source and BUNDLED not in Path(source).resolve().parents:
        return Path(source).parent / kind
    name = Path(source).resolve().parent.name if source else options.method
    return Path("runs", f"{Path(data).name}_{name}", kind)


def open_predictor(options: Namespace, dataset: Dataset | None = None) -> Predictor:
    """The predictor of --weights or --method; what is to be said about it is printed.

    Args:
        options: checked by `check_predictor`.
        dataset: what is measured, whose normalisation serves weights files that hold none.
    Raises:
        UserError: the weights are of no use, or no such device.
    """
    if options.method:
        return classical_predictor(options.method, THRESHOLD if options.threshold is None else options.threshold)
    predictor = Predictor.from_checkpoint(options.weights, threshold=options.threshold,
                                          normalisation=dataset.normalisation if dataset else None,
                                          **running(options))
    if predictor.note:
        print(predictor.note)
    return predictor


def in_budget(predictor: Predictor, options: Namespace) -> tuple[Predictor, dict[str, float] | None]:
    """The predictor at the threshold that --fa-budget asks for, and its figures on the frames it was chosen on; as it
    is, and None, where no budget is given.

    Raises:
        UserError: a threshold is given as well, or the training split cannot be used.
    """
    if options.fa_budget is None:
        return predictor, None
    if options.threshold is not None:
        raise UserError("--fa-budget: found --threshold as well, expected one of the two; leave one out")
    from utils.evaluate import evaluate_sequences

    training = open_dataset(options.budget_root or options.data_root, "train", need="masks")
    _, aside = hold_out(training.sequences, tuple(options.val_sequences), options.val_fraction)
    if not aside:
        raise UserError("--fa-budget: nothing is set aside to choose on; give --val-sequences or a larger "
                        "--val-fraction")
    metrics = evaluate_sequences(predictor, dataclasses.replace(training, sequences=aside), title="choosing",
                                 batch_size=options.batch_size, workers=options.workers, quiet=options.quiet).overall
    figures = choose_threshold(metrics.curve(), options.fa_budget, options.false_budget)
    print(f"threshold {figures['threshold']:.4g} chosen on {metrics.compute()['frames']} training frames set aside: Pd "
          f"{figures['pd']:.4f}, Fa {figures['fa']:.2e}, {figures['false_per_frame']:.3f} false components a frame")
    return dataclasses.replace(predictor, threshold=figures["threshold"]), figures
