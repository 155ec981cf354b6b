"""COCO → another program's format → COCO: boxes, classes, ids of tracks, frames and regions to ignore come back."""

import json
import unicodedata
from collections import Counter

import numpy as np
import pytest
from trees import picture, write, write_text

from utils.datasets.coco import load_coco
from utils.system.errors import UserError
from utils.system.notices import warnings_given
from utils_coco import coco_to_cvat, coco_to_labelme, coco_to_mot, coco_to_yolo
from utils_coco.import_labels import convert

SIZE = (48, 64)
VIDEOS = {"été": (3, 4, 7, 8, 30), "b": range(6)}  # numbers of the images
WRITERS = {  # by kind: the command, its options, the largest error of a side in pixels, and what it cannot hold
    "mot": (coco_to_mot, {}, 0, ("name",)),
    "cvat": (coco_to_cvat, {}, 0, ()),
    "cvat by names": (coco_to_cvat, {"frame_numbers": "names"}, 0, ()),
    "labelme": (coco_to_labelme, {}, 0, ()),
    "yolo": (coco_to_yolo, {"tracks": True}, 1e-4, ("ignored",)),
    "yolo without tracks": (coco_to_yolo, {}, 1e-4, ("ignored", "track")),
}
BACK = {"cvat by names": {"frame_numbers": "names"}}  # options of the import


def content_of(rng, classes=("drone", "oiseau 鳥"), boxes=60, score=None):
    """Random boxes of three decimals in two videos, of eight tracks, each of one class and once in a frame."""
    names = [f"images/train/{video}/{number:04d}.png" for video, numbers in VIDEOS.items() for number in numbers]
    images = [{"id": i, "file_name": name, "width": SIZE[1], "height": SIZE[0]} for i, name in enumerate(names, 1)]
    annotations, seen = [], set()
    while len(annotations) < boxes:
        image, track = int(rng.integers(2, len(names) + 1)), int(rng.integers(8))  # the first image has no box
        if (image, track) in seen:
            continue
        seen.add((image, track))
        x, y = rng.uniform((0, 0), (50, 34)).round(3).tolist()
        item = {
            "id": len(annotations),
            "image_id": image,
            "category_id": 1 + track % len(classes),
            "bbox": [x, y, *rng.uniform(1, 13, 2).round(3).tolist()],
            "track_id": track,
            "iscrowd": int(track == 7),
            **({} if score is None else {"score": score}),
        }
        annotations.append(item)
    categories = [{"id": number, "name": name} for number, name in enumerate(classes, 1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def write_images(tmp_path):
    for video, numbers in VIDEOS.items():
        for number in numbers:
            write(tmp_path / f"data/images/train/{video}/{number:04d}.png", picture(number, SIZE))


def rows_of(content, lost=()):
    """Video/frame, box, class, track and whether it is ignored, of every annotation."""
    names = {image["id"]: "/".join(image["file_name"].split("/")[-2:]) for image in content["images"]}
    classes = {item["id"]: item["name"] for item in content["categories"]}
    rows = []
    for item in content["annotations"]:
        x, y, w, h = item["bbox"]
        if item["iscrowd"] and "ignored" in lost:
            continue
        name = (
            f"class{item['category_id']}" if "name" in lost and classes[1] != "class1" else classes[item["category_id"]]
        )
        track = None if "track" in lost else item.get("track_id")
        rows.append(
            (names[item["image_id"]], name, -1 if track is None else track, item["iscrowd"], x, y, x + w, y + h)
        )
    return sorted(rows)


def there_and_back(tmp_path, kind, content):
    """Write, import again, and give what the writer said and what was read."""
    command, options, *_ = WRITERS[kind]
    source = write_text(tmp_path / "data/annotations/instances_train2017.json", json.dumps(content))
    said = command.convert(str(source), str(tmp_path / "lab"), image_root=str(tmp_path / "data"), **options)
    convert(
        str(tmp_path / "data/images/train"),
        str(tmp_path / "lab"),
        str(tmp_path / "out"),
        fraction=0,
        **BACK.get(kind, {}),
    )
    return said, load_coco(str(tmp_path / "out/annotations/instances_train2017.json"))


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("seed", range(2))
def test_boxes_of_two_videos_come_back(tmp_path, kind, seed):
    write_images(tmp_path)
    content = content_of(np.random.default_rng(seed))
    lost, most = WRITERS[kind][3], WRITERS[kind][2]
    said, back = there_and_back(tmp_path, kind, content)
    given, made = rows_of(content, lost), rows_of(back, lost)
    assert [row[:4] for row in given] == [row[:4] for row in made]
    apart = np.abs(np.array([row[4:] for row in given]) - [row[4:] for row in made])
    assert apart.max() <= most + 1e-9
    assert len(back["images"]) == len(content["images"])
    assert all("frame 1 is taken for 0000" in line for line in warnings_given()), "which MOT's count from 1 needs"
    left = [line for line in said if line.startswith("left out")]
    words = {"track": "ids of tracks", "ignored": "regions to ignore"}
    assert all(words[name] in left[0] for name in lost if name in words)


@pytest.mark.parametrize("kind", WRITERS)
def test_boxes_without_tracks_stay_without(tmp_path, kind):
    write_images(tmp_path)
    content = content_of(np.random.default_rng(3))
    for item in content["annotations"]:
        del item["track_id"]
    lost = WRITERS[kind][3]
    _, back = there_and_back(tmp_path, kind, content)
    assert [row[:4] for row in rows_of(content, lost)] == [row[:4] for row in rows_of(back, lost)]


@pytest.mark.parametrize("kind", ["mot", "cvat", "labelme", "yolo"])
def test_names_of_videos_in_another_unicode_form_are_found(tmp_path, kind):
    """As where macOS has unpacked the labels."""
    write_images(tmp_path)
    content = content_of(np.random.default_rng(15), ("class1", "class2"))
    text = unicodedata.normalize("NFD", json.dumps(content, ensure_ascii=False))
    source = write_text(tmp_path / "x.json", text)
    command, options, _, lost = WRITERS[kind]
    command.convert(str(source), str(tmp_path / "lab"), **options)
    images, labels, out = (str(tmp_path / name) for name in ("data/images/train", "lab", "out"))
    convert(images, labels, out, fraction=0)
    back = rows_of(load_coco(str(tmp_path / "out/annotations/instances_train2017.json")), lost)
    assert [row[:4] for row in rows_of(content, lost)] == [row[:4] for row in back]
    assert any("another Unicode form" in line or "spelt" in line for line in warnings_given())


@pytest.mark.parametrize("kind", WRITERS)
def test_a_single_track_of_one_target_comes_back(tmp_path, kind):
    write_images(tmp_path)
    content = content_of(np.random.default_rng(4), ("target",), 0)
    for image in content["images"]:
        more = {"image_id": image["id"], "track_id": 1, "bbox": [image["id"], 2, 3, 4], "iscrowd": 0, "category_id": 1}
        content["annotations"].append({"id": image["id"], **more})
    lost = WRITERS[kind][3]
    _, back = there_and_back(tmp_path, kind, content)
    assert rows_of(content, lost) == [(*row[:4], *np.round(row[4:], 6).tolist()) for row in rows_of(back, lost)]


@pytest.mark.parametrize("kind", WRITERS)
def test_boxes_over_the_border_stop_or_are_cut(tmp_path, kind):
    write_images(tmp_path)
    content = content_of(np.random.default_rng(5), boxes=3)
    content["annotations"][0] |= {"bbox": [60, 40, 9, 9.5], "iscrowd": 0}
    content["annotations"][1] |= {"bbox": [70, 40, 9, 9], "iscrowd": 0}
    command, options, *_ = WRITERS[kind]
    source = write_text(tmp_path / "data/annotations/x.json", json.dumps(content))
    with pytest.raises(UserError, match=r"found 2 places .*outside the image of 64x48.*, or give --cut"):
        command.convert(str(source), str(tmp_path / "lab"), **options)
    assert not (tmp_path / "lab").exists()
    said = command.convert(str(source), str(tmp_path / "lab"), cut=True, **options)
    assert "cut at their image's border: 1 boxes" in said
    assert "left out, wholly outside of their image: 1 boxes" in said


@pytest.mark.parametrize("kind", ["cvat", "labelme", "yolo"])
def test_a_folder_that_is_not_empty_is_left_as_it_is(tmp_path, kind):
    source = write_text(tmp_path / "data/x.json", json.dumps(content_of(np.random.default_rng(6))))
    write_text(tmp_path / "lab/mine.txt", "")
    with pytest.raises(UserError, match="lab: found something there, expected a new or empty folder"):
        WRITERS[kind][0].convert(str(source), str(tmp_path / "lab"))
    with pytest.raises(UserError, match="what is read"):
        WRITERS[kind][0].convert(str(source), str(tmp_path / "data/lab"), image_root=str(make_dataset(tmp_path)))
    assert [path.name for path in (tmp_path / "lab").iterdir()] == ["mine.txt"]


def make_dataset(tmp_path):
    write_images(tmp_path)
    return tmp_path / "data"


@pytest.mark.parametrize("kind", ["cvat", "labelme", "yolo"])
@pytest.mark.parametrize("name", ["../x/0.png", "y/../../0.png", "images/.."])
def test_names_that_lead_out_are_refused(tmp_path, kind, name):
    content = content_of(np.random.default_rng(7))
    content["images"][0]["file_name"] = name
    source = write_text(tmp_path / "x.json", json.dumps(content))
    with pytest.raises(UserError, match="leads out of its folder"):
        WRITERS[kind][0].convert(str(source), str(tmp_path / "lab"))
    assert not (tmp_path / "lab").exists()


@pytest.mark.parametrize(
    "kind, name", [("cvat", "a\x01b"), ("cvat", " "), ("labelme", ""), ("yolo", "a\nb"), ("yolo", "'\"")]
)
def test_names_of_classes_that_a_format_cannot_hold_are_refused(tmp_path, kind, name):
    content = content_of(np.random.default_rng(8), (name, "b"))
    source = write_text(tmp_path / "x.json", json.dumps(content))
    with pytest.raises(UserError, match="x.json: found category .*; rename it"):
        WRITERS[kind][0].convert(str(source), str(tmp_path / "lab"))


@pytest.mark.parametrize("kind", ["cvat", "labelme", "yolo"])
def test_names_with_marks_of_the_formats_come_back(tmp_path, kind):
    write_images(tmp_path)
    content = content_of(np.random.default_rng(9), ("a & <b> 'c' #1", 'say "no"'))
    lost = WRITERS[kind][3]
    _, back = there_and_back(tmp_path, kind, content)
    assert Counter(row[1] for row in rows_of(back, lost)) == Counter(row[1] for row in rows_of(content, lost))


def test_tracks_of_several_classes_and_boxes_twice_in_a_frame_become_tracks_of_cvat_with_new_ids(tmp_path):
    write_images(tmp_path)
    content = content_of(np.random.default_rng(10), boxes=0)
    rows = [(2, 5, 1), (3, 5, 1), (4, 5, 2), (3, 5, 1), (2, None, 1), (3, 9, 1), (4, 9, 1)]
    for number, (image, track, category) in enumerate(rows):
        item = {"id": number, "image_id": image, "bbox": [number, 1, 3, 3], "category_id": category, "iscrowd": 0}
        content["annotations"].append(item | ({} if track is None else {"track_id": track}))
    said, back = there_and_back(tmp_path, "cvat", content)
    assert [item["track_id"] for item in sorted(back["annotations"], key=lambda item: item["bbox"][0])] == [
        *(5, 5, 12, 11, 10, 9, 9)
    ]
    for text in ("1 boxes without a track", "1 boxes of a track that has", "1 tracks with boxes of several classes"):
        assert text in said[-1]


def test_scores_stay_in_labelme_and_in_lines_of_yolo_and_are_told_elsewhere(tmp_path):
    write_images(tmp_path)
    content = content_of(np.random.default_rng(11), score=0.875)
    for kind in ("labelme", "yolo", "cvat", "mot"):
        source = write_text(tmp_path / "data/x.json", json.dumps(content))
        said = WRITERS[kind][0].convert(str(source), str(tmp_path / kind), **WRITERS[kind][1])
        assert any("scores (60 boxes)" in line for line in said) == (kind == "cvat")
    path = tmp_path / "labelme/train/été/0004.json"
    assert json.loads(path.read_text(encoding="utf-8"))["shapes"][0]["score"] == 0.875
    assert " 0.875 " in (tmp_path / "yolo/labels/train/été/0004.txt").read_text(encoding="utf-8")


def test_what_labelme_opens_leads_to_the_image(tmp_path):
    write_images(tmp_path)
    content = content_of(np.random.default_rng(12))
    source = write_text(tmp_path / "data/annotations/x.json", json.dumps(content))
    coco_to_labelme.convert(str(source), str(tmp_path / "lab"), image_root=str(tmp_path / "data"))
    path = tmp_path / "lab/train/b/0002.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    assert (path.parent / content["imagePath"]).resolve() == tmp_path / "data/images/train/b/0002.png"
    assert (content["imageHeight"], content["imageWidth"]) == SIZE
    assert content["imageData"] is None


def test_yolo_needs_the_size_of_images(tmp_path):
    content = content_of(np.random.default_rng(13))
    del content["images"][2]["width"]
    source = write_text(tmp_path / "x.json", json.dumps(content))
    with pytest.raises(UserError, match="found no width and height of images/train/été/0007.png.*--image-root"):
        coco_to_yolo.convert(str(source), str(tmp_path / "lab"))


@pytest.mark.parametrize("command", [coco_to_cvat, coco_to_labelme, coco_to_yolo])
def test_the_commands_say_what_they_wrote(tmp_path, capsys, command):
    source = write_text(tmp_path / "x.json", json.dumps(content_of(np.random.default_rng(14))))
    command.main([str(source), "--out", str(tmp_path / "lab")])
    assert "11 images, " in capsys.readouterr().out
