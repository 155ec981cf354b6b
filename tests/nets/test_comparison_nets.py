"""The comparison networks against known answers, published sizes, and the rules that every network keeps."""

import pytest
import torch
from known_answers import assert_close, fill, known

from nets import NETWORKS, build_model
from nets.published.loading import load_published

# Parameters that the papers and their comparison tables state, in millions and to their number of digits. ALCNet's and
# ISTDU-Net's are those of what influences the output; the shapes at hand hold a decoder and a head more.
PUBLISHED_SIZES = {"acm": 0.398, "alcnet": 0.427, "dnanet": 4.697, "istdunet": 2.75, "rdian": 0.217, "uiunet": 50.54}
SINGLE_FRAME_NETWORKS = (*PUBLISHED_SIZES, "unet")
# What one key frame of a toy clip must teach within a few steps; the two large networks take seconds a step.
SMALL_NETWORKS = [name for name in SINGLE_FRAME_NETWORKS if name not in ("uiunet", "unet")]


def size_of(entries: dict, names) -> int:
    """Parameters (not running statistics) of the named entries of a state dict."""
    return sum(entries[name].numel() for name in names if not name.endswith(("running_mean", "running_var", "tracked")))


def target_clip(frames: int = 1, side: int = 64) -> tuple[torch.Tensor, torch.Tensor]:
    """Two clips (2, T, side, side) with a moving target each, and the key frames' masks (2, 1, side, side)."""
    generator = torch.Generator().manual_seed(0)
    clip = torch.randn(2, frames, side, side, generator=generator) * 0.3
    mask = torch.zeros(2, 1, side, side)
    for sample, (y, x) in enumerate(((20, 30), (40, 12))):
        for frame in range(frames):
            at = x + 2 * (frame - frames + 1)
            clip[sample, frame, y : y + 3, at : at + 3] += 4
        mask[sample, 0, y : y + 3, x : x + 3] = 1
    return clip, mask


@pytest.mark.parametrize("name", SINGLE_FRAME_NETWORKS)
@torch.no_grad()
def test_a_single_frame_network_gives_its_known_output(golden, name):
    network, _, postprocess = build_model(name)
    state = fill(golden(f"{name}_params.json"))
    report = load_published(network.eval(), {f"module.{entry}": value for entry, value in state.items()})
    assert sorted((*report.loaded, *report.folded, *report.dropped)) == sorted(state)
    assert not report.missing and not report.unexpected
    expected = golden(f"golden_{name}.npz")["out0"]
    assert_close(postprocess(network(known(name, 1, 1, 64, 96))), expected[:, 0])
    if name in PUBLISHED_SIZES:
        told = f"{PUBLISHED_SIZES[name]:f}".rstrip("0")
        dropped = [entry for entry in report.dropped if "linear_0" not in entry]  # a twin, which its authors count
        alive = (size_of(state, state) - size_of(state, dropped)) / 1e6
        assert round(alive, len(told.split(".")[1])) == PUBLISHED_SIZES[name]
    ours = sum(parameter.numel() for parameter in network.parameters())
    biases = size_of(state, [entry for entry in report.folded if entry.endswith(".bias")])
    kernels = 8 * 25 if name == "rdian" else 0  # fixed, so not a parameter here
    assert ours == size_of(state, state) - size_of(state, report.dropped) - biases - kernels


@pytest.mark.parametrize("name", SINGLE_FRAME_NETWORKS)
@torch.no_grad()
def test_only_the_key_frame_counts_and_batched_equals_single(name):
    torch.manual_seed(0)
    network = build_model(name).network.eval()
    side = (3 if name == "unet" else 5) * network.multiple if network.multiple > 1 else 37
    clips = torch.randn(2, 3, side, 48)
    logits = network(clips)
    assert logits.shape == (2, 1, side, 48)
    alone = torch.cat([network(clip[None, -1:]) for clip in clips])
    torch.testing.assert_close(logits, alone, rtol=1e-3, atol=1e-4)
    last = network.to(memory_format=torch.channels_last)(clips.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(logits, last, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", SINGLE_FRAME_NETWORKS)
def test_every_parameter_of_a_single_frame_network_gets_a_gradient(name):
    torch.manual_seed(1)
    network, criterion, _ = build_model(name)
    for module in network.modules():  # a gate of one hidden unit is off for half of all weights; here none is
        if isinstance(module, torch.nn.Linear) or type(module).__name__ == "ChannelAttention":
            for parameter in module.parameters():
                parameter.data.abs_().mul_(0.1)
    clip, mask = target_clip()
    outputs = network(clip)
    assert isinstance(outputs, list) == (name in ("dnanet", "uiunet"))
    sum(criterion(outputs, {"mask": mask}).values()).backward()
    dead = [entry for entry, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not dead


@pytest.mark.parametrize("name", SMALL_NETWORKS)
def test_a_few_steps_teach_a_single_frame_network_a_target(name):
    torch.manual_seed(0)
    network, criterion, _ = build_model(name)
    network.to(memory_format=torch.channels_last)
    clip, mask = target_clip()
    optimizer = torch.optim.Adam(network.parameters(), 5e-3)
    totals = []
    for _ in range(12):
        total = sum(criterion(network(clip), {"mask": mask}).values())
        totals.append(total.item())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    assert min(totals[-3:]) < totals[0] / 2


@pytest.mark.parametrize("name", ["acm", "dnanet", "istdunet"])
def test_a_frame_of_another_size_is_refused(name):
    network = NETWORKS[name]()
    with pytest.raises(ValueError, match=rf"60×64 pixels, expected multiples of {network.multiple}: pad"):
        network(torch.zeros(1, 1, 60, 64))
    with pytest.raises(ValueError, match=r"expected \(B, T, H, W\)"):
        network(torch.zeros(1, 64, 64))
    with pytest.raises(ValueError, match="0 frames, expected 1"):
        network(torch.zeros(1, 0, 64, 64))


@pytest.mark.parametrize("name", ["acm", "alcnet", "uiunet"])
def test_networks_that_pool_before_a_batch_norm_refuse_to_train_on_one_clip(name):
    with pytest.raises(ValueError, match="batch of 1, expected at least 2"):
        NETWORKS[name]().train()(torch.randn(1, 1, 64, 64))


def test_published_weights_of_another_network_are_refused(golden):
    state = fill(golden("acm_params.json"))
    with pytest.raises(ValueError, match="this ALCNet: other shapes head.*; nothing for layer1.3.*; unexpected fuse2"):
        load_published(NETWORKS["alcnet"](), state)
