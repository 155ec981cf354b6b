"""The inference form of MICML and DSFNet: peaks instead of maps, folded, of any width and number of classes."""

import pytest
import torch
from known_answers import assert_close, fill, known
from networks import EXACT, as_clip
from torch import nn

from nets import build_model
from nets.centernet import decode_centres, find_peaks
from nets.inference.folding import fold_network
from nets.inference.peaks import PeakDetector, head_of_patches, patches_at
from nets.inference.streaming import Stream
from nets.micml import MICML, DSFNet
from nets.published import load_published
from nets.published.recognise import recognise

SMALL = {"width": 0.25}


def filled(network: nn.Module) -> nn.Module:
    """With known weights in eval mode, and peaks that are no flukes of rounding."""
    network.load_state_dict(fill({name: value.shape for name, value in network.state_dict().items()}))
    return network.eval()


def assert_same_peaks(ours: torch.Tensor, expected: torch.Tensor) -> None:
    """The same boxes; those whose scores differ by rounding alone may stand in another order."""
    assert ours.shape == expected.shape and ours.dtype == torch.float32
    for found, wanted in zip(ours, expected, strict=True):
        torch.testing.assert_close(found[:, 4], wanted[:, 4], rtol=1e-4, atol=1e-6)
        count = int((wanted[:, 4] > 0).sum())
        assert count > 20 and count == (found[:, 4] > 0).sum()
        near = (wanted[:count, None] - found[:count]).abs().amax(2).amin(1)
        assert near.max() < 1e-3


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (DSFNet, {**SMALL, "num_classes": 2}),
        (MICML, {**SMALL, "num_frames": 3, "motion_at_test": True}),
        (MICML, {**SMALL, "num_frames": 7}),
    ],
)
@torch.no_grad()
def test_the_inference_form_gives_the_peaks_of_the_maps(kind, options):
    network = filled(kind(**options))
    clip = known("peaks", 2, 3, network.num_frames, 32, 48)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fast = fold_network(network)
    assert isinstance(fast, PeakDetector) and not fast.training
    assert_same_peaks(fast(clip), find_peaks(network(clip), 1000))
    fast.max_peaks = 30
    assert_same_peaks(fast(clip), find_peaks(network(clip), 30))
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    norms = [name for name, module in fast.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert not norms and not any(parameter.requires_grad for parameter in fast.parameters())
    assert (fast.network.dynamic.motion is not None) == options.get("motion_at_test", False)


@torch.no_grad()
def test_a_head_at_pixels_is_the_head_over_the_map_borders_included():
    torch.manual_seed(0)
    head = nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 2, 1))
    x = torch.randn(2, 4, 5, 7)
    pixels = torch.stack([torch.randperm(35) for _ in range(2)])
    expected = head(x).flatten(2).gather(2, pixels[:, None].expand(-1, 2, -1)).transpose(1, 2)
    torch.testing.assert_close(head_of_patches(head, patches_at(x, pixels // 7, pixels % 7)), expected)
    x[:, :, 0, 0] = torch.nan  # what lies outside the map is zero, whatever the map holds
    rows, columns = torch.tensor([[0, 4, 4, 1]] * 2), torch.tensor([[6, 0, 6, 1]] * 2)
    found = head_of_patches(head, patches_at(x, rows, columns))
    assert found.isnan().any(2).tolist() == [[False, False, False, True]] * 2


@torch.no_grad()
def test_grey_frames_are_read_from_one_channel():
    levels = (120.0, 110.0, 100.0), (50.0, 40.0, 60.0)
    network = filled(DSFNet(**SMALL))
    grey = fold_network(network, grey=levels)
    clips = known("grey_peaks", 2, 5, 32, 48)
    mean, std = (torch.tensor(part)[:, None, None, None] for part in levels)
    three = (clips[:, None] * std[0] + mean[0] - mean) / std
    assert grey.in_channels == 1 and network.in_channels == 3
    assert_same_peaks(grey(clips), find_peaks(network(three), 1000))


@torch.no_grad()
def test_peaks_are_decoded_as_maps_are():
    network = filled(DSFNet(**SMALL))
    clip = known("peaks", 2, 3, 5, 32, 48)
    maps, peaks = network(clip), fold_network(network)(clip)
    for score, limit in ((0.001, 100), (0.3, 100), (0.55, 25)):
        for ours, expected in zip(decode_centres(peaks, score, limit), decode_centres(maps, score, limit), strict=True):
            assert len(ours) == len(expected) and ours.shape[1] == 6
            torch.testing.assert_close(ours[:, 4], expected[:, 4], rtol=1e-3, atol=1e-5)
    assert len(decode_centres(maps)[0]) <= 100 < len(decode_centres(peaks)[0])


def test_the_least_score_only_cuts_the_end_off():
    torch.manual_seed(0)
    corner = 20 * torch.rand(80, 2)
    boxes = torch.cat((corner, corner + 3 + 6 * torch.rand(80, 2), torch.rand(80, 1), torch.zeros(80, 1)), 1)[None]
    whole = decode_centres(boxes, 0.0)[0]
    for score in (0.2, 0.5):
        assert torch.equal(decode_centres(boxes, score)[0], whole[whole[:, 4] >= score])
    assert 0 < len(decode_centres(boxes, 0.5)[0]) < (boxes[0, :, 4] >= 0.5).sum()


@pytest.mark.parametrize("name", ["micml", "dsfnet"])
def test_width_multiplies_all_channels(name):
    whole, half = (build_model(name, width=width).network for width in (1.0, 0.5))
    fixed = {"heads.hm.2.bias", "heads.wh.2.bias", "heads.reg.2.bias", "dynamic.motion.own.weight"}
    fixed |= {f"dynamic.motion.{part}" for part in ("own.bias", "other.weight", "other.bias")}
    for (key, large), small in zip(whole.state_dict().items(), half.state_dict().values(), strict=True):
        if key in fixed or not large.dim():
            assert large.shape == small.shape
        else:
            assert 2 * small.shape[0] == large.shape[0] or key.startswith("heads") or "offsets" in key
    criterion = build_model(name).criterion
    network = build_model(name, width=1 / 16, num_classes=3, num_frames=3).network
    outputs = network(torch.randn(2, 3, 3, 32, 32))
    assert outputs["hm"].shape == (2, 3, 32, 32)
    sum(criterion(outputs, {"boxes": [torch.tensor([[4.0, 4, 9, 9, 2]])] * 2}).values()).backward()
    for options, message in (({"width": 0.03}, "width=0.03"), ({"num_classes": 0}, "num_classes=0")):
        with pytest.raises(ValueError, match=message):
            build_model(name, **options)


def test_state_dicts_are_told_apart_in_own_and_published_names(golden):
    for name, options in (
        ("micml", {"width": 0.5, "num_classes": 2, "num_frames": 4}),
        ("dsfnet", {"width": 0.25, "num_classes": 3}),
    ):
        (found,) = recognise(build_model(name, **options).network.state_dict())
        assert (found.name, found.published, found.options) == (name, False, options)
    published = {key: torch.zeros(shape) for key, shape in golden("micml_params.json").items()}
    static = {key: value for key, value in published.items() if ".Motion." not in key}
    told = {"width": 1.0, "num_classes": 1}
    for state, name, options in ((published, "micml", {**told, "num_frames": 5}), (static, "dsfnet", told)):
        (found,) = recognise(state)
        assert (found.name, found.published, found.options) == (name, True, options)
        load_published(build_model(name, **found.options).network, state)


@pytest.mark.parametrize(
    ("kind", "options"), [(DSFNet, {"num_frames": 6}), (MICML, {"num_frames": 3, "motion_at_test": True})]
)
@torch.no_grad()
def test_streamed_peaks_and_maps_equal_those_of_whole_clips(kind, options):
    network = filled(kind(**SMALL, **options))
    frames = known("peak_stream", network.num_frames + 2, 2, 3, 32, 32)
    fast = fold_network(network)
    stream, maps = Stream(fast), Stream(network)
    for last, frame in enumerate(frames):
        clip = as_clip(network, frames, last)
        expected = network(clip)
        assert_same_peaks(stream(frame), find_peaks(expected, 1000))
        for name, value in maps(frame).items():
            assert_close(value, expected[name].numpy(), EXACT)
    stream.reset()
    assert_same_peaks(stream.chunk(frames)[-1], find_peaks(expected, 1000))
