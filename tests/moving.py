"""A small dataset on disk: three sequences in which a square target moves over noise beside a still spark."""
import json

import numpy as np
from trees import write

SHAPE, FRAMES = (48, 64), 6
SPARK = (40, 8)  # row, column of the single bright pixel in sequence s1, which is no target
STEP = {"s1": 3, "s2": 1, "s3": 2}  # columns a frame


def write_moving(root, noted=True):
    """Write `images/test/SEQ/N.png`, `masks/test/SEQ/N.png`, and with `noted` a COCO json with snr and track_id.

    In the last frame of each sequence there is no target; the target of s3 is too faint to be found.
    """
    images, annotations = [], []
    for sequence, (name, step) in enumerate(STEP.items()):
        for number in range(FRAMES):
            frame = np.random.default_rng(100 * sequence + number).integers(90, 110, SHAPE).astype(np.uint8)
            mask = np.zeros(SHAPE, np.uint8)
            y, x = 10 + 4 * sequence, 5 + step * number
            if name == "s1":
                frame[SPARK] = 255
            images.append({"id": len(images) + 1, "file_name": f"images/test/{name}/{number}.png"})
            if number < FRAMES - 1:
                frame[y:y + 3, x:x + 3] += 2 if name == "s3" else 120
                mask[y:y + 3, x:x + 3] = 255
                annotations.append({"id": len(annotations) + 1, "image_id": images[-1]["id"], "category_id": 1,
                                    "bbox": [x, y, 3, 3], "area": 9, "iscrowd": 0, "snr": 2.0 if name == "s3" else 8.0,
                                    "track_id": sequence})
            write(root / "images" / "test" / name / f"{number}.png", frame)
            write(root / "masks" / "test" / name / f"{number}.png", mask)
    if noted:
        path = root / "annotations" / "instances_test2017.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"images": images, "annotations": annotations,
                                    "categories": [{"id": 1, "name": "target"}]}))
    return root
