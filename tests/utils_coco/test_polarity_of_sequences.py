"""Masks of boxes show a sequence's target as it is in most of its frames, and what is in doubt is said."""

import json

import cv2
import numpy as np
from trees import write, write_text

from utils_coco.boxes_to_masks import convert

SIDE = 8


def write_sequence(root, name, targets, frames=8):
    """Frames with targets of 3x3 px; `targets(number)` gives (x, y, height, wing, track), wings are dark and beside."""
    rng = np.random.default_rng(len(name))
    path = root / "annotations/instances_train2017.json"
    about = (
        json.loads(path.read_text())
        if path.exists()
        else {"images": [], "annotations": [], "categories": [{"id": 1, "name": "target"}]}
    )
    for number in range(frames):
        image = rng.normal(100, 1, (48, 64))
        key = f"images/train/{name}/{number}.png"
        about["images"].append({"id": len(about["images"]) + 1, "file_name": key, "width": 64, "height": 48})
        for x, y, height, wing, track in targets(number):
            image[y - 1 : y + 2, x - 1 : x + 2] += height
            image[y - 3 : y - 1, x + 2 : x + 4] -= wing
            about["annotations"].append(
                {
                    "id": len(about["annotations"]) + 1,
                    "image_id": len(about["images"]),
                    "category_id": 1,
                    "bbox": [x - SIDE / 2, y - SIDE / 2, SIDE, SIDE],
                    **({} if track is None else {"track_id": track}),
                }
            )
        write(root / key, image.clip(0, 255).astype(np.uint8))
    write_text(path, json.dumps(about))
    return root


def masks(root, name, frames=8):
    return [cv2.imread(str(root / f"masks/train/{name}/{number}.png"), 0) > 0 for number in range(frames)]


def polarity_lines(said):
    return [line for line in said if line.startswith("polarity: ")]


def test_a_hot_target_stays_hot_where_its_wing_is_darker(tmp_path):
    root = write_sequence(tmp_path, "a", lambda number: [(20 + number, 20, 30, 60 if number in (3, 5) else 5, None)])
    said = convert(str(root), quiet=True)
    for number, mask in enumerate(masks(root, "a")):
        assert mask[20, 20 + number] and not mask[17:19, 22 + number : 24 + number].any(), number
    (line,) = polarity_lines(said)
    assert line.startswith(
        "polarity: 2 boxes look the other way than their target does in its sequence: a (bright in 6 of"
    )


def test_a_dark_target_stays_dark_and_nothing_is_said_of_what_is_alike(tmp_path):
    root = write_sequence(tmp_path, "dark", lambda number: [(20, 20 + number, -40, 0, None)])
    said = convert(str(root), quiet=True)
    assert all(mask[20 + number, 20] for number, mask in enumerate(masks(root, "dark")))
    assert not polarity_lines(said) and len(said) == 1


def test_a_sequence_in_doubt_is_said_and_each_box_is_as_it_looks(tmp_path):
    root = write_sequence(tmp_path, "both", lambda number: [(20, 20, 40 if number % 2 else -40, 0, None)])
    said = convert(str(root), quiet=True)
    assert all(mask[20, 20] for mask in masks(root, "both"))
    (line,) = polarity_lines(said)
    assert line.startswith("polarity: 1 targets may be bright or dark, so that each box's own contrast counts: both (")


def test_tracks_have_polarities_of_their_own(tmp_path):
    def targets(number):
        return [(16 + number, 14, 40, 0, 1), (40, 20 + number, -40, 0, 2)]

    said = convert(str(write_sequence(tmp_path, "two", targets)), quiet=True)
    for number, mask in enumerate(masks(tmp_path, "two")):
        assert mask[14, 16 + number] and mask[20 + number, 40]
    assert not polarity_lines(said)


def test_filled_boxes_have_no_polarity(tmp_path):
    root = write_sequence(tmp_path, "both", lambda number: [(20, 20, 40 if number % 2 else -40, 0, None)])
    assert len(convert(str(root), method="box", quiet=True)) == 1
