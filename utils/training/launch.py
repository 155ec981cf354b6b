"""What every training script does: read the command line, look at the data, and only then import PyTorch and train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from utils.datasets.dataset import join_datasets, open_dataset
from utils.datasets.quick_check import check_classes, quick_check, warn_without_motion
from utils.system.command_line import make_folder
from utils.system.distributed import processes, rank
from utils.system.errors import UserError, user_errors
from utils.system.outputs import require_apart
from utils.training.config import TrainConfig
from utils.training.config_cli import parse_cli


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
        dataset = join_datasets(found[0], found[1:])
        warn_without_motion(dataset, config.num_frames, config.model)
        require_apart(config.folder, [config.data_root, *config.extra_roots, *filter(None, [config.weights])])
        if rank() == 0:
            make_folder(config.folder)  # one that cannot be written is found out now, not after an epoch
        from utils.training.trainer import train  # takes seconds: only after command line and data were found good

        if processes() > 1:
            from torch.distributed.elastic.multiprocessing.errors import record

            train = record(train)  # torchrun's report shows the error of the process that failed first
        train(config, dataset)
