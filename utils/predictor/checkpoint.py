"""Checkpoints: plain dicts that describe themselves, written whole or not at all, read without running code.

Each carries a checksum over all of its bytes, see `utils.predictor.checksum`.
"""

from __future__ import annotations

import lzma
import os
import pickle
import zipfile
import zlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
import torch

from nets import DETECTORS
from utils.clips.settings import ClipSettings
from utils.predictor.checksum import SealedFile, check_seal
from utils.predictor.schema import require_checkpoint
from utils.predictor.verifier.model import read_verifier
from utils.system.errors import UserError
from utils.system.files import atomic_write
from utils.system.pickles import UnsafePickle, holds_program, require_plain_pickles
from utils.system.untrusted import require_plain_archive, require_weights_size

# 1: as first published. 2: the position inside an epoch, random states, scaler, history; see `utils.training.resume`.
# 3: `settings`, a `ClipSettings`, instead of normalisation, num_frames and threshold beside the recipe.
CHECKPOINT_VERSION = 3
RUN_ADVICE = "the checkpoints before it are whole, make room and continue with --resume auto"
LAST_NAMES = ("last.pt", "last-1.pt", "last-2.pt")  # the newest checkpoints of a run, newest first
REQUIRED_KEYS = ("version", "model", "settings", "config", "network")
REQUIRED_KEYS_BEFORE_3 = ("version", "model", "normalisation", "num_frames", "threshold", "config", "network")
STATE_DICT_ADVICE = "where it was made, save its state dict: torch.save(network.state_dict(), 'state.pt')"
# Figures that were saved beside weights as numpy's numbers; `require_plain_pickles` lets no other type of it pass.
_NUMPY_GLOBALS = [
    (np.dtype, "numpy.dtype"),
    *((np.float64().__reduce__()[0], f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    *{type(np.dtype(kind)) for kind in np.typecodes["AllInteger"] + np.typecodes["Float"] + "?"},
]
EXPORTS = {  # by the ends of their names: what they are, and who runs them
    ".onnx": "an ONNX export, which test.py and vid_predict.py run, but nothing is exported or trained from",
    ".pt2": "a torch.export program, which code of your own runs by `torch.export.load`; of the exports test.py and "
    "vid_predict.py run those of --format onnx",
}


def save_checkpoint(path: str | os.PathLike, content: dict[str, Any], advice: str = RUN_ADVICE) -> None:
    """Write `content` to `path`: to a temporary name, flushed to disk, then moved into place.

    Args:
        path: of the file.
        content: a plain dict.
        advice: what to do where it cannot be written.

    Raises:
        UserError: the disk is full, or the file cannot be written; what was at `path` is still there.
    """
    _save(Path(path), content, advice=advice)


def save_last(folder: str | os.PathLike, content: dict[str, Any]) -> None:
    """`save_checkpoint` as `last.pt` in `folder`; the two before it become `last-1.pt` and `last-2.pt`."""
    paths = [Path(folder) / name for name in LAST_NAMES]

    def rotate() -> None:
        for newer, older in reversed(list(pairwise(paths))):
            if newer.exists():
                os.replace(newer, older)

    _save(paths[0], content, rotate)


def _save(
    path: Path, content: dict[str, Any], before: Callable[[], None] = lambda: None, advice: str = RUN_ADVICE
) -> None:
    try:
        with atomic_write(path, before) as file:
            sealed = SealedFile(file)
            torch.save({"version": CHECKPOINT_VERSION, **content}, sealed)
            sealed.seal()
    except (OSError, RuntimeError) as error:
        cause = error if isinstance(error, OSError) else error.__context__  # PyTorch hides the system's reason there
        if not isinstance(cause, OSError):
            raise
        raise UserError(f"{path}: cannot be saved ({cause.strerror}); {advice}") from None


def load_file(path: str | os.PathLike) -> Any:
    """Whatever a weights file holds, on the CPU; nothing in the file is executed.

    Raises:
        UserError: missing, damaged, an export, or holding more than tensors and plain values.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file; expected a checkpoint such as runs/NAME/best.pt")
    if (ending := Path(path).suffix.lower()) in EXPORTS:
        raise UserError(
            f"{path}: found {EXPORTS[ending]}; give the checkpoint that it was made from, such as runs/NAME/best.pt"
        )
    require_weights_size(path, "a checkpoint")
    try:
        sealed = check_seal(path)  # first, so that damage is called damage
        if holds_program(path):
            raise UnsafePickle("a TorchScript program")
        require_plain_archive(path, "a checkpoint")
        require_plain_pickles(path)
        if not sealed:
            _require_whole(path)
        with torch.serialization.safe_globals(_NUMPY_GLOBALS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except UnsafePickle as error:
        raise UserError(
            f"{path}: not a readable checkpoint: found {error}, more than tensors and plain values that it "
            f"holds; {STATE_DICT_ADVICE}"
        ) from None
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        OSError,
        MemoryError,
        OverflowError,
        RecursionError,
        AssertionError,  # by which PyTorch checks some files
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
    ) as error:
        raise UserError(
            f"{path}: not a readable checkpoint ({type(error).__name__}): damaged, or it holds more than "
            "tensors and plain values; fetch it again, or save its state dict alone"
        ) from None


def _require_whole(path: str | os.PathLike) -> None:
    """Compare the entries of a file without a seal with their checksums, which `torch.load` does not do."""
    if zipfile.is_zipfile(path):  # PyTorch's older format has none
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged:
            raise zipfile.BadZipFile(f"checksum of {damaged}")


def is_checkpoint(content: Any) -> bool:
    """Whether a file's content means to be a checkpoint of this project, whole or not; else it is weights alone."""
    return isinstance(content, dict) and sum(key in content for key in REQUIRED_KEYS) > 2


def load_checkpoint(path: str | os.PathLike) -> dict[str, Any]:
    """Read a checkpoint of this project.

    Returns:
        `version, model {name, options}, settings` (of `ClipSettings.as_dict`)`, config, network, ema`, and, where
        training wrote it, `epoch, best, git`; in `last.pt` also what `utils.training.resume` continues from. Where
        `python -m utils.verify` wrote it, `verifier` (of `VerifierModel.as_dict`; None of one of another version).

    Raises:
        UserError: no readable checkpoint of this project.
    """
    return check_content(path, load_file(path))


def check_content(path: str | os.PathLike, content: Any) -> dict[str, Any]:
    """`content` of the file at `path`, where it is a checkpoint of this project that this code can read, see `schema`.

    One of an earlier version gets `settings`.

    Raises:
        UserError: it is not.
    """
    known = content if isinstance(content, dict) else {}
    version = known.get("version")
    if isinstance(version, int) and version > CHECKPOINT_VERSION:  # whatever keys it has
        raise UserError(f"{path}: checkpoint version {version}, this code reads up to {CHECKPOINT_VERSION}; update it")
    before_3 = version in (1, 2)
    missing = [key for key in (REQUIRED_KEYS_BEFORE_3 if before_3 else REQUIRED_KEYS) if key not in known]
    if missing:
        raise UserError(
            f"{path}: not a checkpoint of this project (no {', '.join(missing)}); a plain state dict "
            "can be given to training with --weights"
        )
    try:
        if before_3:
            content = {**content, "version": CHECKPOINT_VERSION, "settings": _settings_before_3(content)}
        require_checkpoint(content)
        if content.get("verifier") is not None and read_verifier(content["verifier"], path) is None:
            content = {**content, "verifier": None}
        return content
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: does not fit this version of the project: {shorten(str(error), 300)}") from None


def _settings_before_3(content: dict[str, Any]) -> dict[str, Any]:
    """`ClipSettings` as plain values from a checkpoint that spread them."""
    model, config = content["model"], content["config"]
    return ClipSettings(
        content["num_frames"],
        content["normalisation"],
        task_of(model["name"]),
        content["threshold"],
        config.get("frame_step", 1),
        config.get("register", False),
        config.get("bad_pixels", False),
        config.get("fit", "crop"),
        config.get("input_size"),
        model["options"].get("num_classes", 1),
        model["name"],
    ).as_dict()


def task_of(model: str) -> str:
    """What a network of this name is for, one of `utils.clips.settings.TASKS`."""
    return "detection" if model in DETECTORS else "segmentation"
