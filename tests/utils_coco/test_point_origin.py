"""What centroids count from: boxes around them lie where the known boxes of the same targets do."""

import numpy as np
import pytest
import scipy.io
from trees import picture, real_data, write, write_coco, write_text

from utils.datasets.dataset import open_dataset
from utils.images.box_masks import boxes_of_mask
from utils.images.components import label
from utils_coco.import_labels import convert

KNOWN = [(3, 4, 11, 12), (20, 9, 28, 17), (8, 15, 16, 23)]  # x1, y1, x2, y2 of 8x8 pixels


def boxes_of(root):
    return [box[:4] for frame in open_dataset(root, "all", "boxes").frames for box in frame.boxes]


def import_points(folder, points, **options):
    """The boxes of 8x8 pixels around points (N, 2), a frame each, of a csv and of .mat files."""
    for number in range(len(points)):
        write(folder / "images" / f"{number}.png", picture(number, (256, 256)))
    rows = "".join(f"{number},{x},{y}\n" for number, (x, y) in enumerate(points))
    write_text(folder / "points.csv", f"frame,x,y\n{rows}")
    (folder / "mat").mkdir()
    for number, point in enumerate(points):
        scipy.io.savemat(folder / "mat" / f"GT_{number}.mat", {"location": np.array([point], float)})
    made = []
    for labels in ("points.csv", "mat"):
        out = folder / f"out {labels}"
        convert(str(folder / "images"), str(folder / labels), str(out), side=8, fraction=0, **options)
        made.append(boxes_of(out))
    return made


def centres(boxes):
    return [((x1 + x2) / 2, (y1 + y2) / 2) for x1, y1, x2, y2 in boxes]


def test_the_centres_of_known_boxes_give_these_boxes(tmp_path):
    table, points = import_points(tmp_path, centres(KNOWN))
    assert table == points == KNOWN


def test_centroids_of_masks_give_the_boxes_of_the_masks(tmp_path):
    masks = np.zeros((len(KNOWN), 32, 32), bool)
    for mask, (x1, y1, x2, y2) in zip(masks, KNOWN, strict=True):
        mask[y1:y2, x1:x2] = True
    assert [tuple(boxes_of_mask(mask)[0]) for mask in masks] == KNOWN
    centroids = [tuple(label(mask).centroid[0, ::-1]) for mask in masks]  # pixels are whole numbers
    table, points = import_points(tmp_path, centroids, origin="centre")
    assert table == points == KNOWN


def test_a_centroid_is_where_the_same_centre_of_a_box_is(tmp_path):
    for number in range(2):
        write(tmp_path / "images" / f"{number}.png", picture(number, (40, 40)))
    write_text(tmp_path / "with.csv", "frame,cx,cy,w,h\n0,13.5,11,8,8\n1,20,9.25,8,8\n")
    write_text(tmp_path / "without.csv", "frame,cx,cy\n0,13.5,11\n1,20,9.25\n")
    made = []
    for name in ("with", "without"):
        convert(str(tmp_path / "images"), str(tmp_path / f"{name}.csv"), str(tmp_path / name), side=8, fraction=0)
        made.append(boxes_of(tmp_path / name))
    assert made[0] == made[1] == [(9.5, 7, 17.5, 15), (16, 5.25, 24, 13.25)]


@pytest.mark.parametrize("origin, other", [("corner", "centre"), ("centre", "corner")])
def test_what_was_taken_is_said_with_the_other_choice(tmp_path, origin, other):
    write(tmp_path / "images/0.png", picture(0, (40, 40)))
    write_text(tmp_path / "points.csv", "frame,x,y\n0,12,11\n")
    said = convert(
        str(tmp_path / "images"), str(tmp_path / "points.csv"), str(tmp_path / "out"), fraction=0, origin=origin
    )
    assert (
        f"1 centroids are taken as x, y in pixels from the {origin} of the first one, and boxes of 7x7 pixels are put "
        f"around them (--box-side); if they count from its {other}, give --point-origin {other}"
    ) in said


def test_boxes_know_no_such_choice(tmp_path):
    for number in range(1):
        write(tmp_path / "images" / f"{number}.png", picture(number, (40, 40)))
    write_coco(tmp_path / "labels/a.json", ["0.png"], [(3, 4, 8, 8)], (40, 40))
    for origin in ("corner", "centre"):
        convert(str(tmp_path / "images"), str(tmp_path / "labels"), str(tmp_path / origin), fraction=0, origin=origin)
        assert boxes_of(tmp_path / origin) == [(3, 4, 11, 12)]


def test_real_centres_give_the_official_boxes(tmp_path):
    frames = open_dataset(real_data("DAUB-mini"), "train", "boxes").frames[:300:60]
    official = [frame.boxes[0][:4] for frame in frames]
    assert {(x2 - x1, y2 - y1) for x1, y1, x2, y2 in official} == {(8, 8)}
    assert import_points(tmp_path, centres(official)) == [official, official]
