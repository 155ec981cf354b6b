"""What a device is, and what runs on it, as a line of JSON; `name` is null where there is none."""

from __future__ import annotations

import json
import platform
from importlib.metadata import distributions
from typing import Any

from utils.system.command_line import Parser
from utils.system.errors import UserError, user_errors
from utils.system.machine import pick_device

PACKAGES = ("torch", "torchvision", "triton", "numpy", "opencv-python-headless", "scipy")


def describe_device(name: str) -> dict[str, Any]:
    """Name and memory of a device, and the versions of what runs on it."""
    import torch  # too slow for a command line that may be mistyped

    try:
        device = pick_device(name)
    except UserError as error:
        return {"name": None, "reason": str(error)}
    result: dict[str, Any] = {"name": "CPU", "cuda": torch.version.cuda, "python": platform.python_version()}
    if device.type == "cuda":
        found = torch.cuda.get_device_properties(device)
        result |= {
            "name": found.name,
            "gib": round(found.total_memory / 2**30, 1),
            "capability": f"{found.major}.{found.minor}",
            "cudnn": torch.backends.cudnn.version(),
        }
    versions = {one.metadata["Name"]: one.version for one in distributions()}
    return result | {"packages": {package: versions.get(package) for package in PACKAGES}}


def main(argv: list[str] | None = None) -> None:
    """Print it."""
    options = Parser(prog="python -m benchmarks.gpu.device", description=__doc__.splitlines()[0])
    options.add_argument("--device", default="cuda", help="cpu, cuda or cuda:N (default: %(default)s)")
    with user_errors():
        print(json.dumps(describe_device(options.parse_args(argv).device)))


if __name__ == "__main__":
    main()
