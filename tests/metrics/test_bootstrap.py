"""Bootstrap intervals: equality with measuring the drawn sequences literally, coverage, and stated empty cases."""

import numpy as np
import pytest

from utils.metrics.bootstrap import (
    compare_draws,
    detection_draws,
    draw_sequences,
    interval,
    intervals,
    segmentation_draws,
)
from utils.metrics.detection import DetectionMetrics
from utils.metrics.hungarian import summarise_videos
from utils.metrics.segmentation import SegmentationMetrics


def segmentation_parts(rng, sequences=6, frames=4, curve=True):
    parts = []
    for _ in range(sequences):
        part, quality = SegmentationMetrics(), rng.uniform(0.4, 1)
        for _ in range(frames):
            mask = np.zeros((32, 32), bool)
            for _ in range(rng.integers(0, 4)):
                y, x = rng.integers(2, 28, 2)
                mask[y : y + 2, x : x + 2] = True
            probability = np.clip(mask * quality + rng.normal(0, 0.2, mask.shape), 0, 1).astype(np.float32)
            part.update(probability > 0.5, mask, probability if curve else None)
        parts.append(part)
    return parts


def detection_parts(rng, sequences=5, frames=6):
    parts = []
    for _ in range(sequences):
        part = DetectionMetrics()
        for _ in range(frames):
            true = rng.integers(0, 40, (rng.integers(0, 3), 2)).astype(float)
            found = np.concatenate([true + rng.integers(-2, 3, true.shape), rng.integers(0, 40, (2, 2))])
            part.update(
                [[x, y, x + 8, y + 8, rng.random(), c] for c, (x, y) in enumerate(found.tolist()) for c in [c % 2]],
                [[x, y, x + 8, y + 8, c % 2] for c, (x, y) in enumerate(true.tolist())],
            )
        parts.append(part)
    return parts


def test_weights_draw_with_replacement_and_the_same_again():
    drawn = draw_sequences(7, 500, seed=3)
    assert drawn.shape == (500, 7) and (drawn.sum(1) == 7).all() and drawn.max() > 1
    assert np.array_equal(drawn, draw_sequences(7, 500, seed=3))
    assert not np.array_equal(drawn, draw_sequences(7, 500, seed=4))
    assert drawn.mean(0) == pytest.approx(np.ones(7), abs=0.2)


def test_an_interval_leaves_out_as_much_at_either_end():
    assert interval(np.arange(1001.0), 0.9) == pytest.approx((50, 950))


@pytest.mark.parametrize("empty", ["leave-out", "zero", "one"])
def test_draws_equal_measuring_the_drawn_sequences(empty):
    parts = segmentation_parts(np.random.default_rng(1))
    draws = segmentation_draws(parts, 12, seed=5, empty=empty)
    for index, row in enumerate(draw_sequences(len(parts), 12, seed=5)):
        literal = SegmentationMetrics()
        for part, count in zip(parts, row, strict=True):
            for _ in range(count):
                literal.merge(part)
        curve = literal.curve()
        expected = literal.compute(empty) | {name: curve[name] for name in ("pd_fa_auc", "pixel_auc")}
        expected |= {f"pd_at_fa_{limit:.0e}": value for limit, value in curve["pd_at_fa"].items()}
        for name, values in draws.items():
            assert values[index] == pytest.approx(expected[name], rel=1e-12, nan_ok=True), name


def test_detection_draws_equal_measuring_the_drawn_sequences():
    parts = detection_parts(np.random.default_rng(2))
    draws = detection_draws(parts, 0.35, 25, seed=6)
    for index, row in enumerate(draw_sequences(len(parts), 25, seed=6)):
        literal = DetectionMetrics()
        for part, count in zip(parts, row, strict=True):
            for _ in range(count):
                literal.merge(part)
        repeated = [part for part, count in zip(parts, row, strict=True) for _ in range(count)]
        means = summarise_videos([part.count_matches(0.35) for part in repeated])
        for name, value in (literal.compute(0.35, areas=False) | means).items():
            if name in draws:
                assert draws[name][index] == pytest.approx(value, nan_ok=True), name
    assert len(draws) == 10 + 2 * 9 and set(draws) <= literal.compute().keys() | means.keys()


def test_the_interval_covers_what_it_should():
    """Of many sets of 40 sequences the 95 % interval of Pd holds the true Pd in about 95 % of them."""
    rng, held, mask = np.random.default_rng(0), 0, np.zeros((8, 8), bool)
    mask[2:4, 2:4] = True
    kinds = [SegmentationMetrics(), SegmentationMetrics()]
    for kind, prediction in zip(kinds, (mask & False, mask), strict=True):
        kind.update(prediction, mask)
    for _ in range(200):
        parts = [kinds[found] for found in (rng.random(40) < 0.7).astype(int)]
        low, high = intervals(segmentation_draws(parts, 200, curve=False))["pd"]
        held += low <= 0.7 <= high
    assert 0.88 <= held / 200 <= 0.99


def test_empty_cases():
    rng = np.random.default_rng(3)
    one = segmentation_parts(rng, 1)
    assert np.isnan(interval(segmentation_draws(one, 10)["pd"])).all()
    assert np.isnan(interval(detection_draws(detection_parts(rng, 1), 0.5, 10)["ap50"])).all()
    without = SegmentationMetrics()
    without.update(np.zeros((4, 4), bool), np.zeros((4, 4), bool))
    draws = segmentation_draws([without, without], 10, curve=False)
    assert np.isnan(interval(draws["pd"])).all() and interval(draws["fa"]) == (0, 0)
    nothing = DetectionMetrics()
    nothing.update([], [])
    draws = detection_draws([nothing, nothing], 0.5, 10)
    assert np.isnan(interval(draws["ap50"])).all() and np.isnan(interval(draws["centre_ap"])).all()


def test_comparing_counts_resamples_equal_ones_half():
    nan = np.nan
    assert compare_draws(np.array([1, 2, 3, nan]), np.array([0, 2, 4, 1])) == pytest.approx(0.5)
    assert np.isnan(compare_draws(np.array([nan]), np.array([1.0])))
