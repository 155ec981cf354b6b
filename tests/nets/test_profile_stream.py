"""DeepPro and DeepPro-Plus fed frame by frame: as over whole clips, at the cost that the equations leave."""

import pytest
import torch
from known_answers import assert_close, known
from networks import EXACT, filled
from torch.utils.flop_counter import FlopCounterMode

from nets import build_model
from nets.inference.folding import fold_network
from nets.inference.profile_stream import ProfileStream
from nets.inference.runtime import Runtime


def made(name, num_frames):
    return fold_network(filled(build_model(name, num_frames=num_frames).network))


@torch.no_grad()
def over_clips(network, frames):
    """Each frame's logits over the clip that ends with it, after frames of zeros; frames (N, B, 1, H, W)."""
    padded = torch.cat((torch.zeros(network.num_frames - 1, *frames.shape[1:]), frames))
    windows = padded.unfold(0, network.num_frames, 1)  # (N, B, 1, H, W, T)
    return torch.stack([network(window.squeeze(1).movedim(-1, 1)) for window in windows])


@pytest.mark.parametrize("name", ["deeppro", "deeppro_plus"])
@pytest.mark.parametrize(
    ("num_frames", "batch", "size"), [(20, 1, (9, 11)), (19, 2, (8, 6)), (6, 1, (7, 9)), (2, 1, (5, 5))]
)
@torch.no_grad()
def test_streamed_equals_whole_clips_on_every_frame(name, num_frames, batch, size):
    """Windows longer than both ends, those whose ends meet, and short ones; more frames than a ring holds."""
    network = made(name, num_frames)
    frames = known("profile", num_frames + 7, batch, 1, *size)
    expected = over_clips(network, frames)
    change = (expected[1:] - expected[:-1]).abs().flatten(1).amax(1)
    assert change.min() > 100 * EXACT * (expected.max() - expected.min()), "frames too alike to tell them apart"
    stream = ProfileStream(network)
    assert_close(stream.chunk(frames), expected.numpy(), EXACT)
    stream.reset()  # the next sequence begins as if nothing had been before
    assert_close(stream.chunk(frames[:3]), expected[:3].numpy(), EXACT)
    other = frames[:2, ..., :-1]  # and so do frames of another size
    assert_close(stream.chunk(other), over_clips(network, other).numpy(), EXACT)


@torch.no_grad()
def test_runtimes_stream_too_and_their_streams_do_not_mix():
    network = build_model("deeppro", num_frames=8).network
    filled(network)
    runtime = Runtime(network)
    frames = known("profile", 6, 1, 1, 8, 8)
    expected = over_clips(runtime.network, frames)
    assert_close(torch.cat(list(runtime.stream(frames)))[:, None], expected.numpy(), EXACT)
    one, other = runtime.open_stream(), runtime.open_stream()
    for frame, changed, logits in zip(frames, frames.flip(0), expected, strict=True):
        assert_close(one(frame), logits.numpy(), 1e-4)
        other(changed)


def test_bad_frames_and_networks_are_named():
    network = build_model("deeppro", num_frames=4).network
    with pytest.raises(ValueError, match="call network.eval"):
        ProfileStream(network.train())
    stream = ProfileStream(network.eval())
    with pytest.raises(ValueError, match=r"expected \(N, 1, H, W\)"):
        stream(torch.zeros(1, 3, 8, 8))
    with pytest.raises(ValueError, match="at least 4×4 pixels"):
        stream(torch.zeros(1, 1, 3, 8))


# Operation counts: multiplications with additions for each pixel, of frames of 32×32 pixels


def mac_per_pixel(call, *arguments, side=32) -> float:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        call(*arguments)
    return counter.get_total_flops() / 2 / side**2


@pytest.mark.parametrize(
    ("name", "window", "newest"), [("deeppro", 558_720, 155_824), ("deeppro_plus", 2_331_520, 823_376)]
)
def test_profile_networks_cost_what_their_equations_say(name, window, newest):
    """Published at 480×720: 5.3 and 20.5 GFLOPs a frame, which are 13,968 and 58,288 of these times its pixels."""
    with torch.device("meta"):
        network = build_model(name).network.eval()
        assert mac_per_pixel(network.frames, torch.empty(1, 40, 32, 32)) == window
        assert mac_per_pixel(network, torch.empty(1, 40, 32, 32)) < window
    network = build_model(name).network.eval()
    stream = ProfileStream(network)
    stream(torch.zeros(1, 1, 32, 32))
    assert mac_per_pixel(stream, torch.zeros(1, 1, 32, 32)) == newest


def test_resunet_dtum_costs_what_its_equations_say():
    """Published at 480×720: 54 GFLOPs a frame, five U-Nets and 25 taps of every convolution over time."""
    with torch.device("meta"):
        network = build_model("resunet_dtum").network.eval()
        frame = torch.empty(1, 1, 32, 32)
        observed = mac_per_pixel(network.observe, frame)
        assert observed == 14_704 - 160 + 5_120  # one channel stands for three; five products for the first sums
        window = [network.observe(frame)] * 5
        decided = mac_per_pixel(network.decide, frame, window)
        assert observed + decided == 58_672 - 160
        assert mac_per_pixel(network, torch.empty(1, 5, 32, 32)) == 5 * observed + decided
