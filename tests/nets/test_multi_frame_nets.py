"""ResUNet-DTUM, DeepPro and DeepPro-Plus against known answers, in evaluation and in training mode."""

import re

import numpy as np
import pytest
import torch
from known_answers import assert_close, fill, known
from networks import EXACT
from scripts import ROOT
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from benchmarks.networks import LITERAL_NETWORKS
from nets import build_model
from nets.blocks import use_channels_last
from nets.inference.folding import fold_network
from nets.losses import build_criterion
from nets.multi_frame.deeppro import DeepPro, DeepProPlus, ProfileConv
from nets.multi_frame.resunet_dtum import ResUNetDTUM, direction_code, mix_times, pool_with_direction
from nets.published.comparison import comparison_rules
from nets.published.kinds import extract_state
from nets.published.loading import load_published

PUBLISHED_SIZES = {"resunet_dtum": 298_305, "deeppro": 49_129, "deeppro_plus": 70_913}
SATVIDEO, NUDT = (111.47, 22.43), (105.4025, 26.6452)
TRAINING_LOSS = {"resunet_dtum": "soft_iou", "deeppro": "clip_iou", "deeppro_plus": "clip_iou"}


def published(golden, name: str, **options) -> nn.Module:
    """The network with known weights, in eval mode."""
    network = build_model(name, **options).network.eval()
    state = known_state(golden, name, network.num_frames)
    report = load_published(network, {f"module.{entry}": value for entry, value in state.items()})
    assert sorted((*report.loaded, *report.folded)) == sorted(state)
    assert not report.missing and not report.unexpected and not report.dropped
    return network


def known_state(golden, name: str, num_frames: int) -> dict[str, torch.Tensor]:
    """Known values of all published entries, with matrices over so many frames."""
    shapes = golden(f"{name}_params.json")
    return fill({key: [num_frames for _ in shape] if "QK_heads" in key else shape for key, shape in shapes.items()})


def record(network: nn.Module, **names: str) -> dict[str, torch.Tensor]:
    """What modules give, by the names given for them, once the network has run."""
    seen = {}
    for key, name in names.items():
        network.get_submodule(name).register_forward_hook(lambda _, inputs, output, key=key: seen.update({key: output}))
    return seen


# Evaluation mode


@pytest.mark.parametrize("name", PUBLISHED_SIZES)
def test_published_weights_are_as_many_as_stated(golden, name):
    state = known_state(golden, name, 40)
    counted = [key for key in state if not key.endswith(("running_mean", "running_var", "tracked"))]
    assert sum(state[key].numel() for key in counted) == PUBLISHED_SIZES[name]
    network = published(golden, name)
    ours = sum(parameter.numel() for parameter in network.parameters())
    folded = sum(
        state[rule.theirs[1]].numel()
        for rule in comparison_rules(network)[0]
        if rule.ours.endswith("running_mean") and len(rule.theirs) == 2
    )
    assert ours == PUBLISHED_SIZES[name] - folded, "biases before a batch norm are all that is not built"


@torch.no_grad()
def test_resunet_dtum_gives_its_known_output(golden):
    network = published(golden, "resunet_dtum")
    expected = golden("golden_resunet_dtum.npz")["out0"]
    assert_close(network(known("resunet_dtum", 1, 5, 64, 96)), expected[:, :, 0])


@torch.no_grad()
def test_resunet_dtum_gives_all_known_answers(golden):
    network = published(golden, "resunet_dtum")
    expected = golden("golden_resunet_dtum_inner.npz")
    clip = known("resunet_dtum_inner", 1, 5, 16, 24)
    seen = record(
        network.unet,
        **{f"x{level}_0": f"down.{level}" for level in range(4)},
        **{f"x{2 - index}_{index + 1}": f"up.{index}" for index in range(3)},
    )
    x, _ = network.observe(clip.movedim(1, 0))
    for key, value in seen.items():
        assert_close(value[-1:], expected[f"key_{key}"])
    assert_close(stack(x.split(1)), expected["x"])
    levels = [network.first(x.split(1))]
    for index, stage in enumerate(network.deeper, 1):
        assert_close(stack(levels[-1]), expected[f"x_{index}"])
        assert np.array_equal(stack([direction_code(y) for y in levels[-1]]).numpy(), expected[f"code_{index}"])
        signed = [pool_with_direction(y) for y in levels[-1]]
        assert_close(stack(signed), expected[f"signed_{index}"])
        levels.append(stage(signed))
    assert_close(stack(levels[3]), expected["x_4"])
    third = network.rejoin[0](levels[3], levels[2])
    second = network.rejoin[1](third, levels[1])
    assert_close(stack(third), expected["o_3"])
    assert_close(stack(second), expected["o_2"])
    coarse = network.rejoin[2](second, levels[0], key=True)
    assert_close(stack(coarse), expected["o_1"])
    hidden = network.head[:3](torch.cat((coarse[0], x[-1:]), 1))
    assert_close(hidden.unsqueeze(2), expected["hidden"])
    assert_close(network(clip), expected["logits"][:, :, 0])
    moved = torch.cat((clip[:, 1:], known("resunet_dtum_inner_next", 1, 1, 16, 24)), 1)
    assert_close(network(moved), expected["logits_next"][:, :, 0])


def stack(maps) -> torch.Tensor:
    return torch.stack(list(maps), 2)


@pytest.mark.parametrize(("name", "join"), [("deeppro", "join"), ("deeppro_plus", "levels.0.out")])
@torch.no_grad()
def test_a_profile_network_gives_its_known_output(golden, name, join):
    network = published(golden, name)
    expected = golden(f"golden_{name}.npz")
    seen = record(network, last=join)
    clip = known(name, 1, 40, 18, 26)
    logits = network.frames(clip)
    assert_close(seen["last"][:, :, 39], expected["features_last"])
    assert_close(logits, expected["out0"])
    assert_close(network(clip), expected["out0"][:, -1:])
    assert_close(network.frames(clip, 7), expected["out0"][:, -7:])


@pytest.mark.parametrize(
    ("name", "levels"), [("deeppro", {"1": "tpro1", "2": "tpro2", "3": "tpro3"}), ("deeppro_plus", {"1": "tpro"})]
)
@torch.no_grad()
def test_a_profile_network_gives_all_known_answers(golden, name, levels):
    network = published(golden, name, num_frames=12)
    expected = golden(f"golden_{name}_inner.npz")
    names = {"conv_in": "stem", "l1_a_conv1": "levels.0.blocks.0.conv1", "l1_a_conv2": "levels.0.blocks.0.conv2"}
    for number, probe in levels.items():
        level = f"levels.{int(number) - 1}"
        names |= {f"l{number}_a": f"{level}.blocks.0", f"l{number}_b": f"{level}.blocks.1", probe: f"{level}.probe"}
        names[f"out1_{number}" if len(levels) > 1 else "out1"] = f"{level}.out"
        network.get_submodule(f"{level}.probe.norm1").register_forward_hook(
            lambda _, inputs, output, key=f"{probe}_mixed": seen.update({key: inputs[0]})
        )
    seen = record(network, **names | ({"out2": "join"} if len(levels) > 1 else {}))
    seen["logits"] = network.frames(known(f"{name}_inner", 1, 12, 10, 14))
    # Convolutions there have the biases that are part of running means here.
    state = known_state(golden, name, 12)
    for conv in ("conv1", "conv2"):
        seen[f"l1_a_{conv}"] = seen[f"l1_a_{conv}"] + state[f"layer1.0.{conv}.bias"][:, None, None, None]
    assert set(seen) == set(expected)
    for key, value in expected.items():
        assert_close(seen[key], value)


@pytest.mark.parametrize(
    ("name", "dataset", "normalisation"),
    [
        ("resunet_dtum", "nudt", NUDT),
        ("resunet_dtum", "satvideo", SATVIDEO),
        ("deeppro", "nudt", NUDT),
        ("deeppro_plus", "nudt", NUDT),
        ("deeppro_plus", "satvideo", SATVIDEO),
    ],
)
@torch.no_grad()
def test_released_weights_give_their_known_output(golden, name, dataset, normalisation):
    """Weights and answers of the releases have no free licence: both lie beside the checkout, if at all."""
    expected = golden(f"golden_{name}_release.npz")
    path = ROOT.parent / "shared" / "golden" / f"{name}_release_{dataset}.pth"
    if not path.is_file():
        pytest.skip(f"the released weights {path.name} are not on this machine")
    network = build_model(name).network.eval()
    load_published(network, extract_state(torch.load(path, map_location="cpu", weights_only=True)))
    clip = (torch.from_numpy(expected["frames"]).float()[None] - normalisation[0]) / normalisation[1]
    if name == "resunet_dtum":
        assert_close(network(clip), expected[f"logits_{dataset}"][:, :, 0])
    else:
        assert_close(network.frames(clip)[0, expected["stored_frames"]], expected[f"logits_{dataset}"])


@pytest.mark.parametrize("dataset", ["nudt", "satvideo"])
def test_the_released_names_are_all_taken(golden, dataset):
    load_published(ResUNetDTUM(), fill(golden(f"resunet_dtum_release_{dataset}_shapes.json")))


# Training mode


@pytest.mark.parametrize("name", PUBLISHED_SIZES)
def test_a_training_step_is_the_published_one(golden, name):
    expected = golden(f"golden_{name}_train.npz")
    shape = {"resunet_dtum": (2, 5, 16, 24)}.get(name, (2, 12, 8, 12))
    options = {} if name == "resunet_dtum" else {"num_frames": 12}
    network = published(golden, name, **options).train()
    for module in network.modules():
        if isinstance(module, nn.Dropout2d):
            module.p = 0.0
    every = {} if name == "resunet_dtum" else {"every_frame": True}
    logits = network(known(f"{name}_train", *shape), **every)
    loss = build_criterion(TRAINING_LOSS[name])(logits, {"mask": torch.from_numpy(expected["mask"])})
    sum(loss.values()).backward()
    assert_close(logits.unsqueeze(2) if name == "resunet_dtum" else logits, expected["logits"], 5e-4)
    assert sum(loss.values()).item() == pytest.approx(expected["loss"], rel=5e-4)
    parameters, buffers = dict(network.named_parameters()), dict(network.named_buffers())
    compared = 0
    for rule in comparison_rules(network)[0]:
        value = expected.get(f"grad/{rule.theirs[0]}")
        if value is not None:
            gradient = parameters[rule.ours].grad
            assert np.abs(gradient.numpy().reshape(value.shape) - value).max() <= 1e-3 * np.ptp([*value.flat, 0]), (
                rule.ours
            )
            compared += 1
        value = expected.get(f"stat/{rule.theirs[0]}")
        if value is not None:
            bias = known_state(golden, name, network.num_frames)[rule.theirs[1]] if rule.merge else 0
            np.testing.assert_allclose((buffers[rule.ours] + bias).numpy(), value, atol=5e-4 * np.ptp(value))
            compared += 1
    biases = [key for key in expected if key.startswith("grad/") and key.endswith(".bias")]
    stored = [key for key in expected if key.startswith(("grad/", "stat/"))]
    assert compared >= len(stored) - len(biases) and compared


@pytest.mark.parametrize("name", PUBLISHED_SIZES)
def test_every_parameter_gets_a_gradient_but_what_is_frozen_by_publication(golden, name):
    torch.manual_seed(0)
    free = {"stop_gradient": False} if name == "resunet_dtum" else {"num_frames": 6}
    network = build_model(name, **free).network
    network(torch.randn(2, network.num_frames, 16, 24)).square().mean().backward()
    assert not [key for key, parameter in network.named_parameters() if not gradient_of(parameter)]
    if name != "resunet_dtum":
        return
    network = ResUNetDTUM()
    network(torch.randn(2, 5, 16, 24)).square().mean().backward()
    still = {key for key, parameter in network.named_parameters() if not gradient_of(parameter)}
    rules = {rule.ours: rule.theirs[0] for rule in comparison_rules(network)[0]}
    assert still == set(network.frozen)
    untold = {entry for entry in golden("resunet_dtum_nograd.json")}
    assert {rules[key] for key in still} == untold - {f"DTUM.conv{level}_2.bias" for level in (2, 3)}


def gradient_of(parameter: nn.Parameter) -> bool:
    return parameter.grad is not None and bool(parameter.grad.any())


@pytest.mark.parametrize("name", ["deeppro", "deeppro_plus"])
def test_the_map_of_the_last_frame_is_the_same_in_training_mode(name):
    torch.manual_seed(0)
    network = build_model(name, num_frames=6).network.train()
    clip = torch.randn(2, 6, 9, 11)
    torch.testing.assert_close(network(clip), network(clip, every_frame=True)[:, -1:])


# The equations written out


def test_a_direction_code_takes_the_first_of_equals():
    cells = torch.tensor([[[0, 0, 1, 2], [0, 0, 2, 2], [3, 1, 1, 1], [3, 3, 2, 2]]], dtype=torch.float32)[None]
    assert direction_code(cells).tolist() == [[[[-1.5, -0.5], [-1.5, 0.5]]]]
    cells = torch.tensor([[[1, 5], [2, 5]], [[1, 2], [2, 3]]], dtype=torch.float32)[None]
    assert direction_code(cells).flatten().tolist() == [-0.5, 1.5]


@torch.no_grad()
def test_a_convolution_over_time_has_zeros_beside_the_clip():
    maps, weight = torch.randn(2, 3, 5, 4, 6), torch.randn(7, 3, 5, 1, 1)
    expected = nn.functional.conv3d(maps, weight, padding=(2, 0, 0))
    torch.testing.assert_close(stack(mix_times(maps.unbind(2), weight)), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(stack(mix_times(maps.unbind(2), weight, [2])), expected[:, :, 2:3], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_what_stands_still_gives_nothing_in_time_and_its_centre_in_space():
    still = torch.ones(1, 2, 9, 8, 8)
    time = ProfileConv(2, 3, (3, 1, 1), (2, 1, 1), "time")
    assert time(still)[:, :, 2:-2].abs().max() < 1e-6
    space = ProfileConv(2, 3, (1, 3, 3), difference="space")
    centre = space.weight[:, :, 0, 1, 1].sum(1)
    torch.testing.assert_close(space(still)[0, :, 0, 4, 4], centre)
    x = torch.randn(1, 2, 9, 8, 8)
    for conv in (time, space):
        before = conv(x)
        conv.settle()
        torch.testing.assert_close(conv(x), before)


# Networks


@pytest.mark.parametrize(
    ("name", "options", "size"),
    [
        ("resunet_dtum", {}, (24, 40)),
        ("deeppro", {"num_frames": 7}, (13, 10)),
        ("deeppro", {"num_frames": 7}, (4, 4)),
        ("deeppro_plus", {"num_frames": 7}, (5, 3)),
    ],
)
@torch.no_grad()
def test_batched_equals_single_and_channels_last_computes_alike(name, options, size):
    torch.manual_seed(0)
    network, _, postprocess = build_model(name, **options)
    network.eval()
    clips = torch.randn(2, network.num_frames, *size)
    logits = network(clips)
    assert logits.shape == (2, 1, *size) and postprocess(logits).shape == (2, *size)
    torch.testing.assert_close(logits, torch.cat([network(clip[None]) for clip in clips]), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(use_channels_last(network)(clips), logits, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", PUBLISHED_SIZES)
@torch.no_grad()
def test_a_folded_network_gives_the_same_without_norms_behind_convolutions(golden, name):
    network = published(golden, name)
    folded = fold_network(network)
    clip = known("folded", 2, network.num_frames, 16, 24)
    assert_close(folded(clip), network(clip).numpy(), EXACT)
    norms = [key for key, module in folded.named_modules() if isinstance(module, _BatchNorm)]
    kept = {"resunet_dtum": r"deeper\.\d\.norm"}.get(name, r"levels\.\d\.probe\.norm1")
    assert norms and all(re.fullmatch(kept, key) for key in norms)
    assert not any(conv.difference for conv in folded.modules() if isinstance(conv, ProfileConv))


def test_clips_of_other_shapes_are_refused():
    for network, shape, message in (
        (ResUNetDTUM(), (1, 4, 16, 16), "4 frames, expected 5"),
        (ResUNetDTUM(), (1, 5, 20, 16), "20×16 pixels, expected multiples of 8"),
        (DeepPro(6), (1, 6, 3, 16), "at least 4×4 pixels"),
        (DeepPro(6), (1, 40, 16, 16), "40 frames, expected 6: .*num_frames=40"),
        (DeepProPlus(6), (1, 1, 6, 16, 16), r"expected \(B, T, H, W\)"),
    ):
        with pytest.raises(ValueError, match=message):
            network(torch.zeros(shape))
    with pytest.raises(ValueError, match="num_frames=1"):
        DeepPro(1)


@pytest.mark.parametrize(
    ("name", "options", "size"),
    [
        ("resunet_dtum", {}, (40, 24)),
        ("deeppro", {"num_frames": 9}, (13, 10)),
        ("deeppro_plus", {"num_frames": 9}, (11, 7)),
    ],
)
@torch.no_grad()
def test_the_networks_equal_their_equations_written_out(name, options, size):
    literal, network = LITERAL_NETWORKS[name](**options).eval(), build_model(name, **options).network.eval()
    literal.load_state_dict(fill({key: value.shape for key, value in literal.state_dict().items()}))
    report = load_published(network, literal.state_dict())
    assert not report.missing and not report.unexpected
    clip = known("literal", 2, network.num_frames, *size)
    assert_close(network(clip), literal(clip).numpy(), EXACT)
    if name != "resunet_dtum":
        assert_close(network.frames(clip), literal.frames(clip).numpy(), EXACT)
