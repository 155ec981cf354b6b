"""Smaller number formats for exported networks, made by ONNX Runtime's own tools."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from utils.predictor.network_run import NetworkRun
from utils.predictor.onnx_run import METADATA_KEY
from utils.predictor.predictor import Predictor
from utils.system.errors import UserError
from utils.system.files import whole_file
from utils.video.sources import open_sources


def quantise(path: Path, precision: str, about: str, calibrate: str | None = None, calibration_clips: int = 0) -> None:
    """Replace a float32 ONNX file by one in fewer bits.

    fp16 keeps inputs and outputs in float32. int8 quantises the convolutions, whose weights get a scale a channel; the
    ranges of what passes through them are measured on clips.

    Args:
        path: the file.
        precision: "fp16" or "int8".
        about: its description, for tools that lose it.
        calibrate: for int8, the frames that clips are taken from (`clips_of`).
        calibration_clips: how many of them.

    Raises:
        UserError: the tools are not installed, or there are no frames to calibrate on.
    """
    try:
        import onnx
        import onnxruntime.quantization as tools
        from onnxruntime.transformers.float16 import convert_float_to_float16
    except ImportError as error:
        raise UserError(
            f"--precision {precision}: needs the package {error.name}, which is not installed; "
            "`pip install onnx onnxruntime`"
        ) from None
    if precision == "fp16":
        model = separate_constants(onnx.load(path), ("Resize",))
        model = convert_float_to_float16(model, keep_io_types=True, disable_shape_infer=True)
        drop_repeated_nodes(model)
        for number, node in enumerate(model.graph.node):
            node.name = f"{node.op_type}_{number}"  # the converter gives some names twice
    else:
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            prepared, result = (os.path.join(folder, name) for name in ("prepared.onnx", "int8.onnx"))
            tools.quant_pre_process(str(path), prepared, skip_symbolic_shape=True)
            reader = _CalibrationClips(path, calibrate, calibration_clips)
            tools.quantize_static(
                prepared,
                result,
                reader,
                quant_format=tools.QuantFormat.QDQ,
                per_channel=True,
                op_types_to_quantize=["Conv"],
                activation_type=tools.QuantType.QUInt8,
                weight_type=tools.QuantType.QInt8,
                extra_options={"ActivationSymmetric": False},
            )
            model = onnx.load(result)
    if METADATA_KEY not in {entry.key for entry in model.metadata_props}:
        entry = model.metadata_props.add()
        entry.key, entry.value = METADATA_KEY, about
    with whole_file(path) as file:
        file.write(model.SerializeToString())


def separate_constants(model: Any, kinds: Sequence[str]) -> Any:
    """Give each node of these kinds constants of its own: the converter stumbles where two of them share one."""
    constants = {constant.name: constant for constant in model.graph.initializer}
    for number, node in enumerate(model.graph.node):
        for index, name in enumerate(node.input if node.op_type in kinds else ()):
            if name in constants:
                copy = model.graph.initializer.add()
                copy.CopyFrom(constants[name])
                copy.name = node.input[index] = f"{name}_of_{number}"
    return model


def drop_repeated_nodes(model: Any) -> None:
    """Leave out nodes that make what an earlier node has made, as the converter's casts for several readers do."""
    made: set[str] = set()
    repeated = []
    for index, node in enumerate(model.graph.node):
        if made.issuperset(node.output):
            repeated.append(index)
        made.update(node.output)
    for index in reversed(repeated):
        del model.graph.node[index]


class _CalibrationClips:
    """Clips as the network sees them, one after another (a `CalibrationDataReader`)."""

    def __init__(self, path: Path, source: str, count: int) -> None:
        predictor = Predictor.from_checkpoint(path, verify=False)  # what it makes of them is not asked for
        self.name = predictor.run.inputs[0]
        self.clips: Iterator[np.ndarray] = iter(clips_of(predictor, source, count))

    def get_next(self) -> dict[str, Any] | None:
        clip = next(self.clips, None)
        return None if clip is None else {self.name: clip}


class _ClipKeeper(NetworkRun):
    """A run that keeps the clips at `positions`, of those it is given one by one, and finds nothing in any."""

    def __init__(self, task: str, positions: Collection[int]) -> None:
        self.task, self.positions = task, positions
        self.seen, self.kept = 0, []

    def __call__(self, clips: np.ndarray) -> Any:
        if self.seen in self.positions:
            self.kept.append(np.ascontiguousarray(clips, np.float32))
        self.seen += 1
        return [np.zeros((0, 6)) if self.task == "detection" else np.zeros(clips.shape[-2:], np.float32)]


def clips_of(predictor: Predictor, source: str, count: int) -> list[np.ndarray]:
    """Clips, evenly spread over the frames of a source: those that a predictor gives to its network for these frames.

    Args:
        predictor: of the network.
        source: a folder of images, a video, a dataset.
        count: of clips.

    Returns:
        Up to `count` clips (1, …) float32.

    Raises:
        UserError: there are no frames, or none of the sequences has as many as a clip.
    """
    settings = predictor.settings
    long_enough = [one for one in open_sources(source) if one.length is None or one.length >= settings.num_frames]
    sources = pick_evenly(long_enough, count)
    span = (settings.num_frames - 1) * settings.frame_step + 1  # frames until a clip repeats none
    kept: list[np.ndarray] = []
    for one in sources:
        each = -(-count // len(sources))
        length = one.length or each * span
        keeper = _ClipKeeper(settings.task, pick_evenly(range(min(span, length) - 1, length), each))
        frames = ((frame.number, frame.image) for frame in islice(one, length))
        for _ in dataclasses.replace(predictor, run=keeper).stream(frames):
            pass
        kept += keeper.kept
    if not kept:
        raise UserError(f"{source}: found too few frames to calibrate on, expected {settings.num_frames} or more")
    return kept[:count]


def pick_evenly(items: Sequence[Any], count: int) -> list[Any]:
    """Up to `count` of the items, evenly spread from the first to the last."""
    count = min(count, len(items))
    return [items[i * (len(items) - 1) // max(1, count - 1)] for i in range(count)]
