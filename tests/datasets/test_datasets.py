"""Every layout loads from its folder alone; what cannot be loaded says what to do."""

import codecs
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from openings import assert_stops
from scripts import ROOT
from trees import coco, picture, real_data, target_mask, touch, write, write_coco, write_pairs, write_text

from utils.datasets.coco import read_coco
from utils.datasets.dataset import open_dataset
from utils.datasets.layouts import Files
from utils.datasets.lists import read_lines
from utils.datasets.specs import PUBLISHED_DATASETS
from utils.images.frame_names import natural_key
from utils.system.errors import UserError


def names_of(dataset):
    """{sequence: [image paths below the root]}"""
    return {
        name: [Path(frame.image).relative_to(dataset.root).as_posix() for frame in frames]
        for name, frames in dataset.sequences.items()
    }


def numbers_of(dataset):
    return {name: [frame.number for frame in frames] for name, frames in dataset.sequences.items()}


def spec(name):
    return next(item for item in PUBLISHED_DATASETS if item.name == name)


# --- layouts ---------------------------------------------------------------------------------------------------------


def test_official_nudt_prefers_images_and_resolves_clip_lists(tmp_path):
    for n in (1, 47):
        touch(
            tmp_path,
            [
                f"Sequence{n}/{folder}/{i:05d}.{suffix}"
                for i in range(1, 4)
                for folder, suffix in (("Mix", "mat"), ("images", "png"), ("masks", "png"), ("masks_centroid", "png"))
            ],
        )
    write_text(tmp_path / "train.txt", "".join(f"Sequence1/Mix/{i:05d}.mat\n" for i in range(1, 4)))
    write_text(tmp_path / "test.txt", "".join(f"Sequence47/Mix/{i:05d}.mat\n" for i in range(1, 4)))
    train = open_dataset(tmp_path, "train")
    assert train.layout == "sequence folders"
    assert names_of(train) == {"Sequence1": [f"Sequence1/images/{i:05d}.png" for i in (1, 2, 3)]}
    assert numbers_of(train) == {"Sequence1": [1, 2, 3]}
    assert [Path(f.mask).relative_to(tmp_path).as_posix() for f in train.frames] == [
        f"Sequence1/masks/{i:05d}.png" for i in (1, 2, 3)
    ]
    assert list(open_dataset(tmp_path, "test").sequences) == ["Sequence47"]
    assert list(open_dataset(tmp_path, "all").sequences) == ["Sequence1", "Sequence47"]


def test_official_nudt_without_images_reads_clip_files(tmp_path):
    touch(tmp_path, [f"Sequence1/Mix/{i:05d}.mat" for i in (1, 2)] + [f"Sequence1/masks/{i:05d}.png" for i in (1, 2)])
    write_text(tmp_path / "train.txt", "Sequence1/Mix/00001.mat\nSequence1/Mix/00002.mat\n")
    dataset = open_dataset(tmp_path)
    assert names_of(dataset) == {"Sequence1": ["Sequence1/Mix/00001.mat", "Sequence1/Mix/00002.mat"]}
    assert all(frame.mask for frame in dataset.frames)


def test_rearranged_nudt(tmp_path):
    write_pairs(tmp_path, [f"sequence{n}/{i}" for n in (1, 2, 10) for i in range(3)])
    listed = [f"images/sequence{n}/{i}.png\n" for n in (10, 2) for i in (2, 0, 1)]
    write_text(tmp_path / "train_NUDTMIRSDT.txt", "".join(listed))
    write_text(tmp_path / "test_NUDTMIRSDT.txt", "images/sequence1/1.png\n")
    train = open_dataset(tmp_path, "train", "masks")
    assert train.layout == "image tree"
    assert names_of(train) == {f"sequence{n}": [f"images/sequence{n}/{i}.png" for i in range(3)] for n in (2, 10)}
    assert Path(train.frames[0].mask) == tmp_path / "masks/sequence2/0.png"
    assert train.frames[0].boxes is None
    assert numbers_of(open_dataset(tmp_path, "test")) == {"sequence1": [1]}


def test_mwirstd(tmp_path):
    write_pairs(tmp_path, [f"{n}/{i}" for n in (1, 15) for i in range(2)], image=".jpg")
    write_text(tmp_path / "train_MWIRSTD.txt", "images/1/0.jpg\nimages/1/1.jpg\n")
    write_text(tmp_path / "test_MWIRSTD.txt", "images/15/0.jpg\nimages/15/1.jpg\n")
    assert names_of(open_dataset(tmp_path, "test")) == {"15": ["images/15/0.jpg", "images/15/1.jpg"]}
    assert numbers_of(open_dataset(tmp_path, "train")) == {"1": [0, 1]}


@pytest.mark.parametrize("index", ["json 2017", "json", "txt", "val txt"])
def test_daub_boxes(tmp_path, index):
    images = {part: [f"images/{part}/data{n}/{i}.bmp" for i in range(12)] for part, n in (("train", 5), ("test", 6))}
    for part, names in images.items():
        touch(tmp_path, names)
        if index.startswith("json"):
            write_coco(tmp_path / f"annotations/instances_{part}{'2017' * ('2017' in index)}.json", names)
        else:
            word = "val" if part == "test" and index == "val txt" else part
            lines = [f"{name} 12,10,15,13,0" for name in names]
            write_text(tmp_path / f"coco_{word}_DAUB.txt", "\n".join(lines))
    for part, n in (("train", 5), ("test", 6)):
        dataset = open_dataset(tmp_path, part, "boxes")
        assert dataset.layout == "split folders"
        assert names_of(dataset) == {f"data{n}": images[part]}
        assert all(frame.boxes == ((12, 10, 15, 13, 0),) and frame.mask is None for frame in dataset.frames)


def test_split_folders_decide_where_there_are_no_lists(tmp_path):
    write_pairs(tmp_path, [f"{part}/data{n}/{i}" for part, n in (("train", 5), ("test", 5)) for i in range(2)])
    for part in ("train", "test"):
        expected = {f"{part}/data5": [f"images/{part}/data5/{i}.png" for i in range(2)]}
        assert names_of(open_dataset(tmp_path, part)) == expected
    assert len(open_dataset(tmp_path, "all").sequences) == 2


def test_single_frames_with_both_mask_names(tmp_path):
    write_pairs(tmp_path, ["Misc_1", "Misc_2", "XDU7"], masks=False)
    write(tmp_path / "masks/Misc_1.png", target_mask())
    write(tmp_path / "masks/Misc_2_pixels0.png", target_mask())
    write(tmp_path / "masks/XDU7_pixels0.png", target_mask())
    write_text(tmp_path / "img_idx/train_NUAA-SIRST.txt", "Misc_2\nMisc_1\n")
    write_text(tmp_path / "img_idx/test_NUAA-SIRST.txt", "XDU7\n")
    train = open_dataset(tmp_path, "train")
    assert train.layout == "single frames"
    assert names_of(train) == {"Misc_1": ["images/Misc_1.png"], "Misc_2": ["images/Misc_2.png"]}
    assert [Path(frame.mask).name for frame in train.frames] == ["Misc_1.png", "Misc_2_pixels0.png"]
    assert [Path(frame.mask).name for frame in open_dataset(tmp_path, "test").frames] == ["XDU7_pixels0.png"]


def test_irdst_paths_with_blanks(tmp_path):
    names = [f"images/{n}/{n} ({i}).bmp" for n in (1, 2) for i in (1, 2, 10)]
    touch(tmp_path, names)
    write_text(tmp_path / "train.txt", "".join(f"{name} 1,2,9,10,0 3.5,4,8,8,0\n" for name in names[:3]))
    train = open_dataset(tmp_path, "train", "boxes")
    assert numbers_of(train) == {"1": [1, 2, 10]}
    assert train.frames[0].boxes == ((1, 2, 9, 10, 0), (3.5, 4, 8, 8, 0))


def test_an_index_decides_over_a_json_that_adds_its_boxes(tmp_path):
    names = [f"images/a/{i}.png" for i in range(4)]
    touch(tmp_path, names)
    write_coco(tmp_path / "annotations/instances_train.json", names)
    write_text(tmp_path / "train.txt", f"{names[1]}\n{names[2]}\n")
    dataset = open_dataset(tmp_path, "train", "boxes")
    assert names_of(dataset) == {"a": names[1:3]}
    assert dataset.frames[0].boxes == ((12, 10, 15, 13, 0),)


# --- what is known about published datasets --------------------------------------------------------------------------


def test_the_table():
    nudt, mwirstd, daub = spec("NUDT-MIRSDT"), spec("MWIRSTD"), spec("DAUB")
    assert len(nudt.train) == 80 and nudt.train == set(range(1, 85)) - {47, 56, 59, 76}
    assert nudt.test == {47, 56, 59, 76, *range(85, 98), 101, 105, 119} and len(nudt.test) == 20
    assert nudt.low_snr == {47, 56, 59, 76, 92, 101, 105, 119}
    assert mwirstd.train == set(range(1, 15)) - {3} and mwirstd.test == {15}
    assert daub.train == {5, 8, 9, 10, 13, 14, 16, 17, 19, 22} and daub.test == {6, 11, 12, 15, 18, 20, 21}
    assert [spec("IRDST").split(name) for name in ("1", "2", "33")] == ["train", "test", "train"]


@pytest.fixture
def listed_as(monkeypatch, tmp_path):
    """Stands in for a folder of many thousand files: a function that says which image keys and extension it holds."""

    def set_files(keys, layout, suffix):
        found = Files(str(tmp_path), layout, {key: key + suffix for key in keys}, {key: key + ".png" for key in keys})
        monkeypatch.setattr("utils.datasets.dataset.list_files", lambda root: found)
        (tmp_path / "images").mkdir(exist_ok=True)

    return set_files


NUDT_NUMBERS = spec("NUDT-MIRSDT").train | spec("NUDT-MIRSDT").test


def test_nudt_is_recognised_by_names_and_counts(tmp_path, listed_as):
    keys = [f"images/sequence{n}/{i}" for n in NUDT_NUMBERS for i in range(100)]
    listed_as(keys, "image tree", ".png")
    train, test = (open_dataset(tmp_path, part) for part in ("train", "test"))
    assert train.recognised and train.name == "NUDT-MIRSDT" and train.normalisation == (105.99, 25.60)
    assert len(train.frames) == 8000 and len(test.frames) == 2000 and train.subsets == {}
    assert test.subsets["snr_le_3"] == {f"sequence{n}" for n in (47, 56, 59, 76, 92, 101, 105, 119)}
    assert test.subsets["snr_gt_3"] == set(test.sequences) - test.subsets["snr_le_3"]
    listed_as(keys[1:], "image tree", ".png")
    one_less = open_dataset(tmp_path, "train")
    assert not one_less.recognised and one_less.normalisation is None and len(one_less.frames) == 7999


def test_clip_files_have_their_own_normalisation(tmp_path, listed_as):
    keys = [f"Sequence{n}/images/{i:05d}" for n in NUDT_NUMBERS for i in range(1, 101)]
    listed_as(keys, "sequence folders", ".mat")
    assert open_dataset(tmp_path).normalisation == (105.40, 26.65)
    keys += [f"Sequence{n}/images/{i:05d}" for n in (98, 120) for i in range(1, 101)]
    listed_as(keys, "sequence folders", ".mat")
    assert open_dataset(tmp_path).normalisation == (105.40, 26.65)


def test_a_few_sequences_with_nudt_names_are_not_nudt(tmp_path):
    names = [f"sequence{n}/{i}.png" for n in (1, 2, 47) for i in range(3)]
    touch(tmp_path, [f"{folder}/{name}" for name in names for folder in ("images", "masks")])
    write_text(tmp_path / "train.txt", "images/sequence1/0.png\n")
    dataset = open_dataset(tmp_path)
    assert not dataset.recognised and dataset.normalisation is None and dataset.subsets == {}
    assert dataset.name == tmp_path.name


def test_nuaa_needs_its_published_split(tmp_path):
    names = [f"Misc_{i}" for i in range(1, 428)]
    touch(tmp_path, [f"{folder}/{name}.png" for name in names for folder in ("images", "masks")])
    write_text(tmp_path / "img_idx/train_NUAA-SIRST.txt", "\n".join(names[:213]))
    write_text(tmp_path / "img_idx/test_NUAA-SIRST.txt", "\n".join(names[213:]))
    assert open_dataset(tmp_path).normalisation == (101.06, 34.62)
    write_text(tmp_path / "img_idx/test_NUAA-SIRST.txt", "\n".join(names[214:]))
    assert open_dataset(tmp_path).normalisation is None


@pytest.mark.parametrize(
    "folder, sequences, train, test",
    [
        ("MWIRSTD", ("1", "14", "15"), ["1", "14"], ["15"]),
        ("anything", [str(n) for n in range(1, 16) if n != 3], None, ["15"]),
        ("IRDST_real", ("1", "2", "3", "4"), ["1", "3"], ["2", "4"]),
    ],
)
def test_the_table_decides_the_split_where_there_are_no_lists(tmp_path, folder, sequences, train, test):
    root = touch(tmp_path / folder, [f"{kind}/{name}/0.png" for name in sequences for kind in ("images", "masks")])
    assert list(open_dataset(root, "test").sequences) == test
    assert list(open_dataset(root, "train").sequences) == (train or [name for name in sequences if name not in test])


def test_subsets_come_from_the_json_of_made_sequences(tmp_path):
    names = [f"images/sequence{n}/{i}.png" for n in range(4) for i in range(2)]
    touch(tmp_path, names + [name.replace("images", "masks") for name in names])
    content = coco(names)
    snr = {0: (2.0, 3.0), 1: (3.1, 9.0), 2: (2.0, 5.0)}  # sequence 3 has no target
    content["annotations"] = [
        {**a, "snr": snr[(a["image_id"] - 1) // 2][(a["image_id"] - 1) % 2], "track_id": 1}
        for a in content["annotations"]
        if a["image_id"] <= 6
    ]
    write_text(tmp_path / "annotations/instances_test.json", json.dumps(content))
    write_text(tmp_path / "test_NUDTMIRSDT.txt", "\n".join(names))
    dataset = open_dataset(tmp_path, "test")
    assert dataset.subsets == {"snr_le_3": {"sequence0"}, "snr_gt_3": {"sequence1"}}
    assert dataset.sequences["sequence3"][0].boxes == ()


# --- what must simply work -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stems, numbers",
    [
        (["0", "1", "2", "10"], [0, 1, 2, 10]),
        (["1", "2", "5"], [1, 2, 5]),
        (["00001", "00002", "00010"], [1, 2, 10]),
        (["frame_2_ir", "frame_10_ir"], [2, 10]),
        (["a", "b", "c"], [0, 1, 2]),
        (["cam1_a", "cam1_b"], [0, 1]),
        (["f-01-x9K2", "f-02-3Qb", "f-03-0zz", "f-05-7h1"], [1, 2, 3, 5]),
        (["0000", "0040", "0080", "0200"], [0, 1, 2, 5]),
        (
            [
                "2023-01-01_12-00-59_920",
                "2023-01-01_12-00-59_960",
                "2023-01-01_12-01-00_000",
                "2023-01-01_12-01-00_080",
            ],
            [0, 1, 2, 4],
        ),
        (["-2", "-1", "0", "1"], [-2, -1, 0, 1]),
        ([str(10**30 + i) for i in range(3)], [0, 1, 2]),
    ],
)
def test_frame_numbers(tmp_path, stems, numbers):
    touch(tmp_path, [f"{folder}/s/{stem}.png" for stem in stems for folder in ("images", "masks")])
    write_text(tmp_path / "train.txt", "".join(f"images/s/{stem}.png\n" for stem in reversed(stems)))
    dataset = open_dataset(tmp_path)
    assert numbers_of(dataset) == {"s": numbers}
    assert names_of(dataset) == {"s": [f"images/s/{stem}.png" for stem in stems]}


def test_numbers_are_those_among_all_images_on_disk(tmp_path):
    touch(tmp_path, [f"{folder}/s/{number}.png" for number in range(12) for folder in ("images", "masks")])
    write_text(tmp_path / "train.txt", "".join(f"images/s/{number}.png\n" for number in range(0, 12, 2)))
    assert numbers_of(open_dataset(tmp_path)) == {"s": [0, 2, 4, 6, 8, 10]}


def test_videos_in_one_folder_are_sequences(tmp_path, capsys):
    names = [f"s/{video}_{number}" for video in ("vidA", "vidB") for number in range(4)] + ["s/vidA/0", "t/0", "t/1"]
    touch(tmp_path, [f"{folder}/{name}.png" for name in names for folder in ("images", "masks")])
    write_text(tmp_path / "train.txt", "".join(f"images/{name}.png\n" for name in names if name != "s/vidA_2"))
    dataset = open_dataset(tmp_path)
    assert numbers_of(dataset) == {"s/vidA": [0], "s/vidA_": [0, 1, 3], "s/vidB": [0, 1, 2, 3], "t": [0, 1]}
    assert names_of(dataset)["s/vidA_"] == [f"images/s/vidA_{number}.png" for number in (0, 1, 3)]
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "2 sequences, told apart by vidA, vidB" in said and "(in s)" in said


def test_single_frames_keep_the_last_number_of_their_names(tmp_path):
    names = ["Misc_1", "XDU7_b", "x", "9" * 40]
    touch(tmp_path, [f"{folder}/{name}.png" for name in names for folder in ("images", "masks")])
    write_text(tmp_path / "train.txt", "".join(f"images/{name}.png\n" for name in names))
    assert numbers_of(open_dataset(tmp_path)) == {"Misc_1": [1], "XDU7_b": [7], "x": [0], "9" * 40: [0]}


def test_positions_count_images_that_the_index_leaves_out(tmp_path):
    touch(tmp_path, [f"{folder}/s/{stem}.png" for stem in "abcd" for folder in ("images", "masks")])
    write_text(tmp_path / "train.txt", "images/s/a.png\nimages/s/d.png\n")
    assert numbers_of(open_dataset(tmp_path)) == {"s": [0, 3]}


@pytest.mark.parametrize(
    "text, encoding",
    [
        ("images/a/0.png\r\nimages/a/1.png\r\n", "utf-8"),
        ("\ufeffimages/a/0.png\nimages/a/1.png", "utf-8"),
        (codecs.BOM_UTF16_LE.decode("utf-16-le") + "images/a/0.png\r\nimages/a/1.png\r\n", "utf-16-le"),
        ("\n\nimages/a/0.png\n   \nimages/a/1.png\n\n", "utf-8"),
        ("/data/someone/data/Set/images/a/0.png\n/data/someone/data/Set/images/a/1.png\n", "utf-8"),
        ("C:\\data\\Set\\images\\a\\0.png\r\nC:\\data\\Set\\images\\a\\1.png\r\n", "utf-8"),
        ("./images/a/0.png\nimages/b/../a/1.png\n", "utf-8"),
        ("images/a/0.bmp\nimages/a/1.JPG\n", "utf-8"),
        ("a/0.png\na/1\n", "utf-8"),
        ("images/a/0.png\nimages/a/1.png\nimages/a/0.png\n", "utf-8"),
    ],
)
def test_index_files_as_people_have_them(tmp_path, text, encoding):
    write_pairs(tmp_path, ["a/0", "a/1", "b/0"])
    write_text(tmp_path / "train_Set.txt", text, encoding)
    assert names_of(open_dataset(tmp_path)) == {"a": ["images/a/0.png", "images/a/1.png"]}


@pytest.mark.parametrize("prefix", ["", "/data/someone/DAUB/", "D:\\DAUB\\", "elsewhere/"])
@pytest.mark.parametrize("start", ["images/train/", "train/", ""])
def test_json_with_another_root(tmp_path, prefix, start):
    touch(tmp_path, [f"images/{part}/data5/{i}.bmp" for part in ("train", "test") for i in range(3)])
    write_coco(tmp_path / "annotations/instances_train2017.json", [f"{prefix}{start}data5/{i}.bmp" for i in range(3)])
    dataset = open_dataset(tmp_path, "train", "boxes")
    assert [Path(f.image).relative_to(tmp_path).as_posix() for f in dataset.frames] == [
        f"images/train/data5/{i}.bmp" for i in range(3)
    ]


def test_frames_and_sequences_without_targets(tmp_path):
    names = [f"images/{s}/{i}.png" for s in "ab" for i in range(2)]
    touch(tmp_path, names)
    content = coco(names)
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] == 1]
    write_text(tmp_path / "annotations/instances_train.json", json.dumps(content))
    assert [len(frame.boxes) for frame in open_dataset(tmp_path, "train", "boxes").frames] == [1, 0, 0, 0]
    write_text(tmp_path / "test.txt", f"{names[0]} 1,1,4,4,2\n{names[1]}\n")
    (tmp_path / "annotations/instances_train.json").unlink()
    assert [frame.boxes for frame in open_dataset(tmp_path, "test", "boxes").frames] == [((1, 1, 4, 4, 2),), ()]


def test_classes_count_from_zero_in_the_order_of_category_ids(tmp_path):
    content = coco(["images/a/0.png"], [(1, 1, 3, 3), (5, 5, 2, 2)])
    content["categories"] = [{"id": 7, "name": "b"}, {"id": 2, "name": "a"}]
    for annotation, category in zip(content["annotations"], (7, 2), strict=True):
        annotation["category_id"] = category
    write_text(tmp_path / "x.json", json.dumps(content))
    assert read_coco(str(tmp_path / "x.json"))[0].boxes == ((1, 1, 4, 4, 1), (5, 5, 7, 7, 0))


def test_natural_order_of_sequences(tmp_path):
    touch(tmp_path, [f"{folder}/{name}/0.png" for name in ("s10", "s9", "s1") for folder in ("images", "masks")])
    assert list(open_dataset(tmp_path, "all").sequences) == ["s1", "s9", "s10"]


def test_hidden_files_are_not_frames(tmp_path):
    write_pairs(tmp_path, ["a/0"])
    touch(tmp_path, ["images/a/._0.png", "images/a/Thumbs.db", "masks/a/._0.png"])
    assert len(open_dataset(tmp_path, "all").frames) == 1


def test_four_thousand_frames_open_fast_and_none_is_read(tmp_path):
    names = [f"images/sequence{n}/{i}.png" for n in range(4) for i in range(1000)]
    touch(tmp_path, names + [name.replace("images", "masks", 1) for name in names])
    write_text(tmp_path / "train.txt", "\n".join(f"/foreign/data/{name}" for name in names))
    began = time.process_time()
    assert len(open_dataset(tmp_path).frames) == 4000
    assert time.process_time() - began < 2  # about 0.2 s on a machine that does nothing else


# --- what must stop --------------------------------------------------------------------------------------------------


def stops(root, *parts, split="train", need="masks"):
    assert_stops(root, split, need, *parts)


def test_missing_root_names_the_folder_that_looks_right(tmp_path):
    write_pairs(tmp_path / "DAUB", ["a/0"])
    stops(tmp_path / "DOUB", tmp_path / "DOUB", "no such folder", "seems to be in", tmp_path / "DAUB")
    stops(tmp_path / "empty" / "deeper", "no such folder")
    stops("", "--data-root")


@pytest.mark.parametrize("given", [".", "Set/images", "Set/images/a", "Set/masks"])
def test_root_too_high_or_too_deep(tmp_path, given):
    write_pairs(tmp_path / "Set", ["a/0", "b/0"])
    stops(tmp_path / given, "seems to be in", tmp_path / "Set", "expected")


@pytest.mark.parametrize("given", [".", "NUDT/Sequence1", "NUDT/Sequence1/images"])
def test_official_root_too_high_or_too_deep(tmp_path, given):
    touch(tmp_path, ["NUDT/Sequence1/images/1.png", "NUDT/Sequence1/masks/1.png", "NUDT/Sequence2/Mix/1.mat"])
    with pytest.raises(UserError) as caught:
        open_dataset(tmp_path / given)
    assert str(caught.value).endswith(f"seems to be in {tmp_path / 'NUDT'}")


def test_root_is_a_file_or_holds_nothing(tmp_path):
    stops(touch(tmp_path, ["x.txt"]) / "x.txt", "a file", "docs/datasets.md shows the tree of every dataset")
    (tmp_path / "images").mkdir()
    stops(tmp_path, "no image", "images/")


def test_masks_without_images(tmp_path):
    write_pairs(tmp_path, ["a/0", "a/1"])
    write_text(tmp_path / "train.txt", "a/0\na/1")
    touch(tmp_path, ["masks/a/7.png", "masks/a/8.png"])
    stops(tmp_path, "masks/a/7.png: mask without an image", "first of 2")


def test_images_without_masks(tmp_path):
    write_pairs(tmp_path, ["a/0", "a/1", "a/2"])
    write_text(tmp_path / "train.txt", "a/0\na/1\na/2")
    (tmp_path / "masks/a/1.png").unlink()
    (tmp_path / "masks/a/2.png").unlink()
    stops(tmp_path, "images/a/1.png: image without a mask", "first of 2")
    assert len(open_dataset(tmp_path, "train", "images").frames) == 3


@pytest.mark.parametrize("content", ["", "\n \r\n", "\ufeff"])
def test_empty_index(tmp_path, content):
    write_pairs(tmp_path, ["a/0"])
    write_text(tmp_path / "train.txt", content)
    stops(tmp_path, tmp_path / "train.txt", "empty")


@pytest.mark.parametrize(
    "content, part",
    [
        ("{not json", "not json"),
        (json.dumps(coco(["images/a/0.png"]))[:-40], "not json"),
        ("[1, 2]", "found a list"),
        ('{"images": []}', "'annotations'"),
        ('{"loss": 1}', "'images'"),
        ('{"images": [], "annotations": []}', "'categories'"),
    ],
)
def test_json_of_another_kind(tmp_path, content, part):
    write_pairs(tmp_path, ["a/0"])
    path = write_text(tmp_path / "annotations/instances_train.json", content)
    stops(tmp_path, path, part, "COCO", need="boxes")


IMAGE, TWIN = {"id": 1, "file_name": "images/a/0.png"}, {"id": 2, "file_name": "images/a/0.png"}
BOX = {"id": 7, "image_id": 1, "category_id": 1, "bbox": [12, 10, 3, 3]}


@pytest.mark.parametrize(
    "changes, part",
    [
        ({"images": [], "annotations": []}, "empty"),
        ({"images": [{"id": 1}], "annotations": []}, "file_name"),
        (
            {"images": [IMAGE, {"id": 1, "file_name": "images/a/1.png"}]},
            "id 1 twice, for images/a/0.png and images/a/1",
        ),
        ({"images": [IMAGE, TWIN]}, "image images/a/0.png twice, with the ids 1 and 2"),
        ({"images": [{**IMAGE, "id": "2"}]}, "annotation 7 belongs to image 1, which is not among the images"),
        ({"images": [{**IMAGE, "id": 1.5}]}, "an integer or text: found 1.5"),
        ({"categories": [{"id": "target"}]}, 'an integer: found "target"'),
        ({"categories": [{"id": None}]}, "an integer: found null"),
        ({"categories": [{"name": "target"}]}, "'id'"),
        ({"categories": []}, "annotation 7 belongs to category 1, which is not among the categories"),
        ({"annotations": [{**BOX, "image_id": 9}]}, "annotation 7 belongs to image 9, which is not among the images"),
        ({"annotations": [{**BOX, "image_id": True}]}, "'image_id', an integer or text: found true"),
        ({"annotations": [{**BOX, "category_id": "target"}]}, "'category_id', an integer"),
        ({"annotations": [{"image_id": 1, "category_id": 1}]}, "bbox"),
        ({"annotations": [{**BOX, "bbox": [1, 2]}]}, "four finite numbers in pixels: found [1, 2]"),
        ({"annotations": ["box"]}, "without a usable"),
    ],
)
def test_json_that_is_not_coco(tmp_path, changes, part):
    write_pairs(tmp_path, ["a/0"])
    content = {"images": [IMAGE], "annotations": [BOX], "categories": [{"id": 1}], **changes}
    path = write_text(tmp_path / "annotations/instances_train.json", json.dumps(content))
    stops(tmp_path, path, part, "COCO", need="boxes")


def test_labels_of_the_other_kind_name_the_converter(tmp_path):
    boxes = touch(tmp_path / "boxes", ["images/a/0.png"])
    write_coco(boxes / "annotations/instances_train.json", ["images/a/0.png"])
    stops(boxes, "boxes but no masks", f"python -m utils_coco.boxes_to_masks --data-root {boxes}")
    masks = touch(tmp_path / "masked", ["images/a/0.png", "masks/a/0.png"])
    write_text(masks / "train.txt", "a/0.png")
    stops(masks, "masks but no boxes", f"python -m utils_coco.masks_to_coco --data-root {masks}", need="boxes")
    bare = touch(tmp_path / "bare", ["images/a/0.png"])
    write_text(bare / "train.txt", "a/0.png")
    stops(bare, "no masks")
    stops(bare, "no boxes", need="boxes")
    stops(bare, "neither", need="labels")


def test_unknown_split_says_what_to_write(tmp_path):
    write_pairs(tmp_path, ["a/0", "b/0"])
    stops(tmp_path, tmp_path / "train.txt", "images/a/0.png")
    stops(tmp_path, tmp_path / "test.txt", split="test")
    assert len(open_dataset(tmp_path, "all").frames) == 2


def test_a_split_of_no_images(tmp_path):
    write_pairs(tmp_path, ["train/data5/0"])
    stops(tmp_path, "none of them for 'test'", split="test")


def test_listed_images_that_are_not_there(tmp_path):
    write_pairs(tmp_path, ["a/0", "a/1"])
    write_text(tmp_path / "train.txt", "images/a/0.png\nimages/a/2.png\nimages/a/3.png\n")
    stops(tmp_path, "train.txt: images/a/2.png: listed, but no such image", "first of 2")


@pytest.mark.parametrize("line", ["../other/images/a/0.png", "images/../../a/0.png", "..\\a\\0.png"])
def test_lists_cannot_lead_out_of_the_root(tmp_path, line):
    root = write_pairs(tmp_path / "set", ["a/0"])
    write_pairs(tmp_path / "other", ["a/0"])
    write_text(root / "train.txt", line)
    stops(root, line, "leads out")


@pytest.mark.parametrize("other", ["{}_mask", "{}-mask", "gt_{}", "{}_overlay"])
def test_images_that_are_masks_or_previews_of_others_stop(tmp_path, other):
    write_pairs(tmp_path, ["s/0", "s/1"])
    write(tmp_path / "images/s" / f"{other.format(0)}.png", target_mask())
    write_text(tmp_path / "train.txt", "images/s/0.png\n")
    with pytest.raises(UserError, match=rf"{other.format(0)}.png: found .*0.png"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("ending", ["_pixels0", "_mask", "-mask", "_gt", "_label", "Mask", ".mask", " (mask)"])
def test_masks_with_an_ending(tmp_path, capsys, ending):
    touch(tmp_path, ["images/s/a7.png", f"masks/s/a7{ending}.png"])
    write_text(tmp_path / "train.txt", "images/s/a7.png\n")
    assert open_dataset(tmp_path).frames[0].mask == str(tmp_path / f"masks/s/a7{ending}.png")
    assert capsys.readouterr().err == ""
    touch(tmp_path, ["masks/s/a7_seg.png"])
    with pytest.raises(UserError, match="both masks of images/s/a7"):
        open_dataset(tmp_path)


def test_two_images_of_one_name(tmp_path):
    write_pairs(tmp_path, ["a/0"])
    write(tmp_path / "images/a/0.bmp", picture())
    stops(tmp_path, "images/a/0.png", "images/a/0.bmp", "one image of that name")


def test_two_lists_of_equal_rank(tmp_path):
    write_pairs(tmp_path, ["a/0", "a/1"])
    write_text(tmp_path / "train_x.txt", "a/0\n")
    write_text(tmp_path / "train_y.txt", "a/1\n")
    stops(tmp_path, "train_x.txt", "train_y.txt", "other images")
    write_text(tmp_path / "train_y.txt", "/foreign/images/a/0.png\n")
    assert len(open_dataset(tmp_path).frames) == 1
    write_text(tmp_path / "train_y.txt", "a/1\n")
    write_text(tmp_path / "train.txt", "a/0\na/1\n")
    assert len(open_dataset(tmp_path).frames) == 2


def test_wrong_words_are_programming_errors(tmp_path):
    for words in (("valid", "masks"), ("train", "segments")):
        with pytest.raises(ValueError, match="expected train, test or all"):
            open_dataset(tmp_path, *words)


def test_listing_needs_no_torch(tmp_path):
    write_pairs(tmp_path, ["a/0"])
    code = (
        f"import sys; from utils.datasets.dataset import open_dataset; import utils.checks; "
        f"open_dataset({str(tmp_path)!r}, 'all'); print([m for m in ('torch', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "[]"


def test_lines_with_boxes(tmp_path):
    path = write_text(tmp_path / "b.txt", "images/a b/0.bmp 1,2,3,4,0  5.5,6,7,8,1\nimages/1,2,3,4,5/1.bmp\n")
    first, second = read_lines(str(path))
    assert (first.path, first.boxes) == ("images/a b/0.bmp", ((1, 2, 3, 4, 0), (5.5, 6, 7, 8, 1)))
    assert (second.path, second.boxes) == ("images/1,2,3,4,5/1.bmp", ())


# --- the real data, where it is at hand ------------------------------------------------------------------------------


def test_real_daub():
    train, test = (open_dataset(real_data("DAUB-mini"), part, "boxes") for part in ("train", "test"))
    lengths = [{name: len(frames) for name, frames in part.sequences.items()} for part in (train, test)]
    assert lengths == [{"data13": 300, "data14": 100, "data17": 100}, {"data6": 399, "data20": 101}]
    assert train.name == "DAUB" and not train.recognised and train.normalisation is None
    sizes = np.array([box[2:4] for frame in train.frames for box in frame.boxes]) - np.array(
        [box[:2] for frame in train.frames for box in frame.boxes]
    )
    assert (sizes == 8).all() and len(sizes) == 500


def test_real_nuaa():
    train, test = (open_dataset(real_data("NUAA-SIRST"), part) for part in ("train", "test"))
    assert (len(train.frames), len(test.frames)) == (213, 214)
    assert train.recognised and train.normalisation == (101.06, 34.62)
    assert list(train.sequences) == sorted(train.sequences, key=natural_key)
