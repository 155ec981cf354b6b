"""Training batches: clips in a random order that follows from the seed and the epoch, with masks or boxes."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler, default_collate

from utils.clips.appearance import NO_GAIN, Blur, IntensityJitter, Noise, WideIntensityJitter
from utils.clips.augment import TrainTransform
from utils.clips.clones import TargetAugmentation
from utils.clips.settings import ClipSettings
from utils.clips.training_clips import ClipDataset, box_mask, file_labels, no_mask
from utils.clips.transforms import ClipTransform, GeometricAugmentation
from utils.datasets.frame_table import AllKeys, Sequences
from utils.images.fit import MARGIN_GREY, margin_level
from utils.system.distributed import processes, rank
from utils.system.errors import UserError
from utils.training.config import CENTRE_DETECTORS, TrainConfig
from utils.training.faults import LoaderDied


def collate(samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """A batch of clips.

    Args:
        samples: of `ClipDataset`.

    Returns:
        Their arrays, stacked; `boxes`, of which every clip has its own number, become a list of B tensors (N, 5).
        "replaced" lists the reasons of clips that replace others.
    """
    stacked = [
        {name: value for name, value in sample.items() if name not in ("boxes", "replaced")} for sample in samples
    ]
    batch = default_collate(stacked)
    if "boxes" in samples[0]:
        batch["boxes"] = [torch.from_numpy(sample["boxes"]) for sample in samples]
    if "replaced" in samples[0]:
        batch["replaced"] = [sample["replaced"] for sample in samples if sample["replaced"]]
    return batch


def build_loader(
    config: TrainConfig,
    sequences: Sequences,
    settings: ClipSettings,
    std: float,
    full_scale: float,
    pin_memory: bool = False,
) -> tuple[EpochSampler, TrainingLoader]:
    """A recipe's clips, one for each frame of `sequences`.

    Args:
        config: the recipe.
        sequences: frames to learn from, with masks, or with boxes for a detector.
        settings: how the network sees them.
        std: the dataset's standard deviation in grey levels, the unit of intensity jitter.
        full_scale: largest grey level of the files' type.
        pin_memory: for a GPU.

    Returns:
        The sampler, whose `epoch` and `done` are to be set, and the loader of this process's share of each batch.

    Raises:
        UserError: the batch cannot be shared out to the processes.
    """
    mask_of = file_labels
    if config.detector:
        mask_of = box_mask if config.clones_targets else no_mask
    several = processes()
    transform = build_transform(config, std, full_scale, float(np.ravel(settings.normalisation[0])[0]))
    clips = ClipDataset(
        sequences,
        AllKeys(sequences),
        settings,
        transform.with_boxes,
        config.seed,
        (config.cache_mb << 20) // several,
        "boxes" if config.detector else "mask",
        mask_of,
        config.on_bad_frame == "skip",
    )
    draw = config.clips_drawn(len(clips)) or len(clips)
    batch = min(config.batch_size, draw) // several * several
    if not batch or config.batch_size % several:
        raise UserError(
            f"--batch-size: found {config.batch_size}, with {draw} clips an epoch, for {several} "
            f"processes; expected a multiple of {several} and that many clips, a share for each"
        )
    sampler = EpochSampler(len(clips), config.seed, draw, batch, rank(), several)
    return sampler, TrainingLoader(
        clips,
        batch // several,
        sampler=sampler,
        num_workers=config.workers,
        persistent_workers=config.workers > 0,
        pin_memory=pin_memory,
        collate_fn=collate,
        worker_init_fn=_ignore_ctrl_c,
    )


class TrainingLoader(DataLoader):
    """A `DataLoader` that tells of a dead process when it is asked, or waited for in vain, and not at other times.

    PyTorch by itself raises as soon as a process ends, in the middle of a step or of writing a checkpoint. From the
    first of these loaders on, no `DataLoader` of this process does so any more; each still looks after its processes
    every few seconds that it waits.
    """

    _complain: Callable[[int, None], None] | None = None  # PyTorch's handler of the signal, set once in a process

    def __iter__(self) -> Iterator[dict[str, Any]]:
        batches = super().__iter__()
        if hasattr(signal, "SIGCHLD") and threading.current_thread() is threading.main_thread():  # not on Windows
            handler = signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            TrainingLoader._complain = handler if callable(handler) else TrainingLoader._complain
        return batches

    def require_alive(self) -> None:
        """Between two steps, when everything can be saved: raises `LoaderDied` where a process has died."""
        if self._complain is None:
            return
        try:
            TrainingLoader._complain(signal.SIGCHLD, None)
        except RuntimeError as error:
            raise LoaderDied(str(error)) from None


def _ignore_ctrl_c(_: int) -> None:
    """Ctrl-C reaches every process of a terminal; the one that trains says when its loader processes end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class EpochSampler(Sampler):
    """Indices in a random order that depends on the seed and the epoch alone, as `(epoch, index)` pairs.

    Of every `batch` indices each of several processes gets its own share, so all of them together see what one would.

    Args:
        length: clips in the dataset.
        seed: the run's seed.
        draw: clips an epoch (0: all of them, each once; more than `length`: several passes).
        batch: clips in a batch of all processes together; incomplete batches at the end are left out.
        rank, processes: which process this is, and of how many, a divisor of `batch`.

    `epoch` is to be set before each epoch, and `done` to how many of its batches have been seen already.
    """

    def __init__(
        self, length: int, seed: int, draw: int = 0, batch: int = 1, rank: int = 0, processes: int = 1
    ) -> None:
        self.length, self.seed, self.draw, self.batch = length, seed, draw or length, batch
        self.rank, self.processes, self.epoch, self.done = rank, processes, 0, 0

    def __len__(self) -> int:
        return self.draw // self.batch * (self.batch // self.processes)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        rng = np.random.default_rng((self.seed, self.epoch, 1))
        passes = -(-self.draw // self.length)
        order = np.concatenate([rng.permutation(self.length) for _ in range(passes)])[: self.draw]
        share = self.batch // self.processes
        for start in range(self.done * self.batch, self.draw - self.batch + 1, self.batch):
            for i in range(start + self.rank * share, start + (self.rank + 1) * share):
                # a clip drawn twice in one epoch gets a number of its own, so that it is augmented differently
                yield self.epoch * passes + i // self.length, int(order[i])


def build_transform(
    config: TrainConfig, std: float, full_scale: float = 255.0, mean: float = MARGIN_GREY
) -> TrainTransform:
    """The transform of a recipe.

    Args:
        config: the recipe.
        std: of the dataset, in the sensor's grey levels.
        full_scale: largest grey level of the files' type.
        mean: as `std`; margins have this level where the files are not of 8 bits.
    """
    steps: list[ClipTransform] = []
    centres = config.model in CENTRE_DETECTORS
    if config.clones_targets:
        steps.append(
            TargetAugmentation(
                copies=config.clones,
                scale=config.clone_scale,
                mode="replace" if config.published_augmentation else "add",
            )
        )
    if config.flips:
        steps.append(GeometricAugmentation(turns=not (config.published_augmentation and centres)))
    if any(config.blur):
        steps.append(Blur(config.blur))
    if config.intensity or config.gain != NO_GAIN:
        steps.append(IntensityJitter(config.intensity, std, config.gain))
    if config.published_augmentation and centres:
        steps.append(WideIntensityJitter(mean, std))
    if any(config.noise):  # last, as a sensor's: neither blurred nor of more contrast
        steps.append(Noise(config.noise))
    return TrainTransform(
        config.input_size,
        config.fit,
        config.target_probability,
        tuple(steps),
        full_scale,
        margin_level(mean, full_scale),
        config.train_crop,
        config.detector,
    )
