"""Folders called after splits, links, files that are no images, and names in another spelling."""

import unicodedata

import pytest
from trees import picture, target_mask, touch, write, write_coco, write_pairs, write_text

from utils.checks import check
from utils.datasets.dataset import open_dataset
from utils.datasets.layouts import list_files
from utils.datasets.split_names import split_of_folder
from utils.system.errors import UserError
from utils.system.notices import warnings_given
from utils_coco.placing import place


@pytest.mark.parametrize(
    "name", ["train", "Train", "training", "train2017", "train_set", "trainset", "TRAIN2007", "train_data", "train512"]
)
def test_folders_of_training(name):
    assert split_of_folder(name) == "train"


@pytest.mark.parametrize(
    "name", ["test", "val", "valid", "validation", "Val2017", "test2017", "testing", "val_set", "test1024"]
)
def test_folders_of_tests(name):
    assert split_of_folder(name) == "test"


@pytest.mark.parametrize("name", ["train1", "test12", "train_0001", "trains", "data5", "valley", "contest", "2017", ""])
def test_folders_of_sequences(name):
    assert split_of_folder(name) == ""


def split_set(root, names, word="val", sequences=("001", "001")):
    """Frames of two sequences below split folders `names`, with jsons whose paths begin below these."""
    for folder, kind, sequence in zip(names, ("train", word), sequences, strict=True):
        keys = [f"{sequence}/img1/{i:06d}.png" for i in range(1, 4)]
        touch(root / "images" / folder, keys)
        write_coco(root / f"annotations/instances_{kind}2017.json", keys)
    return root


@pytest.mark.parametrize(
    "names", [("train2017", "val2017"), ("train", "valid"), ("training", "validation"), ("Train", "Val")]
)
def test_split_folders_of_any_usual_name_are_read(tmp_path, names):
    split_set(tmp_path, names)
    for split, folder in zip(("train", "test"), names, strict=True):
        frames = open_dataset(tmp_path, split, "boxes").frames
        assert [frame.image for frame in frames] == [
            str(tmp_path / f"images/{folder}/001/img1/{i:06d}.png") for i in range(1, 4)
        ]  # and not those of the same name in the other folder
        assert all(len(frame.boxes) == 1 for frame in frames)


def test_split_folders_decide_where_there_are_no_lists(tmp_path):
    write_pairs(tmp_path, [f"{folder}/s/{i}" for folder in ("train2017", "val2017") for i in range(2)])
    for split, folder in (("train", "train2017"), ("test", "val2017")):
        assert [frame.image for frame in open_dataset(tmp_path, split).frames] == [
            str(tmp_path / f"images/{folder}/s/{i}.png") for i in range(2)
        ]


def test_a_test_folder_comes_before_one_of_validation(tmp_path):
    write_pairs(tmp_path, [f"{folder}/s/0" for folder in ("train", "val", "test2017")])
    (frame,) = open_dataset(tmp_path, "test").frames
    assert frame.image == str(tmp_path / "images/test2017/s/0.png")


def test_a_list_of_validation_names_the_frames_of_validation(tmp_path):
    touch(tmp_path / "images", [f"{folder}/s/0.png" for folder in ("train", "val", "test")])
    for word in ("train", "val"):
        write_coco(tmp_path / f"annotations/instances_{word}.json", ["s/0.png"])
    (frame,) = open_dataset(tmp_path, "test", "boxes").frames
    assert frame.image == str(tmp_path / "images/val/s/0.png")


def test_linked_folders_are_read_and_those_linked_twice_count_once(tmp_path):
    write_pairs(tmp_path / "disk", ["b/0", "b/1"])
    write_pairs(tmp_path / "set", ["a/0"])
    for kind in ("images", "masks"):
        for name in "bc":
            (tmp_path / "set" / kind / name).symlink_to(tmp_path / "disk" / kind / "b")
        (tmp_path / "set" / kind / "a/round").symlink_to("..")
    assert {name: len(own) for name, own in open_dataset(tmp_path / "set", "all").sequences.items()} == {"a": 1, "b": 2}
    assert sum("files count once" in line for line in warnings_given()) == 2  # of images and of masks


def test_training_and_test_may_link_to_the_same_frames(tmp_path):
    write_pairs(tmp_path / "disk", ["s/0"])
    for kind in ("images", "masks"):
        (tmp_path / "set" / kind).mkdir(parents=True)
        for split in ("train", "test"):
            (tmp_path / "set" / kind / split).symlink_to(tmp_path / "disk" / kind)
    assert [len(open_dataset(tmp_path / "set", split).frames) for split in ("train", "test")] == [1, 1]


def test_files_that_are_no_images_are_counted_and_those_of_systems_are_not(tmp_path):
    write_pairs(tmp_path, ["a/0", "a/1"])
    touch(tmp_path / "images", ["a/2.raw", "a/3.raw", "a/.DS_Store", "a/._0.png", "Thumbs.db"])
    touch(tmp_path / "masks", ["a/notes.txt", "a/._0.png"])
    assert len(open_dataset(tmp_path, "all").frames) == 2
    (line,) = warnings_given()
    assert ": 2 .raw, 1 .txt; the first images/a/2.raw" in line


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_lists_and_masks_may_spell_names_in_another_unicode_form(tmp_path, form):
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    here, there = (unicodedata.normalize(one, "wärme") for one in (form, other))
    write(tmp_path / f"images/s/{here}_0.png", picture())
    write(tmp_path / f"masks/s/{there}_0.png", target_mask())
    write_text(tmp_path / "test.txt", f"images/s/{there}_0.png\n")
    write_coco(tmp_path / "annotations/instances_test.json", [f"s/{there}_0.png"])
    (frame,) = open_dataset(tmp_path, "test").frames
    assert here in frame.image and there in frame.mask and len(frame.boxes) == 1
    assert len(warnings_given()) == 2 and all("another Unicode form" in line for line in warnings_given())
    assert check(str(tmp_path), "test", quiet=True)[0] == []


def test_lists_may_spell_names_in_another_case(tmp_path):
    touch(tmp_path / "images", ["s1/IMG_0.png", "s1/IMG_1.png"])
    write_coco(tmp_path / "annotations/instances_test.json", ["S1/img_0.PNG", "S1/img_1.PNG"])
    assert [len(frame.boxes) for frame in open_dataset(tmp_path, "test", "boxes").frames] == [1, 1]
    (line,) = warnings_given()
    assert "names spelt otherwise than their files: 2, the first" in line and "another letter case" in line


def test_an_exact_name_comes_first_and_two_that_are_alike_are_an_error(tmp_path):
    touch(tmp_path / "images", ["s/A.png", "s/a.png"])
    files = list_files(str(tmp_path))
    assert files.find("s/a.png") == "images/s/a" and files.find("x/s/A.png") == "images/s/A"
    with pytest.raises(UserError, match="found images/s/A and images/s/a"):
        files.find("S/a.png")
    assert files.find("S/b.png") is None


def test_folders_in_capital_letters_are_named(tmp_path):
    write_pairs(tmp_path, ["s/0"])
    (tmp_path / "masks").rename(tmp_path / "Masks")
    with pytest.raises(UserError, match="found no masks"):
        open_dataset(tmp_path, "all", "masks")
    assert "Masks: is not read, expected masks/ in small letters" in warnings_given()[0]
    (tmp_path / "images").rename(tmp_path / "Images")
    with pytest.raises(
        UserError, match="found Images/, expected the folder of a dataset; give the folder that holds images/"
    ):
        open_dataset(tmp_path, "all", "images")


def test_a_copy_of_a_dataset_ends_where_links_lead_in_circles(tmp_path):
    for split in ("train", "test"):
        touch(tmp_path / "disk", ["s/0.png"])
        (tmp_path / "set/images").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"set/images/{split}").symlink_to(tmp_path / "disk")
    (tmp_path / "disk/round").symlink_to(tmp_path / "set")
    (tmp_path / "disk/s/back").symlink_to("..")
    place(tmp_path / "set/images", tmp_path / "copy/images")
    copied = [path.relative_to(tmp_path / "copy").as_posix() for path in (tmp_path / "copy").rglob("*.png")]
    assert sorted(copied) == ["images/test/s/0.png", "images/train/s/0.png"]


def test_links_to_themselves_are_no_folders(tmp_path):
    write_pairs(tmp_path, ["s/0"])
    for link in ("loop", "Sequence1", "images/self"):
        (tmp_path / link).symlink_to(link.rpartition("/")[2])
    assert len(open_dataset(tmp_path, "all").frames) == 1
    assert len(warnings_given()) == 1 and "images/self: a link that leads nowhere" in warnings_given()[0]
