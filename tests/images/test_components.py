"""8-connected components: both ways to label against SciPy's, and what is told of each component."""

import numpy as np
import pytest
from scipy import ndimage

from utils.images.components import boxes_of, label, label_targets, peaks_of

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
