"""From frames to predictions in original pixels: the one way that every script and the validation use."""
from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any, NamedTuple

import numpy as np

from utils.clips import clip_indices
from utils.components import label, match
from utils.errors import UserError

# Normalised clips (B, T, H, W) → probabilities (B, H, W), both numpy float32; H and W are multiples of
# `Predictor.multiple`.
Run = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, slots=True)
class Component:
    """One found (or true) target.

    `box` is x1, y1, x2, y2 in pixels of the original frame, right and bottom exclusive; `centroid` is (x, y) with pixel
    centres at whole numbers; `area` is in pixels.
    """

    score: float
    box: tuple[float, float, float, float]
    centroid: tuple[float, float]
    area: int


@dataclass(frozen=True, eq=False, slots=True)
class Prediction:
    """What was found in one frame of H×W pixels, in that frame's own pixels.

    `probability` is `(H, W)` float32 in [0, 1], `mask` is `probability > threshold`, `components` are the mask's
    8-connected components in raster order, each with its largest probability as score.
    """

    number: int
    probability: np.ndarray
    mask: np.ndarray
    components: tuple[Component, ...]


def components_of(mask: np.ndarray, probability: np.ndarray | None = None) -> tuple[Component, ...]:
    """The 8-connected components of a mask `(H, W)` bool in raster order; score 1 without `probability` `(H, W)`."""
    found = label(mask)
    rows, columns = np.divmod(found.pixel, mask.shape[1])
    scores = np.ones(len(found))
    if probability is not None:
        scores = np.zeros(len(found))
        np.maximum.at(scores, found.owner, probability.reshape(-1)[found.pixel])
    low = np.full((len(found), 2), max(mask.shape))
    high = np.zeros((len(found), 2), np.int64)
    np.minimum.at(low, found.owner, np.stack([columns, rows], 1))
    np.maximum.at(high, found.owner, np.stack([columns, rows], 1) + 1)
    return tuple(Component(float(score), (float(x1), float(y1), float(x2), float(y2)), (float(x), float(y)), int(area))
                 for score, (x1, y1), (x2, y2), (y, x), area
                 in zip(scores, low, high, found.centroid, found.area, strict=True))


def match_components(targets: Sequence[Component], found: Sequence[Component]) -> np.ndarray:
    """Which target each found component hits, -1 for none: the centroid rule of `utils.metrics`.

    Returns:
        `(len(found),)` int64 indices into `targets`.
    """
    return match(*(np.array([item.centroid for item in items]).reshape(-1, 2) for items in (targets, found)))


class _Clip(NamedTuple):
    """A clip that waits for its batch: the key frame's number and original shape, T prepared frames."""

    number: int
    shape: tuple[int, ...]
    frames: list[np.ndarray]
    companion: Any


@dataclass(frozen=True)
class Predictor:
    """Normalises, resizes, pads, runs and undoes.

    Args:
        run: normalised clips `(B, T, H, W)` float32 → probabilities `(B, H, W)` float32, numpy arrays. Any runtime.
        task: `segmentation`.
        num_frames: T, frames in a clip; the key frame is the last.
        normalisation: `(mean, std)` in the frames' own grey levels.
        threshold: a pixel is predicted where its probability exceeds this.
        multiple: height and width that `run` sees are padded to multiples of this, on the right and at the bottom, by
            the edge's value.
        name: of the network, for people.
        input_size: side of the square that frames are resized to, where the network was trained so; None leaves the
            frames' own pixels.
    """

    run: Run
    task: str
    num_frames: int
    normalisation: tuple[float, float]
    threshold: float = 0.5
    multiple: int = 32
    name: str = ""
    input_size: int | None = None

    @classmethod
    def from_checkpoint(cls, path: str | os.PathLike, device: str | None = None, threshold: float | None = None
                        ) -> Predictor:
        """Build the network that a checkpoint describes, with its averaged weights where it has them.

        Args:
            path: a checkpoint of this project.
            device: `cpu`, `cuda` or `cuda:N`; default: `cuda` where there is one, else `cpu`.
            threshold: instead of the checkpoint's own.
        Raises:
            UserError: no readable checkpoint, its model is unknown, its weights do not fit, or no such device.
        """
        check_weights(path)  # before PyTorch is imported, which takes seconds
        from nets import build_model
        from utils.checkpoint import load_checkpoint

        content = load_checkpoint(path)
        try:
            model = build_model(content["model"]["name"], **content["model"]["options"])
            model.network.load_state_dict(content.get("ema") or content["network"])
        except (KeyError, ValueError, TypeError, RuntimeError) as error:
            reason = shorten(str(error), 300)
            raise UserError(f"{path}: does not fit this version of the project: {reason}") from None
        import torch

        model.network.to(memory_format=torch.channels_last)  # the same numbers, sooner
        config = content["config"]
        return cls.from_network(
            model.network, model.postprocess, num_frames=content["num_frames"], normalisation=content["normalisation"],
            device=device, threshold=content["threshold"] if threshold is None else threshold,
            fit=config.get("fit", "crop"), input_size=config.get("input_size"), name=content["model"]["name"])

    @classmethod
    def from_network(cls, network: Any, postprocess: Callable[[Any], Any], *, num_frames: int,
                     normalisation: tuple[float, float], device: Any = None, threshold: float = 0.5, fit: str = "crop",
                     input_size: int | None = None, name: str = "") -> Predictor:
        """Predict with a PyTorch network, which is moved to `device` and put into evaluation mode.

        Args:
            network: `(B, T, H, W)` → outputs.
            postprocess: outputs → probabilities `(B, H, W)`.
            num_frames, normalisation, threshold, name: as of the class.
            fit, input_size: how the network was trained: only with `resize` are frames resized to `input_size`.
        Raises:
            UserError: `device` is unknown or not there.
        """
        return cls(torch_run(network, postprocess, device), "segmentation", num_frames,
                   (float(normalisation[0]), float(normalisation[1])), threshold, name=name,
                   input_size=input_size if fit == "resize" else None)

    def stream(self, frames: Iterable[Any], batch_size: int = 1) -> Iterator[Prediction]:
        """Predict every frame of one sequence, in order; call once for each sequence.

        A clip ends at its key frame; where the run of consecutive frame numbers (and of one frame size) is too short,
        its first frame is repeated in front (`utils.clips.clip_indices`).

        Args:
            frames: `(H, W)` uint8 or uint16 arrays, or `(number, array)` pairs with ascending numbers; without numbers
                frames are consecutive from 0.
            batch_size: clips that go through the network together; the stream reads so many frames ahead.
        Raises:
            ValueError: numbers do not ascend, or a frame is not `(H, W)`.
        """
        numbered = (item if isinstance(item, tuple) else (position, item) for position, item in enumerate(frames))
        for _, prediction in self.stream_with(((number, frame, None) for number, frame in numbered), batch_size):
            yield prediction

    def stream_with(self, items: Iterable[tuple[int, np.ndarray, Any]], batch_size: int = 1
                    ) -> Iterator[tuple[Any, Prediction]]:
        """`stream` for `(number, frame, companion)`: each companion comes back with its frame's prediction."""
        window: deque[tuple[int, tuple[int, ...], np.ndarray]] = deque(maxlen=self.num_frames)
        waiting: list[_Clip] = []
        for number, frame, companion in items:
            ready = self._prepare(frame)
            if window and window[-1][1] != frame.shape:  # clips and batches hold frames of one size
                yield from self._finish(waiting)
                waiting = []
                window.clear()
            window.append((number, frame.shape, ready))
            chosen = clip_indices([number for number, _, _ in window], len(window) - 1, self.num_frames)
            waiting.append(_Clip(number, frame.shape, [window[i][2] for i in chosen], companion))
            if len(waiting) >= batch_size:
                yield from self._finish(waiting)
                waiting = []
        yield from self._finish(waiting)

    def predict(self, clips: np.ndarray) -> list[Prediction]:
        """Predict the key frames of clips `(B, T, H, W)` in the frames' own grey levels; numbers count from 0."""
        waiting = [_Clip(number, clip.shape[1:], [self._prepare(frame) for frame in clip], None)
                   for number, clip in enumerate(clips)]
        return [prediction for _, prediction in self._finish(waiting)]

    def _prepare(self, frame: np.ndarray) -> np.ndarray:
        """Frame `(H, W)` → normalised float32, resized and padded as the network needs it."""
        if frame.ndim != 2 or not frame.size:
            raise ValueError(f"frame has shape {frame.shape}, expected grey (H, W)")
        mean, std = self.normalisation
        ready = frame.astype(np.float32)
        if self.input_size:
            from utils.transforms import resize_clip  # as in training

            ready = resize_clip(ready[None], np.zeros((1, *frame.shape), bool), self.input_size)[0][0]
        ready = (ready - np.float32(mean)) / np.float32(std)
        pad = [(0, -side % self.multiple) for side in ready.shape]
        return np.pad(ready, pad, mode="edge")

    def _finish(self, waiting: list[_Clip]) -> Iterator[tuple[Any, Prediction]]:
        if not waiting:
            return
        outputs = self.run(np.stack([np.stack(clip.frames) for clip in waiting]))
        for clip, output in zip(waiting, outputs, strict=True):
            probability = self._restore(output, clip.shape)
            mask = probability > self.threshold
            yield clip.companion, Prediction(clip.number, probability, mask, components_of(mask, probability))

    def _restore(self, output: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
        """Probabilities as the network gives them → `shape`, in original pixels."""
        if not self.input_size:
            return np.ascontiguousarray(output[: shape[0], : shape[1]])
        import cv2

        output = np.ascontiguousarray(output[: self.input_size, : self.input_size])
        return np.clip(cv2.resize(output, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR), 0, 1)


def check_weights(path: str | os.PathLike) -> None:
    """Raise `UserError` where there is no such file."""
    if not Path(path).is_file():
        found = "a folder" if Path(path).is_dir() else "no such file"
        raise UserError(f"{path}: found {found}, expected a checkpoint; give --weights FILE, such as runs/NAME/best.pt")


def torch_run(network: Any, postprocess: Callable[[Any], Any], device: Any = None) -> Run:
    """The `run` of a PyTorch network, which is moved to `device` and put into evaluation mode.

    Raises:
        UserError: `device` is unknown or not there.
    """
    import torch

    device = pick_device(device)
    network.to(device).eval()

    def run(clips: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return postprocess(network(torch.from_numpy(clips).to(device))).float().cpu().numpy()

    return run


def pick_device(name: Any = None) -> Any:
    """A `torch.device` by its name; without one, `cuda` where there is one, else `cpu`.

    Raises:
        UserError: the device is unknown or not there.
    """
    import torch

    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:  # PyTorch built without CUDA asserts
        raise UserError(f"--device: found '{name}', expected cpu or a CUDA GPU that is there, cuda or cuda:N "
                        f"({str(error).splitlines()[0]})") from None
    return device
