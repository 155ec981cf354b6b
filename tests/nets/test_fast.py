"""Folded and streamed networks against the literal ones, and against the same network over whole clips."""

import pytest
import torch
from known_answers import assert_close, fill, known
from networks import EXACT, SMALL, as_clip, filled, frames_of, windowed
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.literal.sstnet import LiteralSSTNet
from benchmarks.literal.tsmsa import LiteralTSMSA
from nets.inference.folding import fold_network
from nets.inference.streaming import Stream, can_stream
from nets.published.loading import load_published
from nets.sstnet import SSTNet
from nets.tsmsa import TSMSA


def literal_and_ours(name: str, **options) -> tuple[nn.Module, nn.Module]:
    """The literal network with known weights, and ours with the same, both in eval mode."""
    kinds = {"tsmsa": (LiteralTSMSA, TSMSA), "sstnet": (LiteralSSTNet, SSTNet)}[name]
    literal, ours = (kind(**options).eval() for kind in kinds)
    filled(literal)
    load_published(ours, literal.state_dict())
    return literal, ours


# The literal networks


@torch.no_grad()
def test_the_literal_networks_give_the_known_answers(golden):
    for kind, name, shape in ((LiteralTSMSA, "tsmsa", (1, 5)), (LiteralSSTNet, "sstnet", (1, 3, 5))):
        network = kind().eval()
        network.load_state_dict(fill(golden(f"{name}_params.json")))
        expected = golden(f"golden_{name}.npz")[f"{name}_a"]
        output = network(known(f"{name}_a", *shape, 64, 64))
        assert_close(output.sigmoid() if name == "tsmsa" else output, expected, EXACT)


def test_the_literal_sstnet_trains_alike():
    network = LiteralSSTNet(**SMALL).train()
    ours = SSTNet(**SMALL).train()
    load_published(ours, filled(network).state_dict())
    clip = known("fast_train", 2, 3, 5, 64, 96)
    raw, motion = network(clip)
    assert_close(ours(clip).raw, raw.detach().numpy(), 5e-4)
    torch.testing.assert_close(ours(clip).motion, motion, rtol=5e-4, atol=0)


# Folding


@pytest.mark.parametrize(
    ("name", "options", "size"),
    [
        ("tsmsa", {}, (96, 160)),
        ("tsmsa", {"num_slices": 2, "num_layers": 2, "num_frames": 3}, (32, 48)),
        ("sstnet", {}, (64, 96)),
        ("sstnet", {"num_frames": 3, "num_classes": 2, **SMALL}, (96, 64)),
    ],
)
@torch.no_grad()
def test_folded_streamed_and_windowed_equal_the_literal_network(name, options, size):
    literal, ours = literal_and_ours(name, **options)
    fast = fold_network(ours)
    frames = frames_of(ours, ours.num_frames, 2, *size)
    clip = as_clip(ours, frames, ours.num_frames - 1)
    expected = literal(clip).numpy()
    assert_close(ours(clip), expected, EXACT)
    assert_close(fast(clip), expected, EXACT)
    stream = Stream(fast)
    assert_close([stream(frame) for frame in frames][-1], expected, EXACT)


@pytest.mark.parametrize("network", [TSMSA(num_slices=2), SSTNet(**SMALL)])
@torch.no_grad()
def test_folding_leaves_the_network_and_no_norm_behind_a_convolution(network):
    network.train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fast = fold_network(network)
    assert network.training and all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.requires_grad for parameter in network.parameters())
    norms = [name for name, module in fast.named_modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms == (["encoder.stem.0"] if isinstance(network, TSMSA) else [])
    assert not fast.training and not any(parameter.requires_grad for parameter in fast.parameters())
    assert not [module for module in fast.modules() if isinstance(module, nn.Dropout)]


@torch.no_grad()
def test_one_channel_stands_for_three_of_grey_frames():
    levels = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
    network = filled(SSTNet(**SMALL).eval())
    grey = fold_network(network, grey=levels)
    frames = known("grey", 5, 2, 1, 32, 64)
    mean, std = (torch.tensor(part)[:, None, None] for part in levels)
    three = (frames * std[0] + mean[0] - mean) / std
    expected = network(as_clip(network, three, 4)).numpy()
    assert grey.in_channels == 1 and network.in_channels == 3 and expected.std() > 1e-3
    stream = Stream(grey)
    assert_close([stream(frame) for frame in frames][-1], expected, EXACT)
    assert_close(grey(frames[:, :, 0].movedim(0, 1)), expected, EXACT)
    with pytest.raises(ValueError, match="three channels"):
        fold_network(TSMSA(), grey=levels)


# Streaming


@pytest.mark.parametrize(
    ("network", "size"),
    [
        (TSMSA(), (40, 56)),
        (TSMSA(num_slices=2, num_layers=2, num_frames=3), (24, 32)),
        (TSMSA(num_frames=2, in_channels=3, blocks=(1, 1, 1)), (16, 24)),
        (SSTNet(**SMALL), (32, 64)),
    ],
)
@pytest.mark.parametrize("batch", [1, 3])
@torch.no_grad()
def test_streamed_equals_windowed_on_every_frame(network, size, batch):
    network = fold_network(filled(network))
    frames = frames_of(network, 2 * network.num_frames + 1, batch, *size)
    expected = windowed(network, frames)
    change = (expected[1:] - expected[:-1]).abs().flatten(1).amax(1)
    assert change.min() > 100 * EXACT * (expected.max() - expected.min()), "frames too alike to tell them apart"
    stream = Stream(network)
    outputs = torch.stack([stream(frame) for frame in frames])
    assert_close(outputs, expected.numpy(), EXACT)
    # The next sequence begins as if nothing had been before.
    stream.reset()
    for count in (2, 1, 4):
        part = frames[:count]
        assert_close(stream.chunk(part), expected[:count].numpy(), EXACT)
        stream.reset()


@pytest.mark.parametrize("network", [TSMSA(num_slices=2, num_frames=4), SSTNet(**SMALL)])
@torch.no_grad()
def test_chunks_and_single_frames_may_alternate(network):
    network = fold_network(filled(network))
    frames = frames_of(network, 12, 2, 32, 32)
    stream = Stream(network)
    outputs = torch.cat([stream.chunk(part) for part in frames.split((2, 1, 5, 1, 3))])
    assert_close(outputs, windowed(network, frames).numpy(), EXACT)


@torch.no_grad()
def test_frames_of_another_size_begin_a_sequence():
    network = fold_network(filled(TSMSA()))
    stream = Stream(network)
    small, large = frames_of(network, 3, 1, 16, 24), frames_of(network, 3, 1, 24, 16)
    for frames in (small, large, small):
        outputs = torch.stack([stream(frame) for frame in frames])
        assert_close(outputs, windowed(network, frames).numpy(), EXACT)
    changed = large.clone()
    changed[0] += 1
    outputs = [Stream(network)(frames[0]) for frames in (large, changed)]
    assert (outputs[0] - outputs[1]).abs().max() > 1e-3


@torch.no_grad()
def test_a_frame_that_has_left_the_window_is_forgotten():
    network = fold_network(filled(TSMSA(num_frames=3)))
    frames = frames_of(network, 5, 1, 16, 16)
    other = frames.clone()
    other[1] += 1
    streams = (Stream(network), frames), (Stream(network), other)
    outputs = [torch.stack([stream(frame) for frame in part]) for stream, part in streams]
    differs = (outputs[0] - outputs[1]).abs().flatten(1).amax(1) > 0
    assert differs.tolist() == [False, True, True, True, False]


def test_bad_frames_and_networks_are_named():
    network = TSMSA().eval()
    assert can_stream(network) and not can_stream(nn.Linear(1, 1))
    stream = Stream(network)
    for shape, message in (
        ((1, 3, 16, 16), r"expected \(N, 1, H, W\)"),
        ((1, 1, 20, 16), "20×16 pixels, expected multiples of 8: pad"),
        ((1, 16, 16), r"expected \(N, 1, H, W\)"),
    ):
        with pytest.raises(ValueError, match=message):
            stream(torch.zeros(shape))
    with pytest.raises(ValueError, match="call network.eval"):
        Stream(network.train())


# Operation counts


def gflops(call, *args) -> float:
    with FlopCounterMode(display=False) as counter:
        call(*args)
    return counter.get_total_flops() / 1e9


@torch.no_grad()
def test_operation_counts():
    """At 512×512, without computing anything: tensors on the device `meta` have shapes only. In training mode, as in
    eval mode attention counts as nothing."""
    with torch.device("meta"):
        clip, frame = torch.empty(1, 5, 512, 512), torch.empty(1, 1, 512, 512)
        assert gflops(LiteralTSMSA(), clip) == pytest.approx(58.23, abs=0.01)
        tsmsa = TSMSA()
        assert gflops(tsmsa, clip) < 13.7
        window = [tsmsa.observe(frame)] * 5
        assert gflops(tsmsa.observe, frame) + gflops(tsmsa.decide, frame, window) < 8.75
        clip, frame = torch.empty(1, 3, 5, 512, 512), torch.empty(1, 3, 512, 512)
        assert gflops(LiteralSSTNet().eval(), clip) == pytest.approx(122.87, abs=0.01)
        sstnet = SSTNet(temporal=False)
        assert gflops(sstnet, clip) < 115.7
        window = [sstnet.observe(frame)] * 5
        assert gflops(sstnet.observe, frame) + gflops(sstnet.decide, frame, window) < 74.1
