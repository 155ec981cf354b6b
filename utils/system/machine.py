"""What this process runs on: memory, devices, and the revision of the code."""

from __future__ import annotations

import ctypes
import functools
import gc
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from utils.system.errors import UserError

DEVICE_NAME = re.compile(r"cpu|cuda(:\d{1,3})?")
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # names of glibc's malloc.h


def _of_glibc(name: str) -> Any:
    """A function of glibc's, None where the C library is another one."""
    return getattr(ctypes.CDLL(None), name, None) if sys.platform.startswith("linux") else None


def give_back() -> None:
    """Return freed memory to the system, before processes are forked and after much was made and thrown away."""
    gc.collect()
    trim = _of_glibc("malloc_trim")
    if trim is not None:
        trim(0)


def keep_memory() -> None:
    """Let glibc reuse large blocks: giving each tensor's pages back costs a CPU step 6 to 26 % in page faults."""
    mallopt = _of_glibc("mallopt")
    if mallopt is not None:
        for parameter, size in ((_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, 100 << 20), (_MMAP_THRESHOLD, 1 << 30)):
            mallopt(parameter, size)


def is_device(name: str) -> bool:
    """Whether a name is of a device that networks run on here, be it there or not; PyTorch knows others, as `meta`."""
    return DEVICE_NAME.fullmatch(name) is not None


def pick_device(name: Any = None) -> Any:
    """A `torch.device` by its name; without one, `cuda` where there is one, else `cpu`.

    Raises:
        UserError: the device is unknown or not there.
    """
    import torch

    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        if not is_device(str(device)):
            raise RuntimeError("no such device here")
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # PyTorch built without CUDA asserts
        raise UserError(
            f"--device: found '{name}', expected cpu or a CUDA GPU that is there, cuda or cuda:N "
            f"({str(error).splitlines()[0]})"
        ) from None
    return device


@functools.cache
def git_revision() -> str:
    """The commit of the code that runs, with `+` when files differ from it; empty outside a git checkout."""
    folder = Path(__file__).parent
    try:
        head = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"], cwd=folder, capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""  # a downloaded archive has no history: an unknown revision is no error
    return head + ("+" if changed else "")
