"""Average precision and its companions, against a plain independent implementation and answers known by hand."""

import math

import numpy as np
import pytest
from overlaps import plain_iou

from utils.metrics.detection import FALSE, DetectionMetrics, average_precision, match_in_order

NAN = float("nan")


def box(x, y, side=8.0, *rest):
    return [x, y, x + side, y + side, *rest]


def measured(frames, **options):
    metrics = DetectionMetrics()
    for found, true in frames:
        metrics.update(np.array(found).reshape(-1, 6), np.array(true).reshape(-1, 5))
    return metrics.compute(**options)


def plain_ap(frames, quality, least, classes):
    """Average precision by loops: one detection after the other, one recall after the other."""
    results = []
    for wanted in classes:
        queue = sorted(
            ((d[4], f, i) for f, (found, _) in enumerate(frames) for i, d in enumerate(found) if d[5] == wanted),
            key=lambda item: -item[0],
        )
        truth = {f: [t for t in true if t[4] == wanted] for f, (_, true) in enumerate(frames)}
        total = sum(map(len, truth.values()))
        if not total:
            continue
        taken, points, right = set(), [], 0
        for rank, (_, f, i) in enumerate(queue, start=1):
            free = [(quality(frames[f][0][i], t), j) for j, t in enumerate(truth[f]) if (f, j) not in taken]
            best = max(free, default=(-math.inf, -1))
            if best[0] >= least:
                taken.add((f, best[1]))
                right += 1
            points.append((right / total, right / rank))
        # COCO's recalls are multiples of the float 0.01, which decides where a recall is exactly on one of them
        results.append(sum(max([p for r, p in points if r >= k * 0.01], default=0.0) for k in range(101)) / 101)
    return sum(results) / len(results)


def centre_quality(a, b):
    return -math.hypot((a[0] + a[2] - b[0] - b[2]) / 2, (a[1] + a[3] - b[1] - b[3]) / 2)


def random_frames(seed, count=25, classes=1):
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(count):
        true = [
            [*(corner := rng.uniform(0, 60, 2)), *(corner + rng.uniform(3, 40, 2)), int(rng.integers(classes))]
            for _ in range(rng.integers(0, 4))
        ]
        found = []
        for target in true:
            for _ in range(rng.integers(0, 3)):
                moved = np.array(target[:4]) + rng.normal(0, 1.2, 4)
                moved[2:] = np.maximum(moved[2:], moved[:2] + 0.1)
                found.append([*moved, rng.random(), target[4] if rng.random() < 0.9 else int(rng.integers(classes))])
        for _ in range(rng.integers(0, 3)):
            corner = rng.uniform(0, 60, 2)
            found.append([*corner, *(corner + rng.uniform(3, 40, 2)), rng.random() * 0.7, int(rng.integers(classes))])
        frames.append((found, true))
    return frames


@pytest.mark.parametrize("seed, classes", [(0, 1), (1, 1), (2, 3)])
def test_average_precision_equals_plain_loops(seed, classes):
    frames = random_frames(seed, classes=classes)
    result = measured(frames)
    levels = [plain_ap(frames, plain_iou, level, range(classes)) for level in np.arange(0.5, 0.99, 0.05)]
    assert 0.2 < levels[0] < 0.95
    assert result["ap50"] == pytest.approx(levels[0], abs=1e-9)
    assert result["ap"] == pytest.approx(np.mean(levels), abs=1e-9)
    assert result["centre_ap"] == pytest.approx(plain_ap(frames, centre_quality, -3 + 1e-9, range(classes)), abs=1e-9)


def test_the_curve_at_iou_50_is_that_of_pycocotools():
    for seed in range(6):
        metrics = DetectionMetrics()
        for found, true in random_frames(seed, classes=2):
            metrics.update(np.array(found).reshape(-1, 6), np.array(true).reshape(-1, 5))
        assert metrics.interpolate()["precision"].mean() == pytest.approx(metrics.compute()["ap50"], abs=1e-9)


def test_answers_known_by_hand():
    """Four targets in three of four frames; found in the order hit, false, hit (centre only), hit, false."""
    frames = [
        ([box(10, 10, 8, 0.9, 0)], [box(10, 10, 8, 0), box(40, 40, 8, 0)]),
        ([box(30, 30, 8, 0.8, 0)], []),
        ([box(22.5, 20, 8, 0.7, 0), box(0, 40, 8, 0.2, 0)], [box(20, 20, 4, 0)]),
        ([box(5, 6, 8, 0.6, 0)], [box(5, 5, 8, 0)]),
    ]
    # The third detection: IoU 0.073, centres 3.9 px apart; moved by 2 px they are 2.5 px apart.
    frames[2][0][0] = [20.5, 20, 28.5, 28, 0.7, 0]
    frames[2][1][0] = [22, 22, 26, 26, 0]
    result = measured(frames, threshold=0.5)
    # IoU: hits at ranks 1 and 4 of 4 targets: precision 1 up to recall 0.25, 0.5 up to 0.5.
    assert result["ap50"] == pytest.approx((26 * 1 + 25 * 0.5) / 101)
    assert (result["precision"], result["recall"]) == (0.5, 0.5) and result["f1"] == 0.5
    assert result["false_per_frame"] == 2 / 4 and (result["matched"], result["false_detections"]) == (2, 2)
    # Centres: hits at ranks 1, 3 and 4.
    assert result["centre_ap"] == pytest.approx((26 * 1 + 50 * 0.75) / 101)
    assert (result["centre_precision"], result["pd"], result["centre_false_per_frame"]) == (0.75, 0.75, 0.25)
    # R = 0.5, so the first 50 of the interpolated precisions: 26 times 1, 24 times 0.5.
    assert result["published_recall"] == 0.5
    assert result["published_precision"] == pytest.approx(38 / 50)
    assert result["published_f1"] == pytest.approx(2 * 0.76 * 0.5 / 1.26)
    assert (result["frames"], result["frames_with_target"], result["targets"], result["detections"]) == (4, 3, 4, 5)
    assert measured(frames, threshold=0.65)["precision"] == pytest.approx(1 / 3)


def test_published_precision_cuts_at_a_whole_percent():
    """29 of 100 targets found: 100 · 0.29 is 28.999… in floating point, and still 29."""
    frames = [([box(0, 0, 8, 0.9, 0)] if i < 29 else [], [box(0, 0, 8, 0)]) for i in range(100)]
    frames += [([box(0, 0, 8, 0.95, 0)], [])] * 29
    result = measured(frames)
    assert result["published_recall"] == 0.29 and result["published_precision"] == pytest.approx(0.5)


def test_a_threshold_is_exceeded_not_reached():
    frames = [([box(0, 0, 8, np.float32(0.3), 0)], [box(0, 0, 8, 0)])]
    assert measured(frames, threshold=0.3)["recall"] == 0 and measured(frames, threshold=0.29)["recall"] == 1


@pytest.mark.parametrize(
    "found, true, defined",
    [
        ([], [], {"false_per_frame": 0}),
        ([box(0, 0, 8, 0.9, 0)], [], {"false_per_frame": 1, "precision": 0, "f1": 0}),
        (
            [],
            [box(0, 0, 8, 0)],
            {
                "ap50": 0,
                "ap": 0,
                "centre_ap": 0,
                "recall": 0,
                "pd": 0,
                "f1": 0,
                "published_recall": 0,
                "false_per_frame": 0,
            },
        ),
    ],
)
def test_what_is_not_there_is_undefined(found, true, defined):
    result = measured([(found, true)])
    for name in (
        "ap50",
        "ap",
        "centre_ap",
        "precision",
        "recall",
        "f1",
        "pd",
        "published_recall",
        "published_precision",
        "published_f1",
        "false_per_frame",
        "ap50_large",
    ):
        expected = defined.get(name, NAN)
        assert result[name] == expected or (math.isnan(expected) and math.isnan(result[name])), name
    metrics = DetectionMetrics()
    assert math.isnan(metrics.compute()["ap50"]) and len(metrics.curve()["threshold"]) == 0


def test_each_target_is_taken_once_and_the_best_one_first():
    true = np.array([box(0, 0, 8, 0), box(4, 0, 8, 0)])
    found = np.array([box(1, 0), box(0, 0), box(0, 0)])
    assert match_in_order(found, true, "iou").tolist() == [0, FALSE, FALSE]  # IoU 0.33 with the second is too little
    # Centres at 2, 1 and 1 px: the first is as near to both and takes the first, which nothing else is near enough to.
    assert match_in_order(found + [1, 0, 1, 0], true, "centre").tolist() == [0, FALSE, FALSE]
    assert match_in_order(found + [1.5, 0, 1.5, 0], true, "centre").tolist() == [1, 0, FALSE]
    at_three = np.array([box(3, 0)])
    assert match_in_order(at_three, true[:1], "centre").tolist() == [FALSE]
    assert match_in_order(at_three - 1e-6, true[:1], "centre").tolist() == [0]


def test_sizes_of_targets():
    frames = [
        ([box(0, 0, side, 0.9, 0)] if hit else [], [box(0, 0, side, 0)])
        for side, hit in ((7, True), (8, False), (12, True), (16, True), (40, True), (100, False))
    ]
    result = measured(frames)
    assert [result[f"ap50_{name}"] for name in ("tiny", "8_16", "16_32", "small", "medium", "large")] == pytest.approx(
        [1, 51 / 101, 1, 76 / 101, 1, 0]
    )
    assert "ap50_tiny" not in measured(frames, areas=False)


def test_a_class_counts_by_itself():
    frames = [([box(0, 0, 8, 0.9, 1)], [box(0, 0, 8, 0)]), ([box(0, 0, 8, 0.8, 1)], [box(0, 0, 8, 1)])]
    result = measured(frames)
    assert result["ap50"] == pytest.approx((0 + 0.5) / 2) and result["precision"] == 0.5 and result["recall"] == 0.5
    alone = measured([([box(0, 0, 8, 0.9, 5)], [box(0, 0, 8, 0)])])  # a class without targets has no AP of its own
    assert alone["ap50"] == 0 and alone["false_per_frame"] == 1


def test_only_the_surest_hundred_of_a_frame_count():
    found = [box(30, 30, 8, 0.5 + i / 1000, 0) for i in range(100)] + [box(0, 0, 8, 0.4, 0)]
    result = measured([(found, [box(0, 0, 8, 0)])], threshold=0.1)
    assert result["ap50"] == result["recall"] == 0 and result["false_detections"] == 100


def test_curve_over_the_threshold():
    frames = random_frames(4)
    frames[0][0].append([*frames[1][0][0][:4], frames[1][0][0][4], 0])  # two of one score stand and fall together
    metrics = DetectionMetrics()
    for found, true in frames:
        metrics.update(np.array(found).reshape(-1, 6), np.array(true).reshape(-1, 5))
    for rule, names in (
        ("iou", ("precision", "recall", "f1", "false_per_frame")),
        ("centre", ("centre_precision", "pd", "centre_f1", "centre_false_per_frame")),
    ):
        curve = metrics.curve(rule)
        assert (np.diff(curve["threshold"]) > 0).all() and (np.diff(curve["recall"]) <= 0).all()
        for index in range(0, len(curve["threshold"]), 5):
            there = metrics.compute(float(curve["threshold"][index]), areas=False)
            for key, name in zip(("precision", "recall", "f1", "false_per_frame"), names, strict=True):
                assert curve[key][index] == pytest.approx(there[name]), (rule, key)


def test_parts_add_up_and_order_does_not_matter():
    frames = random_frames(5)
    whole = measured(frames)
    parts = [DetectionMetrics(), DetectionMetrics()]
    for index, (found, true) in enumerate(frames):
        parts[index >= 10].update(np.array(found[::-1]).reshape(-1, 6), np.array(true).reshape(-1, 5))
    assert parts[0].merge(parts[1]).compute() == pytest.approx(whole, nan_ok=True)


def test_nothing_is_printed(capfd):
    average_precision([np.array([box(0, 0, 8, 0.9, 0)])], [np.array([box(0, 0, 8, 0)])])
    out, err = capfd.readouterr()
    assert out == err == ""


def test_odd_input():
    metrics = DetectionMetrics()
    with pytest.raises(ValueError, match=r"detections have shape \(1, 5\), expected \(N, 6\)"):
        metrics.update(np.zeros((1, 5)), np.zeros((0, 5)))
    with pytest.raises(ValueError, match="negative"):
        metrics.update([box(5, 5, -1, 0.9, 0)], [])
    with pytest.raises(ValueError, match="not finite"):
        metrics.update(np.full((1, 6), NAN), np.zeros((0, 5)))
    with pytest.raises(ValueError, match="expected one of iou, centre"):
        metrics.curve("nearest")
    assert metrics.found == []
