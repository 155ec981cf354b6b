"""Small datasets on disk, in the layouts that people have."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from scripts import ROOT

SIZE = (24, 32)  # h, w


def picture(seed=0, size=SIZE, dtype=np.uint8):
    """A noisy grey frame; of 16 bits it uses the range above 255 as well."""
    top = 200 if dtype == np.uint8 else 20000
    return np.random.default_rng(seed).integers(top // 4, top, size).astype(dtype)


def target_mask(size=SIZE, at=(10, 12), side=3, empty=False):
    """0 and 255, a square target with its first pixel at row, column `at`."""
    mask = np.zeros(size, np.uint8)
    if not empty:
        mask[at[0] : at[0] + side, at[1] : at[1] + side] = 255
    return mask


def write(path, array):
    """Write an image file of any format OpenCV knows."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, array)[1].tobytes())
    return path


def write_pairs(root, names, size=SIZE, image=".png", masks=True, empty=()):
    """Write `images/NAME` and `masks/NAME` for every name; those in `empty` have no target."""
    for i, name in enumerate(names):
        write(root / "images" / f"{name}{image}", picture(i, size))
        if masks:
            write(root / "masks" / f"{name}.png", target_mask(size, empty=name in empty))
    return root


def real_data(name):
    """The folder of real data beside the checkout; the test is skipped where it is absent."""
    folder = ROOT.parent / "shared" / "data" / name
    if not folder.is_dir():
        pytest.skip(f"real data {name} is not on this machine")
    return folder


def touch(root, names):
    """Empty files: listing a dataset opens no image."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def write_text(path, text, encoding="utf-8"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode(encoding))
    return path


def coco(names, boxes=((12, 10, 3, 3),), size=SIZE, **extra):
    """A COCO dictionary with the same `boxes` (x, y, w, h) on every image, which have that `size` (h, w)."""
    images = [{"id": i + 1, "file_name": name, "width": size[1], "height": size[0]} for i, name in enumerate(names)]
    annotations = [
        {
            "id": 100 * i + j,
            "image_id": i + 1,
            "category_id": 1,
            "bbox": list(box),
            "area": box[2] * box[3],
            "iscrowd": 0,
            "segmentation": [[]],
            **extra,
        }
        for i in range(len(names))
        for j, box in enumerate(boxes)
    ]
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "target"}]}


def write_coco(path, *args, **extra):
    return write_text(path, json.dumps(coco(*args, **extra)))
