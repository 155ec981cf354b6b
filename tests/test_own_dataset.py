"""Datasets of one's own: the command that makes them of any labels, and what is said about a folder."""
import json
import re

import numpy as np
import pytest
from converting import dataset as coco_dataset
from trees import SIZE, picture, real_data, target_mask, write, write_pairs, write_text

from utils.datasets import open_dataset
from utils.describe import describe
from utils.errors import UserError
from utils_coco.import_labels import convert, main

BOX = (12, 10, 15, 13)  # x1, y1, x2, y2 of the target in every image; images are 32 x 24


@pytest.fixture
def images(tmp_path):
    """Two sequences of four frames."""
    for sequence in "ab":
        for number in range(4):
            write(tmp_path / f"images/{sequence}/{number:03d}.png", picture(number))
    return tmp_path / "images"


def yolo(root, key):
    x1, y1, x2, y2 = BOX
    values = ((x1 + x2) / 2 / SIZE[1], (y1 + y2) / 2 / SIZE[0], (x2 - x1) / SIZE[1], (y2 - y1) / SIZE[0])
    write_text(root / f"{key}.txt", "0 " + " ".join(f"{value:.8f}" for value in values) + "\n")


def voc(root, key):
    x1, y1, x2, y2 = BOX
    write_text(root / f"{key}.xml", f"<annotation><object><name>drone</name><bndbox><xmin>{x1 + 1}</xmin><ymin>{y1 + 1}"
               f"</ymin><xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object></annotation>")


def mask(root, key):
    write(root / f"{key}_mask.png", target_mask())


def table(columns, values):
    def make(root, keys):
        lines = [",".join(columns), *(",".join([f"{key}.png", *map(str, values)]) for key in keys)]
        write_text(root / "labels.csv", "\n".join(lines) + "\n")
    return make


def coco_json(root, keys):
    content = {"images": [{"id": i, "file_name": f"D:\\data\\{key}.png", "width": 32, "height": 24}
                          for i, key in enumerate(keys)],
               "annotations": [{"id": i, "image_id": i, "category_id": 7, "bbox": [12, 10, 3, 3]}
                               for i in range(len(keys))],
               "categories": [{"id": 7, "name": "drone"}]}
    write_text(root / "x.json", json.dumps(content))


def each(make):
    return lambda root, keys: [make(root, key) for key in keys]


KINDS = {"yolo": each(yolo), "voc": each(voc), "masks": each(mask), "coco": coco_json,
         "boxes": table(["image", "x", "y", "w", "h", "class"], [12, 10, 3, 3, "drone"]),
         "centroids": table(["image", "x", "y"], [13, 11])}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_labels_becomes_the_same_dataset(tmp_path, images, kind):
    keys = [f"{sequence}/{number:03d}" for sequence in "ab" for number in range(3)]  # one image each has no labels
    KINDS[kind](tmp_path / "labels", keys)
    lines = convert(str(images), str(tmp_path / "labels"), str(tmp_path / "out"), side=3)
    assert f"kind '{kind}'" in lines[0]
    for split, sequence in (("train", "a"), ("test", "b")):
        opened = open_dataset(tmp_path / "out", split, "masks" if kind == "masks" else "boxes")
        assert list(opened.sequences) == [sequence]
        frames = opened.sequences[sequence]
        assert [frame.number for frame in frames] == ([0, 1, 2] if kind == "masks" else [0, 1, 2, 3])
        if kind != "masks":
            assert [len(frame.boxes) for frame in frames] == [1, 1, 1, 0]
            assert np.allclose(frames[0].boxes[0][:4], BOX, atol=1e-3) and frames[0].boxes[0][4] == 0


def test_a_single_sequence_is_split_by_its_frames(tmp_path):
    for number in range(10):
        write(tmp_path / f"images/{number}.png", picture(number))
        yolo(tmp_path / "labels", str(number))
    convert(str(tmp_path / "images"), str(tmp_path / "labels"), str(tmp_path / "out"), fraction=0.3)
    numbers = [[frame.number for frame in open_dataset(tmp_path / "out", split, "boxes").frames]
               for split in ("train", "test")]
    assert numbers == [list(range(7)), [7, 8, 9]]
    assert not (tmp_path / "out/images/train/images/0.png").is_symlink()


def test_frames_by_number_and_named_test_sequences(tmp_path, images):
    write_text(tmp_path / "labels/a.csv", "frame,x,y,w,h\n2,12,10,3,3\n2,20,10,3,3\n")
    convert(str(images), str(tmp_path / "labels"), str(tmp_path / "out"), test=["a"])
    assert [len(frame.boxes) for frame in open_dataset(tmp_path / "out", "test", "boxes").frames] == [0, 0, 2, 0]


@pytest.mark.parametrize("name, text, expected", [
    ("a/000.txt", "0 0.5 0.5 1.7 0.1\n", "line 1: found '0 0.5 0.5 1.7 0.1', expected class cx cy w h"),
    ("a/000.xml", "<annotation><object><name>x</name></object></annotation>", "not a VOC file"),
    ("a/000.xml", '<!DOCTYPE x [<!ENTITY a "b">]><annotation/>', "found a document type or entities"),
    ("x.csv", "image,x,y,w,h\na/000.png,1,2,3\n", "line 2: found 'a/000.png,1,2,3'"),
    ("x.csv", "image,x,y,w,h\n../a/000.png,1,2,3,3\n", "line 2"),
    ("x.csv", "image,x,y,w,h\na/000.png,31,2,9,3\n", "000.png: .*correct its labels"),
    ("x.csv", "image,x,y,w,h\nc/9.png,1,2,3,3\n", "labels of 1 images, the first c/9, none of which"),
    ("x.md", "nothing", "found nothing that looks like labels"),
])
def test_mistakes(tmp_path, images, name, text, expected):
    write_text(tmp_path / "labels" / name, text)
    with pytest.raises(UserError, match=expected):
        main(["--images", str(images), "--labels", str(tmp_path / "labels"), "--out", str(tmp_path / "out")])


# --- describe --------------------------------------------------------------------------------------------------------

def test_a_dataset_is_described(tmp_path):
    root = write_pairs(tmp_path / "root", [f"{sequence}/{n}" for sequence in (1, 2) for n in range(3)])
    write_text(root / "train.txt", "".join(f"images/1/{n}.png\n" for n in range(3)))
    text = "\n".join(describe(str(root)))
    for part in ("layout 'image tree'", "train: 3 frames of 1 sequences", "test: none: ", "6 frames with a mask",
                 "32x24 (6) (w x h), 8 bit", "1.00 targets a frame, 9 px each", "train_NUDT.py"):
        assert part in text, part


def test_boxes_are_described(tmp_path):
    coco_dataset(tmp_path)
    text = "\n".join(describe(str(tmp_path)))
    assert "3 in a list of boxes, of 3" in text and "boxes: 3, of 2 classes" in text and "train_DAUB.py" in text
    assert "1 frames without a target" in text


def test_the_command_for_other_folders_works_as_printed(tmp_path, images):
    each(yolo)(tmp_path / "labels", ["a/000", "b/000"])
    lines = describe(str(tmp_path))
    assert any("labels/a: 1 .txt" in line for line in lines)
    words = re.search(r"import_labels (.*) #", lines[-1])[1].replace("NEW", str(tmp_path / "new")).split()
    main(words)
    assert "boxes: 2" in "\n".join(describe(str(tmp_path / "new")))


def test_videos_with_csv_labels_are_told(tmp_path):
    lines = describe(str(real_data("DroneIR-dev")))
    assert "utils_coco.csv_to_coco" in lines[-1] and "--videos" in lines[-1]
    (tmp_path / "empty").mkdir()
    assert describe(str(tmp_path / "empty"))[-1] == "it is empty"
