"""The deformable convolution for CPUs against torchvision's, gradients included."""

import pytest
import torch
from torchvision.ops import deform_conv2d

from nets import deform_conv as module
from nets.deform_conv import deform_conv
from nets.deformable import DeformConv


def arguments(channels: int, out: int, spread: float, dtype=torch.float64, batch: int = 2, size=(6, 9)) -> list:
    """x, offset, mask, weight; with gradients."""
    torch.manual_seed(0)
    shapes = (batch, channels, *size), (batch, 18, *size), (batch, 9, *size), (out, channels, 3, 3)
    values = [torch.randn(shape, dtype=dtype) for shape in shapes]
    values[1] *= spread
    return [value.requires_grad_() for value in values]


def with_gradients(function, values: list) -> list[torch.Tensor]:
    y = function(*values)
    weights = torch.linspace(-1, 2, y.numel(), dtype=y.dtype).view(y.shape)
    return [y.detach(), *torch.autograd.grad((y * weights).sum(), values)]


def theirs(x, offset, mask, weight):
    return deform_conv2d(x, offset, weight, padding=1, mask=mask)


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    ("channels", "out", "spread", "size"),
    [(3, 4, 1.0, (6, 9)), (16, 5, 30.0, (6, 9)), (1, 1, 0.5, (1, 1)), (9, 2, 4.0, (2, 17))],
)
def test_values_and_gradients_are_torchvisions(channels, out, spread, size, at_once, monkeypatch):
    if not at_once:
        monkeypatch.setattr(module, "MAX_TABLE", 0)
    values = arguments(channels, out, spread, size=size)
    for ours, other in zip(with_gradients(deform_conv, values), with_gradients(theirs, values), strict=True):
        torch.testing.assert_close(ours, other)
        assert ours.any()


@pytest.mark.parametrize("shift", [0.0, -1.0, 3.0])
def test_places_at_pixels_take_torchvisions_side_of_the_kink(shift):
    """Where training begins no tap is moved, and all lie at pixels, some just outside the map."""
    values = arguments(4, 3, 0.0)
    values[1] = (values[1].detach() + shift).requires_grad_()
    for ours, other in zip(with_gradients(deform_conv, values), with_gradients(theirs, values), strict=True):
        torch.testing.assert_close(ours, other)
    assert with_gradients(deform_conv, values)[2].any()


def test_float32_channels_last_is_as_exact_as_float32():
    values = arguments(8, 4, 3.0, torch.float32, size=(20, 24))
    exact = with_gradients(theirs, [value.detach().double().requires_grad_() for value in values])
    laid_out = [value.detach().contiguous(memory_format=torch.channels_last).requires_grad_() for value in values]
    for ours, other in zip(with_gradients(deform_conv, laid_out), exact, strict=True):
        assert ours.dtype == torch.float32
        assert (ours - other).abs().max() < 1e-5 * other.abs().max()
    assert deform_conv(*laid_out).is_contiguous(memory_format=torch.channels_last)


def test_half_precision_keeps_the_places():
    """Under autocast it computes in float32 and gives what it was given."""
    values = [value.detach() for value in arguments(4, 3, 2.0, torch.float32)]
    half = [values[0].bfloat16(), *values[1:]]
    with torch.autocast("cpu", torch.bfloat16):
        y = deform_conv(*half)
    assert y.dtype == torch.bfloat16
    assert torch.equal(y, theirs(half[0].float(), *values[1:]).bfloat16())


@torch.no_grad()
def test_offsets_beyond_all_numbers_read_nothing():
    conv, x = DeformConv(2, 3), torch.randn(1, 2, 5, 6)
    conv.offsets.bias[:18] = torch.inf
    assert not conv(x).any()
    conv.offsets.bias[:18] = -torch.inf
    assert not conv(x).any()
