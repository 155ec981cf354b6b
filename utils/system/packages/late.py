"""Packages that take long to import, each imported when it is first used, so that a command line is answered at once.

`from utils.system.packages.late import cv2` stands where `import cv2` would.
"""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any


class LateModule(ModuleType):
    """A module that is imported when one of its names is first asked for; all names are those of the module itself."""

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self.__name__), name)


if TYPE_CHECKING:
    import cv2
    import tqdm
    from scipy import ndimage, optimize, spatial, special
else:
    cv2, tqdm = LateModule("cv2"), LateModule("tqdm")
    ndimage, optimize, spatial, special = (
        LateModule(f"scipy.{name}") for name in ("ndimage", "optimize", "spatial", "special")
    )
