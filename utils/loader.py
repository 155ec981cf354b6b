"""Training batches: clips in a random order, with masks or boxes."""
from __future__ import annotations

import signal
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, default_collate

from utils.augment import TrainTransform
from utils.clips import ClipDataset, Normalisation, box_mask, file_mask, no_mask
from utils.config import TrainConfig
from utils.distributed import processes, rank
from utils.errors import UserError
from utils.frame_table import AllKeys, Sequences
from utils.seed import EpochSampler


def collate(samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Samples of `ClipDataset` as a batch: arrays are stacked; `boxes`, of which every clip has its own number, become
    a list of B tensors (N, 5). "replaced" lists the reasons of clips that replace others."""
    stacked = [{name: value for name, value in sample.items() if name not in ("boxes", "replaced")}
               for sample in samples]
    batch = default_collate(stacked)
    if "boxes" in samples[0]:
        batch["boxes"] = [torch.from_numpy(sample["boxes"]) for sample in samples]
    if "replaced" in samples[0]:
        batch["replaced"] = [sample["replaced"] for sample in samples if sample["replaced"]]
    return batch


def training_loader(config: TrainConfig, sequences: Sequences, normalisation: Normalisation, std: float,
                    full_scale: float, pin_memory: bool = False) -> tuple[EpochSampler, DataLoader]:
    """A recipe's clips, one for each frame of `sequences`.

    Args:
        config: the recipe.
        sequences: frames to learn from, with masks, or with boxes for a detector.
        normalisation: of the clips, in grey levels.
        std: the dataset's standard deviation in grey levels, the unit of intensity jitter.
        full_scale: largest grey level of the files' type.
        pin_memory: for a GPU.
    Returns:
        The sampler, whose `epoch` and `done` are to be set, and the loader of this process's share of each batch.
    Raises:
        UserError: the batch cannot be shared out to the processes.
    """
    mask_of = file_mask
    if config.detector:
        mask_of = box_mask if config.clones_targets else no_mask
    several = processes()
    transform = TrainTransform.from_config(config, std, full_scale, float(np.ravel(normalisation[0])[0]))
    clips = ClipDataset(sequences, AllKeys(sequences), config.num_frames, normalisation, transform.with_boxes,
                        config.seed, (config.cache_mb << 20) // several, "boxes" if config.detector else "mask",
                        mask_of, config.register, config.frame_step, config.bad_pixels,
                        config.on_bad_frame == "skip")
    draw = config.clips_drawn(len(clips)) or len(clips)
    batch = min(config.batch_size, draw) // several * several
    if not batch or config.batch_size % several:
        raise UserError(f"--batch-size: found {config.batch_size}, with {draw} clips an epoch, for {several} "
                        f"processes; expected a multiple of {several} and that many clips, a share for each")
    sampler = EpochSampler(len(clips), config.seed, draw, batch, rank(), several)
    return sampler, DataLoader(clips, batch // several, sampler=sampler, num_workers=config.workers,
                               persistent_workers=config.workers > 0, pin_memory=pin_memory, collate_fn=collate,
                               worker_init_fn=_ignore_ctrl_c)


def _ignore_ctrl_c(_: int) -> None:
    """Ctrl-C reaches every process of a terminal; the one that trains says when its loader processes end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
