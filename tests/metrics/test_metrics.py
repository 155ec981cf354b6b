"""Segmentation metrics: known answers, and equality with an independent, literal implementation."""

import json
from fractions import Fraction

import numpy as np
import pytest
from overlaps import random_frames

from utils.images.components import label, label_levels, match
from utils.metrics.segmentation import DEFAULT_THRESHOLDS, SegmentationMetrics
from utils.system.files import write_json

# The definitions once more, written without arrays: sets of pixels, flood fill, exact fractions.


def literal_components(pixels):
    rest, found = set(pixels), []
    for start in sorted(pixels):
        if start not in rest:
            continue
        rest.discard(start)
        component, border = {start}, [start]
        while border:
            y, x = border.pop()
            for near in [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]:
                if near in rest:
                    rest.discard(near)
                    component.add(near)
                    border.append(near)
        found.append(component)
    return found


def literal_centroid(component):
    return [Fraction(sum(pixel[axis] for pixel in component), len(component)) for axis in (0, 1)]


def literal_centroid_rule(prediction, mask):
    free, matched = literal_components(prediction), 0
    for target in literal_components(mask):
        ty, tx = literal_centroid(target)
        for candidate in free:
            y, x = literal_centroid(candidate)
            if (y - ty) ** 2 + (x - tx) ** 2 < 9:
                free = [other for other in free if other is not candidate]
                matched += 1
                break
    return matched, sum(map(len, free)), len(free)


def literal_shooting_rule(prediction, mask):
    def around(pixels, radius):
        reach = range(-radius, radius + 1)
        return {(y + dy, x + dx) for y, x in pixels for dy in reach for dx in reach}

    false = prediction - around(mask, 4)
    matched = sum(bool(around(target, 1) & prediction) for target in literal_components(mask))
    return matched, len(false), len(literal_components(false))


def literal_metrics(predictions, masks, rule):
    total = dict.fromkeys(("inter", "union", "truth", "targets", "matched", "false", "components", "with", "pixels"), 0)
    ious = []
    for prediction, mask in zip(predictions, masks, strict=True):
        p, t = (set(zip(*map(list, np.nonzero(a)), strict=True)) for a in (prediction, mask))
        p, t = ({(int(y), int(x)) for y, x in pixels} for pixels in (p, t))
        matched, false, components = {"centroid": literal_centroid_rule, "shooting": literal_shooting_rule}[rule](p, t)
        targets = len(literal_components(t))
        values = (len(p & t), len(p | t), len(t), targets, matched, false, components, bool(t), mask.size)
        for key, value in zip(total, values, strict=True):
            total[key] += value
        if t:
            ious.append(Fraction(len(p & t), len(p | t)))

    def ratio(a, b):
        return float(Fraction(a, b)) if b else float("nan")

    return {
        "iou": ratio(total["inter"], total["union"]),
        "niou": ratio(sum(ious), len(ious)),
        "pixel_accuracy": ratio(total["inter"], total["truth"]),
        "pd": ratio(total["matched"], total["targets"]),
        "fa": ratio(total["false"], total["pixels"]),
        "false_per_frame": ratio(total["components"], len(masks)),
        "targets": total["targets"],
        "matched": total["matched"],
        "false_components": total["components"],
        "false_pixels": total["false"],
        "pixels": total["pixels"],
        "frames": len(masks),
        "frames_with_target": total["with"],
    }


def same(found, expected):
    assert set(expected) <= set(found)
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, rel=1e-12, abs=0, nan_ok=True), key


def test_known_answers(golden):
    known, metrics = golden("golden_seg_metrics.npz"), SegmentationMetrics()
    metrics.update(known["preds"].astype(bool), known["masks"].astype(bool))
    result = metrics.compute()
    for key, name in (
        ("iou", "iou"),
        ("niou", "niou_frames_with_target"),
        ("pixel_accuracy", "pixel_accuracy"),
        ("pd", "pd"),
        ("fa", "fa"),
        ("targets", "targets"),
        ("matched", "detected"),
        ("false_pixels", "false_pixels"),
    ):
        assert result[key] == pytest.approx(known[name].item(), rel=1e-12), key


def test_known_answers_of_the_shooting_rule(golden):
    known, metrics = golden("golden_seg_metrics.npz"), SegmentationMetrics("shooting")
    metrics.update(known["preds"].astype(bool), known["masks"].astype(bool))
    result = metrics.compute()
    for key, name in (
        ("targets", "shooting_targets"),
        ("matched", "shooting_detected"),
        ("false_pixels", "shooting_false_pixels"),
    ):
        assert result[key] == known[name], key


@pytest.mark.parametrize("rule", ["centroid", "shooting"])
@pytest.mark.parametrize("dense", [False, True])
def test_equal_to_the_literal_definitions(rule, dense):
    frames = random_frames(np.random.default_rng(7), 300, dense)
    total = SegmentationMetrics(rule)
    for prediction, mask in frames:
        single = SegmentationMetrics(rule)
        single.update(prediction, mask)
        same(single.compute(), literal_metrics([prediction], [mask], rule))
        total.merge(single)
    same(total.compute(), literal_metrics(*zip(*frames, strict=True), rule))
    assert total.compute()["matched"] > 50 and total.compute()["false_components"] > 50


def test_a_distance_of_exactly_three_pixels_is_a_miss():
    # Centroids at thirds: their difference is 3, their rounded difference 2.9999999999999996.
    mask, prediction = np.zeros((2, 12, 12), bool)
    mask[[0, 0, 1], [0, 1, 0]] = True
    prediction[[3, 3, 4], [0, 1, 0]] = True
    metrics = SegmentationMetrics()
    metrics.update(prediction, mask)
    assert metrics.compute()["matched"] == 0


def test_components_are_ordered_by_their_first_pixel():
    rng = np.random.default_rng(1)
    for _ in range(100):
        mask = rng.random((17, 19)) < rng.uniform(0.05, 0.5)
        components = label(mask)
        expected = literal_components({(int(y), int(x)) for y, x in zip(*np.nonzero(mask), strict=True)})
        assert components.area.tolist() == [len(pixels) for pixels in expected]
        assert np.allclose(components.centroid, [[float(v) for v in literal_centroid(p)] for p in expected])
        assert list(dict.fromkeys(components.owner.tolist())) == list(range(len(expected)))


@pytest.mark.parametrize("stack_pixels", [1, 3000, 1 << 22])
def test_levels_are_labelled_like_separate_masks(monkeypatch, stack_pixels):
    monkeypatch.setattr("utils.images.components.STACK_PIXELS", stack_pixels)
    height = np.random.default_rng(2).integers(-6, 7, (20, 30))
    pixel = np.flatnonzero(height > 0)
    together = label_levels(pixel, height.reshape(-1)[pixel], 30, 7)
    alone = [label(height >= level) for level in range(1, 8)]
    assert together.area.tolist() == [area for part in alone for area in part.area]
    assert np.array_equal(together.centroid, np.concatenate([part.centroid for part in alone]))
    assert together.level.tolist() == [level for level, part in enumerate(alone, 1) for _ in part.area]
    assert together.pixel.tolist() == [index for part in alone for index in part.pixel]


def test_each_component_is_taken_once():
    taken = match(np.array([[0.0, 0.0], [0.0, 2.0], [0.0, 3.5]]), np.array([[0.0, 1.0], [0.0, 2.0]]))
    assert taken.tolist() == [0, 1]


@pytest.mark.parametrize("rule", ["centroid", "shooting"])
def test_curve_equals_one_measurement_per_threshold(rule):
    rng = np.random.default_rng(3)
    thresholds = [0.1, 0.3, 0.5, 0.9, 0.99]
    metrics = SegmentationMetrics(rule, thresholds)
    frames = []
    for prediction, mask in random_frames(rng, 60):
        probability = np.clip(prediction * rng.uniform(0.3, 1, mask.shape) + rng.normal(0, 0.05, mask.shape), 0, 1)
        probability = np.where(rng.random(mask.shape) < 0.03, 0.5, probability).astype(np.float32)
        frames.append((probability, mask))
        metrics.update(probability > 0.5, mask, probability)
    curve = metrics.curve()
    for index, threshold in enumerate(thresholds):
        expected = literal_metrics([p > np.float32(threshold) for p, _ in frames], [mask for _, mask in frames], rule)
        for key in ("pd", "fa", "false_per_frame", "iou"):
            assert curve[key][index] == pytest.approx(expected[key], nan_ok=True), (key, threshold)
    at_half = metrics.compute()
    assert all(curve[key][2] == at_half[key] for key in ("pd", "fa", "iou", "false_per_frame"))


def test_areas():
    probability, mask = np.zeros((100, 100), np.float32), np.zeros((100, 100), bool)
    for x in (10, 40):
        mask[10, x] = True
    probability[10, 10], probability[10, 40], probability[60, 60:64] = 0.9, 0.6, 0.8
    metrics = SegmentationMetrics(thresholds=[0.5, 0.7, 0.85])
    metrics.update(probability > 0.5, mask, probability)
    curve = metrics.curve(fa_limit=1e-3)
    assert curve["pd"].tolist() == [1, 0.5, 0.5] and curve["fa"].tolist() == [4e-4, 4e-4, 0]
    assert curve["pd_fa_auc"] == pytest.approx(0.5 * 0.4 + 1 * 0.6)
    assert curve["pixel_auc"] == pytest.approx((1 + (9998 - 4) / 9998) / 2)
    assert metrics.curve(fa_limit=1e-4)["pd_fa_auc"] == pytest.approx(0.5)


def test_pixel_auc_is_the_rank_statistic():
    rng = np.random.default_rng(5)
    mask = rng.random((60, 70)) < 0.1
    probability = (1 / (1 + np.exp(-rng.normal(mask * 1.5, 2)))).astype(np.float32)
    metrics = SegmentationMetrics()
    metrics.update(probability > 0.5, mask, probability)
    positive, negative = probability[mask], probability[~mask]
    exact = (positive[:, None] > negative[None]).mean() + (positive[:, None] == negative[None]).mean() / 2
    assert metrics.curve()["pixel_auc"] == pytest.approx(exact, abs=1e-4)


def test_empty_cases(tmp_path):
    metrics = SegmentationMetrics()
    assert np.isnan([metrics.compute()[key] for key in ("iou", "niou", "pixel_accuracy", "pd", "fa")]).all()
    metrics.update(np.zeros((4, 5), bool), np.zeros((4, 5), bool), np.zeros((4, 5), np.float32))
    result, curve = metrics.compute(), metrics.curve()
    assert np.isnan([result[key] for key in ("iou", "niou", "pixel_accuracy", "pd")]).all()
    assert result["fa"] == 0 and result["frames"] == 1 and result["frames_with_target"] == 0
    assert np.isnan(curve["pd"]).all() and np.isnan(curve["pd_fa_auc"]) and np.isnan(curve["pixel_auc"])
    write_json(tmp_path / "m.json", result | {"curve": curve})
    assert json.loads((tmp_path / "m.json").read_text())["pd"] is None


def test_false_alarms_in_frames_without_target_count():
    metrics = SegmentationMetrics()
    prediction = np.zeros((2, 10, 10), bool)
    prediction[0, 2:4, 2:4] = True
    metrics.update(prediction, np.zeros((2, 10, 10), bool))
    result = metrics.compute()
    assert (result["fa"], result["false_per_frame"], result["false_components"]) == (4 / 200, 0.5, 1)
    assert result["iou"] == 0 and np.isnan(result["niou"])


def test_batched_merged_and_single_agree_and_tensors_are_taken():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(4)
    masks = rng.random((6, 30, 40)) < 0.02
    probabilities = np.clip(masks * 0.7 + rng.random(masks.shape) * 0.35, 0, 1).astype(np.float32)
    batched, merged, tensors = SegmentationMetrics(), SegmentationMetrics(), SegmentationMetrics()
    batched.update(probabilities > 0.5, masks, probabilities)
    for index in (3, 0, 5, 1, 2, 4):
        single = SegmentationMetrics()
        single.update(probabilities[index] > 0.5, masks[index], probabilities[index])
        merged = merged + single
    given = torch.from_numpy(probabilities).requires_grad_()
    tensors.update(given > 0.5, torch.from_numpy(masks), given)
    for other in (merged, tensors):
        assert other.compute() == batched.compute()
        assert all(np.array_equal(other.curve()[key], batched.curve()[key]) for key in batched.curve())


def test_bad_input():
    metrics = SegmentationMetrics()
    mask = np.zeros((4, 5), bool)
    with pytest.raises(TypeError, match="expected booleans"):
        metrics.update(mask.astype(np.float32), mask)
    with pytest.raises(ValueError, match=r"mask has shape \(5, 4\), expected \(4, 5\)"):
        metrics.update(mask, mask.T)
    with pytest.raises(ValueError, match="expected 0 to 1"):
        metrics.update(mask, mask, np.full(mask.shape, 1.5))
    with pytest.raises(ValueError, match="expected 0 to 1"):
        metrics.update(mask, mask, np.full(mask.shape, np.nan))
    with pytest.raises(ValueError, match=r"\(H, W\) or \(B, H, W\)"):
        metrics.update(mask[0], mask[0])
    with pytest.raises(ValueError, match="centroid, shooting"):
        SegmentationMetrics("nearest")
    with pytest.raises(ValueError, match="ascending"):
        SegmentationMetrics(thresholds=[0.5, 0.4])
    with pytest.raises(ValueError, match="cannot be merged"):
        metrics.merge(SegmentationMetrics("shooting"))
    metrics.update(mask, mask)
    with pytest.raises(ValueError, match="probabilities came with"):
        metrics.curve()


def test_the_default_thresholds_contain_one_half():
    assert 0.5 in SegmentationMetrics().thresholds
    assert len(DEFAULT_THRESHOLDS) == len(np.unique(SegmentationMetrics().thresholds))
