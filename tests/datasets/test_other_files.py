"""Files beside a dataset's lists that are none: passed over with a line, unless they are called like one."""

import json

import pytest
from trees import coco, picture, touch, write, write_coco, write_text

from utils.checks import check
from utils.datasets.dataset import open_dataset
from utils.datasets.json_formats import name_json
from utils.system.errors import UserError
from utils.system.notices import warnings_given

KEYS = [f"images/test/s/{i}.png" for i in range(3)]
CAPTIONS = {"images": [{"id": 1, "file_name": KEYS[0]}], "annotations": [{"image_id": 1, "id": 1, "caption": "x"}]}
OTHERS = {
    "results": ([{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.9}], "a list of detections"),
    "captions_val2017": (CAPTIONS, "COCO captions"),
    "panoptic_val2017": (CAPTIONS | {"annotations": [{"segments_info": []}]}, "COCO panoptic"),
    "image_info_test2017": ({"images": CAPTIONS["images"], "categories": []}, "a COCO list of images without"),
    "index": ({"datasetId": "x", "frames": []}, "a FLIR"),
    "frame_0": ({"shapes": [], "imagePath": "0.png"}, "labelme"),
    "IR_label": ({"exist": [1], "gt_rect": [[1, 2, 3, 4]]}, "Anti-UAV"),
    "via": ({"0.png1": {"filename": "0.png", "regions": []}}, "VGG Image"),
    "createml": ([{"image": "0.png", "annotations": []}], "CreateML"),
    "studio": ([{"data": {}, "annotations": []}], "Label Studio"),
    "numbers": ([1, 2], "a list"),
    "settings": ({"lr": 1, "epochs": 2}, "a json with the keys lr, epochs"),
    "letters": ({"\ud800\n": 1}, "a json with the keys \\ud800\\n,"),
    "nothing": ({}, "a json with no keys"),
    "word": ("x", "a str"),
}


@pytest.fixture
def dataset(tmp_path):
    touch(tmp_path, KEYS)
    write_coco(tmp_path / "annotations/instances_test2017.json", KEYS)
    return tmp_path


@pytest.mark.parametrize("name", OTHERS)
def test_other_json_files_are_passed_over_with_a_line(dataset, name):
    content, format_name = OTHERS[name]
    write_text(dataset / f"annotations/{name}.json", json.dumps(content))
    assert len(open_dataset(dataset, "test", "boxes").frames) == 3
    (line,) = warnings_given()
    assert f"annotations/{name}.json: found {format_name}" in line and "passed over" in line


@pytest.mark.parametrize("name", ["instances_test2017", "instances_train", "train", "val"])
def test_a_file_that_is_called_like_a_list_must_be_one(dataset, name):
    write_text(dataset / f"annotations/{name}.json", "[]")
    with pytest.raises(UserError, match=f"{name}.json: found a list, expected a COCO file"):
        open_dataset(dataset, "test", "boxes")


def test_a_broken_coco_file_stops_whatever_it_is_called(dataset):
    write_text(dataset / "annotations/more.json", '{"images": [], "annotations": []')
    with pytest.raises(UserError, match="more.json: not json"):
        open_dataset(dataset, "test", "boxes")
    write_text(dataset / "annotations/more.json", json.dumps({"images": [], "annotations": [{"bbox": 3}]}))
    with pytest.raises(UserError, match="more.json"):
        open_dataset(dataset, "test", "boxes")


def test_a_coco_file_is_none_of_the_other_formats():
    assert name_json(coco(KEYS)) == name_json({"images": [], "annotations": []}) == name_json({"images": 3}) == ""


@pytest.mark.parametrize("text", ["epoch 1, loss 0.3,0.2\n", "recorded in May\n"])
@pytest.mark.parametrize("name", ["test_notes.txt", "img_idx/my_test.txt"])
def test_texts_that_name_no_image_are_passed_over_with_a_line(dataset, name, text):
    write_text(dataset / name, text)
    assert len(open_dataset(dataset, "test", "boxes").frames) == 3
    (line,) = warnings_given()
    assert name in line and "passed over" in line


@pytest.mark.parametrize("name", ["test.txt", "test_DAUB.txt"])
def test_a_list_of_images_that_are_not_there_stops_or_gives_way_with_a_line(dataset, name):
    write_text(dataset / name, "images/test/s/9.png\n")
    assert len(open_dataset(dataset, "test", "boxes").frames) == 3
    (line,) = warnings_given()
    assert f"{name}: none of its 1 images is there" in line and "instances_test2017.json" in line
    (dataset / "annotations/instances_test2017.json").unlink()
    with pytest.raises(UserError, match="9.png: listed, but no such image"):
        open_dataset(dataset, "test", "images")


def test_the_check_is_not_failed_by_other_files(dataset):
    for key in KEYS:
        write(dataset / key, picture())
    write_text(dataset / "annotations/results.json", "[]")
    assert check(str(dataset), "test", quiet=True)[0] == []
