"""The metrics against scikit-image and SciPy on thousands of random masks; faulty countings against literal code."""

import numpy as np
import pytest
from overlaps import random_frames
from scipy import ndimage

from utils.metrics.published_countings import COUNTINGS, CompatMetrics, shifts
from utils.metrics.segmentation import SegmentationMetrics

measure = pytest.importorskip("skimage.measure", reason="scikit-image is what this compares with")
FRAMES = 2500


@pytest.fixture(scope="module")
def frames():
    rng = np.random.default_rng(11)
    return random_frames(rng, FRAMES - FRAMES // 10) + random_frames(rng, FRAMES // 10, dense=True)


@pytest.fixture(scope="module")
def right(frames):
    return {rule: metrics_of(frames, SegmentationMetrics(rule)) for rule in ("centroid", "shooting")}


@pytest.fixture(scope="module")
def counted(frames):
    return {name: metrics_of(frames, CompatMetrics(name)) for name in COUNTINGS}


def regions(mask):
    return measure.regionprops(measure.label(mask, connectivity=2))


def by_centroid(prediction, mask, reuse=False):
    """Regions in scikit-image's order; matched regions, false regions."""
    free, taken = regions(prediction), []
    for target in regions(mask):
        for index, region in enumerate(free):
            if np.linalg.norm(np.subtract(region.centroid, target.centroid)) < 3 - 1e-9:
                taken.append(region)
                if not reuse:
                    del free[index]
                break
    labels = {region.label for region in taken}
    return taken, [region for region in regions(prediction) if region.label not in labels]


def by_shooting(prediction, mask, padded=True):
    """DTUM's rule with windows cut out of zero-padded pictures, or with its slices as they are."""
    gap = 4 if padded else 0
    large, kept = np.pad(prediction, gap), np.pad(prediction, gap)
    matched = 0
    for target in regions(mask):
        found = False
        for y, x in target.coords + gap:
            found = found or large[y - 1 : y + 2, x - 1 : x + 2].any()
            kept[y - 4 : y + 5, x - 4 : x + 5] = 0
        matched += bool(found)
    return matched, int(kept.sum()), measure.label(kept, connectivity=2).max()


def metrics_of(frames, metrics):
    for prediction, mask in frames:
        metrics.update(prediction, mask)
    return metrics.compute()


def test_pixels_by_numpy_and_components_by_scikit_image(frames, right):
    found = right["centroid"]
    matched = false = pixels = targets = components = 0
    for prediction, mask in frames:
        taken, wrong = by_centroid(prediction, mask)
        matched, false, components = matched + len(taken), false + sum(r.area for r in wrong), components + len(wrong)
        targets, pixels = targets + ndimage.label(mask, np.ones((3, 3)))[1], pixels + mask.size
    inter, union = (sum(int(way(p, m).sum()) for p, m in frames) for way in (np.logical_and, np.logical_or))
    single = [np.logical_and(p, m).sum() / np.logical_or(p, m).sum() for p, m in frames if m.any()]
    expected = {
        "iou": inter / union,
        "niou": np.mean(single),
        "pd": matched / targets,
        "fa": false / pixels,
        "pixel_accuracy": inter / sum(int(m.sum()) for _, m in frames),
        "targets": targets,
        "pixel_precision": inter / sum(int(p.sum()) for p, _ in frames),
        "matched": matched,
        "precision": matched / (matched + components),
        "false_components": components,
        "pixel_f1": 2 * inter / (inter + union),
        "false_pixels": false,
        "f1": 2 / (targets / matched + (matched + components) / matched),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-12), name
    assert matched > 500 and components > 500


def test_the_shooting_rule_with_padded_windows(frames, right):
    found = right["shooting"]
    counts = np.sum([by_shooting(*pair) for pair in frames], 0)
    assert [found[key] for key in ("matched", "false_pixels", "false_components")] == counts.tolist()


def test_auc_by_ranks(frames):
    rng, metrics = np.random.default_rng(5), SegmentationMetrics()
    scores, truth = [], []
    for prediction, mask in frames[:300]:
        score = np.clip(prediction * 0.4 + rng.random(mask.shape) * 0.6, 0, 1).astype(np.float32)
        metrics.update(prediction, mask, score)
        scores.append(score.ravel())
        truth.append(mask.ravel())
    scores, truth = np.concatenate(scores), np.concatenate(truth)
    from scipy.stats import rankdata

    ranks, positives = rankdata(scores), int(truth.sum())
    area = (ranks[truth].sum() - positives * (positives + 1) / 2) / (positives * (len(truth) - positives))
    assert metrics.curve()["pixel_auc"] == pytest.approx(area, abs=2e-4)


def test_pd_at_fixed_fa_is_the_best_within_it(frames):
    rng, metrics = np.random.default_rng(6), SegmentationMetrics()
    for prediction, mask in frames[:200]:
        metrics.update(prediction, mask, np.where(prediction, rng.random(mask.shape), 0).astype(np.float32))
    curve = metrics.curve()
    for limit in curve["pd_at_fa"]:
        within = [pd for pd, fa in zip(curve["pd"], curve["fa"], strict=True) if fa <= limit]
        assert curve["pd_at_fa"][limit] == max(within, default=0)


@pytest.mark.parametrize("empty, wrong_alarm, quiet", [("leave-out", None, None), ("zero", 0, 0), ("one", 0, 1)])
def test_empty_frames_in_niou(empty, wrong_alarm, quiet):
    mask, blank = np.zeros((2, 8, 8), bool)
    mask[2:4, 2:4] = True
    metrics = SegmentationMetrics()
    metrics.update(mask, mask)
    metrics.update(mask, blank)
    metrics.update(blank, blank)
    values = [1] + [value for value in (wrong_alarm, quiet) if value is not None]
    assert metrics.compute(empty)["niou"] == pytest.approx(np.mean(values))
    with pytest.raises(ValueError, match="leave-out, zero, one"):
        metrics.compute("half")


# The faulty countings once more, literally.


def literal_counting(name, frames):
    matched = false = components = 0
    for prediction, mask in frames:
        if name == "shooting-border":
            found, wrong, count = by_shooting(prediction, mask, padded=False)
        elif name == "shooting-centroids":
            found, outside = 0, prediction.copy()
            for y, x in (np.floor(np.add(region.centroid, 0.5)).astype(int) for region in regions(mask)):
                found += int(prediction[y - 1 : y + 2, x - 1 : x + 2].any())
                outside[y - 4 : y + 5, x - 4 : x + 5] = False
            wrong, count = int(outside.sum()), len(regions(outside))
        else:
            taken, rest = by_centroid(prediction, mask, reuse=name == "reuse")
            if name == "area":
                areas = [region.area for region in taken]
                rest = [region for region in regions(prediction) if region.area not in areas]
            found, wrong, count = len(taken), sum(region.area for region in rest), len(rest)
        matched, false, components = matched + found, false + wrong, components + count
    return [matched, false, components]


@pytest.mark.parametrize("name", ["area", "reuse", "shooting-border", "shooting-centroids"])
def test_faulty_matching_is_reproduced(frames, right, counted, name):
    found, correct = counted[name], right[COUNTINGS[name].rule]
    assert [found[key] for key in ("matched", "false_pixels", "false_components")] == literal_counting(name, frames)
    assert found["fa"] != correct["fa"]
    assert (found["matched"] == correct["matched"]) == (name == "area")


def test_faulty_averages_are_reproduced(frames, right, counted):
    held = [(p, m) for p, m in frames if m.any()]
    ious = [np.logical_and(p, m).sum() / max(np.logical_or(p, m).sum(), 1) for p, m in frames]
    quiet = sum(not p.any() and not m.any() for p, m in frames)
    assert counted["empty-zero"]["niou"] == pytest.approx(np.mean(ious))
    assert counted["empty-one"]["niou"] == pytest.approx((np.sum(ious) + quiet) / len(frames))
    assert counted["skip-empty"] == metrics_of(held, SegmentationMetrics())
    assert counted["fa-256"]["fa"] == pytest.approx(right["centroid"]["false_pixels"] / (65536 * len(frames)))
    both = [
        sum(int(np.logical_and(a == value, b == value).sum()) for a, b in frames)
        / sum(int(np.logical_or(a == value, b == value).sum()) for a, b in frames)
        for value in (True, False)
    ]
    assert counted["background"]["iou"] == pytest.approx(np.mean(both))


def test_every_counting_changes_only_what_it_says(right, counted):
    figures = [key for key, value in right["centroid"].items() if isinstance(value, float)]
    for name, counting in COUNTINGS.items():
        moved = {key for key in figures if counted[name][key] != right[counting.rule][key]}
        assert moved and moved <= set(counting.keys), name
    assert {name for name, *_ in shifts(right, counted)} == set(COUNTINGS)
    with pytest.raises(ValueError, match="area, reuse"):
        CompatMetrics("nearest")
