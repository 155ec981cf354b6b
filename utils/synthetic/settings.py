"""What the settings of all kinds of synthetic datasets share: seeds, counts, and the table that numbers are held to."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, ClassVar

from utils.system.command_line import BOUNDS, shown
from utils.system.errors import UserError
from utils.system.untrusted import MAX_IMAGE_PIXELS


class DatasetSettings:
    """Everything that decides what a synthetic dataset contains; a kind's own are a frozen dataclass derived from this.

    Each field is an option of the command, declared with `declare_option`; `metavar` names the values of one that
    takes two.
    """

    bounds: ClassVar[tuple[str, ...]] = ("synthetic",)  # where in `BOUNDS` a setting's numbers are looked up first
    train_sequences: int
    test_sequences: int
    frames: int
    size: tuple[int, int]
    seed: int
    test_seed: int

    @classmethod
    def bounds_name(cls, setting: str) -> str:
        """A setting's name in `BOUNDS`."""
        names = (f"{prefix}.{setting}" for prefix in cls.bounds)
        return next((name for name in names if name in BOUNDS), setting)

    def require(self, good: bool, name: str, expected: str) -> None:
        """Raise `UserError` about a setting that is not `good`."""
        if not good:
            option = "--" + name.replace("_", "-")
            raise UserError(f"{option}: found {shown(getattr(self, name))}, expected {expected}; change {option}")

    def require_ascending(self, *names: str) -> None:
        """Raise `UserError` about a setting of two values whose first one is the larger."""
        words = {item.name: item.metadata["metavar"] for item in fields(self) if item.name in names}
        for name in names:
            (low, high), (first, last) = getattr(self, name), words[name]
            self.require(low <= high, name, f"{first} {last} with {first} <= {last}")

    def require_bounds(self) -> None:
        """Hold every number to `BOUNDS`, and the size to what pictures may have.

        Raises:
            UserError: one of them is outside.
        """
        for item in fields(self):
            value, bounds = getattr(self, item.name), BOUNDS.get(self.bounds_name(item.name))
            parts = value if isinstance(value, tuple) else (value,)
            self.require(bounds is None or all(map(bounds.hold, parts)), item.name, str(bounds))
        height, width = self.size
        self.require(height * width <= MAX_IMAGE_PIXELS, "size", f"at most {MAX_IMAGE_PIXELS:,} pixels")

    def split_seed(self, split: str) -> int:
        """The seed of a split."""
        return self.seed if split == "train" else self.test_seed

    def count(self, split: str) -> int:
        """How many sequences a split has."""
        return self.train_sequences if split == "train" else self.test_sequences

    def values(self) -> dict[str, Any]:
        """All settings, as JSON gives them back."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    def as_dict(self) -> dict[str, Any]:
        """The settings that annotations name: those declared `unnamed` only where they do not have their default."""
        unnamed = {f.name for f in fields(self) if f.metadata.get("unnamed") and getattr(self, f.name) == f.default}
        return {name: value for name, value in self.values().items() if name not in unnamed}
