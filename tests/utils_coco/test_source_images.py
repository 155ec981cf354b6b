"""Images that labels are brought together with: links, split folders, and what labels call them."""

import unicodedata

import pytest
from labelling import mask, yolo
from trees import picture, target_mask, touch, write, write_coco

from utils.datasets.dataset import open_dataset
from utils.system.errors import UserError
from utils.system.notices import warnings_given
from utils_coco.import_labels import convert
from utils_coco.source_images import Lookup, list_images


def lookup(root, names):
    touch(root, [f"{name}.png" for name in names])
    return Lookup(list_images(root))


def key_of(found):
    return found.key if found else None


def test_linked_sequences_are_images_and_circles_end(tmp_path):
    touch(tmp_path / "disk", ["b/0.png", "b/1.png"])
    touch(tmp_path / "img", ["a/0.png"])
    for name in "bc":
        (tmp_path / "img" / name).symlink_to(tmp_path / "disk/b")
    (tmp_path / "img/a/round").symlink_to(tmp_path)
    assert [image.key for image in list_images(tmp_path / "img")] == ["a/0", "b/0", "b/1"]
    assert len(warnings_given()) == 1 and "(the first of 2 such links)" in warnings_given()[0]


def test_linked_folders_are_imported_with_their_masks(tmp_path):
    for kind, array in (("img", picture()), ("lab", target_mask())):
        write(tmp_path / f"{kind}/a/0.png", array)
        write(tmp_path / f"disk/{kind}/b/0.png", array)
        (tmp_path / kind / "b").symlink_to(tmp_path / f"disk/{kind}/b")
    convert(str(tmp_path / "img"), str(tmp_path / "lab"), str(tmp_path / "out"), fraction=0.5)
    assert {split: list(open_dataset(tmp_path / "out", split).sequences) for split in ("train", "test")} == {
        "train": ["a"],
        "test": ["b"],
    }


def test_other_files_among_the_images_are_counted_and_those_of_systems_are_not(tmp_path):
    ours = ["a/._0.png", "a/.DS_Store", "Thumbs.db", "__MACOSX/a/._0.png", "__MACOSX/a/0.png"]
    touch(tmp_path, ["a/0.png", "a/0.txt", "a/1.raw", "clip.mp4", *ours])
    assert [image.key for image in list_images(tmp_path)] == ["a/0"]
    (line,) = warnings_given()
    assert ": 1 .mp4, 1 .raw; the first clip.mp4" in line


def test_masks_of_systems_are_none(tmp_path):
    write(tmp_path / "img/0.png", picture())
    mask(tmp_path / "lab", "0")
    touch(tmp_path / "lab", ["._0.png", "Thumbs.db"])
    lines = convert(str(tmp_path / "img"), str(tmp_path / "lab"), str(tmp_path / "out"))
    assert lines[1] == "train: 1 images with masks" and not any("left out" in line for line in lines)


@pytest.mark.parametrize("train, val", [("train2017", "val2017"), ("train", "valid"), ("images/train", "images/val")])
def test_split_folders_are_kept(tmp_path, train, val):
    touch(tmp_path, [f"{train}/s/0.png", f"{val}/s/0.png", f"{val}/t/0.png"])
    assert {image.key: image.split for image in list_images(tmp_path)} == {
        f"{train}/s/0": "train",
        f"{val}/s/0": "test",
        f"{val}/t/0": "test",
    }


def test_labels_that_begin_below_a_folder_find_the_one_image_that_ends_so(tmp_path):
    images = lookup(tmp_path, ["images/train2017/s/0", "images/val2017/s/0", "images/val2017/t/1"])
    assert key_of(images.find("s/0", "train")) == "images/train2017/s/0"
    assert key_of(images.find("s/0", "test")) == "images/val2017/s/0"
    assert key_of(images.find("t/1")) == key_of(images.find("1")) == "images/val2017/t/1"
    with pytest.raises(UserError, match="train2017/s/0.png and of .*val2017/s/0.png"):
        images.find("s/0")


def test_a_label_of_another_sequence_belongs_to_no_image(tmp_path):
    images = lookup(tmp_path, ["s/a0", "t/a1"])
    assert images.find("t/a0") is None and key_of(images.find("labels/a0")) == "s/a0"


def test_names_may_differ_in_unicode_form_and_case(tmp_path):
    apart, whole = (unicodedata.normalize(form, "wärme_0") for form in ("NFD", "NFC"))
    images = lookup(tmp_path, [f"s1/{apart}", "s1/IMG_1", "s2/IMG_1"])
    assert key_of(images.find(f"s1/{whole}")) == f"s1/{apart}"
    assert key_of(images.find("S2/img_1")) == "s2/IMG_1" and images.find("S3/img_1") is None
    images.alike.tell("labels")
    assert "names spelt otherwise than their files: " in warnings_given()[0]


def counts(root):
    """By split, how many boxes the frames of each sequence have."""
    return {
        split: {
            name: [len(frame.boxes) for frame in own]
            for name, own in open_dataset(root, split, "boxes").sequences.items()
        }
        for split in ("train", "test")
    }


def test_boxes_of_images_called_alike_in_two_split_folders_stay_apart(tmp_path):
    for split, boxes in (("train", 1), ("val", 2)):
        write(tmp_path / f"img/{split}2017/s/0.png", picture())
        found = [(1 + 5 * i, 2, 3, 3) for i in range(boxes)]
        write_coco(tmp_path / f"lab/instances_{split}2017.json", ["s/0.png"], found)
    convert(str(tmp_path / "img"), str(tmp_path / "lab"), str(tmp_path / "out"))
    assert counts(tmp_path / "out") == {"train": {"train2017/s": [1]}, "test": {"val2017/s": [2]}}


@pytest.mark.parametrize("names", [("instances_train2017.json", "instances_val2017.json"), ("train.json", "test.json")])
def test_label_files_tell_the_split_where_folders_do_not(tmp_path, names):
    for sequence, name in zip("ba", names, strict=True):
        write(tmp_path / f"img/{sequence}/0.png", picture())
        write_coco(tmp_path / f"lab/{name}", [f"{sequence}/0.png"])
    convert(str(tmp_path / "img"), str(tmp_path / "lab"), str(tmp_path / "out"))
    assert counts(tmp_path / "out") == {"train": {"b": [1]}, "test": {"a": [1]}}
    convert(str(tmp_path / "img"), str(tmp_path / "lab"), str(tmp_path / "out2"), test=["b"])
    assert counts(tmp_path / "out2") == {"train": {"a": [1]}, "test": {"b": [1]}}


def test_folders_of_labels_tell_the_split_too(tmp_path):
    for key in ("train/a0", "val/a1"):
        write(tmp_path / f"img/{key.partition('/')[2]}.png", picture())
        yolo(tmp_path / "lab", key)
    convert(str(tmp_path / "img"), str(tmp_path / "lab"), str(tmp_path / "out"), one_class=True)
    name = tmp_path.name  # the folder around img/
    assert counts(tmp_path / "out") == {"train": {f"train/{name}": [1]}, "test": {f"test/{name}": [1]}}


def test_an_image_of_both_splits_is_an_error(tmp_path):
    write(tmp_path / "img/a/0.png", picture())
    for name in ("train", "val"):
        write_coco(tmp_path / f"lab/{name}.json", ["a/0.png"])
    with pytest.raises(UserError, match="a/0.png: found labels for training and for testing"):
        convert(str(tmp_path / "img"), str(tmp_path / "lab"), str(tmp_path / "out"))
