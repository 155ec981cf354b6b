"""Command lines whose mistakes are one clear line, and the table of what numbers may be, wherever they come from.

`BOUNDS` holds for options, recipe files, label tables, checkpoints and exports alike. Its ends are generous, beyond
anything useful, but finite: nothing within them asks for a process, an array or a network that no machine has.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral, Real
from pathlib import Path
from reprlib import Repr
from typing import Any, NoReturn

from utils.system.errors import UserError
from utils.system.files import writing

_SHORT = Repr()
_SHORT.maxlevel, _SHORT.maxstring, _SHORT.maxother = 2, 60, 60


@dataclass(frozen=True)
class Bounds:
    """Numbers from `least` to `most`.

    Args:
        kind: `int` or `float`; whole numbers are floats too, truth values are neither.
        least, most: the ends.
        above, below: the lower, the upper end itself is none of them.
    """

    kind: type
    least: float
    most: float
    above: bool = False
    below: bool = False

    def hold(self, value: Any) -> bool:
        """Whether `value`, of any type, is one of these numbers."""
        if isinstance(value, bool) or not isinstance(value, Real if self.kind is float else Integral):
            return False
        return self.least <= value <= self.most and not (
            (self.above and value == self.least) or (self.below and value == self.most)
        )

    def __str__(self) -> str:
        low = f"more than {self.least:g}" if self.above else f"at least {self.least:,g}"
        high = f"below {self.most:g}" if self.below else f"at most {self.most:,.0f}"
        if not self.below and self.most < 100:
            high = f"at most {self.most:g}"
        return f"{self.kind.__name__} {low} and {high}"


def _whole(least: int, most: int) -> Bounds:
    return Bounds(int, least, most)


def _real(least: float, most: float) -> Bounds:
    return Bounds(float, least, most)


_COUNT, _COUNT_FROM_1 = _whole(0, 10**9), _whole(1, 10**9)
_SHARE, _FACTOR = _real(0, 1), _real(0, 10**6)
BOUNDS: dict[str, Bounds] = {
    # the machine
    "workers": _whole(0, 256),
    "threads": _whole(0, 1024),
    "processes": _whole(1, 256),
    "cache_mb": _whole(0, 1 << 22),
    "batch_size": _whole(1, 1 << 16),
    "checkpoint_every": _COUNT,
    "skip_non_finite": _COUNT,
    "seed": _whole(0, 2**31 - 1),
    # clips and networks
    "num_frames": _whole(1, 64),
    "frame_step": _whole(0, 64),
    "max_delay": _whole(0, 1000),
    "tile": _whole(0, 8192),
    "tile_overlap": _whole(0, 4096),
    "lags": _whole(1, 63),
    "num_slices": _whole(1, 16),
    "num_layers": _whole(1, 16),
    "num_classes": _whole(1, 1000),
    "depth": Bounds(float, 0, 10, above=True),
    "width": _real(1 / 64, 8),
    "init_std": _real(0, 10),
    "in_channels": _whole(1, 64),
    "channels": _whole(1, 4096),
    "blocks": _whole(1, 100),
    "input_size": _whole(32, 4096),
    "train_crop": _whole(0, 4096),
    "multiple": _whole(1, 1024),
    "state_stride": _whole(1, 1024),
    "opset": _whole(18, 23),
    "channel_mean": _real(-(10**6), 10**6),
    "channel_std": Bounds(float, 0, 10**6, above=True),
    # losses and the schedule
    "epochs": _whole(1, 10**6),
    "clips_per_epoch": _real(0, 10**9),
    "accumulate": _whole(1, 10**6),
    "lr": Bounds(float, 0, 1000, above=True),
    "beta2": Bounds(float, 0, 1, below=True),
    "momentum": Bounds(float, 0, 1, below=True),
    "weight_decay": _real(0, 1000),
    "milestones": _whole(0, 10**6),
    "milestone_factor": _SHARE,
    "warmup": _SHARE,
    "ema": Bounds(float, 0, 1, below=True),
    "ema_ramp": _COUNT,
    "recalibrate": _whole(0, 10**6),
    "clip_gradient": _FACTOR,
    "target_weight": _FACTOR,
    "motion_weight": _FACTOR,
    # augmentation
    "target_probability": _SHARE,
    "clones": _whole(0, 1000),
    "clone_scale": Bounds(float, 0, 1, above=True),
    "intensity": _real(0, 100),
    "gain": Bounds(float, 0, 100, above=True),
    "blur": _real(0, 100),
    "noise": _real(0, 10_000),
    # choosing and measuring
    "val_fraction": Bounds(float, 0, 1, below=True),
    "folds": _whole(2, 100),
    "val_every": _whole(1, 10**6),
    "fa_budget": _SHARE,
    "false_budget": _FACTOR,
    "threshold": _SHARE,
    "false_rate": Bounds(float, 0, 10**6, above=True),
    "confirm": _whole(2, 100),
    "draws": _whole(0, 20_000),
    "report.draws": _whole(1, 20_000),
    "least_box": _real(0, 8192),
    "limit": _COUNT,
    "report.frames": _whole(0, 100_000),
    "track_distance": Bounds(float, 0, 8192, above=True),
    "track_span": _whole(1, 10**6),
    "port": _whole(0, 65535),
    # footage
    "stride": _whole(1, 10**6),
    "max_frames": _COUNT,
    "watch": _real(0.1, 10**7),
    "fps": _real(0.1, 1000),
    "scale": _real(0.05, 64),
    "roi": _whole(0, 1 << 26),
    "window": _real(0, 10**6),
    "calibration_clips": _whole(1, 100_000),
    # labels
    "test_fraction": _real(0, 0.9),
    "box_side": _real(1, 1000),
    "first_pixel": _whole(0, 1),
    # synthetic sequences
    "train_sequences": _whole(0, 100_000),
    "test_sequences": _whole(0, 100_000),
    "synthetic.frames": _whole(5, 100_000),
    "synthetic.size": _whole(48, 8192),  # a target, its ring and its way need so much
    "bits": _whole(8, 16),
    "test_seed": _whole(0, 2**31 - 1),
    "pictures": _whole(-1, 10**9),
    "snr": Bounds(float, 0, 1000, above=True),
    "low_share": _SHARE,
    "empty_share": _SHARE,
    "dark_share": _SHARE,
    "still_share": _SHARE,
    "look_share": _SHARE,
    "targets": _whole(1, 100),
    "area": _real(0.1, 1000),
    "speed": _real(0.3, 8),
    "acceleration": Bounds(float, 0, 1000, below=True),
    "pan": _real(0, 10),  # within what scenes have around them for the blur of the exposure
    "jitter": _real(0, 100),
    "synthetic.noise": _real(0.001, 1000),
    "contrast": Bounds(float, 0, 1000, below=True),
    "hot_pixels": Bounds(float, 0, 1000, below=True),
    "blinking_pixels": Bounds(float, 0, 1000, below=True),
    "glints": _real(0, 100),
    "structures": Bounds(float, 0, 1000, below=True),
    "cloud_share": _SHARE,
    "star_share": _SHARE,
    "glint_share": _SHARE,
    "tree_share": _SHARE,
    "hover_share": _SHARE,
    "birds": _real(0, 100),
    "insects": _real(0, 100),
    "least_noise": _real(0, 1000),
    "look_gain": _FACTOR,
    "psf": _real(0.3, 1),  # sharper, and a target is no wider than its pixel
    "stripes": _real(0, 100),
    "flashes": _real(0, 1000),
    "streak_share": _SHARE,
    "cuts": _real(0, 1000),
    "repeats": _real(0, 0.5),
    "jumps": _SHARE,
    "jump_size": _real(1, 200),
    # synthetic satellite video
    "satellite.bend": _real(0, 15),  # more would fold the picture
    "clutter": _real(0, 10),
    "parked": _real(0, 10),
    "cars": _whole(0, 5000),
    "satellite.length": _real(3, 24),
    "satellite.speed": _real(0.1, 8),
    "satellite.contrast": _real(1, 255),
    "drift": _real(0, 10),
    "slips": _SHARE,
    "flicker": _real(0, 100),
    # benchmarks
    "rounds": _whole(1, 10**6),
    "side": _whole(32, 8192),
    "count": _COUNT_FROM_1,
    "benchmark.side": _whole(64, 8192),
    "benchmark.frames": _whole(20, 10**6),
    "benchmark.lines": _whole(100, 10**9),
    "benchmark.steps": _whole(10, 10**9),
    "benchmark.seconds": _real(0.001, 86400),
}


def number(name: str) -> Callable[[str], Any]:
    """A `type=` for options: a number within `BOUNDS[name]`."""
    bounds = BOUNDS[name]

    def convert(text: str) -> Any:
        try:
            value = bounds.kind(text)
        except ValueError:  # also of integers of thousands of digits
            value = None
        if not bounds.hold(value):
            raise argparse.ArgumentTypeError(f"found {shown(text)}, expected {bounds}")
        return value

    return convert


def m_of_n(name: str) -> Callable[[str], tuple[int, int]]:
    """A `type=` for options: M/N, M of N frames, both within `BOUNDS[name]` and M no more than N → (M, N)."""
    bounds = BOUNDS[name]

    def convert(text: str) -> tuple[int, int]:
        found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text.strip(), re.ASCII)
        hits, frames = map(int, found.groups()) if found else (0, 0)
        if not (bounds.hold(hits) and bounds.hold(frames) and hits <= frames):
            raise argparse.ArgumentTypeError(
                f"found {shown(text)}, expected M/N such as 3/5: M of N frames, M at least {bounds.least}, N at least "
                f"M and at most {bounds.most}"
            )
        return hits, frames

    return convert


def shown(value: Any) -> str:
    """`value` of whatever a stranger wrote, short enough for a message."""
    try:
        return _SHORT.repr(value)
    except ValueError:  # Python does not write integers of thousands of digits
        return "a number of thousands of digits"


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` that raises `UserError`, takes no shortened options, and knows its groups by their titles."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(
            allow_abbrev=False,
            **keywords,
            formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=34, width=120),
        )
        self._groups: dict[str, argparse._ArgumentGroup] = {}

    def group(self, title: str) -> argparse._ArgumentGroup:
        """The options that `--help` shows below `title`; groups come in the order in which they are first asked for."""
        if title not in self._groups:
            self._groups[title] = self.add_argument_group(title)
        return self._groups[title]

    def error(self, message: str) -> NoReturn:
        """Raise what is wrong with the command line.

        Raises:
            UserError: always.
        """
        raise UserError(f"{message}; `{self.prog} --help` lists every option")


def declare_option(group: str, default: Any, text: str, **more: Any) -> Any:
    """A field of a dataclass whose fields are options of a command.

    Args:
        group: title of those that `--help` shows together.
        default: of the field.
        text: what the option means.
        more: metadata of the field, beside `group` and `help`.
    """
    return dataclasses.field(default=default, metadata={"group": group, "help": text, **more})


def make_folder(path: Path) -> None:
    """Make an output folder before work starts.

    Raises:
        UserError: that, or writing to it, is impossible.
    """
    with writing(path, "give another folder with --out"):
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
