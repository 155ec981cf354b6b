"""Everything that decides what a synthetic dataset of satellite video contains."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from utils.synthetic.settings import DatasetSettings
from utils.system.command_line import declare_option

_sequences, _scene, _cars, _camera = (
    partial(declare_option, group) for group in ("Sequences", "Scene", "Cars", "Camera")
)


@dataclass(frozen=True)
class SatelliteConfig(DatasetSettings):
    """Everything that decides what a synthetic dataset of satellite video contains.

    Raises:
        UserError: a value makes no sense.
    """

    bounds: ClassVar[tuple[str, ...]] = ("satellite", "synthetic")
    train_sequences: int = _sequences(12, "sequences to train on")
    test_sequences: int = _sequences(4, "sequences to test on")
    frames: int = _sequences(30, "frames in a sequence")
    size: tuple[int, int] = _sequences((256, 256), "height and width of a frame, pixels")
    seed: int = _sequences(0, "seed of the training set")
    test_seed: int = _sequences(1000, "seed of the test set")
    bend: float = _scene(9.0, "how far roads are bent, pixels rms")
    clutter: float = _scene(1.0, "factor on the contrast of the ground")
    parked: float = _scene(1.0, "factor on the share of parking places that are taken by cars that never move")
    cars: tuple[int, int] = _cars((15, 40), "fewest and most cars in a frame, about", metavar=("FEWEST", "MOST"))
    length: tuple[float, float] = _cars(
        (4.0, 10.0), "shortest and longest car, pixels", metavar=("SHORTEST", "LONGEST")
    )
    speed: tuple[float, float] = _cars(
        (0.6, 2.4), "slowest and fastest car on a free road, pixels a frame", metavar=("SLOWEST", "FASTEST")
    )
    contrast: tuple[float, float] = _cars(
        (45.0, 250.0), "faintest and clearest car against its road, grey levels", metavar=("FAINTEST", "CLEAREST")
    )
    dark_share: float = _cars(0.1, "share of cars darker than the road")
    label_parked: bool = _cars(False, "label also cars that never move")
    drift: float = _camera(0.2, "fastest drift of the platform, pixels a frame")
    jitter: float = _camera(0.15, "largest error of the stabilisation, pixels rms")
    slips: float = _camera(0.01, "share of frames at which the stabilisation slips by a pixel or two")
    noise: float = _camera(1.0, "factor on the sensor's noise")
    flicker: float = _camera(1.0, "factor on how much the illumination changes")

    def __post_init__(self) -> None:
        self.require_bounds()
        self.require_ascending("cars", "length", "speed", "contrast")
