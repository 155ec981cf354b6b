"""MICML and DSFNet against their equations written out, in values, gradients and operations."""

import pytest
import torch
from known_answers import assert_close, fill, known
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.literal.micml import LiteralDSFNet, LiteralMICML
from benchmarks.measure import deform_flops
from nets.inference.peaks import PeakDetector
from nets.micml import MICML, DSFNet
from nets.published import load_published
from nets.published.loading import rules_for


@torch.no_grad()
def test_the_literal_network_gives_the_known_answers(golden):
    expected = golden("golden_micml_small.npz")
    clip = known("micml_a", 1, 3, 5, 64, 64).flip(2)
    state = fill(golden("micml_params.json"))
    for key, options in (("a", {}), ("a_motion", {"motion_at_test": True})):
        network = LiteralMICML(**options).eval()
        assert {name: value.shape for name, value in network.state_dict().items()} == {
            name: value.shape for name, value in state.items()
        }
        network.load_state_dict(state)
        for name, value in network(clip).items():
            assert_close(value, expected[f"{key}/{name}"], 1e-5)


def pair(options: dict) -> tuple[LiteralMICML, MICML]:
    """The literal network and ours with the same weights, in float64."""
    torch.manual_seed(0)
    literal, ours = LiteralMICML(**options), MICML(**options)
    for name, value in literal.named_parameters():
        if "conv_offset_mask" in name:  # taps are moved, and off their pixels
            torch.nn.init.normal_(value, std=0.1)
    for name, value in literal.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            value.uniform_(0.5, 1.5)
    report = load_published(ours, literal.state_dict())
    assert not report.missing and not report.unexpected
    return literal.double(), ours.double()


def with_gradients(network: torch.nn.Module, clip: torch.Tensor) -> tuple[dict, dict]:
    outputs = network(clip)
    sum((x * torch.linspace(-1, 2, x.numel(), dtype=x.dtype).view(x.shape)).mean() for x in outputs.values()).backward()
    return outputs, {name: p.grad for name, p in network.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(
    ("train", "options"),
    [
        (True, {"num_frames": 3}),
        (True, {"num_frames": 4, "motion": False}),
        (False, {"num_frames": 3, "motion_at_test": True, "num_classes": 2}),
        (False, {"num_frames": 5}),
        (False, {"num_frames": 7}),
    ],
)
def test_the_networks_equal_their_equations_in_float64_gradients_included(train, options):
    """Of what is folded only running means are no plain copies; what is dead gets no gradient there either."""
    literal, ours = (network.train(train) for network in pair({"width": 1 / 8, **options}))
    clip = torch.randn(2, 3, options["num_frames"], 32, 48, dtype=torch.float64)
    expected, of_literal = with_gradients(literal, clip)
    found, of_ours = with_gradients(ours, clip)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-7)
    rules = {rule.ours: rule for rule in rules_for(ours)[0]}
    # A cell's weights have two names there, and their gradient the first one.
    of_literal |= {name.replace("cell_list.", "cell_list2."): grad for name, grad in of_literal.items()}
    moving = train or options.get("motion_at_test", False)
    assert any("motion.cells.2" in name for name in of_ours) == (moving and options.get("motion", True))
    for name, grad in of_ours.items():
        other = of_literal[rules[name].theirs[0]].view(grad.shape)
        assert (grad - other).abs().max() <= 1e-6 * other.abs().max() + 1e-12, name
    if train:
        for name, value in ours.named_buffers():
            other = literal.get_buffer(rules[name].theirs[0])
            if len(rules[name].theirs) == 1:
                torch.testing.assert_close(value, other)


# Operations


def giga(call, *args) -> float:
    """10⁹ multiplications with an addition."""
    with FlopCounterMode(display=False, custom_mapping=deform_flops()) as counter:
        call(*args)
    return counter.get_total_flops() / 2e9


@torch.no_grad()
def test_operation_counts():
    """At 512×512, of shapes alone. 66.0 and 441.4 are the published networks'."""
    with torch.device("meta"):
        clip, maps = torch.empty(1, 3, 5, 512, 512), torch.empty(1, 5, 64, 128, 128)
        literal, network = LiteralDSFNet().eval(), DSFNet().eval()
        assert giga(literal, clip) == pytest.approx(66.04, abs=0.01)
        assert giga(literal.base, clip[:, :, 0]) == pytest.approx(13.74, abs=0.01)
        detector = PeakDetector(network)
        assert giga(detector, clip) < 55.04
        frame = clip[:, :, 0]
        window = [detector.observe(frame)] * 5
        assert giga(detector.observe, frame) + giga(detector.decide, frame, window) < 53.45
        literal, network = LiteralMICML().eval(), MICML(motion_at_test=True).eval()
        assert giga(literal.base3d.Motion, maps) == pytest.approx(441.41, abs=0.01)
        assert giga(network.dynamic.motion, maps, 3) < 221.6
