"""Synthetic sequences on disk: datasets of every kind, made by several processes, whole or not at all.

Written are pictures, lists of images where the kind has them, and a COCO json for each split: `info` holds the whole
configuration, `images` the `sequence` and `frame` of each, `annotations` a `track_id`, `sequences` what each sequence
shows.
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

from utils.datasets.building import build_folder
from utils.datasets.coco import box_entry, category_entries, coco_content, image_entry, write_coco
from utils.datasets.splits import SPLITS
from utils.images.image_files import write_picture
from utils.synthetic.infrared.files import INFRARED
from utils.synthetic.kind import Kind, Label
from utils.synthetic.satellite.files import SATELLITE
from utils.synthetic.settings import DatasetSettings
from utils.system.command_line import make_folder
from utils.system.errors import UserError
from utils.system.files import whole_file, writing
from utils.system.outputs import plain_folder, require_apart
from utils.system.packages.late import tqdm

KINDS: dict[str, Kind] = {"infrared": INFRARED, "satellite": SATELLITE}


def kind_of(config: DatasetSettings) -> Kind:
    """The kind of dataset that settings are of."""
    return next(kind for kind in KINDS.values() if type(config) is kind.settings)


@dataclass(frozen=True)
class WrittenSequence:
    """What the annotations say of a sequence whose pictures are written; as of `MadeSequence`."""

    name: str
    labels: list[Label]
    tracks: int
    facts: dict[str, Any]


def _write_sequence(job: tuple[DatasetSettings, str, int, str, str]) -> WrittenSequence:
    """Make one sequence, write its pictures below `folder` and return what the annotations say about it."""
    config, split, index, folder, name = job
    kind = kind_of(config)
    made = kind.make(config, split, index)
    for place, pictures in zip(kind.sequence_folders(split, name), made.pictures, strict=True):
        for t, picture in enumerate(pictures):
            write_picture(Path(folder, place, kind.picture(t)), picture)
    return WrittenSequence(name, made.labels, made.tracks, made.facts)


def _coco_of(config: DatasetSettings, split: str, sequences: list[WrittenSequence]) -> dict[str, Any]:
    kind = kind_of(config)
    images, annotations, tracks = [], [], 0
    for sequence in sequences:
        first, place = len(images) + 1, kind.sequence_folders(split, sequence.name)[0]
        images += [
            image_entry(first + t, f"{place}/{kind.picture(t)}", config.size, sequence=sequence.name, frame=t)
            for t in range(config.frames)
        ]
        annotations += [
            box_entry(
                len(annotations) + number,
                first + label.frame,
                label.category,
                iscrowd=0,
                track_id=tracks + label.track + 1,
                **label.annotation,
            )
            for number, label in enumerate(sequence.labels, 1)
        ]
        tracks += sequence.tracks
    return {
        "info": {**kind.about, "split": split, "seed": config.split_seed(split), "config": config.as_dict()},
        **coco_content(images, annotations, category_entries(kind.categories(config))),
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


def _names(config: DatasetSettings, split: str) -> list[str]:
    """Names of a split's sequences; those of the test set go on where the training set ends."""
    before = config.train_sequences if split == "test" else 0
    return [kind_of(config).name(before + index + 1) for index in range(config.count(split))]


def _write_split(config: DatasetSettings, split: str, folder: Path, workers: int, quiet: bool) -> None:
    kind = kind_of(config)
    jobs = [(config, split, index, str(folder), name) for index, name in enumerate(_names(config, split))]
    sequences = list(
        tqdm.tqdm(
            _make_sequences(jobs, workers),
            total=len(jobs),
            desc=f"{split} sequences",
            unit="seq",
            file=sys.stderr,
            disable=quiet,
        )
    )
    coco = _coco_of(config, split, sequences)
    write_coco(folder / kind.annotations.format(split), coco)
    if kind.index:
        with whole_file(folder / kind.index.format(split)) as file:
            file.write("".join(image["file_name"] + "\n" for image in coco["images"]).encode())


def read_split(out: Path, kind: Kind, split: str) -> dict[str, Any] | None:
    """The annotations of a split that was written to `out` before, or None."""
    try:
        found = json.loads((out / kind.annotations.format(split)).read_text(encoding="utf-8"))
        listed = [found[part] for part in ("images", "annotations", "sequences")]
        own = all(found["info"].get(key) == kind.about.get(key) for key in ("generator", "kind"))
        return found if own and all(isinstance(part, list) for part in listed) else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # not there, or not ours; the caller says so


def _has_settings(found: dict[str, Any] | None, config: DatasetSettings, split: str) -> bool:
    """Whether `found` was made with the same settings, leaving aside those that concern the other split alone."""
    kind = kind_of(config)
    if found is None or found["info"].get("version") != kind.about["version"]:
        return False
    other = {"seed"} if split == "test" else {"test_seed", "test_sequences"}
    ours = config.values()
    theirs = kind.settings().values() | found["info"].get("config", {})  # not every setting is named
    return all(theirs.get(key) == value for key, value in ours.items() if key not in other)


def _remove(out: Path, kind: Kind, split: str) -> None:
    """Remove a split written before, if there is one: its index, its sequences and its annotations, in this order."""
    found = read_split(out, kind, split)
    if found is None:
        return
    annotations, *index = kind.lists(split)
    for name in index:
        (out / name).unlink(missing_ok=True)
    for sequence in found["sequences"]:
        for folder in kind.sequence_folders(split, sequence["name"]):
            if (out / folder).is_dir():
                shutil.rmtree(out / folder)
    (out / annotations).unlink()


def write_dataset(
    config: DatasetSettings,
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
    kind = kind_of(config)
    sources = kind.sources(config, splits)
    wanted = [
        split
        for split in splits
        if config.count(split) and (overwrite or not _has_settings(read_split(out, kind, split), config, split))
    ]
    if not wanted:
        return []
    require_apart(out, sources)
    _refuse(out, wanted, config, overwrite)
    make_folder(out)
    there = any(out.iterdir())
    with writing(out, "give another --out"), build_folder(out, merge=there) as work:
        for split in wanted:
            _write_split(config, split, work, workers, quiet)
        for split in wanted if there else ():
            _remove(out, kind, split)
        for split in wanted if there else ():
            _install(work, out, kind, split)
    return wanted


def _refuse(out: Path, wanted: list[str], config: DatasetSettings, overwrite: bool) -> None:
    """Raise UserError if `out` holds what is in the way of the `wanted` splits and may not be removed."""
    there = {split: read_split(out, kind_of(config), split) for split in SPLITS}
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
    out: Path, wanted: list[str], config: DatasetSettings, there: dict[str, dict[str, Any] | None]
) -> None:
    """Raise UserError if files that the splits `there` do not list are where the `wanted` ones are to be."""
    kind = kind_of(config)
    made = {file for found in there.values() if found for file in _files(found, kind)}
    made |= {name for split, found in there.items() if found for name in kind.lists(split)}
    places = [name for split in wanted for name in kind.lists(split)]
    for split in wanted:
        listed = [sequence["name"] for sequence in there[split]["sequences"]] if there[split] else []
        names = {*_names(config, split), *listed}
        places += [folder for name in names for folder in kind.sequence_folders(split, name)]
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


def _files(found: dict[str, Any], kind: Kind) -> Iterator[str]:
    """The pictures of a split that was written, by their names below the dataset's folder."""
    for image in found["images"]:
        for folder in kind.folders:
            yield f"{folder}/{image['file_name'].partition('/')[2]}"


def _install(made: Path, out: Path, kind: Kind, split: str) -> None:
    """Move a finished split into place: pictures first, the index last."""
    names = [sequence["name"] for sequence in read_split(made, kind, split)["sequences"]]
    places = [folder for name in names for folder in kind.sequence_folders(split, name)]
    for place in [*places, *kind.lists(split)]:
        (out / place).parent.mkdir(parents=True, exist_ok=True)
        os.replace(made / place, out / place)
