"""Datasets of one's own: the command that makes them of any labels."""

import shlex
from pathlib import Path

import numpy as np
import pytest
from labelling import BOX, KINDS, mask, yolo
from trees import picture, target_mask, write, write_text

from utils.commands.describe import describe
from utils.datasets.dataset import open_dataset
from utils.images.masks.values import read_mask
from utils.system.errors import UserError
from utils_coco.import_labels import convert, main


@pytest.fixture
def images(tmp_path):
    """Two sequences of four frames."""
    for sequence in "ab":
        for number in range(4):
            write(tmp_path / f"images/{sequence}/{number:03d}.png", picture(number))
    return tmp_path / "images"


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
    numbers = [
        [frame.number for frame in open_dataset(tmp_path / "out", split, "boxes").frames] for split in ("train", "test")
    ]
    assert numbers == [list(range(7)), [7, 8, 9]]
    assert not (tmp_path / "out/images/train/images/0.png").is_symlink()


def test_a_split_that_folders_tell_is_kept(tmp_path):
    for number, name in enumerate(("test/a/0", "train/b/1", "valid/c/2")):
        write(tmp_path / f"images/{name}.png", picture(number))
        yolo(tmp_path / "labels", name)
    convert(str(tmp_path / "images"), str(tmp_path / "labels"), str(tmp_path / "out"))
    assert [
        [frame.number for frame in open_dataset(tmp_path / "out", split, "boxes").frames] for split in ("train", "test")
    ] == [[1], [0, 2]]


def test_masks_below_the_images_are_no_images(tmp_path):
    folder = tmp_path / "images"
    for number in range(5):
        write(folder / f"{number}.png", picture(number))
        mask(folder / "masks", str(number))
    convert(str(folder), str(folder / "masks"), str(tmp_path / "out"))
    assert [len(open_dataset(tmp_path / "out", split, "masks").frames) for split in ("train", "test")] == [4, 1]
    with pytest.raises(UserError, match="found no masks"):
        convert(str(folder), str(write_text(tmp_path / "no/x.txt", "").parent), str(tmp_path / "out2"), "masks")
    with pytest.raises(UserError, match="which lies in what is read"):
        convert(str(folder), str(folder / "masks"), str(folder / "out"))


def test_frames_by_number_and_named_test_sequences(tmp_path, images):
    write_text(tmp_path / "labels/a.csv", "frame,x,y,w,h\n2,12,10,3,3\n2,20,10,3,3\n")
    convert(str(images), str(tmp_path / "labels"), str(tmp_path / "out"), test=["a"])
    assert [len(frame.boxes) for frame in open_dataset(tmp_path / "out", "test", "boxes").frames] == [0, 0, 2, 0]


@pytest.mark.parametrize(
    "image, label",
    [
        ("{:04d}.png", "{:04d}-mask.png"),
        ("{}.jpg", "{}.png"),
        ("{}.bmp", "{}.tif"),
        ("{}.png", "GT_{}.png"),
        ("img_{}.png", "label_{}.png"),
        ("im_{}.png", "ma_{}.png"),
        ("f{}.png", "f{}Mask.png"),
    ],
)
def test_masks_beside_their_images(tmp_path, capsys, image, label):
    for number in range(4):
        write(tmp_path / "both/s" / image.format(number), picture(number))
        write(tmp_path / "both/s" / label.format(number), target_mask(at=(10, number + 1)))
    convert(str(tmp_path / "both"), str(tmp_path / "both"), str(tmp_path / "out"), fraction=0)
    frames = open_dataset(tmp_path / "out").frames
    assert [Path(frame.image).name for frame in frames] == [image.format(number) for number in range(4)]
    assert [read_mask(frame.mask)[10].argmax() for frame in frames] == [1, 2, 3, 4]
    assert "next: " + shlex.join(import_words(tmp_path / "both")) in "\n".join(describe(str(tmp_path / "both")))
    write_text(tmp_path / "boxes.csv", f"image,x,y,w,h\n{image.format(0)},12,10,3,3\n")
    convert(str(tmp_path / "both"), str(tmp_path / "boxes.csv"), str(tmp_path / "out2"), fraction=0)
    assert len(open_dataset(tmp_path / "out2", need="boxes").frames) == 4
    assert "4 masks that lie beside their images are left out" in capsys.readouterr().err


def import_words(folder):
    given = ["--images", f"{folder}/s", "--labels", f"{folder}/s", "--out", "NEW"]
    return ["python", "-m", "utils_coco.import_labels", *given]


def test_previews_of_raw_frames_are_left_out_and_images_alone_have_no_masks(tmp_path, images, capsys):
    with pytest.raises(UserError, match="found no masks"):
        convert(str(images), str(images), str(tmp_path / "out"))
    for number in range(4):
        write(tmp_path / "raw" / f"{number}.tif", picture(number, dtype=np.uint16))
        write(tmp_path / "raw" / f"{number}.jpg", picture(number))
        mask(tmp_path / "labels", str(number))
    convert(str(tmp_path / "raw"), str(tmp_path / "labels"), str(tmp_path / "out"), fraction=0)
    frames = open_dataset(tmp_path / "out").frames
    assert [Path(frame.image).name for frame in frames] == [f"{number}.tif" for number in range(4)]
    assert "4 pictures are copies or previews of others there" in capsys.readouterr().err
    write(tmp_path / "labels/0_gt.png", target_mask())
    with pytest.raises(UserError, match=r"0_mask.png: found beside .*0_gt.png, both masks of"):
        convert(str(tmp_path / "raw"), str(tmp_path / "labels"), str(tmp_path / "out2"))


def test_masks_in_a_folder_among_those_of_images_are_no_images(tmp_path, images, capsys):
    keys = [f"{sequence}/{number:03d}" for sequence in "ab" for number in range(4)]
    for key in keys:
        yolo(tmp_path / "labels", key)
        write(images / "gt" / f"{key.replace('/', '')}.png", target_mask())
    convert(str(images), str(tmp_path / "labels"), str(tmp_path / "out"))
    assert list(open_dataset(tmp_path / "out", "all", "boxes").sequences) == ["a", "b"]
    assert "8 pictures in a folder called after masks are left out" in capsys.readouterr().err


def test_videos_in_one_folder_become_sequences_of_their_own(tmp_path):
    keys = [
        f"{split}/{video}_{number:04d}"
        for split, video in (("train", "a"), ("train", "b"), ("val", "c"))
        for number in range(4)
    ]
    for number, key in enumerate(keys):
        write(tmp_path / "images" / f"{key}.png", picture(number))
        yolo(tmp_path / "labels", key)
    convert(str(tmp_path / "images"), str(tmp_path / "labels"), str(tmp_path / "out"))
    found = {split: open_dataset(tmp_path / "out", split, "boxes").sequences for split in ("train", "test")}
    assert {name: len(frames) for name, frames in found["train"].items()} == {"train/a": 4, "train/b": 4}
    assert {name: len(frames) for name, frames in found["test"].items()} == {"val": 4}
    write_text(tmp_path / "tables/b.csv", "frame,x,y,w,h\n2,12,10,3,3\n")
    convert(str(tmp_path / "images"), str(tmp_path / "tables"), str(tmp_path / "out2"))
    boxed = [frame for frame in open_dataset(tmp_path / "out2", "all", "boxes").frames if frame.boxes]
    assert [(frame.sequence, frame.number) for frame in boxed] == [("train/b", 2)]


def test_labels_by_number_find_names_with_random_endings(tmp_path):
    names = [
        f"f-{number:03d}-{ending}" for number, ending in zip(range(7, 11), ("8yRtI", "00Zc9", "1b7", "x4"), strict=True)
    ]
    for number, name in enumerate(names):
        write(tmp_path / "images/a" / f"{name}.png", picture(number))
    write_text(tmp_path / "labels/a.csv", "frame,x,y,w,h\n8,12,10,3,3\n8,20,10,3,3\n" + "9" * 5000 + ",1,1,3,3\n")
    convert(str(tmp_path / "images"), str(tmp_path / "labels"), str(tmp_path / "out"), fraction=0)
    frames = open_dataset(tmp_path / "out", "train", "boxes").frames
    assert [(frame.number, len(frame.boxes)) for frame in frames] == [(7, 0), (8, 2), (9, 0), (10, 0)]


@pytest.mark.parametrize(
    "name, text, expected",
    [
        ("a/000.txt", "0 0.5 0.5 1.7 0.1\n", "line 1: found '0 0.5 0.5 1.7 0.1', expected class cx cy w h"),
        ("a/000.xml", "<annotation><object><name>x</name></object></annotation>", "not a VOC file"),
        ("a/000.xml", '<!DOCTYPE x [<!ENTITY a "b">]><annotation/>', "found a document type or entities"),
        ("x.csv", "image,x,y,w,h\na/000.png,1,2,3\n", "line 2: found 'a/000.png,1,2,3'"),
        ("x.csv", "image,x,y,w,h\n../a/000.png,1,2,3,3\n", "line 2"),
        ("x.csv", "image,x,y,w,h\na/000.png,31,2,9,3\n", "000.png: .*correct the labels, or give --cut"),
        ("x.csv", "image,x,y,w,h\nc/9.png,1,2,3,3\n", "labels of 1 images, the first c/9, none of which"),
        ("x.md", "nothing", "found nothing that looks like labels"),
    ],
)
def test_mistakes(tmp_path, images, name, text, expected):
    write_text(tmp_path / "labels" / name, text)
    with pytest.raises(UserError, match=expected):
        main(["--images", str(images), "--labels", str(tmp_path / "labels"), "--out", str(tmp_path / "out")])
