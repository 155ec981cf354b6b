"""Pixels that are ignored have no part in any loss."""

import pytest
import torch

from nets.losses import build_criterion

LOSSES = ("focal_iou", "soft_iou", "sls_iou", "bce_soft_iou", "clip_iou")


def sample(seed=0):
    """Logits, mask and what is ignored, the right half, of frames of 8x12 pixels."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn((2, 1, 8, 12), generator=generator, dtype=torch.float64)
    mask = (torch.rand((2, 1, 8, 12), generator=generator) < 0.2).double()
    ignored = torch.zeros(mask.shape, dtype=torch.bool)
    ignored[..., 6:] = True
    return logits, mask, ignored


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_is_that_of_the_other_pixels(name):
    logits, mask, ignored = sample()
    criterion = build_criterion(name)
    found = criterion(logits, {"mask": mask, "ignored": ignored})
    wanted = criterion(logits[..., :6], {"mask": mask[..., :6]})
    for key, value in wanted.items():
        torch.testing.assert_close(found[key], value)


@pytest.mark.parametrize("epoch", [0, 10])
@pytest.mark.parametrize("name", LOSSES)
def test_nothing_there_changes_the_loss_or_gets_a_gradient(name, epoch):
    logits, mask, ignored = sample()
    criterion = build_criterion(name)
    criterion.epoch = epoch
    results = []
    for value in (-3.0, 40.0):
        changed = logits.masked_fill(ignored, value).requires_grad_()
        total = sum(criterion([changed, changed], {"mask": mask, "ignored": ignored}).values())
        total.backward()
        assert changed.grad.isfinite().all() and not changed.grad[ignored].any() and changed.grad[~ignored].any()
        results.append(total.detach())
    assert results[0] == results[1]


@pytest.mark.parametrize("name", LOSSES)
def test_nothing_ignored_is_the_plain_loss_and_all_of_it_is_finite(name):
    logits, mask, ignored = sample()
    criterion = build_criterion(name)
    plain = criterion(logits, {"mask": mask})
    for key, value in criterion(logits, {"mask": mask, "ignored": torch.zeros_like(ignored)}).items():
        torch.testing.assert_close(value, plain[key])
    for value in criterion(logits, {"mask": mask, "ignored": torch.ones_like(ignored)}).values():
        assert value.isfinite()
