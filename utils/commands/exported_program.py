"""A trained network as a program that can be exported, and how far an exported file is from it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from utils.system.errors import UserError

STEADY_SHARE = 0.95  # of the outputs of a network that `jumps`, which are compared
BASE_SIDE_PX = 32  # example inputs have sides of some times as many
DEFORM_OPSET = 19  # the first ONNX with deformable convolutions


def side_multiple(network: Any) -> int:
    """Pixels of which the sides of an exported network's frames are multiples.

    Its own `multiple`, or `BASE_SIDE_PX` where it takes any size, as its maps then have sizes that no one expression
    gives.
    """
    return network.multiple if network.multiple > 1 else BASE_SIDE_PX


def steady_share(network: Any) -> float:
    """The share of a network's outputs that rounding changes by no more than itself, for `measure_deviation`."""
    from nets.streamable import StreamableNetwork

    return STEADY_SHARE if isinstance(network, StreamableNetwork) and network.jumps else 1.0


def finds_peaks(network: Any) -> bool:
    """Whether a network is a detector of centres, whose boxes are those of peaks and suppress each other softly."""
    from nets.micml import MICML

    return isinstance(network, MICML)


def require_exportable(weights: Any, opset: int | None, precision: str) -> None:
    """Refuse forms that a network cannot have.

    Args:
        weights: as of `export_program`.
        opset: of ONNX; None: it is no ONNX file.
        precision: `float32`, `fp16` or `int8`.

    Raises:
        UserError: it has none such.
    """
    if not finds_peaks(weights.model.network):
        return
    name = weights.settings.name
    if opset is not None and opset < DEFORM_OPSET:
        raise UserError(
            f"--opset: found {opset} with {name}, expected at least {DEFORM_OPSET}, the first one with the deformable "
            "convolutions that it is made of"
        )
    if precision == "fp16":
        raise UserError(
            f"--precision fp16: found with {name}, expected float32 or int8, as its boxes, which are a few pixels "
            "large, would be moved by half a pixel and more"
        )


def onnx_translations() -> dict[Any, Callable]:
    """ONNX operators for those of torchvision, which the exporter does not know."""
    import torch
    import torchvision  # noqa: F401 - makes its operators known
    from onnxscript import opset19 as op

    def deform_conv(
        x, weight, offset, mask, bias, stride_y, stride_x, pad_y, pad_x, step_y, step_x, groups, offset_groups, use_mask
    ):
        return op.DeformConv(
            x,
            weight,
            offset,
            bias,
            mask if use_mask else None,
            strides=[stride_y, stride_x],
            pads=[pad_y, pad_x, pad_y, pad_x],
            dilations=[step_y, step_x],
            group=groups,
            offset_group=offset_groups,
        )

    return {torch.ops.torchvision.deform_conv2d.default: deform_conv}


def example_size(multiple: int) -> tuple[int, int]:
    """Height and width of the example inputs: odd multiples, so that nothing but `multiple` divides the sides."""
    pieces = -(-3 * BASE_SIDE_PX // multiple) | 1
    return pieces * multiple, (pieces + 2 * -(-BASE_SIDE_PX // multiple)) * multiple


def export_program(weights: Any, streaming: bool) -> tuple[Any, Any, tuple]:
    """A network as `torch.export` program.

    Args:
        weights: a `utils.predictor.weights.Weights`.
        streaming: as of `ExportSettings`.

    Returns:
        The program, the module that was exported, and example inputs.

    Raises:
        UserError: `streaming`, and the network has no form that takes one frame and a state of what frames contribute.
    """
    import torch
    from torch.export import Dim

    from nets.inference.exportable import ClipExport, StreamExport
    from nets.inference.streaming import can_stream

    network, detects = weights.model.network, weights.settings.task == "detection"
    if streaming and not can_stream(network):
        reason = "keeps more than what each frame contributes" if weights.settings.every_frame else "reads no clips"
        raise UserError(f"--streaming: found {weights.settings.name}, which {reason}; leave the option out")
    module = (StreamExport if streaming else ClipExport)(network, detects).eval()
    batch, rows, columns = Dim("batch"), Dim("rows", min=2, max=1024), Dim("columns", min=2, max=1024)
    multiple, frames = side_multiple(network), weights.settings.num_frames
    size = example_size(multiple)
    sides = {-2: multiple * rows, -1: multiple * columns}
    if streaming:
        frame = torch.zeros(2, network.in_channels, *size)
        arguments = (frame, *module.empty_state(frame))
        strides = [size[0] // state.shape[-2] for state in arguments[1:]]
        shapes = (
            {0: batch, 2: sides[-2], 3: sides[-1]},
            tuple({1: batch, 3: multiple // stride * rows, 4: multiple // stride * columns} for stride in strides),
        )
    else:
        clip = torch.zeros(2, *((3,) if detects else ()), frames, *size)
        arguments = (clip,)
        shapes = ({0: batch, clip.dim() - 2: sides[-2], clip.dim() - 1: sides[-1]},)
    with torch.no_grad():
        program = torch.export.export(module, arguments, dynamic_shapes=shapes)
    if torch.__version__.startswith("2.9."):  # its checks of a state stop every program
        program._guards_code = []
    return program, module, arguments


def measure_deviation(
    run: Callable[[list[np.ndarray]], Sequence[np.ndarray]],
    module: Any,
    example: tuple,
    multiple: int,
    share: float = 1.0,
    unordered: bool = False,
) -> float:
    """Largest difference between an exported file and PyTorch on noise of two batches and sizes.

    It is over the largest output where that exceeds 1; NaN where one of them gives NaN.

    Args:
        run: the file: its inputs as float32 arrays → its outputs.
        module: what was exported.
        example: the inputs that it was exported with, whose other dimensions are kept.
        multiple: of which the sides are multiples.
        share: of the outputs, those that differ least, that is looked at (`steady_share`).
        unordered: boxes and scores of peaks, whose order is as good as another one.
    """
    import torch

    generator, differences = torch.Generator().manual_seed(0), []
    short, long = 2 * BASE_SIDE_PX + multiple, 4 * BASE_SIDE_PX
    for batch, size in ((1, (short, long)), (3, (long, short))):
        first = torch.randn((batch, *example[0].shape[1:-2], *size), generator=generator)
        state = module.empty_state(first) if len(example) > 1 else ()
        arguments = [first, *(torch.randn(part.shape, generator=generator) for part in state)]
        with torch.no_grad():
            expected = module(*arguments)
        found, expected = run([value.numpy() for value in arguments]), [part.numpy() for part in expected]
        if unordered:
            found, expected = _match_peaks(found, expected)
        for own, other in zip(found, expected, strict=True):
            different = np.quantile(np.abs(own - other), share)
            differences.append(different / max(1.0, float(np.abs(other).max())))
    return float(np.max(differences))


def _match_peaks(
    found: Sequence[np.ndarray], expected: Sequence[np.ndarray]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Boxes and scores as one, each found row in the place of the nearest expected one: equal peaks have no order."""
    own, other = (np.concatenate(outputs[:2], 2) for outputs in (found, expected))
    for rows, wanted in zip(own, other, strict=True):
        rows[:] = rows[np.abs(wanted[:, None] - rows).max(2).argmin(1)]
    return [own, *found[2:]], [other, *expected[2:]]
