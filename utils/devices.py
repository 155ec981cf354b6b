"""Devices by their names."""
from __future__ import annotations

from typing import Any

from utils.errors import UserError


def pick_device(name: Any = None) -> Any:
    """A `torch.device` by its name; without one, `cuda` where there is one, else `cpu`.

    Raises:
        UserError: the device is unknown or not there.
    """
    import torch

    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # PyTorch built without CUDA asserts
        raise UserError(f"--device: found '{name}', expected cpu or a CUDA GPU that is there, cuda or cuda:N "
                        f"({str(error).splitlines()[0]})") from None
    return device
