"""Frames, masks and previews in one folder are told apart, by names or else by content."""

import cv2
import numpy as np
import pytest
from trees import picture, target_mask, touch, write

from utils.images.picture_roles import find_frames, mask_names, sort_pictures
from utils.system.errors import UserError

SIZE = (48, 64)


def look(number, dtype=np.uint8):
    """A smooth noisy frame, as sensors give them."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    noise = np.random.default_rng(number).normal(0, 3, SIZE)
    levels = 90 + 20 * np.sin(columns / 9 + number) + 9 * np.cos(rows / 7) + noise
    return (levels * (1 if dtype == np.uint8 else 50)).astype(dtype)


def mask(number, top=255):
    return (target_mask(SIZE, at=(10 + number, 12), empty=number == 2) > 0).astype(np.uint8) * top


def soft_mask(number):
    return cv2.GaussianBlur(mask(number), (0, 0), 2)


def fill(folder, *kinds, count=4):
    """Pictures by patterns of their names."""
    for name, make in kinds:
        for number in range(count):
            write(folder / name.format(number), make(number))
    return sort_pictures(folder, [path.name for path in folder.iterdir()])


def names(pattern, count=4):
    return [pattern.format(number) for number in range(count)]


@pytest.mark.parametrize(
    "image, label",
    [
        ("{:04d}.png", "{:04d}-mask.png"),
        ("{}.bmp", "{}_mask.png"),
        ("{}.png", "{}_GT.png"),
        ("{}.png", "{}_label.png"),
        ("{}.png", "{}.seg.png"),
        ("{}.png", "{} (mask).png"),
        ("{}.png", "{}_pixels0.png"),
        ("{}.png", "{}-GroundTruth.png"),
        ("a{}.png", "a{}Mask.png"),
        ("{}.png", "{}mask.png"),
        ("{}.png", "GT_{}.png"),
        ("img_{}.png", "gt_{}.png"),
        ("{}_image.png", "{}_label.png"),
        ("{}.jpg", "mask_{}.png"),
        ("{}.jpg", "{}.png"),
        ("{}.png", "{}.jpg"),
        ("{}.bmp", "{}.tif"),
        ("{}.JPG", "{}.PNG"),
        ("{}.png", "{}_alpha.png"),
        ("im_{}.png", "ma_{}.png"),
        ("{}_img.png", "{}.png"),
    ],
)
@pytest.mark.parametrize(
    "make", [mask, soft_mask, lambda number: mask(number, number + 1)], ids=["two", "soft", "numbers"]
)
def test_masks_beside_images(tmp_path, image, label, make):
    found = fill(tmp_path, (image, look), (label, make))
    assert found.frames == names(image) and found.left_out == {}
    assert found.masks == dict(zip(names(image), names(label), strict=True))


def test_a_few_masks_and_names_without_numbers(tmp_path):
    fill(tmp_path / "some", ("img_{}.png", look))
    found = fill(tmp_path / "some", ("xx_{}.png", mask), count=2)
    assert found.frames == names("img_{}.png") and found.masks == {f"img_{i}.png": f"xx_{i}.png" for i in range(2)}
    for word in ("beach", "city"):
        write(tmp_path / "words" / f"{word}.jpg", look(1))
        write(tmp_path / "words" / f"{word}_tgt.png", mask(1))
    found = sort_pictures(tmp_path / "words", [path.name for path in (tmp_path / "words").iterdir()])
    assert found.frames == ["beach.jpg", "city.jpg"] and found.masks["city.jpg"] == "city_tgt.png"


@pytest.mark.parametrize(
    "kept, other, make",
    [
        ("{}.tif", "{}.png", look),
        ("{}.tif", "{}.jpg", look),
        ("{}.png", "{}_preview.jpg", look),
        ("{}.png", "{}_pseudocolor.png", look),
        ("{}.png", "{}-thumb.png", look),
    ],
)
def test_previews_of_raw_frames(tmp_path, kept, other, make):
    found = fill(tmp_path, (kept, lambda number: look(number, np.uint16)), (other, make))
    assert found.frames == names(kept) and found.masks == {}
    assert found.left_out == dict(zip(names(other), names(kept), strict=True))


@pytest.mark.parametrize("other", ["{}.jpg", "{} (1).bmp", "{} - Copy.bmp", "{}_copy.bmp"])
def test_copies(tmp_path, capsys, other):
    found = fill(tmp_path, ("{}.bmp", look), (other, look))
    assert found.frames == names("{}.bmp") and len(found.left_out) == 4
    assert find_frames(tmp_path, [path.name for path in tmp_path.iterdir()]) == found.frames
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"the first {min(names(other))}, of 0.bmp" in said


def test_raw_frames_previews_and_masks(tmp_path):
    found = fill(tmp_path, ("{}.tif", lambda i: look(i, np.uint16)), ("{}.png", look), ("{}_mask.png", mask))
    assert found.frames == names("{}.tif") and len(found.left_out) == 4
    assert found.masks == dict(zip(names("{}.tif"), names("{}_mask.png"), strict=True))


@pytest.mark.parametrize(
    "one, other", [("vidA_{}.png", "vidB_{}.png"), ("{}.png", "{}_ir.png"), ("target_{}.png", "f_{}.png")]
)
def test_pictures_of_two_videos_are_all_frames(tmp_path, one, other):
    found = fill(tmp_path, (one, look), (other, lambda number: look(number + 50)))
    assert sorted(found.frames) == sorted(names(one) + names(other)) and not found.masks and not found.left_out


@pytest.mark.parametrize(
    "kinds, text",
    [
        ((("{}.png", look), ("{}.jpg", lambda number: 255 - look(number))), "0.png: found beside 0.jpg, two images"),
        ((("{}.png", look), ("{}_label.png", lambda number: look(number + 9))), "0_label.png: found beside 0.png, of"),
        ((("{}.png", look), ("{}_mask.png", mask), ("{}_gt.png", mask)), "found beside .*, both masks of 0.png"),
    ],
)
def test_what_cannot_be_told_stops_with_both_names(tmp_path, kinds, text):
    with pytest.raises(UserError, match=text):
        fill(tmp_path, *kinds)


def test_names_that_leave_no_doubt_open_no_file(tmp_path):
    touch(tmp_path, names("{}.png", 9))
    assert sort_pictures(tmp_path, names("{}.png", 9)).frames == names("{}.png", 9)
    write(tmp_path / "x_mask.png", picture())
    assert "x_mask.png" in sort_pictures(tmp_path, [*names("{}.png"), "x_mask.png"]).frames  # it is nobody's mask


def test_names_of_the_images_of_masks():
    assert list(mask_names("a7")) == ["a7"]
    assert list(mask_names("a7_mask")) == ["a7_mask", "a7"] and "7" in mask_names("GT_7")
    assert list(mask_names("mask")) == ["mask"] and "a" in mask_names("a (mask)")
