"""Continuing a run: which checkpoint is the last good one, whether recipe and data are still its own."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any

from utils.datasets.frame_table import Frame
from utils.predictor.checkpoint import LAST_NAMES, load_checkpoint
from utils.predictor.schema import require_training_state
from utils.system.errors import UserError
from utils.system.outputs import OutputFolder, adopt_earlier, plain_folder
from utils.training.config import TrainConfig
from utils.training.run_log import LOG_FILE, read_log

# Settings that may change when a run is continued: they have no part in what is learnt, or are there to be changed.
CHANGEABLE_SETTINGS = frozenset(
    {
        "name",
        "out",
        "data_root",
        "extra_roots",
        "weights",
        "epochs",
        "workers",
        "cache_mb",
        "device",
        "threads",
        "deterministic",
        "resume",
        "checkpoint_every",
        "skip_non_finite",
        "on_bad_frame",
        "quiet",
    }
)
MAX_SEQUENCE_DIGESTS = 1000  # of datasets with more sequences only one digest is kept
EARLIER_FOLDER = "earlier"
RUN_FILES = (*LAST_NAMES, "best.pt", LOG_FILE, "config.json", "command.txt", "curves.png", "tensorboard")


def last_checkpoint(config: TrainConfig) -> tuple[dict[str, Any] | None, list[str]]:
    """The checkpoint that `--resume` means, and lines that say what was found.

    Returns:
        Its content, None where `auto` finds no checkpoint, and a line for each damaged one that was passed over.

    Raises:
        UserError: every checkpoint is damaged, the file given holds no training state, or the recipe is another one.
    """
    paths = [config.folder / name for name in LAST_NAMES] if config.resume == "auto" else [Path(config.resume)]
    paths = [path for path in paths if path.exists() or config.resume != "auto"]
    lines = []
    for path in paths:
        try:
            content = load_checkpoint(path)
        except UserError as error:
            lines.append(str(error))
            continue
        if "optimizer" not in content:
            raise UserError(
                f"{path}: holds weights but no training state; give last.pt of a run, or start a new run "
                "from it with --weights"
            )
        try:
            content = _upgrade(content, path)
            require_training_state(content)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UserError(f"{path}: cannot be continued from: {shorten(str(error), 300)}") from None
        lines += _compare_recipes(content, config, path)
        progress = content["progress"]
        lines.append(
            f"continuing from {path}: {progress['epoch']} epochs"
            + (f" and {progress['step']} steps" if progress["step"] else "")
            + " done"
        )
        return content, lines
    if paths:
        raise UserError(f"{'; '.join(lines)}; no checkpoint is left to continue from, start anew without --resume")
    return None, lines


def _upgrade(content: dict[str, Any], path: Path) -> dict[str, Any]:
    """A checkpoint of an earlier version as one of this version."""
    if "progress" in content:
        return content
    _, rows = read_log(path.parent / LOG_FILE, tolerant=True)
    history = [row for row in rows if row["epoch"] <= content["epoch"]]
    return {
        **content,
        "progress": {"epoch": content["epoch"], "step": 0, "best": content["best"], "history": history},
        "ema_updates": content["schedule"]["last_epoch"],
        "scaler": {},
        "random": [],
        "data": {},
    }


def _compare_recipes(content: dict[str, Any], config: TrainConfig, path: Path) -> list[str]:
    """Refuse another recipe than the checkpoint's; a line where the schedule gets another length."""
    then, now = content["config"], config.as_dict()
    defaults = {item.name: item.default for item in dataclasses.fields(TrainConfig)}
    then = {
        name: then.get(name, list(default) if isinstance(default, tuple) else default)
        for name, default in defaults.items()
    }
    changed = [
        f"--{name.replace('_', '-')} {now[name]} instead of {then[name]}"
        for name in now
        if name not in CHANGEABLE_SETTINGS and now[name] != then[name]
    ]
    if changed:
        raise UserError(
            f"{path}: found {', '.join(changed)}; a run goes on with its own settings: give those, or "
            f"start another one from its weights with --weights {path}"
        )
    if now["epochs"] == then["epochs"]:
        return []
    return [f"{now['epochs']} epochs instead of {then['epochs']}: the learning rate follows the new length from here"]


def fingerprint(parts: Mapping[str, Mapping[str, Sequence[Frame]]]) -> dict[str, str]:
    """What training depends on in a dataset's files; not their paths or times, so that a copy is the same dataset.

    Args:
        parts: frames by sequence, by the name of the part: training or validation.

    Returns:
        For each sequence of each part, or where there are many for each part, its number of frames and a digest of
        their numbers, boxes and file sizes, as text.
    """
    named = sum(map(len, parts.values())) <= MAX_SEQUENCE_DIGESTS
    digests: dict[str, Any] = {}
    counts: dict[str, int] = {}
    for part, sequences in parts.items():
        for name, frames in sequences.items():
            key = f"{part} {name}" if named else part
            digest = digests.setdefault(key, hashlib.sha256())
            counts[key] = counts.get(key, 0) + len(frames)
            for frame in frames:
                sizes = [os.stat(path).st_size for path in (frame.image, frame.mask) if path]
                digest.update(json.dumps([name, frame.number, frame.boxes, *sizes, *frame.ignored]).encode())
    return {key: f"{counts[key]} frames {digest.hexdigest()[:16]}" for key, digest in digests.items()}


def require_same_data(then: Mapping[str, str], now: Mapping[str, str]) -> None:
    """Hold the dataset to be the one that the checkpoint was trained on.

    Args:
        then: of `fingerprint`, as the checkpoint holds it; an empty one, of an early version, is taken for the same.
        now: of `fingerprint`, of the dataset as it is.

    Raises:
        UserError: it is another one; the text names what changed.
    """
    if not then or then == now:
        return
    lines = []
    for key in dict.fromkeys((*then, *now)):
        if then.get(key) != now.get(key):
            old, new = (digests.get(key, "nothing ").rpartition(" ")[0] for digests in (then, now))
            lines.append(f"{key}: {old} then, {new} now" + (" of other sizes, numbers or boxes" if old == new else ""))
    more = f", and {len(lines) - 5} more" if len(lines) > 5 else ""
    raise UserError(
        f"the dataset changed since the checkpoint: {'; '.join(lines[:5])}{more}; bring it back to "
        "continue, or start a new run from the checkpoint with --weights"
    )


def claim_folder(config: TrainConfig) -> None:
    """Hold the run's folder to have no files of a run's names but those of runs.

    Raises:
        UserError: it has some.
    """
    folder = config.folder
    beside = os.path.dirname(os.path.realpath(config.resume))
    own = config.resume == "auto" or (config.resume and beside == os.path.realpath(folder))
    begun = any(
        (folder / name).exists() for name in LAST_NAMES
    )  # weights that are passed on have a log, but none of them
    adopted = RUN_FILES if own else adopt_earlier(folder, LOG_FILE, b'"config"', RUN_FILES) if begun else ()
    OutputFolder(folder, "a training", adopted).claim(*RUN_FILES)


def move_aside(folder: Path) -> str:
    """Move an earlier run's files out of the way of a new one.

    They go to `earlier/`, where they replace those of the run before that one.

    Returns:
        A line that says so, empty where there is no earlier run.
    """
    if not any((folder / name).exists() for name in LAST_NAMES):
        return ""
    target = plain_folder(folder, EARLIER_FOLDER)
    target.mkdir(exist_ok=True)
    for name in RUN_FILES:
        if (target / name).is_dir():
            shutil.rmtree(target / name)
        else:
            (target / name).unlink(missing_ok=True)
        if (folder / name).exists():
            os.replace(folder / name, target / name)
    return f"an earlier run was in {folder}: it is now in {target}; --resume auto would have continued it"
