"""Boxes matched one to one: known answers, every possible matching tried out, published means, empty cases."""

import itertools
import math

import numpy as np
import pytest
from overlaps import plain_iou

from utils.metrics.detection import DetectionMetrics
from utils.metrics.hungarian import (
    HUNGARIAN_RULES,
    PUBLISHED_SCORE,
    match_boxes,
    match_figures,
    match_rates,
    summarise_videos,
)

RULES = tuple(HUNGARIAN_RULES)


def box(x, y, side=8.0, *rest):
    return [x, y, x + side, y + side, *rest]


def metrics_of(*frames):
    """Of frames with detections, true boxes and, in some, regions to ignore."""
    metrics = DetectionMetrics()
    for found, *true in frames:
        metrics.update(np.array(found, float).reshape(-1, 6), *(np.array(part, float).reshape(-1, 5) for part in true))
    return metrics


def counts_of(*frames, score=0.3):
    counts = metrics_of(*frames).count_matches(score)
    return {rule: tuple(own) for rule, own in zip(RULES, counts.tolist(), strict=True)}


def plain_distance(a, b):
    return math.hypot((a[0] + a[2] - b[0] - b[2]) / 2, (a[1] + a[3] - b[1] - b[3]) / 2)


def best_pairs(closeness):
    """Of all ways to pair rows and columns, the one of the largest sum; pairs of no closeness are none."""
    if len(closeness) > len(closeness[0]):
        return [(row, column) for column, row in best_pairs(list(zip(*closeness, strict=True)))]
    ways = itertools.permutations(range(len(closeness[0])), len(closeness))
    best = max(ways, key=lambda way: sum(closeness[row][column] for row, column in enumerate(way)))
    return [(row, column) for row, column in enumerate(best) if closeness[row][column] > 0]


# Answers that are known


def known_frames(golden):
    """The frames of the known answers; a box whose lower edge is above the upper one becomes a line at its centre."""
    known = golden("golden_micml_metric.npz")
    for frame in range(known["metric/frames"][0]):
        found, true = known[f"metric/det{frame}"].copy(), known[f"metric/gt{frame}"]
        upside_down = found[:, 3] < found[:, 1]
        found[upside_down, 1::2] = found[upside_down, 1::2].mean(1, keepdims=True)[:, :1]
        yield np.insert(found, 5, 0, 1), np.insert(true.astype(float), 4, 0, 1)


def test_counts_and_figures_are_known(golden):
    known = golden("golden_micml_metric.npz")
    figures = match_figures(metrics_of(*known_frames(golden)).count_matches(PUBLISHED_SCORE))
    for rule, key in zip(RULES, ("iou", "iou30", "dis"), strict=True):
        names = ("matched", "false_detections", "missed", "recall", "precision", "f1")
        values = [figures[f"{rule}_{name}"] for name in names]
        # published code adds 1e-7 to what it divides by
        assert [*values[:3], *(100 * value for value in values[3:])] == pytest.approx(known[f"metric/{key}"], rel=2e-7)


@pytest.mark.parametrize("seed", range(60))
def test_hits_are_those_of_the_best_of_all_matchings(seed):
    rng = np.random.default_rng(seed)
    true = rng.uniform(0, 18, (rng.integers(1, 6), 2))
    found = np.concatenate([true + rng.normal(0, 3, true.shape), rng.uniform(0, 18, (2, 2))])[: rng.integers(1, 7)]
    found, true = (np.concatenate([low, low + rng.uniform(3, 9, low.shape)], 1) for low in (found, true))
    hits = match_boxes(found, true)
    overlaps = [[plain_iou(a, b) for b in true.tolist()] for a in found.tolist()]
    near = [[max(0, 5 - plain_distance(a, b)) for b in true.tolist()] for a in found.tolist()]
    expected = np.zeros((len(found), 3), bool)
    for row, column in best_pairs(overlaps):
        expected[row, 0], expected[row, 1] = True, overlaps[row][column] > 0.3
    expected[[row for row, _ in best_pairs(near)], 2] = True
    assert hits.tolist() == expected.tolist()


def test_the_largest_sum_counts_not_the_surest_first():
    true = [box(0, 0, 10, 0), box(4, 0, 10, 0)]
    found = [box(1, 0, 10, 0.9, 0), box(-2, 0, 10, 0.8, 0)]  # the second one reaches the first target alone, by 8 px
    assert counts_of((found, true))["any_overlap"] == (2, 0, 0)
    assert metrics_of((found, true)).compute(0.3)["matched"] == 1  # the surest takes what the other one needs
    # one pair that fits counts for more than two that hardly do
    assert counts_of(([box(0, 0, 10, 0.9, 0), box(9, 0, 10, 0.8, 0)], [box(0, 0, 10, 0), box(-9, 0, 10, 0)]))[
        "any_overlap"
    ] == (1, 1, 1)


def test_what_is_far_disturbs_no_match():
    """The sum of all distances would be least with both pairs crossed, 4 px and 40 px, in place of 0 px and 45 px."""
    true, found = [box(0, 0, 4, 0), box(-4, 0, 4, 0)], [box(0, 0, 4, 0.9, 0), box(36, 0, 4, 0.8, 0)]
    assert counts_of((found, true))["centre_5px"] == (1, 1, 1)
    assert match_boxes(np.array(found), np.array(true))[:, 2].tolist() == [True, False]


@pytest.mark.parametrize(
    "found, rule, hit",
    [
        (box(10, 0, 10), "any_overlap", 0),  # they touch
        (box(9.999, 0, 10), "any_overlap", 1),
        ([0, 0, 3, 10], "iou_30", 0),  # IoU is 0.3
        ([0, 0, 3.001, 10], "iou_30", 1),
        (box(3, 4, 10), "centre_5px", 0),  # 5 px
        (box(3, 3.999, 10), "centre_5px", 1),
    ],
)
def test_ends_of_the_rules(found, rule, hit):
    assert counts_of(([[*found, 0.9, 0]], [box(0, 0, 10, 0)]))[rule] == (hit, 1 - hit, 1 - hit)


def test_boxes_of_decimals_that_touch_do_not_overlap():
    """10.1 + 5.3, as COCO results have it, is a hair less than 15.4."""
    true, found = [[10.1 + 5.3, 0, 20, 9, 0]], [[9, 0, 15.4, 9, 0.9, 0]]
    assert true[0][0] < found[0][2]
    assert counts_of((found, true))["any_overlap"] == (0, 1, 1)


def test_scores_must_exceed_the_threshold_in_single_precision():
    true = [box(0, 0, 8, 0)]
    for score, expected in ((0.3, (0, 0, 1)), (float(np.float32(0.3)), (0, 0, 1)), (0.30001, (1, 0, 0))):
        assert counts_of(([box(0, 0, 8, score, 0)], true)) == dict.fromkeys(RULES, expected)


# What counts


def test_a_class_is_matched_by_itself():
    frames = [
        ([box(0, 0, 8, 0.9, 1), box(20, 0, 8, 0.8, 0)], [box(0, 0, 8, 0), box(20, 0, 8, 0)]),
        ([box(0, 0, 8, 0.9, 2)], [box(0, 0, 8, 2)], [box(20, 0, 8, 0)]),
    ]
    metrics = metrics_of(*frames)
    assert counts_of(*frames)["any_overlap"] == (2, 1, 1) and metrics.classes() == [0, 1, 2]
    parts = [metrics.of_class(number) for number in metrics.classes()]
    assert [part.count_matches(0.3)[0].tolist() for part in parts] == [[1, 0, 1], [0, 1, 0], [1, 0, 0]]
    assert sum(part.count_matches(0.3) for part in parts).tolist() == metrics.count_matches(0.3).tolist()
    assert [part.compute()["ignored_regions"] for part in parts] == [1, 0, 0]


def test_all_detections_of_a_frame_count():
    true = [box(20 * (i % 20), 20 * (i // 20), 8, 0) for i in range(250)]
    found = [[*place[:4], 0.9, 0] for place in true]
    assert counts_of((found, true)) == dict.fromkeys(RULES, (250, 0, 0))
    assert metrics_of((found, true)).compute(0.3)["matched"] == 100  # as COCO has it


def test_regions_to_ignore_hide_what_hits_nothing():
    crowd = [box(30, 0, 30, 0)]
    found = [box(0, 0, 8, 0.9, 0), box(32, 2, 8, 0.8, 0), box(40, 8, 8, 0.8, 0), box(32, 2, 8, 0.8, 1)]
    assert counts_of((found, [box(0, 0, 8, 0)], crowd))["any_overlap"] == (1, 1, 0)
    true_inside = [box(0, 0, 8, 0), box(33, 3, 8, 0)]
    assert counts_of((found, true_inside, crowd)) == dict.fromkeys(RULES, (2, 1, 0))


def test_parts_and_figures_are_those_of_compute():
    rng = np.random.default_rng(4)
    frames = [
        ([box(*xy, 8, rng.random(), 0) for xy in rng.uniform(0, 30, (5, 2))], [box(*rng.uniform(0, 30, 2), 8, 0)] * 2)
        for _ in range(12)
    ]
    parts = [metrics_of(*frames[:5]), metrics_of(*frames[5:])]
    videos = [part.count_matches(0.4) for part in parts]
    whole = metrics_of(*frames).compute(0.4, areas=False)
    summary = summarise_videos(videos)
    for name in match_figures(videos[0]):
        assert summary[name] == whole[name], name
    assert summary["any_overlap_matched"] + summary["any_overlap_missed"] == whole["targets"]
    above = sum(row[4] > 0.4 for found, _ in frames for row in found)
    assert summary["centre_5px_matched"] + summary["centre_5px_false_detections"] == above
    for name in match_rates(videos[0]):
        each = [part.compute(0.4, areas=False)[name] for part in parts]
        assert summary[f"mean_{name}"] == summary[f"published_mean_{name}"] == pytest.approx(sum(each) / 2)


# Nothing to divide by


def published_rates(matched, false, missed):
    precision, recall = matched / (matched + false + 1e-7), matched / (matched + missed + 1e-7)
    return precision, recall, 2 * precision * recall / (precision + recall + 1e-7)


def test_videos_in_which_a_figure_is_undefined():
    true, hit, alarm = [box(0, 0, 8, 0)], [box(0, 0, 8, 0.9, 0)], [box(40, 40, 8, 0.9, 0)]
    parts = [
        metrics_of((hit, true), (alarm, [])),  # a frame without targets: its alarm counts
        metrics_of(([], true)),  # nothing is found: no precision
        metrics_of((alarm, [])),  # no targets: no recall
        metrics_of(([], [])),  # neither
    ]
    counts = [part.count_matches(0.3) for part in parts]
    figures = [match_figures(count) for count in counts]
    nan = pytest.approx(math.nan, nan_ok=True)
    assert [own["any_overlap_precision"] for own in figures] == [0.5, nan, 0, nan]
    assert [own["any_overlap_recall"] for own in figures] == [1, 0, nan, nan]
    assert [own["any_overlap_f1"] for own in figures] == [pytest.approx(2 / 3), 0, 0, nan]
    summary = summarise_videos(counts)
    assert [summary[f"any_overlap_{rate}"] for rate in ("precision", "recall", "f1")] == pytest.approx(
        [1 / 3, 0.5, 0.4]
    )
    means = [summary[f"mean_any_overlap_{rate}"] for rate in ("precision", "recall", "f1")]
    assert means == pytest.approx([0.5 / 2, 1 / 2, 2 / 3 / 3])
    published = np.mean([published_rates(*count[0]) for count in counts], 0)
    means = [summary[f"published_mean_any_overlap_{rate}"] for rate in ("precision", "recall", "f1")]
    assert means == pytest.approx(published, abs=1e-6)


def test_no_videos_at_all():
    summary = summarise_videos([])
    assert summary["any_overlap_matched"] == 0
    for kind in ("", "mean_", "published_mean_"):
        assert math.isnan(summary[f"{kind}any_overlap_f1"])
