"""In regions to ignore the detector's loss says nothing of cells that learn no target."""

import pytest
import torch
from torch.nn.functional import softplus

from nets.yolox_head import IGNORED_CLASS, STRIDE, assign, decode_boxes, pad_targets, yolox_loss

TARGET = [10.0, 10, 22, 22, 0]


def region(x1, y1, x2, y2):
    return [float(x1), y1, x2, y2, IGNORED_CLASS]


def losses_and_gradient(boxes, seed=0, shape=(2, 6, 8, 8)):
    raw = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).requires_grad_()
    found = yolox_loss(raw, [torch.tensor(own).reshape(-1, 5) for own in boxes])
    sum(found.values()).backward()
    return found, raw.detach(), raw.grad


def test_cells_with_their_centre_inside_give_no_objectness_loss():
    found, raw, gradient = losses_and_gradient([[region(8, 16, 24, 24)], []])
    inside = torch.zeros(2, 8, 8, dtype=torch.bool)
    inside[0, 2, 1:3] = True  # centres (12, 20) and (20, 20)
    assert (gradient[:, 4] == 0).equal(inside)
    assert found["objectness"].item() == pytest.approx(softplus(raw[:, 4])[~inside].sum().item(), rel=1e-6)
    assert found["iou"] == 0 and found["class"] == 0


def test_cells_that_learn_a_target_inside_still_do():
    plain, _, before = losses_and_gradient([[TARGET], [TARGET]])
    masked, raw, after = losses_and_gradient([[TARGET, region(0, 0, 64, 64)], [TARGET]])
    assigned = before[0, 0] != 0
    assert assigned.any() and after[0, 4].ne(0).equal(assigned) and after[0, :4].equal(before[0, :4])
    assert after[1].equal(before[1]) and masked["iou"] == plain["iou"] and masked["class"] == plain["class"]
    boxes, valid = pad_targets([torch.tensor([TARGET])] * 2, 1, raw)
    count = assign(raw, decode_boxes(raw), boxes, valid)[0].sum()
    lost = softplus(raw[0, 4])[~assigned].sum() / count
    assert plain["objectness"].item() - masked["objectness"].item() == pytest.approx(lost.item(), rel=1e-4)


def test_a_region_that_holds_no_centre_changes_nothing():
    for boxes in ([], [TARGET]):
        plain = losses_and_gradient([boxes, boxes])
        masked = losses_and_gradient([[*boxes, region(0, 0, STRIDE / 2, 64)], boxes])  # centres on its border
        assert {name: value.item() for name, value in plain[0].items()} == {
            name: value.item() for name, value in masked[0].items()
        }
        assert plain[2].equal(masked[2])


def test_a_region_over_everything_leaves_nothing_to_learn():
    found, _, gradient = losses_and_gradient([[region(0, 0, 64, 64)]] * 2)
    assert sum(found.values()) == 0 and not gradient.any()


def test_other_negative_classes_are_still_mistakes():
    with pytest.raises(ValueError, match="classes -2"):
        losses_and_gradient([[[1.0, 2, 3, 4, -2]], []])
