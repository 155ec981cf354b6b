"""A small dataset to convert, and the conversions as functions of a path."""

import json

import numpy as np
from trees import SIZE, coco, write, write_text

from utils_coco import coco_to_txt, txt_to_coco

NAMES = ["images/test/a b/0.png", "images/test/a b/1.png", "images/test/c/7.png"]
BOXES = {0: [(0.1, 0.2, 0.2, 0.1), (1.3333333333333333, 2, 17.1, 3.123456789)], 2: [(30, 20.5, 2.5, 3.5)]}


def content(**extra):
    """Three images of two classes, the second image without boxes; ids in the order of the images."""
    found = coco(NAMES, boxes=())
    found["annotations"] = [
        {
            "id": i + 1,
            "image_id": image + 1,
            "category_id": 1 + i % 2,
            "bbox": list(box),
            "area": box[2] * box[3],
            "iscrowd": 0,
            "segmentation": [],
            **extra,
        }
        for i, (image, box) in enumerate((k, box) for k, rows in BOXES.items() for box in rows)
    ]
    found["categories"] = [{"id": 1, "name": "drone"}, {"id": 2, "name": "sea bird"}]
    return found


def dataset(root, found=None):
    """A dataset whose annotations are `found`; returns the json's path."""
    for i, name in enumerate(NAMES):
        write(root / name, np.full(SIZE, i, np.uint8))
    return write_text(root / "annotations/instances_test2017.json", json.dumps(found or content()))


def to_txt(path, **options):
    return coco_to_txt.convert(str(path), **options)


def to_json(path, **options):
    return txt_to_coco.convert(str(path), quiet=True, **options)


def written(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
