"""Everything that decides what a synthetic infrared dataset contains."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from utils.datasets.coco import TARGET_CATEGORY
from utils.synthetic.infrared.brightness import CLASS_BORDER
from utils.synthetic.infrared.distractors import PSF
from utils.synthetic.infrared.recording import MIN_PIECE
from utils.synthetic.infrared.targets import HOVER_SPEED, MAX_AREA, MIN_AREA
from utils.synthetic.settings import DatasetSettings
from utils.system.command_line import declare_option

_sequences, _scene, _targets, _camera = (
    partial(declare_option, group) for group in ("Sequences", "Scene", "Targets", "Camera")
)
# What datasets had none of at first: where it has its default, their annotations do not name it.
_share, _creature, _fault, _recording = (
    partial(declare_option, group, unnamed=True)
    for group in ("Further scenes", "Birds and insects", "Sensor faults", "Recording")
)
CREATURES = ("bird", "insect")
CREATURE_LABELS = ("none", "target", "class")


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
    cloud_share: float = _share(0.0, "share of sequences before broken clouds that drift, with bright ragged edges")
    star_share: float = _share(0.0, "share of sequences before stars")
    glint_share: float = _share(0.0, "share of sequences over a sea that glitters in the sun")
    tree_share: float = _share(0.0, "share of sequences with trees that sway")
    hover_share: float = _share(0.0, f"share of targets that hang in clear sky, below {HOVER_SPEED:g} pixels a frame")
    birds: float = _creature(0.0, "birds in a frame, on average")
    bird_labels: str = _creature(
        "none", "birds have no label, are targets, or a class of their own", choices=CREATURE_LABELS
    )
    insects: float = _creature(0.0, "insects near the camera in a frame, on average")
    insect_labels: str = _creature("none", "the same of insects", choices=CREATURE_LABELS)
    least_noise: float = _fault(
        0.0, "smallest factor on the noise; cameras have one from it to that of --noise (0: all have that)"
    )
    look_gain: float = _fault(0.0, "largest factor by which a look stretches contrast, and noise with it (0: any)")
    psf: tuple[float, float] = _fault(
        PSF, "sharpest and widest blur of the optics, pixels", metavar=("SHARPEST", "WIDEST")
    )
    stripes: float = _fault(0.0, "largest deviation of columns and rows, standing and flickering, by that of the noise")
    flashes: float = _fault(0.0, "bright spots of 1-2 pixels in a frame that flicker, on average")
    streak_share: float = _fault(0.0, "share of pieces that begin with streaks of dead or hot pixels")
    cuts: float = _recording(
        0.0,
        f"cuts to another scene in a sequence, on average; pieces have at least {MIN_PIECE} frames, so that short "
        "sequences have fewer",
    )
    repeats: float = _recording(0.0, "share of frames that repeat the one before")
    jumps: float = _recording(0.0, "share of frames before which the camera jumps")
    jump_size: float = _recording(18.0, "longest jump, pixels")

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
        self.require_ascending("psf")
        self.require(self.least_noise <= self.noise, "least_noise", f"at most --noise {self.noise:g}")
        shares = self.cloud_share + self.star_share + self.glint_share + self.tree_share
        self.require(
            shares <= 1 + 1e-9, "tree_share", f"shares of clouds, stars, glint and trees of at most 1, not {shares:g}"
        )
        for kind in CREATURES:
            labels = getattr(self, f"{kind}_labels")
            self.require(labels in CREATURE_LABELS, f"{kind}_labels", f"one of {', '.join(CREATURE_LABELS)}")

    def category_of(self, style: str) -> int:
        """The number of the class that a track of this style is labelled with, from 1; 0 where it has no label."""
        labels = getattr(self, f"{style}_labels") if style in CREATURES else "target"
        return 0 if labels == "none" else 1 if labels == "target" else 1 + self.categories().index(style)

    def categories(self) -> list[str]:
        """Names of the classes, of which the first is that of targets."""
        return [TARGET_CATEGORY, *(kind for kind in CREATURES if getattr(self, f"{kind}_labels") == "class")]


# What makes training data hard: much that is taken for targets, seldom all at once; for weights that are to stand
# cameras nobody has seen. On top of it all other options hold.
HARD = {
    "cloud_share": 0.25,
    "star_share": 0.05,
    "glint_share": 0.08,
    "tree_share": 0.12,
    "hover_share": 0.2,
    "birds": 0.5,
    "bird_labels": "target",
    "insects": 0.3,
    "psf": (0.4, 0.9),
    "stripes": 0.7,
    "flashes": 0.7,
    "streak_share": 0.15,
    "cuts": 0.2,
    "repeats": 0.14,
    "jumps": 0.02,
    "snr": (1.5, 25.0),
    "contrast": 1.5,
    "least_noise": 0.2,
    "pan": 1.0,
    "jitter": 0.5,
    "low_share": 0.3,
    "empty_share": 0.2,
    "dark_share": 0.15,
    "area": (2.0, 30.0),
    "speed": (0.3, 4.0),
    "hot_pixels": 0.5,
    "structures": 1.5,
    "still_share": 0.35,
    "look_share": 0.5,
    "look_gain": 2.5,
}
PRESETS = {"plain": {}, "hard": HARD}
