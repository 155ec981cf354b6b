"""Label formats that are not read are named, those beside labels are passed over, and other forms of YOLO and COCO."""

import json

import numpy as np
import pytest
from labelling import BOX, coco_json, each, mask, voc, yolo
from trees import SIZE, picture, write, write_text

from utils.datasets.dataset import open_dataset
from utils.system.errors import UserError
from utils.system.notices import warnings_given
from utils_coco.import_labels import convert
from utils_coco.label_kinds import guess_kind

KEYS = [f"s/{i:03d}" for i in range(4)]
X1, Y1, X2, Y2 = BOX
POINTS = [(X1, Y1), (X2, Y1), (X2, Y2), (X1, Y2)]
CVAT_BOX = f'<box label="drone" xtl="{X1}" ytl="{Y1}" xbr="{X2}" ybr="{Y2}"/>'


@pytest.fixture
def images(tmp_path):
    for number, key in enumerate(KEYS):
        write(tmp_path / f"img/{key}.png", picture(number))
    return tmp_path / "img"


def take(tmp_path, **options):
    """Import `lab` and give the boxes of all frames."""
    convert(str(tmp_path / "img"), str(tmp_path / "lab"), str(tmp_path / "out"), **options)
    return [frame.boxes for frame in open_dataset(tmp_path / "out", "all", "boxes").frames]


def as_json(content):
    return json.dumps(content)


READ_LAST = {  # which are read where no other labels are
    "labelme": ("s/000.json", as_json({"version": "5", "shapes": [], "imagePath": "000.png"})),
    "CVAT": ("annotations.xml", f'<annotations><image id="0" name="s/000.png">{CVAT_BOX}</image></annotations>'),
    "MOTChallenge": ("s/gt/gt.txt", "1,1,12,10,3,3,1,1,1.0\n2,1,12,10,3,3,1,1,1.0\n"),
}
UNREAD = {  # by the format's name in the message: the label file and its text
    "Anti-UAV": ("s/IR_label.json", as_json({"exist": [1], "gt_rect": [[1, 2, 3, 4]]})),
    "VGG Image Annotator": ("via.json", as_json({"_via_img_metadata": {}})),
    "CreateML": ("x.json", as_json([{"image": "000.png", "annotations": []}])),
    "Label Studio": ("x.json", as_json([{"id": 1, "data": {}, "annotations": []}])),
    "BDD100K": ("x.json", as_json([{"name": "000.png", "labels": []}])),
    "Supervisely": ("s/000.png.json", as_json({"size": {}, "objects": []})),
    "Datumaro": ("default.json", as_json({"info": {}, "categories": {}, "items": []})),
    "YouTube-VIS": ("x.json", as_json({"videos": [], "annotations": []})),
    "UA-DETRAC": ("MVI.xml", '<sequence name="x"><frame num="1"/></sequence>'),
    "dlib": ("x.xml", "<dataset><images/></dataset>"),
    "FAIR1M": ("1.xml", "<annotation><objects><object><points/></object></objects></annotation>"),
    "roLabelImg": ("s/000.xml", "<annotation><object><robndbox/></object></annotation>"),
    "VisDrone": ("s/000.txt", "12,10,3,3,1,4,0,0\n20,10,3,3,1,4,0,1\n"),
    "OTB, LaSOT": ("s/groundtruth_rect.txt", "12,10,3,3\n13,10,3,3\n"),
    "GOT-10k": ("s/groundtruth.txt", "12.0 10.0 3.0 3.0\n"),
    "VOT": ("s/groundtruth.txt ", "12,10,15,10,15,13,12,13\n"),
    "DOTA": ("s/000.txt", "imagesource:x\ngsd:1\n12 10 15 10 15 13 12 13 drone 0\n"),
    "DOTA ": ("s/000.txt", "12.0 10.0 15.0 10.0 15.0 13.0 12.0 13.0 drone 0\n"),
    "KITTI": ("s/000.txt", "Car 0.00 0 -1.57 12 10 15 13 1.6 1.7 3.6 0 1 2 0.1\n"),
}


@pytest.mark.parametrize("name", UNREAD)
@pytest.mark.parametrize("beside", [False, True])
def test_formats_that_are_not_read_are_named(tmp_path, images, name, beside):
    place, text = UNREAD[name]
    labels = images if beside else tmp_path / "lab"
    write_text(labels / place.strip(), text)
    with pytest.raises(UserError) as raised:
        convert(str(images), str(labels), str(tmp_path / "out"))
    assert name.strip() in str(raised.value) and "which is not read" in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1 and not (tmp_path / "out").exists()


@pytest.mark.parametrize("make", [coco_json, each(yolo), each(voc)])
@pytest.mark.parametrize("name", READ_LAST)
def test_labels_that_are_read_count_whatever_lies_beside_them(tmp_path, images, make, name):
    make(tmp_path / "lab", KEYS)
    place, text = READ_LAST[name]
    write_text(tmp_path / "lab" / f"aaa/{place}", text)
    boxes = take(tmp_path)
    assert [len(own) for own in boxes] == [1] * 4
    (line,) = (line for line in warnings_given() if "passed over" in line)
    assert name in line and "aaa/" in line


@pytest.mark.parametrize("name, kind", [("labelme", "labelme"), ("CVAT", "cvat"), ("MOTChallenge", "mot")])
def test_another_kind_that_was_asked_for_is_told_which_one_reads_what_is_there(tmp_path, images, name, kind):
    place, text = READ_LAST[name]
    write_text(tmp_path / "lab" / place, text)
    with pytest.raises(UserError, match=f"labels of the format {name} .*; give --kind {kind}, which reads them"):
        take(tmp_path, kind="voc" if kind == "cvat" else "coco" if kind == "labelme" else "yolo")
    assert guess_kind(tmp_path / "lab") == kind


def test_other_json_files_beside_a_coco_file_are_passed_over(tmp_path, images):
    coco_json(tmp_path / "lab", KEYS)
    write_text(tmp_path / "lab/index.json", as_json({"datasetId": "x", "frames": []}))
    write_text(tmp_path / "lab/results.json", as_json([{"image_id": 1, "score": 0.5, "bbox": [1, 2, 3, 4]}]))
    assert [len(own) for own in take(tmp_path)] == [1] * 4
    assert [line.partition("found ")[2].partition(",")[0] for line in warnings_given()] == [
        "a FLIR Conservator index",
        "a list of detections (COCO results)",
    ]


def test_masks_stay_masks_beside_a_json_of_settings(tmp_path, images):
    for key in KEYS:
        mask(tmp_path / "lab", key)
    write_text(tmp_path / "lab/settings.json", as_json({"threshold": 3}))
    assert "kind 'masks'" in convert(str(images), str(tmp_path / "lab"), str(tmp_path / "out"))[0]


@pytest.mark.parametrize("kind", ["auto", "coco"])
def test_a_json_that_is_no_list_of_labels_is_told_as_what_it_is(tmp_path, images, kind):
    write_text(tmp_path / "lab/x.json", as_json({"threshold": 3}))
    with pytest.raises(UserError, match="x.json: found a json with the keys threshold .*expected labels"):
        take(tmp_path, kind=kind)


def shares(points):
    return " ".join(f"{value / side:.6f}" for point in points for value, side in zip(point, SIZE[::-1], strict=True))


def test_polygons_of_yolo_become_the_boxes_around_them(tmp_path, images):
    for key in KEYS:
        write_text(tmp_path / f"lab/{key}.txt", f"0 {shares(POINTS)}\n0 {shares([(20, 5), (24, 9), (22, 12)])}\n")
    boxes = take(tmp_path)
    assert np.allclose([box[:4] for box in boxes[0]], [BOX, (20, 5, 24, 12)], atol=1e-3)
    assert any("8 of 8 labels are polygons" in line for line in warnings_given())


@pytest.mark.parametrize(
    "line", ["0 0.5 0.5 0.1 0.1 0.9 1", "0 0.1 0.1 0.2 0.1 0.2 0.2 0.1", "0 0.1 0.1 0.2 0.1 0.2 1.7"]
)
def test_what_may_be_something_else_than_a_polygon_stops(tmp_path, images, line):
    write_text(tmp_path / f"lab/{KEYS[0]}.txt", line + "\n")
    with pytest.raises(UserError, match="000.txt: line 1"):
        take(tmp_path)


def coco_of(**changes):
    """A COCO file of `KEYS` whose annotations have these `changes`."""
    return {
        "images": [{"id": i, "file_name": f"{key}.png"} for i, key in enumerate(KEYS, 1)],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1, "bbox": [X1, Y1, X2 - X1, Y2 - Y1]} | changes
            for i in range(1, len(KEYS) + 1)
        ],
        "categories": [{"id": 1, "name": "drone"}],
    }


@pytest.mark.parametrize("bbox", [None, []])
def test_polygons_of_coco_become_the_boxes_around_them(tmp_path, images, bbox):
    polygons = [[X1, Y1, X2, Y1, X2, Y1 + 1], [X1, Y2, X1, Y1, X1 + 1, Y1]]
    write_text(tmp_path / "lab/i.json", as_json(coco_of(bbox=bbox, segmentation=polygons)))
    assert [own[0][:4] for own in take(tmp_path)] == [BOX] * 4
    assert "4 annotations have polygons and no 'bbox'" in warnings_given()[0]


def test_run_lengths_of_coco_are_named(tmp_path, images):
    content = coco_of(segmentation={"counts": [1, 2], "size": list(SIZE)})
    for item in content["annotations"]:
        del item["bbox"]
    write_text(tmp_path / "lab/i.json", as_json(content))
    with pytest.raises(UserError, match="run lengths"):
        take(tmp_path)


@pytest.mark.parametrize("own, others", [("{:06d}", "{:06d}"), ("{:06d}", "{}"), ("{}", "{:03d}"), ("a{}", "a{}")])
def test_ids_of_images_may_be_text(tmp_path, images, own, others):
    content = coco_of()
    for item in content["images"]:
        item["id"] = own.format(item["id"])
    for item in content["annotations"]:
        item["image_id"] = others.format(item["image_id"])
    write_text(tmp_path / "lab/i.json", as_json(content))
    assert [own[0][:4] for own in take(tmp_path)] == [BOX] * 4


def test_ids_of_categories_may_be_numbers_in_quotes(tmp_path, images):
    content = coco_of()
    content["categories"][0]["id"] = "1"
    write_text(tmp_path / "lab/i.json", as_json(content))
    assert [len(own) for own in take(tmp_path)] == [1] * 4


def test_ids_as_text_that_may_mean_two_images_stop(tmp_path, images):
    content = coco_of()
    content["images"][0]["id"], content["images"][1]["id"] = "01", "1"
    content["annotations"][0]["image_id"] = 1
    write_text(tmp_path / "lab/i.json", as_json(content))
    with pytest.raises(UserError, match="belongs to image 1"):
        take(tmp_path)


def test_a_box_that_several_files_have_counts_once(tmp_path, images):
    coco_json(tmp_path / "lab", KEYS)
    content = json.loads((tmp_path / "lab/x.json").read_text())
    content["annotations"].append(content["annotations"][0] | {"id": 99, "bbox": [20, 5, 4, 4]})
    write_text(tmp_path / "lab/person_keypoints.json", as_json(content))
    assert sorted(len(own) for own in take(tmp_path)) == [1, 1, 1, 2]
    assert "4 boxes are in several label files, and count once" in warnings_given()[-1]
