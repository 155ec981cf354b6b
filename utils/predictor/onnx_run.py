"""Exported networks (`python -m utils.export`) under ONNX Runtime, without PyTorch."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from textwrap import shorten
from typing import Any

import numpy as np

from utils.clips.settings import ClipSettings
from utils.images.boxes import suppress, suppress_softly
from utils.predictor.network_run import EveryFrameRun, NetworkRun, StreamingRun
from utils.predictor.schema import require_number, require_plain
from utils.predictor.verifier.model import VerifierModel, read_verifier
from utils.system.command_line import shown
from utils.system.errors import UserError
from utils.system.files import as_utf8, require_file

METADATA_KEY = "moving-infrared-targets"  # the key of an exported file's description, which is JSON
# Of that description: 1 had keywords of `Predictor` as "predictor" instead of `ClipSettings`, 2 no "suppression",
# 3 no "verifier".
DESCRIPTION_VERSION = 4
NOT_DESCRIBED = "found a description that is none of a network, or of another one"
MIN_SCORE, NMS_IOU = 0.001, 0.65  # as of `nets.yolox_head.decode_detections`
NMS_SIGMA = 0.5  # as of `nets.centernet.decode_centres`
SUPPRESSIONS = ("hard", "soft")


def open_onnx(
    path: str | os.PathLike,
    threads: int = 0,
    device: str | None = None,
    precision: str = "float32",
    compile: bool = False,
) -> tuple[OnnxRun, ClipSettings, int, VerifierModel | None]:
    """An exported network, windowed or streaming, how it sees clips, of what its sides are multiples, its verifier.

    Args:
        path: written by `python -m utils.export --format onnx`.
        threads: CPU threads (0: those of `OMP_NUM_THREADS`, else the runtime's choice).
        device: as of `Predictor.from_checkpoint`; only `cpu` can be had.
        precision: likewise; only the file's own, which `float32` stands for here, can be had.
        compile: likewise; cannot be had.

    Raises:
        UserError: no such file, not one of this project, ONNX Runtime is not installed, or it cannot be run so.
    """
    require_file(path)
    asked = [
        *([f"--device {device}"] if device not in (None, "cpu") else []),
        *([f"--precision {precision}"] if precision != "float32" else []),
        *(["--compile"] if compile else []),
    ]
    if asked:
        raise UserError(
            f"{path}: found {' '.join(asked)}, expected none of these with ONNX files, which run on the "
            "CPU in the precision given to python -m utils.export; leave it out"
        )
    session = open_session(path, threads)
    about = read_description(session, path)
    try:
        settings = ClipSettings.from_dict(about["settings"], path)
        _require_fit(session, about, settings)
        verifier = read_verifier(about.get("verifier"), path)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{path}: {NOT_DESCRIBED} ({shorten(str(error), 300)}); export it again") from None
    make = StreamingOnnxRun if about["streaming"] else EveryFrameOnnxRun if settings.every_frame else OnnxRun
    return make(session, settings.task, about["suppression"]), settings, about["multiple"], verifier


def open_session(path: str | os.PathLike, threads: int = 0) -> Any:
    """An ONNX Runtime session on the CPU.

    Args:
        path: the file.
        threads: as of `open_onnx`.

    Raises:
        UserError: there is no runtime, or no readable network.
    """
    try:
        import onnxruntime
    except ImportError:
        raise UserError(f"{path}: needs ONNX Runtime, which is not installed; `pip install onnxruntime`") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or int(os.environ.get("OMP_NUM_THREADS") or 0)
    options.log_severity_level = 3
    name = as_utf8(path)
    try:
        return onnxruntime.InferenceSession(name, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's exceptions have no common class but this one
        text = " ".join(str(error).split())[:200]
        if "NOT_IMPLEMENTED" in text:
            here = f"ONNX Runtime {onnxruntime.__version__}"
            raise UserError(f"{path}: {here} lacks an operator of it ({text}); pip install -U onnxruntime") from None
        raise UserError(f"{path}: not a readable ONNX file ({text}); export it again") from None


def read_description(session: Any, path: str | os.PathLike) -> dict[str, Any]:
    """What `utils.export` wrote into a file.

    Args:
        session: of the file.
        path: the file, for messages.

    Returns:
        `version, streaming, opset, precision, settings` (of `ClipSettings.as_dict`)`, multiple, state_strides,
        suppression, verifier` (of `VerifierModel.as_dict`, or None).

    Raises:
        UserError: it is a file of something else, or of a later version.
    """
    try:
        text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: {NOT_DESCRIBED} ({error}); export it again") from None
    if text is None:
        raise UserError(f"{path}: found an ONNX file of something else, expected one made by `python -m utils.export`")
    try:
        return _check_description(json.loads(text), path)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UserError(f"{path}: {NOT_DESCRIBED} ({shorten(str(error), 300)}); export it again") from None


def _check_description(about: Any, path: str | os.PathLike) -> dict[str, Any]:
    """A description of any version as one of this version; raises `ValueError` and its kin where it is none."""
    require_plain("a description", about)
    version = about["version"]
    if not isinstance(version, int) or version < 1:
        raise ValueError(f"found version {shown(version)}, expected 1 to {DESCRIPTION_VERSION}")
    if version > DESCRIPTION_VERSION:
        raise UserError(
            f"{path}: exported by version {version}, this code reads up to {DESCRIPTION_VERSION}; update it"
        )
    if version == 1:
        settings = {"fit": "crop", **about.pop("predictor")}
        about |= {"multiple": settings.pop("multiple", 32), "settings": settings}
    about.setdefault("suppression", SUPPRESSIONS[0])
    if about["suppression"] not in SUPPRESSIONS:
        raise ValueError(f"found suppression {shown(about['suppression'])}, expected {' or '.join(SUPPRESSIONS)}")
    if not isinstance(about["streaming"], bool):
        raise ValueError(f"found streaming {shown(about['streaming'])}, expected true or false")
    require_number("multiple", about["multiple"], "multiple")
    for stride in about.get("state_strides", ()):
        require_number("a stride of the state", stride, "state_stride")
    return about


def _require_fit(session: Any, about: dict[str, Any], settings: ClipSettings) -> None:
    """Hold the network's inputs and outputs to what its description says; raises `ValueError`."""
    frames, *states = (item.shape for item in session.get_inputs())
    outputs = len(session.get_outputs())
    detects, streaming = settings.task == "detection", about["streaming"]
    rank = 4 + (detects and not streaming)
    if len(frames) != rank or bool(states) != streaming or outputs != 1 + detects + len(states):
        raise ValueError(
            f"{1 + len(states)} inputs, the first of {len(frames)} sides, and {outputs} outputs, for {settings.task}"
            f"{', streaming' if streaming else ''}"
        )
    if len(session.get_outputs()[0].shape) != 3 + settings.every_frame:
        raise ValueError(f"results of {len(session.get_outputs()[0].shape)} sides, not of {3 + settings.every_frame}")
    if not streaming and frames[-3] != settings.num_frames:
        raise ValueError(f"clips of {shown(frames[-3])} frames and of {settings.num_frames}")
    for shape in states:
        if len(shape) != 5 or shape[0] != settings.num_frames - 1 or not isinstance(shape[2], int):
            raise ValueError(f"a state of shape {shown(shape)} for clips of {settings.num_frames} frames")
    if streaming and len(about["state_strides"]) != len(states):
        raise ValueError(f"{len(about['state_strides'])} strides for {len(states)} states")


def detections_of(boxes: np.ndarray, scores: np.ndarray, suppression: str = "hard") -> np.ndarray:
    """What boxes find: as much as `nets.yolox_head.decode_detections` or `nets.centernet.decode_centres` gives.

    Non-maximum suppression within each class at IoU 0.65, or the soft one, of boxes with a score of at least 0.001.

    Args:
        boxes: of cells or peaks, `(A, 4)` float32 x1, y1, x2, y2.
        scores: `(A, classes)` float32.
        suppression: of `SUPPRESSIONS`.

    Returns:
        `(N, 6)` float32 x1, y1, x2, y2, score, class, the surest first.
    """
    best, classes = scores.max(1), scores.argmax(1)
    kept = np.flatnonzero(best >= MIN_SCORE)
    kept = kept[np.argsort(-best[kept], kind="stable")]
    found = np.column_stack((boxes[kept], best[kept], classes[kept])).astype(np.float32)
    if suppression == "hard":
        return suppress(found, NMS_IOU)
    found = suppress_softly(found, NMS_SIGMA, MIN_SCORE)
    return found[found[:, 4] >= MIN_SCORE]


class OnnxRun(NetworkRun):
    """A windowed export as the `run` of a `Predictor`."""

    def __init__(self, session: Any, task: str, suppression: str = "hard") -> None:
        self.session, self.task, self.suppression = session, task, suppression
        self.inputs = [item.name for item in session.get_inputs()]

    def __call__(self, clips: np.ndarray) -> Any:
        return self._results(self._run({self.inputs[0]: np.ascontiguousarray(clips, np.float32)}))

    def _run(self, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        try:
            return self.session.run(None, feeds)
        except Exception as error:  # the runtime's exceptions have no common class but this one
            text = " ".join(str(error).split())[:200]
            raise UserError(f"the ONNX network cannot be run on these frames ({text}); export it again") from None

    def _results(self, outputs: Sequence[np.ndarray]) -> Any:
        if self.task == "segmentation":
            return outputs[0]
        return [detections_of(*clip, self.suppression) for clip in zip(*outputs[:2], strict=True)]


class EveryFrameOnnxRun(OnnxRun, EveryFrameRun):
    """A windowed export of a network that marks every frame of a clip."""

    def __call__(self, clips: np.ndarray) -> np.ndarray:
        return self.frames(clips, 1)[:, 0]

    def frames(self, clips: np.ndarray, newest: int) -> np.ndarray:
        """As of `EveryFrameRun`; the file computes all of them."""
        return super().__call__(clips)[:, -newest:]


class _Contribution:
    """A frame `(C, H, W)` and, once the network has seen it, its part of the state."""

    def __init__(self, frame: np.ndarray) -> None:
        self.frame = frame
        self.parts: list[np.ndarray] | None = None


class StreamingOnnxRun(OnnxRun, StreamingRun):
    """A streaming export: a frame's contribution to the state is computed once, while the frame is decided on."""

    def __init__(self, session: Any, task: str, suppression: str = "hard") -> None:
        super().__init__(session, task, suppression)
        self.results = 1 if task == "segmentation" else 2
        self.states = session.get_inputs()[1:]
        self.num_frames = self.states[0].shape[0] + 1

    def __call__(self, clips: np.ndarray) -> Any:
        frames = np.moveaxis(clips if clips.ndim == 5 else clips[:, None], 2, 1)
        windows = [self.observe(clip) for clip in frames]
        return self.decide(frames[:, -1], windows)

    def observe(self, frames: np.ndarray) -> list[_Contribution]:
        """Frames (N, H, W) or (N, C, H, W) → what `decide` needs of each; nothing is computed yet."""
        return [_Contribution(frame if frame.ndim == 3 else frame[None]) for frame in frames]

    def decide(self, keys: np.ndarray, windows: Sequence[Sequence[_Contribution]]) -> Any:
        """Key frames and for each clip the contributions of its T frames, the key frame's last → results."""
        results = []
        for window in windows:
            for seen in window[:-1]:
                if seen.parts is None:  # the first frame of a sequence, or one that no clip has ended with
                    self._step(seen, None)
            results.append(self._step(window[-1], window[:-1]))
        return np.concatenate(results) if self.task == "segmentation" else [found for one in results for found in one]

    def size_of(self, contribution: _Contribution) -> int:
        state = self._zeros(contribution.frame.shape[-2:])
        return contribution.frame.nbytes + sum(part.nbytes // len(part) for part in state)

    def _step(self, key: _Contribution, past: Sequence[_Contribution] | None) -> Any:
        if past is None:
            state = self._zeros(key.frame.shape[-2:])
        else:
            state = [np.stack(parts)[:, None] for parts in zip(*(seen.parts for seen in past), strict=True)]
        feeds = dict(zip(self.inputs, [key.frame[None], *state], strict=True))
        outputs = self._run(feeds)
        key.parts = [part[-1, 0] for part in outputs[self.results :]]
        return self._results(outputs)

    def _zeros(self, size: tuple[int, int]) -> list[np.ndarray]:
        strides = json.loads(self.session.get_modelmeta().custom_metadata_map[METADATA_KEY])["state_strides"]
        return [
            np.zeros((item.shape[0], 1, item.shape[2], size[0] // stride, size[1] // stride), np.float32)
            for item, stride in zip(self.states, strides, strict=True)
        ]
