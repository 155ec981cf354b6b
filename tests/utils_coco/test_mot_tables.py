"""MOT tables: read as labels, written from COCO files and results, and back again with the same ids."""

import json
import shutil

import numpy as np
import pytest
from trees import SIZE, coco, picture, real_data, write, write_text

from utils.datasets.coco import load_coco
from utils.datasets.dataset import open_dataset
from utils.system.errors import UserError
from utils.system.notices import warnings_given
from utils_coco import coco_to_mot, txt_to_coco
from utils_coco.import_labels import convert
from utils_coco.label_kinds import guess_kind
from utils_coco.mot_labels import find_tables

KEYS = {"a": [1, 2, 3], "b": [5, 6]}
LINES = {  # by video, as coco_to_mot writes them
    "a": ["1,3,1,2,4,5,1,1,-1", "1,12,10.5,2.25,4,5,1,2,-1", "3,-1,1,2,4,5,0,1,-1", "3,3,2,3,4,5,1,1,-1"],
    "b": ["6,1,20,15,5,6,1,2,-1"],
}


def frames(root, inner="img", keys=KEYS):
    for video, numbers in keys.items():
        for number in numbers:
            write(root / video / inner / f"{number:06d}.png", picture(number))
    return root


def tables(root, place="gt/gt.txt", lines=LINES):
    for video, own in lines.items():
        write_text(root / video / place, "\n".join(own) + "\n")
    return root


def take(tmp_path, images="set", labels="set", **options):
    """Import, and give the said lines, and the made dataset's frames by sequence."""
    said = convert(str(tmp_path / images), str(tmp_path / labels), str(tmp_path / "out"), **options)
    return said, open_dataset(tmp_path / "out", "all", "boxes").sequences


# --- read ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["gt/gt.txt", "gt.txt"])
@pytest.mark.parametrize("apart", [False, True])
def test_tables_beside_frames_or_apart_are_labels(tmp_path, place, apart):
    frames(tmp_path / "set")
    tables(tmp_path / ("lab" if apart else "set"), place)
    said, found = take(tmp_path, labels="lab" if apart else "set")
    assert said[0].endswith("of the kind 'mot'") and "classes: 0 class1, 1 class2" in said
    assert [[frame.boxes for frame in own] for own in found.values()] == [
        [((1, 2, 5, 7, 0), (10.5, 2.25, 14.5, 7.25, 1)), (), ((2, 3, 6, 8, 0),)],
        [(), ((20, 15, 25, 21, 1),)],
    ]
    assert [frame.tracks for frame in found["a"]] == [(3, 12), (), (3,)]
    assert found["a"][2].ignored == ((1, 2, 5, 7, 0),)
    assert any(line.startswith("x and y of 2 MOT tables are taken as counted from 0") for line in said)


@pytest.mark.parametrize(
    "images, labels",
    [
        ("set/a/img", "set/a/gt/gt.txt"),
        ("set/a/img", "set/a/gt"),
        ("set/a", "set/a"),
        ("set/a/img", "set/a"),
        ("set/a/img", "elsewhere.txt"),
    ],
)
def test_a_single_video_is_found_whatever_is_given(tmp_path, images, labels):
    tables(frames(tmp_path / "set"))
    write_text(tmp_path / "elsewhere.txt", "\n".join(LINES["a"]))
    said, found = take(tmp_path, images, labels, fraction=0)
    (own,) = found.values()
    assert [len(frame.boxes) for frame in own] == [2, 0, 1] and list(found) == ["a"]
    assert not any("left out" in line for line in said)


def test_tables_of_visdrone_are_called_like_their_videos(tmp_path):
    frames(tmp_path / "sequences", "")
    for video, own in LINES.items():
        write_text(tmp_path / f"annotations/{video}.txt", "".join(f"{line},0\n" for line in own))
    _, found = take(tmp_path, "sequences", "annotations")
    assert [[len(frame.boxes) for frame in own] for own in found.values()] == [[2, 0, 1], [0, 1]]


@pytest.mark.parametrize("given, corner", [(None, 0), (0, 1), (1, 0)])
def test_pixels_count_from_1_where_frames_lie_in_img1(tmp_path, given, corner):
    tables(frames(tmp_path / "set", "img1"))
    said, found = take(tmp_path, first_pixel=given)
    assert found["a"][0].boxes[0][:4] == (corner, corner + 1, corner + 4, corner + 6)
    assert any("counted from 1" in line and "--first-pixel 0" in line for line in said) == (given is None)


def test_classes_are_called_after_folders(tmp_path):
    lines = {"car/x": ["1,1,1,2,3,4,1,-1,-1,-1"], "ship/y": ["1,1,1,2,3,4,1,-1,-1,-1"]}
    tables(frames(tmp_path / "set", keys={"car/x": [1], "ship/y": [1]}), lines=lines)
    said, _ = take(tmp_path)
    assert "classes: 0 car, 1 ship" in said


def test_detections_are_read_alone_and_passed_over_beside_labels(tmp_path):
    tables(frames(tmp_path / "set"), "det/det.txt", {"a": ["1,-1,1,2,4,5,0,-1,-1,-1", "1,-1,9,2,4,5,0.83,-1,-1,-1"]})
    _, found = take(tmp_path)
    assert len(found["a"][0].boxes) == 2 and found["a"][0].tracks == () and not found["a"][0].ignored
    assert any("2 of 2 boxes have a score" in line and "look like predictions" in line for line in warnings_given())
    tables(tmp_path / "set")
    paths, passed_over = find_tables(tmp_path / "set")
    assert paths == {video: tmp_path / f"set/{video}/gt/gt.txt" for video in "ab"}
    assert passed_over == [tmp_path / "set/a/det/det.txt"]


def test_frames_without_an_image_are_counted(tmp_path):
    lines = {"a": [*LINES["a"], "9,1,1,2,3,4,1,1,-1", "9,2,1,2,3,4,1,1,-1"], "c": ["1,1,1,2,3,4,1,1,-1"]}
    tables(frames(tmp_path / "set"), lines=lines)
    said, found = take(tmp_path)
    assert "left out: labels of 2 images that are not there, the first a/9" in said and len(found) == 2


def test_frames_counted_from_1_are_images_counted_from_0(tmp_path):
    frames(tmp_path / "set", keys={"a": [0, 1, 2]})
    _, found = take(tmp_path, labels=tables(tmp_path / "lab", lines={"a": LINES["a"]}).name, fraction=0)
    assert [len(frame.boxes) for frame in found["a"]] == [2, 0, 1]
    assert any("frame 1 is taken for 000000" in line for line in warnings_given())


def test_an_empty_table_is_a_video_without_targets(tmp_path):
    tables(frames(tmp_path / "set"), lines={"a": [""], "b": LINES["b"]})
    _, found = take(tmp_path)
    assert [[len(frame.boxes) for frame in own] for own in found.values()] == [[0, 0, 0], [0, 1]]
    assert guess_kind(tmp_path / "set/a/gt") == "mot"


def test_a_broken_line_is_named(tmp_path):
    tables(frames(tmp_path / "set"), lines={"a": [*LINES["a"], "4,1,1,2"]})
    with pytest.raises(UserError, match=r"a/gt/gt.txt: line 5: found '4,1,1,2', expected frame,id,x,y,w,h"):
        take(tmp_path)


def test_boxes_over_the_border_stop_or_are_cut(tmp_path):
    tables(frames(tmp_path / "set"), lines={"a": ["1,1,28,20,9,9", "2,1,50,20,9,9"]})
    with pytest.raises(UserError, match="found 2 places with boxes that do not fit"):
        take(tmp_path)
    said, found = take(tmp_path, cut=True)
    assert found["a"][0].boxes == ((28, 20, 32, 24, 0),) and "left out, wholly outside of their image: 1 boxes" in said


def test_a_table_is_no_list_of_images(tmp_path):
    write_text(tmp_path / "gt.txt", "\n".join(LINES["a"]))
    with pytest.raises(UserError, match="found a MOT table, expected a txt list of images; .*import_labels"):
        txt_to_coco.convert(str(tmp_path / "gt.txt"))


def test_heads_of_dronecrowd_are_given_by_their_corners(tmp_path):
    """A made example: 20 x 20 pixels around each head."""
    lines = ["1,0,2,1,22,21,1,0,0,0", "1,1,5,2,25,22,1,0,0,0", "2,0,3,1,23,21,1,0,0,0"]
    tables(frames(tmp_path / "set"), lines={"a": lines})
    _, found = take(tmp_path)
    assert found["a"][0].boxes == ((2, 1, 22, 21, 0), (5, 2, 25, 22, 0)) and found["a"][0].tracks == (0, 1)
    assert any("given by their corners" in line for line in warnings_given())
    tables(tmp_path / "set", lines={"a": [*lines, "2,1,3,1,20,20,1,0,0,0"]})
    shutil.rmtree(tmp_path / "out")
    _, found = take(tmp_path)
    assert found["a"][0].boxes == ((2, 1, 24, 22, 0), (5, 2, 30, 24, 0))


def test_tracks_of_a_table_of_points_stay(tmp_path):
    frames(tmp_path, keys={"set": [100, 101]})
    write_text(tmp_path / "points.csv", "frame,id,x,y\n100,88,12,13\n100,89,20,11\n101,88,13,13\n101,-1,5,5\n")
    _, found = take(tmp_path, labels="points.csv", fraction=0)
    assert [frame.tracks for frame in found["set"]] == [(88, 89), (88, -1)]


# --- written ---------------------------------------------------------------------------------------------------------


def test_what_is_written_is_what_was_read(tmp_path):
    tables(frames(tmp_path / "set"))
    take(tmp_path, test=["b"])
    for split in ("train", "test"):
        path = tmp_path / f"out/annotations/instances_{split}2017.json"
        said = coco_to_mot.convert(str(path), str(tmp_path / "mot"), image_root=str(tmp_path / "out"))
    assert "classes: 1 class1, 2 class2" in said
    for video, split in (("a", "train"), ("b", "test")):
        text = (tmp_path / f"mot/images/{split}/{video}/gt/gt.txt").read_text()
        assert text.splitlines() == LINES[video]
    (tmp_path / "out").rename(tmp_path / "first")
    convert(str(tmp_path / "first/images"), str(tmp_path / "mot"), str(tmp_path / "out"))
    first, again = (open_dataset(tmp_path / name, "all", "boxes").frames for name in ("first", "out"))
    first, again = (
        {frame.number: (frame.boxes, frame.ignored, frame.tracks) for frame in own} for own in (first, again)
    )
    assert first == again


def listed(tmp_path, count=3, start=0, **extra):
    names = [f"x/img/{start + number}.png" for number in range(count)]
    content = coco(names, boxes=((12, 10, 3, 3), (1.5, 2, 0.1, 4)), **extra)
    return content, write_text(tmp_path / "DATA/annotations/instances.json", json.dumps(content))


def test_frames_count_from_1_and_pixels_as_asked(tmp_path):
    _, path = listed(tmp_path, 2, track_id=4)
    for first, expected in ((0, "12,10,3,3"), (1, "13,11,3,3")):
        said = coco_to_mot.convert(str(path), str(tmp_path / "mot"), first_pixel=first, overwrite=True)
        lines = (tmp_path / "mot/x/gt/gt.txt").read_text().splitlines()
        assert lines == [
            f"{frame},4,{own},1,1,-1" for frame in (1, 2) for own in (expected, f"{1.5 + first},{2 + first},0.1,4")
        ]
        assert f"x and y counted from {first}" in said[0]
    with pytest.raises(UserError, match="found a file already"):
        coco_to_mot.convert(str(path), str(tmp_path / "mot"))


def test_detections_have_scores_and_go_to_det(tmp_path):
    content, path = listed(tmp_path)
    results = [
        {"image_id": 2, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.25, "track_id": 9},
        {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 1},
    ]
    write_text(tmp_path / "found.json", json.dumps(results))
    said = coco_to_mot.convert(str(tmp_path / "found.json"), str(tmp_path / "mot"), images=str(path))
    lines = ["1,-1,1,2,3,4,1,-1,-1,-1", "2,9,1,2,3,4,0.25,-1,-1,-1"]
    assert (tmp_path / "mot/x/det/det.txt").read_text().splitlines() == lines
    assert "that there are images without a box (1 images)" in said[-1]
    content["annotations"] = [{**item, "id": number} for number, item in enumerate(results)]
    write_text(tmp_path / "film/coco.json", json.dumps(content))
    coco_to_mot.convert(str(tmp_path / "film/coco.json"), str(tmp_path / "other"))
    assert (tmp_path / "other/x/det/det.txt").read_text().splitlines() == lines


@pytest.mark.parametrize(
    "place, video",
    [("film/coco.json", "film"), ("VISO/annotations/x.json", "VISO"), ("VISO/Annotations/x.json", "VISO")],
)
def test_images_in_no_folder_are_a_video_called_after_the_list(tmp_path, place, video):
    write_text(tmp_path / place, json.dumps(coco(["7.png", "9.png"], track_id="cab")))
    said = coco_to_mot.convert(str(tmp_path / place), str(tmp_path / "mot"))
    lines = (tmp_path / f"mot/{video}/gt/gt.txt").read_text().splitlines()
    assert lines == ["7,0,12,10,3,3,1,1,-1", "9,0,12,10,3,3,1,1,-1"]
    assert "ids of tracks that are text, which are numbered (1 tracks)" in said[-1]


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda c: c["images"][0].update(file_name="../x/0.png"), "leads out of its folder"),
        (lambda c: c["images"][0].update(file_name="y/../../0.png"), "leads out of its folder"),
        (lambda c: c["annotations"][0].update(bbox=[30, 20, 9, 9]), "outside the image of 32x24"),
        (lambda c: c["annotations"][0].update(bbox=[3, 2, 0, 9]), "of no area"),
        (lambda c: c["annotations"][0].update(score=0.5), "found 1 of 6 boxes with a score"),
        (lambda c: c["annotations"][0].update(image_id=77), "belongs to image 77"),
        (lambda c: c["annotations"][0].update(track_id=[1]), "track_id"),
        (lambda c: c.pop("categories"), "no list 'categories'"),
    ],
)
def test_files_of_no_use_are_refused(tmp_path, change, message):
    content, path = listed(tmp_path)
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=message):
        coco_to_mot.convert(str(path), str(tmp_path / "mot"))
    assert not (tmp_path / "mot").exists()


@pytest.mark.parametrize(
    "results, images, message",
    [
        ([], None, "expected --images too"),
        ([{"image_id": 1}], True, "entry 0 is .*, without a usable 'category_id'"),
        ([{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 1, "track_id": {}}], True, "'track_id'"),
        ([{"image_id": 8, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 1}], True, "belongs to image 8"),
        ({}, True, "which has its own images"),
        ("text", None, "found a str"),
    ],
)
def test_results_of_no_use_are_refused(tmp_path, results, images, message):
    _, path = listed(tmp_path)
    write_text(tmp_path / "found.json", json.dumps(results))
    with pytest.raises(UserError, match=message):
        coco_to_mot.convert(str(tmp_path / "found.json"), str(tmp_path / "mot"), images=str(path) if images else None)


def test_names_of_several_videos_in_one_folder_cannot_be_written(tmp_path):
    names = [f"x/{name}_{number}.png" for name in ("day", "night") for number in range(3)]
    write_text(tmp_path / "x.json", json.dumps(coco(names)))
    with pytest.raises(UserError, match="day_0.png: the names of its images are of several videos"):
        coco_to_mot.convert(str(tmp_path / "x.json"), str(tmp_path / "mot"))


def test_the_command_writes_into_a_dataset_of_videos(tmp_path, capsys):
    """Where frames lie in img/ the tables come to lie beside them, and are read back."""
    frames(tmp_path / "set")
    names = [f"a/img/{number:06d}.png" for number in KEYS["a"]]
    write_text(tmp_path / "boxes.json", json.dumps(coco(names, track_id=2)))
    coco_to_mot.main([str(tmp_path / "boxes.json"), "--out", str(tmp_path / "set"), "--first-pixel", "0"])
    assert "set/a/gt/gt.txt: 1 tables, 3 images, 3 boxes (0 images without)" in capsys.readouterr().out
    write_text(tmp_path / "set/b/gt/gt.txt", "")
    found = open_dataset(tmp_path / "set", "all", "boxes").sequences
    assert [(frame.boxes, frame.tracks) for frame in found["a"]] == [(((12, 10, 15, 13, 0),), (2,))] * 3


def test_many_random_boxes_come_back_with_every_decimal(tmp_path):
    rng = np.random.default_rng(3)
    content = coco([f"v/{number}.png" for number in range(1, 8)], boxes=(), size=SIZE)
    for number in range(200):
        x, y = rng.uniform(0, 12, 2).round(int(rng.integers(0, 4))).tolist()
        box = {"bbox": [x, y, *rng.uniform(1, 9, 2).round(3).tolist()], "track_id": int(rng.integers(0, 9))}
        content["annotations"].append({"id": number, "image_id": int(rng.integers(1, 8)), "category_id": 1, **box})
    write_text(tmp_path / "x.json", json.dumps(content))
    coco_to_mot.convert(str(tmp_path / "x.json"), str(tmp_path / "lab"))
    for number in range(1, 8):
        write(tmp_path / f"img/v/{number}.png", picture(number))
    convert(str(tmp_path / "img"), str(tmp_path / "lab"), str(tmp_path / "out"), fraction=0)
    back = load_coco(str(tmp_path / "out/annotations/instances_train2017.json"))
    given, made = (
        sorted((item["image_id"], item["track_id"], *np.round(item["bbox"], 3)) for item in found["annotations"])
        for found in (content, back)
    )
    assert given == made


# --- real data -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["car", "plane", "ship"])
def test_real_tables_of_viso_come_back(tmp_path, name):
    root = real_data("VISO-mini") / f"viso_{name}"
    convert(str(root / "img"), str(root / "gt"), str(tmp_path / "out"), link=True, fraction=0)
    path = tmp_path / "out/annotations/instances_train2017.json"
    coco_to_mot.convert(str(path), str(tmp_path / "mot"), image_root=str(tmp_path / "out"))
    written = np.loadtxt(tmp_path / f"mot/images/train/viso_{name}/gt/gt.txt", delimiter=",")
    given = np.loadtxt(root / "gt/gt.txt", delimiter=",")
    assert sorted(map(tuple, written[:, :6])) == sorted(map(tuple, given[:, :6]))
    assert load_coco(str(path))["categories"] == [{"id": 1, "name": name}]


def test_real_points_become_boxes_with_their_tracks(tmp_path):
    root = real_data("VISO-mini") / "wpafb_aoi02"
    convert(str(root / "img"), str(root / "points.csv"), str(tmp_path / "out"), link=True, fraction=0)
    frames = open_dataset(tmp_path / "out", "train", "boxes").frames
    rows = np.loadtxt(root / "points.csv", delimiter=",", skiprows=1)
    assert sum(len(frame.boxes) for frame in frames) == len(rows) == 600
    first = rows[rows[:, 0] == 100]
    assert list(frames[0].tracks) == first[:, 1].tolist()
    centres = [((x1 + x2) / 2, (y1 + y2) / 2) for x1, y1, x2, y2, _ in frames[0].boxes]
    inside = (first[:, 2:] > 4).all(1) & (first[:, 2] < 490) & (first[:, 3] < 580)
    assert np.allclose(np.array(centres)[inside], first[inside, 2:])
