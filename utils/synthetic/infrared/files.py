"""Synthetic infrared sequences as a dataset in the re-arranged NUDT layout.

Written are `images/sequenceN/0.png`, `masks/sequenceN/0.png` (0 and 255), `train_NUDTMIRSDT.txt` and
`test_NUDTMIRSDT.txt` with a line per image, and `annotations/instances_train.json` and `instances_test.json` (COCO):
per target and frame its box (x, y, width, height), area, own pixels (run lengths), `snr` (null where all around it is
saturated, and of birds and insects of a class of their own, which no limit of SNR holds for), `contrast` (1 brighter,
-1 darker than its surroundings) and `track_id`; `sequences` says what each sequence shows, where its camera and its
distractors are (y, x), which frames are repeated and where it is cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from utils.synthetic.infrared.config import PRESETS, InfraredConfig
from utils.synthetic.infrared.piece import pictures_of
from utils.synthetic.infrared.sequence import labelled_box, make_sequence
from utils.synthetic.kind import Kind, Label, MadeSequence


def run_lengths(mask: np.ndarray) -> dict[str, Any]:
    """COCO's uncompressed run-length code of `mask` (H, W) bool: column by column, zeros first."""
    flat = np.concatenate([[0], mask.T.ravel().astype(np.int8), [0]])
    edges = np.flatnonzero(np.diff(flat))
    runs = np.diff(np.concatenate([[0], edges, [mask.size]])).tolist()
    if edges.size and edges[-1] == mask.size:
        runs = runs[:-1]
    return {"size": list(mask.shape), "counts": runs}


def _make(config: InfraredConfig, split: str, index: int) -> MadeSequence:
    made = make_sequence(config, split, index)
    labels = [
        Label(
            target.frame,
            target.track,
            {
                "area": target.area,
                "snr": target.snr if target.category == 1 else None,
                "contrast": target.contrast,
                "bbox": labelled_box(target.bbox, config.least_box, config.size),
                "segmentation": run_lengths(target.mask),
            },
            target.category,
        )
        for target in made.targets
    ]
    pictures = made.frames, made.masks.astype(np.uint8) * 255
    return MadeSequence(pictures, labels, len(made.facts["tracks"]), made.facts)


def _sources(config: InfraredConfig, splits: Sequence[str]) -> list[str]:
    if not config.backgrounds:
        return []
    for split in splits:
        pictures_of(config, split)
    return [config.backgrounds]


INFRARED = Kind(
    settings=InfraredConfig,
    about={
        "description": "synthetic infrared sequences with small moving targets",
        "generator": "utils.synthetic",
        "version": 1,
    },
    categories=InfraredConfig.categories,
    annotations="annotations/instances_{}.json",
    index="{}_NUDTMIRSDT.txt",
    folders=("images", "masks"),
    name=lambda number: f"sequence{number}",
    place=lambda split, name: name,
    picture=lambda frame: f"{frame}.png",
    make=_make,
    sources=_sources,
    presets=PRESETS,
)
