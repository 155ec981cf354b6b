"""MICML and DSFNet against known answers, and against themselves."""

import pytest
import torch
import torch.nn.functional as F
from known_answers import assert_close, fill, known
from torch import nn
from torchvision.ops import deform_conv2d

from nets import build_model
from nets.blocks import use_channels_last
from nets.deformable import DeformConv, bilinear_upsampling
from nets.micml import MICML, DSFNet
from nets.motion_mining import MotionMining
from nets.published import load_published
from nets.published.loading import rules_for

LIVE_PARAMETERS, MOTION_PARAMETERS = 7_504_591, 1_217_600


@pytest.fixture(scope="module")
def published(golden) -> dict[str, torch.Tensor]:
    return fill(golden("micml_params.json"))


def loaded(published, **options) -> MICML:
    """With known weights, in eval mode."""
    network = MICML(**options).eval()
    load_published(network, published)
    return network


def known_clip(tag: str, *shape: int) -> torch.Tensor:
    """A known clip, which begins with the key frame where it was made."""
    return known(tag, *shape).flip(2)


def levels_of(network: MICML, clip: torch.Tensor) -> list[torch.Tensor]:
    """What the dynamic branch joins, of a clip."""
    frames = clip.movedim(2, 0).flip(0)
    return network.dynamic.levels(network.dynamic.observe(frames.flatten(0, 1)).chunk(len(frames)))


def half(x: torch.Tensor, channels: int | None = None) -> torch.Tensor:
    """Every second row and column of the first channels."""
    return x[:, :channels, ..., ::2, ::2]


# Known answers


@torch.no_grad()
def test_micml_and_dsfnet_give_their_known_output(golden, published):
    expected = golden("golden_micml_small.npz")
    dsfnet = DSFNet().eval()
    load_published(dsfnet, published)
    for network in (loaded(published), dsfnet):
        for name, value in network(known_clip("micml_a", 1, 3, 5, 64, 64)).items():
            assert_close(value, expected[f"a/{name}"], 1e-5)
    network = loaded(published, motion_at_test=True)
    for name, value in network(known_clip("micml_a", 1, 3, 5, 64, 64)).items():
        assert_close(value, expected[f"a_motion/{name}"], 1e-5)


@torch.no_grad()
def test_a_batch_of_another_aspect_gives_its_known_output(golden, published):
    expected = golden("golden_micml.npz")
    for name, value in loaded(published)(known_clip("micml_b", 2, 3, 5, 48, 80)).items():
        assert_close(value, expected[f"b/{name}"], 1e-5)


@torch.no_grad()
def test_every_inner_map_is_known(golden, published):
    expected = golden("golden_micml.npz")
    network, clip = loaded(published), known_clip("micml_a", 1, 3, 5, 64, 64)
    frames = clip.unbind(2)[::-1]
    levels = network.backbone(frames[0])
    found = {"level0": half(levels[0], 4), "level1": half(levels[1], 8), "level2": half(levels[2])}
    found |= {"level3": levels[3], "level4": levels[4], "fused": half(network.features(clip))}
    pooled = levels_of(network, clip)
    for name, maps in (
        ("spatial", network.static_up(levels)[:3]),
        ("tpool", pooled),
        ("temporal", network.dynamic.up(pooled)),
    ):
        found |= {f"{name}{index}": half(x, 16) for index, x in enumerate(maps)}
    maps = frames
    for index, branch in enumerate(network.dynamic.branches):
        maps = branch([F.max_pool2d(x, 2) for x in maps] if index else maps, 5)
    found["branch3"] = half(torch.stack(maps, 2), 16)
    for name, value in found.items():
        assert_close(value, expected[f"a/{name}"], 1e-5)


@torch.no_grad()
def test_the_maps_behind_the_motion_module_at_test_are_known(golden, published):
    expected = golden("golden_micml.npz")
    network, clip = loaded(published, motion_at_test=True), known_clip("micml_a", 1, 3, 5, 64, 64)
    pooled = levels_of(network, clip)
    assert_close(half(pooled[2], 16), expected["a_motion/tpool2"], 1e-5)
    assert_close(half(network.dynamic.up(pooled)[2], 16), expected["a_motion/temporal2"], 1e-5)


def record_first_step(module: MotionMining, x: torch.Tensor, times: int) -> dict[str, torch.Tensor]:
    """What the first layer computes at the key frame, by the names of the known answers."""
    seen = {}

    def keep(name):
        return lambda _, inputs, output: seen.setdefault(name, output)

    hooks = [
        part.register_forward_hook(keep(name))
        for name, part in (("node", module.se_state), ("F", module.se_pattern), ("M", module.relation))
    ]
    plain = MotionMining.adapted

    def adapted(hidden, patterns):
        seen.setdefault("h", hidden)
        larger = F.interpolate(patterns, size=hidden.shape[2:], mode="bilinear", align_corners=True)
        seen.setdefault("adapter", larger)
        return seen.setdefault("sum", plain(module, hidden, patterns))

    module.adapted = adapted
    module.run_layer(x, module.cells[0], times)
    del module.adapted
    for hook in hooks:
        hook.remove()
    return seen | {"node": seen["node"][:, :4], "F": seen["F"][:, :2]}


@torch.no_grad()
def test_the_motion_module_gives_its_known_answers(golden, published):
    expected = golden("golden_micml.npz")
    module = loaded(published).dynamic.motion
    x = known("micml_motion", 2, 5, 64, 8, 12)
    for name, value in record_first_step(module, x, 1).items():
        assert_close(value, expected[f"motion/first_{name}"], 1e-5)
    for layer, cell in enumerate(module.cells):
        x, memory = module.run_layer(x, cell, 5)
        assert_close(x, expected[f"motion/layer{layer}"], 1e-5)
    assert_close(memory, expected["motion/c_last"], 1e-5)
    x = known("micml_motion_b", 1, 5, 64, 72, 80)
    assert_close(module(x)[:, ::2, :, ::6, ::8], expected["motion_b/last"], 1e-5)
    seen = record_first_step(module, x, 1)
    for name in ("M", "adapter"):
        value = seen[name][..., ::6, ::8] if name == "adapter" else seen[name]
        assert_close(value, expected[f"motion_b/first_{name}"], 1e-5)


def test_training_mode_is_known_as_far_as_float32_tells(golden, published):
    """With batch statistics of so small a batch rounding grows: between float64 and float32, in one order of sums or
    another, these outputs differ by up to 0.7 % and these gradients by up to 10 % of their range. What that does not
    tell apart, the equations in float64 do (test_micml_literal.py)."""
    expected = golden("golden_micml.npz")
    network = loaded(published).train()
    outputs = network(known_clip("micml_train", 2, 3, 5, 64, 64))
    for name, value in outputs.items():
        assert_close(half(value), expected[f"train/{name}"], 5e-3)
    norm = network.dynamic.motion.look[1]
    assert_close(norm.running_mean, expected["train/motion_bn_running_mean"], 1e-5)
    assert_close(norm.running_var, expected["train/motion_bn_running_var"], 1e-5)
    assert norm.num_batches_tracked == expected["train/motion_bn_count"][0] == 15
    assert_close(network.backbone.stem[1].running_mean, expected["train/base_bn_running_mean"], 1e-5)
    scalar = sum((value * known(f"micml_train_{name}", *value.shape)).mean() for name, value in outputs.items())
    assert scalar.item() == pytest.approx(expected["train/scalar"].item(), rel=5e-3)
    scalar.backward()
    ours = {rule.theirs[0]: rule.ours for rule in rules_for(network)[0]}
    for key in (key for key in expected if key.startswith("train_grad/")):
        grad = network.get_parameter(ours[key.removeprefix("train_grad/")]).grad.reshape(expected[key].shape)
        if grad.numel() == 1:
            assert grad.item() == pytest.approx(expected[key].item(), rel=1e-4)
        else:
            assert_close(grad, expected[key], 0.1)


# Parts


def test_offsets_say_row_then_column_of_each_tap():
    torch.manual_seed(0)
    conv, x = DeformConv(2, 3), torch.randn(1, 2, 9, 8)
    plain = F.conv2d(x, conv.weight, padding=1) / 2
    torch.testing.assert_close(conv(x), plain)
    with torch.no_grad():
        conv.offsets.bias[0:18:2] = 1.0  # one row down
        conv.offsets.bias[18:] = 30.0  # all taps in full
        torch.testing.assert_close(conv(x)[..., 1:-2, :], 2 * plain[..., 2:-1, :])
        conv.offsets.bias[18 + 4] = -30.0  # but for the middle one
        conv.weight[:, :, 1, 1] = 0
        torch.testing.assert_close(conv(x)[..., 1:-2, :], F.conv2d(x, conv.weight, padding=1)[..., 2:-1, :])


@pytest.mark.parametrize("size", [(9, 8), (1, 5), (16, 1)])
@pytest.mark.parametrize("bias", [False, True])
def test_a_deformable_layer_is_torchvisions_operator_on_its_own_offsets(size, bias):
    torch.manual_seed(0)
    conv = DeformConv(3, 4)
    if bias:
        conv.bias = torch.nn.Parameter(torch.randn(4))
    torch.nn.init.normal_(conv.offsets.weight, std=0.5)  # many taps lie beyond the border
    x = torch.randn(2, 3, *size, requires_grad=True)
    offset, mask = conv.offsets(x).split((18, 9), 1)
    plain = deform_conv2d(x, offset, conv.weight, conv.bias, padding=1, mask=mask.sigmoid())
    learnt = conv(x)
    torch.testing.assert_close(learnt, plain, atol=1e-5, rtol=1e-4)
    with torch.no_grad():
        torch.testing.assert_close(conv(x), learnt, atol=1e-5, rtol=1e-4)
    inputs = [x, *conv.parameters()]
    weight = torch.linspace(-1, 2, plain.numel()).view_as(plain)
    for one, other in zip(*(torch.autograd.grad((out * weight).sum(), inputs) for out in (learnt, plain)), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4 * float(other.abs().max()), rtol=0)
    with torch.autocast("cpu", torch.bfloat16):
        assert (conv(x).float() - plain).abs().max() < 0.05 * plain.abs().max()


@torch.no_grad()
def test_nan_comes_out_as_nan_and_reads_no_foreign_memory():
    conv, x = DeformConv(2, 3), torch.randn(1, 2, 12, 12)
    x[0, 0, 5, 5] = torch.nan
    missing = conv(x).isnan().any(1)[0]
    assert missing[4:7, 4:7].all() and not missing[:3].any() and not missing[8:].any()


@pytest.mark.parametrize("factor", [2, 4])
def test_upsampling_starts_as_bilinear_interpolation(factor):
    x = torch.randn(1, 3, 5, 6)
    larger = F.interpolate(x, scale_factor=factor, mode="bilinear")
    inner = (..., slice(factor, -factor), slice(factor, -factor))  # the border fades to zero
    torch.testing.assert_close(bilinear_upsampling(3, factor)(x)[inner], larger[inner])


# The networks


@pytest.mark.parametrize(("name", "num_frames"), [("micml", 3), ("dsfnet", 5)])
def test_every_parameter_gets_a_gradient(name, num_frames):
    torch.manual_seed(0)
    network, criterion, _ = build_model(name, num_frames=num_frames)
    outputs = network(torch.randn(2, 3, num_frames, 32, 48))
    losses = criterion(
        outputs, {"boxes": [torch.tensor([[10.0, 12, 17, 18, 0], [30, 5, 36, 9, 0]]), torch.zeros(0, 5)]}
    )
    assert set(losses) == {"heatmap", "size", "offset"}
    sum(losses.values()).backward()
    assert not [key for key, p in network.named_parameters() if p.grad is None or not p.grad.any()]


@pytest.mark.parametrize(("name", "options"), [("micml", {"num_frames": 3, "motion_at_test": True}), ("dsfnet", {})])
@torch.no_grad()
def test_batched_equals_single_and_channels_last_computes_alike(name, options):
    torch.manual_seed(0)
    network, _, postprocess = build_model(name, **options)
    network.eval()
    clips = torch.randn(2, 3, network.num_frames, 32, 48)
    outputs = network(clips)
    assert {key: value.shape[1:] for key, value in outputs.items()} == {
        "hm": (1, 32, 48),
        "wh": (2, 32, 48),
        "reg": (2, 32, 48),
    }
    assert [found.shape[1] for found in postprocess(outputs)] == [6, 6]
    single = [network(clip[None]) for clip in clips]
    laid_out = use_channels_last(network)(clips)
    for key, value in outputs.items():
        torch.testing.assert_close(value, torch.cat([one[key] for one in single]), rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(value, laid_out[key], rtol=1e-3, atol=1e-4)


@torch.no_grad()
def test_the_motion_module_runs_in_training_only_unless_asked_for():
    torch.manual_seed(0)
    network, clip = MICML(3).eval(), torch.randn(1, 3, 3, 32, 32)
    plain = network(clip)["hm"]
    for parameter in network.dynamic.motion.parameters():
        parameter.fill_(torch.nan)
    assert torch.equal(network(clip)["hm"], plain)
    assert network.train()(clip)["hm"].isnan().any()
    network.dynamic.motion_at_test = True
    assert network.eval()(clip)["hm"].isnan().any()


@pytest.mark.parametrize("num_frames", [3, 6])
@torch.no_grad()
def test_every_frame_of_dsfnet_reaches_its_output(num_frames):
    torch.manual_seed(0)
    network, clip = DSFNet(num_frames).eval(), torch.randn(1, 3, num_frames, 32, 32)
    before = network(clip)["hm"]
    for time in range(num_frames):
        changed = clip.clone()
        changed[:, :, time] += 3 * torch.randn(1, 3, 32, 32)
        assert not torch.equal(network(changed)["hm"], before)


def test_initialisation():
    network = MICML()
    assert network.heads["hm"][2].bias.item() == pytest.approx(-2.19)
    assert not any(layer.bias.any() for name in ("wh", "reg") for layer in network.heads[name][::2])
    convs = [module for module in network.modules() if isinstance(module, DeformConv)]
    assert len(convs) == 30
    for conv in convs:
        assert not conv.offsets.weight.any() and not conv.offsets.bias.any() and conv.bias is None
        bound = (9 * conv.in_channels) ** -0.5
        assert 0.95 * bound < conv.weight.abs().max() <= bound


def test_options_and_clips_that_are_not_taken_are_named():
    for kind, options, message in (
        (MICML, {"num_frames": 2}, "num_frames=2, expected at least 3"),
        (DSFNet, {"num_frames": 7}, "num_frames=7, expected 3 to 6"),
        (MICML, {"motion": False, "motion_at_test": True}, "motion_at_test=True with motion=False"),
    ):
        with pytest.raises(ValueError, match=message):
            kind(**options)
    with pytest.raises(ValueError, match="got options motion for model 'dsfnet', expected some of: .*num_frames"):
        build_model("dsfnet", motion=True)
    with pytest.raises(ValueError, match="got loss 'yolox'.*expected 'centernet'"):
        build_model("micml", loss="yolox")
    for shape, message in (
        ((1, 3, 4, 32, 32), "4 frames, expected 5"),
        ((1, 3, 5, 32, 40), "32×40 pixels, expected multiples of 16"),
        ((1, 5, 32, 32), r"\(B, 3, T, H, W\)"),
    ):
        with pytest.raises(ValueError, match=message):
            DSFNet()(torch.zeros(shape))


# Published weights


@pytest.mark.parametrize("kind", [MICML, DSFNet])
def test_nothing_dead_is_built_and_every_published_entry_is_accounted_for(golden, published, kind):
    dead = golden("micml_dead.json")
    network: nn.Module = kind()
    report = load_published(network, {f"module.{name}": value for name, value in published.items()})
    expected = {*dead["always"], *dead["overwritten_by"], *(dead["training_only"] if kind is DSFNet else ())}
    assert set(report.dropped) == expected
    assert sorted((*report.loaded, *report.folded, *report.dropped)) == sorted(published)
    assert not report.missing and not report.unexpected
    biases = sum(published[name].numel() for name in dead["cancelled_by_batch_norm_in_training"])
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == LIVE_PARAMETERS - biases + (MOTION_PARAMETERS if kind is MICML else 0)


def test_of_two_names_of_one_cell_the_second_counts(published):
    name = "base3d.Motion.cell_list2.1.conv.weight"
    network = MICML()
    load_published(network, published)
    assert torch.equal(network.dynamic.motion.cells[1].weight, published[name])
    assert not torch.equal(published[name], published[name.replace("cell_list2", "cell_list")])


def test_weights_without_the_motion_module_are_dsfnets(published):
    state = {name: value for name, value in published.items() if ".Motion." not in name}
    assert not load_published(DSFNet(), state).missing
    with pytest.raises(ValueError, match="nothing for dynamic.motion"):
        load_published(MICML(), state)
