"""Synthetic sequences on disk, a dataset in the re-arranged NUDT layout.

Written are `images/sequenceN/0.png`, `masks/sequenceN/0.png` (0 and 255), `train_NUDTMIRSDT.txt` and
`test_NUDTMIRSDT.txt` with a line per image, and `annotations/instances_train.json` and `instances_test.json` (COCO):
per target and frame its box (x, y, width, height), area, own pixels (run lengths), `snr`, `contrast` (1 brighter, -1
darker than its surroundings) and `track_id`; per frame `sequence` and `frame`; `sequences` says what each sequence
shows and where its camera and its distractors are (y, x); `info` holds the whole configuration.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from utils.datasets.building import build_folder
from utils.datasets.coco import TARGET_CATEGORY, box_entry, category_entries, coco_content, image_entry, write_coco
from utils.datasets.splits import SPLITS
from utils.images.image_files import write_picture
from utils.synthetic.config import SyntheticConfig
from utils.synthetic.sequence import labelled_box, make_sequence, pictures_of
from utils.system.command_line import make_folder
from utils.system.errors import UserError
from utils.system.files import whole_file, writing
from utils.system.outputs import plain_folder, require_apart

FORMAT_VERSION = 1


def index_file(split: str) -> str:
    """The name of a split's list of images."""
    return f"{split}_NUDTMIRSDT.txt"


def annotation_file(split: str) -> str:
    """The name of a split's COCO json below the dataset's folder."""
    return f"annotations/instances_{split}.json"


def run_lengths(mask: np.ndarray) -> dict[str, Any]:
    """COCO's uncompressed run-length code of `mask` (H, W) bool: column by column, zeros first."""
    flat = np.concatenate([[0], mask.T.ravel().astype(np.int8), [0]])
    edges = np.flatnonzero(np.diff(flat))
    runs = np.diff(np.concatenate([[0], edges, [mask.size]])).tolist()
    if edges.size and edges[-1] == mask.size:
        runs = runs[:-1]
    return {"size": list(mask.shape), "counts": runs}


@dataclass(frozen=True)
class WrittenTarget:
    """A target in a `frame` of a sequence, its `track` there (from 0), and what its annotation says of it."""

    frame: int
    track: int
    label: dict[str, Any]


@dataclass(frozen=True)
class WrittenSequence:
    """What the annotations say of a sequence whose pictures are written; `facts` as of `SyntheticSequence`."""

    name: str
    targets: list[WrittenTarget]
    facts: dict[str, Any]


def _write_sequence(job: tuple[SyntheticConfig, str, int, str, str]) -> WrittenSequence:
    """Make one sequence, write its pictures below `folder` and return what the annotations say about it."""
    config, split, index, folder, name = job
    made = make_sequence(config, split, index)
    for kind, pictures in (("images", made.frames), ("masks", made.masks.astype(np.uint8) * 255)):
        for t, picture in enumerate(pictures):
            write_picture(Path(folder, kind, name, f"{t}.png"), picture)
    targets = [
        WrittenTarget(
            target.frame,
            target.track,
            {
                "area": target.area,
                "snr": target.snr,
                "contrast": target.contrast,
                "bbox": labelled_box(target.bbox, config.least_box, config.size),
                "segmentation": run_lengths(target.mask),
            },
        )
        for target in made.targets
    ]
    return WrittenSequence(name, targets, made.facts)


def _coco_of(config: SyntheticConfig, split: str, sequences: list[WrittenSequence]) -> dict[str, Any]:
    images, annotations, tracks = [], [], 0
    for sequence in sequences:
        first, name = len(images) + 1, sequence.name
        images += [
            image_entry(first + t, f"images/{name}/{t}.png", config.size, sequence=name, frame=t)
            for t in range(config.frames)
        ]
        annotations += [
            box_entry(
                len(annotations) + number,
                first + target.frame,
                1,
                iscrowd=0,
                track_id=tracks + target.track + 1,
                **target.label,
            )
            for number, target in enumerate(sequence.targets, 1)
        ]
        tracks += len(sequence.facts["tracks"])
    info = {
        "description": "synthetic infrared sequences with small moving targets",
        "generator": "utils.synthetic",
        "version": FORMAT_VERSION,
        "split": split,
        "seed": config.split_seed(split),
        "config": config.as_dict(),
    }
    return {
        "info": info,
        **coco_content(images, annotations, category_entries([TARGET_CATEGORY])),
        "sequences": [{"name": sequence.name, **sequence.facts} for sequence in sequences],
    }


def _leave_interrupts() -> None:
    """Let Ctrl-C end the process that started the workers; it stops them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _make_sequences(jobs: list[tuple], workers: int) -> Iterator[WrittenSequence]:
    if workers < 2:
        yield from map(_write_sequence, jobs)
        return
    with ProcessPoolExecutor(min(workers, len(jobs)), get_context("spawn"), _leave_interrupts) as pool:
        yield from pool.map(_write_sequence, jobs)


def _names(config: SyntheticConfig, split: str) -> list[str]:
    """Names of a split's sequences; those of the test set go on where the training set ends."""
    before = config.train_sequences if split == "test" else 0
    return [f"sequence{before + index + 1}" for index in range(config.count(split))]


def _write_split(config: SyntheticConfig, split: str, folder: Path, workers: int, quiet: bool) -> None:
    jobs = [(config, split, index, str(folder), name) for index, name in enumerate(_names(config, split))]
    sequences = list(
        tqdm(
            _make_sequences(jobs, workers),
            total=len(jobs),
            desc=f"{split} sequences",
            unit="seq",
            file=sys.stderr,
            disable=quiet,
        )
    )
    coco = _coco_of(config, split, sequences)
    write_coco(folder / annotation_file(split), coco)
    with whole_file(folder / index_file(split)) as file:
        file.write("".join(image["file_name"] + "\n" for image in coco["images"]).encode())


def read_split(out: Path, split: str) -> dict[str, Any] | None:
    """The annotations of a split that was written to `out` before, or None."""
    try:
        found = json.loads((out / annotation_file(split)).read_text(encoding="utf-8"))
        listed = [found[part] for part in ("images", "annotations", "sequences")]
        own = found["info"]["generator"] == "utils.synthetic" and all(isinstance(part, list) for part in listed)
        return found if own else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # not there, or not ours; the caller says so


def _has_settings(found: dict[str, Any] | None, config: SyntheticConfig, split: str) -> bool:
    """Whether `found` was made with the same settings, leaving aside those that concern the other split alone."""
    if found is None or found["info"].get("version") != FORMAT_VERSION:
        return False
    other = {"seed"} if split == "test" else {"test_seed", "test_sequences"}
    ours = config.as_dict()
    theirs = SyntheticConfig().as_dict() | found["info"].get("config", {})  # older ones do not name every setting
    return all(theirs.get(key) == value for key, value in ours.items() if key not in other)


def _remove(out: Path, split: str) -> None:
    """Remove a split written before, if there is one: its index, its sequences and its annotations, in this order."""
    found = read_split(out, split)
    if found is None:
        return
    (out / index_file(split)).unlink(missing_ok=True)
    for sequence in found["sequences"]:
        for folder in (out / "images" / sequence["name"], out / "masks" / sequence["name"]):
            if folder.is_dir():
                shutil.rmtree(folder)
    (out / annotation_file(split)).unlink()


def write_dataset(
    config: SyntheticConfig,
    out: str | os.PathLike,
    splits: Sequence[str] = SPLITS,
    workers: int = 0,
    overwrite: bool = False,
    quiet: bool = False,
) -> list[str]:
    """Write the dataset to the folder `out` and return the splits that were made.

    A split that is already there with the same settings is kept. Everything is made in a temporary folder first, so
    that an interrupted run leaves nothing half-written.

    Args:
        config: what the dataset contains.
        out: its folder.
        splits: which of "train" and "test" to make; the test set depends on `config.test_seed`, not on `config.seed`.
        workers: processes to share the work (below 2: this one alone); the result is the same.
        overwrite: replace splits that are there, whatever their settings.
        quiet: no progress bar.

    Raises:
        UserError: `out` holds something else, or other settings without `overwrite`, or is not apart from the
            background pictures, of which there are none otherwise; or it cannot be written.
    """
    out = Path(out)
    if config.backgrounds:
        for split in splits:
            pictures_of(config, split)
    wanted = [
        split
        for split in splits
        if config.count(split) and (overwrite or not _has_settings(read_split(out, split), config, split))
    ]
    if not wanted:
        return []
    require_apart(out, [config.backgrounds] if config.backgrounds else [])
    _refuse(out, wanted, config, overwrite)
    make_folder(out)
    there = any(out.iterdir())
    with writing(out, "give another --out"), build_folder(out, merge=there) as work:
        for split in wanted:
            _write_split(config, split, work, workers, quiet)
        for split in wanted if there else ():
            _remove(out, split)
        for split in wanted if there else ():
            _install(work, out, split)
    return wanted


def _refuse(out: Path, wanted: list[str], config: SyntheticConfig, overwrite: bool) -> None:
    """Raise UserError if `out` holds what is in the way of the `wanted` splits and may not be removed."""
    there = {split: read_split(out, split) for split in SPLITS}
    for split in wanted:
        if there[split] and not overwrite:
            raise UserError(
                f"{out}: found a {split} set made with other settings, expected the same or none; give "
                "another --out, or --overwrite to replace it"
            )
    empty = not out.exists() or (out.is_dir() and all(path.name.startswith(".") for path in out.iterdir()))
    if not empty and not any(there.values()):
        raise UserError(
            f"{out}: found other files, expected a new or empty folder or a dataset made by this command; "
            "give another --out"
        )
    _refuse_others(out, wanted, config, there)
    kept = {
        sequence["name"]
        for split in SPLITS
        if there[split] and split not in wanted
        for sequence in there[split]["sequences"]
    }
    clash = kept & {name for split in wanted for name in _names(config, split)}
    if clash:
        raise UserError(
            f"{out}: found {len(clash)} sequences of the other set with names that this one needs, "
            "expected none; give the --train-sequences that set was made with, or another --out"
        )


def _refuse_others(
    out: Path, wanted: list[str], config: SyntheticConfig, there: dict[str, dict[str, Any] | None]
) -> None:
    """Raise UserError if files that the splits `there` do not list are where the `wanted` ones are to be."""
    made = {file for found in there.values() if found for file in _files(found)}
    made |= {name(split) for split, found in there.items() if found for name in (index_file, annotation_file)}
    places = [name(split) for split in wanted for name in (index_file, annotation_file)]
    for split in wanted:
        listed = [sequence["name"] for sequence in there[split]["sequences"]] if there[split] else []
        places += [f"{kind}/{name}" for name in {*_names(config, split), *listed} for kind in ("images", "masks")]
    for place in sorted(places):
        for path in _contents(plain_folder(out, os.path.dirname(place)) / os.path.basename(place)):
            if path.relative_to(out).as_posix() not in made:
                raise UserError(
                    f"{path}: found what this command has not made in the way of a dataset, expected nothing; give "
                    "another --out, or move that away"
                )


def _contents(path: Path) -> Iterator[Path]:
    """All files and links that are, or lie in, what there is at a path."""
    if path.is_symlink() or path.is_file():
        yield path
    elif path.is_dir():
        for item in sorted(path.iterdir()):
            yield from _contents(item)


def _files(found: dict[str, Any]) -> Iterator[str]:
    """The pictures of a split that was written, by their names below the dataset's folder."""
    for image in found["images"]:
        yield image["file_name"]
        yield "masks/" + image["file_name"].partition("/")[2]


def _install(made: Path, out: Path, split: str) -> None:
    """Move a finished split into place: pictures first, the index last."""
    names = [sequence["name"] for sequence in read_split(made, split)["sequences"]]
    for kind in ("images", "masks"):
        (out / kind).mkdir(parents=True, exist_ok=True)
        for name in names:
            os.replace(made / kind / name, out / kind / name)
    (out / "annotations").mkdir(exist_ok=True)
    for name in (annotation_file(split), index_file(split)):
        os.replace(made / name, out / name)
