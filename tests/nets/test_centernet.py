"""CenterNet's targets, loss and decoding against known answers, and against themselves."""

import math

import numpy as np
import pytest
import torch
from known_answers import assert_close, known

from nets import build_model
from nets.centernet import centre_loss, decode_centres, find_peaks, gaussian_radius, make_targets, soft_suppression

SHAPE = (48, 64)


def known_boxes(golden, *names: str) -> list[torch.Tensor]:
    """Boxes of class 0 of the images so called; "" is an image without any."""
    expected = golden("golden_micml_small.npz")
    arrays = [expected[f"target/boxes{name}"] if name else np.zeros((0, 4), "float32") for name in names]
    return [torch.cat((torch.from_numpy(box), torch.zeros(len(box), 1)), 1) for box in arrays]


def boxes_of(*rows: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(rows).reshape(-1, 5)


def blank(batch: int = 1, classes: int = 1, height: int = 16, width: int = 24) -> dict[str, torch.Tensor]:
    outputs = {"hm": torch.full((batch, classes, height, width), -6.0)}
    return outputs | {name: torch.zeros(batch, 2, height, width) for name in ("wh", "reg")}


# Targets


def test_radii_are_known(golden):
    expected = golden("golden_micml_small.npz")
    height, width = torch.from_numpy(expected["target/radius_hw"]).T
    np.testing.assert_allclose(gaussian_radius(height, width), expected["target/radius"], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["A", "B"])
def test_targets_are_known(golden, name):
    expected = golden("golden_micml_small.npz")
    targets = make_targets(known_boxes(golden, name), 1, *SHAPE, limit=8)
    assert_close(targets.heatmap[0], expected[f"target/hm{name}"], 1e-7)
    taken = expected[f"target/mask{name}"] == 1
    assert targets.pixel.tolist() == expected[f"target/ind{name}"][taken].tolist()
    np.testing.assert_allclose(targets.size, expected[f"target/wh{name}"][taken], atol=1e-6)
    np.testing.assert_allclose(targets.offset, expected[f"target/reg{name}"][taken], atol=1e-6)
    assert targets.counted.all() and not targets.image.any()


@pytest.mark.parametrize("name", ["A", "B"])
def test_how_far_each_peak_is_drawn_is_known(golden, name):
    reach = []
    for box in known_boxes(golden, name)[0]:
        targets = make_targets([box[None]], 1, *SHAPE)
        for pixel in targets.pixel.tolist():  # none of a box without area
            rows, columns = targets.heatmap[0, 0].nonzero().T
            y, x = divmod(pixel, SHAPE[1])
            reach.append(max((rows - y).abs().max().item(), (columns - x).abs().max().item()))
    assert reach == golden("golden_micml_small.npz")[f"target/radii{name}"].tolist()


def test_only_the_first_boxes_of_each_image_are_learnt():
    boxes = boxes_of((2, 2, 6, 6, 0), (8, 8, 8, 12, 0), (10, 3, 14, 9, 0), (1, 8, 5, 12, 0))
    targets = make_targets([boxes, boxes], 1, 16, 24, limit=3)
    assert targets.image.tolist() == [0, 0, 1, 1], "one without area is left out, and counts"
    assert targets.pixel.tolist() == [4 * 24 + 4, 6 * 24 + 12] * 2
    assert (targets.heatmap == 1).sum() == 4


def test_a_box_over_the_border_keeps_its_peak_inside():
    targets = make_targets([boxes_of((-9, -9, 3, 5, 0), (20, 10, 40, 30, 1))], 2, 16, 24)
    assert targets.pixel.tolist() == [0, 15 * 24 + 23]
    assert targets.heatmap[0, 0, 0, 0] == 1 and targets.heatmap[0, 1, 15, 23] == 1
    assert targets.size.tolist() == [[12, 14], [20, 15]]
    assert not targets.offset.any()


# Loss


@pytest.mark.parametrize(
    ("key", "names"), [("loss", ("A", "B")), ("loss_one_empty", ("A", "")), ("loss_empty", ("", ""))]
)
def test_loss_and_its_gradient_are_known(golden, key, names):
    expected = golden("golden_micml_small.npz")
    outputs = {
        "hm": known("micml_loss_hm", 2, 1, *SHAPE) - 2,
        "wh": 2 * known("micml_loss_wh", 2, 2, *SHAPE) + 6,
        "reg": known("micml_loss_reg", 2, 2, *SHAPE),
    }
    for value in outputs.values():
        value.requires_grad_()
    # Eight slots for objects suffice here.
    losses = centre_loss(outputs, {"boxes": known_boxes(golden, *names)})
    total = sum(losses.values())
    total.backward()
    parts = [total, losses["heatmap"], losses["size"] / 0.1, losses["offset"]]
    np.testing.assert_allclose([part.item() for part in parts], expected[f"{key}/parts"], rtol=1e-5, atol=1e-7)
    assert_close(outputs["hm"].grad, expected[f"{key}/grad_hm"])
    grad = outputs["wh"].grad
    np.testing.assert_allclose(grad[grad != 0], expected[f"{key}/grad_wh_nonzero"], rtol=1e-5)
    np.testing.assert_allclose(outputs["reg"].grad.sum((2, 3)), expected[f"{key}/grad_reg_sum"], rtol=1e-5, atol=1e-7)


def test_regions_to_ignore_are_no_background_but_hide_no_target():
    region, box = (10.0, 4, 20, 12, -1), (12.0, 5, 16, 9, 0)
    for boxes in ([region], [region, box]):
        outputs = blank()
        outputs["hm"].requires_grad_()
        centre_loss(outputs, {"boxes": [boxes_of(*boxes)]})["heatmap"].backward()
        touched = outputs["hm"].grad[0, 0] != 0
        assert touched.sum() == 16 * 24 - 10 * 8 + len(boxes) - 1
        assert not touched[4, 10] and not touched[11, 19] and touched[4, 9] and touched[12, 10]
        assert touched[7, 14] == (len(boxes) == 2)


def test_bad_targets_are_named():
    outputs = blank()
    with pytest.raises(ValueError, match="classes 0 to 1, expected 0 to 0"):
        centre_loss(outputs, {"boxes": [boxes_of((0, 0, 8, 8, 1), (0, 0, 8, 8, 0))]})
    with pytest.raises(ValueError, match=r"\(1, 4\), expected \(N, 5\)"):
        centre_loss(outputs, {"boxes": [torch.zeros(1, 4)]})
    with pytest.raises(ValueError, match="boxes of 2 images"):
        centre_loss(outputs, {"boxes": [torch.zeros(0, 5)] * 2})


# Decoding


def known_outputs() -> dict[str, torch.Tensor]:
    outputs = {
        "hm": known("micml_dec_hm", 2, 1, *SHAPE) - 2,
        "wh": known("micml_dec_wh", 2, 2, *SHAPE) + 6,
        "reg": known("micml_dec_reg", 2, 2, *SHAPE).sigmoid(),
    }
    outputs["hm"][0, 0, 10:12, 10:12] = 3
    return outputs


def test_peaks_are_known(golden):
    expected = golden("golden_micml_small.npz")["decode/dets"]
    found = find_peaks(known_outputs())
    np.testing.assert_allclose(found[..., 4:], expected[..., 4:], atol=1e-6)

    def ordered(dets):  # peaks of equal height have no order
        return np.stack([image[np.lexsort((image[:, 0], image[:, 1], -image[:, 4].round(5)))] for image in dets])

    np.testing.assert_allclose(ordered(found.numpy()), ordered(expected), atol=1e-4)


def test_soft_suppression_is_known(golden):
    expected = golden("golden_micml_small.npz")
    kept = int(expected["decode/soft_nms_kept"][0])
    found = soft_suppression(torch.from_numpy(expected["decode/dets"])[0])
    assert len(found) == kept
    np.testing.assert_allclose(found[:, :5], expected["decode/soft_nms"][:kept], atol=1e-5)
    crowd, kept = torch.from_numpy(expected["decode/crowd_in"]), int(expected["decode/crowd_kept"][0])
    found = soft_suppression(torch.cat((crowd, torch.zeros(len(crowd), 1)), 1))
    assert len(found) == kept < len(crowd)
    np.testing.assert_allclose(found[:, :5], expected["decode/crowd_out"][:kept], atol=1e-5)


def test_other_classes_suppress_nothing():
    box = [4.0, 4, 9, 9]
    dets = torch.tensor([[*box, 0.9, 0], [*box, 0.8, 1], [*box, 0.7, 0], [*box, 1e-4, 2]])
    found = soft_suppression(dets)
    expected = [0.9, 0.8, 0.7 * math.exp(-2), 1e-4]
    np.testing.assert_allclose(found[:, 4], expected, rtol=1e-5)
    assert found[:, 5].tolist() == [0, 1, 0, 2]
    assert soft_suppression(dets[:0]).shape == (0, 6)


def test_the_loss_leads_maps_to_their_targets_and_decoding_gives_them_back():
    torch.manual_seed(0)
    _, criterion, postprocess = build_model("dsfnet")
    outputs = {name: value.repeat(2, 1, 1, 1) for name, value in blank().items()}
    boxes = boxes_of((3.25, 4, 8, 9.5, 0), (14, 2, 21, 7, 0), (12.5, 11, 15, 14.5, 0))
    for value in outputs.values():
        value.requires_grad_()
    optimizer = torch.optim.Adam(outputs.values(), 0.2)
    for _ in range(120):
        optimizer.zero_grad()
        sum(criterion(outputs, {"boxes": [boxes, boxes[:0]]}).values()).backward()
        optimizer.step()
    first, second = postprocess({name: value.detach() for name, value in outputs.items()}, score=0.5)
    assert len(second) == 0 and len(first) == 3
    assert torch.cdist(boxes[:, :4], first[:, :4]).min(1).values.max() < 0.5
    assert len(decode_centres(outputs, score=0.0, limit=2)[0]) == 2
