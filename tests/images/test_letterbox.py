"""Letterboxing against its definition, its boxes there and back, and the other fits."""

import numpy as np
import pytest
from PIL import Image

from utils.images.fit import FITS, Letterbox, fit_of, margin_level

SHAPES = [(256, 256), (240, 320), (320, 240), (33, 47), (509, 655), (1, 1), (7, 700), (512, 512), (513, 511), (64, 127)]


def as_defined(image, size):
    """Letterbox to size×size: grey 128, bicubic, scale min(W/w, H/h), sides rounded down, pasted in the middle."""
    h, w = image.shape
    scale = min(size / w, size / h)
    new = max(1, int(w * scale + 1e-9)), max(1, int(h * scale + 1e-9))
    picture = Image.new("L", (size, size), 128)
    picture.paste(
        Image.fromarray(image).resize(new, Image.Resampling.BICUBIC), ((size - new[0]) // 2, (size - new[1]) // 2)
    )
    return np.asarray(picture)


@pytest.mark.parametrize("shape", SHAPES)
def test_frames_are_letterboxed_as_defined(shape):
    image = np.random.default_rng(0).integers(60, 190, shape).astype(np.uint8)
    ours = Letterbox(shape, (512, 512)).frame(image)
    assert ours.shape == (512, 512) and ours.dtype == np.float32
    # Pillow rounds to whole levels from 0 to 255 between its two passes as well, ours at the end only.
    assert np.abs(ours - as_defined(image, 512)).max() <= 1


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [(512, 512), (64, 96)])
def test_boxes_there_and_back(shape, size):
    box = Letterbox(shape, size)
    h, w = shape
    corners = np.random.default_rng(1).uniform(0, 1, (20, 2, 2))
    boxes = np.concatenate([corners.min(1) * (w, h), corners.max(1) * (w, h), np.full((20, 1), 0.7)], 1)
    there = box.to_input(boxes)
    (top, left), (height, width) = box.corner, box.inner
    assert (there[:, :2] >= (left, top)).all() and (there[:, 2:4] <= (left + width + 1e-9, top + height + 1e-9)).all()
    assert (there[:, 4] == 0.7).all()
    assert np.allclose(box.to_frame(there), boxes)
    assert box.to_frame(np.array([[-9.0, -9, 9999, 9999]])).tolist() == [[0, 0, w, h]]


def test_a_target_is_where_its_box_is():
    image = np.zeros((60, 100), np.uint8)
    image[20:30, 40:60] = 250
    box = Letterbox((60, 100), (128, 128))
    x1, y1, x2, y2 = box.to_input(np.array([[40.0, 20, 60, 30]]))[0]
    rows, columns = np.nonzero(box.frame(image) > 200)
    assert abs(columns.min() - x1) <= 1 and abs(columns.max() + 1 - x2) <= 1
    assert abs(rows.min() - y1) <= 1 and abs(rows.max() + 1 - y2) <= 1


def test_16_bits_keep_their_levels():
    image = np.random.default_rng(2).integers(0, 65536, (40, 64)).astype(np.uint16)
    ours = Letterbox((40, 64), (64, 64), margin_level(3600.0, 65535.0)).frame(image, 65535.0)
    assert (ours[12:52] == image).all() and (ours[:12] == 3600).all() and (ours[52:] == 3600).all()
    large = Letterbox((40, 64), (128, 128)).frame(image, 65535.0)
    assert large.min() >= 0 and large.max() <= 65535 and (large % 1 == 0).all() and large[24:104].std() > 10000


def test_shapes_that_cannot_be():
    with pytest.raises(ValueError, match="sides of at least 1"):
        Letterbox((0, 4), (32, 32))
    with pytest.raises(ValueError, match=r"got a frame of \(4, 4\), expected \(4, 5\)"):
        Letterbox((4, 5), (32, 32)).frame(np.zeros((4, 4), np.uint8))


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("shape", [(40, 100), (128, 128), (70, 33)])
def test_every_fit_brings_maps_and_boxes_back(fit, shape):
    fitted = fit_of(shape, fit, 128, 32)
    image = np.zeros(shape, np.uint8)
    image[10:20, 8:24] = 255
    plane = fitted.frame(image) / 255
    assert all(side % 32 == 0 for side in plane.shape) and plane.dtype == np.float32
    back = fitted.map_to_frame(plane)
    assert back.shape == shape and np.mean((back > 0.5) == (image > 0)) > 0.97
    rows, columns = np.nonzero(plane > 0.7)
    found = fitted.to_frame(np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1, 0.5, 0]]))
    assert np.abs(found[0, :4] - (8, 10, 24, 20)).max() <= 1.5 and found[0, 4:].tolist() == [0.5, 0]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [(512, 512), (64, 96)])
def test_what_changed_alone_is_scaled_anew(shape, size):
    rng = np.random.default_rng(3)
    box, image = Letterbox(shape, size), rng.integers(0, 256, shape).astype(np.uint8)
    places = np.stack([rng.integers(0, side, 12) for side in shape], 1)
    places[:2] = (0, 0), np.subtract(shape, 1)
    changed = image.copy()
    changed[tuple(places.T)] = rng.integers(0, 256, 12)
    again, anew = box.refit(box.frame(image), changed, places), box.frame(changed)
    assert np.abs(again - anew).max() <= 1 and (again != anew).mean() < 1e-3  # halves may be rounded either way
    assert np.array_equal(box.refit(anew, changed, places[:0]), anew)


@pytest.mark.parametrize("shape", SHAPES)
def test_less_grey_shows_the_same_frame(shape):
    square, tight = (fit_of(shape, "letterbox", 512, 32, square=square) for square in (True, False))
    assert square.size == (512, 512) and tight.inner == square.inner
    assert [side - inner for side, inner in zip(tight.size, tight.inner, strict=True)] == [
        -inner % 32 for inner in square.inner
    ]
    image = np.random.default_rng(4).integers(0, 256, shape).astype(np.uint8)
    one, other = (box.map_to_frame(box.frame(image)) for box in (square, tight))
    assert np.array_equal(one, other)
