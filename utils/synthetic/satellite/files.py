"""Synthetic satellite video as a dataset arranged like RsCarData.

Written are `images/train/001/img/000001.png`, 8-bit grey, and `annotations/instances_train2017.json` and
`instances_test2017.json` (COCO): per car and frame its box (x, y, width, height), area, `track_id`, `speed` (pixels a
frame) and `contrast` (grey levels between its paint and the road in the sun); `sequences` says what each of them shows.
"""

from __future__ import annotations

from utils.synthetic.kind import Kind, Label, MadeSequence
from utils.synthetic.satellite.config import SatelliteConfig
from utils.synthetic.satellite.sequence import LabelledCar, make_sequence


def _annotation(car: LabelledCar) -> dict:
    x1, y1, x2, y2 = (round(float(value), 2) for value in car.box)
    width, height = round(x2 - x1, 2), round(y2 - y1, 2)
    return {
        "bbox": [x1, y1, width, height],
        "area": round(width * height, 2),
        "speed": round(car.speed, 2),
        "contrast": round(car.contrast, 1),
    }


def _make(config: SatelliteConfig, split: str, index: int) -> MadeSequence:
    made = make_sequence(config, split, index)
    labels = [Label(car.frame, car.track, _annotation(car)) for car in made.cars]
    tracks = len({car.track for car in made.cars})
    return MadeSequence([made.frames], labels, tracks, made.facts)


SATELLITE = Kind(
    settings=SatelliteConfig,
    about={
        "description": "synthetic satellite video of cars",
        "generator": "utils.synthetic",
        "kind": "satellite",
        "version": 2,
    },
    categories=lambda config: ["car"],
    annotations="annotations/instances_{}2017.json",
    index=None,
    folders=("images",),
    name=lambda number: f"{number:03d}",
    place=lambda split, name: f"{split}/{name}",
    picture=lambda frame: f"img/{frame + 1:06d}.png",
    make=_make,
    sources=lambda config, splits: [],
)
