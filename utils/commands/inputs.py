"""What a command works on: a dataset and its sequences, a trained network or a classical method, a threshold."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from utils.commands.options import Budget, Hardware
from utils.commands.predictor_options import PredictorChoice
from utils.datasets.dataset import Dataset, measure_levels, open_dataset
from utils.datasets.frame_table import Sequences
from utils.datasets.quick_check import quick_check, understand_masks
from utils.datasets.splits import NoSplit
from utils.images.alike_names import find_spelt_alike
from utils.images.masks.meaning import IgnoreChoice
from utils.images.normalise import Normalisation
from utils.metrics.evaluate import evaluate_sequences
from utils.predictor.classical import CLASSICAL_METHODS, DEFAULT_THRESHOLD, classical_predictor
from utils.predictor.every_frame import describe_windows, require_delay
from utils.predictor.predictor import Predictor
from utils.system.errors import UserError
from utils.system.files import require_file
from utils.system.notices import warn
from utils.system.outputs import require_apart
from utils.system.threads import limit_threads
from utils.training.selection import choose_threshold, hold_out

BUNDLED_WEIGHTS = Path(__file__).resolve().parents[2] / "weights"  # see its README.md
MAX_NAMED_SEQUENCES = 12  # that an error lists
MAX_SEQUENCE_ROWS = 40  # on the screen; metrics.json has all of them


def check_predictor(choice: PredictorChoice, **others: str | None) -> None:
    """Look at the choice before any data is read.

    Args:
        choice: what predicts.
        others: values of further options, by their names, that may stand instead of --weights and --method.

    Raises:
        UserError: not exactly one of them is given, there is no such file, or the method is unknown.
    """
    given = {"weights": choice.weights, **others, "method": choice.method}
    if sum(bool(value) for value in given.values()) != 1:
        known = [f"--{name} {'NAME' if name == 'method' else 'FILE'}" for name in given]
        raise UserError(f"expected one of {', '.join(known[:-1])} and {known[-1]}")
    if choice.weights:
        require_file(choice.weights)
    if choice.method and choice.method not in CLASSICAL_METHODS:
        raise UserError(f"--method: found '{choice.method}', expected one of {', '.join(CLASSICAL_METHODS)}")


def take_bundled(choice: PredictorChoice) -> PredictorChoice:
    """The choice; of neither weights nor a method, the weights that come with the project, and that is said."""
    path = BUNDLED_WEIGHTS / "tsmsa_real" / "best.pt"  # finds most on cameras that it has not seen
    if choice.weights or choice.method or not path.is_file():
        return choice
    print(f"no --weights given: taking {path}, which no frame of yours has taught; see {BUNDLED_WEIGHTS / 'README.md'}")
    return dataclasses.replace(choice, weights=str(path))


def find_predictor(source: str, verify: bool = True) -> PredictorChoice:
    """What `source` names: a run's folder (its best.pt), a weights file, or a classical method; `verify` as there.

    Raises:
        UserError: none of these.
    """
    if source in CLASSICAL_METHODS:
        return PredictorChoice(method=source)
    path = Path(source)
    if path.is_dir():
        if not (path / "best.pt").is_file():
            raise UserError(f"{source}: found no best.pt in this folder, expected a run's folder; give runs/NAME")
        return PredictorChoice(str(path / "best.pt"), verify=verify)
    if not path.exists() and len(path.parts) == 1:
        raise UserError(
            f"{source}: no such run or method, expected a run's folder, a checkpoint, or one of "
            f"{', '.join(CLASSICAL_METHODS)}"
        )
    require_file(source)
    return PredictorChoice(source, verify=verify)


def _show_levels(predictor: Predictor, levels: str | None) -> Predictor:
    """The predictor of a network that sees frames normalised by these `levels`, if any are asked for."""
    if levels in (None, predictor.settings.levels):
        return predictor
    if predictor.settings.task == "detection":
        raise UserError(f"--levels: found {levels} with a detector, which knows its own alone; leave it out")
    if predictor.verifier is not None:
        raise UserError(f"--levels: found {levels} with a verifier, which knows its own alone; give --no-verifier")
    return predictor.with_settings(levels=levels)


def _open_method(choice: PredictorChoice) -> Predictor:
    """The predictor of a classical method."""
    if choice.max_delay is not None:
        raise UserError("--max-delay: found with --method, which predicts each frame as it comes; leave it out")
    if choice.levels:
        raise UserError("--levels: found with --method, which takes frames as they are; leave it out")
    threshold = DEFAULT_THRESHOLD if choice.threshold is None else choice.threshold
    return classical_predictor(choice.method, threshold)


def open_predictor(
    choice: PredictorChoice, hardware: Hardware, dataset: Dataset | None = None, quiet: bool = False
) -> Predictor:
    """The predictor of a choice.

    Args:
        choice: checked by `check_predictor`, or from `find_predictor`.
        hardware: that networks run on; of it methods take the number of threads.
        dataset: that is measured; its grey levels are those of weights files that hold none.
        quiet: else what was recognised in weights that do not describe themselves is printed.

    Raises:
        UserError: the weights are of no use, or no such device.
    """
    limit_threads(hardware.threads)
    predictor = _open_method(choice) if choice.method else _open_network(choice, hardware, dataset, quiet)
    if choice.confirmation and not quiet:
        print(choice.confirmation)
    return dataclasses.replace(predictor, false_rate=choice.false_rate, confirmation=choice.confirmation)


def _open_network(choice: PredictorChoice, hardware: Hardware, dataset: Dataset | None, quiet: bool) -> Predictor:
    """The predictor of trained weights; arguments as of `open_predictor`."""

    def find_levels() -> tuple[Normalisation, str]:
        if dataset.normalisation:
            return dataset.normalisation, "from the dataset table"
        mean, std, _ = measure_levels(dataset.frames)
        warn(
            f"{choice.weights}: holds no mean and standard deviation of grey levels; taking those of the frames of "
            f"{dataset.name}, {mean:g} and {std:g}; give those of its training with --normalisation MEAN,STD"
        )
        return (mean, std), f"measured on the frames of {dataset.name}"

    levels = choice.normalisation or (find_levels if dataset else None)
    predictor = Predictor.from_checkpoint(
        choice.weights,
        hardware.device,
        choice.threshold,
        levels,
        hardware.precision,
        hardware.compile,
        choice.tiling,
        choice.verify,
    )
    if choice.square and predictor.settings.fit != "letterbox":
        raise UserError(f"--compat-square: found with {choice.weights}, which sees no letterboxed frames; leave it out")
    predictor = dataclasses.replace(predictor, square=choice.square)
    predictor = _show_levels(predictor, choice.levels)
    if choice.max_delay is not None:
        require_delay(predictor.settings, choice.max_delay)
        predictor = predictor.with_settings(max_delay=choice.max_delay)
    if predictor.note and not quiet:
        print(predictor.note)
    if predictor.verifier is not None and not quiet:
        print(
            f"{choice.weights}: its verifier scores what the network and differences of frames propose, threshold "
            f"{predictor.settings.threshold:.4g} (--no-verifier: the network alone)"
        )
    if predictor.settings.every_frame and not quiet:
        print(describe_windows(predictor.settings))
    return predictor


def describe_predictor(choice: PredictorChoice, predictor: Predictor) -> dict[str, Any]:
    """What predicted, for metrics.json; `weights_note` is there where the weights do not say all that is needed."""
    note = {"weights_note": predictor.note} if predictor.note else {}
    tiles = dataclasses.asdict(predictor.tiling)
    seen = {"levels": predictor.settings.levels, "verifier": predictor.verifier is not None, "square": predictor.square}
    seen["confirm"] = predictor.confirmation and dataclasses.asdict(predictor.confirmation)
    return {"weights": choice.weights, **note, "model": predictor.settings.name, **seen, "tiles": tiles}


def fit_to_budget(
    predictor: Predictor,
    budget: Budget | None,
    *,
    ignore: IgnoreChoice = None,
    filled: bool = False,
    batch_size: int = 1,
    workers: int = 2,
    quiet: bool = False,
) -> tuple[Predictor, dict[str, float] | None]:
    """The predictor at the threshold that a budget asks for, and its figures on the frames it was chosen on.

    Args:
        predictor: at any threshold.
        budget: of false alarms, and the frames; without one the predictor stays as it is.
        ignore: as of `utils.datasets.quick_check.understand_masks`.
        filled: boxes stand in for masks that are not there, as for a detector always.
        batch_size: clips that go through the network together.
        workers: threads that read frames ahead.
        quiet: no progress bar.

    Raises:
        UserError: the training split cannot be used, or nothing of it is set aside.
    """
    if budget is None:
        return predictor, None
    filled = filled or predictor.settings.task == "detection"
    labelled = (
        open_labelled(budget.root, "train", "masks", "") if filled else open_dataset(budget.root, "train", "masks")
    )
    (training,) = understand_masks(labelled, ignore=ignore)
    _, aside = hold_out(training.sequences, budget.val_sequences, budget.val_fraction)
    if not aside:
        raise UserError(
            "--fa-budget: nothing is set aside to choose on; give --val-sequences or a larger --val-fraction"
        )
    metrics = evaluate_sequences(
        dataclasses.replace(predictor, confirmation=None),  # which tracks another threshold confirms, nobody knows
        dataclasses.replace(training, sequences=aside),
        title="choosing",
        filled=filled,
        batch_size=batch_size,
        workers=workers,
        quiet=quiet,
    ).overall
    figures = choose_threshold(metrics.curve(), budget.fa, budget.false_per_frame)
    print(
        f"threshold {figures['threshold']:.4g} chosen on {metrics.compute()['frames']} training frames set aside: Pd "
        f"{figures['pd']:.4f}, Fa {figures['fa']:.2e}, {figures['false_per_frame']:.3f} false components a frame"
    )
    return predictor.with_settings(threshold=figures["threshold"]), figures


def results_folder(
    choice: PredictorChoice, out: str | None, data: str, kind: str, read: Iterable[str | None] = ()
) -> Path:
    """Where results go: `out`, else beside the weights or detections.

    Those of a method and of weights that come with the project go to a folder of runs/ that is named by the data and
    the method or network.

    Args:
        choice: what predicts.
        out: the folder that the user asks for.
        data: path of what is predicted.
        kind: of the results, the folder's name beside the weights.
        read: files and folders that are read beside the weights; where nothing is chosen, the first is the file of
            detections made elsewhere. None stands for an option that is not given.

    Raises:
        UserError: it is not apart from what is read, see `utils.system.outputs.require_apart`.
    """
    others = [path for path in read if path]
    source = choice.weights or (None if choice.method else others[0])
    if out:
        folder = Path(out)
    elif source and BUNDLED_WEIGHTS not in Path(source).resolve().parents:
        folder = Path(source).parent / kind
    else:
        name = Path(source).resolve().parent.name if source else choice.method
        folder = Path("runs", f"{Path(data).name}_{name}", kind)
    require_apart(folder, [*others, *([choice.weights] if choice.weights else [])])
    return folder


def open_labelled(
    root: str, split: str, prefer: str, advice: str = "; or take every image with --split all"
) -> Dataset:
    """A dataset with labels.

    Args:
        root: the dataset's folder.
        split: "train", "test" or "all", as of `open_dataset`.
        prefer: `masks` or `boxes`: the labels that every frame must have where the dataset has any of that kind; where
            it has only the other kind, every frame must have that.
        advice: at the end of what is said where there is no such split.

    Raises:
        UserError: no dataset, or labels are missing.
    """
    try:
        frames = open_dataset(root, split, need="images").frames
    except NoSplit as error:
        raise NoSplit(f"{error}{advice}") from None
    kinds = {
        "masks": any(frame.mask is not None for frame in frames),
        "boxes": any(frame.boxes is not None for frame in frames),
    }
    other = {"masks": "boxes", "boxes": "masks"}[prefer]
    if not any(kinds.values()):
        prefer = "labels"  # which says that there are neither
    return open_dataset(root, split, need=prefer if kinds.get(prefer, True) else other)


def select_sequences(
    dataset: Dataset, names: Sequence[str], ignore: IgnoreChoice = None, masks: bool = True
) -> Dataset:
    """The dataset with these sequences, all where none is named; files, masks and boxes of them are looked over.

    Args:
        dataset: the whole.
        names: of the sequences.
        ignore: as of `utils.datasets.quick_check.understand_masks`.
        masks: whether masks are what is true, also of frames that have boxes.

    Raises:
        UserError: there is no such sequence, a file, mask or box cannot be used, or what the masks mean cannot be told.
    """
    names = find_spelt_alike(names, dataset.sequences, "--sequences")
    unknown = [name for name in names if name not in dataset.sequences]
    if unknown:
        known = list(dataset.sequences)[:MAX_NAMED_SEQUENCES]
        if len(dataset.sequences) > len(known):
            known.append("…")
        raise UserError(
            f"--sequences: found {', '.join(unknown)}, expected some of the {len(dataset.sequences)} of "
            f"this split, {', '.join(known)}"
        )
    if names:
        dataset = dataclasses.replace(dataset, sequences=Sequences.of(dataset.sequences).select(names))
    quick_check(dataset)
    if masks or any(frame.boxes is None for frame in dataset.frames):
        (dataset,) = understand_masks(dataset, ignore=ignore)
    return dataset


def warn_without_targets(dataset: Dataset, figures: Mapping[str, Any]) -> Mapping[str, Any]:
    """Warn where nothing that was measured holds a target; returns the figures.

    Args:
        dataset: that was measured.
        figures: of the whole, with the number of `targets`.
    """
    if not figures["targets"]:
        warn(f"{dataset.root}: none of the frames measured holds a target: only false alarms say something")
    return figures


def pick_rows(sequences: dict[str, Any]) -> dict[str, Any]:
    """The sequences that are worth a line on the screen: all of a few, of one or of many none."""
    return sequences if 1 < len(sequences) <= MAX_SEQUENCE_ROWS else {}
