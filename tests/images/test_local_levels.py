"""Frames normalised by the level and the noise around each pixel."""

import numpy as np
import pytest

from utils.images.normalise import MIN_NOISE, NOISE_UNITS, SURROUNDINGS_PX, normalise_locally


def scene(seed=0, side=128):
    """Noise that is twice as strong on the right, over a slope."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    return (100 + 0.2 * y + rng.normal(0, 2, (side, side)) * np.where(x < side // 2, 1, 2)).astype(np.float32)


@pytest.mark.parametrize("gain", [0.25, 0.5, 2.0, 4.0])
@pytest.mark.parametrize("offset", [-30.0, 0.0, 100.0])
def test_factors_of_contrast_and_offsets_change_nothing(gain, offset):
    plane = scene()
    expected = normalise_locally(plane)
    assert expected.std() > 0.1
    np.testing.assert_allclose(normalise_locally(gain * plane + offset), expected, atol=2e-4)


def test_noise_of_any_strength_comes_out_alike_and_the_slope_is_gone():
    found = normalise_locally(scene())
    left, right = found[:, :40], found[:, -40:]
    assert left.std() == pytest.approx(right.std(), rel=0.1)
    assert abs(found[25:45].mean() - found[-45:-25].mean()) < 0.02 < 1 < 0.2 * 60 / NOISE_UNITS
    # of white noise the two Gaussians leave 0.36 of its deviation, and the mean of |x| is 0.8 of x's
    assert NOISE_UNITS * left.std() == pytest.approx(1 / (0.35 * 0.8), rel=0.15)


def test_a_bright_target_stands_out_and_changes_the_noise_little():
    plane = scene()
    brighter = plane.copy()
    brighter[64:67, 20:23] += 40
    ours, theirs = normalise_locally(brighter), normalise_locally(plane)
    assert ours[65, 21] - theirs[65, 21] > 3
    ratio = ours[50:60, 15:35].std() / theirs[50:60, 15:35].std()
    assert 0.6 < ratio <= 1.01  # of a target of twenty times the noise
    far = np.s_[:, 70:]
    np.testing.assert_array_equal(ours[far], theirs[far])


def test_what_holds_no_noise_is_not_torn_apart():
    flat = np.full((96, 96), 128, np.float32)
    assert np.abs(normalise_locally(flat)).max() < 0.1
    half = scene()
    half[:, :50] = 255  # saturated
    found = normalise_locally(half)
    assert np.isfinite(found).all() and np.abs(found[:, :20]).max() < 0.1
    assert MIN_NOISE > 0


def test_each_plane_is_by_itself_and_channels_are_equal():
    planes = np.stack([scene(seed) for seed in range(3)])
    found = normalise_locally(planes)
    for plane, one in zip(planes, found, strict=True):
        np.testing.assert_array_equal(normalise_locally(plane), one)
    rgb = normalise_locally(planes[None], axis=1)
    assert rgb.shape == (1, 3, 3, 128, 128) and rgb.dtype == np.float32
    for channel in range(3):
        np.testing.assert_array_equal(rgb[0, channel], found)
    assert normalise_locally(planes.astype(np.uint8)).dtype == np.float32


def test_a_crop_has_the_levels_of_the_whole_away_from_its_edges():
    plane, reach = scene(side=192), SURROUNDINGS_PX
    whole = normalise_locally(plane)[20:170, 20:170]
    inner = np.s_[reach:-reach, reach:-reach]
    np.testing.assert_allclose(normalise_locally(plane[20:170, 20:170])[inner], whole[inner], atol=1e-4)
