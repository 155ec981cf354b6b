"""Ranges of grey levels that follow a source's frames, and the noise in a frame."""

import numpy as np
import pytest

from utils.images.grey_levels import SlowRange, Stretch, noise_in, noise_of


def ramp(start: int, dtype=np.uint16) -> np.ndarray:
    """A frame (1, 101) whose percentiles are `start` and as many levels more as they have percent."""
    return (start + np.arange(101, dtype=dtype))[None]


def test_a_range_starts_with_the_first_frame_and_follows_by_a_twentieth():
    levels = SlowRange(10, 90)
    assert levels.update(ramp(1000), least=0) == (1010, 1090)
    assert levels.update(ramp(1200), least=0) == pytest.approx((1020, 1100))
    assert levels.update(ramp(1200), least=100) == pytest.approx((1029, 1110))  # towards 1200 and 1300, 100 apart


def test_of_large_frames_every_other_pixel_of_a_row_and_column_counts():
    frame = np.zeros((512, 512), np.uint8)
    frame[1::2] = frame[:, 1::2] = 200
    assert SlowRange(0, 100).update(frame, least=0) == (0, 0)
    assert SlowRange(0, 100).update(frame[:511], least=0) == (0, 200)


def test_pictures_have_room_above_white_and_do_not_show_noise_as_contrast():
    assert Stretch().update(ramp(50, np.uint8)) == pytest.approx((50.5, 149.9 + 0.1 * 99.4 / 2))
    for dtype, least in ((np.uint8, 40), (np.uint16, 64)):
        assert Stretch().update(np.full((9, 9), 100, dtype)) == pytest.approx((100 - least / 2, 100 + 1.1 * least / 2))


def test_noise_is_told_from_differences_and_edges_count_little():
    noise = np.random.default_rng(0).normal(0, 3, (200, 200))
    noise[:, 100:] += 500
    assert noise_in(np.diff(noise, axis=1), 2**0.5) == pytest.approx(3, rel=0.03)
    assert noise_of(noise) == pytest.approx(3, rel=0.03)
    assert noise_in(np.diff(noise[:, :1], axis=1), 2**0.5) == 0
