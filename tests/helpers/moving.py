"""Small datasets on disk in which a square target moves over noise."""

import dataclasses
import json

import cv2
import numpy as np
from trees import write, write_text

from utils.training.config import TrainConfig

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
                frame[y : y + 3, x : x + 3] += 2 if name == "s3" else 120
                mask[y : y + 3, x : x + 3] = 255
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": images[-1]["id"],
                        "category_id": 1,
                        "bbox": [x, y, 3, 3],
                        "area": 9,
                        "iscrowd": 0,
                        "snr": 2.0 if name == "s3" else 8.0,
                        "track_id": sequence,
                    }
                )
            write(root / "images" / "test" / name / f"{number}.png", frame)
            write(root / "masks" / "test" / name / f"{number}.png", mask)
    if noted:
        path = root / "annotations" / "instances_test2017.json"
        path.parent.mkdir(parents=True)
        path.write_text(
            json.dumps({"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "target"}]})
        )
    return root


def write_dataset(root, sequences=2, frames=8, side=48):
    """Noise with one bright 3×3 target that moves a pixel a frame, in the re-arranged NUDT layout."""
    rng = np.random.default_rng(0)
    lines = []
    for s in range(1, sequences + 1):
        for kind in ("images", "masks"):
            (root / kind / f"sequence{s}").mkdir(parents=True)
        for t in range(frames):
            image = rng.normal(90, 4, (side, side))
            mask = np.zeros((side, side), np.uint8)
            y, x = 10 + 7 * s, 8 + 3 * t
            image[y : y + 3, x : x + 3] += 120
            mask[y : y + 3, x : x + 3] = 255
            cv2.imwrite(str(root / f"images/sequence{s}/{t}.png"), image.clip(0, 255).astype(np.uint8))
            cv2.imwrite(str(root / f"masks/sequence{s}/{t}.png"), mask)
            lines.append(f"images/sequence{s}/{t}.png")
    for split in ("train", "test"):
        (root / f"{split}_NUDTMIRSDT.txt").write_text("\n".join(lines) + "\n")
    return root


def small_recipe(data, out, base=None, **changes):
    """A training of made frames into out/run, as `base`: two epochs of a few small steps on the CPU."""
    small = {
        "data_root": str(data),
        "out": str(out),
        "name": "run",
        "epochs": 2,
        "batch_size": 4,
        "input_size": 32,
        "workers": 0,
        "quiet": True,
        "device": "cpu",
        "val_fraction": 0.25,
    }
    return dataclasses.replace(base or TrainConfig(), **small | changes)


def write_boxed(root, sequences=2, frames=6, size=(40, 48), dtype=np.uint8):
    """Noise with a bright 3×3 target in a box of 8×8 that moves two pixels a frame, in DAUB's layout; every third frame
    has no target, and neither has the last sequence."""
    rng = np.random.default_rng(0)
    scale = 1 if dtype == np.uint8 else 40
    content = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "target"}]}
    for s in range(1, sequences + 1):
        for t in range(frames):
            image = rng.normal(90, 4, size)
            name = f"images/train/data{s}/{t}.png"
            content["images"].append({"id": len(content["images"]) + 1, "file_name": name})
            if t % 3 != 2 and s != sequences:
                y, x = 8 + 7 * s, 8 + 3 * t
                image[y : y + 3, x : x + 3] += 120
                content["annotations"].append(
                    {
                        "id": len(content["annotations"]) + 1,
                        "category_id": 1,
                        "image_id": len(content["images"]),
                        "bbox": [x - 2.5, y - 2.5, 8, 8],
                    }
                )
            write(root / name, (scale * image).clip(0, np.iinfo(dtype).max).astype(dtype))
    write_text(root / "annotations/instances_train2017.json", json.dumps(content))
    return root
