"""From frames to predictions in original pixels: the one way that every script and the validation use."""

from __future__ import annotations

import dataclasses
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from utils.clips.bad_pixels import DefectFinder
from utils.clips.registration import shifts_to_last
from utils.clips.rule import clip_indices, run_starts
from utils.clips.settings import ClipSettings
from utils.images.fit import Fit, Letterbox, fit_of
from utils.images.grey_levels import full_scale_of, require_grey
from utils.images.normalise import Normalisation
from utils.predictor.every_frame import FrameWindows, Waiting
from utils.predictor.frame_preparation import intake_for
from utils.predictor.network_run import EveryFrameRun, FunctionRun, NetworkRun
from utils.predictor.onnx_run import open_onnx
from utils.predictor.prediction import Prediction, from_boxes, from_probability
from utils.predictor.stages.refining import refine_stream
from utils.predictor.tiles.tiling import AUTOMATIC, Tiler, Tiling
from utils.predictor.tracking.tracker import Confirmation
from utils.predictor.verifier.model import VerifierModel
from utils.predictor.verifier.verification import verify_clips
from utils.predictor.window import Clip, SeenFrame, View, batches, make_views, start_clips
from utils.system.files import require_file
from utils.system.threads import IN_LINE, Lanes, make_ahead
from utils.video.sources import SourceFrame


@dataclass(frozen=True)
class Predictor:
    """Normalises, resizes, pads, runs and undoes.

    Args:
        run: the network in any runtime, see `utils.predictor.network_run`; a function over clips becomes a
            `FunctionRun`. A `StreamingRun` computes what a frame contributes once for all clips that see the frame
            alike: without `settings.register` that is every clip.
        settings: how the network sees clips.
        multiple: height and width that `run` sees are padded to multiples of this, right and below, by the edge.
        note: what was recognised in a weights file that does not describe itself.
        square: frames that are letterboxed fill up the square with grey, as published code has it; else the network
            sees no more grey beside them than it must, which takes less time.
        tiling: whether the network sees large frames in tiles, see there.
        verifier: scores what the network, and differences of frames, propose (`utils.predictor.verifier`); then
            `settings.threshold` is of its scores. None: the network's own count.
        false_rate: false components a frame that streams find thresholds for (`utils.predictor.calibration`), if any.
        confirmation: what streams report alone, and when (`utils.predictor.tracking`); None: all that is found.
    """

    run: NetworkRun | Callable[[np.ndarray], Any]
    settings: ClipSettings
    multiple: int = 32
    note: str = ""
    square: bool = False
    tiling: Tiling = AUTOMATIC
    verifier: VerifierModel | None = None
    false_rate: float | None = None
    confirmation: Confirmation | None = None
    _tiler: Tiler = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not isinstance(self.run, NetworkRun):
            object.__setattr__(self, "run", FunctionRun(self.run))
        object.__setattr__(self, "_tiler", Tiler(self.run, self.settings, self.multiple, self.tiling))

    @classmethod
    def from_checkpoint(
        cls,
        path: str | os.PathLike,
        device: str | None = None,
        threshold: float | None = None,
        normalisation: Normalisation | Callable[[], tuple[Normalisation, str]] | None = None,
        precision: str = "float32",
        compile: bool = False,
        tiling: Tiling = AUTOMATIC,
        verify: bool = True,
    ) -> Predictor:
        """Build the network that a weights file describes, with its averaged weights where it has them.

        Args:
            path: a checkpoint of this project, a state dict of one of its networks (`utils.predictor.weights`), or an
                `.onnx` export.
            device: `cpu`, `cuda` or `cuda:N`; default: `cuda` where there is one, else `cpu`.
            threshold: instead of the file's own.
            normalisation: for files that hold none (state dicts), or a function that finds it and says where.
            precision: as of `from_network`.
            compile: likewise.
            tiling: as of the class.
            verify: with the file's verifier, where it holds one; else by the network alone.

        Raises:
            UserError: no readable weights, their model is unknown, they do not fit, or no such device.
        """
        require_file(path)  # before PyTorch is imported, which takes seconds
        if str(path).lower().endswith(".onnx"):
            *parts, verifier = open_onnx(path, device=device, precision=precision, compile=compile)
            predictor = cls(*parts)
        else:
            from utils.predictor.weights import read_weights

            weights = read_weights(path, normalisation)
            (network, _, postprocess), verifier = weights.model, weights.verifier
            predictor = cls.from_network(
                network,
                postprocess,
                weights.settings,
                device=device,
                note=weights.note,
                precision=precision,
                compile=compile,
            )
        predictor = dataclasses.replace(predictor, tiling=tiling, verifier=verifier if verify else None)
        own = verifier.threshold if threshold is None and predictor.verifier else threshold
        return predictor if own is None else predictor.with_settings(threshold=own)

    @classmethod
    def from_network(
        cls,
        network: Any,
        postprocess: Callable[[Any], Any],
        settings: ClipSettings,
        *,
        device: Any = None,
        note: str = "",
        precision: str = "float32",
        compile: bool = False,
    ) -> Predictor:
        """Predict with a copy of a PyTorch network as it is now, on `device`, in evaluation mode.

        Args:
            network: clips as `NetworkRun` takes them → outputs.
            postprocess: outputs → probabilities `(B, H, W)`, or for each clip boxes `(N, 6)`.
            settings: how the network was trained.
            device: as of `from_checkpoint`.
            note: as of the class.
            precision: `float32`, or for speed at some cost of accuracy `bf16` or `fp16` (GPUs only).
            compile: `torch.compile`, which takes up to minutes for each frame size and says how many seconds.

        Raises:
            UserError: `device` is unknown or not there, or does not have this precision.
        """
        from utils.predictor.torch_run import make_torch_run

        grey = settings.channel_levels if settings.task == "detection" else None
        run = make_torch_run(network, postprocess, device, precision, compile, grey)
        return cls(run, settings, network.multiple, note)

    def with_settings(self, **changes: Any) -> Predictor:
        """The same predictor with some of its settings changed, such as `threshold=0.3`."""
        return dataclasses.replace(self, settings=dataclasses.replace(self.settings, **changes))

    def stream(self, frames: Iterable[Any], batch_size: int = 1) -> Iterator[Prediction]:
        """Predict every frame of one sequence, in order; call once for each sequence.

        A clip ends at its key frame; where the run of consecutive frame numbers (and of one frame size) is too short,
        its first frame is repeated in front (`utils.clips.rule.clip_indices`). Raw frames are shown to a network that
        has learnt from 8 bits by percentiles, as vid_predict.py does
        (`utils.predictor.frame_preparation.raw_window_for`), from the first frame on that has levels above 255;
        `stream_with` and `predict` take levels as they are.

        Args:
            frames: `(H, W)` uint8 or uint16 arrays, or tuples that begin with an ascending number and an array, such as
                those of `utils.video.open_sources`; without numbers frames are consecutive from 0.
            batch_size: clips that go through the network together; the stream reads so many frames ahead.

        Raises:
            ValueError: numbers do not ascend, or a frame is not `(H, W)`.
        """
        intake = intake_for(self.settings)
        numbered = (item[:2] if isinstance(item, tuple) else (position, item) for position, item in enumerate(frames))
        source = (SourceFrame(*item, "", None) for item in numbered)
        for frame, prediction in self.stream_with(intake.frames(source), batch_size):
            yield intake.restore(prediction, frame)

    def stream_with(
        self, items: Iterable[tuple[int, np.ndarray, Any]], batch_size: int = 1, stride: int = 1
    ) -> Iterator[tuple[Any, Prediction]]:
        """`stream` for `(number, frame, companion)`, with companions; numbers are `stride` frames apart (`Intake`)."""
        predict, threshold = partial(self._stream, batch_size=batch_size), self.settings.threshold
        return refine_stream(items, predict, threshold, self.verifier, self.false_rate, self.confirmation, stride)

    def _stream(
        self, items: Iterable[tuple[int, np.ndarray, Any]], batch_size: int
    ) -> Iterator[tuple[Any, Prediction]]:
        """`stream_with` by the network alone."""
        if isinstance(self.run, EveryFrameRun):
            yield from self._stream_windows(items)
            return
        with self.run.lanes() as lanes:
            started = ((clips, self._start(clips, lanes)) for clips in batches(self._clips(items), batch_size))
            for clips, outputs in make_ahead(started, lanes.count + 1):
                yield from self._restore_all(clips, outputs())

    def _stream_windows(self, items: Iterable[tuple[int, np.ndarray, Any]]) -> Iterator[tuple[Any, Prediction]]:
        """`stream_with` for networks that give a map for every frame."""
        windows: FrameWindows | None = None
        finder, before = DefectFinder(), None
        for number, frame, companion in items:
            seen = SeenFrame(number, frame, self._prepare(frame))
            goes_on = before is not None and run_starts([before.number, number])[1] == 0
            if goes_on and before.frame.shape == frame.shape:
                seen.follow(before, self.settings)
            else:
                if windows is not None:
                    yield from map(self._restore_waiting, windows.end())
                windows, finder = FrameWindows(self.settings, self._open_look(seen)), DefectFinder()
            if self.settings.bad_pixels:
                seen.defects = finder.see(frame, seen.step)
            yield from map(self._restore_waiting, windows.add(seen, companion))
            before = seen
        if windows is not None:
            yield from map(self._restore_waiting, windows.end())

    def _open_look(self, first: SeenFrame) -> Callable[[Sequence[SeenFrame], int], np.ndarray]:
        """How the windows of a run are looked at: causal ones as a stream, but where bad pixels change past frames."""
        causal = self.settings.max_delay == 0 and not self.settings.bad_pixels
        run = self._tiler.run_for(first.frame.shape, first.ready.shape)
        step = run.open_stream() if causal else None
        if step is None:
            return partial(self._look, run)
        return lambda seen, newest: step(self._input(seen[-1].ready[None])[0])[None]

    def _look(self, run: EveryFrameRun, seen: Sequence[SeenFrame], newest: int) -> np.ndarray:
        """The last `newest` maps of up to T frames, zeros in front where they are fewer; defects are the last one's."""
        defects = seen[-1].defects
        if len(defects):
            seen = [one.repair(defects, self._repair) for one in seen]
        clip = np.zeros((1, self.settings.num_frames, *seen[-1].ready.shape), np.float32)
        clip[0, -len(seen) :] = self._input(np.stack([one.ready for one in seen]))
        return run.frames(clip, newest)[0]

    def _restore_waiting(self, waiting: Waiting) -> tuple[Any, Prediction]:
        seen = waiting.seen
        return waiting.companion, self._restore(seen, waiting.probability)

    def _clips(self, items: Iterable[tuple[int, np.ndarray, Any]]) -> Iterator[Clip]:
        """The clip of every frame; clips hold frames of one size."""
        settings = self.settings
        window: deque[SeenFrame] = deque(maxlen=(settings.num_frames - 1) * settings.frame_step + 1)
        for number, frame, companion in items:
            seen = SeenFrame(number, frame, self._prepare(frame))
            if window and window[-1].frame.shape == frame.shape:
                seen.follow(window[-1], settings)
            else:
                window.clear()
            if not window or number != window[-1].number + 1:
                finder = DefectFinder()
            window.append(seen)
            chosen = clip_indices(
                [seen.number for seen in window], len(window) - 1, settings.num_frames, step=settings.frame_step
            )
            steps = [sum((window[k].step for k in range(i + 1, j + 1)), np.zeros(2)) for i, j in pairwise(chosen)]
            seen = [window[i] for i in chosen]
            if settings.bad_pixels and len(defects := finder.see(frame, window[-1].step)):
                seen = [one.repair(defects, self._repair) for one in seen]
            yield Clip(window[-1], self._views(seen, steps), companion)

    def predict(self, clips: np.ndarray) -> list[Prediction]:
        """Predict the key frames of clips `(B, T, H, W)` in the frames' own grey levels; numbers count from 0.

        A verifier looks back no further than each clip reaches, so the end of a stream has other scores.
        """
        waiting = []
        for number, clip in enumerate(clips):
            frames = [SeenFrame(number, frame, self._prepare(frame)) for frame in clip]
            for before, after in pairwise(frames):
                after.follow(before, self.settings)
            waiting.append(Clip(frames[-1], self._views(frames, [one.step for one in frames[1:]]), None))
        found = [prediction for _, prediction in self._restore_all(waiting, self._start(waiting)())] if waiting else []
        if self.verifier is None:
            return found
        return verify_clips(self.verifier, self.settings.threshold, clips, found)

    def _views(self, frames: Sequence[SeenFrame], steps: Sequence[np.ndarray]) -> list[View]:
        """The frames of a clip as it sees them (`utils.clips.registration.align_clip`), moved as in training."""
        if not self.settings.register:
            return make_views(frames, [np.zeros(2)] * len(frames))
        scale = self._fit(frames[-1].frame.shape).scale
        return make_views(frames, [shift * scale for shift in shifts_to_last(steps)])

    def _fit(self, shape: tuple[int, int], full_scale: float = 255.0) -> Fit:
        settings = self.settings
        return fit_of(
            shape,
            settings.fit,
            settings.input_size,
            self.multiple,
            float(np.ravel(settings.normalisation[0])[0]),
            full_scale,
            self.square,
            self._tiler.side(shape),
        )

    @property
    def _normalised_early(self) -> bool:
        """Whether once for all clips, before frames are moved; of levels as they are around, moving makes others."""
        return self.settings.task == "segmentation" and self.settings.levels == "dataset"

    def _prepare(self, frame: np.ndarray) -> np.ndarray:
        """Frame `(h, w)` → float32 `(H, W)` of the network's size; normalised, unless `_input` does that."""
        require_grey(frame)
        full_scale = full_scale_of(frame)
        ready = self._fit(frame.shape, full_scale).frame(frame, full_scale)
        return self.settings.normalise(ready) if self._normalised_early else ready

    def _repair(self, seen: SeenFrame, mended: np.ndarray, defects: np.ndarray) -> np.ndarray:
        """A frame that was seen, prepared anew from its copy without the light of `defects`."""
        fit = self._fit(mended.shape)
        if self.settings.task == "detection" and isinstance(fit, Letterbox):  # only these places are scaled anew
            return fit.refit(seen.ready, mended, defects[:, :2].astype(int), full_scale_of(mended))
        return self._prepare(mended)

    def _input(self, planes: np.ndarray) -> np.ndarray:
        """What the network takes of prepared planes `(B, …, H, W)`, normalised if they are not."""
        if self._normalised_early:
            return planes
        return self.settings.normalise(
            planes, 1 if self.settings.task == "detection" and self.run.channels == 3 else None
        )

    def _start(self, clips: list[Clip], lanes: Lanes = IN_LINE) -> Callable[[], Any]:
        """The clips' outputs, once they are asked for."""
        run = self._tiler.run_for(clips[0].key.frame.shape, clips[0].views[-1].pixels.shape)
        return start_clips(run, clips, self._input, lanes)

    def _restore_all(self, clips: list[Clip], outputs: Any) -> Iterator[tuple[Any, Prediction]]:
        for clip, output in zip(clips, outputs, strict=True):
            yield clip.companion, self._restore(clip.key, output)

    def _restore(self, key: SeenFrame, output: np.ndarray) -> Prediction:
        """What the network gives for a key frame → the prediction, in original pixels."""
        shape = key.frame.shape
        fit = self._fit(shape)
        threshold = self.verifier.network_threshold if self.verifier else self.settings.threshold
        if self.settings.task == "segmentation":
            found = from_probability(key.number, fit.map_to_frame(output), threshold)
            return dataclasses.replace(found, shift=key.shift)
        boxes = fit.to_frame(output)
        inside = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])  # others lie beside the frame
        return dataclasses.replace(from_boxes(key.number, boxes[inside], shape, threshold), shift=key.shift)
