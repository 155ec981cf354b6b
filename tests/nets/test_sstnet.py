"""SSTNet, YOLOX's head and loss against known answers, against the assignment written out, and against themselves."""

import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from known_answers import assert_close, fill, known
from scripts import ROOT
from torch.nn.utils import parameters_to_vector
from torchvision.ops import batched_nms

from nets import build_model
from nets.published.loading import load_published
from nets.sstnet import SSTNet, TrainingOutput, detection_criterion
from nets.yolox_head import assign, decode_boxes, decode_detections, pad_targets, pairwise_iou, suppress, yolox_loss
from utils.images.boxes import suppress as suppress_rows

SMALL = {"depth": 0.33, "width": 0.0625}


@pytest.fixture(scope="module")
def published(golden) -> dict[str, torch.Tensor]:
    return fill(golden("sstnet_params.json"))


def corners(boxes: np.ndarray) -> torch.Tensor:
    """(N, 5) centre, size, class → x1, y1, x2, y2, class."""
    boxes = torch.from_numpy(boxes)
    return torch.cat((boxes[:, :2] - boxes[:, 2:4] / 2, boxes[:, :2] + boxes[:, 2:4] / 2, boxes[:, 4:]), 1)


# Known answers


@torch.no_grad()
def test_sstnet_gives_all_known_answers(golden, published):
    expected = golden("golden_sstnet.npz")
    network = SSTNet(temporal=False).eval()
    load_published(network, published)
    clip = known("sstnet_a", 1, 3, 5, 64, 64)
    features = network.features(clip.movedim(2, 0))
    assert_close(features.transpose(0, 1), expected["sstnet_a.backbone"])
    assert_close(network.neck(features), expected["sstnet_a.neck"])
    assert_close(network(clip), expected["sstnet_a"])
    assert_close(network(known("sstnet_b", 2, 3, 5, 96, 160)), expected["sstnet_b"])


@torch.no_grad()
def test_sstnet_gives_the_known_motion_loss(golden, published):
    expected = golden("golden_sstnet_motion.npz")
    network = SSTNet().train()
    load_published(network, published)
    output = network(known("sstnet_motion", 1, 3, 5, 512, 512))
    assert_close(output.raw, expected["out"], 5e-4)
    assert output.motion.item() == pytest.approx(float(expected["motion_loss"]), rel=5e-4)


@pytest.mark.parametrize("name", ["golden_yolo_loss", "golden_yolo_loss_b"])
def test_yolox_loss_and_its_gradient_are_known(golden, name):
    expected = golden(f"{name}.npz")
    if "raw" in expected:
        raw = torch.from_numpy(expected["raw"])
    else:
        raw = 0.5 * known("yolo_out", 3, 6, 16, 20)
        raw[:, 2:4] -= 0.3
    raw.requires_grad_()
    boxes = [corners(expected[f"boxes{index}"]) for index in range(3)]
    total = sum(detection_criterion(raw, {"boxes": boxes}).values())
    total.backward()
    assert total.item() == pytest.approx(float(expected["loss"]), rel=1e-5)
    assert_close(raw.grad, expected["grad"])


# The assignment written out


def literal_assign(raw: torch.Tensor, boxes: torch.Tensor) -> list[int]:
    """Of one image, target by target and cell by cell: the target of each cell or -1."""
    decoded, width = decode_boxes(raw[None])[0], raw.shape[-1]
    cells = raw.flatten(1).T
    centres = [((cell % width + 0.5) * 8, (cell // width + 0.5) * 8) for cell in range(len(cells))]
    inside, near = [], []
    for x1, y1, x2, y2, _ in boxes.tolist():
        inside.append([x1 < x < x2 and y1 < y < y2 for x, y in centres])
        near.append([abs(x - (x1 + x2) / 2) < 20 and abs(y - (y1 + y2) / 2) < 20 for x, y in centres])
    candidates = [cell for cell in range(len(cells)) if any(place[cell] for place in inside + near)]
    iou = pairwise_iou(boxes[None, :, :4], decoded[None])[0]
    cost, claims = {}, {}
    for index, box in enumerate(boxes):
        for cell in candidates:
            p = (cells[cell, 4].sigmoid() * cells[cell, 5:].sigmoid()).sqrt()
            one_hot = torch.eye(len(p))[int(box[4])]
            cost[index, cell] = torch.nn.functional.binary_cross_entropy(p, one_hot, reduction="sum").item()
            cost[index, cell] -= 3 * (iou[index, cell] + 1e-8).log().item()
            cost[index, cell] += 0 if inside[index][cell] and near[index][cell] else 1e5
        k = max(1, int(sum(sorted(iou[index, candidates].tolist())[-10:])))
        for cell in sorted(candidates, key=lambda cell: cost[index, cell])[:k]:  # noqa: B023
            claims.setdefault(cell, []).append(index)
    result = [-1] * len(cells)
    for cell, claimants in claims.items():
        several = range(len(boxes)) if len(claimants) > 1 else claimants
        result[cell] = min(several, key=lambda index: cost[index, cell])  # noqa: B023
    return result


def test_assignment_equals_the_one_written_out():
    torch.manual_seed(3)
    raw = torch.randn(3, 7, 10, 12)
    raw[:, 2:4] = raw[:, 2:4] * 0.3 + 0.8
    sets = []
    for count in (6, 0, 2):
        centre, size = torch.rand(count, 2) * torch.tensor([96.0, 80.0]), torch.rand(count, 2) * 28 + 1
        sets.append(torch.cat((centre - size / 2, centre + size / 2, torch.randint(0, 2, (count, 1))), 1))
    sets[0][1] = sets[0][0]  # two targets at one place contest every cell
    sets[0][1, 4] = 1 - sets[0][0, 4]
    decoded = decode_boxes(raw)
    assigned, winner = assign(raw, decoded, *pad_targets(sets, 2, decoded))
    for image, boxes in enumerate(sets):
        expected = literal_assign(raw[image], boxes) if len(boxes) else [-1] * 120
        assert torch.where(assigned[image], winner[image], -1).tolist() == expected
    assert assigned.any(1).tolist() == [True, False, True]


def test_targets_smaller_than_a_stride_get_a_cell_each():
    raw = torch.zeros(1, 6, 8, 8, requires_grad=True)
    # 2×2 pixels that hold no cell's centre
    boxes = torch.tensor([[x, y, x + 2.0, y + 2.0, 0] for x, y in ((0, 0), (57, 57), (31, 31), (15, 46))])
    decoded = decode_boxes(raw)
    assigned, winner = assign(raw, decoded, *pad_targets([boxes], 1, decoded))
    assert sorted(winner[assigned].tolist()) == [0, 1, 2, 3]
    sum(yolox_loss(raw, [boxes]).values()).backward()
    assert raw.grad.isfinite().all()
    assert (raw.grad[:, :4].abs().sum(1) > 0).sum() == 4


def test_a_target_off_the_image_or_without_area_harms_nothing():
    raw = torch.randn(1, 6, 8, 8, requires_grad=True)
    for box in ([200.0, 200, 210, 210, 0], [20.0, 20, 20, 20, 0]):
        losses = yolox_loss(raw, [torch.tensor([box])])
        sum(losses.values()).backward()
        assert raw.grad.isfinite().all()
    assert yolox_loss(raw, [torch.tensor([[200.0, 200, 210, 210, 0]])])["iou"] == 0


def test_frames_without_targets():
    raw = torch.randn(2, 6, 4, 4, requires_grad=True)
    losses = yolox_loss(raw, [torch.zeros(0, 5)] * 2)
    assert losses["iou"] == 0 and losses["class"] == 0
    assert losses["objectness"].item() == pytest.approx(torch.nn.functional.softplus(raw[:, 4]).sum().item(), rel=1e-5)
    sum(losses.values()).backward()
    assert (raw.grad[:, 4] > 0).all() and not raw.grad[:, :4].any() and not raw.grad[:, 5:].any()


def test_huge_sizes_leave_the_gradient_finite():
    raw = torch.zeros(1, 6, 4, 4)
    raw[:, 2:4] = 100
    raw.requires_grad_()
    sum(yolox_loss(raw, [torch.tensor([[8.0, 8, 20, 20, 0]])]).values()).backward()
    assert raw.grad.isfinite().all()


# Detections


def test_detections_are_decoded_suppressed_and_sorted():
    raw = torch.full((2, 7, 4, 6), -20.0)
    raw[0, :4] = 0
    raw[0, 4:, 1, 2] = torch.tensor([3.0, 2.0, -9.0])  # class 0
    raw[0, :, 1, 3] = torch.tensor([-1.0, 0, 0, 0, 2.0, 2.0, -9.0])  # the same place: suppressed
    raw[0, :, 2, 4] = torch.tensor([0.5, 0.25, 1.0, 0, 5.0, -9.0, 5.0])  # class 1
    first, second = decode_detections(raw)
    assert second.shape == (0, 6)
    half = 4 * np.e
    expected = [[36 - half, 14, 36 + half, 22, 0.9866, 1], [12, 4, 20, 12, 0.8390, 0]]
    torch.testing.assert_close(first, torch.tensor(expected), rtol=1e-3, atol=1e-3)
    assert len(decode_detections(raw, nms=1.0)[0]) == 3
    assert len(decode_detections(raw, score=0.9)[0]) == 1


@pytest.mark.parametrize("limit", [0.3, 0.5, 0.65, 1.0])
@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 400])
def test_suppression_keeps_what_torchvision_keeps(count, limit):
    """Corners are whole numbers, so that many overlaps are at the limit; classes lie apart in another way there."""
    rng = np.random.default_rng(count)
    corner = rng.integers(0, 40, (count, 2))
    boxes = torch.from_numpy(np.concatenate([corner, corner + rng.integers(1, 14, (count, 2))], 1)).float()
    scores, classes = torch.from_numpy(rng.random(count)).float(), torch.from_numpy(rng.integers(0, 2, count))
    kept = suppress(boxes, scores, classes, limit)
    assert torch.equal(kept, batched_nms(boxes, scores, classes, limit))
    if count == 400:
        assert (64 < len(kept) < 390) == (limit < 1), "several blocks of boxes wait for each other"


def test_suppression_takes_no_longer_than_its_twin_in_numpy():
    """Boxes of ten classes, which are not compared with each other."""
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 300, (3000, 2))
    sides = np.concatenate([corner, corner + rng.uniform(6, 30, (3000, 2))], 1)
    rows = np.column_stack((sides, np.arange(3000)[::-1], rng.integers(0, 10, 3000))).astype(np.float32)
    boxes, scores, classes = torch.from_numpy(rows).split((4, 1, 1), 1)
    took, kept = [], []
    for run in (
        lambda: suppress_rows(rows, 0.3),
        lambda: rows[suppress(boxes, scores[:, 0], classes[:, 0], 0.3)],
    ):
        starts = [time.process_time()]
        for _ in range(3):
            found = run()
            starts.append(time.process_time())
        took.append(np.diff(starts).min())
        kept.append(found)
    assert 1000 < len(kept[0]) < 2900 and np.array_equal(*kept)
    assert took[1] < took[0]


def test_networks_run_on_a_cpu_without_torchvision():
    """Importing it takes as long as importing PyTorch; SymPy, which some operators without memory need, a third.

    Older versions of PyTorch load SymPy for all of them.
    """
    recent = tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 14)
    late = ("torchvision", "torch._dynamo", *(["sympy"] if recent else []))
    code = (
        "import sys, torch\n"
        "from nets import NETWORKS, build_model\n"
        "from nets.published.recognise import build_empty\n"
        "for name in NETWORKS: build_empty(name, {})\n"
        "for name, options in (('tsmsa', {}), ('sstnet', {'width': 0.0625}), ('dsfnet', {'width': 0.0625})):\n"
        "    network, _, postprocess = build_model(name, **options)\n"
        "    colours = (network.in_channels,) if network.in_channels > 1 else ()\n"
        "    clip = torch.zeros(1, *colours, network.num_frames, 32, 32)\n"
        "    with torch.inference_mode(): postprocess(network.eval()(clip))\n"
        f"print([name for name in {late} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


# The network


@pytest.mark.parametrize("slices", [1, 2])
@pytest.mark.parametrize("fold", [False, True])
def test_every_parameter_gets_a_gradient(slices, fold):
    torch.manual_seed(0)
    network, criterion, _ = build_model("sstnet", num_slices=slices, num_classes=2, fold_frames=fold, **SMALL)
    boxes = [torch.tensor([[10.0, 12, 20, 20, 1], [40, 70, 47, 75, 0]]), torch.zeros(0, 5)]
    losses = criterion(network(torch.randn(2, 3, 5, 96, 64)), {"boxes": boxes})
    assert set(losses) == {"iou", "objectness", "class", "motion"}
    sum(losses.values()).backward()
    assert not [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]


@pytest.mark.parametrize("size", [(32, 32), (96, 160)])
@torch.no_grad()
def test_batched_equals_single(size):
    torch.manual_seed(0)
    network = build_model("sstnet", num_classes=3, num_frames=3, **SMALL).network.eval()
    clips = torch.randn(3, 3, 3, *size)
    raw = network(clips)
    assert raw.shape == (3, 8, size[0] // 8, size[1] // 8)
    torch.testing.assert_close(raw, torch.cat([network(clip[None]) for clip in clips]), rtol=1e-4, atol=1e-5)


def test_folded_frames_share_their_batch_statistics():
    torch.manual_seed(0)
    published, folded = SSTNet(**SMALL), SSTNet(**SMALL, fold_frames=True)
    folded.load_state_dict(published.state_dict())
    clip = torch.randn(2, 3, 5, 64, 64) * torch.arange(1, 6).view(1, 1, 5, 1, 1)
    outputs = [network(clip) for network in (published, folded)]
    assert (outputs[0].raw - outputs[1].raw).abs().max() > 1e-3
    counts = [network.backbone.lateral_conv0[1].num_batches_tracked for network in (published, folded)]
    assert counts == [5, 1]
    # One frame, five times over: its statistics are the same either way.
    still = clip[:, :, :1].expand(-1, -1, 5, -1, -1)
    outputs = [network(still) for network in (published, folded)]
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-3, atol=1e-4)


def test_the_temporal_branch_exists_in_training_only():
    torch.manual_seed(0)
    network = SSTNet(**SMALL)
    clip = torch.randn(2, 3, 5, 64, 64)
    assert isinstance(network(clip), TrainingOutput)
    raw = network.eval()(clip)
    lean = SSTNet(**SMALL, temporal=False)
    lean.load_state_dict(network.state_dict())
    assert not any(name.startswith("temporal") for name in lean.state_dict())
    assert torch.equal(lean.eval()(clip), raw)
    assert isinstance(lean.train()(clip), torch.Tensor)
    assert set(detection_criterion(raw, {"boxes": [torch.zeros(0, 5)] * 2})) == {"iou", "objectness", "class"}


def test_initialisation():
    torch.manual_seed(0)
    network = SSTNet(**SMALL, init_std=0.02)
    weights = parameters_to_vector(m.weight for m in network.modules() if isinstance(m, torch.nn.Conv2d))
    assert weights.std().item() == pytest.approx(0.02, rel=0.05)
    torch.testing.assert_close(network.head.obj_pred.bias.sigmoid(), torch.tensor([0.01]))


def test_the_loss_leads_an_output_to_its_targets():
    torch.manual_seed(0)
    _, criterion, postprocess = build_model("sstnet", num_classes=2, **SMALL)
    raw = (torch.randn(2, 7, 8, 8) * 0.1).requires_grad_()
    boxes = torch.tensor([[29.0, 32, 35, 38, 0], [50, 9, 54, 12, 1], [5, 40, 25, 60, 0]])
    optimizer = torch.optim.Adam([raw], 0.1)
    for _ in range(150):
        total = sum(criterion(raw, {"boxes": [boxes, boxes[:0]]}).values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    first, second = postprocess(raw.detach(), score=0.5)
    assert len(second) == 0 and len(first) == 3
    best = pairwise_iou(boxes[None, :, :4], first[None, :, :4])[0].max(1)
    assert (best.values > 0.9).all()
    assert first[best.indices, 5].tolist() == [0, 1, 0]


# Bad input


def test_bad_options_and_targets_are_named():
    with pytest.raises(ValueError, match="got options num_clases.*num_classes.*width"):
        build_model("sstnet", num_clases=2)
    with pytest.raises(ValueError, match="got loss 'focal_iou'.*expected 'yolox'"):
        build_model("sstnet", loss="focal_iou")
    for options in ({"num_classes": 0}, {"num_frames": 1}, {"num_slices": 0}, {"depth": 0}, {"width": 0.001}):
        with pytest.raises(ValueError, match=f"{next(iter(options))}="):
            SSTNet(**options)
    raw = torch.zeros(1, 6, 4, 4)
    with pytest.raises(ValueError, match="classes 0 to 2, expected 0 to 0: .*num_classes=3"):
        yolox_loss(raw, [torch.tensor([[0.0, 0, 8, 8, 2], [0, 0, 8, 8, 0]])])
    with pytest.raises(ValueError, match=r"\(1, 4\), expected \(N, 5\)"):
        yolox_loss(raw, [torch.zeros(1, 4)])
    with pytest.raises(ValueError, match="boxes of 2 images"):
        yolox_loss(raw, [torch.zeros(0, 5)] * 2)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 3, 4, 64, 64), "4 frames, expected 5"),
        ((1, 3, 5, 64, 48), "64×48 pixels, expected multiples of 32: pad"),
        ((1, 1, 5, 64, 64), r"\(B, 3, T, H, W\)"),
        ((1, 5, 64, 64), r"\(B, 3, T, H, W\)"),
    ],
)
def test_a_clip_of_another_shape_is_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        SSTNet(**SMALL)(torch.zeros(shape))


# Published weights


def test_published_loading_reports_every_entry(golden, published):
    dead = set(golden("sstnet_dead.json"))
    network = SSTNet()
    report = load_published(network, {f"module.{name}": value for name, value in published.items()})
    assert set(report.dropped) == dead
    assert sorted((*report.loaded, *report.folded, *report.dropped)) == sorted(published)
    assert not report.missing and not report.unexpected
    lean = load_published(SSTNet(temporal=False), published)
    temporal = {name for name in published if name.startswith(("SSTNet.", "mapping"))}
    assert set(lean.dropped) == dead | temporal and not lean.missing


def test_the_backbone_of_yolox_s_loads(published):
    state = {name: value for name, value in published.items() if name.startswith("backbone.")}
    state["backbone.bu_conv2.conv.weight"] = torch.zeros(128, 128, 3, 3)
    state["head.stems.0.conv.weight"] = torch.zeros(128, 128, 1, 1)
    network = SSTNet(temporal=False)
    report = load_published(network, state, strict=False)
    assert not [name for name in report.missing if name.startswith("backbone.")]
    assert set(report.unexpected) == {"backbone.bu_conv2.conv.weight", "head.stems.0.conv.weight"}
    assert torch.equal(network.backbone.darknet.stem[0].weight, state["backbone.backbone.stem.conv.conv.weight"])
    with pytest.raises(ValueError, match=r"head.stems.0.conv.weight \(128, 128, 1, 1\)"):
        load_published(network, published | {"head.stems.0.conv.weight": torch.zeros(128, 128, 1, 1)})
