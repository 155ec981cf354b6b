"""What COCO files may hold: whatever else they hold ends in one line, in every command that reads them."""

import json

import pytest
from trees import coco, write_pairs, write_text

from utils.datasets.coco import load_coco, read_coco
from utils.datasets.dataset import open_dataset
from utils.datasets.json_formats import declared_size, find_flaw, is_ignored, shorten
from utils.metrics.coco_results import naming_of, read_results
from utils.metrics.target_facts import notes_of
from utils.system.errors import UserError
from utils_coco import coco_to_txt
from utils_coco.image_labels import Conventions
from utils_coco.label_formats import read_boxes

NAME = "images/a/0.png"
DEEP = "[" * 900 + "]" * 900
BOX = '{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]'
FLAWS = {
    "a category without id": ("categories", "{}", "'id', an integer: found nothing"),
    "an id of words": ("categories", '{"id": "a"}', "'id', an integer"),
    "an id that is true": ("images", f'{{"id": true, "file_name": "{NAME}"}}', "found true"),
    "an id beyond 64 bits": ("images", f'{{"id": {"9" * 30}, "file_name": "{NAME}"}}', "an integer or text: found 999"),
    "no name": ("images", '{"id": 1}', "'file_name'"),
    "an empty name": ("images", '{"id": 1, "file_name": ""}', "'file_name'"),
    "a long name": ("images", f'{{"id": 1, "file_name": "{"a" * 5000}"}}', "at most 4096 characters"),
    "half a character": ("images", '{"id": 1, "file_name": "\\ud800.png"}', '"\\ud800.png"'),
    "a name with a zero byte": ("images", '{"id": 1, "file_name": "a\\u0000.png"}', "'file_name'"),
    "half a character as class": ("categories", '{"id": 1, "name": "\\udfff"}', "'name'"),
    "a name of lists": ("categories", f'{{"id": 1, "name": {DEEP}}}', "'name'"),
    "a width of words": ("images", f'{{"id": 1, "file_name": "{NAME}", "width": "9"}}', "'width'"),
    "an endless width": ("images", f'{{"id": 1, "file_name": "{NAME}", "width": Infinity}}', "found Infinity"),
    "a negative height": ("images", f'{{"id": 1, "file_name": "{NAME}", "height": -1}}', "'height'"),
    "a list for an entry": ("images", "[1]", "found [1]"),
    "no box": ("annotations", '{"image_id": 1, "category_id": 1}', "'bbox'"),
    "three numbers": ("annotations", '{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3]}', "[1, 2, 3]"),
    "NaN": ("annotations", '{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, NaN]}', "NaN"),
    "a large exponent": ("annotations", '{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 1e999]}', "Infinity"),
    "a huge number": ("annotations", f'{{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, {"9" * 400}]}}', "bbox"),
    "words in a box": ("annotations", '{"image_id": 1, "category_id": 1, "bbox": [1, 2, "3", 4]}', '"3"'),
    "a huge area": (
        "annotations",
        f'{{"image_id": 1, "category_id": 1, "bbox": [1,2,3,4], "area": {"9" * 400}}}',
        "area",
    ),
    "an SNR of words": ("annotations", BOX + ', "snr": "high"}', "'snr'"),
    "a track of lists": (
        "annotations",
        '{"image_id": 1, "category_id": 1, "bbox": [1,2,3,4], "track_id": []}',
        "track_id",
    ),
    "iscrowd 2": (
        "annotations",
        '{"image_id": 1, "category_id": 1, "bbox": [1,2,3,4], "iscrowd": 2}',
        "0 or 1: found 2",
    ),
    "ignore of words": (
        "annotations",
        '{"image_id": 1, "category_id": 1, "bbox": [1,2,3,4], "ignore": "no"}',
        "'ignore'",
    ),
}


def text_with(part, entry):
    content = {key: json.dumps(value) for key, value in coco([NAME], boxes=()).items()}
    content[part] = f"[{entry}]"
    return "{" + ", ".join(f'"{key}": {value}' for key, value in content.items()) + "}"


@pytest.mark.parametrize("kind", FLAWS)
def test_every_flaw_is_named_by_every_reader(tmp_path, kind):
    part, entry, said = FLAWS[kind]
    write_pairs(tmp_path, ["a/0"], masks=False)
    path = str(write_text(tmp_path / "annotations/instances_train.json", text_with(part, entry)))
    for read in (
        lambda: read_coco(path),
        lambda: coco_to_txt.convert(path, str(tmp_path / "x.txt")),
        lambda: open_dataset(tmp_path, "train", "boxes"),
        lambda: read_boxes("coco", tmp_path / "annotations", lambda key: (24, 32), Conventions(7.0)),
    ):
        with pytest.raises(UserError) as caught:
            read()
        text = str(caught.value)
        assert said in text and path in text and "\n" not in text and len(text) < 600
        text.encode()  # what every terminal takes


@pytest.mark.parametrize("text", ["9" * 5000, "[" * 200_000, "{" * 10, '"\\ud800"', "1e999"])
def test_other_json_is_one_line_too(tmp_path, text):
    with pytest.raises(UserError) as caught:
        load_coco(str(write_text(tmp_path / "x.json", text)))
    str(caught.value).encode()


def test_categories_that_share_an_id_are_refused(tmp_path):
    content = coco([NAME]) | {"categories": [{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]}
    with pytest.raises(UserError, match="category id 1 twice"):
        load_coco(str(write_text(tmp_path / "x.json", json.dumps(content))))


def test_what_others_write_passes(tmp_path):
    content = coco(
        [NAME], iscrowd=0, ignore=None, difficult=False, snr=-2.5, track_id="t1", attributes={"occluded": True}
    )
    content["images"][0] |= {"width": 32.0, "height": None, "license": [1]}
    content["categories"] = [{"id": 1, "name": None, "supercategory": "x", "keypoints": []}]
    entry = read_coco(str(write_text(tmp_path / "x.json", json.dumps(content))))[0]
    assert entry.boxes == ((12, 10, 15, 13, 0),) and entry.size is None and entry.snr == (-2.5,)


def test_names_that_are_no_text_on_disk_pass():
    assert not find_flaw({"id": 1, "file_name": "\udcff.png"}, {}) and shorten("\udcff") == '"\\udcff"'


@pytest.mark.parametrize(
    "image, size",
    [
        ({"width": 4, "height": 3}, (3, 4)),
        ({"width": 4.0, "height": 3.0}, (3, 4)),
        ({"width": 4}, None),
        ({"width": 0, "height": 0}, None),  # as converters write where they do not know
        ({"width": None, "height": 3}, None),
        ({}, None),
    ],
)
def test_a_size_is_declared_by_both_of_its_sides(image, size):
    assert declared_size(image) == size


@pytest.mark.parametrize("flag", ["iscrowd", "ignore", "difficult"])
def test_each_flag_makes_a_region_to_ignore(flag):
    assert is_ignored({flag: 1}) and is_ignored({flag: True}) and not is_ignored({flag: 0}) and not is_ignored({})


RESULT = {"image_id": 1, "category_id": 1, "bbox": [1, 2, 8, 8], "score": 0.5}


@pytest.mark.parametrize(
    "entry, said",
    [
        ({**RESULT, "score": 10**400}, "'score', a finite number"),
        ({**RESULT, "bbox": [1, 2, 3, 1e300]}, "'bbox'"),
        ({**RESULT, "image_id": None}, "'image_id'"),
        ({**RESULT, "image_id": [[1]]}, "'image_id'"),
        ({**RESULT, "category_id": {}}, "'category_id'"),
        ({**RESULT, "image_id": "\ud800"}, "'image_id'"),
        ([1, 2], "found [1, 2]"),
    ],
)
def test_results_of_other_programs_have_a_schema_too(tmp_path, entry, said):
    write_pairs(tmp_path, ["a/0"], masks=False)
    write_text(tmp_path / "annotations/instances_test.json", json.dumps(coco([NAME])))
    naming = naming_of(open_dataset(tmp_path, "test", "boxes"))
    path = write_text(tmp_path / "found.json", json.dumps([RESULT, entry]))
    with pytest.raises(UserError) as caught:
        read_results(path, naming)
    assert said in str(caught.value) and "entry 1" in str(caught.value)
    str(caught.value).encode()
    for text in ("[" * 200_000, "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), "9" * 5000):
        with pytest.raises(UserError):
            read_results(write_text(tmp_path / "found.json", text), naming)


def test_notes_of_targets_take_the_same_files(tmp_path):
    write_pairs(tmp_path, ["a/0"])
    write_text(tmp_path / "annotations/instances_train.json", json.dumps(coco([NAME], snr=2, track_id="t")))
    notes = notes_of(open_dataset(tmp_path, "train", "masks"))
    assert [(note.snr, note.track) for own in notes.values() for note in own] == [(2, 0)]
