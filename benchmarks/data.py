"""Training clips a second from disk, in shuffled order, against decoding all T frames anew for each clip.

    python -m benchmarks.data --json data.json
    python -m benchmarks.data --formats png --workers 2 --size 512

Frames are written to a temporary folder first. `first pass` reads each of them for the first time, `later pass` is any
further epoch, whose frames are in memory as far as the cache goes.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.measure import add_ratios, check_json, make_parser, report
from utils.clips.settings import ClipSettings
from utils.clips.training_clips import ClipDataset
from utils.datasets.frame_table import Frame
from utils.system.command_line import number
from utils.system.errors import UserError, user_errors
from utils.system.machine import keep_memory
from utils.system.packages.late import cv2
from utils.training.config import TrainConfig

FORMATS = ("png", "jpg", "bmp")
CACHE_BYTES = 512 << 20  # of decoded frames, where they are kept


@dataclass(frozen=True)
class TrainingClips:
    """Clips on disk, and how training takes them: crops of `input_size`² pixels, `batch` at once."""

    sequences: dict[str, tuple[Frame, ...]]
    work: str
    input_size: int
    batch: int


def main(argv: list[str] | None = None) -> None:
    """Measure every format and number of workers, with augmentation and without, and print a row for each way."""
    options = make_parser("data", __doc__.splitlines()[0])
    options.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS))
    options.add_argument("--workers", nargs="+", type=number("workers"), default=[0, 1, 2], help="loader processes")
    options.add_argument("--size", type=number("benchmark.side"), default=512, help="side of the frames")
    options.add_argument("--frames", type=number("count"), default=400, help="frames of all sequences together")
    options.add_argument(
        "--input-size", type=number("input_size"), default=128, help="side of the crops that training sees"
    )
    options.add_argument("--batch", type=number("batch_size"), default=8, help="clips in a batch, as in training")
    options.set_defaults(rounds=3)
    with user_errors():
        chosen = options.parse_args(argv)
        check_json(chosen.json)
        if chosen.quick:
            chosen.size, chosen.frames, chosen.input_size, chosen.rounds = 96, 12, 32, 1
            chosen.formats, chosen.workers, chosen.batch = ["png"], [0], 2
        if (
            min(chosen.workers) < 0
            or not 1 <= chosen.batch <= chosen.frames // 4
            or not 32 <= chosen.input_size <= chosen.size
        ):
            raise UserError(
                f"found --workers {min(chosen.workers)}, --batch {chosen.batch}, --frames {chosen.frames}, "
                f"--input-size {chosen.input_size}, expected at least 0, 1 to a quarter of --frames, and "
                f"32 to --size {chosen.size}"
            )
        rows: list[dict[str, Any]] = []
        with tempfile.TemporaryDirectory() as folder:
            for suffix in chosen.formats:
                sequences = write_sequences(Path(folder) / suffix, suffix, chosen.frames, chosen.size)
                clips = TrainingClips(
                    sequences, f"{suffix}, {chosen.size}×{chosen.size}", chosen.input_size, chosen.batch
                )
                for workers in chosen.workers:
                    for augmented in (True, False):
                        rows += compare(clips, workers, augmented, chosen.rounds)
        add_ratios(rows, "decoded anew")
        report(rows, chosen.json)


def write_sequences(folder: Path, suffix: str, count: int, size: int) -> dict[str, tuple[Frame, ...]]:
    """Four sequences of smooth noise with one moving target, and their masks as PNG."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    sequences = {}
    for sequence in range(4):
        scene = cv2.GaussianBlur(rng.uniform(0, 255, (size, size)).astype(np.float32), (0, 0), 3)
        frames = []
        for place in range(count // 4):
            image = scene + rng.normal(0, 3, scene.shape)
            mask = np.zeros((size, size), np.uint8)
            at = 16 + place % (size - 40)
            mask[at : at + 3, at : at + 4] = 255
            image[mask > 0] += 60
            paths = folder / f"{sequence}_{place}.{suffix}", folder / f"{sequence}_{place}_mask.png"
            for path, content in zip(paths, (np.clip(image, 0, 255).astype(np.uint8), mask), strict=True):
                cv2.imwrite(str(path), content)
            frames.append(Frame(str(sequence), place, str(paths[0]), str(paths[1]), None))
        sequences[str(sequence)] = tuple(frames)
    return sequences


def compare(clips: TrainingClips, workers: int, augmented: bool, rounds: int) -> list[dict[str, Any]]:
    """Rows of both ways with that many loader processes."""
    work = f"{clips.work}, {workers} workers, {'augmented' if augmented else 'crops only'}"
    rates: dict[str, list[float]] = {"decoded anew": [], "first pass": [], "later pass": []}
    for _ in range(rounds):
        rates["decoded anew"] += clips_per_second(clips, workers, augmented, cache_bytes=0, passes=1)
        first, later = clips_per_second(clips, workers, augmented, CACHE_BYTES, passes=2)
        rates["first pass"].append(first)
        rates["later pass"].append(later)
    return [
        {
            "work": work,
            "variant": variant,
            "ms": round(1e3 / median(values), 4),
            "ratio": None,
            "gflops": None,
            "clips_per_s": round(median(values), 1),
        }
        for variant, values in rates.items()
    ]


def clips_per_second(clips: TrainingClips, workers: int, augmented: bool, cache_bytes: int, passes: int) -> list[float]:
    """Of each pass over all clips in shuffled order, as training makes it; starting the workers is not counted."""
    from torch.utils.data import DataLoader  # torch, as what follows imports it: too slow for a mistyped command line

    from utils.training.loader import EpochSampler, build_transform

    cv2.setNumThreads(0)
    keep_memory()
    config = TrainConfig(
        input_size=clips.input_size, target_augmentation=augmented, flips=augmented, intensity=0.3 if augmented else 0.0
    )
    keys = [(name, index) for name, frames in clips.sequences.items() for index in range(len(frames))]
    dataset = ClipDataset(
        clips.sequences,
        keys,
        ClipSettings(config.num_frames, (128.0, 30.0)),
        build_transform(config, 30.0).with_boxes,
        cache_bytes=cache_bytes,
    )
    sampler = EpochSampler(len(dataset), seed=0)
    loader = DataLoader(dataset, clips.batch, sampler=sampler, num_workers=workers, persistent_workers=workers > 0)
    rates = []
    for sampler.epoch in range(passes):
        batches = iter(loader)
        next(batches)
        began = time.perf_counter()
        count = sum(len(batch["key"]) for batch in batches)
        rates.append(count / (time.perf_counter() - began))
    return rates


if __name__ == "__main__":
    main()
