"""What every training script does: read the command line, look at the data, and only then import PyTorch and train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from utils.datasets.dataset import Dataset, join_datasets, open_dataset
from utils.datasets.quick_check import check_classes, has_target, quick_check, understand_masks, warn_without_motion
from utils.images.masks.meaning import choose_ignored
from utils.system.command_line import make_folder
from utils.system.distributed import processes, rank
from utils.system.errors import UserError, user_errors
from utils.system.notices import warn
from utils.system.outputs import require_apart
from utils.training.config import TrainConfig
from utils.training.config_cli import parse_cli
from utils.training.selection import hold_out


def launch(recipes: Mapping[str, Sequence[TrainConfig]], description: str) -> None:
    """Run a training script; mistakes of the user end it with status 2 and one line.

    Args:
        recipes: the script's recipes by name, the default first; each for one or more networks, the default first.
        description: shown by `--help`.
    """
    with user_errors():
        config = parse_cli(recipes, description=description)
        if not config.data_root:
            raise UserError("no dataset: give its folder with --data-root, e.g. --data-root datasets/NUDT-MIRSDT")
        found = [
            open_dataset(root, "train", need="boxes" if config.detector else "masks")
            for root in (config.data_root, *config.extra_roots)
        ]
        for part in found:
            quick_check(part)
            if config.detector:
                check_classes(part, config.num_classes)
        if not config.detector:
            found = [understand_masks(part, ignore=choose_ignored(config.ignore_value))[0] for part in found]
        dataset = join_datasets(found[0], found[1:])
        require_targets(dataset, config)
        warn_without_motion(dataset, config.num_frames, config.model)
        require_apart(config.folder, [config.data_root, *config.extra_roots, *filter(None, [config.weights])])
        if rank() == 0:
            make_folder(config.folder)  # one that cannot be written is found out now, not after an epoch
        from utils.training.trainer import train  # takes seconds: only after command line and data were found good

        if processes() > 1:
            from torch.distributed.elastic.multiprocessing.errors import record

            train = record(train)  # torchrun's report shows the error of the process that failed first
        train(config, dataset)


def require_targets(dataset: Dataset, config: TrainConfig) -> None:
    """Make sure that there is something to learn from, and warn where there is nothing to choose on.

    Args:
        dataset: the training split.
        config: the recipe, which says what is set aside.

    Raises:
        UserError: no frame to learn from holds a target.
    """
    training, aside = hold_out(dataset.sequences, config.val_sequences, config.val_fraction)
    label = "box" if config.detector else "mask with a target"
    if not has_target(training.frames(), config.detector):
        raise UserError(
            f"{dataset.root}: none of the {len(training.frames())} frames to learn from has a {label}; expected "
            f"targets to learn; `python -m utils.checks --data-root {dataset.root}` says what the labels hold"
        )
    if len(aside) and not has_target(aside.frames(), config.detector):
        warn(
            f"{dataset.root}: none of the {len(aside.frames())} frames set aside for validation has a {label}: the "
            "best epoch and threshold cannot be chosen by what is found; name others with --val-sequences"
        )
