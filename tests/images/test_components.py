"""8-connected components: both ways to label against SciPy's, and what is told of each component."""

import math

import cv2
import numpy as np
import pytest
from scipy import ndimage

from utils.images.components import boxes_of, label, label_targets, match, peaks_of
from utils.images.masks.nested_components import nested_components

EIGHT = np.ones((3, 3))


@pytest.fixture(scope="module")
def masks():
    rng = np.random.default_rng(0)
    return [rng.random(rng.integers(1, 25, 2)) < rng.uniform(0, 0.5) for _ in range(200)]


def test_components_are_those_of_scipy_in_raster_order(masks):
    for mask in masks:
        labels, count = ndimage.label(mask, EIGHT)
        found, values = label(mask), np.random.default_rng(1).random(mask.shape).astype(np.float32)
        assert len(found) == count
        assert (found.owner + 1).tolist() == labels.reshape(-1)[found.pixel].tolist()
        places = ndimage.find_objects(labels)
        assert boxes_of(found, mask.shape[1]).tolist() == [[x.start, y.start, x.stop, y.stop] for y, x in places]
        peaks = peaks_of(found, values.reshape(-1)[found.pixel])
        assert peaks.dtype == np.float32
        assert peaks.tolist() == [values[labels == number].max() for number in range(1, count + 1)]


def test_a_picture_of_labels_shows_the_same_components(masks):
    for mask in masks:
        labels, boxes = label_targets(mask)
        assert labels.dtype == np.int32 and np.array_equal(labels > 0, mask)
        for number, (y0, x0, y1, x1) in enumerate(boxes, start=1):
            assert ndimage.find_objects((labels == number).astype(int)) == [(slice(y0, y1), slice(x0, x1))]
        found = label(mask)
        pairs = {*zip(labels.reshape(-1)[found.pixel].tolist(), found.owner.tolist(), strict=True)}
        assert len(pairs) == len(found) == len(boxes)


def test_an_empty_mask_has_no_components():
    mask = np.zeros((4, 5), bool)
    assert boxes_of(label(mask), 5).shape == (0, 4)
    assert peaks_of(label(mask), np.zeros(0)).shape == (0,)
    assert label_targets(mask)[1] == []


def _nested(rng):
    """Heights (H, W) of 0 to 12: noise, smooth hills, ledges, gaps between pixels, a full frame, nothing."""
    shape = rng.integers(1, 40, 2)
    height = rng.integers(-rng.integers(1, 30), rng.integers(2, 14), shape)
    if rng.random() < 0.6:
        height = np.rint(cv2.GaussianBlur(rng.random(shape), (0, 0), rng.uniform(0.5, 4)) * 40 - rng.integers(0, 25))
    return np.clip(height, 0, 12).astype(np.int64)


@pytest.mark.parametrize("cheap_pixels", [0, 1 << 10, 1 << 19])
def test_nested_components_are_those_of_each_level(monkeypatch, cheap_pixels):
    monkeypatch.setattr("utils.images.masks.nested_components.CHEAP_PIXELS", cheap_pixels)
    rng = np.random.default_rng(3)
    for _ in range(120):
        height = _nested(rng)
        pixel = np.flatnonzero(height)
        found = nested_components(pixel, height.reshape(-1)[pixel], height.shape[1], 12)
        alone = [label(height >= level) for level in range(1, 13)]
        assert found.level.tolist() == [level for level, part in enumerate(alone, 1) for _ in part.area]
        assert found.area.tolist() == [area for part in alone for area in part.area]
        assert np.array_equal(found.centroid, np.concatenate([part.centroid for part in alone]))


@pytest.mark.parametrize("targets", [3, 60])
def test_many_targets_are_matched_as_one_after_the_other(targets):
    rng = np.random.default_rng(4)
    for _ in range(20):
        wanted, found = rng.uniform(0, 30, (targets, 2)).round(1), rng.uniform(0, 30, (80, 2)).round(1)
        level = np.sort(rng.integers(1, 4, 80))
        expected = np.full(80, -1)
        for number, target in enumerate(wanted):
            for one in (1, 2, 3):
                near = [
                    k
                    for k in range(80)
                    if level[k] == one and expected[k] < 0 and math.dist(found[k], target) < 3 - 1e-9
                ]
                if near:
                    expected[near[0]] = number
        assert match(wanted, found, level).tolist() == expected.tolist()
