"""How much boxes overlap, and which of them go."""

import numpy as np
import pytest
import torch
from overlaps import plain_iou
from torchvision.ops import box_iou as torchvision_iou
from torchvision.ops import nms

from utils.images.boxes import box_iou, suppress


def test_iou_of_boxes():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 10, (2, 12, 2))
    a, b = (np.concatenate([corner, corner + rng.uniform(0.1, 9, (12, 2))], 1) for corner in corners)
    assert np.allclose(box_iou(a, b), [[plain_iou(x, y) for y in b] for x in a])
    assert box_iou(np.zeros((1, 4)), np.zeros((1, 4))).tolist() == [[0.0]]


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_overlaps_have_the_bits_of_torchvision_in_the_precision_of_the_boxes(kind):
    corners = np.random.default_rng(0).uniform(0, 60, (2, 80, 2))
    a, b = (np.concatenate([corner, corner + 9 + corner[::-1] / 10], 1).astype(kind) for corner in corners)
    found = box_iou(a, b)
    assert found.dtype == kind and (found > 0).sum() > 100
    assert np.array_equal(found, torchvision_iou(torch.from_numpy(a), torch.from_numpy(b)).numpy())


def test_boxes_at_whole_numbers_overlap_in_double_precision():
    found = box_iou(np.array([[0, 0, 3, 1]]), np.array([[1, 0, 4, 1], [5, 0, 6, 1]]))
    assert found.dtype == np.float64 and found.tolist() == [[0.5, 0.0]]


def test_suppression_equals_plain_loops():
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 20, (60, 2))
    rows = np.concatenate(
        [
            corner,
            corner + rng.uniform(2, 9, (60, 2)),
            np.sort(rng.random((60, 1)), 0)[::-1],
            rng.integers(0, 2, (60, 1)),
        ],
        1,
    ).astype(np.float32)
    kept = []
    for row in rows:
        if all(other[5] != row[5] or plain_iou(row, other) <= 0.3 for other in kept):
            kept.append(row)
    assert 5 < len(kept) < 55 and np.array_equal(suppress(rows, 0.3), np.array(kept))
    assert suppress(np.zeros((0, 6), np.float32), 0.3).shape == (0, 6)


def test_boxes_at_the_limit_stay_as_in_torchvision():
    rng = np.random.default_rng(3)
    for limit in (0.3, 0.5, 0.65):
        corner = rng.integers(0, 40, (300, 2))
        rows = np.concatenate(
            [
                corner,
                corner + rng.integers(1, 14, (300, 2)),
                np.sort(rng.random((300, 1)), 0)[::-1],
                np.zeros((300, 1)),
            ],
            1,
        ).astype(np.float32)
        kept = nms(torch.from_numpy(rows[:, :4]), torch.from_numpy(rows[:, 4]), limit).numpy()
        assert 64 < len(kept) < 290  # several blocks of boxes wait for each other
        assert np.array_equal(suppress(rows, limit), rows[np.sort(kept)])
