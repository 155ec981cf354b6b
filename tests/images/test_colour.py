"""Frames in colour are said, and every format that can be opened is an image."""

import cv2
import numpy as np
import pytest
from trees import picture, target_mask, write

from utils.checks import check
from utils.datasets.dataset import open_dataset
from utils.datasets.quick_check import quick_check
from utils.images.colour import is_coloured
from utils.images.image_files import IMAGE_SUFFIXES, image_size, read_frame
from utils.system.notices import forget_warnings, warnings_given
from utils.video.sources import open_sources
from utils_coco.source_images import list_images


def smooth(seed=0):
    """A frame with levels from dark to bright, as a palette shows them."""
    noise = np.random.default_rng(seed).integers(0, 20, (24, 32))
    return (np.linspace(0, 230, 32)[None] + noise).astype(np.uint8)


@pytest.mark.parametrize("palette", [cv2.COLORMAP_JET, cv2.COLORMAP_INFERNO, cv2.COLORMAP_HOT, cv2.COLORMAP_HSV])
def test_palettes_are_colour_and_grey_stored_as_colour_is_not(palette):
    frame = smooth()
    coloured, grey = cv2.applyColorMap(frame, palette), cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR)
    alpha = np.full((*frame.shape, 1), 255, np.uint8)
    for scale in (np.uint8(1), np.uint16(257), np.float32(1 / 255)):
        assert is_coloured(coloured * scale) and not is_coloured(grey * scale)
    assert is_coloured(np.dstack([coloured, alpha])) and not is_coloured(np.dstack([grey, alpha]))
    assert not is_coloured(frame) and not is_coloured(frame[..., None])


def test_frames_in_colour_are_said_by_every_look_at_a_dataset_or_folder(tmp_path):
    for number in range(9):
        frame = smooth(number)
        write(tmp_path / f"images/s/{number}.png", cv2.applyColorMap(frame, 2) if number > 5 else frame)
        write(tmp_path / f"masks/s/{number}.png", target_mask())
    quick_check(open_dataset(tmp_path, "all"))
    (line,) = warnings_given()
    assert "frames looked at are in colour, the first" in line and "6.png" not in line.partition("first")[0]
    forget_warnings()
    check(str(tmp_path), quiet=True)
    assert warnings_given() == [line]
    (tmp_path / "images/s/0.png").unlink()
    (source,) = open_sources(tmp_path / "images/s")
    list(source)
    assert not any("colour" in note for note in source.notes)  # the first frame is grey
    for number in range(1, 6):
        (tmp_path / f"images/s/{number}.png").unlink()
    (source,) = open_sources(tmp_path / "images/s")
    list(source)
    assert any("in colour" in note for note in source.notes)


@pytest.mark.parametrize("suffix", [".webp", ".jp2", ".pgm", ".ppm", ".jpe", ".dib", ".WEBP"])
def test_other_formats_that_can_be_opened_are_images(tmp_path, suffix):
    frame = picture(size=(64, 80))
    coded = cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR) if suffix == ".ppm" else frame
    options = {".webp": [cv2.IMWRITE_WEBP_QUALITY, 101]}.get(suffix.lower(), [])
    write(tmp_path / "x.png", frame)  # makes the folder
    path = tmp_path / f"images/s/0{suffix}"
    path.parent.mkdir(parents=True)
    path.write_bytes(cv2.imencode(suffix.lower(), coded, options)[1].tobytes())
    assert suffix.lower() in IMAGE_SUFFIXES and image_size(path) == frame.shape
    difference = np.abs(read_frame(path).astype(int) - frame)
    assert difference.mean() < 20 if suffix in (".jpe", ".jp2") else difference.max() == 0
    assert len(open_dataset(tmp_path, "all", "images").frames) == 1
    assert [source.length for source in open_sources(path.parent)] == [1]


def test_arrays_beside_images_are_left_out_and_said(tmp_path):
    write(tmp_path / "images/s/0.png", picture())
    write(tmp_path / "images/t/0.png", picture())
    np.save(tmp_path / "images/s/0.npy", picture())
    for count in (
        lambda: len(open_dataset(tmp_path, "all", "images").frames),
        lambda: len(list_images(tmp_path / "images")),
        lambda: sum(source.length for source in open_sources(tmp_path / "images")),
    ):
        assert count() == 2 and "1 .npy" in warnings_given()[0]
        forget_warnings()
    (tmp_path / "images/s/0.png").unlink()
    assert len(open_dataset(tmp_path, "all", "images").frames) == 2 and not warnings_given()
