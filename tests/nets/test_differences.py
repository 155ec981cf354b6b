"""Registered differences as a further input of TSMSA."""

import copy

import numpy as np
import pytest
import torch
from networks import as_clip, frames_of, model_of, windowed

from nets import build_model
from nets.differences import BAND_PX, MOST, RegisteredDifferences, _gauss, _smooth, noise_around
from nets.inference.folding import fold_network
from nets.inference.streaming import Stream


def noisy(count=5, side=96, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 0.1, (count, side, side)).astype(np.float32))


def inputs_of(differences, frames):
    """What the convolutions see."""
    seen = []
    handle = differences.mix[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    differences.eval()([frame[None, None] for frame in frames])
    handle.remove()
    return seen[0][0]


def test_before_training_a_network_gives_what_it_gives_without_bit_by_bit():
    plain = model_of("tsmsa").network
    wider = build_model("tsmsa", blocks=(1, 1, 1), num_frames=3, lags=(1, 2)).network
    result = wider.load_state_dict(plain.state_dict(), strict=False)
    assert result.missing_keys and all(name.startswith("differences.") for name in result.missing_keys)
    assert not result.unexpected_keys
    frames = frames_of(plain, 4, 2, 48, 56)
    with torch.no_grad():
        for network in (plain, wider):
            network.eval()
        assert torch.equal(windowed(plain, frames), windowed(wider, frames))
        assert torch.equal(windowed(fold_network(plain), frames), windowed(fold_network(wider), frames))


def test_without_lags_nothing_is_initialised_otherwise():
    torch.manual_seed(3)
    plain = build_model("tsmsa").network
    torch.manual_seed(3)
    wider = build_model("tsmsa", lags=(1, 2, 4)).network
    ours, theirs = plain.state_dict(), wider.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    assert all(name.startswith("differences.") for name in theirs.keys() - ours.keys())


def test_of_a_scene_that_stands_still_nothing_is_left_and_a_mover_is_seen_twice():
    scene = 3 * noisy(1, seed=1).repeat(5, 1, 1)
    frames = scene + 0.1 * noisy()
    for index, x in enumerate((20, 30, 40, 50, 60)):
        frames[index, 48:50, x : x + 2] += 1.0
    steps = inputs_of(RegisteredDifferences((1, 2, 4), 4), frames)
    for step, x in zip(steps, (50, 40, 20), strict=True):  # where it is, and where it was at that lag
        for place, expected in ((step.argmax().item(), 60), (step.argmin().item(), x)):
            assert np.abs(np.subtract(divmod(place, 96), (48.5, expected + 0.5))).max() <= 1.5
        assert step.max() > 0.5 and step.min() < -0.5
    still = inputs_of(RegisteredDifferences((1,), 4), scene)
    assert still.abs().max() == 0


@pytest.mark.parametrize("gain", [0.25, 0.5, 4.0])
def test_neither_contrast_nor_offset_changes_what_is_seen(gain):
    frames, differences = noisy(), RegisteredDifferences((1, 2, 4), 4)
    expected = inputs_of(differences, frames)
    found = inputs_of(differences, gain * frames + 0.7)
    assert MOST * expected.std() > 1
    assert (found - expected).abs().max() < 1e-4


def test_noise_is_the_mean_around_a_pixel_and_never_nothing():
    x = torch.zeros(1, 1, 96, 96)
    assert (noise_around(x) == noise_around(x)[0, 0, 0, 0]).all() and 0 < noise_around(x).max() < 0.01
    x[..., 48:] = 2.0
    around = noise_around(x)
    assert around[0, 0, 40, 10] < 0.01 and around[0, 0, 40, 90] == pytest.approx(2.0)
    assert around[0, 0, 40, 44:52].mean() == pytest.approx(1.0, abs=0.05)
    lonely = torch.zeros(5, 96, 96)
    lonely[-1, 50, 50] = 1000.0
    assert inputs_of(RegisteredDifferences((1,), 4), lonely).abs().max() == 1


def test_a_stream_is_as_whole_clips():
    network = fold_network(model_of("tsmsa", lags=(1, 2)).network)
    assert network.differences.mix[-1].weight.abs().max() > 0
    frames = frames_of(network, 6, 2, 32, 40)
    with torch.inference_mode():
        expected, stream = windowed(network, frames), Stream(network)
        single = torch.stack([stream(frame) for frame in frames])
        stream.reset()
        together = stream.chunk(frames)
    scale = expected.max() - expected.min()
    assert (single - expected).abs().max() < 1e-5 * scale and (together - expected).abs().max() < 1e-5 * scale


def test_differences_reach_the_output_and_learn():
    network = model_of("tsmsa", lags=(1, 2)).network.train()
    with torch.no_grad():
        network.differences.mix[-1].weight.zero_()
    clip = as_clip(network, frames_of(network, 3, 2, 32, 32), 2)
    network(clip).square().mean().backward()
    assert network.differences.mix[-1].weight.grad.abs().max() > 0
    with_weights = copy.deepcopy(network).eval()
    torch.nn.init.constant_(with_weights.differences.mix[-1].weight, 0.5)
    with torch.no_grad():
        assert (with_weights(clip) - network.eval()(clip)).abs().max() > 1e-3


@pytest.mark.parametrize("lags", [(0, 1), (2, 1), (1, 1), (1, 5), (-1,)])
def test_lags_that_a_clip_does_not_have_are_refused(lags):
    with pytest.raises(ValueError, match="expected ascending numbers from 1 to 4"):
        build_model("tsmsa", lags=lags)


def test_the_band_lies_between_two_gaussians():
    impulse = torch.zeros(1, 2, 65, 65)
    impulse[:, 1, 32, 32] = 1
    narrow, wide = (_smooth(impulse, _gauss(sigma)) for sigma in BAND_PX)
    band = (narrow - wide)[0, 1]
    assert not (narrow - wide)[0, 0].any()
    y, x = np.mgrid[-32:33, -32:33]
    want = sum(sign * np.exp(-(x**2 + y**2) / (2 * s**2)) / (2 * np.pi * s**2) for sign, s in ((1, 0.8), (-1, 4.0)))
    np.testing.assert_allclose(band.numpy(), want, atol=6e-3)
    assert band.sum().item() == pytest.approx(0, abs=1e-5)
