"""What can go wrong in a long training, and what becomes of it: signals, loader processes, memory."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import signal
import threading
from types import FrameType
from typing import Any

import torch

from utils.system.distributed import processes
from utils.system.errors import UserError, WriteError
from utils.training.learner import Learner

UNWRITABLE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)


class LoaderDied(RuntimeError):
    """A loader process ended, which is noticed when no step is under way."""


class StopSignals:
    """Within this context SIGTERM and Ctrl-C no longer end the process.

    `number` becomes that of the signal, and whoever works stops at the next good moment. A second Ctrl-C raises
    KeyboardInterrupt at once.

    Outside the main thread, which alone may handle signals, nothing changes.
    """

    def __init__(self) -> None:
        self.number = 0
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._handle) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self.number and number == signal.SIGINT and processes() == 1:  # torchrun repeats the signals it gets
            raise KeyboardInterrupt
        self.number = number
        with contextlib.suppress(OSError):  # of a pipe that is closed: saving is what matters
            os.write(2, b"\nstopping after this step, saving first\n")

    @staticmethod
    def name_of(number: int) -> str:
        """The signal's name, as people know it."""
        return "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name


def loader_died(error: BaseException) -> bool:
    """Whether PyTorch says that a loader process is gone."""
    return isinstance(error, RuntimeError) and str(error).startswith("DataLoader worker")


def explain(error: Exception, where: str) -> UserError | None:
    """The user's view of an error that machines cause; None for all others.

    Args:
        error: what ended the training.
        where: what of it is saved, for the text.
    """
    if isinstance(error, WriteError):
        return _explain_unwritten(error.path, error.reason, where)
    if isinstance(error, UserError):  # from a loader process it arrives inside that process's traceback
        return UserError(str(error).rsplit("UserError: ", 1)[-1])
    if isinstance(error, LoaderDied) or loader_died(error):
        return UserError(
            f"a loader process died ({' '.join(str(error).split())}), mostly because memory ran out; "
            f"lower --cache-mb or --workers, and continue with --resume auto; {where}"
        )
    if isinstance(error, OSError) and error.errno in UNWRITABLE_ERRORS:
        return _explain_unwritten(error.filename or "the run", error.strerror, where)
    if processes() > 1 and (isinstance(error, torch.distributed.DistBackendError) or "by peer" in str(error)):
        return UserError(f"another process ended, its own message says why; {where}")
    return None


def _explain_unwritten(path: str, reason: str, where: str) -> UserError:
    return UserError(f"{path}: cannot be written ({reason}); make room and continue with --resume auto; {where}")


def explain_out_of_memory(learner: Learner, batches: list[dict[str, Any]], batch_size: int) -> UserError:
    """After the GPU's memory ran out in a step: an error that names a batch size which was tried and fits.

    Args:
        learner: whose step failed; its network is not to be used any more.
        batches: of that step, of this process.
        batch_size: the run's.
    """
    learner.optimizer.zero_grad(set_to_none=True)
    size = len(batches[0]["key"])
    fits = size // 2
    if processes() == 1:  # else the others wait inside an operation of the failed step
        while fits and not _fits(learner, batches[0], fits):
            fits //= 2
    if not fits:
        return UserError(
            f"out of GPU memory with one clip of {tuple(batches[0]['clip'].shape[1:])}; lower "
            "--input-size, or give --amp bf16"
        )
    share = math.ceil(size / fits)
    found = f"{batch_size * fits // size} {'fits' if processes() == 1 else 'may fit'}"
    return UserError(
        f"out of GPU memory with --batch-size {batch_size}; --batch-size {found}, with "
        f"--accumulate {share} the gradient stays that of {batch_size} clips or more; --amp bf16 needs "
        "less too"
    )


def _fits(learner: Learner, batch: dict[str, Any], count: int) -> bool:
    part = {name: value[:count] for name, value in batch.items()}
    try:
        sum(learner.losses(part, learner.network).values()).backward()
    except torch.OutOfMemoryError:
        return False
    finally:
        learner.optimizer.zero_grad(set_to_none=True)
        if learner.device.type == "cuda":
            torch.cuda.empty_cache()
    return True
