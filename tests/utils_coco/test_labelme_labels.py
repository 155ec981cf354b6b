"""labelme's json files as labels: shapes and the boxes around them, ids of tracks, and which image each is about."""

import json

import pytest
from labelling import coco_json
from trees import picture, write, write_text

from utils.datasets.dataset import open_dataset
from utils.system.errors import UserError
from utils.system.notices import warnings_given
from utils_coco.import_labels import convert
from utils_coco.label_kinds import guess_kind

KEYS = [f"s/{number:03d}" for number in (0, 1, 4)]


@pytest.fixture
def images(tmp_path):
    for number, key in enumerate(KEYS):
        write(tmp_path / f"img/{key}.png", picture(number))
    return tmp_path / "img"


def shape(points=((12, 10), (15, 13)), kind="rectangle", label="drone", **more):
    return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}, **more}


def file(*shapes, **more):
    head = {"version": "5.4.1", "flags": {}, "imagePath": "x.png", "imageData": None}
    return json.dumps({**head, "shapes": shapes, "imageHeight": 24, "imageWidth": 32, **more})


def take(tmp_path, **options):
    """Import `lab`, and give the frames."""
    convert(str(tmp_path / "img"), str(tmp_path / "lab"), str(tmp_path / "out"), fraction=0, **options)
    return open_dataset(tmp_path / "out", "all", "boxes").frames


@pytest.mark.parametrize("beside", [False, True])
def test_rectangles_of_any_two_corners_are_boxes_and_groups_are_tracks(tmp_path, images, beside):
    labels = tmp_path / ("img" if beside else "lab")
    write_text(labels / "s/000.json", file(shape(group_id=3), shape([(9.5, 8), (4, 2.25)], label="鳥")))
    write_text(labels / "s/001.json", file(shape(group_id=3)))
    write_text(labels / "s/004.json", file())
    said = convert(str(images), str(labels), str(tmp_path / "out"), fraction=0)
    found = open_dataset(tmp_path / "out", "all", "boxes").frames
    assert "kind 'labelme'" in said[0] and guess_kind(labels) == "labelme" and "classes: 0 drone, 1 鳥" in said
    assert [frame.boxes for frame in found] == [((12, 10, 15, 13, 0), (4, 2.25, 9.5, 8, 1)), ((12, 10, 15, 13, 0),), ()]
    assert [frame.tracks for frame in found] == [(3, -1), (3,), ()] and not warnings_given()


@pytest.mark.parametrize(
    "kind, points, expected",
    [
        ("polygon", [(2, 3), (8.5, 4), (5, 9)], (2, 3, 8.5, 9)),
        ("rectangle", [(2, 3), (8, 3), (8, 9), (2, 9)], (2, 3, 8, 9)),
        ("rotation", [(5, 3), (8, 6), (5, 9), (2, 6)], (2, 3, 8, 9)),
        ("circle", [(10, 9), (10, 12)], (7, 6, 13, 12)),
        ("mask", [(2, 3), (7, 8)], (2, 3, 8, 9)),
        ("point", [(10, 9)], (8, 7, 12, 11)),
        ("points", [(2, 3), (8, 9)], (2, 3, 8, 9)),
        (None, [(2, 3), (8, 4), (5, 9)], (2, 3, 8, 9)),
    ],
)
def test_shapes_are_taken_as_the_boxes_around_them(tmp_path, images, kind, points, expected):
    write_text(tmp_path / "lab/s/000.json", file(shape(points, kind)))
    assert take(tmp_path, side=4)[0].boxes == ((*expected, 0),)


def test_lines_are_passed_over_and_counted(tmp_path, images):
    shapes = [shape(), shape(kind="linestrip"), shape(kind="line"), shape(kind="line"), shape([(1, 2)], "polygon")]
    write_text(tmp_path / "lab/s/000.json", file(*shapes))
    assert len(take(tmp_path)[0].boxes) == 1
    assert "line of 2 points 2, linestrip of 2 points 1, polygon of 1 points 1" in warnings_given()[0]


def test_flags_make_regions_to_ignore_and_scores_are_named(tmp_path, images):
    shapes = [
        shape(),
        shape([(1, 1), (5, 5)], flags={"ignore": True}),
        shape([(2, 1), (5, 5)], difficult=True),
        shape([(20, 1), (25, 5)], flags={"ignore": False}, difficult=False, score=0.25),
    ]
    write_text(tmp_path / "lab/s/000.json", file(*shapes))
    frame = take(tmp_path)[0]
    assert [box[0] for box in frame.boxes] == [12, 20] and [box[0] for box in frame.ignored] == [1, 2]
    assert "1 of 4 boxes have a score" in warnings_given()[0]


@pytest.mark.parametrize("path", ["../../img/s/001.png", "..\\..\\img\\s\\001.png", "../s/001.jpg", "s/001.png"])
def test_the_image_is_the_one_called_alike_or_else_the_one_that_the_file_names(tmp_path, images, path):
    write_text(tmp_path / "lab/s/000.json", file(shape(), imagePath=path))
    write_text(tmp_path / "lab/s/label_7.json", file(shape([(1, 2), (4, 6)]), imagePath=path))
    assert [frame.boxes for frame in take(tmp_path)] == [((12, 10, 15, 13, 0),), ((1, 2, 4, 6, 0),), ()]


def test_other_files_of_json_are_passed_over(tmp_path, images):
    write_text(tmp_path / "lab/s/000.json", file(shape()))
    write_text(tmp_path / "lab/s/settings.json", '{"threshold": 3}')
    coco_json(tmp_path / "lab", KEYS)
    assert [len(frame.boxes) for frame in take(tmp_path, kind="labelme")] == [1, 0, 0]
    assert ["passed over" in line for line in warnings_given()] == [True, True]


def test_boxes_over_the_border_stop_or_are_cut(tmp_path, images):
    write_text(tmp_path / "lab/s/000.json", file(shape([(28, 20), (40, 30)])))
    with pytest.raises(UserError, match="outside the image of 32x24"):
        take(tmp_path)
    assert take(tmp_path, cut=True)[0].boxes == ((28, 20, 32, 24, 0),)


@pytest.mark.parametrize(
    "text, message",
    [
        (file(shape([(1, 2), (3, "x")])), "shape 0: found points"),
        (file(shape([(1, 2), (3, float("nan"))])), "shape 0: found points"),
        (file(shape([(1, 2), (3, 1e99)])), "shape 0: found points"),
        (file(shape([(1, 2), (3,)])), "shape 0: found points"),
        (file(shape(), shape([])), "shape 1: found points"),
        (file(shape(), shape({})), "shape 1: found points"),
        (file(shape(group_id=-7)), "shape 0: .*group_id -7"),
        (file(shape(group_id=2**60)), "shape 0: .*group_id 1152921504606846976"),
        (file(shape(group_id=[1])), "without a usable 'group_id'"),
        (file(shape(label=None)), "without a usable 'label'"),
        (file(shape(label="x" * 5000)), "without a usable 'label'"),
        (file("text"), "without a usable dict of"),
        (file(imageHeight="tall"), 'found imageHeight "tall"'),
        (file(imageWidth=33), "its labels declare 33x24"),
        (json.dumps({"shapes": {}, "imagePath": "x"}), "found no list 'shapes'"),
        ('{"shapes": [], "imagePath": "x"', "not json"),
        ("[" * 100_000, "not json"),
    ],
)
def test_broken_files_are_refused_in_one_line(tmp_path, images, text, message):
    write_text(tmp_path / "lab/s/000.json", text)
    with pytest.raises(UserError, match=f"000.*: .*{message}") as raised:
        take(tmp_path, kind="labelme")
    assert len(str(raised.value)) < 700 and not (tmp_path / "out").exists()
