"""COCO files as they are written, byte by byte, and read back."""

from decimal import Decimal

import pytest

from utils.datasets.coco import (
    box_entry,
    category_entries,
    coco_content,
    coco_of_boxes,
    image_entry,
    read_coco,
    write_coco,
)
from utils.system.errors import UserError

FRAMES = [
    ("images/a/0.png", (48, 64), [(Decimal("0.1"), 2, Decimal("0.3"), 6, 1), (3, 4, 5, 6.5, 0)]),
    ("images/a/1.png", (48, 64), []),
]


def test_entries_keep_the_order_of_their_keys_and_say_no_more_than_is_given():
    content = coco_content(
        [image_entry(7, "a.png"), image_entry(8, "b.png", (48, 64), frame=3)],
        [box_entry(1, 7, 2, iscrowd=0, bbox=[1, 2, 3, 4])],
        category_entries(["drone", "bird"]),
    )
    assert str(content) == str(
        {
            "images": [
                {"id": 7, "file_name": "a.png"},
                {"id": 8, "file_name": "b.png", "width": 64, "height": 48, "frame": 3},
            ],
            "annotations": [{"id": 1, "image_id": 7, "category_id": 2, "iscrowd": 0, "bbox": [1, 2, 3, 4]}],
            "categories": [{"id": 1, "name": "drone"}, {"id": 2, "name": "bird"}],
        }
    )


def test_what_is_written_is_read_back(tmp_path):
    path = tmp_path / "below" / "boxes.json"
    write_coco(path, coco_of_boxes(iter(FRAMES), ["drone", "bird"]))
    assert path.read_text() == (
        '{"images":[{"id":1,"file_name":"images/a/0.png","width":64,"height":48},'
        '{"id":2,"file_name":"images/a/1.png","width":64,"height":48}],'
        '"annotations":[{"id":1,"image_id":1,"category_id":2,"bbox":[0.1,2,0.2,4],"area":0.8,"iscrowd":0,'
        '"segmentation":[]},{"id":2,"image_id":1,"category_id":1,"bbox":[3,4,2,2.5],"area":5,"iscrowd":0,'
        '"segmentation":[]}],"categories":[{"id":1,"name":"drone"},{"id":2,"name":"bird"}]}'
    )
    first, second = read_coco(str(path))
    assert first.path == "images/a/0.png" and first.boxes == ((0.1, 2, 0.1 + 0.2, 6, 1), (3, 4, 5, 6.5, 0))
    assert second.path == "images/a/1.png" and second.boxes == ()


def test_a_file_that_cannot_be_written_is_named_and_one_with_nan_leaves_what_was_there(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="x.json: cannot be written .*; give another --out"):
        write_coco(tmp_path / "file" / "x.json", [])
    with pytest.raises(ValueError, match="JSON"):
        write_coco(tmp_path / "file", [float("nan")])
    assert (tmp_path / "file").read_text() == "x" and [path.name for path in tmp_path.iterdir()] == ["file"]
