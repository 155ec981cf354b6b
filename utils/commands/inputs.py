"""What a command works on: a dataset and its sequences, a trained network or a classical method, a threshold."""
from __future__ import annotations

import dataclasses
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from utils.commands.options import running
from utils.datasets.dataset import Dataset, open_dataset
from utils.datasets.frame_table import Sequences
from utils.datasets.quick_check import quick_check
from utils.predictor.classical import METHODS, THRESHOLD, classical_predictor
from utils.predictor.predictor import Predictor
from utils.system.errors import UserError
from utils.system.files import require_file
from utils.training.selection import choose_threshold, hold_out

BUNDLED = Path(__file__).resolve().parents[2] / "weights"  # trained on synthetic sequences; see its README.md


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
        require_file(options.weights)
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
    from utils.metrics.evaluate import evaluate_sequences

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
    return predictor.with_settings(threshold=figures["threshold"]), figures


NAMED = 12  # sequences listed in an error
MOST_ROWS = 40  # sequences listed on the screen; metrics.json has all of them


def open_labelled(options: Namespace, prefer: str) -> Dataset:
    """The dataset of `options.data_root` and `options.split`.

    Args:
        options: from a parser with `add_data_options`.
        prefer: `masks` or `boxes`: the labels that every frame must have where the dataset has any of that kind; where
            it has only the other kind, every frame must have that.
    Raises:
        UserError: no dataset, or labels are missing.
    """
    frames = open_dataset(options.data_root, options.split, need="images").frames
    kinds = {"masks": any(frame.mask is not None for frame in frames),
             "boxes": any(frame.boxes is not None for frame in frames)}
    other = {"masks": "boxes", "boxes": "masks"}[prefer]
    if not any(kinds.values()):
        prefer = "labels"  # which says that there are neither
    return open_dataset(options.data_root, options.split, need=prefer if kinds.get(prefer, True) else other)


def only_sequences(dataset: Dataset, names: Sequence[str]) -> Dataset:
    """The dataset with these sequences, all where none is named; files, masks and boxes of them are looked over.

    Raises:
        UserError: there is no such sequence, or a file, mask or box cannot be used.
    """
    unknown = [name for name in names if name not in dataset.sequences]
    if unknown:
        known = [*list(dataset.sequences)[:NAMED], *(["…"] if len(dataset.sequences) > NAMED else [])]
        raise UserError(f"--sequences: found {', '.join(unknown)}, expected some of the {len(dataset.sequences)} of "
                        f"this split, {', '.join(known)}")
    if names:
        dataset = dataclasses.replace(dataset, sequences=Sequences.of(dataset.sequences).only(names))
    quick_check(dataset)
    return dataset


def listed(sequences: dict[str, Any]) -> dict[str, Any]:
    """The sequences that are worth a line on the screen."""
    return sequences if 1 < len(sequences) <= MOST_ROWS else {}


def weights_of(source: str) -> str | None:
    """The weights file of a run's folder, the file itself, or None for a classical method.

    Raises:
        UserError: none of these.
    """
    if source in METHODS:
        return None
    path = Path(source)
    if path.is_dir():
        if not (path / "best.pt").is_file():
            raise UserError(f"{source}: found no best.pt in this folder, expected a run's folder; give runs/NAME")
        return str(path / "best.pt")
    if not path.exists() and len(path.parts) == 1:
        raise UserError(f"{source}: no such run or method, expected a run's folder, a checkpoint, or one of "
                        f"{', '.join(METHODS)}")
    require_file(source)
    return source


def names_of(sources: Sequence[str]) -> list[str]:
    """A short name for each method: a run's folder, with as many folders above it as it takes to tell them apart.

    Raises:
        UserError: one source comes twice.
    """
    folders = [Path(source).parent if Path(source).name == "best.pt" else Path(source) for source in sources]
    for depth in range(1, max(len(folder.parts) for folder in folders) + 1):
        names = ["/".join(folder.parts[-depth:]) for folder in folders]
        if len(set(names)) == len(names):
            return names
    twice = next(source for source, folder in zip(sources, folders, strict=True) if folders.count(folder) > 1)
    raise UserError(f"{twice}: found twice, expected every run and method once; leave one out")


def predictor_of(source: str, device: str | None, normalisation: Sequence[float] | None) -> Predictor:
    """The predictor of a run, checkpoint or classical method; raises UserError where there is none."""
    weights = weights_of(source)
    if weights is None:
        return classical_predictor(source)
    return Predictor.from_checkpoint(weights, device, None, normalisation)
