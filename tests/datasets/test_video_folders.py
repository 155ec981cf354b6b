"""Videos that are a folder each, with img/ and gt/gt.txt, and COCO trees without images/: VISO, SDM-Car, RsCarData."""

import json

import numpy as np
import pytest
from openings import assert_stops
from trees import picture, real_data, touch, write, write_coco, write_text

from utils.checks import check
from utils.datasets.dataset import open_dataset
from utils.datasets.layouts import check_root, list_files
from utils.datasets.side_labels import class_folders, class_of_name
from utils.metrics.coco_results import naming_of
from utils.system.notices import warnings_given
from utils_coco import boxes_to_masks, masks_to_coco

LINE = "{frame},{id},12,10,3,4,1,-1,-1,-1\n"  # a box of 3 x 4 pixels whose left upper pixel is column 12, row 10


def video(root, count=4, lines=None, frames="img", first=1):
    """A video's folder: frames numbered from `first`, and a box with id 7 in each, or these lines."""
    for number in range(first, first + count):
        write(root / frames / f"{number:06d}.png", picture(number))
    if lines is None:
        lines = "".join(LINE.format(frame=number, id=7) for number in range(1, count + 1))
    write_text(root / "gt/gt.txt", lines)
    return root


def boxes_of(root, split="all"):
    return [frame.boxes for frame in open_dataset(root, split, "boxes").frames]


def stops(root, *parts, split="all", need="boxes"):
    assert_stops(root, split, need, *parts)


# --- trees -----------------------------------------------------------------------------------------------------------


def test_one_video_is_a_dataset(tmp_path):
    dataset = open_dataset(video(tmp_path / "clip"), "all", "boxes")
    assert dataset.layout == "one video" and list(dataset.sequences) == ["clip"]
    assert [frame.number for frame in dataset.frames] == [1, 2, 3, 4]
    assert dataset.frames[2].image == str(tmp_path / "clip/img/000003.png")
    assert dataset.frames[2].boxes == ((12, 10, 15, 14, 0),) and dataset.frames[2].tracks == (7,)
    assert (
        dataset.classes == ("target",) and dataset.side_labels == "a MOT table for each video, x and y counted from 0"
    )
    assert not warnings_given() and check(str(tmp_path / "clip"), quiet=True)[0] == []


def test_videos_below_folders_of_their_classes(tmp_path):
    """VISO: mot/CLASS/NNN; of which `train` is a class beside others, and no split."""
    for name in ("train/001", "ship/002", "ship/010", "car/001"):
        video(tmp_path / "mot" / name, 2)
    dataset = open_dataset(tmp_path / "mot", "all", "boxes")
    assert dataset.layout == "video folders"
    assert list(dataset.sequences) == ["car/001", "ship/002", "ship/010", "train/001"]
    assert dataset.classes == ("car", "ship", "train")
    assert [entry["name"] for entry in naming_of(dataset).categories] == ["car", "ship", "train"]
    assert [frame.boxes[0][4] for frame in dataset.frames] == [0, 0, 1, 1, 1, 1, 2, 2]
    one = open_dataset(tmp_path / "mot/ship", "all", "boxes")
    assert one.classes == ("ship",) and list(one.sequences) == ["002", "010"]
    assert open_dataset(tmp_path / "mot/car/001", "all", "boxes").classes == ("car",)
    stops(tmp_path / "mot", "nothing that tells training from test", "train.txt", split="train")


def test_a_class_that_is_called_like_a_split_needs_others_beside_it():
    assert class_folders(["train/001", "car/1"]) == {"train/001": "train", "car/1": "car"}
    assert class_folders(["mot/train/001", "mot/car/1"]) == {"mot/train/001": "train", "mot/car/1": "car"}
    assert class_folders(["train/001", "test/1"]) == {} == class_folders(["train/car/001", "test/1"])
    assert class_folders(["train/car/001", "test/ship/1"]) == {"train/car/001": "car", "test/ship/1": "ship"}
    assert class_folders(["car/train/001", "ship/test/1"]) == {"car/train/001": "car", "ship/test/1": "ship"}


@pytest.mark.parametrize(
    "root, name",
    [
        ("/a/viso_car", "car"),
        ("/a/Car", "car"),
        ("/car/012", "car"),
        ("/cars/012", "target"),
        ("/a/train", "target"),
        ("/a/carship", "target"),
        ("/ship/a_car_plane", "ship"),
    ],
)
def test_the_class_of_a_single_folder(root, name):
    assert class_of_name(root) == name


def test_names_of_videos_that_speak_of_several_classes_are_told(tmp_path):
    for name in ("viso_car", "viso_plane"):
        video(tmp_path / name, 2)
    assert open_dataset(tmp_path, "all", "boxes").classes == ("target",)
    (line,) = warnings_given()
    assert "car in viso_car, plane in viso_plane" in line and "one class" in line


def test_videos_in_folders_of_splits(tmp_path):
    """SDM-Car and MOTChallenge; `val` is a test set where there is no `test`, whose labels may be kept back."""
    for name in ("train/v1", "train/v2", "val/v1"):
        video(tmp_path / name, 2)
    train, test = (open_dataset(tmp_path, split, "boxes") for split in ("train", "test"))
    assert list(train.sequences) == ["train/v1", "v2"] and list(test.sequences) == ["val/v1"]
    for number in range(2):
        write(tmp_path / f"test/v9/img/{number}.png", picture(number))
    assert list(open_dataset(tmp_path, "test", "images").sequences) == ["v9"]
    stops(tmp_path, "v9/img/0.png: image that no box list names", split="test")


def test_an_index_may_tell_the_split_of_videos(tmp_path):
    for name in ("001", "002"):
        video(tmp_path / "VISO" / name, 3)
    write_text(tmp_path / "VISO/train.txt", "001/img/000001.png\n001\\img\\000002.png\n/data/viso/001/img/000003.jpg\n")
    write_text(tmp_path / "VISO/test.txt", "".join(f"002/img/{number:06d}.png\n" for number in (1, 2)))
    train, test = (open_dataset(tmp_path / "VISO", split, "boxes") for split in ("train", "test"))
    assert [frame.number for frame in train.sequences["001"]] == [1, 2, 3] and len(test.sequences["002"]) == 2


def test_where_videos_and_other_images_lie_the_data_is_named(tmp_path):
    video(tmp_path / "VISO/mot/car/001")
    video(tmp_path / "VISO/mot/car/002")
    write(tmp_path / "VISO/coco/car/train2017/000001.png", picture())
    stops(tmp_path / "VISO", "2 videos with gt/gt.txt beside images without, in coco", tmp_path / "VISO/mot")
    stops(tmp_path / "VISO/mot/car/001/img", "the data seems to be in", tmp_path / "VISO/mot/car/001")
    stops(tmp_path / "VISO/mot/cars", "no such folder", tmp_path / "VISO/mot")
    write(tmp_path / "VISO/mot/car/003/img/1.png", picture())
    stops(tmp_path / "VISO/mot", "2 videos with gt/gt.txt", "in car/003")
    (tmp_path / "VISO/mot/car/003/gt").mkdir()
    write_text(tmp_path / "VISO/mot/car/003/gt/gt.txt", "")
    assert [len(own) for own in boxes_of(tmp_path / "VISO/mot")] == [1] * 8 + [0]


def test_frames_alone_are_no_dataset(tmp_path):
    write(tmp_path / "a/img/1.png", picture())
    stops(tmp_path, "neither images/ nor SequenceN/ folders")
    write_text(tmp_path / "b/gt/gt.txt", "")
    stops(tmp_path, "neither images/ nor SequenceN/ folders")


def test_links_are_followed_once(tmp_path):
    video(tmp_path / "disk/001", 2)
    (tmp_path / "set").mkdir()
    for name in ("a", "b"):
        (tmp_path / "set" / name).symlink_to(tmp_path / "disk/001")
    (tmp_path / "set/c").symlink_to(tmp_path / "set")
    assert list(open_dataset(tmp_path / "set", "all", "boxes").sequences) == ["a"]
    assert any("2 folders are linked to twice, the first b" in line for line in warnings_given())


def rscardata(root, sequences=("003", "005"), top="test1024", table=True):
    """images/test1024/NNN/img with the json of that split, and a training sequence."""
    keys = [f"images/{top}/{name}/img/{number:06d}.png" for name in sequences for number in (1, 2, 3)]
    train = [f"images/train2017/001/img/{number:06d}.png" for number in (1, 2)]
    for number, key in enumerate(keys + train):
        write(root / key, picture(number))
    if table:
        write_coco(root / "annotations/instances_test2017_1024.json", keys, ((4, 5, 6, 7),))
        write_coco(root / "annotations/instances_train2017.json", train)
    return root


def test_rscardata_as_it_lies(tmp_path):
    root = rscardata(tmp_path / "RsCarData")
    test, train = (open_dataset(root, split, "boxes") for split in ("test", "train"))
    assert test.name == "RsCarData" and list(test.sequences) == ["003", "005"] and list(train.sequences) == ["001"]
    assert all(frame.boxes == ((4, 5, 10, 12, 0),) for frame in test.frames) and not warnings_given()


def test_the_published_test_sequences_of_rscardata(tmp_path):
    numbers = [f"{number:03d}" for number in range(1, 11)]
    touch(tmp_path / "RsCarData", [f"images/{name}/img/000001.png" for name in numbers])
    found = open_dataset(tmp_path / "RsCarData", "test", "images")
    assert list(found.sequences) == ["002", "003", "005", "006", "008", "009", "010"]
    stops(tmp_path / "RsCarData", "none of them for 'train'", split="train", need="images")


VOC = "<annotation>{}</annotation>"
OBJECT = "<object><name>{}</name><difficult>{}</difficult><bndbox><xmin>13</xmin><ymin>11</ymin><xmax>15</xmax><ymax>14\
</ymax></bndbox></object>"


def test_voc_files_beside_frames_count_where_there_is_no_list(tmp_path):
    root = rscardata(tmp_path, ("003",), table=False)
    for number, text in enumerate((OBJECT.format("car", 0) * 2, "", OBJECT.format("tank", 1)), 1):
        write_text(root / f"images/test1024/003/xml_det/{number:06d}.xml", VOC.format(text))
    dataset = open_dataset(root, "test", "boxes")
    assert [frame.boxes for frame in dataset.frames] == [((12, 10, 15, 14, 0),), (), ()]  # the same box counts once
    assert dataset.frames[2].ignored == ((12, 10, 15, 14, 0),) and dataset.classes == ("car",)
    (line,) = warnings_given()
    assert "xml_det/ are taken as Pascal VOC has them" in line
    stops(root, "no box list names", split="train")
    write_text(root / "images/test1024/003/xml_det/000009.xml", VOC.format(""))
    stops(root, "000009.xml: boxes without an image")
    write_coco(root / "annotations/instances_test2017_1024.json", [f"003/img/{n:06d}.png" for n in (1, 2, 3)])
    assert open_dataset(root, "test", "boxes").side_labels == ""


@pytest.mark.parametrize("lists", ["Annotations", "annotations"])
def test_coco_trees_without_a_folder_of_images(tmp_path, lists):
    """VISO: coco/car/train2017/000001.jpg and Annotations/; frames of a flat folder are single ones, as in images/."""
    for split, count in (("train", 3), ("val", 2), ("test", 4)):
        names = [f"{number:06d}.jpg" for number in range(1, count + 1)]
        for number, name in enumerate(names):
            write(tmp_path / f"coco/car/{split}2017/{name}", picture(number))
        write_coco(tmp_path / f"coco/car/{lists}/instances_{split}2017.json", names, ((count, 5, 6, 7),))
    root = tmp_path / "coco/car"
    train, test = (open_dataset(root, split, "boxes") for split in ("train", "test"))
    assert train.layout == "split folders in the root" and len(train.sequences) == len(train.frames) == 3
    assert sorted(frame.image for frame in test.frames) == [str(root / f"test2017/00000{n}.jpg") for n in (1, 2, 3, 4)]
    assert {frame.boxes[0][0] for frame in train.frames} == {3} and {frame.boxes[0][0] for frame in test.frames} == {4}
    stops(tmp_path, "seems to be in", root)
    assert not warnings_given()


def test_folders_of_splits_are_no_dataset_without_lists(tmp_path):
    for split in ("train", "test"):
        write(tmp_path / f"{split}/1.png", picture())
    write_text(tmp_path / "annotations/readme.txt", "nothing")
    stops(tmp_path, "neither images/")


# --- masks -----------------------------------------------------------------------------------------------------------


def layouts(root):
    """A dataset of boxes in each layout, by the layout's name, and where a mask of it goes."""
    video(root / "a")
    video(root / "b/car/001")
    video(root / "b/ship/001")
    rscardata(root / "c")
    write(root / "d/train2017/000001.jpg", picture())
    write_coco(root / "d/annotations/instances_train2017.json", ["000001.jpg"])
    return {
        "a": "masks/000001.png",
        "b": "ship/001/masks/000001.png",
        "c": "masks/test1024/003/img/000001.png",
        "d": "masks/train2017/000001.png",
    }


@pytest.mark.parametrize("name", "abcd")
@pytest.mark.parametrize("elsewhere", [None, "copy", "link"])
def test_masks_are_made_of_boxes_and_boxes_of_these(tmp_path, name, elsewhere):
    place, root = layouts(tmp_path)[name], tmp_path / name
    before = sorted(root.rglob("*"))
    out = tmp_path / "out" if elsewhere else root
    boxes_to_masks.convert(str(root), str(out), "box", quiet=True, link=elsewhere == "link")
    assert (out / place).is_file()
    if elsewhere:
        assert sorted(root.rglob("*")) == before
    made = open_dataset(out, "all", "masks")
    assert all(frame.mask for frame in made.frames) and len(made.frames) == len(
        open_dataset(root, "all", "images").frames
    )
    true = [frame.boxes for frame in open_dataset(root, "all", "boxes").frames]
    assert [frame.boxes for frame in made.frames] == true
    masks_to_coco.convert(str(out), "all", str(tmp_path / "made"), quiet=True)
    found = json.loads((tmp_path / "made/instances_all.json").read_text())
    assert [entry["bbox"] for entry in found["annotations"]] == [
        [x1, y1, x2 - x1, y2 - y1] for own in true for x1, y1, x2, y2, _ in own
    ]


# --- tables ----------------------------------------------------------------------------------------------------------


def test_lines_with_0_in_the_seventh_column_are_regions_to_ignore(tmp_path):
    lines = "1,3,1,2,4,5,0,-1,-1,-1\n1,4,6,7,4,5,1,-1,-1,-1\n2,4,6,7,4,5,-1,-1,-1,-1\n"
    first, second, *_ = open_dataset(video(tmp_path, lines=lines), "all", "boxes").frames
    assert first.ignored == ((1, 2, 5, 7, 0),) and first.boxes == ((6, 7, 10, 12, 0),) and first.tracks == (4,)
    assert second.boxes == ((6, 7, 10, 12, 0),) and not second.ignored


def test_the_eighth_column_tells_classes_where_it_differs(tmp_path):
    lines = "1,1,1,2,4,5,1,3,1\n1,2,6,7,4,5,1,10,1\n2,3,6,7,4,5,0,7,1\n"
    dataset = open_dataset(video(tmp_path / "car", lines=lines), "all", "boxes")
    assert dataset.classes == ("class3", "class10")
    assert [box[4] for box in dataset.frames[0].boxes] == [0, 1]
    assert [box[4] for box in dataset.frames[1].ignored] == [0, 1]  # of no target's class, so of every one
    same = lines.replace(",10,1\n", ",3,1\n")
    write_text(tmp_path / "car/gt/gt.txt", same)
    dataset = open_dataset(tmp_path / "car", "all", "boxes")
    assert dataset.classes == ("car",) and {box[4] for frame in dataset.frames for box in frame.boxes} == {0}
    write_text(tmp_path / "car/gt/gt.txt", same.replace(",7,1\n", ",0.5,1\n"))  # a place in the world
    assert open_dataset(tmp_path / "car", "all", "boxes").classes == ("car",)


def test_pixels_count_from_1_in_motchallenge_and_from_0_else(tmp_path):
    for name in ("img", "img1"):
        video(tmp_path / name / "clip", 1, frames=name)
    assert boxes_of(tmp_path / "img/clip") == [((12, 10, 15, 14, 0),)]
    assert boxes_of(tmp_path / "img1/clip") == [((11, 9, 14, 13, 0),)]


@pytest.mark.parametrize(
    "first, lines, places, said",
    [
        (1, "1,1,1,2,3,4\n4,1,1,2,3,4\n", [1, 0, 0, 1], ""),
        (0, "1,1,1,2,3,4\n4,1,1,2,3,4\n", [1, 0, 0, 1], "frame 1 is taken for 000000, as there is no frame 0"),
        (0, "0,1,1,2,3,4\n3,1,1,2,3,4\n", [1, 0, 0, 1], ""),
        (100, "100,1,1,2,3,4\n103,1,1,2,3,4\n", [1, 0, 0, 1], ""),
        (1, "", [0, 0, 0, 0], ""),
        (1, "\r\n  \r\n4,-1,1.5,2,3,4\r\n\r\n", [0, 0, 0, 1], ""),
        (1, "4 2 1 2 3 4\n 1\t2 1e0 2. .5 4\n", [1, 0, 0, 1], ""),
        (1, "4;2;1;2;3;4;1", [0, 0, 0, 1], ""),
        (1, "\ufeff1, 2, 1, 2, 3, 4, 1, -1, -1, -1\n", [1, 0, 0, 0], ""),
    ],
)
def test_frames_of_tables_as_people_have_them(tmp_path, first, lines, places, said):
    frames = open_dataset(video(tmp_path, lines=lines, first=first), "all", "boxes").frames
    assert [len(frame.boxes) for frame in frames] == places
    assert ([said] if said else []) == [line.partition(": ")[2] for line in warnings_given()]


def test_names_without_numbers_count_by_their_order(tmp_path):
    for name in ("b", "a", "c"):
        write(tmp_path / f"img/{name}.png", picture(len(name)))
    write_text(tmp_path / "gt/gt.txt", "1,1,1,2,3,4\n")
    assert [len(own) for own in boxes_of(tmp_path)] == [1, 0, 0]


@pytest.mark.parametrize(
    "lines, parts",
    [
        ("1,1,1,2,3,4\n9,1,1,2,3,4\n7,1,1,2,3,4\n", ("gt.txt: frame 7: listed, but no such image in", "first of 2")),
        ("0,1,1,2,3,4\n", ("frame 0: listed, but no such image",)),
        ("1,1,1,2,3,4\n\n2,1,1,2,3\n", ("line 3: found '2,1,1,2,3', expected frame,id,x,y,w,h",)),
        ("frame,id,x,y,w,h\n1,1,1,2,3,4\n", ("line 1: found 'frame,id",)),
        ("1,1,1,2,3\n", ("line 1: found 5 numbers",)),
        ("1,1,1,2,3,4,1,1,1,1,1\n", ("line 1: found 11 numbers",)),
        ("1,1,1,2,3,four\n", ("line 1", "four")),
        ("1,1,1,2,3,4\n1.5,1,1,2,3,4\n", ("line 2: found 1.5,1,1,2,3,4, expected whole numbers for frame",)),
        ("-1,1,1,2,3,4\n", ("line 1: found -1,1",)),
        ("1,1.5,1,2,3,4\n", ("line 1: found 1,1.5",)),
        ("1,-2,1,2,3,4\n", ("line 1: found 1,-2",)),
        ("1,1,nan,2,3,4\n", ("line 1: found 1,1,nan",)),
        ("1,1,1,2,3,1e400\n", ("line 1", "inf")),
        ("1,1,1,2,3,4,0.83\n", ("line 1: found 0.83 in the seventh column", "detections")),
        ("1,1,0.1,0.2,0.3,0.4\n2,1,0.1,0.2,0.3,0.4\n", ("found shares of the image's sides",)),
    ],
)
def test_tables_that_cannot_be_meant_are_refused_in_one_line(tmp_path, lines, parts):
    stops(video(tmp_path, lines=lines), "gt/gt.txt", *parts)


@pytest.mark.parametrize(
    "line, found",
    [("2,1,30,10,9,4", "outside the image of 32x24"), ("2,1,5,5,0,4", "of no area"), ("2,1,5,-4,3,6", "outside")],
)
def test_boxes_that_do_not_fit_are_problems_of_the_dataset(tmp_path, line, found):
    problems, _, _ = check(str(video(tmp_path, lines=line)), quiet=True)
    assert len(problems) == 1 and "000002.png" in problems[0] and found in problems[0]


def test_every_frame_that_is_not_there_is_a_problem(tmp_path):
    problems, _, _ = check(str(video(tmp_path, lines="7,1,5,5,3,4\n1,1,5,5,3,4\n9,1,5,5,3,4\n")), quiet=True)
    assert [line.partition("gt.txt: ")[2][:8] for line in problems] == ["frame 7:", "frame 9:"]


def test_ids_that_come_twice_in_a_frame_are_told(tmp_path):
    open_dataset(video(tmp_path, lines="1,5,1,2,3,4\n1,5,9,9,3,4\n1,-1,9,2,3,4\n1,-1,9,12,3,4\n"), "all", "boxes")
    (line,) = warnings_given()
    assert "1 boxes have an id that another box of their frame has too" in line


def test_several_videos_in_one_folder_of_frames_are_refused(tmp_path):
    for name in ("day_1", "day_2", "night_1", "night_2"):
        write(tmp_path / f"img/{name}.png", picture(len(name)))
    write_text(tmp_path / "gt/gt.txt", "1,1,1,2,3,4\n")
    stops(tmp_path, "frame 1: listed, but no such image")


def test_a_json_counts_before_tables(tmp_path):
    video(tmp_path)
    write_coco(
        tmp_path / "annotations/boxes.json", [f"img/{number:06d}.png" for number in range(1, 5)], ((1, 1, 2, 2),)
    )
    assert boxes_of(tmp_path) == [((1, 1, 3, 3, 0),)] * 4


def test_many_boxes_are_read_in_no_time(tmp_path):
    rng = np.random.default_rng(0)
    rows = [
        f"{n % 50 + 1},{n // 50},{x},{y},3,4,1,-1,-1,-1" for n, (x, y) in enumerate(rng.integers(0, 20, (20_000, 2)))
    ]
    touch(tmp_path, [f"img/{number:06d}.png" for number in range(1, 51)])
    write_text(tmp_path / "gt/gt.txt", "\n".join(rows))
    found = list_files(check_root(tmp_path))
    assert len(found.images) == 50
    assert sum(map(len, boxes_of(tmp_path))) <= 20_000


# --- real data -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, frames, boxes, size", [("car", 10, 940, 1025), ("plane", 10, 20, 750), ("ship", 20, 20, 512)]
)
def test_real_videos_of_viso(name, frames, boxes, size):
    root = real_data("VISO-mini") / f"viso_{name}"
    dataset = open_dataset(root, "all", "boxes")
    assert dataset.layout == "one video" and dataset.classes == (name,) and list(dataset.sequences) == [root.name]
    assert len(dataset.frames) == frames and sum(len(frame.boxes) for frame in dataset.frames) == boxes
    problems, _, summary = check(str(root), quiet=True)
    assert not problems and f"x{size} ({frames})" in summary


def test_real_videos_beside_points_are_told_apart():
    stops(real_data("VISO-mini"), "3 videos with gt/gt.txt", "wpafb_aoi02", "viso_car", "viso_plane", "viso_ship")
