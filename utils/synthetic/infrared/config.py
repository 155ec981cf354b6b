"""Everything that decides what a synthetic infrared dataset contains."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from utils.synthetic.infrared.brightness import CLASS_BORDER
from utils.synthetic.infrared.targets import MAX_AREA, MIN_AREA
from utils.synthetic.settings import DatasetSettings
from utils.system.command_line import declare_option

_sequences, _scene, _targets, _camera = (
    partial(declare_option, group) for group in ("Sequences", "Scene", "Targets", "Camera")
)


@dataclass(frozen=True)
class InfraredConfig(DatasetSettings):
    """Everything that decides what a synthetic infrared dataset contains.

    Raises:
        UserError: a value makes no sense.
    """

    train_sequences: int = _sequences(160, "sequences to train on")
    test_sequences: int = _sequences(24, "sequences to test on")
    frames: int = _sequences(20, "frames in a sequence")
    size: tuple[int, int] = _sequences((256, 256), "height and width of a frame, pixels")
    bits: int = _sequences(8, "8 or 16 (16: the counts of a 14-bit camera)")
    seed: int = _sequences(0, "seed of the training set")
    test_seed: int = _sequences(1000, "seed of the test set")
    backgrounds: str = _scene("", "folder of infrared pictures to use as backgrounds")
    pictures: tuple[int, int] = _scene(
        (0, -1),
        "of --backgrounds only these, counted from 0 in the order of their "
        "names, one a sequence in turn, for training and testing alike (0 -1: one at "
        "random, every fifth picture for testing alone)",
        metavar=("FIRST", "LAST"),
    )
    snr: tuple[float, float] = _targets((1.0, 10.0), "lowest and highest SNR of a target", metavar=("LOW", "HIGH"))
    low_share: float = _targets(0.4, f"share of sequences wholly at SNR <= {CLASS_BORDER:g}")
    empty_share: float = _targets(0.1, "share of sequences without any target")
    dark_share: float = _targets(0.0, "share of targets darker than their surroundings")
    targets: tuple[int, int] = _targets((1, 3), "fewest and most targets in a sequence", metavar=("FEWEST", "MOST"))
    least_box: float = _targets(
        0.0, "sides that a target's box has at least, pixels; DAUB, for one, draws 8x8 around every target"
    )
    area: tuple[float, float] = _targets(
        (2.0, 80.0), "smallest and largest target, pixels", metavar=("SMALLEST", "LARGEST")
    )
    speed: tuple[float, float] = _targets(
        (1.0, 4.0), "slowest and fastest target against the scene, pixels a frame", metavar=("SLOWEST", "FASTEST")
    )
    acceleration: float = _targets(0.03, "targets' acceleration, pixels a frame^2 (rms)")
    pan: float = _camera(1.5, "fastest camera pan, pixels a frame")
    jitter: float = _camera(0.3, "largest camera shake, pixels rms")
    noise: float = _camera(1.0, "factor on the sensor's noise and fixed pattern")
    contrast: float = _scene(1.0, "factor on the backgrounds' contrast (clutter)")
    distractors: bool = _scene(True, "hot pixels, blinking pixels and glints")
    hot_pixels: float = _scene(1.0, "hot pixels in a frame, on average")
    blinking_pixels: float = _scene(0.5, "blinking pixels in a frame, on average")
    glints: float = _scene(1.0, "spots fixed in the scene in a frame, on average")
    structures: float = _scene(0.0, "branches, poles and wires in a frame, on average")
    still_share: float = _camera(0.0, "share of sequences from a camera that stands still")
    look_share: float = _camera(
        0.0,
        "share of sequences as cameras and recorders change them: sharpened with halos, "
        "stretched, interpolated, lossy video",
    )

    def __post_init__(self) -> None:
        self.require_bounds()
        self.require(self.bits in (8, 16), "bits", "8 or 16")
        first, last = self.pictures
        self.require(first == 0 and last == -1 or 0 <= first <= last, "pictures", "FIRST LAST with 0 <= FIRST <= LAST")
        self.require(last == -1 or bool(self.backgrounds), "pictures", "--backgrounds beside it")
        low, high = self.snr
        self.require(1.2 * low <= high, "snr", "LOW HIGH with HIGH at least 1.2 times LOW")
        self.require_ascending("targets")
        self.require(
            MIN_AREA <= self.area[0] <= self.area[1] <= MAX_AREA,
            "area",
            f"SMALLEST LARGEST within {MIN_AREA} to {MAX_AREA}",
        )
        self.require_ascending("speed")
