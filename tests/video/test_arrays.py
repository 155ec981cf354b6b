"""Frames and stacks in `.npy` files, and frames of different depth in one sequence."""

import time

import numpy as np
import pytest
from PIL import Image
from trees import picture, target_mask, write

from utils.datasets.dataset import open_dataset
from utils.datasets.quick_check import quick_check
from utils.images.image_files import check_end, image_size, read_frame
from utils.images.masks.values import read_mask
from utils.system.errors import UserError
from utils.system.notices import warnings_given
from utils.system.untrusted import MAX_IMAGE_PIXELS
from utils.video.growing_folder import GrowingFolder
from utils.video.sources import open_sources


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, array)
    return path


def images_of(path):
    (source,) = open_sources(path)
    frames = list(source)
    assert [frame.number for frame in frames] == list(range(len(frames))) and source.length == len(frames)
    return [frame.image for frame in frames]


@pytest.mark.parametrize("kind", ["u1", "u2", ">u2", "i4", "f4", "f8"])
def test_frames_and_stacks_hold_the_same_pictures(tmp_path, kind):
    stack = np.stack([picture(number, dtype=np.uint16) // 2 for number in range(4)]).astype(
        "u1" if kind == "u1" else "u2"
    )
    for number, image in enumerate(stack.astype(kind)):
        save(tmp_path / "frames" / f"{number}.npy", image)
    save(tmp_path / "stack.npy", stack.astype(kind))
    save(tmp_path / "fortran.npy", np.asfortranarray(stack.astype(kind)))
    for name in ("frames", "stack.npy", "fortran.npy"):
        assert np.array_equal(images_of(tmp_path / name), stack), name
    assert image_size(tmp_path / "stack.npy") == stack.shape[1:]


def test_fractions_and_colours_of_arrays(tmp_path):
    degrees = np.random.default_rng(0).normal(-12, 0.1, (3, 24, 32)).astype(np.float16)
    found = images_of(save(tmp_path / "degrees.npy", degrees))
    assert found[0].dtype == np.uint16 and np.corrcoef(found[1].ravel(), degrees[1].ravel())[0, 1] > 0.999
    colours = np.stack([picture(1), picture(2), picture(3)], 2)
    write(tmp_path / "x.png", colours[:, :, ::-1])
    assert np.array_equal(read_frame(save(tmp_path / "x.npy", colours)), read_frame(tmp_path / "x.png"))
    assert np.array_equal(images_of(save(tmp_path / "y.npy", colours[None]))[0], read_frame(tmp_path / "x.png"))


def test_a_dataset_of_arrays(tmp_path):
    for number in range(3):
        save(tmp_path / f"images/test/s/{number}.npy", picture(number, dtype=np.uint16))
        save(tmp_path / f"masks/test/s/{number}.npy", target_mask() > 0)
    data = open_dataset(tmp_path, "test", need="masks")
    quick_check(data)
    assert np.array_equal(read_frame(data.frames[1].image), picture(1, dtype=np.uint16))
    assert np.array_equal(read_mask(data.frames[1].mask), target_mask() > 0)


def test_arrays_beside_images_are_something_else(tmp_path):
    for number in range(3):
        write(tmp_path / "images/test/s" / f"{number}.png", picture(number))
        save(tmp_path / "images/test/s" / f"{number}.npy", np.zeros(5))
    assert len(open_dataset(tmp_path, "test", need="images").frames) == 3
    assert len(images_of(tmp_path / "images/test/s")) == 3


def test_what_is_no_picture_is_one_line(tmp_path):
    path = tmp_path / "x.npy"
    for array, text in (
        (np.zeros(7), "found an array"),
        (np.zeros((2, 3, 4, 5)), "found an array"),
        (np.zeros((4, 0)), "x.npy"),
        (np.zeros((4, 4), complex), "complex"),
        (np.array([[{}]]), "not a readable .npy file"),
        (np.zeros((2, 5, 6)), "a stack of 2 frames"),
    ):
        np.save(path, array)
        with pytest.raises(UserError, match=text):
            read_frame(path)
    np.save(path, picture())
    data = path.read_bytes()
    claimed = data.replace(b"(24, 32)", b"(99999, 99999)"[: len(b"(24, 32)") + 6])[: len(data)]
    for broken in (data[:40], data[:-1], b"", b"no array", claimed):
        path.write_bytes(broken)
        for look in (read_frame, check_end, image_size):
            with pytest.raises(UserError, match="x.npy"):
                look(path)
    assert MAX_IMAGE_PIXELS < 99999**2


# --- depths ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("endings", [(".png", ".jpg"), (".tif", ".bmp"), (".png", ".png")])
def test_frames_of_different_depth_in_one_sequence_are_named(tmp_path, endings):
    folder = tmp_path / "images/test/s"
    for number in range(6):
        kind = np.uint16 if number % 2 == 0 else np.uint8
        write(folder / f"{number}{endings[number % 2]}", picture(number, dtype=kind))
    for look in (
        lambda: quick_check(open_dataset(tmp_path, "test", need="images")),
        lambda: images_of(folder),
        lambda: time.sleep(0.06) or list(GrowingFolder(folder, patience=0.05, poll=0.01)),
    ):
        before = len(warnings_given())
        look()
        said = warnings_given()
        assert "a frame of 8 bits in one sequence with frames of more" in said[0] and len(said) - before <= 1
    assert len(warnings_given()) == 1


def test_pages_of_different_depth_are_named(tmp_path):
    deep, plain = Image.fromarray(picture(0, dtype=np.uint16)), Image.fromarray(picture(1))
    deep.save(tmp_path / "x.tif", save_all=True, append_images=[plain])
    assert [image.dtype for image in images_of(tmp_path / "x.tif")] == [np.uint16, np.uint8]
    assert warnings_given()[0].startswith(f"{tmp_path / 'x.tif'}: page 2: a frame of 8 bits in one sequence")


def test_frames_of_one_depth_and_a_closed_shutter_are_not_named(tmp_path):
    for number in range(4):
        write(tmp_path / f"deep/{number}.png", picture(number, dtype=np.uint16))
        write(tmp_path / f"plain/{number}.{'png' if number % 2 else 'jpg'}", picture(number))
        save(tmp_path / f"fractions/{number}.npy", picture(number).astype(np.float32) * (1 + number))
    write(tmp_path / "deep/4.png", np.zeros((24, 32), np.uint8))
    for name in ("deep", "plain", "fractions"):
        images_of(tmp_path / name)
    assert not warnings_given()
