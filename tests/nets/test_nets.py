"""TSMSA and its parts against known answers, against the equations written out, and against themselves."""

import pytest
import torch
from known_answers import assert_close, fill, known
from torch import nn

from benchmarks.literal.convlstm import LiteralConvLSTM
from benchmarks.literal.tsmsa import LiteralTSMSA
from nets import build_model
from nets.blocks import Fuse, PairBlock, ResidualBlock
from nets.convlstm import CrossSliceConvLSTM
from nets.published.loading import load_published
from nets.tsmsa import TSMSA

SLICES_AND_LAYERS = [(1, 1), (1, 2), (2, 1), (2, 2), (3, 1)]


@pytest.fixture
def published_tsmsa(golden) -> TSMSA:
    network = TSMSA().eval()
    load_published(network, fill(golden("tsmsa_params.json")))
    return network


# Known answers


@torch.no_grad()
def test_tsmsa_gives_the_known_output(golden, published_tsmsa):
    expected = golden("golden_tsmsa_small.npz")
    assert_close(published_tsmsa(known("tsmsa_a", 1, 5, 64, 64)).sigmoid(), expected["tsmsa_a"])


@torch.no_grad()
def test_tsmsa_gives_all_known_answers(golden, published_tsmsa):
    expected = golden("golden_tsmsa.npz")
    seen = {}
    for name in ("encoder", "embedding", "fuse_key", "coupling"):
        module = published_tsmsa.get_submodule(name)
        module.register_forward_hook(lambda _, inputs, output, name=name: seen.update({name: output}))
    published_tsmsa.coupling.register_forward_pre_hook(lambda _, inputs: seen.update(lstm=torch.stack(inputs[1], 1)))
    assert_close(published_tsmsa(known("tsmsa_b", 2, 5, 96, 160)).sigmoid(), expected["tsmsa_b"])
    assert_close(published_tsmsa(known("tsmsa_a", 1, 5, 64, 64)).sigmoid(), expected["tsmsa_a"])
    for level, features in enumerate(seen["encoder"]):
        assert_close(features, expected[f"tsmsa_a.backbone{level}"])
    assert_close(seen["embedding"].unsqueeze(0), expected["tsmsa_a.mapped"])
    assert_close(seen["lstm"], expected["tsmsa_a.lstm"])
    assert_close(seen["fuse_key"], expected["tsmsa_a.fusion1"])
    assert_close(seen["coupling"], expected["tsmsa_a.coupled"])


@pytest.mark.parametrize(
    ("attention", "tag", "shape"),
    [
        ("gc", "convlstm_gc", (1, 4, 32, 24, 40)),
        ("mha", "convlstm_mha", (1, 3, 16, 32, 32)),
        ("mha", "convlstm_mha_b", (1, 3, 16, 48, 48)),
    ],
)
@torch.no_grad()
def test_convlstm_gives_all_known_answers(golden, attention, tag, shape):
    expected = golden(f"golden_{tag}.npz")
    lstm = CrossSliceConvLSTM(shape[2], shape[2], 2, 2, attention).eval()
    load_published(lstm, fill(golden(f"convlstm_{attention}_params.json")))
    x = known(tag, *shape)
    states = lstm.states(x)
    assert len(states) == 4
    for index, state in enumerate(states):
        assert_close(torch.stack(state.h, 1), expected[f"out{index}"])
        if f"h{index}" in expected:
            assert_close(state.h[-1], expected[f"h{index}"])
            assert_close(state.c[-1], expected[f"c{index}"])
    assert_close(lstm(x), expected["out3"])


# The equations written out


@pytest.mark.parametrize(
    ("slices", "layers", "width", "channels", "attention", "size"),
    [(*setting, 4, 4, "gc", (9, 14)) for setting in (*SLICES_AND_LAYERS, (3, 2))]
    + [(2, 2, 3, 4, "gc", (8, 8)), (1, 2, 2, 2, "mha", (32, 32)), (3, 1, 2, 2, "mha", (20, 40))],
)
@torch.no_grad()
def test_convlstm_equals_its_equations(slices, layers, width, channels, attention, size):
    literal = LiteralConvLSTM(width, channels, slices, layers, attention).eval()
    literal.load_state_dict(fill({name: value.shape for name, value in literal.state_dict().items()}))
    lstm = CrossSliceConvLSTM(width, channels, layers, slices, attention).eval()
    load_published(lstm, literal.state_dict())
    # Folding the parameters is done in float32, hence the tolerance.
    x = torch.randn(2, 3, width, *size, dtype=torch.float64)
    expected = literal.double().sequences(x)
    for ours, other in zip(lstm.double().states(x), expected, strict=True):
        torch.testing.assert_close(torch.stack(ours.h, 1), other, rtol=1e-5, atol=1e-6)


@torch.no_grad()
def test_tsmsa_of_three_slices_and_two_layers_equals_the_equations():
    network, literal = TSMSA(num_slices=3, num_layers=2).eval(), LiteralTSMSA(num_slices=3, num_layers=2).eval()
    literal.load_state_dict(fill({name: value.shape for name, value in literal.state_dict().items()}))
    report = load_published(network, literal.state_dict())
    assert not report.missing and not report.unexpected
    clip = known("tsmsa_a", 1, 5, 64, 64)
    assert_close(network(clip), literal(clip).numpy(), 1e-5)


def test_pair_block_is_the_residual_block_over_the_concatenation():
    pair, block = PairBlock(6), ResidualBlock(12, 6)
    block.load_state_dict(pair.state_dict())
    x, shared = torch.randn(3, 2, 6, 10, 12), torch.randn(2, 6, 10, 12)
    expected = block(torch.cat((x, shared.expand(3, -1, -1, -1, -1)), 2).flatten(0, 1))
    torch.testing.assert_close(pair(x.flatten(0, 1), shared), expected, rtol=1e-4, atol=1e-5)


def test_fuse_is_a_convolution_over_the_concatenation():
    fuse = Fuse(4, 6).eval()
    high, low = torch.randn(2, 4, 8, 10), torch.randn(2, 6, 4, 5)
    both = torch.cat((fuse.lateral(low).repeat_interleave(2, 2).repeat_interleave(2, 3), high), 1)
    mixed = nn.functional.conv2d(both, torch.cat((fuse.from_low.weight, fuse.from_high.weight), 1))
    torch.testing.assert_close(fuse(high, low), nn.functional.silu(fuse.norm(mixed)))


# Nothing dead


@pytest.mark.parametrize("attention", ["gc", "mha"])
@pytest.mark.parametrize(("slices", "layers"), [*SLICES_AND_LAYERS, (2, 3)])
def test_every_channel_of_every_convlstm_parameter_gets_a_gradient(slices, layers, attention):
    torch.manual_seed(0)
    lstm = CrossSliceConvLSTM(3, 3, layers, slices, attention).double()
    lstm(torch.randn(1, 2, 3, 32, 32, dtype=torch.float64)).square().sum().backward()
    for name, parameter in lstm.named_parameters():
        assert parameter.grad is not None, name
        for axis in range(min(parameter.dim(), 2)):
            alive = parameter.grad.transpose(0, axis).flatten(1) if parameter.dim() > 1 else parameter.grad[:, None]
            assert alive.abs().sum(1).all(), f"{name}: a slice along axis {axis} is dead"


@pytest.mark.parametrize(("slices", "layers"), SLICES_AND_LAYERS)
def test_every_tsmsa_parameter_gets_a_gradient(slices, layers):
    torch.manual_seed(0)
    network = TSMSA(num_slices=slices, num_layers=layers)
    network(torch.randn(2, 5, 32, 32)).square().mean().backward()
    dead = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    assert not dead


# Networks


@pytest.mark.parametrize("size", [(64, 64), (96, 160), (40, 56)])
@pytest.mark.parametrize(("slices", "layers"), [(1, 1), (2, 2)])
@torch.no_grad()
def test_batched_equals_single_at_any_size(size, slices, layers):
    network, _, postprocess = build_model("tsmsa", num_slices=slices, num_layers=layers)
    network.eval()
    clips = torch.randn(3, 5, *size)
    logits = network(clips)
    assert logits.shape == (3, 1, *size)
    torch.testing.assert_close(logits, torch.cat([network(clip[None]) for clip in clips]), rtol=1e-4, atol=1e-5)
    probabilities = postprocess(logits)
    assert probabilities.shape == (3, *size)
    assert probabilities.min() >= 0 and probabilities.max() <= 1


@torch.no_grad()
def test_the_smallest_clip_and_other_settings_run():
    clip = torch.randn(1, 3, 8, 8)
    small = TSMSA(num_slices=2, num_frames=3, channels=(4, 8, 16, 32), blocks=(1, 2, 1)).eval()
    assert small(clip).shape == (1, 1, 8, 8)
    assert TSMSA(in_channels=3).eval()(torch.randn(2, 3, 5, 16, 16)).shape == (2, 1, 16, 16)
    assert CrossSliceConvLSTM(2, 4, 2, 2)(torch.randn(1, 1, 2, 5, 3)).shape == (1, 1, 4, 5, 3)


def test_channels_last_computes_and_trains_alike():
    torch.manual_seed(0)
    network = TSMSA()
    network.head[3].p = 0.0
    other = TSMSA()
    other.load_state_dict(network.state_dict())
    other.head[3].p = 0.0
    other.to(memory_format=torch.channels_last)
    clip = torch.randn(2, 5, 64, 64)
    for net in (network, other):
        net(clip).sigmoid().mean().backward()
    torch.testing.assert_close(network.eval()(clip), other.eval()(clip), rtol=1e-3, atol=1e-4)
    ours, others = (torch.cat([p.grad.flatten() for p in net.parameters()]) for net in (network, other))
    # Rounding may put a value on the other side of a ReLU's kink, hence a norm and no element-wise comparison.
    assert (ours - others).norm() < 0.02 * ours.norm()


@pytest.mark.parametrize("seed", range(6))
@torch.no_grad()
def test_the_head_starts_with_a_weight_of_each_sign(seed):
    torch.manual_seed(seed)
    network = TSMSA()
    last = network.head[-1]
    assert last.weight.min() < 0 < last.weight.max()
    assert last.bias.item() == -3
    assert network(torch.randn(2, 5, 32, 32)).max() > -3, "no pixel can rise above the prior"


def test_a_few_steps_fit_one_clip():
    torch.manual_seed(0)
    network, criterion, postprocess = build_model("tsmsa")
    clip, mask = torch.randn(1, 5, 64, 64) * 0.3, torch.zeros(1, 1, 64, 64)
    for frame in range(5):
        clip[0, frame, 20 + 3 * frame : 23 + 3 * frame, 30:33] += 4
    mask[0, 0, 32:35, 30:33] = 1
    optimizer = torch.optim.Adam(network.parameters(), 5e-3)
    totals = []
    for _ in range(25):
        total = sum(criterion(network(clip), {"mask": mask}).values())
        totals.append(total.item())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    assert totals[-1] < totals[0] / 2
    probability = postprocess(network(clip))
    assert probability[mask[:, 0] > 0].mean() > probability[mask[:, 0] == 0].mean() + 0.3


# Bad input


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ValueError, match="got model 'tsmas', expected one of: .*tsmsa"):
        build_model("tsmas")
    with pytest.raises(ValueError, match="got options num_slice.*num_slices.*loss_options"):
        build_model("tsmsa", num_slice=2)
    with pytest.raises(ValueError, match="expected one of gc, mha"):
        CrossSliceConvLSTM(4, 4, attention="gcc")
    with pytest.raises(ValueError, match="num_layers=0"):
        TSMSA(num_layers=0)
    with pytest.raises(ValueError, match="num_frames=1"):
        TSMSA(num_frames=1)
    with pytest.raises(ValueError, match="3 block counts"):
        TSMSA(blocks=(3, 3))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 4, 64, 64), "4 frames, expected 5: .*num_frames=4"),
        ((1, 5, 60, 64), "60×64 pixels, expected multiples of 8: pad"),
        ((1, 5, 0, 64), "multiples of 8"),
        ((5, 64, 64), r"\(B, T, H, W\)"),
        ((1, 1, 5, 64, 64), r"\(B, T, H, W\)"),
    ],
)
def test_a_clip_of_another_shape_is_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        TSMSA()(torch.zeros(shape))


# Published weights


def test_published_loading_reports_every_entry(golden):
    state = fill(golden("tsmsa_params.json"))
    report = load_published(TSMSA(), {f"module.{name}": value for name, value in state.items()})
    assert set(report.dropped) == set(golden("tsmsa_dead.json"))
    assert sorted((*report.loaded, *report.folded, *report.dropped)) == sorted(state)
    assert not report.missing and not report.unexpected


def test_published_weights_that_do_not_match_are_named(golden):
    state = fill(golden("tsmsa_params.json"))
    network = TSMSA()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for name, bad, message in (
        ("mapping1.0.weight", None, "nothing for embedding.0.weight"),
        ("mapping9.0.weight", torch.zeros(1), "unexpected mapping9.0.weight"),
        ("mapping1.0.weight", torch.zeros(16, 3, 5, 5), r"mapping1.0.weight \(16, 3, 5, 5\) \(expected"),
        ("SSTCell.cell_list.00.conv.weight", torch.zeros(128, 7), r"conv.weight \(128, 7\)"),
    ):
        changed = {key: value for key, value in (state | {name: bad}).items() if value is not None}
        with pytest.raises(ValueError, match=message):
            load_published(network, changed)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    with pytest.raises(ValueError, match="nothing for lstm.layers.1.inputs.weight"):
        load_published(TSMSA(num_layers=2), state)
    with pytest.raises(ValueError, match="got a Linear"):
        load_published(nn.Linear(1, 1), state)


def test_partial_published_loading_says_what_is_missing(golden):
    state = fill(golden("tsmsa_params.json"))
    del state["head.block.4.bias"]
    state["extra"] = torch.zeros(1)
    state["mapping1.2.weight"] = torch.zeros(2, 2)
    network = TSMSA()
    report = load_published(network, state, strict=False)
    assert report.missing == ("embedding.2.weight", "head.4.bias")
    assert set(report.unexpected) == {"extra", "mapping1.2.weight"}
    assert torch.equal(network.embedding[0].weight, state["mapping1.0.weight"])
