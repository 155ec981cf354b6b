"""Bright and dark targets in boxes: which of both a mask shows, and that its centre is its box's."""

import numpy as np
import pytest

from utils.images.box_masks import contrasts_of_boxes, convert_boxes, polarity

BOX = (16, 16, 24, 24)


def spot(image, x, y, height, sigma=1.0):
    """Adds a Gaussian of that height at the middle of pixel x, y."""
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    image += height * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))


def winged(hot=30.0, wing=-40.0, noise=1.0, seed=0):
    """A hot target in the middle of `BOX`, and a dark wing beside it that deviates more."""
    image = 100 + noise * np.random.default_rng(seed).standard_normal((40, 40))
    spot(image, 19.5, 19.5, hot)
    spot(image, 22, 17, wing, 0.8)
    return image


def offset(mask, box):
    y, x = (axis.mean() + 0.5 for axis in np.nonzero(mask))
    return x - (box[0] + box[2]) / 2, y - (box[1] + box[3]) / 2


def test_a_given_sign_shows_the_hot_target_and_not_its_dark_wing():
    image = winged()
    mask, fallbacks = convert_boxes(image, [BOX], dilate=False, signs=[1])
    assert not fallbacks and mask.sum() >= 4 and (image[mask] > 110).all()
    dark, fallbacks = convert_boxes(image, [BOX], dilate=False, signs=[-1])
    assert fallbacks and dark.sum() == 4  # the wing's centre would not be the box's


def test_a_sign_without_such_a_target_takes_the_middle_of_the_box():
    image = np.full((40, 40), 100.0)
    image[::2, ::3] += 1  # the surroundings are not flat
    spot(image, 20, 20, -30)
    mask, fallbacks = convert_boxes(image, [BOX], dilate=False, signs=[1])
    assert fallbacks == 1 and np.argwhere(mask).tolist() == [[19, 19], [19, 20], [20, 19], [20, 20]]


def test_each_box_has_its_own_sign():
    image = np.full((40, 60), 100.0)
    image[::2, ::3] += 1
    boxes = [BOX, (40, 16, 48, 24)]
    spot(image, 19.5, 19.5, 30)
    spot(image, 43.5, 19.5, -30)
    mask, fallbacks = convert_boxes(image, boxes, signs=[1, -1])
    assert not fallbacks and mask[19, 19] and mask[19, 43]
    with pytest.raises(ValueError, match="zip"):
        convert_boxes(image, boxes, signs=[1])


@pytest.mark.parametrize("dilate", [False, True])
@pytest.mark.parametrize("sign", [-1, 0, 1])
def test_the_centre_of_a_mask_is_within_a_pixel_of_its_boxes(dilate, sign):
    rng = np.random.default_rng(0)
    for _ in range(150):
        image = rng.normal(100, 3, (48, 48))
        for _ in range(4):
            spot(image, *rng.uniform(8, 40, 2), rng.normal(0, 60), rng.uniform(0.5, 3))
        start, sides = rng.uniform(8, 26, 2).round(rng.integers(0, 3)), rng.uniform(1, 14, 2)
        box = (*start, *(start + sides).round(rng.integers(0, 3)))
        mask, _ = convert_boxes(image, [box], dilate=dilate, signs=[sign])
        assert mask.sum() >= 2 and np.hypot(*offset(mask, box)) <= 1 + 1e-9, box


def test_a_target_beside_the_middle_of_its_box_is_shown_on_its_side():
    image = 100 + np.random.default_rng(1).standard_normal((40, 40))
    spot(image, 21.5, 19.5, 60)  # 2 px to the right
    mask, fallbacks = convert_boxes(image, [BOX], signs=[1])
    x, y = offset(mask, BOX)
    assert not fallbacks and 0.3 < x <= 1 and abs(y) < 0.5 and mask[19, 21]


def test_a_border_that_cuts_a_box_says_nothing_of_its_targets_middle():
    image = 100 + np.random.default_rng(2).standard_normal((40, 40))
    spot(image, 0, 19.5, 60)  # of a box of 8x8 around it the left half is missing
    mask, _ = convert_boxes(image, [(0, 16, 4.5, 24)], dilate=False)
    assert mask[19, 0] and not mask[:, 3:].any() and abs(offset(mask, (0, 16, 4.5, 24))[1]) <= 1


def test_contrasts_are_those_of_the_peaks_in_deviations_of_the_surroundings():
    image = np.full((40, 40), 100.0)
    image[:, ::2] += 4  # 100 and 104: median 102 of as many pixels, deviation 2
    image[19:21, 19:21] = 122
    (bright, dark), *_ = contrasts_of_boxes(image, [BOX])
    assert bright == pytest.approx(20 / 2, rel=0.15) and 0 < dark < 1.01  # pixels off the middle count less
    assert contrasts_of_boxes(image, []).shape == (0, 2)
    flat = np.full((40, 40), 100.0)
    flat[20, 20] = 107
    assert 6 < contrasts_of_boxes(flat, [BOX])[0, 0] <= 7  # a grey level at least


@pytest.mark.parametrize(
    "contrasts, expected",
    [
        ([[9, 2], [8, 3], [2, 4]], (7 + 5 - 2) / 14),
        ([[2, 9], [3, 8]], -1),
        ([[5, 1], [1, 5]], 0),
        ([[3, 3]], 0),
        ([], 0),
    ],
)
def test_the_polarity_is_that_of_all_sightings(contrasts, expected):
    assert polarity(np.array(contrasts, float).reshape(-1, 2)) == pytest.approx(expected)
