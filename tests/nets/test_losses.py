"""Losses against known answers, by gradient check, and in their corner cases."""

import zlib

import numpy as np
import pytest
import torch
from scripts import ROOT

from nets.losses import CRITERIA, build_criterion, focal_iou, sls_iou, soft_iou


@pytest.fixture(scope="module")
def golden():
    with np.load(ROOT / "tests" / "golden" / "golden_seg_losses.npz") as file:
        known = dict(file)
    rng = np.random.default_rng(zlib.crc32(b"input:loss_logits"))
    known["logits"] = torch.from_numpy(rng.standard_normal((2, 1, 48, 64)).astype(np.float32))
    known["mask"] = torch.from_numpy(known["mask"])
    return known


def sample(batch=3, size=(6, 7), dtype=torch.float64):
    """Random logits and a mask with at least one target pixel in every sample."""
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(batch, 1, *size, generator=generator, dtype=dtype)
    mask = torch.rand(batch, 1, *size, generator=generator) < 0.2
    mask[:, :, 2, 3] = True
    return logits, mask


def total(name, logits, mask, epoch=9):
    criterion = build_criterion(name)
    criterion.epoch = epoch
    return sum(criterion(logits, {"mask": mask}).values())


def test_focal_iou_value_and_gradient_are_the_known_ones(golden):
    probability = golden["logits"].sigmoid().requires_grad_()
    loss = focal_iou(probability, golden["mask"])
    loss.backward()
    assert loss.item() == pytest.approx(float(golden["focal_iou"]), rel=1e-6)
    assert np.abs(probability.grad.numpy() - golden["focal_iou_grad"]).max() < 1e-5
    empty = focal_iou(probability, torch.zeros_like(golden["mask"]))
    assert empty.item() == pytest.approx(float(golden["focal_iou_empty"]), rel=1e-6)


def test_soft_and_sls_iou_have_the_known_values(golden):
    probability, mask = golden["logits"].sigmoid(), golden["mask"]
    assert soft_iou(probability, mask).item() == pytest.approx(float(golden["soft_iou"]), rel=1e-6)
    assert sls_iou(probability, mask, epoch=3).item() == pytest.approx(float(golden["sls_warm"]), rel=1e-6)
    assert sls_iou(probability, mask, epoch=8).item() == pytest.approx(float(golden["sls"]), rel=1e-6)


def test_criteria_give_the_known_values_from_logits(golden):
    targets = {"mask": golden["mask"].bool()}
    assert build_criterion("focal_iou")(golden["logits"], targets)["focal_iou"].item() == pytest.approx(
        float(golden["focal_iou"]), rel=1e-6
    )
    criterion = build_criterion("sls_iou")
    for epoch, name in ((5, "sls_warm"), (6, "sls")):
        criterion.epoch = epoch
        assert criterion(golden["logits"], targets)["sls_iou"].item() == pytest.approx(float(golden[name]), rel=1e-6)


def test_sls_warm_up_is_an_option():
    logits, mask = sample()
    late, early = build_criterion("sls_iou", warm_up=0), build_criterion("sls_iou")
    late.epoch = early.epoch = 1
    probability = logits.sigmoid()
    assert late(logits, {"mask": mask})["sls_iou"] == sls_iou(probability, mask, epoch=6)
    assert early(logits, {"mask": mask})["sls_iou"] == sls_iou(probability, mask, epoch=0)


def test_bce_soft_iou_matches_its_definition():
    logits, mask = sample()
    losses = build_criterion("bce_soft_iou")(logits, {"mask": mask})
    p, y = logits.sigmoid().numpy(), mask.numpy().astype(float)
    bce = -(1 + 200 * y) * (y * np.log(p) + (1 - y) * np.log(1 - p))
    iou = [((a * b).sum() + 1) / (a.sum() + b.sum() - (a * b).sum() + 1) for a, b in zip(p, y, strict=True)]
    assert set(losses) == {"bce", "soft_iou"}
    assert losses["bce"].item() == pytest.approx(10 * bce.mean())
    assert losses["soft_iou"].item() == pytest.approx(1 - np.mean(iou))
    mild = build_criterion("bce_soft_iou", bce_weight=1.0, target_weight=0.0)(logits, {"mask": mask})
    assert mild["bce"].item() == pytest.approx((bce / (1 + 200 * y)).mean())


@pytest.mark.parametrize("name", CRITERIA)
def test_gradients_are_those_of_the_value(name):
    logits, mask = sample(batch=2, size=(4, 5))
    assert torch.autograd.gradcheck(lambda x: total(name, x, mask), logits.requires_grad_())


@pytest.mark.parametrize("name", CRITERIA)
@pytest.mark.parametrize("filled", ["empty", "full", "one pixel", "one sample empty"])
@pytest.mark.parametrize("level", [-200.0, -50.0, 0.0, 50.0, 200.0])
@pytest.mark.parametrize("epoch", [0, 9])
def test_extreme_logits_keep_value_and_gradient_finite(name, filled, level, epoch):
    logits = torch.full((2, 1, 8, 8), level, requires_grad=True)
    mask = torch.full((2, 1, 8, 8), filled == "full")
    if filled == "one pixel":
        mask[:, :, 3, 4] = True
    if filled == "one sample empty":
        mask[0, 0, 3, 4] = True
    loss = total(name, logits, mask, epoch)
    loss.backward()
    assert torch.isfinite(loss) and torch.isfinite(logits.grad).all()


def test_sls_takes_nothing_over_nothing_as_zero():
    nothing = torch.zeros(2, 1, 8, 8)
    assert sls_iou(nothing, nothing, epoch=0).item() == 1
    nearly = torch.full_like(nothing, 1e-12)
    assert sls_iou(nothing, nothing, epoch=9).item() == pytest.approx(sls_iou(nearly, nothing, epoch=9).item())


def test_perfect_predictions_cost_next_to_nothing():
    _, mask = sample(dtype=torch.float32)
    logits = 200.0 * mask - 100
    for name in CRITERIA:
        assert total(name, logits, mask).item() < 2e-4, name


@pytest.mark.parametrize("name", CRITERIA)
def test_loss_falls_along_its_gradient(name):
    logits, mask = sample()
    logits.requires_grad_()
    before = total(name, logits, mask)
    (gradient,) = torch.autograd.grad(before, logits)
    assert total(name, logits - 1e-3 * gradient / gradient.norm(), mask) < before


@pytest.mark.parametrize("name", CRITERIA)
def test_order_of_samples_does_not_matter(name):
    logits, mask = sample()
    assert total(name, logits.flip(0), mask.flip(0)).item() == pytest.approx(total(name, logits, mask).item())


@pytest.mark.parametrize("name", ["sls_iou", "bce_soft_iou"])
def test_losses_per_sample_average_over_the_batch(name):
    logits, mask = sample()
    alone = [total(name, logits[i : i + 1], mask[i : i + 1]).item() for i in range(3)]
    assert total(name, logits, mask).item() == pytest.approx(np.mean(alone))


def test_batch_losses_pool_the_batch():
    logits, mask = sample()
    probability = logits.sigmoid()
    wide = [x.permute(1, 2, 0, 3).reshape(1, 1, 6, -1) for x in (probability, mask)]
    assert soft_iou(probability, mask).item() == pytest.approx(soft_iou(*wide).item())
    assert focal_iou(probability, mask).item() == pytest.approx(focal_iou(*wide).item())


@pytest.mark.parametrize("name", CRITERIA)
def test_half_precision_is_summed_in_single(name):
    logits, mask = sample(batch=2, size=(64, 64), dtype=torch.float32)
    half = logits.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        loss = total(name, half, mask)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(total(name, half.float(), mask).item(), rel=1e-6)


@pytest.mark.parametrize("name", CRITERIA)
def test_several_outputs_are_averaged(name):
    logits, mask = sample()
    both = total(name, [logits, 2 * logits], mask).item()
    assert both == pytest.approx((total(name, logits, mask) + total(name, 2 * logits, mask)).item() / 2)


@pytest.mark.parametrize("name", CRITERIA)
def test_mask_may_be_boolean_or_float(name):
    logits, mask = sample()
    assert total(name, logits, mask) == total(name, logits, mask.float())


def test_unknown_names_and_options_list_the_known_ones():
    with pytest.raises(ValueError, match="unknown loss 'dice'.*focal_iou, soft_iou, sls_iou, bce_soft_iou"):
        build_criterion("dice")
    with pytest.raises(ValueError, match="unknown option 'gamma' of loss bce_soft_iou.*bce_weight, target_weight"):
        build_criterion("bce_soft_iou", gamma=2)
    with pytest.raises(ValueError, match="unknown option 'gamma' of loss focal_iou, expected none"):
        build_criterion("focal_iou", gamma=2)


def test_shapes_that_do_not_fit_are_refused():
    criterion = build_criterion("focal_iou")
    with pytest.raises(ValueError, match="expected both"):
        criterion(torch.zeros(2, 1, 8, 8), {"mask": torch.zeros(2, 1, 8, 9)})
    with pytest.raises(ValueError, match="no outputs"):
        criterion([], {"mask": torch.zeros(2, 1, 8, 8)})
