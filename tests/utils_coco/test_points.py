"""Points in .mat files, as DroneCrowd has them: boxes around heads, their tracks, and what is refused."""

import numpy as np
import pytest
import scipy.io
from trees import picture, write, write_text

from utils.commands.describe import describe
from utils.datasets.dataset import open_dataset
from utils.images.formats.mat_files import read_mat
from utils.system.errors import UserError
from utils_coco.import_labels import convert
from utils_coco.point_files import image_of_points, read_points

HEADS = np.array([[12.0, 10.5], [20, 15], [5.25, 7]])


def crowd(root, points=HEADS, compressed=True, nested=True):
    """Two videos in one folder, as DroneCrowd's names have them, and the points of each image."""
    for split, video in (("train_data", 1), ("test_data", 2)):
        for frame in (1, 2, 3):
            name = f"img{video:03d}{frame:03d}"
            write(root / split / "images" / f"{name}.jpg", picture(frame, (48, 64)))
            place = root / split / "ground_truth" / f"GT_{name}.mat"
            place.parent.mkdir(exist_ok=True)
            info = np.empty((1, 1), object)  # a cell with a structure, as MATLAB writes it
            info[0, 0] = {"location": points, "number": float(len(points))}
            content = {"image_info": info} if nested else {"location": points}
            scipy.io.savemat(place, content, do_compression=compressed)
    return root


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("nested", [False, True])
def test_heads_become_boxes_of_20_pixels_around_them(tmp_path, compressed, nested):
    root = crowd(tmp_path / "DroneCrowd", compressed=compressed, nested=nested)
    said = convert(str(root), str(root), str(tmp_path / "out"))
    assert said[0].endswith("of the kind 'centroids'")
    text = "18 centroids are taken as x, y in pixels from the corner of the first one, and boxes of 20x20 pixels"
    assert any(line.startswith(text) for line in said)
    for split, first in (("train", "img001001"), ("test", "img002001")):
        frames = open_dataset(tmp_path / "out", split, "boxes").frames
        assert len(frames) == 3 and first in frames[0].image
        assert frames[0].boxes == ((2, 0.5, 22, 20.5, 0), (10, 5, 30, 25, 0), (0, 0, 15.25, 17, 0))
        assert frames[0].tracks == ()


def test_the_side_may_be_given_and_tracks_stay(tmp_path):
    root = crowd(tmp_path / "set", np.c_[HEADS, [4, 0, 9]])
    convert(
        str(root / "train_data/images"),
        str(root / "train_data/ground_truth"),
        str(tmp_path / "out"),
        side=4,
        fraction=0,
        origin="centre",
    )
    frames = open_dataset(tmp_path / "out", "train", "boxes").frames
    assert frames[1].boxes[0] == (10.5, 9, 14.5, 13, 0) and frames[1].tracks == (4, 0, 9)


def test_images_without_points_are_frames_without_targets(tmp_path):
    root = crowd(tmp_path / "set", np.zeros((0, 2)))
    scipy.io.savemat(root / "test_data/ground_truth/GT_img002002.mat", {"annPoints": HEADS[:1]})
    convert(str(root), str(root), str(tmp_path / "out"))
    assert [len(frame.boxes) for frame in open_dataset(tmp_path / "out", "all", "boxes").frames] == [0, 1, 0, 0, 0, 0]


@pytest.mark.parametrize(
    "points, message",
    [
        (np.zeros((3, 4)), r"of shape \(3, 4\), expected \(N, 2\)"),
        (np.array([[1, 2, 0.5], [3, 4, 2]]), "a third column that is no number of a track"),
        (np.array([[1, 2, 7], [3, 4, 7]]), "a third column that is no number of a track"),
        (np.array([[1, np.nan]]), "numbers beyond all images"),
        (np.array([[1, 1e12]]), "numbers beyond all images"),
    ],
)
def test_arrays_that_may_be_something_else_stop(tmp_path, points, message):
    root = crowd(tmp_path / "set", points)
    with pytest.raises(UserError, match=message):
        convert(str(root), str(root), str(tmp_path / "out"), "centroids")


def test_points_outside_of_their_image_stop(tmp_path):
    root = crowd(tmp_path / "set", np.array([[1.0, 2], [70, 5]]))
    with pytest.raises(UserError, match="found 6 places with boxes that do not fit"):
        convert(str(root), str(root), str(tmp_path / "out"))


def test_clips_of_frames_are_no_points(tmp_path):
    scipy.io.savemat(tmp_path / "Mix.mat", {"Mix": np.zeros((3, 8, 9))})
    assert read_points(tmp_path / "Mix.mat") is None
    (tmp_path / "broken.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(20))
    write(tmp_path / "a.png", picture())
    with pytest.raises(UserError):
        convert(str(tmp_path), str(tmp_path), str(tmp_path / "out"))


@pytest.mark.parametrize(
    "key, image", [("GT_img001001", "img001001"), ("a/gt-7", "a/7"), ("gtx", "gtx"), ("a/GT_IMG_7", "a/IMG_7")]
)
def test_the_image_of_a_file_of_points(key, image):
    assert image_of_points(key) == image


def test_fields_in_structures_and_cells_are_found(tmp_path):
    cell = np.empty((1, 2), object)
    cell[0, 0], cell[0, 1] = (
        {"a": "text", "b": np.arange(4.0)},
        {"b": np.arange(9.0), "wanted": np.arange(6.0).reshape(2, 3)},
    )
    scipy.io.savemat(tmp_path / "x.mat", {"other": 1.0, "info": {"deep": cell, "wanted": "no"}})
    assert np.array_equal(read_mat(tmp_path / "x.mat", "info", "wanted"), np.arange(6.0).reshape(2, 3))
    assert np.array_equal(read_mat(tmp_path / "x.mat", "info", "b"), [np.arange(4.0)])
    assert read_mat(tmp_path / "x.mat", "info", "missing") is None and read_mat(tmp_path / "x.mat", "none", "b") is None
    assert read_mat(tmp_path / "x.mat", "other", "b") == [[1.0]]  # numbers themselves


def test_describing_the_folder_names_the_command(tmp_path):
    root = crowd(tmp_path / "DroneCrowd")
    assert "labels of 6 images: centroids" in describe(str(root))[-1]
    write_text(root / "readme.txt", "x")
    assert "utils_coco.import_labels" in describe(str(root / "train_data"))[-1]
