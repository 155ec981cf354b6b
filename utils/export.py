"""Export a trained network to a file that runs without this project, or without PyTorch.

    python -m utils.export --weights runs/NAME/best.pt --format onnx
    python -m utils.export --weights runs/NAME/best.pt --format onnx --streaming

Batch, height and width stay open: sides are multiples of `side_multiple`, in a .pt2 at least two times it.
What the tensors mean is said in `nets/inference/exportable.py`; normalisation, threshold and the like are written into
the file. It gets its name once it has been compared with PyTorch; until then what was there before stays.
"""

from __future__ import annotations

import io
import json
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from utils.commands.exported_program import (
    export_program,
    finds_peaks,
    measure_deviation,
    onnx_translations,
    require_exportable,
    side_multiple,
    steady_share,
)
from utils.commands.options import add_threads_option
from utils.commands.predictor_options import add_normalisation_option, add_verifier_option
from utils.commands.quantise import quantise
from utils.predictor.onnx_run import DESCRIPTION_VERSION, METADATA_KEY, open_session
from utils.system.command_line import Parser, make_folder, number
from utils.system.errors import UserError, user_errors
from utils.system.files import require_file, whole_file, writing
from utils.system.outputs import require_new_or_own
from utils.system.threads import limit_threads

DEFAULT_OPSET = 20
MAX_DEVIATION = 1e-4
ENDINGS = {"onnx": ".onnx", "torch-export": ".pt2"}


@dataclass(frozen=True)
class ExportSettings:
    """Which file is written, and where: what the options of the command line say.

    Args:
        weights: the checkpoint.
        normalisation: for weights that do not hold it.
        verify: with the verifier that the weights hold, where they hold one.
        format: of `ENDINGS`.
        streaming: one frame and the state in, the result and the next state out; else whole clips in.
        precision: `float32`, `fp16` or `int8`.
        calibrate: frames for `int8`.
        calibration_clips: how many of these frames, evenly spread.
        opset: of ONNX.
        out: the file; None: beside the weights.
        threads: as of `utils.system.threads.limit_threads`.
    """

    weights: str
    normalisation: tuple[float, float] | None = None
    verify: bool = True
    format: str = "onnx"
    streaming: bool = False
    precision: str = "float32"
    calibrate: str | None = None
    calibration_clips: int = 32
    opset: int = DEFAULT_OPSET
    out: str | None = None
    threads: int = 0

    @property
    def path(self) -> Path:
        """Of the file: `out`, else beside the weights, such as `best-streaming-fp16.onnx` for `best.pt`."""
        if self.out:
            return Path(self.out)
        name = Path(self.weights).stem
        if self.streaming:
            name += "-streaming"
        if self.precision != "float32":
            name += f"-{self.precision}"
        return Path(self.weights).with_name(name + ENDINGS[self.format])


def parse(argv: Sequence[str] | None = None) -> ExportSettings:
    """The command line.

    Raises:
        UserError: a mistake in it.
    """
    parser = Parser(prog="python -m utils.export", description=__doc__.splitlines()[0])
    network, output, calibration = map(parser.group, ("Network", "Output", "Calibration"))
    network.add_argument("--weights", required=True, metavar="FILE", help="checkpoint, such as runs/NAME/best.pt")
    add_verifier_option(parser)
    add_normalisation_option(parser)
    output.add_argument("--format", choices=ENDINGS, default=ExportSettings.format, help="default: %(default)s")
    output.add_argument(
        "--streaming",
        action="store_true",
        help="one frame and the state in, the result and the next state out (default: whole clips in)",
    )
    output.add_argument(
        "--precision",
        choices=("float32", "fp16", "int8"),
        default=ExportSettings.precision,
        help="of an ONNX file: fp16 halves it, int8 quantises its convolutions and needs --calibrate; "
        "measure what that costs with test.py (default: %(default)s)",
    )
    output.add_argument(
        "--opset", type=number("opset"), default=ExportSettings.opset, help="of ONNX (default: %(default)s)"
    )
    output.add_argument("--out", metavar="FILE", help="default: beside the weights, such as best-streaming.onnx")
    calibration.add_argument(
        "--calibrate",
        metavar="PATH",
        help="frames for int8, prepared as vid_predict.py prepares them: a folder of images, a video, a dataset",
    )
    calibration.add_argument(
        "--calibration-clips",
        type=number("calibration_clips"),
        metavar="N",
        default=ExportSettings.calibration_clips,
        help="of these frames, evenly spread (default: %(default)s)",
    )
    add_threads_option(parser)
    options = vars(parser.parse_args(argv))
    given = ExportSettings(verify=not options.pop("no_verifier"), **options)
    if given.precision != "float32" and (given.format != "onnx" or (given.precision == "int8" and given.streaming)):
        found = f"--format {given.format} --streaming" if given.streaming else f"--format {given.format}"
        raise UserError(
            f"--precision {given.precision}: found with {found}, expected --format onnx, and windowed for int8"
        )
    if (given.precision == "int8") != bool(given.calibrate):
        raise UserError("--calibrate: goes with --precision int8; give both or neither")
    ending = ENDINGS[given.format]
    if given.out and Path(given.out).suffix.lower() != ending:  # by which the other commands know these files
        raise UserError(f"--out: found {given.out}, expected a name that ends with {ending}")
    return given


def describe(weights: Any, given: ExportSettings, arguments: tuple) -> str:
    """The JSON that tells `utils.predictor.onnx_run`, and people, how to use the file.

    Args:
        weights: as of `export_program`.
        given: what was asked for.
        arguments: example inputs, as of `export_program`.
    """
    size = arguments[0].shape[-2]
    multiple = side_multiple(weights.model.network)  # another one would be other padding, and other results at the edge
    return json.dumps(
        {
            "version": DESCRIPTION_VERSION,
            "streaming": given.streaming,
            "opset": given.opset,
            "precision": given.precision,
            "settings": weights.settings.as_dict(),
            "multiple": multiple,
            "state_strides": [size // state.shape[-2] for state in arguments[1:]],
            "suppression": "soft" if finds_peaks(weights.model.network) else "hard",
            "verifier": None if weights.verifier is None else weights.verifier.as_dict(),
        }
    )


def name_tensors(arguments: tuple, results: int) -> tuple[list[str], list[str]]:
    """Names of the inputs and of the outputs.

    Args:
        arguments: example inputs, as of `export_program`.
        results: outputs before the state, 1 of segmentation, 2 of detection.
    """
    states = range(len(arguments) - 1)
    inputs = ["frames" if len(arguments) > 1 else "clips", *(f"state{i}" for i in states)]
    outputs = ["probabilities"] if results == 1 else ["boxes", "scores"]
    return inputs, [*outputs, *(f"next_state{i}" for i in states)]


def make_onnx_model(program: Any, arguments: tuple, detects: bool, opset: int, about: str) -> Any:
    """The program as an ONNX model (`onnx.ModelProto`) with its description.

    Args:
        program: as of `export_program`.
        arguments: example inputs, likewise.
        detects: whether it gives boxes and scores, else probabilities.
        opset: of ONNX.
        about: the description, as of `describe`.

    Raises:
        UserError: a package that the exporter needs is not installed.
    """
    try:
        import onnx  # noqa: F401 - the exporter needs it
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"--format onnx: needs the package {error.name}, which is not installed; "
            "`pip install onnx onnxscript onnxruntime`"
        ) from None
    import torch

    inputs, outputs = name_tensors(arguments, 2 if detects else 1)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the exporter's own inner workings
        made = torch.onnx.export(
            program,
            dynamo=True,
            verbose=False,
            input_names=inputs,
            output_names=outputs,
            opset_version=opset,
            custom_translation_table=onnx_translations(),
        )
    model = made.model_proto
    entry = model.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, about
    return model


def make_torch_runner(path: Path) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
    """A .pt2 file as `run` of `measure_deviation`."""
    import torch

    program = torch.export.load(path).module()
    return lambda arrays: [part.detach().numpy() for part in program(*map(torch.from_numpy, arrays))]


def make_onnx_runner(path: Path) -> Callable[[list[np.ndarray]], list[np.ndarray]]:
    """An .onnx file as `run` of `measure_deviation`."""
    session = open_session(path)
    inputs = [item.name for item in session.get_inputs()]
    return lambda arrays: session.run(None, dict(zip(inputs, arrays, strict=True)))


def export(given: ExportSettings) -> str:
    """Write the file.

    Returns:
        A line about it.

    Raises:
        UserError: the weights, or the frames to calibrate on, are of no use, or the file is not what PyTorch has; what
            was there before under its name is still there.
    """
    from utils.predictor.weights import read_weights

    weights = read_weights(given.weights, given.normalisation)
    if weights.note:
        print(weights.note)
    if not given.verify:
        weights = replace(weights, verifier=None)
    if weights.verifier is not None and given.format != "onnx":
        raise UserError(
            f"--format {given.format}: found weights with a verifier, expected --format onnx, whose reader applies it; "
            "give that, or --no-verifier for the network alone"
        )
    require_exportable(weights, given.opset if given.format == "onnx" else None, given.precision)
    out = given.path
    make_folder(out.parent)
    advice = "check the space left and the permissions there, or give another --out"
    with writing(out, advice), tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as folder:
        made = Path(folder, out.name)
        about = write_file(made, weights, given)
        os.replace(made, out)
    return f"{out}, {os.path.getsize(out) / 2**20:.1f} MiB: {about}"


def write_file(path: Path, weights: Any, given: ExportSettings) -> str:
    """Write the file and compare it with PyTorch.

    Args:
        path: of the file.
        weights: as of `export_program`.
        given: what was asked for.

    Returns:
        Words about the file.

    Raises:
        UserError: as of `export`.
    """
    import torch

    detects, multiple = weights.settings.task == "detection", side_multiple(weights.model.network)
    program, module, arguments = export_program(weights, given.streaming)
    about = describe(weights, given, arguments)
    onnx = given.format == "onnx"
    if onnx:
        data = make_onnx_model(program, arguments, detects, given.opset, about).SerializeToString()
    else:
        buffer = io.BytesIO()  # PyTorch would hide why a file cannot be written
        torch.export.save(program, buffer, extra_files={METADATA_KEY: about})
        data = buffer.getvalue()
    with whole_file(path) as file:
        file.write(data)
    run = (make_onnx_runner if onnx else make_torch_runner)(path)
    network = weights.model.network
    different = measure_deviation(run, module, arguments, multiple, steady_share(network), finds_peaks(network))
    if not different <= MAX_DEVIATION:  # NaN is none either
        raise UserError(
            f"--format {given.format}: the file differs from PyTorch by {different:.1e}, expected at most "
            f"{MAX_DEVIATION:.0e}, and was not kept; give another {'--opset' if onnx else '--format'}, or "
            "report it"
        )
    if given.precision != "float32":
        quantise(path, given.precision, about, given.calibrate, given.calibration_clips)
        open_session(path)  # what these tools write cannot always be read
    text = (
        f"differs from PyTorch by {different:.1e} at most"
        if given.precision == "float32"
        else f"{given.precision}; measure what that costs with test.py"
    )
    if weights.verifier is not None:
        text += "; with its verifier, for test.py, vid_predict.py and vid_map_coco.py"
    inputs, outputs = name_tensors(arguments, 2 if detects else 1)
    form = f"ONNX, opset {given.opset}" if onnx else "torch.export program"
    return f"{form}, {', '.join(inputs)} → {', '.join(outputs)}; {text}"


def main(argv: Sequence[str] | None = None) -> None:
    """The command."""
    given = parse(argv)
    require_file(given.weights)
    read = [given.weights, *([given.calibrate] if given.calibrate else [])]
    require_new_or_own(given.path, METADATA_KEY.encode(), read)
    limit_threads(given.threads)
    print(export(given))


if __name__ == "__main__":
    with user_errors():
        main()
